"""ListBuckets, ListObjects, ListObjectsV2 and ListObjectVersions, checked against what was stored."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from s3gw.model import ObjectInfo
from s3gw.store.interface import PutObject
from tests.operations.harness import BOB, GatewayTestCase

ETAG = "0" * 32

KEYS = st.sets(
    st.text(st.sampled_from("ab/\u00fc +%&<\n\x01\U0001f600"), min_size=1, max_size=6), min_size=1, max_size=25
)


def listed(keys: set[str], prefix: str, delimiter: str, after: str = "") -> list[str]:
    """What a listing has, keys and common prefixes, in order."""
    names = set()
    for key in keys:
        if key.startswith(prefix):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            names.add(key if end < 0 else key[: end + len(delimiter)])
    return sorted(name for name in names if name > after)


class ListCase(GatewayTestCase):
    """A bucket that is filled behind the gateway's back."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.number = 0

    def fill(self, keys: set[str]) -> str:
        """A fresh bucket with these keys."""
        self.number += 1
        bucket = f"bucket-{self.number}"
        self.make_bucket(bucket)
        self.gateway.store.commit([PutObject(bucket, key, ObjectInfo(0, 0, ETAG)) for key in keys])
        return bucket


class ObjectsTests(ListCase):
    """Objects, in pages."""

    @settings(max_examples=80, deadline=None)
    @given(KEYS, st.sampled_from(["", "a", "a/", "ü"]), st.sampled_from(["", "/", "/a"]), st.integers(1, 5))
    def test_pages(self, keys: set[str], prefix: str, delimiter: str, limit: int) -> None:
        """Both versions list the same, every key and common prefix once, whatever the length of a page."""
        bucket = self.fill(keys)
        client = self.client()
        for operation in ("list_objects", "list_objects_v2"):
            names: list[str] = []
            found: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter, "MaxKeys": limit}
            for page in client.get_paginator(operation).paginate(**found):
                entries = [each["Key"] for each in page.get("Contents", [])]
                rolled = [each["Prefix"] for each in page.get("CommonPrefixes", [])]
                self.assertLessEqual(len(entries) + len(rolled), limit)
                names += sorted(entries + rolled)
            self.assertEqual(listed(keys, prefix, delimiter), names)

    @settings(max_examples=80, deadline=None)
    @given(KEYS, st.text(st.sampled_from("ab/ü"), max_size=3), st.sampled_from(["", "/"]))
    def test_after(self, keys: set[str], after: str, delimiter: str) -> None:
        """A listing begins behind the key that it is told, which need not exist."""
        bucket = self.fill(keys)
        client = self.client()
        first = client.list_objects(Bucket=bucket, Marker=after, Delimiter=delimiter)
        second = client.list_objects_v2(Bucket=bucket, StartAfter=after, Delimiter=delimiter)
        for page in (first, second):
            names = [each["Key"] for each in page.get("Contents", [])]
            names += [each["Prefix"] for each in page.get("CommonPrefixes", [])]
            self.assertEqual(listed(keys, "", delimiter, after), sorted(names))

    def test_shape(self) -> None:
        """What surrounds the entries, as S3 has it."""
        bucket = self.fill({"a b", "c/d", "e"})
        answer = self.request("GET", f"/{bucket}", query="list-type=2&delimiter=%2F&max-keys=2&encoding-type=url")
        names = ("Name", "Prefix", "KeyCount", "MaxKeys", "Delimiter", "EncodingType", "IsTruncated")
        self.assertEqual([bucket, "", "2", "2", "/", "url", "true"], [answer.text(name) for name in names])
        self.assertEqual((["a%20b"], ["c/"]), (answer.texts("Key"), answer.texts("Prefix")[1:]))
        self.assertEqual("us-east-1", answer.headers["x-amz-bucket-region"])
        token = answer.text("NextContinuationToken") or ""
        answer = self.request(
            "GET", f"/{bucket}", query={"list-type": "2", "delimiter": "/", "continuation-token": token}
        )
        self.assertEqual(([token], ["e"]), (answer.texts("ContinuationToken"), answer.texts("Key")))
        answer = self.request("GET", f"/{bucket}", query="delimiter=%2F&max-keys=2")
        self.assertEqual("c/", answer.text("NextMarker"))
        answer = self.request("GET", f"/{bucket}", query="max-keys=2")
        self.assertEqual((None, "true"), (answer.text("NextMarker"), answer.text("IsTruncated")))

    def test_prefix_encoded(self) -> None:
        """encoding-type=url encodes the prefix too; that of ListObjects, which botocore does not decode, only where it
        must be, so that who decodes it and who does not get the same."""
        bucket = self.fill({"x"})
        for query, prefix in (
            ("list-type=2&prefix=%0A", "%0A"),
            ("prefix=%0A", "\n"),
            ("prefix=a%20%D0%BA", "a к"),
            ("prefix=a%2B", "a%2B"),
            ("prefix=%25", "%25"),
            ("prefix=%01", "%01"),
        ):
            answer = self.request("GET", f"/{bucket}", query=query + "&encoding-type=url")
            self.assertEqual(prefix, answer.text("Prefix"))

    def test_empty_token(self) -> None:
        """An empty continuation token asks for the first page, and comes back."""
        bucket = self.fill({"a", "b"})
        page = self.client().list_objects_v2(Bucket=bucket, ContinuationToken="")
        self.assertEqual((["a", "b"], ""), ([each["Key"] for each in page["Contents"]], page["ContinuationToken"]))

    def test_owner(self) -> None:
        """ListObjects says whose the objects are, ListObjectsV2 only when asked."""
        self.make_bucket()
        self.put("/bucket/key")
        self.assertEqual(["alice"], self.request("GET", "/bucket").texts("DisplayName"))
        self.assertEqual([], self.request("GET", "/bucket", query="list-type=2").texts("DisplayName"))
        answer = self.request("GET", "/bucket", query="list-type=2&fetch-owner=true")
        self.assertEqual(["alice"], answer.texts("DisplayName"))

    def test_nothing(self) -> None:
        """No keys were asked for, or there are none."""
        bucket = self.fill({"a"})
        for query in ("max-keys=0", "list-type=2&max-keys=0", "prefix=b", "list-type=2&start-after=a"):
            answer = self.request("GET", f"/{bucket}", query=query)
            self.assertEqual(([], "false"), (answer.texts("Key"), answer.text("IsTruncated")))

    def test_refused(self) -> None:
        """Parameters that S3 refuses."""
        bucket = self.fill({"a"})
        for query, name in (
            ("max-keys=-1", "maxKeys"),
            ("max-keys=x", "max-keys"),
            ("encoding-type=base64", "encoding-type"),
            ("encoding-type=", "encoding-type"),
            ("list-type=2&continuation-token=none", "continuation-token"),
            ("versions&version-id-marker=x", "version-id-marker"),
        ):
            answer = self.request("GET", f"/{bucket}", query=query)
            self.assert_error("InvalidArgument", 400, answer)
            self.assertEqual(name, answer.text("ArgumentName"))
        self.assert_error("NoSuchBucket", 404, self.request("GET", "/nothing-here"))

    def test_versions(self) -> None:
        """Each object is its one version."""
        bucket = self.fill({"a", "b", "c"})
        client = self.client()
        page = client.list_object_versions(Bucket=bucket, MaxKeys=2)
        self.assertEqual([("a", "null", True), ("b", "null", True)], [self.version(each) for each in page["Versions"]])
        self.assertEqual(("b", "null"), (page["NextKeyMarker"], page["NextVersionIdMarker"]))
        page = client.list_object_versions(Bucket=bucket, KeyMarker="b")
        self.assertEqual(["c"], [each["Key"] for each in page["Versions"]])

    def version(self, entry: dict[str, Any]) -> tuple[str, str, bool]:
        """What tells a version."""
        return entry["Key"], entry["VersionId"], entry["IsLatest"]


class BucketsTests(ListCase):
    """Buckets."""

    def test_own(self) -> None:
        """Everybody sees their own."""
        self.make_bucket("alices")
        self.make_bucket("bobs", sign=BOB)
        self.assertEqual(["alices"], self.request("GET", "/").texts("Name"))
        answer = self.request("GET", "/", sign=BOB)
        self.assertEqual((["bobs"], ["bob"]), (answer.texts("Name"), answer.texts("DisplayName")))

    def test_pages(self) -> None:
        """In pages when asked, of a prefix or a region."""
        names = [f"bucket-{number}" for number in range(5)] + ["other"]
        for name in names:
            self.make_bucket(name)
        client = self.client()
        found, token = [], ""
        while True:
            page = client.list_buckets(
                MaxBuckets=2, Prefix="bucket-", **({"ContinuationToken": token} if token else {})
            )
            found += [each["Name"] for each in page["Buckets"]]
            token = page.get("ContinuationToken", "")
            if not token:
                break
        self.assertEqual(names[:5], found)
        self.assertEqual([], client.list_buckets(BucketRegion="eu-west-1")["Buckets"])
        self.assertEqual(6, len(client.list_buckets(BucketRegion="us-east-1")["Buckets"]))
        self.assertEqual(6, len(self.request("GET", "/", query="continuation-token=").texts("Name")))
        for query in ("max-buckets=0", "max-buckets=10001", "continuation-token=x"):
            self.assert_error("InvalidArgument", 400, self.request("GET", "/", query=query))
