"""`Connection`: a transport with deadlines, and answers that go out no faster than the client reads.

Towards `twisted.web.server.Request` it is what `twisted.web._http2.H2Stream` is: an ITransport and an IConsumer.
Towards the transport it is a push producer, registered from the first moment to the last, since that is how it learns
whether the client reads what was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHandshakeListener,
    IProducer,
    IPullProducer,
    IPushProducer,
    ISSLTransport,
    ITransport,
)
from twisted.internet.protocol import Protocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from s3gw.web.body import Buffer, Puller
from s3gw.web.tls_transport import Sealer

if TYPE_CHECKING:
    from s3gw.web.site import GatewaySite

NEVER = float("inf")

READ = 72 * 1024
"""What one read of the socket may bring: a body of 64 KiB comes in one with its head, not in two."""

SendMsg = Callable[[Sequence[Buffer]], int]


@implementer(ITransport, IConsumer, IPushProducer, IHandshakeListener)
class Connection(Protocol):
    """The server's side of one connection, as far as it does not matter what is said on it.

    :ivar site: the factory.
    :ivar secure: whether it is over TLS.
    :ivar deadline: when `expired` is to be called, in seconds of the site's clock.
    :ivar unread_deadline: when the client must have read what was written, or be cut off.
    :ivar unsent: bytes that the transport holds since the client does not read; `GatewaySite.buffered` counts them.
    :ivar reads_wide: more is taken from the socket in one read than usual.
    :ivar ending: nothing more will be said; what comes is dropped.
    """

    # In a dict, more than thirty attributes make each of them slow: CPython shares the keys of no more.
    __slots__ = (
        *("_direct", "_expire", "_full", "_outgoing", "_producer", "_registered", "_sendmsg", "deadline", "ending"),
        *("limits", "reads_wide", "secure", "site", "unread_deadline", "unsent"),
    )

    transport: Any  # an ITransport that is IConsumer and IPushProducer too

    def __init__(self, site: GatewaySite) -> None:
        self.site = site
        self.limits = site.limits
        self.secure = False
        self.deadline = NEVER
        self.unread_deadline = NEVER
        self.ending = False
        self._expire: Callable[[Any], None] = Connection.close
        self.unsent = 0
        self.reads_wide = False
        self._full = False  # the transport holds all it wants to
        self._registered = False  # with the transport
        self._producer: IPushProducer | None = None
        self._sendmsg: SendMsg | None = None  # of the socket, or what seals for it
        self._direct: SendMsg | None = None  # the same, while the transport holds nothing
        self._outgoing: tuple[Buffer, ...] = ()  # until the end of the turn

    def connectionMade(self) -> None:
        """A client has connected."""
        transport = self.transport
        self.secure = ISSLTransport.providedBy(transport)
        set_no_delay = getattr(transport, "setTcpNoDelay", None)  # TLS over a UNIX socket claims it, and has it not
        if set_no_delay is not None:
            set_no_delay(True)
        transport.registerProducer(self, True)
        self._registered = True
        if isinstance(transport, tcp.Connection) and not self.secure:
            self._sendmsg = self._direct = transport.getHandle().sendmsg
            transport.bufferSize = READ

    def handshakeCompleted(self) -> None:
        """TLS can be spoken."""
        if isinstance(self.transport, TLSMemoryBIOProtocol):
            self._sendmsg = self._direct = Sealer(self.transport).send

    def read_wide(self, nbytes: int) -> None:
        """Take up to ``nbytes`` from the socket in one read, if it is a plain one, until `read_usual`."""
        if self._sendmsg is not None and not self.secure:
            self.reads_wide = True
            self.transport.bufferSize = nbytes

    def read_usual(self) -> None:
        """Undo `read_wide`."""
        self.reads_wide = False
        self.transport.bufferSize = READ

    def arm(self, seconds: float, expire: Callable[[Any], None]) -> None:
        """Have ``expire`` called with the connection after ``seconds``, unless told otherwise by then."""
        self.deadline = self.site.now + seconds
        self._expire = expire

    def expired(self) -> None:
        """A deadline has passed."""
        if self.unread_deadline <= self.site.now:
            self.abortConnection()
        else:
            self.deadline = NEVER
            self._expire(self)

    def pauseProducing(self) -> None:
        """The transport holds all it wants to."""
        self._full = True
        self.unread_deadline = self.site.now + self.limits.response_stall
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The transport has written everything."""
        full, self._full = self._full, False
        self._direct = self._sendmsg
        self.unread_deadline = NEVER
        self.site.buffered -= self.unsent
        self.unsent = 0
        if full and self._producer is not None:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone."""
        if self._producer is not None:
            self._producer.stopProducing()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Tell the producer of the current answer when to pause; pull a pull producer while there is room."""
        if self._producer is not None:
            raise RuntimeError("this answer has a producer")
        if streaming:
            self._producer = push = cast(IPushProducer, producer)
            if self._full:
                push.pauseProducing()
        else:
            self._producer = puller = Puller(cast(IPullProducer, producer), self.site.clock)
            if not self._full:
                puller.resumeProducing()

    def unregisterProducer(self) -> None:
        """The producer of the current answer is done."""
        producer, self._producer = self._producer, None
        if isinstance(producer, Puller):
            producer.pauseProducing()

    def _unregister(self) -> None:
        # A transport waits for a producer that is registered before it closes.
        if self._registered:
            self._registered = False
            self.transport.unregisterProducer()

    def write(self, data: bytes) -> None:
        """Write a piece of the current answer."""
        self.write_pieces((data,), len(data))

    def writeSequence(self, iovec: Iterable[Buffer]) -> None:
        """Write pieces of the current answer."""
        pieces = tuple(iovec)
        self.write_pieces(pieces, sum(map(len, pieces)))

    def write_pieces(self, pieces: tuple[Buffer, ...], size: int) -> None:
        """Write pieces of the current answer, ``size`` bytes in all.

        They go to the socket without the transport, at once or at the end of the reactor's turn (`web.outbox`): handing
        them over costs two changes of what the reactor waits for and another of its turns, as much as all the rest of
        a small answer. What the socket has no room for is the transport's, and so is all that follows, until it says
        that it has written everything.
        """
        if self.ending:
            return
        if self._outgoing:
            pieces, self._outgoing = self._outgoing + pieces, ()
            size = sum(map(len, pieces))
        elif self._direct is not None:
            outbox = self.site.outbox
            if outbox.holds(size):
                self._outgoing = pieces
                outbox.add(self)
                return
        self._send(pieces, size)

    def send_outgoing(self) -> None:
        """Send what was held back until the end of the turn."""
        if self._outgoing:
            pieces, self._outgoing = self._outgoing, ()
            self._send(pieces, sum(map(len, pieces)))

    def _send(self, pieces: tuple[Buffer, ...], size: int) -> None:
        direct, sent = self._direct, 0
        if direct is not None:
            try:
                sent = direct(pieces)
            except OSError:
                pass  # no room now, or the connection is gone, which the transport will find out
            if sent < size:
                self._direct = None
            elif not self._full:
                return
        if sent < size:
            size -= sent
            self.transport.write(b"".join(pieces)[sent:])
            if direct is not None and not self.secure:
                # Of less than makes it pause us it would not say when that is written, and keep all that follows.
                self.transport.producerPaused = True
        if self._full and not self.ending:
            # Memory is set aside for an answer that is sent window by window, but not for wide windows.
            excess = size if self._producer is None else max(0, size - self.limits.window)
            self.unsent += excess
            self.site.buffered += excess

    @property
    def crowded(self) -> bool:
        """Whether memory is short."""
        return self.site.crowded

    def take_turn(self, nbytes: int) -> Deferred[None] | None:
        """As `Outlet.take_turn`."""
        return self.site.turns.take(nbytes)

    def close(self) -> None:
        """Close when everything is written, or abort when the client does not read it."""
        self.send_outgoing()
        self.ending = True
        self._unregister()
        self.arm(self.limits.response_stall, Connection.abortConnection)
        self.transport.loseConnection()

    def loseConnection(self) -> None:
        """`close`, in Twisted's words."""
        if not self.ending:
            self.close()

    def abortConnection(self) -> None:
        """Close at once, whatever is not written."""
        self._outgoing = ()
        self.ending = True
        self.deadline = self.unread_deadline = NEVER
        self._unregister()
        self.transport.abortConnection()

    def getPeer(self) -> IAddress:
        """The client's address."""
        return cast(IAddress, self.transport.getPeer())

    def getHost(self) -> IAddress:
        """Our address."""
        return cast(IAddress, self.transport.getHost())

    def isSecure(self) -> bool:
        """Whether the connection is over TLS."""
        return self.secure
