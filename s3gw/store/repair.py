"""What can be done about the faults that `check` finds, without ever losing something unsaid.

=======================================  ==============================================================================
fault                                    repair
=======================================  ==============================================================================
count of references, or of chunks, of a  set to what there is; the record is made where it is missing
blob that something names
blob or chunks that nothing names        deleted
part of an upload that there is not      deleted
count of a cache bucket, or its queue    the count and the queue are deleted: the next start counts anew
object or part that lacks some of its    only with a quarantine: its record and every byte that there is go there
body
inline body of no object                 only with a quarantine: it goes there
no current version, and the newest is an  that one becomes the current one
object
object or upload without a bucket        none: whoever creates the bucket has it back
bytes that are not what was written      none in place: a record that cannot be read may name anything, and RocksDB
                                         stops at a compaction that meets them. `salvage` leaves them behind
=======================================  ==============================================================================

So what has a name stays where it is, and reading it is an error that says so, until someone asks for the quarantine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

import msgspec

from s3gw.model import CHUNK_BYTES, SEAL_BYTES, Extent, ObjectInfo, PartInfo
from s3gw.store import keys
from s3gw.store.check import HEADLESS, Fault, is_owned
from s3gw.store.engine import Batch, Engine
from s3gw.store.interface import ChunkRow, CorruptChunk, InlineRow, StaleBody
from s3gw.store.layout import spans
from s3gw.store.options import CHUNKS
from s3gw.store.records import (
    BLOB,
    BUCKET,
    CRC_BYTES,
    DOOMED,
    OBJECT,
    PART,
    UPLOAD,
    AnyCodec,
    BlobRecord,
    open_chunk,
    open_inline,
)
from s3gw.store.scan import Walk

BATCH_ROWS = 1024

CODECS: dict[bytes, AnyCodec] = {
    keys.BUCKETS: BUCKET,
    **dict.fromkeys(keys.OF_OBJECTS, OBJECT),
    keys.UPLOADS: UPLOAD,
    keys.PARTS: PART,
}
"""The codec of each kind of record that has a name."""


class Damaged(msgspec.Struct, frozen=True):
    """Something with a name that cannot be had whole.

    :ivar kind: ``object``, ``part``, ``inline body``, or ``record`` for one that cannot be read.
    :ivar row: its key in the database. :ivar name: in words, as `keys.row_name` has it.
    :ivar info: the object or part, where its record can be read.
    """

    kind: str
    row: bytes
    name: str
    info: ObjectInfo | PartInfo | None = None


class Quarantine(Protocol):
    """Where damaged things go. What was kept is durable when `keep` returns."""

    def keep(self, it: Damaged, body: Iterable[tuple[int, bytes | None]]) -> None:
        """Keep it. :param body: its pieces in order: at which byte, and the bytes, or None for those that are lost."""


class Repair(msgspec.Struct):
    """What was done: counts by kind of deed."""

    quarantined: int = 0
    records_set: int = 0
    blobs_deleted: int = 0
    parts_deleted: int = 0
    versions_made_current: int = 0


def is_corruption(fault: Fault) -> bool:
    """Whether the bytes of a row are not what was written."""
    return fault.what.startswith("corrupt")


def is_swept(engine: Engine, fault: Fault) -> bool:
    """Whether this is no fault but what a crash leaves, and the next start of a gateway sweeps: chunks of a blob that
    is marked as unreferenced, of which some did not come or are gone already."""
    if not fault.at.startswith(keys.CHUNKS) or len(fault.at) != len(keys.CHUNKS) + keys.BLOB_BYTES:
        return False
    blob = fault.at[len(keys.CHUNKS) :]
    use, mark = _blob_records(engine, blob)
    return use is None and isinstance(mark, BlobRecord)


class Survey:
    """Who names which blob, and which named things are damaged, given the faults of a check.

    :param found: all faults of a complete check.
    :raises StoreFailed: :raises CorruptChunk: rows cannot be read, so nobody knows what they name.
    """

    def __init__(self, engine: Engine, found: Iterable[Fault]) -> None:
        self._engine = engine
        self.references: Counter[bytes] = Counter()
        self.damaged: list[Damaged] = []
        self.stray_parts: list[bytes] = []
        self.headless: list[bytes] = []
        found = list(found)
        self._rows = {fault.at for fault in found}
        self._headless = {fault.at for fault in found if fault.what == HEADLESS}
        self.blobs = {_blob_of(row) for row in self._rows if row.startswith(_OF_BLOBS)}
        self.queues = {keys.bucket_of(row) for row in self._rows if row.startswith((keys.CACHES, keys.QUEUES))}
        self._chunks = {blob: _numbers(engine, blob) for blob in self.blobs}
        self._look()

    def chunks(self, blob: bytes) -> int:
        """How many chunks a blob of `blobs` has, gaps included."""
        return max(self._chunks[blob], default=-1) + 1

    def _look(self) -> None:
        uploads = set()
        for prefix, codec in CODECS.items():
            for row, value in _walk(self._engine, prefix):
                try:
                    record = codec.decode(row, value)
                except CorruptChunk:
                    self._damage("record", row)
                    continue
                if prefix == keys.UPLOADS:
                    uploads.add(record.upload)
                elif prefix in keys.OF_OBJECTS:
                    self._name("object", row, record, record.inline and keys.inline_row_of(row, record.order))
                elif prefix == keys.PARTS:
                    self._name("part", row, record)
        for row in sorted(self._rows):
            if row in self._headless:
                self.headless.append(row)
            elif row.startswith(keys.PARTS) and keys.upload_of(row) not in uploads:
                self.stray_parts.append(row)
            elif row.startswith(keys.INLINE_BODIES) and self._is_orphan(row):
                self._damage("inline body", row)

    def _name(self, kind: str, row: bytes, info: ObjectInfo | PartInfo, body: bytes = b"") -> None:
        for extent in info.extents:
            self.references[extent.blob] += 1
        if any(map(self._is_torn, info.extents)) or body in self._rows:
            self._damage(kind, row, info)

    def _is_torn(self, extent: Extent) -> bool:
        chunks = self._chunks.get(extent.blob)
        if chunks is None:
            return False
        first, last = extent.start // CHUNK_BYTES, (extent.start + extent.length - 1) // CHUNK_BYTES
        return any(not chunks.get(number, False) for number in range(first, last + 1))

    def _is_orphan(self, body: bytes) -> bool:
        return is_owned(self._engine, body) is False

    def _damage(self, kind: str, row: bytes, info: ObjectInfo | PartInfo | None = None) -> None:
        self.damaged.append(Damaged(kind, row, keys.row_name(row), info))


def repair(engine: Engine, survey: Survey, quarantine: Quarantine | None) -> Repair:
    """Do what the table above says, where no fault is a corruption.

    :raises StoreFailed: :raises StoreFull: :raises OSError: from the quarantine."""
    return _Work(engine, survey).run(quarantine)


class _Work:
    def __init__(self, engine: Engine, survey: Survey) -> None:
        self._engine = engine
        self._survey = survey
        self._batch: Batch = engine.batch()
        self.done = Repair()

    def run(self, quarantine: Quarantine | None) -> Repair:
        for it in self._survey.damaged if quarantine is not None else ():
            quarantine.keep(it, _pieces(self._engine, it))  # type: ignore[union-attr]  # there is one
            self._drop(it)
            self.done.quarantined += 1
        self._write(0)
        for row in self._survey.headless:
            self._promote(row)
        for bucket in sorted(self._survey.queues):
            self._count_anew(bucket)
        for row in self._survey.stray_parts:
            self._stray_part(row)
        for blob in sorted(
            self._survey.blobs | {extent.blob for it in self._survey.damaged for extent in _extents(it)}
        ):
            self._blob(blob)
        self._write(0)
        self._engine.sync()
        return self.done

    def _drop(self, it: Damaged) -> None:
        if it.kind == "inline body":
            self._batch.delete_inline(it.row)
        else:
            self._batch.delete(it.row)
        if isinstance(it.info, ObjectInfo):
            self._batch.delete_inline(keys.inline_row_of(it.row, it.info.order))
        if it.row.startswith(keys.OBJECTS):
            self._survey.headless.append(it.row)
            bucket = keys.bucket_of(it.row)
            if self._engine.records([keys.cache_row(bucket)]) != [None]:
                self._survey.queues.add(bucket)
        self._unname(_extents(it))
        self._write()

    def _promote(self, row: bytes) -> None:
        """Make the newest version the current one, if there is none and it is no delete marker."""
        bucket, key = map(bytes.decode, keys.split_version(row))
        kept = [*islice(_walk(self._engine, keys.versions_of_key(bucket, key)), 1)]
        other = keys.null_row(bucket, key)
        kept += [(other, value) for value in self._engine.records([other]) if value is not None]
        found = [(OBJECT.decode(*each), each[0]) for each in kept]
        if not found or self._engine.records([row]) != [None]:
            return
        info, place = max(found, key=lambda each: each[0].order)
        if not info.marker:
            self._batch.delete(place)
            self._batch.put(row, OBJECT.encode(row, info))
            self.done.versions_made_current += 1
            self._write(0)

    def _count_anew(self, bucket: str) -> None:
        """Forget what a cache bucket holds: opening begins anew where there is no row K."""
        self._batch.delete_all(keys.queue_of(bucket))
        self._batch.delete(keys.cache_row(bucket))
        self.done.records_set += 1
        self._write(0)

    def _unname(self, extents: Iterable[Extent]) -> None:
        blobs = [extent.blob for extent in extents]
        self._survey.references.subtract(blobs)
        self._survey.blobs.update(blobs)

    def _stray_part(self, row: bytes) -> None:
        (value,) = self._engine.records([row])
        if value is not None:
            self._unname(PART.decode(row, value).extents)
            self._batch.delete(row)
            self.done.parts_deleted += 1

    def _blob(self, blob: bytes) -> None:
        use, mark = _blob_records(self._engine, blob)
        numbers = _numbers(self._engine, blob)
        chunks = max(numbers, default=-1) + 1
        references = self._survey.references[blob]
        if references > 0:
            self._set(blob, use, mark, BlobRecord(chunks, references))
        elif use is not None or not isinstance(mark, BlobRecord) or mark.references == DOOMED:
            self._delete(blob, numbers)

    def _set(self, blob: bytes, use: object, mark: object, record: BlobRecord) -> None:
        if use == record and mark is None:
            return
        row = keys.references_row(blob)
        self._batch.put(row, BLOB.encode(row, record))
        self._batch.delete(keys.unreferenced_row(blob))
        self.done.records_set += 1
        self._write()

    def _delete(self, blob: bytes, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._batch.delete_chunk(keys.chunk_row(blob, number))
            self._write()
        # Behind the chunks: what is interrupted here is found again.
        self._batch.delete(keys.references_row(blob))
        self._batch.delete(keys.unreferenced_row(blob))
        self.done.blobs_deleted += 1

    def _write(self, rows: int = BATCH_ROWS) -> None:
        if len(self._batch) > rows:
            self._engine.write(self._batch)


_OF_BLOBS = (keys.REFERENCES, keys.UNREFERENCED, keys.CHUNKS)


def _blob_of(row: bytes) -> bytes:
    return row[2:][: keys.BLOB_BYTES]


def _extents(it: Damaged) -> tuple[Extent, ...]:
    return it.info.extents if it.info is not None else ()


def _walk(engine: Engine, prefix: bytes, family: str | None = None) -> Iterator[tuple[bytes, bytes]]:
    walk = Walk(engine, prefix, family) if family else Walk(engine, prefix)
    while (found := walk.next()) is not None:
        yield found


def _numbers(engine: Engine, blob: bytes) -> dict[int, bool]:
    """The chunks of a blob that there are, and whether each is good."""
    prefix = keys.chunks_of(blob)
    found = {}
    for row, value in _walk(engine, prefix, CHUNKS):
        found[int.from_bytes(row[len(prefix) :], "big")] = _is_good(row, value)
    return found


def _is_good(row: bytes, value: bytes) -> bool:
    try:
        open_chunk(row, value)
    except CorruptChunk:
        return False
    return True


def _blob_records(engine: Engine, blob: bytes) -> tuple[BlobRecord | bytes | None, BlobRecord | bytes | None]:
    """The records R and X of a blob; as bytes where they cannot be read."""
    rows = [keys.references_row(blob), keys.unreferenced_row(blob)]
    use, mark = (_opened(row, value) for row, value in zip(rows, engine.records(rows), strict=True))
    return use, mark


def _opened(row: bytes, value: bytes | None) -> BlobRecord | bytes | None:
    if value is None:
        return None
    try:
        return BLOB.decode(row, value)
    except CorruptChunk:
        return value


def _pieces(engine: Engine, it: Damaged) -> Iterator[tuple[int, bytes | None]]:
    """The body of something damaged, as `Quarantine.keep` takes it."""
    if it.kind == "inline body":
        (value,) = engine.inline([it.row])
        yield 0, value and value[: -CRC_BYTES - keys.BLOB_BYTES]
    else:
        yield from _body_pieces(engine, it)


def _body_pieces(engine: Engine, it: Damaged) -> Iterator[tuple[int, bytes | None]]:
    info = it.info
    bucket = key = ""
    if isinstance(info, PartInfo):
        info = ObjectInfo(info.size, info.modified, info.etag, extents=info.extents)
    else:
        bucket, key = map(bytes.decode, keys.split_version(it.row))
    assert info is not None
    position = 0
    for span in spans(bucket, key, info, 0, info.size):
        row = span.row
        if isinstance(row, ChunkRow):
            at = keys.chunk_row(row.blob, row.number)
            piece = _read(engine.chunks, at, open_chunk)
        else:
            at, inline = keys.inline_row(row.bucket, row.key, row.order), _inline_opener(row)
            piece = _read(engine.inline, at, inline)
        if info.encryption is not None:
            # It is made of whole rows, each with its tag. Without these nobody could open what is left.
            yield position, piece
            position += span.high + SEAL_BYTES if piece is None else len(piece)
            continue
        yield position, piece if piece is None else piece[span.low : span.high]
        position += span.high - span.low


def _inline_opener(row: InlineRow) -> Callable[[bytes, Any], memoryview]:
    return lambda at, value: open_inline(at, value, row.inline)


def _read(
    get: Callable[[list[bytes]], list[bytes | None]], row: bytes, opened: Callable[[bytes, Any], memoryview]
) -> bytes | None:
    try:
        return bytes(opened(row, get([row])[0]))
    except (CorruptChunk, StaleBody):
        return None
