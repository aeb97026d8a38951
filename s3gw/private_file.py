"""Files with secrets in them, which nobody but their owner may be able to read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from s3gw.settings import ConfigurationError

MAX_FILE_BYTES = 1 << 20


def read_private(path: Path, kind: str) -> str:
    """The text of a file that nobody but its owner can read.

    :param kind: what to call the file in an error.
    :raises ConfigurationError: it is not one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not keep us waiting
        with open(descriptor, "rb") as file:
            complaint = _exposure(os.fstat(descriptor), path)
            data = file.read(MAX_FILE_BYTES + 1) if complaint is None else b""
    except OSError as error:
        complaint, data = error.strerror, b""
    if complaint is None and len(data) > MAX_FILE_BYTES:
        complaint = "it is larger than 1 MiB"
    if complaint is not None:
        raise ConfigurationError(f"{kind} {path}: {complaint}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{kind} {path}: it is not UTF-8") from None


def _exposure(status: os.stat_result, path: Path) -> str | None:
    """Why what is in a file of this status may be no secret; None if all is well."""
    mode = stat.S_IMODE(status.st_mode)
    # systemd lends a credential to us by an access control list, whose mask stands where the group's rights else do.
    exposing = 0o037 if str(path.parent) == os.environ.get("CREDENTIALS_DIRECTORY") else 0o077
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_uid not in (os.geteuid(), 0):
        return f"it belongs to user {status.st_uid}: chown it to the user who runs the gateway"
    if mode & exposing:
        return f"its mode is {mode:04o}, so others can get at the secrets in it: chmod 600 {path}"
    return None
