"""What goes over the wire, byte by byte: what clients that are no SDK rely on."""

from __future__ import annotations

import hashlib
import threading
import time
from urllib.parse import urlsplit

from tests.live.case import KIB, MIB, LiveCase, some_bytes
from tests.live.wire import Wire


class FirstUserTests(LiveCase):
    """The prompt cache's own libcurl client: one keep-alive connection for each thread, path style, nothing signed."""

    def setUp(self) -> None:
        super().setUp()
        self.bucket = self.new_name()

    def test_session(self) -> None:
        """Its whole day over one connection: the bucket without a length, the same blocks stored again and again, read
        by their beginning, looked for in vain, deleted twice."""
        block = some_bytes(64 * KIB)
        base = f"/{self.bucket}/"
        with Wire(self.server) as wire:
            wire.send(wire.head("PUT", f"/{self.bucket}", [("Accept", "*/*")]))
            self.assertIn(wire.answer("PUT").status, (200, 204))
            for number in range(20):
                target = f"{base}{number % 4:016x}"
                octets = [("Content-Type", "application/octet-stream")]
                put = wire.ask("PUT", target, octets, block)
                self.assertEqual((put.status, put.body), (200, b""))
                self.assertEqual(put.headers["ETag"], f'"{hashlib.md5(block).hexdigest()}"')
                for last in (0, 16 * KIB - 1, len(block) - 1, len(block), 10 * len(block)):
                    got = wire.ask("GET", target, [("Range", f"bytes=0-{last}")])
                    self.assertEqual(got.status, 206)
                    self.assertSame(got.body, block[: last + 1])
                    shown = f"bytes 0-{min(last, len(block) - 1)}/{len(block)}"
                    self.assertEqual(got.headers["Content-Range"], shown)
                self.assertEqual(wire.ask("GET", f"{base}{number + 100:016x}").status, 404)
                self.assertEqual(wire.ask("HEAD", f"{base}{number + 100:016x}").status, 404)
            for _ in range(2):
                self.assertEqual(wire.ask("DELETE", f"{base}{0:016x}").status, 204)
            self.assertEqual(wire.ask("GET", "/metrics").status, 200)

    def test_many_threads(self) -> None:
        """Sixteen of them at once, on blocks that they share and of which each is always one of two whole ones."""
        blocks = [some_bytes(64 * KIB, seed) for seed in range(2)]
        torn: list[str] = []

        def one(thread: int) -> None:
            with Wire(self.server) as wire:
                for number in range(30):
                    target = f"/{self.bucket}/{number % 5:016x}"
                    if wire.ask("PUT", target, (), blocks[(thread + number) % 2]).status != 200:
                        torn.append(f"PUT {target}")
                    got = wire.ask("GET", target, [("Range", "bytes=0-999999")])
                    if got.body not in blocks:
                        torn.append(f"GET {target}: {got.status}, {len(got.body)} bytes")

        with Wire(self.server) as wire:
            wire.ask("PUT", f"/{self.bucket}")
        threads = [threading.Thread(target=one, args=(n,), daemon=True) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(torn, [])


class WireTests(LiveCase):
    """Framing, order and early refusals."""

    def setUp(self) -> None:
        super().setUp()
        self.bucket = self.new_name()
        self.wire = Wire(self.server)
        self.addCleanup(self.wire.close)
        self.assertEqual(self.wire.ask("PUT", f"/{self.bucket}").status, 200)

    def test_pipelining(self) -> None:
        """Requests sent without waiting are answered each, in order, whatever they are."""
        wire, base = self.wire, f"/{self.bucket}/"
        bodies = [some_bytes(size, size) for size in (0, 10, 70 * KIB, 300 * KIB)]
        requests = [
            wire.head("PUT", f"{base}{n}", [("Content-Length", str(len(body)))]) + body for n, body in enumerate(bodies)
        ]
        requests += [wire.head("GET", f"{base}{n}") for n in range(len(bodies))]
        requests += [wire.head("HEAD", f"{base}none"), wire.head("GET", f"{base}none")]
        requests += [wire.head("DELETE", f"{base}{n}") for n in range(len(bodies))]
        wire.send_as_taken(b"".join(requests))
        for _ in bodies:
            self.assertEqual(wire.answer("PUT").status, 200)
        for body in bodies:
            self.assertSame(wire.answer().body, body)
        self.assertEqual((wire.answer("HEAD").status, wire.answer().code), (404, "NoSuchKey"))
        for _ in bodies:
            self.assertEqual(wire.answer("DELETE").status, 204)

    def test_byte_by_byte(self) -> None:
        """A request may come in as small pieces as it likes."""
        request = self.wire.head("PUT", f"/{self.bucket}/slow", [("Content-Length", "5")]) + b"12345"
        for at in range(len(request)):
            self.wire.send(request[at : at + 1])
        self.assertEqual(self.wire.answer("PUT").status, 200)
        self.assertEqual(self.wire.ask("GET", f"/{self.bucket}/slow").body, b"12345")

    def test_errors_of_head_have_no_body(self) -> None:
        """So that the answer that follows is read as what it is."""
        for target in (f"/{self.bucket}/none", "/no-such-bucket-here/key", "/no-such-bucket-here", "/UPPER_case"):
            answer = self.wire.ask("HEAD", target)
            self.assertIn(answer.status, (400, 404))
            self.assertEqual(self.wire.ask("GET", f"/{self.bucket}?location").status, 200)

    def test_every_answer_is_marked(self) -> None:
        """With a request id that no other has, a date and the server's name."""
        ids = set()
        for method, target in (("GET", "/"), ("HEAD", f"/{self.bucket}/none"), ("DELETE", f"/{self.bucket}/none")):
            headers = self.wire.ask(method, target).headers
            self.assertTrue(headers["Date"].endswith("GMT") and headers["Server"])
            ids.add(headers["x-amz-request-id"])
        self.assertEqual(len(ids), 3)

    def test_cheap_miss(self) -> None:
        """A missing key, which to a cache is daily bread, costs no more than a found one and keeps the connection."""
        self.wire.ask("PUT", f"/{self.bucket}/key", (), b"1")
        times: dict[str, list[float]] = {"key": [], "none": []}
        for _ in range(200):
            for key, spent in times.items():
                start = time.perf_counter()
                self.wire.ask("HEAD", f"/{self.bucket}/{key}")
                spent.append(time.perf_counter() - start)
        found, missed = (sorted(spent)[len(spent) // 2] for spent in times.values())
        self.assertLess(missed, 3 * found + 0.001)

    def test_expect(self) -> None:
        """A client that waits for 100 Continue gets it, and is answered when it has sent its body."""
        body = some_bytes(200 * KIB)
        expect = [("Content-Length", str(len(body))), ("Expect", "100-continue")]
        for _ in range(2):
            self.wire.send(self.wire.head("PUT", f"/{self.bucket}/key", expect))
            self.assertEqual(self.wire.answer("PUT").status, 100)
            self.wire.send(body)
            self.assertEqual(self.wire.answer("PUT").status, 200)
        self.assertSame(self.wire.ask("GET", f"/{self.bucket}/key").body, body)

    def test_expect_of_nothing(self) -> None:
        """100 Continue comes before the answer even if there is no body: botocore misreads the next answer of the
        connection otherwise."""
        expect = [("Content-Length", "0"), ("Expect", "100-continue")]
        for _ in range(2):
            self.wire.send(self.wire.head("PUT", f"/{self.bucket}/key", expect))
            self.assertEqual(self.wire.answer("PUT").status, 100)
            self.assertEqual(self.wire.answer("PUT").status, 200)

    def test_expect_refused(self) -> None:
        """A client that waits is told at once that its body is not wanted: it uploads nothing."""
        expect = [("Content-Length", str(1 << 30)), ("Expect", "100-continue")]
        self.wire.send(self.wire.head("PUT", "/no-such-bucket-here/key", expect))
        answer = self.wire.answer("PUT")
        self.assertEqual((answer.status, answer.code), (404, "NoSuchBucket"))
        self.assertEqual(answer.headers["Connection"], "close")
        self.assertTrue(self.wire.at_end())

    def test_refused_while_uploading(self) -> None:
        """A client that does not wait reads its refusal nonetheless, instead of a reset connection."""
        size = 8 * MIB
        self.wire.send(self.wire.head("PUT", "/no-such-bucket-here/key", [("Content-Length", str(size))]))
        self.wire.send(bytes(512 * KIB))
        answer = self.wire.answer("PUT")
        self.assertEqual((answer.status, answer.code), (404, "NoSuchBucket"))

    def test_chunked_upload(self) -> None:
        """A body without a length: as many chunks as the client likes."""
        pieces = [some_bytes(size, size) for size in (1, 70 * KIB, 3)]
        self.wire.send(self.wire.head("PUT", f"/{self.bucket}/key", [("Transfer-Encoding", "chunked")]))
        for piece in pieces:
            self.wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wire.send(b"0\r\n\r\n")
        self.assertEqual(self.wire.answer("PUT").status, 200)
        self.assertSame(self.wire.ask("GET", f"/{self.bucket}/key").body, b"".join(pieces))

    def test_trailer_without_length(self) -> None:
        """An aws-chunked body in HTTP chunks, with its checksum in a trailer: what pyarrow and aws-sdk-js send."""
        headers = [
            ("Transfer-Encoding", "chunked"),
            ("Content-Encoding", "aws-chunked"),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("x-amz-decoded-content-length", "5"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ]
        for checksum, status in (("NhCmhg==", 200), ("AAAAAA==", 400)):
            framed = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % checksum.encode()
            with Wire(self.server) as wire:
                wire.send(wire.head("PUT", f"/{self.bucket}/key", headers))
                wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(framed), framed))
                answer = wire.answer("PUT")
                self.assertEqual((answer.status, answer.code), (status, "" if status == 200 else "BadDigest"))
        got = self.wire.ask("GET", f"/{self.bucket}/key")
        self.assertEqual((got.body, got.headers["Content-Encoding"]), (b"hello", None))

    def test_malformed(self) -> None:
        """What is no request is answered in XML, and the connection ends."""
        table = {
            b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n": 400,
            b"GET / HTTP/1.1\nHost: a\n\n": 400,
            b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n": 400,
            b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"k" * 20 * KIB): 414,
            b"GET / HTTP/1.1\r\nHost: a\r\nx: %b\r\n\r\n" % (b"v" * 80 * KIB): 431,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": 405,
        }
        for request, status in table.items():
            with self.subTest(repr(request[:40])), Wire(self.server) as wire:
                wire.send(request)
                answer = wire.answer()
                self.assertEqual(answer.status, status)
                self.assertTrue(answer.body.startswith(b"<?xml") and answer.code, answer.body)
                self.assertEqual(answer.headers["Connection"], "close")

    def test_stray_client(self) -> None:
        """Clients that go away in the middle leave nothing behind and disturb nobody."""
        for sent in (b"", b"GE", b"%b123"):
            with Wire(self.server) as wire:
                head = wire.head("PUT", f"/{self.bucket}/half", [("Content-Length", "100000")])
                wire.send(sent.replace(b"%b", head))
        with Wire(self.server) as wire:
            wire.ask("PUT", f"/{self.bucket}/large", (), bytes(4 * MIB))
            wire.send(wire.head("GET", f"/{self.bucket}/large"))
            wire.read(10)
        self.assertEqual(self.wire.ask("GET", f"/{self.bucket}/half").code, "NoSuchKey")
        self.assertEqual(self.wire.ask("DELETE", f"/{self.bucket}/large").status, 204)


class FirstUserOverTlsTests(FirstUserTests):
    """The same over https."""

    tls = True


class WireOverTlsTests(WireTests):
    """The same over https, where bytes come in records."""

    tls = True


class SignedWireTests(LiveCase):
    """What an unauthorised client may not even send."""

    auth = "sigv4"

    def test_bad_signature_uploads_nothing(self) -> None:
        """No 100 Continue for a signature that is wrong."""
        s3 = self.server.s3()
        bucket = self.new_bucket(s3)
        url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "key"})
        target = urlsplit(url)._replace(scheme="", netloc="").geturl()
        expect = [("Content-Length", "1000"), ("Expect", "100-continue")]
        for spoilt, status in ((target.replace("key?", "kex?"), 403), (target, 100)):
            with Wire(self.server) as wire:
                wire.send(wire.head("PUT", spoilt, expect))
                answer = wire.answer("PUT")
                self.assertEqual(answer.status, status)
                if status == 403:
                    self.assertEqual((answer.code, answer.headers["Connection"]), ("SignatureDoesNotMatch", "close"))
