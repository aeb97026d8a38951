"""A new database of all that is good in a damaged one, which stays as it is.

Where the disk gave back other bytes than it was given, a table has a bad block, and RocksDB stops at the first
compaction that meets it. Deleting the rows in it does not help: only a database without that table does. So every row
that proves itself is copied. What then does not fit together any more, `check` finds and `repair` mends.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from s3gw.store import keys
from s3gw.store.engine import Batch, Engine
from s3gw.store.interface import CorruptChunk, StoreStalled
from s3gw.store.marker import claim
from s3gw.store.offline import CACHE_BYTES
from s3gw.store.options import CHUNKS, INLINE, MIB, RECORDS
from s3gw.store.records import BLOB, open_chunk
from s3gw.store.repair import CODECS
from s3gw.store.scan import Walk

BATCH_BYTES = 1 * MIB
BATCH_ROWS = 1024

PAUSE_SECONDS = 0.05


class Salvage(msgspec.Struct):
    """:ivar copied: rows that are in the new database. :ivar lost: the others, by name; `repair` deals with them."""

    copied: int = 0
    lost: list[str] = []


def salvage(damaged: Engine, path: str, seen: Callable[[], object] = lambda: None) -> Salvage:
    """Copy what is good into a new database in directory ``path``, durably.

    :param seen: called for each row that was read.
    :raises StoreUnusable: there is something at ``path``, or it cannot be made.
    :raises StoreFailed: :raises CorruptChunk: a block cannot be read at all, so the rows in it are not even known.
    """
    with claim(path, create=True):
        # Nobody waits for a single row: closing makes all of them durable.
        fresh = Engine(path, durability="os", cache_bytes=CACHE_BYTES, create=True, reserve_bytes=0, observe=None)
    done = Salvage()
    try:
        for prefix, family in _PLACES:
            _copy(damaged, fresh, prefix, family, done, seen)
    finally:
        fresh.close()
    return done


_PLACES = (
    *((prefix, RECORDS) for prefix in (*CODECS, keys.REFERENCES, keys.UNREFERENCED)),
    (keys.INLINE_BODIES, INLINE),
    (keys.CHUNKS, CHUNKS),
)


def _copy(
    damaged: Engine, fresh: Engine, prefix: bytes, family: str, done: Salvage, seen: Callable[[], object]
) -> None:
    rows: list[tuple[bytes, bytes]] = []
    nbytes = 0
    walk = Walk(damaged, prefix, family)
    while (found := walk.next()) is not None:
        seen()
        if not _proves_itself(*found):
            done.lost.append(keys.row_name(found[0]))
            continue
        rows.append(found)
        nbytes += len(found[1])
        if nbytes >= BATCH_BYTES or len(rows) >= BATCH_ROWS:
            _write(fresh, family, rows)
            done.copied += len(rows)
            rows, nbytes = [], 0
    _write(fresh, family, rows)
    done.copied += len(rows)


_PUTS = {RECORDS: Batch.put, INLINE: Batch.put_inline, CHUNKS: Batch.put_chunk}


def _write(fresh: Engine, family: str, rows: list[tuple[bytes, bytes]]) -> None:
    """Write rows; where the database is behind with its own work, wait for it."""
    while True:
        batch = fresh.batch()
        for row, value in rows:
            _PUTS[family](batch, row, value)
        try:
            fresh.write(batch)
        except StoreStalled:
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _proves_itself(row: bytes, value: bytes) -> bool:
    try:
        if row.startswith((keys.INLINE_BODIES, keys.CHUNKS)):
            open_chunk(row, value)
        else:
            CODECS.get(row[:2], BLOB).decode(row, value)
    except CorruptChunk:
        return False
    return True
