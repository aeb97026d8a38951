"""``s3gw-admin check`` and ``salvage``: what is found, what is mended, and that nothing is lost unsaid."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from s3gw.model import ENABLED, BucketInfo, CacheRules, Extent, ObjectInfo
from s3gw.store import keys
from s3gw.store.cache_records import CacheState, QueueRecord
from s3gw.store.engine import Batch, Engine
from s3gw.store.interface import AdoptObjects, CreateBucket, DeleteObject, PutObject, SetVersioning
from s3gw.store.logfile import scan_log
from s3gw.store.offline import offline
from s3gw.store.options import CHUNKS
from s3gw.store.records import BLOB, CACHE, QUEUE, BlobRecord, seal_chunk
from s3gw.store.rocks import RocksStore
from tests.admin.case import AdminCase, some_bytes
from tests.store.contract import Actor


class CheckCase(AdminCase):
    """A database that fits together, and what can be done to it."""

    def setUp(self) -> None:
        super().setUp()
        self.contents = self.fill()

    def tamper(self, change: Callable[[Engine, Batch], object]) -> None:
        """Write rows that no gateway would."""
        with offline(str(self.db), self.fail) as engine:
            batch = engine.batch()
            change(engine, batch)
            engine.write(batch)
            engine.sync()

    def blob(self, key: str) -> bytes:
        """The blob of an object."""
        store = self.open()
        info = Actor(store).find(key)
        store.close()
        assert info is not None
        return info.extents[0].blob

    def mended(self, *options: object, found: int = 1) -> dict[str, int]:
        """Repair; all is well then, and every object that was readable still is. :return: what was done."""
        result = self.succeed("check", self.db, "--repair", *options, status=4)
        self.assertEqual((result["found"], result["faults"]), (found, []))
        self.assertEqual(self.succeed("check", self.db)["faults"], [])
        done: dict[str, int] = result["repaired"]
        return {name: count for name, count in done.items() if count}

    def intact(self, *but: str, db: Path | None = None) -> None:
        """Every object is as it was written, but for these."""
        wanted = {key: body for key, body in self.contents.items() if key not in but}
        self.assertEqual(self.bodies(db or self.db, wanted), wanted)


class SoundTests(CheckCase):
    """Nothing is wrong."""

    def test_sound(self) -> None:
        """That is said in a line, and with the status."""
        status, out, err = self.admin("check", self.db)
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^\d\d+ rows read, 0 faults\n$")

    def test_crashed(self) -> None:
        """What a crash leaves, and the next start sweeps, is no fault; checking does not sweep it."""
        store = self.open()
        blob = Actor(store).stage(some_bytes(200_000))
        store.close()
        self.tamper(lambda _, batch: batch.delete_chunk(keys.chunk_row(blob, 1)))
        self.assertEqual(self.succeed("check", self.db)["faults"], [])
        self.assertEqual(self.succeed("stats", self.db)["garbage_blobs"], 1)

    def test_power_cut(self) -> None:
        """What is not replayed for a hole in the log is said, by every command, and is no fault."""
        store = self.open()
        Actor(store).stage(some_bytes(100_000))
        actor = Actor(store)
        actor.do(actor.inline("before", b"1"))
        store._engine.flush(CHUNKS)  # which begins another log
        actor.do(actor.inline("behind", b"1"))
        for command in ("check", "stats", "compact"):
            copy = self.place / command
            shutil.copytree(self.db, copy)
            first, second = sorted(copy.glob("*.log"))[-2:]
            content = first.read_bytes()
            first.write_bytes(content[: scan_log(memoryview(content)).last])
            status, out, err = self.admin(command, copy)
            self.assertEqual((status, err.count("\n")), (0, 1), out + err)
            self.assertIn(f"{first.name} ends too early", err)
            self.assertIn(second.name, err)
            gone = {"before": b"", "behind": b""}
            self.assertEqual(self.bodies(copy, self.contents | gone), self.contents | dict.fromkeys(gone))
        store.close()

    def test_in_use(self) -> None:
        """A database that is served is left alone."""
        store = self.open()
        self.assertIn("in use", self.refuse("check", self.db))
        store.close()

    def test_nothing_there(self) -> None:
        """A place without a database is named, and stays empty."""
        nowhere = self.place / "nowhere"
        self.assertIn(f"{nowhere} does not exist", self.refuse("check", nowhere))
        self.assertFalse(nowhere.exists())

    def test_usage(self) -> None:
        """A command line that makes no sense has a status of its own."""
        self.assertEqual(self.admin("check")[0], 2)
        self.assertEqual(self.admin("mend", self.db)[0], 2)


class RepairTests(CheckCase):
    """Faults in what rows say of each other."""

    def test_wrong_counts(self) -> None:
        """References and chunks are counted anew; nothing is deleted."""
        blob = self.blob("large-1")
        row = keys.references_row(blob)
        for wrong in (BlobRecord(5, 7), BlobRecord(9, 1)):
            self.tamper(lambda _, batch, wrong=wrong: batch.put(row, BLOB.encode(row, wrong)))
            self.assertEqual(self.mended(), {"records_set": 1})
            self.intact()

    def test_missing_record(self) -> None:
        """The record of a blob is made again, also where the blob is marked as one that may be swept."""
        blob = self.blob("large-1")
        mark = keys.unreferenced_row(blob)

        def change(_: Engine, batch: Batch) -> None:
            batch.delete(keys.references_row(blob))
            batch.put(mark, BLOB.encode(mark, BlobRecord(5)))

        self.tamper(change)
        self.assertEqual(self.mended(found=2), {"records_set": 1})
        self.intact()

    def test_leaks(self) -> None:
        """Chunks of no blob, a blob that nothing names, and a part of no upload are deleted."""
        leak, orphan = b"a" * 16, b"b" * 16

        def change(_: Engine, batch: Batch) -> None:
            row = keys.chunk_row(leak, 3)
            batch.put_chunk(row, seal_chunk(row, b"leak"))
            for number in range(2):
                row = keys.chunk_row(orphan, number)
                batch.put_chunk(row, seal_chunk(row, b"orphan"))
            row = keys.references_row(orphan)
            batch.put(row, BLOB.encode(row, BlobRecord(2, 1)))
            batch.delete(keys.upload_row("b", "k", "u1"))

        self.tamper(change)
        self.assertEqual(self.mended(found=3), {"blobs_deleted": 3, "parts_deleted": 1})
        self.assertEqual(self.succeed("stats", self.db)["blobs"], 3)
        self.intact()

    def test_versions(self) -> None:
        """A version that is damaged is moved out; the newest that is left is the object then, a marker stays one."""
        store = self.open()
        actor = Actor(store)
        actor.do(SetVersioning("b", ENABLED))
        puts = {key: [actor.inline(key, b"old"), actor.inline(key, b"new")] for key in ("k", "l", "m")}
        made = {key: [actor.do(put).made for put in pair] for key, pair in puts.items()}
        actor.do(DeleteObject("b", "m"))
        store.close()

        def change(_: Engine, batch: Batch) -> None:
            for key, number in (("k", 1), ("l", 0), ("m", 1)):
                batch.delete_inline(keys.inline_row("b", key, made[key][number].order))

        self.tamper(change)
        done = self.mended("--quarantine", self.place / "q", found=3)
        self.assertEqual(done, {"quarantined": 3, "versions_made_current": 1})
        self.assertEqual(self.bodies(self.db, dict.fromkeys("klm", b"")), {"k": b"old", "l": b"new", "m": None})
        self.intact()

    def test_version_without_current(self) -> None:
        """Where the current version is gone from the database, the newest of the others takes its place."""
        store = self.open()
        actor = Actor(store)
        actor.do(SetVersioning("b", ENABLED))
        actor.do(actor.inline("small-1", b"new"))
        store.close()
        self.tamper(lambda _, batch: batch.delete(keys.object_row("b", "small-1")))
        faults = self.succeed("check", self.db, status=1)["faults"]
        self.assertEqual(len(faults), 2)
        self.assertEqual(self.mended("--quarantine", self.place / "q", found=2)["versions_made_current"], 1)
        self.intact()

    def test_object_without_bucket(self) -> None:
        """It is told and kept: whoever creates the bucket again has it back."""
        self.tamper(lambda _, batch: batch.delete(keys.bucket_row("b")))
        before = self.succeed("check", self.db, status=1)
        after = self.succeed("check", self.db, "--quarantine", self.place / "q", status=1)
        self.assertEqual(after["faults"], before["faults"])
        self.assertEqual(len(after["faults"]), len(self.contents) + 1)
        store = self.open()
        Actor(store).create()
        store.close()
        self.assertEqual(self.succeed("check", self.db)["faults"], [])
        self.intact()


class QuarantineTests(CheckCase):
    """Objects that lack a part of their body."""

    def setUp(self) -> None:
        super().setUp()
        self.quarantine = self.place / "quarantine"

    def kept(self, number: int = 1) -> tuple[dict[str, object], bytes]:
        """Something in the quarantine."""
        stem = self.quarantine / f"{number:06}"
        return json.loads(stem.with_suffix(".json").read_bytes()), stem.with_suffix(".body").read_bytes()

    def test_not_by_itself(self) -> None:
        """--repair names a damaged object and leaves it: its other bytes can still be read."""
        blob = self.blob("large-1")
        self.tamper(lambda _, batch: batch.delete_chunk(keys.chunk_row(blob, 2)))
        result = self.succeed("check", self.db, "--repair", status=1)
        self.assertEqual(result["damaged"], [{"kind": "object", "name": "M b/large-1"}])
        self.assertIn("--quarantine", result["advice"][0])
        self.assertIn("damaged object: M b/large-1\n", self.admin("check", self.db)[1])
        self.intact("large-1")
        store = self.open()
        self.assertIsNotNone(Actor(store).find("large-1"))
        store.close()

    def test_missing_chunk(self) -> None:
        """The object is gone from the database, and every byte that there was is in the quarantine."""
        body = self.contents["large-1"]
        blob = self.blob("large-1")
        self.tamper(lambda _, batch: batch.delete_chunk(keys.chunk_row(blob, 2)))
        self.assertEqual(self.mended("--quarantine", self.quarantine), {"quarantined": 1, "blobs_deleted": 1})
        document, kept = self.kept()
        self.assertEqual((document["kind"], document["name"]), ("object", "M b/large-1"))
        self.assertEqual(document["lost"], [[131072, 196608]])
        self.assertEqual(kept, body[:131072] + bytes(65536) + body[196608:])
        self.assertEqual(self.bodies(self.db, {"large-1": b""}), {"large-1": None})
        self.intact("large-1")

    def test_part(self) -> None:
        """So is a part of an upload; the upload can go on."""
        store = self.open()
        (part,) = store.list_parts("u1", 0, 10).parts
        store.close()
        self.tamper(lambda _, batch: batch.delete_chunk(keys.chunk_row(part.extents[0].blob, 1)))
        self.mended("--quarantine", self.quarantine)
        document, kept = self.kept()
        self.assertEqual((document["kind"], document["lost"]), ("part", [[65536, 100_000]]))
        self.assertEqual(kept, some_bytes(100_000, 77)[:65536] + bytes(34_464))
        self.intact()

    def test_shared(self) -> None:
        """A copy that does not use the missing chunk keeps the rest of the blob."""
        blob = self.blob("large-1")
        body = self.contents["copy"] = self.contents["large-1"][:65536]
        info = ObjectInfo(len(body), 1000, "e", extents=(Extent(blob, 0, len(body)),))
        store = self.open()
        Actor(store).do(PutObject("b", "copy", info))
        store.close()
        self.tamper(lambda _, batch: batch.delete_chunk(keys.chunk_row(blob, 4)))
        self.assertEqual(self.mended("--quarantine", self.quarantine), {"quarantined": 1, "records_set": 1})
        self.intact("large-1")

    def test_inline(self) -> None:
        """A small object without its row of bytes, and such a row without its object."""

        def change(_: Engine, batch: Batch) -> None:
            batch.delete_inline(keys.inline_row("b", "small-3"))
            batch.delete(keys.object_row("b", "small-4"))

        self.tamper(change)
        self.assertEqual(self.mended("--quarantine", self.quarantine, found=2), {"quarantined": 2})
        documents = [self.kept(number) for number in (1, 2)]
        self.assertEqual([document["name"] for document, _ in documents], ["M b/small-3", "D b/small-4"])
        self.assertEqual(documents[0][0]["lost"], [[0, 1000]])
        self.assertEqual(documents[1][1], self.contents["small-4"])
        self.intact("small-3", "small-4")


class SalvageTests(CheckCase):
    """A disk that gives back other bytes than it was given."""

    def test_chunk(self) -> None:
        """The damaged database is told from a sound one and not touched; the new one has all but the bad bytes."""
        self.flip(self.contents["large-1"][70_000:70_100])
        for options in ((), ("--repair",), ("--quarantine", self.place / "q")):
            result = self.succeed("check", self.db, *options, status=1)
            self.assertEqual([fault["what"] for fault in result["faults"]], ["corrupt chunk"])
            self.assertEqual(result["damaged"], [{"kind": "object", "name": "M b/large-1"}])
            self.assertIn("salvage", result["advice"][0])
            self.assertIsNone(result["repaired"])
        new = self.place / "new"
        salvaged = self.succeed("salvage", self.db, new, status=1)
        self.assertEqual(len(salvaged["lost"]), 1)
        self.db = new
        self.assertEqual(self.mended("--quarantine", self.place / "q"), {"quarantined": 1, "blobs_deleted": 1})
        self.intact("large-1")
        self.succeed("compact", new)
        self.intact("large-1")

    def test_sound(self) -> None:
        """Of a sound database it is a copy."""
        new = self.place / "new"
        self.assertEqual(self.succeed("salvage", self.db, new)["lost"], [])
        self.intact(db=new)
        self.assertEqual(self.succeed("check", new)["faults"], [])

    def test_not_over_another(self) -> None:
        """The new place has to be empty."""
        self.assertIn("not an s3gw store", self.refuse("salvage", self.db, self.place))
        self.intact()

    def test_record(self) -> None:
        """Where rows cannot even be told from each other, nothing is repaired, and that is said."""
        records = min(self.db.glob("*.sst"), key=lambda path: path.stat().st_size)
        data = bytearray(records.read_bytes())
        data[10:200] = bytes(190)
        records.write_bytes(data)
        result = self.succeed("check", self.db, "--repair", status=1)
        self.assertIsNone(result["repaired"])
        self.assertIn("restore a backup", result["advice"][0])


class CacheBucketTests(CheckCase):
    """What a cache bucket holds, and what is said of it."""

    def setUp(self) -> None:
        super().setUp()
        store = self.open()
        store.commit([CreateBucket(BucketInfo("cache", 1, cache=CacheRules(max_objects=9)))])
        actor = Actor(store)
        self.cached = {key: key.encode() * 9 for key in ("a", "b", "c")}
        for key, body in self.cached.items():
            actor.do(actor.inline(key, body, bucket="cache"))
        store.close()

    def counted(self, db: Path) -> tuple[int, int]:
        """What a gateway counts, when it has counted everything."""
        store = RocksStore.open(str(db), cache_bytes=1 << 20, reserve_bytes=0)
        try:
            while store.caches["cache"].state.cursor is not None:
                store.commit([AdoptObjects("cache", 2)])
            self.assertEqual(list(store.faults()), [])
            state = store.caches["cache"].state
            return state.objects, state.nbytes
        finally:
            store.close()

    def test_sound(self) -> None:
        """Places and counts that fit are no fault."""
        self.assertEqual(self.succeed("check", self.db)["faults"], [])
        self.assertEqual(self.counted(self.db), (3, 27))

    def test_wrong_count(self) -> None:
        """A count that is wrong is told, and made anew."""
        row = keys.cache_row("cache")
        self.tamper(lambda _, batch: batch.put(row, CACHE.encode(row, CacheState(7, 7, 7, 7, 1, 4))))
        self.mended()
        self.assertEqual(self.counted(self.db), (3, 27))

    def test_place_of_nothing(self) -> None:
        """So is a queue with a place that no object has."""
        row = keys.queue_row("cache", 2)
        self.tamper(lambda _, batch: batch.put(row, QUEUE.encode(row, QueueRecord("z", 9, 1))))
        self.mended(found=1)
        self.assertEqual(self.counted(self.db), (3, 27))

    def test_damaged_count(self) -> None:
        """One that cannot be read is counted anew by whoever opens the database."""
        self.tamper(lambda _, batch: batch.put(keys.cache_row("cache"), b"damaged"))
        self.assertEqual(self.counted(self.db), (3, 27))

    def test_salvage(self) -> None:
        """A new database made of what is good counts for itself, whatever places the objects had."""
        self.succeed("salvage", self.db, self.db.with_name("new"))
        self.assertEqual(self.counted(self.db.with_name("new")), (3, 27))
