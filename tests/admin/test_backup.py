"""``s3gw-admin backup``, ``backups`` and ``restore``."""

from __future__ import annotations

import json
from pathlib import Path

from s3gw.admin import backup
from s3gw.admin.place import PARTIAL
from tests.admin.case import AdminCase, some_bytes
from tests.store.contract import Actor


class BackupCase(AdminCase):
    """A database, and a place for backups of it."""

    def setUp(self) -> None:
        super().setUp()
        self.contents = self.fill()
        self.target = self.place / "backups"
        self.restored = self.place / "restored"

    def put(self, key: str, size: int) -> None:
        """One more object."""
        self.contents[key] = some_bytes(size, len(self.contents))
        store = self.open()
        actor = Actor(store)
        actor.do(actor.chunked(key, self.contents[key]))
        store.close()

    def restore(self, *options: object) -> Path:
        """Restore to a fresh place."""
        path = self.restored
        self.restored = path.with_name(path.name + "x")
        self.succeed("restore", self.target, path, *options)
        return path


class BackupTests(BackupCase):
    """One backup, and several."""

    def test_restored(self) -> None:
        """A restored backup passes the check and has every byte; the source is as it was."""
        added = self.succeed("backup", self.db, self.target)
        self.assertEqual((added["copied"], added["copied_bytes"]), (added["files"], added["bytes"]))
        path = self.restore()
        self.assertEqual(self.succeed("check", path)["faults"], [])
        for db in (path, self.db):
            self.assertEqual(self.bodies(db, self.contents), self.contents)
        self.assertFalse((self.db / backup.CHECKPOINT).exists())
        self.assertEqual(path.stat().st_mode & 0o077, 0)
        self.assertEqual(self.target.stat().st_mode & 0o077, 0)

    def test_incremental(self) -> None:
        """The second backup copies what is new, and both can be restored."""
        first = self.succeed("backup", self.db, self.target)
        before = dict(self.contents)
        self.put("new", 500_000)
        second = self.succeed("backup", self.db, self.target)
        self.assertLess(second["copied_bytes"], 600_000)
        self.assertGreater(second["bytes"], first["bytes"] + 400_000)
        listed = self.succeed("backups", self.target)
        self.assertEqual([each["name"] for each in listed], [first["name"], second["name"]])
        self.assertEqual(self.bodies(self.restore("--name", first["name"]), before), before)
        self.assertEqual(self.bodies(self.restore(), self.contents), self.contents)

    def test_same_number_again(self) -> None:
        """Two histories that began with one backup use the same numbers for other tables; both stay whole."""
        self.succeed("backup", self.db, self.target)
        other = self.restore()
        self.put("here", 300_000)
        self.succeed("backup", self.db, self.target)
        here = dict(self.contents)
        self.db = other
        del self.contents["here"]
        self.put("there", 300_000)
        self.succeed("backup", self.db, self.target)
        names = [each["name"] for each in self.succeed("backups", self.target)]
        self.assertEqual(self.bodies(self.restore("--name", names[1]), here), here)
        self.assertEqual(self.bodies(self.restore("--name", names[2]), self.contents), self.contents)

    def test_keep(self) -> None:
        """Old backups go, with the files that only they had."""
        self.succeed("backup", self.db, self.target)
        self.succeed("compact", self.db)
        self.put("new", 100_000)
        names = [each["name"] for each in self.succeed("backups", self.target)]
        added = self.succeed("backup", self.db, self.target, "--keep", 1)
        self.assertEqual(added["removed"], names)
        listing = json.loads((self.target / f"{added['name']}.json").read_bytes())
        kept = {path.name for path in (self.target / "files").iterdir()}
        self.assertEqual(kept, {file["stored"] for file in listing["files"]})
        self.assertEqual(self.bodies(self.restore(), self.contents), self.contents)

    def test_interrupted(self) -> None:
        """What a backup that was cut off leaves is in nobody's way, in the database and in the target."""
        self.succeed("backup", self.db, self.target)
        (self.db / backup.CHECKPOINT).mkdir()
        (self.db / (backup.CHECKPOINT + PARTIAL)).mkdir()
        (self.target / "files" / f"000001.sst~0{PARTIAL}").write_bytes(b"half")
        (self.target / f"20200101T000000.000000Z.json{PARTIAL}").write_bytes(b"half")
        self.assertEqual(len(self.succeed("backups", self.target)), 1)
        self.succeed("backup", self.db, self.target, "--keep", 1)
        self.assertEqual(list((self.target / "files").glob(f"*{PARTIAL}")), [])
        self.assertEqual(self.bodies(self.restore(), self.contents), self.contents)

    def test_lines(self) -> None:
        """What people read."""
        _, out, _ = self.admin("backup", self.db, self.target)
        self.assertRegex(out, r"^\d{8}T\d{6}\.\d{6}Z: \d+ files, .* of them, .*, were copied\n$")
        self.assertRegex(self.admin("backups", self.target)[1], r"^\d{8}T\d{6}\.\d{6}Z: \d+ files, [\d.]+ .iB\n$")


class CheckpointTests(BackupCase):
    """Backups of a checkpoint that a gateway made."""

    def test_newest(self) -> None:
        """Of a directory of checkpoints the newest that is complete, while the database is in use."""
        checkpoints = self.place / "checkpoints"
        store = self.open()
        actor = Actor(store)
        store.checkpoint(str(checkpoints / "1"))
        actor.do(actor.inline("late", b"late"))
        store.checkpoint(str(checkpoints / "2"))
        (checkpoints / f"3{PARTIAL}").mkdir()
        actor.do(actor.inline("later", b"later"))
        self.succeed("backup", checkpoints, self.target, "--from-checkpoint")
        store.close()
        wanted = {**self.contents, "late": b"late", "later": None}
        self.assertEqual(self.bodies(self.restore(), wanted), wanted)
        self.succeed("backup", checkpoints / "1", self.target, "--from-checkpoint")
        self.assertEqual(self.bodies(self.restore(), {"late": b""}), {"late": None})

    def test_none(self) -> None:
        """A database that is in use is none, and neither is an empty directory."""
        self.assertIn("is no checkpoint", self.refuse("backup", self.db, self.target, "--from-checkpoint"))
        empty = self.place / "empty"
        empty.mkdir()
        self.assertIn("no complete checkpoint", self.refuse("backup", empty, self.target, "--from-checkpoint"))

    def test_online_without_gateway(self) -> None:
        """Nobody is there to be asked; or it is a process that the signal would end, and it is not sent."""
        words = ("backup", self.db, self.target, "--online", self.place / "checkpoints")
        self.assertIn("no gateway is running", self.refuse(*words))


class RefusalTests(BackupCase):
    """What is left alone."""

    def test_in_use(self) -> None:
        """A database that is served."""
        store = self.open()
        self.assertIn("in use", self.refuse("backup", self.db, self.target))
        store.close()

    def test_foreign_target(self) -> None:
        """A directory of something else, and one inside of the database."""
        self.assertIn("are no backups", self.refuse("backup", self.db, self.place))
        self.assertIn("is inside of", self.refuse("backup", self.db, self.db / "backups"))
        self.assertIn("holds no backups", self.refuse("backups", self.place))
        self.assertIn("holds no backups", self.refuse("restore", self.place, self.restored))

    def test_occupied(self) -> None:
        """Restoring over a database."""
        self.succeed("backup", self.db, self.target)
        self.assertIn("is not empty", self.refuse("restore", self.target, self.db))
        self.assertEqual(self.bodies(self.db, self.contents), self.contents)

    def test_damaged(self) -> None:
        """A backup whose bytes have changed, or are missing: the file is named, and what came of it is not opened."""
        self.succeed("backup", self.db, self.target)
        largest = max((self.target / "files").iterdir(), key=lambda path: path.stat().st_size)
        data = bytearray(largest.read_bytes())
        data[1000] ^= 1
        largest.write_bytes(data)
        self.assertIn(
            f"{largest.name} in {self.target} is not what", self.refuse("restore", self.target, self.restored)
        )
        self.assertIn("not an s3gw store", self.refuse("check", self.restored))
        largest.unlink()
        self.assertIn("is missing", self.refuse("restore", self.target, self.place / "again"))

    def test_unknown(self) -> None:
        """A backup that there is not."""
        self.succeed("backup", self.db, self.target)
        self.assertIn("no backup 2020", self.refuse("restore", self.target, self.restored, "--name", "2020"))
        self.assertIn("no backup ../x", self.refuse("restore", self.target, self.restored, "--name", "../x"))
        self.assertEqual(self.admin("backup", self.db, self.target, "--keep", 0)[0], 2)
