"""Lifecycle sweeps: now and then, never two at once, on a clock that is handed in, and slowly enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from s3gw.operations.call import Storage
from s3gw.operations.lifecycle_sweep import KINDS, LifecycleSweep, configurations
from s3gw.s3.lifecycle import Calendar

MOST_SECONDS = 3600.0
"""The longest time between two sweeps."""

FIRST_SECONDS = 60.0
"""The longest time from the start to the first: a start has better things to do, but not every gateway lives long."""

PER_DAY = 4
"""Sweeps in a day that is shorter than that."""

PAUSE_SECONDS = 0.05
"""Between two pages, and between two batches: so many objects a second, and no more, are looked at and ended."""


class _Stopped(Exception):
    """The gateway ends, and the sweep with it."""


class LifecycleSweeps:
    """Ends what lifecycle rules have ended.

    :param now: ms since the epoch. :param day_seconds: the length of a day of rules.
    :ivar ended: how many of each kind so far. :ivar looked_at: versions and uploads that were looked at.
    :ivar sweeps: that were completed, and ``errors``, those that were not. :ivar last: when the last one was completed,
        seconds since the epoch; 0 for never.
    """

    log = Logger()

    def __init__(self, storage: Storage, clock: IReactorTime, now: Callable[[], int], day_seconds: int) -> None:
        self.ended = dict.fromkeys(KINDS, 0)
        self.looked_at = 0
        self.sweeps = 0
        self.errors = 0
        self.last = 0.0
        self._storage = storage
        self._clock = clock
        self._now = now
        self._calendar = Calendar(day_seconds * 1000)
        self._interval = min(MOST_SECONDS, day_seconds / PER_DAY)
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._sweep()))
        self._loop.clock = clock
        self._first: IDelayedCall | None = None
        self._over: Deferred[LoopingCall] | None = None
        # Rules are followed from the second sweep on that sees them, or the first if they were there at the start: who
        # set them has time to think again.
        self._known: Mapping[str, bytes] | None = None

    def start(self) -> None:
        """Sweep from time to time, soon for the first time."""
        self._first = self._clock.callLater(min(FIRST_SECONDS, self._interval), self._begin)
        Deferred.fromCoroutine(self._look()).addErrback(
            lambda failure: self.log.error("cannot read lifecycle rules: {why}", why=failure.getErrorMessage())
        )

    async def _look(self) -> None:
        """See which rules there are at the start."""
        self._known = configurations(await self._storage.buckets())

    def _begin(self) -> None:
        self._over = self._loop.start(self._interval)

    async def stop(self) -> None:
        """Return when no sweep is under way and none will be."""
        if self._first is not None and self._first.active():
            self._first.cancel()
        if self._over is not None:
            if self._loop.running:
                self._loop.stop()
            await self._over
            self._over = None

    async def _sweep(self) -> None:
        sweep = LifecycleSweep(self._storage, self._calendar, self._now(), self._pause, self._count, self._known)
        try:
            await sweep.run()
        except _Stopped:
            return
        except Exception as error:
            # The next sweep begins anew: nothing is lost but time.
            self.errors += 1
            self.log.error("a lifecycle sweep failed: {error}", error=error)
        else:
            self.sweeps += 1
            self._known = sweep.seen
            self.last = self._now() / 1000
        finally:
            self.looked_at += sweep.looked_at

    async def _pause(self) -> None:
        await deferLater(self._clock, PAUSE_SECONDS)
        if not self._loop.running:
            raise _Stopped()

    def _count(self, kind: str) -> None:
        self.ended[kind] += 1
