"""Whether every row of a database agrees with every other: what an administrator's check and the crash tests ask.

===================  ==========================================================================================
rows                 must
===================  ==========================================================================================
any                  be what was written
object, upload       be in a bucket that exists
version              be in a bucket that exists, in the row of its kind and order, older than the object of its key; and
                     where there is no object, the newest be a delete marker
part                 be of an upload that exists
inline body          be there for each object that names one, with its id, and for nothing else
referenced blob      count the extents of objects and parts that name it, and be there for each that is named
unreferenced blob    be named by nothing
queue                have the place of the object that it names, and every place that is counted; row K is their sum
chunk                be of a blob that exists, one for each number below the blob's count
===================  ==========================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from heapq import merge
from itertools import groupby, starmap
from typing import TypeVar

import msgspec

from s3gw.model import CHUNK_BYTES, Extent, ObjectInfo
from s3gw.store import keys
from s3gw.store.engine import Engine
from s3gw.store.interface import CorruptChunk, StaleBody
from s3gw.store.options import CHUNKS, INLINE, RECORDS
from s3gw.store.records import (
    BLOB,
    BUCKET,
    CACHE,
    OBJECT,
    PART,
    QUEUE,
    UPLOAD,
    BlobRecord,
    Codec,
    open_chunk,
    open_inline,
)
from s3gw.store.scan import Walk

T = TypeVar("T")


class Fault(msgspec.Struct, frozen=True):
    """Something that is not as it must be. ``row`` is in words, as `keys.row_name` has it; ``at`` is its key, or what
    the keys of the rows start with if it is about several."""

    row: str
    what: str
    at: bytes = b""


HEADLESS = "no current version, though the newest is no delete marker"


def is_owned(engine: Engine, body: bytes) -> bool | None:
    """Whether there is an object with an inline body in the row ``body``; None if that cannot be read.

    That it has another one than this is told when the object is looked at."""
    owners = keys.inline_owners(body)
    known: bool | None = False
    for owner, record in zip(owners, engine.records(owners), strict=True):
        if record is None:
            continue
        info = _readable(owner, record)
        if info is None:
            known = None
        elif info.inline and keys.inline_row_of(owner, info.order) == body:
            return True
    return known


def _readable(row: bytes, value: bytes) -> ObjectInfo | None:
    try:
        return OBJECT.decode(row, value)
    except CorruptChunk:
        return None


def faults(engine: Engine, seen: Callable[[], object] = lambda: None) -> Iterator[Fault]:
    """Read every row of a database and tell what is wrong. Nothing may be written meanwhile.

    :param seen: called for each row that was read."""
    return _Inspection(engine, seen).run()


class _Inspection:
    def __init__(self, engine: Engine, seen: Callable[[], object]) -> None:
        self._engine = engine
        self._seen = seen
        self._found: list[Fault] = []
        self._references: Counter[bytes] = Counter()
        self._needed: dict[bytes, int] = {}
        self._blobs: dict[bytes, BlobRecord] = {}

    def run(self) -> Iterator[Fault]:
        for look in (self._manifests, self._queues, self._inline_bodies, self._blob_records, self._chunks):
            look()
            yield from self._found
            self._found.clear()

    def _fault(self, row: bytes, what: str) -> None:
        self._found.append(Fault(keys.row_name(row), what, row))

    def _rows(self, prefix: bytes, family: str = RECORDS) -> Iterator[tuple[bytes, bytes]]:
        walk = Walk(self._engine, prefix, family)
        while (found := walk.next()) is not None:
            self._seen()
            yield found

    def _records(self, codec: Codec[T], prefix: bytes) -> Iterator[tuple[bytes, T]]:
        for row, value in self._rows(prefix):
            try:
                yield row, codec.decode(row, value)
            except CorruptChunk:
                self._fault(row, "corrupt record")

    def _manifests(self) -> None:
        buckets = {row[len(keys.BUCKETS) :] for row, _ in self._rows(keys.BUCKETS)}
        for _ in self._records(BUCKET, keys.BUCKETS):
            pass
        for prefix in keys.OF_OBJECTS:
            for row, info in self._records(OBJECT, prefix):
                self._object(row, info, buckets)
        self._histories()
        uploads = set()
        for row, upload in self._records(UPLOAD, keys.UPLOADS):
            uploads.add(upload.upload)
            if upload.bucket.encode() not in buckets:
                self._fault(row, "upload without a bucket")
        for row, part in self._records(PART, keys.PARTS):
            self._name(part.extents)
            if row[len(keys.PARTS) : -3].decode() not in uploads:
                self._fault(row, "part without an upload")

    def _object(self, row: bytes, info: ObjectInfo, buckets: set[bytes]) -> None:
        self._name(info.extents)
        if keys.split_version(row)[0] not in buckets:
            self._fault(row, "object without a bucket")
        if info.inline:
            self._inline_body(keys.inline_row_of(row, info.order), info.inline)
        if row.startswith(keys.VERSIONS) and (info.null or info.order != keys.order_of(row)):
            self._fault(row, "version in a row of another")
        if (row.startswith(keys.NULLS) and not info.null) or (row.startswith(keys.OBJECTS) and info.marker):
            self._fault(row, "version in a row of another kind")

    def _histories(self) -> None:
        """Whether the newest version of each key is where it must be."""
        rows = (self._rows(prefix) for prefix in (keys.NULLS, keys.VERSIONS))
        older = merge(*rows, key=lambda found: keys.split_version(found[0]))
        for name, found in groupby(older, lambda found: keys.split_version(found[0])):
            kept = [(info.order, info.marker) if info is not None else None for info in starmap(_readable, found)]
            row = keys.OBJECTS + b"\0".join(name)
            (record,) = self._engine.records([row])
            current = None if record is None else _readable(row, record)
            if None in kept or (record is not None and current is None):
                # That one cannot be read was said already.
                continue
            order, marker = max(it for it in kept if it is not None)
            if current is None and not marker:
                self._fault(row, HEADLESS)
            elif current is not None and order >= current.order:
                self._fault(row, "current version that is not the newest")

    def _queues(self) -> None:
        counted = {row[len(keys.CACHES) :]: state for row, state in self._records(CACHE, keys.CACHES)}
        found = {bucket: [0, 0, 0, 0] for bucket in counted}
        for row, queued in self._records(QUEUE, keys.QUEUES):
            bucket, place = row[len(keys.QUEUES) : -9], keys.number_of(row)
            owner = keys.object_row(bucket.decode(), queued.key)
            (record,) = self._engine.records([owner])
            try:
                if bucket not in counted or record is None or OBJECT.decode(owner, record).place != place:
                    self._fault(row, "place of no object")
            except CorruptChunk:
                continue
            if bucket in counted:
                young = place >= counted[bucket].boundary
                for index, amount in enumerate((1, queued.size, young, young * queued.size)):
                    found[bucket][index] += amount
        for bucket, state in counted.items():
            if found[bucket] != [state.objects, state.nbytes, state.young_objects, state.young_bytes]:
                row = keys.cache_row(bucket.decode())
                self._fault(row, f"counts {state.objects} objects, {state.nbytes} bytes; there are {found[bucket]}")

    def _name(self, extents: tuple[Extent, ...]) -> None:
        for extent in extents:
            self._references[extent.blob] += 1
            chunks = -(-(extent.start + extent.length) // CHUNK_BYTES)
            self._needed[extent.blob] = max(chunks, self._needed.get(extent.blob, 0))

    def _inline_body(self, row: bytes, inline: bytes) -> None:
        try:
            open_inline(row, self._engine.inline([row])[0], inline)
        except StaleBody:
            self._fault(row, "missing inline body")
        except CorruptChunk:
            self._fault(row, "corrupt inline body")

    def _inline_bodies(self) -> None:
        for row, _ in self._rows(keys.INLINE_BODIES, INLINE):
            if is_owned(self._engine, row) is False:
                self._fault(row, "inline body of no object")

    def _blob_records(self) -> None:
        for row, blob in self._records(BLOB, keys.REFERENCES):
            name = row[len(keys.REFERENCES) :]
            self._blobs[name] = blob
            if blob.references != self._references[name]:
                self._fault(row, f"counts {blob.references} references of {self._references[name]}")
            if blob.chunks < self._needed.get(name, 0):
                self._fault(row, f"has {blob.chunks} chunks of {self._needed[name]}")
        for name in self._references.keys() - self._blobs.keys():
            self._fault(keys.references_row(name), "missing record of a blob that is named")
        for row, blob in self._records(BLOB, keys.UNREFERENCED):
            name = row[len(keys.UNREFERENCED) :]
            if name in self._blobs or name in self._references:
                self._fault(row, "blob in use is marked as unreferenced")
            self._blobs.setdefault(name, blob)

    def _chunks(self) -> None:
        missing = dict(self._blobs)
        skip, end = len(keys.CHUNKS), len(keys.CHUNKS) + keys.BLOB_BYTES
        for name, rows in groupby(self._rows(keys.CHUNKS, CHUNKS), lambda found: found[0][skip:end]):
            numbers = [self._chunk(row, value, end) for row, value in rows]
            blob = missing.pop(name, None)
            if blob is None:
                self._fault(keys.chunks_of(name), f"{len(numbers)} chunks of no blob")
            elif numbers != list(range(blob.chunks)):
                self._fault(keys.chunks_of(name), f"{len(numbers)} chunks of {blob.chunks}")
        for name, blob in missing.items():
            self._fault(keys.chunks_of(name), f"0 chunks of {blob.chunks}")

    def _chunk(self, row: bytes, value: bytes, end: int) -> int:
        try:
            open_chunk(row, value)
        except CorruptChunk:
            self._fault(row, "corrupt chunk")
        return int.from_bytes(row[end:], "big")
