"""Tests of `s3gw.web.outbox`."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.defer import gatherResults, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from s3gw.web.outbox import LONELY, MOST, PROBE, SMALL, Outbox
from s3gw.web.request import S3Request
from s3gw.web.site import GatewaySite
from tests.web.test_channel import Browser
from tests.web.wire import Gateway, answers, refuse


class Answers:
    """Connections that give answers, and count those that have left."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.outbox = Outbox(self.clock)
        self.sent = 0

    def send_outgoing(self) -> None:
        """One has left."""
        self.sent += 1

    def give(self, size: int = 1000) -> None:
        """Give one, and do with it as told."""
        if self.outbox.holds(size):
            self.outbox.add(self)
        else:
            self.sent += 1

    def turn(self, count: int) -> int:
        """Give so many in one turn: how many of them left before it ended."""
        before = self.sent
        for _ in range(count):
            self.give()
        early = self.sent - before
        self.clock.advance(0)
        assert self.sent == before + count
        return early


class OutboxTests(SynchronousTestCase):
    """What is held, and how long."""

    def setUp(self) -> None:
        self.answers = Answers()

    def test_together(self) -> None:
        """The answers of a turn leave at its end, all of them."""
        self.assertEqual([self.answers.turn(count) for count in (2, MOST - 1, 3)], [0, 0, 0])

    def test_at_most(self) -> None:
        """However many requests come in one turn, no answer waits for more than `MOST` of them."""
        self.assertEqual(self.answers.turn(3 * MOST + 2), 3 * MOST)

    def test_alone(self) -> None:
        """Answers that come one by one are held no longer, when that is certain."""
        self.assertEqual([self.answers.turn(1) for _ in range(LONELY + 2)], [0] * LONELY + [1, 1])

    def test_no_longer_alone(self) -> None:
        """When there are several in a turn again, that is found out, and they are held."""
        for count in (2, 3, 4, 8, MOST - 1):
            with self.subTest(count=count):
                for _ in range(PROBE * LONELY):
                    self.answers.turn(1)
                early = [self.answers.turn(count) for _ in range(2 * PROBE)]
                self.assertEqual(early[-1], 0)

    def test_still_alone(self) -> None:
        """To find that out, one in `PROBE` is held."""
        for _ in range(LONELY):
            self.answers.turn(1)
        early = [self.answers.turn(1) for _ in range(10 * PROBE)]
        self.assertEqual(early.count(0), 10)

    def test_mishap(self) -> None:
        """What goes wrong with one connection keeps nobody else's answers back."""

        class Broken:
            def send_outgoing(self) -> None:
                raise ZeroDivisionError

        self.answers.give()
        self.answers.outbox.add(Broken())
        self.answers.give()
        self.answers.clock.advance(0)
        self.assertEqual(self.answers.sent, 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_large(self) -> None:
        """What is large is not held."""
        self.answers.give(SMALL + 1)
        self.assertEqual(self.answers.sent, 1)
        self.answers.give(SMALL)
        self.assertEqual(self.answers.sent, 1)


class ConnectionTests(TestCase):
    """Real sockets: what is held arrives, whole and in order, whatever comes behind it."""

    timeout = 30

    def serve(self, request: S3Request) -> None:
        size = int(request.head.raw_path[1:].partition("/")[0])
        request.respond(200, [], (request.head.raw_path.encode() * size)[:size])

    @inlineCallbacks
    def converse(self, serve: Callable[[S3Request], None], *browsers: Browser) -> object:
        """What each of several clients gets, who all come at once, until they are hung up on."""
        site = GatewaySite(Gateway(serve).site.resource, reactor=reactor, refuse=refuse)
        self.addCleanup(site.begin_drain)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        yield gatherResults([connectProtocol(endpoint, browser) for browser in browsers])
        got = yield gatherResults([browser.done for browser in browsers])
        return got

    @inlineCallbacks
    def test_crowd(self) -> object:
        """Many clients, each with several requests in one piece, small and large, the last one followed by the end."""
        sizes = (1, 1000, 3_000_000, 10, SMALL, SMALL + 1, 0, 5)

        def request(size: int, client: int, last: bool) -> bytes:
            end = b"Connection: close\r\n\r\n" if last else b"\r\n"
            return b"GET /%d/%d HTTP/1.1\r\nHost: h\r\n%b" % (size, client, end)

        conversations = [
            b"".join(request(size, client, size == sizes[-1]) for size in sizes) for client in range(3 * MOST)
        ]
        got = yield self.converse(self.serve, *map(Browser, conversations))
        for client, data in enumerate(got):
            bodies = [each.body for each in answers(data)]
            expected = [(b"/%d/%d" % (size, client) * size)[:size] for size in sizes]
            self.assertTrue(bodies == expected, f"client {client}")

    @inlineCallbacks
    def test_short(self) -> object:
        """When the socket has no room for an end of an answer, the next answers go to it again all the same."""
        direct = []

        def serve(request: S3Request) -> None:
            channel = request.channel
            direct.append(channel._direct is not None)
            channel._direct = lambda pieces: channel._sendmsg((b"".join(pieces)[:10],))
            request.respond(200, [], b"x" * 1000)

        class Patient(Browser):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                if len(direct) == 1 and self.got.endswith(b"x" * 1000):
                    self.transport.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

        got = yield self.converse(serve, Patient(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
        self.assertEqual([each.body for each in answers(got[0])], [b"x" * 1000] * 2)
        self.assertEqual(direct, [True, True])
