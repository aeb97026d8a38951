"""`AdminCase`: a database, and the command line over it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from s3gw.admin.main import main
from s3gw.store.rocks import RocksStore
from tests.store.contract import Actor

CACHE_BYTES = 8 << 20


def some_bytes(size: int, seed: int = 0) -> bytes:
    """Bytes that no two places or seeds have in common."""
    return Random(seed).randbytes(size)


class AdminCase(SynchronousTestCase):
    """A test of ``s3gw-admin``, in this process."""

    def setUp(self) -> None:
        self.place = Path(self.mktemp()).absolute()
        self.place.mkdir()
        self.db = self.place / "db"

    def open(self, db: Path | None = None) -> RocksStore:
        """The store, which is the test's to close."""
        store = RocksStore.open(str(db or self.db), cache_bytes=CACHE_BYTES, reserve_bytes=0)
        self.addCleanup(store.close)
        return store

    def fill(self) -> dict[str, bytes]:
        """Make the database: a bucket with small objects, large ones, and an upload. :return: the objects."""
        bodies = {f"small-{number}": some_bytes(1000, number) for number in range(20)}
        bodies |= {f"large-{number}": some_bytes(300_000, number) for number in range(3)}
        store = self.open()
        actor = Actor(store)
        actor.create()
        for key, body in bodies.items():
            actor.do(actor.inline(key, body) if len(body) < 65536 else actor.chunked(key, body))
        actor.begin()
        actor.do(actor.part(1, some_bytes(100_000, 77)))
        store.close()
        return bodies

    def bodies(self, db: Path, keys: dict[str, bytes]) -> dict[str, bytes | None]:
        """What a reader gets of these keys."""
        store = self.open(db)
        found = {key: Actor(store).body(key) for key in keys}
        store.close()
        return found

    def admin(self, *words: object) -> tuple[int, str, str]:
        """Run a command. :return: its status, stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", err)
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
        self.patch(sys, "stdout", sys.__stdout__)
        self.patch(sys, "stderr", sys.__stderr__)
        return status, out.getvalue(), err.getvalue()

    def succeed(self, *words: object, status: int = 0) -> Any:
        """What a command tells programs, when it ends as it should."""
        ended, out, err = self.admin(*words, "--json")
        self.assertEqual((ended, err), (status, ""), out)
        return json.loads(out)

    def refuse(self, *words: object) -> str:
        """The one line with which a command cannot be done."""
        status, out, err = self.admin(*words)
        self.assertEqual((status, out), (3, ""), err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertTrue(err.startswith("s3gw-admin: "), err)
        return err

    def flip(self, needle: bytes) -> None:
        """Change one bit of the database on disk, in the bytes that are given."""
        for path in self.db.glob("*.sst"):
            data = bytearray(path.read_bytes())
            at = data.find(needle)
            if at >= 0:
                data[at + len(needle) // 2] ^= 1
                path.write_bytes(data)
                return
        self.fail("these bytes are in no table")
