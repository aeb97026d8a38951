"""``s3gw-admin stats`` and ``compact``."""

from __future__ import annotations

import io
from time import monotonic

from s3gw.admin.report import Report, in_bytes
from s3gw.model import ENABLED, BucketInfo, Extent, ObjectInfo
from s3gw.store.interface import CreateBucket, DeleteObject, PutObject
from tests.admin.case import AdminCase, some_bytes
from tests.store.contract import Actor


class StatsTests(AdminCase):
    """What is in a database."""

    def test_counts(self) -> None:
        """Objects, uploads and their bytes by bucket; bodies and garbage of the whole."""
        self.fill()
        store = self.open()
        actor = Actor(store)
        actor.do(CreateBucket(BucketInfo("versions", 1, versioning=ENABLED)))
        for body in (b"1", b"22", b"333"):
            actor.do(actor.inline("k", body, "versions"))
        actor.stage(some_bytes(100_000))
        store.close()
        found = self.succeed("stats", self.db)
        self.assertEqual(
            [tuple(each.values()) for each in found["buckets"]],
            [("b", 23, 920_000, 0, 0, 1, 100_000, 17 * 65536, 0), ("versions", 1, 3, 2, 3, 0, 0, 0, 0)],
        )
        self.assertEqual((found["blobs"], found["garbage_blobs"], found["unreadable"]), (4, 1, 0))
        self.assertEqual(found["garbage_bytes"], 2 * 65536)

    def test_shared(self) -> None:
        """What two buckets share is in both; what is left of a body that only ranges were copied of is garbage."""
        store = self.open()
        actor = Actor(store)
        actor.create()
        actor.create("other")
        actor.do(actor.chunked("whole", some_bytes(10 * 65536)))
        info = actor.find("whole")
        assert isinstance(info, ObjectInfo)
        blob = info.extents[0].blob
        for bucket, key, start, length in (("other", "x", 65536, 10), ("other", "y", 65540, 65536), ("b", "z", 0, 1)):
            actor.do(PutObject(bucket, key, ObjectInfo(length, 1, "e", extents=(Extent(blob, start, length),))))
        store.close()
        held = [(each["blob_bytes"], each["garbage_bytes"]) for each in self.succeed("stats", self.db)["buckets"]]
        self.assertEqual(held, [(10 * 65536, 0), (10 * 65536, 8 * 65536)])
        store = self.open()
        Actor(store).do(DeleteObject("b", "whole"))
        store.close()
        held = [(each["blob_bytes"], each["garbage_bytes"]) for each in self.succeed("stats", self.db)["buckets"]]
        self.assertEqual(held, [(10 * 65536, 9 * 65536), (10 * 65536, 8 * 65536)])

    def test_lines(self) -> None:
        """The same for people."""
        self.fill()
        status, out, _ = self.admin("stats", self.db)
        self.assertEqual(status, 0)
        counts = "b: 23 objects, 898.4 KiB; 0 older versions, 0 B; 1 uploads, 97.7 KiB"
        self.assertIn(f"{counts}; 1.1 MiB in chunks, 0 B of them garbage\n", out)


class CompactTests(AdminCase):
    """Room that is given back."""

    def test_freed(self) -> None:
        """What was deleted leaves the disk; what was not is as it was."""
        bodies = self.fill()
        store = self.open()
        blobs = []
        for key in ("large-0", "large-1"):
            blobs += Actor(store).do(DeleteObject("b", key)).retired
            del bodies[key]
        store.close()
        result = self.succeed("compact", self.db)
        self.assertEqual((len(blobs), result["swept_blobs"]), (2, 2))
        self.assertLess(result["bytes_after"], result["bytes_before"] - 500_000)
        self.assertEqual(self.bodies(self.db, bodies), bodies)


class Terminal(io.StringIO):
    """A stream that says somebody looks at it."""

    def isatty(self) -> bool:
        return True


class ReportTests(AdminCase):
    """What people see."""

    def test_progress(self) -> None:
        """A terminal is shown how far work is, and left clean; a file is not."""
        for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
            report = Report(json=False, out=io.StringIO(), err=stream)
            give_up = monotonic() + 5
            with report.progress("read", 4096, size=True) as step:
                step(1024)
                self.assertLess(monotonic(), give_up)
            self.assertEqual("read: 1.0 KiB of 4.0 KiB" in stream.getvalue(), shown)
            self.assertEqual(stream.getvalue().endswith("\r\x1b[K"), shown)

    def test_sizes(self) -> None:
        """Bytes as people read them."""
        table = {0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1 << 30: "1.0 GiB", 1 << 70: "1048576.0 PiB"}
        self.assertEqual({count: in_bytes(count) for count in table}, table)

    def test_one_line(self) -> None:
        """A name with control characters in it plays no tricks with a terminal."""
        out = io.StringIO()
        Report(json=False, out=out).result({}, ["a\x1b[2Jb\nc"])
        self.assertEqual(out.getvalue(), "a\\x1b[2Jb\\nc\n")
