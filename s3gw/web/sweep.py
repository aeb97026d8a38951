"""The sweep for abandoned uploads: now and then, never two at once, on a clock that is handed in."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from s3gw.operations.call import Storage
from s3gw.operations.expiry import expire_uploads

INTERVAL_SECONDS = 3600.0
MS_PER_DAY = 24 * 3600 * 1000


class UploadSweep:
    """Aborts, once an hour, the uploads that are older than some days.

    :param now: ms since the epoch. :param days: 0 for never.
    :ivar aborted: how many there were so far.
    """

    log = Logger()

    def __init__(self, storage: Storage, clock: IReactorTime, now: Callable[[], int], days: int) -> None:
        self.aborted = 0
        self._storage = storage
        self._now = now
        self._days = days
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._sweep()))
        self._loop.clock = clock
        self._ended: Deferred[LoopingCall] | None = None

    def start(self) -> None:
        """Sweep for the first time after one interval: a start has better things to do."""
        if self._days:
            self._ended = self._loop.start(INTERVAL_SECONDS, now=False)

    async def stop(self) -> None:
        """Return when no sweep is under way and none will be."""
        if self._ended is not None:
            if self._loop.running:
                self._loop.stop()
            await self._ended
            self._ended = None

    async def _sweep(self) -> None:
        try:
            count = await expire_uploads(self._storage, self._now() - self._days * MS_PER_DAY)
        except Exception as error:
            # The next sweep tries again: nothing is lost but an hour.
            self.log.error("the sweep for abandoned uploads failed: {error}", error=error)
            return
        self.aborted += count
        if count:
            self.log.info("aborted {count} uploads that began more than {days} days ago", count=count, days=self._days)
