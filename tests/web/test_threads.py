"""The thread of a lane."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from s3gw.web.threads import LaneThread


class Reactor:
    """Keeps what other threads want done until the test does it."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[..., Any], Any]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        self._calls.put((call, args))

    def turn(self) -> None:
        """Do the next of it; wait for it if there is none."""
        call, args = self._calls.get(timeout=60)
        call(*args)


class Thing:
    """Something that may go."""


class LaneThreadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.thread = LaneThread(self.reactor, "s3gw test")  # type: ignore[arg-type]  # all that is asked of it
        self.addCleanup(self.thread.stop)

    def test_elsewhere_and_in_order(self) -> None:
        """All work is done in one thread, which is not this one, in order; the answers come here."""
        done: list[object] = []
        answers = [self.thread(lambda n=n: (n, threading.current_thread().name)) for n in range(3)]
        for answer in answers:
            answer.addCallback(lambda result: done.append((*result, threading.current_thread().name)))
        for _ in answers:
            self.reactor.turn()
        here = threading.current_thread().name
        self.assertEqual(done, [(n, "s3gw test", here) for n in range(3)])

    def test_errors(self) -> None:
        """What the work raises is the answer, whatever it is, and the thread goes on."""

        def fail(error: BaseException) -> None:
            raise error

        broken = [self.thread(lambda: fail(OSError("disk"))), self.thread(lambda: fail(SystemExit()))]
        fine = self.thread(lambda: 7)
        for _ in range(3):
            self.reactor.turn()
        self.failureResultOf(broken[0], OSError)
        self.failureResultOf(broken[1], SystemExit)
        self.assertEqual(self.successResultOf(fine), 7)

    def test_stop(self) -> None:
        """It ends when what was handed over is done; one that has done nothing has no thread to end."""
        LaneThread(self.reactor, "s3gw idle").stop()  # type: ignore[arg-type]
        last = self.thread(lambda: 1)
        self.thread.stop()
        self.assertNotIn("s3gw test", [thread.name for thread in threading.enumerate()])
        self.reactor.turn()
        self.assertEqual(self.successResultOf(last), 1)

    def test_keeps_nothing(self) -> None:
        """While it waits it keeps neither the work nor what came of it: these are bodies."""
        thing = Thing()
        gone = weakref.ref(thing)
        self.thread(lambda thing=thing: thing).addCallback(lambda _: None)
        del thing
        self.reactor.turn()
        # The next job has been taken only when the first was let go.
        self.thread(lambda: None)
        self.reactor.turn()
        gc.collect()
        self.assertIsNone(gone())
