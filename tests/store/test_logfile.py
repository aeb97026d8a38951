"""What is read of a log, whole, torn or damaged."""

from __future__ import annotations

from awscrt.checksums import crc32c
from twisted.trial.unittest import SynchronousTestCase

from s3gw.store.logfile import BLOCK, HEADER, LogScan, record_at, scan_log


def fragment(payload: bytes, kind: int = 1) -> bytes:
    """A fragment as RocksDB writes it."""
    crc = crc32c(bytes((kind,)) + payload)
    masked = ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF
    return masked.to_bytes(4, "little") + len(payload).to_bytes(2, "little") + bytes((kind,)) + payload


def log(count: int, size: int = 1000, first: int = 1) -> bytes:
    """A log of so many writes of one row each, each in one fragment, blocks filled up by others of none."""
    written = b""
    for number in range(first, first + count):
        left = BLOCK - len(written) % BLOCK
        if left < HEADER + size:
            written += fragment(number.to_bytes(8, "little") + bytes(left - HEADER - 8))
        written += fragment(number.to_bytes(8, "little") + b"\1\0\0\0" + number.to_bytes(4, "big") * (size // 4 - 3))
    return written


def scan(data: bytes) -> LogScan:
    return scan_log(memoryview(data))


class ScanTests(SynchronousTestCase):
    """`scan_log`"""

    def test_sound(self) -> None:
        """A log that is whole has nothing bad, however long, and whatever room was made behind it."""
        for count in (0, 1, 31, 32, 33, 200):
            for room in (0, 3, 100, 2 * BLOCK):
                found = scan(log(count) + bytes(room))
                self.assertEqual((found.bad, found.good_behind), (None, False), (count, room))

    def test_long_room(self) -> None:
        """Zeros at the end are looked at once: 32 MiB of them again for each block would take minutes."""
        whole = log(40)
        for room in (1, HEADER, -len(whole) % BLOCK, 32 * 1024 * 1024):
            self.assertEqual(scan(whole + bytes(room)), scan(whole), room)
        self.assertEqual(scan(whole + bytes(3 * BLOCK) + whole).bad, len(whole))

    def test_torn(self) -> None:
        """A log that ends anywhere within its last record, with zeros behind or not, is torn there and not damaged."""
        whole = log(40)
        for cut in (1, 500, 1000, 1006):
            for room in (0, 100, BLOCK):
                found = scan(whole[:-cut] + bytes(room))
                self.assertEqual((found.bad, found.good_behind), (len(whole) - 1007, False), (cut, room))

    def test_damaged(self) -> None:
        """A bit that flips anywhere in any record but the last has good records behind it."""
        whole = log(40)
        for at in (0, 4, 5, 6, 7, 1000, 1007, 20_000, BLOCK - 3, BLOCK + 2, len(whole) - 1008):
            flipped = bytearray(whole)
            flipped[at] ^= 4
            found = scan(bytes(flipped))
            self.assertTrue(found.good_behind, at)
            assert found.bad is not None
            self.assertLess(at - 1007 - HEADER - BLOCK % 1007, found.bad)
            self.assertLessEqual(found.bad, at)

    def test_length(self) -> None:
        """A record that got another length is damaged, also where it seems to be cut off by the end."""
        for count in (1, 3, 40):
            whole = log(count)
            for at in {5, len(whole) - 1002}:
                for bit in range(8):
                    longer = bytearray(whole)
                    longer[at] ^= 1 << bit
                    for room in (0, 100):
                        found = scan(bytes(longer) + bytes(room))
                        self.assertEqual(found[:3:2], (at - 5, True), (count, at, bit))

    def test_hole(self) -> None:
        """A block that was never written, with written ones behind it, is no end."""
        whole = bytearray(log(100))
        whole[BLOCK : 2 * BLOCK] = bytes(BLOCK)
        self.assertEqual(scan(bytes(whole))[:3:2], (BLOCK, True))

    def test_last(self) -> None:
        """The last record is the last one that is whole, in however many fragments."""
        parts = fragment(b"a" * 100, 2), fragment(b"b" * 100, 3), fragment(b"c" * 100, 4)
        whole = log(3)
        for data, last in (
            (b"", None),
            (parts[0], None),
            (whole, 2014),
            (whole[:-1], 1007),
            (whole + parts[0] + parts[1], 2014),
            (whole + b"".join(parts), len(whole)),
            (whole + b"".join(parts) + parts[0], len(whole)),
        ):
            self.assertEqual(scan(data).last, last)
        for data, torn in (
            (whole, None),
            (whole[:-1], 2014),
            (whole[:-1001], 2014),
            (whole + parts[0], len(whole)),
            (whole + parts[0] + parts[1][:-1], len(whole)),
            (whole + parts[0] + parts[1], len(whole)),
            (whole + b"".join(parts), None),
            (whole + parts[0] + bytes(10), None),
            (whole[:-1] + b"x", None),
        ):
            self.assertEqual(scan(data).torn, torn)
        data = memoryview(whole + b"".join(parts))
        self.assertEqual(record_at(data, len(whole)), b"a" * 100 + b"b" * 100 + b"c" * 100)
        self.assertEqual(record_at(data, len(whole), 12)[:12], b"a" * 12)
