"""Multipart uploads: create, upload, complete, abort, list."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from s3gw.operations import multipart
from s3gw.s3.checksums import ALGORITHMS, COMPOSITE, Digests
from tests.operations.harness import Answer, GatewayTestCase

PARTS = (b"a" * 70_000, b"b" * 66_000, b"c" * 10)

quick = settings(max_examples=60, deadline=None)


def checksum(algorithm: str, *pieces: bytes) -> str:
    """The base64 digest of a body in pieces."""
    digests = Digests([algorithm])
    for piece in pieces:
        digests.update(piece)
    return digests.base64(algorithm)


def etag(body: bytes) -> str:
    """The ETag of a part."""
    return hashlib.md5(body).hexdigest()


def document(parts: Sequence[tuple[int, str]], **checksums: Sequence[str]) -> bytes:
    """A CompleteMultipartUpload document: numbers and ETags, and checksums of the parts by algorithm."""
    found = ""
    for index, (number, tag) in enumerate(parts):
        further = "".join(f"<Checksum{name}>{each[index]}</Checksum{name}>" for name, each in checksums.items())
        found += f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{tag}&quot;</ETag>{further}</Part>"
    return f"<CompleteMultipartUpload>{found}</CompleteMultipartUpload>".encode()


class MultipartCase(GatewayTestCase):
    """A bucket, and parts that need not be 5 MiB long."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.patch(multipart, "MIN_PART_BYTES", 66_000)
        self.make_bucket()

    def begin(self, key: str = "key", headers: Mapping[str, str] | None = None) -> str:
        """Create an upload; its id."""
        answer = self.request("POST", f"/bucket/{key}", headers, query="uploads")
        self.assertEqual(200, answer.status, answer.body)
        return answer.text("UploadId") or ""

    def part(self, upload: str, number: int, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Upload a part."""
        query = {"partNumber": str(number), "uploadId": upload}
        return self.request("PUT", "/bucket/key", headers, body, query)

    def parts(self, upload: str, bodies: Sequence[bytes] = PARTS) -> list[tuple[int, str]]:
        """Upload parts 1, 2, ...; what a completion says of them."""
        for number, body in enumerate(bodies, 1):
            answer = self.part(upload, number, body)
            self.assertEqual((200, f'"{etag(body)}"'), (answer.status, answer.headers.get("etag")), answer.body)
        return [(number, etag(body)) for number, body in enumerate(bodies, 1)]

    def complete(self, upload: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Complete an upload."""
        return self.request("POST", "/bucket/key", headers, body, {"uploadId": upload})


class CompleteTests(MultipartCase):
    """From parts to an object."""

    def test_whole(self) -> None:
        """The object is its parts in order, its ETag made of theirs, its headers those of the creation."""
        upload = self.begin(headers={"Content-Type": "text/x", "x-amz-meta-a": "b", "x-amz-tagging": "t=1"})
        done = self.complete(upload, document(self.parts(upload)))
        digest = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in PARTS)).hexdigest()
        self.assertEqual((200, f'"{digest}-3"'), (done.status, done.text("ETag")))
        self.assertEqual("http://s3.test/bucket/key", done.text("Location"))
        answer = self.request("GET", "/bucket/key")
        self.assertEqual(b"".join(PARTS), answer.body)
        headers = [answer.headers[name] for name in ("content-type", "x-amz-meta-a", "x-amz-tagging-count", "etag")]
        self.assertEqual(["text/x", "b", "1", f'"{digest}-3"'], headers)

    def test_again(self) -> None:
        """Completing again answers the same, and changes nothing, for as long as the object is there."""
        upload = self.begin()
        body = document(self.parts(upload))
        first = self.complete(upload, body)
        self.gateway.clock.advance(10)
        self.assertEqual(first.body, self.complete(upload, body).body)
        self.assertEqual(first.body, self.complete(upload, body, {"If-None-Match": "*"}).body)
        other = document([(number, etag(b"other")) for number in (1, 2, 3)])
        self.assert_error("NoSuchUpload", 404, self.complete(upload, other))
        self.put("/bucket/key", b"new")
        self.assert_error("NoSuchUpload", 404, self.complete(upload, body))

    def test_replaced_part(self) -> None:
        """A part that is sent again replaces itself, and parts that are not named are left out."""
        upload = self.begin()
        self.parts(upload)
        self.part(upload, 1, PARTS[1])
        self.part(upload, 9, PARTS[2])
        answer = self.complete(upload, document([(1, etag(PARTS[1])), (9, etag(PARTS[2]))]))
        self.assertEqual(200, answer.status, answer.body)
        self.assertEqual(PARTS[1] + PARTS[2], self.get("/bucket/key"))

    def test_named_twice(self) -> None:
        """A client that sent a part again may name it twice: what it says last counts."""
        upload = self.begin()
        first, second = self.part(upload, 1, PARTS[0]), self.part(upload, 1, PARTS[1])
        tags = [answer.headers["etag"].strip('"') for answer in (first, second)]
        self.assert_error("InvalidPart", 400, self.complete(upload, document([(1, tags[1]), (1, tags[0])])))
        self.assertEqual(200, self.complete(upload, document([(1, tags[0]), (1, tags[1])])).status)
        self.assertEqual(PARTS[1], self.get("/bucket/key"))

    def test_refused(self) -> None:
        """A completion that does not fit what is there is refused, and can be tried again."""
        upload = self.begin()
        good = self.parts(upload)
        for parts, code in (
            ([good[0], good[2], good[1]], "InvalidPartOrder"),
            ([(1, etag(b"other"))], "InvalidPart"),
            ([(4, good[0][1])], "InvalidPart"),
            ([], "InvalidRequest"),
        ):
            self.assert_error(code, 400, self.complete(upload, document(parts)))
        self.assert_error("MalformedXML", 400, self.complete(upload, b""))
        self.assert_error("NoSuchUpload", 404, self.complete("0" * 32, document(good)))
        wrong = self.complete(upload, document(good), {"x-amz-mp-object-size": "1"})
        self.assert_error("InvalidRequest", 400, wrong)
        self.assertEqual(404, self.request("HEAD", "/bucket/key").status)
        size = str(sum(map(len, PARTS)))
        self.assertEqual(200, self.complete(upload, document(good), {"x-amz-mp-object-size": size}).status)

    def test_too_small(self) -> None:
        """Every part but the last has a least size, and the error says which one has not."""
        upload = self.begin()
        answer = self.complete(upload, document(self.parts(upload, (b"x" * 66_000, b"small", b"y"))))
        self.assert_error("EntityTooSmall", 400, answer)
        self.assertEqual(
            ["2", "5", "66000", etag(b"small")],
            [answer.text(name) for name in ("PartNumber", "ProposedSize", "MinSizeAllowed", "ETag")],
        )

    def test_empty_part(self) -> None:
        """One empty part makes an empty object."""
        upload = self.begin()
        self.assertEqual(200, self.complete(upload, document(self.parts(upload, (b"",)))).status)
        self.assertEqual(b"", self.get("/bucket/key"))

    def test_conditions(self) -> None:
        """A completion may create, or replace one version, and nothing else."""
        upload = self.begin()
        body = document(self.parts(upload))
        self.assert_error("NoSuchKey", 404, self.complete(upload, body, {"If-Match": "abc"}))
        self.assertEqual(200, self.complete(upload, body, {"If-None-Match": "*"}).status)
        tag = self.request("HEAD", "/bucket/key").headers["etag"]
        self.gateway.clock.advance(1)
        upload = self.begin()
        body = document(self.parts(upload))
        self.assert_error("PreconditionFailed", 412, self.complete(upload, body, {"If-None-Match": "*"}))
        self.assert_error("PreconditionFailed", 412, self.complete(upload, body, {"If-Match": "abc"}))
        self.assert_error("PreconditionFailed", 412, self.complete(upload, body, {"If-None-Match": tag}))
        self.assertEqual(200, self.complete(upload, body, {"If-Match": tag}).status)

    def test_overtaken(self) -> None:
        """An object written while the upload was under way is a conflict, even with the very ETag that is named."""
        self.put("/bucket/key", b"old")
        tag = {"If-Match": etag(b"old")}
        self.gateway.clock.advance(1)
        upload = self.begin()
        body = document(self.parts(upload))
        self.gateway.clock.advance(1)
        self.put("/bucket/key", b"old")
        answer = self.complete(upload, body, tag)
        self.assert_error("ConditionalRequestConflict", 409, answer)
        self.assertEqual(("If-Match", "key"), (answer.text("Condition"), answer.text("Key")))
        self.gateway.clock.advance(1)
        upload = self.begin()
        self.assertEqual(200, self.complete(upload, document(self.parts(upload)), tag).status)

    @quick
    @given(st.lists(st.binary(min_size=1, max_size=200_000), min_size=1, max_size=4), st.data())
    def test_any_parts(self, bodies: list[bytes], data: Any) -> None:
        """Parts of any length, sent in any order, some of them twice, make the object that their numbers say."""
        self.patch(multipart, "MIN_PART_BYTES", 1)
        upload = self.begin()
        numbers = sorted(data.draw(st.sets(st.integers(1, 10_000), min_size=len(bodies), max_size=len(bodies))))
        order = data.draw(st.permutations([*range(len(bodies)), *range(len(bodies))]))
        for index in order:
            self.part(upload, numbers[index], bodies[index])
        answer = self.complete(upload, document([(numbers[n], etag(body)) for n, body in enumerate(bodies)]))
        self.assertEqual(200, answer.status, answer.body)
        self.assertEqual(b"".join(bodies), self.get("/bucket/key"))


class ChecksumTests(MultipartCase):
    """Checksums of parts and of the object that they make."""

    def started(self, algorithm: str, kind: str = "") -> tuple[str, list[tuple[int, str]], list[str]]:
        """An upload with its parts: its id, what a completion says of them, and their checksums."""
        headers = {"x-amz-checksum-algorithm": algorithm} | ({"x-amz-checksum-type": kind} if kind else {})
        upload = self.begin(headers=headers)
        return upload, self.parts(upload), [checksum(algorithm, body) for body in PARTS]

    def test_every_algorithm(self) -> None:
        """The object has the checksum of the type that was asked for, combined of its parts' or made of them."""
        for algorithm, about in ALGORITHMS.items():
            for kind in about.types:
                upload, parts, sums = self.started(algorithm, kind)
                answer = self.complete(upload, document(parts, **{algorithm: sums}))
                self.assertEqual(200, answer.status, answer.body)
                whole = checksum(algorithm, *PARTS)
                if kind == COMPOSITE:
                    joined = b"".join(bytes(self.digest(algorithm, body)) for body in PARTS)
                    whole = checksum(algorithm, joined) + "-3"
                self.assertEqual((whole, kind), (answer.text(f"Checksum{algorithm}"), answer.text("ChecksumType")))
                enabled = {"x-amz-checksum-mode": "ENABLED"}
                head = self.request("HEAD", "/bucket/key", enabled)
                self.assertEqual(whole, head.headers[f"x-amz-checksum-{algorithm.lower()}"])
                self.assertEqual(kind, head.headers["x-amz-checksum-type"])
                part = self.request("GET", "/bucket/key", enabled, query="partNumber=2")
                self.assertEqual((PARTS[1], "3"), (part.body, part.headers["x-amz-mp-parts-count"]))
                self.assertEqual(sums[1], part.headers[f"x-amz-checksum-{algorithm.lower()}"])
                self.assertEqual(kind, part.headers["x-amz-checksum-type"])

    def digest(self, algorithm: str, body: bytes) -> bytes:
        """A digest as bytes."""
        digests = Digests([algorithm])
        digests.update(body)
        return digests.digest(algorithm)

    def test_of_parts(self) -> None:
        """A completion may leave out the checksums of the parts; those that it states must be the right ones."""
        upload, parts, sums = self.started("SHA256")
        self.assert_error("InvalidPart", 400, self.complete(upload, document(parts, SHA256=sums[::-1])))
        answer = self.complete(upload, document(parts, SHA1=sums))
        self.assert_error("BadDigest", 400, answer)
        self.assertEqual("The sha1 you specified for part 1 did not match what we received.", answer.message)
        answer = self.complete(upload, document(parts), {"x-amz-checksum-sha256": "bad"})
        self.assert_error("BadDigest", 400, answer)
        self.assertEqual("COMPOSITE", self.complete(upload, document(parts)).text("ChecksumType"))

    def test_of_object(self) -> None:
        """The checksum that a completion states must be the object's, and so must its type."""
        upload, parts, sums = self.started("CRC32", "FULL_OBJECT")
        body = document(parts, CRC32=sums)
        for headers, code in (
            ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
            ({"x-amz-checksum-crc32": "bad"}, "BadDigest"),
            ({"x-amz-checksum-sha256": checksum("SHA256", *PARTS)}, "BadDigest"),
            ({"x-amz-checksum-type": "COMPOSITE"}, "InvalidRequest"),
        ):
            self.assert_error(code, 400, self.complete(upload, body, headers))
        headers = {"x-amz-checksum-crc32": checksum("CRC32", *PARTS), "x-amz-checksum-type": "FULL_OBJECT"}
        self.assertEqual(200, self.complete(upload, body, headers).status)

    def test_none_declared(self) -> None:
        """Without an algorithm the parts may have any, the object gets the default, and the completion names none."""
        upload = self.begin()
        answer = self.part(upload, 1, PARTS[2], {"x-amz-checksum-crc32c": checksum("CRC32C", PARTS[2])})
        self.assertEqual(checksum("CRC32C", PARTS[2]), answer.headers["x-amz-checksum-crc32c"])
        parts = [(1, etag(PARTS[2]))]
        claimed = document(parts, CRC32C=[checksum("CRC32C", PARTS[2])])
        self.assert_error("InvalidPart", 400, self.complete(upload, claimed))
        answer = self.complete(upload, document(parts), {"x-amz-checksum-type": "FULL_OBJECT"})
        self.assertIn("created using the null checksum mode", answer.message)
        answer = self.complete(upload, document(parts))
        self.assertEqual(checksum("CRC64NVME", PARTS[2]), answer.text("ChecksumCRC64NVME"))

    def test_other_algorithm(self) -> None:
        """A part with a checksum of another algorithm than the upload's is refused."""
        upload = self.begin(headers={"x-amz-checksum-algorithm": "SHA256"})
        answer = self.part(upload, 1, b"x", {"x-amz-checksum-crc32": checksum("CRC32", b"x")})
        self.assert_error("InvalidRequest", 400, answer)
        self.assertIn("expected checksum Type: sha256, actual checksum Type: crc32", answer.message)

    def test_unusable(self) -> None:
        """Algorithms and types that there are not, or that do not go together."""
        for headers in (
            {"x-amz-checksum-algorithm": "TEST"},
            {"x-amz-checksum-type": "COMPOSITE"},
            {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"},
            {"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-type": "FULL_OBJECT"},
        ):
            self.assert_error("InvalidRequest", 400, self.request("POST", "/bucket/key", headers, query="uploads"))

    def test_botocore(self) -> None:
        """What botocore adds of its own accord fits together."""
        client = self.client(
            request_checksum_calculation="when_supported", response_checksum_validation="when_supported"
        )
        for algorithm in (None, "CRC32", "SHA256", "CRC64NVME"):
            asked = {"ChecksumAlgorithm": algorithm} if algorithm else {}
            where = {"Bucket": "bucket", "Key": "key"}
            upload = client.create_multipart_upload(**where, **asked)["UploadId"]
            found = []
            for number, body in enumerate(PARTS, 1):
                sent = client.upload_part(**where, UploadId=upload, PartNumber=number, Body=body, **asked)
                sums = {name: value for name, value in sent.items() if name.startswith("Checksum") and algorithm}
                found.append({"PartNumber": number, "ETag": sent["ETag"], **sums})
            client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": found})
            self.assertEqual(b"".join(PARTS), client.get_object(**where)["Body"].read())
            for number, body in enumerate(PARTS, 1):
                self.assertEqual(body, client.get_object(**where, PartNumber=number)["Body"].read())


class PartTests(MultipartCase):
    """Single parts."""

    def test_numbers(self) -> None:
        """1 to 10000."""
        upload = self.begin()
        for number in (1, 10_000):
            self.assertEqual(200, self.part(upload, number, b"x").status)
        for number in (0, 10_001, -1):
            answer = self.part(upload, number, b"x")
            self.assert_error("InvalidArgument", 400, answer)
            self.assertEqual("Part number must be an integer between 1 and 10000, inclusive", answer.message)

    def test_no_upload(self) -> None:
        """A part of an upload that is not, or of another key's, goes nowhere."""
        self.assert_error("NoSuchUpload", 404, self.part("0" * 32, 1, b"x"))
        self.assert_error("NoSuchUpload", 404, self.part(self.begin("other"), 1, b"x"))

    def test_damaged(self) -> None:
        """A part that is not what its checksum says is not kept."""
        upload = self.begin()
        md5 = b64encode(hashlib.md5(b"y").digest()).decode()
        self.assert_error("BadDigest", 400, self.part(upload, 1, b"x", {"Content-MD5": md5}))
        listed = self.request("GET", "/bucket/key", query={"uploadId": upload})
        self.assertEqual([], listed.texts("PartNumber"))

    def test_part_of_object(self) -> None:
        """Parts can be read on their own; beyond the last there is none."""
        upload = self.begin()
        self.complete(upload, document(self.parts(upload)))
        start = 0
        for number, body in enumerate(PARTS, 1):
            answer = self.request("GET", "/bucket/key", query=f"partNumber={number}")
            self.assertEqual((206, body), (answer.status, answer.body))
            span = f"bytes {start}-{start + len(body) - 1}/{sum(map(len, PARTS))}"
            head = self.request("HEAD", "/bucket/key", query=f"partNumber={number}")
            self.assertEqual([span, span], [answer.headers["content-range"], head.headers["content-range"]])
            start += len(body)
        answer = self.request("GET", "/bucket/key", query="partNumber=4")
        self.assert_error("InvalidPart", 400, answer)
        self.assertEqual("3", answer.text("ActualPartCount"))


class AbortTests(MultipartCase):
    """Uploads that come to nothing."""

    def test_abort(self) -> None:
        """An aborted upload is gone, and so are its parts; a second time there is none."""
        upload = self.begin()
        parts = self.parts(upload)
        self.assertEqual(204, self.request("DELETE", "/bucket/key", query={"uploadId": upload}).status)
        self.assert_error("NoSuchUpload", 404, self.request("DELETE", "/bucket/key", query={"uploadId": upload}))
        self.assert_error("NoSuchUpload", 404, self.part(upload, 1, b"x"))
        self.assert_error("NoSuchUpload", 404, self.complete(upload, document(parts)))
        self.assertEqual([], self.request("GET", "/bucket", query="uploads").texts("UploadId"))


class ListTests(MultipartCase):
    """Lists of uploads and parts."""

    def test_parts(self) -> None:
        """Parts come in order of their numbers, in pages."""
        upload = self.begin(headers={"x-amz-checksum-algorithm": "CRC32"})
        for number in (5, 1, 3):
            self.part(upload, number, b"x" * number)
        client = self.client()
        where = {"Bucket": "bucket", "Key": "key", "UploadId": upload}
        page = client.list_parts(**where, MaxParts=2)
        self.assertEqual([(1, 1), (3, 3)], [(part["PartNumber"], part["Size"]) for part in page["Parts"]])
        self.assertEqual(
            (True, 3, "CRC32"), (page["IsTruncated"], page["NextPartNumberMarker"], page["ChecksumAlgorithm"])
        )
        self.assertEqual(checksum("CRC32", b"x"), page["Parts"][0]["ChecksumCRC32"])
        page = client.list_parts(**where, PartNumberMarker=3)
        self.assertEqual(([5], False), ([part["PartNumber"] for part in page["Parts"]], page["IsTruncated"]))

    def test_uploads(self) -> None:
        """Uploads come by key and age, in pages, rolled up by a delimiter; the last one is always named."""
        uploads = [self.begin(key) for key in ("a", "dir/b", "dir/c", "e", "e")]
        client = self.client()
        pages, marker = [], {}
        while True:
            page = client.list_multipart_uploads(Bucket="bucket", MaxUploads=2, **marker)
            pages += [each["UploadId"] for each in page["Uploads"]]
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
            if not page["IsTruncated"]:
                break
        self.assertEqual(uploads, pages)
        self.assertEqual({"KeyMarker": "e", "UploadIdMarker": uploads[-1]}, marker)
        page = client.list_multipart_uploads(Bucket="bucket", Delimiter="/")
        self.assertEqual(["dir/"], [each["Prefix"] for each in page["CommonPrefixes"]])
        page = client.list_multipart_uploads(Bucket="bucket", Prefix="dir/")
        self.assertEqual(uploads[1:3], [each["UploadId"] for each in page["Uploads"]])


class LargeDocumentTests(GatewayTestCase):
    def test_ten_thousand_checksums(self) -> None:
        """The largest document that completes an upload, ten thousand parts with a SHA-256 each, is read whole."""
        self.make_bucket("bucket")
        upload = self.client().create_multipart_upload(Bucket="bucket", Key="key", ChecksumAlgorithm="SHA256")
        part = f"<ETag>&quot;{'0' * 32}&quot;</ETag><ChecksumSHA256>{'A' * 43}=</ChecksumSHA256>"
        parts = "".join(f"<Part>{part}<PartNumber>{number}</PartNumber></Part>" for number in range(1, 10_001))
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer = self.request("POST", "/bucket/key", body=body, query={"uploadId": upload["UploadId"]})
        self.assert_error("InvalidPart", 400, answer)
