"""The benchmark's client finds what is wrong, its clock and its arithmetic are right, and its servers stop."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bench import load, scale
from bench.bars import Reports, rows
from bench.bars import table as bar_table
from bench.load import POOL_BYTES, Outcome, Plan, Window
from bench.report import Report, bars, ratios, table
from bench.servers import CannotStart, Target, cpu_seconds
from bench.workloads import KIB, Objects, Wire, workloads
from s3gw.store.interface import ListQuery
from s3gw.store.rocks import RocksStore
from tests.bench.fake import FakeS3
from tools.stress_test import Signer


class LoadTests(SynchronousTestCase):
    """The client against a small S3 that can be told to misbehave."""

    OBJECTS = Objects("some", 5, 3000)

    def setUp(self) -> None:
        self.s3 = FakeS3()
        self.s3.buckets.add("b")
        thread = threading.Thread(target=self.s3.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.s3.server_close)
        self.addCleanup(self.s3.shutdown)
        self.wire = Wire(Target("fake", "127.0.0.1", self.s3.server_address[1], False, os.getpid()), "b")

    def plan(self, workload: str = "get-1k", seconds: float | None = None, connections: int = 2) -> Plan:
        """A plan for a workload, with every object that it reads in its place."""
        one = next(one for one in workloads(1 << 20, 10, 1) if one.name == workload)
        if one.reads is not None:
            for index in range(one.reads.count):
                body = b"".join(one.reads.window(index).slices())
                self.s3.objects[self.wire.path(one.reads.key(index))] = body
        target = self.wire.target
        return Plan(target.host, target.port, False, one.requests(self.wire, 1), connections, seconds)

    def test_uploads(self) -> None:
        """What is uploaded arrives, small in one piece and large in many."""
        for size in (0, 1, 3 * POOL_BYTES + 5):
            objects = Objects("up", 2, size)
            target = self.wire.target
            plan = Plan(target.host, target.port, False, self.wire.puts(objects), 2, None)
            outcome = load.run(plan)
            self.assertEqual((outcome.errors, len(outcome.latencies), outcome.bytes), (0, 2, 2 * size))
            for index in range(2):
                stored = self.s3.objects[self.wire.path(objects.key(index))]
                self.assertEqual(stored, b"".join(objects.window(index).slices()))

    def test_each_request_once(self) -> None:
        """Without a time limit the list is sent once, over however many connections."""
        for connections in (1, 3):
            outcome = load.run(self.plan("range-16k-of-64k", connections=connections))
            self.assertEqual((outcome.errors, len(outcome.latencies)), (0, 256))
            self.assertEqual(outcome.bytes, 256 * 16 * KIB)

    def test_until_the_time_is_up(self) -> None:
        """With a time limit the list is sent round and round."""
        outcome = load.run(replace(self.plan(seconds=0.2, connections=4), requests=self.plan().requests[:3]))
        self.assertGreater(len(outcome.latencies), 3)
        self.assertEqual(outcome.errors, 0)
        self.assertGreaterEqual(outcome.elapsed, 0.2)
        self.assertEqual(outcome.bytes, len(outcome.latencies) * KIB)

    def failures(self, answer: tuple[int, bytes]) -> Outcome:
        """Spoil the first answer."""
        self.s3.spoil = lambda number, body: answer if number == 1 else None
        outcome = load.run(self.plan(connections=1))
        self.assertEqual(outcome.errors, 1)
        self.assertEqual(len(outcome.latencies), 255)
        return outcome

    def test_wrong_bytes(self) -> None:
        """A wrong byte in a response that is compared is an error, and the others are sent nevertheless."""
        self.assertIn("GET /b/1k/00000000: wrong bytes", self.failures((200, bytes(KIB))).failures[0])

    def test_wrong_length(self) -> None:
        """So is a wrong length."""
        self.assertIn("5 bytes instead of 1024", self.failures((200, b"short")).failures[0])

    def test_wrong_status(self) -> None:
        """So is a wrong status; the message has what the server said."""
        self.assertIn("503 instead of 200: b'slow'", self.failures((503, b"slow")).failures[0])

    def test_closed_at_once(self) -> None:
        """So is a first request without an answer."""
        self.assertIn("connection closed at once", self.failures((0, b"")).failures[0])

    def test_closed_between_requests(self) -> None:
        """A server may close a connection between requests: the request is sent again, and that is no error."""
        self.s3.spoil = lambda number, body: (0, b"") if number == 7 else None
        outcome = load.run(self.plan(connections=1))
        self.assertEqual((outcome.errors, outcome.reconnects, len(outcome.latencies)), (0, 1, 256))

    def test_closed_every_time(self) -> None:
        """A server may say that each answer is the last one of its connection: then the next one is opened."""
        self.s3.closes = True
        outcome = load.run(self.plan(connections=3))
        self.assertEqual((outcome.errors, outcome.reconnects, len(outcome.latencies)), (0, 256, 256))

    def test_benchmark(self) -> None:
        """The whole program against an endpoint that runs: a table, figures in a file, and exit status 0."""
        file = Path(self.mktemp())
        command = [sys.executable, "-m", "bench", "--endpoint", f"http://{self.wire.target.authority}"]
        command += ["--pid", str(os.getpid()), "--no-nginx", "--runs", "1", "--seconds", "0.2", "--workloads", "get-1k"]
        checkout = Path(__file__).parent.parent.parent
        done = subprocess.run(
            [*command, "--json", str(file.resolve())],
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            [line.split()[:2] for line in done.stdout.splitlines()[-2:]], [["get-1k", "1"], ["get-1k", "16"]]
        )
        runs = Report.load(file).runs("s3gw", "get-1k", 16)
        assert runs is not None
        self.assertEqual(runs["errors"], [0.0])


class PartTests(SynchronousTestCase):
    """Windows, signatures, CPU time, and the printed tables."""

    @given(st.integers(0, POOL_BYTES - 1), st.integers(0, 2 * POOL_BYTES), st.data())
    def test_window(self, start: int, size: int, data: st.DataObject) -> None:
        """A part of a window is the same bytes as that part of the whole."""
        window = Window(start, size)
        whole = b"".join(window.slices())
        self.assertEqual(len(whole), size)
        first = data.draw(st.integers(0, size))
        part = window.part(first, 1000)
        bytes_of_part = b"".join(part.slices())
        self.assertEqual(bytes_of_part, whole[first : first + 1000])
        self.assertTrue(window.matches(first, memoryview(bytes_of_part)))

    def test_signed_listing(self) -> None:
        """A request with a query has the signature that botocore computes for it."""
        target = Target("x", "127.0.0.1", 9000, False, 1, Signer("AKID", "secret", "us-east-1"))
        listing = next(one for one in workloads(1, 1, 1) if one.name == "list-1000")
        head = listing.requests(Wire(target, "b"), 1)[0].head.decode()
        line, *rest = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in rest)}
        auth = S3SigV4Auth(Credentials("AKID", "secret"), "s3", "us-east-1")
        signed = {name: headers[name] for name in ("host", "x-amz-content-sha256", "x-amz-date")}
        request = AWSRequest("GET", "http://127.0.0.1:9000" + line.split(" ")[1], headers=signed)
        request.context["timestamp"] = headers["x-amz-date"]
        wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        self.assertEqual(headers["authorization"].rpartition("Signature=")[2], wanted)
        self.assertTrue(headers["x-amz-date"].startswith(f"{datetime.datetime.now(datetime.timezone.utc):%Y%m}"))

    def test_cpu_seconds(self) -> None:
        """The CPU time of a process contains that of its threads and its children."""
        before = cpu_seconds(os.getpid())
        subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True, timeout=60)
        busy = time.process_time() + 0.05
        while time.process_time() < busy:
            pass
        self.assertGreaterEqual(cpu_seconds(os.getpid()) - before, 0.06)

    def test_target(self) -> None:
        """A server that runs already is checked before anything is sent."""
        self.assertEqual(Target.at("a", "http://127.0.0.1:9000", os.getpid()).authority, "127.0.0.1:9000")
        self.assertRaises(CannotStart, Target.at, "a", "127.0.0.1:9000", os.getpid())
        self.assertRaises(CannotStart, Target.at, "a", "http://127.0.0.1:9000", 2**22 + 1)

    def test_tables(self) -> None:
        """Medians with their spread, the multiple of the yardstick, the bar, and ratios to another report."""
        work = [one for one in workloads(1, 1, 1) if one.name == "get-1k"]
        report = Report({}, {})
        for cpu_us in (20.0, 24.0, 40.0):
            same = {
                "rps": 1000.0,
                "mb_s": 1.0,
                "p50_ms": 1.0,
                "p99_ms": 2.0,
                "gb_cpu_s": 1.0,
                "client": 0.5,
                "errors": 0.0,
            }
            report.add("s3gw", "get-1k", 16, {**same, "cpu_us": cpu_us})
            report.add("nginx", "get-1k", 16, {**same, "cpu_us": 6.0})
        line = table(report, work, "s3gw", "nginx").splitlines()[1]
        self.assertIn("24.0 (20.0-40.0)", line)
        self.assertIn("4.0 of 6.0", line)
        self.assertIn("cpu_us <= 28 ok", line)
        runs = report.runs("s3gw", "get-1k", "16")
        assert runs is not None
        self.assertEqual(bars(work[0], {**runs, "cpu_us": [41.0]}, {"auth": "sigv4"}), "cpu_us <= 40 MISSED")
        self.assertEqual(bars(work[0], runs, {"tls": "True"}), "")
        self.assertEqual(
            ratios(report, "s3gw", report, "nginx").splitlines()[1].split(),
            ["get-1k", "16", "24.00", "6.00", "4.00", "1000", "1000", "1.00", "2.00", "2.00", "1.00"],
        )


class BarTests(SynchronousTestCase):
    """The table of bars: what is measured, derived, missed and left out."""

    def report(self, work: str, c: int = 16, **targets: list[float]) -> Report:
        report = Report({}, {})
        for target, values in targets.items():
            for value in values:
                report.add(target.replace("_", "-"), work, c, {"cpu_us": value, "rps": 1e6 / value, "errors": 0.0})
        return report

    def lines(self, reports: Reports, **options: bool) -> list[str]:
        return bar_table(reports, rows(64, [10, 1000]), **options).splitlines()

    def test_kept_and_missed(self) -> None:
        """A median at the bar is kept, one beyond it missed; beside it stands our multiple of nginx."""
        reports = {"plain": self.report("get-1k", s3gw=[20.0, 28.0, 90.0], nginx=[7.0, 7.0, 7.0])}
        reports["cold"] = self.report("get-64k", s3gw=[71.0])
        first, second = self.lines(reports)[1:]
        self.assertEqual(first.split()[-10:-4], ["20.0-90.0", "<=", "28", "ok", "7.0", "4.0"])
        self.assertEqual(first.split()[-4:], ["4.0", "<=", "4.7", "ok"])
        self.assertIn("GET 64 KiB from RocksDB", second)
        self.assertIn("MISSED", second)

    def test_in_gets_of_nginx(self) -> None:
        """A bar that a slow machine misses is kept where so many GETs of nginx would take as long."""
        report = self.report("put-64k", s3gw=[1300.0])
        self.assertEqual(self.lines({"plain": report})[1].split()[-3:], ["<=", "400", "MISSED"])
        report.add("nginx", "get-64k", 16, {"cpu_us": 30.0})
        said = self.lines({"plain": report})[1].split()
        self.assertEqual(said[-7:], ["<=", "400", "MISSED", "43.3", "<=", "44.4", "ok"])

    def test_derived(self) -> None:
        """What two servers make of the same work is taken run by run."""
        signed = self.report("put-1k", signed=[50.0, 70.0, 60.0], s3gw=[40.0, 50.0, 49.0])
        tls = self.report("get-64k", tls=[80.0], s3gw=[40.0])
        said = self.lines({"signed": signed, "tls": tls}, markdown=True)
        self.assertIn("| PUT 1 KiB: what SigV4 adds | CPU us | 11.0 | 10.0-20.0 | <= 12 | ok |", said[2])
        self.assertIn("| GET 64 KiB: TLS by plain | ratio | 2.00 |", said[3])

    def test_scale(self) -> None:
        """Records are written, a gateway lists them, and its figures are in the table."""
        path = Path(self.mktemp())
        scale.fill(path, 40)
        store = RocksStore.open(str(path), cache_bytes=1 << 20, create=False)
        self.addCleanup(store.close)
        page = store.list_objects("many", ListQuery("", "/", "", 1000))
        self.assertEqual(page.prefixes, ("00000000/", "00000001/", "00000002/", "00000003/", "deep/", "deeq/"))
        self.assertEqual(list(store.faults()), [])
        report = self.report("list-1000@10", c=1, s3gw=[4000.0])
        self.assertIn("4.00", self.lines({"scale": report})[1])
