"""Reading everything that is stored, bit by bit, to find what a disk has changed before somebody needs it.

Unlike `check` this may be done while the database is in use, and it looks at each row alone: a record and every row of
the body that it names must be what was written. Bodies are read by lists, which do not hold the interpreter, a few at a
time; between two steps nothing is held at all. A row that is not as it must be is looked at again together with the
record that named it, since it may have been replaced or deleted in between.

| record          | what is read because of it                            |
|-----------------|-------------------------------------------------------|
| object          | its inline body                                       |
| referenced blob | its chunks, each once however many objects share them |
| any other       | nothing but itself                                    |
"""

from __future__ import annotations

from s3gw.store import keys
from s3gw.store.engine import Engine, each
from s3gw.store.interface import CorruptChunk, ScrubStep, StaleBody
from s3gw.store.keys import after_prefix
from s3gw.store.records import (
    BLOB,
    BUCKET,
    CACHE,
    OBJECT,
    PART,
    QUEUE,
    READS,
    UPLOAD,
    AnyCodec,
    open_chunk,
    open_inline,
)
from s3gw.store.scan import Walk

STEP_CHUNKS = 16
"""Rows of bodies that one step reads."""

STEP_RECORDS = 512
"""Records that one step walks over; each holds the interpreter."""

_KINDS: dict[bytes, AnyCodec] = {
    keys.BUCKETS: BUCKET,
    keys.CACHES: CACHE,
    **dict.fromkeys(keys.OF_OBJECTS, OBJECT),
    keys.PARTS: PART,
    keys.QUEUES: QUEUE,
    keys.READS: READS,
    keys.REFERENCES: BLOB,
    keys.UPLOADS: UPLOAD,
    keys.UNREFERENCED: BLOB,
}

CODECS = dict(sorted(_KINDS.items()))
"""The codec of each kind of record, in the order of their rows."""

_NUMBER_BYTES = 4


def scrub_step(engine: Engine, position: bytes) -> ScrubStep:
    """As `IScrubStore.scrub`.

    A position is the number of a chunk and the row of a record: that of the blob whose chunk it is, or one that is to
    be looked at next, with number 0."""
    return _Step(engine, position).run()


class _Step:
    def __init__(self, engine: Engine, position: bytes) -> None:
        self._engine = engine
        self._number = int.from_bytes(position[:_NUMBER_BYTES], "big")
        self._row = position[_NUMBER_BYTES:]
        self._chunks: list[tuple[bytes, bytes]] = []
        self._inline: list[tuple[bytes, bytes, bytes]] = []
        self._rows = self._bytes = 0
        self._damaged: list[str] = []

    def run(self) -> ScrubStep:
        ended = not any(self._walk(prefix) for prefix in CODECS if after_prefix(prefix) > self._row)
        self._read_chunks()
        self._read_inline()
        position = b"" if ended else self._number.to_bytes(_NUMBER_BYTES, "big") + self._row
        return ScrubStep(position, self._rows, self._bytes, tuple(self._damaged))

    def _walk(self, prefix: bytes) -> bool:
        """Walk over the records of a kind from `_row` on. :return: whether this is enough for one step."""
        walk = Walk(self._engine, prefix)
        if self._row > prefix:
            walk.seek(self._row)
        try:
            while (found := walk.next()) is not None:
                row, value = found
                if row != self._row:
                    self._number = 0
                self._row = row
                self._rows += self._number == 0
                self._bytes += len(value)
                self._record(prefix, row, value)
                if self._number:
                    return True  # this record has more chunks
                self._row = row + b"\0"
                if len(self._chunks) + len(self._inline) >= STEP_CHUNKS or self._rows >= STEP_RECORDS:
                    return True
        except CorruptChunk as damage:
            # A block of records cannot be read, so what stands behind it in this place is not known either.
            self._damaged.append(f"records behind {keys.row_name(self._row)}: {damage}")
        finally:
            walk.drop()
        self._row, self._number = after_prefix(prefix), 0
        return False

    def _record(self, prefix: bytes, row: bytes, value: bytes) -> None:
        try:
            record = CODECS[prefix].decode(row, value)
        except CorruptChunk as damage:
            self._damaged.append(str(damage))
            self._number = 0
            return
        if prefix in keys.OF_OBJECTS and record.inline:
            self._inline.append((row, keys.inline_row_of(row, record.order), record.inline))
        elif prefix == keys.REFERENCES:
            blob = row[len(keys.REFERENCES) :]
            end = min(record.chunks, self._number + STEP_CHUNKS)
            self._chunks += ((row, keys.chunk_row(blob, number)) for number in range(self._number, end))
            self._number = end if end < record.chunks else 0

    def _read_chunks(self) -> None:
        rows = [row for _, row in self._chunks]
        for (owner, row), value in zip(self._chunks, each(self._engine.chunks, rows), strict=True):
            self._rows += 1
            if isinstance(value, bytes):
                self._bytes += len(value)
            if not _is_good(row, value) and self._engine.records([owner]) != [None]:
                self._damaged.append(keys.row_name(row))

    def _read_inline(self) -> None:
        rows = [row for _, row, _ in self._inline]
        for (owner, row, inline), value in zip(self._inline, each(self._engine.inline, rows), strict=True):
            self._rows += 1
            if isinstance(value, bytes):
                self._bytes += len(value)
            if not self._is_inline(owner, row, inline, value):
                self._damaged.append(keys.row_name(row))

    def _is_inline(self, owner: bytes, row: bytes, inline: bytes, value: bytes | CorruptChunk | None) -> bool:
        if isinstance(value, CorruptChunk):
            return False
        try:
            open_inline(row, value, inline)
        except CorruptChunk:
            return False
        except StaleBody:
            # Replaced or deleted since, unless the record still names this very one.
            (record,) = self._engine.records([owner])
            return record is None or OBJECT.decode(owner, record).inline != inline
        return True


def _is_good(row: bytes, value: bytes | CorruptChunk | None) -> bool:
    if isinstance(value, CorruptChunk):
        return False
    try:
        open_chunk(row, value)
    except CorruptChunk:
        return False
    return True
