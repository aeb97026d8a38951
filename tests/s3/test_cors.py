"""Tests of `s3gw.s3.cors`: what botocore writes, and what nobody should."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.serialize import create_serializer
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import AccessForbidden, BadRequest, InvalidRequest, MalformedXML
from s3gw.s3.cors import CORSRule, answer_headers, parse_cors, preflight_headers
from s3gw.s3.head import RequestHead

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
            (origin + method + "<ExposeHeader>a b</ExposeHeader>", 'ExposeHeader "a b" is not the name of a header.'),
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


VARY = {"Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"}


def head(method: str, **headers: str) -> RequestHead:
    """A request; ``request_method`` and ``request_headers`` are the Access-Control ones."""
    named = {
        name if name == "origin" else f"access-control-{name.replace('_', '-')}": value
        for name, value in headers.items()
    }
    return RequestHead(method, "/bucket/key", named)


class AnswerTests(SynchronousTestCase):
    """What an answer to a request with an Origin says."""

    def allowed(self, rule: CORSRule, origin: str, method: str = "GET") -> str | None:
        """The origin that a script may be from to read the answer."""
        return dict(answer_headers((rule,), head(method, origin=origin))).get("Access-Control-Allow-Origin")

    def test_origins(self) -> None:
        """An origin matches as it is spelt, or around the one wildcard."""
        for pattern, good, bad in (
            ("https://a.example", ["https://a.example"], ["https://A.example", "http://a.example", ""]),
            (
                "https://*.example",
                ["https://a.example", "https://.example"],
                ["https://example", "https://a.example.b"],
            ),
            ("*suffix", ["suffix", "x.suffix"], ["suffix.x"]),
            ("start*end", ["startend", "start1end"], ["starend", "0startend", "startend0"]),
            ("ab*bc", ["abbc"], ["abc"]),
        ):
            rule = CORSRule((pattern,), ("GET",))
            for origin in good:
                self.assertEqual(origin, self.allowed(rule, origin))
            for origin in bad:
                self.assertIsNone(self.allowed(rule, origin))

    def test_everybody(self) -> None:
        """Where all are welcome nobody is named, and credentials are not spoken of."""
        rule = CORSRule(("https://a", "*"), ("GET", "HEAD"), expose=("ETag", "x-amz-meta-a"), max_age=5)
        self.assertEqual(
            {
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Allow-Methods": "GET, HEAD",
                "Access-Control-Expose-Headers": "ETag, x-amz-meta-a",
                "Access-Control-Max-Age": "5",
                **VARY,
            },
            dict(answer_headers((rule,), head("GET", origin="https://b"))),
        )

    def test_first_rule(self) -> None:
        """The first rule that fits counts, and the method must fit."""
        rules = (CORSRule(("https://a",), ("PUT",)), CORSRule(("https://*",), ("GET",)), CORSRule(("*",), ("GET",)))
        self.assertEqual(
            {
                "Access-Control-Allow-Origin": "https://a",
                "Access-Control-Allow-Methods": "GET",
                "Access-Control-Allow-Credentials": "true",
                **VARY,
            },
            dict(answer_headers(rules, head("GET", origin="https://a"))),
        )
        self.assertEqual([], answer_headers(rules, head("DELETE", origin="https://a")))
        asked = dict(answer_headers(rules, head("DELETE", origin="https://a", request_method="PUT")))
        self.assertEqual("PUT", asked["Access-Control-Allow-Methods"])


class PreflightTests(SynchronousTestCase):
    """What a browser is told that asks first."""

    def test_headers(self) -> None:
        """Every header that is asked for must be allowed, without regard to case; those are allowed then."""
        rule = CORSRule(("https://a",), ("PUT",), ("X-Amz-*", "content-type"))
        for asked, allowed in (
            ("Content-Type,x-amz-date", "content-type, x-amz-date"),
            (" X-AMZ-META-A , ", "x-amz-meta-a"),
            ("", None),
        ):
            request = head("OPTIONS", origin="https://a", request_method="PUT", request_headers=asked)
            answer = dict(preflight_headers((rule,), request, "OBJECT"))
            self.assertEqual(allowed, answer.get("Access-Control-Allow-Headers"))
            self.assertEqual("https://a", answer["Access-Control-Allow-Origin"])
        for asked in ("authorization", "content-type,authorization", "x-am"):
            request = head("OPTIONS", origin="https://a", request_method="PUT", request_headers=asked)
            error = self.assertRaises(AccessForbidden, preflight_headers, (rule,), request, "OBJECT")
            self.assertEqual({"Method": "PUT", "ResourceType": "OBJECT"}, error.fields)

    def test_no_preflight(self) -> None:
        """What lacks an Origin or a method that S3 knows is no preflight."""
        for headers, message in (
            ({"request_method": "GET"}, "Insufficient information. Origin request header needed."),
            ({"origin": "https://a"}, "Invalid Access-Control-Request-Method: null"),
            ({"origin": "https://a", "request_method": "PATCH"}, "Invalid Access-Control-Request-Method: PATCH"),
        ):
            error = self.assertRaises(BadRequest, preflight_headers, (), head("OPTIONS", **headers), "BUCKET")
            self.assertEqual(message, error.message)
