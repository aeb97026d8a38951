"""The cache buckets of `MemoryStore`: what `caches` does with rows, done with dicts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from s3gw.model import PIN, CacheRules, ObjectInfo
from s3gw.store.cache_records import CacheState, QueueRecord
from s3gw.store.caches import CacheBucket, Caches, uncount
from s3gw.store.interface import AdoptObjects, Committed, EvictObject, MoveBoundary, SaveReads


class MemoryCaches:
    """Queues and counts. The caller holds the lock of its store.

    :param now: ms since the epoch.
    :ivar caches: as `IObjectStore.caches`.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.caches: Caches = {}
        self._now = now
        self._queues: dict[str, dict[int, QueueRecord]] = {}
        self._next: dict[str, int] = {}

    def expired(self, bucket: str, info: ObjectInfo) -> bool:
        """As `IObjectStore.expired`."""
        cache = self.caches.get(bucket)
        return cache is not None and cache.expired(info, self._now())

    def live(self, bucket: str, info: ObjectInfo | None) -> ObjectInfo | None:
        """The object, unless it is gone."""
        return None if info is None or self.expired(bucket, info) else info

    def queue(self, bucket: str, start: int, end: int, limit: int) -> list[tuple[int, QueueRecord]]:
        """As `IObjectStore.queue`."""
        found = sorted(self._queues.get(bucket, {}).items())
        return [each for each in found if start <= each[0] < end][:limit]

    def configure(self, bucket: str, rules: CacheRules | None, *, empty: bool) -> None:
        """As `ConfigureCache`."""
        cache = self.caches.get(bucket)
        if rules is None:
            self.forget(bucket)
        elif cache is not None:
            cache.configure(rules)
        else:
            first = self._next.get(bucket, 1)
            state = CacheState(base=first, next=first, boundary=first, cursor=None if empty else "")
            self.caches[bucket] = CacheBucket(rules, state)
            self._queues[bucket] = {}

    def forget(self, bucket: str) -> None:
        """It is a cache bucket no longer; but places that were given are not given again."""
        cache = self.caches.pop(bucket, None)
        if cache is not None:
            self._next[bucket] = cache.state.next
            del self._queues[bucket]

    def delete(self, bucket: str) -> None:
        """It is no bucket any more."""
        self.forget(bucket)
        self._next.pop(bucket, None)

    def enter(self, bucket: str, key: str, info: ObjectInfo) -> ObjectInfo:
        """As `caches.enter`."""
        cache = self.caches.get(bucket)
        if cache is None:
            return replace(info, place=0) if info.place else info
        state = cache.state
        place = state.next
        state.next += 1
        state.objects += 1
        state.nbytes += info.size
        state.young_objects += 1
        state.young_bytes += info.size
        info = replace(info, place=place)
        self.retag(bucket, key, info)
        return info

    def leave(self, bucket: str, info: ObjectInfo | None) -> None:
        """As `caches.leave`."""
        if info is not None and self._queues.get(bucket, {}).pop(info.place, None) is not None:
            uncount(self.caches[bucket].state, info.place, info.size)

    def retag(self, bucket: str, key: str, info: ObjectInfo) -> None:
        """As `caches.retag`."""
        cache = self.caches.get(bucket)
        if cache is not None and info.place >= cache.state.base:
            queued = QueueRecord(key, info.size, info.modified, info.ttl, PIN in info.tags)
            self._queues[bucket][info.place] = queued

    def may_evict(self, it: EvictObject, info: ObjectInfo | None) -> bool:
        """Whether the object that is there now is the one to be evicted."""
        if info is None or not it.place or info.place != it.place or it.bucket not in self.caches:
            return False
        return PIN not in info.tags and (not it.expired or self.expired(it.bucket, info))

    def move_boundary(self, it: MoveBoundary) -> Committed:
        """As `caches.move_boundary`."""
        cache = self.caches.get(it.bucket)
        if cache is not None:
            state = cache.state
            if state.base <= it.hand <= state.next:
                state.hand = it.hand
            if state.boundary < it.boundary <= state.next:
                for place in it.passed:
                    queued = self._queues[it.bucket].get(place)
                    if queued is not None and state.boundary <= place < it.boundary:
                        state.young_objects -= 1
                        state.young_bytes -= queued.size
                state.boundary = it.boundary
        return Committed()

    def adopt(self, it: AdoptObjects, objects: Mapping[str, ObjectInfo]) -> dict[str, ObjectInfo]:
        """As `AdoptObjects`; the objects that have a place now."""
        cache = self.caches.get(it.bucket)
        if cache is None or cache.state.cursor is None:
            return {}
        keys = sorted(objects)
        start = bisect_left(keys, cache.state.cursor)
        found = keys[start : start + it.limit]
        adopted = {
            key: self.enter(it.bucket, key, objects[key]) for key in found if objects[key].place < cache.state.base
        }
        cache.state.cursor = found[-1] + "\0" if len(found) == it.limit else None
        return adopted

    def save_reads(self, it: SaveReads) -> Committed:
        """Nothing: they are in memory already."""
        return Committed()
