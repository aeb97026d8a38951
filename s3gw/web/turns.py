"""`Turns`: bodies share each turn of the reactor, so that no small request is stuck behind large ones.

What is in memory can be sent as fast as the sockets take it, and they take megabytes: sixteen readers of hot objects
would keep the reactor for a tenth of a second, and whoever asks for a HEAD then waits for it. So in one turn at most
`TURN_BYTES` of long bodies are sent, over all connections; the rest waits its turn, first come, first served. Between
two turns the reactor looks at all sockets. Answers that go out in one piece do not take part.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

TURN_BYTES = 1024 * 1024
"""As much as a wide window, a quarter of the widest: about a third of a millisecond of copying."""


class Turns:
    """Gives out turns. :param clock: calls in its next turn what is called later by nothing."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._left = TURN_BYTES
        self._waiting: deque[tuple[int, Deferred[None]]] = deque()
        self._next_is_due = False

    def take(self, nbytes: int) -> Deferred[None] | None:
        """Ask to send so many bytes. :return: None if that may be done now; else it fires when it may."""
        self._come_back()
        if self._left > 0 and not self._waiting:
            self._left -= nbytes
            return None
        waiter: Deferred[None] = Deferred()
        self._waiting.append((nbytes, waiter))
        return waiter

    def _come_back(self) -> None:
        if not self._next_is_due:
            self._next_is_due = True
            self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        self._next_is_due = False
        self._left = TURN_BYTES
        while self._waiting and self._left > 0:
            nbytes, waiter = self._waiting.popleft()
            self._left -= nbytes
            waiter.callback(None)
        if self._waiting:
            self._come_back()
