"""`python -m bench.eviction`: hit ratios of the gateway's eviction and of others, on traces that are made here.

    python -m bench.eviction                        # a table
    python -m bench.eviction --plot docs/caches.svg # and the plot

The gateway's policy is `s3gw.eviction` itself. What it is compared with is written down in a few lines each:

| policy   | gives up                                                                        |
|----------|---------------------------------------------------------------------------------|
| optimum  | the object whose next use is farthest away (Belady 1966); nobody knows it ahead |
| s3gw     | `s3gw.eviction`                                                                 |
| LRU      | the object whose last use is longest ago                                        |
| FIFO     | the oldest object                                                               |

All objects have the same size, for which alone the optimum is known to be one. A miss writes the object, as a cache's
client does. Nothing is random but for the seed.
"""

from __future__ import annotations

import argparse
import bisect
import heapq
import itertools
import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.plot import Panel, Series, svg
from s3gw.eviction import Cap, Entry, Eviction, Fill, Look

Trace = Sequence[int]
SHARES = (0.01, 0.03, 0.1, 0.2, 0.4, 0.7)
"""Sizes of the cache, in parts of the objects that a trace touches."""


class Counts:
    """Reads by place, as `s3gw.eviction.Reads` has it."""

    def __init__(self) -> None:
        self.by_place: dict[int, int] = {}

    def count(self, place: int) -> int:
        """Reads since the last look."""
        return self.by_place.get(place, 0)

    def set(self, place: int, count: int) -> None:
        """Forget some."""
        self.by_place[place] = count


class Gateway:
    """The gateway's policy over a queue in memory."""

    def __init__(self, capacity: int) -> None:
        self._cap = Cap(objects=capacity)
        self._reads = Counts()
        self._policy = Eviction(self._reads)
        self._places: dict[int, int] = {}
        self._keys: dict[int, int] = {}
        self._queue: list[int] = []
        self._next = 1

    def use(self, key: int) -> bool:
        """Read the object, or write it when it is not there; whether it was."""
        place = self._places.get(key)
        if place is not None:
            self._reads.set(place, min(3, self._reads.count(place) + 1))
            return True
        place, self._next = self._next, self._next + 1
        self._places[key] = place
        self._keys[place] = key
        self._queue.append(place)
        self._policy.written(str(key), place, False)
        while (look := self._policy.look(self._fill(), self._cap)) is not None:
            for entry in self._policy.judge(look, self._entries(look)):
                del self._places[self._keys.pop(entry.place)]
        if len(self._queue) > 2 * len(self._keys) + 64:
            self._queue = [place for place in self._queue if place in self._keys]
        return False

    def _fill(self) -> Fill:
        # Everything from the boundary on: places are given one by one, and what is young leaves in order.
        young = self._next - self._policy.boundary
        return Fill(len(self._keys), 0, young, 0)

    def _entries(self, look: Look) -> Iterator[Entry]:
        for index in itertools.count(bisect.bisect_left(self._queue, look.start)):
            if index >= len(self._queue) or self._queue[index] >= look.end:
                return
            place = self._queue[index]
            if place in self._keys:
                yield Entry(place, str(self._keys[place]), 1)


def gateway(trace: Trace, capacity: int) -> int:
    """Hits of the gateway's policy."""
    cache = Gateway(capacity)
    return sum(cache.use(key) for key in trace)


def lru(trace: Trace, capacity: int) -> int:
    """Hits of least recently used."""
    cache: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in trace:
        if key in cache:
            hits += 1
            cache.move_to_end(key)
            continue
        cache[key] = None
        if len(cache) > capacity:
            cache.popitem(last=False)
    return hits


def fifo(trace: Trace, capacity: int) -> int:
    """Hits of first in, first out."""
    cache: set[int] = set()
    queue: deque[int] = deque()
    hits = 0
    for key in trace:
        if key in cache:
            hits += 1
            continue
        cache.add(key)
        queue.append(key)
        if len(cache) > capacity:
            cache.discard(queue.popleft())
    return hits


def optimum(trace: Trace, capacity: int) -> int:
    """Hits of Belady's policy, which may also refuse an object that comes back later than all the others."""
    following = [0] * len(trace)
    last: dict[int, int] = {}
    for index in range(len(trace) - 1, -1, -1):
        following[index] = last.get(trace[index], len(trace))
        last[trace[index]] = index
    cache: dict[int, int] = {}
    heap: list[tuple[int, int]] = []
    hits = 0
    for index, key in enumerate(trace):
        hits += key in cache
        cache[key] = following[index]
        heapq.heappush(heap, (-following[index], key))
        while len(cache) > capacity:
            when, farthest = heapq.heappop(heap)
            if cache.get(farthest) == -when:
                del cache[farthest]
    return hits


POLICIES: dict[str, Callable[[Trace, int], int]] = {"optimum": optimum, "s3gw": gateway, "LRU": lru, "FIFO": fifo}


def zipf(dice: random.Random, length: int) -> list[int]:
    """Independent reads, of which a few keys get most: popularity is one over the rank."""
    keys = length // 10
    weights = list(itertools.accumulate(1 / rank for rank in range(1, keys + 1)))
    return dice.choices(range(keys), cum_weights=weights, k=length)


def scans(dice: random.Random, length: int) -> list[int]:
    """The same, and now and then somebody reads a long run of keys that nobody reads again: a backup, an index."""
    fresh = itertools.count(length)
    trace: list[int] = []
    popular = iter(zipf(dice, length))
    while len(trace) < length:
        trace += itertools.islice(popular, length // 20)
        trace += itertools.islice(fresh, length // 40)
    return trace[:length]


def loop(dice: random.Random, length: int) -> list[int]:
    """A training set, epoch by epoch: all keys in order, again and again, beside some popular ones."""
    keys = length // 20
    popular = iter(zipf(dice, length))
    trace: list[int] = []
    for position in itertools.count():
        if len(trace) >= length:
            return trace[:length]
        trace.append(length + position % keys)
        if position % 4 == 0:
            trace.append(next(popular))
    raise AssertionError


def prefixes(dice: random.Random, length: int) -> list[int]:
    """KV caches of a language model: each object is one more block of tokens behind all those before it.

    Sessions begin with one of some system prompts, many with one of many documents behind it, and talk for some turns,
    others in between. A turn reads the blocks of the whole conversation so far, from its first on, and adds a few. Most
    sessions are short, and what only they have is never read again.
    """
    names: dict[tuple[int, ...], int] = {}

    def block(*path: int) -> int:
        return names.setdefault(path, len(names))

    prompts = [[block(0, prompt, n) for n in range(dice.randint(4, 24))] for prompt in range(40)]
    weights = [1 / rank for rank in range(1, 41)]
    documents = list(itertools.accumulate(1 / rank for rank in range(1, 2001)))
    open_sessions: list[tuple[int, int, list[int]]] = []
    trace: list[int] = []
    session = 0
    while len(trace) < length:
        if len(open_sessions) < 200:
            session += 1
            (prompt,) = dice.choices(range(40), weights)
            context = list(prompts[prompt])
            if dice.random() < 0.5:
                (document,) = dice.choices(range(2000), cum_weights=documents)
                context += [block(1, prompt, document, n) for n in range(4 + document % 24)]
            turns = min(1 + int(dice.expovariate(0.5)), 20)
            open_sessions.append((session, turns, context))
        # A short memory: who has just been answered asks next more often than not.
        chosen = max(dice.randrange(len(open_sessions)), dice.randrange(len(open_sessions)))
        number, turns, context = open_sessions.pop(chosen)
        context = [*context, *(block(2, number, len(context) + n) for n in range(dice.randint(1, 4)))]
        trace += context
        if turns > 1:
            open_sessions.append((number, turns - 1, context))
    return trace[:length]


TRACES: dict[str, Callable[[random.Random, int], list[int]]] = {
    "LLM prefixes": prefixes,
    "Zipf": zipf,
    "Zipf and scans": scans,
    "loop and Zipf": loop,
}


def ratios(trace: Trace, shares: Sequence[float] = SHARES) -> dict[str, list[float]]:
    """For each policy its hit ratio at each size."""
    touched = len(set(trace))
    return {
        name: [hits(trace, max(1, round(touched * share))) / len(trace) for share in shares]
        for name, hits in POLICIES.items()
    }


def table(name: str, found: dict[str, list[float]]) -> str:
    """A trace's figures for people."""
    head = " ".join(f"{share:>8.0%}" for share in SHARES)
    rows = [f"  {policy:8}" + " ".join(f"{ratio:8.3f}" for ratio in figures) for policy, figures in found.items()]
    return "\n".join([f"{name:10}{head}", *rows])


def main(arguments: list[str]) -> int:
    """Simulate; the answer is the exit status."""
    parser = argparse.ArgumentParser(prog="bench.eviction", description="Compare hit ratios.", allow_abbrev=False)
    parser.add_argument("--length", type=int, default=200_000, help="reads of each trace; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write an SVG")
    given = parser.parse_args(arguments)
    panels = []
    for name, make in TRACES.items():
        trace = make(random.Random(given.seed), given.length)
        found = ratios(trace)
        print(table(f"{name} ({len(set(trace))} objects)\n{'':10}", found), flush=True)
        series = [Series(policy, list(zip(SHARES, figures, strict=True))) for policy, figures in found.items()]
        panels.append(Panel(name, series))
    if given.plot is not None:
        given.plot.write_text(svg(panels, "size of the cache, in parts of all objects", "hit ratio"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
