"""`Scrub`: when a pass is due, how fast it reads, and where it goes on."""

from __future__ import annotations

from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from s3gw.store.interface import IScrubStore, ScrubStep, StoreFailed
from s3gw.store.memory import MemoryStore
from s3gw.web.scrub import INTERVAL_SECONDS, MIB, SECONDS_PER_DAY, Scrub, State

DAYS = 3
STEPS = 10


@implementer(IScrubStore)
class Store:
    """Ten steps of a MiB; row 4 is damaged."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.error: Exception | None = None

    def scrub(self, position: bytes) -> ScrubStep:
        if self.error is not None:
            raise self.error
        self.asked.append(position)
        number = int(position or b"0") + 1
        return ScrubStep(b"%d" % number if number < STEPS else b"", 2, MIB, ("C bad/4",) if number == 4 else ())


class ScrubTests(SynchronousTestCase):
    """With a clock that is the test's."""

    def setUp(self) -> None:
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)
        self.clock = Clock()
        self.clock.advance(1_000_000_000)
        self.store = Store()
        self.path = Path(self.mktemp())

    def observe(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))

    def scrub(self, store: object = None, *, days: int = DAYS, rate: int = MIB) -> Scrub:
        """One that has been started."""
        made = Scrub(store or self.store, self.path, execute, self.clock, self.clock.seconds, days, rate)  # type: ignore[arg-type]
        made.start()
        return made

    def stop(self, scrub: Scrub) -> None:
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(scrub.stop())))

    def pass_days(self, days: float) -> None:
        self.clock.pump([INTERVAL_SECONDS] * int(days * SECONDS_PER_DAY / INTERVAL_SECONDS))

    def test_due(self) -> None:
        """The first pass comes so many days after the first start, whatever starts there are in between."""
        first = self.scrub()
        self.pass_days(2)
        self.stop(first)
        second = self.scrub()
        self.pass_days(0.9)
        self.assertEqual(self.store.asked, [])
        self.pass_days(0.2)
        self.assertEqual(len(self.store.asked), STEPS)
        self.assertEqual((second.rows, second.nbytes, second.damaged), (2 * STEPS, STEPS * MIB, 1))
        self.assertLess(self.clock.seconds() - second.completed, SECONDS_PER_DAY)
        self.assertIn("scrub: damaged: C bad/4", self.lines)
        self.pass_days(2.5)
        self.assertEqual(len(self.store.asked), STEPS)
        self.pass_days(0.6)
        self.assertEqual(len(self.store.asked), 2 * STEPS)
        self.stop(second)

    def test_rate(self) -> None:
        """No faster than so many bytes a second."""
        self.path.write_bytes(msgspec.json.encode(State(0.0)))
        scrub = self.scrub(rate=MIB // 4)
        self.assertTrue(scrub.running)
        for second in range(4 * (STEPS - 1)):
            self.assertEqual(len(self.store.asked), 1 + second // 4)
            self.clock.advance(1)
        self.assertEqual(len(self.store.asked), STEPS)
        self.assertFalse(scrub.running)
        self.stop(scrub)

    def test_goes_on(self) -> None:
        """A pass that a stop interrupts goes on at the next start, and is counted as complete at its end."""
        self.path.write_bytes(msgspec.json.encode(State(0.0)))
        first = self.scrub()
        self.clock.pump([1] * 4)
        self.stop(first)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        second = self.scrub()
        self.clock.pump([1] * STEPS)
        self.assertEqual(self.store.asked, [b"", *(b"%d" % number for number in range(1, STEPS))])
        self.assertEqual((first.completed, second.running), (0.0, False))
        self.assertGreater(second.completed, 0)
        self.stop(second)

    def test_fails(self) -> None:
        """A store that cannot be read is tried again later."""
        self.path.write_bytes(msgspec.json.encode(State(0.0, b"3")))
        self.store.error = StoreFailed("no such disk")
        scrub = self.scrub()
        self.assertIn("the scrub failed: no such disk", self.lines)
        self.store.error = None
        self.clock.advance(INTERVAL_SECONDS)
        self.assertEqual(self.store.asked[0], b"3")
        self.stop(scrub)

    def test_damaged_state(self) -> None:
        """A file that nobody can make sense of is one that is not there."""
        self.path.write_bytes(b'{"completed":0.0,"position":"!')
        scrub = self.scrub()
        self.pass_days(DAYS - 0.1)
        self.assertEqual(self.store.asked, [])
        self.pass_days(0.2)
        self.assertEqual(len(self.store.asked), STEPS)
        self.stop(scrub)

    def test_never(self) -> None:
        """Not when it is not wanted, and not of a store that cannot."""
        for scrub in (self.scrub(days=0), self.scrub(MemoryStore())):
            self.pass_days(2 * DAYS)
            self.stop(scrub)
        self.assertEqual(self.store.asked, [])
        self.assertFalse(self.path.exists())
