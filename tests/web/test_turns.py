"""Tests of `s3gw.web.turns`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from s3gw.web.turns import TURN_BYTES, Turns


class Reactor(Clock):
    """A clock that keeps apart what is called in one turn and what in the next; `Clock` knows no turns."""

    def turn(self) -> None:
        """Call what was due when the turn began."""
        due, self.calls = self.calls, []
        for call in due:
            call.called = 1
            call.func(*call.args, **call.kw)


class TurnsTests(SynchronousTestCase):
    """Who may send now, and who has to wait."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.turns = Turns(self.reactor)

    def test_alone(self) -> None:
        """One answer has a turn for itself, and the next one when the reactor has looked around."""
        self.assertIsNone(self.turns.take(TURN_BYTES))
        waiting = self.turns.take(TURN_BYTES)
        assert waiting is not None
        self.assertNoResult(waiting)
        self.reactor.turn()
        self.successResultOf(waiting)

    def test_small_share(self) -> None:
        """As many windows as fit go out in one turn."""
        for _ in range(4):
            self.assertIsNone(self.turns.take(TURN_BYTES // 4))
        self.assertIsNotNone(self.turns.take(1))

    def test_first_come_first_served(self) -> None:
        """Nobody overtakes who waits, however little it wants."""
        self.turns.take(TURN_BYTES)
        order: list[int] = []
        for number, nbytes in enumerate((TURN_BYTES, 1, TURN_BYTES, 1)):
            waiting = self.turns.take(nbytes)
            assert waiting is not None
            waiting.addCallback(lambda _, number=number: order.append(number))
        for expected in ([0], [0, 1, 2], [0, 1, 2, 3]):
            self.reactor.turn()
            self.assertEqual(order, expected)

    def test_again_at_once(self) -> None:
        """Whoever had a turn and wants another waits behind the others."""
        order: list[str] = []

        def sender(name: str) -> None:
            waiting = self.turns.take(TURN_BYTES)
            if waiting is None:
                order.append(name)
            else:
                waiting.addCallback(lambda _: (order.append(name), sender(name)))

        self.turns.take(TURN_BYTES)
        sender("a")
        sender("b")
        for _ in range(4):
            self.reactor.turn()
        self.assertEqual(order, ["a", "b", "a", "b"])

    def test_gone(self) -> None:
        """Whoever went away while waiting takes nothing from the others."""
        self.turns.take(TURN_BYTES)
        gone, waiting = self.turns.take(TURN_BYTES), self.turns.take(TURN_BYTES)
        assert isinstance(gone, Deferred) and isinstance(waiting, Deferred)
        gone.addErrback(lambda _: None)
        gone.cancel()
        self.reactor.turn()
        self.reactor.turn()
        self.successResultOf(waiting)

    def test_at_rest(self) -> None:
        """When nobody sends, nothing is called."""
        self.turns.take(1)
        self.reactor.turn()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
