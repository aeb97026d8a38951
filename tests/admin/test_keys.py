"""``s3gw-admin sse-key`` and ``sse-rotate``."""

from __future__ import annotations

from pathlib import Path

from s3gw.cipher import CUSTOMER, DataKey, Secret, unwrap, wrap
from s3gw.masterkeys import MasterKeyRing
from s3gw.model import ENABLED, BucketInfo, Encryption, ObjectInfo, UploadInfo
from s3gw.store.interface import CreateBucket, CreateUpload, PutObject, VersionQuery
from tests.admin.case import AdminCase
from tests.store.contract import Actor


class KeyTests(AdminCase):
    """The file of ``--sse_key_file``."""

    def test_made_and_rotated(self) -> None:
        """The file is made, a second key becomes the active one, and no key is ever printed."""
        path = self.place / "keys"
        made = self.succeed("sse-key", path)
        self.assertEqual(str(path), made["file"])
        self.assertEqual({"file": str(path), "id": "autumn"}, self.succeed("sse-key", path, "--id", "autumn"))
        ring = MasterKeyRing(path)
        self.assertEqual("autumn", ring.active.id)
        self.assertIsNotNone(ring.find(made["id"]))

    def test_refused(self) -> None:
        """An id that is taken, and a file that others can read, are refused in one line."""
        path = self.place / "keys"
        self.succeed("sse-key", path, "--id", "one")
        self.assertIn("the id one is there twice", self.refuse("sse-key", path, "--id", "one"))
        path.chmod(0o644)
        self.assertIn("chmod 600", self.refuse("sse-key", path))


class RotateTests(AdminCase):
    """Data keys under a new master key."""

    def setUp(self) -> None:
        """A key file with one key, and a database with every kind of record that is encrypted under it."""
        super().setUp()
        self.keys = self.place / "keys"
        self.succeed("sse-key", self.keys, "--id", "old")
        self.data_key, self.customer = DataKey.fresh(), Secret(bytes(range(32)))
        store = self.open()
        actor = Actor(store)
        actor.do(CreateBucket(BucketInfo("b", 1, versioning=ENABLED)))
        for modified in (1, 2):
            self.put(actor, "versions", self.wrapped("versions"), modified)
        self.put(actor, "customer", wrap(self.data_key, self.customer, "b", "customer"))
        self.put(actor, "plain", None)
        actor.do(CreateUpload(UploadInfo("b", "upload", "u", 1, encryption=self.wrapped("upload"))))
        store.close()

    def wrapped(self, key: str) -> Encryption:
        """The data key as it is stored of an object, under the active key."""
        return wrap(self.data_key, MasterKeyRing(self.keys).active, "b", key)

    def put(self, actor: Actor, key: str, encryption: Encryption | None, modified: int = 1) -> None:
        """An object."""
        actor.do(PutObject("b", key, ObjectInfo(0, modified, "e", encryption=encryption)))

    def encryptions(self) -> dict[str, Encryption | None]:
        """By key, and version, what is stored."""
        store = self.open()
        found: dict[str, Encryption | None] = {}
        for entry in store.list_versions("b", VersionQuery()).entries:
            (info,) = store.look_up_versions([("b", entry.key, entry.info.version)])
            found[f"{entry.key} {info.version}"] = info.encryption
        (upload,) = store.look_up_uploads([("b", "upload", "u")])
        found["upload "] = upload.encryption
        store.close()
        return found

    def test_rotate(self) -> None:
        """Every version and upload opens with the new key alone; customers' and plain ones are as they were."""
        before = self.encryptions()
        self.succeed("sse-key", self.keys, "--id", "new")
        self.assertEqual(
            {"rewrapped": 3, "unchanged": 1, "unreadable": 0}, self.succeed("sse-rotate", self.db, self.keys)
        )
        active = MasterKeyRing(self.keys).active
        after = self.encryptions()
        self.assertEqual(before.keys(), after.keys())
        for name, stored in after.items():
            key = name.split(" ")[0]
            if stored is None or stored.kind == CUSTOMER:
                self.assertEqual(before[name], stored)
            else:
                self.assertEqual("new", stored.master)
                self.assertTrue(unwrap(stored, active, "b", key).equals(self.data_key))
        self.assertEqual(
            {"rewrapped": 0, "unchanged": 4, "unreadable": 0}, self.succeed("sse-rotate", self.db, self.keys)
        )
        self.succeed("check", self.db)

    def test_missing_key(self) -> None:
        """A key that is not in the file, or is another one of the same name, is named; nothing is changed."""
        before = self.encryptions()
        other = self.place / "other"
        self.succeed("sse-key", other, "--id", "new")
        self.assertIn("the key old of b/", self.refuse("sse-rotate", self.db, other))
        self.rewrite(other, "old")
        self.succeed("sse-key", other, "--id", "new")
        self.assertIn("is not the one of b/", self.refuse("sse-rotate", self.db, other))
        self.assertEqual(before, self.encryptions())

    def rewrite(self, path: Path, id: str) -> None:
        """Another file with one key."""
        path.unlink()
        self.succeed("sse-key", path, "--id", id)
