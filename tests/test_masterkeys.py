"""The file of master keys."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from s3gw.masterkeys import MasterKeyRing, add_master_key, parse_master_keys
from s3gw.settings import ConfigurationError, Settings

ONE = b64encode(bytes(range(32))).decode()
TWO = b64encode(bytes(range(32, 64))).decode()


class ParseTests(SynchronousTestCase):
    """Its text."""

    def test_keys(self) -> None:
        """Each line is a key; the order stays; comments and empty lines are for people."""
        keys = parse_master_keys(f"# made in autumn\n\nold {ONE}\n  new.2026-1_a\t{TWO}  \n", "file")
        self.assertEqual(["old", "new.2026-1_a"], [key.id for key in keys])
        self.assertFalse(keys[0].equals(keys[1]))

    def test_refused(self) -> None:
        """What is wrong is told by its line, and never shown."""
        for text, complaint in (
            ("", "there is no key in it"),
            ("# only this\n", "there is no key in it"),
            (f"one {ONE}\n{TWO}\n", "line 2 is not ID KEY"),
            (f"one two {ONE}", "line 1 is not ID KEY"),
            (f"a/b {ONE}", "line 1 is not ID KEY"),
            (f"{'x' * 65} {ONE}", "line 1 is not ID KEY"),
            (f"one {ONE}\none {TWO}", "line 2: the id one is there twice"),
            (f"one {ONE[:-4]}", "line 1: a key is 32 bytes in base64"),
            (f"one !{ONE[1:]}", "line 1: a key is 32 bytes in base64"),
        ):
            error = self.assertRaises(ConfigurationError, parse_master_keys, text, "the file")
            self.assertIn(complaint, str(error))
            self.assertTrue(str(error).startswith("the file: "))
            for secret in (ONE[:10], TWO[:10]):
                self.assertNotIn(secret, str(error))


class RingTests(SynchronousTestCase):
    """The file in use."""

    def setUp(self) -> None:
        """Make one."""
        self.path = Path(self.mktemp())
        self.write(f"old {ONE}\nnew {TWO}\n")

    def write(self, text: str, mode: int = 0o600) -> None:
        """Write it."""
        self.path.write_text(text)
        self.path.chmod(mode)

    def test_active(self) -> None:
        """The last key is for new objects, every one for those that name it."""
        ring = MasterKeyRing(self.path)
        self.assertEqual("new", ring.active.id)
        old = ring.find("old")
        assert old is not None
        self.assertEqual("old", old.id)
        self.assertIsNone(ring.find("other"))

    def test_settings(self) -> None:
        """Without the option there is no ring; no text of the settings has a key."""
        self.assertIsNone(MasterKeyRing.of(Settings()))
        settings = Settings(sse_key_file=self.path)
        ring = MasterKeyRing.of(settings)
        assert ring is not None
        self.assertEqual("new", ring.active.id)
        self.assertNotIn(ONE, repr(settings) + repr(ring) + repr(ring.active))

    def test_exposed(self) -> None:
        """A file that others can read is refused, as the credentials file is."""
        self.path.chmod(0o640)
        error = self.assertRaises(ConfigurationError, MasterKeyRing, self.path)
        self.assertIn("chmod 600", str(error))
        self.assertIn("SSE key file", str(error))
        missing = self.assertRaises(ConfigurationError, MasterKeyRing, Path("missing"))
        self.assertIn("No such file", str(missing))

    def test_reload(self) -> None:
        """A new last key counts from then on; a file that cannot be used leaves what was."""
        ring = MasterKeyRing(self.path)
        self.write("nonsense")
        self.assertRaises(ConfigurationError, ring.reload)
        self.assertEqual("new", ring.active.id)
        self.write(f"new {TWO}\nnewer {ONE}\n")
        ring.reload()
        self.assertEqual("newer", ring.active.id)
        self.assertIsNone(ring.find("old"))


class AddTests(SynchronousTestCase):
    """`s3gw-admin sse-key`."""

    def test_made(self) -> None:
        """A missing file is made for its owner alone; a key in it is appended to."""
        path = Path(self.mktemp())
        add_master_key(path, "one")
        self.assertEqual(0o600, path.stat().st_mode & 0o777)
        add_master_key(path, "two")
        self.assertEqual(0o600, path.stat().st_mode & 0o777)
        keys = parse_master_keys(path.read_text(), "file")
        self.assertEqual(["one", "two"], [key.id for key in keys])
        self.assertFalse(keys[0].equals(keys[1]))

    def test_kept(self) -> None:
        """What a person wrote stays, with or without a newline at its end."""
        path = Path(self.mktemp())
        path.write_text(f"# mine\none {ONE}")
        path.chmod(0o600)
        add_master_key(path, "two")
        self.assertTrue(path.read_text().startswith(f"# mine\none {ONE}\ntwo "))

    def test_refused(self) -> None:
        """An id that is taken or is none, and a file that is no key file, are refused; the file stays as it was."""
        path = Path(self.mktemp())
        add_master_key(path, "one")
        before = path.read_text()
        for id in ("one", "a b", "", "#x"):
            self.assertRaises(ConfigurationError, add_master_key, path, id)
        self.assertEqual(before, path.read_text())
        path.write_text("something else\n and more")
        self.assertRaises(ConfigurationError, add_master_key, path, "two")
        self.assertEqual([path.name], [each.name for each in path.parent.glob(f"{path.name}*")])
