"""Cache buckets: when an object of theirs is gone, and the mutations that keep them.

An object in a cache bucket has a place, and a row in the bucket's queue for as long as it has it; what the bucket holds
is counted in the same write. So after any crash the counts are those of the rows. `s3gw.eviction` tells
how the queue is used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from msgspec.structs import replace
from zope.interface import implementer

from s3gw.errors import BucketNotEmpty, InvalidRequest, OperationAborted
from s3gw.model import PIN, BucketInfo, CacheRules, ObjectInfo
from s3gw.store.cache_records import CacheState, QueueRecord
from s3gw.store.interface import (
    AdoptObjects,
    Committed,
    ConfigureCache,
    CorruptChunk,
    EvictObject,
    ICacheBucket,
    MoveBoundary,
    SaveReads,
)
from s3gw.store.keys import (
    BUCKETS,
    bucket_row,
    cache_row,
    inline_row,
    number_of,
    object_row,
    objects_of,
    queue_of,
    queue_row,
    reads_of,
    reads_row,
    row_name,
)
from s3gw.store.reads import Reads
from s3gw.store.records import BUCKET, CACHE, OBJECT, QUEUE, READS
from s3gw.store.scan import Walk

if TYPE_CHECKING:
    from s3gw.store.engine import Engine
    from s3gw.store.ledger import Ledger

EXPIRED_IN_THE_WAY = 2048
"""Expired objects that the deletion of a bucket takes along; above them it has to wait for the sweep."""


@implementer(ICacheBucket)
class CacheBucket:
    """A cache bucket as memory has it.

    :ivar state: as of the last commit.
    """

    def __init__(self, rules: CacheRules, state: CacheState, reads: Reads | None = None) -> None:
        self.state = state
        self.reads = Reads() if reads is None else reads
        self.configure(rules)

    def configure(self, rules: CacheRules) -> None:
        """Go by these rules from now on."""
        self.rules = rules
        self.reads.timed = rules.ttl_read > 0

    def ends(self, queued: QueueRecord, place: int) -> int:
        """When the object at ``place`` is gone, ms since the epoch; 0: never."""
        return 0 if queued.pinned else ends(self.rules, self.reads, queued.modified, queued.ttl, place)

    def ends_by(self, rules: CacheRules, queued: QueueRecord, place: int) -> int:
        """The same, if these were the rules."""
        return 0 if queued.pinned else ends(rules, self.reads, queued.modified, queued.ttl, place)

    def expired(self, info: ObjectInfo, now: int) -> bool:
        """Whether the object is gone, though its row is there. One that is not in the queue yet is not."""
        if info.place < self.state.base or PIN in info.tags:
            return False
        return 0 < ends(self.rules, self.reads, info.modified, info.ttl, info.place) <= now


Caches = dict[str, CacheBucket]


def ends(rules: CacheRules, reads: Reads, modified: int, ttl: int, place: int) -> int:
    """When an object that is not pinned is gone, ms since the epoch; 0: never.

    :param ttl: seconds, of the object itself: the bucket's do not matter then."""
    if ttl:
        return modified + ttl * 1000
    unwritten = modified + rules.ttl_write * 1000 if rules.ttl_write else 0
    if not rules.ttl_read:
        return unwritten
    unread = max(modified, reads.last(place)) + rules.ttl_read * 1000
    return min(unwritten, unread) if unwritten else unread


def enter(ledger: Ledger, bucket: BucketInfo, key: str, info: ObjectInfo) -> ObjectInfo:
    """An object is being written: give it the next place. The one that it replaces has left."""
    if bucket.cache is None:
        return replace(info, place=0) if info.place else info
    state = ledger.cache_state(bucket.name)
    place = state.next
    state.next += 1
    state.objects += 1
    state.nbytes += info.size
    state.young_objects += 1
    state.young_bytes += info.size
    info = replace(info, place=place)
    ledger.put(QUEUE, queue_row(bucket.name, place), _queued(key, info))
    return info


def leave(ledger: Ledger, bucket: BucketInfo, info: ObjectInfo) -> None:
    """An object is being replaced or deleted."""
    if bucket.cache is None:
        return
    state = ledger.cache_state(bucket.name)
    if info.place >= state.base:
        ledger.delete(queue_row(bucket.name, info.place))
        uncount(state, info.place, info.size)


def retag(ledger: Ledger, bucket: BucketInfo, key: str, info: ObjectInfo) -> None:
    """An object has other tags: it may be pinned, or no longer."""
    if bucket.cache is not None and info.place >= ledger.cache_state(bucket.name).base:
        ledger.put(QUEUE, queue_row(bucket.name, info.place), _queued(key, info))


def _queued(key: str, info: ObjectInfo) -> QueueRecord:
    return QueueRecord(key, info.size, info.modified, info.ttl, PIN in info.tags)


def uncount(state: CacheState, place: int, size: int) -> None:
    """An object has left the queue."""
    state.objects -= 1
    state.nbytes -= size
    if place >= state.boundary:
        state.young_objects -= 1
        state.young_bytes -= size


def configure_cache(ledger: Ledger, it: ConfigureCache) -> Committed:
    found = ledger.require_bucket(it.bucket, it.bucket_created)
    if it.rules is not None and found.versioning:
        raise InvalidRequest("A bucket with versioning cannot have an x-s3gw-cache configuration.")
    if it.rules is None and found.cache is None:
        return Committed()
    if it.rules is None:
        # The places that were given are never given again, so that an object that kept one is not taken for counted.
        state = ledger.cache_state(it.bucket)
        drop_queue(ledger, it.bucket)
        ledger.put(CACHE, cache_row(it.bucket), CacheState(base=state.next, next=state.next, boundary=state.next))
    elif found.cache is not None:
        ledger.set_cache(it.bucket, (it.rules, ledger.cache_state(it.bucket)))
    else:
        before = ledger.get(CACHE, cache_row(it.bucket))
        first = 1 if before is None else before.next
        # Before anything of this is written, so that one write has all of it.
        ledger.settle()
        cursor = None if ledger.is_empty(objects_of(it.bucket)) else ""
        state = CacheState(base=first, next=first, boundary=first, cursor=cursor)
        ledger.set_cache(it.bucket, (it.rules, state))
    ledger.put(BUCKET, bucket_row(it.bucket), replace(found, cache=it.rules))
    return Committed()


def drop_queue(ledger: Ledger, bucket: str) -> None:
    """Forget queue and reads of a bucket."""
    for prefix in (queue_of(bucket), reads_of(bucket)):
        ledger.batch.delete_all(prefix)
    ledger.set_cache(bucket, None)


def only_expired(ledger: Ledger, bucket: BucketInfo) -> list[tuple[str, ObjectInfo]]:
    """The objects of a bucket that is to be deleted, all of them gone by its rules.

    :raises BucketNotEmpty: one is not.
    :raises OperationAborted: there are too many of them: the sweep will have seen to them shortly."""
    prefix = objects_of(bucket.name)
    found: list[tuple[str, ObjectInfo]] = []
    for row, info in ledger.walk(OBJECT, prefix):
        if ledger.live(bucket, info) is not None:
            raise BucketNotEmpty(BucketName=bucket.name)
        if len(found) == EXPIRED_IN_THE_WAY:
            raise OperationAborted()
        found.append((row[len(prefix) :].decode(), info))
    return found


def evict_object(ledger: Ledger, it: EvictObject) -> Committed:
    bucket = ledger.get(BUCKET, bucket_row(it.bucket))
    row = queue_row(it.bucket, it.place)
    queued = ledger.get(QUEUE, row) if bucket is not None and bucket.cache is not None and it.place else None
    if bucket is None or queued is None:
        return Committed()
    try:
        info = ledger.get(OBJECT, object_row(it.bucket, queued.key))
    except CorruptChunk:
        info = None
    if info is None or info.place != it.place:
        # A record that could not be read was replaced or deleted: its place was not known then.
        ledger.delete(row)
        uncount(ledger.cache_state(it.bucket), it.place, queued.size)
        return Committed()
    gone = ledger.live(bucket, info) is None
    if it.place < ledger.cache_state(it.bucket).base or (it.expired and not gone) or queued.pinned:
        return Committed()
    changes = ledger.refer((), info.extents)
    ledger.delete(object_row(it.bucket, queued.key))
    if info.inline:
        ledger.delete_inline(inline_row(it.bucket, queued.key), info)
    leave(ledger, bucket, info)
    return Committed(info, ledger.apply(changes))


def move_boundary(ledger: Ledger, it: MoveBoundary) -> Committed:
    bucket = ledger.get(BUCKET, bucket_row(it.bucket))
    if bucket is None or bucket.cache is None:
        return Committed()
    state = ledger.cache_state(it.bucket)
    if state.base <= it.hand <= state.next:
        state.hand = it.hand
        ledger.put(CACHE, cache_row(it.bucket), state)
    if not state.boundary < it.boundary <= state.next:
        return Committed()
    rows = [queue_row(it.bucket, place) for place in it.passed if state.boundary <= place < it.boundary]
    ledger.load(rows)
    for row in rows:
        if (queued := ledger.get(QUEUE, row)) is not None:
            state.young_objects -= 1
            state.young_bytes -= queued.size
    state.boundary = it.boundary
    ledger.put(CACHE, cache_row(it.bucket), state)
    return Committed()


def adopt_objects(ledger: Ledger, it: AdoptObjects) -> Committed:
    bucket = ledger.get(BUCKET, bucket_row(it.bucket))
    if bucket is None or bucket.cache is None:
        return Committed()
    state = ledger.cache_state(it.bucket)
    if state.cursor is None:
        return Committed()
    ledger.settle()
    prefix = objects_of(it.bucket)
    found = list(islice(ledger.walk(OBJECT, prefix, prefix + state.cursor.encode()), it.limit))
    for row, info in found:
        key = row[len(prefix) :].decode()
        if info.place < state.base:
            ledger.put(OBJECT, row, enter(ledger, bucket, key, info))
        state.cursor = key + "\0"
    if len(found) < it.limit:
        state.cursor = None
    ledger.put(CACHE, cache_row(it.bucket), state)
    return Committed()


def save_reads(ledger: Ledger, it: SaveReads) -> Committed:
    bucket = ledger.get(BUCKET, bucket_row(it.bucket))
    if bucket is None or bucket.cache is None:
        return Committed()
    for number, page in it.pages:
        ledger.put(READS, reads_row(it.bucket, number), page)
    for number in it.dropped:
        ledger.delete(reads_row(it.bucket, number))
    return Committed()


def load_caches(engine: Engine, damage: list[str]) -> Caches:
    """The cache buckets of a database that is being opened. It takes time for the places that were read, a few bytes
    each, and none for the objects.

    :param damage: gets a line for what cannot be read; if it is what a bucket holds, its objects are adopted anew.
    """
    caches: Caches = {}
    try:
        for row, value in _walk(engine, BUCKETS):
            try:
                bucket = BUCKET.decode(row, value)
                if bucket.cache is None:
                    continue
                caches[bucket.name] = cache = CacheBucket(bucket.cache, _state(engine, bucket.name, damage))
                for page, record in _walk(engine, reads_of(bucket.name)):
                    cache.reads.load(number_of(page), READS.decode(page, record))
            except CorruptChunk as error:
                damage.append(f"a bucket, or who read what in it, is damaged: {error}")
    except CorruptChunk as error:
        damage.append(f"buckets cannot be read, and nothing is evicted from those that would be cache buckets: {error}")
    return caches


def _state(engine: Engine, bucket: str, damage: list[str]) -> CacheState:
    row = cache_row(bucket)
    (found,) = engine.records([row])
    try:
        if found is not None:
            return CACHE.decode(row, found)
    except CorruptChunk:
        pass
    damage.append(f"what the cache bucket {bucket} holds is counted anew: {row_name(row)}")
    # Behind every place that was ever given, whether the queue is there to tell or not: places count writes, and no
    # bucket is written to a million times a second.
    first = time.time_ns() // 1000
    state = CacheState(base=first, next=first, boundary=first, cursor="")
    batch = engine.batch()
    batch.delete_all(queue_of(bucket))
    batch.put(row, CACHE.encode(row, state))
    engine.write(batch)
    return state


def _walk(engine: Engine, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    walk = Walk(engine, prefix)
    while (found := walk.next()) is not None:
        yield found


def refuse_versions(bucket: BucketInfo) -> None:
    """A bucket cannot keep all versions and forget. :raises InvalidRequest:"""
    if bucket.cache is not None:
        raise InvalidRequest("A bucket with an x-s3gw-cache configuration cannot have versioning or object lock.")
