"""How blobs go, and how their bytes leave the disk.

A deleted row stays on disk, its bytes with it, until compaction merges the deletion with the row. The body families are
set up to compact tables with many deletions in them by themselves (`options.body_options`); what is missing is that the
deletions get into a table, since nothing else fills a memtable as slowly. So rounds are held here, in a thread of their
own: each flushes the memtables, which also lets go of the log, and merges the newest tables of inline bodies, because a
body that was overwritten is no deletion that anybody could count.

========================  ===========================================================================================
freed since the last      a round is held
========================  ===========================================================================================
`SOON_BYTES`              at once
`LEAST_BYTES`             when nothing was freed for `QUIET_SECONDS`
less                      not at all: so little stays until there is more, or the memtables are full
========================  ===========================================================================================

Without a log there are no rounds: a flush of one column family after the other is no cut through all of them, and what
a crash leaves would not fit together. There deletions wait until the memtables are full.

No round is ever needed for correctness: one that is cut off, or fails, leaves bytes on disk that nothing leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Condition, Lock, Thread
from time import monotonic

from s3gw.model import CHUNK_BYTES
from s3gw.store.engine import Engine
from s3gw.store.interface import StoreFailed, StoreFull, StoreStalled
from s3gw.store.keys import UNREFERENCED, chunk_row, references_row, unreferenced_row
from s3gw.store.options import FAMILIES, INLINE, MIB
from s3gw.store.records import BLOB, DOOMED, BlobRecord
from s3gw.store.scan import Walk

DELETE_ROWS = 1024
"""A write of about so many deletions is the longest: it holds the GIL."""

SOON_BYTES = 256 * MIB

LEAST_BYTES = 32 * MIB

QUIET_SECONDS = 10.0


def delete_blobs(engine: Engine, references: Lock, blobs: Sequence[bytes]) -> int:
    """Delete blobs that are there and that nothing refers to.

    :param references: held by whoever changes what refers to blobs.
    :return: bytes that were freed, about."""
    large: list[tuple[bytes, int]] = []
    freed = 0
    with references:
        marks = engine.records([unreferenced_row(blob) for blob in blobs])
        uses = engine.records([references_row(blob) for blob in blobs])
        batch = engine.batch()
        for blob, mark, use in zip(blobs, marks, uses, strict=True):
            # One that is in use was named by a commit after its owner had given it up.
            if mark is None or use is not None:
                continue
            row = unreferenced_row(blob)
            chunks = BLOB.decode(row, mark).chunks
            freed += chunks * CHUNK_BYTES
            if chunks > DELETE_ROWS:
                # It goes bit by bit, with commits in between: from now on none of them can name it.
                batch.put(row, BLOB.encode(row, BlobRecord(chunks, DOOMED)))
                large.append((blob, chunks))
                continue
            for number in range(chunks):
                batch.delete_chunk(chunk_row(blob, number))
            batch.delete(row)
            if len(batch) >= DELETE_ROWS:
                engine.write(batch, "delete")
        if len(batch):
            engine.write(batch, "delete")
    for blob, chunks in large:
        for start in range(0, chunks, DELETE_ROWS):
            for number in range(start, min(chunks, start + DELETE_ROWS)):
                batch.delete_chunk(chunk_row(blob, number))
            if start + DELETE_ROWS >= chunks:
                batch.delete(unreferenced_row(blob))
            engine.write(batch, "delete")
    return freed


def unreferenced(engine: Engine) -> Iterable[bytes]:
    """The blobs that nothing refers to."""
    walk = Walk(engine, UNREFERENCED)
    while (found := walk.next()) is not None:
        yield found[0][len(UNREFERENCED) :]


class Rounds:
    """Sees to it that what was freed leaves the disk. Any thread may call.

    :ivar thread: in which the rounds are held, once there was reason for one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = Condition()
        self._bytes = 0
        self._overwritten = 0
        self._row = b""
        self._last = 0.0
        self._ending = False
        self.thread: Thread | None = None

    def freed(self, nbytes: int) -> None:
        """So many bytes of rows were deleted."""
        self._note(nbytes)

    def replaced(self, row: bytes, nbytes: int) -> None:
        """Inline bodies of so many bytes were overwritten or deleted, that of ``row`` among them."""
        self._note(nbytes, row)

    def _note(self, nbytes: int, row: bytes = b"") -> None:
        with self._changed:
            self._bytes += nbytes
            self._last = monotonic()
            if row:
                self._overwritten += nbytes
                self._row = row
            if self._bytes < LEAST_BYTES or self._ending or not self._engine.logs:
                return
            if self.thread is None:
                self.thread = Thread(target=self._run, name="s3gw reclaim", daemon=True)
                self.thread.start()
            self._changed.notify()

    def end(self) -> None:
        """Hold no more rounds. One may still be under way: it is over when `thread` is."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def _run(self) -> None:
        while self._due():
            try:
                self._hold()
            except (StoreFailed, StoreFull, StoreStalled):
                # If it matters, whoever writes next is told.
                continue

    def _due(self) -> bool:
        """Wait until a round is. False at the end."""
        with self._changed:
            while not self._ending:
                if self._bytes >= SOON_BYTES:
                    return True
                wait = None
                if self._bytes >= LEAST_BYTES:
                    wait = self._last + QUIET_SECONDS - monotonic()
                    if wait <= 0:
                        return True
                self._changed.wait(wait)
            return False

    def _hold(self) -> None:
        with self._changed:
            overwritten, row = self._overwritten, self._row
            self._bytes = 0
            if overwritten >= LEAST_BYTES:
                self._overwritten = 0
        for family in FAMILIES:
            self._engine.flush(family)
        if overwritten >= LEAST_BYTES:
            # The newest tables span most rows: what merges those with this one merges nearly all.
            self._engine.merge(INLINE, row)
