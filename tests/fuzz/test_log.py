"""The log of a gateway that is spoken to with malice, one line for each request; and the pages beside S3."""

from __future__ import annotations

import json
import re

from tests.live.case import LiveCase
from tests.live.server import ACCESS_KEY, SECRET_KEY, LiveServer
from tests.live.wire import Wire

FORGED = '{"id":"FORGED","status":200}'
KEYS = (
    "%0A" + FORGED.replace('"', "%22"),
    "%0D%0A2026-11-22T00:00:00%2B0000%20[-]%20FORGED",
    "%1B[2J%1B[1;31mFORGED",
    "%E2%80%A8FORGED%E2%80%A9",
    "%C2%85FORGED",
    "%7B0%7D%7Bline%7D%7Blog_level.name%7DFORGED",
    "%22%7D%0A",
    "%E2%80%AEFORGED",
    "x" * 1024,
    "%F0%9F%92%A9" * 256,
)
"""Keys as they are spelt on the wire."""


class LogTests(LiveCase):
    """A gateway with signatures; nobody here has a key."""

    def make_server(self) -> LiveServer:
        """One whose log is this test's alone."""
        return self.own_server(auth="sigv4").start()

    def lines(self) -> list[dict[str, object]]:
        """The lines of the access log, each of which must be one JSON document."""
        found = []
        for line in self.server.log().split("\n"):
            if "s3gw.access" in line:
                found.append(json.loads(line[line.index("{") :]))
        return found

    def test_keys(self) -> None:
        """A key cannot make a line of its own, nor move the cursor of a terminal."""
        with Wire(self.server) as wire:
            for key in KEYS:
                self.assertEqual(wire.ask("GET", f"/bucket/{key}").status, 404)
        self.server.stop()
        self.assertEqual([line["status"] for line in self.lines()], [404] * len(KEYS))
        log = self.server.log()
        self.assertIsNone(re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]", log))
        for line in re.split("[\n\r\x0b\x0c\x85\u2028\u2029]", log):
            self.assertFalse(line.startswith(("2026-11-22T00:00:00", '{"id"')), line)

    def test_headers(self) -> None:
        """Neither can a header, a method, a query or what is no HTTP at all; and no secret is told to the log."""
        for sent in (
            b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\x1b[2J\r\n\r\n",
            b"GET /?X-Amz-Signature=SECRETSIGNATURE HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: SECRETSIGNATURE\x0a{}\r\n\r\n",
            b"G\x1bT / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(256)),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            bytes(range(256)) * 4,
        ):
            with Wire(self.server) as wire:
                wire.send(sent)
                wire.answer()
        self.server.stop()
        log = self.server.log()
        self.assertIsNone(re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", log))
        for secret in ("SECRETSIGNATURE", SECRET_KEY):
            self.assertNotIn(secret, log)
        self.assertNotIn("Traceback", log)
        self.lines()

    def test_secret_is_nowhere(self) -> None:
        """The secret key is not in an error, in the figures, on the command line, or in the log."""
        with Wire(self.server) as wire:
            credential = f"{ACCESS_KEY}/20261122/us-east-1/s3/aws4_request"
            wrong = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
            dated = [("x-amz-date", "20261122T000000Z"), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]
            told = wire.ask("GET", "/bucket/key", [*dated, ("Authorization", wrong)]).body
            told += wire.ask("GET", "/metrics").body
        with open(f"/proc/{self.server.pid}/cmdline", "rb") as command:
            told += command.read()
        self.assertNotIn(SECRET_KEY.encode(), told + self.server.log().encode())

    def test_pages(self) -> None:
        """The gateway's own pages are at their exact paths, for GET and HEAD, and lead nowhere else."""
        with Wire(self.server) as wire:
            for target in ("/_health/live", "/_health/ready", "/metrics", "/metrics?x=y", "/_health/live?uploads"):
                self.assertEqual(wire.ask("GET", target).status, 200, target)
                self.assertEqual(wire.ask("HEAD", target).status, 200, target)
            for target in ("/_health/live", "/metrics"):
                for method in ("PUT", "POST", "DELETE"):
                    self.assertEqual(wire.ask(method, target).status, 405, target)
            for target in (
                "/_health",
                "/_health/",
                "/_health/live/",
                "//_health/live",
                "/_health//live",
                "/_health/%6Cive",
                "/_health/../metrics",
                "/metrics/",
                "/metrics/..",
                "/%6Detrics",
                "/bucket/../metrics",
                "/METRICS",
                "/metrics%00",
                "/metrics%2F",
                "/metrics;x",
                "/_health/live/../../bucket",
                "/./metrics",
                "/metrics/key",
            ):
                answer = wire.ask("GET", target)
                self.assertIn(answer.status, (400, 403, 404, 405), target)
                self.assertNotIn(b"s3gw_requests_total", answer.body, target)
            # A bucket in the name of the host has keys of any name.
            for host in ("bucket.localhost", "metrics.localhost"):
                answer = wire.ask("GET", "/metrics", [("Host", host)])
                self.assertIn(answer.status, (403, 404), host)
                self.assertNotIn(b"s3gw_requests_total", answer.body, host)
