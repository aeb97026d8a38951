"""`S3Server`, used as a synchronous test uses it; and the faults, by what a client sees of them."""

from __future__ import annotations

import http.client
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from twisted.trial.unittest import SynchronousTestCase

from s3gw.settings import ConfigurationError
from s3gw.testing import Answer, Corrupt, Delay, Fail, LoseAnswer, LoseRequest, Reset, S3Server
from tests.live.case import some_bytes

MODELS = botocore.session.Session()  # keeps the parsed service model, which is the dear part of a client

BODY = some_bytes(300_000)


def client(server: S3Server, **config: Any) -> Any:
    """A client that tries once."""
    settings = {"retries": {"total_max_attempts": 1}, **config}
    return MODELS.create_client("s3", **server.boto3(), config=Config(**settings))


class ServerTests(SynchronousTestCase):
    """Life of a server."""

    def server(self, **options: Any) -> S3Server:
        """A server that runs until the test has ended."""
        server = S3Server(**options).start()
        self.addCleanup(server.close)
        return server

    def round_trip(self, server: S3Server) -> None:
        """A bucket and an object."""
        s3 = client(server)
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="key", Body=BODY)
        self.assertEqual(s3.get_object(Bucket="bucket", Key="key")["Body"].read(), BODY)

    def test_kinds(self) -> None:
        """In memory and on disk, http and https, with and without signatures."""
        for options in ({}, {"auth": "sigv4"}, {"tls": True}, {"store": "rocksdb", "auth": "sigv4", "tls": True}):
            with self.subTest(str(options)):
                self.round_trip(self.server(**options))

    def test_with(self) -> None:
        """A ``with`` starts it, and leaves no port open and no file behind."""
        with S3Server(store="rocksdb", tls=True) as server:
            self.round_trip(server)
            assert server.ca is not None
            place = server.ca.parents[1]
            self.assertTrue((place / "db").is_dir())
        self.assertFalse(place.exists())
        self.assertRaises(ConnectionRefusedError, http.client.HTTPConnection("127.0.0.1", server.port).connect)

    def test_signed(self) -> None:
        """With sigv4, whoever has no key is refused."""
        server = self.server(auth="sigv4")
        refused = self.assertRaises(ClientError, client(server, signature_version=UNSIGNED).list_buckets)
        self.assertEqual(refused.response["Error"]["Code"], "AccessDenied")

    def test_restart(self) -> None:
        """After a stop and a start it has the same port and the same objects."""
        place = Path(self.mktemp()).absolute()
        for store in ("memory", "rocksdb", place):
            with self.subTest(str(store)):
                server = self.server(store=store)
                self.round_trip(server)
                port = server.port
                server.stop()
                server.stop()
                server.start()
                self.assertEqual(server.port, port)
                s3 = client(server)
                self.assertEqual(s3.get_object(Bucket="bucket", Key="key")["Body"].read(), BODY)
                upload = s3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
                s3.upload_part(Bucket="bucket", Key="parts", UploadId=upload, PartNumber=1, Body=BODY)

    def test_strangers(self) -> None:
        """Two servers know nothing of each other."""
        one, other = self.server(), self.server()
        self.round_trip(one)
        self.assertEqual(client(other).list_buckets()["Buckets"], [])
        self.assertEqual([record.operation for record in other.requests], ["ListBuckets"])

    def test_process(self) -> None:
        """The process stays the test's: its signals, its switch interval, its threads."""

        def state() -> tuple[object, ...]:
            signals = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
            threads = {thread.name for thread in threading.enumerate()} - {"s3gw-testing"}
            return (*signals, sys.getswitchinterval(), threads)

        before = state()
        server = S3Server().start()
        server.close()
        self.assertEqual(state(), before)

    def test_options(self) -> None:
        """The options of the gateway are there, and refused as it refuses them."""
        self.assertEqual(self.server(region="eu-north-1").region, "eu-north-1")
        self.assertRaises(ConfigurationError, S3Server, metrics="signed")

    def test_environment(self) -> None:
        """What an SDK reads of its environment leads to the server."""
        server = self.server(auth="sigv4", tls=True)
        found = server.environment()
        self.assertEqual(found["AWS_ENDPOINT_URL"], server.url)
        self.assertEqual(found["AWS_SECRET_ACCESS_KEY"], server.secret_key)
        self.assertTrue(Path(found["AWS_CA_BUNDLE"]).exists())


class RequestsTests(ServerTests):
    """The record of requests."""

    def test_record(self) -> None:
        """What was asked and answered, in order; whoever has read an answer finds its request."""
        server = self.server()
        self.round_trip(server)
        self.assertRaises(ClientError, client(server).head_object, Bucket="bucket", Key="a b")
        put, get, head = server.requests[1:]
        self.assertEqual((put.operation, put.bucket, put.key, put.received), ("PutObject", "bucket", "key", len(BODY)))
        self.assertEqual((get.method, get.path, get.status, get.sent), ("GET", "/bucket/key", 200, len(BODY)))
        self.assertEqual((head.path, head.key, head.status, head.error), ("/bucket/a%20b", "a b", 404, "NoSuchKey"))
        self.assertIn("authorization", put.headers)
        server.forget_requests()
        self.assertEqual(server.requests, [])

    def test_bounded(self) -> None:
        """A server that runs for long remembers the latest requests."""
        self.patch(sys.modules["s3gw.testing.gateway"], "RECORDS_KEPT", 3)
        server = self.server()
        s3 = client(server)
        for number in range(5):
            s3.create_bucket(Bucket=f"bucket-{number}")
        self.assertEqual([record.bucket for record in server.requests], ["bucket-2", "bucket-3", "bucket-4"])


class FaultTests(SynchronousTestCase):
    """What goes wrong on purpose."""

    def setUp(self) -> None:
        self.server = S3Server().start()
        self.addCleanup(self.server.close)
        self.s3 = client(self.server)
        self.s3.create_bucket(Bucket="bucket")
        self.s3.put_object(Bucket="bucket", Key="key", Body=BODY)

    def raw(self, method: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
        """The answer to a request without an SDK around it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        self.addCleanup(connection.close)
        connection.request(method, path, body)
        return connection.getresponse()

    def stored(self, key: str) -> bytes | None:
        """What is stored under a key."""
        answer = self.raw("GET", f"/bucket/{key}")
        body = answer.read()
        return body if answer.status == 200 else None

    def test_fail(self) -> None:
        """An error that S3 knows, one that it does not, and a header; nothing is done, and the next request goes on."""
        self.server.inject(Fail())
        answer = self.raw("PUT", "/bucket/new", b"body")
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "1"))
        self.assertIn(b"<Code>SlowDown</Code>", answer.read())
        self.server.inject(Fail(418, "Teapot", {"x-short": "stout"}))
        answer = self.raw("GET", "/bucket/key")
        self.assertEqual((answer.status, answer.headers["x-short"]), (418, "stout"))
        self.assertIn(b"<Code>Teapot</Code>", answer.read())
        self.assertIsNone(self.stored("new"))
        self.assertEqual(self.stored("key"), BODY)

    def test_answer(self) -> None:
        """Any answer in place of the right one, after so many that are right."""
        self.server.inject(Answer(206, b"other", {"x-odd": "1"}), method="GET", skip=1)
        self.assertEqual(self.stored("key"), BODY)
        answer = self.raw("GET", "/bucket/key")
        self.assertEqual((answer.status, answer.headers["x-odd"], answer.read()), (206, "1", b"other"))
        self.assertEqual(self.stored("key"), BODY)

    def test_corrupt(self) -> None:
        """One bit is wrong, early or late, in a small body and a long one; what is stored stays right."""
        self.s3.put_object(Bucket="bucket", Key="small", Body=b"0123456789")
        for key, whole in (("key", BODY), ("small", b"0123456789")):
            for at in (0, len(whole) - 1, len(whole)):
                self.server.inject(Corrupt(at))
                got = self.stored(key)
                assert got is not None
                wrong = [place for place, pair in enumerate(zip(got, whole, strict=True)) if pair[0] != pair[1]]
                self.assertEqual(wrong, [at] if at < len(whole) else [])
                self.assertEqual(self.stored(key), whole)

    def test_sdk_tries_again(self) -> None:
        """Two errors and then none: what an SDK that tries three times makes of it."""
        injected = self.server.inject(Fail(500, "InternalError"), method="GET", times=2)
        patient = client(self.server, retries={"total_max_attempts": 3, "mode": "standard"})
        self.assertEqual(patient.get_object(Bucket="bucket", Key="key")["Body"].read(), BODY)
        self.assertEqual((injected.met, injected.left), (2, 0))
        self.assertEqual([record.status for record in self.server.requests[2:]], [500, 500, 200])

    def test_which(self) -> None:
        """By method, operation, bucket and pattern of the key; others are left alone."""
        which = {"method": "PUT", "operation": "PutObject", "bucket": "buck*", "key": "logs/*.gz"}
        injected = self.server.inject(Fail(), **which, times=None)
        for path in ("/bucket/logs/1.gz", "/bucket/logs/2.gz"):
            self.assertEqual(self.raw("PUT", path, b"x").status, 503)
        for method, path in (("GET", "/bucket/logs/1.gz"), ("PUT", "/other/logs/1.gz"), ("PUT", "/bucket/logs/1")):
            self.assertNotEqual(self.raw(method, path, b"x").status, 503)
        self.server.faults.remove(injected)
        self.assertEqual(self.raw("PUT", "/bucket/logs/1.gz", b"x").status, 200)

    def test_delay(self) -> None:
        """The first byte of an answer is late: of a small one, a long one, an error; what was asked is done."""
        self.server.inject(Delay(0.1), times=None)
        self.server.inject(Fail(), key="failing")
        for method, path, status in (
            ("GET", "/bucket/key", 200),
            ("PUT", "/bucket/new", 200),
            ("GET", "/bucket/failing", 503),
        ):
            began = time.monotonic()
            answer = self.raw(method, path, b"body" if method == "PUT" else None)
            self.assertGreaterEqual(time.monotonic() - began, 0.1)
            self.assertEqual(answer.status, status)
            answer.read()
        self.server.faults.clear()
        self.assertEqual(self.stored("new"), b"body")

    def test_reset(self) -> None:
        """The body breaks off where it was told to; so does that of an error. What is shorter arrives whole."""
        self.s3.put_object(Bucket="bucket", Key="small", Body=b"0123456789")
        for path, whole in (("/bucket/key", BODY), ("/bucket/small", b"0123456789"), ("/bucket/none", None)):
            for after in (0, 4):
                with self.subTest(f"{path} after {after}"):
                    self.server.inject(Reset(after))
                    answer = self.raw("GET", path)
                    got = answer.read(after)
                    self.assertRaises((ConnectionResetError, http.client.IncompleteRead), answer.read)
                    self.assertEqual(len(got), after)
                    if whole is not None:
                        self.assertEqual(got, whole[:after])
                    last = self.server.requests[-1]
                    self.assertEqual((last.sent, last.cut, last.faults), (after, True, (Reset(after),)))
        self.server.inject(Reset(10))
        self.assertEqual(self.stored("small"), b"0123456789")
        self.server.inject(Reset(10))
        self.assertEqual(self.raw("HEAD", "/bucket/key").status, 200)

    def test_lost(self) -> None:
        """A lost answer and a lost request look the same, and are not."""
        for fault, expected in ((LoseAnswer(), b"body"), (LoseRequest(), None)):
            with self.subTest(str(fault)):
                key = type(fault).__name__
                self.server.inject(fault)
                self.assertRaises(ConnectionResetError, self.raw, "PUT", f"/bucket/{key}", b"body")
                last = self.server.requests[-1]
                self.assertEqual((last.operation, last.key, last.status, last.cut), ("PutObject", key, 0, True))
                self.assertEqual(self.stored(key), expected)

    def test_lost_long_answer(self) -> None:
        """The answer that is lost may be a long one."""
        self.server.inject(LoseAnswer())
        self.assertRaises(ConnectionResetError, self.raw, "GET", "/bucket/key")
        self.assertEqual(self.stored("key"), BODY)

    def test_stop_while_late(self) -> None:
        """A server that is stopped waits for no answer that is late."""
        for key in ("key", "none"):
            injected = self.server.inject(Delay(600), key=key)
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
            self.addCleanup(connection.close)
            connection.request("GET", f"/bucket/{key}")
            while not injected.met:
                self.assertEqual(len(self.server.requests), 2)  # which waits for a turn of the reactor
        began = time.monotonic()
        self.server.stop()
        self.assertLess(time.monotonic() - began, 20)
        self.server.start()
        self.assertEqual(self.stored("key"), BODY)
