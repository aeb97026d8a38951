"""The scrub: everything that is stored is read once in so many days, at a bounded rate, while the gateway serves.

How far it has come is in a file beside the database, so that a restart goes on instead of beginning again. That file
is written now and then: what was read since is read once more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from s3gw.store.interface import IObjectStore, IScrubStore, ScrubStep

INTERVAL_SECONDS = 600.0
"""How often it is asked whether a pass is due."""

SAVE_SECONDS = 60.0
SECONDS_PER_DAY = 24 * 3600.0
MIB = 1 << 20

STATE = "S3GW.scrub"
"""The file, in the directory of the database."""


class State(msgspec.Struct):
    """How far it is. :ivar completed: when the last pass ended, in seconds since the epoch; before the first one, when
    this was looked at for the first time. :ivar position: of the pass that is under way; empty without one."""

    completed: float
    position: bytes = b""


class Scrub:
    """Reads a store through, again and again.

    :param path: of the file that remembers how far it is.
    :param in_thread: runs something that blocks.
    :param now: seconds since the epoch.
    :param days: from the end of one pass to the next; 0 for never. :param rate: bytes a second, at most.
    :ivar running: whether a pass is under way. :ivar rows: read since the start, and their ``nbytes``.
    :ivar damaged: rows found so that are not what was written. :ivar completed: when the last pass ended; 0: not yet.
    """

    log = Logger()

    def __init__(
        self,
        store: IObjectStore,
        path: Path,
        in_thread: Callable[[Callable[[], ScrubStep]], Deferred[ScrubStep]],
        clock: IReactorTime,
        now: Callable[[], float],
        days: int,
        rate: int,
    ) -> None:
        self.running = False
        self.rows = self.nbytes = self.damaged = 0
        self.completed = 0.0
        self._store = IScrubStore(store, None)
        self._path = path
        self._in_thread = in_thread
        self._clock = clock
        self._now = now
        self._days = days
        self._rate = rate
        self._saved = 0.0
        self._stopping = False
        self._pausing: Deferred[None] | None = None
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._loop.clock = clock
        self._ended: Deferred[LoopingCall] | None = None

    def start(self) -> None:
        """Go on where an earlier process was, or begin when it is time."""
        if not self._days or self._store is None:
            return
        self._state = self._load()
        self._save()
        self._ended = self._loop.start(INTERVAL_SECONDS)

    async def stop(self) -> None:
        """Return when no pass is under way and none will be."""
        self._stopping = True
        if self._pausing is not None:
            self._pausing.cancel()
        if self._ended is not None:
            if self._loop.running:
                self._loop.stop()
            await self._ended
            self._ended = None

    async def _look(self) -> None:
        state = self._state
        if not state.position and self._now() - state.completed < self._days * SECONDS_PER_DAY:
            return
        self.running = True
        try:
            await self._pass(state)
        except Exception as error:
            # The next look tries again, from here.
            self.log.error("the scrub failed: {error}", error=error)
        finally:
            self.running = False
            self._save()

    async def _pass(self, state: State) -> None:
        assert self._store is not None  # or else it would not have been started
        store, rows, damaged = self._store, self.rows, self.damaged
        while not self._stopping:
            begun = self._clock.seconds()
            step = await self._in_thread(lambda: store.scrub(state.position))
            self._account(step)
            state.position = step.position
            if not step.position:
                self.completed = state.completed = self._now()
                self.log.info(
                    "scrub: all is read, {rows} rows since the start, {damaged} of them damaged",
                    rows=self.rows - rows,
                    damaged=self.damaged - damaged,
                )
                return
            if self._now() >= self._saved + SAVE_SECONDS:
                self._save()
            await self._pause(step.nbytes / self._rate - (self._clock.seconds() - begun))

    def _account(self, step: ScrubStep) -> None:
        self.rows += step.rows
        self.nbytes += step.nbytes
        self.damaged += len(step.damaged)
        for row in step.damaged:
            self.log.critical("scrub: damaged: {row}", row=row)

    async def _pause(self, seconds: float) -> None:
        self._pausing = deferLater(self._clock, max(0.0, seconds))
        try:
            await self._pausing
        except CancelledError:
            pass
        finally:
            self._pausing = None

    def _load(self) -> State:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=State)
        except (OSError, msgspec.DecodeError):
            return State(self._now())

    def _save(self) -> None:
        self._saved = self._now()
        draft = self._path.with_name(self._path.name + ".new")
        try:
            draft.write_bytes(msgspec.json.encode(self._state))
            os.replace(draft, self._path)
        except OSError as error:
            self.log.warn("how far the scrub is could not be written: {error}", error=error)
