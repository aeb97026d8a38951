"""What is measured: a gateway or nginx that the benchmark starts, or any endpoint whose process id is known.

CPU time is user + system of /proc/PID/stat, all threads, summed over the process and its descendants (nginx has a
worker).
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.load import Window
from tools.stress_test import Signer

START_S = 30.0
STOP_S = 20.0
CHECKOUT = Path(__file__).parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_LISTENING = re.compile(r"listening on (https?)://127\.0\.0\.1:(\d+)")


class CannotStart(Exception):
    """A server did not start; the message says why."""


@dataclass(frozen=True)
class Target:
    """An endpoint under load. `static`: it serves files and takes no uploads (`root` is where they go)."""

    name: str
    host: str
    port: int
    tls: bool
    pid: int
    signer: Signer | None = None
    root: Path | None = None

    @classmethod
    def at(cls, name: str, url: str, pid: int, signer: Signer | None = None) -> Target:
        """A server that runs already."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CannotStart(f"{url!r} is not http://host:port")
        if not Path(f"/proc/{pid}/stat").exists():
            raise CannotStart(f"there is no process {pid}")
        tls = parts.scheme == "https"
        return cls(name, parts.hostname, parts.port or (443 if tls else 80), tls, pid, signer)

    @property
    def authority(self) -> str:
        """The Host header."""
        return f"{self.host}:{self.port}"

    def cpu_seconds(self) -> float:
        """CPU time so far, of the process and its descendants."""
        return cpu_seconds(self.pid)


def cpu_seconds(pid: int) -> float:
    """User and system time in seconds of a process, its reaped children, and its living descendants."""
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold anything. After it: state, parent, ..., and from the 12th on
                # utime, stime, and the same two of children that have ended.
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                ticks[int(entry.name)] = sum(int(number) for number in fields[11:15])
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        total += ticks.get(one, 0)
        waiting += children.get(one, ())
    return total / _TICKS


@contextlib.contextmanager
def gateway(
    name: str = "s3gw",
    *,
    sigv4: bool = False,
    tls: bool = False,
    arguments: Sequence[str] = (),
    database: Path | None = None,
) -> Iterator[Target]:
    """An s3gw of this checkout. Without a database it has an empty one in a temporary directory, gone afterwards."""
    signer, environment = None, {}
    with tempfile.TemporaryDirectory(prefix="s3gw-bench-") as directory:
        scheme = "https" if tls else "http"
        command = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "s3gw"]
        command += [f"--listen={scheme}://127.0.0.1:0" if tls else "--listen=127.0.0.1:0"]
        command += [f"--db_path={database or Path(directory, 'db')}"]
        command += ["--access_log=off"]
        if sigv4:
            access, secret = "BENCH", secrets.token_urlsafe(24)
            signer = Signer(access, secret, "us-east-1")
            command.append("--auth=sigv4")
            environment = {"S3GW_ACCESS_KEY": access, "S3GW_SECRET_KEY": secret}
        else:
            command += ["--auth=none"]
        if tls:
            certificate, key = make_certificate(Path(directory))
            command += [f"--tls_cert={certificate}", f"--tls_key={key}"]
        with _running([*command, *arguments], Path(directory, "log"), environment) as process:
            port = _announced_port(process, Path(directory, "log"))
            yield Target(name, "127.0.0.1", port, tls, process.pid, signer)


@contextlib.contextmanager
def nginx(name: str = "nginx", *, tls: bool) -> Iterator[Target]:
    """An nginx with one worker that serves files from a temporary directory: the yardstick."""
    with tempfile.TemporaryDirectory(prefix="nginx-bench-") as directory:
        root = Path(directory, "root")
        root.mkdir()
        port = _free_port()
        secure = ""
        if tls:
            certificate, key = make_certificate(Path(directory))
            secure = f"ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;"
        config = Path(directory, "nginx.conf")
        config.write_text(
            f"""{"user root;" if os.geteuid() == 0 else ""}
            daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/errors;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; log_not_found off; sendfile on; tcp_nopush on; tcp_nodelay on;
                keepalive_requests 1000000000;
                open_file_cache max=100000 inactive=600s; open_file_cache_valid 600s; types {{}}
                client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
                uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
                server {{ listen 127.0.0.1:{port}{" ssl" if tls else ""}; {secure} root {root}; }}
            }}"""
        )
        command = [str(shutil.which("nginx")), "-p", directory, "-c", str(config), "-e", f"{directory}/errors"]
        log = Path(directory, "log")
        with _running(command, log) as process:
            _wait_for_port(process, port, log)
            yield Target(name, "127.0.0.1", port, tls, process.pid, root=root)


def write_file(root: Path, path: str, window: Window) -> None:
    """Store the bytes of an object as a file."""
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        for piece in window.slices():
            out.write(piece)


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key (EC P-256), as PEM files."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        [*command, "-out", str(certificate), "-keyout", str(key)], check=True, capture_output=True, timeout=30
    )
    return certificate, key


@contextlib.contextmanager
def _running(
    command: list[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process with its output in a file; stopped on the way out, by force if it has to be."""
    search = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    # A gateway reads its options from S3GW_... too: what is measured must not depend on who measures.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("S3GW_")}
    variables = {**inherited, "PYTHONPATH": search, **(environment or {})}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=log.parent, env=variables
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _announced_port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port that a gateway says it listens on."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        found = _LISTENING.search(log.read_text(errors="replace"))
        if found is not None:
            return int(found[2])
        _check_alive(process, log)
        time.sleep(0.01)
    raise CannotStart(f"no 'listening on' line in {START_S:.0f} s: {_tail(log)}")


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until somebody accepts."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        _check_alive(process, log)
        time.sleep(0.01)
    raise CannotStart(f"nobody listens on port {port}: {_tail(log)}")


def _check_alive(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        raise CannotStart(f"{process.args!r:.200} ended with {process.returncode}: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-600:].strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
