"""Keys and ciphers: what opens, and what does not."""

from __future__ import annotations

from itertools import product

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from s3gw.cipher import (
    CUSTOMER,
    MASTER,
    DataKey,
    MasterKey,
    Secret,
    Tampered,
    WrongKey,
    unwrap,
    verify,
    wrap,
)
from s3gw.model import SEAL_BYTES

ONE, TWO = bytes(range(32)), bytes(range(32, 64))
BLOB, OTHER = b"blob" * 4, b"else" * 4


class SecretTests(SynchronousTestCase):
    """Keys in memory."""

    def test_shown(self) -> None:
        """No way to print a key shows it."""
        for key in (Secret(ONE), DataKey(ONE), MasterKey("id", ONE)):
            for text in (repr(key), str(key), f"{key}", repr([key])):
                self.assertNotIn(ONE.hex()[:6], text)
                self.assertNotIn(repr(ONE)[2:12], text)
            self.assertFalse(hasattr(key, "__dict__"))

    def test_length(self) -> None:
        """A key has 32 bytes, and no other number."""
        for size in (0, 16, 31, 33):
            self.assertRaises(ValueError, Secret, bytes(size))


class BodyTests(SynchronousTestCase):
    """Chunks."""

    @given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
    def test_round_trip(self, chunk: bytes, number: int) -> None:
        """A chunk opens in its place, and is 16 bytes longer when sealed."""
        key = DataKey(ONE)
        sealed = key.body(BLOB).seal(number, chunk)
        self.assertEqual(len(chunk) + SEAL_BYTES, len(sealed))
        self.assertEqual(chunk, key.body(BLOB).open(number, memoryview(sealed)))

    def test_documented(self) -> None:
        """The bytes are those that docs/storage-format.md describes, so that others can read them too."""
        sealed = DataKey(ONE).body(BLOB).seal(7, b"hello")
        body_key = HKDF(SHA256(), 32, None, b"s3gw body " + BLOB).derive(ONE)
        expected = AESGCM(body_key).encrypt(bytes(11) + b"\x07", b"hello", BLOB + bytes(3) + b"\x07")
        self.assertEqual(expected, sealed)

    def test_place(self) -> None:
        """Under another number, id or key a chunk does not open; nor does one that was changed or cut."""
        sealed = DataKey(ONE).body(BLOB).seal(1, b"hello")
        for key, blob, number in product((ONE, TWO), (BLOB, OTHER), (1, 2)):
            if (key, blob, number) != (ONE, BLOB, 1):
                self.assertRaises(Tampered, DataKey(key).body(blob).open, number, sealed)
        cipher = DataKey(ONE).body(BLOB)
        for at in range(len(sealed)):
            changed = sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :]
            self.assertRaises(Tampered, cipher.open, 1, changed)
            self.assertRaises(Tampered, cipher.open, 1, sealed[:at])

    def test_no_key_stream_twice(self) -> None:
        """Equal chunks in other places, or of other objects, are sealed to bytes that have nothing in common."""
        seen = set()
        for key, blob, number in product((DataKey(ONE), DataKey(TWO)), (BLOB, OTHER), range(50)):
            seen.add(key.body(blob).seal(number, bytes(16))[:16])
        self.assertEqual(200, len(seen))

    def test_run(self) -> None:
        """A run of chunks is sealed as each of them would be."""
        cipher = DataKey(ONE).body(BLOB)
        self.assertEqual([cipher.seal(5, b"a"), cipher.seal(6, b"b")], cipher.seal_all(5, [b"a", b"b"]))


class WrapTests(SynchronousTestCase):
    """Data keys as they are stored."""

    def assert_same(self, one: DataKey, two: DataKey) -> None:
        """They are the same key."""
        self.assertTrue(one.equals(two))

    def test_master(self) -> None:
        """A data key opens with the master key that it names, for its object alone."""
        data_key, master = DataKey.fresh(), MasterKey("first", ONE)
        stored = wrap(data_key, master, "bucket", "key")
        self.assertEqual((MASTER, "first", b""), (stored.kind, stored.master, stored.verifier))
        self.assert_same(data_key, unwrap(stored, master, "bucket", "key"))
        for key, bucket, name in (
            (MasterKey("first", TWO), "bucket", "key"),
            (master, "bucket", "other"),
            (master, "other", "key"),
            (master, "bucket\0key", ""),
        ):
            self.assertRaises(Tampered, unwrap, stored, key, bucket, name)

    def test_customer(self) -> None:
        """Another customer key is told apart from damage."""
        data_key, customer = DataKey.fresh(), Secret(ONE)
        stored = wrap(data_key, customer, "bucket", "key")
        self.assertEqual((CUSTOMER, ""), (stored.kind, stored.master))
        self.assertIsNone(verify(stored, customer))
        self.assertRaises(WrongKey, verify, stored, Secret(TWO))
        self.assert_same(data_key, unwrap(stored, customer, "bucket", "key"))
        self.assertRaises(WrongKey, unwrap, stored, Secret(TWO), "bucket", "key")
        self.assertRaises(Tampered, unwrap, stored, customer, "bucket", "other")
        damaged = replace(stored, wrapped=stored.wrapped[:-1])
        self.assertRaises(Tampered, unwrap, damaged, customer, "bucket", "key")

    def test_kinds(self) -> None:
        """What a master key wraps no customer key of the same bytes opens."""
        stored = wrap(DataKey.fresh(), MasterKey("first", ONE), "bucket", "key")
        self.assertRaises(Tampered, unwrap, replace(stored, kind="other"), MasterKey("first", ONE), "bucket", "key")
        self.assertRaises(WrongKey, unwrap, replace(stored, kind=CUSTOMER), Secret(ONE), "bucket", "key")

    def test_salted(self) -> None:
        """The same key for the same object is stored as other bytes each time: nothing tells that it was the same."""
        stored = [wrap(DataKey(TWO), Secret(ONE), "bucket", "key") for _ in range(20)]
        self.assertEqual(20, len({each.verifier for each in stored}))
        self.assertEqual(20, len({each.wrapped[:32] for each in stored}))
        self.assertEqual(20, len({each.wrapped[32:] for each in stored}))


class NoteTests(SynchronousTestCase):
    """Checksums and ETags."""

    @given(st.binary(max_size=100))
    def test_round_trip(self, note: bytes) -> None:
        """A note opens with its key, and is other bytes each time."""
        key = DataKey(ONE)
        sealed = key.seal_note(note)
        self.assertEqual(note, key.open_note(sealed))
        self.assertNotEqual(sealed, key.seal_note(note))
        self.assertRaises(Tampered, DataKey(TWO).open_note, sealed)
        self.assertRaises(Tampered, key.open_note, sealed[:-1])

    def test_etags(self) -> None:
        """An ETag is of the length of an MD5, one for the same bytes under one key, and another under another."""
        md5 = "5d41402abc4b2a76b9719d911017c592"
        self.assertRegex(DataKey(ONE).etag(md5), "^[0-9a-f]{32}$")
        self.assertEqual(DataKey(ONE).etag(md5), DataKey(ONE).etag(md5))
        self.assertEqual(3, len({md5, DataKey(ONE).etag(md5), DataKey(TWO).etag(md5)}))
