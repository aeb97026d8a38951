"""The Range header, and its strict sister ``x-amz-copy-source-range``.

=====================  ======================  ======================
``bytes=`` ...         object of N bytes       empty object
=====================  ======================  ======================
``a-b``, a <= b        a to min(b, N-1)        416
``a-``                 a to N-1                416
``-n``                 the last min(n, N)      416
``a-...``, a >= N      416                     416
``-0``                 416                     416
anything else          ignored: whole object   ignored: whole object
=====================  ======================  ======================

Several ranges are "anything else": S3 sends the whole object.

Source: RFC 9110 §14.2; https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
"""

from __future__ import annotations

import re

from s3gw.errors import InvalidArgument, InvalidRange, InvalidRequest
from s3gw.model import ByteRange

_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
_COPY_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)")
_COPY_RANGE_HEADER = "x-amz-copy-source-range"
_COPY_RANGE_FORM = (
    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based "
    "offsets of the first and last bytes to copy"
)
_FAR = 10**18


def parse_range(value: str | None, size: int) -> ByteRange | None:
    """The bytes that a Range header asks for of an object of ``size`` bytes; None for the whole object.

    :raises InvalidRange: when it asks for none that there are.
    """
    if value is None:
        return None
    match = _RANGE.fullmatch(value)
    if match is None:
        return None
    first, last = match.groups()
    if first:
        start = _number(first)
        stop = _number(last) + 1 if last else _FAR
        if stop <= start and last:
            return None
    elif last:
        start, stop = max(0, size - _number(last)), size
    else:
        return None
    stop = min(stop, size)
    if start >= stop:
        raise InvalidRange(
            headers={"Content-Range": f"bytes */{size}"},
            RangeRequested=value,
            ActualObjectSize=str(size),
        )
    return ByteRange(start, stop - start)


def parse_copy_range(value: str | None, size: int) -> ByteRange | None:
    """The bytes that UploadPartCopy copies of a source of ``size`` bytes; None for the whole source.

    Unlike a Range it is never clamped: it must be written out and lie within the source.

    :raises InvalidArgument: for another form. :raises InvalidRange: for a range that ends behind the source.
    :raises InvalidRequest: for a range that begins behind it.
    """
    if value is None:
        return None
    match = _COPY_RANGE.fullmatch(value)
    first, last = (_number(digits) for digits in match.groups()) if match is not None else (1, 0)
    if first > last:
        raise InvalidArgument(_COPY_RANGE_FORM, ArgumentName=_COPY_RANGE_HEADER, ArgumentValue=value)
    if first >= size:
        raise InvalidRequest("The specified copy range is invalid for the source object size")
    if last >= size:
        raise InvalidRange(
            f"Range specified is not valid for source object of size: {size}",
            RangeRequested=value,
            ActualObjectSize=str(size),
        )
    return ByteRange(first, last - first + 1)


def _number(digits: str) -> int:
    """``digits`` as a number, cut off far beyond any object: int() refuses very long ones, and time is short."""
    if len(digits) <= 18:
        return int(digits)
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= 18 else _FAR
