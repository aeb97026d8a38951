"""How a gateway starts, is told to read its files again, and ends."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

from s3gw.web.tls import development_certificate
from tests.live.case import KIB, MIB, LiveCase, some_bytes
from tests.live.server import CLEAN_EXITS, LiveServer, NotStarted, run_twistd
from tests.live.wire import Wire


def write_keys(path: Path, access_key: str, mode: int = 0o600) -> None:
    """A credentials file with one key."""
    draft = path.with_suffix(".new")
    draft.write_text(f"[user]\naws_access_key_id = {access_key}\naws_secret_access_key = secret/of/{access_key}\n")
    draft.chmod(mode)
    draft.rename(path)


class EndTests(LiveCase):
    """SIGTERM."""

    def make_server(self) -> LiveServer:
        """One that can be ended."""
        return self.own_server().start()

    def until_closed(self) -> None:
        """Wait until nothing listens any more."""
        give_up = time.monotonic() + 10
        while time.monotonic() < give_up:
            try:
                socket.create_connection(("127.0.0.1", self.server.port), 5).close()
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                continue  # it was in the backlog when the port closed
        self.fail("the port is still open")

    def test_drain(self) -> None:
        """Requests that run are answered, idle connections and the port close; it ends well, and all is there when it
        starts again."""
        body = some_bytes(2 * MIB)
        idle, up, down, late = (Wire(self.server) for _ in range(4))
        for wire in (idle, up, down, late):
            self.addCleanup(wire.close)
        idle.ask("PUT", "/bucket")
        self.assertEqual(up.ask("PUT", "/bucket/large", (), body * 8).status, 200)
        self.assertEqual(late.ask("GET", "/_health/ready").status, 200)
        up.send(up.head("PUT", "/bucket/key", [("Content-Length", str(len(body)))]) + body[:MIB])
        down.send(down.head("GET", "/bucket/large"))
        late.send(b"GET /_health/ready HTTP/1.1\r\n")
        for _ in range(3):  # what was sent before has come before
            self.assertEqual(idle.ask("GET", "/_health/live").status, 200)

        self.server.terminate()
        self.until_closed()
        self.assertTrue(idle.at_end())
        late.send(b"Host: late\r\n\r\n")
        refusal = late.answer()
        self.assertEqual((refusal.status, refusal.code), (503, "ServiceUnavailable"))
        up.send(body[MIB:])
        stored = up.answer("PUT")
        self.assertEqual((stored.status, stored.headers["Connection"]), (200, "close"))
        self.assertSame(down.answer().body, body * 8)
        for wire in (up, down, late):
            wire.close()
        self.assertIn(self.server.wait(), CLEAN_EXITS)
        self.assertIn("the database is closed", self.server.log())
        self.assertNotIn("Traceback", self.server.log())

        self.server.start()
        with Wire(self.server) as wire:
            self.assertSame(wire.ask("GET", "/bucket/key").body, body)
            self.assertSame(wire.ask("GET", "/bucket/large").body, body * 8)

    def test_acknowledged_and_done(self) -> None:
        """Each write that was answered before the end is there after it."""
        with Wire(self.server) as wire:
            wire.ask("PUT", "/bucket")
            for number in range(50):
                self.assertEqual(wire.ask("PUT", f"/bucket/{number}", (), b"%d" % number).status, 200)
        self.assertIn(self.server.stop(), CLEAN_EXITS)
        self.server.start()
        with Wire(self.server) as wire:
            got = [wire.ask("GET", f"/bucket/{number}").body for number in range(50)]
        self.assertEqual(got, [b"%d" % number for number in range(50)])

    def test_second_signal(self) -> None:
        """A second SIGTERM cuts what is still running, and the end is as orderly as any."""
        with Wire(self.server) as wire, Wire(self.server) as stuck:
            wire.ask("PUT", "/bucket")
            stuck.send(stuck.head("PUT", "/bucket/key", [("Content-Length", str(MIB))]) + bytes(500 * KIB))
            wire.ask("GET", "/_health/live")
            self.server.terminate()
            self.until_closed()
            self.server.terminate()
            self.assertIn(self.server.wait(), CLEAN_EXITS)
        self.assertIn("the database is closed", self.server.log())
        self.assertNotIn("Traceback", self.server.log())


class ImpatientEndTests(LiveCase):
    """SIGTERM with clients that never come to an end."""

    def make_server(self) -> LiveServer:
        """One that waits a second."""
        return self.own_server(args=("--drain_seconds=1",)).start()

    def test_bounded(self) -> None:
        """What does not end is cut off, and is not half there."""
        with Wire(self.server) as wire, Wire(self.server) as stuck:
            wire.ask("PUT", "/bucket")
            stuck.send(stuck.head("PUT", "/bucket/key", [("Content-Length", str(MIB))]) + bytes(500 * KIB))
            wire.ask("GET", "/_health/live")
            start = time.monotonic()
            self.assertIn(self.server.stop(), CLEAN_EXITS)
            self.assertLess(time.monotonic() - start, 10)
        self.assertIn("the database is closed", self.server.log())
        self.server.start()
        with Wire(self.server) as wire:
            self.assertEqual(wire.ask("GET", "/bucket/key").code, "NoSuchKey")
            self.assertEqual(wire.ask("DELETE", "/bucket").status, 204)


class HangUpTests(LiveCase):
    """SIGHUP."""

    def test_credentials(self) -> None:
        """A new key works, the old one does not, an unreadable file changes nothing; connections survive."""
        directory = self.directory()
        keys = directory / "keys"
        write_keys(keys, "OLDKEY")
        self.server = server = self.own_server(auth="sigv4", variables={"S3GW_CREDENTIALS_FILE": str(keys)}).start()
        old, new = (
            server.s3(access_key=name, secret_key=f"secret/of/{name}", max_pool_connections=1)
            for name in ("OLDKEY", "NEWKEY")
        )
        bucket = self.new_bucket(old)
        with Wire(server) as wire:
            self.assertEqual(wire.ask("GET", "/_health/ready").status, 200)
            write_keys(keys, "NEWKEY")
            server.hang_up()
            server.wait_for_log("reloaded 1 of 1")
            new.put_object(Bucket=bucket, Key="key", Body=b"new")
            self.assertEqual(self.refused(old.list_buckets), (403, "InvalidAccessKeyId"))
            write_keys(keys, "THIRDKEY", 0o644)
            server.hang_up()
            server.wait_for_log("not reloaded: .*keys")
            self.assertEqual(new.get_object(Bucket=bucket, Key="key")["Body"].read(), b"new")
            self.assertEqual(wire.ask("GET", "/_health/ready").status, 200)
        self.assertNotIn("secret/of/", server.log())

    def test_certificate(self) -> None:
        """New connections get the new certificate, established ones go on."""
        self.server = server = self.own_server(tls=True).start()
        assert server.ca is not None
        renewed = development_certificate(self.directory(), ("localhost",), datetime.now(timezone.utc))
        before = ssl.get_server_certificate(("127.0.0.1", server.port))
        with Wire(server) as wire:
            self.assertEqual(wire.ask("GET", "/_health/ready").status, 200)
            for path in (renewed.key, renewed.cert):
                shutil.copy(path, server.ca.parent)
            server.hang_up()
            server.wait_for_log("reloaded 1 of 1")
            self.assertNotEqual(ssl.get_server_certificate(("127.0.0.1", server.port)), before)
            self.assertRaises(ssl.SSLCertVerificationError, Wire, server)
            self.assertEqual(wire.ask("GET", "/_health/ready").status, 200)
        shutil.copy(renewed.ca, server.ca)
        with Wire(server) as wire:
            self.assertEqual(wire.ask("GET", "/_health/ready").status, 200)


class BadStartTests(LiveCase):
    """What cannot be done is one line, and no traceback."""

    def refusal(self, *arguments: str, cwd: Path | None = None) -> str:
        """The line with which twistd ends."""
        done = run_twistd(*arguments, cwd=cwd or self.directory())
        said = done.stdout + done.stderr
        self.assertGreater(done.returncode, 0, said)
        self.assertNotIn("Traceback", said)
        lines = done.stderr.splitlines()
        self.assertTrue(lines and lines[0].startswith("s3gw: "), said)
        self.assertLessEqual(len(lines), 2, said)
        return lines[0]

    def refusals(self, table: dict[str, tuple[str, ...]]) -> None:
        """Two at a time, since each has to import everything: the line has what is expected in it."""
        cwd = self.directory()
        with ThreadPoolExecutor(2) as pool:
            lines = pool.map(lambda words: self.refusal(*words, cwd=cwd), table.values())
            for expected, line in zip(table, lines, strict=True):
                self.assertIn(expected, line)

    def test_options(self) -> None:
        """An unknown option, and a stray word."""
        self.refusals({"--colour": ("--colour=red",), "'stray'": ("--threads=2", "stray")})

    def test_busy_port(self) -> None:
        """A port that is taken; the database is not even made."""
        db = self.directory() / "db"
        line = self.refusal(f"--listen={self.server.authority}", f"--db_path={db}")
        self.assertIn(self.server.authority, line)
        self.assertFalse(db.exists())

    def test_database_in_use(self) -> None:
        """A second gateway on one database; the first does not notice."""
        line = self.refusal("--listen=127.0.0.1:0", f"--db_path={self.server.db_path}")
        self.assertIn(str(self.server.db_path), line)
        with Wire(self.server) as wire:
            self.assertEqual(wire.ask("GET", "/_health/ready").status, 200)

    def test_foreign_directory(self) -> None:
        """A file, a place that cannot be made, and a directory of something else are left as they are."""
        place = self.directory()
        file = place / "file"
        file.write_text("not ours")
        paths = (file, file / "db", place)
        self.refusals({str(path): ("--listen=127.0.0.1:0", f"--db_path={path}") for path in paths})
        self.assertEqual([each.name for each in place.iterdir()], ["file"])
        self.assertEqual(file.read_text(), "not ours")

    def test_read_only_directory(self) -> None:
        """A directory that may not be written."""
        place = self.directory()
        place.chmod(0o555)
        if os.access(place, os.W_OK):  # root may, but not everywhere
            place = Path("/proc")
        self.assertIn(str(place), self.refusal("--listen=127.0.0.1:0", f"--db_path={place / 'db'}"))

    def test_credentials_of_everybody(self) -> None:
        """A file with secrets that others may read."""
        keys = self.directory() / "keys"
        write_keys(keys, "SOMEKEY", 0o644)
        line = self.refusal("--listen=127.0.0.1:0", "--auth=sigv4", f"--credentials_file={keys}")
        self.assertIn(str(keys), line)
        self.assertNotIn("secret/of/", line)

    def test_start_again(self) -> None:
        """After a bad start nothing is in the way of a good one."""
        server = self.own_server(args=("--listen=127.0.0.1:1:2:3",))
        self.assertRaises(NotStarted, server.start)
        self.own_server(db_path=server.db_path).start().stop()
