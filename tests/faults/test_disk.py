"""A disk that fails: syncs, writes and reads that end with an error, and no room.

| fault                                 | promise                                                                   |
|---------------------------------------|---------------------------------------------------------------------------|
| a sync of the log fails               | nothing is acknowledged from then on; reads go on; what was told is there |
|                                       | after the next start                                                      |
| a write to the log fails              | the same                                                                  |
| writing a table or the manifest fails | the same, once writes are refused                                         |
| less room than the reserve            | 507 for what needs room; reads and deletes go on; over when there is room |
| a read fails                          | 500 for that read; over when the disk answers again                       |
"""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from random import Random

from s3gw.store.rocks import RocksStore
from tests.bounded import join_all, wait_until
from tests.faults.disk import FORMS
from tests.faults.history import BUCKET, Client
from tests.faults.server import CREATIONS, EVERYWHERE, LOGS, OTHERS, READS, SYNCS, TABLES, WRITES, FaultyServer
from tests.live.case import KIB, MIB, LiveCase, some_bytes
from tests.live.server import CLEAN_EXITS
from tests.live.wire import Wire
from tests.torture import RUNS, SEED

FAULTS = (
    ("sync of the log", SYNCS, LOGS, errno.EIO),
    ("write to the log", WRITES, LOGS, errno.EIO),
    ("full at the log", WRITES, LOGS, errno.ENOSPC),
    ("new log", CREATIONS, LOGS, errno.EIO),
    ("sync of a table", SYNCS, TABLES, errno.EIO),
    ("write of a table", WRITES, TABLES, errno.EIO),
    ("full at a table", WRITES, TABLES, errno.ENOSPC),
    ("sync of the manifest", SYNCS, OTHERS, errno.EIO),
    ("write to the manifest", WRITES, OTHERS, errno.EIO),
    ("full at the manifest", WRITES, OTHERS, errno.ENOSPC),
    ("sync of everything", SYNCS, LOGS | TABLES | OTHERS, errno.EIO),
    ("everything full", WRITES, LOGS | TABLES | OTHERS, errno.ENOSPC),
    ("read-only file system", WRITES, EVERYWHERE, errno.EROFS),
)
"""What fails: the call, which files, and with which error."""

REFUSAL_S = 30.0
"""When the writes of every client must have come to an end, with the disk failing."""


class FailingDiskTests(LiveCase):
    """Writes and syncs that fail."""

    server: FaultyServer

    def make_server(self) -> FaultyServer:
        """A server above a disk of which each call can fail."""
        server = FaultyServer(Path(self.mktemp()), args=("--access_log=off",))
        self.addCleanup(server.close)
        return server

    def test_writes(self) -> None:
        """From the first failure on nothing is acknowledged that a power cut could take; reads go on; what was
        acknowledged before is there after the next start."""
        chance = Random(f"{SEED} disk")
        self.server.start()
        with Wire(self.server) as wire:
            self.assertEqual(wire.ask("PUT", f"/{BUCKET}").status, 200)
        clients = [Client(self.server, number, chance.getrandbits(32)) for number in range(2)]
        for number in range(RUNS):
            for name, operation, files, error in FAULTS:
                self.one_fault(name, clients, chance, (operation, files, error), FORMS[number % (len(FORMS) - 1)])

    def one_fault(
        self, name: str, clients: list[Client], chance: Random, fault: tuple[int, int, int], form: str
    ) -> None:
        """Let something fail under load; afterwards the server is a new one on what a power cut has left."""
        threads = [threading.Thread(target=client.work, args=(10_000,), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        wait_until(lambda: all(client.told for client in clients), f"{name}: an answer to each client")
        self.server.fail(*fault, after=chance.randrange(3))
        join_all(threads, REFUSAL_S)
        self.assertGreater(self.server.hits, 0, name)
        self.server.calm()
        with Wire(self.server) as wire:
            # The disk is well again, but nobody knows what is on it.
            refused = wire.ask("PUT", f"/{BUCKET}/late", body=b"late")
            self.assertEqual((refused.status, refused.code), (500, "InternalError"), name)
            self.assertEqual(wire.ask("DELETE", f"/{BUCKET}/late").status, 500)
            self.assertEqual(wire.ask("GET", "/_health/ready").status, 503)
            self.assertEqual(wire.ask("GET", "/_health/live").status, 200)
            for client in clients:
                self.assertNoDoubt(client, wire, name)
        self.server.kill()
        for position, where in self.server.power_cuts([self.server.position()], form, chance):
            store = RocksStore.open(str(where), cache_bytes=MIB, reserve_bytes=0, create=False)
            self.assertEqual(list(store.faults()), [], name)
            for client in clients:
                client.go_on(store, client.check(store, position, everything=True))
            store.close()
            self.server.put_back(where)
        self.server.start()

    def test_stopped(self) -> None:
        """After a failed sync the server still ends when it is told to, and says that it did not end in order."""
        self.server.start()
        with Wire(self.server) as wire:
            self.assertEqual(wire.ask("PUT", f"/{BUCKET}").status, 200)
            self.server.fail(SYNCS, EVERYWHERE, errno.EIO)
            self.assertEqual(wire.ask("PUT", f"/{BUCKET}/late", body=b"late").status, 500)
        self.assertIn(self.server.stop(), CLEAN_EXITS)
        self.assertIn("not in order", self.server.log())
        self.assertNotIn("Traceback", self.server.log())

    def assertNoDoubt(self, client: Client, wire: Wire, name: str) -> None:
        """Nobody is shown what was not acknowledged: each object is as its client was told, or an error."""
        told = client.states[len(client.told)]
        served = 0
        for key in {*told.objects, *client.states[-1].objects}:
            answer = wire.ask("HEAD", f"/{BUCKET}/{key}")
            if answer.status < 500:
                served += 1
                self.assertEqual(answer.headers.get("ETag", "").strip('"'), told.etag(key), f"{name}: {key}")
        self.assertGreaterEqual(served, len(told.objects) - 1, name)
        answer = wire.ask("GET", f"/{BUCKET}?list-type=2&prefix={client.number}/")
        if answer.status == 200:
            self.assertEqual(answer.body.decode().count("<Key>"), len(told.objects), name)

    def test_no_room(self) -> None:
        """With less than the reserve left, what needs room is refused early, and all else goes on."""
        self.server.start()
        with Wire(self.server) as wire:
            wire.ask("PUT", f"/{BUCKET}")
            for size in (1000, 200 * KIB):
                self.assertEqual(wire.ask("PUT", f"/{BUCKET}/{size}", body=some_bytes(size)).status, 200)
            begun = wire.ask("POST", f"/{BUCKET}/parts?uploads")
            upload = begun.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
            self.assertEqual(wire.ask("PUT", f"/{BUCKET}/parts?partNumber=1&uploadId={upload}", body=b"1").status, 200)
            self.server.shrink(100 * MIB)
            # The room is looked at every 16 MiB. Refused in the middle of its body, a client has to connect again.
            self.assertIn((507, "InsufficientStorage"), {self.fill(number) for number in range(18)})
            for target in (f"/{BUCKET}/a", f"/{BUCKET}/parts?partNumber=2&uploadId={upload}", f"/{BUCKET}-2"):
                answer = wire.ask("PUT", target, body=b"" if target.endswith("-2") else b"x")
                self.assertEqual((answer.status, answer.code), (507, "InsufficientStorage"), target)
            self.assertSame(wire.ask("GET", f"/{BUCKET}/{200 * KIB}").body, some_bytes(200 * KIB))
            self.assertEqual(wire.ask("DELETE", f"/{BUCKET}/1000").status, 204)
            part = b"<Part><PartNumber>1</PartNumber><ETag>c4ca4238a0b923820dcc509a6f75849b</ETag></Part>"
            document = b"<CompleteMultipartUpload>%b</CompleteMultipartUpload>" % part
            self.assertEqual(wire.ask("POST", f"/{BUCKET}/parts?uploadId={upload}", body=document).status, 200)
            self.assertEqual(wire.ask("GET", "/_health/ready").status, 200)
            self.server.shrink(-1)
            self.assertEqual(wire.ask("PUT", f"/{BUCKET}/a", body=b"there is room again").status, 200)
        self.assertNotIn("Traceback", self.server.log())

    def fill(self, number: int) -> tuple[int, str]:
        """PUT a MiB; the status and error code."""
        with Wire(self.server) as wire:
            answer = wire.ask("PUT", f"/{BUCKET}/fill{number}", body=some_bytes(MIB, number))
            return answer.status, answer.code

    def test_reads(self) -> None:
        """A read that fails is an error to its client and a line in the log, and no more than that."""
        body = some_bytes(900 * KIB)
        self.server.start()
        with Wire(self.server) as wire:
            wire.ask("PUT", f"/{BUCKET}")
            wire.ask("PUT", f"/{BUCKET}/small", body=b"small")
            self.assertEqual(wire.ask("PUT", f"/{BUCKET}/large", body=body).status, 200)
        self.server.stop()
        self.server.start()
        for _ in range(3 * RUNS):
            self.server.fail(READS, TABLES, errno.EIO)
            with Wire(self.server) as wire:
                answer = wire.ask("GET", f"/{BUCKET}/large")
                self.assertEqual((answer.status, answer.code), (500, "InternalError"))
                self.assertEqual(wire.ask("GET", "/_health/live").status, 200)
                self.assertGreater(self.server.hits, 0)
                self.server.calm()
                self.assertEqual(wire.ask("GET", f"/{BUCKET}/small").body, b"small")
                self.assertSame(wire.ask("GET", f"/{BUCKET}/large").body, body)
                self.assertEqual(wire.ask("PUT", f"/{BUCKET}/after", body=b"x").status, 200)
            self.server.stop()
            self.server.start()
