"""Row values: what was written comes back, and whatever else is found out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from s3gw.model import BucketInfo, Checksum, Extent, ObjectInfo, PartSummary
from s3gw.store.interface import CorruptChunk, StaleBody
from s3gw.store.records import BUCKET, OBJECT, open_chunk, open_inline, seal_chunk, seal_inline

OBJECT_INFO = ObjectInfo(
    size=7,
    modified=1_700_000_000_000,
    etag="abc-2",
    extents=(Extent(bytes(16), 3, 7),),
    headers={"content-type": "text/plain; x=\xe9"},
    metadata={"a": "b"},
    checksum=Checksum("CRC32C", "AAAA", "COMPOSITE"),
    parts=(PartSummary(1, 5, "x"), PartSummary(2, 2)),
    tags=(("t", "v"),),
    owner="me",
    upload="u",
)
ID = bytes(range(16))


class RecordTests(TestCase):
    def test_roundTrip(self) -> None:
        """Records come back as they were."""
        self.assertEqual(OBJECT.decode(b"row", OBJECT.encode(b"row", OBJECT_INFO)), OBJECT_INFO)
        bucket = BucketInfo("b", 1, "me", "r", {"cors": b"\xff\0"})
        self.assertEqual(BUCKET.decode(b"row", BUCKET.encode(b"row", bucket)), bucket)

    def test_everyBit(self) -> None:
        """Not one bit of a record can change unnoticed."""
        value = OBJECT.encode(b"row", OBJECT_INFO)
        for bit in range(8 * len(value)):
            flipped = bytearray(value)
            flipped[bit // 8] ^= 1 << bit % 8
            self.assertRaises(CorruptChunk, OBJECT.decode, b"row", bytes(flipped))

    @given(st.binary(max_size=40))
    def test_noise(self, noise: bytes) -> None:
        """Bytes that are no record are refused, however few."""
        self.assertRaises(CorruptChunk, OBJECT.decode, b"row", noise)

    def test_misplaced(self) -> None:
        """A good value under another row's key is refused."""
        self.assertRaises(CorruptChunk, OBJECT.decode, b"row", OBJECT.encode(b"other", OBJECT_INFO))
        self.assertRaises(CorruptChunk, open_chunk, b"row", seal_chunk(b"other", b"x"))
        self.assertRaises(CorruptChunk, open_inline, b"row", seal_inline(b"other", b"x", ID), ID)


class BodyTests(TestCase):
    @given(st.binary(min_size=1, max_size=100))
    def test_roundTrip(self, body: bytes) -> None:
        """Bodies come back as they were, from any kind of buffer."""
        for buffer in (body, bytearray(body), memoryview(body)):
            self.assertEqual(open_chunk(b"row", seal_chunk(b"row", buffer)), body)
            self.assertEqual(open_inline(b"row", seal_inline(b"row", buffer, ID), ID), body)

    def test_everyBit(self) -> None:
        """Not one bit of a body can change unnoticed."""
        value = seal_inline(b"row", b"body", ID)
        for bit in range(8 * len(value)):
            flipped = bytearray(value)
            flipped[bit // 8] ^= 1 << bit % 8
            self.assertRaises(CorruptChunk, open_inline, b"row", bytes(flipped), ID)
            self.assertRaises(CorruptChunk, open_chunk, b"row", bytes(flipped))

    def test_missing(self) -> None:
        """A chunk that is not there is corruption, an inline body may have been replaced."""
        self.assertRaises(CorruptChunk, open_chunk, b"row", None)
        self.assertRaises(StaleBody, open_inline, b"row", None, ID)

    def test_otherGeneration(self) -> None:
        """A good inline body with another id is stale, not corrupt."""
        self.assertRaises(StaleBody, open_inline, b"row", seal_inline(b"row", b"x", ID), bytes(16))
