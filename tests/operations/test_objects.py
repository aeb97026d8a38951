"""PutObject, GetObject, HeadObject and DeleteObject, as a client meets them."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import partial
from typing import Any
from zlib import crc32

import msgspec
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gw.credentials import Credential
from s3gw.model import CHUNK_BYTES, INLINE_BYTES, BucketInfo, ObjectInfo
from s3gw.operations import objects
from s3gw.operations.call import Call, Known, Response
from s3gw.s3.checksums import ALGORITHMS, Digests
from s3gw.store.interface import PutObject
from s3gw.web import respond
from tests.operations.harness import ALICE, BOB, HOST, NOW, Answer, GatewayTestCase, MasterKeysInMemory, signed

HELLO = hashlib.md5(b"hello").hexdigest()
EARLIER, NOW_TEXT, LATER = (formatdate(NOW + shift, usegmt=True) for shift in (-60, 0, 60))
MISSING = '"0123456789abcdef0123456789abcdef"'

quick = settings(max_examples=60, deadline=None)
thorough = settings(max_examples=120, deadline=None)

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)
"""Every key that there can be, nearly: 1024 bytes are the most."""


class ObjectCase(GatewayTestCase):
    """A bucket with one object."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.make_bucket()
        self.put("/bucket/key", b"hello")


class ReadConditionTests(ObjectCase):
    """If-* headers on GET and HEAD."""

    def test_outcomes(self) -> None:
        """They are evaluated in the order of RFC 9110, and HEAD answers as GET does."""
        for headers, status in (
            ({"If-Match": f'"{HELLO}"'}, 200),
            ({"If-Match": MISSING}, 412),
            ({"If-None-Match": f'"{HELLO}"'}, 304),
            ({"If-None-Match": MISSING}, 200),
            ({"If-Modified-Since": EARLIER}, 200),
            ({"If-Modified-Since": NOW_TEXT}, 304),
            ({"If-Modified-Since": LATER}, 200),  # in the future: it says nothing
            ({"If-Unmodified-Since": EARLIER}, 412),
            ({"If-Unmodified-Since": NOW_TEXT}, 200),
            ({"If-Match": f'"{HELLO}"', "If-Unmodified-Since": EARLIER}, 200),
            ({"If-None-Match": MISSING, "If-Modified-Since": NOW_TEXT}, 200),
            ({"If-Modified-Since": "nonsense"}, 200),
        ):
            for method in ("GET", "HEAD"):
                self.assertEqual(status, self.request(method, "/bucket/key", headers).status, (method, headers))

    def test_not_modified(self) -> None:
        """A 304 has the ETag and no body; a 412 says which condition it was."""
        answer = self.request("GET", "/bucket/key", {"If-None-Match": f'"{HELLO}"'})
        self.assertEqual((304, b"", f'"{HELLO}"'), (answer.status, answer.body, answer.headers["etag"]))
        self.assertIn("last-modified", answer.headers)
        answer = self.request("GET", "/bucket/key", {"If-Match": MISSING})
        self.assert_error("PreconditionFailed", 412, answer)
        self.assertEqual("If-Match", answer.text("Condition"))

    def test_missing(self) -> None:
        """A missing object is a 404 whatever the condition, without a body on HEAD."""
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/none", {"If-None-Match": "*"}))
        answer = self.request("HEAD", "/bucket/none")
        self.assertEqual((404, b""), (answer.status, answer.body))


class WriteConditionTests(ObjectCase):
    """If-Match and If-None-Match on PUT."""

    def put_if(self, path: str, **headers: str) -> Answer:
        """Try to write."""
        return self.request("PUT", path, {name.replace("_", "-"): value for name, value in headers.items()}, b"new")

    def test_create(self) -> None:
        """If-None-Match: * creates and never replaces."""
        answer = self.put_if("/bucket/key", If_None_Match="*")
        self.assert_error("PreconditionFailed", 412, answer)
        self.assertEqual("If-None-Match", answer.text("Condition"))
        self.assertEqual(b"hello", self.get("/bucket/key"))
        self.assertEqual(200, self.put_if("/bucket/fresh", If_None_Match="*").status)

    def test_replace(self) -> None:
        """If-Match replaces what it names and nothing else, with quotes or without."""
        self.assert_error("PreconditionFailed", 412, self.put_if("/bucket/key", If_Match=MISSING))
        self.assert_error("NoSuchKey", 404, self.put_if("/bucket/none", If_Match=MISSING))
        self.assertEqual(200, self.put_if("/bucket/key", If_Match=f'"{HELLO}"').status)
        self.put("/bucket/key", b"hello")
        self.assertEqual(200, self.put_if("/bucket/key", If_Match=HELLO).status)

    def test_replace_any(self) -> None:
        """If-Match: * replaces whatever there is, and never creates."""
        self.assert_error("NoSuchKey", 404, self.put_if("/bucket/none", If_Match="*"))
        self.assertEqual(200, self.put_if("/bucket/key", If_Match="*").status)
        self.assertEqual(b"new", self.get("/bucket/key"))

    def test_replace_others(self) -> None:
        """If-None-Match with an ETag writes unless the object has that one."""
        for tag in (HELLO, f'"{HELLO}"'):
            answer = self.put_if("/bucket/key", If_None_Match=tag)
            self.assert_error("PreconditionFailed", 412, answer)
            self.assertEqual("If-None-Match", answer.text("Condition"))
        self.assertEqual(200, self.put_if("/bucket/key", If_None_Match=MISSING).status)
        self.assertEqual(200, self.put_if("/bucket/none", If_None_Match=HELLO).status)

    def test_both(self) -> None:
        """Both headers at once are not implemented, as in S3."""
        answer = self.put_if("/bucket/key", If_Match=HELLO, If_None_Match="*")
        self.assert_error("NotImplemented", 501, answer)
        self.assertEqual("If-Match,If-None-Match", answer.text("Header"))
        self.assertEqual(b"hello", self.get("/bucket/key"))

    def test_refused_early(self) -> None:
        """A client that waits for leave to send a body that would be refused is told so instead."""
        headers = {"Host": HOST, "If-None-Match": "*", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
        lines = signed("PUT", "/bucket/key", headers, b"", ALICE) | {"Content-Length": "9", "Expect": "100-continue"}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection = self.gateway.connect()
        connection.send(f"PUT /bucket/key HTTP/1.1\r\n{head}\r\n".encode())
        (answer,) = connection.answers(["PUT"])
        self.assertEqual((412, "PreconditionFailed"), (answer.status, answer.error))
        self.assertNotIn(b"100 Continue", connection.transport.value())


class DeleteConditionTests(ObjectCase):
    """Conditions of DeleteObject."""

    def test_if_match(self) -> None:
        """Only the object that is meant is deleted; one that is not there is not found."""
        answer = self.request("DELETE", "/bucket/key", {"If-Match": MISSING})
        self.assert_error("PreconditionFailed", 412, answer)
        self.assertEqual(204, self.request("DELETE", "/bucket/key", {"If-Match": f'"{HELLO}"'}).status)
        for value in (HELLO, "*"):
            self.assert_error("NoSuchKey", 404, self.request("DELETE", "/bucket/key", {"If-Match": value}))
        self.put("/bucket/key", b"hello")
        self.assertEqual(204, self.request("DELETE", "/bucket/key", {"If-Match": "*"}).status)

    def test_time_and_size(self) -> None:
        """So it is with a time and a size, which a missing object fulfils."""
        for name, wrong, right in (
            ("x-amz-if-match-size", "4", "5"),
            ("x-amz-if-match-last-modified-time", EARLIER, NOW_TEXT),
        ):
            self.put("/bucket/key", b"hello")
            answer = self.request("DELETE", "/bucket/key", {name: wrong})
            self.assert_error("PreconditionFailed", 412, answer)
            self.assertEqual(name, answer.text("Condition"))
            for _ in range(2):
                self.assertEqual(204, self.request("DELETE", "/bucket/key", {name: right}).status)
            self.assertEqual(204, self.request("DELETE", "/bucket/key", {name: wrong}).status)

    def test_unconditional(self) -> None:
        """Deleting what is not there is fine, in a bucket that is."""
        for _ in range(2):
            self.assertEqual(204, self.request("DELETE", "/bucket/key").status)
        self.assert_error("NoSuchBucket", 404, self.request("DELETE", "/none/key"))

    def test_none_match(self) -> None:
        """If-None-Match is not for deletions."""
        self.assert_error("NotImplemented", 501, self.request("DELETE", "/bucket/key", {"If-None-Match": "*"}))
        self.assertEqual(b"hello", self.get("/bucket/key"))


class RangeTests(ObjectCase):
    """Parts of an object."""

    def test_range(self) -> None:
        """206 and the bytes, clamped; 416 with the size where there are none; the whole for what is no range."""
        for value, body, content_range in (
            ("bytes=0-0", b"h", "bytes 0-0/5"),
            ("bytes=1-100", b"ello", "bytes 1-4/5"),
            ("bytes=-2", b"lo", "bytes 3-4/5"),
            ("bytes=3-", b"lo", "bytes 3-4/5"),
        ):
            answer = self.request("GET", "/bucket/key", {"Range": value})
            self.assertEqual((206, body), (answer.status, answer.body))
            self.assertEqual(content_range, answer.headers["content-range"])
            head = self.request("HEAD", "/bucket/key", {"Range": value})
            self.assertEqual((206, content_range), (head.status, head.headers["content-range"]))
        answer = self.request("GET", "/bucket/key", {"Range": "bytes=5-"})
        self.assert_error("InvalidRange", 416, answer)
        self.assertEqual(("5", "bytes */5"), (answer.text("ActualObjectSize"), answer.headers["content-range"]))
        self.assertEqual(200, self.request("GET", "/bucket/key", {"Range": "lines=1-2"}).status)

    def test_empty(self) -> None:
        """No range of an empty object is satisfiable; its one part is."""
        self.put("/bucket/empty")
        answer = self.request("GET", "/bucket/empty", {"Range": "bytes=0-99"})
        self.assert_error("InvalidRange", 416, answer)
        self.assertEqual(("0", "application/xml"), (answer.text("ActualObjectSize"), answer.headers["content-type"]))
        answer = self.request("GET", "/bucket/empty", query="partNumber=1")
        self.assertEqual((200, b"", "0"), (answer.status, answer.body, answer.headers["content-length"]))

    def test_part_of_one(self) -> None:
        """An object in one piece is its own first part, and has no second."""
        answer = self.request("GET", "/bucket/key", {"x-amz-checksum-mode": "ENABLED"}, query="partNumber=1")
        self.assertEqual((206, b"hello"), (answer.status, answer.body))
        self.assertEqual("bytes 0-4/5", answer.headers["content-range"])
        self.assertNotIn("x-amz-mp-parts-count", answer.headers)
        self.assertEqual("FULL_OBJECT", answer.headers["x-amz-checksum-type"])
        answer = self.request("GET", "/bucket/key", query="partNumber=2")
        self.assert_error("InvalidPart", 400, answer)
        self.assertEqual(("1", "2"), (answer.text("ActualPartCount"), answer.text("PartNumberRequested")))
        for query in ("partNumber=0", "partNumber=10001", "partNumber=x", "partNumber"):
            self.assert_error("InvalidArgument", 400, self.request("GET", "/bucket/key", query=query))
        both = self.request("GET", "/bucket/key", {"Range": "bytes=0-1"}, query="partNumber=1")
        self.assert_error("InvalidRequest", 400, both)


class ChecksumTests(ObjectCase):
    """Checksums that clients send, and get back when they ask."""

    crc = b64encode(crc32(b"hello").to_bytes(4, "big")).decode()

    def test_right_and_wrong(self) -> None:
        """A checksum that holds is kept; one that does not, or is none, keeps the object out."""
        answer = self.put("/bucket/key", b"hello", {"x-amz-checksum-crc32": self.crc})
        self.assertEqual(self.crc, answer.headers["x-amz-checksum-crc32"])
        for value, code in (("AAAAAA==", "BadDigest"), ("bad", "BadDigest"), ("AAAA", "BadDigest")):
            answer = self.request("PUT", "/bucket/other", {"x-amz-checksum-crc32": value}, b"hello")
            self.assert_error(code, 400, answer)
        md5 = b64encode(hashlib.md5(b"other").digest()).decode()
        self.assert_error("BadDigest", 400, self.request("PUT", "/bucket/other", {"Content-MD5": md5}, b"hello"))
        self.assert_error("InvalidDigest", 400, self.request("PUT", "/bucket/other", {"Content-MD5": "x"}, b"hello"))
        self.assertEqual(404, self.request("HEAD", "/bucket/other").status)

    def test_asked_for(self) -> None:
        """GET and HEAD give it when asked, for the whole object only."""
        self.put("/bucket/key", b"hello", {"x-amz-checksum-crc32": self.crc})
        for method in ("GET", "HEAD"):
            self.assertNotIn("x-amz-checksum-crc32", self.request(method, "/bucket/key").headers)
            answer = self.request(method, "/bucket/key", {"x-amz-checksum-mode": "ENABLED"})
            self.assertEqual(self.crc, answer.headers["x-amz-checksum-crc32"])
            part = self.request(method, "/bucket/key", {"x-amz-checksum-mode": "ENABLED", "Range": "bytes=0-1"})
            self.assertNotIn("x-amz-checksum-crc32", part.headers)
        self.assert_error("InvalidArgument", 400, self.request("GET", "/bucket/key", {"x-amz-checksum-mode": "on"}))

    def test_default(self) -> None:
        """An object without one gets the CRC64NVME, as S3 gives it."""
        answer = self.client().head_object(Bucket="bucket", Key="key", ChecksumMode="ENABLED")
        self.assertEqual("FULL_OBJECT", answer["ChecksumType"])
        self.assertEqual(12, len(answer["ChecksumCRC64NVME"]))

    def test_botocore(self) -> None:
        """botocore's own checksums, in trailers too, are verified on both sides."""
        client = self.client(
            request_checksum_calculation="when_supported", response_checksum_validation="when_supported"
        )
        for algorithm in ("CRC32", "SHA1", "SHA256", "CRC64NVME", "CRC32C"):
            sent = client.put_object(Bucket="bucket", Key="k", Body=b"x" * 100_000, ChecksumAlgorithm=algorithm)
            got = client.get_object(Bucket="bucket", Key="k")
            self.assertEqual(100_000, len(got["Body"].read()))
            self.assertEqual(sent[f"Checksum{algorithm}"], got[f"Checksum{algorithm}"])


class HeaderTests(ObjectCase):
    """What an object carries beside its bytes."""

    def test_kept(self) -> None:
        """Headers and metadata come back; aws-chunked, which describes the transfer, does not."""
        sent = {
            "Content-Type": "text/x",
            "Cache-Control": "no-cache",
            "Content-Disposition": "attachment",
            "Content-Encoding": "aws-chunked, gzip",
            "Content-Language": "de",
            "Expires": LATER,
            "x-amz-meta-Some": "value",
        }
        self.put("/bucket/key", b"hello", sent)
        answer = self.request("GET", "/bucket/key")
        for name in ("Content-Type", "Cache-Control", "Content-Disposition", "Content-Language", "Expires"):
            self.assertEqual(sent[name], answer.headers[name.lower()])
        self.assertEqual(("gzip", "value"), (answer.headers["content-encoding"], answer.headers["x-amz-meta-some"]))
        self.put("/bucket/plain", b"x")
        self.assertEqual("binary/octet-stream", self.request("HEAD", "/bucket/plain").headers["content-type"])

    def test_too_much(self) -> None:
        """Metadata of 2 KiB is the most."""
        self.put("/bucket/key", b"", {"x-amz-meta-a": "x" * 2047})
        answer = self.request("PUT", "/bucket/key", {"x-amz-meta-a": "x" * 2048}, b"")
        self.assert_error("MetadataTooLarge", 400, answer)

    def test_overrides(self) -> None:
        """A signed request may have headers of the answer replaced, and nothing smuggled into it."""
        query = {"response-content-type": "a/b", "response-content-disposition": 'attachment; filename="ü"'}
        answer = self.request("GET", "/bucket/key", query=query)
        self.assertEqual("a/b", answer.headers["content-type"])
        self.assertIn('filename="ü"', answer.headers["content-disposition"].encode("latin-1").decode())
        answer = self.request("GET", "/bucket/key", query="response-expires=a%0D%0Ax%3A%20y")
        self.assert_error("InvalidArgument", 400, answer)
        self.assert_error("AccessDenied", 403, self.request("GET", "/bucket/key", query=query, sign=None))

    def test_date_of_mail(self) -> None:
        """A Date as mail has it, which botocore signs when a client sets one, is a date."""
        answer = self.request("GET", "/bucket/key", {"Date": formatdate(NOW)})
        self.assertEqual(200, answer.status, answer.body)

    def test_version(self) -> None:
        """The one version of an object is null; any other is refused."""
        self.assertEqual(200, self.request("GET", "/bucket/key", query="versionId=null").status)
        self.assert_error("InvalidArgument", 400, self.request("GET", "/bucket/key", query="versionId=v1"))
        self.assert_error("InvalidArgument", 400, self.request("PUT", "/bucket/key", query="versionId=null"))


class UnprintableTests(GatewayTestCase):
    """What no header can hold, and how it might get into one."""

    keys = ()

    def test_hoisted(self) -> None:
        """A query cannot store metadata that could not be given back, which would make the object unreadable."""
        self.make_bucket("bucket")
        for query in (
            "x-amz-meta-a=x%0d%0aSet-Cookie:y",
            "x-amz-meta-a=%00",
            "x-amz-meta-%E2%82%AC=x",
            "x-amz-meta-a:=x",
        ):
            self.assert_error("InvalidArgument", 400, self.request("PUT", "/bucket/key", query=query, body=b"body"))
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/key"))
        self.request("PUT", "/bucket/key", query="x-amz-meta-a=gr%C3%BCn", body=b"body")
        self.assertEqual("gr\xc3\xbcn", self.request("GET", "/bucket/key").headers["x-amz-meta-a"])

    def test_stored(self) -> None:
        """Should it be stored all the same, a large object too is answered with an error, not with silence."""
        self.make_bucket("bucket")
        self.put("/bucket/key", b"x" * 600_000)
        info = self.gateway.store.look_up([("bucket", "key")])[0]
        assert isinstance(info, ObjectInfo)
        broken = msgspec.structs.replace(info, metadata={"a": "x\r\ny"})
        self.gateway.store.commit([PutObject("bucket", "key", broken)])
        self.assert_error("InternalError", 500, self.request("GET", "/bucket/key"))
        self.assertEqual(0, self.gateway.site.requests_in_flight)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    def test_error_that_cannot_be_told(self) -> None:
        """A request whose error document cannot be made is answered too, also when its answer comes late."""
        self.make_bucket("bucket")

        def fail(*_: object) -> None:
            raise ValueError("no document")

        self.patch(respond, "refuse", fail)
        answer = self.request("PUT", "/bucket/key", {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, [b"bo", b"dy"])
        self.assert_error("InternalError", 500, answer)
        self.assertEqual(0, self.gateway.site.requests_in_flight)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))


class AnyKeyTests(GatewayTestCase):
    """Keys and metadata are whatever UTF-8 can say."""

    @quick
    @given(KEYS, st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=50), st.binary(max_size=300))
    def test_round_trip(self, key: str, value: str, body: bytes) -> None:
        """botocore gets back what it put, under the same key, finds it in a listing, and deletes it."""
        client = self.client()
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key=key, Body=body, Metadata={"m": value})
        got = client.get_object(Bucket="bucket", Key=key)
        self.assertEqual((body, {"m": value}), (got["Body"].read(), got["Metadata"]))
        for page in (client.list_objects_v2(Bucket="bucket"), client.list_objects(Bucket="bucket")):
            self.assertEqual([key], [entry["Key"] for entry in page["Contents"]])
        client.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": key})
        self.assertEqual(body, client.get_object(Bucket="bucket", Key="copy")["Body"].read())
        client.delete_object(Bucket="bucket", Key="copy")
        client.delete_object(Bucket="bucket", Key=key)
        self.assertNotIn("Contents", client.list_objects_v2(Bucket="bucket"))

    def test_too_long(self) -> None:
        """1024 bytes are the most, however many characters that is."""
        client = self.client()
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="ü" * 512)
        with self.assertRaises(ClientError) as caught:
            client.put_object(Bucket="bucket", Key="ü" * 512 + "x")
        self.assertEqual("KeyTooLongError", caught.exception.response["Error"]["Code"])


class HotTests(ObjectCase):
    """A second answer comes from memory by a shorter way; it says what the first one said."""

    BODY = bytes(range(256)) * 8

    def answer(
        self, method: str, headers: dict[str, str], query: str, *, cold: bool
    ) -> tuple[int, dict[str, str], bytes]:
        """What one request gets: of what only the store has, or of what memory has too."""
        storage = self.gateway.storage
        storage._known.clear()
        if not cold:
            self.request("GET", "/bucket/key")
            known = storage.known("bucket", "key")
            assert isinstance(known, Known)
            self.assertIsNotNone(storage.hot(known.info, None))
        answer = self.request(method, "/bucket/key", headers, query=query)
        headers = dict(answer.headers)
        body = answer.body.replace(headers.pop("x-amz-request-id").encode(), b"")
        return answer.status, headers, body

    def test_same_answers(self) -> None:
        """Whatever is asked for, whole or in part, under a condition or not."""
        checksum = b64encode(crc32(self.BODY).to_bytes(4, "big")).decode()
        stored = {"x-amz-meta-a": "b", "Cache-Control": "no-store", "x-amz-tagging": "a=b"}
        stored["x-amz-checksum-crc32"] = checksum
        put = self.request("PUT", "/bucket/key", stored, self.BODY)
        requests: list[tuple[dict[str, str], str]] = [({}, "")]
        requests += [({"x-amz-checksum-mode": mode}, "") for mode in ("ENABLED", "enabled", "what")]
        requests += [({"Range": f"bytes={part}"}, "") for part in ("0-0", "5-", "-7", "2048-", "0-9,20-29", "x")]
        requests += [({"If-None-Match": tag}, "") for tag in (put.headers["etag"], "*", '"other"')]
        requests += [({"If-Match": tag}, "") for tag in (put.headers["etag"], '"other"')]
        requests += [({"If-None-Match": put.headers["etag"], "Range": "bytes=0-1", "Origin": "https://a"}, "")]
        requests += [({}, query) for query in ("partNumber=1", "partNumber=2", "response-content-type=a/b", "x=y")]
        for method in ("GET", "HEAD"):
            for headers, query in requests:
                with self.subTest(method=method, headers=headers, query=query):
                    cold = self.answer(method, headers, query, cold=True)
                    self.assertEqual(cold, self.answer(method, headers, query, cold=False))

    def test_replaced(self) -> None:
        """What is written, tagged or deleted shows at once."""
        for body in (b"one", b"two"):
            self.request("PUT", "/bucket/key", body=body)
            for _ in range(3):
                self.assertEqual(body, self.request("GET", "/bucket/key").body)
        tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
        self.request("PUT", "/bucket/key", query="tagging", body=tags)
        self.assertEqual("1", self.request("GET", "/bucket/key").headers.get("x-amz-tagging-count"))
        self.request("DELETE", "/bucket/key")
        self.assertEqual(404, self.request("GET", "/bucket/key").status)
        self.assertEqual(404, self.request("HEAD", "/bucket/key").status)


def _digest(algorithm: str, body: bytes) -> str:
    """What a client declares: the digest of a body in base64."""
    digests = Digests((algorithm,))
    digests.update(body)
    return digests.base64(algorithm)


@st.composite
def _uploads(draw: st.DrawFn) -> tuple[dict[str, str], bytes]:
    """Headers and body of a PUT, right or wrong; mostly such as `objects._put_plain` is for."""
    body = b"x" * draw(st.sampled_from([0, 1, 1000, INLINE_BYTES + 1, CHUNK_BYTES, CHUNK_BYTES + 1]))
    told = st.sampled_from([body, b"other"])
    headers: dict[str, str] = {}
    several = 2 if draw(st.booleans()) else 0
    for name in draw(st.lists(st.sampled_from(list(ALGORITHMS)), unique=True, max_size=several)):
        headers[f"x-amz-checksum-{name}"] = draw(st.one_of(told.map(partial(_digest, name)), st.just("nonsense")))
    if draw(st.booleans()):
        headers["Content-MD5"] = draw(st.one_of(told.map(partial(_digest, "MD5")), st.just("nonsense")))
    if draw(st.booleans()):
        digest = told.map(lambda of: hashlib.sha256(of).hexdigest())
        headers["x-amz-content-sha256"] = draw(st.one_of(digest, st.sampled_from(["UNSIGNED-PAYLOAD", "nonsense"])))
    others = {
        "x-amz-sdk-checksum-algorithm": ["CRC32", "SHA256", "nonsense"],
        "Content-Type": ["", "text/plain"],
        "Expect": ["100-continue"],
        "Range": ["bytes=0-1"],
        "x-amz-checksum-mode": ["ENABLED"],
        "User-Agent": ["tests"],
        "Cache-Control": ["no-store"],
        "Content-Encoding": ["gzip"],
        "If-None-Match": ["*"],
        "x-amz-acl": ["private", "public-read"],
        "x-amz-meta-a": ["b"],
        "x-amz-tagging": ["a=b"],
        "x-amz-server-side-encryption": ["AES256"],
        "x-amz-storage-class": ["STANDARD", "GLACIER"],
    }
    for name in draw(st.lists(st.sampled_from(list(others)), unique=True, max_size=2)):
        headers[name] = draw(st.sampled_from(others[name]))
    return headers, body


@st.composite
def _chunked_uploads(draw: st.DrawFn) -> tuple[dict[str, str], bytes]:
    """The same of a PUT in aws-chunked framing without signatures, mostly such as `objects._put_plain` is for."""
    body = b"x" * draw(st.sampled_from([0, 1, 1000, INLINE_BYTES + 1, CHUNK_BYTES, CHUNK_BYTES + 1]))
    trailer = f"x-amz-checksum-crc32:{_digest('CRC32', draw(st.sampled_from([body, body, b'other'])))}\r\n"
    framed = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    framed += b"0\r\n" + draw(st.sampled_from([trailer, trailer, trailer, "", "x-amz-checksum-crc32:zzz\r\n"])).encode()
    headers = {
        "x-amz-content-sha256": draw(
            st.sampled_from(["STREAMING-UNSIGNED-PAYLOAD-TRAILER"] * 4 + ["UNSIGNED-PAYLOAD"])
        ),
        "x-amz-decoded-content-length": str(draw(st.sampled_from([len(body)] * 4 + [len(body) + 1, ""]))),
        "x-amz-trailer": draw(st.sampled_from(["x-amz-checksum-crc32"] * 4 + ["x-amz-checksum-sha1"])),
    }
    others = {
        "Content-Encoding": ["aws-chunked", "aws-chunked", "gzip,aws-chunked", ""],
        "x-amz-sdk-checksum-algorithm": ["CRC32", "SHA256"],
        "Content-Type": ["text/plain"],
        "Content-MD5": [_digest("MD5", body), _digest("MD5", b"other")],
        "x-amz-meta-a": ["b"],
        "If-None-Match": ["*"],
    }
    for name in draw(st.lists(st.sampled_from(list(others)), unique=True, max_size=2)):
        headers[name] = draw(st.sampled_from(others[name]))
    return headers, framed + draw(st.sampled_from([b"\r\n"] * 4 + [b"", b"\r\nx"]))


class PlaceTests(GatewayTestCase):
    """Where bodies go that are not too long to come with their object."""

    def test_places(self) -> None:
        """Small ones are in the row of their object, others are a blob of one chunk each, and both come back."""
        self.make_bucket()
        metadata = {"x-amz-meta-a": "b"}  # not on the short way
        for size in (1, INLINE_BYTES, INLINE_BYTES + 1, CHUNK_BYTES):
            body = bytes(range(1, 254)) * (size // 253) + bytes(size % 253)
            for headers in ({}, metadata):
                self.put("/bucket/key", body, headers)
                (info,) = self.gateway.store.look_up([("bucket", "key")])
                assert isinstance(info, ObjectInfo)
                self.assertEqual(size <= INLINE_BYTES, bool(info.inline))
                self.assertEqual([(0, size)] * (not info.inline), [(it.start, it.length) for it in info.extents])
                self.assertEqual(body, self.get("/bucket/key"))
                part = self.request("GET", "/bucket/key", {"Range": f"bytes={size // 2}-"})
                self.assertEqual((206, body[size // 2 :]), (part.status, part.body))


class PlainPutTests(GatewayTestCase):
    """A small PUT that says little of its object takes a shorter way; what comes of it is what the longer one makes."""

    settings = {"master_keys": MasterKeysInMemory()}

    def setUp(self) -> None:
        """Buckets that ask for nothing and one that does, and one to which anybody may write."""
        super().setUp()
        for name in ("plain", "versioned", "tagged", "open"):
            self.make_bucket(name)
        enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        self.assertEqual(200, self.request("PUT", "/versioned", query="versioning", body=enabled).status)
        tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
        digest = {"Content-MD5": _digest("MD5", tags)}
        self.assertEqual(204, self.request("PUT", "/tagged", digest, tags, query="tagging").status)
        self.assertEqual(200, self.request("PUT", "/open", {"x-amz-acl": "public-read-write"}, query="acl").status)
        self.plain = objects._put_plain
        self.taken = 0

    def outcome(
        self, way: Callable[..., Awaitable[Response]], bucket: str, headers: dict[str, str], body: bytes, sign: Any
    ) -> tuple[Any, ...]:
        """The answer to a PUT, and what is then in the store."""
        self.patch(objects, "_put_plain", way)
        answer = self.request("PUT", f"/{bucket}/key", headers, body, sign=sign)
        shown = dict(answer.headers)
        told = answer.body.replace(shown.pop("x-amz-request-id").encode(), b"")
        (info,) = self.gateway.store.look_up([(bucket, "key")])
        kept = b""
        if isinstance(info, ObjectInfo):
            kept = self.get(f"/{bucket}/key") if info.owner == ALICE.owner.id else b"not ours"
            inline = b"some" if info.inline else b""
            extents = tuple(msgspec.structs.replace(extent, blob=b"some") for extent in info.extents)
            info = msgspec.structs.replace(info, inline=inline, extents=extents, encryption=None, order=0)
            self.assertEqual(204, self.request("DELETE", f"/{bucket}/key").status)
        version = shown.pop("x-amz-version-id", "")
        if info is not None and info.checksum is not None and "x-amz-server-side-encryption" in headers:
            info = msgspec.structs.replace(info, checksum=None)
        return answer.status, shown, told, bool(version), info, kept

    def assert_same(self, bucket: str, headers: dict[str, str], body: bytes, sign: Credential | None) -> None:
        """Both ways end in the same."""
        expected = self.outcome(lambda call, *_: objects._put(call), bucket, headers, body, sign)
        self.assertEqual(expected, self.outcome(self.counted, bucket, headers, body, sign))

    def counted(self, call: Call, bucket: BucketInfo, length: int) -> Awaitable[Response]:
        """The shorter way."""
        self.taken += 1
        return self.plain(call, bucket, length)

    @thorough
    @given(
        st.sampled_from(["plain", "versioned", "tagged", "open", "none"]),
        _uploads(),
        st.sampled_from([ALICE, ALICE, ALICE, BOB, None]),
    )
    def test_same(self, bucket: str, upload: tuple[dict[str, str], bytes], sign: Credential | None) -> None:
        """Whatever is sent, whoever sends it: the same answer, and the same object."""
        self.assert_same(bucket, *upload, sign)

    @thorough
    @given(
        st.sampled_from(["plain", "versioned", "tagged", "open", "none"]),
        _chunked_uploads(),
        st.sampled_from([ALICE, ALICE, ALICE, BOB, None]),
    )
    def test_same_chunked(self, bucket: str, upload: tuple[dict[str, str], bytes], sign: Credential | None) -> None:
        """The same of bodies in aws-chunked framing."""
        self.assert_same(bucket, *upload, sign)

    def test_taken(self) -> None:
        """It is taken by what SDKs and plain clients send, however it arrives."""
        self.patch(objects, "_put_plain", self.counted)
        self.client().put_object(Bucket="plain", Key="sdk", Body=b"x", ContentType="text/plain")
        self.assertEqual(1, self.taken)
        self.request("PUT", "/plain/key", {"Expect": "100-continue"}, [b"a", b"b" * 999, b"c"])
        self.assertEqual(b"a" + b"b" * 999 + b"c", self.get("/plain/key"))
        self.assertEqual(2, self.taken)
        headers = {
            "Content-Encoding": "aws-chunked",
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": "1",
            "x-amz-sdk-checksum-algorithm": "CRC32",
            "x-amz-trailer": "x-amz-checksum-crc32",
        }
        body = f"1\r\nx\r\n0\r\nx-amz-checksum-crc32:{_digest('CRC32', b'x')}\r\n\r\n".encode()
        self.assertEqual(200, self.request("PUT", "/plain/key", headers, body).status)
        self.assertEqual((3, b"x"), (self.taken, self.get("/plain/key")))

    def test_cut(self) -> None:
        """A body that does not come to its end is no object."""
        connection = self.gateway.connect()
        lines = signed("PUT", "/plain/key", {"Host": HOST, "Content-Length": "9"}, b"123456789", ALICE)
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection.send(f"PUT /plain/key HTTP/1.1\r\n{head}\r\n12345".encode())
        connection.close()
        self.assertEqual([None], self.gateway.store.look_up([("plain", "key")]))
