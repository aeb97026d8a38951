"""Checkpoints: the whole database at one moment, however busy it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from random import Random
from threading import Event, Thread

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from s3gw.model import CHUNK_BYTES
from s3gw.store.checkpoint import UNFINISHED, checkpoints
from s3gw.store.interface import ICheckpointStore, StoreFailed
from s3gw.store.options import MIB
from s3gw.store.rocks import RocksStore
from s3gw.store.staging import LOGGED_CHUNKS
from tests.bounded import join_all
from tests.store.contract import Actor

CACHE_BYTES = 8 << 20
LARGE = Random(1).randbytes((LOGGED_CHUNKS + 4) * CHUNK_BYTES)
"""So large that its last chunks do not go through the log."""


class CheckpointTests(SynchronousTestCase):
    """`RocksStore.checkpoint`"""

    durability = "commit"

    def setUp(self) -> None:
        self.place = Path(self.mktemp()).absolute()
        self.store = self.open(self.place / "db")
        self.actor = Actor(self.store)
        self.actor.create()

    def open(self, path: Path) -> RocksStore:
        store = RocksStore.open(str(path), cache_bytes=CACHE_BYTES, reserve_bytes=0, durability=self.durability)  # type: ignore[arg-type]
        self.addCleanup(store.close)
        return store

    def opened(self, path: Path) -> Actor:
        """A checkpoint, which has no fault."""
        store = self.open(path)
        self.assertEqual(list(store.faults()), [])
        return Actor(store)

    def test_interface(self) -> None:
        """The store says that it can."""
        self.assertTrue(verifyObject(ICheckpointStore, self.store))

    def test_moment(self) -> None:
        """It has what was committed before it and nothing of what came after, and stays so."""
        self.actor.do(self.actor.inline("small", b"old"))
        self.actor.do(self.actor.chunked("large", LARGE))
        path = self.place / "checkpoints" / "1"
        self.store.checkpoint(str(path))
        self.actor.do(self.actor.inline("small", b"new"))
        self.actor.do(self.actor.inline("later", b"later"))
        self.actor.do(self.actor.chunked("large", LARGE[:100_000]))
        copy = self.opened(path)
        self.assertEqual((copy.body("small"), copy.body("later")), (b"old", None))
        self.assertEqual(copy.body("large"), LARGE)
        self.assertEqual(self.actor.body("small"), b"new")
        self.assertEqual(list(self.store.faults()), [])

    def test_busy(self) -> None:
        """While others write, it has each of their commits whole or not at all, and those that were answered before."""
        ending = Event()
        committed = [0]

        def write() -> None:
            while not ending.is_set():
                number = committed[0] + 1
                self.actor.do(self.actor.chunked(f"{number}", LARGE[number:]))
                self.actor.do(self.actor.inline(f"small-{number}", b"%d" % number))
                committed[0] = number

        writer = Thread(target=write, daemon=True)
        writer.start()
        taken = []
        try:
            for number in range(4):
                while committed[0] < 2 * number + 1:
                    self.assertTrue(writer.is_alive())
                    ending.wait(0.001)
                before = committed[0]
                path = self.place / str(number)
                self.store.checkpoint(str(path))
                taken.append((path, before))
        finally:
            ending.set()
            join_all([writer], 30)
        for path, before in taken:
            copy = self.opened(path)
            for number in range(1, before + 1):
                self.assertEqual(copy.body(f"small-{number}"), b"%d" % number)
                self.assertEqual(copy.body(f"{number}"), LARGE[number:])
            copy.store.close()

    def test_private(self) -> None:
        """Nobody else can look into it, whatever the file system's defaults; links take no room."""
        self.actor.do(self.actor.chunked("large", LARGE[: 4 * MIB]))
        path = self.place / "checkpoints" / "1"
        self.store.checkpoint(str(path))
        for each in (path, path.parent):
            self.assertEqual(stat.S_IMODE(each.stat().st_mode) & 0o077, 0)
        linked = [each for each in path.glob("*.sst") if each.stat().st_nlink > 1]
        self.assertEqual(linked, list(path.glob("*.sst")))

    def test_names(self) -> None:
        """One that is there already is left alone; one that a crash cut off is no checkpoint, and in nobody's way."""
        place = self.place / "checkpoints"
        (place / f"1{UNFINISHED}" / "db").mkdir(parents=True)
        self.assertEqual(checkpoints(str(place)), [])
        self.store.checkpoint(str(place / "1"))
        self.assertEqual(checkpoints(str(place)), [str(place / "1")])
        self.assertEqual(os.listdir(place), ["1"])
        self.assertRaises(StoreFailed, self.store.checkpoint, str(place / "1"))
        error = self.assertRaises(StoreFailed, self.store.checkpoint, "/proc/checkpoints/1")
        self.assertIn("/proc/checkpoints", str(error))
        self.assertEqual(os.listdir(place), ["1"])

    def test_closed(self) -> None:
        """A store that was closed makes none; making one keeps none from being opened again."""
        self.store.checkpoint(str(self.place / "1"))
        self.store.close()
        self.assertRaises(StoreFailed, self.store.checkpoint, str(self.place / "2"))
        self.assertEqual(sorted(os.listdir(self.place)), ["1", "db"])
        self.open(self.place / "db")


class UnloggedTests(CheckpointTests):
    """The same without a log."""

    durability = "memory"
