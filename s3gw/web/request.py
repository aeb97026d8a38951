"""`S3Request`: one request of the wire, and the two ways to answer it.

`S3Request.respond` sends a whole answer in one write; `S3Request.stream` sends a head and then a `BodySource`. A stock
Twisted Resource may use ``setHeader``, ``write``, ``finish`` and the rest instead (`web.stock`).

Answering while a body is still arriving follows one rule. `S3Channel.settle` decides, before a byte is written:

| the rest of the body                          | the answer                          | the connection        |
|-----------------------------------------------|-------------------------------------|-----------------------|
| none                                          | at once                             | goes on               |
| the client waits for ``100 Continue``         | at once, and never a 100            | ends, after lingering |
| at most `Limits.drop` bytes by Content-Length | when they have come and are dropped | goes on               |
| longer, chunked, malformed, or never to come  | at once                             | ends, after lingering |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProducer
from twisted.logger import Logger
from twisted.python.failure import Failure

from s3gw.errors import InternalError, S3Error, SlowDown
from s3gw.operations.call import KeptHeaders, PartHeaders
from s3gw.s3.head import RequestHead
from s3gw.web.body import BodySender, BodySource, Buffer, ClientDisconnected, MemorySource, RequestBody
from s3gw.web.stock import StockRequest

if TYPE_CHECKING:
    from s3gw.web.channel import S3Channel
    from s3gw.web.site import GatewaySite

_log = Logger()

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
BODILESS = frozenset({204, 304})
METHODS = {name.encode(): name for name in ("GET", "PUT", "HEAD", "POST", "DELETE", "OPTIONS")}
ALLOWED = "GET, HEAD, PUT, POST, DELETE, OPTIONS"

ONE_WRITE = 1024 * 1024
"""A longer body in memory goes out window by window, so that a slow reader of it can be told from a dead one."""


def header_lines(headers: Iterable[tuple[str, str]]) -> tuple[str, int | None]:
    """The lines of a header section without Content-Length, and the value of that.

    :raises ValueError: a name or value would break out of its line.
    """
    if type(headers) is KeptHeaders:
        if headers.lines is None:
            headers.lines = header_lines([*headers])
        return headers.lines
    if type(headers) is PartHeaders:
        return f"{header_lines(headers.kept)[0]}Content-Range: {headers.content_range}\r\n", headers.length
    length = None
    count = 0
    text = ""
    for name, value in headers:
        if len(name) == 14 and name.lower() == "content-length":
            length = int(value)
        else:
            text += f"{name}: {value}\r\n"
            count += 1
    if text.count("\n") != count or text.count("\r") != count or "\0" in text:
        raise ValueError(f"a response header holds a line break or NUL: {text!r}")
    if not text.isascii():
        text.encode("latin-1")  # fails now, while another answer is still possible
    return text, length


class S3Request(StockRequest):
    """A request whose head is complete; its body may still be arriving.

    :ivar head: method, target and headers, as text.
    :ivar body: the body, to be read once.
    :ivar request_id: 16 upper-case hexadecimal digits, unique.
    :ivar arrived: when the first byte of the request came, in seconds of the site's clock.
    :ivar code: status of the answer.
    :ivar bytes_sent: bytes of body sent, without framing, as in AWS's access log.
    :ivar cut: the answer did not reach its end, or there was none.
    :ivar started: bytes of the answer were written; another answer is no longer possible.
    :ivar further_headers: what goes into the answer beside its own headers, be it a success or an error; `web.respond`
        adds them.
    :ivar reserved: bytes of memory that are set aside for it.
    :ivar damaged: stored bytes that it needed are not what was written.
    :ivar operation: and ``bucket``, ``key``, ``user``, ``error_code``: notes for the access log, by whoever knows.
    """

    site: GatewaySite
    channel: S3Channel | None = None  # type: ignore[assignment]  # as in H2: what an HTTPChannel does for requests
    cut = True
    bytes_sent = 0
    further_headers: Sequence[tuple[str, str]] = ()
    operation = ""
    bucket = ""
    key = ""
    user = ""  # type: ignore[assignment]  # Basic authentication is not for us
    error_code = ""
    damaged = False
    reserved = 0
    _on_disconnect: Sequence[Callable[[], object]] = ()
    _answered = False
    _sending: Deferred[None] | None = None

    def __init__(
        self,
        channel: S3Channel,
        method: bytes,
        target: bytes,
        version: bytes,
        headers: dict[str, str],
        body: RequestBody,
        keep_alive: bool,
        arrived: float,
        refusal: S3Error | None,
    ) -> None:
        # Not the base's: it makes two Headers and asks for addresses, whether they are used or not. What every answer
        # looks at is made the instance's own: found there it takes a fifth of the time that it takes in the classes.
        self.startedWriting = 0
        self._disconnected = self._answered = False
        self.channel = channel
        self.site = site = channel.site
        self.transport = channel.transport
        self.method = method
        self.uri = target
        self.clientproto = version
        self.body = body
        self.keep_alive = keep_alive
        self.arrived = arrived
        self.refusal = refusal
        self.request_id = site.next_request_id()
        self.head = RequestHead(
            METHODS.get(method) or method.decode("latin-1"),
            target.decode("latin-1"),
            headers,
            secure=channel.secure,
        )

    @property
    def peer(self) -> str:
        """The client's address as text."""
        return str(getattr(self.client, "host", self.client))

    @property
    def bytes_received(self) -> int:
        """Bytes of body received, transfer coding removed."""
        return self.body.received

    @property
    def started(self) -> bool:
        """Whether the answer has begun."""
        return self._answered or bool(self.startedWriting)

    @property
    def gone(self) -> bool:
        """Whether the client went away before the answer ended."""
        return self._disconnected

    def on_disconnect(self, callback: Callable[[], object]) -> None:
        """Call back once if the client goes away before the answer ended; at once if it has gone already."""
        if self._disconnected:
            callback()
        elif isinstance(self._on_disconnect, list):
            self._on_disconnect.append(callback)
        else:
            self._on_disconnect = [callback]

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Register the producer of a stock Resource's answer; unlike Twisted's, stop it if the client has gone."""
        if self._disconnected:
            producer.stopProducing()
        else:
            super().registerProducer(producer, streaming)

    def notifyFinish(self) -> Deferred[None]:
        """A Deferred that fires when the answer ended, or fails when the client goes away before that.

        Unlike Twisted's, it fails at once when the client has gone already."""
        notification: Deferred[None] = Deferred()
        if self._disconnected:
            notification.errback(ClientDisconnected())
        else:
            self.notifications = [*self.notifications, notification]
        return notification

    def process(self) -> None:
        """Find the resource and let it render."""
        if self.refusal is not None:
            self.refuse(self.refusal)
        elif self.uri == b"*":
            self.respond(200, [("Allow", ALLOWED)])
        else:
            try:
                self.render(self.site.getResourceFor(self))
            except S3Error as error:
                self.refuse(error)
            except Exception:
                self.processingFailed(Failure())

    def processingFailed(self, reason: Failure) -> Failure:
        """A resource raised: the traceback is for the log, InternalError for the client."""
        _log.failure("request {id} failed", reason, id=self.request_id)
        self.refuse(InternalError())
        return reason

    def refuse(self, error: S3Error) -> None:
        """Answer with an error, or cut the connection if an answer has begun."""
        self.error_code = error.code
        if self.started:
            self.abort()
        else:
            self.respond(*self.site.refuse(error, self.request_id))

    def connectionLost(self, reason: Failure) -> None:
        """The client went away before the answer ended."""
        self._disconnected = True
        self.channel = None
        self.body.fail(ClientDisconnected())
        if self._sending is not None:
            self._sending.cancel()
        callbacks, self._on_disconnect = self._on_disconnect, ()
        for callback in callbacks:
            callback()
        notifications, self.notifications = self.notifications, ()
        for notification in notifications:
            notification.errback(reason)

    def respond(self, status: int, headers: Iterable[tuple[str, str]], body: bytes | Sequence[Buffer] = b"") -> None:
        """Send a complete answer in one write, and end the request. Does nothing if the client has gone.

        Date, Server, the request ids and Content-Length are added. HEAD, 204 and 304 send no body; a HEAD keeps the
        Content-Length given, 204 and 304 have none.

        :param headers: Latin-1 text, without those added here, Connection and Transfer-Encoding.
        :raises ValueError: a header would break out of its line, or Content-Length is not the body's.
        :raises RuntimeError: the answer was given already.
        """
        lines, length = header_lines(headers)
        pieces: Sequence[Buffer] = (body,) if isinstance(body, bytes) else body
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if length is None:
            length = size
        elif length != size and self.method != b"HEAD" and status not in BODILESS:
            raise ValueError(f"Content-Length is {length}, the body has {size} bytes")
        channel = self._begin(status)
        if channel is None:
            return
        if self.body.complete:
            self._send_whole(status, lines, length, pieces)
            return
        settled = channel.settle(self)
        if settled is None:
            self._send_whole(status, lines, length, pieces)
        else:
            settled.addCallback(lambda _: self._send_whole(status, lines, length, pieces))

    def _begin(self, status: int) -> S3Channel | None:
        """Claim the answer. None if nobody is left to get it."""
        if self._answered or self.startedWriting:
            raise RuntimeError("this request has its answer")
        if self._disconnected:
            return None
        self._answered = True
        self.code = status
        return self.channel

    def _send_whole(self, status: int, lines: str, length: int, body: Sequence[Buffer]) -> None:
        channel = self.channel
        if channel is None:
            return
        bodiless = status in BODILESS
        head = self._head(channel, status, lines, None if bodiless else length)
        if bodiless or self.method == b"HEAD":
            channel.write(head)
        elif length <= ONE_WRITE:
            self.bytes_sent = length
            channel.write_pieces((head, *body), len(head) + length)
        else:
            source = MemorySource(b"".join(body), channel.limits.window)
            self._sending = Deferred.fromCoroutine(self._copy(channel, (head,), source, length))
            self._sending.addErrback(lambda failure: failure.trap(ClientDisconnected))
            return
        self._end(channel)

    def _head(self, channel: S3Channel, status: int, lines: str, length: int | None) -> bytes:
        framing = "" if length is None else f"Content-Length: {length}\r\n"
        line = STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n"
        return (
            f"{line}{channel.site.common_headers}x-amz-request-id: {self.request_id}\r\n"
            f"{lines}{framing}{channel.connection_header(self)}\r\n"
        ).encode("latin-1")

    def _end(self, channel: S3Channel) -> None:
        self.cut = False
        self.finished = 1
        self.channel = self._sending = None
        self._on_disconnect = ()
        if self.notifications:
            notifications, self.notifications = self.notifications, ()
            for notification in notifications:
                notification.callback(None)
        channel.requestDone(self)

    def stream(
        self, status: int, headers: Iterable[tuple[str, str]], source: BodySource, first: Sequence[Buffer] = ()
    ) -> Deferred[None]:
        """Send a head, ``first``, and then what ``source`` has, as fast as the client reads.

        ``source`` is closed exactly once, whatever happens.

        :param headers: as for `respond`, with Content-Length.
        :return: fires when everything was handed to the transport. Fails with ClientDisconnected when the client went
            away; with whatever ``source`` raised, or EOFError if it ended early, the connection then being cut so that
            the client sees a short body, never a clean end.
        """
        sending = self._sending = Deferred.fromCoroutine(self._stream(status, headers, source, first))
        return sending

    async def _stream(
        self, status: int, headers: Iterable[tuple[str, str]], source: BodySource, first: Sequence[Buffer]
    ) -> None:
        try:
            lines, length = header_lines(headers)
            if length is None:
                raise ValueError("a streamed answer needs its Content-Length")
            if (
                self.method != b"HEAD"
                and not self._disconnected
                and not self.site.reserve(self, 2 * self.site.limits.window)
            ):
                source.close()
                self.refuse(SlowDown())
                return
            channel = await self._turn(status)
            bodiless = status in BODILESS
            head = self._head(channel, status, lines, None if bodiless else length)
        except BaseException:
            source.close()
            raise
        if bodiless or self.method == b"HEAD":
            source.close()
            channel.write(head)
            self._end(channel)
        else:
            await self._copy(channel, (head, *first), source, length, sum(map(len, first)))

    async def _turn(self, status: int) -> S3Channel:
        """Claim the answer, and wait until it may go out."""
        channel = self._begin(status)
        if channel is not None and not self.body.complete:
            settled = channel.settle(self)
            if settled is not None:
                try:
                    await settled
                except CancelledError:
                    self.abort()  # nobody else can answer now
                    if not self._disconnected:
                        raise
        if self.channel is None:
            raise ClientDisconnected()
        return self.channel

    async def _copy(
        self, channel: S3Channel, opening: Sequence[Buffer], source: BodySource, length: int, sent: int = 0
    ) -> None:
        sender = BodySender(channel, source, length - sent)
        try:
            channel.registerProducer(sender, True)
            channel.writeSequence(opening)
            await sender.run()
        except BaseException:
            self.abort()
            if self._disconnected:
                raise ClientDisconnected() from None
            raise
        finally:
            self.bytes_sent = length - sender.remaining
            channel.unregisterProducer()
            source.close()
        self._end(channel)

    def abort(self) -> None:
        """Cut the connection: the client must not take what it got for an answer."""
        if self.channel is not None:
            self.channel.abortConnection()
