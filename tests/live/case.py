"""`LiveCase`: what the tests against a real server have in common."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from twisted.python.components import proxyForInterface
from twisted.trial.itrial import IReporter
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.bounded import BoundedTestCase
from tests.live.server import LiveServer, environment, shared_server

KIB = 1024
MIB = 1024 * KIB
BIG = bool(os.environ.get("S3GW_BIG"))
"""Whether to take the sizes that are to be shown at least once, and for which nobody wants to wait every time."""

CLIENT_S = 1800.0 if BIG else 120.0
"""How long one run of a client may take."""

_numbers = itertools.count(1)


def some_bytes(size: int, seed: int = 0) -> bytes:
    """Bytes that no two places or seeds have in common."""
    return random.Random(seed).randbytes(size)


def resolving_localhost(ask: Callable[..., Any]) -> Callable[..., Any]:
    """`socket.getaddrinfo` with every name below ``localhost`` this machine, as RFC 6761 has it and glibc has not."""

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(host, str) and host.endswith(".localhost"):
            host = "127.0.0.1"
        return ask(host, *args, **kwargs)

    return getaddrinfo


class _Watched(proxyForInterface(IReporter, "reporter")):  # type: ignore[misc]
    """A reporter that calls ``failing`` before it hears of a failure."""

    def __init__(self, reporter: Any, failing: Callable[[], object]) -> None:
        super().__init__(reporter)
        self._failing = failing

    def addError(self, test: Any, error: Any) -> None:
        self._failing()
        self.reporter.addError(test, error)

    def addFailure(self, test: Any, failure: Any) -> None:
        self._failing()
        self.reporter.addFailure(test, failure)


class LiveCase(BoundedTestCase):
    """A test with a server, and with its log when it fails.

    :cvar auth: of the shared server that it uses, as is ``tls``."""

    seconds = CLIENT_S
    auth = "none"
    tls = False
    server: LiveServer

    def setUp(self) -> None:
        self.server = self.make_server()

    def make_server(self) -> LiveServer:
        """The server of a test."""
        return shared_server(self.auth, self.tls)

    def own_server(self, **options: Any) -> LiveServer:
        """A server that is this test's alone; not started yet."""
        server = LiveServer(Path(self.mktemp()), **options)
        self.addCleanup(server.close)
        return server

    def run(self, result: Any) -> None:
        """Run, and show the end of the server's log if it fails."""
        super().run(_Watched(result, self._show_log))

    def _show_log(self) -> None:
        if hasattr(self, "server"):
            print(f"\n{self.id()}: the log of its server ends with\n{self.server.tail()}", file=sys.stderr)

    def new_name(self) -> str:
        """A bucket name of this test's own."""
        return f"live-{next(_numbers)}-{random.getrandbits(32):08x}"

    def new_bucket(self, s3: Any) -> str:
        """A bucket of this test's own."""
        name = self.new_name()
        s3.create_bucket(Bucket=name)
        return name

    def refused(self, call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
        """The status and the error code with which a boto3 call is refused."""
        error = self.assertRaises(ClientError, call, **arguments).response
        return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]

    def assertSame(self, got: bytes, expected: bytes) -> None:
        """The bytes are the expected ones; says where they are not, and prints none of a megabyte."""
        if got != expected:
            at = next((i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), -1)
            where = f"they differ at {at}" if at >= 0 else "one begins with the other"
            self.fail(f"{len(got)} bytes where {len(expected)} were expected; {where}")

    def directory(self) -> Path:
        """A directory of this test's own, gone with it."""
        path = Path(self.mktemp()).absolute()
        path.mkdir(parents=True)
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path


def program(name: str) -> str:
    """The path of a client: beside our Python, else the system's. :raises SkipTest: it is not installed."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise SkipTest(f"{name} is not installed")
    return found


def run_client(command: list[str], *, cwd: Path, status: int | None = 0, **variables: str) -> str:
    """What a client prints on stdout. :raises AssertionError: its exit status is another; with all that it said."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CLIENT_S,
        check=False,
    )
    if status is not None and done.returncode != status:
        raise AssertionError(f"{' '.join(command)}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def patch_resolver(case: SynchronousTestCase) -> None:
    """Let the names below ``localhost`` resolve in this process, for one test."""
    case.patch(socket, "getaddrinfo", resolving_localhost(socket.getaddrinfo))


def trusting(server: LiveServer) -> urllib.request.OpenerDirector:
    """An opener of URLs that trusts the server's certificate, and goes through no proxy."""
    context = ssl.create_default_context(cafile=str(server.ca)) if server.ca else None
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


def chunks_of(data: bytes, size: int) -> Iterator[bytes]:
    """The data in pieces of so many bytes."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
