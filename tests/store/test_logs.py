"""What is told of the logs that opening is about to replay."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from s3gw.store.interface import StoreFailed
from s3gw.store.logfile import BLOCK, HEADER
from s3gw.store.logs import KEPT, SECTOR, inspect_logs, mend_manifest
from tests.store.test_logfile import fragment, log


def inspect(path: str, first_log: int = 0) -> list[str]:
    return inspect_logs(path, lambda: first_log)


class InspectTests(SynchronousTestCase):
    """`inspect_logs`"""

    def write(self, **logs: bytes) -> str:
        """A directory with these logs."""
        path = Path(self.mktemp())
        path.mkdir()
        for name, content in logs.items():
            (path / f"{name[1:]}.log").write_bytes(content)
        (path / "LOG").write_bytes(b"for people")
        return str(path)

    def test_sound(self) -> None:
        """Logs that are whole are not worth a word."""
        self.assertEqual(inspect(self.write(_000001=log(3), _000002=b"", _000004=log(5, first=4))), [])

    def test_torn(self) -> None:
        """What a power cut leaves is told, and nothing is kept."""
        path = self.write(_000001=log(3), _000002=log(3, first=4)[:-1], _000003=b"")
        (line,) = inspect(path)
        self.assertIn("000002.log ends", line)
        self.assertNotIn(KEPT, os.listdir(path))

    def test_damaged(self) -> None:
        """A log with good records behind bad ones is kept, with all that come after it, also at the second look."""
        damaged = b"x" + log(3)[1:]
        path = self.write(_000001=log(3), _000002=damaged, _000003=log(1))
        for _ in range(2):
            (line,) = inspect(path)
            self.assertIn("000002.log is damaged at byte 0", line)
            self.assertEqual(sorted(os.listdir(os.path.join(path, KEPT))), ["000002.log", "000003.log"])

    def test_zeros(self) -> None:
        """Zeros are no loss by themselves; if writes were in their place, what is behind them is put aside."""
        for zeros in (1, 7, 600, BLOCK + 5):
            last = self.write(_000001=log(3), _000002=log(3, first=4) + bytes(zeros), _000003=b"")
            self.assertEqual(inspect(last), [])
            (Path(last) / "000003.log").write_bytes(log(1, first=7))
            self.assertEqual(inspect(last), [])
            path = self.write(
                _000001=log(3), _000002=log(3, first=4) + bytes(zeros), _000003=log(1, first=8), _000004=log(2, first=9)
            )
            (line,) = inspect(path)
            self.assertIn("000002.log ends too early", line)
            self.assertEqual(sorted(os.listdir(path)), ["000001.log", "000002.log", "LOG", KEPT])
            self.assertEqual(sorted(os.listdir(os.path.join(path, KEPT))), ["000003.log", "000004.log"])
            self.assertEqual(inspect(path), [])

    def test_short(self) -> None:
        """What is behind a log that ends too early is put aside, unless neither is to be replayed."""
        logs = {"_000001": log(3), "_000002": log(3, first=4)[:-1007], "_000010": log(1, first=7)}
        path = self.write(**logs)
        (line,) = inspect(path, 1)
        self.assertIn("000002.log ends too early", line)
        self.assertEqual(sorted(os.listdir(path)), ["000001.log", "000002.log", "LOG", KEPT])
        self.assertEqual(inspect(path), [])
        for first_log in (3, 10, 11):
            path = self.write(**logs)
            self.assertEqual((inspect(path, first_log), len(os.listdir(path))), ([], 4))

    def test_short_by_all(self) -> None:
        """A log that is empty has ended too early if there is anything behind it."""
        path = self.write(_000001=b"", _000002=log(3, first=4))
        self.assertIn("000001.log ends too early", inspect(path)[0])
        self.assertEqual(inspect(self.write(_000001=log(3), _000002=b"", _000003=b"")), [])

    def test_same_number(self) -> None:
        """A log that is put aside replaces none that was."""
        path = self.write(_000001=b"", _000002=log(3, first=4))
        inspect(path)
        for first in (5, 6):
            (Path(path) / "000002.log").write_bytes(log(3, first=first))
            inspect(path)
        kept = Path(path) / KEPT
        self.assertEqual(
            {file.name: file.read_bytes() for file in kept.iterdir()},
            {
                "000002.log": log(3, first=4),
                "000002.log.2": log(3, first=5),
                "000002.log.3": log(3, first=6),
            },
        )

    def test_torn_with_later_logs(self) -> None:
        """A log that ends within a write takes those behind it along."""
        path = self.write(_000001=log(3)[:-1], _000002=log(1))
        (line,) = inspect(path)
        self.assertIn("000001.log is damaged", line)


class ManifestTests(SynchronousTestCase):
    """`mend_manifest`"""

    def mend(self, content: bytes) -> tuple[bytes, list[str]]:
        """What becomes of a MANIFEST, and what is told."""
        path = Path(self.mktemp())
        path.mkdir()
        (path / "CURRENT").write_text("MANIFEST-000005\n")
        (path / "MANIFEST-000005").write_bytes(content)
        lines = mend_manifest(str(path))
        kept = path / KEPT / "MANIFEST-000005"
        self.assertEqual(kept.exists() and kept.read_bytes() == content, bool(lines))
        return (path / "MANIFEST-000005").read_bytes(), lines

    def test_sound(self) -> None:
        """One that is whole, or just ends, is left as it is."""
        for content in (log(3), log(3)[:-1], log(3)[:-1000], b""):
            self.assertEqual(self.mend(content), (content, []))

    def test_zeros(self) -> None:
        """Zeros that fill up an unfinished edit are cut off, with what there is of the edit."""
        for cut in (8, 500, 1000, 1006, 1007):
            for room in (0, 100, BLOCK):
                content = log(3)[:-cut] + bytes(cut + room)
                found, lines = self.mend(content)
                if cut == 1007:
                    self.assertEqual((found, lines), (content, []))  # nothing was begun
                else:
                    self.assertEqual((found, len(lines)), (log(2), 1), (cut, room))

    def test_few_zeros(self) -> None:
        """Fewer zeros than an edit may end with are a tear if a sector begins with them."""
        for left in (1, 7):
            sound = log(1)
            whole = sound + fragment(b"e" * (2 * SECTOR - len(sound) - HEADER + left))
            found, lines = self.mend(whole[:-left] + bytes(left))
            self.assertEqual((found, len(lines)), (sound, 1), left)
            found, lines = self.mend(whole[: -left - 1] + bytes(left + 1))
            self.assertEqual(bool(lines), left + 1 >= 8, left)

    def test_damage(self) -> None:
        """One that is damaged is refused and left as it is: its edits were acted on."""
        sound = log(3)
        for at in (3, 4, 5, 1012, 1500, 2014 + 5):
            for bit in range(8):
                content = bytearray(sound)
                content[at] ^= 1 << bit
                with self.assertRaisesRegex(StoreFailed, "MANIFEST-000005 is damaged at byte"):
                    self.mend(bytes(content))

    def test_damaged_end(self) -> None:
        """Damage that RocksDB notices is left for it to refuse."""
        for at in (2014, 2020, 3000):
            content = bytearray(log(3))
            content[at] ^= 1
            self.assertEqual(self.mend(bytes(content)), (bytes(content), []))

    def test_no_database(self) -> None:
        """A directory without one is left alone."""
        path = self.mktemp()
        os.makedirs(path)
        self.assertEqual(mend_manifest(path), [])
