"""The store over RocksDB."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from time import perf_counter

from zope.interface import implementer

from s3gw.errors import S3Error
from s3gw.model import (
    NULL,
    BucketInfo,
    ListPage,
    ObjectInfo,
    PartInfo,
    PartPage,
    UploadInfo,
    UploadPage,
    VersionPage,
    version_order,
)
from s3gw.s3.listing import list_page
from s3gw.store.cache_records import QueueRecord
from s3gw.store.caches import Caches, load_caches
from s3gw.store.check import Fault, faults
from s3gw.store.checkpoint import take_checkpoint
from s3gw.store.commit import STEPS
from s3gw.store.engine import Batch, Durability, Engine, Observe, each
from s3gw.store.interface import (
    UNKNOWN,
    AdoptObjects,
    ChunkRow,
    ConfigureBucket,
    ConfigureCache,
    CorruptChunk,
    CreateBucket,
    CreateUpload,
    DeleteObject,
    ExpireObject,
    HoldObject,
    ICheckpointStore,
    InlineRow,
    IObjectStore,
    IScrubStore,
    ListQuery,
    Mutation,
    Outcome,
    PutObject,
    PutPart,
    RetainObject,
    ScrubStep,
    SetObjectAcl,
    SetVersioning,
    StaleBody,
    StoreFull,
    StoreStalled,
    TagObject,
    Unknown,
    UploadQuery,
    VersionQuery,
)
from s3gw.store.keys import (
    BUCKETS,
    CHUNKS,
    INLINE_BODIES,
    MAX_PART,
    bucket_row,
    chunk_row,
    inline_row,
    null_row,
    number_of,
    object_row,
    objects_of,
    part_row,
    parts_of,
    queue_of,
    queue_row,
    upload_row,
    uploads_of,
    version_row,
    versions_of_key,
)
from s3gw.store.ledger import Ledger
from s3gw.store.logs import open_recovered
from s3gw.store.marker import claim
from s3gw.store.options import MIB
from s3gw.store.reclaim import Rounds, delete_blobs, unreferenced
from s3gw.store.records import BUCKET, OBJECT, PART, QUEUE, UPLOAD, open_chunk, open_inline
from s3gw.store.scan import ObjectCursor, UploadCursor, VersionCursor, Walk
from s3gw.store.scrub import scrub_step
from s3gw.store.staging import WRITE_BYTES, Staging

RESERVE_BYTES = 256 * MIB
"""Room on disk that is kept for deletes and compaction, unless told otherwise."""

GROWING = (
    *(CreateBucket, ConfigureBucket, SetVersioning, ConfigureCache, AdoptObjects),
    *(PutObject, TagObject, SetObjectAcl, RetainObject, HoldObject, CreateUpload, PutPart),
)
"""Mutations that are refused when there is no room; the others free some, or free what was staged."""


def now_ms() -> int:
    """The time, in ms since the epoch."""
    return time.time_ns() // 1_000_000


@implementer(IObjectStore, ICheckpointStore, IScrubStore)
class RocksStore:
    """The store over RocksDB. See `IObjectStore`, and `keys` for the rows.

    :ivar swept: blobs that a crash, or a close before they were freed, had left behind and opening removed.
    :ivar damage: what opening found damaged, and went on in spite of; in words, for the log.
    """

    def __init__(self, engine: Engine, damage: Sequence[str] = (), now: Callable[[], int] = now_ms) -> None:
        self._engine = engine
        self._now = now
        self.damage = list(damage)
        self.caches = load_caches(engine, self.damage)
        self._references = Lock()
        self._staging = Staging(engine)
        self._rounds = Rounds(engine)
        self.swept = self._sweep()

    @classmethod
    def open(
        cls,
        path: str,
        *,
        durability: Durability = "commit",
        cache_bytes: int,
        create: bool = True,
        reserve_bytes: int = RESERVE_BYTES,
        observe: Observe | None = None,
        now: Callable[[], int] = now_ms,
    ) -> RocksStore:
        """Open the database in directory ``path``.

        :param durability: when `commit` returns: ``commit`` once it is on disk, ``os`` once the kernel has it,
            ``memory`` at once.
        :param cache_bytes: of the block cache, which holds the records that are looked up and listed.
        :param create: make the directory and the database if there is none.
        :param reserve_bytes: with less room on disk, writes that need room raise `StoreFull`.
        :param observe: told of each operation on RocksDB.
        :param now: ms since the epoch: decides whether an object of a cache bucket is there.
        :raises StoreUnusable: in one line, why not.
        """
        with claim(path, create=create):
            engine, damage = open_recovered(
                path,
                lambda: Engine(
                    path,
                    durability=durability,
                    cache_bytes=cache_bytes,
                    create=create,
                    reserve_bytes=reserve_bytes,
                    observe=observe,
                ),
            )
        return cls(engine, damage, now)

    def expired(self, bucket: str, info: ObjectInfo) -> bool:
        """As `IObjectStore.expired`."""
        cache = self.caches.get(bucket)
        return cache is not None and cache.expired(info, self._now())

    def queue(self, bucket: str, start: int, end: int, limit: int) -> list[tuple[int, QueueRecord]]:
        begun = perf_counter()
        walk = Walk(self._engine, queue_of(bucket))
        walk.seek(queue_row(bucket, start))
        found: list[tuple[int, QueueRecord]] = []
        while len(found) < limit and (entry := walk.next()) is not None and number_of(entry[0]) < end:
            found.append((number_of(entry[0]), QUEUE.decode(*entry)))
        self._engine.observed("iter", 0, begun)
        return found

    def peek(self, bucket: str, key: str) -> ObjectInfo | Unknown | None:
        """:raises CorruptChunk:"""
        row = object_row(bucket, key)
        may_exist, value = self._engine.peek(row)
        if value is not None:
            info = OBJECT.decode(row, value)
            return None if info.place and self.expired(bucket, info) else info
        return UNKNOWN if may_exist else None

    def peek_bucket(self, bucket: str) -> BucketInfo | Unknown | None:
        """:raises CorruptChunk:"""
        row = bucket_row(bucket)
        may_exist, value = self._engine.peek(row)
        if value is not None:
            return BUCKET.decode(row, value)
        return UNKNOWN if may_exist else None

    def look_up(self, names: Sequence[tuple[str, str]]) -> list[ObjectInfo | CorruptChunk | None]:
        rows = [object_row(bucket, key) for bucket, key in names]
        found = [_open_object(row, value) for row, value in zip(rows, each(self._engine.records, rows), strict=True)]
        return [self._unless_expired(bucket, info) for (bucket, _), info in zip(names, found, strict=True)]

    def _unless_expired(self, bucket: str, info: ObjectInfo | CorruptChunk | None) -> ObjectInfo | CorruptChunk | None:
        return None if isinstance(info, ObjectInfo) and info.place and self.expired(bucket, info) else info

    def look_up_versions(self, names: Sequence[tuple[str, str, str]]) -> list[ObjectInfo | CorruptChunk | None]:
        rows: list[bytes] = []
        for bucket, key, version in names:
            order = version_order(version)
            rows.append(object_row(bucket, key))
            rows.append(null_row(bucket, key) if order is None else version_row(bucket, key, order))
        values = each(self._engine.records, rows)
        opened = [_open_object(row, value) for row, value in zip(rows, values, strict=True)]
        for index, (bucket, _, _) in enumerate(names):
            opened[2 * index] = self._unless_expired(bucket, opened[2 * index])
        return [
            self._choose(*name, current, kept)
            for name, current, kept in zip(names, opened[::2], opened[1::2], strict=True)
        ]

    def _choose(
        self,
        bucket: str,
        key: str,
        version: str,
        current: ObjectInfo | CorruptChunk | None,
        kept: ObjectInfo | CorruptChunk | None,
    ) -> ObjectInfo | CorruptChunk | None:
        """The version that was asked for, from the current one and the one that has its row."""
        if isinstance(current, ObjectInfo) and version in ("", current.version):
            return current
        if version:
            found = kept if version == NULL or version_order(version) is not None else None
            return current if found is None and isinstance(current, CorruptChunk) else found
        if current is not None:
            return current
        # No object: the newest is a delete marker, here or there, or there is nothing.
        walk = Walk(self._engine, versions_of_key(bucket, key))
        newest = walk.next()
        other = None if newest is None else _open_object(*newest)
        if isinstance(other, ObjectInfo) and isinstance(kept, ObjectInfo):
            return max(other, kept, key=lambda info: info.order)
        return other if kept is None else kept

    def look_up_buckets(self, names: Sequence[str]) -> list[BucketInfo | None]:
        rows = [bucket_row(name) for name in names]
        values = self._engine.records(rows)
        return [None if value is None else BUCKET.decode(row, value) for row, value in zip(rows, values, strict=True)]

    def look_up_uploads(self, names: Sequence[tuple[str, str, str]]) -> list[UploadInfo | None]:
        rows = [upload_row(*name) for name in names]
        values = self._engine.records(rows)
        return [None if value is None else UPLOAD.decode(row, value) for row, value in zip(rows, values, strict=True)]

    def buckets(self) -> list[BucketInfo]:
        start = perf_counter()
        walk = Walk(self._engine, BUCKETS)
        found = []
        while (entry := walk.next()) is not None:
            found.append(BUCKET.decode(*entry))
        self._engine.observed("iter", 0, start)
        return found

    def list_objects(self, bucket: str, query: ListQuery) -> ListPage:
        start = perf_counter()
        cursor = ObjectCursor(self._engine, objects_of(bucket), query.prefix, self.caches.get(bucket), self._now())
        page = ListPage(*list_page(cursor, query.prefix, query.delimiter, query.after, query.limit))
        self._engine.observed("iter", cursor.nbytes, start)
        return page

    def list_versions(self, bucket: str, query: VersionQuery) -> VersionPage:
        start = perf_counter()
        cursor = VersionCursor(
            self._engine, bucket, query.prefix, query.after, query.after_order, self.caches.get(bucket), self._now()
        )
        found, prefixes, truncated, last = list_page(cursor, query.prefix, query.delimiter, query.after, query.limit)
        self._engine.observed("iter", cursor.nbytes, start)
        return VersionPage.of(found, prefixes, truncated, last)

    def list_uploads(self, bucket: str, query: UploadQuery) -> UploadPage:
        start = perf_counter()
        cursor = UploadCursor(self._engine, uploads_of(bucket), query.prefix, query.after, query.after_upload)
        entries, prefixes, truncated, last = list_page(cursor, query.prefix, query.delimiter, query.after, query.limit)
        uploads = tuple(upload for _, upload in entries)
        self._engine.observed("iter", cursor.nbytes, start)
        last_upload = uploads[-1].upload if uploads and uploads[-1].key == last else ""
        return UploadPage(uploads, prefixes, truncated, last, last_upload)

    def list_parts(self, upload: str, after: int, limit: int) -> PartPage:
        start = perf_counter()
        walk = Walk(self._engine, parts_of(upload))
        walk.seek(part_row(upload, min(after, MAX_PART)) + b"\0")
        parts: list[PartInfo] = []
        while (found := walk.next()) is not None and len(parts) < limit:
            parts.append(PART.decode(*found))
        self._engine.observed("iter", 0, start)
        return PartPage(tuple(parts), truncated=found is not None and limit > 0)

    def read(self, rows: Sequence[ChunkRow | InlineRow]) -> list[bytes | memoryview | Exception]:
        keys = [
            chunk_row(row.blob, row.number) if isinstance(row, ChunkRow) else inline_row(row.bucket, row.key, row.order)
            for row in rows
        ]
        values: dict[bytes, bytes | CorruptChunk | None] = {}
        for get, prefix in ((self._engine.chunks, CHUNKS), (self._engine.inline, INLINE_BODIES)):
            wanted = [key for key in keys if key.startswith(prefix)]
            if wanted:
                values.update(zip(wanted, each(get, wanted), strict=True))
        return [_open_body(row, key, values[key]) for row, key in zip(rows, keys, strict=True)]

    def begin_blob(self) -> bytes:
        # The time in front: the rows of blobs written together stand together, and new ones behind all others.
        return time.time_ns().to_bytes(8, "big") + os.urandom(8)

    def stage(self, blob: bytes, number: int, chunks: Sequence[bytes]) -> None:
        self._staging.stage(blob, number, chunks)

    def unsettled(self, blobs: Sequence[bytes]) -> bool:
        return self._staging.unsettled(blobs)

    def settle(self, blobs: Sequence[bytes]) -> None:
        self._staging.settle(blobs)

    def commit(self, mutations: Sequence[Mutation]) -> list[Outcome]:
        # Nothing to do for who has settled before, as one should: here others wait for it.
        self._staging.settle(blob for it in mutations if isinstance(it, PutObject | PutPart) for blob in it.staged)
        run = _Commit(self._engine, self.caches, self._now())
        with self._references:
            written = run.write(mutations)
        if written:
            self._engine.sync()
        if run.ledger.replaced:
            self._rounds.replaced(run.ledger.last_replaced, run.ledger.replaced)
        return run.results

    def free(self, blobs: Sequence[bytes]) -> None:
        self._staging.forget(blobs)
        self._rounds.freed(delete_blobs(self._engine, self._references, blobs))

    def _sweep(self) -> int:
        swept = 0
        try:
            for blob in unreferenced(self._engine):
                self.free([blob])
                swept += 1
        except CorruptChunk as damage:
            # What is left unswept takes room; the rest of the database can be read all the same.
            self.damage.append(f"blobs that nothing refers to are not swept: {damage}")
        return swept

    def check(self) -> None:
        self._engine.check()

    def faults(self) -> Iterator[Fault]:
        """Read every row and tell what is wrong. Nothing may be written meanwhile."""
        return faults(self._engine)

    def checkpoint(self, path: str) -> None:
        """As `ICheckpointStore.checkpoint`."""
        take_checkpoint(self._engine, path)

    def scrub(self, position: bytes) -> ScrubStep:
        """As `IScrubStore.scrub`."""
        return scrub_step(self._engine, position)

    def properties(self) -> dict[str, int]:
        return self._engine.properties()

    def close(self) -> None:
        self._rounds.end()
        self._engine.close(self._rounds.thread)


def _open_object(row: bytes, value: bytes | CorruptChunk | None) -> ObjectInfo | CorruptChunk | None:
    if not isinstance(value, bytes):
        return value
    try:
        return OBJECT.decode(row, value)
    except CorruptChunk as error:
        return error.with_traceback(None)


def _open_body(row: ChunkRow | InlineRow, key: bytes, value: bytes | CorruptChunk | None) -> memoryview | Exception:
    if isinstance(value, Exception):
        return value
    try:
        if isinstance(row, ChunkRow):
            return open_chunk(key, value)
        return open_inline(key, value, row.inline)
    except (CorruptChunk, StaleBody) as error:
        return error.with_traceback(None)


def _grows(ledger: Ledger, it: Mutation) -> bool:
    """Whether a mutation needs room: a delete does that leaves a delete marker."""
    if type(it) in GROWING:
        return True
    if isinstance(it, ExpireObject) or (isinstance(it, DeleteObject) and not it.version):
        bucket = ledger.get(BUCKET, bucket_row(it.bucket))
        return bucket is not None and bool(bucket.versioning)
    return False


class _Commit:
    """One call of `RocksStore.commit`."""

    def __init__(self, engine: Engine, caches: Caches, now: int) -> None:
        self._engine = engine
        self.ledger = Ledger(engine, self._write, caches, now)
        self._written = 0
        self.results: list[Outcome] = []

    def write(self, mutations: Sequence[Mutation]) -> bool:
        """Evaluate the mutations and write what they do. :return: whether there was anything to write."""
        self._engine.check()
        full: StoreFull | None = None
        try:
            self._engine.make_room(sum(len(it.body) for it in mutations if isinstance(it, PutObject)))
        except StoreFull as error:
            full = error
        ledger = self.ledger
        needed = [row for it in mutations for row in STEPS[type(it)].needs(it)]
        ledger.load(needed)
        ledger.load_references(needed)
        try:
            for it in mutations:
                try:
                    if full is not None and _grows(ledger, it):
                        self.results.append(full)
                        continue
                    self.results.append(STEPS[type(it)].do(ledger, it))
                except (S3Error, CorruptChunk) as error:
                    # Its traceback leads to everything that this commit has read.
                    self.results.append(error.with_traceback(None))
                if ledger.batch.nbytes >= WRITE_BYTES:
                    ledger.settle()
            ledger.settle()
        except (StoreStalled, StoreFull) as error:
            if not self._written:
                raise
            self.results[self._written :] = [error] * (len(mutations) - self._written)
        return self._written > 0

    def _write(self, batch: Batch) -> None:
        self._engine.write(batch)
        self._written = len(self.results)
