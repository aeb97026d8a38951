"""Reading bodies: who holds which blobs, and the rows that are in memory.

A blob that a commit retired stays until the last reader that holds it has let go; then it is reclaimed. Everything here
lives in the reactor thread; only the reads themselves run in the pool.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

from twisted.internet.interfaces import IReactorTime

from s3gw.model import Extent, ObjectInfo
from s3gw.store.cache import BodyCache
from s3gw.store.interface import ChunkRow, InlineRow, IObjectStore, StaleBody
from s3gw.store.layout import Span, only_row, spans
from s3gw.web.lanes import HandOver, Lane

Buffer = bytes | memoryview
Open = Callable[[ChunkRow | InlineRow, Buffer], Buffer]
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
Rows = list[ChunkRow | InlineRow]

WINDOW_CHUNKS = 4
"""Rows that a large body is read in at a time: 256 KiB. Opening so many that are encrypted takes 75 us, less than
handing them to a thread; more of them go there, where OpenSSL lets the interpreter go."""

WIDE_WINDOW_CHUNKS = 16
"""The same for a client that takes all it can get: 1 MiB, which costs a third less than four times the other."""

WIDEST_WINDOW_CHUNKS = 64
"""The same for one such client at a time: 4 MiB. Waking a thread costs as much as copying a MiB."""

SMALL_READS = 128
"""Small reads in one batch, 8 MiB at most: whoever finds no place in it falls into a second group."""

KEPT_BYTES = 4 * 1024 * 1024
"""The largest answer whose rows are kept in the cache. One that is there whole is sent without a pause."""


BATCHES_KEPT = 3
"""Batches of commits whose bodies of one row are kept. Whoever looks at an object that is being replaced waits for that
batch, and when it is over the next one may have begun: without the body of before the first, the reader of an object
that is written all the time would come too late again and again."""


class Bodies:
    """The bodies of a store.

    :param cache: of hot rows; those of encrypted bodies are in it as they are stored.
    :param in_thread: calls a function in a worker thread.
    :param reclaim: called with a retired blob that nobody holds.
    :param gather: what tells the turns of the reactor, if small reads are to gather.
    :ivar places: how many readers hold objects of cache buckets, by bucket and place.
    :ivar lanes: the lanes that reads go through: small ones do not wait behind large ones.
    """

    def __init__(
        self,
        store: IObjectStore,
        hand_over: HandOver,
        in_thread: InThread,
        cache: BodyCache,
        reclaim: Callable[[bytes], object],
        gather: IReactorTime | None = None,
    ) -> None:
        self._store = store
        self._in_thread = in_thread
        self._reclaim = reclaim
        self.cache = cache
        self._written: deque[Mapping[bytes, Buffer]] = deque(maxlen=BATCHES_KEPT)
        self._pins: dict[bytes, int] = {}
        self.places: dict[tuple[str, int], int] = {}
        self._doomed: set[bytes] = set()
        self._small: Lane[Rows, list[Buffer]] = Lane(
            hand_over, self._read_rows, most=SMALL_READS, weigh=len, gather=gather
        )
        self._large: Lane[Rows, list[Buffer]] = Lane(hand_over, self._read_rows, most=WIDE_WINDOW_CHUNKS, weigh=len)
        self.lanes = (self._small, self._large)
        self._widest: HeldObject | None = None  # the one that has the widest windows

    def hold(self, bucket: str, key: str, info: ObjectInfo) -> HeldObject:
        """The object, whose bytes stay readable until it is closed."""
        return HeldObject(self, bucket, key, info)

    def retire(self, blobs: Iterable[bytes]) -> None:
        """Nothing leads to these blobs any more: reclaim them, those that are held when they are let go."""
        for blob in blobs:
            if blob in self._pins:
                self._doomed.add(blob)
            else:
                self._reclaim(blob)

    def pin(self, extents: Iterable[Extent]) -> None:
        """Keep the blobs of these extents readable until `unpin`."""
        for extent in extents:
            self._pins[extent.blob] = self._pins.get(extent.blob, 0) + 1

    def unpin(self, extents: Iterable[Extent]) -> None:
        """Undo one `pin`."""
        for extent in extents:
            left = self._pins[extent.blob] - 1
            if left:
                self._pins[extent.blob] = left
                continue
            del self._pins[extent.blob]
            if extent.blob in self._doomed:
                self._doomed.discard(extent.blob)
                self._reclaim(extent.blob)

    def cacheable(self, nbytes: int) -> bool:
        """Whether an answer of this size may stay in the cache: none may push out most of the others."""
        return nbytes <= min(self.cache.budget // 16, KEPT_BYTES)

    def width(self, reader: HeldObject) -> int:
        """How many rows a reader takes at a time whose client takes all it can get."""
        if self._large.busy:
            return WIDE_WINDOW_CHUNKS
        if self._widest is None:
            self._widest = reader
        return WIDEST_WINDOW_CHUNKS if self._widest is reader else WIDE_WINDOW_CHUNKS

    def narrow(self, reader: HeldObject) -> None:
        """A reader needs the widest windows no longer: somebody else may have them."""
        if self._widest is reader:
            self._widest = None

    def being_written(self, bodies: Mapping[bytes, Buffer]) -> None:
        """A batch of commits begins, which writes these bodies of one row, by the id of the inline body or blob."""
        self._written.append(bodies)

    def _just_written(self, row: ChunkRow | InlineRow) -> Buffer | None:
        id = row.blob if isinstance(row, ChunkRow) else row.inline
        for bodies in self._written:
            if id in bodies:
                return bodies[id]
        return None

    async def read(self, window: Sequence[Span], *, keep: bool, unseal: Open | None = None) -> list[Buffer]:
        """The bytes of some spans, verified, hot rows from memory.

        :param keep: whether to remember the rows.
        :param unseal: what each row of an encrypted body goes through.
        :raises StaleBody: :raises CorruptChunk:"""
        buffers = [self.cache.get(span.row) for span in window]
        for index, span in enumerate(window):
            if buffers[index] is None and (body := self._just_written(span.row)) is not None:
                buffers[index] = body
                if keep:
                    self.cache.put(span.row, body)
        missing = [index for index, found in enumerate(buffers) if found is None]
        if missing:
            lane = self._small if len(window) == 1 else self._large
            rows = await lane.ask([window[index].row for index in missing])
            for index, body in zip(missing, rows, strict=True):
                buffers[index] = body
                if keep:
                    self.cache.put(window[index].row, body)
        if unseal is not None:
            work = partial(_unsealed, unseal, window, buffers)
            return work() if len(window) <= WINDOW_CHUNKS else await self._in_thread(work)
        return [_cut(buffer, span) for buffer, span in zip(buffers, window, strict=True) if buffer is not None]

    async def read_one(self, bucket: str, key: str, info: ObjectInfo, start: int, length: int) -> Buffer | None:
        """``length`` bytes of an object that is not encrypted, from ``start``, verified, if they are in one row.

        :return: None if they are in several, or in none, or were replaced.
        :raises CorruptChunk:"""
        row: ChunkRow | InlineRow
        if info.inline:
            row, low = InlineRow(bucket, key, info.inline, info.order), start
        else:
            place = only_row(info, start, length)
            if place is None:
                return None
            blob, number, low = place
            row = ChunkRow(blob, number)
        body = self.cache.get(row) or self._just_written(row)
        if body is None:
            held = self.hold(bucket, key, info)
            try:
                (body,) = await self._small.ask([row])
            except StaleBody:
                return None
            finally:
                held.close()
        if self.cacheable(length):
            self.cache.put(row, body)
        return body if length == len(body) else memoryview(body)[low : low + length]

    def _read_rows(self, batch: list[Rows]) -> list[list[Buffer] | Exception]:
        """Read the rows of all windows; a window fails with the first of its rows that does."""
        every = [row for rows in batch for row in rows]
        results = chain.from_iterable(
            # What it has read it copies without letting anybody have the interpreter.
            self._store.read(every[low : low + WIDE_WINDOW_CHUNKS])
            for low in range(0, len(every), WIDE_WINDOW_CHUNKS)
        )
        answers: list[list[Buffer] | Exception] = []
        for rows in batch:
            bodies: list[Buffer] = []
            error: Exception | None = None
            for result in islice(results, len(rows)):
                if isinstance(result, Exception):
                    error = error or result
                else:
                    bodies.append(result)
            answers.append(error or bodies)
        return answers


def _unsealed(unseal: Open, window: Sequence[Span], rows: Sequence[Buffer | None]) -> list[Buffer]:
    return [_cut(unseal(span.row, row), span) for row, span in zip(rows, window, strict=True) if row is not None]


def _cut(buffer: Buffer, span: Span) -> Buffer:
    if span.low == 0 and span.high == len(buffer):
        return buffer
    return memoryview(buffer)[span.low : span.high]


class HeldObject:
    """An object whose blobs are pinned: `operations.call.Reader`."""

    __slots__ = ("_bodies", "_bucket", "_held", "_key", "_place", "info")

    def __init__(self, bodies: Bodies, bucket: str, key: str, info: ObjectInfo) -> None:
        self._bodies = bodies
        self._bucket = bucket
        self._key = key
        self.info = info
        self._held = info.extents
        self._place = info.place
        bodies.pin(self._held)
        if info.place:
            name = (bucket, info.place)
            bodies.places[name] = bodies.places.get(name, 0) + 1

    def source(self, start: int, length: int, unseal: Open | None = None) -> ObjectSource:
        """``length`` bytes from ``start``."""
        run = spans(self._bucket, self._key, self.info, start, length)
        return ObjectSource(self, self._bodies, run, keep=self._bodies.cacheable(length), unseal=unseal)

    def close(self) -> None:
        """Let go of the blobs."""
        held, self._held = self._held, ()
        self._bodies.unpin(held)
        self._bodies.narrow(self)
        if self._place:
            name, self._place = (self._bucket, self._place), 0
            if self._bodies.places[name] == 1:
                del self._bodies.places[name]
            else:
                self._bodies.places[name] -= 1


class ObjectSource:
    """A run of spans, a window at a time: `operations.call.Source`."""

    __slots__ = ("_bodies", "_keep", "_reader", "_spans", "_unseal")

    def __init__(
        self, reader: HeldObject, bodies: Bodies, run: Iterator[Span], *, keep: bool, unseal: Open | None = None
    ) -> None:
        self._reader = reader
        self._bodies = bodies
        self._spans = run
        self._keep = keep
        self._unseal = unseal

    async def read(self, wide: bool = False) -> list[Buffer]:
        """The next window; ``[]`` at the end.

        :raises StaleBody: :raises CorruptChunk:"""
        width = WINDOW_CHUNKS
        if wide:
            width = self._bodies.width(self._reader)
        else:
            self._bodies.narrow(self._reader)
        window = list(islice(self._spans, width))
        if not window:
            return []
        return await self._bodies.read(window, keep=self._keep, unseal=self._unseal)

    def close(self) -> None:
        """Let go of the object."""
        self._reader.close()
