"""``s3gw-admin sse-key``."""

from __future__ import annotations

from s3gw.masterkeys import MasterKeyRing
from tests.admin.case import AdminCase


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
