"""Whether one log goes on where the one before it ends, by what RocksDB itself writes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from s3gw.store.engine import Engine, first_log
from s3gw.store.keys import LOG
from s3gw.store.logfile import BLOCK, FIRST, LAST, record_at, scan_log
from s3gw.store.logs import AHEAD, KEPT, SECTOR, open_recovered, recover
from s3gw.store.options import CHUNKS, FAMILIES, RECORDS
from s3gw.store.seams import HEAD_BYTES, Span, first_behind_hole, row_after
from tests.store.test_logfile import fragment


def open_engine(path: Path) -> Engine:
    return Engine(str(path), durability="os", cache_bytes=1 << 20, create=True, reserve_bytes=0, observe=None)


class SpanTests(SynchronousTestCase):
    """`Span` and `first_behind_hole`"""

    def write(self, number: int, rows: int, after: int | None = None) -> bytes:
        """A write as the log has it."""
        head = number.to_bytes(8, "little") + rows.to_bytes(4, "little")
        if after is None:
            return head + b"\1\1k\1v"
        row, value = row_after(after)
        return head + b"\1\1k\1v" + bytes((1, len(row))) + row + bytes((len(value),)) + value

    def test_of(self) -> None:
        """A log has the rows from the first of its first write to the last of its last one."""
        self.assertEqual(Span.of(self.write(7, 2), self.write(20, 3)[:HEAD_BYTES]), Span(7, 22))
        self.assertEqual(Span.of(self.write(7, 3, 4), self.write(7, 3)), Span(7, 9, 4))
        self.assertEqual(Span.of(self.write(7, 0), self.write(7, 0)), Span(7, 6))

    def test_likeness(self) -> None:
        """A body that ends as such a row does, but for the CRC, tells of nothing."""
        write = bytearray(self.write(7, 2, 4))
        write[-1] ^= 1
        self.assertIsNone(Span.of(bytes(write), bytes(write)).behind)

    def test_holes(self) -> None:
        """What is missing between two logs is noticed, and nothing else."""
        for spans, hole in (
            ([], None),
            ([Span(5, 9)], None),
            ([Span(5, 9), Span(10, 12), None, None], None),
            ([Span(5, 9), None, Span(10, 12), Span(13, 13)], None),
            ([Span(5, 9), Span(11, 12)], 1),
            ([Span(5, 9), Span(14, 15, 9), Span(16, 16)], None),
            ([Span(5, 9), Span(14, 15, 10), Span(16, 16)], 1),
            ([Span(5, 9), None, Span(11, 12)], 2),
            ([None, Span(5, 9)], 1),
            ([None, None], None),
        ):
            self.assertEqual(first_behind_hole(spans), hole, spans)


class LogTests(SynchronousTestCase):
    """Logs that RocksDB has written, after the process died."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.engine = open_engine(self.path)
        self.rows: list[bytes] = []

    def tearDown(self) -> None:
        self.engine.close()

    def put(self, count: int = 1, size: int = 10) -> None:
        """Write records, each by itself."""
        for _ in range(count):
            self.rows.append(b"T\0%04d" % len(self.rows))
            batch = self.engine.batch()
            batch.put(self.rows[-1], bytes(size))
            self.engine.write(batch)

    def put_chunk(self, *, logged: bool = True) -> None:
        batch = self.engine.batch()
        batch.put_chunk(os.urandom(20), b"chunk")
        self.engine.write(batch, logged=logged)

    def next_log(self, *, logged: bool = True) -> None:
        """Have RocksDB begin another log, and go on needing the one before."""
        self.put_chunk(logged=logged)
        self.engine.flush(CHUNKS)

    def killed(self) -> Path:
        """What is left when the process dies now."""
        path = Path(self.mktemp())
        shutil.copytree(self.path, path)
        return path

    def logs(self, path: Path) -> list[Path]:
        return sorted(path.glob("*.log"), key=lambda log: int(log.stem))

    def cut(self, log: Path, writes: int = 1) -> None:
        """Take the last writes of a log away."""
        for _ in range(writes):
            data = log.read_bytes()
            last = scan_log(memoryview(data)).last
            assert last is not None
            log.write_bytes(data[:last])

    def found(self, path: Path) -> list[bytes]:
        """The records that opening shows."""
        engine = open_engine(path)
        values = engine.records(self.rows)
        engine.close()
        return [row for row, value in zip(self.rows, values, strict=True) if value is not None]

    def test_whole(self) -> None:
        """Nothing is said of logs that the death of a process leaves, and everything is there."""
        self.put(3)
        self.next_log()
        self.put(2, 100_000)
        self.next_log()
        self.next_log()
        self.put()
        path = self.killed()
        self.assertGreater(len(self.logs(path)), 3)
        self.assertEqual((recover(str(path)), self.found(path)), ([], self.rows))

    def test_short(self) -> None:
        """A log that lacks its last writes, be they one or all, takes along what was written to later ones."""
        self.put(3)
        self.next_log()
        self.put(3, 50_000)
        self.next_log()
        self.put(3)
        self.next_log()
        self.put(3)
        path = self.killed()
        names = [log.name for log in self.logs(path)]
        for index, writes, left in ((2, 2, 8), (2, 4, 6), (1, 1, 6), (1, 2, 5), (0, 1, 3), (0, 2, 2), (0, 4, 0)):
            copy = Path(self.mktemp())
            shutil.copytree(path, copy)
            self.cut(copy / names[index], writes)
            (line,) = recover(str(copy))
            self.assertIn(f"{names[index]} ends too early", line)
            self.assertEqual(sorted(os.listdir(copy / KEPT)), sorted(names[index + 1 :]))
            self.assertEqual(recover(str(copy)), [])
            self.assertEqual(self.found(copy), self.rows[:left], (index, writes))

    def test_torn_head(self) -> None:
        """So does one whose end is zeros behind the first bytes of a write, which RocksDB takes for the end as well."""
        self.put(3)
        # A log is synced before a flush counts, so this one did not.
        (manifest,) = self.path.glob("MANIFEST-*")
        unflushed = manifest.read_bytes()
        self.next_log()
        self.put(3)
        path = self.killed()
        (path / manifest.name).write_bytes(unflushed)
        log = self.logs(path)[0]
        whole = log.read_bytes()
        last = scan_log(memoryview(whole)).last
        assert last is not None
        for kept in range(len(whole) - last):
            copy = Path(self.mktemp())
            shutil.copytree(path, copy)
            (copy / log.name).write_bytes(whole[: last + kept].ljust(len(whole) + SECTOR, b"\0"))
            (line,) = recover(str(copy))
            self.assertIn(log.name, line)
            self.assertEqual(self.found(copy), self.rows[:3], kept)

    def test_failed_write(self) -> None:
        """A write that failed in the middle, before a flush of only some column families, does not keep a database from
        being opened."""
        batch = self.engine.batch()
        batch.put_inline(b"D\0b\0k", b"body")
        self.engine.write(batch)
        self.put(3)
        self.engine.flush(RECORDS)
        path = self.killed()
        log = self.logs(path)[0]
        whole = log.read_bytes()
        data = memoryview(whole)
        last = scan_log(data).last
        assert last is not None
        first, rest = fragment(whole[:100], FIRST), fragment(bytes(90_000)[: BLOCK - 7], LAST)
        for torn in (whole[last:-1], whole[last : last + 3], first, first + rest[:500]):
            copy = Path(self.mktemp())
            shutil.copytree(path, copy)
            (copy / log.name).write_bytes(whole + torn)
            self.assertRaisesRegex(Exception, AHEAD, open_engine, copy)
            engine, (line,) = open_recovered(str(copy), lambda copy=copy: open_engine(copy))  # type: ignore[misc]
            self.assertIn(f"{log.name} ends at byte", line)
            self.assertEqual(engine.inline([b"D\0b\0k"]), [b"body"])
            self.assertNotIn(None, engine.records(self.rows))
            engine.close()

    def test_past_the_log(self) -> None:
        """Rows that did not go through the log are no hole, wherever they come; a hole beside them is one."""
        self.put()
        self.next_log(logged=False)
        self.put()
        self.put_chunk(logged=False)
        self.next_log()
        self.put_chunk(logged=False)
        self.put()
        self.put_chunk(logged=False)
        self.put_chunk(logged=False)
        self.next_log(logged=False)
        self.put_chunk(logged=False)
        self.put()
        path = self.killed()
        self.assertEqual((recover(str(path)), len(self.logs(path))), ([], 4))
        for log in self.logs(path)[:-1]:
            copy = Path(self.mktemp())
            shutil.copytree(path, copy)
            self.cut(copy / log.name)
            self.assertIn(f"{log.name} ends too early", recover(str(copy))[0])

    def test_told_once(self) -> None:
        """Only the first logged write behind such rows tells of them, however it goes with these."""
        self.put()
        self.put_chunk(logged=False)
        self.put_chunk(logged=False)
        self.put()
        self.put()
        data = memoryview(self.logs(self.path)[0].read_bytes())
        at, told = 0, []
        while data[at + 4 : at + 7] != b"\0\0\0" and at < len(data):
            record = record_at(data, at)
            told.append(Span.of(record, record))
            at += 7 + len(record)
        self.assertEqual(told, [Span(1, 1), Span(4, 5, 1), Span(6, 6)])
        self.assertNotEqual(self.engine.records([LOG]), [None])

    def test_begun(self) -> None:
        """A process that died before it wrote anything leaves an empty log, behind which is no hole."""
        self.put(2)
        for _ in range(3):
            left = self.killed()
            self.engine.close()
            self.path, self.engine = left, open_engine(left)
        self.put()
        path = self.killed()
        self.assertEqual((recover(str(path)), self.found(path)), ([], self.rows))

    def test_unfinished_deletion(self) -> None:
        """Logs that are not needed any more say nothing, whichever of them are deleted already."""
        self.put()
        self.next_log()
        old = self.killed()
        self.put()
        self.next_log()
        self.put()
        for family in FAMILIES:
            self.engine.flush(family)
        self.put()
        path = self.killed()
        for log in self.logs(old)[:1]:
            shutil.copy(log, path)
        self.assertGreater(len(self.logs(path)), 1)
        files = {file.name: file.read_bytes() for file in path.iterdir()}
        self.assertEqual(first_log(str(path)), int(self.logs(path)[-1].stem))
        self.assertEqual({file.name: file.read_bytes() for file in path.iterdir()}, files)
        self.assertEqual((recover(str(path)), self.found(path)), ([], self.rows))
