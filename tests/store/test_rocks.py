"""The contract over `RocksStore`, and what a database on disk has besides."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from rocksdict import Options, Rdict
from twisted.trial.unittest import TestCase

from s3gw.errors import S3Error
from s3gw.model import CHUNK_BYTES, ENABLED, BucketInfo, Extent, ObjectInfo
from s3gw.store import keys
from s3gw.store.engine import Batch
from s3gw.store.interface import (
    UNKNOWN,
    ChunkRow,
    Committed,
    CorruptChunk,
    CreateBucket,
    DeleteBucket,
    DeleteObject,
    ListQuery,
    PutObject,
    SetVersioning,
    StoreFailed,
    StoreFull,
    StoreStalled,
    StoreUnusable,
    VersionQuery,
)
from s3gw.store.memory import MemoryStore
from s3gw.store.records import OBJECT
from s3gw.store.rocks import RocksStore
from s3gw.store.scan import Walk, _Versions
from tests.store import contract, contract_caches, contract_versions
from tests.store.crash_worker import BUCKETS, Client, content

CACHE_BYTES = 8 << 20


def opened(path: str, **options: object) -> RocksStore:
    return RocksStore.open(path, **{"cache_bytes": CACHE_BYTES, "reserve_bytes": 0, **options})  # type: ignore[arg-type]


class OnDisk:
    def makeStore(self) -> RocksStore:
        return opened(self.mktemp(), durability="os")

    def makeStoreAt(self, now: Callable[[], int]) -> RocksStore:
        return opened(self.mktemp(), durability="os", now=now)


class BucketTests(OnDisk, contract.BucketTests, TestCase):
    pass


class ObjectTests(OnDisk, contract.ObjectTests, TestCase):
    pass


class ConditionTests(OnDisk, contract.ConditionTests, TestCase):
    pass


class SharingTests(OnDisk, contract.SharingTests, TestCase):
    pass


class UploadTests(OnDisk, contract.UploadTests, TestCase):
    pass


class ListingTests(OnDisk, contract.ListingTests, TestCase):
    pass


class CacheExpiryTests(OnDisk, contract_caches.ExpiryTests, TestCase):
    pass


class CacheQueueTests(OnDisk, contract_caches.QueueTests, TestCase):
    pass


class VersionTests(OnDisk, contract_versions.VersionTests, TestCase):
    pass


class NullVersionTests(OnDisk, contract_versions.NullVersionTests, TestCase):
    pass


class VersionListingTests(OnDisk, contract_versions.VersionListingTests, TestCase):
    pass


class LockTests(OnDisk, contract_versions.LockTests, TestCase):
    pass


class ExpiryTests(OnDisk, contract_versions.ExpiryTests, TestCase):
    pass


class OpenTests(TestCase):
    def refused(self, path: str, pattern: str, **options: object) -> None:
        """Assert that the path cannot be opened, and that one line says why."""
        error = self.assertRaises(StoreUnusable, opened, path, **options)
        self.assertRegex(str(error), pattern)
        self.assertNotIn("\n", str(error))

    def test_reopened(self) -> None:
        """What was committed is there after closing and opening again, whatever the durability."""
        for durability in ("commit", "os", "memory"):
            path = self.mktemp()
            store = opened(path, durability=durability)
            actor = contract.Actor(store)
            actor.create()
            actor.do(actor.inline("small", b"x"))
            actor.do(actor.chunked("large", b"y" * 100_000))
            store.close()
            store = opened(path, durability=durability, create=False)
            actor = contract.Actor(store)
            self.assertEqual((actor.body("small"), actor.body("large")), (b"x", b"y" * 100_000))
            self.assertEqual(list(store.faults()), [])
            store.close()

    def test_swept(self) -> None:
        """Opening removes what was staged and never committed, and what was retired and not freed; nothing else."""
        path = self.mktemp()
        store = opened(path)
        actor = contract.Actor(store)
        actor.create()
        actor.do(actor.chunked("k", b"old" * 50_000))
        actor.do(actor.chunked("k", b"new" * 50_000))
        actor.stage(b"never committed" * 10_000)
        self.assertEqual(store.swept, 0)
        store.close()
        store = opened(path)
        self.addCleanup(store.close)
        self.assertEqual(store.swept, 2)
        self.assertEqual(contract.Actor(store).body("k"), b"new" * 50_000)
        self.assertEqual(list(store.faults()), [])

    def test_notADirectory(self) -> None:
        """A file is not opened."""
        path = self.mktemp()
        with open(path, "w"):
            pass
        self.refused(path, "is not a directory$")

    def test_missing(self) -> None:
        """Nothing is created when that was not asked for."""
        path = self.mktemp()
        self.refused(path, "does not exist$", create=False)
        self.assertFalse(os.path.exists(path))
        os.mkdir(path)
        self.refused(path, "holds no store$", create=False)
        self.assertEqual(os.listdir(path), [])

    def test_unwritable(self) -> None:
        """A place where nothing can be made is named."""
        self.refused("/proc/nowhere", "^/proc/nowhere: ")

    def test_foreign(self) -> None:
        """A directory with something else in it, a database too, is left as it was."""
        path = self.mktemp()
        Rdict(path, Options(raw_mode=True)).close()
        before = {name: os.stat(os.path.join(path, name)).st_mtime_ns for name in os.listdir(path)}
        self.refused(path, "not an s3gw store")
        after = {name: os.stat(os.path.join(path, name)).st_mtime_ns for name in os.listdir(path)}
        self.assertEqual(before, after)

    def test_emptyButForLostFound(self) -> None:
        """The root of a fresh file system is as good as empty, and so is what a crash at the very start leaves."""
        path = self.mktemp()
        os.makedirs(os.path.join(path, "lost+found"))
        with open(os.path.join(path, "S3GW.new"), "w"):
            pass
        opened(path).close()

    def test_otherFormat(self) -> None:
        """A store of another format version is refused, and both versions are named."""
        path = self.mktemp()
        opened(path).close()
        with open(os.path.join(path, "S3GW"), "w") as marker:
            marker.write("s3gw object store, format 99\n")
        self.refused(path, "format 99.*format 1$")

    def test_damagedMarker(self) -> None:
        """So is one whose marker is damaged, be it by a blank."""
        path = self.mktemp()
        opened(path).close()
        marker = Path(path, "S3GW")
        sound = marker.read_bytes()
        for text in (sound[:-1], sound[:-1] + b"\x0b", sound + b"\n", b" " + sound, sound[:-1] + b"\r\n"):
            marker.write_bytes(text)
            self.refused(path, "is of another format")
        marker.write_bytes(sound)
        opened(path).close()

    def test_locked(self) -> None:
        """A store that another process has open is refused."""
        path = self.mktemp()
        store = opened(path)
        self.refused(path, "in use by another process")
        script = (
            "import sys; from s3gw.store.rocks import RocksStore; "
            "RocksStore.open(sys.argv[1], cache_bytes=1 << 20, reserve_bytes=0)"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        other = subprocess.run(
            [sys.executable, "-c", script, path], env=environment, capture_output=True, text=True, check=False
        )
        self.assertIn("in use by another process", other.stderr)
        store.close()
        opened(path).close()

    def test_closedWithReader(self) -> None:
        """A walk or an error that somebody still holds does not keep a closed store locked."""
        path = self.mktemp()
        store = opened(path)
        actor = contract.Actor(store)
        actor.create()
        actor.do(actor.inline("k", b"x"))
        walk = Walk(store._engine, keys.OBJECTS)
        walk.next()
        error = store.commit([DeleteBucket("b")])[0]
        store.close()
        opened(path).close()
        self.assertIsInstance(error, S3Error)
        self.assertRaises(StoreFailed, walk.next)


class DamageTests(TestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.store = opened(self.path)
        self.addCleanup(self.close)
        self.actor = contract.Actor(self.store)
        self.actor.create()

    def close(self) -> None:
        self.store.close()

    def write(self, fill: Callable[[Batch], None]) -> None:
        """Write rows behind the store's back."""
        batch = self.store._engine.batch()
        fill(batch)
        self.store._engine.write(batch)

    def said(self) -> list[tuple[str, str]]:
        return [(fault.row, fault.what) for fault in self.store.faults()]

    def test_misplacedChunk(self) -> None:
        """A chunk in another's place is found, and the chunks beside it are read."""
        put = self.actor.chunked("k", b"a" * CHUNK_BYTES + b"b" * CHUNK_BYTES)
        self.actor.do(put)
        blob = put.staged[0]
        (second,) = self.store._engine.chunks([keys.chunk_row(blob, 1)])
        self.write(lambda batch: batch.put_chunk(keys.chunk_row(blob, 0), second))
        bad, good = self.store.read([ChunkRow(blob, 0), ChunkRow(blob, 1)])
        self.assertIsInstance(bad, CorruptChunk)
        self.assertEqual(good, b"b" * CHUNK_BYTES)
        self.assertEqual(self.said(), [(f"C {blob.hex()}/0", "corrupt chunk")])

    def test_badSector(self) -> None:
        """A byte that went bad on disk is found when it is read, and costs only the chunk that it is in."""
        put = self.actor.chunked("k", content(b"seed", 4 * CHUNK_BYTES))
        self.actor.do(put)
        self.store.close()
        body = content(b"seed", 4 * CHUNK_BYTES)
        for name in os.listdir(self.path):
            if name.endswith(".sst"):
                self.spoil(os.path.join(self.path, name), body[CHUNK_BYTES + 500 : CHUNK_BYTES + 600])
        self.store = opened(self.path)
        found = self.store.read([ChunkRow(put.staged[0], number) for number in range(4)])
        self.assertIsInstance(found[1], CorruptChunk)
        self.assertEqual([found[n] for n in (0, 2, 3)], [body[n * CHUNK_BYTES :][:CHUNK_BYTES] for n in (0, 2, 3)])

    def spoil(self, path: str, where: bytes) -> None:
        with open(path, "r+b") as table:
            position = table.read().find(where)
            if position >= 0:
                table.seek(position)
                table.write(b"\0")

    def test_badRecord(self) -> None:
        """A record that went bad is an error of its object alone."""
        for key in "kl":
            self.actor.do(self.actor.inline(key, b"x"))
        row = keys.object_row("b", "k")
        self.write(lambda batch: batch.put(row, OBJECT.encode(b"other row", ObjectInfo(0, 1, "e"))))
        bad, good = self.store.look_up([("b", "k"), ("b", "l")])
        self.assertIsInstance(bad, CorruptChunk)
        self.assertIsInstance(good, ObjectInfo)
        self.assertRaises(CorruptChunk, self.store.peek, "b", "k")
        outcomes = self.store.commit([self.actor.inline("k", b"y", if_match="*"), self.actor.inline("l", b"y")])
        self.assertIsInstance(outcomes[0], CorruptChunk)
        self.assertIsInstance(outcomes[1], Committed)
        self.assertEqual(self.actor.body("l"), b"y")
        self.assertIn(("M b/k", "corrupt record"), self.said())

    def test_riddance(self) -> None:
        """An object whose record went bad can be overwritten and deleted."""
        for mutation, body in ((self.actor.chunked("k", b"new"), b"new"), (DeleteObject("b", "k"), None)):
            self.actor.do(self.actor.inline("k", b"x"))
            row = keys.object_row("b", "k")
            self.write(lambda batch, row=row: batch.put(row, b"no record"))
            self.assertIsNone(self.actor.do(mutation).previous)
            self.assertEqual(self.actor.body("k"), body)
            self.assertEqual(self.said(), [])

    def test_faults(self) -> None:
        """The check names whatever does not fit together."""
        inline, chunked = self.actor.inline("i", b"x"), self.actor.chunked("c", b"y" * (CHUNK_BYTES + 1))
        self.actor.do(inline)
        self.actor.do(chunked)
        blob, lost = chunked.staged[0], bytes(16)
        self.assertEqual(self.said(), [])

        def fill(batch: Batch) -> None:
            batch.delete_inline(keys.inline_row("b", "i"))
            batch.put_inline(keys.inline_row("b", "c"), b"anything")
            batch.delete_chunk(keys.chunk_row(blob, 1))
            batch.put_chunk(keys.chunk_row(lost, 0), b"anything")
            for key, extents in (("c2", chunked.info.extents), ("c3", (Extent(b"16 bytes of name", 0, 1),))):
                row = keys.object_row("nowhere", key)
                batch.put(row, OBJECT.encode(row, ObjectInfo(1, 1, "e", extents=extents)))

        self.write(fill)
        self.assertEqual(
            set(self.said()),
            {
                ("M nowhere/c2", "object without a bucket"),
                ("M nowhere/c3", "object without a bucket"),
                ("D b/i", "missing inline body"),
                ("D b/c", "inline body of no object"),
                (f"R {blob.hex()}", "counts 1 references of 2"),
                (f"R {b'16 bytes of name'.hex()}", "missing record of a blob that is named"),
                (f"C {blob.hex()}", "1 chunks of 2"),
                (f"C {lost.hex()}/0", "corrupt chunk"),
                (f"C {lost.hex()}", "1 chunks of no blob"),
            },
        )


class Failing:
    """A database of which one method fails."""

    def __init__(self, database: Rdict, method: str, error: str, successes: int = 0) -> None:
        self._database = database
        self._successes = successes

        def fail(*arguments: object) -> object:
            if self._successes:
                self._successes -= 1
                return getattr(database, method)(*arguments)
            raise Exception(error)

        setattr(self, method, fail)

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)


class TroubleTests(TestCase):
    def setUp(self) -> None:
        self.store = opened(self.mktemp())
        self.addCleanup(self.close)
        self.actor = contract.Actor(self.store)
        self.actor.create()

    def close(self) -> None:
        self.store._engine._failure = None
        self.store.close()

    def fails(self, method: str, error: str, successes: int = 0) -> None:
        """From now on, a method of the database fails."""
        database = self.store._engine._records
        self.store._engine._records = Failing(database, method, error, successes)  # type: ignore[assignment]
        self.addCleanup(setattr, self.store._engine, "_records", database)

    def test_stalled(self) -> None:
        """While RocksDB takes no writes they are refused at once, and when it does again they happen."""
        for family in self.store._engine._families.values():
            family.set_options({"level0_stop_writes_trigger": "1"})
        self.actor.do(self.actor.inline("k", b"x"))
        for family in self.store._engine._families.values():
            family.flush()
        put = self.actor.inline("k", b"y")
        self.assertRaises(StoreStalled, self.store.commit, [put])
        self.assertRaises(StoreStalled, self.store.stage, self.store.begin_blob(), 0, [b"x"])
        self.store.check()
        self.assertEqual(self.actor.body("k"), b"x")
        for family in self.store._engine._families.values():
            family.set_options({"level0_stop_writes_trigger": "36"})
        self.actor.do(put)
        self.assertEqual(self.actor.body("k"), b"y")

    def test_stalledOnTheWay(self) -> None:
        """When a long commit stalls in the middle, each mutation is told what became of it."""
        puts = [self.actor.inline(f"k{n}", bytes(CHUNK_BYTES)) for n in range(40)]
        self.fails("write", "Result incomplete: Write stall", successes=1)
        outcomes = self.store.commit(puts)
        happened = [isinstance(outcome, Committed) for outcome in outcomes]
        self.assertEqual([self.actor.find(f"k{n}") is not None for n in range(40)], happened)
        self.assertIn(True, happened)
        self.assertIsInstance(outcomes[-1], StoreStalled)

    def test_full(self) -> None:
        """With less room than the reserve, what needs room is refused, and deletes go on."""
        self.actor.do(self.actor.inline("k", b"x"))
        self.store._engine._reserve = 1 << 62
        self.store._engine._unchecked = 1 << 62
        put = self.actor.inline("l", b"x")
        refused, deleted = self.store.commit([put, DeleteObject("b", "k")])
        self.assertIsInstance(refused, StoreFull)
        self.assertIsInstance(deleted, Committed)
        self.assertRaises(StoreFull, self.store.stage, self.store.begin_blob(), 0, [b"x"])
        self.store._engine._reserve = 0
        self.actor.do(put)

    def test_fullOfVersions(self) -> None:
        """Then a delete that makes a marker is refused as well, and one that frees a version goes on."""
        self.actor.do(SetVersioning("b", ENABLED))
        made = self.actor.do(self.actor.inline("k", b"x")).made
        self.store._engine._reserve = 1 << 62
        self.store._engine._unchecked = 1 << 62
        marking, deleting = DeleteObject("b", "k"), DeleteObject("b", "k", version=made.version)
        refused, deleted = self.store.commit([marking, deleting])
        self.assertIsInstance(refused, StoreFull)
        self.assertEqual(deleted.previous, made)

    def test_noSpace(self) -> None:
        """A disk that is full in spite of the reserve ends all writing, since RocksDB's does; reads go on."""
        self.actor.do(self.actor.inline("k", b"x"))
        self.fails("write", "IO error: No space left on device: While appending to file: 000014.log")
        self.assertRaises(StoreFull, self.store.commit, [self.actor.inline("k", b"y")])
        self.assertRaises(StoreFailed, self.store.commit, [self.actor.inline("k", b"y")])
        self.assertRaises(StoreFailed, self.store.check)
        self.assertEqual(self.actor.body("k"), b"x")

    def test_failedSync(self) -> None:
        """After a sync that failed nothing is acknowledged any more."""
        self.fails("flush_wal", "IO error: While fdatasync: Input/output error")
        for _ in range(2):
            error = self.assertRaises(StoreFailed, self.store.commit, [self.actor.inline("k", b"y")])
            self.assertIn("Input/output error", str(error))
        self.assertRaises(StoreFailed, self.store.check)

    def test_observed(self) -> None:
        """Every operation on the database can be counted, with its bytes and its time."""
        seen: list[tuple[str, int, bool]] = []
        store = opened(self.mktemp(), observe=lambda op, nbytes, seconds, failed: seen.append((op, nbytes, failed)))
        self.addCleanup(store.close)
        actor = contract.Actor(store)
        actor.create()
        put = actor.chunked("k", b"x" * 1000)
        actor.do(put)
        store.list_objects("b", ListQuery())
        actor.do(DeleteObject("b", "k"))
        store.free(put.staged)
        self.assertEqual({op for op, _, _ in seen}, {"get", "put", "write", "delete", "iter", "other"})
        self.assertFalse(any(failed for _, _, failed in seen))
        self.assertIn(("put", 1000 + 4 + len(b"\1\x92\1\0") + 4, False), seen)


class PeekTests(TestCase):
    def test_neverWrong(self) -> None:
        """Whatever was written, deleted, flushed and forgotten: memory tells the truth or that it does not know."""
        store = opened(self.mktemp(), durability="os", cache_bytes=64 << 10)
        self.addCleanup(store.close)
        contract.Actor(store).create()
        random = Random(7)
        model: dict[str, ObjectInfo] = {}
        answers = set()
        for step in range(3000):
            key = f"k{random.randrange(300)}"
            if random.random() < 0.6:
                model[key] = ObjectInfo(0, step, "e" * 30)
                store.commit([PutObject("b", key, model[key])])
            else:
                model.pop(key, None)
                store.commit([DeleteObject("b", key)])
            if step % 500 == 499:
                store._engine._records.flush()
            for name in (key, f"k{random.randrange(400)}"):
                found = store.peek("b", name)
                answers.add(found if found in (None, UNKNOWN) else "object")
                if found is not UNKNOWN:
                    self.assertEqual(found, model.get(name))
                self.assertEqual(store.look_up([("b", name)]), [model.get(name)])
        self.assertEqual(answers, {None, UNKNOWN, "object"})


class WalkTests(TestCase):
    """Walks over what was deleted, with a step so short that they have to go through windows."""

    def setUp(self) -> None:
        self.store = opened(self.mktemp(), durability="os")
        self.addCleanup(self.store.close)

        self.prefix = b"M\0"
        self.example = 0

    def fill(self, present: set[bytes], deleted: set[bytes]) -> None:
        batch = self.store._engine.batch()
        for row in present | deleted:
            batch.put(self.prefix + row, b"value of " + row)
        for row in deleted - present:
            batch.delete(self.prefix + row)
        self.store._engine.write(batch)

    def walked(self, step: int) -> list[tuple[bytes, bytes]]:
        walk = Walk(self.store._engine, self.prefix, step=step)
        return [(row[len(self.prefix) :], value) for row, value in iter(walk.next, None)]

    @given(st.sets(st.binary(max_size=6), max_size=20), st.sets(st.binary(max_size=6), max_size=60))
    @settings(max_examples=60, deadline=None)
    def test_complete(self, present: set[bytes], deleted: set[bytes]) -> None:
        """Every row is found, in order, whatever lies between."""
        self.example += 1
        self.prefix = b"M\0%d\0" % self.example
        self.fill(present, deleted)
        self.assertEqual(self.walked(4), [(row, b"value of " + row) for row in sorted(present)])

    def test_desert(self) -> None:
        """A few rows among very many deleted ones are found."""
        desert = {b"cache/2026/%06d" % number for number in range(20_000)}
        oases = {b"cache/2026/%06d" % number for number in (0, 7777, 19_999)}
        self.fill(oases, desert)
        self.assertEqual([row for row, _ in self.walked(50)], sorted(oases))

    def test_seek(self) -> None:
        """A walk can seek out of a desert and back into it."""
        self.fill({b"a", b"z"}, {b"m%04d" % number for number in range(1000)})
        walk = Walk(self.store._engine, b"M\0", step=10)
        for start, found in ((b"b", b"z"), (b"a", b"a"), (b"m0500", b"z"), (b"zz", None), (b"", b"a")):
            walk.seek(b"M\0" + start)
            entry = walk.next()
            self.assertEqual(entry and entry[0], found and b"M\0" + found)


class VersionMomentTests(TestCase):
    def test_written_into(self) -> None:
        """A version that moves while versions are being listed is listed once, wherever it was and is."""
        store = opened(self.mktemp(), durability="os")
        self.addCleanup(store.close)
        actor = contract.Actor(store)
        actor.do(CreateBucket(BucketInfo("b", 1, versioning=ENABLED)))
        one = actor.do(actor.inline("k", b"1")).made
        seek = _Versions.seek
        pending: list[object] = []

        def interrupted(kind: _Versions, key: str, below: int | None) -> None:
            seek(kind, key, below)
            if pending:
                actor.do(pending.pop())

        self.patch(_Versions, "seek", interrupted)
        for _ in range(2):
            # From row M to row V, then back.
            pending.append(actor.inline("k", b"2"))
            entries = store.list_versions("b", VersionQuery()).entries
            self.assertEqual([(e.info.order == one.order, e.latest) for e in entries], [(False, True), (True, False)])
            pending.append(DeleteObject("b", "k", version=entries[0].info.version))
            entries = store.list_versions("b", VersionQuery()).entries
            self.assertEqual([(e.info.order, e.latest) for e in entries], [(one.order, True)])


class AgreementTests(TestCase):
    def test_sameAsMemory(self) -> None:
        """Whatever is done to it, in whatever order, the store on disk answers as the one in memory."""
        store, model = opened(self.mktemp(), durability="os"), MemoryStore()
        self.addCleanup(store.close)
        buckets = [CreateBucket(BucketInfo(bucket, 1)) for bucket in BUCKETS]
        store.commit(buckets)
        model.commit(buckets)
        pending: list[object] = []

        def replay(what: str, *details: object) -> None:
            if what == "stage":
                contract.Actor(model).stage_as(details[0], content(*details))
            elif what == "begin":
                pending[:] = details[0]
            else:
                self.assertEqual(*(list(map(plain, it)) for it in (details[0], model.commit(pending))))

        client = Client(store, 3, replay)
        for _ in range(400):
            client.step()
        self.assertEqual(list(store.faults()), [])


def plain(outcome: object) -> object:
    """An outcome so that it can be compared."""
    if isinstance(outcome, S3Error):
        return outcome.code, outcome.fields
    return outcome.previous, set(outcome.retired), outcome.made, outcome.place
