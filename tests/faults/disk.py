"""What a disk holds after a power cut, reckoned from the journal of a process that ran under `shim.c`.

A file's bytes are on disk up to what its last sync covered. Of what was written after that, and of the changes of the
directory after its last sync, a disk may have any part; the forms of loss that are tried:

| form     | of the bytes that were not synced                        | of the directory's changes       |
|----------|----------------------------------------------------------|----------------------------------|
| `LOST`   | nothing is there                                         | nothing is there                 |
| `TORN`   | of each file some first writes, the last of them in part | some first ones                  |
| `SHORT`  | of each file some first writes, each of them whole       | some first ones                  |
| `ZEROED` | of each file some first sectors, zeros to its length     | some first ones                  |
| `KEPT`   | everything is there, as after the kill of the process    | everything is there              |

A sync that failed covers nothing, and what it should have covered is gone for good, though the process still sees it:
Linux marks such pages clean.

| journal     | file | offset        | bytes       |                                             |
|-------------|------|---------------|-------------|---------------------------------------------|
| CREATE      | id   |               | name        | a new, empty file                           |
| ADOPT       | id   |               | name        | one that was there before is opened         |
| WRITE       | id   | where         | what        |                                             |
| TRUNCATE    | id   | new length    |             |                                             |
| SYNC_BEGIN  | id   | serial number |             | of the file, or of the directory, which is 0 |
| SYNC_END    | id   | serial number |             | what stood before its beginning is durable  |
| SYNC_FAILED | id   | serial number |             |                                             |
| RENAME      |      |               | old ``/`` new |                                           |
| UNLINK      |      |               | name        |                                             |
| LINK        |      |               | old ``/`` new |                                           |
| RESTART     |      |               |               | another process; its ids are of its own     |
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random

from s3gw.store.logs import KEPT as KEPT_LOGS

CREATE, ADOPT, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, SYNC_FAILED, RENAME, UNLINK, LINK, RESTART = range(1, 12)
LOST, TORN, SHORT, ZEROED, KEPT = FORMS = ("lost", "torn", "short", "zeroed", "kept")
DIRECTORY = 0
SECTOR = 512
IDS = 1 << 20
"""More than one process gives."""

_RECORD = struct.Struct("=IIQQ")

Record = tuple[int, int, int, bytes]
Names = dict[str, int]


def read_journal(path: Path) -> Iterator[tuple[int, Record]]:
    """The records of a journal, each with the position behind it; one that a kill has cut short is none."""
    data = memoryview(path.read_bytes())
    at = 0
    while at + _RECORD.size <= len(data):
        kind, file, offset, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size + length
        if at > len(data):
            return
        yield at, (kind, file, offset, bytes(data[at - length : at]))


def note_restart(path: Path) -> None:
    """Let a journal go on with another process, behind its last whole record."""
    end = max((at for at, _ in read_journal(path)), default=0)
    with path.open("r+b") as journal:
        journal.truncate(end)
        journal.seek(end)
        journal.write(_RECORD.pack(RESTART, 0, 0, 0))


class File:
    """The bytes of one file: those on disk, and what was done since."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = bytearray(durable)
        self.pending: list[Record] = []
        self._syncs: dict[int, int] = {}

    def begin_sync(self, serial: int) -> None:
        self._syncs[serial] = len(self.pending)

    def end_sync(self, serial: int, *, failed: bool) -> None:
        covered = self._syncs.pop(serial)
        done, self.pending = self.pending[:covered], self.pending[covered:]
        self._syncs = {other: max(0, count - covered) for other, count in self._syncs.items()}
        for record in done:
            if failed and record[0] == WRITE:
                self.durable.extend(bytes(max(0, record[2] + len(record[3]) - len(self.durable))))
            else:
                _apply(self.durable, record)

    def after(self, form: str, random: Random) -> bytes:
        """What is left of it."""
        left = bytearray(self.durable)
        if form == LOST or not self.pending:
            return bytes(left)
        kept = len(self.pending) if form == KEPT else random.randrange(len(self.pending) + 1)
        for record in self.pending[:kept]:
            _apply(left, record)
        if kept < len(self.pending) and form != SHORT:
            kind, file, offset, data = self.pending[kept]
            if kind == WRITE:
                cut = random.randrange(len(data) + 1)
                if form == ZEROED:
                    cut = max(0, cut - (offset + cut) % SECTOR)
                _apply(left, (kind, file, offset, data[:cut]))
            if form == ZEROED:
                ends = [offset + len(data) for kind, _, offset, data in self.pending[kept:] if kind == WRITE]
                left.extend(bytes(max(0, max(ends, default=0) - len(left))))
        return bytes(left)


def _apply(content: bytearray, record: Record) -> None:
    kind, _, offset, data = record
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if kind == WRITE:
        content[offset : offset + len(data)] = data
    else:
        del content[offset:]


class Disk:
    """A directory whose files lose what was not synced.

    :param start: a directory that holds what was on disk when the process started.
    """

    def __init__(self, start: Path) -> None:
        self._files: dict[int, File] = {}
        self._names: Names = {}
        self._before = {path.name: path.read_bytes() for path in start.iterdir() if path.is_file()}
        self._directory = File()  # its "writes" are changes of names
        self._unborn = -1
        self._earlier = 0
        for name, content in self._before.items():
            self._files[self._unborn] = File(content)
            self._names[name] = self._unborn
            self._unborn -= 1

    def do(self, record: Record) -> None:
        """Take in the next record of the journal."""
        kind, number, offset, data = record
        if number != DIRECTORY:
            number += self._earlier
            record = kind, number, offset, data
        if kind == RESTART:
            self._earlier += IDS
        elif kind in (SYNC_BEGIN, SYNC_END, SYNC_FAILED):
            self._sync(kind, number, offset)
        elif kind in (WRITE, TRUNCATE):
            self._files[number].pending.append(record)
        elif kind == ADOPT:
            self._adopt(number, data.decode())
        else:
            if kind == CREATE:
                self._files[number] = File()
            self._directory.pending.append(record)

    def _sync(self, kind: int, number: int, serial: int) -> None:
        if number != DIRECTORY:
            file = self._files[number]
            if kind == SYNC_BEGIN:
                file.begin_sync(serial)
            else:
                file.end_sync(serial, failed=kind == SYNC_FAILED)
        elif kind == SYNC_BEGIN:
            self._directory.begin_sync(serial)
        elif kind == SYNC_END:
            covered = self._directory._syncs.pop(serial)
            for change in self._directory.pending[:covered]:
                _change(self._names, change)
            del self._directory.pending[:covered]
            others = self._directory._syncs
            self._directory._syncs = {other: max(0, count - covered) for other, count in others.items()}

    def names(self) -> Names:
        """The files that the process sees."""
        names = dict(self._names)
        for change in self._directory.pending:
            _change(names, change)
        return names

    def _adopt(self, number: int, name: str) -> None:
        """A file that was there before has got its number."""
        if name == KEPT_LOGS:
            self._files[number] = File()  # a directory, which nobody reads
            return
        unborn = self.names()[name]
        self._files[number] = self._files[unborn]
        for known in (self._names,):
            for each in [each for each, file in known.items() if file == unborn]:
                known[each] = number

    def at_seam(self) -> bool:
        """Whether a later log was written to before an earlier one was synced."""
        return sum(name.endswith(".log") and bool(self._files[file].pending) for name, file in self.names().items()) > 1

    def cut(self, where: Path, form: str, random: Random) -> None:
        """Make a directory of what is left after a power cut now."""
        names = dict(self._names)
        changes = self._directory.pending
        kept = {LOST: 0, KEPT: len(changes)}.get(form, random.randrange(len(changes) + 1))
        for change in changes[:kept]:
            _change(names, change)
        where.mkdir(parents=True)
        for name, number in names.items():
            (where / name).write_bytes(self._files[number].after(form, random))


def _change(names: Names, record: Record) -> None:
    kind, number, _, data = record
    old, _, new = data.decode().partition("/")
    if kind == CREATE:
        names[old] = number
    elif kind == UNLINK:
        names.pop(old, None)
    elif old in names:
        names[new] = names[old]
        if kind == RENAME:
            del names[old]
