"""Checkpoints: the whole database at one moment, as a directory that can be opened and copied.

Tables never change once they are written, so a checkpoint is made of hard links to them and takes milliseconds. It
keeps the room of what the database has deleted since, and that of nothing else.

=====================  =============================================================
directory              is
=====================  =============================================================
``<path>.partial``     under way, or left by a crash; to be deleted
``<path>``             complete: it has its last name when everything in it is durable
=====================  =============================================================
"""

from __future__ import annotations

import os
import shutil

from s3gw.store.engine import Engine
from s3gw.store.interface import StoreFailed
from s3gw.store.marker import MARKER, mark

UNFINISHED = ".partial"


def take_checkpoint(engine: Engine, path: str) -> None:
    """As `ICheckpointStore.checkpoint`; directories above ``path`` that are missing are made with mode 0700."""
    draft = path + UNFINISHED
    inner = os.path.join(draft, "db")
    try:
        if os.path.lexists(path):
            raise StoreFailed(f"{path} exists already")
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        # RocksDB makes directories that everybody may read: inside of this one nobody but us can.
        os.mkdir(draft, 0o700)
        try:
            engine.checkpoint(inner)
            os.chmod(inner, 0o700)
            mark(inner)
            os.rename(inner, path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        sync_directory(os.path.dirname(path))
    except OSError as error:
        raise StoreFailed(f"{error.filename or path}: {error.strerror}") from error


def checkpoints(directory: str) -> list[str]:
    """The paths of the complete checkpoints in a directory, by name. :raises OSError:"""
    paths = (os.path.join(directory, name) for name in sorted(os.listdir(directory)) if not name.endswith(UNFINISHED))
    return [path for path in paths if is_checkpoint(path)]


def is_checkpoint(path: str) -> bool:
    """Whether this is a directory with a database of ours."""
    return os.path.isfile(os.path.join(path, MARKER))


def sync_directory(path: str) -> None:
    """Return when the names in a directory are durable. :raises OSError:"""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
