"""The head of an HTTP request as this package sees it: text, no I/O."""

from __future__ import annotations

from collections.abc import KeysView, Mapping
from urllib.parse import unquote_to_bytes

from s3gw.errors import InvalidURI
from s3gw.s3.memo import remembered


class Query:
    """A query string, in order, with keys that have no ``=`` kept.

    Names and values are percent-decoded as UTF-8. ``+`` stays ``+``, as SigV4 has it; ``;`` separates nothing.

    :ivar pairs: ``(name, value)`` in the order sent; ``value`` is ``""`` for a name without ``=``.
    :raises InvalidURI: for a name or value that is not UTF-8.
    """

    __slots__ = ("_first", "pairs")

    def __init__(self, raw: str) -> None:
        self.pairs: list[tuple[str, str]] = []
        self._first: dict[str, str] = {}
        if not raw:
            return
        ascii = raw.isascii()
        for piece in raw.split("&"):
            if not piece:
                continue
            name, _, value = piece.partition("=")
            if not ascii or "%" in piece:
                name, value = decode(name), decode(value)
            self.pairs.append((name, value))
            self._first.setdefault(name, value)

    def __contains__(self, name: str) -> bool:
        return name in self._first

    def get(self, name: str) -> str | None:
        """The first value under ``name``."""
        return self._first.get(name)

    def names(self) -> KeysView[str]:
        """The distinct names, in order."""
        return self._first.keys()

    def __bool__(self) -> bool:
        return bool(self.pairs)


_NO_QUERY = Query("")


def decode(quoted: str) -> str:
    """Percent-decode ``quoted`` (Latin-1 text of the wire) as UTF-8.

    :raises InvalidURI: when the bytes are not UTF-8.
    """
    return quoted if "%" not in quoted and quoted.isascii() else _decoded(quoted)


@remembered(256)
def _decoded(quoted: str) -> str:
    try:
        return unquote_to_bytes(quoted.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidURI() from None


ORDINARY = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "expect",
        "host",
        "pragma",
        "range",
        "user-agent",
        "x-amz-checksum-mode",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-user-agent",
    }
)
"""Headers that say nothing of what is wanted but the range of it, and no condition; of what is sent only the type."""


SIGNING = frozenset(
    {
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "x-id",
    }
)
"""Query parameters that ask for nothing: what signs a presigned URL, and the name that some SDKs give what they do."""


def split_signature(raw_query: str) -> tuple[str, str] | None:
    """The query of a presigned URL without its signature, which may be the same for many, and the signature.

    :return: None when there is none, or it is not written as usual."""
    before, _, rest = raw_query.partition("X-Amz-Signature=")
    signature, _, after = rest.partition("&")
    if not signature or "%" in signature or not signature.isascii() or (before and before[-1] != "&"):
        return None
    return before + after, signature


@remembered(256)
def _only_signs(raw_query: str) -> bool:
    return Query(raw_query).names() <= SIGNING


class RequestHead:
    """Method, target and headers of one request.

    :ivar method: upper case.
    :ivar raw_path: the path as sent: neither decoded nor normalised, no query.
    :ivar raw_query: what stood behind the first ``?``, as sent.
    :ivar headers: by lower-case name; the values of a repeated header joined by ``,``, as SigV4 wants them.
    :ivar secure: whether the request came over TLS.
    """

    __slots__ = ("_bare", "_ordinary", "_query", "headers", "method", "raw_path", "raw_query", "secure")

    def __init__(self, method: str, target: str, headers: Mapping[str, str], *, secure: bool = False) -> None:
        self.method = method
        self.raw_path, _, self.raw_query = target.partition("?")
        self.headers = headers
        self.secure = secure
        self._query: Query | None = None
        self._bare: bool | None = None
        self._ordinary: bool | None = None

    @property
    def query(self) -> Query:
        """The parsed query string. :raises InvalidURI:"""
        if self._query is None:
            self._query = Query(self.raw_query) if self.raw_query else _NO_QUERY
        return self._query

    @property
    def bare(self) -> bool:
        """Whether its query asks for nothing: there is none, or it only signs. :raises InvalidURI:"""
        if not self.raw_query:
            return True
        if self._bare is None:
            signed = split_signature(self.raw_query)
            self._bare = self.query.names() <= SIGNING if signed is None else _only_signs(signed[0])
        return self._bare

    @property
    def ordinary(self) -> bool:
        """Whether its query asks for nothing, and it has no header that would change what becomes of a read, but for
        ``range`` and ``x-amz-checksum-mode``: so it is with most requests for an object."""
        if self._ordinary is None:
            ordinary = True
            for name in self.headers:  # a fifth of what it takes to compare the two sets
                if name not in ORDINARY:
                    ordinary = False
                    break
            self._ordinary = ordinary and (not self.raw_query or self.bare)
        return self._ordinary

    def header(self, name: str) -> str | None:
        """The value of the header with this lower-case name."""
        return self.headers.get(name)

    def sent_to(self, host: str) -> RequestHead:
        """The same request with another Host."""
        return self._with({**self.headers, "host": host})

    def with_headers(self, further: Mapping[str, str]) -> RequestHead:
        """The same request with headers that it does not have yet."""
        return self._with({**further, **self.headers})

    def _with(self, headers: Mapping[str, str]) -> RequestHead:
        return RequestHead(self.method, f"{self.raw_path}?{self.raw_query}", headers, secure=self.secure)
