"""Where one HTTP/1.1 request ends and the next begins (RFC 9112), on llhttp, the parser of Node.js.

No I/O: bytes go in through `Framing.feed`; heads come out through `FramingOwner`, pieces of a body go into its
`RequestBody`. Whatever two parties could read differently is refused, since that is how requests are smuggled:

| what                                                                                   | refused by | with |
|----------------------------------------------------------------------------------------|------------|------|
| bare LF or CR, obsolete folding, NUL and controls, spaces in or after a name           | llhttp     | 400  |
| Content-Length that is repeated, signed, a list, too large, or beside Transfer-Encoding | llhttp     | 400  |
| chunked framing: bad sizes, spaces, lengths that do not fit                            | llhttp     | 400  |
| unknown methods, CONNECT                                                               | both       | 405  |
| raw spaces, controls and 8-bit bytes in the target                                     | llhttp     | 400  |
| repeated or missing Host, ``#`` in the target, other schemes, HTTP/0.9, HTTP/2         | here       | 400  |
| Transfer-Encoding in HTTP/1.0; extensions and trailers of more than `EXCESS` bytes     | here       | 400  |
| transfer codings beside chunked                                                        | here       | 501  |
| a target or header section above the `Limits`                                          | here       | 414, 431 |

What follows the head of a Content-Length body needs no parser: it is counted off. An Upgrade is declined by answering
in HTTP/1.1, body and all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserInvalidURLError,
    HttpParserUpgrade,
    HttpRequestParser,
)
from twisted.logger import Logger

from s3gw.errors import (
    BadRequest,
    InternalError,
    InvalidURI,
    MethodNotAllowed,
    NotImplemented,
    RequestHeaderSectionTooLarge,
    S3Error,
    URITooLong,
)
from s3gw.web.body import NO_BODY, BodyOwner, RequestBody
from s3gw.web.limits import Limits

EXCESS = 16 * 1024
"""Bytes that chunk extensions and trailers may have beyond what chunks need; one read of the socket is not counted."""

CHUNK_OVERHEAD = 32
"""Bytes of framing allowed for each byte of a chunked body: one-byte chunks need five."""

ONE_READ = 64 * 1024
"""The most that the transport delivers at once: how far the size of an incomplete head may be overestimated."""

_KNOWN_NAMES = 1024
_log = Logger()
_names: dict[bytes, str] = {}
"""Header names as sent -> lower case. Clients send a few dozen; the rest is converted each time."""


class FramingOwner(BodyOwner, Protocol):
    """What a `Framing` tells the connection."""

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
        """The head of a request is complete.

        :param target: in origin form, or ``*``; what could be read of it when there is an error.
        :param keep_alive: the client lets the connection go on after it.
        :param error: what to answer instead of serving it; nothing further will be read.
        """


def _lower(name: bytes) -> str:
    lower = name.decode("latin-1").lower()
    if len(_names) < _KNOWN_NAMES and len(name) <= 64:
        _names[name] = lower
    return lower


class Framing:
    """Takes the requests of one connection apart.

    :ivar in_head: a request has begun whose head is not complete.
    :ivar arrived: when the first byte of the latest request came, in seconds of ``clock``.
    :ivar body: the body that is arriving.
    :ivar ended: no request can follow on this connection; further bytes are ignored.
    """

    def __init__(self, owner: FramingOwner, limits: Limits, clock: Callable[[], float]) -> None:
        self._owner = owner
        self._limits = limits
        self._clock = clock
        self._parser = HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}
        self._repeats = 0
        self._fault: S3Error | None = None
        self._head_bytes = 0
        self._fed = 0
        self._uncounted = 0
        self._excess = 0
        self._keep_alive = True
        self._upgrading = False
        self.in_head = False
        self.arrived = 0.0
        self.body: RequestBody | None = None
        self.ended = False

    def feed(self, data: bytes) -> None:
        """Take in bytes from the socket. Never raises."""
        while data and not self.ended:
            if self._uncounted:
                data = self._count_off(data)
            else:
                data = self._parse(data)

    def close(self) -> None:
        """The connection is gone: let go of all that refers to us."""
        self.ended = True
        self.body = None
        del self._parser, self._owner

    def _count_off(self, data: bytes) -> bytes:
        body = self.body
        assert body is not None
        left = self._uncounted
        if len(data) < left:
            self._uncounted = left - len(data)
            body.push(data)
            return b""
        self._uncounted = 0
        body.push(data if len(data) == left else data[:left])
        self._parser = HttpRequestParser(self)
        self.on_message_complete()
        return data[left:]

    def _parse(self, data: bytes) -> bytes:
        body = self.body
        received = body.received if body is not None else 0
        self._fed = len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            return self._decline(data[upgrade.args[0] :])
        except HttpParserError as error:
            self._refuse(error)
            return b""
        if self.in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.header_section + self._limits.uri + ONE_READ:
                self.fail(RequestHeaderSectionTooLarge())
        elif self.body is not None:
            if self.body.length is not None:
                self._uncounted = self.body.length - self.body.received
            elif body is self.body:
                overhead = len(data) - (CHUNK_OVERHEAD + 1) * (body.received - received)
                self._excess = max(0, self._excess + overhead)
                if self._excess > EXCESS:
                    self.fail(BadRequest("Chunk extensions or trailers are too large"))
        return b""

    def _decline(self, rest: bytes) -> bytes:
        """Go on in HTTP/1.1 after a head that llhttp took for the last one: it left the body to us."""
        self._upgrading = False
        body = self.body
        if body is None:
            self._parser = HttpRequestParser(self)
        elif body.length is not None:
            self._uncounted = body.length
        else:
            self._parser = HttpRequestParser(_Tail(self))
            self._parser.feed_data(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        return rest

    def _refuse(self, error: HttpParserError) -> None:
        if self.ended:
            return  # what follows the last request
        reason: S3Error
        if isinstance(error, HttpParserCallbackError):
            cause = error.__context__
            if isinstance(cause, S3Error):
                reason = cause
            else:
                _log.error("a callback of the HTTP parser failed: {cause!r}", cause=cause)
                reason = InternalError()
        elif isinstance(error, HttpParserInvalidMethodError):
            reason = MethodNotAllowed()
        elif isinstance(error, HttpParserInvalidURLError):
            reason = InvalidURI()
        else:
            reason = BadRequest(f"The request is malformed: {error}")
        self.fail(reason)

    def fail(self, error: S3Error) -> None:
        """Take in nothing more: the request that is arriving ends with an error."""
        self.ended = True
        if self.body is not None:
            self.body.fail(error)
            return
        if not self.in_head:
            self.on_message_begin()  # not even its first byte was understood
        method = self._parser.get_method() if self._url else b""
        self._owner.head_received(method, self._url, b"HTTP/1.1", self._headers, NO_BODY, False, error)

    def on_message_begin(self) -> None:
        """llhttp: the first byte of a request."""
        self.in_head = True
        self.arrived = self._clock()
        self._url = b""
        self._headers = {}
        self._repeats = 0
        self._fault = None
        self._head_bytes = 0

    def on_url(self, piece: bytes) -> None:
        """llhttp: the target, or a piece of it."""
        self._url = self._url + piece if self._url else piece
        if len(self._url) > self._limits.uri:
            raise URITooLong()

    def on_header(self, raw: bytes, value: bytes) -> None:
        """llhttp: a header field, or a trailer, which goes nowhere."""
        if not self.in_head:
            return
        try:
            name = _names[raw]
        except KeyError:
            name = _lower(raw)
        headers = self._headers
        if name not in headers:
            headers[name] = value.rstrip().decode("latin-1")
            return
        self._repeats += 1
        if self._repeats > self._limits.headers:
            raise RequestHeaderSectionTooLarge()
        if name in {"host", "content-length"}:
            self._fault = BadRequest(f"The header {name} is repeated")
        headers[name] += "," + value.rstrip().decode("latin-1")

    def on_headers_complete(self) -> None:
        """llhttp: the head has ended."""
        self.in_head = False
        headers = self._headers
        parser = self._parser
        method = parser.get_method()
        keep_alive = parser.should_keep_alive()
        version = b"HTTP/1.1"
        if not keep_alive or "connection" in headers or "proxy-connection" in headers:
            version = b"HTTP/" + parser.get_http_version().encode()
        self._keep_alive = keep_alive
        target = self._url
        try:
            self._check(version)
            if target[:1] != b"/":
                target = self._origin_form(method, target)
            elif b"#" in target:
                raise InvalidURI()
            body = self._body_of(version)
        except S3Error as error:
            self.ended = True
            self._owner.head_received(method, target, version, headers, NO_BODY, False, error)
            raise
        if body is not NO_BODY:
            self.body = body
            self._excess = 0
        if "upgrade" in headers and parser.should_upgrade():
            self._upgrading = True
            if body.length is None:
                keep_alive = self._keep_alive = False
        self._headers = {}
        self._owner.head_received(method, target, version, headers, body, keep_alive, None)

    def on_body(self, piece: bytes) -> None:
        """llhttp: a piece of the body."""
        assert self.body is not None
        self.body.push(piece)

    def on_message_complete(self) -> None:
        """llhttp: the request has ended."""
        if self.body is not None:
            if self._upgrading:
                return
            self.body.finish()
            self.body = None
        if not self._keep_alive:
            self.ended = True

    def _check(self, version: bytes) -> None:
        """What llhttp lets through and we do not."""
        headers = self._headers
        limits = self._limits
        if self._fault is not None:
            raise self._fault
        if len(headers) + self._repeats > limits.headers:
            raise RequestHeaderSectionTooLarge()
        if self._head_bytes + self._fed > limits.header_section and self._section_bytes() > limits.header_section:
            raise RequestHeaderSectionTooLarge()
        if version == b"HTTP/1.1":
            if "host" not in headers:
                raise BadRequest("The header Host is missing")
        elif version != b"HTTP/1.0":
            raise BadRequest("This version of HTTP is not supported here")
        elif "transfer-encoding" in headers:
            raise BadRequest("HTTP/1.0 has no Transfer-Encoding")

    def _section_bytes(self) -> int:
        return sum(map(len, self._headers)) + sum(map(len, self._headers.values()))

    def _origin_form(self, method: bytes, target: bytes) -> bytes:
        """The path and query of a target in absolute form, whose authority replaces Host (RFC 9112, 3.2.2).

        :raises S3Error: for what S3 has no address for."""
        if method == b"CONNECT":
            raise MethodNotAllowed()
        if target == b"*" and method == b"OPTIONS":
            return target
        scheme, separator, rest = target.partition(b"://")
        if not separator or scheme.lower() not in {b"http", b"https"} or b"#" in target:
            raise InvalidURI()
        end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        authority, path = rest[:end], rest[end:]
        if not authority or b"@" in authority:
            raise InvalidURI()
        self._headers["host"] = authority.decode("latin-1")
        return path if path[:1] == b"/" else b"/" + path

    def _body_of(self, version: bytes) -> RequestBody:
        headers = self._headers
        if "transfer-encoding" in headers:
            coding = headers["transfer-encoding"]
            if coding.strip().lower() != "chunked":
                raise NotImplemented("The only transfer coding implemented is chunked", Header="Transfer-Encoding")
            length = None
        elif "content-length" in headers:
            length = int(headers["content-length"])
            if not length:
                return NO_BODY
        else:
            return NO_BODY
        expects = headers.get("expect", "").lower() == "100-continue" and version == b"HTTP/1.1"
        return RequestBody(self._owner, length, self._limits.window, expects)


class _Tail:
    """llhttp's view of a chunked body whose head it took for an upgrade. Nothing can follow it."""

    def __init__(self, framing: Framing) -> None:
        self.on_body = framing.on_body
        self.on_message_complete = framing.on_message_complete
