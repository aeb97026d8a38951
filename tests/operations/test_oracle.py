"""botocore as the judge of every answer that tells of an object: whatever its key and metadata, they come back."""

from __future__ import annotations

from itertools import count
from typing import Any
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from s3gw.operations import multipart
from tests.operations.harness import GatewayTestCase

ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
KEYS = st.one_of(
    st.text(ANY, min_size=1, max_size=60),
    st.lists(
        st.sampled_from(["", ".", "..", "a", "+", "%2F", "?x=1", "#", " ", "\n", "\r", "&<>", "ü", "😀"]), min_size=2
    )
    .map("/".join)
    .filter(lambda key: len(key.encode()) <= 1024),
)
# What a header can hold, and botocore would send: it strips the ends, and refuses what is not ASCII.
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~", min_size=1, max_size=20)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(str.strip)
METADATA = st.dictionaries(NAMES, VALUES, max_size=4)
TAG_TEXT = st.text(
    st.one_of(st.sampled_from("_.:/=+-@ "), st.characters(categories=["L", "N"])), min_size=1, max_size=20
)
TAGS = st.dictionaries(TAG_TEXT.filter(lambda text: not text.startswith("aws:")), TAG_TEXT, max_size=4)


class AnyObjectTests(GatewayTestCase):
    """One object and all that can be asked about it."""

    def setUp(self) -> None:
        super().setUp()
        self.s3 = self.client()
        self.buckets = map("bucket-{}".format, count())

    def new_bucket(self) -> str:
        """A bucket for one example: what a failed one leaves behind is not found by the next."""
        name = next(self.buckets)
        self.s3.create_bucket(Bucket=name)
        return name

    @settings(max_examples=40, deadline=None)
    @given(KEYS, METADATA, TAGS, st.binary(max_size=200))
    def test_object(self, key: str, metadata: dict[str, str], tags: dict[str, str], body: bytes) -> None:
        """Of an object that was put in one piece."""
        bucket = self.new_bucket()
        self.s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata)
        tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
        self.s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": tag_set})
        self.told(bucket, key, body, metadata, tags)
        listed = self.s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        self.assertEqual(tags, {tag["Key"]: tag["Value"] for tag in listed})
        self.s3.copy_object(Bucket=bucket, Key=key + "2", CopySource={"Bucket": bucket, "Key": key})
        self.told(bucket, key + "2", body, metadata, tags, among=2)
        self.s3.delete_object(Bucket=bucket, Key=key + "2")
        self.s3.delete_object(Bucket=bucket, Key=key)
        self.assertNotIn("Contents", self.s3.list_objects_v2(Bucket=bucket))

    @settings(max_examples=25, deadline=None)
    @given(KEYS, METADATA, st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=3))
    def test_upload(self, key: str, metadata: dict[str, str], bodies: list[bytes]) -> None:
        """Of an upload in parts, and of the object that it becomes."""
        self.patch(multipart, "MIN_PART_BYTES", 1)
        bucket = self.new_bucket()
        where: dict[str, Any] = {"Bucket": bucket, "Key": key}
        where["UploadId"] = self.s3.create_multipart_upload(**where, Metadata=metadata)["UploadId"]
        listed = self.s3.list_multipart_uploads(Bucket=bucket, EncodingType="url")["Uploads"]
        self.assertEqual([(key, where["UploadId"])], [(unquote(each["Key"]), each["UploadId"]) for each in listed])
        parts = [
            {"PartNumber": number, "ETag": self.s3.upload_part(**where, PartNumber=number, Body=body)["ETag"]}
            for number, body in enumerate(bodies, 1)
        ]
        found = self.s3.list_parts(**where)
        self.assertEqual(parts, [{"PartNumber": each["PartNumber"], "ETag": each["ETag"]} for each in found["Parts"]])
        done = self.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        whole = self.s3.get_object_attributes(Bucket=bucket, Key=key, ObjectAttributes=["ETag", "ObjectParts"])
        self.assertEqual((done["ETag"], len(parts)), (f'"{whole["ETag"]}"', whole["ObjectParts"]["TotalPartsCount"]))
        self.told(bucket, key, b"".join(bodies), metadata, {})
        self.s3.delete_object(Bucket=bucket, Key=key)

    def told(
        self, bucket: str, key: str, body: bytes, metadata: dict[str, str], tags: dict[str, str], among: int = 1
    ) -> None:
        """GET, HEAD and the listings tell the same of it; the bucket has so many objects, it is the last of them."""
        where = {"Bucket": bucket, "Key": key}
        got, head = self.s3.get_object(**where), self.s3.head_object(**where)
        self.assertEqual(body, got["Body"].read())
        for answer in (got, head):
            self.assertEqual(metadata, answer["Metadata"])
            self.assertEqual(len(tags), answer.get("TagCount", 0))
            self.assertEqual(len(body), answer["ContentLength"])
        for operation, field in (
            (self.s3.list_objects, "Contents"),
            (self.s3.list_objects_v2, "Contents"),
            (self.s3.list_object_versions, "Versions"),
        ):
            last = operation(Bucket=bucket)[field][among - 1 :]
            self.assertEqual(
                [(key, head["ETag"], len(body))], [(each["Key"], each["ETag"], each["Size"]) for each in last]
            )
