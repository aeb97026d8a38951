"""A store in memory: no durability, every other promise. The same contract tests hold for it and for `RocksStore`.

It keeps values in plain dicts, sorts when it lists and counts references by looking at every manifest: slow and hard to
get wrong. For tests of what stands above a store, and for a gateway whose objects may go with it.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar

import msgspec
from zope.interface import implementer

from s3gw.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    ConditionalRequestConflict,
    InternalError,
    InvalidArgument,
    InvalidBucketState,
    InvalidRequest,
    MethodNotAllowed,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    PreconditionFailed,
    S3Error,
)
from s3gw.model import (
    ENABLED,
    OBJECT_LOCK,
    BucketInfo,
    Extent,
    ListPage,
    ObjectInfo,
    ObjectLock,
    PartInfo,
    PartPage,
    UploadInfo,
    UploadPage,
    VersionEntry,
    VersionPage,
    first_order,
)
from s3gw.s3.listing import list_page
from s3gw.s3.locks import refuse_deletion, refuse_retention
from s3gw.store.cache_records import QueueRecord
from s3gw.store.caches import refuse_versions
from s3gw.store.conditions import require
from s3gw.store.interface import (
    AbortUpload,
    AdoptObjects,
    BodyRow,
    ChunkRow,
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
    HoldObject,
    InlineRow,
    IObjectStore,
    ListQuery,
    MoveBoundary,
    Mutation,
    Outcome,
    PutObject,
    PutPart,
    RetainObject,
    SaveReads,
    SetObjectAcl,
    SetVersioning,
    StaleBody,
    StoreFailed,
    TagObject,
    UploadQuery,
    VersionQuery,
    same_write,
)
from s3gw.store.memory_caches import MemoryCaches
from s3gw.store.records import listed, listed_version

T = TypeVar("T")


class SortedCursor(Generic[T]):
    """Entries in order of their keys, for `list_page`.

    :param within: instead of this key, seek to that entry.
    """

    def __init__(self, entries: Iterable[tuple[str, T]], within: tuple[str, int] | None = None) -> None:
        self._entries = sorted(entries, key=lambda entry: entry[0])
        self._keys = [key for key, _ in self._entries]
        self._within = within
        self._position = 0

    def seek(self, key: str) -> None:
        self._position = bisect_left(self._keys, key)
        if self._within is not None and key == self._within[0]:
            self._position = self._within[1]

    def next(self) -> str | None:
        if self._position == len(self._entries):
            return None
        self._position += 1
        return self._keys[self._position - 1]

    def entry(self) -> T:
        return self._entries[self._position - 1][1]


@implementer(IObjectStore)
class MemoryStore:
    """A store in memory. See `IObjectStore`.

    :param now: ms since the epoch: decides whether an object of a cache bucket is there.
    :ivar trouble: what the next writes raise, such as `StoreFull`; for tests.
    :ivar damaged: body rows that read as corrupt; for tests.
    """

    def __init__(self, now: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._forgetful = MemoryCaches(now)
        self.caches = self._forgetful.caches
        self.expired = self._forgetful.expired
        self.trouble: Exception | None = None
        self.damaged: set[BodyRow] = set()
        self._lock = Lock()
        self._open = True
        self._numbers = itertools.count(1)
        self._buckets: dict[str, BucketInfo] = {}
        # The versions of each key of each bucket, the newest first; no list is empty.
        self._versions: dict[str, dict[str, list[ObjectInfo]]] = {}
        self._bodies: dict[bytes, bytes] = {}
        self._uploads: dict[tuple[str, str, str], UploadInfo] = {}
        self._parts: dict[str, dict[int, PartInfo]] = {}
        self._blobs: dict[bytes, dict[int, bytes]] = {}
        self._loose: set[bytes] = set()
        self._steps: dict[type[Mutation], Callable[[Any], Committed]] = {
            CreateBucket: self._create_bucket,
            DeleteBucket: self._delete_bucket,
            ConfigureBucket: self._configure_bucket,
            SetVersioning: self._set_versioning,
            PutObject: self._put_object,
            DeleteObject: self._delete_object,
            ExpireObject: self._expire_object,
            ExpireVersion: self._expire_version,
            TagObject: self._tag_object,
            SetObjectAcl: self._set_object_acl,
            RetainObject: self._retain_object,
            HoldObject: self._hold_object,
            CreateUpload: self._create_upload,
            PutPart: self._put_part,
            CompleteUpload: self._complete_upload,
            AbortUpload: self._abort_upload,
            ConfigureCache: self._configure_cache,
            EvictObject: self._evict_object,
            MoveBoundary: self._forgetful.move_boundary,
            AdoptObjects: self._adopt_objects,
            SaveReads: self._forgetful.save_reads,
        }

    def queue(self, bucket: str, start: int, end: int, limit: int) -> list[tuple[int, QueueRecord]]:
        with self._lock:
            return self._forgetful.queue(bucket, start, end, limit)

    def _all(self, bucket: str, key: str) -> list[ObjectInfo]:
        return self._versions.get(bucket, {}).get(key, [])

    def peek(self, bucket: str, key: str) -> ObjectInfo | None:
        return self._forgetful.live(bucket, self._current(bucket, key))

    def _current(self, bucket: str, key: str) -> ObjectInfo | None:
        """The object, even if it is gone by the rules of a cache bucket."""
        newest = self._all(bucket, key)[:1]
        return newest[0] if newest and not newest[0].marker else None

    def peek_bucket(self, bucket: str) -> BucketInfo | None:
        return self._buckets.get(bucket)

    def look_up(self, names: Sequence[tuple[str, str]]) -> list[ObjectInfo | CorruptChunk | None]:
        return [self.peek(*name) for name in names]

    def look_up_versions(self, names: Sequence[tuple[str, str, str]]) -> list[ObjectInfo | CorruptChunk | None]:
        with self._lock:
            return [self._find(*name) for name in names]

    def _find(self, bucket: str, key: str, version: str) -> ObjectInfo | None:
        found = next((info for info in self._all(bucket, key) if version in ("", info.version)), None)
        return self._forgetful.live(bucket, found)

    def look_up_buckets(self, names: Sequence[str]) -> list[BucketInfo | None]:
        return [self._buckets.get(name) for name in names]

    def look_up_uploads(self, names: Sequence[tuple[str, str, str]]) -> list[UploadInfo | None]:
        return [self._uploads.get(name) for name in names]

    def buckets(self) -> list[BucketInfo]:
        with self._lock:
            return [info for _, info in sorted(self._buckets.items())]

    def list_objects(self, bucket: str, query: ListQuery) -> ListPage:
        with self._lock:
            found = self._versions.get(bucket, {}).items()
            cursor = SortedCursor(
                (key, listed(infos[0]))
                for key, infos in found
                if not infos[0].marker and not self.expired(bucket, infos[0])
            )
        return ListPage(*list_page(cursor, query.prefix, query.delimiter, query.after, query.limit))

    def list_versions(self, bucket: str, query: VersionQuery) -> VersionPage:
        with self._lock:
            found = [
                (key, VersionEntry(key, listed_version(info), info is infos[0]))
                for key, infos in sorted(self._versions.get(bucket, {}).items())
                for info in infos
                if not self.expired(bucket, info)
            ]
        within = None
        if query.after_order is not None:
            place = (query.after, -query.after_order)
            newer = [(key, -entry.info.order) <= place for key, entry in found]
            within = (query.after + "\0", sum(newer))
        cursor = SortedCursor(found, within)
        return VersionPage.of(*list_page(cursor, query.prefix, query.delimiter, query.after, query.limit))

    def list_uploads(self, bucket: str, query: UploadQuery) -> UploadPage:
        with self._lock:
            found = sorted((name, info) for name, info in self._uploads.items() if name[0] == bucket)
        within = None
        if query.after and query.after_upload:
            first = sum(name[1:] <= (query.after, query.after_upload) for name, _ in found)
            within = (query.after + "\0", first)
        cursor = SortedCursor([(name[1], info) for name, info in found], within)
        entries, prefixes, truncated, last = list_page(cursor, query.prefix, query.delimiter, query.after, query.limit)
        uploads = tuple(info for _, info in entries)
        last_upload = uploads[-1].upload if uploads and uploads[-1].key == last else ""
        return UploadPage(uploads, prefixes, truncated, last, last_upload)

    def list_parts(self, upload: str, after: int, limit: int) -> PartPage:
        with self._lock:
            parts = [part for number, part in sorted(self._parts.get(upload, {}).items()) if number > after]
        return PartPage(tuple(parts[:limit]), truncated=0 < limit < len(parts))

    def read(self, rows: Sequence[ChunkRow | InlineRow]) -> list[bytes | memoryview | Exception]:
        with self._lock:
            return [self._read(row) for row in rows]

    def _read(self, row: ChunkRow | InlineRow) -> bytes | Exception:
        if row in self.damaged:
            return CorruptChunk(repr(row))
        if isinstance(row, ChunkRow):
            chunk = self._blobs.get(row.blob, {}).get(row.number)
            return CorruptChunk(repr(row)) if chunk is None else chunk
        return self._bodies.get(row.inline, StaleBody(repr(row)))

    def begin_blob(self) -> bytes:
        return next(self._numbers).to_bytes(16, "big")

    def stage(self, blob: bytes, number: int, chunks: Sequence[bytes]) -> None:
        self._require_health()
        with self._lock:
            if number == 0:
                self._loose.add(blob)
            self._blobs.setdefault(blob, {}).update(enumerate(map(bytes, chunks), number))

    def unsettled(self, blobs: Sequence[bytes]) -> bool:
        return False

    def settle(self, blobs: Sequence[bytes]) -> None:
        pass

    def commit(self, mutations: Sequence[Mutation]) -> list[Outcome]:
        self._require_health()
        with self._lock:
            return [self._do(it) for it in mutations]

    def _do(self, it: Mutation) -> Outcome:
        try:
            return self._steps[type(it)](it)
        except S3Error as error:
            return error.with_traceback(None)

    def free(self, blobs: Sequence[bytes]) -> None:
        with self._lock:
            for blob in self._loose.intersection(blobs):
                self._loose.remove(blob)
                del self._blobs[blob]

    def check(self) -> None:
        self._require_health()

    def properties(self) -> dict[str, int]:
        with self._lock:
            chunks = sum(len(chunk) for blob in self._blobs.values() for chunk in blob.values())
            return {"live_data_bytes": chunks + sum(map(len, self._bodies.values()))}

    def close(self) -> None:
        self._open = False

    def reopen(self) -> None:
        """Serve again after `close`, as a database does that is opened: bodies that nothing refers to are gone."""
        with self._lock:
            for blob in self._loose:
                del self._blobs[blob]
            self._loose.clear()
            self._open = True

    def _require_health(self) -> None:
        if not self._open:
            raise StoreFailed("the store is closed")
        if self.trouble is not None:
            raise self.trouble

    def _manifests(self) -> Iterator[Extent]:
        """Every reference to a blob."""
        for keys in self._versions.values():
            for info in itertools.chain(*keys.values()):
                yield from info.extents
        for parts in self._parts.values():
            yield from _extents(parts.values())

    def _require_blobs(self, gained: Sequence[Extent], staged: Sequence[bytes]) -> None:
        """:raises ConditionalRequestConflict: if a blob that is shared is not referenced any more."""
        if not gained:
            return
        alive = {extent.blob for extent in self._manifests()}
        for extent in gained:
            if extent.blob in staged:
                if extent.blob not in self._loose:
                    raise InternalError("A part of the body is no longer there.")
            elif extent.blob not in alive:
                raise ConditionalRequestConflict()

    def _settle(self, gained: Iterable[Extent], lost: Iterable[Extent]) -> tuple[bytes, ...]:
        """After the manifests changed: sort blobs into those in use and those that are not. :return: the latter."""
        self._loose.difference_update(extent.blob for extent in gained)
        candidates = dict.fromkeys(extent.blob for extent in lost)
        if not candidates:
            return ()
        alive = {extent.blob for extent in self._manifests()}
        retired = tuple(blob for blob in candidates if blob not in alive)
        self._loose.update(retired)
        return retired

    def _require_bucket(self, bucket: str, created: int | None) -> BucketInfo:
        if bucket not in self._buckets or created not in (None, self._buckets[bucket].created):
            raise NoSuchBucket(BucketName=bucket)
        return self._buckets[bucket]

    def _require_upload(self, bucket: str, key: str, upload: str) -> None:
        if (bucket, key, upload) not in self._uploads:
            raise NoSuchUpload(UploadId=upload)

    def _create_bucket(self, it: CreateBucket) -> Committed:
        _require_name(it.info.name)
        found = self._buckets.get(it.info.name)
        if found is not None:
            taken = BucketAlreadyOwnedByYou if found.owner == it.info.owner else BucketAlreadyExists
            raise taken(BucketName=it.info.name)
        self._buckets[it.info.name] = it.info
        self._versions[it.info.name] = {}
        self._forgetful.configure(it.info.name, it.info.cache, empty=True)
        return Committed()

    def _delete_bucket(self, it: DeleteBucket) -> Committed:
        self._require_bucket(it.bucket, it.bucket_created)
        kept = [info for infos in self._versions[it.bucket].values() for info in infos]
        if any(not self.expired(it.bucket, info) for info in kept):
            raise BucketNotEmpty(BucketName=it.bucket)
        lost: list[Extent] = [extent for info in kept for extent in info.extents]
        for info in kept:
            self._bodies.pop(info.inline, None)
        del self._buckets[it.bucket], self._versions[it.bucket]
        self._forgetful.delete(it.bucket)
        for name in [name for name in self._uploads if name[0] == it.bucket]:
            lost += _extents(self._drop_upload(*name).values())
        return Committed(retired=self._settle((), lost))

    def _configure_bucket(self, it: ConfigureBucket) -> Committed:
        found = self._require_bucket(it.bucket, it.bucket_created)
        if it.name == OBJECT_LOCK and found.versioning != ENABLED:
            raise InvalidBucketState("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
        documents = dict(found.documents)
        documents.pop(it.name, None)
        if it.document is not None:
            documents[it.name] = it.document
        self._buckets[it.bucket] = msgspec.structs.replace(found, documents=documents)
        return Committed()

    def _set_versioning(self, it: SetVersioning) -> Committed:
        found = self._require_bucket(it.bucket, it.bucket_created)
        refuse_versions(found)
        if it.status != ENABLED and OBJECT_LOCK in found.documents:
            raise InvalidBucketState()
        self._buckets[it.bucket] = msgspec.structs.replace(found, versioning=it.status)
        return Committed()

    def _put_object(self, it: PutObject) -> Committed:
        _require_name(it.key)
        bucket = self._require_bucket(it.bucket, it.bucket_created)
        require(it.condition, it.key, self.peek(it.bucket, it.key))
        if it.info.inline:
            self._bodies[it.info.inline] = bytes(it.body)
        elif it.body:
            (extent,) = it.info.extents
            self._blobs[extent.blob] = {0: bytes(it.body)}
        else:
            self._require_blobs(it.info.extents, it.staged)
        return self._put(bucket, it.key, it.info)

    def _put(self, bucket: BucketInfo, key: str, info: ObjectInfo, lost: Sequence[Extent] = ()) -> Committed:
        """Make an object or a delete marker the newest version; what it replaces is what must not be beside it."""
        versions = self._versions[bucket.name].setdefault(key, [])
        order = max(first_order(info.modified), 1 + max((it.order for it in versions), default=0))
        null = bucket.versioning != ENABLED
        info = msgspec.structs.replace(info, order=order if bucket.versioning else 0, null=null)
        replaced = [it for it in versions if null and it.null]
        for it in replaced:
            versions.remove(it)
            self._bodies.pop(it.inline, None)
            self._forgetful.leave(bucket.name, it)
        info = self._forgetful.enter(bucket.name, key, info)
        versions.insert(0, info)
        retired = self._settle(info.extents, [*lost, *(extent for it in replaced for extent in it.extents)])
        made = info if bucket.versioning else None
        return Committed(replaced[0] if replaced else None, retired, made, info.place)

    def _drop(self, bucket: str, key: str, info: ObjectInfo) -> Committed:
        """Delete a version for good."""
        versions = self._versions[bucket][key]
        versions.remove(info)
        if not versions:
            del self._versions[bucket][key]
        self._bodies.pop(info.inline, None)
        self._forgetful.leave(bucket, info)
        return Committed(info, self._settle((), info.extents))

    def _evict_object(self, it: EvictObject) -> Committed:
        info = self._current(it.bucket, it.key)
        if info is None or not self._forgetful.may_evict(it, info):
            return Committed()
        return self._drop(it.bucket, it.key, info)

    def _configure_cache(self, it: ConfigureCache) -> Committed:
        found = self._require_bucket(it.bucket, it.bucket_created)
        if it.rules is not None and found.versioning:
            raise InvalidRequest("A bucket with versioning cannot have an x-s3gw-cache configuration.")
        self._buckets[it.bucket] = msgspec.structs.replace(found, cache=it.rules)
        self._forgetful.configure(it.bucket, it.rules, empty=not self._versions[it.bucket])
        return Committed()

    def _adopt_objects(self, it: AdoptObjects) -> Committed:
        keys = self._versions.get(it.bucket, {})
        adopted = self._forgetful.adopt(it, {key: infos[0] for key, infos in keys.items()})
        for key, info in adopted.items():
            keys[key][0] = info
        return Committed()

    def _delete_object(self, it: DeleteObject) -> Committed:
        bucket = self._require_bucket(it.bucket, it.bucket_created)
        found = self._find(it.bucket, it.key, it.version) if it.version else self.peek(it.bucket, it.key)
        newest = self._all(it.bucket, it.key)[:1] if bucket.versioning and not it.version else []
        require(it.condition, it.key, newest[0] if newest else found)
        if bucket.versioning and not it.version:
            _require_name(it.key)
            return self._put(bucket, it.key, ObjectInfo(0, it.now, "", owner=it.owner, marker=True))
        if found is None and not it.version:
            # It may be gone by the rules of a cache bucket, and its bytes still be there.
            found = self._current(it.bucket, it.key)
        if found is None:
            return Committed()
        refuse_deletion(found.lock, it.now, bypass=it.bypass)
        return self._drop(it.bucket, it.key, found)

    def _expire_object(self, it: ExpireObject) -> Committed:
        self._require_bucket(it.bucket, it.bucket_created)
        if self._current(it.bucket, it.key) != it.seen:
            raise PreconditionFailed()
        return self._delete_object(DeleteObject(it.bucket, it.key, now=it.now, owner=it.owner))

    def _expire_version(self, it: ExpireVersion) -> Committed:
        self._require_bucket(it.bucket, it.bucket_created)
        versions = self._all(it.bucket, it.key)
        current = self._current(it.bucket, it.key)
        if it.seen not in versions or it.seen == current or (it.alone and len(versions) > 1):
            raise PreconditionFailed()
        refuse_deletion(it.seen.lock, it.now)
        return self._drop(it.bucket, it.key, it.seen)

    def _tag_object(self, it: TagObject) -> Committed:
        return self._change(it, self._meant(it), tags=it.tags)

    def _set_object_acl(self, it: SetObjectAcl) -> Committed:
        info = self._meant(it)
        if not same_write(it.seen, info):
            raise ConditionalRequestConflict(Key=it.key)
        return self._change(it, info, grants=it.grants)

    def _retain_object(self, it: RetainObject) -> Committed:
        info = self._meant(it)
        refuse_retention(info.lock, it.lock, it.now, bypass=it.bypass)
        hold = info.lock.hold if info.lock is not None else ""
        return self._change(it, info, lock=ObjectLock(it.lock.mode, it.lock.until, hold))

    def _hold_object(self, it: HoldObject) -> Committed:
        info = self._meant(it)
        lock = info.lock or ObjectLock()
        return self._change(it, info, lock=ObjectLock(lock.mode, lock.until, it.hold))

    def _meant(self, it: TagObject | SetObjectAcl | RetainObject | HoldObject) -> ObjectInfo:
        self._require_bucket(it.bucket, it.bucket_created)
        found = self._find(it.bucket, it.key, it.version) if it.version else self.peek(it.bucket, it.key)
        if found is None:
            raise NoSuchVersion(Key=it.key, VersionId=it.version) if it.version else NoSuchKey(Key=it.key)
        if found.marker:
            raise MethodNotAllowed(Method="PUT", ResourceType="DeleteMarker")
        return found

    def _change(
        self, it: TagObject | SetObjectAcl | RetainObject | HoldObject, info: ObjectInfo, **changes: Any
    ) -> Committed:
        versions = self._versions[it.bucket][it.key]
        changed = versions[versions.index(info)] = msgspec.structs.replace(info, **changes)
        if info.place:
            self._forgetful.retag(it.bucket, it.key, changed)
        return Committed(info)

    def _create_upload(self, it: CreateUpload) -> Committed:
        _require_name(it.info.key)
        self._require_bucket(it.info.bucket, it.bucket_created)
        self._uploads[it.info.bucket, it.info.key, it.info.upload] = it.info
        return Committed()

    def _put_part(self, it: PutPart) -> Committed:
        self._require_upload(it.bucket, it.key, it.upload)
        parts = self._parts.setdefault(it.upload, {})
        replaced = parts.get(it.part.number)
        self._require_blobs(it.part.extents, it.staged)
        parts[it.part.number] = it.part
        return Committed(retired=self._settle(it.part.extents, replaced.extents if replaced else ()))

    def _complete_upload(self, it: CompleteUpload) -> Committed:
        bucket = self._require_bucket(it.bucket, it.bucket_created)
        self._require_upload(it.bucket, it.key, it.upload)
        require(it.condition, it.key, self.peek(it.bucket, it.key))
        parts = self._parts.get(it.upload, {})
        if any(parts.get(part.number) != part for part in it.parts):
            raise ConditionalRequestConflict()
        self._require_blobs(it.info.extents, ())
        lost = [*_extents(self._drop_upload(it.bucket, it.key, it.upload).values())]
        return self._put(bucket, it.key, it.info, lost)

    def _abort_upload(self, it: AbortUpload) -> Committed:
        self._require_upload(it.bucket, it.key, it.upload)
        parts = self._drop_upload(it.bucket, it.key, it.upload)
        return Committed(retired=self._settle((), _extents(parts.values())))

    def _drop_upload(self, bucket: str, key: str, upload: str) -> dict[int, PartInfo]:
        del self._uploads[bucket, key, upload]
        return self._parts.pop(upload, {})


def _extents(parts: Iterable[PartInfo]) -> Iterator[Extent]:
    return (extent for part in parts for extent in part.extents)


def _require_name(name: str) -> None:
    if "\0" in name:
        raise InvalidArgument("A name must not contain NUL.")
