"""DeleteObjects."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from hypothesis import given, settings
from hypothesis import strategies as st

from s3gw.model import ObjectInfo
from s3gw.store.interface import ListQuery, PutObject
from tests.operations.harness import BOB, NOW, Answer, GatewayTestCase

HELLO = hashlib.md5(b"hello").hexdigest()


class DeleteObjectsTests(GatewayTestCase):
    """Many keys in one request."""

    def setUp(self) -> None:
        """Make a bucket with two objects."""
        super().setUp()
        self.number = 0
        self.make_bucket()
        for key in ("a", "b"):
            self.put(f"/bucket/{key}", b"hello")

    def delete(self, *objects: Mapping[str, str], quiet: bool = False, digest: bool = True) -> Answer:
        """Delete objects, each described by the elements of its entry."""
        entries = "".join(
            f"<Object>{''.join(f'<{name}>{escape(value)}</{name}>' for name, value in each.items())}</Object>"
            for each in objects
        )
        body = f"<Delete>{entries}<Quiet>{str(quiet).lower()}</Quiet></Delete>".encode()
        md5 = b64encode(hashlib.md5(body).digest()).decode()
        return self.request("POST", "/bucket", {"Content-MD5": md5} if digest else {}, body, "delete")

    def left(self, bucket: str = "bucket") -> list[str]:
        """The keys that are left."""
        return [key for key, _ in self.gateway.store.list_objects(bucket, ListQuery()).entries]

    def test_deleted(self) -> None:
        """Keys are gone, and said to be gone, whether they were there or not; in quiet mode nothing is said."""
        answer = self.delete({"Key": "a"}, {"Key": "none"})
        self.assertEqual((200, ["a", "none"], []), (answer.status, answer.texts("Key"), answer.texts("Error")))
        self.assertEqual(["b"], self.left())
        answer = self.delete({"Key": "b"}, quiet=True)
        self.assertEqual(([], []), (answer.texts("Key"), self.left()))

    def test_conditions(self) -> None:
        """Every key has its own conditions, and fails alone."""
        modified = "2026-09-21T14:13:20Z"
        answer = self.delete(
            {"Key": "a", "ETag": "other"},
            {"Key": "b", "ETag": f'"{HELLO}"', "Size": "5", "LastModifiedTime": modified},
            {"Key": "none", "ETag": HELLO},
            {"Key": "nothing", "Size": "5"},
            quiet=True,
        )
        self.assertEqual(1_790_000_000, NOW)
        self.assertEqual(
            (["a", "none"], ["PreconditionFailed", "NoSuchKey"]), (answer.texts("Key"), answer.texts("Code"))
        )
        self.assertEqual(["a"], self.left())
        for condition in ({"Size": "4"}, {"LastModifiedTime": "2026-09-21T14:13:21Z"}):
            answer = self.delete({"Key": "a", **condition})
            self.assertEqual("PreconditionFailed", answer.text("Code"))

    def test_versions(self) -> None:
        """The one version of an object is null; one that there is not is an error of its key."""
        answer = self.delete({"Key": "a", "VersionId": "v1"}, {"Key": "b", "VersionId": "null"})
        self.assertEqual(["b", "a"], answer.texts("Key"))
        self.assertEqual(["null", "v1"], answer.texts("VersionId"))
        self.assertEqual("NoSuchVersion", answer.text("Code"))
        self.assertEqual(["a"], self.left())

    def test_needs_digest(self) -> None:
        """Without a digest of the document nothing is deleted; with a wrong one neither."""
        self.assert_error("InvalidRequest", 400, self.delete({"Key": "a"}, digest=False))
        body = b"<Delete><Object><Key>a</Key></Object></Delete>"
        answer = self.request("POST", "/bucket", {"x-amz-checksum-crc32": "AAAAAA=="}, body, "delete")
        self.assert_error("BadDigest", 400, answer)
        self.assertEqual(["a", "b"], self.left())

    def test_bounds(self) -> None:
        """1000 keys are the most, and one the least."""
        self.assert_error("MalformedXML", 400, self.delete())
        self.assert_error("MalformedXML", 400, self.delete(*({"Key": str(n)} for n in range(1001))))
        bucket = self.gateway.store
        bucket.commit([PutObject("bucket", f"k{n:04}", ObjectInfo(0, 0, "e")) for n in range(1000)])
        answer = self.delete(*({"Key": f"k{n:04}"} for n in range(1000)))
        self.assertEqual(1000, len(answer.texts("Key")))
        self.assertEqual(["a", "b"], self.left())

    def test_others(self) -> None:
        """Nobody deletes in another's bucket."""
        body = b"<Delete><Object><Key>a</Key></Object><Object><Key>none</Key></Object></Delete>"
        md5 = b64encode(hashlib.md5(body).digest()).decode()
        for sign in (BOB, None):
            answer = self.request("POST", "/bucket", {"Content-MD5": md5}, body, "delete", sign)
            self.assertEqual((200, ["AccessDenied"] * 2), (answer.status, answer.texts("Code")))
        self.assertEqual(["a", "b"], self.left())

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_keys(self, data: Any) -> None:
        """botocore deletes whatever keys XML can say, and no others."""
        alphabet = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
        keys = data.draw(st.lists(st.text(alphabet, min_size=1, max_size=30), unique=True, min_size=1, max_size=8))
        client = self.client()
        self.number += 1
        bucket = f"any-{self.number}"
        client.create_bucket(Bucket=bucket)
        for key in keys:
            client.put_object(Bucket=bucket, Key=key)
        doomed = data.draw(st.lists(st.sampled_from(keys), unique=True, min_size=1))
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in doomed]})
        self.assertEqual(doomed, [each["Key"] for each in answer["Deleted"]])
        self.assertEqual(sorted(set(keys) - set(doomed)), self.left(bucket))
