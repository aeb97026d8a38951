"""The client: one process, one epoll, and as little work per request as Python allows.

A server's cost is only visible when the client does not stand in its way, so requests are bytes that were built before
the clock starts, a response's head is looked at by two searches, and a body is compared (with a memcmp) in one response
of sixteen; length and status are checked in all.

| value     | meaning                                                                        |
|-----------|--------------------------------------------------------------------------------|
| `Window`  | bytes of an object: start and size in a random pool that repeats itself         |
| `Request` | the head as it goes on the wire, the body to send, the status and body expected |
| `Plan`    | where to, which requests, over how many connections, for how long               |
| `Outcome` | latencies, bytes, failures, and the CPU time that the client itself needed      |
"""

from __future__ import annotations

import math
import random
import re
import select
import socket
import ssl
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

POOL_BYTES = 1024 * 1024 + 7  # no multiple of a server's chunk size, so that no two chunks of an object are the same
SLICE_BYTES = 256 * 1024
RECEIVE_BYTES = 512 * 1024
COMPARED_EVERY = 16
PATIENCE_S = 60.0
FAILURES_KEPT = 5
GIVE_UP_AFTER = 200

# Twice the pool, so that a pool's length is contiguous from anywhere in it.
_POOL = random.Random(0).randbytes(POOL_BYTES) * 2
_POOL_VIEW = memoryview(_POOL)


@dataclass(frozen=True)
class Window:
    """`size` bytes from `start` of the pool, around its end as often as it takes."""

    start: int
    size: int

    def part(self, offset: int, size: int) -> Window:
        """The bytes of this window that a range request for them brings."""
        return Window((self.start + offset) % POOL_BYTES, min(size, self.size - offset))

    def slices(self) -> Iterator[memoryview]:
        """The bytes, some hundred KiB at a time."""
        for offset in range(0, self.size, SLICE_BYTES):
            start = (self.start + offset) % POOL_BYTES
            yield _POOL_VIEW[start : start + min(SLICE_BYTES, self.size - offset)]

    def matches(self, offset: int, data: memoryview) -> bool:
        """Whether `data` (at most a pool long) is what the window holds at `offset`."""
        return _POOL.startswith(data, (self.start + offset) % POOL_BYTES)


@dataclass(frozen=True)
class Request:
    """What goes out and what has to come back; `expected` None: any body."""

    head: bytes
    status: int
    upload: Window | None = None
    expected: Window | None = None
    no_body: bool = False  # a HEAD


@dataclass(frozen=True)
class Plan:
    """A load: each request once if `seconds` is None, else round and round until the time is up."""

    host: str
    port: int
    tls: bool
    requests: list[Request]
    connections: int
    seconds: float | None


@dataclass
class Outcome:
    """What came of it. Latencies in seconds, of good responses; `bytes` are body bytes in both directions."""

    latencies: array[float] = field(default_factory=lambda: array("d"))
    bytes: int = 0
    elapsed: float = 0.0
    client_cpu: float = 0.0
    errors: int = 0
    reconnects: int = 0
    failures: list[str] = field(default_factory=list)

    def failed(self, why: str) -> None:
        """Count a failure and keep the first few reasons."""
        self.errors += 1
        if len(self.failures) < FAILURES_KEPT:
            self.failures.append(why)


class _Wrong(Exception):
    """A response that is not what was expected."""


class _Connection:
    """One keep-alive connection: sends a request, takes its response, sends the next."""

    _LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
    _CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
    _CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)

    def __init__(self, plan: Plan, tls: ssl.SSLContext | None, poll: select.epoll, outcome: Outcome) -> None:
        self._plan = plan
        self._tls = tls
        self._poll = poll
        self._outcome = outcome
        self._buffer = bytearray(RECEIVE_BYTES)
        self._view = memoryview(self._buffer)
        self._served = 0
        self.request: Request | None = None
        self._open()

    def _open(self) -> None:
        connection = socket.create_connection((self._plan.host, self._plan.port), PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection)
        connection.setblocking(False)
        self.socket = connection
        self._poll.register(connection, select.EPOLLIN)
        self._watched = select.EPOLLIN
        self._served = 0
        self.over = False  # the server has said that it closes the connection

    def reopen(self) -> None:
        """Drop the connection and its request and make a new one."""
        self.close()
        self._open()

    def close(self) -> None:
        """Drop the connection."""
        self._poll.unregister(self.socket)
        self.socket.close()

    @property
    def between_requests(self) -> bool:
        """Whether nothing has come back yet for the request, on a connection that has served others."""
        return self._served > 0 and self._left == -1 and not self._filled

    def start(self, request: Request) -> None:
        """Send a request."""
        self.request = request
        self._filled = 0
        self._left = -1  # -1: in the head; -2: in a chunked body
        self._compare = request.expected if self._served % COMPARED_EVERY == 0 else None
        upload = request.upload
        self._slices: Iterator[memoryview] = iter(())
        self._out = memoryview(request.head)
        if upload is not None and upload.size <= SLICE_BYTES:
            self._out = memoryview(request.head + next(upload.slices(), b""))
        elif upload is not None:
            self._slices = upload.slices()
        self._begun = time.perf_counter()
        self._send()

    def _send(self) -> None:
        """Send as much as the kernel takes, and ask to be told when it takes more."""
        try:
            while True:
                while self._out:
                    self._out = self._out[self.socket.send(self._out) :]
                following = next(self._slices, None)
                if following is None:
                    break
                self._out = following
            wanted = select.EPOLLIN
        except (BlockingIOError, ssl.SSLWantWriteError):
            wanted = select.EPOLLIN | select.EPOLLOUT
        if wanted != self._watched:
            self._poll.modify(self.socket, wanted)
            self._watched = wanted

    def ready(self, event: int) -> bool:
        """Take what the poll announced; True when the response is complete."""
        if event & select.EPOLLOUT:
            self._send()
        if not event & ~select.EPOLLOUT:
            return False
        while not self._receive():
            # OpenSSL may hold the rest of a record that the poll knows nothing of.
            if not isinstance(self.socket, ssl.SSLSocket) or not self.socket.pending():
                return False
        if self._out:
            raise _Wrong("answered before the upload was over")
        self._outcome.latencies.append(time.perf_counter() - self._begun)
        self._served += 1
        return True

    def _receive(self) -> bool:
        """Read once; True when the response is complete."""
        try:
            count = self.socket.recv_into(self._view[self._filled :] if self._left < 0 else self._buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        if not count:
            raise ConnectionResetError("connection closed" if self._served else "connection closed at once")
        if self._left >= 0:
            return self._take(self._view[:count])
        self._filled += count
        if self._left == -1:
            end = self._buffer.find(b"\r\n\r\n", 0, self._filled) + 4
            if end == 3:
                return False
            self._read_head(end)
            if self._left >= 0:
                return self._take(self._view[end : self._filled])
        return self._buffer.endswith(b"0\r\n\r\n", 0, self._filled)

    def _read_head(self, end: int) -> None:
        """Check status and length, and set how many bytes of body are left."""
        request = self.request
        assert request is not None
        status = self._buffer[9:12]
        if int(status) != request.status:
            said = bytes(self._buffer[end : min(self._filled, end + 300)])
            raise _Wrong(f"{status.decode()} instead of {request.status}: {said!r}")
        self.over = self._CLOSE.search(self._buffer, 0, end) is not None
        found = self._LENGTH.search(self._buffer, 0, end)
        length = int(found[1]) if found else 0
        if request.expected is not None and length != request.expected.size:
            raise _Wrong(f"{length} bytes instead of {request.expected.size}")
        self._left = 0 if request.no_body else length
        if found is None and not request.no_body and self._CHUNKED.search(self._buffer, 0, end):
            self._left = -2
        self._outcome.bytes += self._left if self._left > 0 else 0
        if request.upload is not None:
            self._outcome.bytes += request.upload.size

    def _take(self, data: memoryview) -> bool:
        """Take a part of the body; True when it was the last."""
        size = len(data)
        if size > self._left:
            raise _Wrong("bytes after the end of the response")
        if self._compare is not None and size:
            offset = self._compare.size - self._left
            if not self._compare.matches(offset, data):
                raise _Wrong(f"wrong bytes between {offset} and {offset + size}")
        self._left -= size
        return self._left == 0


class _Run:
    """One plan at work."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.outcome = Outcome()
        self.poll = select.epoll()
        context = None
        if plan.tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        count = plan.connections if plan.seconds is not None else min(plan.connections, len(plan.requests))
        self.connections = [_Connection(plan, context, self.poll, self.outcome) for _ in range(count)]
        self._next = self._requests()

    def _requests(self) -> Iterator[Request]:
        yield from self.plan.requests
        while self.plan.seconds is not None:
            yield from self.plan.requests

    def run(self) -> Outcome:
        """Send requests until the time or the list is over, then wait for what is under way."""
        outcome = self.outcome
        cpu, begun = time.process_time(), time.perf_counter()
        self._deadline = begun + self.plan.seconds if self.plan.seconds is not None else math.inf
        live = {connection.socket.fileno(): connection for connection in self.connections}
        for connection in self.connections:
            connection.start(next(self._next))
        while live and outcome.errors < GIVE_UP_AFTER:
            events = self.poll.poll(PATIENCE_S)
            if not events:
                outcome.failed(f"no answer for {PATIENCE_S:.0f} s")
                break
            for number, event in events:
                connection = live[number]
                try:
                    if connection.ready(event):
                        if connection.over:
                            outcome.reconnects += 1
                            del live[number]
                            connection.reopen()
                            live[connection.socket.fileno()] = connection
                        if not self._continue(connection):
                            del live[connection.socket.fileno()]
                except (_Wrong, OSError, ValueError) as why:
                    live.pop(number, None)
                    if self._recover(connection, why):
                        live[connection.socket.fileno()] = connection
        outcome.elapsed = time.perf_counter() - begun
        outcome.client_cpu = time.process_time() - cpu
        for connection in self.connections:
            connection.close()
        self.poll.close()
        return outcome

    def _continue(self, connection: _Connection) -> bool:
        """Send the next request; False when there is none."""
        request = next(self._next, None) if time.perf_counter() < self._deadline else None
        if request is not None:
            connection.start(request)
        return request is not None

    def _recover(self, connection: _Connection, why: Exception) -> bool:
        """Go on over a new connection after a failure; False when there is nothing to go on with.

        A server may close a connection between two requests: that is no failure, and the request is sent again.
        """
        request = connection.request
        closed = isinstance(why, ConnectionError) and connection.between_requests
        if closed:
            self.outcome.reconnects += 1
        else:
            self.outcome.failed(f"{request.head.split(b' HTTP')[0].decode()}: {why}" if request else str(why))
        try:
            connection.reopen()
            if closed and request is not None:
                connection.start(request)
                return True
            return self._continue(connection)
        except OSError as again:
            self.outcome.failed(f"reconnecting: {again}")
            return False


def run(plan: Plan) -> Outcome:
    """Run a plan; OSError when the endpoint does not answer at all."""
    return _Run(plan).run()


def merge(outcomes: list[Outcome]) -> Outcome:
    """The outcomes of processes that ran side by side, as one."""
    total = Outcome()
    for outcome in outcomes:
        total.latencies.extend(outcome.latencies)
        total.bytes += outcome.bytes
        total.elapsed = max(total.elapsed, outcome.elapsed)
        total.client_cpu = max(total.client_cpu, outcome.client_cpu)
        total.errors += outcome.errors
        total.reconnects += outcome.reconnects
        total.failures += outcome.failures
    return total
