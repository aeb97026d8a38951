"""`LiveServer`: a real ``twistd s3gw`` in a process of its own, for tests that speak to it as its users do.

| of the process | is                                                                                              |
|----------------|-------------------------------------------------------------------------------------------------|
| program        | the ``twistd`` beside the Python that runs the tests                                            |
| package        | the installed one; where none is installed, the checkout                                        |
| port           | a free one, read from the log line ``listening on http://127.0.0.1:PORT``                       |
| keys           | `ACCESS_KEY` and `SECRET_KEY`, through the environment: never on a command line                 |
| files          | ``db/``, ``tls/`` and ``log`` in a directory of its own, below the one that trial runs tests in |
| end            | `stop` (SIGTERM), `kill` (SIGKILL), or the end of the test run, even if that is killed          |

`shared_server` starts one server for each kind of listener and authentication and keeps it for the whole run: a test
that does nothing to the server itself takes one of these, and a bucket of its own.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config

START_S = 60.0
STOP_S = 60.0
POLL_S = 0.01
REQUEST_S = 30.0
"""How long a client waits for an answer."""

CLEAN_EXITS = (0, -signal.SIGTERM)
"""The exit status after SIGTERM: twistd ends by the signal that it was told to end by, once everything is closed."""

ACCESS_KEY = "LIVETESTKEY"
SECRET_KEY = "live/test+secret=0123456789"
REGION = "us-east-1"

CHECKOUT = Path(__file__).resolve().parents[2]
INSTALLED = Path(sysconfig.get_path("purelib"), "s3gw", "tap.py").exists()
TWISTD = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile="]

_ACTIVATE = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); "
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='s3gw.socket'); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)
"""What systemd does in between fork and exec: the socket is descriptor 3 (sd_listen_fds(3))."""

_PR_SET_PDEATHSIG = 1
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)


def die_with_us() -> None:
    """In a new process: to be killed when the one that started it ends, however that ends (prctl(2), Linux)."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


_LISTENING = re.compile(r"listening on (https?)://127\.0\.0\.1:(\d+)")
_VARIABLE = re.compile("(S3GW|AWS|TWISTD?)_|PYTHONPATH$|[A-Za-z]+_(proxy|PROXY)$")
_MODELS = botocore.session.Session()  # keeps the parsed service model, which is the dear part of a client


class NotStarted(Exception):
    """The server ended, or did not announce its port in time; the message is its log."""


def environment(**extra: str) -> dict[str, str]:
    """The environment of a process of these tests: nothing of the user's own set-up leaks into it."""
    clean = {name: value for name, value in os.environ.items() if _VARIABLE.match(name) is None}
    if not INSTALLED:
        clean["PYTHONPATH"] = str(CHECKOUT)
    return {**clean, **extra}


def run_twistd(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a gateway that is expected to end by itself."""
    return subprocess.run(
        [*TWISTD, "s3gw", *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


class LiveServer:
    """One gateway. Start it with `start`; what it was given stays the same over a `stop` or `kill` and the next start.

    :param auth: ``none`` or ``sigv4``.
    :param tls: listen on https, with a generated certificate.
    :param args: further options; they come last.
    :param variables: further environment variables.
    :param listening: a socket that listens already, and is handed over as systemd does it.
    :ivar url: the endpoint, path style.
    :ivar authority: ``127.0.0.1:PORT``.
    :ivar pid: of the process.
    :ivar ca: what clients have to trust; None without TLS.
    :cvar program: what runs it.
    """

    program: Sequence[str] = TWISTD

    def __init__(
        self,
        directory: Path,
        *,
        auth: str = "none",
        tls: bool = False,
        args: tuple[str, ...] = (),
        db_path: Path | None = None,
        variables: Mapping[str, str] | None = None,
        listening: socket.socket | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.auth = auth
        self.tls = tls
        self.db_path = (db_path or self.directory / "db").absolute()
        self.ca = self.directory / "tls" / "ca.pem" if tls else None
        self.access_key, self.secret_key = ACCESS_KEY, SECRET_KEY
        self._args = args
        self._listening = listening
        self._variables = dict(variables or {})
        if auth == "sigv4" and not self._variables:
            self._variables = {"S3GW_ACCESS_KEY": ACCESS_KEY, "S3GW_SECRET_KEY": SECRET_KEY}
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0
        self.port = 0

    @property
    def scheme(self) -> str:
        """http or https."""
        return "https" if self.tls else "http"

    @property
    def authority(self) -> str:
        """What goes into a Host header."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The endpoint for path style."""
        return f"{self.scheme}://{self.authority}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running().pid

    def start(self) -> LiveServer:
        """Start, and wait until it listens. :raises NotStarted:"""
        self.launch()
        self.port = int(self.wait_for_log(_LISTENING, START_S)[2])
        return self

    def launch(self) -> None:
        """Start, and do not wait."""
        command = [*self.program, "s3gw", f"--db_path={self.db_path}"]
        handed: tuple[int, ...] = ()
        if self._listening is None:
            command += [f"--listen={self.scheme}://127.0.0.1:0"]
        else:
            handed = (self._listening.fileno(),)
            command = [
                sys.executable,
                "-c",
                _ACTIVATE,
                str(handed[0]),
                *command,
                "--listen=systemd:domain=INET:index=0",
            ]
        command += [f"--auth={self.auth}", "--cache_mb=64"]
        if self.tls:
            # OpenSSL takes no *.localhost for bucket.localhost, so virtual hosts over TLS live one level below.
            command += [f"--generate_tls_cert={self.directory / 'tls'}"]
        with self._log.open("ab") as log:
            self._started_at = log.tell()
            self._process = subprocess.Popen(
                [*command, *self._args],
                cwd=self.directory,
                env=environment(**self._variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=handed,
                preexec_fn=die_with_us,  # noqa: PLW1509  # it calls prctl and nothing else
            )
        _RUNNING.add(self)

    def wait_for_log(self, pattern: re.Pattern[str] | str, seconds: float = 10.0) -> re.Match[str]:
        """The first match in the log of this start. :raises NotStarted: it does not come, or the process ends."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            ended = self._process is None or self._process.poll() is not None
            if found := re.search(pattern, self.log()):
                return found
            if ended:
                break
            time.sleep(POLL_S)
        raise NotStarted(self.log())

    def log(self) -> str:
        """What it has logged since it was started the last time."""
        if not self._log.exists():
            return ""  # it was never started
        with self._log.open("rb") as log:
            log.seek(self._started_at)
            return log.read().decode(errors="replace")

    def tail(self, lines: int = 15) -> str:
        """The end of the log, for people."""
        return "\n".join(self.log().splitlines()[-lines:])

    def terminate(self) -> None:
        """Send SIGTERM; do not wait."""
        self._running().terminate()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; do not wait."""
        self._running().send_signal(number)

    def hang_up(self) -> None:
        """Send SIGHUP; do not wait."""
        self._running().send_signal(signal.SIGHUP)

    def wait(self, seconds: float = STOP_S) -> int:
        """The exit status, once it has ended. :raises subprocess.TimeoutExpired:"""
        status = self._running().wait(seconds)
        self._process = None
        _RUNNING.discard(self)
        return status

    def stop(self) -> int:
        """End it by SIGTERM; the exit status."""
        self.terminate()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._running().kill()
        self.wait()

    def close(self) -> None:
        """End it if it runs, and remove its files but for the log."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.db_path, ignore_errors=True)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this server does not run")
        return self._process

    def memory_kib(self, figure: str = "VmRSS") -> int:
        """VmRSS, or VmHWM for the highest it ever was, in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{figure}:\s*(\d+) kB$", status, re.MULTILINE)
        assert found is not None, status
        return int(found[1])

    def reset_peak(self) -> None:
        """Let VmHWM start again from what VmRSS is now (proc(5), ``clear_refs``)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def s3(
        self, *, style: str = "path", access_key: str = "", secret_key: str = "", unsigned: bool = False, **config: Any
    ) -> Any:
        """A boto3 client; it tries once, so that a failure is seen.

        :param style: ``path``, or ``virtual``: then names below ``localhost`` have to be resolved, see `LiveCase`.
        :param config: of `botocore.config.Config`."""
        host = "127.0.0.1"
        if style == "virtual":
            host = "s3.localhost" if self.tls else "localhost"
        signing: dict[str, Any] = {"signature_version": UNSIGNED if unsigned or self.auth == "none" else "s3v4"}
        return _MODELS.create_client(
            "s3",
            region_name=REGION,
            endpoint_url=f"{self.scheme}://{host}:{self.port}",
            verify=str(self.ca) if self.ca else None,
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=Config(
                **{
                    "s3": {"addressing_style": style},
                    "retries": {"total_max_attempts": 1},
                    "connect_timeout": REQUEST_S,
                    "read_timeout": REQUEST_S,
                    **signing,
                    **config,
                }
            ),
        )


_RUNNING: set[LiveServer] = set()


@lru_cache
def shared_server(auth: str = "none", tls: bool = False) -> LiveServer:
    """The server of this kind that tests share."""
    directory = Path(tempfile.mkdtemp(prefix=f"live-{auth}-{'https' if tls else 'http'}-", dir=Path.cwd()))
    return LiveServer(directory, auth=auth, tls=tls).start()


@atexit.register
def _end() -> None:
    for server in list(_RUNNING):
        server.close()
