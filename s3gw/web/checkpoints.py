"""Checkpoints of the store, one at a time, while it is in use."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from s3gw.store.interface import ICheckpointStore, IObjectStore


class Checkpoints:
    """Makes checkpoints when it is told to.

    :param directory: each is a directory in it, named for its time; None: none are made.
    :param in_thread: runs something that blocks.
    :param now: seconds since the epoch.
    :ivar last: when the last one was made, in seconds since the epoch; 0 if none was. :ivar errors: how many failed.
    """

    log = Logger()

    def __init__(
        self,
        store: IObjectStore,
        directory: Path | None,
        in_thread: Callable[[Callable[[], None]], Deferred[None]],
        now: Callable[[], float],
    ) -> None:
        self.last = 0.0
        self.errors = 0
        self._store = ICheckpointStore(store, None)
        self._directory = directory
        self._in_thread = in_thread
        self._now = now
        self._under_way: Deferred[None] | None = None

    def make(self) -> None:
        """Begin a checkpoint, and say in the log what became of it. While one is under way this does nothing."""
        if self._directory is None or self._store is None:
            self.log.warn("no checkpoint was made: there is no --checkpoint_dir")
        elif self._under_way is not None:
            self.log.warn("no checkpoint was made: one is under way")
        else:
            making = Deferred.fromCoroutine(self._make(self._store, self._directory))
            if not making.called:
                self._under_way = making

    async def ended(self) -> None:
        """Return when none is under way, and let none begin any more."""
        self._directory = None
        if self._under_way is not None:
            await self._under_way

    async def _make(self, store: ICheckpointStore, directory: Path) -> None:
        start = self._now()
        name = datetime.fromtimestamp(start, timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
        path = os.path.join(directory, name)
        try:
            await self._in_thread(lambda: store.checkpoint(path))
        except Exception as error:
            # What was wrong with the store itself, the next request is told as well.
            self.errors += 1
            self.log.error("the checkpoint {path} failed: {error}", path=path, error=error)
        else:
            self.last = start
            ms = (self._now() - start) * 1000
            self.log.info("checkpoint {path} was made in {ms:.0f} ms", path=path, ms=ms)
        finally:
            self._under_way = None
