"""Who was read: for each place in the queue of a cache bucket how often, and when the last time.

In memory, in pages of `PAGE` places, and now and then in rows: a crash loses the last seconds of it. A read costs an
addition and no I/O. Pages of places that nobody reads take no room.
"""

from __future__ import annotations

from array import array

from s3gw.eviction import MOST_READS
from s3gw.store.cache_records import ReadsRecord

PAGE = 256


class Reads:
    """The reads of one cache bucket. `read` is for one thread; the others may be called beside it.

    :ivar timed: whether the time of the last read matters.
    """

    def __init__(self, timed: bool = False) -> None:
        self.timed = timed
        self._counts: dict[int, bytearray] = {}
        self._times: dict[int, array[int]] = {}
        self._changed: dict[int, None] = {}

    def read(self, place: int, now: int) -> None:
        """Somebody reads the object at ``place``, at ``now`` ms since the epoch."""
        number, at = divmod(place, PAGE)
        page = self._counts.get(number)
        if page is None:
            page = self._counts[number] = bytearray(PAGE)
        if page[at] < MOST_READS:
            page[at] += 1
            self._changed[number] = None
        if self.timed:
            times = self._times.get(number)
            if times is None:
                times = self._times[number] = array("Q", bytes(8 * PAGE))
            times[at] = now
            self._changed[number] = None

    def count(self, place: int) -> int:
        """How often the object was read, at most `MOST_READS`."""
        number, at = divmod(place, PAGE)
        page = self._counts.get(number)
        return 0 if page is None else page[at]

    def set(self, place: int, count: int) -> None:
        """Make it so many."""
        number, at = divmod(place, PAGE)
        page = self._counts.get(number)
        if page is None:
            if not count:
                return
            page = self._counts[number] = bytearray(PAGE)
        page[at] = count
        self._changed[number] = None

    def last(self, place: int) -> int:
        """When the object was read the last time, ms since the epoch; 0: never, as far as is known."""
        number, at = divmod(place, PAGE)
        times = self._times.get(number)
        return 0 if times is None else times[at]

    def take_changed(self, limit: int) -> list[tuple[int, ReadsRecord]]:
        """The pages that changed since they were taken, the first ``limit``."""
        taken = []
        for number in list(self._changed)[:limit]:
            del self._changed[number]
            times = self._times.get(number)
            counts = self._counts.get(number)
            taken.append(
                (
                    number,
                    ReadsRecord(
                        b"" if counts is None else bytes(counts),
                        b"" if times is None or not self.timed else times.tobytes(),
                    ),
                )
            )
        return taken

    def load(self, number: int, record: ReadsRecord) -> None:
        """A page as it was saved."""
        self._counts[number] = bytearray(record.counts.ljust(PAGE, b"\0")[:PAGE])
        if self.timed and len(record.times) == 8 * PAGE:
            self._times[number] = array("Q", record.times)

    def forget_before(self, place: int) -> list[int]:
        """Drop the pages that are of places before this one alone; their numbers."""
        gone = [number for number in {*self._counts, *self._times} if (number + 1) * PAGE <= place]
        for number in gone:
            self._counts.pop(number, None)
            self._times.pop(number, None)
            self._changed.pop(number, None)
        return gone
