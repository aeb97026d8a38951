"""The rows as the mutations of one commit leave them, and the batch that makes them so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import Any, TypeVar

from s3gw.errors import ConditionalRequestConflict, InternalError, NoSuchBucket, NoSuchUpload
from s3gw.model import PIN, BucketInfo, CacheRules, Extent, ObjectInfo, UploadInfo
from s3gw.store.cache_records import CacheState
from s3gw.store.caches import CacheBucket, Caches, ends
from s3gw.store.engine import Batch, Engine
from s3gw.store.interface import CorruptChunk
from s3gw.store.keys import (
    OBJECTS,
    bucket_row,
    cache_row,
    chunk_row,
    references_row,
    unreferenced_row,
    upload_row,
)
from s3gw.store.records import (
    BLOB,
    BUCKET,
    CACHE,
    DOOMED,
    OBJECT,
    UPLOAD,
    BlobRecord,
    Codec,
    seal_chunk,
    seal_inline,
)
from s3gw.store.scan import Walk

T = TypeVar("T")


FEW = 4
"""Extents of an object that most have no more of."""

Changes = dict[bytes, tuple[BlobRecord, BlobRecord]]
"""What becomes of blobs: the record of each before and after."""


class Ledger:
    """The rows as the mutations so far leave them, and the batch that makes them so.

    :param caches: the cache buckets, which follow what is written.
    :param now: ms since the epoch.
    :ivar replaced: bytes of inline bodies that were overwritten or deleted, that of row ``last_replaced`` the last.
    :ivar unsettled: prefixes of rows in the batch that `rows` is asked for.
    """

    def __init__(self, engine: Engine, write: Callable[[Batch], None], caches: Caches, now: int) -> None:
        self._engine = engine
        self._write = write
        self._now = now
        self._caches = caches
        self._states: dict[str, CacheState] = {}
        self._configured: dict[str, tuple[CacheRules, CacheState] | None] = {}
        self._rows: dict[bytes, Any] = {}
        self.batch = engine.batch()
        self.replaced = 0
        self.last_replaced = b""
        self.unsettled: set[bytes] = set()

    def load(self, rows: Iterable[bytes]) -> None:
        """Read these rows, all at once, unless they are known."""
        known = self._rows
        missing = [row for row in dict.fromkeys(rows) if row not in known]
        if missing:
            known.update(zip(missing, self._engine.records(missing), strict=True))

    def load_references(self, rows: Iterable[bytes]) -> None:
        """Read what is known of the blobs of those objects whose records `load` has read with these rows, all at once:
        of one after the other, each read is a chance for other threads to take the interpreter."""
        blobs: list[bytes] = []
        for row in rows:
            if self._rows[row] is None or not row.startswith(OBJECTS):
                continue
            try:
                info = self.get(OBJECT, row)
            except CorruptChunk:
                continue
            if info is not None and len(info.extents) <= FEW:
                blobs += (extent.blob for extent in info.extents)
        if blobs:
            self.load(map(references_row, blobs))

    def get(self, codec: Codec[T], row: bytes) -> T | None:
        """The record under ``row``. :raises CorruptChunk:"""
        if row not in self._rows:
            self.load((row,))
        record: T | bytes | None = self._rows[row]
        if type(record) is bytes:
            record = self._rows[row] = codec.decode(row, record)
        return record  # type: ignore[return-value]  # no record is bytes

    def exists(self, row: bytes) -> bool:
        """Whether there is a record under ``row``, readable or not."""
        self.load((row,))
        return self._rows[row] is not None

    def put(self, codec: Codec[T], row: bytes, record: T) -> None:
        self._rows[row] = record
        self.batch.put(row, codec.encode(row, record))

    def delete(self, row: bytes) -> None:
        self._rows[row] = None
        self.batch.delete(row)

    def put_body(self, row: bytes, info: ObjectInfo, body: bytes) -> None:
        """Write the body of ``info`` that came with it: inline in ``row``, or as a blob of one chunk."""
        if info.inline:
            self.batch.put_inline(row, seal_inline(row, body, info.inline))
        elif body:
            (extent,) = info.extents
            row = chunk_row(extent.blob, 0)
            self.batch.put_chunk(row, seal_chunk(row, body))
            self.put(BLOB, references_row(extent.blob), BlobRecord(1, 1))

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
            for bucket, state in self._states.items():
                row = cache_row(bucket)
                self.batch.put(row, CACHE.encode(row, state))
            self._write(self.batch)
            self._follow()
        self.unsettled.clear()

    def _follow(self) -> None:
        """Let memory have the cache buckets as they were written."""
        for bucket, cache in self._configured.items():
            if cache is None:
                self._caches.pop(bucket, None)
            elif bucket in self._caches:
                self._caches[bucket].configure(cache[0])
            else:
                self._caches[bucket] = CacheBucket(*cache)
        self._configured.clear()
        for bucket, state in self._states.items():
            self._caches[bucket].state = copy(state)

    def cache_state(self, bucket: str) -> CacheState:
        """What a cache bucket holds, to be changed together with its rows."""
        state = self._states.get(bucket)
        if state is None:
            configured = self._configured.get(bucket)
            state = self._states[bucket] = copy(configured[1] if configured else self._caches[bucket].state)
        return state

    def set_cache(self, bucket: str, cache: tuple[CacheRules, CacheState] | None) -> None:
        """A bucket is a cache bucket from now on, by other rules, or no longer."""
        self._configured[bucket] = cache
        self._states.pop(bucket, None)
        if cache is not None:
            self._states[bucket] = cache[1]

    def live(self, bucket: BucketInfo, info: ObjectInfo | None) -> ObjectInfo | None:
        """The object, unless it is gone by the rules of its bucket."""
        if info is None or bucket.cache is None or not info.place or PIN in info.tags:
            return info
        cache = self._caches.get(bucket.name)
        if cache is None or info.place < self.cache_state(bucket.name).base:
            return info
        gone = 0 < ends(bucket.cache, cache.reads, info.modified, info.ttl, info.place) <= self._now
        return None if gone else info

    def rows(self, prefix: bytes) -> Iterator[bytes]:
        """The keys of the records that start with ``prefix``. Whoever batches such rows adds it to `unsettled`."""
        if prefix in self.unsettled:
            self.settle()
        walk = Walk(self._engine, prefix)
        while (found := walk.next()) is not None:
            yield found[0]

    def is_empty(self, prefix: bytes) -> bool:
        """Whether no record starts with ``prefix``; `settle` comes before it."""
        return Walk(self._engine, prefix).next() is None

    def walk(self, codec: Codec[T], prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, T]]:
        """The records that start with ``prefix``, from the row ``start`` on; `settle` comes before it."""
        walk = Walk(self._engine, prefix)
        if start:
            walk.seek(start)
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
