"""A checkpoint from a gateway that is running: found by the lock on its database, asked by a signal.

RocksDB locks the file ``LOCK`` by ``fcntl``, so the kernel knows whose lock that is. The signal would end a process
that does not expect it, and is sent to none that does not catch it.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import time
from pathlib import Path

from s3gw.admin.report import AdminError
from s3gw.store.checkpoint import checkpoints

SIGNAL = signal.SIGUSR2
POLL_SECONDS = 0.05
WAIT_SECONDS = 120.0

_FLOCK = struct.Struct("hhqqi4x")
"""``struct flock`` of 64-bit Linux: type, whence, start, length, process."""


def ask_checkpoint(db: Path, directory: Path, seconds: float = WAIT_SECONDS) -> Path:
    """Let the gateway that serves ``db`` make a checkpoint. :param directory: its ``--checkpoint_dir``.

    :return: the checkpoint; it is the caller's to remove.
    :raises AdminError: no gateway runs, or it makes none.
    """
    before = set(_present(directory))
    process = lock_owner(db)
    if not _catches(process):
        raise AdminError(f"process {process} has {db} open, and is no gateway that can be asked for a checkpoint")
    os.kill(process, SIGNAL)
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        new = [path for path in _present(directory) if path not in before]
        if new:
            return Path(new[0])
        time.sleep(POLL_SECONDS)
    raise AdminError(
        f"no checkpoint came in {directory} within {seconds:.0f} s: the log of the gateway (process {process}) says "
        "why; is this its --checkpoint_dir?"
    )


def _present(directory: Path) -> list[str]:
    """The checkpoints in a directory, which the gateway makes, as its own, when it is missing."""
    return checkpoints(str(directory)) if directory.is_dir() else []


def lock_owner(db: Path) -> int:
    """The process that has a database open. :raises AdminError: none has, or it is out of sight."""
    with (db / "LOCK").open("rb") as file:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        try:
            kind, _, _, _, process = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
        except OSError as error:
            raise AdminError(f"{db}: its lock cannot be asked for: {error.strerror}") from error
    if kind == fcntl.F_UNLCK:
        raise AdminError(f"no gateway is running on {db}: back it up without --online")
    if process <= 0:
        raise AdminError(f"{db} is used by a process out of sight: in another container, or on another machine")
    return int(process)


def _catches(process: int) -> bool:
    """Whether a process has something to do when it gets our signal (proc(5), ``SigCgt``)."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (SIGNAL - 1) & 1)
