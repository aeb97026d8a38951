"""Shorter ways for what is sent over TLS, on both sides of Twisted's TLS protocol, which stays what it is.

::

    S3Channel  ->  Sealer: two records at a time into OpenSSL and out of it  ->  SocketSide: to the socket, all at once
               ->  TLSMemoryBIOProtocol: handshake, what is received, closing, all that is out of the ordinary  ->

By itself that protocol copies an answer twice more, and each of its records waits for the reactor to find out that the
socket has room: a fifth of the CPU time of an answer of 64 KiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from OpenSSL import SSL
from twisted.internet import tcp
from twisted.internet.interfaces import IProtocolFactory, IPullProducer, IPushProducer, ITransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from s3gw.web.body import Buffer

RECORD = 16 * 1024
"""Bytes of data in the largest record."""

LOT = 2 * RECORD
"""Bytes of data that go into OpenSSL in one call. It keeps room for a third more while the connection lasts."""

HELD = LOT + 4 * 1024
"""More than a lot and the head before it take when they are sealed: 4 KiB for the head, and what records add."""

ADDED = 2 * 256
"""The most that sealing adds to a lot. Source: RFC 8446 section 5.2"""

ROOM = HELD + 4 * 1024
"""What is read from OpenSSL at once: all that is sealed, and what it may have to say besides."""

FULL = 64 * 1024
"""Bytes that a client has not taken when whoever makes more of them is to wait; as in Twisted's transports."""


class Sealer:
    """Seals what is written over a TLS connection whose handshake is done.

    :param transport: of the connection's protocol; its own one is beneath it."""

    def __init__(self, transport: TLSMemoryBIOProtocol) -> None:
        self._transport: Any = transport

    def send(self, pieces: Sequence[Buffer]) -> int:
        """Seal pieces and hand them on.

        :return: bytes that were taken: all, unless TLS waits for something or is over. The rest is for the transport,
            which knows what to do then."""
        connection: SSL.Connection = self._transport.getHandle()
        if sum(map(len, pieces)) <= RECORD:
            pieces = (b"".join(pieces),)
        taken, held, sealed = 0, 0, []
        try:
            for piece in pieces:
                left = memoryview(piece)
                while left:
                    part = left[:LOT]
                    if held and held + len(part) + ADDED > HELD:
                        sealed.append(connection.bio_read(ROOM))
                        held = 0
                    size = connection.send(part)
                    left = left[size:]
                    taken += size
                    held += size + ADDED
        except SSL.Error:
            pass
        if held:
            sealed.append(connection.bio_read(ROOM))
        if sealed:
            self._transport.transport.writeSequence(sealed)
        return taken


@implementer(IPullProducer)
class _Drained:
    """Asks a transport to say when it has written everything: a pull producer is told so once for each time."""

    def __init__(self, side: SocketSide) -> None:
        self._side = side
        self._asked = False

    def resumeProducing(self) -> None:
        """At first when it is registered."""
        if self._asked:
            self._side.drained()
        self._asked = True

    def stopProducing(self) -> None:
        """The connection is lost, as the protocol above will learn too."""


class SocketSide(ProtocolWrapper):
    """Between TLS and TCP: sends to the socket while the transport holds nothing.

    What the socket has no room for is the transport's, and all that follows, until that has written everything."""

    transport: Any  # an ITransport that is IConsumer too

    def __init__(self, factory: Any, protocol: Any) -> None:
        super().__init__(factory, protocol)
        self._send: Any = None  # of the socket, if there is one
        self._held = 0  # handed to the transport since it last had nothing
        self._producer: IPushProducer | None = None
        self._paused = False

    def makeConnection(self, transport: ITransport) -> None:
        """A client has connected."""
        if isinstance(transport, tcp.Connection):
            self._send = transport.getHandle().sendmsg
        super().makeConnection(transport)

    def write(self, data: bytes) -> None:
        """Send a piece of the stream."""
        self.writeSequence((data,))

    def writeSequence(self, data: Sequence[bytes]) -> None:
        """Send pieces of the stream."""
        if self._send is None:
            self.transport.writeSequence(data)
            return
        size = sum(map(len, data))
        rest = b"".join(data) if self._held else b""
        if not rest:
            try:
                sent = self._send(data)
            except OSError:
                sent = 0  # no room now, or the connection is gone, which the transport will find out
            if sent == size:
                return
            rest = b"".join(data)[sent:]
            self.transport.registerProducer(_Drained(self), False)
        self._held += len(rest)
        self.transport.write(rest)
        if self._held > FULL and self._producer is not None and not self._paused:
            self._paused = True
            self._producer.pauseProducing()

    def drained(self) -> None:
        """The transport has written everything."""
        self._held = 0
        self.transport.unregisterProducer()
        if self._paused:
            self._paused = False
            if self._producer is not None:
                self._producer.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Tell a push producer when to pause. TLS makes one of every producer."""
        if self._send is None:
            self.transport.registerProducer(producer, streaming)
            return
        if self._producer is not None or not streaming:
            raise RuntimeError("there is a producer, or this one is none that pushes")
        self._producer = producer

    def unregisterProducer(self) -> None:
        """The producer is done."""
        if self._send is None:
            self.transport.unregisterProducer()
        self._producer = None
        self._paused = False

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The connection is over."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        super().connectionLost(reason)


def on_sockets(factory: IProtocolFactory) -> IProtocolFactory:
    """``factory`` of TLS protocols, each with its `SocketSide`."""
    wrapping = WrappingFactory(factory)
    wrapping.protocol = SocketSide
    wrapping.noisy = False
    return wrapping
