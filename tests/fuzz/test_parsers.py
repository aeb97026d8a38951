"""Everything that takes clients' bytes apart, given bytes that are almost right.

A parser answers with a value or with an `S3Error`, in bounded time, and with the same however the bytes are cut. A
record of the database is what was written, or `CorruptChunk`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import S3Error
from s3gw.model import BucketInfo, Extent, ObjectInfo, PartInfo, UploadInfo
from s3gw.s3 import conditions, cors, documents_in, form, lifecycle, listing, locks, policy, ranges, sigv4, tags, target
from s3gw.s3.checksums import declared, upload_checksum
from s3gw.s3.dates import parse_date, parse_http_date
from s3gw.s3.head import SIGNING, Query, RequestHead
from s3gw.s3.payload import PayloadDecoder, decoder_for
from s3gw.s3.policy_signature import parse_policy
from s3gw.s3.routes import route
from s3gw.store.interface import CorruptChunk, StaleBody
from s3gw.store.records import (
    BLOB,
    BUCKET,
    OBJECT,
    PART,
    UPLOAD,
    BlobRecord,
    open_chunk,
    open_inline,
    seal_chunk,
    seal_inline,
)
from tests.fuzz.mutation import fuzz, mutated, mutated_text, pieces
from tests.s3 import test_payload

NUMBERS = [b"0", b"-1", b"1", b"99999999999999999999999", b"0x1", b"1e9", b" 1", b"+1", b"\xd9\xa1"]


POLICY = (
    b'{"expiration": "2026-12-01T12:00:00.000Z", "conditions": '
    b'[{"bucket": "b"}, ["eq", "$key", "k"], ["starts-with", "$a", ""], ["content-length-range", 1, 10]]}'
)


def outcome(call: Callable[[], Any]) -> Any:
    """What it gives, or the error that it raises: anything but an `S3Error` goes through."""
    try:
        return call()
    except S3Error as error:
        return type(error)


class TextTests(SynchronousTestCase):
    """Headers, targets, queries."""

    @fuzz(150)
    @given(
        mutated_text(
            ["bytes=0-", "bytes=1-2", "bytes=-5", "bytes=0-0,3-4", "bytes=9-3"], ["bytes", "=", "-", ",", "9" * 30, " "]
        ),
        st.integers(0, 100),
    )
    def test_ranges(self, value: str, size: int) -> None:
        """A range is within the object."""
        for parse in (ranges.parse_range, ranges.parse_copy_range):
            found = outcome(lambda parse=parse: parse(value, size))  # type: ignore[misc]
            if found is not None and not isinstance(found, type):
                self.assertTrue(0 <= found.start < found.start + found.length <= size, (value, size, found))

    @fuzz(150)
    @given(
        mutated_text(
            ["abc", listing.encode_token("a/b"), listing.encode_token("\u00e9"), "="], ["=", "_", "-", "A" * 9]
        )
    )
    def test_tokens(self, token: str) -> None:
        """A continuation token is one that was given, or refused."""
        found = outcome(lambda: listing.decode_token(token))
        if not isinstance(found, type):
            self.assertEqual(listing.encode_token(found), token)

    @fuzz(250)
    @given(
        mutated_text(
            [
                "prefix=a%2Fb&delimiter=/&max-keys=3",
                "uploads",
                "a=b&c&=d&a=e",
                "continuation-token=x&list-type=2",
                "a=%C3%A9",
            ],
            ["&", "=", "%", "%ff", "+", ";", "max-keys=", "part-number-marker=", "\xff", "encoding-type=url", "%00"],
        )
    )
    def test_queries(self, text: str) -> None:
        """A query, and each of the listings that read one."""
        query = outcome(lambda: Query(text))
        if isinstance(query, type):
            return
        for read in (
            listing.list_objects_request,
            listing.list_objects_v2_request,
            listing.list_versions_request,
            listing.list_uploads_request,
            listing.list_parts_request,
            listing.list_buckets_request,
        ):
            outcome(lambda read=read: read(query))  # type: ignore[misc]

    @fuzz(250)
    @given(
        st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "BREW"]),
        mutated_text(
            ["/", "/bucket", "/bucket/", "/bucket/k/../l", "/bucket//k%2F?uploads", "/bucket/%C3%A9?versionId=x", "*"],
            ["..", "//", "%2F", "%2f", "%00", "%", "?", "&", "/_health/live", "/metrics", "\xff", "%ff", "a" * 1100],
        ),
        mutated_text(
            ["s3.test", "bucket.localhost:9000", "bucket.s3.localhost", "[::1]:80", ""], [".", ":", "..", "localhost"]
        ),
    )
    def test_targets(self, method: str, raw: str, host: str) -> None:
        """An address leads to a valid bucket and key, or nowhere; then the operation is known, or refused."""
        head = RequestHead(method, raw, {"host": host})
        found = outcome(lambda: target.parse_target(head, ("localhost", "s3.localhost")))
        if isinstance(found, type):
            return
        if isinstance(found, target.Object):
            self.assertTrue(0 < len(found.key.encode()) <= 1024 and "\0" not in found.key, raw)
        if isinstance(found, target.Bucket | target.Object):
            name = found.name if isinstance(found, target.Bucket) else found.bucket
            self.assertNotIn("/", name)
            self.assertNotIn("\0", name)
        outcome(lambda: route(method, found, head))

    @fuzz(200)
    @given(
        mutated_text(
            ["/bucket/key", "bucket/a%2Fb?versionId=null", "/b%C3%A9/k"], ["%", "?versionId=", "//", "%00", "\xff"]
        ),
        mutated_text(
            ['"abc"', "*", 'W/"a", "b"', "Mon, 21 Sep 2026 14:13:20 GMT", "abc"], ['"', ",", "*", "\0", "9" * 20]
        ),
        mutated_text(["a=b&c=d%20e", "=", "a"], ["&", "=", "%", "%00", "a" * 300]),
    )
    def test_headers(self, source: str, condition: str, tagging: str) -> None:
        """Headers of copies, conditions, tags and checksums."""
        outcome(lambda: target.parse_copy_source(source))
        outcome(lambda: tags.parse_tag_header(tagging))
        parse_date(condition)
        parse_http_date(condition)
        names = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "x-amz-if-match-size")
        for name in (*names, *(f"x-amz-copy-source-{name}" for name in names)):
            head = RequestHead("PUT", "/b/k", {name: condition})
            outcome(lambda head=head: conditions.evaluate(head, "abc", 10**12))  # type: ignore[misc]
            outcome(lambda head=head: conditions.evaluate_copy_source(head, "abc", 10**12))  # type: ignore[misc]
            outcome(lambda head=head: conditions.write_condition(head))  # type: ignore[misc]
            outcome(lambda head=head: conditions.delete_condition(head))  # type: ignore[misc]
        for name in (
            "x-amz-checksum-crc32",
            "x-amz-sdk-checksum-algorithm",
            "content-md5",
            "x-amz-trailer",
            "x-amz-checksum-type",
        ):
            head = RequestHead("PUT", "/b/k", {name: source, "x-amz-checksum-algorithm": tagging})
            outcome(lambda head=head: declared(head))  # type: ignore[misc]
            outcome(lambda head=head: upload_checksum(head))  # type: ignore[misc]


class SignatureTests(SynchronousTestCase):
    """Signatures in headers, URLs and forms."""

    HEADER = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260921/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + "0" * 64
    )
    URL = (
        "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260921%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20260921T141320Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=" + "0" * 64
    )
    WORDS = (
        "=",
        ",",
        ";",
        "/",
        " ",
        "Credential=",
        "SignedHeaders=",
        "Signature=",
        "host",
        "\xff",
        "aws4_request",
        "0" * 70,
    )
    FIXED = {"host": "h", "x-amz-date": "20260921T141320Z", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}

    def never(self, head: RequestHead, otherwise: RequestHead) -> None:
        """A signature of zeros is never right, and is refused alike when it is spelt as nobody would."""
        found = self.verdict(head)
        self.assertTrue(found is None or isinstance(found, S3Error), head.headers)
        other = self.verdict(otherwise)
        self.assertEqual((type(found), str(found)), (type(other), str(other)))
        for name in ("CanonicalRequest", "StringToSign"):
            if found is not None and name in found.fields:
                self.assertEqual(found.fields[name], other.fields[name])

    def verdict(self, head: RequestHead) -> Any:
        """The error that a request gets, None if it is not signed."""
        try:
            signed = sigv4.parse(head)
            keys = sigv4.SigningKeys()
            return signed and sigv4.verify(signed, head, "secret", 1_790_000_000, "us-east-1", keys)
        except S3Error as error:
            return error

    @fuzz(300)
    @given(
        mutated_text([HEADER], WORDS),
        mutated_text(["20260921T141320Z", "Mon, 21 Sep 2026 14:13:20 GMT"], ["T", "Z", "-"]),
        mutated_text(["UNSIGNED-PAYLOAD", "0" * 64, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"], ["STREAMING-", "-TRAILER"]),
    )
    def test_headers(self, authorization: str, date: str, digest: str) -> None:
        """An Authorization header."""
        scheme, _, rest = authorization.partition(" ")
        headers = {"host": "h", "x-amz-date": date, "x-amz-content-sha256": digest, "authorization": authorization}
        otherwise = {**headers, "authorization": f"{scheme} {rest.replace(',', chr(9) + ',')}"} if rest else headers
        self.never(*(RequestHead("GET", "/b/k?a=b&a&c=%20", each) for each in (headers, otherwise)))

    @fuzz(300)
    @given(mutated_text([URL], [*WORDS, "&", "%", "X-Amz-Expires=", "-1", "X-Amz-Signature="]))
    def test_urls(self, url: str) -> None:
        """A presigned URL."""
        head = RequestHead("GET", url, {"host": "h"})
        self.assertEqual(
            outcome(lambda: head.bare), outcome(lambda: Query(head.raw_query).names() <= SIGNING), head.raw_query
        )
        self.never(head, RequestHead("GET", url.replace("X-Amz-Signature", "X-Amz-%53ignature"), {"host": "h"}))

    @fuzz(200)
    @given(
        mutated_text(["AKIDEXAMPLE/20260921/us-east-1/s3/aws4_request"], ["/", "s3", ""]),
        mutated(
            [POLICY],
            [
                b"[",
                b"]",
                b"{",
                b"}",
                b"$",
                b"null",
                b"1e999",
                b"[" * 2000,
                b"\\ud800",
                b"9" * 5000,
                b"content-length-range",
            ],
        ),
    )
    def test_policies(self, credential: str, document: bytes) -> None:
        """The fields and the policy of a form."""
        encoded = b64encode(document).decode()
        fields = {
            "policy": encoded,
            "x-amz-credential": credential,
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-date": "20260921T141320Z",
            "x-amz-signature": "0" * 64,
        }
        outcome(lambda: parse_policy(fields))
        found = outcome(lambda: policy.parse_policy_document(encoded))
        if isinstance(found, policy.Policy):
            outcome(lambda: found.check({"key": "k", "bucket": "b"}, "b", 1_790_000_000))
            outcome(lambda: found.check_size(5))
            json.loads(document)


class BodyTests(SynchronousTestCase):
    """Bodies in their framings."""

    def decode(self, made: PayloadDecoder, parts: list[bytes]) -> tuple[bytes, dict[str, str]] | type:
        """The bytes of an object and its trailers, or why not."""
        try:
            body = b"".join(piece for part in parts for piece in made.feed(part))
            made.finish()
        except S3Error as error:
            return type(error)
        return body, made.trailers

    @fuzz(250)
    @given(st.data())
    def test_chunked(self, data: st.DataObject) -> None:
        """aws-chunked, with and without signatures: what a signature covers cannot be changed, however it is cut."""
        mode, seed = data.draw(
            st.sampled_from(
                [
                    (test_payload.STREAMING, test_payload.DOCUMENTED),
                    (test_payload.STREAMING_TRAILER, test_payload.DOCUMENTED_TRAILER),
                    (test_payload.UNSIGNED_TRAILER, b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n"),
                ]
            )
        )
        words = [
            b"\r\n",
            b"\n",
            b"0\r\n",
            b"10000;",
            b";chunk-signature=",
            b"x-amz-trailer-signature:",
            b"f" * 17,
            *NUMBERS,
        ]
        sent = data.draw(mutated([seed], words, 3))
        headers = {
            "x-amz-content-sha256": mode,
            "x-amz-trailer": "x-amz-checksum-crc32c",
            "x-amz-decoded-content-length": "66560" if mode != test_payload.UNSIGNED_TRAILER else "5",
        }
        head = RequestHead("PUT", "/b/k", headers)
        checked = test_payload.verified(mode)
        parts = data.draw(pieces(sent)) if len(sent) < 500 else [sent[:70_000], sent[70_000:]]
        whole = self.decode(decoder_for(head, checked), [sent])
        cut = self.decode(decoder_for(head, checked), parts)
        if isinstance(whole, type) or isinstance(cut, type):
            self.assertIsInstance(whole, type)
            self.assertIsInstance(cut, type)
            return
        self.assertEqual(whole, cut)
        if mode != test_payload.UNSIGNED_TRAILER:
            self.assertTrue(whole[0] == test_payload.DATA, sent[:200])

    @fuzz(200)
    @given(st.data())
    def test_forms(self, data: st.DataObject) -> None:
        """multipart/form-data: the same however it is cut."""
        seed = (
            b'--xx\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--xx\r\n'
            b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\nhello\r\n--xx--\r\n'
        )
        words = [b"--xx", b"\r\n", b"--", b'name="', b'";', b"filename=", b"\0", b"\xff", b"\r\n--xx--\r\n"]
        sent = data.draw(mutated([seed], words))
        kind = data.draw(mutated_text(["multipart/form-data; boundary=xx"], ["boundary=", '"', "\\", ";"], 1))
        self.assertEqual(self.read_form(kind, [sent]), self.read_form(kind, data.draw(pieces(sent))))

    def read_form(self, kind: str, parts: list[bytes]) -> object:
        """The fields and the file, or that it was refused."""
        try:
            found = form.Form(kind)
            decoder, body = None, b""
            for part in parts:
                rest = part
                if decoder is None:
                    found.feed(part)
                    if not found.at_file:
                        continue
                    decoder, rest = found.file()
                body += b"".join(decoder.feed(rest))
            if decoder is None:
                found.finish()
            else:
                decoder.finish()
        except S3Error:
            return None
        return found.fields, found.filename, body

    XML = (
        b"<Delete><Quiet>true</Quiet><Object><Key>k</Key><ETag>x</ETag><Size>3</Size></Object></Delete>",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>",
        b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>",
        b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
        b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"
        b"<MaxAgeSeconds>3</MaxAgeSeconds></CORSRule></CORSConfiguration>",
        b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
        b"<Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
        b"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2030-01-01T00:00:00.1Z</RetainUntilDate></Retention>",
        b"<LegalHold><Status>ON</Status></LegalHold>",
        b"<LifecycleConfiguration><Rule><ID>x</ID><Status>Enabled</Status><Filter><And><Prefix>k</Prefix><Tag>"
        b"<Key>a</Key><Value>b</Value></Tag><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter><Expiration>"
        b"<Days>1</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
        b"<NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule><Rule><Prefix/>"
        b"<Status>Disabled</Status><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule>"
        b"</LifecycleConfiguration>",
    )

    @fuzz(300)
    @given(
        mutated(
            XML,
            [
                b"<!DOCTYPE x [<!ENTITY y 'z'>]>",
                b"&y;",
                b"&#0;",
                b"&#x1F4A9;",
                b"<![CDATA[x]]>",
                b"<!--",
                b"-->",
                b"<a>" * 500,
                b'<?xml version="1.0" encoding="UTF-7"?>',
                b'<?xml version="1.0" encoding="utf-16"?>',
                b"\xff\xfe",
                b"\0",
                *NUMBERS,
            ],
        )
    )
    def test_documents(self, document: bytes) -> None:
        """XML."""
        for parse in (
            documents_in.parse_delete,
            documents_in.parse_complete,
            documents_in.parse_create_bucket,
            tags.parse_tagging,
            cors.parse_cors,
            documents_in.parse_versioning,
            locks.parse_hold,
            lambda body: locks.parse_retention(body, 1_790_000_000_000),
        ):
            outcome(lambda parse=parse: parse(document))  # type: ignore[operator, misc]
        stored = outcome(lambda: locks.parse_configuration(document))
        if isinstance(stored, bytes):
            locks.default_retention(stored)
        stored = outcome(lambda: lifecycle.parse_lifecycle(document, lambda: "made"))
        if isinstance(stored, bytes):
            info = ObjectInfo(5, 1_790_000_000_000, "e" * 32, tags=(("a", "b"),))
            lifecycle.expiration(lifecycle.rules_of(stored), "key", info)


class RecordTests(SynchronousTestCase):
    """Rows of the database."""

    RECORDS = (
        (BUCKET, BucketInfo("b", 1, "owner", "us-east-1", {"cors": b"<x/>"})),
        (OBJECT, ObjectInfo(5, 1, "e" * 32, extents=(Extent(bytes(16), 0, 5),))),
        (OBJECT, ObjectInfo(5, 1, "e" * 32, inline=bytes(range(16)))),
        (UPLOAD, UploadInfo("b", "k", "u", 1)),
        (PART, PartInfo(1, 5, 1, "e", (Extent(bytes(16), 0, 5),))),
        (BLOB, BlobRecord(3, 2)),
    )

    @fuzz(300)
    @given(st.data())
    def test_records(self, data: st.DataObject) -> None:
        """A record is what was written under its row, or corrupt."""
        codec, record = data.draw(st.sampled_from(self.RECORDS))
        value = codec.encode(b"row", record)
        row = data.draw(st.sampled_from([b"row", b"row", b"row", b"other", b""]))
        changed = data.draw(mutated([value], [b"\xc1", b"\x90", b"\x01", bytes(4)], 3))
        try:
            found = codec.decode(row, changed)
        except CorruptChunk as error:
            self.assertTrue((row, changed) != (b"row", value) and str(error))
        else:
            self.assertEqual((found, row, changed), (record, b"row", value))

    @fuzz(200)
    @given(st.data())
    def test_resealed(self, data: st.DataObject) -> None:
        """What is no record although its CRC is right is corrupt as well: nothing but a record comes out."""
        codec, record = data.draw(st.sampled_from(self.RECORDS))
        payload = codec.encode(b"row", record)[:-4]
        changed = data.draw(mutated([payload], [b"\xc1", b"\x90", b"\x01\x02", b"\xa3abc"], 3))
        sealed = seal_chunk(b"row", changed)
        try:
            self.assertIsInstance(codec.decode(b"row", sealed), type(record))
        except CorruptChunk:
            pass

    @fuzz(200)
    @given(st.data())
    def test_bodies(self, data: st.DataObject) -> None:
        """A chunk and an inline body are what was written, or corrupt, or of another object."""
        body = data.draw(st.binary(min_size=1, max_size=40))
        chunk = data.draw(mutated([seal_chunk(b"row", body)], [], 2))
        inline = data.draw(mutated([seal_inline(b"row", body, bytes(16))], [], 2))
        try:
            self.assertEqual((bytes(open_chunk(b"row", chunk)), chunk), (body, seal_chunk(b"row", body)))
        except CorruptChunk:
            pass
        try:
            found = open_inline(b"row", inline, bytes(16))
            self.assertEqual((bytes(found), inline), (body, seal_inline(b"row", body, bytes(16))))
        except (CorruptChunk, StaleBody):
            pass
