"""Whether a directory is ours to open.

A directory with a database of ours holds the file `MARKER`, written before the database and never changed. So what is
not ours is recognised before anything in it is touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from s3gw.store.interface import StoreUnusable
from s3gw.store.records import FORMAT

MARKER = "S3GW"
_UNFINISHED = MARKER + ".new"
_TEXT = "s3gw object store, format "

_NOTHING = {"lost+found", _UNFINISHED}
"""Names that leave a directory as good as empty."""


@contextmanager
def claim(path: str, *, create: bool) -> Iterator[None]:
    """Open the database at ``path`` inside of this: checks and marks the directory first, and words what goes wrong.

    :raises StoreUnusable: with one line that says why.
    """
    try:
        _check(path, create)
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}") from error
    try:
        yield
    except Exception as error:
        raise StoreUnusable(f"{path}: {_reason(error)}") from error


def _check(path: str, create: bool) -> None:
    if not os.path.isdir(path):
        if os.path.lexists(path):
            raise StoreUnusable(f"{path} is not a directory")
        if not create:
            raise StoreUnusable(f"{path} does not exist")
        os.makedirs(path, mode=0o700)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise StoreUnusable(f"{path} is not writable")
    entries = set(os.listdir(path)) - _NOTHING
    if MARKER in entries:
        with open(os.path.join(path, MARKER), "rb") as marker:
            text = marker.read(200)
        if text != _text():
            found = text.decode("utf-8", "replace").strip("\n")
            raise StoreUnusable(f"{path} is of another format: {found!r}; this is format {FORMAT}")
    elif entries:
        raise StoreUnusable(f"{path} holds files that are not an s3gw store; they were left alone")
    elif not create:
        raise StoreUnusable(f"{path} holds no store")
    else:
        mark(path)


def mark(path: str) -> None:
    """Make a directory one of ours, durably."""
    unfinished = os.path.join(path, _UNFINISHED)
    with open(unfinished, "wb") as marker:
        marker.write(_text())
        marker.flush()
        os.fsync(marker.fileno())
    os.rename(unfinished, os.path.join(path, MARKER))
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _text() -> bytes:
    return f"{_TEXT}{FORMAT}\n".encode()


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "LOCK" in text and "lock" in text.lower().replace("LOCK", ""):
        return "in use by another process, or opened twice by this one"
    return text
