"""Tests of `s3gw.s3.dates`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.s3.dates import http_date, iso8601, iso8601_ms, parse_date, parse_http_date, parse_moment

MOMENT = 784111777
"""1994-11-06T08:49:37Z, the example of RFC 9110."""

quick = settings(max_examples=100, deadline=None, derandomize=True)


class DateTests(SynchronousTestCase):
    """Moments out and in."""

    def test_out(self) -> None:
        """A moment looks as S3 writes it, in headers and in documents, cut to the second."""
        for ms in (MOMENT * 1000, MOMENT * 1000 + 999):
            self.assertEqual("Sun, 06 Nov 1994 08:49:37 GMT", http_date(ms))
            self.assertEqual("1994-11-06T08:49:37.000Z", iso8601(ms))

    @quick
    @given(st.integers(0, 4_102_444_800_000))
    def test_milliseconds(self, ms: int) -> None:
        """Where milliseconds count, none is lost."""
        self.assertEqual(ms, parse_moment(iso8601_ms(ms)))

    def test_nanoseconds(self) -> None:
        """What is less than a millisecond counts as one, so that nothing ends too early; other dates are none."""
        for value, ms in (
            ("1994-11-06T08:49:37Z", 0),
            ("1994-11-06T08:49:37.000000001Z", 1),
            ("1994-11-06T08:49:37.5+00:00", 500),
            ("1994-11-06T08:49:37.999999999Z", 1000),
        ):
            self.assertEqual(MOMENT * 1000 + ms, parse_moment(value), value)
        for value in ("1994-11-06", "1994-11-06T08:49:37", "1994-13-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"):
            self.assertIsNone(parse_moment(value), value)

    def test_in(self) -> None:
        """The three formats of RFC 9110, and ISO 8601 in documents, are the same moment."""
        for value in (
            *("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"),
            *("Sun, 06 Nov 1994 08:49:37 -0000", "Sun, 06 Nov 1994 08:49:37 +0000"),
        ):
            self.assertEqual(MOMENT, parse_http_date(value), value)
            self.assertEqual(MOMENT, parse_date(value), value)
        for value in ("1994-11-06T08:49:37Z", "1994-11-06T08:49:37.123Z", "1994-11-06T08:49:37+00:00"):
            self.assertEqual(MOMENT, parse_date(value), value)

    def test_no_date(self) -> None:
        """What is no date is none, however near it comes."""
        for value in (
            *("", "0", "yesterday", "784111777", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 +0100"),
            *("Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT"),
            *("Sun, 06 Nov 0000 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT\n", "1994-13-06T08:49:37Z"),
        ):
            self.assertIsNone(parse_date(value), value)

    @quick
    @given(st.integers(0, 253402300799))
    def test_there_and_back(self, seconds: int) -> None:
        """Every second until the year 9999 comes back from what we write, and is short."""
        for write in (http_date, iso8601):
            self.assertEqual(seconds, parse_date(write(seconds * 1000)))
