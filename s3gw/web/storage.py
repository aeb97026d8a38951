"""The store behind coroutines: lanes over the thread pool, and what keeps readers right.

Everything here lives in the reactor thread; only the functions handed to lanes run elsewhere.

* **No dirty reads.** Between a commit's write and its sync others could see what a power cut may still take away. So an
  answer about a name that is in the batch being committed waits until that batch is durable.
* **No torn reads.** Who reads an object holds its blobs (`web.bodies`). Those that a commit retires are freed when the
  look-ups that were under way are through, for these may still have seen the old object, and nobody holds them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import msgspec
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from s3gw.errors import InsufficientStorage, InternalError, S3Error, SlowDown
from s3gw.model import (
    BucketInfo,
    ByteRange,
    CacheRules,
    ListPage,
    ObjectInfo,
    PartPage,
    UploadInfo,
    UploadPage,
    VersionPage,
)
from s3gw.operations.call import CacheFigures, Doomed, Known
from s3gw.store.cache import BodyCache
from s3gw.store.cache_records import QueueRecord
from s3gw.store.interface import (
    UNKNOWN,
    AdoptObjects,
    Committed,
    CompleteUpload,
    ConfigureBucket,
    ConfigureCache,
    CorruptChunk,
    CreateBucket,
    CreateUpload,
    DeleteBucket,
    DeleteObject,
    EvictObject,
    ExpireObject,
    ExpireVersion,
    IObjectStore,
    ListQuery,
    MoveBoundary,
    Mutation,
    PutObject,
    PutPart,
    SaveReads,
    SetVersioning,
    StoreFailed,
    StoreFull,
    StoreStalled,
    Unknown,
    UploadQuery,
    VersionQuery,
)
from s3gw.store.layout import only_row
from s3gw.web.bodies import Bodies, Buffer, HeldObject
from s3gw.web.forgetting import Forgetting
from s3gw.web.lanes import HandOver, Lane

T = TypeVar("T")

BATCH_BYTES = 4 * 1024 * 1024
"""Body bytes of one commit batch: more would only make the first of them wait."""

STALL_SECONDS = 5.0
"""How long a write waits for a stalled store before the client is told to slow down."""

STALL_BACKOFF = (0.005, 0.02, 0.1)
"""Seconds between tries, the last repeated."""

KNOWN_OBJECTS = 8192
"""Records of objects kept decoded; the oldest makes room."""

KNOWN_EXTENTS = 8
"""The most extents of such an object: records of thousands of parts would make it a lot of memory."""

KNOWN_HEADERS = 2048
"""Characters of the headers that such an object was stored with: they are kept several times, and some are long."""

OF_BUCKETS = (DeleteBucket, ConfigureBucket, SetVersioning, ConfigureCache, MoveBoundary, AdoptObjects, SaveReads)
"""Mutations that are about a bucket and no key of it."""

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Processors that this process may use; where a system does not tell, those that there are."""

KNOWN_BUCKETS = 4096
"""Bucket records kept in memory."""

KNOWN_DOCUMENTS = 16 * 1024 * 1024
"""Bytes of the configuration documents of these buckets, about."""


class _CommitLane(Lane[Mutation, Committed]):
    """The commit lane, which knows the names whose state is not durable yet.

    :ivar uncertain: those in the batch that is being committed, and those in ``lost``.
    :ivar lost: those of batches that failed: they may look written, and may be gone after the next power cut.
    :ivar forgetting: knows which objects are not to be evicted after all.
    """

    uncertain: frozenset[tuple[str, str]] = frozenset()
    lost: frozenset[tuple[str, str]] = frozenset()
    known: dict[tuple[str, str], Known]

    forgetting: Forgetting | None = None
    bodies: Bodies

    def begun(self, jobs: list[Mutation]) -> None:
        if self.forgetting is not None and self.forgetting.evicting:
            for index, job in enumerate(jobs):
                if isinstance(job, EvictObject) and self.forgetting.wanted(job):
                    jobs[index] = msgspec.structs.replace(job, place=0)
        self.uncertain = frozenset(map(_name, jobs)) | self.lost
        for name in self.uncertain:
            self.known.pop(name, None)
        self.bodies.being_written(
            {
                job.info.inline or job.info.extents[0].blob: job.body
                for job in jobs
                if isinstance(job, PutObject) and job.body
            }
        )

    def ended(self, error: BaseException | None) -> None:
        if isinstance(error, StoreFailed):
            self.lost = self.uncertain
        self.uncertain = self.lost


def _name(mutation: Mutation) -> tuple[str, str]:
    """The bucket and key that a mutation changes; no key for one of the bucket itself."""
    if isinstance(mutation, PutObject):
        return mutation.bucket, mutation.key
    if isinstance(mutation, CreateBucket):
        return mutation.info.name, ""
    if isinstance(mutation, OF_BUCKETS):
        return mutation.bucket, ""
    if isinstance(mutation, CreateUpload):
        return mutation.info.bucket, mutation.info.key
    return mutation.bucket, mutation.key


_REPLACING = (PutObject, DeleteObject, EvictObject, ExpireObject, ExpireVersion)
"""Mutations whose previous object is no more."""


def _weight(mutation: Mutation) -> int:
    return len(mutation.body) + 1024 if isinstance(mutation, PutObject) else 1024


class LaneStorage:
    """`operations.call.Storage` over any blocking store.

    :param hand_over: runs a function in the thread pool.
    :param clock: for the pauses of a stalled store.
    :param cache_bytes: budget of the cache of hot bodies.
    :param gather: whether lanes gather, but for those of what is long.
    """

    log = Logger()

    def __init__(
        self,
        store: IObjectStore,
        hand_over: HandOver,
        clock: IReactorTime,
        cache_bytes: int = 0,
        gather: bool = False,
    ) -> None:
        self._store = store
        self._hand_over = hand_over
        self._clock = clock
        self.cache = BodyCache(cache_bytes)
        turns = clock if gather else None
        self._bodies = Bodies(store, hand_over, self.in_thread, self.cache, self._reclaim, turns)
        self.begin_blob: Callable[[], bytes] = store.begin_blob
        self._buckets: dict[str, BucketInfo] = {}
        self._documents = 0  # bytes remembered with buckets since there were none: never too few
        self._calls = 0
        # More threads than cores, or two that walk through rows, only take the interpreter from each other and from the
        # reactor, which then answers nobody.
        self._cores = DeferredSemaphore(CORES)
        self._scans = DeferredSemaphore(1)
        self._quiet: list[Deferred[None]] = []
        self._commits = _CommitLane(hand_over, store.commit, most=BATCH_BYTES, weigh=_weight, gather=turns)
        self._commits.bodies = self._bodies
        self._known = self._commits.known = {}
        self._lookups: Lane[tuple[str, str], ObjectInfo | None] = Lane(hand_over, store.look_up, gather=turns)
        self._version_lookups: Lane[tuple[str, str, str], ObjectInfo | None] = Lane(
            hand_over, store.look_up_versions, gather=turns
        )
        self._frees: Lane[bytes, None] = Lane(hand_over, self._free, most=64, gather=turns)
        self.caches = store.caches
        self.forgetting = self._commits.forgetting = Forgetting(self, clock, self._now)
        self.hits = self.misses = 0

    def known(self, bucket: str, key: str) -> Known | Unknown | None:
        """The object under a key as far as memory tells, and it is durable."""
        name = (bucket, key)
        known = self._known.get(name)
        if known is not None:
            return None if known.info.place and self._store.expired(bucket, known.info) else known
        info = self._store.peek(bucket, key)
        if info is UNKNOWN or name in self._commits.uncertain:
            return UNKNOWN
        if info is None:
            return None
        known = Known(info)
        if len(info.extents) <= KNOWN_EXTENTS and sum(map(len, info.headers.values())) <= KNOWN_HEADERS:
            if len(self._known) >= KNOWN_OBJECTS:
                del self._known[next(iter(self._known))]
            self._known[name] = known
        return known

    def hot(self, info: ObjectInfo, span: ByteRange | None) -> Buffer | None:
        """The bytes of a known object, or of a part, if they are in one row, readable as it is, and in the cache."""
        if info.encryption is not None:
            return None
        if info.inline:
            body = self.cache.held(info.inline)
            return body if body is None or span is None else memoryview(body)[span.start : span.start + span.length]
        start, length = (0, info.size) if span is None else (span.start, span.length)
        place = only_row(info, start, length)
        if place is None:
            return None
        blob, number, low = place
        body = self.cache.held(blob, number)
        return body if body is None or length == len(body) else memoryview(body)[low : low + length]

    async def row(self, bucket: str, key: str, info: ObjectInfo, span: ByteRange | None) -> Buffer | None:
        """As `hot`, but read from wherever they are. None too if the object was replaced. :raises CorruptChunk:"""
        start, length = (0, info.size) if span is None else (span.start, span.length)
        return await self._bodies.read_one(bucket, key, info, start, length)

    def _now(self) -> int:
        return int(self._clock.seconds() * 1000)

    def touched(self, bucket: str, info: ObjectInfo) -> None:
        """Somebody reads an object that has a place in a cache bucket."""
        cache = self.caches.get(bucket)
        if cache is not None:
            self.hits += 1
            cache.reads.read(info.place, self._now())

    def missed(self, bucket: str) -> None:
        """Somebody asked for an object that is not there."""
        if bucket in self.caches:
            self.misses += 1

    def busy(self, bucket: str, place: int) -> bool:
        """Whether somebody is reading the object of a cache bucket at this place."""
        return (bucket, place) in self._bodies.places

    def cache_figures(self, bucket: str) -> CacheFigures | None:
        """What a cache bucket holds; None if it is none."""
        return self.forgetting.figures(bucket)

    async def foretell(self, bucket: str, rules: CacheRules, limit: int) -> list[Doomed]:
        """What would have to go from a cache bucket at this moment if these were its rules, at most so many."""
        return await self.forgetting.foretell(bucket, rules, limit)

    async def queue(self, bucket: str, start: int, end: int, limit: int) -> list[tuple[int, QueueRecord]]:
        """As `IObjectStore.queue`."""
        return await self._call(lambda: self._store.queue(bucket, start, end, limit))

    async def find(self, bucket: str, key: str) -> ObjectInfo | None:
        """The object under a key, or None."""
        known = self.known(bucket, key)
        if known is not UNKNOWN:
            return None if known is None else known.info
        info, durable = await self._look(bucket, key)
        if not durable:
            await self._durable()
        return info

    async def open(self, bucket: str, key: str) -> HeldObject | None:
        """As `find`, with the object's bytes held until the answer is closed."""
        known = self.known(bucket, key)
        if known is not UNKNOWN:
            return None if known is None else self._bodies.hold(bucket, key, known.info)
        info, durable = await self._look(bucket, key)
        held = None if info is None else self._bodies.hold(bucket, key, info)
        if not durable:
            try:
                await self._durable()
            except BaseException:
                if held is not None:
                    held.close()
                raise
        return held

    async def find_version(self, bucket: str, key: str, version: str) -> ObjectInfo | None:
        """The version or delete marker with an id, or without one the newest, or None."""
        info = await self._version_lookups.ask((bucket, key, version))
        if (bucket, key) in self._commits.uncertain:
            await self._durable()
        return info

    async def find_versions(self, bucket: str, names: Sequence[tuple[str, str]]) -> list[ObjectInfo | None]:
        """Versions by key and id, all at once. One whose record is damaged is told of in the log, and None."""
        found = await self._scan(lambda: self._store.look_up_versions([(bucket, *name) for name in names]))
        for each in found:
            if isinstance(each, CorruptChunk):
                self.log.critical("{damage}", damage=str(each))
        return [each if isinstance(each, ObjectInfo) else None for each in found]

    async def open_version(self, bucket: str, key: str, version: str) -> HeldObject | None:
        """As `find_version`, held."""
        info = await self._version_lookups.ask((bucket, key, version))
        held = None if info is None else self._bodies.hold(bucket, key, info)
        if (bucket, key) in self._commits.uncertain:
            try:
                await self._durable()
            except BaseException:
                if held is not None:
                    held.close()
                raise
        return held

    async def _look(self, bucket: str, key: str) -> tuple[ObjectInfo | None, bool]:
        """The object that `known` does not know, and whether what was seen is durable. Nothing is awaited behind the
        look."""
        name = (bucket, key)
        if name in self._commits.uncertain:
            info = self._store.peek(bucket, key)
            if info is not UNKNOWN:
                return info, False
        # Not to be remembered: it may be of before a commit that ends before this answer is here.
        info = await self._lookups.ask(name)
        return info, name not in self._commits.uncertain

    async def _durable(self) -> None:
        """Wait for the batch that is being committed.

        :raises InternalError: a batch failed, so that nobody can tell what is durable until the next open does."""
        if self._commits.lost:
            raise InternalError()
        try:
            await self._commits.settled()
        except (StoreStalled, StoreFull):
            pass
        except StoreFailed:
            raise InternalError() from None

    def known_bucket(self, name: str) -> BucketInfo | None:
        """The bucket of this name if its record is kept decoded."""
        return self._buckets.get(name)

    async def find_bucket(self, name: str) -> BucketInfo | None:
        """The bucket of this name, or None."""
        known = self._buckets.get(name)
        if known is not None:
            return known
        info = self._store.peek_bucket(name)
        if info is UNKNOWN:
            (found,) = await self._call(lambda: self._store.look_up_buckets([name]))
            if (name, "") in self._commits.uncertain:
                await self._durable()
            return found
        if (name, "") in self._commits.uncertain:
            await self._durable()
        elif info is not None:
            size = sum(map(len, info.documents.values()))
            self._documents += size
            if len(self._buckets) >= KNOWN_BUCKETS or self._documents > KNOWN_DOCUMENTS:
                self._buckets.clear()
                self._documents = size
            self._buckets[name] = info
        return info

    async def find_upload(self, bucket: str, key: str, upload: str) -> UploadInfo | None:
        """A multipart upload in progress, or None."""
        (info,) = await self._call(lambda: self._store.look_up_uploads([(bucket, key, upload)]))
        if (bucket, key) in self._commits.uncertain:
            await self._durable()
        return info

    async def buckets(self) -> list[BucketInfo]:
        """All buckets, by name."""
        return await self._scan(self._store.buckets)

    async def list_objects(self, bucket: str, query: ListQuery) -> ListPage:
        """A page of a bucket's objects."""
        return await self._scan(lambda: self._store.list_objects(bucket, query))

    async def list_versions(self, bucket: str, query: VersionQuery) -> VersionPage:
        """A page of a bucket's versions and delete markers."""
        return await self._scan(lambda: self._store.list_versions(bucket, query))

    async def list_uploads(self, bucket: str, query: UploadQuery) -> UploadPage:
        """A page of a bucket's uploads in progress."""
        return await self._scan(lambda: self._store.list_uploads(bucket, query))

    async def list_parts(self, upload: str, after: int, limit: int) -> PartPage:
        """A page of an upload's parts."""
        return await self._scan(lambda: self._store.list_parts(upload, after, limit))

    async def _scan(self, work: Callable[[], T]) -> T:
        page = await self._call(work, self._scans)
        if self._commits.busy or self._commits.lost:
            await self._durable()
        return page

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Call ``work``, which computes, in a thread of the pool: in no more at a time than there are cores."""
        return await self._call(work, self._cores)

    async def _call(self, work: Callable[[], T], places: DeferredSemaphore | None = None) -> T:
        """Call ``work`` in a thread, when it has one of the places, if it needs one."""
        self._calls += 1
        try:
            if places is None:
                return cast(T, await self._hand_over(work))
            await places.acquire()
            try:
                return cast(T, await self._hand_over(work))
            finally:
                places.release()
        finally:
            self._calls -= 1
            if not self._calls:
                waiting, self._quiet = self._quiet, []
                for each in waiting:
                    each.callback(None)

    async def stage(self, blob: bytes, number: int, produce: Callable[[], Sequence[bytes]]) -> int:
        """Produce chunks and write them, in a worker thread; how many there were.

        :raises SlowDown: :raises InsufficientStorage: :raises InternalError:"""
        chunks: Sequence[bytes] | None = None

        def work() -> int:
            nonlocal chunks
            if chunks is None:
                chunks = produce()
            if chunks:
                self._store.stage(blob, number, chunks)
            return len(chunks)

        for pause in self._pauses():
            try:
                return await self.in_thread(work)
            except StoreStalled:
                await deferLater(self._clock, pause)
            except StoreFull:
                raise InsufficientStorage() from None
            except StoreFailed:
                raise InternalError() from None
        raise SlowDown()

    def _pauses(self) -> Iterator[float]:
        deadline = self._clock.seconds() + STALL_SECONDS
        tries = 0
        while not tries or self._clock.seconds() < deadline:
            yield STALL_BACKOFF[min(tries, len(STALL_BACKOFF) - 1)]
            tries += 1

    async def commit(self, mutation: Mutation) -> Committed:
        """Do one mutation, durably.

        :raises S3Error: why it did not happen; blobs staged for it are given up."""
        staged = _staged(mutation)
        pauses: Iterator[float] | None = None
        while True:
            try:
                if staged and self._store.unsettled(staged):
                    await self._call(lambda: self._store.settle(staged))
                outcome = await self._commits.ask(mutation)
                break
            except StoreStalled:
                pauses = pauses or self._pauses()
                pause = next(pauses, None)
                if pause is None:
                    self.discard(staged)
                    raise SlowDown() from None
                await deferLater(self._clock, pause)
            except StoreFull:
                self.discard(staged)
                raise InsufficientStorage() from None
            except StoreFailed:
                # It may have happened: what was staged must stay. The next open sweeps it if nothing names it.
                raise InternalError() from None
            except (S3Error, CorruptChunk):
                self.discard(staged)
                raise
        self._happened(mutation, outcome)
        return outcome

    async def commit_all(self, mutations: Sequence[Mutation]) -> list[Committed | S3Error]:
        """Do several mutations, each on its own, in as few batches as they fit; the outcome of each."""

        async def outcome(mutation: Mutation) -> Committed | S3Error:
            try:
                return await self.commit(mutation)
            except S3Error as error:
                return error
            except CorruptChunk as damage:
                self.log.critical("{damage}", damage=str(damage))
                return InternalError()

        return await gatherResults([Deferred.fromCoroutine(outcome(mutation)) for mutation in mutations])

    def _happened(self, mutation: Mutation, outcome: Committed) -> None:
        if isinstance(mutation, _REPLACING):
            if outcome.previous is not None:
                self.cache.drop(outcome.previous.inline)
        elif isinstance(mutation, (CreateBucket, DeleteBucket, ConfigureBucket, ConfigureCache, SetVersioning)):
            bucket, _ = _name(mutation)
            self._buckets.pop(bucket, None)
            # What is kept of answers says what the configuration was.
            for name in [name for name in self._known if name[0] == bucket]:
                del self._known[name]
        elif isinstance(mutation, AdoptObjects):
            # Their records have places now.
            self._known.clear()
        if outcome.place and isinstance(mutation, (PutObject, CompleteUpload)):
            again = outcome.previous is not None
            self.forgetting.wrote(mutation.bucket, mutation.key, outcome.place, mutation.info.ttl, again)
        if outcome.retired:
            self._lookups.settled().addBoth(lambda _: self._version_lookups.settled()).addBoth(
                lambda _: self._bodies.retire(outcome.retired)
            )

    def discard(self, blobs: Sequence[bytes]) -> None:
        """Give up blobs that were staged and that no mutation will name."""
        for blob in blobs:
            self._reclaim(blob)

    def _reclaim(self, blob: bytes) -> None:
        self.cache.drop(blob)
        Deferred.fromCoroutine(self._freed(blob)).addErrback(
            lambda failure: self.log.error("cannot reclaim a blob: {why}", why=failure.getErrorMessage())
        )

    async def _freed(self, blob: bytes) -> None:
        """Free a blob, however long the store is stalled: nobody waits, and nobody would try again.

        Of many blobs each tries, so ever more seldom."""
        pause = STALL_BACKOFF[-1]
        while True:
            try:
                return await self._frees.ask(blob)
            except StoreStalled:
                await deferLater(self._clock, pause)
                pause = min(2 * pause, STALL_SECONDS)

    def _free(self, blobs: list[bytes]) -> list[None]:
        self._store.free(blobs)
        return [None] * len(blobs)

    async def check(self) -> None:
        """Return if the store answers, and takes writes as far as we know. :raises StoreFailed:"""
        if self._commits.lost:
            raise StoreFailed("a commit failed; what is durable is known after a restart")
        await self._call(self._store.check)

    async def drained(self) -> None:
        """Return when nothing is under way in any thread."""
        lanes = (self._commits, self._lookups, self._version_lookups, *self._bodies.lanes, self._frees)
        while self._calls or not all(lane.idle for lane in lanes):
            for lane in lanes:
                lane.hurry()
                try:
                    await lane.settled()
                except Exception as error:
                    self.log.error("a store operation failed while draining: {error}", error=error)
            if self._calls:
                quiet: Deferred[None] = Deferred()
                self._quiet.append(quiet)
                await quiet


def _staged(mutation: Mutation) -> tuple[bytes, ...]:
    return mutation.staged if isinstance(mutation, (PutObject, PutPart)) else ()
