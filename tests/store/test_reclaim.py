"""What is freed leaves the disk, and what is staged without a log is there when it counts."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from random import Random
from threading import Thread

from twisted.trial.unittest import SkipTest, TestCase

from s3gw.model import CHUNK_BYTES, BucketInfo, Extent, ObjectInfo
from s3gw.store import reclaim, staging
from s3gw.store.interface import (
    ChunkRow,
    Committed,
    CreateBucket,
    DeleteObject,
    PutObject,
    StoreFull,
)
from s3gw.store.options import CHUNKS, MIB
from s3gw.store.rocks import RocksStore
from tests.bounded import join_all
from tests.store import contract

NOISE = Random(1).randbytes(2 * MIB)


def chunk(number: int) -> bytes:
    """Different ones for different numbers."""
    return NOISE[number : number + CHUNK_BYTES]


def opened(path: str, **options: object) -> RocksStore:
    store = RocksStore.open(path, **{"cache_bytes": MIB, "reserve_bytes": 0, "durability": "os", **options})  # type: ignore[arg-type]
    store.commit([CreateBucket(BucketInfo("b", 1))])
    return store


def staged(store: RocksStore, key: str, chunks: int) -> PutObject:
    """The put of an object of so many chunks, staged 16 at a time."""
    blob = store.begin_blob()
    for number in range(0, chunks, 16):
        store.stage(blob, number, [chunk(n) for n in range(number, min(number + 16, chunks))])
    info = ObjectInfo(chunks * CHUNK_BYTES, 1, "e", extents=(Extent(blob, 0, chunks * CHUNK_BYTES),))
    return PutObject("b", key, info, staged=(blob,))


def on_disk(path: str) -> int:
    """Bytes that a directory takes."""
    sizes = 0
    for name in os.listdir(path):
        try:
            sizes += os.stat(os.path.join(path, name)).st_blocks * 512
        except FileNotFoundError:
            pass
    return sizes


class SpaceTests(TestCase):
    """At a fourth of the sizes at which a service does it, and at once."""

    def setUp(self) -> None:
        self.patch(reclaim, "LEAST_BYTES", 8 * MIB)
        self.patch(reclaim, "QUIET_SECONDS", 0.05)
        self.path = self.mktemp()
        self.store = opened(self.path)
        self.addCleanup(self.store.close)

    def shrunk(self, goal: int) -> None:
        """Wait until the directory is no larger than that."""
        deadline = time.monotonic() + 30
        while on_disk(self.path) > goal:
            if time.monotonic() > deadline:
                self.fail(f"{on_disk(self.path)} bytes on disk, not {goal}")
            time.sleep(0.02)

    def delete(self, *keys: str) -> None:
        for outcome in self.store.commit([DeleteObject("b", key) for key in keys]):
            self.assertIsInstance(outcome, Committed)
            self.store.free(outcome.retired)

    def test_largeObject(self) -> None:
        """The bytes of a large object are gone from disk soon after it was deleted, and counted until then."""
        self.store.commit([staged(self.store, "kept", 16), staged(self.store, "gone", 1100)])
        self.store._engine.flush(CHUNKS)
        self.patch(reclaim, "LEAST_BYTES", 1 << 40)
        self.delete("gone")
        garbage = self.store.properties()["garbage_bytes"]
        self.assertLess(abs(garbage - 1100 * CHUNK_BYTES), CHUNK_BYTES)
        self.patch(reclaim, "LEAST_BYTES", 8 * MIB)
        self.store._rounds.freed(0)
        self.shrunk(10 * MIB)
        self.assertEqual(self.store.properties()["garbage_bytes"], 0)
        self.assertEqual(list(self.store.faults()), [])

    def test_overwritten(self) -> None:
        """Small objects overwritten again and again take the room of one of each."""
        for turn in range(8):
            for first in range(0, 160, 16):
                puts = []
                for number in range(first, first + 16):
                    info = ObjectInfo(CHUNK_BYTES, turn, "e", inline=self.store.begin_blob())
                    puts.append(PutObject("b", f"k{number}", info, chunk(turn * 160 + number)))
                self.store.commit(puts)
        self.shrunk(16 * MIB)
        self.assertEqual(contract.Actor(self.store).body("k7"), chunk(7 * 160 + 7))
        self.assertEqual(list(self.store.faults()), [])

    def test_deletedAtOnce(self) -> None:
        """Among those that stay, what was deleted leaves."""
        for number in range(100):
            self.store.commit([staged(self.store, f"k{number}", 16)])
        self.delete(*(f"k{number}" for number in range(0, 100, 2)))
        self.shrunk(56 * MIB)
        self.assertEqual(list(self.store.faults()), [])

    def test_closedMeanwhile(self) -> None:
        """Closing does not wait for a long merge, and leaves nothing locked."""
        puts = [staged(self.store, f"k{number}", 16) for number in range(20)]
        self.store.commit(puts)
        self.delete(*(f"k{number}" for number in range(20)))
        self.store.close()
        store = opened(self.path)
        self.addCleanup(store.close)
        self.assertEqual(list(store.faults()), [])


class LargeBlobTests(TestCase):
    """With a log that ends after 16 chunks."""

    def setUp(self) -> None:
        self.patch(staging, "LOGGED_CHUNKS", 16)
        self.patch(reclaim, "DELETE_ROWS", 16)
        self.path = self.mktemp()
        self.store = opened(self.path)
        self.addCleanup(self.store.close)

    def copied(self) -> RocksStore:
        """The store as it is found after a crash at this moment."""
        path = self.mktemp()
        shutil.copytree(self.path, path)
        store = opened(path)
        self.addCleanup(store.close)
        return store

    def test_committed(self) -> None:
        """What was committed survives a crash, all of it, though not all of it went through the log."""
        put = staged(self.store, "k", 100)
        self.assertTrue(self.store.unsettled(put.staged))
        self.store.commit([put])
        found = self.copied()
        self.assertEqual(contract.Actor(found).body("k"), b"".join(map(chunk, range(100))))
        self.assertEqual(list(found.faults()), [])

    def test_settled(self) -> None:
        """What was settled before is committed with nothing left to do, and one flush settles all that came before."""
        first, second = staged(self.store, "k", 100), staged(self.store, "l", 20)
        self.assertFalse(self.store.unsettled(staged(self.store, "small", 16).staged))
        self.store.settle(first.staged)
        self.assertFalse(self.store.unsettled((*first.staged, *second.staged)))
        self.store.stage(second.staged[0], 20, [chunk(20)])
        self.assertTrue(self.store.unsettled(second.staged))

    def test_notCommitted(self) -> None:
        """What a crash leaves of a body that was under way is swept, its last chunks too, flushed or not."""
        for flush in (False, True):
            staged(self.store, "k", 100)
            if flush:
                self.store._engine.flush(CHUNKS)
            found = self.copied()
            self.assertEqual(list(found.faults()), [])
            self.assertEqual(found.swept, 1 + flush)

    def test_stagedWhileFlushing(self) -> None:
        """A chunk that came while a flush was under way is not taken for flushed."""
        put = staged(self.store, "k", 40)
        flush = self.store._engine.flush

        def late(family: str) -> None:
            flush(family)
            self.store.stage(put.staged[0], 40, [chunk(40)])

        self.patch(self.store._engine, "flush", late)
        self.store.settle(put.staged)
        self.assertTrue(self.store.unsettled(put.staged))

    def test_freedBitByBit(self) -> None:
        """A blob that takes many writes to delete goes wholly, and cannot be named once that has begun."""
        put = staged(self.store, "k", 100)
        write = self.store._engine.write
        outcomes: list[object] = []

        def meddle(batch: object, op: str = "write", **options: bool) -> None:
            write(batch, op, **options)  # type: ignore[arg-type]
            # Between two of the writes, not in the one that a commit has to wait for.
            if op == "delete" and not outcomes and not self.store._references.locked():
                outcomes.extend(self.store.commit([put]))

        self.patch(self.store._engine, "write", meddle)
        self.store.free(put.staged)
        self.assertIsInstance(outcomes[0], Exception)
        self.assertIsInstance(self.store.read([ChunkRow(put.staged[0], 99)])[0], Exception)
        self.assertEqual(list(self.store.faults()), [])

    def test_together(self) -> None:
        """Several threads that settle at once all find their blobs settled."""
        puts = [staged(self.store, f"k{number}", 20) for number in range(4)]
        threads = [Thread(target=self.store.settle, args=(put.staged,), daemon=True) for put in puts]
        for thread in threads:
            thread.start()
        join_all(threads, 30)
        self.assertFalse(self.store.unsettled([put.staged[0] for put in puts]))


class SmallDiskTests(TestCase):
    """On a disk of 192 MiB, of which 32 are kept in reserve."""

    def setUp(self) -> None:
        self.path = self.mktemp()
        os.makedirs(self.path)
        command = ["mount", "-t", "tmpfs", "-o", "size=192m", "tmpfs", self.path]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            raise SkipTest("cannot mount a small disk here")
        self.addCleanup(subprocess.run, ["umount", self.path], check=True)

    def full(self, store: RocksStore, put: Callable[[RocksStore, str], PutObject]) -> int:
        """Write until there is no room. :return: how many were written"""
        for number in range(10_000):
            try:
                (outcome,) = store.commit([put(store, f"k{number}")])
            except StoreFull:
                return number
            if isinstance(outcome, StoreFull):
                return number
        raise AssertionError("the disk has no end")

    def test_full(self) -> None:
        """When the disk is full writes are refused, deletes and reads go on, and closing has room for what is left."""
        for put in (
            lambda store, key: staged(store, key, 16),
            lambda store, key: staged(store, key, 700),
            lambda store, key: contract.Actor(store).inline(key, chunk(1)),
        ):
            store = opened(os.path.join(self.path, "store"), reserve_bytes=32 * MIB)
            try:
                written = self.full(store, put)
                self.assertGreater(written, 0)
                self.assertIsInstance(store.commit([DeleteObject("b", "k0")])[0], Committed)
            finally:
                store.close()
            store = opened(os.path.join(self.path, "store"))
            self.assertEqual(list(store.faults()), [])
            store.close()
            shutil.rmtree(os.path.join(self.path, "store"))
