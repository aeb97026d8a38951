"""What is kept of a cache bucket beside its objects."""

from __future__ import annotations

import msgspec


class CacheState(msgspec.Struct, array_like=True):
    """What a cache bucket holds; changed by the commit lane alone, in the write of what it counts.

    :ivar objects: and ``nbytes``: in its queue. ``young_*``: of those, at ``boundary`` or behind it.
    :ivar base: the first place of this queue: an object with a lower one was not counted yet.
    :ivar next: the place that is given next.
    :ivar hand: where eviction goes on among the old objects.
    :ivar cursor: objects up to this key are in the queue; None when all are.
    """

    objects: int = 0
    nbytes: int = 0
    young_objects: int = 0
    young_bytes: int = 0
    base: int = 1
    next: int = 1
    boundary: int = 1
    hand: int = 0
    cursor: str | None = None


class QueueRecord(msgspec.Struct, frozen=True, array_like=True):
    """An object in the queue of its bucket: what eviction and expiry have to know of it."""

    key: str
    size: int
    modified: int
    ttl: int = 0
    pinned: bool = False


class ReadsRecord(msgspec.Struct, frozen=True, array_like=True):
    """A page of `reads.Reads`: a byte for each place; where the rules need it, eight for the time of the last read."""

    counts: bytes
    times: bytes = b""
