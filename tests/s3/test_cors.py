"""Tests of `s3gw.s3.cors`: what botocore writes, and what nobody should."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.serialize import create_serializer
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import InvalidRequest, MalformedXML
from s3gw.s3.cors import CORSRule, parse_cors

MODEL = botocore.session.get_session().get_service_model("s3")


def written(operation: str, **parameters: Any) -> bytes:
    """The body that botocore sends."""
    model = MODEL.operation_model(operation)
    wire = create_serializer("rest-xml", False).serialize_to_request({"Bucket": "bucket", **parameters}, model)
    body = wire["body"]
    assert isinstance(body, bytes)
    return body


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
