"""Tests of `s3gw.credentials`: whose keys are known, and how a file with secrets must look."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.credentials import DEFAULT_USER, Credential, KeyRing, owner_named, parse_credentials
from s3gw.model import ANONYMOUS_ID, Owner
from s3gw.private_file import MAX_FILE_BYTES
from s3gw.settings import ConfigurationError, Settings

ALICE = """\
[alice]
aws_access_key_id = AKIDALICE
aws_secret_access_key = alice/SECRET+key==
"""
BOB = """\
; two keys of one user
[bob]
aws_access_key_id=AKIDBOB
aws_secret_access_key=bob;SECRET#key%(x)s$y
id = bob-id
display_name = Bob's name

[bob at night]
aws_access_key_id = AKIDBOB2
aws_secret_access_key = bob2SECRETkey
id = bob-id
"""


class FileCase(SynchronousTestCase):
    """A test with a credentials file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def write(self, text: str | bytes, mode: int = 0o600) -> Path:
        """Replace the file."""
        self.path.unlink(missing_ok=True)
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.path.chmod(mode)
        return self.path

    def refusal(self, text: str | bytes, mode: int = 0o600) -> str:
        """The line with which a ring over such a file is refused; it shows no secret."""
        self.write(text, mode)
        line = str(self.assertRaises(ConfigurationError, KeyRing, path=self.path))
        self.assertNotIn("SECRET", line)
        self.assertEqual(line.splitlines(), [line])
        return line


class FormatTests(FileCase):
    """The format of the file."""

    def test_keys_and_users(self) -> None:
        """A section is a key; its user is the section's name, or the id that sections share."""
        ring = KeyRing(path=self.write(ALICE + BOB))
        self.assertEqual(len(ring), 3)
        self.assertEqual(ring.lookup("AKIDALICE"), Credential("AKIDALICE", "alice/SECRET+key==", owner_named("alice")))
        self.assertEqual(
            ring.lookup("AKIDBOB"), Credential("AKIDBOB", "bob;SECRET#key%(x)s$y", Owner("bob-id", "Bob's name"))
        )
        self.assertEqual(
            ring.lookup("AKIDBOB2"), Credential("AKIDBOB2", "bob2SECRETkey", Owner("bob-id", "bob at night"))
        )
        self.assertIs(ring.lookup("akidalice"), None)

    def test_default_id(self) -> None:
        """Without an id, a user's canonical id is of AWS's form and follows from the name alone."""
        self.assertEqual(
            owner_named("alice"), Owner("2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90", "alice")
        )

    def test_section_named_default(self) -> None:
        """[default] and [DEFAULT] are users like others; the first is the one of --access_key."""
        text = "[{}]\naws_access_key_id = AKID{}\naws_secret_access_key = SECRET12\n"
        ring = KeyRing(path=self.write(text.format("default", 1) + text.format("DEFAULT", 2)))
        owners = [found.owner for key in ("AKID1", "AKID2") if (found := ring.lookup(key))]
        self.assertEqual(owners, [owner_named(DEFAULT_USER), owner_named("DEFAULT")])

    def test_tenant(self) -> None:
        """Ids and names of other systems' users, dollars included, come through."""
        lines = "id = testx$9876543210abcdef\ndisplay_name = testx$tenanteduser\n"
        found = KeyRing(path=self.write(ALICE + lines)).lookup("AKIDALICE")
        assert found is not None
        self.assertEqual(found.owner, Owner("testx$9876543210abcdef", "testx$tenanteduser"))

    def test_windows_editor(self) -> None:
        """A byte order mark and CRLF line ends do no harm."""
        ring = KeyRing(path=self.write(b"\xef\xbb\xbf" + ALICE.replace("\n", "\r\n").encode()))
        found = ring.lookup("AKIDALICE")
        self.assertEqual(found and found.secret, "alice/SECRET+key==")

    def test_addresses(self) -> None:
        """A user is found by id and by e-mail address, with any of its keys."""
        ring = KeyRing(path=self.write(f"{BOB}email = Bob@example.com\n{ALICE}"))
        self.assertEqual("bob-id", ring.id_of_email("bob@EXAMPLE.com"))
        self.assertIsNone(ring.id_of_email("alice@example.com"))
        self.assertTrue(ring.knows("bob-id"))
        self.assertTrue(ring.knows(owner_named("alice").id))
        self.assertFalse(ring.knows("alice"))

    def test_refused(self) -> None:
        """Whatever is wrong is named with its place, and no secret with it."""
        key = "aws_access_key_id = AKID\n"
        secret = "aws_secret_access_key = xSECRETx\n"
        table = {
            "": "there is no key in it",
            secret: "line 1 stands before any [name]",
            f"[a]\n{key}mySECRET\n": "line 3 is neither [name] nor name = value",
            f"[a]\n{key}": "[a]: aws_secret_access_key is missing",
            f"[a]\n{secret}": "[a]: aws_access_key_id is missing",
            f"[a]\n{key}aws_secret_acess_key = xSECRETx\n": "[a]: aws_secret_acess_key is not known",
            f"[a]\n{key}{secret}aws_session_token = SECRET\n": "[a]: aws_session_token is not known",
            f"[a]\n{key}{secret}{secret}": "line 4: aws_secret_access_key is there twice in [a]",
            f"[a]\n{key}{secret}[a]\n": "line 4: [a] is there twice",
            f"[a]\n{key}{secret}[b]\n{key}{secret}": "access key AKID is given twice",
            f"[a]\n{key}aws_secret_access_key = SECRET\n": "a secret key has 8 to 128",
            f"[a]\n{key}{secret}  SECRETcontinued\n": "a secret key has 8 to 128",
            f"[a]\naws_access_key_id = A\n{secret}": "an access key has 3 to 128",
            f"[a]\n{key}{secret}id =\n": "a canonical id has 1 to 128",
            f"[a]\n{key}{secret}display_name = {'x' * 129}\n": "a display name has 1 to 128",
            f"[a]\n{key}{secret}id = {ANONYMOUS_ID}\n": "callers who do not sign",
            f"[a]\n{key}{secret}email = nobody\n": "an e-mail address has",
            f"[a]\n{key}{secret}email=a@b\n[b]\naws_access_key_id=AKIE\n{secret}email=A@b\n": "is that of two users",
            b"[a\xff]\n": "it is not UTF-8",
            b"#" * (MAX_FILE_BYTES + 1): "it is larger than 1 MiB",
        }
        for text, reason in table.items():
            with self.subTest(reason):
                line = self.refusal(text)
                self.assertIn(reason, line)

    @given(st.text(max_size=60))
    def test_any_text_is_keys_or_one_error(self, text: str) -> None:
        """No text makes the parser fail in any other way."""
        try:
            self.assertNotEqual(parse_credentials(text, "f"), [])
        except ConfigurationError as error:
            self.assertTrue(str(error).startswith("f: "))


class PrivacyTests(FileCase):
    """What is kept private."""

    def test_modes(self) -> None:
        """A file that others can read or write is refused with the command that mends it; stricter modes are fine."""
        for mode in (0o640, 0o604, 0o620, 0o644, 0o666):
            with self.subTest(oct(mode)):
                line = self.refusal(ALICE, mode)
                self.assertIn(f"its mode is {mode:04o}", line)
                self.assertTrue(line.endswith(f"chmod 600 {self.path}"), line)
        for mode in (0o600, 0o400):
            self.assertEqual(len(KeyRing(path=self.write(ALICE, mode))), 1)

    def test_link(self) -> None:
        """A link is followed, since secrets are often mounted as one, and what it leads to is what is checked."""
        target = self.write(ALICE)
        link = Path(self.mktemp())
        link.symlink_to(target.absolute())
        self.assertEqual(len(KeyRing(path=link)), 1)
        target.chmod(0o644)
        self.assertRaises(ConfigurationError, KeyRing, path=link)

    def test_not_a_file(self) -> None:
        """A directory, a pipe that nobody writes to, and nothing at all are refused at once."""
        self.path.mkdir()
        self.assertIn("Is a directory", str(self.assertRaises(ConfigurationError, KeyRing, path=self.path)))
        pipe = Path(self.mktemp())
        os.mkfifo(pipe, 0o600)
        self.assertIn("it is not a regular file", str(self.assertRaises(ConfigurationError, KeyRing, path=pipe)))
        line = str(self.assertRaises(ConfigurationError, KeyRing, path=Path("missing")))
        self.assertEqual(line, "credentials file missing: No such file or directory")

    def test_stranger(self) -> None:
        """A file that belongs to another user is refused: that user could change who may do what."""
        if os.geteuid() != 0:
            raise self.skipTest("only root can give a file away")
        path = self.write(ALICE)
        os.chown(path, 12345, -1)
        self.assertIn("belongs to user 12345", str(self.assertRaises(ConfigurationError, KeyRing, path=path)))

    def test_repr(self) -> None:
        """A credential in a log shows its access key and its owner only."""
        self.assertNotIn("SECRET", repr(Credential("AKID", "SECRET", Owner("id", "name"))))


class RingTests(FileCase):
    """`KeyRing` over its sources and in time."""

    def test_of_options(self) -> None:
        """The key of the options and those of the file are known side by side."""
        settings = Settings(
            auth="sigv4", access_key="AKID", secret_key="optionSECRET", credentials_file=self.write(ALICE)
        )
        ring = KeyRing.of(settings)
        self.assertEqual(ring.lookup("AKID"), Credential("AKID", "optionSECRET", owner_named(DEFAULT_USER)))
        self.assertEqual(len(ring), 2)

    def test_of_options_twice(self) -> None:
        """An access key that is in both is refused: which of two secrets counts must not be a matter of luck."""
        settings = Settings(
            auth="sigv4", access_key="AKIDALICE", secret_key="optionSECRET", credentials_file=self.write(ALICE)
        )
        line = str(self.assertRaises(ConfigurationError, KeyRing.of, settings))
        self.assertEqual(line, "access key AKIDALICE is given twice")

    def test_reload(self) -> None:
        """After a reload new keys are known and removed ones are not."""
        ring = KeyRing(path=self.write(ALICE))
        self.write(BOB)
        ring.reload()
        self.assertIs(ring.lookup("AKIDALICE"), None)
        self.assertEqual(len(ring), 2)

    def test_bad_reload(self) -> None:
        """A file that cannot be used locks nobody out: the keys stay as they were."""
        ring = KeyRing(path=self.write(ALICE))
        self.write(BOB, 0o644)
        self.assertRaises(ConfigurationError, ring.reload)
        self.path.unlink()
        self.assertRaises(ConfigurationError, ring.reload)
        self.assertNotEqual(ring.lookup("AKIDALICE"), None)
        self.assertEqual(len(ring), 1)
