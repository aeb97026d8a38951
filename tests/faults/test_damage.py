"""Bits that flip in the files of a database: found, said by name, and never served.

| file                  | what a flipped bit does                                                               |
|-----------------------|---------------------------------------------------------------------------------------|
| table                 | its rows cannot be read, each by name; or the database does not open, naming the file |
| log                   | opening stops before it, says so, and keeps it; or the database does not open         |
| MANIFEST, CURRENT     | the database does not open                                                            |
| S3GW                  | the database does not open                                                            |
| IDENTITY, OPTIONS,    | nothing: they are not read                                                            |
| rocksdict-config.json |                                                                                       |
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from random import Random

from s3gw.store import engine
from s3gw.store.interface import CorruptChunk, ListQuery, Mutation, StoreStalled, StoreUnusable
from s3gw.store.logfile import HEADER
from s3gw.store.logs import KEPT
from s3gw.store.rocks import RocksStore
from tests.bounded import BoundedTestCase, wait_until
from tests.faults.gateway import small
from tests.faults.test_power import open_store
from tests.store.contract import Actor
from tests.torture import RUNS, SEED

Bodies = dict[str, bytes]
FLIPS = 6
"""For each file, or a fifth of it for tables, of which there are many."""

UNREAD = ("IDENTITY", "OPTIONS", "rocksdict-config")
KIB = 1024


@lru_cache
def database() -> tuple[Path, Bodies]:
    """A database as a kill leaves it, with tables of every column family and two logs; and what is in it."""
    path = Path("sound").absolute()
    chance = Random(SEED)
    bodies: Bodies = {}
    families = engine.database_options, engine.body_options
    engine.database_options, engine.body_options = map(small, families)
    try:
        store = RocksStore.open(str(path / "db"), cache_bytes=1 << 20, reserve_bytes=0)
    finally:
        engine.database_options, engine.body_options = families
    actor = Actor(store)
    actor.create()
    actor.begin()
    insist(actor, lambda: actor.part(1, chance.randbytes(90 * KIB)))
    for number in range(40):
        bodies[f"i{number}"] = chance.randbytes(chance.randrange(1, 3000))
        insist(actor, lambda number=number: actor.inline(f"i{number}", bodies[f"i{number}"]))  # type: ignore[misc]
        if number % 4 == 0:
            bodies[f"c{number}"] = chance.randbytes(chance.randrange(70, 200) * KIB)
            insist(actor, lambda number=number: actor.chunked(f"c{number}", bodies[f"c{number}"]))  # type: ignore[misc]
        if number == 25:
            for family in store._engine._families.values():
                family.flush()
    shutil.copytree(path / "db", path / "killed", ignore=shutil.ignore_patterns("LOCK", "LOG*"))
    store.close()
    return path / "killed", bodies


def insist(actor: Actor, make: Callable[[], Mutation]) -> None:
    """Do something, as often as small memtables that are full say that it cannot be now."""

    def done() -> bool:
        try:
            actor.do(make())
        except StoreStalled:
            return False
        return True

    wait_until(done, "a store that takes writes")


class BitFlipTests(BoundedTestCase):
    """One bit at a time."""

    def damaged(self, name: str, at: int, bit: int) -> Path:
        """A copy of the database in which one bit of one file is another."""
        sound, _ = database()
        copy = Path(self.mktemp()).absolute()
        shutil.copytree(sound, copy)
        content = bytearray((copy / name).read_bytes())
        content[at] ^= 1 << bit
        (copy / name).write_bytes(content)
        return copy

    def outcome(self, path: Path, name: str) -> str:
        """What becomes of a damaged database; fails if anything is served that was not stored."""
        _, bodies = database()
        try:
            store = open_store(path)
        except StoreUnusable as error:
            self.assertIn(str(path), str(error))
            self.assertNotIn("\n", str(error))
            return "refused"
        try:
            return self.read_all(store, bodies, name)
        finally:
            store.close()
            shutil.rmtree(path)

    def read_all(self, store: RocksStore, bodies: Bodies, name: str) -> str:
        """Read everything that must be there."""
        found = "told" if store.damage else "harmless"
        if name.endswith(".log"):
            self.assertIn(name, " ".join(store.damage))
            if "acknowledged" in store.damage[0]:
                self.assertIn(name, os.listdir(os.path.join(store._engine._path, KEPT)))
        actor = Actor(store)
        for key, body in bodies.items():
            read = self.read_one(actor, key)
            if isinstance(read, CorruptChunk):
                self.assertNotEqual(str(read), "")
                found = "found"
                continue
            if read is None and store.damage:
                continue  # it was told that the end of the log is lost
            self.assertTrue(read == body, f"{key} is served with other bytes, after damage to {name}")
        try:
            listed = {key for key, _ in store.list_objects("b", ListQuery(limit=10**4)).entries}
            self.assertTrue(store.damage or listed == bodies.keys(), name)
        except CorruptChunk:
            found = "found"
        return found

    def read_one(self, actor: Actor, key: str) -> bytes | CorruptChunk | None:
        """The bytes of an object, or why not."""
        info = actor.find(key)
        if info is None or isinstance(info, CorruptChunk):
            return info
        try:
            return actor.read("b", key, info)
        except CorruptChunk as error:
            return error

    def flips(self, name: str, count: int) -> Counter[str]:
        """Flip bits of a file, one after the other; how many had which outcome."""
        sound, _ = database()
        size = os.path.getsize(sound / name)
        chance = Random(f"{SEED} {name}")
        places = [(chance.randrange(size), chance.randrange(8)) for _ in range(count * RUNS)]
        return Counter(self.outcome(self.damaged(name, at, bit), name) for at, bit in places)

    def names(self, *endings: str) -> list[str]:
        """The files of the database whose names have such a beginning or end."""
        sound, _ = database()
        return sorted(each.name for each in sound.iterdir() if each.name.startswith(endings) or each.suffix in endings)

    def test_tables(self) -> None:
        """A table of any column family: the rows are damaged, or the file is."""
        found = sum((self.flips(name, 1 + FLIPS // 5) for name in self.names(".sst")), Counter())
        self.assertGreater(found["found"], 5)

    def test_logs(self) -> None:
        """A log: what is not applied is told, and kept."""
        names = self.names(".log")
        found = sum((self.flips(name, 2 * FLIPS) for name in names), Counter())
        self.assertEqual(found["harmless"] + found["found"], 0)
        self.assertGreater(found["told"] + found["refused"], FLIPS)

    def test_manifest(self) -> None:
        """MANIFEST and CURRENT: it does not open."""
        for name in self.names("MANIFEST", "CURRENT"):
            found = self.flips(name, 2 * FLIPS)
            self.assertEqual(set(found), {"refused"}, name)

    def test_lengths_in_manifest(self) -> None:
        """The lengths of its records, since one that is too long looks like a torn one, which was never acted on."""
        (name,) = self.names("MANIFEST")
        sound, _ = database()
        content = (sound / name).read_bytes()
        chance = Random(SEED)
        at = 0
        while at < len(content):
            bits = chance.sample(range(16), min(16, 2 * RUNS))
            found = {self.outcome(self.damaged(name, at + 4 + bit // 8, bit % 8), name) for bit in bits}
            self.assertEqual(found, {"refused"}, at)
            at += HEADER + int.from_bytes(content[at + 4 : at + 6], "little")

    def test_end_of_manifest(self) -> None:
        """The last records of the MANIFEST, which might be taken for torn ones."""
        (name,) = self.names("MANIFEST")
        sound, _ = database()
        size = os.path.getsize(sound / name)
        found = Counter(
            self.outcome(self.damaged(name, at, at % 8), name) for at in range(size - 60, size, max(1, 5 - RUNS))
        )
        self.assertEqual(set(found), {"refused"})

    def test_marker(self) -> None:
        """The marker: it does not open."""
        self.assertEqual(set(self.flips("S3GW", FLIPS)), {"refused"})

    def test_unread(self) -> None:
        """Files that RocksDB writes for people: they are not read."""
        for name in self.names(*UNREAD):
            self.assertEqual(set(self.flips(name, 2)), {"harmless"}, name)

    def test_every_type(self) -> None:
        """There is no other type of file in a database, but RocksDB's log for people and its lock."""
        sound, _ = database()
        tried = self.names(".sst", ".log", "MANIFEST", "CURRENT", "S3GW", *UNREAD)
        self.assertEqual(sorted(each.name for each in sound.iterdir()), tried)

    def test_missing(self) -> None:
        """A file that is gone: it does not open, or what is not there is told."""
        for name in (*self.names(".sst", "MANIFEST", "CURRENT"),):
            copy = self.damaged(name, 0, 0)
            (copy / name).unlink()
            self.assertEqual(self.outcome(copy, name), "refused", name)
