"""Uploads in parts, copies, checksums."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from awscrt import checksums as crt

from s3gw.admin.probe.check import Differs, check, expect
from s3gw.admin.probe.place import PART_BYTES, Place, refusal
from s3gw.admin.probe.wire import Answer, chunked

SDKS = "every SDK since 2025"

DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda data: crt.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: crt.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: crt.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}


def encoded(algorithm: str, data: bytes) -> str:
    """A checksum as S3 spells it."""
    return base64.b64encode(DIGESTS[algorithm](data)).decode()


@check("multipart", "an object in parts is whole after its completion, with an ETag that ends in their number", "CRT")
def multipart(place: Place) -> None:
    key = place.key()
    parts = [place.some_bytes(PART_BYTES), place.some_bytes(PART_BYTES), place.some_bytes(12_345)]
    whole = b"".join(parts)
    digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    etag = f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-3"'
    expect(place.upload(key, parts)["ETag"], etag, "ETag")
    if place.get(key) != whole:
        raise Differs("other bytes than were uploaded")
    across = (PART_BYTES - 10, PART_BYTES + 10)
    expect(place.get(key, Range=f"bytes={across[0]}-{across[1] - 1}"), whole[slice(*across)], "a range over two parts")


@check("multipart-unseen", "an upload shows nothing before it is completed, and nothing once it is aborted", "CRT")
def unseen(place: Place) -> None:
    where = {"Bucket": place.bucket, "Key": place.key()}
    upload = {**where, "UploadId": place.s3.create_multipart_upload(**where)["UploadId"]}
    place.s3.upload_part(**upload, PartNumber=1, Body=b"part")
    expect(refusal(place.s3.get_object, **where), (404, "NoSuchKey"), "before completion")
    expect([part["Size"] for part in place.s3.list_parts(**upload).get("Parts", ())], [4], "ListParts")
    uploads = place.s3.list_multipart_uploads(Bucket=place.bucket, Prefix=where["Key"]).get("Uploads", ())
    expect([each["UploadId"] for each in uploads], [upload["UploadId"]], "ListMultipartUploads")
    place.s3.abort_multipart_upload(**upload)
    expect(refusal(place.s3.list_parts, **upload), (404, "NoSuchUpload"), "after the abort")


@check("multipart-small", "a part below 5 MiB that is not the last is EntityTooSmall", "SDKs that choose part sizes")
def small(place: Place) -> None:
    outcome = refusal(place.upload, key=place.key(), parts=[b"small", b"end"])
    expect(outcome, (400, "EntityTooSmall"), "answer")


@check("copy", "CopyObject copies bytes and metadata, or replaces the metadata", "aws-cli, rclone, s3cmd")
def copy(place: Place) -> None:
    body = place.some_bytes(100_000)
    source = place.put(body, place.key("a b+c/ü"), Metadata={"colour": "red"}, ContentType="a/b")
    target, other = place.key(), place.key()
    given = {"Bucket": place.bucket, "CopySource": {"Bucket": place.bucket, "Key": source}}
    place.s3.copy_object(**given, Key=target)
    found = place.head(target)
    expect((found["Metadata"], found["ContentType"]), ({"colour": "red"}, "a/b"), "metadata")
    place.s3.copy_object(**given, Key=other, MetadataDirective="REPLACE", Metadata={"colour": "blue"})
    expect((place.get(other), place.head(other)["Metadata"]), (body, {"colour": "blue"}), "replaced")


@check("copy-part", "UploadPartCopy takes a range of another object", "s3transfer, rclone")
def copy_part(place: Place) -> None:
    body = place.some_bytes(PART_BYTES + 10)
    where = {"Bucket": place.bucket, "Key": place.key()}
    source = {"Bucket": place.bucket, "Key": place.put(body)}
    upload = {**where, "UploadId": place.s3.create_multipart_upload(**where)["UploadId"]}
    asked = {**upload, "PartNumber": 1, "CopySource": source, "CopySourceRange": "bytes=5-104"}
    done = place.s3.upload_part_copy(**asked)["CopyPartResult"]["ETag"]
    place.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": done}]})
    expect(place.get(where["Key"]), body[5:105], "bytes")


@check("content-md5", "a body that is not that of its Content-MD5 is 400 BadDigest, and not stored", "s3cmd, migrate")
def content_md5(place: Place) -> None:
    key = place.key()
    where = {"Bucket": place.bucket, "Key": key, "Body": b"body"}
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    expect(refusal(place.s3.put_object, **where, ContentMD5=wrong), (400, "BadDigest"), "answer")
    expect(place.ask("HEAD", key).status, 404, "the object")


def _checksum(algorithm: str) -> None:
    @check(
        f"checksum-{algorithm.lower()}",
        f"a {algorithm} is verified, kept, and told with x-amz-checksum-mode",
        SDKS if algorithm in ("CRC32", "CRC64NVME") else "whoever chose it",
    )
    def ask(place: Place) -> None:
        field, body = f"Checksum{algorithm}", place.some_bytes(70_000)
        key = place.put(body, **{field: encoded(algorithm, body)})
        expect(place.head(key, ChecksumMode="ENABLED").get(field), encoded(algorithm, body), "the checksum")
        wrong = place.key()
        where = {"Bucket": place.bucket, "Key": wrong, "Body": body}
        outcome = refusal(place.s3.put_object, **where, **{field: encoded(algorithm, b"other")})
        expect(outcome, (400, "BadDigest"), "a wrong one")
        expect(place.ask("HEAD", wrong).status, 404, "the object of a wrong one")


for _algorithm in DIGESTS:
    _checksum(_algorithm)


@check("trailer", "a checksum may come behind the body (aws-chunked, unsigned), over http too", SDKS)
def trailer(place: Place) -> None:
    body = place.some_bytes(100_000)
    key = place.key()
    answer = _put_with_trailer(place, key, body, encoded("CRC32", body))
    expect((answer.status, answer.element("Code")), (200, ""), "answer")
    expect(place.get(key) == body, True, "the same bytes")
    expect(place.head(key).get("ContentEncoding", ""), "", "Content-Encoding")
    wrong = _put_with_trailer(place, place.key(), body, encoded("CRC32", b"other"))
    expect((wrong.status, wrong.element("Code")), (400, "BadDigest"), "a wrong one")


@check(
    "trailer-chunked", "the same in Transfer-Encoding: chunked, without Content-Length", "pyarrow, aws-sdk-js streams"
)
def trailer_chunked(place: Place) -> None:
    body = place.some_bytes(100_000)
    key = place.key()
    answer = _put_with_trailer(place, key, body, encoded("CRC32", body), framing="chunked")
    expect((answer.status, answer.element("Code")), (200, ""), "answer")
    expect(place.get(key) == body, True, "the same bytes")


def _put_with_trailer(place: Place, key: str, body: bytes, checksum: str, framing: str = "length") -> Answer:
    """PUT in aws-chunked coding, with a CRC32 behind the body.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
    """
    framed = b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % (len(body), body, checksum.encode())
    headers = {
        "Content-Encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(body)),
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    if framing == "chunked":
        headers["Transfer-Encoding"] = "chunked"
        framed = chunked(framed[:1000], framed[1000:])
    else:
        headers["Content-Length"] = str(len(framed))
    return place.ask("PUT", key, headers=headers, body=framed, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
