"""The bodies of both directions: `RequestBody`, an upload as it is read, and `BodySender`, an answer as it is sent.

An upload: the channel pushes pieces in and, when a read of the socket has been taken apart, wakes whoever waits.

| body             | ``read()``                                       | the transport                            |
|------------------|--------------------------------------------------|------------------------------------------|
| has pieces       | all of them, at once                             | paused above a window, resumed by a read |
| has none         | waits; the first time, ``100 Continue`` goes out | reads                                    |
| complete, taken  | ``[]``                                           |                                          |
| failed           | raises what went wrong; untaken pieces are gone  |                                          |

An answer: at most one ``source.read()`` is outstanding, and it is begun while the transport still drains what the one
before it brought, so a connection holds one window beside the buffer of the transport. A client that keeps up gets wide
windows, which cost less a byte, and go out in shares of a turn each; one that does not, of whom there may be thousands,
is served in narrow ones, and so is everybody while much of `Limits.max_buffered` is in use. All of them share the turns
of the reactor (`web.turns`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Iterable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPullProducer, IPushProducer, IReactorTime
from zope.interface import implementer

from s3gw.web.turns import TURN_BYTES

Buffer = bytes | memoryview
"""What an answer is made of."""

PIECE_COST = 64
"""What a piece weighs in memory beside its bytes, so that a body of one-byte chunks is bounded too."""


class ClientDisconnected(Exception):
    """The client went away; nobody is left to answer."""


class BodySource(Protocol):
    """Bytes of an answer, window by window."""

    def read(self, wide: bool = False) -> Awaitable[Sequence[Buffer]]:
        """The next window, a larger one if ``wide``; empty at the end. One read at a time."""

    def close(self) -> None:
        """Nothing more will be read."""


class BodyOwner(Protocol):
    """What a `RequestBody` asks of the connection that it arrives on."""

    def body_awaited(self, body: RequestBody, send_continue: bool) -> None:
        """Somebody waits for the next piece: begin the stall timer; first send ``100 Continue`` if told so."""

    def body_taken(self) -> None:
        """A full body was emptied: there is room again."""


class _Taken:
    """An awaitable that has its result already; a fired Deferred costs several times more."""

    __slots__ = ("_error", "_pieces")

    def __init__(self, pieces: list[bytes], error: Exception | None = None) -> None:
        self._pieces = pieces
        self._error = error

    def __await__(self) -> Generator[None, None, list[bytes]]:
        if self._error is not None:
            raise self._error
        return self._pieces
        yield  # which makes this a generator


_END = _Taken([])


class RequestBody:
    """The body of one request, transfer coding removed.

    :ivar length: Content-Length; None when the body is chunked; 0 without a body.
    :ivar received: bytes that arrived so far.
    :ivar buffered: the memory of pieces that nobody has taken yet, in bytes.
    :ivar complete: the last byte has arrived.
    """

    __slots__ = (
        "_discarding",
        "_error",
        "_owner",
        "_pieces",
        "_untouched",
        "_waiter",
        "_window",
        "buffered",
        "complete",
        "expects_continue",
        "length",
        "received",
    )

    def __init__(self, owner: BodyOwner | None, length: int | None, window: int, expects_continue: bool) -> None:
        self._owner = owner
        self._window = window
        self._pieces: list[bytes] = []
        self._waiter: Deferred[list[bytes]] | None = None
        self._error: Exception | None = None
        self._discarding = False
        self._untouched = True
        self.length = length
        self.received = 0
        self.buffered = 0
        self.complete = length == 0
        self.expects_continue = expects_continue

    def read(self) -> Awaitable[list[bytes]]:
        """All the pieces that have arrived, waiting for the next if there are none; ``[]`` at the end of the body.

        One read at a time. The awaitable raises:

        :raises IncompleteBody: the client ended its side of the connection early.
        :raises RequestTimeout: nothing came for too long.
        :raises BadRequest: the chunked coding is malformed.
        :raises ClientDisconnected: the connection was lost.
        """
        if self._pieces:
            pieces = self._pieces
            self._pieces = []
            full = self.buffered > self._window
            self.buffered = 0
            self._untouched = False
            if full and self._owner is not None:
                self._owner.body_taken()
            return _Taken(pieces)
        if self._error is not None:
            return _Taken([], self._error)
        if self._discarding:
            return _Taken([], RuntimeError("the answer was given: the body is dropped"))
        if self.complete or self._owner is None:
            return _END
        if self._waiter is not None:
            raise RuntimeError("the body is being read already")
        waiter = self._waiter = Deferred(self._abandon)
        ask, self.expects_continue = self.expects_continue, False
        self._owner.body_awaited(self, ask)
        return waiter

    def take(self) -> list[bytes] | None:
        """The whole body if it has arrived and nothing of it was read, so that nobody need wait; else None."""
        if not self.complete or not self._untouched:
            return None
        pieces, self._pieces, self.buffered = self._pieces, [], 0
        return pieces

    @property
    def failed(self) -> bool:
        """It will never be complete."""
        return self._error is not None

    @property
    def error(self) -> Exception | None:
        """Why it will never be complete."""
        return self._error

    @property
    def waiting(self) -> bool:
        """Somebody waits for the next piece."""
        return self._waiter is not None

    @property
    def full(self) -> bool:
        """More than a window is held unread: the transport should pause."""
        return self.buffered > self._window

    def _abandon(self, waiter: Deferred[list[bytes]]) -> None:
        self._waiter = None

    def push(self, piece: bytes) -> None:
        """A piece has arrived. Nobody is woken yet."""
        size = len(piece)
        self.received += size
        self.expects_continue = False
        if not self._discarding:
            self._pieces.append(piece)
            self.buffered += size + PIECE_COST

    def finish(self) -> None:
        """The last byte has arrived. Nobody is woken yet."""
        self.complete = True

    def wake(self) -> None:
        """Hand what has arrived to whoever waits for it."""
        if self._waiter is not None and (self._pieces or self.complete):
            waiter, self._waiter = self._waiter, None
            pieces, self._pieces, self.buffered = self._pieces, [], 0
            self._untouched = False
            waiter.callback(pieces)

    def fail(self, error: Exception) -> None:
        """The rest will not come. Does nothing to a complete body."""
        if self.complete or self._error is not None:
            return
        self._error = error
        self._pieces, self.buffered = [], 0
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.errback(error)

    def discard(self) -> None:
        """The answer is given and nobody should read the rest: drop it as it comes."""
        self._discarding = True
        self._untouched = False
        self._pieces, self.buffered = [], 0
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.errback(RuntimeError("the answer was given: the body is dropped"))


NO_BODY = RequestBody(None, 0, 0, False)
"""The body of a request that has none. One for all: nothing can be pushed into it."""


class MemorySource:
    """A body that is in memory already, cut into windows."""

    def __init__(self, body: bytes, window: int) -> None:
        self._body = memoryview(body)
        self._window = window

    async def read(self, wide: bool = False) -> Sequence[Buffer]:
        """The next window."""
        piece, self._body = self._body[: self._window], self._body[self._window :]
        return (piece,) if piece else ()

    def close(self) -> None:
        """Let go of the memory."""
        self._body = memoryview(b"")


class Outlet(Protocol):
    """Where a `BodySender` puts its bytes."""

    @property
    def crowded(self) -> bool:
        """Whether memory is short."""

    def take_turn(self, nbytes: int) -> Deferred[None] | None:
        """Ask to send so many bytes: None if that may be done now, else it fires when it may."""

    def writeSequence(self, iovec: Iterable[Buffer]) -> None:
        """Hand bytes to the transport, which may pause the sender from within."""


def _share(pieces: Sequence[Buffer]) -> Sequence[Buffer]:
    """The first of some pieces: as many as go out in one turn of the reactor, or one."""
    size = 0
    for count, piece in enumerate(pieces):
        size += len(piece)
        if size > TURN_BYTES:
            return pieces[: max(count, 1)]
    return pieces


@implementer(IPushProducer)
class BodySender:
    """Copies a source to the transport, as fast as the client reads.

    :param remaining: bytes of Content-Length that are still to come.
    """

    __slots__ = ("_outlet", "_resumed", "_source", "paused", "remaining")

    def __init__(self, outlet: Outlet, source: BodySource, remaining: int) -> None:
        self._outlet = outlet
        self._source = source
        self._resumed: Deferred[None] | None = None
        self.paused = False
        self.remaining = remaining

    async def run(self) -> None:
        """Send everything.

        :raises EOFError: the source has less, or more, than Content-Length promised.
        :raises Exception: whatever the source raised.
        """
        while self.remaining:
            pieces = await self._source.read(not self.paused and not self._outlet.crowded)
            if not pieces or sum(map(len, pieces)) > self.remaining:
                raise EOFError(f"a body ended {self.remaining} bytes off its Content-Length")
            if self.paused:
                self._resumed = Deferred()
                await self._resumed
            while pieces:
                # What the transport has to hold takes no time in a turn, and is counted as it should be in one write.
                share = pieces if self.paused else _share(pieces)
                size = sum(map(len, share))
                turn = self._outlet.take_turn(size)
                if turn is not None:
                    await turn
                self.remaining -= size
                self._outlet.writeSequence(share)
                pieces = pieces[len(share) :]

    def pauseProducing(self) -> None:
        """The transport holds all it wants to."""
        self.paused = True

    def stopProducing(self) -> None:
        """The connection is gone: whoever awaits `run` cancels it."""

    def resumeProducing(self) -> None:
        """The transport has room."""
        self.paused = False
        if self._resumed is not None:
            resumed, self._resumed = self._resumed, None
            resumed.callback(None)


@implementer(IPushProducer)
class Puller:
    """Makes a push producer of the pull producer of a stock Resource: asks it once in each turn of the reactor."""

    def __init__(self, producer: IPullProducer, clock: IReactorTime) -> None:
        self._producer = producer
        self._clock = clock
        self._call: IDelayedCall | None = None

    def resumeProducing(self) -> None:
        """Go on asking."""
        if self._call is None:
            self._call = self._clock.callLater(0, self._pull)

    def pauseProducing(self) -> None:
        """Ask no more for now."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def stopProducing(self) -> None:
        """Nobody will read the rest."""
        self.pauseProducing()
        self._producer.stopProducing()

    def _pull(self) -> None:
        self._call = self._clock.callLater(0, self._pull)
        self._producer.resumeProducing()
