"""`S3Channel`: the conversation on one HTTP/1.1 connection. Whose turn it is, how long to wait, and how it ends.

Bytes are taken apart in `web.framing`; requests are answered in `web.request`; `web.connection` knows the transport.

| state      | what goes on                                  | deadline                      | when it passes        |
|------------|-----------------------------------------------|-------------------------------|-----------------------|
| idle       | nothing of a request has come                 | keep_alive (new: header_read) | close                 |
| head       | a head is arriving                            | header_read                   | RequestTimeout, close |
| serving    | one request is served; the next ones wait     |                               |                       |
| - reading  | somebody waits for a piece of its body        | body_stall                    | its body fails        |
| - settling | the rest of an unread body comes and goes     | linger                        | answer, then linger   |
| lingering  | the answer is written, the client still sends | linger                        | close                 |
| closing    | the transport drains                          | response_stall                | abort                 |
| in any     | the client does not read what was written     | response_stall                | abort                 |

Requests that were pipelined in one read wait their turn, the transport paused; bytes that come all the same (TLS has
decrypted them already) are held as they are, up to `HELD_BYTES`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from s3gw.errors import IncompleteBody, RequestTimeout, S3Error, SlowDown
from s3gw.web.body import NO_BODY, RequestBody
from s3gw.web.connection import NEVER, Connection
from s3gw.web.framing import Framing
from s3gw.web.request import S3Request

if TYPE_CHECKING:
    from s3gw.web.site import GatewaySite

HELD_BYTES = 256 * 1024
"""What may arrive while the transport is paused; one read of the socket decrypts to 64 KiB."""

WIDE_READ = 512 * 1024
"""What one read of the socket may bring of a long body. It is handed on as it is, and large pieces cost less a byte:
they change hands less often, between threads that all want the interpreter."""

TURN = 16
"""Pipelined requests begun before the reactor gets its turn."""

CLOSE = "Connection: close\r\n"
KEEP_ALIVE = "Connection: keep-alive\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IHalfCloseableProtocol)
class S3Channel(Connection):
    """The requests of one connection, and their answers.

    :ivar admitted: it counts among `Limits.max_connections`.
    :ivar bucket: the one bucket that is served on it; empty for all of them.
    """

    __slots__ = (
        *("_advancing", "_current", "_dropped", "_framing", "_half_closed", "_held", "_last", "_lingering", "_paused"),
        *("_queue", "_settled", "_since", "admitted", "bucket"),
    )

    def __init__(self, site: GatewaySite) -> None:
        super().__init__(site)
        self.bucket = ""
        self.admitted = False
        self._framing = Framing(self, site.limits, site.clock.seconds)
        self._current: S3Request | None = None
        self._queue: deque[S3Request] = deque()
        self._held = bytearray()  # arrived in spite of the pause
        self._paused = False  # the transport does not read
        self._advancing = False
        self._half_closed = False
        self._last = False  # the answer that is being given is the last one
        self._lingering = False
        self._since = 0.0  # when the latest answer ended
        self._dropped = 0
        self._settled: Deferred[None] | None = None

    def connectionMade(self) -> None:
        """A client has connected."""
        super().connectionMade()
        self.site.connection_opened(self)
        self.arm(self.limits.header_read, S3Channel.close)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of requests."""
        if self.ending:
            self._drop(data)
        elif self._paused:
            self._hold(data)
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        self._framing.feed(data)
        current = self._current
        if current is None:
            self._advance()
            return
        body = current.body
        if self.reads_wide and body.length is not None and body.length - body.received < WIDE_READ:
            self.read_usual()  # requests may follow, and a wide read would bring thousands
        if body.waiting:
            if body.buffered or body.complete:
                self.deadline = NEVER
                body.wake()
        elif self._settled is not None and (body.complete or body.failed):
            self._settle()
        if self._queue or body.full:
            self._pause()

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > HELD_BYTES:
            self.abortConnection()

    def _drop(self, data: bytes) -> None:
        """Read on after the last answer, so that the client gets to read it; but not for ever."""
        self._dropped += len(data)
        if self._lingering and self._dropped > self.limits.linger_bytes:
            self._lingering = False
            self.transport.pauseProducing()

    def readConnectionLost(self) -> None:
        """The client will send no more, but may well want its answers."""
        self._half_closed = True
        framing = self._framing
        if self.ending:
            self.close()
        elif framing.body is not None or framing.in_head:
            framing.fail(IncompleteBody())
            if self._settled is not None:
                self._settle()
        if self._current is None and not self.ending:
            self._advance()

    def writeConnectionLost(self) -> None:
        """We never close our side alone."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over."""
        self.ending = True
        self.deadline = self.unread_deadline = NEVER
        self._held.clear()
        self._outgoing = ()
        self._queue.clear()
        self._producer = None
        self._settled = None
        self._framing.close()
        request, self._current = self._current, None
        if request is not None:
            request.connectionLost(reason)
            self.site.request_ended(request)
        self.site.connection_closed(self)

    def head_received(
        self,
        method: bytes,
        target: bytes,
        version: bytes,
        headers: dict[str, str],
        body: RequestBody,
        keep_alive: bool,
        error: S3Error | None,
    ) -> None:
        """Queue a request: it is begun when the read has been taken apart, so that a small body is there with it."""
        make, arrived = self.site.requestFactory, self._framing.arrived
        self._queue.append(make(self, method, target, version, headers, body, keep_alive, arrived, error))

    def body_awaited(self, body: RequestBody, send_continue: bool) -> None:
        """Somebody waits for a piece of the body."""
        if send_continue:
            self.write(CONTINUE)
        self.arm(self.limits.body_stall, S3Channel._body_stalled)

    def body_taken(self) -> None:
        """There is room for more of the body."""
        self._resume()

    def _advance(self) -> None:
        """Begin the requests that are due, without recursion; then see what is left to wait for."""
        if self._advancing:
            return
        self._advancing = True
        turn = TURN
        try:
            # A client that does not read gets no further answers made: they would be held for it without bound.
            while self._queue and self._current is None and not self.ending and not self._full:
                if not turn:
                    self.site.clock.callLater(0, self._advance)
                    break
                turn -= 1
                self._begin(self._queue.popleft())
        finally:
            self._advancing = False
        if self.ending:
            return
        current = self._current
        if self._queue or (current is not None and current.body.full):
            self._pause()
        elif self._paused:
            self._resume()
        if self._current is None and not self._queue and not self.ending:
            self._rest()

    def resumeProducing(self) -> None:
        """The client has read what was written: on with the requests that waited for that."""
        super().resumeProducing()
        if self._queue and self._current is None:
            self._advance()

    def _begin(self, request: S3Request) -> None:
        self._current = request
        self.deadline = NEVER
        site = self.site
        site.requests_in_flight += 1
        body = request.body
        if request.refusal is None:
            error = body.error if body is not NO_BODY else None
            if isinstance(error, S3Error):
                request.refusal = error  # nobody has begun to serve it, so nobody need
            elif not self.admitted and not site.admits(self):
                request.refusal = SlowDown()
                request.keep_alive = False
            elif not site.has_room(request):
                request.refusal = SlowDown()
        if body.length is not None and body.length - body.received > WIDE_READ and not site.crowded:
            self.read_wide(WIDE_READ)
        if body is NO_BODY and "expect" in request.head.headers:
            self._humour(request)
        request.process()

    def _humour(self, request: S3Request) -> None:
        # A 100 is of no use to a request without a body; but botocore waits for one, and keeps the status of the answer
        # that it gets instead for the next answer on the connection.
        if request.head.headers["expect"].lower() == "100-continue" and request.clientproto == b"HTTP/1.1":
            self.write(CONTINUE)

    def _rest(self) -> None:
        """No request is left to begin: wait for one, or close."""
        framing, limits = self._framing, self.limits
        if framing.ended or self._half_closed:
            self.close()
        elif framing.body is not None:
            self.arm(limits.body_stall, S3Channel.close)
        elif framing.in_head:
            self.deadline = max(framing.arrived, self._since) + limits.header_read
            self._expire = S3Channel._head_stalled
        elif self.site.draining:
            self.close()
        else:
            self.arm(limits.keep_alive, S3Channel.close)

    def settle(self, request: S3Request) -> Deferred[None] | None:
        """Decide what becomes of a body that nobody will read; see `web.request`.

        :return: None if the answer may go out at once; else it fires when it may."""
        body = request.body
        body.discard()
        self._resume()
        if body.complete or not request.keep_alive or self.site.draining or not self._droppable(body):
            return None
        self._settled = Deferred()
        self.arm(self.limits.linger, S3Channel._unsettled)
        return self._settled

    def _droppable(self, body: RequestBody) -> bool:
        if body.expects_continue or body.failed or body.length is None:
            return False
        return body.length - body.received <= self.limits.drop

    def _settle(self) -> None:
        settled, self._settled = self._settled, None
        self.deadline = NEVER
        if settled is not None:
            settled.callback(None)

    def connection_header(self, request: S3Request) -> str:
        """The Connection header of an answer, which says whether it is the last one."""
        if (
            not request.keep_alive
            or self.site.draining
            or (self._half_closed and not self._queue)
            or not (request.body.complete or self._droppable(request.body))
        ):
            self._last = True
            return CLOSE
        return "" if request.clientproto == b"HTTP/1.1" else KEEP_ALIVE

    def requestDone(self, request: S3Request) -> None:
        """An answer was handed to the transport, whole."""
        self._current = None
        if self.reads_wide:
            self.read_usual()
        request.cut = False
        if request.startedWriting:
            request.bytes_sent = request.sentLength
        self.site.request_ended(request)
        if self.ending:
            return
        self._since = self.site.now
        if not self._last:
            if not request.body.complete:
                request.body.discard()
            if not self._advancing:
                self._advance()
        elif request.body.complete and request.refusal is None and not request.keep_alive:
            self.close()  # the client knew that this was the last one
        else:
            self._linger()

    def _linger(self) -> None:
        """The client may still be sending: closing now would reset the connection before it has read the answer."""
        self.ending = self._lingering = True
        self._unregister()
        self._held.clear()
        self._queue.clear()
        self._framing.ended = True
        self.arm(self.limits.linger, S3Channel.close)
        if self._half_closed:
            self.close()
        elif self._paused:
            self._paused = False
            self.transport.resumeProducing()

    def close(self) -> None:
        """Close when everything is written; requests whose turn has not come are dropped."""
        self._queue.clear()
        self._lingering = False
        if self._paused:
            # Over TLS it is over when the client has said so.
            self._paused = False
            self.transport.resumeProducing()
        super().close()

    def drain(self) -> None:
        """Close if nothing is going on."""
        framing = self._framing
        idle = self._current is None and not self._queue and not self._held
        if idle and not self.ending and not framing.in_head and framing.body is None:
            self.close()

    def _head_stalled(self) -> None:
        self._framing.fail(RequestTimeout())
        self._advance()

    def _body_stalled(self) -> None:
        if self._current is not None:
            self._current.body.fail(RequestTimeout())

    def _unsettled(self) -> None:
        if self._current is not None:
            self._current.body.fail(RequestTimeout())
        self._settle()

    def _pause(self) -> None:
        if not self._paused and not self.ending:
            self._paused = True
            self.transport.pauseProducing()

    def _resume(self) -> None:
        if not self._paused or self.ending or self._queue:
            return
        if self._current is not None and self._current.body.full:
            return
        self._paused = False
        if self._held:
            data = bytes(self._held)
            self._held.clear()
            self._take(data)
        if not self._paused and not self.ending:
            self.transport.resumeProducing()

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Write the head of a stock Resource's answer."""
        request = self._current
        if request is None:
            return
        if version != b"HTTP/1.1" and not headers.hasHeader(b"content-length"):
            self._last = True
            request.keep_alive = False  # only the end of the connection tells the end of this body
        for ours in (b"date", b"server", b"connection"):
            headers.removeHeader(ours)
        lines = [name + b": " + value for name, values in headers.getAllRawHeaders() for value in values]
        common = (
            f"{self.site.common_headers}x-amz-request-id: {request.request_id}\r\n{self.connection_header(request)}"
        )
        self.write(b"\r\n".join([b"HTTP/1.1 %b %b" % (code, reason), common.encode("latin-1")[:-2], *lines, b"", b""]))
