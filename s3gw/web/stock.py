"""`StockRequest`: what a stock Twisted Resource may ask of a request, made when it does.

`twisted.web.http.Request` prepares two Headers, a dict of arguments and two addresses for every request; here each
comes into being at its first use, so a request that nobody asks for them costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from io import BytesIO
from typing import Any, TypeVar, cast
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.web import server
from twisted.web.http import parse_qs
from twisted.web.http_headers import Headers

from s3gw.s3.head import RequestHead
from s3gw.web.body import RequestBody

T = TypeVar("T")


def _lazy(make: Callable[[Any], T]) -> T:
    """`cached_property`, which a type checker takes for the plain attribute that it stands in for."""
    return cast(T, cached_property(make))


class StockRequest(server.Request):
    """A request whose parts for stock Resources are lazy. Whoever derives from it sets what is declared here."""

    head: RequestHead
    body: RequestBody
    transport: Any
    defaultContentType = None
    notifications: Sequence[Deferred[None]] = ()  # type: ignore[assignment]  # a list when one is asked for
    queued = False

    @_lazy
    def client(self) -> IAddress:
        """The client's address."""
        return cast(IAddress, self.transport.getPeer())

    @_lazy
    def host(self) -> IAddress:
        """Our address."""
        return cast(IAddress, self.transport.getHost())

    @_lazy
    def requestHeaders(self) -> Headers:
        """The request's headers, Twisted's way."""
        headers = Headers()
        for name, value in self.head.headers.items():
            headers.addRawHeader(name.encode("latin-1"), value.encode("latin-1"))
        return headers

    @_lazy
    def responseHeaders(self) -> Headers:
        """The headers of the answer, for those who do not `respond`."""
        return Headers()

    @_lazy
    def cookies(self) -> list[bytes]:
        """Cookies to set."""
        return []

    @_lazy
    def received_cookies(self) -> dict[bytes, bytes]:
        """Cookies received."""
        cookies: dict[bytes, bytes] = {}
        for cookie in self.head.headers.get("cookie", "").encode("latin-1").split(b";"):
            name, separator, value = cookie.lstrip().partition(b"=")
            if separator:
                cookies[name] = value
        return cookies

    @_lazy
    def path(self) -> bytes:
        """The target without its query."""
        return self.uri.partition(b"?")[0]

    @_lazy
    def args(self) -> dict[bytes, list[bytes]]:
        """The query, Twisted's way; `RequestHead.query` loses nothing."""
        return cast("dict[bytes, list[bytes]]", parse_qs(self.uri.partition(b"?")[2], True))

    @_lazy
    def sitepath(self) -> list[bytes]:
        """Where the site is mounted: nowhere else."""
        return []

    @_lazy
    def prepath(self) -> list[bytes]:
        """Segments of the path that led to the resource."""
        return []

    @_lazy
    def postpath(self) -> list[bytes]:
        """Segments of the path that are left, decoded."""
        return [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]

    @_lazy
    def content(self) -> BytesIO | None:
        """The body as a file, if it had arrived when this was first asked for; else None, and `body` is the way."""
        pieces = self.body.take()
        return None if pieces is None else BytesIO(b"".join(pieces))

    @_lazy
    def _adapterCache(self) -> dict[str, object]:
        return {}  # which Componentized's own __init__ would have made
