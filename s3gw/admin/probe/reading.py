"""GET and HEAD: ranges, missing and empty objects, parts."""

from __future__ import annotations

import hashlib

from s3gw.admin.probe.check import Differs, check, expect
from s3gw.admin.probe.place import PART_BYTES, Place, refusal

EVERYBODY = "everybody"
CACHES = "KV caches"
CRT = "AWS CRT: LMCache, mountpoint, s3torchconnector"


@check("round-trip", "an object comes back as it was stored, and its ETag is the MD5", "s3cmd, rclone, delta syncs")
def round_trip(place: Place) -> None:
    for size in (0, 1, 70_000, PART_BYTES + 1):
        body = place.some_bytes(size)
        key = place.put(body)
        expect(hashlib.sha256(place.get(key)).digest(), hashlib.sha256(body).digest(), f"{size} bytes")
        expect(place.head(key)["ETag"], f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"', "ETag")


@check("missing-get", "GET of a missing object is 404 NoSuchKey", EVERYBODY)
def missing_get(place: Place) -> None:
    expect(refusal(place.s3.get_object, Bucket=place.bucket, Key=place.key()), (404, "NoSuchKey"), "answer")


@check("missing-head", "HEAD of a missing object is a bare 404", CACHES)
def missing_head(place: Place) -> None:
    answer = place.ask("HEAD", place.key())
    expect((answer.status, answer.body), (404, b""), "answer")


@check("missing-bucket", "a missing bucket is 404 NoSuchBucket", EVERYBODY)
def missing_bucket(place: Place) -> None:
    name = f"{place.bucket[:50]}-missing"
    expect(refusal(place.s3.get_object, Bucket=name, Key="key"), (404, "NoSuchBucket"), "answer")


@check("range", "a range is 206 with its bytes and Content-Range", CACHES)
def inside(place: Place) -> None:
    body = place.some_bytes(200_000)
    key = place.put(body)
    for first, last in ((0, 0), (0, 65_535), (65_530, 131_080), (199_999, 199_999)):
        got = place.s3.get_object(Bucket=place.bucket, Key=key, Range=f"bytes={first}-{last}")
        expect(got["ResponseMetadata"]["HTTPStatusCode"], 206, "status")
        expect(got.get("ContentRange"), f"bytes {first}-{last}/200000", "Content-Range")
        if got["Body"].read() != body[first : last + 1]:
            raise Differs(f"other bytes than those of {first}-{last}")


@check("range-clamped", "a range that ends behind the object ends with it", CACHES)
def clamped(place: Place) -> None:
    key = place.put(b"0123456789")
    got = place.s3.get_object(Bucket=place.bucket, Key=key, Range="bytes=0-16383")
    expect((got.get("ContentRange"), got["Body"].read()), ("bytes 0-9/10", b"0123456789"), "answer")


@check("range-suffix", "a suffix range is the end of the object, or all of it", "Parquet readers, CRT")
def suffix(place: Place) -> None:
    key = place.put(b"0123456789")
    for asked, wanted in (("bytes=-3", b"789"), ("bytes=-300", b"0123456789"), ("bytes=7-", b"789")):
        expect(place.get(key, Range=asked), wanted, asked)


@check("range-outside", "a range behind the end is 416 InvalidRange", EVERYBODY)
def outside(place: Place) -> None:
    key = place.put(b"0123456789")
    expect(
        refusal(place.s3.get_object, Bucket=place.bucket, Key=key, Range="bytes=10-20"), (416, "InvalidRange"), "answer"
    )


@check("range-head", "HEAD with a range has its Content-Range", CRT)
def head(place: Place) -> None:
    answer = place.ask("HEAD", place.put(b"0123456789"), headers={"Range": "bytes=2-5"})
    expect((answer.status, answer.headers.get("content-range")), (206, "bytes 2-5/10"), "answer")
    expect(answer.headers.get("content-length"), "4", "Content-Length")


@check("empty-range", "a range of an empty object is 416 in XML with ActualObjectSize 0", CRT)
def empty(place: Place) -> None:
    answer = place.ask("GET", place.put(b""), headers={"Range": "bytes=0-8388607"})
    expect((answer.status, answer.element("Code")), (416, "InvalidRange"), "answer")
    expect(answer.element("ActualObjectSize"), "0", "ActualObjectSize")
    expect(answer.headers.get("content-type"), "application/xml", "Content-Type")


@check("empty-part", "partNumber=1 of an empty object is 200 with Content-Length 0", CRT)
def empty_part(place: Place) -> None:
    answer = place.ask("GET", place.put(b""), "partNumber=1")
    expect((answer.status, answer.headers.get("content-length")), (200, "0"), "answer")


@check("part-count", "partNumber=1 has Content-Range, and x-amz-mp-parts-count of an object in parts", CRT)
def part_count(place: Place) -> None:
    key = place.key()
    place.upload(key, [place.some_bytes(PART_BYTES), b"end"])
    answer = place.ask("HEAD", key, "partNumber=1")
    expect((answer.status, answer.headers.get("x-amz-mp-parts-count")), (206, "2"), "answer")
    expect(answer.headers.get("content-range"), f"bytes 0-{PART_BYTES - 1}/{PART_BYTES + 3}", "Content-Range")


@check("conditional-get", "GET with another ETag in If-Match is 412", CRT)
def if_match(place: Place) -> None:
    key = place.put()
    wrong = {"Bucket": place.bucket, "Key": key, "IfMatch": '"00000000000000000000000000000000"'}
    expect(refusal(place.s3.get_object, **wrong), (412, "PreconditionFailed"), "answer")
    expect(place.get(key, IfMatch=place.head(key)["ETag"]), b"body", "the right one")


@check("not-modified", "GET with its ETag in If-None-Match is 304, with that ETag", "browsers, proxies")
def not_modified(place: Place) -> None:
    key = place.put()
    etag = place.head(key)["ETag"]
    answer = place.ask("GET", key, headers={"If-None-Match": etag})
    expect((answer.status, answer.headers.get("etag"), answer.body), (304, etag, b""), "answer")
