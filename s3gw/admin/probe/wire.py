"""Requests as bytes: what SDKs hide, and what clients other than SDKs send."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from s3gw.admin.endpoint import Endpoint
from s3gw.admin.remote import CONNECT_SECONDS, region_of, session_of

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class Answer:
    """An answer, read to its end.

    :ivar headers: by lower-case name.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def element(self, name: str) -> str:
        """The text of the first element of this name in an error document; empty if there is none."""
        _, _, rest = self.body.partition(f"<{name}>".encode())
        return rest.partition(b"<")[0].decode(errors="replace")


class _Signer(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Signs what it is told about the payload, instead of hashing it."""

    def __init__(self, credentials: Any, region: str, payload: str) -> None:
        super().__init__(credentials, "s3", region)
        self._payload = payload

    def payload(self, request: Any) -> str:
        """What goes into x-amz-content-sha256."""
        return self._payload


class Wire:
    """Sends single requests to an endpoint.

    :ivar scheme: http or https.
    :ivar host: of the endpoint.
    :ivar context: what is trusted; None over plain http.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        session = session_of(endpoint)
        self._region = region_of(endpoint, session)
        self._credentials = session.get_credentials().get_frozen_credentials() if endpoint.signed else None
        parts = urlsplit(endpoint.url)
        self.scheme = parts.scheme
        self.host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self.context = None
        if parts.scheme == "https":
            trusted = endpoint.ca or session.get_config_variable("ca_bundle")
            self.context = ssl.create_default_context(cafile=str(trusted) if trusted else None)

    def authority(self, bucket: str = "", suffix: str = "") -> str:
        """The Host header: of the endpoint, or of a bucket below a suffix."""
        host = f"{bucket}.{suffix}" if bucket else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self._port == default else f"{host}:{self._port}"

    @contextmanager
    def connection(self, server_name: str = "") -> Iterator[http.client.HTTPConnection]:
        """A connection to the endpoint. :param server_name: whom it is for, in TLS's SNI."""
        connection = http.client.HTTPConnection(self.host, self._port, timeout=CONNECT_SECONDS)
        connection.sock = socket.create_connection((self.host, self._port), CONNECT_SECONDS)
        connection.auto_open = 0  # a second connection where one was to be kept would hide that it was not
        try:
            if self.context is not None:
                connection.sock = self.context.wrap_socket(connection.sock, server_hostname=server_name or self.host)
            yield connection
        finally:
            connection.close()

    def signed(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        host: str = "",
        payload: str = UNSIGNED_PAYLOAD,
    ) -> list[tuple[str, str]]:
        """The headers of a request, with its signature. :param path: encoded, as is ``query``."""
        all_headers = {"Host": host or self.authority(), **(headers or {})}
        if self._credentials is None:
            return list(all_headers.items())
        url = f"{self.scheme}://{all_headers['Host']}{path}{'?' if query else ''}{query}"
        request = AWSRequest(method, url, headers=all_headers)
        _Signer(self._credentials, self._region, payload).add_auth(request)
        return list(request.headers.items())

    def ask(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        host: str = "",
        payload: str = UNSIGNED_PAYLOAD,
    ) -> Answer:
        """One request on a connection of its own.

        :param body: what is sent behind the head as it is; framing headers are the caller's. None: there are none.
        """
        with self.connection(host.partition(":")[0]) as connection:
            return self.ask_on(connection, method, path, query, headers, body, host=host, payload=payload)

    def ask_on(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        host: str = "",
        payload: str = UNSIGNED_PAYLOAD,
    ) -> Answer:
        """The same on a connection that is there. :raises http.client.NotConnected: the endpoint has closed it."""
        connection.putrequest(method, f"{path}{'?' if query else ''}{query}", skip_host=True, skip_accept_encoding=True)
        for name, value in self.signed(method, path, query, headers, host=host, payload=payload):
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def fetch(
    context: ssl.SSLContext | None, url: str, method: str = "GET", body: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body of a URL, with no header of ours. :param context: what is trusted, for https."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, data=body, method=method)
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=CONNECT_SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def path_of(bucket: str, key: str = "") -> str:
    """The encoded path of a bucket or an object."""
    return f"/{bucket}/{quote(key, safe='/~')}" if key else f"/{bucket}"


def chunked(*pieces: bytes) -> bytes:
    """Pieces in HTTP/1.1's chunked transfer coding."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
