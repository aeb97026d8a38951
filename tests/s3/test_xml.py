"""Tests of `s3gw.s3.xml`: botocore's parsers read what we write."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import botocore.session
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import InvalidRange, NoSuchKey
from s3gw.model import (
    BucketInfo,
    Checksum,
    Grant,
    ListPage,
    ObjectInfo,
    Owner,
    PartInfo,
    PartPage,
    PartSummary,
    UploadInfo,
    UploadPage,
)
from s3gw.s3 import xml
from s3gw.s3.cors import CORSRule, parse_cors
from s3gw.s3.listing import (
    ListBucketsRequest,
    ListObjectsRequest,
    ListObjectsV2Request,
    ListPartsRequest,
    ListUploadsRequest,
    decode_token,
)
from s3gw.s3.tags import parse_tagging

MODEL = botocore.session.get_session().get_service_model("s3")

MODIFIED = 1_255_369_830_123
ISO = "2009-10-12T17:50:30.000Z"
ETAG = "9bb58f26192e4ba00f01e2e7b136bbd8"
OWNER = Owner("75aa57f0", "Jane <jane@example.com>")
CRC = Checksum("CRC64NVME", "AAAAAAAAAAA=")

ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
# What XML 1.0 can hold, so that a strict parser reads it back.
LEGAL = st.text(
    st.one_of(st.sampled_from("\t\r\n &<>\"'/%+]"), st.characters(exclude_categories=["Cs", "Cc"])).filter(
        lambda character: character not in "\ufffe\uffff"
    ),
    min_size=1,
    max_size=40,
)

quick = settings(max_examples=60, deadline=None, derandomize=True)


def parsed(operation: str, body: bytes) -> dict[str, Any]:
    """What botocore makes of a response, ETags and all; times as text."""
    shape = MODEL.operation_model(operation).output_shape
    parser = create_parser("rest-xml")
    parser._timestamp_parser = str
    answer: dict[str, Any] = parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)
    answer.pop("ResponseMetadata")
    return answer


def info(**fields: Any) -> ObjectInfo:
    """An object of 5 bytes."""
    return ObjectInfo(5, MODIFIED, ETAG, owner=OWNER.id, **fields)


def owner_of(owner: str) -> Owner:
    """Every id is Jane's."""
    return Owner(owner, OWNER.name)


OWNER_SHAPE = {"ID": OWNER.id, "DisplayName": OWNER.name}


class ErrorTests(SynchronousTestCase):
    """Error."""

    def test_order(self) -> None:
        """Code, message, what is particular, then the ids; in no namespace."""
        self.assertEqual(
            b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InvalidRange</Code>'
            b"<Message>The requested range is not satisfiable</Message><RangeRequested>bytes=9-</RangeRequested>"
            b"<ActualObjectSize>0</ActualObjectSize><Resource>/b/k</Resource><RequestId>1</RequestId>"
            b"<HostId>2</HostId></Error>",
            xml.error(InvalidRange(RangeRequested="bytes=9-", ActualObjectSize="0"), "/b/k", "1", "2"),
        )

    @quick
    @given(LEGAL)
    def test_botocore(self, key: str) -> None:
        """botocore reads code, message and fields."""
        body = xml.error(NoSuchKey(Key=key), request_id="1")
        shape = MODEL.operation_model("GetBucketTagging").output_shape
        answer = create_parser("rest-xml").parse({"status_code": 404, "headers": {}, "body": body}, shape)
        self.assertEqual(
            {"Code": "NoSuchKey", "Message": "The specified key does not exist.", "Key": key}, answer["Error"]
        )


class ListTests(SynchronousTestCase):
    """Listings."""

    def test_buckets(self) -> None:
        """A page of buckets has regions and a token; all of them at once have neither."""
        buckets = [BucketInfo("a", MODIFIED), BucketInfo("b", MODIFIED, region="eu-1")]
        self.assertEqual(
            {
                "Owner": OWNER_SHAPE,
                "Buckets": [{"Name": name, "CreationDate": ISO} for name in "ab"],
            },
            parsed("ListBuckets", xml.list_buckets(buckets, OWNER, ListBucketsRequest())),
        )
        request = ListBucketsRequest(prefix="p", paged=True)
        answer = parsed("ListBuckets", xml.list_buckets(buckets, OWNER, request, "b"))
        self.assertEqual(["us-east-1", "eu-1"], [bucket["BucketRegion"] for bucket in answer["Buckets"]])
        self.assertEqual("b", decode_token(answer["ContinuationToken"]))
        self.assertEqual("p", answer["Prefix"])

    @quick
    @given(LEGAL, LEGAL, LEGAL)
    def test_objects(self, key: str, prefix: str, delimiter: str) -> None:
        """ListObjects echoes what was asked and gives every key back."""
        page = ListPage(((key, info(checksum=CRC)),), (prefix + delimiter,), True, key)
        body = xml.list_objects("bucket", ListObjectsRequest(prefix, delimiter, key, 2), page, owner_of)
        self.assertEqual(
            {
                "Name": "bucket",
                "Prefix": prefix,
                "Marker": key,
                "NextMarker": key,
                "MaxKeys": 2,
                "Delimiter": delimiter,
                "IsTruncated": True,
                "Contents": [
                    {
                        "Key": key,
                        "LastModified": ISO,
                        "ETag": f'"{ETAG}"',
                        "ChecksumAlgorithm": ["CRC64NVME"],
                        "ChecksumType": "FULL_OBJECT",
                        "Size": 5,
                        "Owner": OWNER_SHAPE,
                        "StorageClass": "STANDARD",
                    }
                ],
                "CommonPrefixes": [{"Prefix": prefix + delimiter}],
            },
            parsed("ListObjects", body),
        )

    @quick
    @given(ANY, ANY, ANY)
    def test_encoded(self, key: str, prefix: str, delimiter: str) -> None:
        """With encoding-type=url any key at all comes back, and the tokens are left alone."""
        page = ListPage(((key, info()),), (prefix,), True, key)
        one = ListObjectsRequest(prefix, delimiter, key, 2, "url")
        two = ListObjectsV2Request(prefix, delimiter, key, "tok_-en", key, 2, "url")
        uploads = ListUploadsRequest(prefix, delimiter, key, "u", 2, "url")
        upload_page = UploadPage((UploadInfo("b", key, "u", MODIFIED),), (prefix,), True, key, "u")
        for answer in (
            parsed("ListObjects", xml.list_objects("b", one, page, owner_of)),
            parsed("ListObjectsV2", xml.list_objects_v2("b", two, page, owner_of)),
            parsed("ListMultipartUploads", xml.list_uploads("b", uploads, upload_page, owner_of, owner_of)),
        ):
            listed = (answer.get("Contents") or answer["Uploads"])[0]["Key"]
            names = ("Marker", "NextMarker", "StartAfter", "KeyMarker", "NextKeyMarker")
            echoed = [answer[name] for name in names if name in answer]
            self.assertEqual({key}, set(map(unquote, [listed, *echoed])))
            self.assertEqual(
                (prefix, prefix, delimiter),
                tuple(map(unquote, (answer["Prefix"], answer["CommonPrefixes"][0]["Prefix"], answer["Delimiter"]))),
            )
            self.assertEqual("url", answer["EncodingType"])
            if "KeyCount" in answer:
                self.assertEqual("tok_-en", answer["ContinuationToken"])
                self.assertEqual(key, decode_token(answer["NextContinuationToken"]))

    def test_objects_v2(self) -> None:
        """ListObjectsV2 counts keys and prefixes, and names owners only when asked."""
        page = ListPage((("k", info()),), ("p/",), False, "p/")
        answer = parsed("ListObjectsV2", xml.list_objects_v2("b", ListObjectsV2Request(), page, owner_of))
        self.assertEqual(2, answer["KeyCount"])
        self.assertEqual(1000, answer["MaxKeys"])
        self.assertFalse(answer["IsTruncated"])
        self.assertEqual("", answer["Prefix"])
        for name in ("Delimiter", "StartAfter", "ContinuationToken", "NextContinuationToken", "EncodingType"):
            self.assertNotIn(name, answer)
        self.assertNotIn("Owner", answer["Contents"][0])
        body = xml.list_objects_v2("b", ListObjectsV2Request(fetch_owner=True), page, owner_of)
        self.assertEqual(OWNER_SHAPE, parsed("ListObjectsV2", body)["Contents"][0]["Owner"])

    def test_next_marker(self) -> None:
        """Without a delimiter there is no NextMarker: the last key is it."""
        page = ListPage((("k", info()),), (), True, "k")
        answer = parsed("ListObjects", xml.list_objects("b", ListObjectsRequest(max_keys=1), page, owner_of))
        self.assertNotIn("NextMarker", answer)
        self.assertEqual("", answer["Marker"])

    @quick
    @given(LEGAL)
    def test_parts(self, key: str) -> None:
        """ListParts gives every part back, with its checksum."""
        upload = UploadInfo("b", key, "u", MODIFIED, OWNER.id, checksum_algorithm="CRC32", checksum_type="COMPOSITE")
        page = PartPage((PartInfo(3, 5, MODIFIED, ETAG, checksum="AAAAAA=="),), True)
        self.assertEqual(
            {
                "Bucket": "b",
                "Key": key,
                "UploadId": "u",
                "Initiator": OWNER_SHAPE,
                "Owner": OWNER_SHAPE,
                "StorageClass": "STANDARD",
                "PartNumberMarker": 2,
                "NextPartNumberMarker": 3,
                "MaxParts": 1,
                "IsTruncated": True,
                "ChecksumAlgorithm": "CRC32",
                "ChecksumType": "COMPOSITE",
                "Parts": [
                    {"PartNumber": 3, "LastModified": ISO, "ETag": f'"{ETAG}"', "Size": 5, "ChecksumCRC32": "AAAAAA=="}
                ],
            },
            parsed("ListParts", xml.list_parts(upload, ListPartsRequest("u", 2, 1), page, owner_of, owner_of)),
        )

    def test_uploads(self) -> None:
        """ListMultipartUploads gives every upload back."""
        upload = UploadInfo("b", "k", "u", MODIFIED, OWNER.id, checksum_algorithm="CRC32", checksum_type="COMPOSITE")
        answer = parsed(
            "ListMultipartUploads",
            xml.list_uploads("b", ListUploadsRequest(), UploadPage((upload,), (), False, "k", "u"), owner_of, owner_of),
        )
        self.assertEqual(
            [
                {
                    "Key": "k",
                    "UploadId": "u",
                    "Initiator": OWNER_SHAPE,
                    "Owner": OWNER_SHAPE,
                    "StorageClass": "STANDARD",
                    "Initiated": ISO,
                    "ChecksumAlgorithm": "CRC32",
                    "ChecksumType": "COMPOSITE",
                }
            ],
            answer["Uploads"],
        )
        self.assertEqual(("k", "u"), (answer["NextKeyMarker"], answer["NextUploadIdMarker"]))


class ResultTests(SynchronousTestCase):
    """The results of operations."""

    def test_location(self) -> None:
        """us-east-1 has no name here."""
        self.assertIn(
            b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></Loc',
            xml.location_constraint("us-east-1"),
        )
        self.assertEqual(xml.location_constraint(""), xml.location_constraint("us-east-1"))
        self.assertIn(b">eu-west-1<", xml.location_constraint("eu-west-1"))

    @quick
    @given(LEGAL)
    def test_uploads(self, key: str) -> None:
        """Initiating, completing, copying: what botocore needs to go on."""
        self.assertEqual(
            {"Bucket": "b", "Key": key, "UploadId": "u"},
            parsed("CreateMultipartUpload", xml.initiate_upload("b", key, "u")),
        )
        self.assertEqual(
            {
                "Location": f"http://h/b/{key}",
                "Bucket": "b",
                "Key": key,
                "ETag": f'"{ETAG}"',
                "ChecksumCRC64NVME": CRC.value,
                "ChecksumType": "FULL_OBJECT",
            },
            parsed("CompleteMultipartUpload", xml.complete_upload(f"http://h/b/{key}", "b", key, info(checksum=CRC))),
        )

    def test_copies(self) -> None:
        """A copy tells its time, ETag and checksum."""
        common = {"LastModified": ISO, "ETag": f'"{ETAG}"'}
        self.assertEqual(
            {"CopyObjectResult": {**common, "ChecksumCRC64NVME": CRC.value, "ChecksumType": "FULL_OBJECT"}},
            parsed("CopyObject", xml.copy_object(info(checksum=CRC))),
        )
        part = PartInfo(1, 5, MODIFIED, ETAG, checksum="AAAAAA==")
        self.assertEqual(
            {"CopyPartResult": {**common, "ChecksumCRC32": "AAAAAA=="}},
            parsed("UploadPartCopy", xml.copy_part(part, "CRC32")),
        )
        self.assertEqual(
            {"CopyPartResult": common}, parsed("UploadPartCopy", xml.copy_part(PartInfo(1, 5, MODIFIED, ETAG)))
        )

    @quick
    @given(st.lists(LEGAL), st.lists(LEGAL))
    def test_deletions(self, gone: list[str], kept: list[str]) -> None:
        """Every key is accounted for."""
        body = xml.delete_objects([xml.Deleted(key) for key in gone], [(key, "null", NoSuchKey()) for key in kept])
        answer = parsed("DeleteObjects", body)
        self.assertEqual([{"Key": key} for key in gone], answer.get("Deleted", []))
        why = {"VersionId": "null", "Code": "NoSuchKey", "Message": "The specified key does not exist."}
        self.assertEqual([{"Key": key, **why} for key in kept], answer.get("Errors", []))

    def test_attributes(self) -> None:
        """The attributes that were asked for, and no others; parts in pages, whether they have checksums or not."""
        parts = tuple(PartSummary(number, 5, "AAAAAA==") for number in (1, 2, 5))
        thing = info(checksum=Checksum("CRC32", "AAAAAA==-3", "COMPOSITE"), parts=parts)
        everything = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}
        self.assertEqual(
            {
                "ETag": ETAG,
                "Checksum": {"ChecksumCRC32": "AAAAAA==-3", "ChecksumType": "COMPOSITE"},
                "ObjectParts": {
                    "TotalPartsCount": 3,
                    "PartNumberMarker": 1,
                    "NextPartNumberMarker": 2,
                    "MaxParts": 1,
                    "IsTruncated": True,
                    "Parts": [{"PartNumber": 2, "Size": 5, "ChecksumCRC32": "AAAAAA=="}],
                },
                "StorageClass": "STANDARD",
                "ObjectSize": 5,
            },
            parsed("GetObjectAttributes", xml.object_attributes(thing, everything, 1, 1)),
        )
        self.assertEqual({"ObjectSize": 5}, parsed("GetObjectAttributes", xml.object_attributes(thing, {"ObjectSize"})))
        plain = info(parts=(PartSummary(1, 5), PartSummary(2, 5)))
        answer = parsed("GetObjectAttributes", xml.object_attributes(plain, {"ETag", "ObjectParts", "Checksum"}))
        self.assertEqual({"ETag", "ObjectParts"}, answer.keys())
        self.assertEqual([{"PartNumber": 1, "Size": 5}, {"PartNumber": 2, "Size": 5}], answer["ObjectParts"]["Parts"])

    def test_tags(self) -> None:
        """Tags come back to botocore, and to ourselves."""
        tags = (("k", "v"), ("a b", ""), ("\u00fc", "1+1=2"))
        body = xml.tagging(tags)
        self.assertEqual(
            {"TagSet": [{"Key": key, "Value": value} for key, value in tags]}, parsed("GetObjectTagging", body)
        )
        self.assertEqual(tags, parse_tagging(body))
        self.assertEqual({"TagSet": []}, parsed("GetObjectTagging", xml.tagging(())))

    def test_cors(self) -> None:
        """Rules come back to botocore, and to ourselves."""
        rules = (
            CORSRule(("*",), ("GET", "PUT")),
            CORSRule(("https://*.example.com", "null"), ("HEAD",), ("x-amz-*",), ("ETag", "x-a"), 3000, 'a "rule"'),
        )
        body = xml.cors_configuration(rules)
        self.assertEqual(
            {
                "CORSRules": [
                    {"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "PUT"]},
                    {
                        "ID": 'a "rule"',
                        "AllowedHeaders": ["x-amz-*"],
                        "AllowedMethods": ["HEAD"],
                        "AllowedOrigins": ["https://*.example.com", "null"],
                        "ExposeHeaders": ["ETag", "x-a"],
                        "MaxAgeSeconds": 3000,
                    },
                ]
            },
            parsed("GetBucketCors", body),
        )
        self.assertEqual(rules, parse_cors(body))

    def test_small_ones(self) -> None:
        """Versioning, payment and access control of a bucket that nobody configured; the answer to a form."""
        self.assertEqual({}, parsed("GetBucketVersioning", xml.versioning_configuration()))
        self.assertEqual({"Status": "Enabled"}, parsed("GetBucketVersioning", xml.versioning_configuration("Enabled")))
        self.assertEqual(
            {"Payer": "BucketOwner"}, parsed("GetBucketRequestPayment", xml.request_payment_configuration())
        )
        self.assertEqual(
            {
                "Owner": OWNER_SHAPE,
                "Grants": [{"Grantee": {**OWNER_SHAPE, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}],
            },
            parsed("GetBucketAcl", xml.access_control_policy(OWNER, [Grant("FULL_CONTROL", OWNER.id)], owner_of)),
        )
        root = ElementTree.fromstring(xml.post_response("http://h/b/k", "b", "k&l", ETAG))
        self.assertEqual("PostResponse", root.tag)
        self.assertEqual(["http://h/b/k", "b", "k&l", f'"{ETAG}"'], [child.text for child in root])
