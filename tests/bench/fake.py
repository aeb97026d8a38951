"""A small S3 that can be told to misbehave, for the benchmark's client: HTTP as another server than ours writes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, bytes]


class FakeS3(ThreadingHTTPServer):
    """Objects in a dict; `spoil` may change the answer to a GET, and if it `closes`, every answer is the last one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeS3Request)
        self.buckets: set[str] = set()
        self.objects: dict[str, bytes] = {}
        self.spoil: Callable[[int, bytes], Answer | None] = lambda number, body: None
        self.gets = 0
        self.closes = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is none of the test's business."""


class FakeS3Request(BaseHTTPRequestHandler):
    """PUT and ranged GET, keep-alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: FakeS3

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if self.server.closes:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        """Create a bucket or store an object."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        bucket, _, key = self.path[1:].partition("/")
        if not key:
            self.server.buckets.add(bucket)
        elif bucket not in self.server.buckets:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            return
        else:
            self.server.objects[self.path] = body
        self._answer(200)

    def do_GET(self) -> None:
        """Read an object, or what `spoil` makes of it."""
        self.server.gets += 1
        status, body = 200, self.server.objects[self.path]
        if (wanted := re.fullmatch(r"bytes=0-(\d+)", self.headers.get("Range", ""))) is not None:
            status, body = 206, body[: int(wanted[1]) + 1]
        spoiled = self.server.spoil(self.server.gets, body)
        if spoiled is None:
            self._answer(status, body)
        elif spoiled[0]:
            self._answer(*spoiled)
        else:
            self.close_connection = True
