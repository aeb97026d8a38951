"""Tests of s3gw.web.channel and s3gw.web.site: early answers, order, time, load, and the end."""

from __future__ import annotations

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from s3gw.errors import AccessDenied
from s3gw.web.limits import Limits
from s3gw.web.request import S3Request
from s3gw.web.site import GatewaySite
from tests.web.wire import Answer, Client, Gateway, answers, refuse

KIB = 1024
GET = b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n"


def put(length: int, *lines: bytes) -> bytes:
    return b"\r\n".join([b"PUT /b/k HTTP/1.1", b"Host: h", b"Content-Length: %d" % length, *lines, b"", b""])


def ok(request: S3Request) -> None:
    """Answer with the path."""
    request.respond(200, [], request.head.raw_path.encode())


def deny(request: S3Request) -> None:
    """Refuse whatever has a body, without looking at it."""
    if request.head.method == "PUT":
        request.refuse(AccessDenied())
    else:
        ok(request)


class EarlyAnswerTests(SynchronousTestCase):
    """A PUT that is refused before its body was read."""

    def setUp(self) -> None:
        self.gateway = Gateway(deny)
        self.client = Client(self.gateway)

    def assert_refused(self, *, closes: bool) -> None:
        [answer] = self.client.answers()
        self.assertEqual((403, "AccessDenied"), (answer.status, answer.code))
        self.assertEqual("close" if closes else None, answer.headers.get("connection"))

    def assert_goes_on(self) -> None:
        self.client.send(GET)
        self.assertEqual([(200, b"/b/k")], [(each.status, each.body) for each in self.client.answers()])

    def test_expecting(self) -> None:
        """A client that waits for 100 gets its answer instead, uploads nothing, and the connection ends."""
        self.client.send(put(1 << 30, b"Expect: 100-continue"))
        self.assert_refused(closes=True)
        self.gateway.wait(4)
        self.client.read()
        self.assertTrue(self.client.wire.closed)

    def test_arrived(self) -> None:
        """A body that came with its head is dropped, and the connection goes on."""
        self.client.send(put(10) + b"x" * 10)
        self.assert_refused(closes=False)
        self.assert_goes_on()

    def test_small_rest(self) -> None:
        """A small rest is read and dropped first: a client that writes before it reads gets its answer, and goes on."""
        self.client.send(put(64 * KIB) + b"x")
        self.assertEqual([], self.client.answers())
        self.client.send(b"x" * (64 * KIB - 1) + GET)
        denied, following = self.client.answers()
        self.assertEqual((403, 200), (denied.status, following.status))
        self.assertNotIn("connection", denied.headers)
        self.assert_goes_on()

    def test_small_rest_that_does_not_come(self) -> None:
        """The answer is not held back for long."""
        self.client.send(put(10) + b"x")
        self.gateway.wait(4)
        self.assert_refused(closes=True)
        self.client.send(b"x" * 9 + GET)
        self.assertEqual([], self.client.answers())

    def test_large_rest(self) -> None:
        """A large rest is not waited for: the answer comes at once and is the last; what still comes is dropped."""
        self.client.send(put(64 * KIB + 1))
        self.assert_refused(closes=True)
        self.assertFalse(self.client.closed)
        for _ in range(10):
            self.client.send(b"x" * (64 * KIB))
        self.assertFalse(self.client.paused)
        for _ in range(10):
            self.client.send(b"x" * (64 * KIB))
        self.assertTrue(self.client.paused)
        self.gateway.wait(4)
        self.client.read()
        self.assertTrue(self.client.wire.closed)

    def test_large_rest_of_a_polite_client(self) -> None:
        """A client that reads the answer and goes is not waited for."""
        self.client.send(put(1 << 30) + b"x" * 1000)
        self.assert_refused(closes=True)
        self.client.half_close()
        self.client.read()
        self.assertTrue(self.client.wire.closed)

    def test_chunked_rest(self) -> None:
        """The rest of a chunked body may be anything: the answer is the last."""
        head = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.client.send(head + b"1\r\nx\r\n")
        self.assert_refused(closes=True)
        self.client = Client(self.gateway)
        self.client.send(head + b"1\r\nx\r\n0\r\n\r\n")
        self.assert_refused(closes=False)
        self.assert_goes_on()

    def test_read_after_the_answer(self) -> None:
        """Who goes on reading a body after the answer is told so, instead of being handed a part of it."""
        kept: list[S3Request] = []
        client = Client(gateway := Gateway(kept.append))
        client.send(put(100 * KIB) + b"x")

        async def read() -> list[bytes]:
            return await kept[0].body.read()

        self.assertEqual([b"x"], self.successResultOf(Deferred.fromCoroutine(read())))
        reading = Deferred.fromCoroutine(read())
        kept[0].refuse(AccessDenied())
        self.failureResultOf(reading, RuntimeError)
        self.failureResultOf(Deferred.fromCoroutine(read()), RuntimeError)
        self.assertEqual([403], [each.status for each in client.answers()])
        gateway.wait(4)
        self.assertTrue(client.closed)

    def test_gone_while_settling(self) -> None:
        """A client that goes away before the rest came is no answer owed."""
        self.client.send(put(10) + b"x")
        self.client.vanish()
        self.gateway.wait(4)
        self.assertEqual([True], [request.cut for request in self.gateway.observed])

    def test_half_closed_while_settling(self) -> None:
        """A client that ends its side before the rest came gets its answer."""
        self.client.send(put(10) + b"x")
        self.client.half_close()
        self.assert_refused(closes=True)
        self.assertTrue(self.client.closed)

    def test_paused_upload(self) -> None:
        """Refusing in the midst of a paused upload goes on reading, to drop it."""
        kept: list[S3Request] = []
        client = Client(Gateway(kept.append))
        client.send(put(400 * KIB))
        for _ in range(5):
            client.send(b"x" * (64 * KIB))
        self.assertTrue(client.paused)
        client.send(b"x" * (64 * KIB))
        kept[0].refuse(AccessDenied())
        self.assertFalse(client.paused)
        client.send(b"x" * (16 * KIB))
        self.assertEqual([403], [each.status for each in client.answers()])
        self.assertFalse(client.closed)


class PipelineTests(SynchronousTestCase):
    """Requests that do not wait for answers."""

    def test_in_order(self) -> None:
        """Answers come in the order of requests, whatever is ready first."""
        kept: list[S3Request] = []
        client = Client(Gateway(kept.append))
        for number in range(3):
            client.send(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
        self.assertTrue(client.paused)
        for number in range(3):
            self.assertEqual(number + 1, len(kept))
            ok(kept[number])
            self.assertEqual([b"/%d" % number], [each.body for each in client.answers()])
        self.assertFalse(client.paused)

    def test_thousands(self) -> None:
        """A read full of requests is answered without deep recursion, and the reactor gets its turn in between."""
        gateway = Gateway(ok)
        client = Client(gateway)
        client.send(b"GET / HTTP/1.1\r\nHost:h\r\n\r\n" * 2400)
        self.assertLess(len(gateway.observed), 100)
        self.assertEqual(2400, len(client.answers()))
        self.assertFalse(client.paused)

    def test_thousands_answered_late(self) -> None:
        """The same when every answer comes later."""
        kept: list[S3Request] = []
        client = Client(Gateway(kept.append))
        client.send(b"GET / HTTP/1.1\r\nHost:h\r\n\r\n" * 2400)
        self.assertEqual(2400, self._answer_all(client, kept))

    def test_not_read(self) -> None:
        """A client that pipelines and does not read makes the server hold one answer, and no more than one read."""
        asked: list[S3Request] = []

        def large(request: S3Request) -> None:
            asked.append(request)
            request.respond(200, [], b"x" * 100 * KIB)

        client = Client(Gateway(large))
        client.send(GET * 50)
        self.assertEqual(1, len(asked))
        self.assertTrue(client.paused)
        self.assertLess(client.wire.most_unread, 101 * KIB)
        self.assertEqual([100 * KIB] * 50, [len(each.body) for each in client.answers()])
        self.assertLess(client.wire.most_unread, 101 * KIB)
        self.assertFalse(client.paused)

    def test_held(self) -> None:
        """What arrives in spite of the pause is kept and served, up to a bound."""
        kept: list[S3Request] = []
        client = Client(Gateway(kept.append))
        client.send(GET + GET)
        for _ in range(3):
            client.send(put(60 * KIB) + b"x" * 60 * KIB)
        self.assertEqual(1, len(kept))
        for number in range(5):
            ok(kept[number])
        self.assertEqual([200] * 5, [each.status for each in client.answers()])
        client = Client(Gateway(kept.append))
        client.send(GET + GET)
        for _ in range(5):
            client.send(b"x" * 64 * KIB)
        self.assertTrue(client.wire.aborted)

    def test_small_records(self) -> None:
        """Thousands of small pieces that were held are not a deep stack."""
        kept: list[S3Request] = []
        client = Client(Gateway(kept.append))
        client.send(GET + GET)
        for _ in range(3000):
            client.send(GET)
        self.assertEqual(3002, self._answer_all(client, kept))

    def _answer_all(self, client: Client, kept: list[S3Request]) -> int:
        """Answer what is kept, and what is begun when the client has read that; how many answers it got."""
        count = 0
        while kept:
            while kept:
                ok(kept.pop())
            count += len(client.answers())
        return count

    def test_half_closed(self) -> None:
        """Requests that were sent before the client ended its side are all answered (``printf ... | nc``)."""
        kept: list[S3Request] = []
        client = Client(Gateway(kept.append))
        client.send(GET + GET)
        client.half_close()
        ok(kept[0])
        ok(kept[1])
        self.assertEqual([None, "close"], [each.headers.get("connection") for each in client.answers()])
        self.assertTrue(client.wire.closed)

    def test_close_of_the_last(self) -> None:
        """Behind the last answer the client is listened to again: over TLS, closing takes a word of it."""
        kept: list[S3Request] = []
        client = Client(Gateway(lambda request: ok(request) if kept else kept.append(request)))
        client.send(GET + b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertEqual("paused", client.wire.producerState)
        ok(kept[0])
        self.assertTrue(client.wire.disconnecting)
        self.assertEqual("producing", client.wire.producerState)
        self.assertEqual([None, "close"], [each.headers.get("connection") for each in client.answers()])

    def test_malformed_chunks_behind(self) -> None:
        """A request that is broken before its turn came is refused in its turn."""
        kept: list[S3Request] = []
        client = Client(Gateway(kept.append))
        client.send(GET + b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
        ok(kept[0])
        self.assertEqual([200, 400], [each.status for each in client.answers()])
        self.assertEqual(1, len(kept))


class TimerTests(SynchronousTestCase):
    """What happens when nothing happens."""

    def setUp(self) -> None:
        self.gateway = Gateway(ok)
        self.client = Client(self.gateway)

    def assert_closes_after(self, seconds: int) -> list[Answer]:
        self.gateway.wait(seconds - 1)
        self.assertFalse(self.client.closed)
        self.assertEqual([], self.client.answers())
        self.gateway.wait(3)
        answered = self.client.answers()
        self.gateway.wait(4)
        self.client.read()
        self.assertTrue(self.client.wire.closed)
        return answered

    def test_silent(self) -> None:
        """A connection that never asks is closed."""
        self.assertEqual([], self.assert_closes_after(30))

    def test_idle(self) -> None:
        """Between requests there is time."""
        for _ in range(3):
            self.client.send(GET)
            self.assertEqual([200], [each.status for each in self.client.answers()])
            self.gateway.wait(290)
        self.client.send(GET)
        self.client.answers()
        self.assertEqual([], self.assert_closes_after(300))

    def test_head(self) -> None:
        """A head that does not end in time is answered, however regularly its bytes drop in."""
        self.client.send(GET)
        self.client.answers()
        self.gateway.wait(200)
        for at in range(29):
            self.client.send(GET[at : at + 1])
            self.gateway.wait(1)
        self.assertEqual([], self.client.answers())
        self.gateway.wait(3)
        [answer] = self.client.answers()
        self.assertEqual((400, "RequestTimeout"), (answer.status, answer.code))
        self.gateway.wait(4)
        self.assertTrue(self.client.closed)

    def test_head_behind_a_slow_answer(self) -> None:
        """A head that we did not read for lack of an answer to the one before it has its time when it has its turn."""
        kept: list[S3Request] = []
        client = Client(gateway := Gateway(kept.append))
        client.send(GET + GET[:5])
        gateway.wait(100)
        ok(kept[0])
        gateway.wait(20)
        client.send(GET[5:])
        ok(kept[1])
        self.assertEqual([200, 200], [each.status for each in client.answers()])

    def test_slow_operation(self) -> None:
        """An operation may take as long as it takes."""
        kept: list[S3Request] = []
        client = Client(gateway := Gateway(kept.append))
        client.send(GET)
        gateway.wait(1000)
        ok(kept[0])
        self.assertEqual([200], [each.status for each in client.answers()])

    def test_answer_not_read(self) -> None:
        """A client that does not read its answer is cut off, idle or not."""
        client = Client(gateway := Gateway(lambda request: request.respond(200, [], b"x" * 100 * KIB)))
        client.send(GET)
        gateway.wait(59)
        self.assertFalse(client.wire.aborted)
        gateway.wait(3)
        self.assertTrue(client.wire.aborted)

    def test_close_not_read(self) -> None:
        """A client that does not read its last answer does not hold the connection either."""
        client = Client(gateway := Gateway(ok))
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        gateway.wait(62)
        self.assertTrue(client.wire.aborted)

    def test_abandoned_body(self) -> None:
        """The rest of a body that a stock Resource ignored is not waited for for ever."""
        client = Client(gateway := Gateway(lambda request: (request.write(b"abc"), request.finish())))
        client.send(put(10) + b"x")
        gateway.wait(62)
        client.read()
        self.assertTrue(client.wire.closed)

    def test_one_timer(self) -> None:
        """One timer serves all connections, and none is left behind them."""
        clients = [Client(self.gateway) for _ in range(50)]
        for client in clients:
            client.send(GET)
        self.assertEqual(1, len(self.gateway.clock.getDelayedCalls()))
        for client in [*clients, self.client]:
            client.vanish()
        self.assertEqual([], self.gateway.clock.getDelayedCalls())

    def test_date(self) -> None:
        """The date of an answer is the time of the answer, also after a quiet hour."""
        for seconds, date in ((0, "01:46:40"), (5, "01:46:45"), (100, "01:48:25")):
            self.gateway.wait(seconds)
            self.client.send(GET)
            self.assertIn(date, self.client.answers()[0].headers["date"])
        self.client.vanish()
        self.gateway.wait(3600)
        client = Client(self.gateway)
        client.send(GET)
        self.assertIn("02:48:25", client.answers()[0].headers["date"])


class LoadTests(SynchronousTestCase):
    """More connections than are served."""

    def test_slow_down(self) -> None:
        """One connection too many is answered with SlowDown, and served when there is room again."""
        gateway = Gateway(ok, Limits(max_connections=2))
        first, second, third, fourth = (Client(gateway) for _ in range(4))
        self.assertEqual(4, gateway.site.open_connections)
        first.send(GET)
        second.send(GET)
        self.assertEqual([200, 200], [each.status for each in first.answers() + second.answers()])
        third.send(put(10, b"Expect: 100-continue"))
        [answer] = third.answers()
        self.assertEqual((503, "SlowDown", "close"), (answer.status, answer.code, answer.headers["connection"]))
        first.vanish()
        fourth.send(GET)
        self.assertEqual([200], [each.status for each in fourth.answers()])

    def test_memory(self) -> None:
        """An idle connection is a small thing, and leaves nothing behind."""
        gateway = Gateway(ok)
        for _ in range(100):
            client = Client(gateway)
            client.send(GET)
            client.answers()
            client.vanish()
        self.assertEqual((0, 0), (gateway.site.open_connections, gateway.site.requests_in_flight))


class DrainTests(SynchronousTestCase):
    """Stopping without dropping anybody."""

    def test_drain(self) -> None:
        """Idle connections are closed, busy ones after their answer, which says so; then all are gone."""
        kept: list[S3Request] = []
        gateway = Gateway(lambda request: kept.append(request) if request.head.raw_path == "/slow" else ok(request))
        idle, busy, begun, new = (Client(gateway) for _ in range(4))
        idle.send(GET)
        idle.read()
        busy.send(GET.replace(b"/b/k", b"/slow"))
        begun.send(GET[:10])
        self.assertEqual(1, gateway.site.requests_in_flight)
        drained = gateway.site.begin_drain()
        for client in (idle, new):
            client.read()
            self.assertTrue(client.wire.closed)
        self.assertNoResult(drained)
        begun.send(GET[10:])
        ok(kept[0])
        self.assertEqual(0, gateway.site.requests_in_flight)
        for client in (busy, begun):
            [answer] = client.answers()
            self.assertEqual((200, "close"), (answer.status, answer.headers["connection"]))
            self.assertNoResult(drained)
            client.half_close()
            client.read()
            self.assertTrue(client.wire.closed)
        self.successResultOf(drained)

    def test_nothing_to_drain(self) -> None:
        """Without connections it is done at once, and may be asked for again."""
        site = Gateway(ok).site
        self.successResultOf(site.begin_drain())
        self.successResultOf(site.begin_drain())

    def test_upload_while_draining(self) -> None:
        """An upload that is under way is finished."""
        kept: list[S3Request] = []
        client = Client(gateway := Gateway(kept.append))
        client.send(put(10))
        drained = [gateway.site.begin_drain() for _ in range(2)]
        client.send(b"x" * 10)
        self.assertEqual([b"x" * 10], kept[0].body.take())
        ok(kept[0])
        self.assertEqual(["close"], [each.headers["connection"] for each in client.answers()])
        gateway.wait(4)
        client.read()
        for each in drained:
            self.successResultOf(each)

    def test_abort(self) -> None:
        """When patience ends, all are cut."""
        kept: list[S3Request] = []
        clients = [Client(gateway := Gateway(kept.append)) for _ in range(1)]
        clients[0].send(GET)
        drained = gateway.site.begin_drain()
        gateway.site.abort_connections()
        clients[0].wire.turn()
        self.successResultOf(drained)
        self.assertTrue(kept[0].gone)


class SiteTests(SynchronousTestCase):
    """What the site promises."""

    def test_protocols(self) -> None:
        """ALPN offers HTTP/1.1 and nothing else; channels know half-closed connections, and send without delay."""
        gateway = Gateway(ok)
        self.assertEqual([b"http/1.1"], gateway.site.acceptableProtocols())
        client = Client(gateway)
        self.assertTrue(IHalfCloseableProtocol.providedBy(client.channel))
        self.assertTrue(client.wire.no_delay)

    def test_observer_that_fails(self) -> None:
        """A bug in the accounting is logged; the clients do not notice."""
        gateway = Gateway(ok)
        gateway.site._observe = lambda request: 1 / 0
        client = Client(gateway)
        client.send(GET + GET)
        self.assertEqual([200, 200], [each.status for each in client.answers()])
        self.assertEqual(2, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_located(self) -> None:
        """A root that can tell the resource from the request is asked, instead of walking down."""
        gateway = Gateway(ok)
        leaf = gateway.site.resource

        class Root:
            def locate(self, request: S3Request) -> object:
                return leaf

        site = GatewaySite(Root(), reactor=gateway.clock, refuse=refuse)
        gateway.site = site
        client = Client(gateway)
        client.send(GET)
        self.assertEqual([b"/b/k"], [each.body for each in client.answers()])


class Browser(Protocol):
    """A client on a real socket: collects until the server closes."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.got = b""
        self.done: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self.request)

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback(self.got)


def certificate() -> PrivateCertificate:
    """A certificate for 127.0.0.1, made now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return PrivateCertificate.loadPEM(pem)


class LoopbackTests(TestCase):
    """Real sockets."""

    timeout = 30
    body = bytes(range(256)) * 16 * 1024

    def serve(self, request: S3Request) -> None:
        self.wide.append(request.channel.reads_wide)

        async def serve() -> None:
            size = 0
            while pieces := await request.body.read():
                size += sum(map(len, pieces))
            self.wide_behind.append(request.channel.reads_wide)
            if size:
                request.respond(200, [], b"%d %d" % (size, request.head.secure))
            else:
                request.respond(200, [], self.body)

        Deferred.fromCoroutine(serve()).addErrback(lambda failure: request.refuse(failure.value))

    @inlineCallbacks
    def exchange(self, factory: Factory, wrap: object = lambda endpoint: endpoint) -> object:
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = wrap(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port))
        upload = put(len(self.body)) + self.body
        browser = Browser(upload + GET + b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        yield connectProtocol(endpoint, browser)
        got = yield browser.done
        return answers(got)

    def assert_exchanged(self, answered: list[Answer], *, secure: bool, wide: bool = False) -> None:
        self.assertEqual([wide, False, False], self.wide)
        # Thousands of requests could be in one wide read behind a body.
        self.assertEqual([False, False, False], self.wide_behind)
        self.assertEqual([200, 200, 200], [each.status for each in answered])
        expected = [b"%d %d" % (len(self.body), secure), self.body, self.body]
        self.assertTrue(expected == [each.body for each in answered])
        self.assertEqual(["PUT", "GET", "GET"], [request.head.method for request in self.observed])

    def site(self, limits: Limits | None = None) -> GatewaySite:
        self.observed: list[S3Request] = []
        self.wide: list[bool] = []
        self.wide_behind: list[bool] = []
        tree = Gateway(self.serve).site.resource
        site = GatewaySite(tree, reactor=reactor, refuse=refuse, limits=limits, observe=self.observed.append)
        self.addCleanup(site.begin_drain)
        return site

    @inlineCallbacks
    def test_tcp(self) -> object:
        """4 MiB up and twice down over TCP: up in wide reads."""
        answered = yield self.exchange(self.site())
        self.assert_exchanged(answered, secure=False, wide=True)

    @inlineCallbacks
    def test_crowded(self) -> object:
        """Where memory is short, reads are no wider than they must be."""
        answered = yield self.exchange(self.site(Limits(max_buffered=600 * 1024)))
        self.assert_exchanged(answered, secure=False)

    @inlineCallbacks
    def test_tls(self) -> object:
        """The same over TLS."""
        ours = certificate()
        options = optionsForClientTLS("127.0.0.1", trustRoot=Certificate.loadPEM(ours.dumpPEM()))
        answered = yield self.exchange(
            TLSMemoryBIOFactory(ours.options(), False, self.site()), lambda endpoint: wrapClientTLS(options, endpoint)
        )
        self.assert_exchanged(answered, secure=True)
