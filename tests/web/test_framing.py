"""Tests of s3gw.web.framing: every scenario is fed whole, byte by byte, and with a follower behind it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from s3gw.web.limits import Limits
from s3gw.web.request import S3Request
from tests.web.wire import Client, Gateway

FOLLOWER = b"GET /follower HTTP/1.1\r\nHost: h\r\n\r\n"


def tell(request: S3Request) -> None:
    """Answer with what was understood: method, target, Host, and the body."""

    async def serve() -> None:
        pieces = []
        while arrived := await request.body.read():
            pieces += arrived
        head = request.head
        text = f"{head.method} {head.raw_path}?{head.raw_query} {head.header('host')} "
        request.respond(200, [], text.encode() + b"".join(pieces))

    Deferred.fromCoroutine(serve()).addErrback(lambda failure: request.refuse(failure.value))


def get(target: bytes, *lines: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([b"GET " + target + b" " + version, b"Host: h", *lines, b"", b""])


def put(*lines: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([b"PUT / " + version, b"Host: h", *lines, b"", body])


CHUNKED = b"Transfer-Encoding: chunked"

UNDERSTOOD = {
    "plain": (get(b"/b/k"), b"GET /b/k? h "),
    "query": (get(b"/b/k?a&b=1?2"), b"GET /b/k?a&b=1?2 h "),
    "path as sent": (get(b'//b//..%2F/;+{}|\\^`"<>~@:'), b'GET //b//..%2F/;+{}|\\^`"<>~@:? h '),
    "absolute form": (get(b"http://other:90/b?q"), b"GET /b?q other:90 "),
    "absolute form, no path": (get(b"http://other"), b"GET /? other "),
    "absolute form, query only": (get(b"HTTPS://other?q"), b"GET /?q other "),
    "leading blank lines": (b"\r\n\r\n" + get(b"/"), b"GET /? h "),
    "no length, no body": (put(), b"PUT /? h "),
    "empty body": (put(b"Content-Length: 0"), b"PUT /? h "),
    "length": (put(b"Content-Length: 3", body=b"abc"), b"PUT /? h abc"),
    "length with space behind": (put(b"Content-Length: 3 \t", body=b"abc"), b"PUT /? h abc"),
    "chunked": (put(CHUNKED, body=b"3\r\nabc\r\n00a\r\n0123456789\r\n0\r\n\r\n"), b"PUT /? h abc0123456789"),
    "chunked in capitals": (put(b"TRANSFER-ENCODING: CHUNKED", body=b"1\r\na\r\n0\r\n\r\n"), b"PUT /? h a"),
    "extensions": (put(CHUNKED, body=b'3;a=b;c="d"\r\nabc\r\n0;e\r\n\r\n'), b"PUT /? h abc"),
    "trailers": (put(CHUNKED, body=b"3\r\nabc\r\n0\r\nHost: evil\r\nX: 1\r\nX: 2\r\n\r\n"), b"PUT /? h abc"),
    "body of GET": (get(b"/", b"Content-Length: 2") + b"ab", b"GET /? h ab"),
    "upgrade": (get(b"/", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"), b"GET /? h "),
    "upgrade, length": (
        put(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 3", body=b"abc"),
        b"PUT /? h abc",
    ),
    "header of 8-bit text": (get(b"/", b"x-amz-meta-a: \xe9\xff"), b"GET /? h "),
    "keep-alive of 1.0": (get(b"/", b"Connection: Keep-Alive", version=b"HTTP/1.0"), b"GET /? h "),
}
"""What is understood, on a connection that goes on: request -> answer."""

LAST = {
    "close": (get(b"/", b"Connection: close"), b"GET /? h "),
    "close among others": (get(b"/", b"Connection: keep-alive, close"), b"GET /? h "),
    "1.0": (get(b"/", version=b"HTTP/1.0"), b"GET /? h "),
    "1.0 without Host": (b"GET / HTTP/1.0\r\n\r\n", b"GET /? None "),
    "upgrade, chunked": (
        put(b"Connection: Upgrade", b"Upgrade: h2c", CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n"),
        b"PUT /? h abc",
    ),
}
"""What is understood as the last request of a connection."""

REFUSED = {
    "length and coding": (put(b"Content-Length: 3", CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n"), 400),
    "coding and length": (put(CHUNKED, b"Content-Length: 3", body=b"3\r\nabc\r\n0\r\n\r\n"), 400),
    "two lengths": (put(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), 400),
    "list of lengths": (put(b"Content-Length: 3,3", body=b"abc"), 400),
    "length +3": (put(b"Content-Length: +3", body=b"abc"), 400),
    "length -3": (put(b"Content-Length: -3", body=b"abc"), 400),
    "length 0x3": (put(b"Content-Length: 0x3", body=b"abc"), 400),
    "length 3 3": (put(b"Content-Length: 3 3", body=b"abc"), 400),
    "length without digits": (put(b"Content-Length:", body=b"abc"), 400),
    "length above 64 bits": (put(b"Content-Length: 99999999999999999999", body=b"abc"), 400),
    "gzip, chunked": (put(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    "gzip then chunked": (put(b"Transfer-Encoding: gzip", CHUNKED, body=b"0\r\n\r\n"), 501),
    "gzip": (put(b"Transfer-Encoding: gzip", body=b"xx"), 501),
    "identity": (put(b"Transfer-Encoding: identity", body=b"xx"), 501),
    "xchunked": (put(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 501),
    "chunked, chunked": (put(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), 400),
    "chunked, gzip": (put(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), 400),
    "empty coding": (put(b"Transfer-Encoding:", body=b"0\r\n\r\n"), 400),
    "chunked in 1.0": (put(CHUNKED, body=b"0\r\n\r\n", version=b"HTTP/1.0"), 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: h\n\n", 400),
    "bare LF behind a header": (b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400),
    "bare LF at the end": (b"GET / HTTP/1.1\r\nHost: h\r\n\n", 400),
    "bare CR": (b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400),
    "folded header": (b"GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n", 400),
    "space before the first header": (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400),
    "NUL in a value": (get(b"/", b"X: a\0b"), 400),
    "NUL in a name": (get(b"/", b"X\0: a"), 400),
    "control in a value": (get(b"/", b"X: a\x01"), 400),
    "space behind a name": (get(b"/", b"X : a"), 400),
    "space in a name": (get(b"/", b"X Y: a"), 400),
    "no name": (get(b"/", b": a"), 400),
    "no colon": (get(b"/", b"X"), 400),
    "two hosts": (get(b"/", b"Host: i"), 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "space in the target": (get(b"/a b"), 400),
    "NUL in the target": (get(b"/a\0b"), 400),
    "8 bits in the target": (get(b"/\xc3\xa9"), 400),
    "fragment": (get(b"/a#b"), 400),
    "other scheme": (get(b"ftp://h/"), 400),
    "user in the authority": (get(b"http://u@h/"), 400),
    "GET *": (get(b"*"), 400),
    "relative target": (get(b"b/k"), 400),
    "0.9": (b"GET /\r\n\r\n", 400),
    "2.0": (get(b"/", version=b"HTTP/2.0"), 400),
    "1.2": (get(b"/", version=b"HTTP/1.2"), 400),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "hello of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 405),
    "CONNECT": (b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\nxyz", 405),
    "unknown method": (b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
    "method in lower case": (b"get / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
    "chunk size with LF": (put(CHUNKED, body=b"3\nabc\r\n0\r\n\r\n"), 400),
    "chunk size with space": (put(CHUNKED, body=b"3 \r\nabc\r\n0\r\n\r\n"), 400),
    "chunk size 0x3": (put(CHUNKED, body=b"0x3\r\nabc\r\n0\r\n\r\n"), 400),
    "chunk size -3": (put(CHUNKED, body=b"-3\r\nabc\r\n0\r\n\r\n"), 400),
    "chunk size missing": (put(CHUNKED, body=b"\r\nabc\r\n0\r\n\r\n"), 400),
    "chunk size above 64 bits": (put(CHUNKED, body=b"10000000000000003\r\nabc\r\n0\r\n\r\n"), 400),
    "chunk longer than said": (put(CHUNKED, body=b"3\r\nabcd\r\n0\r\n\r\n"), 400),
    "chunk data with LF": (put(CHUNKED, body=b"3\r\nabc\n0\r\n\r\n"), 400),
    "extension with LF": (put(CHUNKED, body=b"3;a\nabc\r\n0\r\n\r\n"), 400),
    "length in a trailer": (put(CHUNKED, body=b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n"), 400),
    "long target": (get(b"/" + b"a" * 20_000), 414),
    "endless target": (b"GET /" + b"a" * 40_000, 414),
    "large header": (get(b"/", b"X: " + b"a" * 70_000), 431),
    "many headers": (get(b"/", *(b"X%d: a" % number for number in range(220))), 431),
    "one header many times": (get(b"/", *(b"X: a" for _ in range(220))), 431),
    "endless header": (get(b"/", b"X: " + b"a" * 200_000)[:-4], 431),
}
"""What is refused: request -> status. The connection ends."""


class FramingTests(SynchronousTestCase):
    """Where requests end, however their bytes arrive."""

    def serve(self, data: bytes, *, trickle: bool = False) -> Client:
        client = Client(Gateway(tell))
        if trickle:
            client.trickle(data)
        else:
            for at in range(0, len(data), 65536):
                client.send(data[at : at + 65536])
        return client

    def test_understood(self) -> None:
        """A request is understood the same whole and byte by byte, and the connection goes on."""
        for name, (data, expected) in UNDERSTOOD.items():
            for trickle in (False, True):
                client = self.serve(data, trickle=trickle)
                self.assertEqual([(200, expected)], [(each.status, each.body) for each in client.answers()], name)
                self.assertFalse(client.closed, name)

    def test_follower(self) -> None:
        """What stands behind a request is the next one, and nothing else."""
        for name, (data, expected) in UNDERSTOOD.items():
            for trickle in (False, True):
                client = self.serve(data + FOLLOWER + data, trickle=trickle)
                bodies = [each.body for each in client.answers()]
                self.assertEqual([expected, b"GET /follower? h ", expected], bodies, name)

    def test_last(self) -> None:
        """After the last request of a connection nothing is served, and it is closed."""
        for name, (data, expected) in LAST.items():
            for trickle in (False, True):
                client = self.serve(data + FOLLOWER, trickle=trickle)
                answered = client.answers()
                self.assertEqual([(200, expected)], [(each.status, each.body) for each in answered], name)
                self.assertEqual("close", answered[0].headers["connection"], name)
                self.assertTrue(client.closed, name)

    def test_refused(self) -> None:
        """What could be understood in two ways, or is too large, is answered with an error document, and only that."""
        for name, (data, status) in REFUSED.items():
            for trickle in (False, True):
                if trickle and len(data) > 50_000:
                    continue
                client = self.serve(data + FOLLOWER if len(data) < 50_000 else data, trickle=trickle)
                answered = client.answers()
                self.assertEqual([status], [each.status for each in answered], name)
                self.assertEqual("close", answered[0].headers["connection"], name)
                self.assertEqual("application/xml", answered[0].headers["content-type"], name)
                client.gateway.wait(5)
                client.read()
                self.assertTrue(client.wire.closed, name)
                self.assertEqual([status], [request.code for request in client.gateway.observed], name)
                self.assertEqual(0, client.gateway.site.requests_in_flight)

    def test_refused_behind_good(self) -> None:
        """A good request in front of a malformed one gets its answer first."""
        client = self.serve(get(b"/good") + b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n")
        self.assertEqual([200, 400], [each.status for each in client.answers()])

    def test_refused_head_of_HEAD(self) -> None:
        """The refusal of a HEAD has no body, as its reader expects."""
        client = self.serve(b"HEAD / HTTP/1.1\r\nHost: h\r\nBad Header: x\r\n\r\n")
        [answer] = client.answers("HEAD")
        self.assertEqual(400, answer.status)

    def test_small_limits(self) -> None:
        """The limits are those that were given, exactly, when a head comes in one piece."""
        limits = Limits(uri=20, header_section=40, headers=3)
        for target, lines, status in (
            (b"/" + b"a" * 19, (), 200),
            (b"/" + b"a" * 20, (), 414),
            (b"/", (b"x: " + b"a" * 34,), 200),
            (b"/", (b"x: " + b"a" * 35,), 431),
            (b"/", (b"a: 1", b"b: 2"), 200),
            (b"/", (b"a: 1", b"b: 2", b"c: 3"), 431),
        ):
            for trickle in (False, True):
                client = Client(Gateway(tell, limits))
                (client.trickle if trickle else client.send)(get(target, *lines))
                self.assertEqual([status], [each.status for each in client.answers()], (target, lines))

    def test_endless_framing(self) -> None:
        """Extensions and trailers do not go on for ever: nobody is kept busy with what is no body."""
        for opening, more in ((b"3;", b"a" * 1000), (b"0\r\n", b"a: b\r\n" * 167), (b"0\r\na: ", b"b" * 1000)):
            client = self.serve(put(CHUNKED, body=opening))
            for _ in range(17):
                self.assertEqual([], client.answers(), opening)
                client.send(more)
            self.assertEqual([400], [each.status for each in client.answers()], opening)

    def test_options_star(self) -> None:
        """OPTIONS * asks about the server itself."""
        client = self.serve(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n" + FOLLOWER)
        first, second = client.answers()
        self.assertEqual((200, "0"), (first.status, first.headers["content-length"]))
        self.assertIn("PUT", first.headers["allow"])
        self.assertEqual(200, second.status)

    def test_one_byte_chunks(self) -> None:
        """A body of the smallest chunks is a body, not an attack."""
        client = self.serve(put(CHUNKED, body=b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"))
        self.assertEqual([b"PUT /? h " + b"a" * 20_000], [each.body for each in client.answers()])

    def test_every_cut(self) -> None:
        """Wherever a stream of requests is cut in two, the answers are the same."""
        data = put(b"Content-Length: 3", body=b"abc") + put(CHUNKED, body=b"2;x\r\nde\r\n0\r\n\r\n") + get(b"/z")
        expected = [b"PUT /? h abc", b"PUT /? h de", b"GET /z? h "]
        for at in range(len(data)):
            client = self.serve(data[:at])
            client.send(data[at:])
            self.assertEqual(expected, [each.body for each in client.answers()], at)
