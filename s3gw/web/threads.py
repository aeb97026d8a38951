"""`LaneThread`: the thread of a lane.

A lane has one batch under way at most, so it needs no pool, and Twisted's takes 105 000 instructions more for handing a
batch over and back: a quarter of a PUT that comes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

Job = tuple[Callable[[], Any], "Deferred[Any]"]


class LaneThread:
    """One thread that does what it is handed, in order. A `lanes.HandOver`; it begins with the first job.

    :param reactor: in whose thread it is called and its Deferreds fire.
    """

    def __init__(self, reactor: IReactorFromThreads, name: str) -> None:
        self._reactor = reactor
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: Thread | None = None

    def __call__(self, work: Callable[[], Any]) -> Deferred[Any]:
        """Call ``work`` in the thread. :return: fires with what it returns or raises."""
        if self._thread is None:
            # What it may have been left with at an exit without `stop` is what a crash leaves.
            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        done: Deferred[Any] = Deferred()
        self._jobs.put((work, done))
        return done

    def stop(self) -> None:
        """End when everything handed over is done."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        report = self._reactor.callFromThread
        while (job := self._jobs.get()) is not None:
            work, done = job
            try:
                result = work()
            except BaseException:
                report(done.errback, Failure())
            else:
                report(done.callback, result)
                del result
            # While it waits it keeps nothing alive.
            del job, work, done
