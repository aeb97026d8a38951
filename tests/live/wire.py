"""`Wire`: an HTTP/1.1 client that does nothing by itself, so that a test decides about every byte and when it goes."""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from tests.live.server import REQUEST_S, LiveServer

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """A response; header names are looked up in any case."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str:
        """The S3 error code of an XML error, or nothing."""
        return self.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


class _Incoming(io.RawIOBase):
    """What comes from a socket, behind what has come early."""

    def __init__(self, source: socket.socket, early: bytearray) -> None:
        self._source = source
        self._early = early

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._early:
            return self._source.recv_into(buffer)
        piece = self._early[: len(buffer)]
        buffer[: len(piece)] = piece
        del self._early[: len(piece)]
        return len(piece)


class Wire:
    """One connection to a server. A context manager.

    :param receive_buffer: bytes of the socket's receive buffer; small ones make a slow reader felt."""

    def __init__(self, server: LiveServer, receive_buffer: int | None = None) -> None:
        self._authority = server.authority
        plain = socket.socket()
        plain.settimeout(REQUEST_S)
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.connect(("127.0.0.1", server.port))
        self.socket = plain
        if server.ca is not None:
            context = ssl.create_default_context(cafile=str(server.ca))
            self.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
        self._early = bytearray()
        self._file = cast(BinaryIO, io.BufferedReader(_Incoming(self.socket, self._early)))

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()

    def head(self, method: str, target: str, headers: Headers = ()) -> bytes:
        """The head of a request, with a Host unless there is one."""
        fields = [("Host", self._authority)] if all(name.lower() != "host" for name, _ in headers) else []
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in [*fields, *headers]), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.socket.sendall(data)

    def send_as_taken(self, data: bytes) -> None:
        """Send these bytes as the server takes them, and keep what it answers meanwhile for the reads that follow.

        One thread does both: OpenSSL does not want two of them at one connection."""
        self.socket.setblocking(False)
        try:
            while data:
                wanted = [self.socket], [self.socket], []
                readable, writable, _ = select.select(*wanted, REQUEST_S)
                assert readable or writable, "the server neither takes nor gives anything"
                with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    data = data[self.socket.send(data[: 64 * 1024]) :]
                with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    self._early += self.socket.recv(64 * 1024)
        finally:
            self.socket.settimeout(REQUEST_S)

    def answer(self, method: str = "GET") -> Answer:
        """The next response, 1xx too. ``method`` is that of its request."""
        status, headers = self._head()
        if method == "HEAD" or status in (204, 304) or status < 200:
            return Answer(status, headers, b"")
        return Answer(status, headers, self.read(int(headers["Content-Length"])))

    def answer_head(self) -> int:
        """The head of the next response, which must be a good one; the size of its body, which `read` reads."""
        status, headers = self._head()
        assert status in (200, 206), status
        return int(headers["Content-Length"])

    def _head(self) -> tuple[int, http.client.HTTPMessage]:
        lines = [self._line()]
        version, status, _ = lines[0].decode("latin-1").split(" ", 2)
        assert version == "HTTP/1.1", lines
        while lines[-1] != b"\r\n":
            lines.append(self._line())
        headers = http.client.parse_headers(io.BytesIO(b"".join(lines[1:])))
        assert "Transfer-Encoding" not in headers, lines  # S3 knows the size of what it sends
        return int(status), headers

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError(f"the server closed the connection after {line!r}")
        return line

    def read(self, size: int) -> bytes:
        """So many bytes."""
        data = self._file.read(size)
        if len(data) != size:
            raise ConnectionError(f"the server closed the connection after {len(data)} of {size} bytes")
        return data

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """Send a request with its length, and read the response."""
        sized = [*headers, ("Content-Length", str(len(body)))] if body or method in ("PUT", "POST") else list(headers)
        self.send(self.head(method, target, sized) + body)
        return self.answer(method)

    def at_end(self) -> bool:
        """Whether the server closes the connection now, with not a byte more."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True
