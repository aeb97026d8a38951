"""`Outbox`: the small answers of one turn of the reactor, sent together at its end.

To send is cheap, to wake a client that sleeps is not: on one machine it costs the gateway a fifth of a small answer,
and what the client does then takes the processor's caches from it. A client of many connections that is awake takes the
other answers as they come. So where several requests arrive in the same turn, their answers leave in one go; where
requests come one by one, nothing is held.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

MOST = 16
"""Answers that are held at once: however many sockets are ready, nobody waits for more than so many requests."""

SMALL = 128 * 1024
"""Longer pieces keep client and socket busy by themselves."""

LONELY = 4
"""After so many turns with one answer each, answers are no longer held..."""

PROBE = 31
"""... but for each of this number, to see whether that is still so. A prime: others may hit the last of each turn."""


class Sender(Protocol):
    """A connection that holds back what it was given to send."""

    def send_outgoing(self) -> None:
        """Send it now."""


class Outbox:
    """Who has something to send at the end of this turn.

    :param clock: calls before its next turn what is called later by nothing.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._senders: list[Sender] = []
        self._turning = False
        self._count = 0  # answers held in this turn
        self._lonely = 0  # turns with one answer
        self._passed = 0  # answers that were not held since the last one that was

    def holds(self, nbytes: int) -> bool:
        """Whether to hold so much of an answer until `Sender.send_outgoing`; if so, `add` has to follow."""
        if not self._turning and self._lonely >= LONELY:
            self._passed += 1
            if self._passed < PROBE:
                return False
        return nbytes <= SMALL

    def add(self, sender: Sender) -> None:
        """Have something sent at the end of the turn, or now if there is enough."""
        if not self._turning:
            self._turning = True
            self._passed = self._count = 0
            self._clock.callLater(0, self._end)
        self._count += 1
        self._senders.append(sender)
        if len(self._senders) >= MOST:
            self._send()

    def _end(self) -> None:
        self._turning = False
        self._lonely = self._lonely + 1 if self._count == 1 else 0
        self._send()

    def _send(self) -> None:
        senders, self._senders = self._senders, []
        for sender in senders:
            try:
                sender.send_outgoing()
            except Exception:
                # Those of the others are to leave all the same.
                self.log.failure("cannot send an answer")
