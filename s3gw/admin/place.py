"""Where backups are: a directory, or below a prefix of a bucket.

=============================  =====================================================================================
name                           is
=============================  =====================================================================================
``S3GW-BACKUPS``               the marker
``lock``                       held by whoever writes
``files/<name>~<print>``       a file of some database; once it has this name it is complete and never changed
``<time>.json``                a listing; see `repository`
``*.partial``                  in a directory, left by a crash
=============================  =====================================================================================
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from s3gw.admin.report import AdminError
from s3gw.store.checkpoint import sync_directory

MARKER = "S3GW-BACKUPS"
LOCK = "lock"
FILES = "files"
LISTING = ".json"
PARTIAL = ".partial"
BLOCK_BYTES = 1 << 20

Step = Callable[[int], object]


class Place(Protocol):
    """What a repository asks of the place that it is in. ``str()`` of it is its name, for people."""

    def is_new(self) -> bool:
        """Whether there is nothing yet, and backups may begin. :raises AdminError: there is something else."""

    def read(self, name: str) -> bytes | None:
        """A small thing by name, or None."""

    def write(self, name: str, data: bytes) -> None:
        """Write a small thing, durably, and whole or not at all."""

    def listings(self) -> list[str]:
        """The names of the listings, without their ending, in order."""

    def stored(self) -> dict[str, int]:
        """The files that there are, and their sizes."""

    def add(self, path: Path, stored: str, step: Step) -> tuple[int, str]:
        """Store a file. :param step: told of the bytes as they go. :return: its size and SHA-256, as they went."""

    def extract(self, stored: str, copy: BinaryIO, step: Step) -> tuple[int, str] | None:
        """Write what is stored into an open file. :return: its size and SHA-256, as they came; None: it is missing."""

    def remove(self, listings: list[str], files: Callable[[], set[str]]) -> None:
        """Remove listings, durably, and then whatever of the files is not in ``files()``."""

    def settle(self) -> None:
        """Return when what was added is durable."""

    def locked(self) -> AbstractContextManager[None]:
        """Nobody else writes meanwhile. :raises AdminError: someone does."""


class Directory:
    """A directory, made with mode 0700."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = path / FILES

    def __str__(self) -> str:
        return str(self._path)

    def is_new(self) -> bool:
        """As `Place.is_new`; makes the directory."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = {each.name for each in self._path.iterdir()} - {"lost+found", FILES, MARKER + PARTIAL}
        if not others:
            self._files.mkdir(mode=0o700, exist_ok=True)
        elif MARKER not in others:
            raise AdminError(f"{self} holds files that are no backups; they were left alone")
        return not others

    def read(self, name: str) -> bytes | None:
        """As `Place.read`."""
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """As `Place.write`."""
        draft = self._path / (name + PARTIAL)
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._path / name)
        sync_directory(str(self._path))

    def listings(self) -> list[str]:
        """As `Place.listings`."""
        return sorted(path.stem for path in self._path.glob("*" + LISTING))

    def stored(self) -> dict[str, int]:
        """As `Place.stored`."""
        return {path.name: path.stat().st_size for path in self._files.iterdir()}

    def add(self, path: Path, stored: str, step: Step) -> tuple[int, str]:
        """As `Place.add`."""
        draft = self._files / (stored + PARTIAL)
        with path.open("rb") as source, draft.open("wb") as copy:
            poured = pour(iter(lambda: source.read(BLOCK_BYTES), b""), copy, step)
        draft.rename(self._files / stored)
        return poured

    def extract(self, stored: str, copy: BinaryIO, step: Step) -> tuple[int, str] | None:
        """As `Place.extract`."""
        try:
            with (self._files / stored).open("rb") as source:
                return pour(iter(lambda: source.read(BLOCK_BYTES), b""), copy, step)
        except FileNotFoundError:
            return None

    def remove(self, listings: list[str], files: Callable[[], set[str]]) -> None:
        """As `Place.remove`."""
        for name in listings:
            (self._path / (name + LISTING)).unlink()
        # First the names, durably: a listing must not outlive what it lists.
        sync_directory(str(self._path))
        used = files()
        for path in self._files.iterdir():
            if path.name not in used:
                path.unlink()

    def settle(self) -> None:
        """As `Place.settle`."""
        sync_directory(str(self._files))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """As `Place.locked`."""
        with (self._path / LOCK).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AdminError(f"{self}: another backup is being made here") from None
            yield


def pour(source: Iterator[bytes], copy: BinaryIO, step: Step) -> tuple[int, str]:
    """Copy, durably. :return: size and SHA-256."""
    digest = hashlib.sha256()
    size = 0
    for block in source:
        copy.write(block)
        digest.update(block)
        size += len(block)
        step(len(block))
    copy.flush()
    os.fsync(copy.fileno())
    return size, digest.hexdigest()
