"""Objects as boto3 sees them: ranges, conditions, metadata, copies, deletes, and keys of every kind."""

from __future__ import annotations

import datetime
import re
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.live.case import KIB, LiveCase, some_bytes

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)
"""What may be a key: any text without NUL."""

NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What a DeleteObjects document cannot say: XML 1.0 has no spelling for these (S3 answers MalformedXML)."""

ODD_KEYS = (
    "..", ".", "/", "//", "a/../b", "/lead", "trail/", "a//b", "sp ace", "pl+us", "per%20cent", "%2F", "q?x=1&y",
    "h#sh", "ü/ß/日本語/🦆", "new\nline", "tab\t", "quote\"'<&>", "back\\slash", "semi;colon,comma",
    "@a:b=c*~!$()[]{}|^`", "\x01\x7f", "e\u0301", "\u00e9", "\ufffe\uffff", "z" * 1024, "ü" * 512,
)  # fmt: skip


class ObjectTests(LiveCase):
    """One bucket, SigV4, http."""

    auth = "sigv4"

    def setUp(self) -> None:
        super().setUp()
        self.s3 = self.server.s3()
        self.bucket = self.new_bucket(self.s3)

    def put(self, key: str, body: bytes = b"body", **more: Any) -> str:
        """Store an object; its ETag."""
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **more)["ETag"]

    def get(self, key: str, **more: Any) -> bytes:
        """The bytes of an object."""
        return self.s3.get_object(Bucket=self.bucket, Key=key, **more)["Body"].read()

    def refusal(self, name: str, key: str, **more: Any) -> tuple[int, str]:
        """How a call on a key is refused."""
        return self.refused(getattr(self.s3, name), Bucket=self.bucket, Key=key, **more)

    def test_ranges(self) -> None:
        """Every form of range, within a chunk and across them, of a small and of a large object."""
        for size in (100, 64 * KIB, 300 * KIB):
            body = some_bytes(size, size)
            self.put("key", body)
            edges = sorted(
                {0, 1, size // 2, size - 1, *(n for n in (64 * KIB - 1, 64 * KIB, 64 * KIB + 1) if n < size)}
            )
            forms = [(f"{a}-{b}", a, b) for a in edges for b in edges if a <= b]
            forms += [(f"{a}-", a, size - 1) for a in edges]
            forms += [(f"-{n}", max(0, size - n), size - 1) for n in (1, size - 1, size, 2 * size)]
            forms += [(f"0-{10 * size}", 0, size - 1)]
            for form, first, last in forms:
                with self.subTest(f"{form} of {size}"):
                    answer = self.s3.get_object(Bucket=self.bucket, Key="key", Range=f"bytes={form}")
                    self.assertSame(answer["Body"].read(), body[first : last + 1])
                    self.assertEqual(answer["ContentRange"], f"bytes {first}-{last}/{size}")
                    self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 206)
            self.assertEqual(self.refusal("get_object", "key", Range=f"bytes={size}-"), (416, "InvalidRange"))
            self.assertSame(self.get("key", Range="bytes=5-2"), body)

    def test_empty_object(self) -> None:
        """A range of nothing is refused with the size; part 1 of nothing is nothing."""
        self.put("key", b"")
        self.assertEqual(self.refusal("get_object", "key", Range="bytes=0-7"), (416, "InvalidRange"))
        part = self.s3.get_object(Bucket=self.bucket, Key="key", PartNumber=1)
        self.assertEqual((part["ContentLength"], part["Body"].read()), (0, b""))

    def test_conditions(self) -> None:
        """If-* on GET and HEAD, and on writes."""
        etag = self.put("key")
        then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
        self.assertEqual(self.get("key", IfMatch=etag, IfModifiedSince=then), b"body")
        self.assertEqual(self.refusal("get_object", "key", IfMatch='"0"'), (412, "PreconditionFailed"))
        self.assertEqual(self.refusal("head_object", "key", IfMatch='"0"'), (412, "412"))
        self.assertEqual(self.refusal("get_object", "key", IfNoneMatch=etag), (304, "304"))
        self.assertEqual(self.refusal("head_object", "key", IfUnmodifiedSince=then), (412, "412"))
        self.assertEqual(self.refusal("put_object", "key", Body=b"x", IfNoneMatch="*"), (412, "PreconditionFailed"))
        self.assertEqual(self.refusal("put_object", "key", Body=b"x", IfMatch='"0"'), (412, "PreconditionFailed"))
        self.assertEqual(self.refusal("put_object", "none", Body=b"x", IfMatch=etag), (404, "NoSuchKey"))
        self.assertEqual(self.get("key"), b"body")
        self.put("key", b"new", IfMatch=etag)
        self.put("other", b"new", IfNoneMatch="*")
        self.assertEqual(self.refusal("delete_object", "key", IfMatch=etag), (412, "PreconditionFailed"))
        self.assertEqual(self.get("key"), b"new")

    def test_metadata(self) -> None:
        """What was stored with an object comes back with it, from GET and from HEAD."""
        given_ = {
            "ContentType": "text/plain; charset=utf-8",
            "CacheControl": "max-age=3",
            "ContentDisposition": 'attachment; filename="f"',
            "ContentEncoding": "gzip",
            "ContentLanguage": "de",
            "Metadata": {"plain": "value", "with-hyphen": "a  b", "empty": ""},
        }
        self.put("key", **given_, Expires=datetime.datetime(2030, 1, 1))
        for call in (self.s3.get_object, self.s3.head_object):
            answer = call(Bucket=self.bucket, Key="key")
            self.assertEqual({name: answer[name] for name in given_}, given_)
            self.assertEqual(answer["ExpiresString"], "Tue, 01 Jan 2030 00:00:00 GMT")
            self.assertEqual(answer["AcceptRanges"], "bytes")
            age = datetime.datetime.now(datetime.timezone.utc) - answer["LastModified"]
            self.assertLess(abs(age.total_seconds()), 60)
        plain = self.s3.head_object(Bucket=self.bucket, Key=self.put("plain") and "plain")
        self.assertEqual((plain["ContentType"], plain["Metadata"]), ("binary/octet-stream", {}))
        big = {"n": "v" * 2048}
        self.assertEqual(self.refusal("put_object", "key", Metadata=big), (400, "MetadataTooLarge"))

    def test_response_overrides(self) -> None:
        """A GET can ask for other headers than were stored."""
        self.put("key", ContentType="a/b")
        answer = self.s3.get_object(
            Bucket=self.bucket, Key="key", ResponseContentType="c/d", ResponseContentDisposition='inline; filename="ü"'
        )
        self.assertEqual(answer["ContentType"], "c/d")
        self.assertIn("inline", answer["ContentDisposition"])

    def test_refusals(self) -> None:
        """What is not there, or not right, is refused with S3's own codes."""
        self.assertEqual(self.refusal("get_object", "none"), (404, "NoSuchKey"))
        self.assertEqual(self.refusal("head_object", "none"), (404, "404"))
        self.s3.delete_object(Bucket=self.bucket, Key="none")
        nowhere = {"Bucket": self.new_name(), "Key": "key"}
        for name in ("get_object", "put_object", "delete_object"):
            self.assertEqual(self.refused(getattr(self.s3, name), **nowhere), (404, "NoSuchBucket"))
        self.put("key")
        self.assertEqual(self.refused(self.s3.delete_bucket, Bucket=self.bucket), (409, "BucketNotEmpty"))
        self.assertEqual(self.refusal("put_object", "key", Body=b"x", ContentMD5="AAAA"), (400, "InvalidDigest"))
        wrong = "AAAAAAAAAAAAAAAAAAAAAA=="
        self.assertEqual(self.refusal("put_object", "key", Body=b"x", ContentMD5=wrong), (400, "BadDigest"))
        self.assertEqual(self.refusal("get_object_torrent", "key"), (404, "NoSuchKey"))
        self.assertEqual(self.refusal("restore_object", "key"), (501, "NotImplemented"))
        self.assertEqual(self.get("key"), b"body")

    def test_foreign_keys(self) -> None:
        """An unknown access key, a wrong secret and no signature at all are refused."""
        where = {"Bucket": self.bucket, "Key": "key"}
        unknown, wrong = self.server.s3(access_key="SOMEBODY"), self.server.s3(secret_key="wrong/secret")
        self.assertEqual(self.refused(unknown.get_object, **where), (403, "InvalidAccessKeyId"))
        self.assertEqual(self.refused(wrong.get_object, **where), (403, "SignatureDoesNotMatch"))
        self.assertEqual(self.refused(wrong.put_object, **where, Body=b"x"), (403, "SignatureDoesNotMatch"))
        self.assertEqual(self.refused(self.server.s3(unsigned=True).get_object, **where), (403, "AccessDenied"))

    def test_copy(self) -> None:
        """A copy has the source's bytes, and its metadata or new ones; onto itself only with new ones."""
        for size in (10, 300 * KIB):
            body = some_bytes(size, size)
            self.put("source", body, Metadata={"a": "1"}, ContentType="a/b")
            for target, directive in (
                ("copied", {}),
                ("new", {"Metadata": {"b": "2"}, "MetadataDirective": "REPLACE"}),
            ):
                self.copy("source", target, **directive)
                self.assertSame(self.get(target), body)
                head = self.s3.head_object(Bucket=self.bucket, Key=target)
                self.assertEqual(head["Metadata"], directive.get("Metadata", {"a": "1"}))
            self.assertEqual(self.refused(self.copy, source="source", target="source"), (400, "InvalidRequest"))
            self.copy("source", "source", Metadata={"c": "3"}, MetadataDirective="REPLACE")
            self.s3.delete_object(Bucket=self.bucket, Key="source")
            self.assertSame(self.get("copied"), body)
            self.assertEqual(self.refused(self.copy, source="source", target="x"), (404, "NoSuchKey"))

    def copy(self, source: str, target: str, **more: Any) -> None:
        """Copy within the bucket."""
        origin = {"Bucket": self.bucket, "Key": source}
        self.s3.copy_object(Bucket=self.bucket, Key=target, CopySource=origin, **more)

    def whole_life(self, key: str, number: int) -> None:
        """Put, list, head, copy, get and delete a key."""
        body = f"{number}".encode()
        self.put(key, body)
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=key)
        self.assertIn(key, [each["Key"] for each in listed["Contents"]])
        self.assertEqual(self.s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"], len(body))
        self.copy(key, "copy")
        self.assertEqual((self.get(key), self.get("copy")), (body, body))
        if NOT_IN_XML.search(key) is None:
            gone = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": key}]})
            self.assertEqual([each["Key"] for each in gone["Deleted"]], ["copy", key])
        else:
            self.s3.delete_object(Bucket=self.bucket, Key=key)
        self.assertEqual(self.refusal("head_object", key), (404, "404"))

    def test_odd_keys(self) -> None:
        """Keys that paths, queries, XML or shells would take for something else."""
        for number, key in enumerate(ODD_KEYS):
            with self.subTest(ascii(key[:20])):
                self.whole_life(key, number)
        for number, key in enumerate(ODD_KEYS):
            self.put(key, b"%d" % number)
        listed = [each["Key"] for each in self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]]
        self.assertEqual(listed, sorted(ODD_KEYS, key=str.encode))
        self.assertEqual([self.get(key) for key in ODD_KEYS], [b"%d" % n for n in range(len(ODD_KEYS))])
        self.assertEqual(self.refusal("put_object", "z" * 1025, Body=b""), (400, "KeyTooLongError"))

    def test_any_key(self) -> None:
        """Keys of all of Unicode but NUL."""

        @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(KEYS.filter(lambda key: key != "copy"), st.integers(0, 1 << 30))
        def lives(key: str, number: int) -> None:
            self.whole_life(key, number)

        lives()
