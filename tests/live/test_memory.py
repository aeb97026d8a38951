"""Memory does not grow with bodies, nor with clients that are slow: 512 MiB go through a server that must stay small.

With ``S3GW_BIG=1`` in the environment it is 5 GiB.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator

from boto3.s3.transfer import TransferConfig, create_transfer_manager

from s3gw.masterkeys import add_master_key
from tests.live.case import BIG, KIB, MIB, LiveCase, some_bytes
from tests.live.server import LiveServer
from tests.live.wire import Wire

SIZE = 5 * 1024 * MIB if BIG else 512 * MIB
SIZE_IN_PARTS = SIZE if BIG else 256 * MIB
CACHE_MIB = 64
ALLOWED_KIB = (CACHE_MIB + 300) * KIB
_BLOCK = some_bytes(MIB)


def blocks(size: int) -> Iterator[bytes]:
    """A body of so many MiB, a MiB at a time, no two the same."""
    for number in range(size // MIB):
        yield number.to_bytes(8, "big") + _BLOCK[8:]


class Body:
    """The same as a file, as far as boto3 reads it."""

    def __init__(self, size: int) -> None:
        self._blocks = blocks(size)
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        while size < 0 or len(self._rest) < size:
            more = next(self._blocks, b"")
            if not more:
                break
            self._rest += more
        given, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return given


class MemoryMatrix(LiveCase):
    """A server of its own, over http and https; its figures are from /proc. The subclasses run it."""

    def make_server(self) -> LiveServer:
        """One with a known cache, that can encrypt."""
        keys = self.directory() / "keys"
        add_master_key(keys, "only")
        options = (f"--cache_mb={CACHE_MIB}", "--access_log=off", f"--sse_key_file={keys}")
        return self.own_server(tls=self.tls, args=options).start()

    def assertSmall(self) -> None:
        """It never was larger than its cache and 300 MiB."""
        self.assertLess(self.server.memory_kib("VmHWM"), ALLOWED_KIB)

    def download(self, wire: Wire, target: str, size: int = SIZE) -> None:
        """GET the body that `blocks` makes, and compare it as it comes."""
        wire.send(wire.head("GET", target))
        self.assertEqual(wire.answer_head(), size)
        for number, block in enumerate(blocks(size)):
            if wire.read(MIB) != block:
                self.fail(f"MiB {number} differs")

    def test_slow_clients(self) -> None:
        """Many that do not read, and many that do not go on sending, hold no more than their own small buffers."""
        clients, size = 60, 32 * MIB
        with Wire(self.server) as wire:
            wire.ask("PUT", "/bucket")
            wire.send(wire.head("PUT", "/bucket/big", [("Content-Length", str(size))]))
            for block in blocks(size):
                wire.send(block)
            self.assertEqual(wire.answer("PUT").status, 200)
            before = self.server.memory_kib()
            readers = [Wire(self.server, receive_buffer=4 * KIB) for _ in range(clients)]
            writers = [Wire(self.server) for _ in range(clients)]
            for client in (*readers, *writers):
                self.addCleanup(client.close)
            for number, (reader, writer) in enumerate(zip(readers, writers, strict=True)):
                reader.send(reader.head("GET", "/bucket/big"))
                reader.answer_head()
                writer.send(
                    writer.head("PUT", f"/bucket/{number}", [("Content-Length", str(size))]) + _BLOCK[: 700 * KIB]
                )
            for _ in range(3):  # what was sent before has come before
                self.assertEqual(wire.ask("GET", "/_health/ready").status, 200)
            # A window each of 256 KiB, what is on its way to or from the store, and the cache.
            self.assertLess(self.server.memory_kib() - before, (CACHE_MIB + clients * 2) * KIB)
            # They are slow, but not cut off: one of them takes all of it in the end.
            for block in itertools.islice(blocks(size), 4):
                self.assertSame(readers[0].read(MIB), block)
        self.assertSmall()

    def test_many_at_once(self) -> None:
        """Sixteen transfers of 16 MiB at a time, in both directions."""
        size = 16 * MIB
        failed: list[str] = []

        def transfer(number: int) -> None:
            with Wire(self.server) as wire:
                wire.send(wire.head("PUT", f"/bucket/{number}", [("Content-Length", str(size))]))
                for block in blocks(size):
                    wire.send(block)
                if wire.answer("PUT").status != 200 or wire.ask("GET", f"/bucket/{number}").body != b"".join(
                    blocks(size)
                ):
                    failed.append(f"{number}")

        with Wire(self.server) as wire:
            wire.ask("PUT", "/bucket")
        threads = [threading.Thread(target=transfer, args=(n,), daemon=True) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(failed, [])
        self.assertSmall()


class OverHttps(MemoryMatrix):
    """https."""

    tls = True


class OverHttp(MemoryMatrix):
    """http; and whatever need not be done over each."""

    def test_stream(self) -> None:
        """One PUT, one GET, and a copy, which moves no bytes at all."""
        with Wire(self.server) as wire:
            wire.ask("PUT", "/bucket")
            wire.send(wire.head("PUT", "/bucket/big", [("Content-Length", str(SIZE))]))
            digest = hashlib.md5()
            for block in blocks(SIZE):
                wire.send(block)
                digest.update(block)
            self.assertEqual(wire.answer("PUT").headers["ETag"], f'"{digest.hexdigest()}"')
            self.download(wire, "/bucket/big")
            self.assertEqual(wire.ask("PUT", "/bucket/copy", [("x-amz-copy-source", "/bucket/big")]).status, 200)
            self.assertEqual(wire.ask("DELETE", "/bucket/big").status, 204)
            self.download(wire, "/bucket/copy")
        self.assertSmall()

    def test_encrypted(self) -> None:
        """A body is encrypted as it comes, and decrypted as it is copied and as it goes."""
        encrypted = ("x-amz-server-side-encryption", "AES256")
        with Wire(self.server) as wire:
            wire.ask("PUT", "/bucket")
            wire.send(wire.head("PUT", "/bucket/big", [("Content-Length", str(SIZE_IN_PARTS)), encrypted]))
            for block in blocks(SIZE_IN_PARTS):
                wire.send(block)
            self.assertEqual(wire.answer("PUT").status, 200)
            self.download(wire, "/bucket/big", SIZE_IN_PARTS)
            copied = wire.ask("PUT", "/bucket/copy", [("x-amz-copy-source", "/bucket/big")])
            self.assertEqual(copied.status, 200)
            self.assertNotIn("x-amz-server-side-encryption", copied.headers)
            self.download(wire, "/bucket/copy", SIZE_IN_PARTS)
        self.assertSmall()

    def test_parts(self) -> None:
        """In parts, eight at a time; completing moves no bytes either."""
        s3 = self.server.s3(max_pool_connections=8)
        s3.create_bucket(Bucket="bucket")
        config = TransferConfig(multipart_chunksize=16 * MIB, max_concurrency=8, preferred_transfer_client="classic")
        with create_transfer_manager(s3, config) as transfers:
            transfers.upload(Body(SIZE_IN_PARTS), "bucket", "big").result()
        with Wire(self.server) as wire:
            self.download(wire, "/bucket/big", SIZE_IN_PARTS)
        self.assertSmall()


del MemoryMatrix  # it is no test by itself
