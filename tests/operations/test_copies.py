"""CopyObject and UploadPartCopy."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from s3gw.model import CHUNK_BYTES, INLINE_BYTES
from s3gw.operations import copies, multipart
from s3gw.store.interface import ListQuery
from tests.operations.harness import BOB, NOW, Answer, GatewayTestCase, InMemoryGateway, Pool
from tests.operations.test_multipart import checksum, document, etag

MEDIUM = b"m" * (INLINE_BYTES + 1)
LARGE = bytes(range(256)) * (CHUNK_BYTES // 256 * 3 + 7)
EARLIER, LATER = formatdate(NOW - 60, usegmt=True), formatdate(NOW + 60, usegmt=True)

quick = settings(max_examples=60, deadline=None)


class CopyCase(GatewayTestCase):
    """A bucket with a small object and a large one."""

    def setUp(self) -> None:
        """Make them."""
        super().setUp()
        self.make_bucket()
        headers = {"Content-Type": "text/x", "x-amz-meta-a": "b", "x-amz-tagging": "t=1"}
        self.put("/bucket/small", b"hello", headers)
        self.put("/bucket/medium", MEDIUM, headers)
        self.put("/bucket/large", LARGE, headers)

    def copy(self, source: str, path: str = "/bucket/copy", query: str = "", **headers: str) -> Answer:
        """Copy ``bucket/key`` to a path."""
        named = {"x-amz-" + name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("PUT", path, {"x-amz-copy-source": source, **named}, query=query)


class CopyObjectTests(CopyCase):
    """Whole objects."""

    def test_everything(self) -> None:
        """The copy has the bytes, the ETag, the headers, the metadata and the tags of its source."""
        for name, body in (("small", b"hello"), ("medium", MEDIUM), ("large", LARGE)):
            answer = self.copy(f"/bucket/{name}")
            self.assertEqual((200, f'"{etag(body)}"'), (answer.status, answer.text("ETag")))
            copied = self.request("GET", "/bucket/copy")
            self.assertEqual(body, copied.body)
            self.assertEqual(["text/x", "b", "1"], [copied.headers[each] for each in self.described])
            self.request("DELETE", f"/bucket/{name}")
            self.assertEqual(body, self.get("/bucket/copy"))

    described = ("content-type", "x-amz-meta-a", "x-amz-tagging-count")

    def test_shared(self) -> None:
        """The chunks of a large object are not written again."""
        (before,) = [info for key, info in self.objects() if key == "large"]
        self.copy("bucket/large")
        (after,) = [info for key, info in self.objects() if key == "copy"]
        self.assertEqual(before.extents, after.extents)

    def objects(self) -> Any:
        """What is in the bucket."""
        store = self.gateway.store
        keys = [key for key, _ in store.list_objects("bucket", ListQuery()).entries]
        return [(key, *store.look_up([("bucket", key)])) for key in keys]

    def test_replaced(self) -> None:
        """Metadata and tags can be replaced, each on its own; what is not to be replaced is ignored."""
        self.copy("bucket/small", metadata_directive="REPLACE", meta_new="x", tagging="u=2&v=3")
        answer = self.request("HEAD", "/bucket/copy")
        self.assertEqual(
            ("binary/octet-stream", "x"), (answer.headers["content-type"], answer.headers["x-amz-meta-new"])
        )
        self.assertNotIn("x-amz-meta-a", answer.headers)
        self.assertEqual("1", answer.headers["x-amz-tagging-count"])
        self.copy("bucket/small", tagging_directive="REPLACE", meta_new="x", tagging="u=2&v=3")
        answer = self.request("HEAD", "/bucket/copy")
        self.assertEqual(["text/x", "b", "2"], [answer.headers[each] for each in self.described])
        self.assert_error("InvalidArgument", 400, self.copy("bucket/small", metadata_directive="MOVE"))

    def test_onto_itself(self) -> None:
        """An object is copied onto itself only if that changes something."""
        for name, body in (("small", b"hello"), ("medium", MEDIUM), ("large", LARGE)):
            path = f"/bucket/{name}"
            self.assert_error("InvalidRequest", 400, self.copy(f"bucket/{name}", path))
            self.assert_error("InvalidRequest", 400, self.copy(f"bucket/{name}", path, tagging_directive="REPLACE"))
            self.assertEqual(200, self.copy(f"bucket/{name}", path, storage_class="STANDARD").status)
            answer = self.copy(f"bucket/{name}", path, metadata_directive="REPLACE", meta_new="x")
            self.assertEqual(200, answer.status, answer.body)
            answer = self.request("GET", path)
            self.assertEqual((body, "x"), (answer.body, answer.headers["x-amz-meta-new"]))

    def test_checksum(self) -> None:
        """A copy has its source's checksum, or one of the algorithm that the request names."""
        answer = self.copy("bucket/large")
        self.assertEqual(checksum("CRC64NVME", LARGE), answer.text("ChecksumCRC64NVME"))
        for algorithm in ("SHA256", "CRC32", "CRC64NVME"):
            answer = self.copy("bucket/large", checksum_algorithm=algorithm)
            self.assertEqual(checksum(algorithm, LARGE), answer.text(f"Checksum{algorithm}"))
        head = self.request("HEAD", "/bucket/copy", {"x-amz-checksum-mode": "ENABLED"})
        self.assertEqual(checksum("CRC64NVME", LARGE), head.headers["x-amz-checksum-crc64nvme"])

    def test_conditions_on_source(self) -> None:
        """The source must be what the request says, else nothing is copied."""
        tag, none = f'"{etag(b"hello")}"', '"0123456789abcdef0123456789abcdef"'
        for headers, fine in (
            ({"copy_source_if_match": tag}, True),
            ({"copy_source_if_match": none}, False),
            ({"copy_source_if_none_match": tag}, False),
            ({"copy_source_if_none_match": none}, True),
            ({"copy_source_if_modified_since": EARLIER}, True),
            ({"copy_source_if_unmodified_since": EARLIER}, False),
            ({"copy_source_if_unmodified_since": LATER}, True),
            ({"copy_source_if_match": tag, "copy_source_if_unmodified_since": EARLIER}, True),
            ({"copy_source_if_none_match": tag, "copy_source_if_modified_since": EARLIER}, False),
        ):
            answer = self.copy("bucket/small", **headers)
            self.assertEqual(200 if fine else 412, answer.status, headers)
            self.assertEqual(fine, self.request("HEAD", "/bucket/copy").status == 200)
            self.request("DELETE", "/bucket/copy")

    def test_conditions_on_destination(self) -> None:
        """A copy may create, or replace what it names, as a PUT may."""
        request = {"x-amz-copy-source": "bucket/small"}
        self.assertEqual(200, self.request("PUT", "/bucket/copy", {**request, "If-None-Match": "*"}).status)
        answer = self.request("PUT", "/bucket/copy", {**request, "If-None-Match": "*"})
        self.assert_error("PreconditionFailed", 412, answer)
        answer = self.request("PUT", "/bucket/copy", {**request, "If-Match": "abc"})
        self.assert_error("PreconditionFailed", 412, answer)
        answer = self.request("PUT", "/bucket/none", {**request, "If-Match": "abc"})
        self.assert_error("NoSuchKey", 404, answer)
        answer = self.request("PUT", "/bucket/copy", {**request, "If-Match": etag(b"hello")})
        self.assertEqual(200, answer.status)
        answer = self.request("PUT", "/bucket/none", {**request, "If-Match": "*"})
        self.assert_error("NoSuchKey", 404, answer)
        answer = self.request("PUT", "/bucket/copy", {**request, "If-None-Match": etag(b"hello")})
        self.assert_error("PreconditionFailed", 412, answer)

    def test_no_source(self) -> None:
        """A source that is not there, not the caller's, or none at all."""
        self.assert_error("NoSuchKey", 404, self.copy("bucket/none"))
        self.assert_error("NoSuchBucket", 404, self.copy("none/key"))
        self.assert_error("InvalidArgument", 400, self.copy("bucket"))
        self.assert_error("InvalidArgument", 400, self.copy("bucket/small?versionId=v1"))
        self.assertEqual(200, self.copy("bucket/small?versionId=null").status)
        self.make_bucket("bobs", sign=BOB)
        self.assert_error("AccessDenied", 403, self.copy("bobs/key"))
        self.assert_error("AccessDenied", 403, self.copy("bucket/small", source_expected_bucket_owner="bob"))

    def test_query(self) -> None:
        """A source in the query, as in a presigned URL, is a source however its name is spelt."""
        for name in ("x-amz-copy-source", "X-Amz-Copy-Source"):
            answer = self.request("PUT", f"/bucket/{name}", query={name: "/bucket/small"})
            self.assertEqual((200, f'"{etag(b"hello")}"'), (answer.status, answer.text("ETag")))
            self.assertEqual(b"hello", self.get(f"/bucket/{name}"))

    def test_too_large(self) -> None:
        """What is larger than S3 copies at once is copied in parts."""
        self.patch(copies, "MAX_COPY_BYTES", 5)
        self.assertEqual(200, self.copy("bucket/small").status)
        self.assert_error("InvalidRequest", 400, self.copy("bucket/large"))

    @quick
    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40))
    def test_any_key(self, key: str) -> None:
        """Every key can be copied, its name percent-encoded wholly, or but for its slashes."""
        self.put("/bucket/" + quote(key, safe=""), b"odd")
        for safe in ("", "/"):
            self.assertEqual(200, self.copy("bucket/" + quote(key, safe=safe)).status)
            self.assertEqual(b"odd", self.get("/bucket/copy"))


class UploadPartCopyTests(CopyCase):
    """Parts of an upload that are copied."""

    def setUp(self) -> None:
        """Begin one."""
        super().setUp()
        self.patch(multipart, "MIN_PART_BYTES", 1)
        self.upload = self.begin()

    def begin(self, headers: dict[str, str] | None = None) -> str:
        """An upload."""
        return self.request("POST", "/bucket/copy", headers, query="uploads").text("UploadId") or ""

    def copy_part(self, number: int, source: str, upload: str = "", **headers: str) -> Answer:
        """Copy a part."""
        return self.copy(source, query=f"partNumber={number}&uploadId={upload or self.upload}", **headers)

    def complete(self, *etags: str, upload: str = "") -> Answer:
        """Complete it with parts 1, 2, ..."""
        body = document(list(enumerate(etags, 1)))
        return self.request("POST", "/bucket/copy", body=body, query=f"uploadId={upload or self.upload}")

    def test_ranges(self) -> None:
        """An object is put together from whole objects and from ranges of them, across chunks or not."""
        spans = ((0, 9), (CHUNK_BYTES - 3, CHUNK_BYTES + 3), (0, len(LARGE) - 1), (2 * CHUNK_BYTES, 2 * CHUNK_BYTES))
        pieces = [LARGE[first : last + 1] for first, last in spans]
        tags = []
        for number, (first, last) in enumerate(spans, 1):
            answer = self.copy_part(number, "bucket/large", copy_source_range=f"bytes={first}-{last}")
            tags.append((answer.text("ETag") or "").strip('"'))
        self.assertEqual([etag(piece) for piece in pieces], tags)
        tags.append((self.copy_part(5, "bucket/small").text("ETag") or "").strip('"'))
        tags.append((self.copy_part(6, "bucket/small", copy_source_range="bytes=1-2").text("ETag") or "").strip('"'))
        self.assertEqual(200, self.complete(*tags).status)
        self.request("DELETE", "/bucket/large")
        self.assertEqual(b"".join([*pieces, b"hello", b"el"]), self.get("/bucket/copy"))

    def test_bad_ranges(self) -> None:
        """A range is written out and lies in its source, or the part is not copied."""
        for value, code in (
            ("0-4", "InvalidArgument"),
            ("bytes=1-0", "InvalidArgument"),
            ("bytes=1-", "InvalidArgument"),
            ("bytes=-2", "InvalidArgument"),
            ("bytes=0-1,3-4", "InvalidArgument"),
            ("bytes=5-6", "InvalidRequest"),
        ):
            self.assert_error(code, 400, self.copy_part(1, "bucket/small", copy_source_range=value))
        self.assert_error("InvalidRange", 416, self.copy_part(1, "bucket/small", copy_source_range="bytes=0-5"))

    def test_checksum(self) -> None:
        """A part that is copied has the checksum of the upload's algorithm, read or known."""
        for algorithm in ("CRC32", "CRC64NVME", "SHA256"):
            upload = self.begin({"x-amz-checksum-algorithm": algorithm})
            for source, body in (("small", b"hello"), ("large", LARGE)):
                answer = self.copy_part(1, f"bucket/{source}", upload)
                found = (answer.text("ETag"), answer.text(f"Checksum{algorithm}"))
                self.assertEqual((f'"{etag(body)}"', checksum(algorithm, body)), found)
        answer = self.copy_part(1, "bucket/small")
        self.assertEqual([], answer.texts("ChecksumCRC64NVME"))

    def test_of_multipart(self) -> None:
        """A copied part has the MD5 of its bytes even when its source, itself made of parts, has none."""
        tag = (self.copy_part(1, "bucket/large").text("ETag") or "").strip('"')
        self.complete(tag)
        upload = self.begin()
        answer = self.copy_part(1, "bucket/copy", upload)
        self.assertEqual(f'"{etag(LARGE)}"', answer.text("ETag"))

    def test_conditions(self) -> None:
        """The source must be what the request says."""
        answer = self.copy_part(1, "bucket/small", copy_source_if_match="abc")
        self.assert_error("PreconditionFailed", 412, answer)
        answer = self.copy_part(1, "bucket/small", copy_source_if_match=etag(b"hello"))
        self.assertEqual(200, answer.status)

    def test_empty(self) -> None:
        """An empty object is an empty part."""
        self.put("/bucket/empty")
        answer = self.copy_part(1, "bucket/empty")
        self.assertEqual((200, f'"{etag(b"")}"'), (answer.status, answer.text("ETag")))

    def test_nowhere(self) -> None:
        """Without an upload there is nothing to copy into."""
        self.assert_error("NoSuchUpload", 404, self.copy_part(1, "bucket/small", "0" * 32))
        self.assert_error("NoSuchKey", 404, self.copy_part(1, "bucket/none"))


class AbandonedTests(GatewayTestCase):
    def test_hashing_ends(self) -> None:
        """A copy that must read its source for a digest does not read on for a client that has gone."""
        pool = Pool()
        gateway = InMemoryGateway((), hand_over=pool.hand_over)
        self.addCleanup(gateway.close)
        client = gateway.connect()
        body = bytes(32 * 1024 * 1024)
        for head in (b"PUT /bucket", b"PUT /bucket/key"):
            size = len(body) if head.endswith(b"key") else 0
            client.send(head + b" HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + body[:size])
            pool.run()
        answers = client.answers(["PUT", "PUT"])
        self.assertEqual([answer.status for answer in answers], [200, 200])
        copy = b"x-amz-copy-source: bucket/key\r\nx-amz-checksum-algorithm: SHA256\r\nContent-Length: 0\r\n\r\n"
        client.send(b"PUT /bucket/copy HTTP/1.1\r\nHost: h\r\n" + copy)
        pool.run(3)
        client.close()
        self.assertLess(pool.run(), 6)
        self.assertEqual([key for key, _ in gateway.store.list_objects("bucket", ListQuery()).entries], ["key"])
