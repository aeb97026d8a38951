"""RocksDB as this package uses it: three column families, batches, one sync, and its errors by meaning.

Nothing but this module, `options` and `scan` knows rocksdict. What was measured of it and decides here:

* ``write``, the scalar ``get`` and iterators hold the GIL; the list ``get``, ``flush``, ``flush_wal`` and ``close``
  release it. So reads are lists, writes are small, and what makes them durable is ``flush_wal(True)``.
* The list ``get`` takes no options but those that `Rdict.set_read_options` has set; what is passed to it is ignored.
* A write that RocksDB would delay or stop raises at once, because of ``no_slowdown``.
* When the log cannot be written, for want of room or worse, every later write fails until the database is opened again.
  So room is looked for beforehand, and the first such failure is the last write.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from time import perf_counter
from typing import Literal, Protocol
from weakref import WeakSet

from rocksdict import (
    AccessType,
    BottommostLevelCompaction,
    Cache,
    Checkpoint,
    ColumnFamily,
    CompactOptions,
    Rdict,
    RdictIter,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from s3gw.store.figures import figures, unflushed
from s3gw.store.interface import CorruptChunk, StoreFailed, StoreFull, StoreStalled
from s3gw.store.keys import NUMBER_BYTES, after_prefix
from s3gw.store.options import CHUNKS, FAMILIES, INLINE, MIB, RECORDS, body_options, closed_options, database_options
from s3gw.store.seams import row_after

Durability = Literal["commit", "os", "memory"]

Observe = Callable[[str, int, float, bool], None]
"""Called with the kind of operation (``get put write delete iter other``), bytes, seconds, and whether it failed."""

ROOM_CHECK_BYTES = 16 * MIB
"""So many bytes are written between two looks at the room on disk."""

RUN = 4
"""So many chunks of one blob, read at once, are a run."""

CLOSED = "the store is closed"

CUT_OFF_SECONDS = 1.0
"""How long `Engine.close` waits for a merge."""

BACKGROUND_ERRORS = "rocksdb.background-errors"

FIRST_LOG = "rocksdb.min-log-number-to-keep"

CHECKPOINT_FLUSHES = 2
"""Rounds of flushes before a checkpoint: each has to flush what came in during the one before it."""


class Batch:
    """Rows to be written and deleted in one atomic write.

    :ivar nbytes: of the values put so far.
    """

    __slots__ = ("_engine", "_rows", "nbytes")

    def __init__(self, engine: Engine) -> None:
        self._rows = WriteBatch(raw_mode=True)
        # Not the handle of the column family: whoever kept this batch would keep the closed database locked.
        self._engine = engine
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, row: bytes, value: bytes) -> None:
        self._rows.put(row, value)
        self.nbytes += len(value)

    def delete(self, row: bytes) -> None:
        self._rows.delete(row)

    def put_inline(self, row: bytes, value: bytes) -> None:
        self._rows.put(row, value, self._engine.handle(INLINE))
        self.nbytes += len(value)

    def delete_inline(self, row: bytes) -> None:
        self._rows.delete(row, self._engine.handle(INLINE))

    def put_chunk(self, row: bytes, value: bytes) -> None:
        self._rows.put(row, value, self._engine.handle(CHUNKS))
        self.nbytes += len(value)

    def delete_all(self, prefix: bytes) -> None:
        """Delete every record row that starts with ``prefix``."""
        self._rows.delete_range(prefix, after_prefix(prefix))

    def delete_chunk(self, row: bytes) -> None:
        self._rows.delete(row, self._engine.handle(CHUNKS))

    def take(self) -> WriteBatch:
        """The rows, to be written; the batch is empty again."""
        rows, self._rows, self.nbytes = self._rows, WriteBatch(raw_mode=True), 0
        return rows


class Walking(Protocol):
    """Something that holds an iterator."""

    def drop(self) -> None:
        """Let go of it."""


class Engine:
    """An open database.

    :param reserve_bytes: room on disk that is kept for deletes and compaction: with less, `make_room` raises.
    :param verify: whether RocksDB checks the blocks that records are in, as it should when one is taken for absent that
        is in a bad block. Who looks for damage wants the rows that are still good, and each proves itself.
    :param beside: a directory for RocksDB's own log: read the database as it was at the last `catch_up`, in spite of
        another process that writes to it.
    :ivar walks: whatever holds an iterator, to be added by whoever does.
    :ivar logs: whether there is a log.
    """

    def __init__(
        self,
        path: str,
        *,
        durability: Durability,
        cache_bytes: int,
        create: bool,
        reserve_bytes: int,
        observe: Observe | None,
        verify: bool = True,
        beside: str = "",
    ) -> None:
        cache = Cache(cache_bytes)
        self._path = path
        self._durability = durability
        self._reserve = reserve_bytes
        self._observe = observe
        self._failure: str | None = None
        self._unchecked = ROOM_CHECK_BYTES
        self.logs = durability != "memory"
        self._flushes = self.logs and not beside
        self._options = _write_options(logged=self.logs)
        self._unlogged_options = _write_options(logged=False)
        self._merge_options = CompactOptions()
        self._merge_options.set_exclusive_manual_compaction(False)
        self._verify = verify
        self._records = Rdict(
            path,
            database_options(cache, create=create, wal=self.logs),
            column_families={INLINE: body_options(cache), CHUNKS: body_options(cache)},
            access_type=AccessType.secondary(beside) if beside else AccessType.read_write(),
        )
        self._inline = self._records.get_column_family(INLINE)
        self._chunks = self._records.get_column_family(CHUNKS)
        self._families = {CHUNKS: self._chunks, INLINE: self._inline, RECORDS: self._records}
        self._runs = self._records.get_column_family(CHUNKS)
        self._runs.set_read_options(_read_options(verify=verify, fill_cache=False))
        if not verify:
            for family in self._families.values():
                family.set_read_options(_read_options(verify=False, fill_cache=True))
        self._handles = {name: self._records.get_column_family_handle(name) for name in (INLINE, CHUNKS)}
        self._order = Lock()
        self._logged: int | None = None
        self._open = True
        self.walks: WeakSet[Walking] = WeakSet()
        self._key_may_exist = self._records.key_may_exist

    def handle(self, family: str) -> ColumnFamily:
        """The handle of a column family. Not to be kept: the database stays locked while someone has it."""
        if not self._open:
            raise StoreFailed(CLOSED)
        return self._handles[family]

    def batch(self) -> Batch:
        return Batch(self)

    def peek(self, row: bytes) -> tuple[bool, bytes | None]:
        """What memory knows of a record, with no I/O: ``(False, None)`` it is absent, ``(True, value)`` this is it,
        ``(True, None)`` it may exist."""
        start = perf_counter()
        try:
            found: tuple[bool, bytes | None] = self._key_may_exist(row, True)  # type: ignore[assignment]  # as it fetches
        except Exception as error:
            self._note("get", 0, start, failed=True)
            raise _meaning(error) from error
        may_exist, value = found
        if self._observe is not None:
            self._observe("get", len(value or b""), perf_counter() - start, False)
        # RocksDB also says that it found an empty value when what it would have to read is not in memory. No value of
        # ours is empty.
        return may_exist, value or None

    def records(self, rows: list[bytes]) -> list[bytes | None]:
        """The values of record rows. :raises StoreFailed: :raises CorruptChunk:"""
        return self._get(self._records, rows)

    def inline(self, rows: list[bytes]) -> list[bytes | None]:
        """The values of rows of inline bodies, not verified. :raises: as `records`"""
        return self._get(self._inline, rows)

    def chunks(self, rows: list[bytes]) -> list[bytes | None]:
        """The values of rows of chunks, not verified. :raises: as `records`

        A run of them is read past the block cache, where it would drive out the records. Single ones go through it:
        only what goes through it brings indexes into it."""
        run = len(rows) >= RUN and rows[0][:-NUMBER_BYTES] == rows[-1][:-NUMBER_BYTES]
        return self._get(self._runs if run else self._chunks, rows)

    def _get(self, family: Rdict, rows: list[bytes]) -> list[bytes | None]:
        start = perf_counter()
        try:
            values: list[bytes | None] = family.get(rows)  # type: ignore[arg-type, assignment]
        except Exception as error:
            self._note("get", 0, start, failed=True)
            raise _meaning(error) from error
        if self._observe is not None:
            self._note("get", sum(len(value) for value in values if value is not None), start)
        return values

    def walk(self, family: str, low: bytes, high: bytes, limit: int) -> RdictIter:
        """An iterator over the rows of a column family from ``low``, where it stands, to ``high``, that gives up after
        having passed ``limit`` deleted rows in one step. It belongs to one of `walks`, and is gone after `close`."""
        if not self._open:
            raise StoreFailed(CLOSED)
        records = family == RECORDS
        options = _read_options(verify=records and self._verify, fill_cache=records)
        options.set_iterate_upper_bound(high)
        if limit:
            options.set_max_skippable_internal_keys(limit)
        iterator = self._families[family].iter(options)
        iterator.seek(low)
        return iterator

    def sequence(self) -> int:
        """The number of the last row that was written: each row has the next one."""
        return self._records.latest_sequence_number()

    @staticmethod
    def gave_up(iterator: RdictIter) -> bool:
        """Whether an iterator that is no longer valid had passed too many deleted rows, or else is at its end.

        :raises StoreFailed: :raises CorruptChunk: if it is neither.
        """
        try:
            iterator.status()
        except Exception as error:
            meaning = _meaning(error)
            if not isinstance(meaning, StoreStalled):
                raise meaning from error
            return True
        return False

    def make_room(self, nbytes: int) -> None:
        """Announce the writing of ``nbytes``. :raises StoreFull: if the disk has no room for more than deletes.

        What the memtables hold needs room too, when they are flushed: the reserve is what is left after that.
        """
        self._unchecked += nbytes
        if self._unchecked < ROOM_CHECK_BYTES:
            return
        disk = os.statvfs(self._path)
        if disk.f_bavail * disk.f_frsize < self._reserve + unflushed(self._families):
            raise StoreFull("less than the reserve of %d bytes is left on the disk of %s" % (self._reserve, self._path))
        self._unchecked = nbytes

    def write(self, batch: Batch, op: str = "write", *, logged: bool = True) -> None:
        """Write a batch, at once and whole or not at all; durable after the next `sync`. The batch is then empty.

        :param logged: whether through the log. What is not is durable after the next `flush` of its column families.
        :raises StoreStalled: :raises StoreFull: :raises StoreFailed:
        """
        self.check()
        nbytes = batch.nbytes
        start = perf_counter()
        try:
            with self._order:
                if logged and self._logged is None:
                    self._records.write(batch.take(), self._options)
                else:
                    self._write_beside(batch, logged)
        except Exception as error:
            self._note(op, 0, start, failed=True)
            meaning = _meaning(error)
            if not isinstance(meaning, StoreStalled):
                self._failure = str(error)
            if isinstance(meaning, CorruptChunk):
                # Of something that RocksDB met in the background, not of a row that somebody reads: the batch is lost.
                meaning = StoreFailed(str(error))
            raise meaning from error
        self._note(op, nbytes, start)

    def _write_beside(self, batch: Batch, logged: bool) -> None:
        """Write past the log, or through it behind rows that went past it: then it tells of them, see `seams`."""
        if self._logged is None:
            self._logged = self.sequence()
        if not logged:
            self._records.write(batch.take(), self._unlogged_options)
            return
        batch.put(*row_after(self._logged))
        self._records.write(batch.take(), self._options)
        self._logged = None

    def sync(self) -> None:
        """Return when everything written is as durable as was asked for.

        :raises StoreFailed: and from then on every write does: what a failed sync left on disk nobody knows.
        """
        self.check()
        if self._durability != "commit":
            return
        start = perf_counter()
        try:
            self._records.flush_wal(True)
        except Exception as error:
            self._failure = str(error)
            self._note("other", 0, start, failed=True)
            raise StoreFailed(self._failure) from error
        self._note("other", 0, start)

    def flush(self, family: str) -> None:
        """Bring a column family from memory to disk, durably. :raises StoreFull: :raises StoreFailed:"""
        self._aside(self._families[family].flush)

    def merge(self, family: str, row: bytes) -> None:
        """Merge the tables of a column family that span ``row``, level by level: those that were written last, and with
        them what they replace. May take seconds. :raises StoreFull: :raises StoreFailed:"""
        self._aside(lambda: self._families[family].compact_range(row, row, self._merge_options))

    def compact(self, family: str) -> None:
        """Rewrite all of a column family, without what was deleted. :raises StoreFull: :raises StoreFailed:"""
        options = CompactOptions()
        options.set_bottommost_level_compaction(BottommostLevelCompaction.force_optimized())
        self._aside(lambda: self._families[family].compact_range(None, None, options))
        # It does not say itself how it went.
        if self._records.property_int_value(BACKGROUND_ERRORS):
            raise StoreFailed(f"compaction failed: the file LOG in {self._path} says why")

    def checkpoint(self, path: str) -> None:
        """Make a database of everything written so far in the new directory ``path``: hard links, where that is on the
        same file system, and copies elsewhere.

        This holds the GIL. So no write comes in between what it flushes and what it links: a commit is in it only with
        the chunks that it names, which did not go through the log. What is in memory is flushed before, as often as
        may pay, so that it does not take long.

        :raises StoreFull: :raises StoreFailed:
        """
        # Without a log, only what flushes all column families at once may flush any.
        for family in FAMILIES * CHECKPOINT_FLUSHES if self.logs else ():
            self.flush(family)
        self._aside(lambda: Checkpoint(self._records).create_checkpoint(path))

    def _aside(self, work: Callable[[], None]) -> None:
        self.check()
        start = perf_counter()
        try:
            work()
        except Exception as error:
            self._note("other", 0, start, failed=True)
            raise _meaning(error) from error
        self._note("other", 0, start)

    def check(self) -> None:
        """:raises StoreFailed: if a write or sync has failed for good, or the store is closed."""
        if self._failure is not None:
            raise StoreFailed(self._failure)

    def observed(self, op: str, nbytes: int, start: float) -> None:
        """Report an operation that began at ``start``, of the performance counter."""
        self._note(op, nbytes, start)

    def _note(self, op: str, nbytes: int, start: float, *, failed: bool = False) -> None:
        if self._observe is not None:
            self._observe(op, nbytes, perf_counter() - start, failed)

    def catch_up(self) -> None:
        """See what the process has written since that has the database open. :raises StoreFailed:"""
        self._aside(self._records.try_catch_up_with_primary)

    def properties(self) -> dict[str, int]:
        """Figures by name; see `figures.figures`."""
        return figures(self._families)

    def close(self, thread: Thread | None = None) -> None:
        """Flush, so that the next open has no log to replay, and close. Without a log, closing flushes all at once.

        :param thread: one that still flushes or merges, and ends then.
        :raises StoreFailed: if that could not be; the database is closed nevertheless.
        """
        if not self._open:
            return
        failure = self._failure
        try:
            if failure is None and self._flushes:
                for family in self._families.values():
                    family.flush()
        except Exception as error:
            failure = str(error)
        cut = thread is not None and self._cut_off(thread)
        self._failure = CLOSED
        self._open = False
        self._handles.clear()
        # An iterator keeps the database locked, and a traceback may keep an iterator.
        for walk in list(self.walks):
            walk.drop()
        for family in (*self._families.values(), self._runs):
            try:
                family.close()
            except Exception as error:
                # After all background work was ended it cannot flush once more, says so, and closes.
                failure = failure or (None if cut else str(error))
        if failure is not None:
            raise StoreFailed(failure)

    def _cut_off(self, thread: Thread) -> bool:
        """Wait for a thread to end, not for the merge that it may be in. :return: whether it was in one."""
        thread.join(CUT_OFF_SECONDS)
        cut = thread.is_alive()
        if cut:
            self._records.cancel_all_background(True)
            thread.join()
        return cut


def each(get: Callable[[list[bytes]], list[bytes | None]], keys: list[bytes]) -> Sequence[bytes | CorruptChunk | None]:
    """What ``get`` gives for each key, or the error of that key alone."""
    try:
        return get(keys)
    except CorruptChunk as error:
        # One bad block fails a whole read: find out whose it is.
        if len(keys) == 1:
            return [error.with_traceback(None)]
        return [value for key in keys for value in each(get, [key])]


def first_log(path: str) -> int:
    """The number of the first log that opening the database in a directory, which nobody has open, would replay."""
    with TemporaryDirectory(prefix="s3gw-") as empty:
        families = [name for name in Rdict.list_cf(path) if name != RECORDS]
        database = Rdict(
            path,
            closed_options(empty),
            column_families={name: closed_options(empty) for name in families},
            access_type=AccessType.read_only(),
        )
        try:
            return database.property_int_value(FIRST_LOG) or 0
        finally:
            database.close()


def _read_options(*, verify: bool, fill_cache: bool) -> ReadOptions:
    options = ReadOptions()
    options.set_verify_checksums(verify)
    options.fill_cache(fill_cache)  # type: ignore[call-arg]  # it takes what every setter takes
    return options


def _write_options(*, logged: bool) -> WriteOptions:
    options = WriteOptions()
    options.no_slowdown = True
    options.disable_wal = not logged  # type: ignore[assignment, method-assign]  # a property
    return options


def _meaning(error: Exception) -> Exception:
    """An error of rocksdict, which has nothing but a text, by meaning."""
    text = str(error)
    if text.startswith("Result incomplete"):
        return StoreStalled(text)
    if "No space left on device" in text:
        return StoreFull(text)
    if text.startswith("Corruption"):
        return CorruptChunk(text)
    return StoreFailed(text)
