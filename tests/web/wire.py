"""A client and its wire, in memory: what the tests of the HTTP face talk to.

`Wire` is the server's transport. It holds what was written until the client reads, pauses its producer as a socket
does, and closes when everything was read. `Client` sends bytes and takes the answers apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from zope.interface import alsoProvides

from s3gw.errors import S3Error
from s3gw.web.limits import Limits
from s3gw.web.request import S3Request
from s3gw.web.site import GatewaySite

SEND_BUFFER = 64 * 1024
"""What a Twisted transport holds before it pauses its producer."""


class Wire(StringTransport):
    """The server's end of a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.unread = bytearray()
        self.most_unread = 0
        self.writes = 0
        self.aborted = False
        self.closed = False
        self.overfull = False
        self.protocol = None

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.closed:
            return
        self.writes += 1
        self.unread += data
        self.most_unread = max(self.most_unread, len(self.unread))
        if len(self.unread) > SEND_BUFFER and self.producer is not None:
            self.overfull = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Sequence[bytes]) -> None:
        self.write(b"".join(data))

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True

    def deliver(self, size: int | None = None) -> bytes:
        """The client reads, and the loop turns once."""
        size = len(self.unread) if size is None else size
        data = bytes(self.unread[:size])
        del self.unread[:size]
        if not self.unread and self.overfull:
            self.overfull = False
            if self.producer is not None:
                self.producer.resumeProducing()
        self.turn()
        return data

    def turn(self) -> None:
        """Close what is to be closed, as a reactor does some time later."""
        if self.aborted:
            self.lose(ConnectionAborted())
        elif self.disconnecting and not self.unread and self.producer is None:
            self.lose(ConnectionDone())

    def lose(self, reason: Exception) -> None:
        if not self.closed:
            self.closed = True
            if self.producer is not None:
                self.producer.stopProducing()
            self.protocol.connectionLost(Failure(reason))


@dataclass
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The <Code> of an error document."""
        return self.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


def answers(data: bytes, methods: Sequence[str] = ()) -> list[Answer]:
    """Take responses apart. ``methods``: of their requests, GET where not given; what follows HEAD has no body."""
    found: list[Answer] = []
    while data:
        head, separator, data = data.partition(b"\r\n\r\n")
        assert separator, head
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split()[1])
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = b""
        method = methods[len(found)] if len(found) < len(methods) else "GET"
        if status >= 200 and method != "HEAD" and status not in (204, 304):
            if headers.get("transfer-encoding") == "chunked":
                while True:
                    size, _, data = data.partition(b"\r\n")
                    body += data[: int(size, 16)]
                    data = data[int(size, 16) + 2 :]
                    if not int(size, 16):
                        break
            else:
                size = int(headers.get("content-length", len(data)))
                assert len(data) >= size, f"{len(data)} of {size} bytes"
                body, data = data[:size], data[size:]
        found.append(Answer(status, headers, body))
    return found


def refuse(error: S3Error, request_id: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Render an error as short as can be."""
    document = f"<Error><Code>{error.code}</Code><RequestId>{request_id}</RequestId></Error>"
    return error.status, [("Content-Type", "application/xml"), *error.headers.items()], document.encode()


class Served(Resource):
    """A leaf that hands each request to a function."""

    isLeaf = True

    def __init__(self, serve: Callable[[S3Request], object]) -> None:
        super().__init__()
        self.serve = serve

    def render(self, request: S3Request) -> int:
        self.serve(request)
        return 1  # NOT_DONE_YET


class Gateway:
    """A site with a clock of its own, and what it observed."""

    def __init__(self, resource: Resource | Callable[[S3Request], object], limits: Limits | None = None) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000_000)
        self.observed: list[S3Request] = []
        self.site = GatewaySite(
            resource if isinstance(resource, Resource) else Served(resource),
            reactor=self.clock,
            refuse=refuse,
            limits=limits,
            observe=self.observed.append,
        )

    def wait(self, seconds: float) -> None:
        """Let time go by, second by second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)


class Client:
    """The other end of a connection to a `Gateway`."""

    def __init__(self, gateway: Gateway, *, secure: bool = False) -> None:
        self.gateway = gateway
        self.wire = Wire()
        if secure:
            alsoProvides(self.wire, ISSLTransport)
        self.channel = gateway.site.buildProtocol(None)
        self.wire.protocol = self.channel
        self.channel.makeConnection(self.wire)

    def send(self, data: bytes) -> None:
        """Send at once."""
        self.channel.dataReceived(data)

    def trickle(self, data: bytes) -> None:
        """Send byte by byte."""
        for at in range(len(data)):
            if self.wire.closed:
                break
            self.channel.dataReceived(data[at : at + 1])

    def read(self) -> bytes:
        """All that the server has sent, until it sends no more."""
        got = b""
        while True:
            piece = self.wire.deliver()
            self.gateway.clock.advance(0)
            if not piece and not self.wire.unread:
                return got
            got += piece

    def answers(self, *methods: str) -> list[Answer]:
        """The responses since the last call."""
        return answers(self.read(), methods)

    def half_close(self) -> None:
        """End the client's side."""
        self.channel.readConnectionLost()

    def vanish(self) -> None:
        """Lose the connection."""
        self.wire.lose(ConnectionLost())

    @property
    def closed(self) -> bool:
        """Whether the server has closed, or only waits for us to read and go."""
        return self.wire.closed or self.wire.disconnecting

    @property
    def paused(self) -> bool:
        """Whether the server does not read."""
        return self.wire.producerState == "paused"
