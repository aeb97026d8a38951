"""Which rows hold which bytes."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.model import CHUNK_BYTES, Extent, ObjectInfo
from s3gw.store.interface import ChunkRow, InlineRow
from s3gw.store.layout import Span, only_row, spans

A, B = b"a" * 16, b"b" * 16


def _of(extents: tuple[Extent, ...], start: int, length: int) -> list[Span]:
    info = ObjectInfo(size=sum(extent.length for extent in extents), modified=0, etag="", extents=extents)
    return list(spans("bucket", "key", info, start, length))


class SpanTests(SynchronousTestCase):
    def test_inline(self) -> None:
        """An inline body is one row, whatever part of it is asked for."""
        info = ObjectInfo(size=10, modified=0, etag="", inline=A)
        self.assertEqual(list(spans("b", "k", info, 2, 5)), [Span(InlineRow("b", "k", A), 2, 7)])

    def test_nothing(self) -> None:
        """No bytes are in no rows."""
        self.assertEqual(_of((Extent(A, 0, 10),), 3, 0), [])

    def test_only_touched_chunks(self) -> None:
        """A range of sixteen bytes in a large object names one row."""
        found = _of((Extent(A, 0, 1000 * CHUNK_BYTES),), 500 * CHUNK_BYTES + 7, 16)
        self.assertEqual(found, [Span(ChunkRow(A, 500), 7, 23)])

    def test_across_chunks_and_extents(self) -> None:
        """A range goes on from chunk to chunk and from extent to extent, and an extent may begin inside its blob."""
        found = _of((Extent(A, 0, CHUNK_BYTES + 5), Extent(B, 100, 50)), CHUNK_BYTES - 1, 16)
        self.assertEqual(
            found,
            [
                Span(ChunkRow(A, 0), CHUNK_BYTES - 1, CHUNK_BYTES),
                Span(ChunkRow(A, 1), 0, 5),
                Span(ChunkRow(B, 0), 100, 110),
            ],
        )

    @given(
        st.lists(st.tuples(st.integers(0, 3 * CHUNK_BYTES), st.integers(1, 3 * CHUNK_BYTES)), min_size=1, max_size=4),
        st.data(),
    )
    def test_every_byte_once(self, shape: list[tuple[int, int]], data: st.DataObject) -> None:
        """Joined together the spans are exactly the bytes asked for."""
        extents = tuple(Extent(bytes([n]) * 16, start, length) for n, (start, length) in enumerate(shape))
        size = sum(length for _, length in shape)
        start = data.draw(st.integers(0, size - 1))
        length = data.draw(st.integers(1, size - start))
        places = [(extent.blob, extent.start + at) for extent in extents for at in (0, extent.length)]
        expected: list[tuple[bytes, int, int]] = []
        position = 0
        for (blob, low), (_, high) in zip(places[::2], places[1::2], strict=True):
            first, last = max(start, position), min(start + length, position + high - low)
            if first < last:
                expected.append((blob, low + first - position, low + last - position))
            position += high - low
        found: list[tuple[bytes, int, int]] = []
        for span in _of(extents, start, length):
            assert isinstance(span.row, ChunkRow)
            self.assertTrue(0 <= span.low < span.high <= CHUNK_BYTES)
            low, high = (span.row.number * CHUNK_BYTES + edge for edge in (span.low, span.high))
            if found and found[-1][0] == span.row.blob:
                self.assertEqual(found[-1][2], low)
                found[-1] = (span.row.blob, found[-1][1], high)
            else:
                found.append((span.row.blob, low, high))
        self.assertEqual(found, expected)

    @given(
        st.lists(st.tuples(st.integers(0, 2 * CHUNK_BYTES), st.integers(1, 2 * CHUNK_BYTES)), min_size=1, max_size=3),
        st.data(),
    )
    def test_only_row(self, shape: list[tuple[int, int]], data: st.DataObject) -> None:
        """The only row of a range is the one that it spans, if it spans one."""
        extents = tuple(Extent(bytes([n]) * 16, start, length) for n, (start, length) in enumerate(shape))
        info = ObjectInfo(size=sum(length for _, length in shape), modified=0, etag="", extents=extents)
        start = data.draw(st.integers(0, info.size - 1))
        length = data.draw(st.integers(1, info.size - start) | st.integers(1, min(20, info.size - start)))
        first, *further = spans("bucket", "key", info, start, length)
        assert isinstance(first.row, ChunkRow)
        only = None if further else (first.row.blob, first.row.number, first.low)
        self.assertEqual(only_row(info, start, length), only)

    def test_no_row(self) -> None:
        """What is inline, or empty, is in no chunk."""
        self.assertIsNone(only_row(ObjectInfo(size=10, modified=0, etag="", inline=A), 0, 10))
        self.assertIsNone(only_row(ObjectInfo(size=0, modified=0, etag=""), 0, 0))
