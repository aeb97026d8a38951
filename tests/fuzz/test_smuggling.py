"""Requests that two parties could read differently: each is refused, and nothing behind it is taken for a request.

In each case an intermediary that reads the message in another way than we do would let `INNER` through within a body.
RFC 9112, sections 2.2, 3.2, 5.1, 5.2, 6.1 to 6.3, 7.1, 11.2.
"""

from __future__ import annotations

from tests.operations.harness import HOST, GatewayTestCase

INNER = f"PUT /bkt/smuggled HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n".encode()
LINE = f"Host: {HOST}\r\n".encode()
EMPTY_CHUNKS = b"0\r\n\r\n"

REFUSED = {
    "length and chunks": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + EMPTY_CHUNKS + INNER, 400),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 100\r\n\r\n" + EMPTY_CHUNKS + INNER, 400),
    "chunks and no length": (b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + EMPTY_CHUNKS + INNER, 400),
    "two lengths": (b"Content-Length: 0\r\nContent-Length: 82\r\n\r\n" + INNER, 400),
    "the same length twice": (b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + INNER, 400),
    "a list of lengths": (b"Content-Length: 0, 0\r\n\r\n" + INNER, 400),
    "a signed length": (b"Content-Length: +0\r\n\r\n" + INNER, 400),
    "a negative length": (b"Content-Length: -1\r\n\r\n" + INNER, 400),
    "a length in hexadecimal": (b"Content-Length: 0x0\r\n\r\n" + INNER, 400),
    "a length with a space": (b"Content-Length: 1 0\r\n\r\n" + INNER, 400),
    "no number as length": (b"Content-Length: \r\n\r\n" + INNER, 400),
    "a huge length": (b"Content-Length: 18446744073709551616\r\n\r\n" + INNER, 400),
    "a space before the colon": (b"Content-Length : 82\r\n\r\n" + INNER, 400),
    "a tab before the colon": (b"Content-Length\t: 82\r\n\r\n" + INNER, 400),
    "a name with a control": (b"Content\x0b-Length: 82\r\n\r\n" + INNER, 400),
    "a folded line": (b"Transfer-Encoding:\r\n chunked\r\n\r\n" + EMPTY_CHUNKS + INNER, 400),
    "a folded length": (b"X: y\r\n\tContent-Length: 82\r\n\r\n" + INNER, 400),
    "a folded first line": (b" X: y\r\n\r\n" + INNER, 400),
    "bare line feeds": (b"X: y\nContent-Length: 82\r\n\r\n" + INNER, 400),
    "bare carriage returns": (b"X: y\rContent-Length: 82\r\n\r\n" + INNER, 400),
    "an end of bare line feeds": (b"Content-Length: 82\n\n" + INNER, 400),
    "NUL in a value": (b"X: \0\r\nContent-Length: 0\r\n\r\n" + INNER, 400),
    "another coding": (b"Transfer-Encoding: gzip\r\n\r\n" + INNER, (400, 501)),
    "another coding before chunked": (b"Transfer-Encoding: gzip, chunked\r\n\r\n" + EMPTY_CHUNKS + INNER, 501),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked\r\n\r\n" + EMPTY_CHUNKS + INNER, (400, 501)),
    "two codings": (
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + EMPTY_CHUNKS + INNER,
        (400, 501),
    ),
    "chunked with a tab": (b"Transfer-Encoding: \x0bchunked\r\n\r\n" + EMPTY_CHUNKS + INNER, (400, 501)),
    "nearly chunked": (b"Transfer-Encoding: xchunked\r\n\r\n" + EMPTY_CHUNKS + INNER, (400, 501)),
    "quoted chunked": (b'Transfer-Encoding: "chunked"\r\n\r\n' + EMPTY_CHUNKS + INNER, (400, 501)),
    "a second host": (b"Host: other\r\nContent-Length: 0\r\n\r\n" + INNER, 400),
}
"""What follows ``PUT /bkt/outer HTTP/1.1`` and its Host, and the status."""

CHUNKS = {
    "no size": b"\r\n" + INNER,
    "a negative size": b"-1\r\n" + INNER,
    "a prefix": b"0x0\r\n\r\n" + INNER,
    "a space before the size": b" 0\r\n\r\n" + INNER,
    "a space behind the size": b"0 \r\n\r\n" + INNER,
    "a size that wraps around": b"10000000000000000\r\n" + INNER,
    "a longer chunk": b"1\r\nab\r\n" + EMPTY_CHUNKS + INNER,
    "a bare line feed behind the size": b"0\n\r\n" + INNER,
    "a bare line feed behind the chunk": b"1\r\na\n0\r\n\r\n" + INNER,
    "bare line feeds in an extension": b"1;x\ny\r\na\r\n" + EMPTY_CHUNKS + INNER,
    "a control in an extension": b"1;x\0y\r\na\r\n" + EMPTY_CHUNKS + INNER,
    "a bare line feed in the trailer": b"0\r\nX: y\n\r\n" + INNER,
}
"""Bodies of ``Transfer-Encoding: chunked``."""


class SmugglingTests(GatewayTestCase):
    """Without signatures, so that what gets through is served."""

    keys = ()

    def setUp(self) -> None:
        super().setUp()
        self.make_bucket("bkt")

    def sent(self, data: bytes, *, cut: int = 0) -> list[int]:
        """The statuses that a client gets for these bytes."""
        connection = self.gateway.connect()
        for part in (data[at : at + cut] for at in range(0, len(data), cut)) if cut else (data,):
            if connection.closed:
                break
            connection.send(part)
        self.gateway.clock.advance(3)
        statuses = [answer.status for answer in connection.answers(["PUT"] * 4)]
        self.closed = connection.closed
        connection.close()
        return statuses

    def assertNothingInside(self, name: str) -> None:
        """Nobody has taken the inner request for one."""
        self.assertEqual(self.request("HEAD", "/bkt/smuggled").status, 404, name)

    def test_refused(self) -> None:
        """Ambiguous framing is one error, and the end of the connection."""
        for name, (rest, status) in REFUSED.items():
            for cut in (0, 1, 7):
                found = self.sent(b"PUT /bkt/outer HTTP/1.1\r\n" + LINE + rest, cut=cut)
                self.assertEqual(len(found), 1, (name, found))
                self.assertIn(found[0], status if isinstance(status, tuple) else (status,), name)
                self.assertTrue(self.closed, name)
                self.assertNothingInside(name)

    def test_chunks(self) -> None:
        """So are ambiguous chunks."""
        head = b"PUT /bkt/outer HTTP/1.1\r\n" + LINE + b"Transfer-Encoding: chunked\r\n"
        for name, body in CHUNKS.items():
            for declared in (b"", b"x-amz-decoded-content-length: 1\r\n"):
                for cut in (0, 1):
                    found = self.sent(head + declared + b"\r\n" + body, cut=cut)
                    self.assertEqual(len(found), 1, (name, found))
                    self.assertGreaterEqual(found[0], 400, name)
                    self.assertTrue(self.closed, name)
                    self.assertNothingInside(name)

    def test_old_versions(self) -> None:
        """Chunks in HTTP/1.0 and versions that there are not."""
        for version in (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/1.1 ", b"http/1.1"):
            head = b"PUT /bkt/outer " + version + b"\r\n" + LINE + b"Transfer-Encoding: chunked\r\n\r\n"
            found = self.sent(head + EMPTY_CHUNKS + INNER)
            self.assertEqual(found, [400], version)
            self.assertNothingInside(version.decode())

    def test_body_is_no_request(self) -> None:
        """A request in a body is bytes, whether the outer one is stored or refused, large or small."""
        for target in ("/bkt/outer", "/no-such-bucket/outer", "/bkt/outer?acl", "/%zz"):
            for padding in (0, 100, 70_000, 3_000_000):
                for chunked in (False, True):
                    body = INNER + bytes(padding) + INNER
                    head = f"PUT {target} HTTP/1.1\r\nHost: {HOST}\r\n"
                    if chunked:
                        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
                        sent = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + framed
                    else:
                        sent = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
                    found = self.sent(sent, cut=64 * 1024)
                    self.assertEqual(len(found), 1, (target, padding, chunked))
                    self.assertNothingInside(target)

    def test_pipelined_after_refusal(self) -> None:
        """What is pipelined behind a refused body is served if the connection goes on, and only then."""
        for length in (10, 60_000, 200_000):
            refused = f"PUT /no-such-bucket/k HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n".encode()
            found = self.sent(refused + bytes(length) + INNER.replace(b"smuggled", b"next"), cut=64 * 1024)
            self.assertIn(found, ([404, 200], [404]))
            self.assertEqual(len(found) == 1, self.closed)

    def test_get_with_body(self) -> None:
        """A GET or DELETE may have a body, which is no request."""
        for method in ("GET", "DELETE", "HEAD"):
            head = f"{method} /bkt/none HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(INNER)}\r\n\r\n".encode()
            self.sent(head + INNER)
            self.assertNothingInside(method)

    def test_extensions(self) -> None:
        """Chunk extensions and trailers change nothing, and cannot go on for ever."""
        lines = b"PUT /bkt/good HTTP/1.1\r\n" + LINE + b"Transfer-Encoding: chunked\r\n\r\n"
        found = self.sent(lines + b'2;a=b;c="d"\r\nhi\r\n0;x\r\nHost: other\r\nContent-Length: 9\r\n\r\n')
        self.assertEqual(len(found), 1)
        self.assertFalse(self.closed and found[0] < 400)
        endless = self.sent(lines + b"1;" + b"e" * 300_000 + b"\r\na\r\n0\r\n\r\n", cut=64 * 1024)
        self.assertEqual(endless, [400])
        trailers = self.sent(lines + b"0\r\n" + b"X: y\r\n" * 50_000 + b"\r\n", cut=64 * 1024)
        self.assertEqual(trailers, [400])
