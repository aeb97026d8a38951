"""Tests of `s3gw.s3.documents_in`, `s3gw.s3.tags` and `s3gw.s3.cors`: what botocore writes, and what nobody should."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import botocore.session
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import (
    BadRequest,
    InvalidArgument,
    InvalidPartOrder,
    InvalidRequest,
    InvalidTag,
    MalformedXML,
    NotImplemented,
    UserKeyMustBeSpecified,
)
from s3gw.s3.cors import CORSRule, parse_cors
from s3gw.s3.documents_in import (
    CompletedPart,
    Deletion,
    Deletions,
    NewBucket,
    parse_complete,
    parse_create_bucket,
    parse_delete,
)
from s3gw.s3.tags import MAX_BUCKET_TAGS, parse_tag_header, parse_tagging

MODEL = botocore.session.get_session().get_service_model("s3")
ETAG = "9bb58f26192e4ba00f01e2e7b136bbd8"
LEGAL = st.text(
    st.one_of(st.sampled_from("\t &<>\"'/%+]"), st.characters(exclude_categories=["Cs", "Cc"])).filter(
        lambda character: character not in "\ufffe\uffff"
    ),
    min_size=1,
    max_size=20,
)
TAG_TEXT = st.text(st.one_of(st.sampled_from("_.:/=+-@ "), st.characters(categories=["L", "N", "Zs"])), max_size=30)


def written(operation: str, **parameters: Any) -> bytes:
    """The body that botocore sends."""
    model = MODEL.operation_model(operation)
    wire = create_serializer("rest-xml", False).serialize_to_request({"Bucket": "bucket", **parameters}, model)
    body = wire["body"]
    assert isinstance(body, bytes)
    return body


class CreateBucketTests(SynchronousTestCase):
    """CreateBucketConfiguration."""

    def test_good(self) -> None:
        """No body, an empty one, a location, tags."""
        for body in (b"", b"\n", b"<CreateBucketConfiguration/>"):
            self.assertEqual(NewBucket(), parse_create_bucket(body))
        configuration = {"LocationConstraint": "eu-west-1", "Tags": [{"Key": "k", "Value": "v"}]}
        self.assertEqual(
            NewBucket("eu-west-1", (("k", "v"),)),
            parse_create_bucket(written("CreateBucket", CreateBucketConfiguration=configuration)),
        )

    def test_bad(self) -> None:
        """Another document is malformed; a directory bucket is not implemented."""
        for body in (b"x", b"<Other/>", b"<CreateBucketConfiguration><LocationConstraint/><LocationConstraint/></Crea"):
            self.assertRaises(MalformedXML, parse_create_bucket, body)
        configuration = {"Bucket": {"Type": "Directory"}, "Location": {"Name": "x", "Type": "AvailabilityZone"}}
        body = written("CreateBucket", CreateBucketConfiguration=configuration)
        self.assertRaises(NotImplemented, parse_create_bucket, body)


class DeleteTests(SynchronousTestCase):
    """Delete."""

    @given(st.lists(LEGAL, min_size=1, max_size=20), st.booleans())
    def test_keys(self, keys: list[str], quiet: bool) -> None:
        """Every key arrives as botocore meant it."""
        body = written("DeleteObjects", Delete={"Objects": [{"Key": key} for key in keys], "Quiet": quiet})
        self.assertEqual(Deletions(tuple(map(Deletion, keys)), quiet), parse_delete(body))

    def test_conditions(self) -> None:
        """What is asked of an object arrives with it."""
        thing = {"Key": "k", "VersionId": "v", "ETag": f'"{ETAG}"', "LastModifiedTime": 784111777, "Size": 5}
        body = written("DeleteObjects", Delete={"Objects": [thing]})
        self.assertEqual(Deletions((Deletion("k", "v", ETAG, 784111777, 5),)), parse_delete(body))

    def test_how_many(self) -> None:
        """1 to 1000 objects."""
        item = b"<Object><Key>k</Key></Object>"
        self.assertEqual(1000, len(parse_delete(b"<Delete>" + item * 1000 + b"</Delete>").objects))
        for number in (0, 1001):
            self.assertRaises(MalformedXML, parse_delete, b"<Delete>" + item * number + b"</Delete>")

    def test_bad(self) -> None:
        """An object without a key, with two, or with a condition that is none."""
        for item in (
            b"",
            b"<Key>a</Key><Key>b</Key>",
            b"<Key>a</Key><Size>big</Size>",
            b"<Key>a</Key><LastModifiedTime>now</LastModifiedTime>",
        ):
            self.assertRaises(MalformedXML, parse_delete, b"<Delete><Object>" + item + b"</Object></Delete>")
        self.assertRaises(UserKeyMustBeSpecified, parse_delete, b"<Delete><Object><Key/></Object></Delete>")


class CompleteTests(SynchronousTestCase):
    """CompleteMultipartUpload."""

    def test_good(self) -> None:
        """Parts with ETags in quotes or without, and checksums."""
        parts = [{"PartNumber": 1, "ETag": f'"{ETAG}"'}, {"PartNumber": 7, "ETag": ETAG, "ChecksumCRC32": "AAAAAA=="}]
        body = written("CompleteMultipartUpload", Key="k", UploadId="u", MultipartUpload={"Parts": parts})
        self.assertEqual((CompletedPart(1, ETAG), CompletedPart(7, ETAG, {"CRC32": "AAAAAA=="})), parse_complete(body))

    def test_ten_thousand(self) -> None:
        """10 000 parts are the most."""

        def body(count: int) -> bytes:
            parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>e</ETag></Part>" for n in range(1, count + 1))
            return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()

        self.assertEqual(10_000, len(parse_complete(body(10_000))))
        self.assertRaises(MalformedXML, parse_complete, body(10_001))
        self.assertRaises(MalformedXML, parse_complete, body(0))

    def test_bad(self) -> None:
        """Numbers that are none or out of range, missing ETags, and parts out of order."""
        for number in ("", "0", "-1", "x", "10001", "9" * 5000):
            body = f"<CompleteMultipartUpload><Part><PartNumber>{number}</PartNumber><ETag>e</ETag></Part></Complet"
            body += "eMultipartUpload>"
            self.assertRaises(MalformedXML, parse_complete, body.encode())
        body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
        self.assertRaises(MalformedXML, parse_complete, body.encode())
        for second in (1, 2):
            parts = [{"PartNumber": 2, "ETag": ETAG}, {"PartNumber": second, "ETag": ETAG}]
            wire = written("CompleteMultipartUpload", Key="k", UploadId="u", MultipartUpload={"Parts": parts})
            self.assertRaises(InvalidPartOrder, parse_complete, wire)


class TagTests(SynchronousTestCase):
    """Tagging and ``x-amz-tagging``."""

    @given(
        st.dictionaries(TAG_TEXT.filter(lambda key: bool(key) and not key.startswith("aws:")), TAG_TEXT, max_size=10)
    )
    def test_good(self, tags: dict[str, str]) -> None:
        """Tags arrive whole, from a document and from either way of writing the header."""
        document = {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}
        self.assertEqual(tuple(tags.items()), parse_tagging(written("PutObjectTagging", Key="k", Tagging=document)))
        for header in (urlencode(tags), urlencode(tags, quote_via=quote)):
            self.assertEqual(tuple(sorted(tags.items())), parse_tag_header(header))

    def test_header(self) -> None:
        """A key alone has the empty value; the set is in order of key."""
        self.assertEqual((("bar", ""), ("foo", "bar")), parse_tag_header("foo=bar&bar"))
        self.assertEqual((), parse_tag_header(""))

    def test_bad_headers(self) -> None:
        """A header that is no query, or names a tag twice, is refused in S3's words."""
        for value in ("a=1&a=2", "TagSet=[{Key=string,Value=string}]", "a=%FF"):
            error = self.assertRaises(InvalidArgument, parse_tag_header, value)
            self.assertIn("shall be encoded as UTF-8 then URLEncoded", error.message)
            self.assertEqual({"ArgumentName": "x-amz-tagging", "ArgumentValue": value}, error.fields)

    def test_rules(self) -> None:
        """Lengths, characters, reserved names and doubles, in a document and in the header."""
        for key, value, message in (
            ("", "v", "The TagKey you have provided is invalid"),
            ("k" * 129, "v", "The TagKey you have provided is invalid"),
            ("te\tst", "v", "The TagKey you have provided is invalid"),
            ("a{b}", "v", "The TagKey you have provided is invalid"),
            ("k", "v" * 257, "The TagValue you have provided is invalid"),
            ("k", "a;b", "The TagValue you have provided is invalid"),
            ("aws:k", "v", "System tags cannot be added/updated by requester"),
        ):
            body = written("PutObjectTagging", Key="k", Tagging={"TagSet": [{"Key": key, "Value": value}]})
            self.assertEqual(message, self.assertRaises(InvalidTag, parse_tagging, body).message)
            header = urlencode({key: value})
            self.assertEqual(message, self.assertRaises(InvalidTag, parse_tag_header, header).message)
        longest = (("k" * 128, "v" * 256),)
        self.assertEqual(longest, parse_tag_header(urlencode(longest)))
        body = written("PutObjectTagging", Key="k", Tagging={"TagSet": [{"Key": "k", "Value": "1"}] * 2})
        error = self.assertRaises(InvalidTag, parse_tagging, body)
        self.assertEqual("Cannot provide multiple Tags with the same key", error.message)
        self.assertEqual({"TagKey": "k"}, error.fields)

    def test_how_many(self) -> None:
        """10 tags on an object, 50 on a bucket."""
        for count, limit, kind in ((10, 10, "Object"), (50, MAX_BUCKET_TAGS, "Bucket")):
            tags = [{"Key": f"k{n}", "Value": ""} for n in range(count + 1)]
            body = written("PutBucketTagging", Tagging={"TagSet": tags[:-1]})
            self.assertEqual(count, len(parse_tagging(body, limit)))
            body = written("PutBucketTagging", Tagging={"TagSet": tags})
            error = self.assertRaises(BadRequest, parse_tagging, body, limit)
            self.assertEqual(f"{kind} tags cannot be greater than {count}", error.message)
        self.assertRaises(BadRequest, parse_tag_header, "&".join(f"k{n}" for n in range(11)))

    def test_malformed(self) -> None:
        """A document without a tag set, or with half a tag."""
        for body in (b"<Tagging/>", b"<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>", b"<TagSet/>"):
            self.assertRaises(MalformedXML, parse_tagging, body)


class CORSTests(SynchronousTestCase):
    """CORSConfiguration."""

    def test_good(self) -> None:
        """Rules arrive as botocore meant them."""
        rule = {
            "AllowedOrigins": ["https://*.example.com", ""],
            "AllowedMethods": ["GET", "DELETE"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 30,
            "ID": "one",
        }
        body = written("PutBucketCors", CORSConfiguration={"CORSRules": [rule]})
        expected = CORSRule(("https://*.example.com", ""), ("GET", "DELETE"), ("*",), ("ETag",), 30, "one")
        self.assertEqual((expected,), parse_cors(body))

    def test_unsupported(self) -> None:
        """What S3 does not support is refused in its words."""
        origin, method = "<AllowedOrigin>*</AllowedOrigin>", "<AllowedMethod>GET</AllowedMethod>"
        for rule, message in (
            (
                origin + "<AllowedMethod>PATCH</AllowedMethod>",
                "Found unsupported HTTP method in CORS config. Unsupported method is PATCH",
            ),
            (
                origin + method + "<AllowedMethod/>",
                "Found unsupported HTTP method in CORS config. Unsupported method is ",
            ),
            (method + "<AllowedOrigin>*a*</AllowedOrigin>", 'AllowedOrigin "*a*" can not have more than one wildcard.'),
            (
                origin + method + "<AllowedHeader>**</AllowedHeader>",
                'AllowedHeader "**" can not have more than one wildcard.',
            ),
            (
                origin + method + "<ExposeHeader>x-*</ExposeHeader>",
                'ExposeHeader "x-*" contains wildcard. We currently do not support wildcard for ExposeHeader.',
            ),
        ):
            body = f"<CORSConfiguration><CORSRule>{rule}</CORSRule></CORSConfiguration>".encode()
            self.assertEqual(message, self.assertRaises(InvalidRequest, parse_cors, body).message)

    def test_malformed(self) -> None:
        """1 to 100 rules, each with an origin and a method, and numbers that are numbers."""
        good = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
        self.assertEqual(100, len(parse_cors(self._rules(*[good] * 100))))
        for rules in (
            [],
            [good] * 101,
            [""],
            ["<AllowedOrigin>*</AllowedOrigin>"],
            ["<AllowedMethod>GET</AllowedMethod>"],
            [good + "<MaxAgeSeconds>-1</MaxAgeSeconds>"],
            [good + f"<ID>{'i' * 256}</ID>"],
        ):
            self.assertRaises(MalformedXML, parse_cors, self._rules(*rules))

    def _rules(self, *rules: str) -> bytes:
        inside = "".join(f"<CORSRule>{rule}</CORSRule>" for rule in rules)
        return f"<CORSConfiguration>{inside}</CORSConfiguration>".encode()
