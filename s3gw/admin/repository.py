"""Backups, which share the files that they have in common, in a `place.Place`.

A backup is a listing, written last: so a backup that is listed is complete. Tables of RocksDB never change, and a
database never uses the number of one again. A restored one may: so a table is known by its name, its size and a print
of its end, where RocksDB keeps its index, its figures and the identity of the process that wrote it. So a table that is
here already is not even read. Other files are small, and known by all of their bytes. What is copied gets a SHA-256,
which restoring verifies.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from s3gw.admin.place import BLOCK_BYTES, LISTING, MARKER, Place, Step
from s3gw.admin.report import AdminError
from s3gw.store.checkpoint import sync_directory
from s3gw.store.marker import MARKER as STORE_MARKER

MARKER_TEXT = "s3gw backups, layout 1\n"
END_BYTES = 64 * 1024
TABLE = ".sst"


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
    """The backups in a place. :raises AdminError: it has none of ours."""

    def __init__(self, place: Place) -> None:
        self._place = place
        marker = place.read(MARKER)
        if marker is None:
            raise AdminError(f"{place} holds no backups")
        text = marker.decode(errors="replace")
        if text != MARKER_TEXT:
            raise AdminError(f"{place} holds backups of another layout: {text.strip()!r}")

    @classmethod
    def made(cls, place: Place) -> Repository:
        """The repository in a place, made where there is none. :raises AdminError: the place holds something else."""
        if place.is_new():
            place.write(MARKER, MARKER_TEXT.encode())
        return cls(place)

    def listings(self) -> list[Listing]:
        """The backups, oldest first. :raises AdminError: a listing is damaged."""
        return [self._listing(name) for name in self._place.listings()]

    def find(self, name: str | None) -> Listing:
        """A backup by name, or the newest. :raises AdminError: there is none."""
        names = self._place.listings()
        if not names:
            raise AdminError(f"{self._place} holds no complete backup")
        if name is not None and name not in names:
            raise AdminError(f"{self._place} holds no backup {name}")
        return self._listing(name or names[-1])

    def _listing(self, name: str) -> Listing:
        try:
            return msgspec.json.decode(self._place.read(name + LISTING) or b"", type=Listing)
        except msgspec.DecodeError as error:
            raise AdminError(f"{name}{LISTING} in {self._place} is damaged: {error}") from None

    def add(self, source: Path, name: str, step: Step) -> Added:
        """Back up a database that nobody changes. :param step: told of the bytes that are done, file by file."""
        known = {file.stored: file for listing in self.listings() for file in listing.files}
        sizes = self._place.stored()
        files = []
        copied = copied_bytes = 0
        for path in sorted(source.iterdir()):
            stored = f"{path.name}~{_print(path)}"
            file = known.get(stored)
            if file is None or sizes.get(stored) != file.size:
                file = StoredFile(path.name, stored, *self._place.add(path, stored, step))
                copied, copied_bytes = copied + 1, copied_bytes + file.size
            else:
                step(file.size)
            files.append(file)
        if STORE_MARKER not in {file.name for file in files}:
            raise AdminError(f"{source} is no database of s3gw")
        self._place.settle()
        listing = Listing(name, tuple(files))
        self._place.write(name + LISTING, msgspec.json.format(msgspec.json.encode(listing), indent=1))
        return Added(name, len(files), listing.size, copied, copied_bytes)

    def keep(self, count: int) -> tuple[str, ...]:
        """Remove all but the newest backups, and the files that only they had. :return: their names."""
        old = self._place.listings()[:-count]
        self._place.remove(old, lambda: {file.stored for listing in self.listings() for file in listing.files})
        return tuple(old)

    def extract(self, listing: Listing, target: Path, step: Step) -> None:
        """Make a database in ``target``, an empty directory. Until all of it is there and durable it lacks the marker
        by which it can be opened.

        :raises AdminError: a file is missing or is not what was backed up."""
        for file in sorted(listing.files, key=lambda each: each.name == STORE_MARKER):
            if file.name == STORE_MARKER:
                sync_directory(str(target))
            if os.path.basename(file.name) != file.name or os.path.basename(file.stored) != file.stored:
                raise AdminError(f"{listing.name} names a file outside of it: {file.name}")
            with (target / file.name).open("xb") as copy:
                found = self._place.extract(file.stored, copy, step)
            if found is None:
                raise AdminError(f"{file.stored} is missing in {self._place}")
            if found != (file.size, file.sha256):
                raise AdminError(f"{file.stored} in {self._place} is not what was backed up")
        sync_directory(str(target))


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
