"""A directory of backups, which share the files that they have in common.

=============================  =====================================================================================
in the directory               is
=============================  =====================================================================================
``S3GW-BACKUPS``               the marker; `MARKER_TEXT`
``lock``                       locked by whoever writes
``files/<name>~<print>``       a file of some database; once it has this name it is complete, durable, never changed
``<time>.json``                a backup: `Listing`; it is written last, so a backup that is listed is complete
``*.partial``                  left by a crash
=============================  =====================================================================================

Tables of RocksDB never change, and a database never uses the number of one again. A restored one may: so a table is
known by its name, its size and a print of its end, where RocksDB keeps its index, its figures and the identity of the
process that wrote it. So a table that is here already is not even read. Other files are small, and known by all of
their bytes. What is copied gets a SHA-256, which restoring verifies.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from s3gw.admin.report import AdminError
from s3gw.store.checkpoint import sync_directory
from s3gw.store.marker import MARKER as STORE_MARKER

MARKER = "S3GW-BACKUPS"
MARKER_TEXT = "s3gw backups, layout 1\n"
PARTIAL = ".partial"
END_BYTES = 64 * 1024
BLOCK_BYTES = 1 << 20
TABLE = ".sst"

Step = Callable[[int], object]


class StoredFile(msgspec.Struct, frozen=True):
    """A file of a backup. :ivar name: in the database. :ivar stored: below ``files/``. :ivar sha256: in hex."""

    name: str
    stored: str
    size: int
    sha256: str


class Listing(msgspec.Struct, frozen=True):
    """A backup. :ivar name: when it was made, UTC; its file is that and ``.json``."""

    name: str
    files: tuple[StoredFile, ...]

    @property
    def size(self) -> int:
        """Bytes of the database."""
        return sum(file.size for file in self.files)


class Added(msgspec.Struct, frozen=True):
    """A backup that was made. :ivar copied: files, and ``copied_bytes``, that were not there before."""

    name: str
    files: int
    bytes: int
    copied: int
    copied_bytes: int
    removed: tuple[str, ...] = ()


class Repository:
    """The backups in a directory. :raises AdminError: it is none of ours."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = path / "files"
        try:
            text = (path / MARKER).read_text(errors="replace")
        except FileNotFoundError:
            raise AdminError(f"{path} holds no backups") from None
        if text != MARKER_TEXT:
            raise AdminError(f"{path} holds backups of another layout: {text.strip()!r}")

    @classmethod
    def made(cls, path: Path) -> Repository:
        """The repository in a directory; where there is none it is made, with mode 0700.

        :raises AdminError: the directory holds something else."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = {each.name for each in path.iterdir()} - {"lost+found", "files", MARKER + PARTIAL}
        if not others:
            (path / "files").mkdir(mode=0o700, exist_ok=True)
            _write(path / MARKER, MARKER_TEXT.encode())
        elif MARKER not in others:
            raise AdminError(f"{path} holds files that are no backups; they were left alone")
        return cls(path)

    def listings(self) -> list[Listing]:
        """The backups, oldest first. :raises AdminError: a listing is damaged."""
        return [self._listing(path) for path in sorted(self._path.glob("*.json"))]

    def find(self, name: str | None) -> Listing:
        """A backup by name, or the newest. :raises AdminError: there is none."""
        names = sorted(path.stem for path in self._path.glob("*.json"))
        if not names:
            raise AdminError(f"{self._path} holds no complete backup")
        if name is not None and name not in names:
            raise AdminError(f"{self._path} holds no backup {name}")
        return self._listing(self._path / f"{name or names[-1]}.json")

    def _listing(self, path: Path) -> Listing:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Listing)
        except msgspec.DecodeError as error:
            raise AdminError(f"{path} is damaged: {error}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes meanwhile. :raises AdminError: someone does."""
        with (self._path / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AdminError(f"{self._path}: another backup is being made here") from None
            yield

    def add(self, source: Path, name: str, step: Step) -> Added:
        """Back up a database that nobody changes. :param step: told of the bytes that are done, file by file."""
        known = {file.stored: file for listing in self.listings() for file in listing.files}
        files = []
        copied = copied_bytes = 0
        for path in sorted(source.iterdir()):
            stored = f"{path.name}~{_print(path)}"
            file = known.get(stored)
            if file is None or not self._has(file):
                file = self._copy(path, stored, step)
                copied, copied_bytes = copied + 1, copied_bytes + file.size
            else:
                step(file.size)
            files.append(file)
        if STORE_MARKER not in {file.name for file in files}:
            raise AdminError(f"{source} is no database of s3gw")
        sync_directory(str(self._files))
        listing = Listing(name, tuple(files))
        _write(self._path / f"{name}.json", msgspec.json.format(msgspec.json.encode(listing), indent=1))
        return Added(name, len(files), listing.size, copied, copied_bytes)

    def _has(self, file: StoredFile) -> bool:
        try:
            return (self._files / file.stored).stat().st_size == file.size
        except FileNotFoundError:
            return False

    def _copy(self, path: Path, stored: str, step: Step) -> StoredFile:
        target = self._files / stored
        draft = target.with_name(stored + PARTIAL)
        with path.open("rb") as source, draft.open("wb") as copy:
            size, sha256 = _pour(source, copy, step)
        draft.rename(target)
        return StoredFile(path.name, stored, size, sha256)

    def keep(self, count: int) -> tuple[str, ...]:
        """Remove all but the newest backups, and the files that only they had. :return: their names."""
        listings = self.listings()
        old = listings[:-count]
        for listing in old:
            (self._path / f"{listing.name}.json").unlink()
        # First the names, durably: a listing must not outlive what it lists.
        sync_directory(str(self._path))
        used = {file.stored for listing in listings[-count:] for file in listing.files}
        for path in self._files.iterdir():
            if path.name not in used:
                path.unlink()
        return tuple(listing.name for listing in old)

    def extract(self, listing: Listing, target: Path, step: Step) -> None:
        """Make a database in ``target``, an empty directory. Until all of it is there and durable it lacks the marker
        by which it can be opened.

        :raises AdminError: a file is missing or is not what was backed up."""
        for file in sorted(listing.files, key=lambda each: each.name == STORE_MARKER):
            if file.name == STORE_MARKER:
                sync_directory(str(target))
            if os.path.basename(file.name) != file.name or os.path.basename(file.stored) != file.stored:
                raise AdminError(f"{listing.name} names a file outside of it: {file.name}")
            try:
                with (self._files / file.stored).open("rb") as source, (target / file.name).open("xb") as copy:
                    found = _pour(source, copy, step)
            except FileNotFoundError:
                raise AdminError(f"{self._files / file.stored} is missing") from None
            if found != (file.size, file.sha256):
                raise AdminError(f"{self._files / file.stored} is not what was backed up")
        sync_directory(str(target))


def _pour(source: BinaryIO, copy: BinaryIO, step: Step) -> tuple[int, str]:
    """Copy, durably. :return: size and SHA-256."""
    digest = hashlib.sha256()
    size = 0
    while block := source.read(BLOCK_BYTES):
        copy.write(block)
        digest.update(block)
        size += len(block)
        step(len(block))
    copy.flush()
    os.fsync(copy.fileno())
    return size, digest.hexdigest()


def _print(path: Path) -> str:
    """What tells a file from others of its name."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if path.suffix == TABLE:
            file.seek(max(0, size - END_BYTES))
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()[:32]


def _write(path: Path, data: bytes) -> None:
    """Write a file durably, and whole or not at all."""
    draft = path.with_name(path.name + PARTIAL)
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_directory(str(path.parent))
