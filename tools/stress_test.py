#!/usr/bin/env python3
"""A load generator that trusts nothing: it uploads objects, reads them back under load and compares every byte.

It talks to any S3 endpoint and is one file without dependencies, to be copied to the machine that has to run it:

    python tools/stress_test.py --endpoint http://127.0.0.1:9000 --create-bucket --threads 16 --write-ratio 0.1

| phase  | what happens                                                                                        |
|--------|-----------------------------------------------------------------------------------------------------|
| upload | every object is PUT once                                                                            |
| load   | each thread GETs (or re-PUTs) object after object on its own connection, and checks status and bytes |
| report | `name value` lines on stdout; progress and the first few failures on stderr                         |

| printed                | meaning (load phase only)                                            |
|------------------------|----------------------------------------------------------------------|
| requests               | requests sent                                                        |
| errors                 | those of them that failed: status, length, a byte, or the connection |
| qps                    | good requests per second                                             |
| throughput_mb_s        | object bytes of good requests, read and written, 10^6 per second     |
| p50_ms, p95_ms, p99_ms | latency of good requests, to within 1 %                              |

Exit status: 0 when all was well, 1 when anything failed, 2 for a bad option, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import hmac
import itertools
import math
import os
import random
import re
import shutil
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn
from urllib.parse import quote, urlsplit

TIMEOUT_S = 30.0
RECEIVE_BYTES = 256 * 1024
MAX_HEAD_BYTES = 64 * 1024
MAX_ERROR_BODY_BYTES = 64 * 1024
FAILURES_SHOWN = 5
PLAIN_PROGRESS_S = 5

Receive = Callable[[memoryview], None]


def ignore(data: memoryview) -> None:
    """Receive a body that is of no interest."""


class Failure(Exception):
    """A request that was answered, but not with what it should have been answered with."""


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where the service listens."""

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read `http[s]://host[:port]`; a ValueError names what is wrong with anything else."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not http://host:port or https://host:port")
        if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError(f"{url!r} has more than a host and a port")
        tls = parts.scheme == "https"
        try:
            port = parts.port
        except ValueError:
            raise ValueError(f"{url!r} has a port that is none") from None
        return cls(parts.hostname, port if port is not None else (443 if tls else 80), tls)

    @property
    def authority(self) -> str:
        """The Host header: without the port where it is the scheme's own, as every SDK signs it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class Signer:
    """SigV4 in the Authorization header, UNSIGNED-PAYLOAD (S3 API reference, "Authenticating Requests")."""

    SIGNED = "host;x-amz-content-sha256;x-amz-date"

    def __init__(self, access_key: str, secret_key: str, region: str) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._day = ""
        self._day_key = b""

    def headers(
        self, method: str, path: str, query: str, authority: str, now: datetime.datetime
    ) -> list[tuple[str, str]]:
        """The headers that sign a request; `path` is percent-encoded, `query` in canonical order, `now` is UTC."""
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        canonical = (
            f"{method}\n{path}\n{query}\n"
            f"host:{authority}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{stamp}\n\n"
            f"{self.SIGNED}\nUNSIGNED-PAYLOAD"
        )
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key_of(stamp[:8]), to_sign.encode(), "sha256").hex()
        credential = f"{self._access_key}/{scope}"
        return [
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("x-amz-date", stamp),
            (
                "Authorization",
                f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={self.SIGNED}, Signature={signature}",
            ),
        ]

    def _key_of(self, day: str) -> bytes:
        """The signing key of a day, derived once a day."""
        if day != self._day:
            key = f"AWS4{self._secret_key}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_key, self._day = key, day
        return self._day_key


class Content:
    """The bytes of every object: high-entropy, a function of seed and index, and compared at the speed of memcmp.

    An object is a row of pieces, each a window into one random pool at a place that seed, object and piece decide. So
    no object is held, no two pieces are the same, and a prefix of an object is known without the rest.
    """

    PIECE = 64 * 1024
    POOL = 4 * 1024 * 1024

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._pool = random.Random(seed).randbytes(self.POOL)
        self._view = memoryview(self._pool)

    def _window(self, index: int, piece: int) -> int:
        digest = hashlib.blake2b(b"%d:%d:%d" % (self._seed, index, piece), digest_size=8).digest()
        return int.from_bytes(digest, "big") % (self.POOL - self.PIECE)

    def pieces(self, index: int, size: int) -> Iterator[memoryview]:
        """The first `size` bytes of object `index`, piece by piece."""
        for piece in range(-(-size // self.PIECE)):
            start = self._window(index, piece)
            yield self._view[start : start + min(self.PIECE, size - piece * self.PIECE)]

    def matches(self, index: int, offset: int, data: memoryview) -> bool:
        """Whether `data` is what object `index` holds at `offset`."""
        at = 0
        while at < len(data):
            piece, within = divmod(offset + at, self.PIECE)
            length = min(len(data) - at, self.PIECE - within)
            # startswith is a memcmp without a copy; `==` of two memoryviews goes item by item, a hundred times slower.
            if not self._pool.startswith(data[at : at + length], self._window(index, piece) + within):
                return False
            at += length
        return True


class Connection:
    """One keep-alive HTTP/1.1 connection that opens when it is needed and again after it was lost."""

    _LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
    _CLOSE = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
    _CODE = re.compile(rb"<Code>([^<]{1,100})</Code>")

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext | None) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._socket: socket.socket | None = None
        self._buffer = bytearray(RECEIVE_BYTES)
        self._view = memoryview(self._buffer)

    def open(self) -> socket.socket:
        """Connect, TLS included; OSError says why it cannot be done."""
        raw = socket.create_connection((self._endpoint.host, self._endpoint.port), TIMEOUT_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = raw
        if self._tls is not None:
            self._socket = self._tls.wrap_socket(raw, server_hostname=self._endpoint.host)
        return self._socket

    def close(self) -> None:
        """Close the connection; the next exchange opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def exchange(self, head: bytes, body: Iterable[memoryview], statuses: tuple[int, ...], receive: Receive) -> int:
        """Send a request and hand its response's body to `receive` as it comes; the answer is the body's length.

        `Failure` when the status is another than expected or the framing is none; OSError when the connection is lost.
        """
        try:
            return self._exchange(head, body, statuses, receive)
        except BaseException:
            self.close()
            raise

    def _exchange(self, head: bytes, body: Iterable[memoryview], statuses: tuple[int, ...], receive: Receive) -> int:
        connection = self._socket or self.open()
        try:
            connection.sendall(head)
            for piece in body:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError) as lost:
            # A service that refuses an upload answers and closes: its answer says more than the broken pipe does.
            try:
                filled, end = self._read_head(connection)
            except OSError:
                raise lost from None
        else:
            filled, end = self._read_head(connection)
        status = self._status()
        found = self._LENGTH.search(self._buffer, 0, end)
        if status not in statuses:
            raise Failure(self._refusal(connection, status, filled, end, int(found[1]) if found else 0))
        if found is None and status != 204:
            raise Failure(f"{status} without Content-Length")
        length = int(found[1]) if found else 0
        last = self._CLOSE.search(self._buffer, 0, end) is not None
        if filled - end > length:
            raise Failure(f"{filled - end - length} bytes after the end of the response")
        self._receive_body(connection, filled, end, length, receive)
        if last:
            self.close()
        return length

    def _read_head(self, connection: socket.socket) -> tuple[int, int]:
        """Read until the response's head is complete: how many bytes are there, and where the body starts."""
        filled = 0
        while True:
            count = connection.recv_into(self._view[filled:MAX_HEAD_BYTES])
            if not count:
                raise ConnectionResetError("connection closed before the response")
            filled += count
            end = self._buffer.find(b"\r\n\r\n", 0, filled) + 4
            if end > 3:
                return filled, end
            if filled == MAX_HEAD_BYTES:
                raise Failure("response head without an end")

    def _status(self) -> int:
        version, status = bytes(self._buffer[:9]), bytes(self._buffer[9:12])
        if version not in (b"HTTP/1.1 ", b"HTTP/1.0 ") or not status.isdigit():
            raise Failure("the answer is not HTTP")
        return int(status)

    def _refusal(self, connection: socket.socket, status: int, filled: int, end: int, length: int) -> str:
        """What a response of an unexpected status says: the status and, where there is one, the S3 error code."""
        body = bytearray(self._buffer[end:filled])
        try:
            while len(body) < min(length, MAX_ERROR_BODY_BYTES):
                data = connection.recv(8192)
                if not data:
                    break
                body += data
        except OSError:
            pass  # the status is known, and that is what matters
        code = self._CODE.search(body)
        return f"{status} {code[1].decode('ascii', 'replace')}" if code else str(status)

    def _receive_body(self, connection: socket.socket, filled: int, end: int, length: int, receive: Receive) -> None:
        left = length - (filled - end)
        if filled > end:
            receive(self._view[end:filled])
        while left:
            count = connection.recv_into(self._view[: min(left, RECEIVE_BYTES)])
            if not count:
                raise ConnectionResetError(f"connection closed {left} bytes before the end of the body")
            left -= count
            receive(self._view[:count])


@dataclasses.dataclass(frozen=True)
class Work:
    """What is to be done: the options, read and checked."""

    endpoint: Endpoint
    bucket: str
    create_bucket: bool
    objects: int
    object_bytes: int
    range_bytes: int
    threads: int
    duration: float
    write_ratio: float
    random: bool
    seed: int
    tls: ssl.SSLContext | None
    signer: Signer | None

    @property
    def read_bytes(self) -> int:
        """How many bytes a GET brings."""
        return min(self.range_bytes or self.object_bytes, self.object_bytes)


class Client:
    """The three S3 calls of a load, each verified."""

    def __init__(self, work: Work, content: Content) -> None:
        self._work = work
        self._content = content
        self._connection = Connection(work.endpoint, work.tls)
        self._bucket_path = "/" + quote(work.bucket, safe="")
        # An empty object has no range that could be satisfied.
        ranged = work.range_bytes and work.object_bytes
        self._get_status = 206 if ranged else 200
        self._get_headers = [("Range", f"bytes=0-{work.range_bytes - 1}")] if ranged else []

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def create_bucket(self) -> None:
        """Create the bucket; one that is there already is as good."""
        self._call("PUT", self._bucket_path, headers=[("Content-Length", "0")], statuses=(200, 204, 409))

    def put(self, index: int) -> int:
        """Upload object `index`; the answer is its size in bytes."""
        size = self._work.object_bytes
        headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))]
        body = self._content.pieces(index, size)
        self._call("PUT", self._path(index), headers=headers, body=body, statuses=(200, 201, 204))
        return size

    def get(self, index: int) -> int:
        """Read object `index`, compare every byte; the answer is how many there were."""
        offset = 0

        def check(data: memoryview) -> None:
            nonlocal offset
            if not self._content.matches(index, offset, data):
                raise Failure(f"wrong bytes between {offset} and {offset + len(data)}")
            offset += len(data)

        path = self._path(index)
        length = self._call("GET", path, headers=self._get_headers, statuses=(self._get_status,), receive=check)
        if length != self._work.read_bytes:
            raise Failure(f"GET {path}: {length} bytes instead of {self._work.read_bytes}")
        return length

    def _path(self, index: int) -> str:
        return f"{self._bucket_path}/object-{index:08d}"

    def _call(
        self,
        method: str,
        path: str,
        *,
        headers: list[tuple[str, str]],
        statuses: tuple[int, ...],
        body: Iterable[memoryview] = (),
        receive: Receive = ignore,
    ) -> int:
        authority = self._work.endpoint.authority
        if self._work.signer is not None:
            now = datetime.datetime.now(datetime.timezone.utc)
            headers = headers + self._work.signer.headers(method, path, "", authority, now)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"{method} {path} HTTP/1.1\r\nHost: {authority}\r\n{lines}\r\n".encode()
        try:
            return self._connection.exchange(head, body, statuses, receive)
        except (Failure, OSError) as why:
            raise Failure(f"{method} {path}: {why}") from None


class Tally:
    """What one worker has done. It is constant in size: latencies are counted in classes that grow by 2 %."""

    FLOOR_S = 1e-6
    GROWTH = math.log(1.02)
    CLASSES = 1100  # up to 48 minutes

    def __init__(self) -> None:
        self.good = 0
        self.errors = 0
        self.bytes = 0
        self.classes = [0] * self.CLASSES
        self.failures: list[str] = []

    def succeeded(self, seconds: float, size: int) -> None:
        """Count a good request of `size` object bytes."""
        place = int(math.log(max(seconds, self.FLOOR_S) / self.FLOOR_S) / self.GROWTH)
        self.classes[min(place, self.CLASSES - 1)] += 1
        self.bytes += size
        self.good += 1

    def failed(self, why: str) -> None:
        """Count a failed request and keep the first few reasons."""
        self.errors += 1
        if len(self.failures) < FAILURES_SHOWN:
            self.failures.append(why)

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Tally:
        """All of them as one."""
        total = cls()
        for tally in tallies:
            total.good += tally.good
            total.errors += tally.errors
            total.bytes += tally.bytes
            total.classes = [a + b for a, b in zip(total.classes, tally.classes, strict=True)]
            total.failures += tally.failures
        return total

    def since(self, earlier: Tally) -> Tally:
        """What came after an earlier sum."""
        fresh = Tally()
        fresh.good = self.good - earlier.good
        fresh.errors = self.errors - earlier.errors
        fresh.bytes = self.bytes - earlier.bytes
        fresh.classes = [a - b for a, b in zip(self.classes, earlier.classes, strict=True)]
        return fresh

    def percentile_ms(self, fraction: float) -> float:
        """The latency that `fraction` of the good requests did not exceed, in milliseconds; 0 when there were none."""
        rank = fraction * sum(self.classes)
        for place, below in enumerate(itertools.accumulate(self.classes)):
            if below and below >= rank:
                return 1000 * self.FLOOR_S * math.exp((place + 0.5) * self.GROWTH)
        return 0.0


class Progress:
    """The progress display: one line that is drawn again each second on a terminal, else a line each five seconds."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._shown = time.monotonic()

    def show(self, text: str) -> None:
        """Show how far things are; called once a second."""
        now = time.monotonic()
        if self._live:
            sys.stderr.write("\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1])
            sys.stderr.flush()
        elif now - self._shown >= PLAIN_PROGRESS_S - 0.5:
            self._shown = now
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class StressTest:
    """The two phases, each in threads that this one watches."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._content = Content(work.seed)
        self._progress = Progress()
        self._stop = threading.Event()

    def prepare(self) -> None:
        """See that the endpoint answers and that the bucket is there; OSError or Failure says what is wrong."""
        Connection(self._work.endpoint, self._work.tls).open().close()
        if self._work.create_bucket:
            client = Client(self._work, self._content)
            client.create_bucket()
            client.close()

    def upload(self) -> None:
        """PUT every object once; Failure is the first that was refused."""
        indexes = iter(range(self._work.objects))
        failures: list[str] = []
        sent = itertools.count(1)
        done = 0

        def work() -> None:
            nonlocal done
            client = Client(self._work, self._content)
            for index in indexes:
                if self._stop.is_set():
                    break
                try:
                    client.put(index)
                except Failure as failure:
                    failures.append(str(failure))
                    self._stop.set()
                done = next(sent)
            client.close()

        def tick() -> None:
            self._progress.show(f"uploading {done}/{self._work.objects} objects of {self._work.object_bytes} bytes")

        self._watch([work] * min(self._work.threads, self._work.objects), tick)
        if failures:
            raise Failure(failures[0])

    def load(self) -> tuple[Tally, float, bool]:
        """Run the load: its tally, how many seconds it took, and whether it was interrupted."""
        tallies = [Tally() for _ in range(self._work.threads)]
        start = time.monotonic()
        deadline = start + self._work.duration
        earlier, shown = Tally(), start
        interrupted = False

        def tick() -> None:
            nonlocal earlier, shown
            total, now = Tally.sum(tallies), time.monotonic()
            self._progress.show(self._line(now - start, total.since(earlier), now - shown, total.errors))
            earlier, shown = total, now

        try:
            self._watch([self._worker(number, tally, deadline) for number, tally in enumerate(tallies)], tick)
        except KeyboardInterrupt:
            interrupted = True
        return Tally.sum(tallies), time.monotonic() - start, interrupted

    def _line(self, at: float, fresh: Tally, seconds: float, errors: int) -> str:
        seconds = max(seconds, 1e-9)
        return "  ".join(
            (
                f"{at:4.0f}/{self._work.duration:.0f} s",
                f"{fresh.good / seconds:7.0f} qps",
                f"{fresh.bytes / seconds / 1e6:8.1f} MB/s",
                f"p50 {fresh.percentile_ms(0.5):.2f} ms",
                f"p99 {fresh.percentile_ms(0.99):.2f} ms",
                f"errors {errors}",
            )
        )

    def _worker(self, number: int, tally: Tally, deadline: float) -> Callable[[], None]:
        """What thread `number` does until the deadline. Threads start evenly spread over the objects."""
        work = self._work
        dice = random.Random(f"{work.seed}:{number}")
        first = number * work.objects // work.threads

        def run() -> None:
            client = Client(work, self._content)
            for turn in itertools.count(first):
                if self._stop.is_set() or time.monotonic() >= deadline:
                    break
                index = dice.randrange(work.objects) if work.random else turn % work.objects
                call = client.put if dice.random() < work.write_ratio else client.get
                begin = time.perf_counter()
                try:
                    size = call(index)
                except Failure as failure:
                    tally.failed(str(failure))
                    self._stop.wait(0.05)  # a service in trouble is not helped by a storm of reconnections
                else:
                    tally.succeeded(time.perf_counter() - begin, size)
            client.close()

        return run

    def _watch(self, tasks: list[Callable[[], None]], tick: Callable[[], None]) -> None:
        """Run each task in a thread and tick once a second until all are done, or for a moment after Ctrl-C."""
        threads = [threading.Thread(target=task, daemon=True) for task in tasks]
        next_tick = time.monotonic() + 1
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(max(next_tick - time.monotonic(), 0))
                    if time.monotonic() >= next_tick:
                        tick()
                        next_tick += 1
        except KeyboardInterrupt:
            self._stop.set()
            patience = time.monotonic() + 2
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(patience - time.monotonic(), 0))
            raise
        finally:
            self._progress.clear()


class OneLineParser(argparse.ArgumentParser):
    """An option parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def at_least(least: int) -> Callable[[str], int]:
    """The type of an option that is a whole number not below `least`."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return value

    return number


def between(low: float, high: float) -> Callable[[str], float]:
    """The type of an option that is a number from `low` to `high`."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
        return value

    return number


def endpoint(text: str) -> Endpoint:
    """The type of `--endpoint`."""
    try:
        return Endpoint.parse(text)
    except ValueError as why:
        raise argparse.ArgumentTypeError(str(why)) from None


def options() -> OneLineParser:
    """Every option that there is."""
    parser = OneLineParser(
        prog="stress_test", description="Load an S3 endpoint and verify every byte.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--endpoint", type=endpoint, required=True, metavar="URL", help="http[s]://host[:port]")
    add("--bucket", default="prompt-cache", help="default: %(default)s")
    add("--create-bucket", action="store_true", help="create the bucket first")
    add("--objects", type=at_least(1), default=100, metavar="N", help="how many objects; default: %(default)s")
    add("--object-bytes", type=at_least(0), default=65536, metavar="N", help="size of each; default: %(default)s")
    add(
        "--range-bytes",
        type=at_least(0),
        default=16384,
        metavar="N",
        help="GET that many first bytes, 0: the whole object; default: %(default)s",
    )
    add("--threads", type=at_least(1), default=4, metavar="N", help="connections at once; default: %(default)s")
    add("--duration", type=between(0.01, 1e9), default=30.0, metavar="SECONDS", help="default: %(default)s")
    add(
        "--write-ratio",
        type=between(0, 1),
        default=0.0,
        metavar="RATIO",
        help="share of PUTs, 0 to 1; default: %(default)s",
    )
    add("--random", action="store_true", help="objects in random order instead of one after the other")
    add("--insecure", action="store_true", help="accept any TLS certificate")
    add("--access-key", metavar="ID", help="sign with SigV4")
    add(
        "--secret-key",
        metavar="SECRET",
        help="default: $AWS_SECRET_ACCESS_KEY, so that it need not be on a command line",
    )
    add("--region", default="us-east-1", help="region to sign for; default: %(default)s")
    add("--seed", type=at_least(0), default=0, metavar="N", help="decides all bytes and all random choices; default: 0")
    return parser


def read_options(arguments: list[str]) -> Work:
    """Options to work; leaves with 2 and one line when one is bad."""
    parser = options()
    given = parser.parse_args(arguments)
    secret = given.secret_key or os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not given.bucket:
        parser.error("argument --bucket: it is empty")
    if given.access_key and not secret:
        parser.error("argument --access-key: --secret-key (or $AWS_SECRET_ACCESS_KEY) is missing")
    if given.secret_key and not given.access_key:
        parser.error("argument --secret-key: --access-key is missing")
    tls = ssl.create_default_context() if given.endpoint.tls else None
    if tls is not None and given.insecure:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    same = ("endpoint", "bucket", "create_bucket", "objects", "object_bytes", "range_bytes", "threads", "duration")
    return Work(
        **{name: getattr(given, name) for name in (*same, "write_ratio", "random", "seed")},
        tls=tls,
        signer=Signer(given.access_key, secret, given.region) if given.access_key and secret else None,
    )


def report(tally: Tally, seconds: float) -> None:
    """Print the figures on stdout and the first failures on stderr."""
    figures = {
        "requests": str(tally.good + tally.errors),
        "errors": str(tally.errors),
        "qps": f"{tally.good / seconds:.1f}",
        "throughput_mb_s": f"{tally.bytes / seconds / 1e6:.2f}",
        "p50_ms": f"{tally.percentile_ms(0.50):.3f}",
        "p95_ms": f"{tally.percentile_ms(0.95):.3f}",
        "p99_ms": f"{tally.percentile_ms(0.99):.3f}",
    }
    for name, value in figures.items():
        print(name, value)
    for why in tally.failures[:FAILURES_SHOWN]:
        print(f"stress_test: {why}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Run it; the answer is the exit status."""
    work = read_options(arguments)
    test = StressTest(work)
    tally, seconds, interrupted = Tally(), 1.0, False
    try:
        test.prepare()
        test.upload()
        tally, seconds, interrupted = test.load()
    except Failure as failure:
        print(f"stress_test: {failure}", file=sys.stderr)
        return 1
    except (OSError, UnicodeError) as why:  # the latter: a host name that is none
        scheme = "https" if work.endpoint.tls else "http"
        print(f"stress_test: {scheme}://{work.endpoint.authority} does not answer: {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        interrupted = True
    report(tally, seconds)
    if tally.errors:
        return 1
    return 130 if interrupted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
