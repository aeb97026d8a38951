"""The law: what each mutation does, evaluated against the rows as those before it leave them.

`ledger.Ledger` is the state: the rows on disk under those that this run has written. Each mutation is a *step*: a
function that reads from the ledger, raises if the mutation must not be, and only then writes. So a step that raises
leaves nothing behind. Steps that scan ask for what was written so far to be on disk first; the others find what they
need by key, and `Step.needs` names those keys in advance, so that one read serves a whole run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from s3gw.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    ConditionalRequestConflict,
    InvalidArgument,
    InvalidBucketState,
    PreconditionFailed,
)
from s3gw.model import ENABLED, NULL, OBJECT_LOCK, BucketInfo, Extent, ObjectInfo, PartInfo
from s3gw.s3.locks import refuse_deletion
from s3gw.store.cache_records import CacheState
from s3gw.store.caches import (
    adopt_objects,
    configure_cache,
    drop_queue,
    enter,
    evict_object,
    leave,
    move_boundary,
    only_expired,
    refuse_versions,
    save_reads,
)
from s3gw.store.conditions import require
from s3gw.store.interface import (
    ALWAYS,
    AbortUpload,
    AdoptObjects,
    CacheMutation,
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
    MoveBoundary,
    Mutation,
    PutObject,
    PutPart,
    RetainObject,
    SaveReads,
    SetObjectAcl,
    SetVersioning,
    TagObject,
)
from s3gw.store.keys import (
    bucket_row,
    cache_row,
    inline_row,
    nulls_of,
    object_row,
    objects_of,
    part_row,
    parts_of,
    queue_row,
    unreferenced_row,
    upload_row,
    uploads_of,
    versions_of,
)
from s3gw.store.ledger import Ledger
from s3gw.store.records import BUCKET, OBJECT, PART, UPLOAD
from s3gw.store.versions import (
    History,
    delete_version,
    expire_version,
    hold_object,
    put_marker,
    put_version,
    retain_object,
    set_object_acl,
    tag_object,
)

UNREADABLE = ObjectInfo(0, 0, "", inline=bytes(16))
"""Stands for an object whose record is corrupt. It may have had an inline body; its blobs, if any, are not known."""


def create_bucket(ledger: Ledger, it: CreateBucket) -> Committed:
    _require_name(it.info.name)
    row = bucket_row(it.info.name)
    found = ledger.get(BUCKET, row)
    if found is not None:
        taken = BucketAlreadyOwnedByYou if found.owner == it.info.owner else BucketAlreadyExists
        raise taken(BucketName=it.info.name)
    ledger.put(BUCKET, row, it.info)
    if it.info.cache is not None:
        ledger.set_cache(it.info.name, (it.info.cache, CacheState()))
    return Committed()


def delete_bucket(ledger: Ledger, it: DeleteBucket) -> Committed:
    bucket = ledger.require_bucket(it.bucket, it.bucket_created)
    ledger.settle()
    expired: list[tuple[str, ObjectInfo]] = []
    if bucket.cache is not None:
        expired = only_expired(ledger, bucket)
    elif not all(ledger.is_empty(rows(it.bucket)) for rows in (objects_of, versions_of, nulls_of)):
        raise BucketNotEmpty(BucketName=it.bucket)
    uploads = list(ledger.walk(UPLOAD, uploads_of(it.bucket)))
    parts = [part for _, upload in uploads for part in ledger.walk(PART, parts_of(upload.upload))]
    gone = [extent for _, info in expired for extent in info.extents]
    changes = ledger.refer((), [*_extents(part for _, part in parts), *gone])
    for row, _ in (*uploads, *parts):
        ledger.delete(row)
    for key, info in expired:
        _remove(ledger, bucket, key, info)
    ledger.delete(bucket_row(it.bucket))
    ledger.delete(cache_row(it.bucket))
    if bucket.cache is not None:
        drop_queue(ledger, it.bucket)
    return Committed(retired=ledger.apply(changes))


def configure_bucket(ledger: Ledger, it: ConfigureBucket) -> Committed:
    found = ledger.require_bucket(it.bucket, it.bucket_created)
    if it.name == OBJECT_LOCK and found.versioning != ENABLED:
        raise InvalidBucketState("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
    documents = {name: document for name, document in found.documents.items() if name != it.name}
    if it.document is not None:
        documents[it.name] = it.document
    ledger.put(BUCKET, bucket_row(it.bucket), replace(found, documents=documents))
    return Committed()


def set_versioning(ledger: Ledger, it: SetVersioning) -> Committed:
    found = ledger.require_bucket(it.bucket, it.bucket_created)
    refuse_versions(found)
    if it.status != ENABLED and OBJECT_LOCK in found.documents:
        raise InvalidBucketState(
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
        )
    ledger.put(BUCKET, bucket_row(it.bucket), replace(found, versioning=it.status))
    return Committed()


def put_object(ledger: Ledger, it: PutObject) -> Committed:
    _require_name(it.key)
    bucket = ledger.require_bucket(it.bucket, it.bucket_created)
    row = object_row(it.bucket, it.key)
    previous = _previous(ledger, row, it)
    if it.condition is not ALWAYS:
        require(it.condition, it.key, ledger.live(bucket, previous))
    if bucket.versioning:
        return put_version(ledger, bucket, it.key, it.info, body=it.body, staged=it.staged)
    gained, lost = () if it.body else it.info.extents, previous.extents if previous else ()
    changes = ledger.refer(gained, lost, it.staged) if gained or lost else {}
    place = _replace(ledger, bucket, it.key, row, previous, it.info)
    body = inline_row(it.bucket, it.key)
    ledger.put_body(body, it.info, it.body)
    if it.info.inline and previous is not None and previous.inline:
        ledger.note_replaced(body, previous)
    retired = ledger.apply(changes) if changes else ()
    return Committed(_told(previous), retired, place=place)


def delete_object(ledger: Ledger, it: DeleteObject) -> Committed:
    bucket = ledger.require_bucket(it.bucket, it.bucket_created)
    if it.version and (bucket.versioning or it.version != NULL):
        return delete_version(ledger, bucket, it)
    previous = _previous(ledger, object_row(it.bucket, it.key), it)
    newest = ledger.live(bucket, previous)
    if bucket.versioning and newest is None and it.condition != ALWAYS:
        newest = History(ledger, it.bucket, it.key).newest_kept()
    require(it.condition, it.key, newest)
    if bucket.versioning:
        _require_name(it.key)
        return put_marker(ledger, bucket, it)
    return _drop_object(ledger, bucket, it, previous, bypass=it.bypass)


def expire_object(ledger: Ledger, it: ExpireObject) -> Committed:
    bucket = ledger.require_bucket(it.bucket, it.bucket_created)
    if ledger.get(OBJECT, object_row(it.bucket, it.key)) != it.seen:
        raise PreconditionFailed()
    if bucket.versioning:
        return put_marker(ledger, bucket, it)
    return _drop_object(ledger, bucket, it, it.seen)


def _drop_object(
    ledger: Ledger,
    bucket: BucketInfo,
    it: DeleteObject | ExpireObject,
    previous: ObjectInfo | None,
    *,
    bypass: bool = False,
) -> Committed:
    if previous is None:
        return Committed()
    # Only versions can be locked, and a bucket whose versions can be keeps them: but a lock is a lock.
    refuse_deletion(previous.lock, it.now, bypass=bypass)
    changes = ledger.refer((), previous.extents)
    _remove(ledger, bucket, it.key, previous)
    return Committed(_told(previous), ledger.apply(changes))


def create_upload(ledger: Ledger, it: CreateUpload) -> Committed:
    _require_name(it.info.key)
    ledger.require_bucket(it.info.bucket, it.bucket_created)
    ledger.put(UPLOAD, upload_row(it.info.bucket, it.info.key, it.info.upload), it.info)
    return Committed()


def put_part(ledger: Ledger, it: PutPart) -> Committed:
    ledger.require_upload(it.bucket, it.key, it.upload)
    row = part_row(it.upload, it.part.number)
    replaced = ledger.get(PART, row)
    changes = ledger.refer(it.part.extents, replaced.extents if replaced else (), it.staged)
    ledger.put(PART, row, it.part)
    return Committed(retired=ledger.apply(changes))


def complete_upload(ledger: Ledger, it: CompleteUpload) -> Committed:
    bucket = ledger.require_bucket(it.bucket, it.bucket_created)
    ledger.require_upload(it.bucket, it.key, it.upload)
    row = object_row(it.bucket, it.key)
    previous = ledger.get(OBJECT, row)
    require(it.condition, it.key, ledger.live(bucket, previous))
    ledger.settle()
    parts = dict(ledger.walk(PART, parts_of(it.upload)))
    if any(parts.get(part_row(it.upload, part.number)) != part for part in it.parts):
        raise ConditionalRequestConflict()
    lost = list(_extents(parts.values()))
    if bucket.versioning:
        outcome = put_version(ledger, bucket, it.key, it.info, lost=lost)
        _drop_upload(ledger, it, parts)
        return outcome
    changes = ledger.refer(it.info.extents, [*lost, *(previous.extents if previous else ())])
    _drop_upload(ledger, it, parts)
    place = _replace(ledger, bucket, it.key, row, previous, it.info)
    return Committed(previous, ledger.apply(changes), place=place)


def abort_upload(ledger: Ledger, it: AbortUpload) -> Committed:
    ledger.require_upload(it.bucket, it.key, it.upload)
    ledger.settle()
    parts = dict(ledger.walk(PART, parts_of(it.upload)))
    changes = ledger.refer((), _extents(parts.values()))
    _drop_upload(ledger, it, parts)
    return Committed(retired=ledger.apply(changes))


def _drop_upload(ledger: Ledger, it: CompleteUpload | AbortUpload, parts: Iterable[bytes]) -> None:
    for row in parts:
        ledger.delete(row)
    ledger.delete(upload_row(it.bucket, it.key, it.upload))


def _previous(ledger: Ledger, row: bytes, it: PutObject | DeleteObject) -> ObjectInfo | None:
    """The object that is to be replaced or deleted. :raises CorruptChunk: if the condition depends on it."""
    try:
        return ledger.get(OBJECT, row)
    except CorruptChunk:
        if it.condition != ALWAYS:
            raise
        return UNREADABLE


def _told(previous: ObjectInfo | None) -> ObjectInfo | None:
    return None if previous is UNREADABLE else previous


def _require_name(name: str) -> None:
    """NUL divides rows: a name with one would be another bucket's or key's."""
    if "\0" in name:
        raise InvalidArgument("A name must not contain NUL.")


def _replace(
    ledger: Ledger, bucket: BucketInfo, key: str, row: bytes, previous: ObjectInfo | None, info: ObjectInfo
) -> int:
    """:return: the place in the queue of a cache bucket."""
    if info.order or not info.null:
        info = replace(info, order=0, null=True)
    if bucket.cache is not None or info.place:
        if previous is not None:
            leave(ledger, bucket, previous)
        info = enter(ledger, bucket, key, info)
    ledger.put(OBJECT, row, info)
    if previous is not None and previous.inline and not info.inline:
        ledger.delete_inline(inline_row(bucket.name, key), previous)
    return info.place


def _remove(ledger: Ledger, bucket: BucketInfo, key: str, info: ObjectInfo) -> None:
    ledger.delete(object_row(bucket.name, key))
    if info.inline:
        ledger.delete_inline(inline_row(bucket.name, key), info)
    leave(ledger, bucket, info)


def _extents(parts: Iterable[PartInfo]) -> Iterator[Extent]:
    return (extent for part in parts for extent in part.extents)


class Step(NamedTuple):
    """How a mutation is done: the rows that it surely reads, and the function that does it."""

    needs: Callable[[Any], tuple[bytes, ...]]
    do: Callable[[Ledger, Any], Committed]


def _bucket_only(it: DeleteBucket | ConfigureBucket | SetVersioning | CacheMutation) -> tuple[bytes, ...]:
    return (bucket_row(it.bucket),)


def _queued(it: EvictObject) -> tuple[bytes, ...]:
    return (bucket_row(it.bucket), object_row(it.bucket, it.key), queue_row(it.bucket, it.place))


def _bucket_and_object(
    it: PutObject | DeleteObject | ExpireObject | ExpireVersion | TagObject | SetObjectAcl | RetainObject | HoldObject,
) -> tuple[bytes, ...]:
    return (bucket_row(it.bucket), object_row(it.bucket, it.key))


def _upload(it: CompleteUpload | AbortUpload) -> tuple[bytes, ...]:
    return (bucket_row(it.bucket), object_row(it.bucket, it.key), upload_row(it.bucket, it.key, it.upload))


def _put(it: PutObject) -> tuple[bytes, ...]:
    rows = _bucket_and_object(it)
    return (*rows, *map(unreferenced_row, it.staged)) if it.staged else rows


def _part(it: PutPart) -> tuple[bytes, ...]:
    return (
        upload_row(it.bucket, it.key, it.upload),
        part_row(it.upload, it.part.number),
        *map(unreferenced_row, it.staged),
    )


STEPS: dict[type[Mutation], Step] = {
    CreateBucket: Step(lambda it: (bucket_row(it.info.name),), create_bucket),
    DeleteBucket: Step(_bucket_only, delete_bucket),
    ConfigureBucket: Step(_bucket_only, configure_bucket),
    SetVersioning: Step(_bucket_only, set_versioning),
    PutObject: Step(_put, put_object),
    DeleteObject: Step(_bucket_and_object, delete_object),
    ExpireObject: Step(_bucket_and_object, expire_object),
    ExpireVersion: Step(_bucket_and_object, expire_version),
    TagObject: Step(_bucket_and_object, tag_object),
    SetObjectAcl: Step(_bucket_and_object, set_object_acl),
    RetainObject: Step(_bucket_and_object, retain_object),
    HoldObject: Step(_bucket_and_object, hold_object),
    CreateUpload: Step(lambda it: (bucket_row(it.info.bucket),), create_upload),
    PutPart: Step(_part, put_part),
    CompleteUpload: Step(_upload, complete_upload),
    AbortUpload: Step(_upload, abort_upload),
    ConfigureCache: Step(_bucket_only, configure_cache),
    EvictObject: Step(_queued, evict_object),
    MoveBoundary: Step(_bucket_only, move_boundary),
    AdoptObjects: Step(_bucket_only, adopt_objects),
    SaveReads: Step(_bucket_only, save_reads),
}
