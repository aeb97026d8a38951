"""Row keys: their order, and that none is taken for another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from s3gw.store import keys

NAMES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=5)

ORDERS = st.integers(0, 2**64 - 1)


class KeyTests(TestCase):
    @given(NAMES, NAMES, NAMES, NAMES)
    def test_order(self, bucket: str, key: str, other_bucket: str, other_key: str) -> None:
        """Rows of objects are in the order of bucket, then key."""
        one, other = keys.object_row(bucket, key), keys.object_row(other_bucket, other_key)
        self.assertEqual(one < other, (bucket, key) < (other_bucket, other_key))

    @given(NAMES, NAMES, NAMES, NAMES)
    def test_uploadOrder(self, key: str, upload: str, other_key: str, other_upload: str) -> None:
        """Rows of uploads are in the order of key, then id."""
        one, other = keys.upload_row("b", key, upload), keys.upload_row("b", other_key, other_upload)
        self.assertEqual(one < other, (key, upload) < (other_key, other_upload))

    @given(NAMES, ORDERS, NAMES, ORDERS)
    def test_versionOrder(self, key: str, order: int, other_key: str, other_order: int) -> None:
        """Rows of versions are in the order of key, then of age, the newest first, and tell both."""
        one, other = keys.version_row("b", key, order), keys.version_row("b", other_key, other_order)
        self.assertEqual(one < other, (key, -order) < (other_key, -other_order))
        self.assertEqual((keys.split_version(one), keys.order_of(one)), ((b"b", key.encode()), order))
        self.assertEqual(keys.split_version(keys.null_row("b", key)), (b"b", key.encode()))

    @given(NAMES, ORDERS, NAMES)
    def test_inlineBody(self, key: str, order: int, other_key: str) -> None:
        """The inline body of a version leads back to every row that the version may be in, and to no other's."""
        rows = [keys.object_row("b", key), keys.null_row("b", key)]
        rows += [keys.version_row("b", key, order)] if order else []
        body = keys.inline_row("b", key, order)
        self.assertEqual(keys.inline_owners(body), rows)
        self.assertEqual({keys.inline_row_of(row, order) for row in rows}, {body})
        self.assertEqual(body == keys.inline_row("b", other_key, order), key == other_key)

    @given(NAMES, NAMES, NAMES)
    def test_prefix(self, bucket: str, other_bucket: str, key: str) -> None:
        """A row is of a bucket if, and only if, it starts as the bucket's rows do."""
        self.assertEqual(keys.object_row(bucket, key).startswith(keys.objects_of(other_bucket)), bucket == other_bucket)

    @given(st.binary(min_size=1), st.binary(), st.binary(min_size=1))
    def test_afterPrefix(self, prefix: bytes, rest: bytes, other: bytes) -> None:
        """The end of a prefix is behind all that starts with it, and before all else that is."""
        prefix = b"M" + prefix
        end = keys.after_prefix(prefix)
        self.assertLess(prefix + rest, end)
        if other > prefix and not other.startswith(prefix):
            self.assertLessEqual(end, other)

    def test_numbers(self) -> None:
        """Parts and chunks are in the order of their numbers."""
        parts = [keys.part_row("u", number) for number in (1, 255, 256, 10_000)]
        self.assertEqual(parts, sorted(parts))
        chunks = [keys.chunk_row(bytes(16), number) for number in (0, 255, 256, 1 << 31)]
        self.assertEqual(chunks, sorted(chunks))

    def test_names(self) -> None:
        """Rows have names that a person can read."""
        blob = bytes(range(16))
        for row, name in (
            (keys.bucket_row("b"), "B b"),
            (keys.object_row("b", "k/ü"), "M b/k/ü"),
            (keys.part_row("u1", 10), "P u1/10"),
            (keys.version_row("b", "k", 255), "V b/k?00000000000000ff"),
            (keys.null_row("b", "k"), "N b/k"),
            (keys.inline_row("b", "k", 255), "D b/k?00000000000000ff"),
            (keys.references_row(blob), f"R {blob.hex()}"),
            (keys.chunk_row(blob, 7), f"C {blob.hex()}/7"),
        ):
            self.assertEqual(keys.row_name(row), name)
