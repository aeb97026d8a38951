"""Tests of s3gw.web.request: what a request says, how it is answered, and stock Resources over our channel."""

from __future__ import annotations

import re

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import Data, File
from zope.interface import implementer

from s3gw.errors import InternalError, NoSuchKey, SlowDown
from s3gw.web.body import ClientDisconnected
from s3gw.web.request import S3Request
from tests.web.wire import SEND_BUFFER, Answer, Client, Gateway

GET = b"GET /b/k?a=1&b HTTP/1.1\r\nHost: h\r\nX-Amz-Meta-A: 1\r\nx-amz-meta-a: 2\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
OLD = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"


def kept() -> tuple[Client, S3Request]:
    """A client that has sent GET, and its request, not answered yet."""
    requests: list[S3Request] = []
    client = Client(Gateway(requests.append))
    client.send(GET)
    return client, requests[0]


class RequestTests(SynchronousTestCase):
    """What is known of a request."""

    def test_head(self) -> None:
        """Method, target and headers as text, names in lower case, repeated headers joined as SigV4 wants them."""
        client, request = kept()
        head = request.head
        self.assertEqual(("GET", "/b/k", "a=1&b", False), (head.method, head.raw_path, head.raw_query, head.secure))
        self.assertEqual({"host": "h", "x-amz-meta-a": "1,2"}, head.headers)
        self.assertEqual(
            (0, 0, False, False), (request.bytes_received, request.bytes_sent, request.started, request.gone)
        )
        self.assertEqual("192.168.1.1", request.peer)
        client.vanish()

    def test_secure(self) -> None:
        """A request that came over TLS says so."""
        requests: list[S3Request] = []
        Client(Gateway(requests.append), secure=True).send(GET)
        self.assertTrue(requests[0].head.secure)
        self.assertTrue(requests[0].isSecure())

    def test_request_ids(self) -> None:
        """Ids are 16 hexadecimal digits, none given twice, and the answer bears the request's."""
        gateway = Gateway(lambda request: request.respond(200, []))
        client = Client(gateway)
        client.send(GET * 200)
        ids = [each.headers["x-amz-request-id"] for each in client.answers()]
        self.assertEqual([request.request_id for request in gateway.observed], ids)
        self.assertEqual(200, len(set(ids)))
        for each in ids:
            self.assertRegex(each, r"\A[0-9A-F]{16}\Z")

    def test_arrived(self) -> None:
        """Time runs from the first byte of a request, not from the end of the one before it."""
        gateway = Gateway(lambda request: request.respond(200, []))
        client = Client(gateway)
        began = gateway.clock.seconds()
        client.send(GET)
        gateway.wait(100)
        client.send(GET[:1])
        gateway.wait(10)
        client.send(GET[1:])
        self.assertEqual([began, began + 100], [request.arrived for request in gateway.observed])


class RespondTests(SynchronousTestCase):
    """`S3Request.respond`."""

    def answer(self, *arguments: object, request: bytes = GET) -> tuple[Answer, Client]:
        client = Client(Gateway(lambda request: request.respond(*arguments)))
        client.send(request)
        self.assertEqual(1, client.wire.writes)
        [answer] = client.answers(request.split()[0].decode())
        [observed] = client.gateway.observed
        self.assertEqual((answer.status, len(answer.body), False), (observed.code, observed.bytes_sent, observed.cut))
        return answer, client

    def test_whole(self) -> None:
        """One write; the headers given and those that every answer has."""
        answer, client = self.answer(200, [("ETag", '"e"')], b"abc")
        self.assertEqual((200, b"abc"), (answer.status, answer.body))
        self.assertEqual(
            {"date", "server", "x-amz-id-2", "x-amz-request-id", "etag", "content-length"}, set(answer.headers)
        )
        self.assertEqual('"e"', answer.headers["etag"])
        self.assertEqual("s3gw", answer.headers["server"])
        self.assertEqual("Sun, 09 Sep 2001 01:46:40 GMT", answer.headers["date"])
        self.assertFalse(client.closed)

    def test_pieces(self) -> None:
        """A body may be in pieces, and Content-Length be given."""
        answer, _ = self.answer(206, [("content-length", "5")], [b"ab", memoryview(b"cde")])
        self.assertEqual((206, "5", b"abcde"), (answer.status, answer.headers["content-length"], answer.body))

    def test_bodiless(self) -> None:
        """HEAD, 204 and 304 have no body; a HEAD keeps its Content-Length, 204 and 304 have none."""
        for status, headers, body, request, length in (
            (200, [("Content-Length", "12345")], b"", HEAD, "12345"),
            (404, [], b"<Error/>", HEAD, "8"),
            (204, [], b"", GET, None),
            (204, [("Content-Length", "0")], b"", GET, None),
            (304, [("Content-Length", "12345")], b"", GET, None),
            (304, [], b"abc", HEAD, None),
            (200, [], b"", GET, "0"),
        ):
            answer, client = self.answer(status, headers, body, request=request)
            self.assertEqual((status, length), (answer.status, answer.headers.get("content-length")))
            client.send(request)
            self.assertEqual([status], [each.status for each in client.answers("HEAD")])

    def test_unusual_status(self) -> None:
        """A status without a registered phrase is still well-formed."""
        answer, _ = self.answer(599, [], b"abc")
        self.assertEqual((599, b"abc"), (answer.status, answer.body))

    def test_kept_alive_in_1_0(self) -> None:
        """A client of HTTP/1.0 that asks to keep the connection is told that it is kept (ab -k)."""
        answer, client = self.answer(200, [], b"abc", request=OLD)
        self.assertEqual("keep-alive", answer.headers["connection"])
        self.assertFalse(client.closed)

    def test_long(self) -> None:
        """A body of many windows in memory goes out as fast as it is read, not all at once."""
        body = bytes(range(256)) * 16 * 1024
        client = Client(Gateway(lambda request: request.respond(200, [], body)))
        client.send(GET)
        [answer] = client.answers()
        self.assertEqual(body, answer.body)
        self.assertLess(client.wire.most_unread, 400 * 1024)
        self.assertEqual([len(body)], [request.bytes_sent for request in client.gateway.observed])

    def test_no_splitting(self) -> None:
        """A header that would break out of its line is refused, and another answer is still possible."""
        for name, value in (("X", "a\r\nSet-Cookie: b"), ("X", "a\nb"), ("X", "a\rb"), ("X\r\nY", "a"), ("X", "a\0")):
            client, request = kept()
            self.assertRaises(ValueError, request.respond, 200, [(name, value)])
            request.respond(500, [])
            self.assertEqual([500], [each.status for each in client.answers()])

    def test_latin_1(self) -> None:
        """Headers are Latin-1: what is not cannot be sent."""
        client, request = kept()
        self.assertRaises(ValueError, request.respond, 200, [("X", "\u20ac")])
        request.respond(200, [("X", "\xe9")])
        self.assertEqual("\xe9", client.answers()[0].headers["x"])

    def test_wrong_length(self) -> None:
        """A Content-Length that is not the body's would garble the next answer."""
        _, request = kept()
        self.assertRaises(ValueError, request.respond, 200, [("Content-Length", "4")], b"abc")

    def test_twice(self) -> None:
        """A request has one answer."""
        _, request = kept()
        request.respond(200, [])
        self.assertTrue(request.started)
        self.assertRaises(RuntimeError, request.respond, 200, [])

    def test_refuse(self) -> None:
        """An error is answered as the site renders it, with its own headers."""
        client, request = kept()
        request.refuse(SlowDown(headers={"Retry-After": "1"}))
        [answer] = client.answers()
        self.assertEqual((503, "SlowDown", "1"), (answer.status, answer.code, answer.headers["retry-after"]))
        self.assertEqual("SlowDown", request.error_code)


class DisconnectTests(SynchronousTestCase):
    """A client that goes away before it has its answer."""

    def test_told(self) -> None:
        """Whoever asked is told, once, however it asked; also when it asks too late."""
        client, request = kept()
        told: list[str] = []
        request.on_disconnect(lambda: told.append("a"))
        request.on_disconnect(lambda: told.append("b"))
        notified = request.notifyFinish()
        client.vanish()
        self.assertEqual(["a", "b"], told)
        self.failureResultOf(notified)
        self.assertTrue(request.gone)
        request.on_disconnect(lambda: told.append("c"))
        self.assertEqual(["a", "b", "c"], told)
        self.failureResultOf(request.notifyFinish(), ClientDisconnected)
        self.assertEqual([(request, True)], [(each, each.cut) for each in client.gateway.observed])

    def test_answer_to_nobody(self) -> None:
        """An answer that comes too late goes nowhere, quietly."""
        client, request = kept()
        client.vanish()
        request.respond(200, [], b"abc")
        request.write(b"abc")
        self.assertEqual(b"", client.read())

    def test_answered_before(self) -> None:
        """A client that goes away after its answer is no business of the request."""
        client, request = kept()
        told: list[str] = []
        request.on_disconnect(lambda: told.append("a"))
        notified = request.notifyFinish()
        request.respond(200, [])
        self.successResultOf(notified)
        client.vanish()
        self.assertEqual([], told)
        self.assertEqual([(request, False)], [(each, each.cut) for each in client.gateway.observed])

    def test_coroutine_cancelled(self) -> None:
        """A coroutine that is cancelled at the disconnect stops where it waits."""
        client, request = kept()
        never: Deferred[None] = Deferred()

        async def serve() -> None:
            await never

        serving = Deferred.fromCoroutine(serve())
        request.on_disconnect(serving.cancel)
        client.vanish()
        self.failureResultOf(serving)


class Pulled:
    """A pull producer of ten pieces of 10 KiB."""

    def __init__(self, request: S3Request) -> None:
        self.request = request
        self.left = 10
        self.stopped = False

    def resumeProducing(self) -> None:
        self.request.write(b"x" * 10_240)
        self.left -= 1
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self) -> None:
        self.stopped = True


@implementer(IPushProducer)
class Pushed:
    """A push producer that fills the wire whenever it may."""

    def __init__(self, request: S3Request) -> None:
        self.request = request
        self.left = 50
        self.paused = self.stopped = False

    def resumeProducing(self) -> None:
        self.paused = False
        while self.left and not self.paused:
            self.left -= 1
            self.request.write(b"x" * 10_240)
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()

    def pauseProducing(self) -> None:
        self.paused = True

    def stopProducing(self) -> None:
        self.stopped = True


implementer(IPullProducer)(Pulled)


class Stock(Resource):
    """A Resource that knows nothing of us."""

    isLeaf = True

    def __init__(self, get: object) -> None:
        super().__init__()
        self.get = get

    def render_GET(self, request: S3Request) -> object:
        return self.get(request)


class StockTests(SynchronousTestCase):
    """Twisted's own Resources, in the tree of our site."""

    def ask(self, resource: object, request: bytes = GET, *, twice: bool = True) -> tuple[Answer, Client]:
        if not isinstance(resource, Resource):
            resource = Stock(resource)
        client = Client(Gateway(resource))
        client.send(request * (2 if twice else 1))
        method = request.split()[0].decode()
        first, *rest = client.answers(method, method)
        if twice:
            self.assertEqual([first.status], [each.status for each in rest])
            if first.status < 400:
                self.assertEqual([first.body], [each.body for each in rest])
        return first, client

    def test_bytes(self) -> None:
        """render may return bytes."""
        answer, client = self.ask(lambda request: b"abc")
        self.assertEqual((200, "3", b"abc"), (answer.status, answer.headers["content-length"], answer.body))
        self.assertEqual({"date", "server", "x-amz-id-2", "x-amz-request-id", "content-length"}, set(answer.headers))
        self.assertEqual([3, 3], [request.bytes_sent for request in client.gateway.observed])
        self.assertEqual([False, False], [request.cut for request in client.gateway.observed])

    def test_facts(self) -> None:
        """What Resources ask for is there: requestHeaders, args, postpath, addresses, cookies."""

        def tell(request: S3Request) -> bytes:
            request.setHeader(b"Server", b"other")
            return repr(
                [
                    request.method,
                    request.uri,
                    request.path,
                    request.args,
                    request.prepath,
                    request.postpath,
                    request.getHeader(b"x-amz-meta-a"),
                    request.getAllHeaders()[b"host"],
                    request.getRequestHostname(),
                    request.getClientAddress().host,
                    request.getHost().host,
                    request.isSecure(),
                    request.getCookie(b"c"),
                    request.content.read(),
                ]
            ).encode()

        answer, _ = self.ask(tell, GET.replace(b"\r\n\r\n", b"\r\nCookie: b=1; c=2\r\n\r\n"))
        expected = [b"GET", b"/b/k?a=1&b", b"/b/k", {b"a": [b"1"]}, [], [b"b", b"k"], b"1,2", b"h", b"h"]
        expected += ["192.168.1.1", "10.0.0.1", False, b"2", b""]
        self.assertEqual(repr(expected), answer.body.decode())
        self.assertEqual("s3gw", answer.headers["server"])

    def test_tree(self) -> None:
        """A tree is walked down its segments, decoded."""
        root = Resource()
        root.putChild(b"b c", middle := Resource())
        middle.putChild(b"", Data(b"slash", "text/plain"))
        middle.putChild(b"k", Data(b"key", "text/plain"))
        for target, body in ((b"/b%20c/", b"slash"), (b"/b%20c/k?x", b"key")):
            answer, _ = self.ask(root, b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertEqual((body, "text/plain"), (answer.body, answer.headers["content-type"]))
        self.assertEqual(404, self.ask(root, b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n")[0].status)

    def test_later(self) -> None:
        """render may answer later, in pieces, without a length: chunked, or to the end of a connection of HTTP/1.0."""
        kept: list[S3Request] = []

        def later(request: S3Request) -> int:
            kept.append(request)
            return NOT_DONE_YET

        for request, closes in ((GET, False), (OLD, True)):
            client = Client(Gateway(Stock(later)))
            client.send(request)
            for piece in (b"ab", b"c"):
                kept[-1].write(piece)
            finished = kept[-1].notifyFinish()
            kept[-1].finish()
            self.successResultOf(finished)
            [answer] = client.answers()
            self.assertEqual((b"abc", closes), (answer.body, client.closed))
            self.assertEqual(3, client.gateway.observed[0].bytes_sent)

    def test_producers(self) -> None:
        """Push and pull producers are asked for no more than the client reads."""
        for kind, streaming, size in ((Pulled, False, 102_400), (Pushed, True, 512_000)):
            kept: list[object] = []

            def produce(
                request: S3Request, kind: type = kind, streaming: bool = streaming, kept: list[object] = kept
            ) -> int:
                producer = kind(request)
                kept.append(producer)
                request.registerProducer(producer, streaming)
                if streaming:
                    producer.resumeProducing()
                return NOT_DONE_YET

            answer, client = self.ask(produce)
            self.assertEqual(size, len(answer.body))
            self.assertLess(client.wire.most_unread, SEND_BUFFER + 20_000)
            self.assertEqual([], client.gateway.clock.getDelayedCalls()[1:])
            client.send(GET)
            client.gateway.clock.advance(0)
            client.vanish()
            self.assertTrue(kept[-1].stopped)
            self.assertEqual([], client.gateway.clock.getDelayedCalls())

    def test_unsupported_method(self) -> None:
        """A method that a Resource does not have is answered by Twisted itself; HEAD is made of GET."""
        answer, _ = self.ask(lambda request: b"abc", b"POST / HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(405, answer.status)
        answer, _ = self.ask(lambda request: b"abc", HEAD)
        self.assertEqual((200, "3", b""), (answer.status, answer.headers["content-length"], answer.body))

    def test_failure(self) -> None:
        """A Resource that raises is an InternalError to the client and a traceback in the log; an S3Error is itself."""

        def fail(request: S3Request) -> bytes:
            raise ZeroDivisionError("oops")

        def refuse(request: S3Request) -> bytes:
            raise NoSuchKey()

        answer, _ = self.ask(fail)
        self.assertEqual((500, "InternalError"), (answer.status, answer.code))
        self.assertEqual(2, len(self.flushLoggedErrors(ZeroDivisionError)))
        answer, _ = self.ask(refuse)
        self.assertEqual((404, "NoSuchKey"), (answer.status, answer.code))

    def test_failure_midway(self) -> None:
        """A Resource that raises after it has begun to answer leaves a cut connection, not a garbled one."""

        def fail(request: S3Request) -> bytes:
            request.write(b"abc")
            raise ZeroDivisionError("oops")

        client = Client(Gateway(Stock(fail)))
        client.send(GET)
        self.assertTrue(client.wire.aborted)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_disconnected(self) -> None:
        """Twisted's rules for clients that went away hold: notifyFinish fails, write is silent, finish raises."""
        kept: list[S3Request] = []

        def later(request: S3Request) -> int:
            kept.append(request)
            return NOT_DONE_YET

        client = Client(Gateway(Stock(later)))
        client.send(GET)
        notified = kept[0].notifyFinish()
        client.vanish()
        self.failureResultOf(notified)
        kept[0].write(b"abc")
        producer = Pushed(kept[0])
        kept[0].registerProducer(producer, True)
        self.assertTrue(producer.stopped)
        self.assertRaises(RuntimeError, kept[0].finish)

    def test_unread_body(self) -> None:
        """A Resource that ignores a body: a small one is dropped, and the connection goes on; a large one ends it."""
        for length, sent, closes in ((10, 4, False), (10, 10, False), (100_000, 10, True)):
            client = Client(Gateway(Stock(lambda request: b"abc")))
            client.send(b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length + b"x" * sent)
            [answer] = client.answers()
            self.assertEqual((b"abc", closes), (answer.body, answer.headers.get("connection") == "close"))
            client.send(b"x" * (length - sent) + GET)
            self.assertEqual([] if closes else [b"abc"], [each.body for each in client.answers()])


class StaticFileTests(TestCase):
    """twisted.web.static.File, a Resource with a pull producer and ranges."""

    def test_served(self) -> None:
        """A file is served whole, in part, and not at all."""
        root = FilePath(self.mktemp())
        root.makedirs()
        content = bytes(range(256)) * 2000
        root.child("k").setContent(content)
        client = Client(Gateway(File(root.path)))
        for lines, status, body in (
            (b"", 200, content),
            (b"Range: bytes=5-9\r\n", 206, content[5:10]),
            (b"Range: bytes=9999999-\r\n", 416, b""),
        ):
            client.send(b"GET /k HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n")
            [answer] = client.answers()
            self.assertEqual((status, body), (answer.status, answer.body))


class InternalTests(SynchronousTestCase):
    """Promises made to the rest of the package."""

    def test_lazy(self) -> None:
        """On our own path nothing is made that only stock Resources need."""
        gateway = Gateway(lambda request: request.respond(200, [], b"abc"))
        Client(gateway).send(GET)
        made = set(vars(gateway.observed[0]))
        stock = "requestHeaders responseHeaders args prepath postpath path client host cookies notifications content"
        self.assertEqual(set(), made & set(stock.split()))

    def test_attributes(self) -> None:
        """What every request touches has no more attributes than CPython keeps at hand: with one more all are slow."""
        channels: list[object] = []

        def answer(request: S3Request) -> None:
            channels.append(request.channel)
            request.respond(200, [], b"abc")

        gateway = Gateway(answer)
        Client(gateway).send(GET)
        [request], [channel] = gateway.observed, channels
        for each in (request, request.site, channel):
            self.assertLessEqual(len(vars(each)), 30, each)

    def test_error_of_the_protocol(self) -> None:
        """An error has the id of its request in its document and in its header."""
        client, request = kept()
        request.refuse(InternalError())
        [answer] = client.answers()
        [named] = re.findall(b"<RequestId>(.*)</RequestId>", answer.body)
        self.assertEqual(request.request_id, named.decode())
        self.assertEqual(request.request_id, answer.headers["x-amz-request-id"])
