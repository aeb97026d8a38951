"""Row keys: their order, and that none is taken for another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from s3gw.store import keys

NAMES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=5)


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
            (keys.references_row(blob), f"R {blob.hex()}"),
            (keys.chunk_row(blob, 7), f"C {blob.hex()}/7"),
        ):
            self.assertEqual(keys.row_name(row), name)
