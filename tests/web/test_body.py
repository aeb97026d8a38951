"""Tests of s3gw.web.body: uploads as they are read, answers as they are sent, and what either may hold."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import BadRequest, IncompleteBody, RequestTimeout
from s3gw.web.body import BodySender, Buffer, ClientDisconnected
from s3gw.web.limits import Limits
from s3gw.web.request import S3Request
from tests.web.wire import SEND_BUFFER, Client, Gateway

KIB = 1024
HEAD = b"PUT /b/k HTTP/1.1\r\nHost: h\r\n"


class Upload(SynchronousTestCase):
    """A resource that keeps the request, so that the test decides when its body is read."""

    def setUp(self) -> None:
        self.gateway = Gateway(self.keep)
        self.client = Client(self.gateway)

    def keep(self, request: S3Request) -> None:
        self.request = request

    def read(self) -> Deferred[list[bytes]]:
        async def read() -> list[bytes]:
            return await self.request.body.read()

        return Deferred.fromCoroutine(read())


class ReadTests(Upload):
    """`RequestBody.read` and `take`."""

    def test_before_the_body(self) -> None:
        """A request is served as soon as its head is there, so that it can be refused before the body is sent."""
        self.client.send(HEAD + b"Content-Length: 3\r\n\r\n")
        self.assertEqual(3, self.request.body.length)
        self.assertIs(None, self.request.body.take())
        reading = self.read()
        self.assertNoResult(reading)
        self.client.send(b"ab")
        self.assertEqual([b"ab"], self.successResultOf(reading))
        self.client.send(b"c")
        self.assertEqual([b"c"], self.successResultOf(self.read()))
        self.assertEqual([], self.successResultOf(self.read()))
        self.assertEqual([], self.successResultOf(self.read()))
        self.assertEqual(3, self.request.bytes_received)

    def test_with_the_head(self) -> None:
        """A small body that came with its head is there without waiting."""
        self.client.send(HEAD + b"Content-Length: 3\r\n\r\nabc")
        self.assertEqual([b"abc"], self.request.body.take())
        self.assertEqual([], self.successResultOf(self.read()))

    def test_chunks_with_the_head(self) -> None:
        """The pieces of a chunked body are all handed over at once; its length was never said."""
        self.client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")
        self.assertIs(None, self.request.body.length)
        self.assertEqual([b"a", b"bc"], self.successResultOf(self.read()))
        self.assertIs(None, self.request.body.take())
        self.assertEqual([], self.successResultOf(self.read()))

    def test_none(self) -> None:
        """A request without a body has an empty one, of length 0."""
        self.client.send(HEAD + b"\r\n")
        self.assertEqual(0, self.request.body.length)
        self.assertEqual([], self.request.body.take())
        self.assertEqual([], self.successResultOf(self.read()))

    def test_one_read_at_a_time(self) -> None:
        """Two readers of one body are a mistake, and are told so."""
        self.client.send(HEAD + b"Content-Length: 3\r\n\r\n")
        waiting = self.read()
        self.failureResultOf(self.read(), RuntimeError)
        self.client.send(b"abc")
        self.assertEqual([b"abc"], self.successResultOf(waiting))

    def test_cancelled(self) -> None:
        """Who stops waiting loses nothing of the body."""
        self.client.send(HEAD + b"Content-Length: 3\r\n\r\n")
        waiting = self.read()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.client.send(b"abc")
        self.assertEqual([b"abc"], self.successResultOf(self.read()))


class ContinueTests(Upload):
    """Expect: 100-continue."""

    EXPECTING = HEAD + b"Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n"

    def test_sent_by_read(self) -> None:
        """The client is asked for its body when somebody wants it, and once."""
        self.client.send(self.EXPECTING)
        self.assertEqual(b"", self.client.read())
        reading = self.read()
        self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", self.client.read())
        self.client.send(b"a")
        self.assertEqual([b"a"], self.successResultOf(reading))
        reading = self.read()
        self.client.send(b"bc")
        self.assertEqual([b"bc"], self.successResultOf(reading))
        self.assertEqual(b"", self.client.read())

    def test_impatient_client(self) -> None:
        """A client that sends its body unasked is not asked for it any more."""
        self.client.send(self.EXPECTING + b"a")
        self.assertEqual([b"a"], self.successResultOf(self.read()))
        self.assertNoResult(self.read())
        self.assertEqual(b"", self.client.read())

    def test_never_in_1_0(self) -> None:
        """A client of HTTP/1.0 would not understand."""
        self.client.send(self.EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0"))
        self.assertNoResult(self.read())
        self.assertEqual(b"", self.client.read())


class FailureTests(Upload):
    """Bodies whose end does not come."""

    def begin(self) -> Deferred[list[bytes]]:
        self.client.send(HEAD + b"Content-Length: 3\r\n\r\na")
        self.successResultOf(self.read())
        return self.read()

    def test_disconnected(self) -> None:
        """When the client goes away, the reader learns it, now and later."""
        reading = self.begin()
        self.client.vanish()
        self.failureResultOf(reading, ClientDisconnected)
        self.failureResultOf(self.read(), ClientDisconnected)

    def test_ended_early(self) -> None:
        """When the client ends its side early, it still gets an answer, the last one."""
        reading = self.begin()
        self.client.half_close()
        error = self.failureResultOf(reading, IncompleteBody).value
        self.request.refuse(error)
        [answer] = self.client.answers()
        self.assertEqual((400, "IncompleteBody", "close"), (answer.status, answer.code, answer.headers["connection"]))
        self.assertTrue(self.client.closed)

    def test_stalled(self) -> None:
        """A body that is waited for and does not come times out; what comes in time starts the time anew."""
        self.client.send(HEAD + b"Content-Length: 3\r\n\r\n")
        for piece in (b"a", b"b"):
            reading = self.read()
            self.gateway.wait(59)
            self.client.send(piece)
            self.assertEqual([piece], self.successResultOf(reading))
        self.gateway.wait(200)  # nobody waits for it now
        reading = self.read()
        self.gateway.wait(62)
        error = self.failureResultOf(reading, RequestTimeout).value
        self.request.refuse(error)
        [answer] = self.client.answers()
        self.assertEqual((400, "RequestTimeout", "close"), (answer.status, answer.code, answer.headers["connection"]))

    def test_malformed(self) -> None:
        """Chunks that are not well-formed end the body where they are met."""
        self.client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        self.successResultOf(self.read())
        reading = self.read()
        self.client.send(b"x\r\n")
        self.failureResultOf(reading, BadRequest)
        self.failureResultOf(self.read(), BadRequest)


class UploadMemoryTests(Upload):
    """What an upload may hold when nobody reads it."""

    def test_paused_and_resumed(self) -> None:
        """More than a window unread pauses the client; a read lets it go on, to the last byte."""
        size = 4096 * KIB
        self.client.send(HEAD + b"Content-Length: %d\r\n\r\n" % size)
        sent = got = most = 0
        while got < size:
            while sent < size and not self.client.paused:
                sent += 64 * KIB
                self.client.send(b"x" * (64 * KIB))
            most = max(most, sent - got)
            got += sum(map(len, self.successResultOf(self.read())))
        self.assertEqual(size, got)
        self.assertLessEqual(most, Limits().window + 64 * KIB)
        self.assertEqual([], self.successResultOf(self.read()))

    def test_pushed_over_the_pause(self) -> None:
        """What TLS has decrypted already arrives in spite of the pause: it is kept, in order."""
        self.client.send(HEAD + b"Content-Length: %d\r\n\r\n" % (400 * KIB))
        for number in range(10):
            self.client.send(bytes([number]) * (40 * KIB))
        self.assertTrue(self.client.paused)
        body = b""
        while pieces := self.successResultOf(self.read()):
            body += b"".join(pieces)
        self.assertEqual(b"".join(bytes([number]) * (40 * KIB) for number in range(10)), body)
        self.assertFalse(self.client.paused)

    def test_flooded(self) -> None:
        """Who goes on sending without end after the pause is cut off, and the memory is bounded meanwhile."""
        self.client.send(HEAD + b"Content-Length: %d\r\n\r\n" % (1 << 40))
        piece = b"x" * (64 * KIB)
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(100):
                self.client.send(bytes(bytearray(piece)))
                if self.client.wire.aborted:
                    break
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertTrue(self.client.wire.aborted)
        self.assertLess(held, 800 * KIB)

    def test_one_byte_chunks(self) -> None:
        """A body of the smallest chunks is held in bounded memory too."""
        self.client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"1\r\nx\r\n" * 1000
        gc.collect()
        tracemalloc.start()
        try:
            while not self.client.paused:
                self.client.send(piece)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(held, 800 * KIB)


class Source:
    """Windows to send; counts how often it is read at once, and closed."""

    def __init__(self, windows: Sequence[Sequence[Buffer] | Exception], *, late: bool = False) -> None:
        self.windows = list(windows)
        self.late = late
        self.waiting: Deferred[Sequence[Buffer]] | None = None
        self.reads = 0
        self.closed = 0

    def read(self, wide: bool = False) -> Awaitable[Sequence[Buffer]]:
        assert self.waiting is None, "two reads at once"
        assert not self.closed
        self.reads += 1
        if self.late:
            self.waiting = Deferred()
            return self.waiting
        return succeed(self.next())

    def next(self) -> Sequence[Buffer]:
        window = self.windows.pop(0) if self.windows else []
        if isinstance(window, Exception):
            raise window
        return window

    def arrive(self) -> None:
        """Let the late read succeed."""
        waiting, self.waiting = self.waiting, None
        waiting.callback(self.next())

    def close(self) -> None:
        self.closed += 1


class StreamTests(SynchronousTestCase):
    """`S3Request.stream`: answers longer than memory."""

    def stream(
        self, source: Source, length: int, first: Sequence[Buffer] = (), method: bytes = b"GET", status: int = 200
    ) -> None:
        def serve(request: S3Request) -> None:
            self.request = request
            self.sent = request.stream(status, [("Content-Length", str(length))], source, first)

        self.gateway = Gateway(serve)
        self.client = Client(self.gateway)
        self.client.send(method + b" /b/k HTTP/1.1\r\nHost: h\r\n\r\n")

    def test_whole(self) -> None:
        """First, then window after window, then the next request."""
        source = Source([[b"b", memoryview(b"c")], [b"", b"d"], [b""], [b"e"]])
        self.stream(source, 5, [b"a", memoryview(b"")])
        self.successResultOf(self.sent)
        [answer] = self.client.answers()
        self.assertEqual((200, "5", b"abcde"), (answer.status, answer.headers["content-length"], answer.body))
        self.assertEqual(1, source.closed)
        self.assertEqual((5, False), (self.request.bytes_sent, self.request.cut))
        self.assertEqual([self.request], self.gateway.observed)
        self.assertFalse(self.client.closed)

    def test_head_and_first_together(self) -> None:
        """The head travels with the first window, not before it."""
        self.stream(Source([], late=True), 5, [b"abc"])
        self.assertEqual(1, self.client.wire.writes)
        self.assertTrue(self.client.read().endswith(b"\r\n\r\nabc"))

    def test_nothing_to_read(self) -> None:
        """A source that has nothing to add is closed without being read."""
        source = Source([])
        self.stream(source, 3, [b"abc"])
        self.successResultOf(self.sent)
        self.assertEqual((0, 1), (source.reads, source.closed))

    def test_bodiless(self) -> None:
        """HEAD and 304 send the head alone; HEAD keeps the length."""
        for method, status, length in ((b"HEAD", 200, "5"), (b"GET", 304, None)):
            source = Source([[b"abcde"]])
            self.stream(source, 5, method=method, status=status)
            self.successResultOf(self.sent)
            [answer] = self.client.answers("HEAD")
            self.assertEqual((status, length), (answer.status, answer.headers.get("content-length")))
            self.assertEqual((0, 1), (source.reads, source.closed))

    def test_ended_early(self) -> None:
        """A source that ends early must not look like the end of the object: the connection is cut."""
        source = Source([[b"abc"]])
        self.stream(source, 5)
        self.failureResultOf(self.sent, EOFError)
        self.assert_cut(source)

    def test_too_long(self) -> None:
        """Bytes beyond Content-Length would be taken for the next answer: they are not sent."""
        source = Source([[b"abc"], [b"def"]])
        self.stream(source, 5)
        self.failureResultOf(self.sent, EOFError)
        self.assertTrue(self.client.read().endswith(b"\r\n\r\nabc"))
        self.assert_cut(source)

    def test_failed(self) -> None:
        """What a source raises midway is the outcome, and the connection is cut."""
        source = Source([[b"abc"], OSError("disk")])
        self.stream(source, 5)
        self.failureResultOf(self.sent, OSError)
        self.assert_cut(source)

    def test_cancelled(self) -> None:
        """An answer that is given up midway is cut."""
        source = Source([[b"abc"]], late=True)
        self.stream(source, 5)
        self.sent.cancel()
        self.failureResultOf(self.sent, CancelledError)
        self.assert_cut(source)

    def assert_cut(self, source: Source) -> None:
        self.assertTrue(self.client.wire.aborted)
        self.client.read()
        self.assertEqual(1, source.closed)
        self.assertTrue(self.request.cut)
        self.assertEqual([self.request], self.gateway.observed)
        self.assertEqual(0, self.gateway.site.requests_in_flight)

    def test_disconnected_while_reading(self) -> None:
        """When the client goes away, the outstanding read is given up."""
        source = Source([[b"abc"]], late=True)
        self.stream(source, 5)
        self.client.vanish()
        self.failureResultOf(self.sent, ClientDisconnected)
        self.assertEqual(1, source.closed)
        self.assertEqual([self.request], self.gateway.observed)

    def test_disconnected_while_paused(self) -> None:
        """When the client goes away without having read, nothing more is read from the source."""
        source = Source([[b"x" * 1000 * KIB], [b"x" * 1000 * KIB], [b"x"]])
        self.stream(source, 2000 * KIB + 1)
        self.assertEqual(2, source.reads)
        self.client.vanish()
        self.failureResultOf(self.sent, ClientDisconnected)
        self.assertEqual((2, 1), (source.reads, source.closed))

    def test_no_length(self) -> None:
        """Without Content-Length there is no telling a cut answer from a whole one: it is not begun."""
        source = Source([[b"abc"]])

        def serve(request: S3Request) -> None:
            self.failureResultOf(request.stream(200, [], source), ValueError)
            request.respond(500, [])

        client = Client(Gateway(serve))
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual([500], [each.status for each in client.answers()])
        self.assertEqual(1, source.closed)

    def test_gone_before(self) -> None:
        """An answer to nobody closes its source and says why."""
        kept: list[S3Request] = []
        client = Client(Gateway(kept.append))
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        client.vanish()
        source = Source([[b"abc"]])
        self.failureResultOf(kept[0].stream(200, [("Content-Length", "3")], source), ClientDisconnected)
        self.assertEqual((0, 1), (source.reads, source.closed))

    def test_bounded(self) -> None:
        """A slow reader of a large object costs one window beside the transport's buffer; one window is read ahead."""
        window = 256 * KIB
        source = Source([[b"x" * window]] * 40)
        self.stream(source, 40 * window)
        got = len(self.client.wire.deliver(1000))
        for _ in range(10):
            self.client.wire.deliver(1)
        self.assertEqual(2, source.reads)
        while not self.sent.called:
            got += len(self.client.wire.deliver(10 * KIB))
            self.gateway.clock.advance(0)
        got += len(self.client.wire.deliver())
        self.assertGreater(got, 40 * window)
        self.assertLessEqual(self.client.wire.most_unread, SEND_BUFFER + window)

    def test_unread(self) -> None:
        """A client that reads nothing for a minute is cut off; one that reads slowly is not."""
        window = 256 * KIB
        source = Source([[b"x" * window]] * 3)
        self.stream(source, 3 * window)
        for _ in range(2):
            self.gateway.wait(50)
            self.assertFalse(self.client.wire.aborted)
            self.client.wire.deliver()
        self.gateway.wait(62)
        self.assertTrue(self.client.wire.aborted)
        self.client.wire.turn()
        self.assertEqual(1, source.closed)

    @settings(deadline=None, max_examples=25)
    @given(st.lists(st.binary(max_size=100 * KIB), max_size=4), st.binary(max_size=1000), st.data())
    def test_any_pace(self, windows: list[bytes], first: bytes, data: st.DataObject) -> None:
        """However windows are cut, and however slowly they come and are read, the client gets the object."""
        whole = first + b"".join(windows)
        source = Source([[window] for window in windows if window], late=True)
        self.stream(source, len(whole), [first])
        got = b""
        while not self.sent.called:
            if source.waiting is not None and data.draw(st.booleans()):
                source.arrive()
            else:
                got += self.client.wire.deliver(data.draw(st.integers(1, 100 * KIB)))
        got += self.client.read()
        self.successResultOf(self.sent)
        self.assertEqual(whole, got.partition(b"\r\n\r\n")[2])
        self.assertEqual(1, source.closed)

    def test_wider_than_a_turn(self) -> None:
        """Of a window that is larger than a turn of the reactor, each turn sends its share."""
        outlet = Outlet()
        window = [bytes((number,)) * 64 * KIB for number in range(40)]
        sending = Deferred.fromCoroutine(BodySender(outlet, Source([window]), 40 * 64 * KIB).run())
        for sent in (16, 32):
            self.assertNoResult(sending)
            self.assertEqual(window[:sent], outlet.sent)
            outlet.turn()
        self.successResultOf(sending)
        self.assertEqual([16, 16, 8], outlet.shares)
        self.assertEqual(window, outlet.sent)

    def test_paused_within_a_window(self) -> None:
        """What is left of a window when the transport pauses goes there at once: it is counted there."""
        outlet = Outlet()
        window = [b"x" * 64 * KIB] * 64
        sender = outlet.sender = BodySender(outlet, Source([window]), 64 * 64 * KIB)
        sending = Deferred.fromCoroutine(sender.run())
        outlet.turn()
        self.successResultOf(sending)
        self.assertEqual([16, 48], outlet.shares)

    def test_large_pieces(self) -> None:
        """A piece that is larger than a turn goes out in one by itself."""
        outlet = Outlet()
        window = [b"x" * 3000 * KIB, b"y", b"z" * 3000 * KIB]
        sending = Deferred.fromCoroutine(BodySender(outlet, Source([window]), 6000 * KIB + 1).run())
        outlet.turn()
        outlet.turn()
        self.successResultOf(sending)
        self.assertEqual([1, 1, 1], outlet.shares)


class Outlet:
    """Takes what a `BodySender` sends: the first share at once, each further one when it is its `turn`.

    :ivar sender: is paused by the first share."""

    crowded = False

    def __init__(self) -> None:
        self.sender: BodySender | None = None
        self.sent: list[Buffer] = []
        self.shares: list[int] = []
        self._waiting: Deferred[None] | None = None

    def take_turn(self, nbytes: int) -> Deferred[None] | None:
        self._waiting = Deferred() if self.shares else None
        return self._waiting

    def turn(self) -> None:
        """It is the sender's turn."""
        assert self._waiting is not None
        self._waiting.callback(None)

    def writeSequence(self, iovec: Iterable[Buffer]) -> None:
        pieces = list(iovec)
        self.shares.append(len(pieces))
        self.sent += pieces
        if self.sender is not None:
            self.sender.pauseProducing()
