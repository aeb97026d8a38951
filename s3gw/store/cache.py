"""Body rows in memory.

A row's identity names its content for ever (a blob or inline id is never used twice), so nothing here can be stale; a
row that nothing leads to any more is dropped to make room, not for correctness.
"""

from __future__ import annotations

from collections import OrderedDict

from s3gw.store.interface import ChunkRow, InlineRow

Buffer = bytes | memoryview

_OVERHEAD = 300
"""What an entry costs beside its bytes, about."""


class BodyCache:
    """The body rows used last, up to ``budget`` bytes. Not thread-safe.

    :ivar size: bytes held. :ivar hits: and ``misses``: answers of `get`.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.size = 0
        self.hits = 0
        self.misses = 0
        self._rows: OrderedDict[tuple[bytes, int], Buffer] = OrderedDict()
        self._chunks: dict[bytes, set[int]] = {}

    def get(self, row: ChunkRow | InlineRow) -> Buffer | None:
        """The bytes of a row, if they are here."""
        name = (row.blob, row.number) if isinstance(row, ChunkRow) else (row.inline, 0)
        found = self._rows.get(name)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._rows.move_to_end(name)
        return found

    def held(self, body: bytes, number: int = 0) -> Buffer | None:
        """As `get`, by the id of an inline body, or that of a blob and the number of the chunk; who does not find it
        looks again with `get`."""
        name = (body, number)
        found = self._rows.get(name)
        if found is not None:
            self.hits += 1
            self._rows.move_to_end(name)
        return found

    def put(self, row: ChunkRow | InlineRow, body: Buffer) -> None:
        """Remember the bytes of a row; the rows used longest ago make room."""
        name = (row.blob, row.number) if isinstance(row, ChunkRow) else (row.inline, 0)
        if name in self._rows:
            return
        self.size += len(body) + _OVERHEAD
        self._rows[name] = body
        self._chunks.setdefault(name[0], set()).add(name[1])
        while self.size > self.budget and self._rows:
            self._forget(*next(iter(self._rows)))

    def drop(self, body: bytes) -> None:
        """Forget all rows of a blob or inline id."""
        for number in tuple(self._chunks.get(body, ())):
            self._forget(body, number)

    def _forget(self, body: bytes, number: int) -> None:
        self.size -= len(self._rows.pop((body, number))) + _OVERHEAD
        numbers = self._chunks[body]
        numbers.discard(number)
        if not numbers:
            del self._chunks[body]
