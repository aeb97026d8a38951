"""Whether one log goes on where the one before it ends.

Nothing in a log says that it is whole. One that a power cut left short by whole writes looks like one that ended there;
but the next log tells. RocksDB numbers every row that is written, and a write begins in the log with the number of its
first row:

| 8 bytes                             | 4 bytes               |                                                        |
|-------------------------------------|-----------------------|--------------------------------------------------------|
| number of its first row             | how many rows it has  | the rows                                               |

So the first write of a log has the number behind that of the last row of the log before. Rows that did not go through
the log have taken numbers as well: the first logged write behind such rows says in a last row of its own (`keys.LOG`)
which number was the last one in the log before them. Logs that hold nothing more than what is in tables are deleted in
any order, so only those are compared that opening is to replay.

All numbers are little-endian, as RocksDB has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from s3gw.store.interface import CorruptChunk
from s3gw.store.keys import LOG
from s3gw.store.records import CRC_BYTES, open_chunk, seal_chunk

NUMBER_BYTES = 8
COUNT_BYTES = 4
HEAD_BYTES = NUMBER_BYTES + COUNT_BYTES

_VALUE_BYTES = NUMBER_BYTES + CRC_BYTES

_PUT = bytes((1, len(LOG))) + LOG + bytes((_VALUE_BYTES,))
"""How a write has a row of the default column family: kind, length and key, length and value."""


def row_after(number: int) -> tuple[bytes, bytes]:
    """The last row of a write whose predecessor in the log had this number in its last row, if rows that were not
    logged lie between."""
    return LOG, seal_chunk(LOG, number.to_bytes(NUMBER_BYTES, "little"))


class Span(NamedTuple):
    """Which rows are in a log: the number of the first one, that of the last one, and, if the first write tells of rows
    that were not logged, that of the last row in the log before them."""

    first: int
    last: int
    behind: int | None = None

    @classmethod
    def of(cls, first: bytes, last: bytes) -> Span:
        """That of a log with this first write, and this head of the last one."""
        behind = None
        if first[-_VALUE_BYTES - len(_PUT) : -_VALUE_BYTES] == _PUT:
            try:
                behind = int.from_bytes(open_chunk(LOG, first[-_VALUE_BYTES:]), "little")
            except CorruptChunk:
                pass  # bytes of a body that look like it
        rows = int.from_bytes(last[NUMBER_BYTES:HEAD_BYTES], "little")
        return cls(_first_of(first), _first_of(last) + rows - 1, behind)

    def follows(self, last: int) -> bool:
        """Whether no logged row is missing in between."""
        return last in (self.first - 1, self.behind)


def _first_of(write: bytes) -> int:
    return int.from_bytes(write[:NUMBER_BYTES], "little")


def first_behind_hole(spans: Sequence[Span | None]) -> int | None:
    """Which log is the first one that does not go on where the one before it ends, if any.

    :param spans: of the logs in their order, None for one that has no whole write. RocksDB begins a log when the one
        before has been written to, so behind an empty one there is a hole.
    """
    last: int | None = None
    for index, span in enumerate(spans):
        if span is None:
            continue
        if (last is None and index) or (last is not None and not span.follows(last)):
            return index
        last = span.last
    return None
