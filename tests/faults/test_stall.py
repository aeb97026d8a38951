"""A disk that does not fail, but takes minutes.

| what takes so long    | promise                                                                                      |
|-----------------------|----------------------------------------------------------------------------------------------|
| the sync of the log   | no write is acknowledged before it is over, and nobody is shown one; reads go on; then all   |
|                       | that waited are answered                                                                     |
| the sync of a table   | writes go on until memory is full; then they are 503 SlowDown after some seconds, and reads  |
|                       | go on; afterwards writes are taken again, without a restart                                  |
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from s3gw.store.rocks import RocksStore
from s3gw.web.storage import STALL_SECONDS
from tests.bounded import join_all, wait_until
from tests.faults.history import BUCKET
from tests.faults.server import LOGS, TABLES, FaultyServer
from tests.live.case import KIB, MIB, LiveCase, some_bytes
from tests.live.wire import Answer, Wire
from tests.torture import TORTURE

STALL_S = 150.0 if TORTURE else 4.0
"""Of the log."""

FOREVER_MS = 600_000
WRITERS = 4
PROMPT_S = 3.0
"""In which a read is answered whatever the disk does; a machine that others use is given time."""


class StallTests(LiveCase):
    """Under load, with a client that looks on."""

    seconds = 120.0 + 2 * STALL_S
    server: FaultyServer

    def make_server(self) -> FaultyServer:
        """A server above a disk that can be held up, with an object."""
        server = FaultyServer(Path(self.mktemp()), args=("--access_log=off",))
        self.addCleanup(server.close)
        server.start()
        with Wire(server) as wire:
            wire.ask("PUT", f"/{BUCKET}")
            self.assertEqual(wire.ask("PUT", f"/{BUCKET}/before", body=some_bytes(100 * KIB)).status, 200)
        return server

    def assertReads(self, wire: Wire) -> None:
        """What is there is served, what is not is a 404, and the process lives, all without delay."""
        start = time.monotonic()
        self.assertSame(wire.ask("GET", f"/{BUCKET}/before").body, some_bytes(100 * KIB))
        self.assertEqual(wire.ask("HEAD", f"/{BUCKET}/missing").status, 404)
        self.assertEqual(wire.ask("GET", "/_health/live").status, 200)
        self.assertLess(time.monotonic() - start, PROMPT_S)

    def assertKept(self, keys: dict[str, bytes]) -> None:
        """After a kill all of it is there, and the database is sound."""
        self.server.kill()
        store = RocksStore.open(str(self.server.db_path), cache_bytes=MIB, reserve_bytes=0, create=False)
        self.assertEqual(list(store.faults()), [])
        store.close()
        self.server.start()
        with Wire(self.server) as wire:
            for key, body in keys.items():
                self.assertSame(wire.ask("GET", f"/{BUCKET}/{key}").body, body)

    def test_log(self) -> None:
        """While a sync of the log hangs nothing is acknowledged nor shown, and reads go on."""
        answers: dict[str, Answer] = {}

        def put(key: str) -> None:
            with Wire(self.server) as wire:
                wire.socket.settimeout(STALL_S + 60)
                answers[key] = wire.ask("PUT", f"/{BUCKET}/{key}", body=key.encode() * 500)

        threads = [threading.Thread(target=put, args=(f"new-{n}",), daemon=True) for n in range(WRITERS)]
        with Wire(self.server) as wire, Wire(self.server) as curious:
            before = self.server.syncs
            self.server.slow_down(FOREVER_MS, LOGS)
            for thread in threads:
                thread.start()
            wait_until(lambda: self.server.syncs > before, "a sync of the log")
            curious.send(curious.head("GET", f"/{BUCKET}?list-type=2"))
            end = time.monotonic() + STALL_S
            while time.monotonic() < end:
                self.assertReads(wire)
                time.sleep(0.1)
            self.assertEqual(answers, {})
            curious.socket.settimeout(0.1)
            self.assertRaises(TimeoutError, curious.socket.recv, 1)
            self.server.calm()
            join_all(threads, 30)
        self.assertEqual({answer.status for answer in answers.values()}, {200})
        self.assertKept({key: key.encode() * 500 for key in answers})

    def test_tables(self) -> None:
        """While no table can be finished, writes are told to slow down in good time, and all else goes on; so do
        writes when it is over."""
        done: dict[str, bytes] = {}
        self.server.slow_down(FOREVER_MS, TABLES)
        with Wire(self.server) as wire, Wire(self.server) as writer:
            refused = None
            while refused is None:
                key, body = f"k{len(done)}", some_bytes(60 * KIB, len(done))
                answer, seconds = self.timed(writer, key, body)
                if answer.status == 200:
                    done[key] = body
                    self.assertLess(len(done), 4000, "memory has no end")
                else:
                    refused = answer
            self.assertEqual((refused.status, refused.code, refused.headers["Retry-After"]), (503, "SlowDown", "1"))
            self.assertLess(seconds, STALL_SECONDS + PROMPT_S)
            self.assertGreater(len(done), 10)
            end = time.monotonic() + (STALL_S if TORTURE else 0)
            while True:
                self.assertReads(wire)
                self.assertSame(wire.ask("GET", f"/{BUCKET}/k3").body, done["k3"])
                self.assertIn(
                    's3gw_store_property{name="write_stopped"} 1.0', wire.ask("GET", "/metrics").body.decode()
                )
                if time.monotonic() >= end:
                    break
                time.sleep(1)
            self.server.calm()
            wait_until(lambda: self.timed(writer, "after", b"after")[0].status == 200, "a write that is taken")
        self.assertNotIn("Traceback", self.server.log())
        self.assertKept({**done, "after": b"after"})

    def timed(self, wire: Wire, key: str, body: bytes) -> tuple[Answer, float]:
        """The answer to a PUT, and how long it took."""
        start = time.monotonic()
        return wire.ask("PUT", f"/{BUCKET}/{key}", body=body), time.monotonic() - start
