"""What an operator sees: metrics, health, and the access log."""

from __future__ import annotations

import json
import re

from tests.live.case import KIB, MIB, LiveCase, some_bytes
from tests.live.server import LiveServer
from tests.live.wire import Wire

METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD", "OTHER")
OPS = ("get", "put", "write", "delete", "iter", "other")
COUNTERS = {
    **dict.fromkeys(("requests", "request_errors", "request_bytes", "response_bytes"), ("method", METHODS)),
    **dict.fromkeys(("rocksdb_ops", "rocksdb_errors", "rocksdb_bytes"), ("op", OPS)),
}
HISTOGRAMS = ("s3gw_request_latency_ms", "s3gw_rocksdb_latency_ms")
GAUGE = "s3gw_inflight_requests"


def figures(wire: Wire) -> dict[str, float]:
    """Every sample of /metrics."""
    answer = wire.ask("GET", "/metrics")
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


class MetricsTests(LiveCase):
    """A server that nobody else counts on."""

    def make_server(self) -> LiveServer:
        """A fresh one."""
        return self.own_server().start()

    def test_names(self) -> None:
        """Every family with every label from the first moment on."""
        with Wire(self.server) as wire:
            first = figures(wire)
        for family, (label, values) in COUNTERS.items():
            present = {name for name in first if name.startswith(f"s3gw_{family}_total")}
            self.assertEqual(present, {f's3gw_{family}_total{{{label}="{value}"}}' for value in values})
        for family in HISTOGRAMS:
            self.assertLessEqual(
                {
                    *(f'{family}_bucket{{le="{le}"}}' for le in ("0.1", "0.25", "0.5", "+Inf")),
                    f"{family}_sum",
                    f"{family}_count",
                },
                first.keys(),
            )
        self.assertEqual(first[GAUGE], 1)
        self.assertEqual(sum(value for name, value in first.items() if name.startswith("s3gw_requests_total")), 0)

    def test_bytes_that_stay(self) -> None:
        """Completing an upload and copying what it made touches metadata only, however large it is."""
        s3, parts = self.server.s3(), []
        where = {"Bucket": "bucket", "Key": "key"}
        s3.create_bucket(Bucket="bucket")
        where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
        for number in (1, 2, 3):
            tag = s3.upload_part(**where, PartNumber=number, Body=some_bytes(5 * MIB, number))["ETag"]
            parts.append({"PartNumber": number, "ETag": tag})
        with Wire(self.server) as wire:
            before = figures(wire)
            s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
            s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/key")
            after = figures(wire)
        moved = sum(after[name] - before[name] for name in after if name.startswith("s3gw_rocksdb_bytes_total"))
        self.assertLess(moved, 64 * KIB)
        self.assertEqual(s3.head_object(Bucket="bucket", Key="copy")["ContentLength"], 15 * MIB)

    def test_figures(self) -> None:
        """Requests, errors and bytes are counted by method, and no name of a bucket or key is a label."""
        body = some_bytes(1000)
        with Wire(self.server) as wire:
            wire.ask("PUT", "/bucket-name")
            for _ in range(3):
                wire.ask("PUT", "/bucket-name/key-name", (), body)
            wire.ask("GET", "/bucket-name/key-name", [("Range", "bytes=0-99")])
            missed = wire.ask("GET", "/bucket-name/none")
            wire.ask("HEAD", "/bucket-name/none")
            wire.ask("OPTIONS", "/bucket-name/none")
            after = figures(wire)
            text = wire.ask("GET", "/metrics").body
        expected = {
            "s3gw_requests_total": {"PUT": 4, "GET": 2, "HEAD": 1, "DELETE": 0, "POST": 0, "OTHER": 1},
            "s3gw_request_errors_total": {"PUT": 0, "GET": 1, "HEAD": 1, "DELETE": 0, "OTHER": 1},
            "s3gw_request_bytes_total": {"PUT": 3000, "GET": 0},
            "s3gw_response_bytes_total": {"PUT": 0, "GET": 100 + len(missed.body), "HEAD": 0},
        }
        for family, methods in expected.items():
            shown = {method: after[f'{family}{{method="{method}"}}'] for method in methods}
            self.assertEqual((family, shown), (family, methods))
        self.assertEqual(after["s3gw_request_latency_ms_count"], 8)
        self.assertGreater(after['s3gw_rocksdb_ops_total{op="write"}'] + after['s3gw_rocksdb_ops_total{op="put"}'], 0)
        self.assertEqual(after[GAUGE], 1)
        self.assertNotIn(b"-name", text)

    def test_health(self) -> None:
        """Both pages, for GET and HEAD and nothing else."""
        with Wire(self.server) as wire:
            for page in ("live", "ready"):
                self.assertEqual(wire.ask("GET", f"/_health/{page}").status, 200)
                self.assertEqual(wire.ask("HEAD", f"/_health/{page}").status, 200)
                self.assertEqual(wire.ask("PUT", f"/_health/{page}").code, "MethodNotAllowed")


class ShyMetricsTests(LiveCase):
    """--metrics"""

    def test_signed(self) -> None:
        """Only for who signs."""
        self.server = server = self.own_server(auth="sigv4", args=("--metrics=signed",)).start()
        with Wire(server) as wire:
            self.assertEqual(wire.ask("GET", "/metrics").code, "AccessDenied")
            url = server.s3().generate_presigned_url("get_object", Params={"Bucket": "metrics", "Key": "x"})
            self.assertEqual(
                wire.ask("GET", url.replace(server.url, "").replace("/x?", "?")).code, "SignatureDoesNotMatch"
            )
            self.assertEqual(wire.ask("GET", "/_health/ready").status, 200)

    def test_off(self) -> None:
        """For nobody; the name stays reserved. And no access log when that is off."""
        self.server = server = self.own_server(args=("--metrics=off", "--access_log=off")).start()
        with Wire(server) as wire:
            self.assertEqual(wire.ask("GET", "/metrics").status, 404)
            self.assertEqual(wire.ask("PUT", "/metrics").status, 400)
        server.stop()
        self.assertNotIn("s3gw.access", server.log())


class AccessLogTests(LiveCase):
    """One line for each request."""

    auth = "sigv4"

    def make_server(self) -> LiveServer:
        """One with a log of its own."""
        return self.own_server(auth="sigv4").start()

    def test_lines(self) -> None:
        """JSON, with who did what to what and how it ended; and nothing that is worth stealing."""
        s3 = self.server.s3()
        odd = 'two\nlines "quoted" ü'
        s3.create_bucket(Bucket="bucket")
        put = s3.put_object(Bucket="bucket", Key=odd, Body=b"12345", Metadata={"private": "metadata-value"})
        s3.get_object(Bucket="bucket", Key=odd, Range="bytes=1-2")["Body"].read()
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "none"})
        with Wire(self.server) as wire:
            self.assertEqual(wire.ask("GET", url.removeprefix(self.server.url)).status, 404)
        self.refused(self.server.s3(secret_key="another/secret").list_buckets)
        self.server.stop()
        log = self.server.log()
        lines = [json.loads(line) for line in re.findall(r"\[s3gw\.access#info\] (.*)", log)]
        shown = [
            (e.get("user"), e["method"], e.get("operation"), e.get("key"), e["status"], e.get("error")) for e in lines
        ]
        self.assertEqual(shown, [
            ("default", "PUT", "CreateBucket", None, 200, None),
            ("default", "PUT", "PutObject", odd, 200, None),
            ("default", "GET", "GetObject", odd, 206, None),
            ("default", "GET", "GetObject", "none", 404, "NoSuchKey"),
            (None, "GET", "ListBuckets", None, 403, "SignatureDoesNotMatch"),
        ])  # fmt: skip
        self.assertEqual([(e["in"], e["out"]) for e in lines[:3]], [(0, 0), (5, 0), (0, 2)])
        self.assertEqual(lines[1]["id"], put["ResponseMetadata"]["RequestId"])
        self.assertTrue(all(e["bucket"] == "bucket" for e in lines[:4]))
        for line in lines:
            self.assertEqual(line["peer"], "127.0.0.1")
            self.assertLess(line["ms"], 30000)
        signature = re.search("X-Amz-Signature=([0-9a-f]+)", url)
        assert signature is not None
        for secret in (self.server.secret_key, signature[1], "another/secret", "metadata-value", "X-Amz", "AWS4-HMAC"):
            self.assertNotIn(secret, log)
