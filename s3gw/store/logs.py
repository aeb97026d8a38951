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
| none, but the next log     | an end that was never synced                 | told; later logs go to `KEPT`   |
| does not go on there       |                                              |                                 |

A log that lost its last writes, or has zeros in their place, looks whole to RocksDB, and so does one whose zeros begin
within the checksum of a write. That is right for the last one. Of an earlier one it would replay the next log behind
that hole: records would come back without what was written before them. With ``commit`` nothing behind the hole was
acknowledged, since a sync covers all logs; with ``os`` it is the last of what may go. How a hole is found out: `seams`.

The MANIFEST is synced after each edit, before anything is done because of it. So one that is unfinished was never
acted on. RocksDB takes that for granted where the file just ends, and refuses to open where zeros fill it up to the
length that a file system had noted already: these are cut off here, and a copy is kept. Where damage has made an edit
longer, the file seems to end within it as well. RocksDB would forget all later edits and delete the tables that they
named, so opening is refused here.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from itertools import chain, count
from mmap import ACCESS_READ, mmap
from typing import NamedTuple, TypeVar

from s3gw.store.checkpoint import sync_directory
from s3gw.store.engine import Engine, first_log
from s3gw.store.interface import StoreFailed
from s3gw.store.logfile import LogScan, record_at, scan_log
from s3gw.store.seams import HEAD_BYTES, Span, first_behind_hole

T = TypeVar("T")

KEPT = "damaged-logs"
"""The directory, within that of the database, that keeps damaged logs from being deleted."""

AHEAD = "SST file is ahead of WALs"
"""What RocksDB says when it has tables of some column family that are newer than where the logs end."""

ZEROS = 8
"""No edit of a MANIFEST ends with so many: each ends with the number of its column family."""

SECTOR = 512
"""Disks write so many bytes at a time, or a multiple: fewer zeros than `ZEROS` are a tear where they begin with one."""


class Log(NamedTuple):
    """A log file: its name, what is in it, and which rows; those are None if there is no whole write."""

    name: str
    scan: LogScan
    span: Span | None

    @property
    def number(self) -> int:
        return int(self.name.partition(".")[0])


def open_recovered(path: str, make: Callable[[], Engine]) -> tuple[Engine, list[str]]:
    """Open the database in a directory by calling ``make``; in words, what a crash or the disk has taken.

    RocksDB refuses a log that ends within a write when a column family needs nothing more of that log, since what is in
    its tables might be part of that write. It is not: a log that is closed is synced before what was flushed counts. So
    the write is one that failed, and nothing of it was applied. Its beginning is cut off, once RocksDB has seen that
    nobody else has the database open.
    """
    lines = recover(path)
    try:
        return make(), lines
    except Exception as error:
        if AHEAD not in str(error) or not _cut_torn_end(path):
            raise
    return make(), lines


def recover(path: str) -> list[str]:
    """Make the database in a directory, which nobody has open, ready to be opened; in words, what was lost.

    Where somebody has it open nothing is changed: a log is whole when the next one begins.
    """
    return [*mend_manifest(path), *inspect_logs(path, lambda: first_log(path))]


def _read_logs(path: str) -> list[Log]:
    names = [name for name in os.listdir(path) if re.fullmatch(r"[0-9]+\.log", name)]
    return sorted(filter(None, (_read_log(path, name) for name in names)), key=lambda log: log.number)


def _cut_torn_end(path: str) -> bool:
    """Cut off the write that the last log ends within. :return: whether there was one."""
    written = [log for log in _read_logs(path) if log.scan.good or log.scan.bad is not None]
    if not written or written[-1].scan.torn is None:
        return False
    with open(os.path.join(path, written[-1].name), "r+b") as file:
        file.truncate(written[-1].scan.torn)
        os.fsync(file.fileno())
    return True


def inspect_logs(path: str, replayed_from: Callable[[], int]) -> list[str]:
    """What is wrong with the logs of the database in a directory, in words. Those that are damaged are kept.

    :param replayed_from: tells the number of the first log that will be replayed. It is asked for if there seems to be
        a hole: there is one between logs that were to be deleted, when some are and some are not yet.
    """
    logs = _read_logs(path)
    hole = first_behind_hole([log.span for log in logs])
    if hole is not None:
        first = replayed_from()
        logs = [log for log in logs if log.number >= first]
        hole = first_behind_hole([log.span for log in logs])
    lines = []
    for index, (name, scan, _) in enumerate(logs):
        later = [log.name for log in logs[index + 1 :] if log.scan.good]
        if scan.bad is not None or (scan.torn is not None and not later):
            lines.append(_judge_damage(path, name, scan, later))
            if index + 1 == hole:
                _put_aside(path, later)  # RocksDB takes some tears for an end, and would go on behind them
            break
        if index + 1 == hole:
            _put_aside(path, later)
            lines.append(
                f"the log {name} ends too early: a power cut took writes that were not synced, so those behind them "
                f"are not applied; {', '.join(later)} kept in {os.path.join(path, KEPT)}"
            )
            break
    return lines


def _judge_damage(path: str, name: str, scan: LogScan, later: list[str]) -> str:
    if not scan.good_behind and not later:
        at = scan.torn if scan.bad is None else scan.bad
        return f"the log {name} ends at byte {at} within a write, which nobody was told of"
    for each in (name, *later):
        _keep(path, each)
    return (
        f"the log {name} is damaged at byte {scan.bad}: writes behind that are not applied, and may have been "
        f"acknowledged; {', '.join((name, *later))} kept in {os.path.join(path, KEPT)}"
    )


def mend_manifest(path: str) -> list[str]:
    """Cut off the zeros of an unfinished edit; in words, what was done.

    :raises StoreFailed: it is damaged. RocksDB says so itself, unless it takes damage for an end.
    """
    try:
        with open(os.path.join(path, "CURRENT"), encoding="ascii", errors="replace") as current:
            name = current.read().strip()
    except FileNotFoundError:
        return []  # a new database
    manifest = os.path.join(path, name)
    if re.fullmatch("MANIFEST-[0-9]+", name) is None or not os.path.exists(manifest):
        return []
    scan = _read(manifest, scan_log)
    bad = scan.bad
    if bad is not None and scan.good_behind:
        raise StoreFailed(f"{name} is damaged at byte {bad}")
    if bad is None or not scan.good:
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


def _read_log(path: str, name: str) -> Log | None:
    def read(data: memoryview) -> Log:
        scan = scan_log(data)
        if scan.last is None:
            return Log(name, scan, None)
        return Log(name, scan, Span.of(record_at(data, 0), record_at(data, scan.last, HEAD_BYTES)))

    try:
        return _read(os.path.join(path, name), read)
    except FileNotFoundError:
        return None  # so somebody has the database open, as opening will tell


def _read(path: str, read: Callable[[memoryview], T]) -> T:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return read(memoryview(b""))
        with mmap(file.fileno(), size, access=ACCESS_READ) as mapped, memoryview(mapped) as data:
            return read(data)


def _put_aside(path: str, names: list[str]) -> None:
    """Keep logs, and let nobody replay them: the last one first, so that a crash meanwhile makes no other hole."""
    for name in names:
        _keep(path, name)
    sync_directory(os.path.join(path, KEPT))
    for name in reversed(names):
        os.unlink(os.path.join(path, name))
    sync_directory(path)


def _keep(path: str, name: str) -> None:
    """Have a log in `KEPT` as well. Numbers of logs that were put aside come again: an older one keeps its name."""
    kept = os.path.join(path, KEPT)
    os.makedirs(kept, mode=0o700, exist_ok=True)
    log = os.path.join(path, name)
    for other in chain((name,), (f"{name}.{number}" for number in count(2))):
        try:
            os.link(log, os.path.join(kept, other))
        except FileExistsError:
            if not os.path.samefile(log, os.path.join(kept, other)):
                continue
            # An earlier attempt to open has kept it.
        return
