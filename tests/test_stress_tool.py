"""`tools/stress_test.py`, run as its users run it, against a gateway in this process that can be told to misbehave."""

from __future__ import annotations

import contextlib
import datetime
import io
import os
import pty
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.testing import Answer, Corrupt, Fail, LoseRequest, Record, S3Server
from tools.stress_test import Content, Endpoint, Signer, Tally, main

TOOL = Path(__file__).parent.parent / "tools" / "stress_test.py"
FIGURES = ["requests", "errors", "qps", "throughput_mb_s", "p50_ms", "p95_ms", "p99_ms"]


class StressToolTests(SynchronousTestCase):
    """What the printed figures, the messages and the exit status say."""

    def setUp(self) -> None:
        self.s3 = S3Server().start()
        self.addCleanup(self.s3.close)
        self.url = self.s3.url

    def seen(self, method: str) -> list[Record]:
        """The requests with this method."""
        return [record for record in self.s3.requests if record.method == method]

    def command(self, *options: str) -> list[str]:
        """A short run; a later option wins."""
        fixed = ["--endpoint", self.url, "--create-bucket", "--objects", "5", "--object-bytes", "5000"]
        return [sys.executable, str(TOOL), *fixed, "--range-bytes", "1000", "--duration", "0.2", *options]

    def run_tool(self, *options: str) -> tuple[int, dict[str, float], str]:
        """Run the tool: its exit status, its figures, and what it said on stderr."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        done = subprocess.run(
            self.command(*options), capture_output=True, text=True, timeout=60, check=False, env=environment
        )
        figures = dict(line.split(" ") for line in done.stdout.splitlines())
        return done.returncode, {name: float(value) for name, value in figures.items()}, done.stderr

    def test_figures(self) -> None:
        """A good run prints the seven figures in their order, and they agree with what the service saw."""
        status, figures, said = self.run_tool()
        self.assertEqual((status, said), (0, ""))
        self.assertEqual(list(figures), FIGURES)
        self.assertEqual(figures["errors"], 0)
        self.assertEqual(figures["requests"], len(self.seen("GET")))
        self.assertGreater(figures["qps"], 0)
        self.assertApproximates(figures["throughput_mb_s"], figures["qps"] * 1000 / 1e6, 0.01)
        self.assertLessEqual(figures["p50_ms"], figures["p95_ms"])
        self.assertLessEqual(figures["p95_ms"], figures["p99_ms"])

    def test_uploads_every_object_once(self) -> None:
        """The objects are there before the load starts, each of the size that was asked for."""
        self.run_tool("--object-bytes", "70000")
        uploads = {record.path: record.received for record in self.seen("PUT")}
        self.assertEqual(len(self.seen("PUT")), 6)
        self.assertEqual(uploads.pop("/prompt-cache"), 0)
        self.assertEqual(set(uploads.values()), {70000})
        etags = [urllib.request.urlopen(self.url + path).headers["ETag"] for path in uploads]
        self.assertEqual(len(set(etags)), 5)

    def test_sequential_range(self) -> None:
        """Without --random a thread reads key after key, the first bytes of each."""
        self.run_tool("--threads", "1")
        gets = [(record.path, record.headers["range"]) for record in self.seen("GET")]
        keys = sorted(record.path for record in self.seen("PUT") if record.key)
        self.assertEqual(gets, [(keys[n % 5], "bytes=0-999") for n in range(len(gets))])

    def test_whole_objects(self) -> None:
        """--range-bytes 0 reads whole objects without a Range header."""
        status, figures, _ = self.run_tool("--range-bytes", "0", "--random")
        self.assertEqual((status, figures["errors"]), (0, 0))
        self.assertNotIn("range", [name for record in self.seen("GET") for name in record.headers])

    def test_range_beyond_the_end(self) -> None:
        """A range that is longer than the object brings the object; an empty object is read without a range."""
        for size in ("500", "0"):
            status, figures, said = self.run_tool("--object-bytes", size)
            self.assertEqual((status, figures["errors"], said), (0, 0, ""))

    def test_write_ratio(self) -> None:
        """With --write-ratio 1 the load is nothing but uploads of the same bytes."""
        status, figures, _ = self.run_tool("--write-ratio", "1")
        self.assertEqual((status, self.seen("GET")), (0, []))
        self.assertEqual(figures["requests"], len(self.seen("PUT")) - 1 - 5)

    def test_wrong_byte(self) -> None:
        """One wrong byte in one answer is found, named, and fails the run."""
        self.s3.inject(Corrupt(999), method="GET", skip=2)
        status, figures, said = self.run_tool("--threads", "1")
        self.assertEqual((status, figures["errors"]), (1, 1))
        self.assertEqual(said, "stress_test: GET /prompt-cache/object-00000002: wrong bytes between 0 and 1000\n")

    def test_short_answer(self) -> None:
        """An answer of the wrong length fails the run."""
        short = b"".join(Content(7).pieces(0, 999))
        self.s3.inject(Answer(206, short), method="GET")
        status, figures, said = self.run_tool("--threads", "1", "--seed", "7")
        self.assertEqual((status, figures["errors"]), (1, 1))
        self.assertIn("999 bytes instead of 1000", said)

    def test_wrong_status(self) -> None:
        """A refusal fails the run, and the message has the S3 error code."""
        self.s3.inject(Fail(503, "SlowDown"), method="GET", skip=1)
        status, figures, said = self.run_tool("--threads", "1")
        self.assertEqual((status, figures["errors"]), (1, 1))
        self.assertEqual(said, "stress_test: GET /prompt-cache/object-00000001: 503 SlowDown\n")

    def test_lost_connection(self) -> None:
        """A connection that is dropped counts as an error, and the load goes on over a new one."""
        self.s3.inject(LoseRequest(), method="GET", skip=1)
        status, figures, said = self.run_tool("--threads", "1")
        self.assertEqual((status, figures["errors"]), (1, 1))
        self.assertGreater(figures["requests"], 2)
        self.assertIn("Connection reset by peer", said)

    def test_missing_bucket(self) -> None:
        """Without --create-bucket a missing bucket ends the run with one line and no figures."""
        command = [option for option in self.command("--bucket", "nowhere") if option != "--create-bucket"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"\Astress_test: PUT /nowhere/object-0000000\d: 404 NoSuchBucket\n\Z")

    def test_nobody_there(self) -> None:
        """An endpoint that does not answer is one line and exit status 1."""
        self.s3.stop()
        status, figures, said = self.run_tool()
        self.assertEqual((status, figures), (1, {}))
        self.assertRegex(said, rf"\Astress_test: {self.url} does not answer: .*refused\n\Z")

    def test_bad_options(self) -> None:
        """A bad option is one line that names it, and exit status 2."""
        for options, named in [
            (["--endpoint", "ftp://x"], "argument --endpoint: 'ftp://x' is not http://host:port or https://host:port"),
            (
                ["--endpoint", "http://x/bucket"],
                "argument --endpoint: 'http://x/bucket' has more than a host and a port",
            ),
            (["--endpoint", "http://x:99999"], "argument --endpoint: 'http://x:99999' has a port that is none"),
            (["--objects", "0"], "argument --objects: '0' is not a whole number from 1 on"),
            (["--write-ratio", "2"], "argument --write-ratio: '2' is not a number from 0 to 1"),
            (["--duration", "x"], "argument --duration: 'x' is not a number from 0.01 to 1e+09"),
            (["--secret-key", "x"], "argument --secret-key: --access-key is missing"),
            (["--access-key", "x"], "argument --access-key: --secret-key (or $AWS_SECRET_ACCESS_KEY) is missing"),
            (["--wat"], "unrecognized arguments: --wat"),
        ]:
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                left = self.assertRaises(SystemExit, main, self.command(*options)[2:])
            self.assertEqual((left.code, said.getvalue()), (2, f"stress_test: {named}\n"))

    def test_interrupt(self) -> None:
        """Ctrl-C ends the load early and prints what there is so far."""
        command = self.command("--duration", "60")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tool:
            while not self.seen("GET"):
                self.assertIsNone(tool.poll())
            tool.send_signal(signal.SIGINT)
            out, said = tool.communicate(timeout=30)
        self.assertEqual((tool.returncode, said), (130, ""))
        self.assertEqual([line.split(" ")[0] for line in out.splitlines()], FIGURES)

    def test_progress_on_a_terminal(self) -> None:
        """On a terminal one line is drawn again and again, and removed in the end; stdout has the figures alone."""
        ours, theirs = pty.openpty()
        command = self.command("--duration", "1.3")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as tool:
            os.close(theirs)
            out, _ = tool.communicate(timeout=60)
        with open(ours, "rb", buffering=0) as terminal:
            drawn = terminal.read(65536).decode()
        self.assertRegex(drawn, r"\r\x1b\[K +1/1 s +\d+ qps +[\d.]+ MB/s  p50 [\d.]+ ms  p99 [\d.]+ ms  errors 0")
        self.assertTrue(drawn.endswith("\r\x1b[K"))
        self.assertNotIn("\n", drawn)
        self.assertEqual([line.split(" ")[0] for line in out.splitlines()], FIGURES)

    def test_signed(self) -> None:
        """With keys every request carries the signature that botocore computes for it."""
        status, _, said = self.run_tool("--access-key", "AKID", "--secret-key", "s3cr3t/+", "--region", "eu-west-1")
        self.assertEqual((status, said), (0, ""))
        auth = S3SigV4Auth(Credentials("AKID", "s3cr3t/+"), "s3", "eu-west-1")
        self.assertGreater(len(self.s3.requests), 6)
        for record in self.s3.requests:
            headers = record.headers
            signed = {name: headers[name] for name in ("host", "x-amz-content-sha256", "x-amz-date")}
            request = AWSRequest(record.method, self.url + record.path, headers=signed)
            request.context["timestamp"] = headers["x-amz-date"]
            wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
            self.assertEqual(headers["authorization"].rpartition("Signature=")[2], wanted)
            self.assertIn("Credential=AKID/", headers["authorization"])


class PartTests(SynchronousTestCase):
    """The parts of the tool that the benchmark uses as well, and those whose values are exact."""

    def test_authority(self) -> None:
        """The Host header leaves out the scheme's own port and brackets an IPv6 address."""
        for url, authority in [
            ("http://h:80", "h"),
            ("https://h", "h"),
            ("https://h:80/", "h:80"),
            ("http://[::1]:9000", "[::1]:9000"),
        ]:
            self.assertEqual(Endpoint.parse(url).authority, authority)

    def test_signer_takes_a_new_day(self) -> None:
        """A signer that runs past midnight signs as a fresh one does."""
        evening = datetime.datetime(2026, 1, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
        morning = evening + datetime.timedelta(seconds=2)
        old, fresh = Signer("a", "b", "c"), Signer("a", "b", "c")
        old.headers("GET", "/b/k", "", "h", evening)
        self.assertEqual(old.headers("GET", "/b/k", "", "h", morning), fresh.headers("GET", "/b/k", "", "h", morning))

    @given(st.integers(0, 5), st.integers(0, 200_000), st.data())
    def test_content(self, index: int, size: int, data: st.DataObject) -> None:
        """Any part of an object matches where it belongs; with one bit flipped it does not."""
        content = Content(7)
        whole = bytearray(b"".join(content.pieces(index, size)))
        self.assertEqual(len(whole), size)
        self.assertTrue(content.matches(index, 0, memoryview(whole)))
        if size:
            at = data.draw(st.integers(0, size - 1))
            self.assertTrue(content.matches(index, at, memoryview(whole)[at:]))
            whole[at] ^= 1 << data.draw(st.integers(0, 7))
            self.assertFalse(content.matches(index, 0, memoryview(whole)))

    def test_percentiles(self) -> None:
        """Percentiles are right to within 1 %, and one sum is the sum of its parts."""
        tallies = [Tally(), Tally()]
        for number in range(1, 1001):
            tallies[number % 2].succeeded(number / 1000, 1)
        total = Tally.sum(tallies)
        self.assertEqual((total.good, total.bytes), (1000, 1000))
        for fraction in (0.5, 0.95, 0.99):
            self.assertApproximates(total.percentile_ms(fraction) / (1000 * fraction), 1, 0.011)
        self.assertEqual(Tally().percentile_ms(0.5), 0)
