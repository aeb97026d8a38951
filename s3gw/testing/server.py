"""`S3Server`: a `Gateway` for code that knows nothing of reactors; all of them share one, in a thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from twisted.internet.threads import blockingCallFromThread

try:
    from twisted.internet.epollreactor import EPollReactor as Reactor
except ImportError:  # not Linux
    from twisted.internet.selectreactor import SelectReactor as Reactor

from s3gw.testing.faults import Fault, Faults, Injection
from s3gw.testing.gateway import Gateway
from s3gw.testing.record import Record

T = TypeVar("T")

__all__ = ["S3Server"]


class _ReactorThread:
    """A reactor that is not the process's own, so that nothing else is in its way, nor it in that of trial."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self._thread = threading.Thread(target=self._run, name="s3gw-testing", daemon=True)
        started = threading.Event()
        self.reactor.callWhenRunning(started.set)
        self._thread.start()
        started.wait()

    def _run(self) -> None:
        self.reactor.run(installSignalHandlers=False)

    def call(self, work: Callable[[], Any]) -> Any:
        """Do something in the reactor, and wait for what comes of it."""
        return blockingCallFromThread(self.reactor, work)


_thread: _ReactorThread | None = None
_lock = threading.Lock()


def _forget() -> None:
    """A forked process has no thread but the one that forked."""
    global _thread  # noqa: PLW0603
    _thread = None


os.register_at_fork(after_in_child=_forget)


def _reactor_thread() -> _ReactorThread:
    """The thread of this process; started when it is needed first."""
    global _thread  # noqa: PLW0603  # a reactor cannot be started twice, and two would be a thread too many
    with _lock:
        if _thread is None:
            _thread = _ReactorThread()
        return _thread


class S3Server:
    """An S3 server on a free port of 127.0.0.1, for synchronous code::

        with S3Server() as server:
            s3 = boto3.client("s3", **server.boto3())

    The arguments are those of `Gateway`, without the reactor. What it stores, and its port, stay from `stop` to the
    next `start`; `close`, or the end of the ``with``, forgets what is temporary.
    """

    def __init__(
        self,
        *,
        store: Literal["memory", "rocksdb"] | Path = "memory",
        auth: Literal["none", "sigv4"] = "none",
        tls: bool = False,
        **options: Any,
    ) -> None:
        self._thread = _reactor_thread()
        self._gateway = Gateway(self._thread.reactor, store=store, auth=auth, tls=tls, **options)

    def start(self) -> S3Server:
        """Listen and serve. :raises ConfigurationError: as `Gateway.start`."""
        self._thread.call(self._gateway.start)
        return self

    def stop(self) -> None:
        """Stop serving, and close the store. Does nothing when it does not run."""
        self._thread.call(self._gateway.stop)

    def close(self) -> None:
        """Stop, and remove what is temporary."""
        self.stop()
        self._gateway.clean()

    def __enter__(self) -> S3Server:
        return self.start()

    def __exit__(self, *details: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """As `Gateway.url`."""
        return self._gateway.url

    @property
    def port(self) -> int:
        """Of the listener; 0 before the first `start`."""
        return self._gateway.port

    @property
    def region(self) -> str:
        """As `Gateway.region`."""
        return self._gateway.region

    @property
    def access_key(self) -> str:
        """The key that may sign."""
        return self._gateway.access_key

    @property
    def secret_key(self) -> str:
        """And its secret, which is none."""
        return self._gateway.secret_key

    @property
    def ca(self) -> Path | None:
        """What clients trust; None without TLS."""
        return self._gateway.ca

    def boto3(self) -> dict[str, Any]:
        """As `Gateway.boto3`."""
        return self._gateway.boto3()

    def environment(self) -> dict[str, str]:
        """As `Gateway.environment`."""
        return self._gateway.environment()

    @property
    def faults(self) -> Faults:
        """The faults that are injected."""
        return self._gateway.faults

    def inject(self, fault: Fault, **which: Any) -> Injection:
        """As `Faults.inject`."""
        return self._gateway.faults.inject(fault, **which)

    @property
    def requests(self) -> list[Record]:
        """As `Gateway.requests`; a request whose answer has been read is among them."""
        found: list[Record] = self._thread.call(lambda: self._gateway.requests)
        return found

    def forget_requests(self) -> None:
        """As `Gateway.forget_requests`."""
        self._thread.call(self._gateway.forget_requests)
