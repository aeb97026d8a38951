"""Buckets: made, found, emptied, deleted; their tags; and the configuration that they have not."""

from __future__ import annotations

from s3gw.operations import OPERATIONS
from s3gw.operations.configuration import UNCONFIGURED
from tests.operations.harness import BOB, GatewayTestCase


def location(name: str, further: str = "") -> bytes:
    """A CreateBucketConfiguration."""
    constraint = f"<LocationConstraint>{name}</LocationConstraint>" if name else ""
    return f"<CreateBucketConfiguration>{constraint}{further}</CreateBucketConfiguration>".encode()


TAGS = "<Tags><Tag><Key>k</Key><Value>v</Value></Tag></Tags>"


class BucketTests(GatewayTestCase):
    """Creation to deletion."""

    def test_life(self) -> None:
        """A bucket is made, is there, and goes when it is empty."""
        answer = self.request("PUT", "/bucket")
        self.assertEqual((200, "/bucket"), (answer.status, answer.headers["location"]))
        self.assertEqual(200, self.request("HEAD", "/bucket").status)
        self.put("/bucket/key", b"x")
        self.assert_error("BucketNotEmpty", 409, self.request("DELETE", "/bucket"))
        self.request("DELETE", "/bucket/key")
        self.assertEqual(204, self.request("DELETE", "/bucket").status)
        self.assertEqual(404, self.request("HEAD", "/bucket").status)
        self.assert_error("NoSuchBucket", 404, self.request("DELETE", "/bucket"))

    def test_again(self) -> None:
        """Its owner may create it again, which changes nothing; nobody else may."""
        self.make_bucket()
        self.put("/bucket/key", b"x")
        self.assertEqual(200, self.request("PUT", "/bucket").status)
        self.assertEqual(b"x", self.get("/bucket/key"))
        self.assert_error("BucketAlreadyExists", 409, self.request("PUT", "/bucket", sign=BOB))

    def test_others(self) -> None:
        """A bucket is its owner's alone."""
        self.make_bucket()
        self.put("/bucket/key", b"x")
        for method, path in (("GET", "/bucket"), ("GET", "/bucket/key"), ("PUT", "/bucket/key"), ("DELETE", "/bucket")):
            self.assertEqual(403, self.request(method, path, sign=BOB).status, (method, path))
        owner = self.request("GET", "/bucket", query="acl").text("ID") or ""
        self.assertEqual(200, self.request("HEAD", "/bucket", {"x-amz-expected-bucket-owner": owner}).status)
        answer = self.request("GET", "/bucket", {"x-amz-expected-bucket-owner": "somebody"})
        self.assert_error("AccessDenied", 403, answer)

    def test_location(self) -> None:
        """A bucket is made where the gateway is, and says so."""
        self.assertEqual(200, self.request("PUT", "/one", body=location("")).status)
        self.assertEqual(200, self.request("PUT", "/two", body=location("default")).status)
        self.assertEqual("", self.request("GET", "/one", query="location").text("LocationConstraint"))
        answer = self.request("PUT", "/three", body=location("eu-west-1"))
        self.assert_error("IllegalLocationConstraintException", 400, answer)
        self.assert_error("MalformedXML", 400, self.request("PUT", "/three", body=b"<x/>"))

    def test_names(self) -> None:
        """Names that S3 does not allow."""
        for name in ("ab", "a" * 64, "Bucket", "a_b", "a..b", "-ab", "ab-", "192.168.0.1", "xn--a", "a-s3alias"):
            self.assert_error("InvalidBucketName", 400, self.request("PUT", f"/{name}"))

    def test_tags(self) -> None:
        """Tags can be given at birth, and then creating it again is no longer harmless."""
        self.assertEqual(200, self.request("PUT", "/bucket", body=location("", TAGS)).status)
        self.assertEqual(["v"], self.request("GET", "/bucket", query="tagging").texts("Value"))
        self.assert_error("BucketAlreadyOwnedByYou", 409, self.request("PUT", "/bucket", body=location("", TAGS)))
        self.assertEqual(200, self.request("PUT", "/bucket", body=location("")).status)
        self.assertEqual(["v"], self.request("GET", "/bucket", query="tagging").texts("Value"))
        self.assertEqual(200, self.request("PUT", "/bare", body=location("", "<Tags/>")).status)
        self.assert_error("NoSuchTagSet", 404, self.request("GET", "/bare", query="tagging"))


class TaggingTests(GatewayTestCase):
    """Tags of buckets and of objects."""

    def setUp(self) -> None:
        """Make one of each."""
        super().setUp()
        self.make_bucket()
        self.put("/bucket/key", b"hello", {"x-amz-tagging": "b=2&a=1&c"})

    def tags(self, count: int, key: str = "k") -> list[dict[str, str]]:
        """So many tags."""
        return [{"Key": f"{key}{number}", "Value": f"v {number}"} for number in range(count)]

    def test_objects(self) -> None:
        """Tags come with a PUT, are replaced, counted and removed; the object stays as it is."""
        client = self.client()
        where = {"Bucket": "bucket", "Key": "key"}
        found = client.get_object_tagging(**where)["TagSet"]
        self.assertEqual([("a", "1"), ("b", "2"), ("c", "")], [(tag["Key"], tag["Value"]) for tag in found])
        before = client.head_object(**where)
        client.put_object_tagging(**where, Tagging={"TagSet": self.tags(10)})
        self.assertEqual(self.tags(10), client.get_object_tagging(**where)["TagSet"])
        after = client.get_object(**where)
        self.assertEqual((10, before["ETag"]), (after["TagCount"], after["ETag"]))
        self.assertEqual(before["LastModified"], after["LastModified"])
        client.delete_object_tagging(**where)
        self.assertEqual([], client.get_object_tagging(**where)["TagSet"])
        self.assertNotIn("TagCount", client.head_object(**where))

    def test_refused(self) -> None:
        """Eleven tags, tags twice, tags of AWS, tags of objects that are not."""
        before = self.request("GET", "/bucket/key", query="tagging").body
        for tags, code in (
            (self.tags(11), "InvalidTag"),
            (self.tags(1) * 2, "InvalidTag"),
            ([{"Key": "aws:x", "Value": ""}], "InvalidTag"),
            ([{"Key": "k" * 129, "Value": ""}], "InvalidTag"),
            ([{"Key": "k", "Value": "v" * 257}], "InvalidTag"),
            ([{"Key": "k,k", "Value": ""}], "InvalidTag"),
        ):
            rows = "".join(f"<Tag><Key>{tag['Key']}</Key><Value>{tag['Value']}</Value></Tag>" for tag in tags)
            body = f"<Tagging><TagSet>{rows}</TagSet></Tagging>".encode()
            self.assert_error(code, 400, self.request("PUT", "/bucket/key", body=body, query="tagging"))
        self.assertEqual(before, self.request("GET", "/bucket/key", query="tagging").body)
        for header in ("a=1&a=2", "a=1,b=2", "a=%FF"):
            answer = self.request("PUT", "/bucket/other", {"x-amz-tagging": header}, b"x")
            self.assert_error("InvalidArgument", 400, answer)
        body = b"<Tagging><TagSet/></Tagging>"
        for method, content in (("GET", b""), ("PUT", body), ("DELETE", b"")):
            answer = self.request(method, "/bucket/none", body=content, query="tagging")
            self.assert_error("NoSuchKey", 404, answer)

    def test_buckets(self) -> None:
        """A bucket takes fifty."""
        client = self.client()
        self.assert_error("NoSuchTagSet", 404, self.request("GET", "/bucket", query="tagging"))
        client.put_bucket_tagging(Bucket="bucket", Tagging={"TagSet": self.tags(50)})
        self.assertEqual(self.tags(50), client.get_bucket_tagging(Bucket="bucket")["TagSet"])
        client.delete_bucket_tagging(Bucket="bucket")
        self.assert_error("NoSuchTagSet", 404, self.request("GET", "/bucket", query="tagging"))


class ConfigurationTests(GatewayTestCase):
    """What SDKs and tools look up on their own."""

    def test_unconfigured(self) -> None:
        """Every configuration of a bucket that has none is answered as S3 answers, to a client that can parse it."""
        self.make_bucket()
        self.put("/bucket/key")
        self.assertLessEqual(UNCONFIGURED.keys(), OPERATIONS.keys())
        for marker, status, text in (
            ("accelerate", 200, "AccelerateConfiguration"),
            ("acl", 200, "FULL_CONTROL"),
            ("cors", 404, "NoSuchCORSConfiguration"),
            ("encryption", 404, "ServerSideEncryptionConfigurationNotFoundError"),
            ("lifecycle", 404, "NoSuchLifecycleConfiguration"),
            ("logging", 200, "BucketLoggingStatus"),
            ("notification", 200, "NotificationConfiguration"),
            ("object-lock", 404, "ObjectLockConfigurationNotFoundError"),
            ("ownershipControls", 404, "OwnershipControlsNotFoundError"),
            ("policy", 404, "NoSuchBucketPolicy"),
            ("policyStatus", 200, "<IsPublic>false</IsPublic>"),
            ("publicAccessBlock", 404, "NoSuchPublicAccessBlockConfiguration"),
            ("replication", 404, "ReplicationConfigurationNotFoundError"),
            ("requestPayment", 200, "BucketOwner"),
            ("tagging", 404, "NoSuchTagSet"),
            ("versioning", 200, "VersioningConfiguration"),
            ("website", 404, "NoSuchWebsiteConfiguration"),
        ):
            answer = self.request("GET", "/bucket", query=marker)
            self.assertEqual(status, answer.status, marker)
            self.assertIn(text, answer.body.decode())
        self.assertIn(b"FULL_CONTROL", self.request("GET", "/bucket/key", query="acl").body)
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/none", query="acl"))
