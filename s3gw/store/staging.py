"""How the chunks of blobs come into the database.

The first chunks of a blob go through the log, as everything else does. Through the log every byte is written twice, and
what the wheel's RocksDB spends most on is the log's CRC, in software: 3.0 s of CPU a GiB against 1.3 without. So behind
`LOGGED_CHUNKS` only the blob's mark is logged, before the chunks that it counts, and the chunks go to the memtable
alone. They are made durable by a flush, which `Staging.settle` waits for before a commit may name the blob: at most one
for each blob that is large enough to pay for it, and one for all that wait for it at the same time. A crash before it
leaves the mark, and with it all that the next open needs to sweep what there may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from threading import Lock

from s3gw.model import CHUNK_BYTES
from s3gw.store.engine import Engine
from s3gw.store.keys import chunk_row, unreferenced_row
from s3gw.store.options import CHUNKS, MIB
from s3gw.store.records import BLOB, BlobRecord, seal_chunk

WRITE_BYTES = 1 * MIB
"""A write of about so many bytes is the longest: it holds the GIL."""

LOGGED_CHUNKS = 16 * MIB // CHUNK_BYTES
"""Chunks of a blob that go through the log. A flush for less would leave many small tables behind."""


class Staging:
    """The chunks that come. Any thread may call."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # The ticket of a blob is newer than all of its unlogged chunks that have been written.
        self._tickets = count()
        self._unlogged: dict[bytes, int] = {}
        self._flushing = Lock()

    def stage(self, blob: bytes, number: int, chunks: Sequence[bytes]) -> None:
        """As `IObjectStore.stage`."""
        engine = self._engine
        engine.make_room(sum(map(len, chunks)))
        logged = number < LOGGED_CHUNKS or not engine.logs
        mark = unreferenced_row(blob)
        end = number + len(chunks)
        batch = engine.batch()
        for chunk in chunks:
            row = chunk_row(blob, number)
            batch.put_chunk(row, seal_chunk(row, chunk))
            number += 1
            if batch.nbytes < WRITE_BYTES and number < end:
                continue
            record = BLOB.encode(mark, BlobRecord(number))
            if logged:
                # In the same write as the chunks that it counts: what is staged is never without it.
                batch.put(mark, record)
                engine.write(batch, "put")
                continue
            ahead = engine.batch()
            ahead.put(mark, record)
            engine.write(ahead, "put")
            engine.write(batch, "put", logged=False)
            self._unlogged[blob] = next(self._tickets)

    def unsettled(self, blobs: Iterable[bytes]) -> bool:
        """As `IObjectStore.unsettled`."""
        return not self._unlogged.keys().isdisjoint(blobs)

    def settle(self, blobs: Iterable[bytes]) -> None:
        """As `IObjectStore.settle`."""
        unlogged = self._unlogged
        if not unlogged:
            return
        for blob in blobs:
            if blob not in unlogged:
                continue
            with self._flushing:
                # The flush that was waited for may have been the one.
                if blob not in unlogged:
                    continue
                covered = unlogged.copy()
                self._engine.flush(CHUNKS)
                for each, ticket in covered.items():
                    # With a newer ticket, chunks may have come after the flush began.
                    if unlogged.get(each) == ticket:
                        del unlogged[each]

    def forget(self, blobs: Iterable[bytes]) -> None:
        """These were freed."""
        for blob in blobs:
            self._unlogged.pop(blob, None)
