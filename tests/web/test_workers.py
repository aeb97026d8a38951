"""The threads that wait for the disk."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Barrier, Event, current_thread
from typing import Any
from weakref import ref

from twisted.trial.unittest import SynchronousTestCase

from s3gw.web.workers import Workers


class _Reactor:
    """Calls what threads hand it when the test says so."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], Any]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        """As a reactor."""
        self.calls.put(partial(call, *arguments))

    def turn(self) -> None:
        """Wait for one call."""
        self.calls.get(timeout=60)()


class _Thing:
    """Something that can be seen to be gone."""


class WorkersTests(SynchronousTestCase):
    """`Workers`."""

    def setUp(self) -> None:
        """Start two."""
        self.reactor = _Reactor()
        self.workers = Workers(self.reactor, 2, "test")
        self.addCleanup(self.workers.stop)

    def test_result(self) -> None:
        """What the function returns comes back, in the thread that asked."""
        found: list[Any] = []
        done = self.workers.hand_over(lambda: current_thread().name)
        done.addCallback(lambda name: found.extend((name, current_thread())))
        self.reactor.turn()
        self.assertEqual(["test", current_thread()], [found[0].rpartition("-")[0], found[1]])

    def test_error(self) -> None:
        """What it raises does too, and the thread goes on."""
        for _ in range(4):
            done = self.workers.hand_over(lambda: {}["missing"])
            self.reactor.turn()
            self.failureResultOf(done, KeyError)
        done = self.workers.hand_over(lambda: 1)
        self.reactor.turn()
        self.assertEqual(1, self.successResultOf(done))

    def test_at_once(self) -> None:
        """Each thread does its own; what is more waits."""
        both, go = [Event(), Event()], Event()

        def meet(mine: Event, other: Event) -> bool:
            mine.set()
            return other.wait(60) and go.wait(60)

        meeting = [self.workers.hand_over(partial(meet, *order)) for order in (both, both[::-1])]
        later = self.workers.hand_over(lambda: "later")
        self.assertTrue(all(each.wait(60) for each in both))
        self.assertNoResult(later)
        go.set()
        for _ in range(3):
            self.reactor.turn()
        self.assertEqual([True, True, "later"], [self.successResultOf(each) for each in (*meeting, later)])

    def test_stop(self) -> None:
        """Stopping waits for what was handed over before."""
        done = [self.workers.hand_over(partial(pow, 2, number)) for number in range(20)]
        self.workers.stop()
        for _ in done:
            self.reactor.turn()
        self.assertEqual([2**number for number in range(20)], [self.successResultOf(each) for each in done])

    def test_nothing_stays(self) -> None:
        """An idle thread keeps neither what it worked on nor what came of it."""
        meeting = Barrier(2, timeout=60)
        thing = _Thing()
        gone = ref(thing)
        for work in (lambda thing=thing: thing, lambda thing=thing: {}[thing]):
            done = self.workers.hand_over(work)
            self.reactor.turn()
            done.addBoth(lambda _: None)
        del thing, work, done
        # Threads that meet have let go of what they did before.
        for _ in range(2):
            self.workers.hand_over(meeting.wait)
        for _ in range(2):
            self.reactor.turn()
        gc.collect()
        self.assertIsNone(gone())
