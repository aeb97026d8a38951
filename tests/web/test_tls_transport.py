"""What is sent over TLS comes out whole and in order, whatever the socket takes of it."""

from __future__ import annotations

import contextlib
import errno
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet import abstract, tcp
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from s3gw.web.tls import ServerCertificate, development_certificate
from s3gw.web.tls_transport import FULL, LOT, ROOM, Sealer, SocketSide, on_sockets
from tests.web.test_tls import NOW, strict_client


class Socket:
    """Takes as many bytes at a time as it is told to; then all that comes."""

    def __init__(self, room: Sequence[int] = ()) -> None:
        self.room: Iterator[int] = iter(room)
        self.taken = bytearray()

    def send(self, data: bytes) -> int:
        """As a socket that does not block."""
        size = min(len(data), next(self.room, len(data)))
        if not size:
            raise BlockingIOError(errno.EWOULDBLOCK, "no room")
        self.taken += data[:size]
        return size

    def sendmsg(self, pieces: Sequence[bytes]) -> int:
        """The same of pieces."""
        return self.send(b"".join(pieces))


class Transport(tcp.Connection):
    """Twisted's own transport on a `Socket`, without a reactor: a test calls ``doWrite`` itself."""

    def __init__(self, socket: Any) -> None:
        abstract.FileDescriptor.__init__(self, object())  # type: ignore[arg-type]
        self.socket = socket
        self.connected = 1
        self.writing = False

    def startWriting(self) -> None:
        """The reactor is to say when there is room."""
        self.writing = True

    def stopWriting(self) -> None:
        """It need not any more."""
        self.writing = False

    def stopReading(self) -> None:
        """Nothing is read here."""

    def drain(self) -> Any:
        """There is room, until everything is written; what doWrite says last."""
        said = None
        while self.writing and said is None:
            said = self.doWrite()
        return said


class Producer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Wait."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Go on."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """Nobody listens."""
        self.told.append("stop")


class SocketSideTests(SynchronousTestCase):
    """`SocketSide` above a transport."""

    def connect(self, *room: int) -> tuple[SocketSide, Transport, Producer]:
        """One with a producer, whose socket takes that much at a time."""
        side = on_sockets(Factory.forProtocol(Protocol)).buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        assert isinstance(side, SocketSide)
        transport, producer = Transport(Socket(room)), Producer()
        side.makeConnection(transport)
        side.registerProducer(producer, True)
        return side, transport, producer

    def test_at_once(self) -> None:
        """What the socket has room for is not shown to the reactor."""
        side, transport, producer = self.connect()
        side.writeSequence([b"a", b"b"])
        self.assertEqual(b"ab", transport.socket.taken)
        self.assertFalse(transport.writing)
        self.assertEqual([], producer.told)

    def test_later(self) -> None:
        """What it has no room for goes out in order when it has, and the short way is taken again then."""
        side, transport, producer = self.connect(1, 0, 2)
        side.write(b"abc")
        side.write(b"def")
        self.assertEqual(b"a", transport.socket.taken)
        transport.drain()
        self.assertEqual(b"abcdef", transport.socket.taken)
        self.assertEqual([], producer.told)
        side.write(b"g")
        self.assertEqual(b"abcdefg", transport.socket.taken)
        self.assertFalse(transport.writing)

    def test_full(self) -> None:
        """A producer waits while more is held than a transport would hold, and is told when all is written."""
        side, transport, producer = self.connect(0)
        side.write(bytes(FULL))
        self.assertEqual([], producer.told)
        side.write(b"x")
        side.write(b"y")
        self.assertEqual(["pause"], producer.told)
        transport.drain()
        self.assertEqual(["pause", "resume"], producer.told)
        self.assertEqual(FULL + 2, len(transport.socket.taken))

    def test_lost(self) -> None:
        """A producer learns that the connection is lost, with bytes that are left or without."""
        for room in ((), (0,)):
            side, _, producer = self.connect(*room)
            side.write(b"abc")
            side.connectionLost(Failure(ConnectionError()))
            self.assertEqual(["stop"], producer.told)

    def test_closing(self) -> None:
        """What is held goes out before the connection closes; the transport does not wait for a producer then."""
        side, transport, _ = self.connect(0)
        side.write(b"abc")
        side.unregisterProducer()
        side.loseConnection()
        self.assertIsNotNone(transport.drain())
        self.assertEqual(b"abc", transport.socket.taken)

    def test_no_socket(self) -> None:
        """A transport that is no socket's gets everything as it is."""
        side = on_sockets(Factory.forProtocol(Protocol)).buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        assert isinstance(side, SocketSide)
        inner, _, producer = self.connect()
        inner.unregisterProducer()
        side.makeConnection(inner)
        side.registerProducer(producer, True)
        side.write(b"abc")
        self.assertEqual(b"abc", inner.transport.socket.taken)
        side.unregisterProducer()
        side.connectionLost(Failure(ConnectionError()))
        self.assertEqual([], producer.told)


@implementer(IHandshakeListener)
class Talker(Protocol):
    """What speaks over TLS."""

    sealer: Sealer | None = None

    def handshakeCompleted(self) -> None:
        """TLS can be spoken."""
        self.sealer = Sealer(self.transport)  # type: ignore[arg-type]

    def dataReceived(self, data: bytes) -> None:
        """Anything."""


class SealerTests(SynchronousTestCase):
    """`Sealer` above a `SocketSide`, and Python's own TLS as the client."""

    def connect(self, room: Sequence[int], *, ours: bool = True) -> None:
        """Shake hands over a socket that takes that much at a time; TLS is set up by us, or by Twisted."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        files = development_certificate(Path(directory.name), (), NOW)
        talker = Talker()
        factory = Factory.forProtocol(lambda: talker)  # type: ignore[arg-type]
        self.talker = talker
        certificate: Any = ServerCertificate(files.cert, files.key)
        if not ours:
            certificate = DefaultOpenSSLContextFactory(str(files.key), str(files.cert))
        tls = TLSMemoryBIOFactory(certificate, False, factory, Clock())
        side = on_sockets(tls).buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        assert side is not None
        self.side = side
        self.transport = Transport(Socket(room))
        side.makeConnection(self.transport)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = strict_client(files.ca).wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        while talker.sealer is None:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.client.do_handshake()
            self.side.dataReceived(self.outgoing.read())
            self.deliver()

    def deliver(self) -> None:
        """What the socket has taken goes to the client."""
        self.incoming.write(bytes(self.transport.socket.taken))
        self.transport.socket.taken.clear()

    def received(self) -> bytes:
        """All that the client gets."""
        self.transport.drain()
        self.deliver()
        data = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            while piece := self.client.read(1 << 20):
                data += piece
        return data

    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(
        st.lists(st.lists(st.sampled_from((0, 1, 1000, 16383, 16384, 16385, 70000, 300000)), max_size=3), max_size=4),
        st.lists(st.sampled_from((0, 1, 700, 20000, 66000)), max_size=12),
    )
    def test_whole(self, sizes: list[list[int]], room: list[int]) -> None:
        """Pieces of any length, over a socket that takes any part of them, with the usual way in between."""
        self.connect(())
        self.transport.socket.room = iter(room)
        expected = b""
        for number, lengths in enumerate(sizes):
            pieces = [bytes([65 + number]) * length for length in lengths]
            assert self.talker.sealer is not None
            self.assertEqual(sum(lengths), self.talker.sealer.send(pieces))
            expected += b"".join(pieces)
        self.assertTrue(expected == self.received())

    def test_lots(self) -> None:
        """What goes in at once comes out at once: it is taken whole, and no more of OpenSSL's memory than a lot's."""
        self.connect(())
        handle = self.side.wrappedProtocol.getHandle()  # type: ignore[union-attr]
        self.assertEqual(LOT, handle.send(bytes(LOT)))
        self.assertLess(LOT, len(handle.bio_read(ROOM)))
        self.assertRaises(SSL.WantReadError, handle.bio_read, 1)

    def test_single_records(self) -> None:
        """Where TLS is set up by an endpoint of Twisted's, each call takes one record: all is sent nevertheless."""
        self.connect((), ours=False)
        body = bytes(range(256)) * 1200
        assert self.talker.sealer is not None
        self.assertEqual(1 + len(body), self.talker.sealer.send([b"h", body]))
        self.assertTrue(b"h" + body == self.received())

    def test_over(self) -> None:
        """Nothing is taken when TLS is over; the transport knows that it need not do anything."""
        self.connect(())
        with contextlib.suppress(ssl.SSLWantReadError):
            self.client.unwrap()
        self.side.dataReceived(self.outgoing.read())
        assert self.talker.sealer is not None
        self.assertEqual(0, self.talker.sealer.send([b"late"]))
