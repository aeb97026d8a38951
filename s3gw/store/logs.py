"""Whether the logs that opening is about to replay are whole; and the MANIFEST, which has the same format.

RocksDB replays its logs up to the first bad record and says nothing about it: what follows a torn record was never
synced, so nobody was told. When a disk has damaged a log, though, there are good records behind the bad one, and these
were acknowledged. They cannot be applied any more, since what lies between is unknown; but nobody must be left to
believe that all is well, and nothing must be thrown away.

| the first bad record       | is                                           | what is done                    |
|----------------------------|----------------------------------------------|---------------------------------|
| none                       | a log that ended between two writes          | nothing                         |
| with no good one behind it | what a power cut leaves                      | told                            |
| with good ones behind it   | damage, or writes that a power cut reordered | told; the log is kept in `KEPT` |
| none, but zeros at the end | an end that was never synced                 | told; later logs go to `KEPT`   |

RocksDB takes zeros for the end of a log, as it should of the last one. Of an earlier one they are writes that are lost,
and it would replay the next log behind that hole: records would come back without what was written before them. With
``commit`` nothing behind the hole was acknowledged, since a sync covers all logs; with ``os`` it is the last of what
may go. An earlier log that is merely short, by whole writes, cannot be told from a whole one.

The MANIFEST is synced after each edit, before anything is done because of it. So one that is unfinished was never
acted on. RocksDB takes that for granted where the file just ends, and refuses to open where zeros fill it up to the
length that a file system had noted already: these are cut off here, and a copy is kept.

A log is a run of blocks of 32 KiB, each full of fragments of records (RocksDB wiki, "Write Ahead Log File Format"):

| 4 bytes                                 | 2 bytes | 1 byte | length bytes |
|-----------------------------------------|---------|--------|--------------|
| CRC32C of type and payload, rotated, masked | length  | type   | payload      |
"""

from __future__ import annotations

import os
import re
import shutil
from mmap import ACCESS_READ, mmap
from typing import NamedTuple

from awscrt.checksums import crc32c

KEPT = "damaged-logs"
"""The directory, within that of the database, that keeps damaged logs from being deleted."""

ZEROS = 8
"""No edit of a MANIFEST ends with so many: each ends with the number of its column family."""

SECTOR = 512
"""Disks write so many bytes at a time, or a multiple: fewer zeros than `ZEROS` are a tear where they begin with one."""

BLOCK = 32 * 1024
HEADER = 7

_TYPES = [crc32c(bytes((kind,))) for kind in range(256)]


class LogScan(NamedTuple):
    """What is in a log: where its first bad fragment begins, or None; good fragments before it; whether some follow;
    where zeros begin that fill a log without a bad one up to its length, or None."""

    bad: int | None
    good: int
    good_behind: bool
    zeros: int | None = None


def scan_log(data: memoryview) -> LogScan:
    """Read a log through, as far as it takes to know."""
    bad: int | None = None
    good = at = written = 0
    while len(data) - at >= HEADER:
        left = BLOCK - at % BLOCK
        end = _end(data, at)
        if left < HEADER:
            at += left
        elif end and _is_good(data, at, end):
            if bad is not None:
                return LogScan(bad, good, True)
            good += 1
            at = written = end
        elif not any(data[at : at + left]):
            at += left  # a hole, or room that was made beforehand; what is behind it will tell
            if bad is None and any(data[at:]):
                bad = at - left
        else:
            if bad is None:
                bad = at
            # Its length may be right, and the next one good; else the next one that can be found begins a block.
            at = end if end and _end(data, end) and _is_good(data, end, _end(data, end)) else at + left
    if bad is None and any(data[at:]):
        bad = at
    return LogScan(bad, good, False, written if bad is None and written < len(data) else None)


def _end(data: memoryview, at: int) -> int:
    """Where the fragment that begins here ends; 0 if there is none."""
    length = data[at + 4] | data[at + 5] << 8 if len(data) - at >= HEADER else BLOCK
    end = at + HEADER + length
    return end if end <= len(data) and at % BLOCK + HEADER + length <= BLOCK else 0


def _is_good(data: memoryview, at: int, end: int) -> bool:
    crc = crc32c(data[at + HEADER : end], _TYPES[data[at + 6]])
    rotated = ((crc >> 15 | crc << 17) & 0xFFFFFFFF) + 0xA282EAD8
    return rotated & 0xFFFFFFFF == int.from_bytes(data[at : at + 4], "little") and bool(data[at + 6])


def inspect_logs(path: str) -> list[str]:
    """What is wrong with the logs of the database in a directory, in words. Those that are damaged are kept."""
    names = sorted(name for name in os.listdir(path) if re.fullmatch(r"[0-9]+\.log", name))
    scans = [_scan_file(os.path.join(path, name)) for name in names]
    lines = []
    for number, (name, scan) in enumerate(zip(names, scans, strict=True)):
        later = [other for other, found in zip(names[number + 1 :], scans[number + 1 :], strict=True) if found.good]
        if scan.bad is None:
            if scan.zeros is not None and later:
                _put_aside(path, later)
                lines.append(
                    f"the log {name} ends in zeros from byte {scan.zeros}: a power cut took writes that were not "
                    f"synced, so those behind them are not applied; {', '.join(later)} kept in "
                    f"{os.path.join(path, KEPT)}"
                )
                break
            continue
        if scan.good_behind or later:
            for each in (name, *later):
                _keep(path, each)
            lines.append(
                f"the log {name} is damaged at byte {scan.bad}: writes behind that are not applied, and may have been "
                f"acknowledged; {', '.join((name, *later))} kept in {os.path.join(path, KEPT)}"
            )
        else:
            lines.append(f"the log {name} ends at byte {scan.bad} within a write, which nobody was told of")
        break
    return lines


def mend_manifest(path: str) -> list[str]:
    """Cut off the zeros of an unfinished edit; in words, what was done. What else may be wrong is RocksDB's to say."""
    try:
        with open(os.path.join(path, "CURRENT"), encoding="ascii", errors="replace") as current:
            name = current.read().strip()
    except FileNotFoundError:
        return []  # a new database
    manifest = os.path.join(path, name)
    if re.fullmatch("MANIFEST-[0-9]+", name) is None or not os.path.exists(manifest):
        return []
    scan = _scan_file(manifest)
    bad = scan.bad
    if bad is None or not scan.good or scan.good_behind:
        return []
    with open(manifest, "r+b") as file:
        content = file.read()
        written = len(content.rstrip(b"\0"))
        if len(content) - written < ZEROS and (written % SECTOR or written == len(content)):
            return []
        os.makedirs(os.path.join(path, KEPT), mode=0o700, exist_ok=True)
        shutil.copyfile(manifest, os.path.join(path, KEPT, name))
        file.truncate(bad)
        os.fsync(file.fileno())
    return [f"{name} ended at byte {bad} within an edit that was never acted on; the zeros behind it were cut off"]


def _scan_file(path: str) -> LogScan:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return LogScan(None, 0, False)
        with mmap(file.fileno(), size, access=ACCESS_READ) as mapped, memoryview(mapped) as data:
            return scan_log(data)


def _put_aside(path: str, names: list[str]) -> None:
    """Keep logs, and let nobody replay them: the last one first, so that a crash meanwhile makes no other hole."""
    for name in names:
        _keep(path, name)
    _sync_directory(os.path.join(path, KEPT))
    for name in reversed(names):
        os.unlink(os.path.join(path, name))
    _sync_directory(path)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep(path: str, name: str) -> None:
    kept = os.path.join(path, KEPT)
    os.makedirs(kept, mode=0o700, exist_ok=True)
    try:
        os.link(os.path.join(path, name), os.path.join(kept, name))
    except FileExistsError:
        pass  # by an earlier attempt to open
