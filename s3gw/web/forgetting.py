"""What makes cache buckets forget: eviction above a cap, and the sweep for what is expired.

Expired objects are gone for everybody at their second, by the store; here their space is reclaimed. Everything goes
through the commit lane in small batches, a batch at a time for each bucket, so no request waits for more than one.

| what      | when                                                    | how much                                      |
|-----------|---------------------------------------------------------|-----------------------------------------------|
| eviction  | a write takes the bucket above its cap                  | until it is a 64th below, `STRETCH` at a time |
| the sweep | each second, if anything can have expired since         | `SWEEP_OBJECTS` are looked at, a second       |
| adoption  | each second, of objects from before the bucket was one  | `ADOPT_OBJECTS`, a second                     |
| reads     | every `SAVE_SECONDS`                                    | `SAVE_PAGES` of 256 places                    |

An object that is being read is not evicted, nor one that was read since it was chosen: that is looked at once more when
the batch goes to its thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from s3gw.eviction import STRETCH, Eviction, Look
from s3gw.model import CacheRules
from s3gw.operations.call import CacheFigures, Doomed
from s3gw.store.cache_records import QueueRecord
from s3gw.store.interface import (
    AdoptObjects,
    Committed,
    EvictObject,
    ICacheBucket,
    MoveBoundary,
    Mutation,
    SaveReads,
)
from s3gw.web.foresight import EVERYTHING, Buckets, Foresight, cap_of, entries, fill_of
from s3gw.web.metrics import Metrics

TICK_SECONDS = 1.0
SAVE_SECONDS = 5.0
SAVE_PAGES = 1024
SWEEP_OBJECTS = 4096
ADOPT_OBJECTS = 4096
SLACK = 64
"""Eviction goes on until the bucket is one part of so many below its cap: it need not begin again for each write."""

OVERFULL_SECONDS = 30.0
"""Between two rounds through a bucket in which nothing may go."""

AGES = (1.0, 10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0)
"""Bounds of the histogram of ages at eviction, seconds."""


class _Keeper:
    """One cache bucket, as far as it is being made to forget.

    :ivar first: no place in the queue is before this: rows that were deleted lie there, and take time to pass.
    :ivar due: before this nothing expires, ms since the epoch.
    :ivar overfull: what is left is to stay, and too much; it is not gone through again before ``not_before``.
    """

    def __init__(self, cache: ICacheBucket) -> None:
        self.policy = Eviction(cache.reads, cache.state.boundary, cache.state.hand)
        self.base = cache.state.base
        self.rules = cache.rules
        self.first = 0
        self.position = 0
        self.due = 0.0
        self.seen_due = float("inf")
        self.evicting = False
        self.overfull = False
        self.not_before = 0.0


class Forgetting:
    """Eviction, expiry and adoption for every cache bucket of a storage.

    :param now: ms since the epoch.
    :ivar evicted: objects; and ``evicted_bytes``, ``expired``, ``expired_bytes`` likewise, since the start.
    :ivar ages: how many objects were evicted at which age, by `AGES`; ``total_age`` in seconds.
    """

    log = Logger()

    def __init__(self, storage: Buckets, clock: IReactorTime, now: Callable[[], int]) -> None:
        self._storage = storage
        self._clock = clock
        self._now = now
        self._keepers: dict[str, _Keeper] = {}
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._tick()))
        self._loop.clock = clock
        self._ended: Deferred[LoopingCall] | None = None
        self._stopping = False
        self._saved = 0.0
        self._under_way: set[Deferred[None]] = set()
        self._evictions = 0
        self.evicted = self.evicted_bytes = self.expired = self.expired_bytes = 0
        self.ages = [0] * (len(AGES) + 1)
        self.total_age = 0.0

    def start(self) -> None:
        """Begin, with the first look after a second."""
        self._ended = self._loop.start(TICK_SECONDS, now=False)

    async def stop(self) -> None:
        """Return when nothing is under way; what is known of reads is saved."""
        self._stopping = True
        if self._ended is not None:
            if self._loop.running:
                self._loop.stop()
            await self._ended
            self._ended = None
        for running in list(self._under_way):
            await running
        await self._guarded("saving what was read", self._save(EVERYTHING))

    def wrote(self, bucket: str, key: str, place: int, ttl: int, again: bool) -> None:
        """An object was written to a cache bucket. :param again: it replaced one."""
        cache = self._storage.caches.get(bucket)
        if cache is None:
            return
        keeper = self._keeper(bucket, cache)
        keeper.policy.written(key, place, again)
        lifetime = ttl or min(filter(None, (cache.rules.ttl_write, cache.rules.ttl_read)), default=0)
        if lifetime:
            keeper.due = min(keeper.due, self._now() + lifetime * 1000)
            keeper.seen_due = min(keeper.seen_due, keeper.due)
        if self._must_evict(cache, keeper):
            keeper.evicting = True
            running: Deferred[None] = Deferred.fromCoroutine(
                self._guarded(f"eviction from {bucket}", self._evict(bucket, keeper))
            )
            self._under_way.add(running)
            running.addCallback(lambda _: self._under_way.discard(running))

    @property
    def evicting(self) -> bool:
        """Whether anything that may be spared is on its way to the commit lane."""
        return self._evictions > 0

    def wanted(self, it: EvictObject) -> bool:
        """Whether an object that is about to be evicted is being read, or was since it was chosen."""
        cache = self._storage.caches.get(it.bucket)
        return cache is not None and not it.expired and self._is_wanted(it.bucket, cache, it.place)

    def _is_wanted(self, bucket: str, cache: ICacheBucket, place: int) -> bool:
        return cache.reads.count(place) > 0 or self._storage.busy(bucket, place)

    def _keeper(self, bucket: str, cache: ICacheBucket) -> _Keeper:
        keeper = self._keepers.get(bucket)
        if keeper is None or keeper.base != cache.state.base:
            keeper = self._keepers[bucket] = _Keeper(cache)
        elif keeper.rules != cache.rules:
            keeper.rules, keeper.due, keeper.position, keeper.not_before = cache.rules, 0.0, 0, 0.0
        return keeper

    async def _guarded(self, what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            # The next second tries again.
            self.log.error("{what} failed: {error}", what=what, error=error)

    async def _tick(self) -> None:
        caches = self._storage.caches
        for bucket in [name for name in self._keepers if name not in caches]:
            del self._keepers[bucket]
        for bucket, cache in list(caches.items()):
            keeper = self._keeper(bucket, cache)
            if cache.state.cursor is not None:
                await self._guarded(f"the adoption of objects in {bucket}", self._adopt(bucket, cache))
            if keeper.due <= self._now():
                await self._guarded(f"the sweep of {bucket}", self._sweep(bucket, cache, keeper))
            if self._must_evict(cache, keeper):
                keeper.evicting = True
                await self._guarded(f"eviction from {bucket}", self._evict(bucket, keeper))
        if self._clock.seconds() - self._saved >= SAVE_SECONDS:
            self._saved = self._clock.seconds()
            await self._guarded("saving what was read", self._save(SAVE_PAGES))

    def _must_evict(self, cache: ICacheBucket, keeper: _Keeper) -> bool:
        return (
            self._over(cache)
            and not keeper.evicting
            and not self._stopping
            and self._clock.seconds() >= keeper.not_before
        )

    @staticmethod
    def _over(cache: ICacheBucket) -> bool:
        return cap_of(cache.rules).exceeded(cache.state.objects, cache.state.nbytes)

    async def _adopt(self, bucket: str, cache: ICacheBucket) -> None:
        for _ in range(ADOPT_OBJECTS // STRETCH):
            if cache.state.cursor is None or self._stopping:
                return
            await self._commit([AdoptObjects(bucket, STRETCH)])

    async def _sweep(self, bucket: str, cache: ICacheBucket, keeper: _Keeper) -> None:
        """Look at a part of the queue, going round; when all of it was seen, wait for what ends next."""
        for _ in range(SWEEP_OBJECTS // STRETCH):
            if self._stopping:
                return
            if keeper.position == 0:
                keeper.seen_due = float("inf")
            found = await self._queue(bucket, keeper, keeper.position, EVERYTHING, STRETCH)
            now = self._now()
            gone = []
            for place, queued in found:
                ends = cache.ends(queued, place)
                if 0 < ends <= now:
                    gone.append(EvictObject(bucket, queued.key, place, expired=True))
                elif ends:
                    keeper.seen_due = min(keeper.seen_due, ends)
            for outcome in await self._commit(gone):
                if outcome.previous is not None:
                    self.expired += 1
                    self.expired_bytes += outcome.previous.size
            if len(found) < STRETCH:
                keeper.position, keeper.due = 0, keeper.seen_due
                return
            keeper.position = found[-1][0] + 1

    async def _queue(
        self, bucket: str, keeper: _Keeper, start: int, end: int, limit: int
    ) -> list[tuple[int, QueueRecord]]:
        """As `IObjectStore.queue`, without passing again what was deleted at its beginning."""
        from_first = start <= keeper.first
        found = await self._storage.queue(bucket, max(start, keeper.first), end, limit)
        if from_first and found:
            keeper.first = found[0][0]
        return found

    async def _evict(self, bucket: str, keeper: _Keeper) -> None:
        try:
            while (cache := self._storage.caches.get(bucket)) is not None and not self._stopping:
                look = keeper.policy.look(fill_of(cache.state), cap_of(cache.rules).lowered(SLACK))
                if look is None:
                    break
                if not await self._evict_some(bucket, cache, keeper, look):
                    keeper.policy.boundary = cache.state.boundary
                    break
        finally:
            keeper.evicting = False
        self._tell(bucket, keeper)

    async def _evict_some(self, bucket: str, cache: ICacheBucket, keeper: _Keeper, look: Look) -> bool:
        """Evict from one stretch of the queue; whether the store did what it was asked to."""
        found = await self._queue(bucket, keeper, look.start, look.end, look.limit)
        policy = keeper.policy
        before = policy.boundary
        chosen = policy.judge(look, entries(found), lambda entry: self._storage.busy(bucket, entry.place))
        mutations: list[Mutation] = [EvictObject(bucket, entry.key, entry.place) for entry in chosen]
        if policy.boundary > before:
            passed = tuple(place for place, _ in found if before <= place < policy.boundary)
            mutations.append(MoveBoundary(bucket, policy.boundary, passed, policy.hand))
        now = self._now()
        self._evictions += 1
        try:
            outcomes = await self._commit(mutations)
        finally:
            self._evictions -= 1
        for outcome in outcomes:
            if outcome.previous is not None:
                self._evicted(outcome.previous.size, (now - outcome.previous.modified) / 1000)
        return len(outcomes) == len(mutations)

    def _evicted(self, size: int, age: float) -> None:
        self.evicted += 1
        self.evicted_bytes += size
        self.ages[bisect_left(AGES, age)] += 1
        self.total_age += max(0.0, age)

    def _tell(self, bucket: str, keeper: _Keeper) -> None:
        """Say once that a bucket cannot be brought below its cap."""
        cache = self._storage.caches.get(bucket)
        overfull = cache is not None and self._over(cache)
        if overfull and not keeper.overfull and not self._stopping:
            self.log.warn("{bucket} stays above its cap: what is left is pinned or being read", bucket=bucket)
        keeper.overfull = overfull
        keeper.not_before = self._clock.seconds() + OVERFULL_SECONDS if overfull else 0.0

    async def _commit(self, mutations: Sequence[Mutation]) -> list[Committed]:
        """What happened; the store may refuse some when it is full or stalled."""
        outcomes = await self._storage.commit_all(mutations) if mutations else []
        return [outcome for outcome in outcomes if isinstance(outcome, Committed)]

    async def _save(self, limit: int) -> None:
        for bucket, cache in list(self._storage.caches.items()):
            keeper = self._keeper(bucket, cache)
            first = await self._queue(bucket, keeper, 0, EVERYTHING, 1)
            dropped = cache.reads.forget_before(first[0][0] if first else cache.state.next)
            mutations: list[Mutation] = []
            while pages := cache.reads.take_changed(min(limit, STRETCH)):
                mutations.append(SaveReads(bucket, tuple(pages)))
                limit -= len(pages)
            if dropped:
                mutations.append(SaveReads(bucket, (), tuple(dropped)))
            if keeper.policy.hand != cache.state.hand:
                mutations.append(MoveBoundary(bucket, cache.state.boundary, (), keeper.policy.hand))
            await self._commit(mutations)

    def watch(self, metrics: Metrics) -> None:
        """Show what it does."""
        storage, caches = self._storage, self._storage.caches
        metrics.gauge(
            "s3gw_cache_bucket_bytes",
            "Bytes in cache buckets.",
            lambda: sum(c.state.nbytes for c in [*caches.values()]),
        )
        metrics.gauge(
            "s3gw_cache_bucket_objects",
            "Objects in cache buckets.",
            lambda: sum(c.state.objects for c in [*caches.values()]),
        )
        for name, text, read in (
            ("s3gw_cache_bucket_hits", "Reads of objects in cache buckets.", lambda: storage.hits),
            ("s3gw_cache_bucket_misses", "Reads of objects that were not in a cache bucket.", lambda: storage.misses),
            ("s3gw_cache_bucket_evicted_objects", "Objects evicted for a cap.", lambda: self.evicted),
            ("s3gw_cache_bucket_evicted_bytes", "Bytes evicted for a cap.", lambda: self.evicted_bytes),
            ("s3gw_cache_bucket_expired_objects", "Expired objects removed.", lambda: self.expired),
            ("s3gw_cache_bucket_expired_bytes", "Expired bytes removed.", lambda: self.expired_bytes),
        ):
            metrics.counter(name, text, read)
        metrics.histogram(
            "s3gw_cache_bucket_eviction_age_seconds",
            "Age since its write of what was evicted.",
            AGES,
            lambda: (self.ages, self.total_age),
        )

    def figures(self, bucket: str) -> CacheFigures | None:
        """What a cache bucket holds; None if it is none."""
        cache = self._storage.caches.get(bucket)
        if cache is None:
            return None
        state = cache.state
        return CacheFigures(state.objects, state.nbytes, adopting=state.cursor is not None)

    async def foretell(self, bucket: str, rules: CacheRules, limit: int) -> list[Doomed]:
        """What would have to go at this moment if these were the rules, at most so many; nothing is changed."""
        cache = self._storage.caches.get(bucket)
        if cache is None:
            return []
        foresight = Foresight(self._storage, bucket, cache, limit)
        await foresight.expire(rules, self._now())
        await foresight.evict(self._keeper(bucket, cache).policy, cap_of(rules))
        return foresight.doomed
