"""Tests of `s3gw.s3.tags`: what botocore writes, and what nobody should."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import botocore.session
from botocore.serialize import create_serializer
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import BadRequest, InvalidArgument, InvalidTag, MalformedXML
from s3gw.s3.tags import MAX_BUCKET_TAGS, parse_tag_header, parse_tagging

MODEL = botocore.session.get_session().get_service_model("s3")
TAG_TEXT = st.text(st.one_of(st.sampled_from("_.:/=+-@ "), st.characters(categories=["L", "N", "Zs"])), max_size=30)

quick = settings(max_examples=60, deadline=None, derandomize=True)


def written(operation: str, **parameters: Any) -> bytes:
    """The body that botocore sends."""
    model = MODEL.operation_model(operation)
    wire = create_serializer("rest-xml", False).serialize_to_request({"Bucket": "bucket", **parameters}, model)
    body = wire["body"]
    assert isinstance(body, bytes)
    return body


class TagTests(SynchronousTestCase):
    """Tagging and ``x-amz-tagging``."""

    @quick
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
            ("aws:k", "v", "Your TagKey cannot be prefixed with aws:"),
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
        for count, limit, kind, refusal in (
            (10, 10, "Object", InvalidTag),
            (50, MAX_BUCKET_TAGS, "Bucket", BadRequest),
        ):
            tags = [{"Key": f"k{n}", "Value": ""} for n in range(count + 1)]
            body = written("PutBucketTagging", Tagging={"TagSet": tags[:-1]})
            self.assertEqual(count, len(parse_tagging(body, limit)))
            body = written("PutBucketTagging", Tagging={"TagSet": tags})
            error = self.assertRaises(refusal, parse_tagging, body, limit)
            self.assertEqual(f"{kind} tags cannot be greater than {count}", error.message)
        self.assertRaises(InvalidTag, parse_tag_header, "&".join(f"k{n}" for n in range(11)))

    def test_malformed(self) -> None:
        """A document without a tag set, or with half a tag."""
        for body in (b"<Tagging/>", b"<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>", b"<TagSet/>"):
            self.assertRaises(MalformedXML, parse_tagging, body)
