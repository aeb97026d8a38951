"""Tests of `s3gw.s3.documents_in`: what botocore writes, and what nobody should."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.serialize import create_serializer
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import (
    InvalidPartOrder,
    InvalidRequest,
    MalformedXML,
    NotImplemented,
    UserKeyMustBeSpecified,
)
from s3gw.s3.documents_in import (
    CompletedPart,
    Deletion,
    Deletions,
    NewBucket,
    parse_complete,
    parse_create_bucket,
    parse_delete,
)

MODEL = botocore.session.get_session().get_service_model("s3")
ETAG = "9bb58f26192e4ba00f01e2e7b136bbd8"
LEGAL = st.text(
    st.one_of(st.sampled_from("\t &<>\"'/%+]"), st.characters(exclude_categories=["Cs", "Cc"])).filter(
        lambda character: character not in "\ufffe\uffff"
    ),
    min_size=1,
    max_size=20,
)

quick = settings(max_examples=60, deadline=None, derandomize=True)


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

    @quick
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
        self.assertRaises(InvalidRequest, parse_complete, body(0))
        self.assertRaises(MalformedXML, parse_complete, b"")

    def test_bad(self) -> None:
        """Numbers that are none or out of range, missing ETags, and parts out of order."""
        for number in ("", "0", "-1", "x", "10001", "9" * 5000):
            body = f"<CompleteMultipartUpload><Part><PartNumber>{number}</PartNumber><ETag>e</ETag></Part></Complet"
            body += "eMultipartUpload>"
            self.assertRaises(MalformedXML, parse_complete, body.encode())
        body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
        self.assertRaises(MalformedXML, parse_complete, body.encode())
        parts = [{"PartNumber": 2, "ETag": ETAG}, {"PartNumber": 1, "ETag": ETAG}]
        wire = written("CompleteMultipartUpload", Key="k", UploadId="u", MultipartUpload={"Parts": parts})
        self.assertRaises(InvalidPartOrder, parse_complete, wire)

    def test_twice(self) -> None:
        """The last mention of a part counts."""
        parts = [{"PartNumber": 1, "ETag": ETAG}, {"PartNumber": 1, "ETag": "other"}, {"PartNumber": 2, "ETag": ETAG}]
        wire = written("CompleteMultipartUpload", Key="k", UploadId="u", MultipartUpload={"Parts": parts})
        self.assertEqual((CompletedPart(1, "other"), CompletedPart(2, ETAG)), parse_complete(wire))
