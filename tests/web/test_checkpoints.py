"""`Checkpoints`: one at a time, told in the log, and over before the store closes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred, execute
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from s3gw.store.interface import ICheckpointStore, StoreFull
from s3gw.store.memory import MemoryStore
from s3gw.web.checkpoints import Checkpoints

NOON = 1_800_000_000.25


@implementer(ICheckpointStore)
class Store:
    """Remembers what it was asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.made: list[str] = []

    def checkpoint(self, path: str) -> None:
        if self.error is not None:
            raise self.error
        self.made.append(path)


class CheckpointsTests(SynchronousTestCase):
    """What SIGUSR2 does."""

    def setUp(self) -> None:
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)
        self.waiting: list[tuple[Deferred[None], Callable[[], None]]] = []

    def observe(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))

    def later(self, work: Callable[[], None]) -> Deferred[None]:
        """A thread that has not come to it yet."""
        done: Deferred[None] = Deferred()
        self.waiting.append((done, work))
        return done

    def end(self) -> None:
        """Now it has."""
        done, work = self.waiting.pop()
        execute(work).chainDeferred(done)

    def checkpoints(self, store: object, where: str | None = "/checkpoints", *, later: bool = False) -> Checkpoints:
        directory = None if where is None else Path(where)
        return Checkpoints(store, directory, self.later if later else execute, lambda: NOON)  # type: ignore[arg-type]

    def test_made(self) -> None:
        """It is named for its time, and the log and a figure tell."""
        store = Store()
        checkpoints = self.checkpoints(store)
        checkpoints.make()
        path = "/checkpoints/20270115T080000.250000Z"
        self.assertEqual(store.made, [path])
        self.assertEqual(self.lines, [f"checkpoint {path} was made in 0 ms"])
        self.assertEqual((checkpoints.last, checkpoints.errors), (NOON, 0))
        checkpoints.make()
        self.assertEqual(len(store.made), 2)

    def test_one_at_a_time(self) -> None:
        """One that is asked for while another is under way is not made, and that is said."""
        store = Store()
        checkpoints = self.checkpoints(store, later=True)
        checkpoints.make()
        checkpoints.make()
        self.assertEqual(self.lines, ["no checkpoint was made: one is under way"])
        self.end()
        self.assertEqual(len(store.made), 1)
        checkpoints.make()
        self.end()
        self.assertEqual(len(store.made), 2)

    def test_failed(self) -> None:
        """A failure is a line and a count; the next one may succeed."""
        store = Store(StoreFull("no room"))
        checkpoints = self.checkpoints(store)
        checkpoints.make()
        self.assertIn("failed: no room", self.lines[0])
        self.assertEqual((checkpoints.last, checkpoints.errors), (0, 1))
        store.error = None
        checkpoints.make()
        self.assertEqual(checkpoints.last, NOON)

    def test_nowhere(self) -> None:
        """Without a directory, or over a store that makes none, nothing happens but a line."""
        for checkpoints in (self.checkpoints(Store(), None), self.checkpoints(MemoryStore())):
            checkpoints.make()
            self.assertIn("no checkpoint was made", self.lines.pop())

    def test_ended(self) -> None:
        """The end waits for the one that is under way, and no other begins."""
        store = Store()
        checkpoints = self.checkpoints(store, later=True)
        checkpoints.make()
        ended = Deferred.fromCoroutine(checkpoints.ended())
        self.assertNoResult(ended)
        self.end()
        self.successResultOf(ended)
        checkpoints.make()
        self.assertEqual((len(store.made), self.waiting), (1, []))
        self.successResultOf(Deferred.fromCoroutine(self.checkpoints(store).ended()))
