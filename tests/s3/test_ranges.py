"""Tests of `s3gw.s3.ranges`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import InvalidArgument, InvalidRange, InvalidRequest
from s3gw.model import ByteRange
from s3gw.s3.ranges import parse_copy_range, parse_range

POSITIONS = st.one_of(st.integers(0, 60), st.integers(0, 10**30))

quick = settings(max_examples=200, deadline=None, derandomize=True)


def taken(value: str | None, size: int) -> list[int] | str:
    """The positions that a range selects, or the code of the error."""
    try:
        found = parse_range(value, size)
    except InvalidRange as error:
        return error.code
    return list(range(size)) if found is None else list(range(found.start, found.last + 1))


class RangeTests(SynchronousTestCase):
    """Range."""

    def test_table(self) -> None:
        """Each form gives the bytes that S3 sends."""
        for value, size, expected in (
            (None, 10, None),
            ("bytes=0-3", 10, ByteRange(0, 4)),
            ("bytes=0-9", 10, ByteRange(0, 10)),
            ("bytes=0-16383", 10, ByteRange(0, 10)),
            ("bytes=9-9", 10, ByteRange(9, 1)),
            ("bytes=3-", 10, ByteRange(3, 7)),
            ("bytes=-3", 10, ByteRange(7, 3)),
            ("bytes=-30", 10, ByteRange(0, 10)),
            ("Bytes=0-3", 10, ByteRange(0, 4)),
            ("bytes=00-" + "9" * 5000, 10, ByteRange(0, 10)),
        ):
            self.assertEqual(expected, parse_range(value, size), value)

    def test_ignored(self) -> None:
        """What is malformed, of another unit or of several ranges gives the whole object."""
        for value in (
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=3-2",
            "bytes=0-1,3-4",
            "bytes=1--2",
            "bytes=+1-2",
            "items=0-1",
            "bytes 0-1",
            "bytes=\u0661-\u0662",
            "0-1",
            "bytes=0-1\n",
        ):
            self.assertIsNone(parse_range(value, 10), value)

    def test_unsatisfiable(self) -> None:
        """A range with no byte in it is 416 with the size, in the header and in the document."""
        for value, size in (
            ("bytes=10-", 10),
            ("bytes=10-20", 10),
            ("bytes=-0", 10),
            ("bytes=0-", 0),
            ("bytes=0-0", 0),
            ("bytes=-5", 0),
            ("bytes=40-50", 0),
            ("bytes=" + "9" * 5000 + "-", 10),
        ):
            error = self.assertRaises(InvalidRange, parse_range, value, size)
            self.assertEqual({"RangeRequested": value, "ActualObjectSize": str(size)}, error.fields)
            self.assertEqual({"Content-Range": f"bytes */{size}"}, error.headers)

    @quick
    @given(POSITIONS, POSITIONS, st.integers(0, 50))
    def test_against_slices(self, first: int, last: int, size: int) -> None:
        """A range is what slicing the object's bytes would give."""
        body = list(range(size))
        expected: list[int] | str = body[first : last + 1] if first <= last else body
        self.assertEqual(expected or (body if first > last else "InvalidRange"), taken(f"bytes={first}-{last}", size))
        self.assertEqual(body[first:] or "InvalidRange", taken(f"bytes={first}-", size))
        self.assertEqual((body[-last:] if last else []) or "InvalidRange", taken(f"bytes=-{last}", size))


class CopyRangeTests(SynchronousTestCase):
    """``x-amz-copy-source-range``."""

    def test_good(self) -> None:
        """A range inside the source is copied as it is; none is the whole source."""
        self.assertEqual(ByteRange(0, 10), parse_copy_range("bytes=0-9", 10))
        self.assertEqual(ByteRange(4, 1), parse_copy_range("bytes=4-4", 10))
        self.assertIsNone(parse_copy_range(None, 10))

    def test_malformed(self) -> None:
        """Any other form is refused, never ignored."""
        for value in (
            "",
            "0-2",
            "bytes=0",
            "bytes=0-",
            "bytes=-2",
            "bytes=hello-world",
            "bytes=0-bar",
            "bytes=hello-",
            "bytes=0-2,3-5",
            "bytes=3-2",
            "bytes=0-2 ",
        ):
            error = self.assertRaises(InvalidArgument, parse_copy_range, value, 10)
            self.assertIn("must be of the form bytes=first-last", error.message)
            self.assertEqual({"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": value}, error.fields)

    def test_outside_the_source(self) -> None:
        """A range that reaches beyond the source is never clamped."""
        error = self.assertRaises(InvalidRange, parse_copy_range, "bytes=0-21", 5)
        self.assertEqual("Range specified is not valid for source object of size: 5", error.message)
        self.assertRaises(InvalidRequest, parse_copy_range, "bytes=5-21", 5)
        self.assertRaises(InvalidRequest, parse_copy_range, "bytes=0-0", 0)
        self.assertRaises(InvalidRequest, parse_copy_range, f"bytes={10**40}-{10**41}", 5)
