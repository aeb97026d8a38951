"""Tests of `s3gw.eviction` against a queue in memory, and of the simulation that draws its picture."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from bench.eviction import TRACES, fifo, gateway, lru, optimum
from bench.plot import Panel, Series, svg
from s3gw.eviction import LEAST_SHARE, MOST_READS, MOST_SHARE, STRETCH, YOUNG_SHARE, Cap, Entry, Eviction, Fill, Look

KEYS = st.integers(0, 30).map(str)


class Queue:
    """A bucket in memory: what the policy asks for, and a model of what may happen."""

    def __init__(self, cap: Cap) -> None:
        self.cap = cap
        self.reads: dict[int, int] = {}
        self.entries: dict[int, Entry] = {}
        self.by_key: dict[str, int] = {}
        self.policy = Eviction(self)
        self.place = 0

    def count(self, place: int) -> int:
        """As `eviction.Reads`."""
        return self.reads.get(place, 0)

    def set(self, place: int, count: int) -> None:
        """As `eviction.Reads`."""
        assert 0 <= count <= MOST_READS
        self.reads[place] = count

    def write(self, key: str, size: int = 1, pinned: bool = False) -> None:
        """Write an object, replacing what is there."""
        again = self.remove(key)
        self.place += 1
        self.entries[self.place] = Entry(self.place, key, size, pinned)
        self.by_key[key] = self.place
        self.policy.written(key, self.place, again)

    def remove(self, key: str) -> bool:
        """Delete an object, if it is there."""
        place = self.by_key.pop(key, None)
        return place is not None and self.entries.pop(place) is not None

    def read(self, key: str) -> None:
        """Read an object that is there."""
        place = self.by_key[key]
        self.reads[place] = min(MOST_READS, self.count(place) + 1)

    def fill(self) -> Fill:
        """What there is."""
        young = [entry for entry in self.entries.values() if entry.place >= self.policy.boundary]
        whole = sum(entry.size for entry in self.entries.values())
        return Fill(len(self.entries), whole, len(young), sum(entry.size for entry in young))

    def stretch(self, look: Look) -> Iterator[Entry]:
        """The rows that are looked at."""
        found = sorted(place for place in self.entries if look.start <= place < look.end)
        return (self.entries[place] for place in found[: look.limit])

    def evict(self, busy: frozenset[str] = frozenset()) -> list[Entry]:
        """Come down to the cap; what had to go."""
        gone: list[Entry] = []
        for _ in range(10_000):
            look = self.policy.look(self.fill(), self.cap)
            if look is None:
                return gone
            for entry in self.policy.judge(look, list(self.stretch(look)), lambda entry: entry.key in busy):
                self.remove(entry.key)
                gone.append(entry)
        raise AssertionError("it never ends")


class EvictionMachine(RuleBasedStateMachine):
    """Whatever happens, the policy keeps to the cap, spares what it has to, and comes to an end."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(Cap(objects=8, nbytes=40))
        self.gone: list[Entry] = []

    @rule(key=KEYS, size=st.integers(0, 60), pinned=st.booleans() | st.just(False))
    def write(self, key: str, size: int, pinned: bool) -> None:
        """A client writes."""
        self.queue.write(key, size, pinned)
        self.settle(frozenset())

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        """A client reads."""
        if key in self.queue.by_key:
            self.queue.read(key)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        """A client deletes."""
        self.queue.remove(key)

    @rule(keys=st.frozensets(KEYS))
    def settle(self, keys: frozenset[str]) -> None:
        """Room is made, while some objects are being read."""
        queue = self.queue
        before = queue.fill()
        gone = queue.evict(keys)
        assert not any(entry.pinned or entry.key in keys for entry in gone)
        after = queue.fill()
        assert after.nbytes == before.nbytes - sum(entry.size for entry in gone)
        # No more goes than has to: with the last one it was too much still.
        if gone:
            assert queue.cap.exceeded(after.objects + 1, after.nbytes + gone[-1].size)
        if queue.cap.exceeded(after.objects, after.nbytes):
            assert all(entry.pinned or entry.key in keys for entry in queue.entries.values())

    @precondition(lambda self: self.queue.entries)
    @rule()
    def restart(self) -> None:
        """The process starts again: boundary and hand were kept, ghosts and the share were not."""
        policy = self.queue.policy
        self.queue.policy = Eviction(self.queue, policy.boundary, policy.hand)

    @invariant()
    def sane(self) -> None:
        """The boundary is within what was given, the share within its bounds."""
        assert 1 <= self.queue.policy.boundary <= self.queue.place + 1
        assert LEAST_SHARE <= self.queue.policy.share <= MOST_SHARE


class ModelTests(SynchronousTestCase):
    """Whatever happens."""

    def test_model(self) -> None:
        """The machine finds nothing."""
        run_state_machine_as_test(
            EvictionMachine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
        )


class OrderTests(SynchronousTestCase):
    """Who goes first."""

    def test_unread_young_go_first(self) -> None:
        """Of objects that were written once the oldest goes; one that was read stays."""
        queue = Queue(Cap(objects=4))
        for key in "abcd":
            queue.write(key)
        queue.read("a")
        queue.write("e")
        self.assertEqual([entry.key for entry in queue.evict()], ["b"])

    def test_scan(self) -> None:
        """A scan of many times the cap pushes out nothing that was in use."""
        queue = Queue(Cap(objects=100))
        for number in range(50):
            queue.write(f"hot-{number}")
            queue.read(f"hot-{number}")
        for number in range(10_000):
            queue.write(f"scan-{number}")
            queue.evict()
        self.assertEqual(50, sum(key.startswith("hot") for key in queue.by_key))

    def test_what_is_no_longer_read_goes(self) -> None:
        """Favourites of yesterday make room for those of today."""
        queue = Queue(Cap(objects=100))
        for day in range(3):
            for _ in range(4):
                for number in range(80):
                    key = f"{day}-{number}"
                    if key in queue.by_key:
                        queue.read(key)
                    else:
                        queue.write(key)
                    queue.evict()
        self.assertGreaterEqual(sum(key.startswith("2-") for key in queue.by_key), 75)

    def test_ghosts(self) -> None:
        """A key that comes back soon after it had to go is needed: the young get more room."""
        queue = Queue(Cap(objects=20))
        for number in range(21):
            queue.write(str(number))
        (gone,) = queue.evict()
        self.assertEqual((gone.key, queue.policy.share), ("0", YOUNG_SHARE))
        queue.write("0")
        self.assertGreater(queue.policy.share, YOUNG_SHARE)
        queue.evict()
        queue.write("new")
        self.assertNotIn("0", [entry.key for entry in queue.evict()])

    def test_all_pinned(self) -> None:
        """Where nothing may go nothing does, and the policy gives up rather than go round for ever."""
        queue = Queue(Cap(objects=2))
        for number in range(3 * STRETCH):
            queue.write(str(number), pinned=True)
        self.assertEqual(queue.evict(), [])
        queue.write("free")
        queue.write("another")
        self.assertEqual({entry.key for entry in queue.evict()}, {"free", "another"})

    def test_lowered(self) -> None:
        """A cap lowered by a part leaves one of nothing alone."""
        self.assertEqual(Cap(64, 6400).lowered(64), Cap(63, 6300))
        self.assertEqual(Cap(0, 0).lowered(64), Cap(0, 0))
        self.assertFalse(Cap(0, 0).exceeded(10**9, 10**12))

    def test_copy(self) -> None:
        """A look ahead changes nothing."""
        queue = Queue(Cap(objects=4))
        for key in "abcdef":
            queue.write(key)
        other = queue.policy.copy(queue)
        look = other.look(queue.fill(), queue.cap)
        assert look is not None
        self.assertEqual([entry.key for entry in other.judge(look, list(queue.stretch(look)))], ["a", "b"])
        self.assertEqual(queue.policy.boundary, 1)


class SimulationTests(SynchronousTestCase):
    """The comparison of `bench.eviction`."""

    @given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 8))
    @settings(max_examples=50, deadline=None)
    def test_nothing_beats_the_optimum(self, trace: list[int], capacity: int) -> None:
        """Hits are those of a cache of that size, and the optimum has the most."""
        best = optimum(trace, capacity)
        for policy in (gateway, lru, fifo):
            self.assertLessEqual(policy(trace, capacity), best)
        self.assertEqual(gateway(trace, 100), len(trace) - len(set(trace)))

    def test_better_than_lru(self) -> None:
        """On the traces that the documents show, in a cache of a tenth, it is ahead of FIFO and mostly of LRU."""
        for name, make in TRACES.items():
            trace = make(random.Random(1), 8000)
            self.assertEqual(8000, len(trace), name)
            capacity = len(set(trace)) // 10
            self.assertGreater(gateway(trace, capacity) / len(trace), lru(trace, capacity) / len(trace) - 0.05, name)

    def test_plot(self) -> None:
        """A picture has a line for each policy and a title for each trace."""
        drawn = svg([Panel("a < b", [Series("one", [(0.1, 0.2), (0.5, 0.4)])])], "x", "y")
        self.assertIn("a &lt; b", drawn)
        self.assertEqual(2, drawn.count("<polyline"))
