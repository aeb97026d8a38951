"""`Gateway`: the service that ``twistd`` runs, embedded in the reactor of a test."""

from __future__ import annotations

import socket
import tempfile
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from s3gw.credentials import KeyRing
from s3gw.masterkeys import MasterKeyRing
from s3gw.service import GatewayService, open_rocks
from s3gw.settings import Settings, parse_listener
from s3gw.store.interface import IObjectStore
from s3gw.store.memory import MemoryStore
from s3gw.testing.faults import Faults, FaultyRequest
from s3gw.testing.record import Record
from s3gw.web.metrics import Metrics
from s3gw.web.request import S3Request
from s3gw.web.tls import ServerCertificate, development_certificate

RECORDS_KEPT = 10_000
"""How many requests are remembered, the latest."""

ACCESS_KEY = "testing"
SECRET_KEY = "testing-secret"

DEFAULTS: Mapping[str, Any] = {"threads": 4, "cache_mb": 32, "drain_seconds": 0, "access_log": False}
"""Where a server in a test differs from one that stays: less memory, quiet, and nobody is waited for at its end."""


class Gateway:
    """A gateway on a free port of 127.0.0.1, in a reactor that runs already.

    What it stores stays from `stop` to the next `start`, and so does the port, once there was one.

    :param store: ``memory``; or ``rocksdb``, in a temporary directory; or the path of a database.
    :param auth: ``sigv4`` asks for signatures with `access_key` and `secret_key`; ``none`` for none.
    :param tls: listen on https, with a certificate made for it; `ca` is what clients trust.
    :param options: further fields of `s3gw.settings.Settings`, such as ``max_inflight=2``.
    :raises ConfigurationError: options that contradict each other.

    :ivar faults: injects what goes wrong.
    :ivar port: once it has started, its port.
    :ivar ca: path of the certificate to trust; None without TLS.
    """

    access_key = ACCESS_KEY
    secret_key = SECRET_KEY

    def __init__(
        self,
        reactor: Any,
        *,
        store: Literal["memory", "rocksdb"] | Path = "memory",
        auth: Literal["none", "sigv4"] = "none",
        tls: bool = False,
        **options: Any,
    ) -> None:
        self._reactor = reactor
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._memory = MemoryStore() if store == "memory" else None
        keys = {"access_key": self.access_key, "secret_key": self.secret_key} if auth == "sigv4" else {}
        files = {"generate_tls_cert": self._place() / "tls"} if tls else {}
        self._scheme = "https" if tls else "http"
        self._options = {**DEFAULTS, "auth": auth, **keys, **files, **options}
        if self._memory is None:
            self._options["db_path"] = self._place() / "db" if store == "rocksdb" else Path(store)
        self.ca = files["generate_tls_cert"] / "ca.pem" if tls else None
        self.port = 0
        self._reserved: socket.socket | None = None
        self._settings = self._read_settings()
        self.faults = Faults(self._settings.virtual_host_suffixes)
        self._service: _Recording | None = None
        self._records: deque[Record] = deque(maxlen=RECORDS_KEPT)

    def _place(self) -> Path:
        """A temporary directory of its own."""
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="s3gw-testing-")
        return Path(self._directory.name)

    def _read_settings(self) -> Settings:
        return Settings(**{"listen": (parse_listener(f"{self._scheme}://127.0.0.1:{self.port}"),), **self._options})

    @property
    def url(self) -> str:
        """The endpoint for path style. For virtual hosts it is ``localhost``, or ``s3.localhost`` over TLS."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def region(self) -> str:
        """The region that signatures name."""
        return self._settings.region

    @property
    def requests(self) -> list[Record]:
        """The requests that have ended, in order of their ends; the latest `RECORDS_KEPT`."""
        return list(self._records)

    def forget_requests(self) -> None:
        """Begin a new record."""
        self._records.clear()

    @property
    def metrics(self) -> Metrics:
        """The metrics of the running gateway."""
        return self._running().metrics

    def boto3(self) -> dict[str, Any]:
        """The arguments of ``boto3.client("s3", ...)`` that lead here."""
        return {
            "endpoint_url": self.url,
            "region_name": self.region,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            **({"verify": str(self.ca)} if self.ca else {}),
        }

    def environment(self) -> dict[str, str]:
        """The environment variables by which AWS's SDKs and tools find their way here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            **({"AWS_CA_BUNDLE": str(self.ca)} if self.ca else {}),
        }

    def start(self) -> None:
        """Listen and serve; it does when this returns.

        :raises ConfigurationError: the port is taken, the database cannot be opened.
        """
        if self._reserved is None:
            self._reserved = _reserve()
            self.port = self._reserved.getsockname()[1]
        settings = self._settings = self._read_settings()
        certificate = None
        if settings.generate_tls_cert is not None:
            now = datetime.now(timezone.utc)
            made = development_certificate(settings.generate_tls_cert, settings.virtual_host_suffixes, now)
            certificate = ServerCertificate(made.cert, made.key)
        keys = KeyRing.of(settings) if settings.auth == "sigv4" else None
        service = _Recording(settings, keys, certificate, self._reactor, self._open_store, self._records)
        service.site.requestFactory = FaultyRequest.with_faults(self.faults)
        service.privilegedStartService()
        service.startService()
        self._service = service
        address: Any = service.ports[0].getHost()
        self.port = address.port

    def _open_store(self, settings: Settings, metrics: Metrics) -> IObjectStore:
        if self._memory is None:
            return open_rocks(settings, metrics)
        self._memory.reopen()
        return self._memory

    def stop(self) -> Deferred[None]:
        """Stop serving; requests that run are cut after ``drain_seconds``, 0 unless told otherwise.

        Does nothing when it does not run. :return: fires when the store is closed."""
        service, self._service = self._service, None
        done: Deferred[None] = Deferred()
        if service is None:
            done.callback(None)
            return done
        return service.stopService()

    def clean(self) -> None:
        """Remove what it keeps in temporary directories, and give up its port; it has stopped, and starts no more."""
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        if self._directory is not None:
            self._directory.cleanup()

    def _running(self) -> GatewayService:
        if self._service is None:
            raise RuntimeError("this gateway does not run")
        return self._service


def _reserve() -> socket.socket:
    """A socket that keeps a port from everybody else's connections, also while nobody listens at it."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a listener may be bound beside it
    kept.bind(("127.0.0.1", 0))
    return kept


class _Recording(GatewayService):
    """A service that keeps a record of its requests, in a process that is not its own."""

    def __init__(
        self,
        settings: Settings,
        keys: KeyRing | None,
        certificate: ServerCertificate | None,
        reactor: Any,
        open_store: Any,
        records: deque[Record],
    ) -> None:
        master_keys = MasterKeyRing.of(settings)
        super().__init__(settings, keys, certificate, reactor, open_store, alone=False, master_keys=master_keys)
        self._records = records

    def request_ended(self, request: S3Request) -> None:
        """Note the request, too."""
        super().request_ended(request)
        head = request.head
        self._records.append(
            Record(
                method=head.method,
                path=head.raw_path,
                query=head.raw_query,
                headers=dict(head.headers),
                operation=request.operation,
                bucket=request.bucket,
                key=request.key,
                status=request.code if request.started else 0,
                error=request.error_code,
                received=request.bytes_received,
                sent=request.bytes_sent,
                seconds=self._reactor.seconds() - request.arrived,
                cut=request.cut,
                faults=getattr(request, "injected", ()),
            )
        )


def gateway_for(case: TestCase, reactor: Any = None, **options: Any) -> Gateway:
    """A gateway for one test of trial, started, and stopped when the test has ended.

    :param reactor: that the test runs in; trial's, unless it is given.
    :param options: of `Gateway`.
    """
    if reactor is None:
        # Not at the top: to import it is to install it, which is for programs to do that run in it.
        from twisted.internet import reactor  # noqa: PLC0415
    gateway = Gateway(reactor, **options)
    case.addCleanup(gateway.clean)
    case.addCleanup(gateway.stop)
    gateway.start()
    return gateway
