"""What is in a log of RocksDB, or in its MANIFEST, which has the same format.

A log is a run of blocks of 32 KiB, each full of fragments of records (RocksDB wiki, "Write Ahead Log File Format"):

| 4 bytes                                 | 2 bytes | 1 byte | length bytes |
|-----------------------------------------|---------|--------|--------------|
| CRC32C of type and payload, rotated, masked | length  | type   | payload      |

A tear looks like damage, and damage of a length like a tear. But nothing good is behind a tear, and the checksum of
what was torn fits no length.
"""

from __future__ import annotations

from typing import NamedTuple

from awscrt.checksums import crc32c

BLOCK = 32 * 1024
HEADER = 7

WHOLE, FIRST, _MIDDLE, LAST = 1, 2, 3, 4
"""What of a record is in a fragment."""

_TYPES = [crc32c(bytes((kind,))) for kind in range(256)]


class LogScan(NamedTuple):
    """What is in a log: where its first bad fragment begins, or None; good fragments before it; whether some follow;
    where the last whole record before it begins, or None; where a record begins that the end of the file cuts off."""

    bad: int | None
    good: int
    good_behind: bool
    last: int | None = None
    torn: int | None = None


def scan_log(data: memoryview) -> LogScan:
    """Read a log through, as far as it takes to know."""
    bad: int | None = None
    last: int | None = None
    torn: int | None = None
    good = at = begun = 0
    written = _written(data)
    while len(data) - at >= HEADER:
        left = BLOCK - at % BLOCK
        end = _end(data, at)
        if left < HEADER:
            at += left
        elif end and _is_good(data, at, end):
            if bad is not None:
                return LogScan(bad, good, True, last)
            good += 1
            if data[at + 6] in (WHOLE, FIRST):
                begun = at
            if data[at + 6] in (WHOLE, LAST):
                last, torn = begun, None
            else:
                torn = begun
            at = end
        elif at >= written:
            break  # room that was made beforehand, or what a power cut left of writes
        elif not any(data[at : at + left]):
            if bad is None:
                bad = at  # a hole
            at += left
        else:
            if bad is None:
                bad = at
                if _has_wrong_length(data, at):
                    return LogScan(bad, good, True, last)
            at = _next_good(data, at, at + left)
    if bad is None and at < written:
        bad = at
    if bad is not None:
        torn = (bad if torn is None else torn) if _is_cut_off(data, bad) else None
    return LogScan(bad, good, False, last, torn if bad is not None or at == len(data) else None)


def record_at(data: memoryview, at: int, limit: int | None = None) -> bytes:
    """The whole record that begins here, or its first ``limit`` bytes at least."""
    record = b""
    while True:
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        end = _end(data, at)
        record += data[at + HEADER : end]
        if data[at + 6] in (WHOLE, LAST) or (limit is not None and len(record) >= limit):
            return record
        at = end


def _written(data: memoryview) -> int:
    """Where the zeros begin that it ends with."""
    end = len(data)
    while end:
        start = max(0, end - BLOCK)
        block = bytes(data[start:end]).rstrip(b"\0")
        if block:
            return start + len(block)
        end = start
    return 0


def _end(data: memoryview, at: int) -> int:
    """Where the fragment that begins here ends; 0 if there is none."""
    length = data[at + 4] | data[at + 5] << 8 if len(data) - at >= HEADER else BLOCK
    end = at + HEADER + length
    return end if end <= len(data) and at % BLOCK + HEADER + length <= BLOCK else 0


def _next_good(data: memoryview, at: int, block: int) -> int:
    """Where the next good fragment behind a bad one begins; where a block does, if there is none in this one."""
    for place in range(at + 1, min(block, len(data)) - HEADER):
        if WHOLE <= data[place + 6] <= LAST and (end := _end(data, place)) and _is_good(data, place, end):
            return place
    return block


def _has_wrong_length(data: memoryview, at: int) -> bool:
    """Whether a fragment is whole that only seems to go on behind the end of what was written."""
    wanted = data[at : at + 4]
    crc = _TYPES[data[at + 6]]
    for place in range(at + HEADER, min(at - at % BLOCK + BLOCK, len(data))):
        crc = crc32c(data[place : place + 1], crc)
        if _masked(crc) == wanted:
            return True
    return False


def _is_cut_off(data: memoryview, at: int) -> bool:
    """Whether a fragment goes on behind the end."""
    length = data[at + 4] | data[at + 5] << 8 if len(data) - at >= HEADER else BLOCK
    return at + HEADER + length > len(data)


def _is_good(data: memoryview, at: int, end: int) -> bool:
    crc = crc32c(data[at + HEADER : end], _TYPES[data[at + 6]])
    return _masked(crc) == data[at : at + 4] and bool(data[at + 6])


def _masked(crc: int) -> bytes:
    rotated = ((crc >> 15 | crc << 17) & 0xFFFFFFFF) + 0xA282EAD8
    return (rotated & 0xFFFFFFFF).to_bytes(4, "little")
