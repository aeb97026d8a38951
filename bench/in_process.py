"""The gateway in this process: the service that `twistd` runs, without a reactor and without sockets.

Bytes go into its channels as a socket would deliver them, and what it sends is looked at where the socket would take
it. Its lanes and its store are the real ones, but what is meant for a thread of the pool is done in between, in the
order in which it was asked for. No timer ever runs out: the clock stands still.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from bench.load import Request
from bench.servers import Target
from bench.workloads import Objects, Wire
from s3gw.credentials import KeyRing
from s3gw.service import GatewayService
from s3gw.settings import Settings, parse_listener
from s3gw.web.channel import S3Channel
from s3gw.web.connection import READ
from tools.stress_test import Signer

ACCESS_KEY, SECRET_KEY, REGION = "BENCH", "bench-secret", "us-east-1"

T = TypeVar("T")
Buffer = bytes | memoryview


class WrongAnswer(Exception):
    """A request was not answered as it should have been."""


class _Clock(Clock):
    """What the service needs of a reactor, when it has no sockets and no threads."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = time.time()
        self._due = False

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> IDelayedCall:
        """As a reactor does."""
        if not delay:
            self._due = True
        return super().callLater(delay, callable, *args, **kw)

    def end_turn(self) -> None:
        """Do what is due before the next turn."""
        if self._due:
            self._due = False
            self.advance(0)


class _Service(GatewayService):
    """The service; its threads are this one."""

    def __init__(self, settings: Settings, keys: KeyRing | None, *, alone: bool) -> None:
        super().__init__(settings, keys, None, _Clock(), alone=alone)
        self._jobs: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()

    def _in_pool(self, work: Callable[[], T]) -> Deferred[T]:
        done: Deferred[T] = Deferred()
        self._jobs.append((work, done))
        return done

    def end_turn(self) -> None:
        """Let the reactor do what is due."""
        self._reactor.end_turn()

    def turn(self) -> None:
        """Do what has waited longest for a thread. :raises WrongAnswer: nothing waits."""
        if not self._jobs:
            # Commits gather until the reactor's turn is over.
            self.end_turn()
        if not self._jobs:
            raise WrongAnswer("the gateway does not answer")
        work, done = self._jobs.popleft()
        try:
            result = work()
        except Exception:
            done.errback()
        else:
            done.callback(result)


class _Transport(tcp.Connection):
    """A TCP connection whose socket takes all it is given."""

    def __init__(self) -> None:
        # Not the base's, which wants a socket.
        self.paused = False
        self.lost = False
        self.kept: list[bytes] | None = None

    def getHandle(self) -> Any:
        """The socket: so much of one as `Connection` asks for."""
        return self

    def sendmsg(self, pieces: Sequence[Buffer]) -> int:
        """Take pieces of an answer; they are kept only when somebody wants to see them."""
        if self.kept is not None:
            self.kept.append(b"".join(pieces))
        return sum(map(len, pieces))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As it is."""

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """It will never be paused."""

    def unregisterProducer(self) -> None:
        """As for `registerProducer`."""

    def pauseProducing(self) -> None:
        """Deliver nothing for now."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self.paused = False

    def abortConnection(self) -> None:
        """Remember it."""
        self.lost = True

    def loseConnection(self, failure: object = None) -> None:
        """As `abortConnection`."""
        self.lost = True

    def getPeer(self) -> IPv4Address:
        """Somebody."""
        return IPv4Address("TCP", "127.0.0.1", 50000)

    def getHost(self) -> IPv4Address:
        """The gateway."""
        return IPv4Address("TCP", "127.0.0.1", 9000)


class InProcess:
    """A gateway and the connections to it.

    :param alone: the process is the gateway's: see `GatewayService`.
    :ivar wire: makes requests for it, in a bucket that is there.
    """

    def __init__(self, directory: Path, *, signed: bool, alone: bool, connections: int = 16) -> None:
        auth: dict[str, Any] = {"auth": "none"}
        if signed:
            auth = {"auth": "sigv4", "access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        settings = Settings(
            listen=(parse_listener("127.0.0.1:0"),),
            db_path=directory,
            access_log=False,
            threads=1,
            cache_mb=256,
            region=REGION,
            **auth,
        )
        self._service = _Service(settings, KeyRing.of(settings) if signed else None, alone=alone)
        self._service.startService()
        signer = Signer(ACCESS_KEY, SECRET_KEY, REGION) if signed else None
        self.wire = Wire(Target("in process", "127.0.0.1", 9000, False, 0, signer), "bench")
        self._connections = [self._connect() for _ in range(connections)]
        self._there: set[Objects] = set()

    def _connect(self) -> tuple[S3Channel, _Transport]:
        channel, transport = self._service.site.buildProtocol(None), _Transport()
        channel.makeConnection(transport)
        return channel, transport

    def has(self, objects: Objects) -> bool:
        """Whether `fill` has put some objects there."""
        return objects in self._there

    def fill(self, objects: Objects) -> None:
        """Have some objects there."""
        if not self.has(objects):
            self._there.add(objects)
            self.check(self.wire.puts(objects))

    def exchange(self, rounds: Sequence[Sequence[Sequence[bytes]]]) -> None:
        """Send requests and wait for their answers, a round after the other; each of a round has its connection.

        A request is what arrives of it at once, piece by piece."""
        site, turn, connections = self._service.site, self._service.turn, self._connections
        end_turn = self._service.end_turn
        for requests in rounds:
            for (channel, transport), pieces in zip(connections, requests, strict=False):
                for piece in pieces:
                    while transport.paused:
                        turn()
                    channel.dataReceived(piece)
            while site.requests_in_flight:
                turn()
            end_turn()

    def check(self, requests: Sequence[Request], at_once: int = 1) -> None:
        """Send requests, so many at once. :raises WrongAnswer: an answer is not what it should be."""
        transports = [transport for _, transport in self._connections[:at_once]]
        for first in range(0, len(requests), at_once):
            asked = requests[first : first + at_once]
            for transport in transports:
                transport.kept = []
            self.exchange([[pieces_of(request) for request in asked]])
            for request, transport in zip(asked, transports, strict=False):
                compare(request, b"".join(transport.kept or ()))
        for transport in transports:
            transport.kept = None

    def answered(self, status: int) -> int:
        """How many answers there have been with a status of the same hundred."""
        told = self._service.metrics.registry.get_sample_value("s3gw_responses_total", {"status": f"{status // 100}xx"})
        return int(told or 0)

    def stop(self) -> None:
        """Close the store. :raises WrongAnswer: a connection was closed before."""
        lost = any(transport.lost for _, transport in self._connections)
        stopping = self._service.stopService()
        for channel, _ in self._connections:
            channel.connectionLost()
        while not stopping.called:
            self._service.turn()
        if lost:
            raise WrongAnswer("the gateway has closed a connection")


def compare(request: Request, answer: bytes) -> None:
    """:raises WrongAnswer: this is no good answer to a request."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1:2] != [b"%d" % request.status]:
        raise WrongAnswer(f"{request.head!r}: {answer[:300]!r}")
    if request.no_body:
        if body:
            raise WrongAnswer(f"{request.head!r}: a body")
    elif request.expected is not None and body != b"".join(request.expected.slices()):
        raise WrongAnswer(f"{request.head!r}: wrong bytes")


def pieces_of(request: Request) -> list[bytes]:
    """A request as it arrives: what one read of a socket brings, and the next."""
    upload = request.upload
    whole = request.head + (b"".join(upload.slices()) if upload is not None else b"")
    return [whole[at : at + READ] for at in range(0, len(whole), READ)]


@contextmanager
def gateways(*, alone: bool) -> Iterator[Callable[[bool], InProcess]]:
    """Makes gateways when they are asked for, one that asks for signatures and one that does not."""
    made: dict[bool, InProcess] = {}
    with tempfile.TemporaryDirectory(prefix="s3gw-bench-") as directory:

        def gateway(signed: bool) -> InProcess:
            if signed not in made:
                # It is to be stopped whatever comes: its threads would keep the process for ever.
                made[signed] = one = InProcess(Path(directory, f"db-{signed}"), signed=signed, alone=alone)
                one.check([one.wire.request("PUT", "", status=200)])
            return made[signed]

        try:
            yield gateway
        finally:
            for each in made.values():
                each.stop()
