"""Dry runs over a cache bucket: what would have to go, by the rules it has or by others. Nothing is changed by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from s3gw.errors import S3Error
from s3gw.eviction import STRETCH, Cap, Entry, Eviction, Fill, Reads
from s3gw.model import CacheRules
from s3gw.operations.call import Doomed
from s3gw.store.cache_records import CacheState, QueueRecord
from s3gw.store.interface import Committed, ICacheBucket, Mutation

EVERYTHING = 1 << 62
"""Behind every place."""

MOST_STRETCHES = 4096
"""So much of a queue is looked at, about a million objects, for each of the two reasons to go."""


class Buckets(Protocol):
    """What is asked of the storage."""

    caches: Mapping[str, ICacheBucket]
    hits: int
    misses: int

    async def queue(self, bucket: str, start: int, end: int, limit: int) -> list[tuple[int, QueueRecord]]: ...
    async def commit_all(self, mutations: Sequence[Mutation]) -> list[Committed | S3Error]: ...
    def busy(self, bucket: str, place: int) -> bool: ...


class Foresight:
    """A dry run over one bucket.

    :ivar doomed: what would have to go, at most ``limit``.
    """

    def __init__(self, storage: Buckets, bucket: str, cache: ICacheBucket, limit: int) -> None:
        self._storage = storage
        self._bucket = bucket
        self._cache = cache
        self._limit = limit
        self._gone: set[int] = set()
        self._fill = fill_of(cache.state)
        self._boundary = cache.state.boundary
        self.doomed: list[Doomed] = []

    async def expire(self, rules: CacheRules, now: int) -> None:
        """Go through the queue for what is over by these rules."""
        position = 0
        for _ in range(MOST_STRETCHES):
            if len(self.doomed) == self._limit:
                return
            stretch = await self._storage.queue(self._bucket, position, EVERYTHING, STRETCH)
            for place, queued in stretch:
                if 0 < self._cache.ends_by(rules, queued, place) <= now:
                    self._doom(place, queued.key, queued.size, "expired")
            if len(stretch) < STRETCH:
                return
            position = stretch[-1][0] + 1

    async def evict(self, policy: Eviction, goal: Cap) -> None:
        """Let a copy of the policy choose among the rest."""
        policy = policy.copy(Imagined(self._cache.reads))
        for _ in range(MOST_STRETCHES):
            look = policy.look(self._fill, goal)
            if look is None or len(self.doomed) == self._limit:
                return
            found = await self._storage.queue(self._bucket, look.start, look.end, look.limit)
            left = [entry for entry in entries(found) if entry.place not in self._gone]
            for entry in policy.judge(look, left):
                self._doom(entry.place, entry.key, entry.size, "evicted")
            for entry in left:
                if self._boundary <= entry.place < policy.boundary and entry.place not in self._gone:
                    self._count(0, 0, entry.size)
            self._boundary = policy.boundary

    def _doom(self, place: int, key: str, size: int, why: str) -> None:
        if len(self.doomed) == self._limit:
            return
        self.doomed.append(Doomed(key, size, why))
        self._gone.add(place)
        self._count(1, size, size if place >= self._boundary else None)

    def _count(self, objects: int, nbytes: int, young: int | None) -> None:
        """So much less there would be; ``young``: bytes of one that is no longer young."""
        fill = self._fill
        one = young is not None
        self._fill = Fill(
            fill.objects - objects, fill.nbytes - nbytes, fill.young_objects - one, fill.young_bytes - (young or 0)
        )


class Imagined:
    """Reads that can be used up without anybody losing them."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._used: dict[int, int] = {}

    def count(self, place: int) -> int:
        """As `eviction.Reads`."""
        return self._used.get(place, self._reads.count(place))

    def set(self, place: int, count: int) -> None:
        """As `eviction.Reads`."""
        self._used[place] = count


def cap_of(rules: CacheRules) -> Cap:
    """The cap of a bucket."""
    return Cap(rules.max_objects, rules.max_bytes)


def fill_of(state: CacheState) -> Fill:
    """What is in a bucket."""
    return Fill(state.objects, state.nbytes, state.young_objects, state.young_bytes)


def entries(found: Iterable[tuple[int, QueueRecord]]) -> list[Entry]:
    """Rows of a queue for the policy."""
    return [Entry(place, queued.key, queued.size, queued.pinned) for place, queued in found]
