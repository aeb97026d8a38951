"""The threads that wait for the disk.

Twisted's own pool would do, at the price of 60 us for each batch of a lane, a quarter of what handing over takes: it
grows and shrinks, keeps contexts apart, and gives its work to the threads through two queues written in Python.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

T = TypeVar("T")


class Workers:
    """Threads that call functions for the reactor thread.

    :param count: how many."""

    def __init__(self, reactor: IReactorFromThreads, count: int, name: str) -> None:
        self._reactor = reactor
        self._waiting: SimpleQueue[tuple[Callable[[], Any], Deferred[Any]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._run, name=f"{name}-{number}") for number in range(count)]
        for thread in self._threads:
            thread.start()

    def hand_over(self, work: Callable[[], T]) -> Deferred[T]:
        """Call ``work`` in the next thread that is free. The Deferred fires in the reactor thread."""
        done: Deferred[T] = Deferred()
        self._waiting.put((work, done))
        return done

    def stop(self) -> None:
        """Return when the threads have done what waits for them, and have ended."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        tell = self._reactor.callFromThread
        while (job := self._waiting.get()) is not None:
            work, done = job
            try:
                result = work()
            except BaseException:
                tell(done.errback, Failure())
            else:
                tell(done.callback, result)
            # Whatever it was about need not stay until there is more to do.
            del job, work, done
            result = None
