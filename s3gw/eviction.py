"""Which object a full cache bucket gives up: a queue that is never reordered, and two hands that move over it.

Every object has a *place*, a number that grows with each write; the objects in the order of their places are the queue.
Its newest part is *young*, the rest is *old*. A read only counts, up to `MOST_READS`; it moves nothing. So a hit costs
one addition, and on disk the queue is rows that are written once and deleted once.

    oldest                                       boundary                 newest
    |  old: read n times -> n-1, unread -> out   |  young: read -> old    |  <- writes
    |----------> hand ---------------------------|  unread -> out         |

==========================  ==========================================================================================
when room is needed         the next to go
==========================  ==========================================================================================
the young are too many      the oldest young one, unless it was read: then the boundary moves over it, and it is old
else                        the first old one at the hand that was not read since the hand was there; those that were
                            stay, and lose one read; from the boundary the hand goes on at the oldest
==========================  ==========================================================================================

What passes once, be it a scan of a million keys, leaves by the boundary and never pushes out what is old. The keys of
objects that had to go are remembered for a while (*ghosts*). One that is written again counts as read, and says which
part was too small: the share of the young, a tenth to begin with, grows with each ghost that was young and shrinks
with each that was old. So reads that come in bursts, as those of a conversation do, find a long young queue, and
lasting favourites a short one.

The young queue and its ghosts are those of S3-FIFO: Juncheng Yang, Yazhuo Zhang, Ziyue Qiu, Yao Yue, K. V. Rashmi,
"FIFO queues are all you need for cache eviction", SOSP 2023, https://doi.org/10.1145/3600006.3613147. The hand over
old objects that stay where they are is SIEVE's: Yazhuo Zhang, Juncheng Yang, Yao Yue, Ymir Vigfusson, K. V. Rashmi,
"SIEVE is Simpler than LRU: an Efficient Turn-Key Eviction Algorithm for Web Caches", NSDI 2024,
https://www.usenix.org/conference/nsdi24/presentation/zhang-yazhuo. That ghosts move the boundary is from ARC: Nimrod
Megiddo, Dharmendra S. Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003. S3-FIFO has a second
FIFO queue there, whose objects move to its head when they were read; SIEVE alone does not resist scans.

Sans-IO: `Eviction.look` says which stretch of the queue is wanted, whoever keeps the queue reads it, and
`Eviction.judge` picks from it. `bench.eviction` compares hit ratios with other policies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

MOST_READS = 3
"""Reads that count: so many passes of the hand does an object survive without being read again."""

YOUNG_SHARE = 0.1
"""The part that may be young, to begin with."""

LEAST_SHARE, MOST_SHARE = 0.02, 0.9
"""Between these it moves."""

STEP_OBJECTS = 16
"""By the share of so many objects it moves with a ghost: as fast as conversations come and go."""

STRETCH = 256
"""Objects that are looked at in one go."""

MAX_GHOSTS = 1 << 17
"""Keys that are remembered of each part, at most; else as many as there are objects in the other one."""


class Entry(NamedTuple):
    """An object in the queue. ``pinned``: it is to stay."""

    place: int
    key: str
    size: int
    pinned: bool = False


class Fill(NamedTuple):
    """What is in a cache bucket, and how much of it is young."""

    objects: int
    nbytes: int
    young_objects: int
    young_bytes: int


class Cap(NamedTuple):
    """How much may be in it; 0: as much as there is room for."""

    objects: int = 0
    nbytes: int = 0

    def lowered(self, part: int) -> Cap:
        """A ``part``-th less, rounded down."""
        return Cap(self.objects - self.objects // part, self.nbytes - self.nbytes // part)

    def exceeded(self, objects: int, nbytes: int) -> bool:
        """Whether this is more than may be."""
        return 0 < self.objects < objects or 0 < self.nbytes < nbytes


class Look(NamedTuple):
    """The objects that are wanted next: the first ``limit`` with ``start <= place < end``."""

    start: int
    end: int
    limit: int


class Reads(Protocol):
    """How often objects were read, by place."""

    def count(self, place: int) -> int:
        """At most `MOST_READS`."""

    def set(self, place: int, count: int) -> None:
        """Forget some of them."""


class Eviction:
    """The state of one bucket's eviction.

    :ivar boundary: the place from which on objects are young.
    :ivar hand: the place at which the next look at the old ones begins.
    :ivar share: the part that may be young.
    """

    def __init__(self, reads: Reads, boundary: int = 1, hand: int = 0) -> None:
        self.boundary = boundary
        self.hand = hand
        self.share = YOUNG_SHARE
        self._reads = reads
        self._ghosts = _Ghosts(), _Ghosts()
        self._spared = 0  # objects since the last one that had to go
        self._old_stay = False  # round after round no old one could go
        self._left = Fill(0, 0, 0, 0)
        self._goal = Cap()

    def copy(self, reads: Reads) -> Eviction:
        """The same state over other reads, for a look ahead. Ghosts stay behind: they matter to writes alone."""
        other = Eviction(reads, self.boundary, self.hand)
        other.share = self.share
        return other

    def written(self, key: str, place: int, again: bool) -> None:
        """An object has entered the queue. :param again: it replaced one, which is as good as a read."""
        old, young = (ghosts.forget(key) for ghosts in self._ghosts)
        if old or young:
            step = min(YOUNG_SHARE, STEP_OBJECTS / max(1, self._left.objects))
            self.share = min(MOST_SHARE, max(LEAST_SHARE, self.share + (young - old) * step))
        if old or young or again:
            self._reads.set(place, 1)

    def look(self, fill: Fill, goal: Cap) -> Look | None:
        """What to look at next to come down to ``goal``; None if it is reached, or all that is left is to stay."""
        if self._spared > (MOST_READS + 2) * (fill.objects + STRETCH):
            self._spared, self._old_stay = 0, True
        if not goal.exceeded(fill.objects, fill.nbytes) or (self._old_stay and not fill.young_objects):
            self._spared, self._old_stay = 0, False
            return None
        self._left, self._goal = fill, goal
        if self._young_turn():
            return Look(self.boundary, 1 << 62, STRETCH)
        return Look(self.hand, self.boundary, STRETCH)

    def judge(
        self, look: Look, entries: Iterable[Entry], busy: Callable[[Entry], bool] = lambda entry: False
    ) -> list[Entry]:
        """Of the objects that were looked at, in order, those that are to go; the boundary and the hand have moved on.

        :param busy: whether an object is being read at this moment; it stays."""
        young = look.start == self.boundary and look.end > self.boundary
        gone: list[Entry] = []
        entry = None
        for entry in entries:
            if not self._goal.exceeded(self._left.objects, self._left.nbytes) or young != self._young_turn():
                break
            reads = self._reads.count(entry.place)
            must_stay = entry.pinned or busy(entry)
            stays = reads > 0 or must_stay
            if stays:
                if young and not must_stay:
                    self._old_stay = False  # it may go as an old one
                self._spared += 1
                self._reads.set(entry.place, 0 if young else max(0, reads - 1))
            else:
                self._spared = 0
                gone.append(entry)
            if young:
                self.boundary = entry.place + 1
            else:
                self.hand = entry.place + 1
            if not stays:
                left = self._left
                others = left.objects - left.young_objects if young else left.young_objects
                self._ghosts[young].remember(entry.key, others)
            self._count(entry, young, stays)
        if entry is None:
            self._spared += STRETCH
            if not young:
                self.hand = 0
        return gone

    def _young_turn(self) -> bool:
        """Whether the next to go is a young one."""
        fill, goal = self._left, self._goal
        if self._old_stay or fill.young_objects >= fill.objects:
            return True
        return 0 < goal.nbytes * self.share < fill.young_bytes or 0 < goal.objects * self.share < fill.young_objects

    def _count(self, entry: Entry, young: bool, stays: bool) -> None:
        objects, nbytes, young_objects, young_bytes = self._left
        if not stays:
            objects, nbytes = objects - 1, nbytes - entry.size
        if young:
            young_objects, young_bytes = young_objects - 1, young_bytes - entry.size
        self._left = Fill(objects, nbytes, young_objects, young_bytes)


class _Ghosts:
    """Keys of objects that had to go, the latest ones."""

    def __init__(self) -> None:
        self._serials: dict[int, int] = {}
        self._order: deque[tuple[int, int]] = deque()
        self._serial = 0

    def remember(self, key: str, most: int) -> None:
        """Add a key, and forget the oldest ones above ``most``."""
        name = hash(key)
        self._serial += 1
        self._serials[name] = self._serial
        self._order.append((name, self._serial))
        most = min(MAX_GHOSTS, max(STRETCH, most))
        while len(self._order) > most:
            oldest, serial = self._order.popleft()
            if self._serials.get(oldest) == serial:
                del self._serials[oldest]

    def forget(self, key: str) -> bool:
        """Whether it was there."""
        return self._serials.pop(hash(key), None) is not None
