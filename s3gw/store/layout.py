"""Which rows hold which bytes of an object."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from s3gw.model import CHUNK_BYTES, ObjectInfo
from s3gw.store.interface import ChunkRow, InlineRow


class Span(msgspec.Struct, frozen=True):
    """Bytes ``low`` to ``high`` (exclusive) of a body row."""

    row: ChunkRow | InlineRow
    low: int
    high: int


def spans(bucket: str, key: str, info: ObjectInfo, start: int, length: int) -> Iterator[Span]:
    """The spans that make up ``length`` bytes of an object from its byte ``start``, in order.

    Only rows that hold some of these bytes are named. The range must lie within the object.
    """
    if length <= 0:
        return
    if info.inline:
        yield Span(InlineRow(bucket, key, info.inline, info.order), start, start + length)
        return
    for extent in info.extents:
        if start >= extent.length:
            start -= extent.length
            continue
        taken = min(length, extent.length - start)
        yield from _extent_spans(extent.blob, extent.start + start, taken)
        start = 0
        length -= taken
        if not length:
            return


def only_row(info: ObjectInfo, start: int, length: int) -> tuple[bytes, int, int] | None:
    """Where ``length`` bytes of an object from its byte ``start`` are, if they are in one chunk: its blob and number,
    and at which of its bytes they begin. None for what is inline, or nowhere.

    The range must lie within the object."""
    for extent in info.extents:
        if start < extent.length:
            number, low = divmod(extent.start + start, CHUNK_BYTES)
            return (extent.blob, number, low) if 0 < length <= min(CHUNK_BYTES - low, extent.length - start) else None
        start -= extent.length
    return None


def _extent_spans(blob: bytes, position: int, length: int) -> Iterator[Span]:
    end = position + length
    while position < end:
        number, low = divmod(position, CHUNK_BYTES)
        high = min(CHUNK_BYTES, low + end - position)
        yield Span(ChunkRow(blob, number), low, high)
        position += high - low
