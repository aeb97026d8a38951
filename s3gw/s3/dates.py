"""The two ways in which S3 writes a moment, and the three in which HTTP lets a client write one.

Moments are integers: milliseconds since the epoch as the model has them, seconds where HTTP can say no more.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from functools import lru_cache

from s3gw.s3.memo import remembered

MS_PER_DAY = 24 * 3600 * 1000

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = "(?P<month>" + "|".join(_MONTHS) + ")"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_HTTP_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"[A-Za-z]{{3}}, (?P<day>[0-9]{{1,2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} (?:GMT|UTC|[+-]0000)",
        rf"[A-Za-z]{{6,9}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"[A-Za-z]{{3}} {_MONTH} (?P<day>[0-9 ][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
_ISO_DATE = re.compile(
    rf"(?P<year>[0-9]{{4}})-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}})T{_TIME}(?:\.(?P<fraction>[0-9]{{1,9}}))?(?:Z|\+00:00)"
)


def http_date(ms: int) -> str:
    """``ms`` as an IMF-fixdate: ``Thu, 01 Dec 2009 16:00:00 GMT``. RFC 9110 §5.6.7."""
    return _http_date(ms // 1000)


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    t = time.gmtime(seconds)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04d} "
        f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} GMT"
    )


def iso8601(ms: int) -> str:
    """``ms`` as S3's documents have it: ``2009-10-12T17:50:30.000Z``.

    S3 cuts to the second here too, so that a listing and a Last-Modified header say the same.
    """
    return _iso8601(ms // 1000)


@lru_cache(maxsize=4096)
def _iso8601(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


@remembered(1024)
def parse_http_date(value: str) -> int | None:
    """Seconds since the epoch of an IMF-fixdate, an RFC 850 date or an asctime date (RFC 9110 §5.6.7).

    The zone may be written as mail has it, ``+0000`` or ``-0000``: botocore signs such a Date, and S3 takes it.
    Two-digit years are 1970 to 2069. None for anything else: RFC 9110 §13 has invalid dates ignored.
    """
    for pattern in _HTTP_DATES:
        match = pattern.fullmatch(value)
        if match is not None:
            year = int(match["year"])
            if len(match["year"]) == 2:
                year += 1900 if year >= 70 else 2000
            return _seconds(match, year, _MONTHS.index(match["month"]) + 1)
    return None


def iso8601_ms(ms: int) -> str:
    """``ms`` to the millisecond: ``2009-10-12T17:50:30.250Z``."""
    return f"{_iso8601(ms // 1000)[:-4]}{ms % 1000:03d}Z"


def parse_moment(value: str) -> int | None:
    """ms since the epoch of an ISO 8601 date in UTC, which may have nanoseconds; what is less than a millisecond
    counts as one, so that nothing ends before it was to. None for anything else."""
    match = _ISO_DATE.fullmatch(value)
    seconds = None if match is None else _seconds(match, int(match["year"]), int(match["month"]))
    if match is None or seconds is None:
        return None
    nanoseconds = int((match["fraction"] or "").ljust(9, "0"))
    return seconds * 1000 - (-nanoseconds // 1_000_000)


def parse_date(value: str) -> int | None:
    """Seconds since the epoch of an HTTP date or of an ISO 8601 date in UTC, as request documents have either."""
    match = _ISO_DATE.fullmatch(value)
    if match is not None:
        return _seconds(match, int(match["year"]), int(match["month"]))
    return parse_http_date(value)


def _seconds(match: re.Match[str], year: int, month: int) -> int | None:
    day, hour, minute, second = (int(match[name]) for name in ("day", "hour", "minute", "second"))
    try:
        # A leap second is the last second of its minute, as POSIX time has it.
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc)
    except ValueError:
        return None
    return int(moment.timestamp()) if second <= 60 else None
