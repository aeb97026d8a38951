"""The law: what each mutation does, evaluated against the rows as those before it leave them.

`Ledger` is the state: the rows on disk under those that this run has written. Each mutation is a *step*: a function
that reads from the ledger, raises if the mutation must not be, and only then writes. So a step that raises leaves
nothing behind. Steps that scan ask for what was written so far to be on disk first; the others find what they need by
key, and `Step.needs` names those keys in advance, so that one read serves a whole run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from s3gw.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    ConditionalRequestConflict,
    InternalError,
    InvalidArgument,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
)
from s3gw.model import BucketInfo, Extent, ObjectInfo, PartInfo, UploadInfo
from s3gw.store.conditions import require
from s3gw.store.engine import Batch, Engine
from s3gw.store.interface import (
    ALWAYS,
    AbortUpload,
    Committed,
    CompleteUpload,
    ConfigureBucket,
    CorruptChunk,
    CreateBucket,
    CreateUpload,
    DeleteBucket,
    DeleteObject,
    Mutation,
    PutObject,
    PutPart,
    TagObject,
)
from s3gw.store.keys import (
    bucket_row,
    inline_row,
    object_row,
    objects_of,
    part_row,
    parts_of,
    references_row,
    unreferenced_row,
    upload_row,
    uploads_of,
)
from s3gw.store.records import BLOB, BUCKET, DOOMED, OBJECT, PART, UPLOAD, BlobRecord, Codec, seal_inline
from s3gw.store.scan import Walk

T = TypeVar("T")


UNREADABLE = ObjectInfo(0, 0, "", inline=bytes(16))
"""Stands for an object whose record is corrupt. It may have had an inline body; its blobs, if any, are not known."""

Changes = dict[bytes, tuple[BlobRecord, BlobRecord]]
"""What becomes of blobs: the record of each before and after."""


class Ledger:
    """The rows as the mutations so far leave them, and the batch that makes them so.

    :ivar replaced: bytes of inline bodies that were overwritten or deleted, that of row ``last_replaced`` the last.
    """

    def __init__(self, engine: Engine, write: Callable[[Batch], None]) -> None:
        self._engine = engine
        self._write = write
        self._rows: dict[bytes, Any] = {}
        self.batch = engine.batch()
        self.replaced = 0
        self.last_replaced = b""

    def load(self, rows: Iterable[bytes]) -> None:
        """Read these rows, all at once, unless they are known."""
        known = self._rows
        missing = [row for row in dict.fromkeys(rows) if row not in known]
        if missing:
            known.update(zip(missing, self._engine.records(missing), strict=True))

    def get(self, codec: Codec[T], row: bytes) -> T | None:
        """The record under ``row``. :raises CorruptChunk:"""
        if row not in self._rows:
            self.load((row,))
        record: T | bytes | None = self._rows[row]
        if type(record) is bytes:
            record = self._rows[row] = codec.decode(row, record)
        return record  # type: ignore[return-value]  # no record is bytes

    def put(self, codec: Codec[T], row: bytes, record: T) -> None:
        self._rows[row] = record
        self.batch.put(row, codec.encode(row, record))

    def delete(self, row: bytes) -> None:
        self._rows[row] = None
        self.batch.delete(row)

    def delete_inline(self, body: bytes, previous: ObjectInfo) -> None:
        """Delete the inline body of ``previous``."""
        self.batch.delete_inline(body)
        self.note_replaced(body, previous)

    def note_replaced(self, body: bytes, previous: ObjectInfo) -> None:
        """The inline body of ``previous`` is no longer in row ``body``."""
        self.replaced += previous.size
        self.last_replaced = body

    def settle(self) -> None:
        """Write what was batched, so that scans see it."""
        if len(self.batch):
            self._write(self.batch)

    def is_empty(self, prefix: bytes) -> bool:
        """Whether no record starts with ``prefix``; `settle` comes before it."""
        return Walk(self._engine, prefix).next() is None

    def walk(self, codec: Codec[T], prefix: bytes) -> Iterator[tuple[bytes, T]]:
        """The records that start with ``prefix``; `settle` comes before it."""
        walk = Walk(self._engine, prefix)
        while (found := walk.next()) is not None:
            yield found[0], codec.decode(*found)

    def refer(self, gained: Iterable[Extent], lost: Iterable[Extent], staged: Sequence[bytes] = ()) -> Changes:
        """How the references to blobs change. Writes nothing.

        :raises ConditionalRequestConflict: if a blob that was not staged has no reference to share any more.
        """
        difference: dict[bytes, int] = {}
        for extent in gained:
            difference[extent.blob] = difference.get(extent.blob, 0) + 1
        for extent in lost:
            difference[extent.blob] = difference.get(extent.blob, 0) - 1
        difference = {blob: by for blob, by in difference.items() if by}
        changes: Changes = {}
        if not difference:
            return changes
        fresh = set(staged)
        self.load(unreferenced_row(blob) if blob in fresh else references_row(blob) for blob in difference)
        for blob, by in difference.items():
            before = self.get(BLOB, unreferenced_row(blob) if blob in fresh else references_row(blob))
            if before is not None and before.references != DOOMED:
                changes[blob] = before, BlobRecord(before.chunks, max(0, before.references + by))
            elif blob in fresh:
                raise InternalError("A part of the body is no longer there.")
            elif by > 0:
                raise ConditionalRequestConflict()
        return changes

    def apply(self, changes: Changes) -> tuple[bytes, ...]:
        """Write what `refer` found. :return: the blobs that are retired by it."""
        retired = []
        for blob, (before, after) in changes.items():
            if after.references:
                self.put(BLOB, references_row(blob), after)
                if not before.references:
                    self.delete(unreferenced_row(blob))
            else:
                self.delete(references_row(blob))
                self.put(BLOB, unreferenced_row(blob), after)
                retired.append(blob)
        return tuple(retired)

    def require_bucket(self, bucket: str, created: int | None) -> BucketInfo:
        """:raises NoSuchBucket: also when it is another than the one created then."""
        found = self.get(BUCKET, bucket_row(bucket))
        if found is None or created not in (None, found.created):
            raise NoSuchBucket(BucketName=bucket)
        return found

    def require_upload(self, bucket: str, key: str, upload: str) -> UploadInfo:
        """:raises NoSuchUpload:"""
        found = self.get(UPLOAD, upload_row(bucket, key, upload))
        if found is None:
            raise NoSuchUpload(UploadId=upload)
        return found


def create_bucket(ledger: Ledger, it: CreateBucket) -> Committed:
    _require_name(it.info.name)
    row = bucket_row(it.info.name)
    found = ledger.get(BUCKET, row)
    if found is not None:
        taken = BucketAlreadyOwnedByYou if found.owner == it.info.owner else BucketAlreadyExists
        raise taken(BucketName=it.info.name)
    ledger.put(BUCKET, row, it.info)
    return Committed()


def delete_bucket(ledger: Ledger, it: DeleteBucket) -> Committed:
    ledger.require_bucket(it.bucket, it.bucket_created)
    ledger.settle()
    if not ledger.is_empty(objects_of(it.bucket)):
        raise BucketNotEmpty(BucketName=it.bucket)
    uploads = list(ledger.walk(UPLOAD, uploads_of(it.bucket)))
    parts = [part for _, upload in uploads for part in ledger.walk(PART, parts_of(upload.upload))]
    changes = ledger.refer((), _extents(part for _, part in parts))
    for row, _ in (*uploads, *parts):
        ledger.delete(row)
    ledger.delete(bucket_row(it.bucket))
    return Committed(retired=ledger.apply(changes))


def configure_bucket(ledger: Ledger, it: ConfigureBucket) -> Committed:
    found = ledger.require_bucket(it.bucket, it.bucket_created)
    documents = {name: document for name, document in found.documents.items() if name != it.name}
    if it.document is not None:
        documents[it.name] = it.document
    info = BucketInfo(found.name, found.created, found.owner, found.region, documents)
    ledger.put(BUCKET, bucket_row(it.bucket), info)
    return Committed()


def put_object(ledger: Ledger, it: PutObject) -> Committed:
    _require_name(it.key)
    ledger.require_bucket(it.bucket, it.bucket_created)
    previous = _previous(ledger, it)
    require(it.condition, it.key, previous)
    changes = ledger.refer(it.info.extents, previous.extents if previous else (), it.staged)
    _replace(ledger, it.bucket, it.key, previous, it.info)
    if it.info.inline:
        body = inline_row(it.bucket, it.key)
        ledger.batch.put_inline(body, seal_inline(body, it.body, it.info.inline))
        if previous is not None and previous.inline:
            ledger.note_replaced(body, previous)
    return Committed(_told(previous), ledger.apply(changes))


def delete_object(ledger: Ledger, it: DeleteObject) -> Committed:
    ledger.require_bucket(it.bucket, it.bucket_created)
    previous = _previous(ledger, it)
    require(it.condition, it.key, previous)
    if previous is None:
        return Committed()
    changes = ledger.refer((), previous.extents)
    ledger.delete(object_row(it.bucket, it.key))
    if previous.inline:
        ledger.delete_inline(inline_row(it.bucket, it.key), previous)
    return Committed(_told(previous), ledger.apply(changes))


def tag_object(ledger: Ledger, it: TagObject) -> Committed:
    ledger.require_bucket(it.bucket, it.bucket_created)
    row = object_row(it.bucket, it.key)
    previous = ledger.get(OBJECT, row)
    if previous is None:
        raise NoSuchKey(Key=it.key)
    ledger.put(OBJECT, row, msgspec.structs.replace(previous, tags=it.tags))
    return Committed(previous)


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
    ledger.require_bucket(it.bucket, it.bucket_created)
    ledger.require_upload(it.bucket, it.key, it.upload)
    previous = ledger.get(OBJECT, object_row(it.bucket, it.key))
    require(it.condition, it.key, previous)
    ledger.settle()
    parts = dict(ledger.walk(PART, parts_of(it.upload)))
    if any(parts.get(part_row(it.upload, part.number)) != part for part in it.parts):
        raise ConditionalRequestConflict()
    lost = [*_extents(parts.values()), *(previous.extents if previous else ())]
    changes = ledger.refer(it.info.extents, lost)
    for row in parts:
        ledger.delete(row)
    ledger.delete(upload_row(it.bucket, it.key, it.upload))
    _replace(ledger, it.bucket, it.key, previous, it.info)
    return Committed(previous, ledger.apply(changes))


def abort_upload(ledger: Ledger, it: AbortUpload) -> Committed:
    ledger.require_upload(it.bucket, it.key, it.upload)
    ledger.settle()
    parts = list(ledger.walk(PART, parts_of(it.upload)))
    changes = ledger.refer((), _extents(part for _, part in parts))
    for row, _ in parts:
        ledger.delete(row)
    ledger.delete(upload_row(it.bucket, it.key, it.upload))
    return Committed(retired=ledger.apply(changes))


def _previous(ledger: Ledger, it: PutObject | DeleteObject) -> ObjectInfo | None:
    """The object that is to be replaced or deleted. :raises CorruptChunk: if the condition depends on it."""
    try:
        return ledger.get(OBJECT, object_row(it.bucket, it.key))
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


def _replace(ledger: Ledger, bucket: str, key: str, previous: ObjectInfo | None, info: ObjectInfo) -> None:
    ledger.put(OBJECT, object_row(bucket, key), info)
    if previous is not None and previous.inline and not info.inline:
        ledger.delete_inline(inline_row(bucket, key), previous)


def _extents(parts: Iterable[PartInfo]) -> Iterator[Extent]:
    return (extent for part in parts for extent in part.extents)


class Step(NamedTuple):
    """How a mutation is done: the rows that it surely reads, and the function that does it."""

    needs: Callable[[Any], tuple[bytes, ...]]
    do: Callable[[Ledger, Any], Committed]


def _bucket_only(it: DeleteBucket | ConfigureBucket) -> tuple[bytes, ...]:
    return (bucket_row(it.bucket),)


def _bucket_and_object(it: PutObject | DeleteObject | TagObject) -> tuple[bytes, ...]:
    return (bucket_row(it.bucket), object_row(it.bucket, it.key))


def _upload(it: CompleteUpload | AbortUpload) -> tuple[bytes, ...]:
    return (bucket_row(it.bucket), object_row(it.bucket, it.key), upload_row(it.bucket, it.key, it.upload))


def _put(it: PutObject) -> tuple[bytes, ...]:
    return (*_bucket_and_object(it), *map(unreferenced_row, it.staged))


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
    PutObject: Step(_put, put_object),
    DeleteObject: Step(_bucket_and_object, delete_object),
    TagObject: Step(_bucket_and_object, tag_object),
    CreateUpload: Step(lambda it: (bucket_row(it.info.bucket),), create_upload),
    PutPart: Step(_part, put_part),
    CompleteUpload: Step(_upload, complete_upload),
    AbortUpload: Step(_upload, abort_upload),
}
