"""Tests of CORS: what a browser is told, by the gateway as a whole."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tests.operations.harness import BOB, GatewayTestCase

ORIGIN = "https://app.example"
RULES = [
    {
        "AllowedOrigins": ["https://*.example"],
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["content-type", "x-amz-*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 600,
        "ID": "apps",
    },
    {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]},
]
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}


class ConfigurationTests(GatewayTestCase):
    """The document."""

    def test_life(self) -> None:
        """Rules are stored, read back as they were, replaced, and deleted."""
        self.make_bucket()
        client = self.client()
        self.assert_error("NoSuchCORSConfiguration", 404, self.request("GET", "/bucket", query="cors"))
        client.put_bucket_cors(Bucket="bucket", CORSConfiguration={"CORSRules": RULES})
        self.assertEqual(RULES, client.get_bucket_cors(Bucket="bucket")["CORSRules"])
        client.put_bucket_cors(Bucket="bucket", CORSConfiguration={"CORSRules": RULES[1:]})
        self.assertEqual(RULES[1:], client.get_bucket_cors(Bucket="bucket")["CORSRules"])
        self.assertEqual(204, self.request("DELETE", "/bucket", query="cors").status)
        self.assertEqual(204, self.request("DELETE", "/bucket", query="cors").status)
        self.assertRaises(ClientError, client.get_bucket_cors, Bucket="bucket")

    def test_refused(self) -> None:
        """A bad document, a bucket that is not there and another's bucket change nothing."""
        self.make_bucket()
        self.assert_error("MalformedXML", 400, self.request("PUT", "/bucket", query="cors", body=b"<a/>"))
        long = b"<CORSConfiguration>" + b" " * 65536 + b"</CORSConfiguration>"
        self.assert_error("MaxMessageLengthExceeded", 400, self.request("PUT", "/bucket", query="cors", body=long))
        for method in ("GET", "PUT", "DELETE"):
            self.assert_error("NoSuchBucket", 404, self.request(method, "/none", query="cors"))
            self.assert_error("AccessDenied", 403, self.request(method, "/bucket", query="cors", sign=BOB))
            self.assert_error("AccessDenied", 403, self.request(method, "/bucket", query="cors", sign=None))
        self.assert_error("NoSuchCORSConfiguration", 404, self.request("GET", "/bucket", query="cors"))


class BrowserTests(GatewayTestCase):
    """A script of another origin."""

    def setUp(self) -> None:
        """A bucket with rules."""
        super().setUp()
        self.make_bucket()
        self.client().put_bucket_cors(Bucket="bucket", CORSConfiguration={"CORSRules": RULES})
        self.put("/bucket/key", b"hello")

    def preflight(self, path: str = "/bucket/key", query: str = "", **headers: str) -> Any:
        """The answer to an OPTIONS request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("OPTIONS", path, {**PREFLIGHT, **named}, query=query, sign=None)

    def test_preflight(self) -> None:
        """A preflight needs no signature, whatever the query of the URL that is asked about."""
        for path, query in (
            ("/bucket", ""),
            ("/bucket/key", ""),
            ("/bucket/none", "uploadId=x&partNumber=1"),
            ("/bucket/key", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0&x-amz-acl=public-read&versionId=x"),
        ):
            answer = self.preflight(path, query, Access_Control_Request_Headers="Content-Type, X-Amz-Date")
            found = {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}
            self.assertEqual((200, b""), (answer.status, answer.body))
            self.assertEqual(
                {
                    "access-control-allow-origin": ORIGIN,
                    "access-control-allow-methods": "GET, PUT",
                    "access-control-allow-headers": "content-type, x-amz-date",
                    "access-control-allow-credentials": "true",
                    "access-control-expose-headers": "ETag",
                    "access-control-max-age": "600",
                },
                found,
            )
            self.assertIn("Origin", answer.headers["vary"])

    def test_forbidden(self) -> None:
        """What the rules do not allow is refused, and nothing is granted with it."""
        for headers in (
            {"Origin": "https://evil.test"},
            {"Access_Control_Request_Method": "DELETE"},
            {"Access_Control_Request_Headers": "authorization"},
        ):
            answer = self.preflight(**headers)
            self.assert_error("AccessForbidden", 403, answer)
            self.assertTrue(answer.message.startswith("CORSResponse: This CORS request is not allowed."))
            self.assertEqual("OBJECT", answer.text("ResourceType"))
            self.assertNotIn("access-control-allow-origin", answer.headers)

    def test_not_enabled(self) -> None:
        """A bucket without rules, and one that is not there, allow nothing."""
        self.make_bucket("plain")
        answer = self.preflight("/plain")
        self.assert_error("AccessForbidden", 403, answer)
        self.assertEqual("CORSResponse: CORS is not enabled for this bucket.", answer.message)
        self.assertEqual(("PUT", "BUCKET"), (answer.text("Method"), answer.text("ResourceType")))
        for path in ("/none", "/"):
            answer = self.preflight(path)
            self.assert_error("AccessForbidden", 403, answer)
            self.assertEqual("CORSResponse: Bucket not found", answer.message)

    def test_no_preflight(self) -> None:
        """An OPTIONS request that is no preflight is a bad request, with or without rules."""
        for path in ("/bucket", "/none"):
            self.assert_error("BadRequest", 400, self.request("OPTIONS", path, sign=None))
            self.assert_error("BadRequest", 400, self.request("OPTIONS", path, {"Origin": ORIGIN}, sign=None))

    def test_success(self) -> None:
        """A script may read an answer that the rules allow, whole bodies and streamed ones."""
        self.put("/bucket/large", bytes(300_000))
        for path in ("/bucket/key", "/bucket/large", "/bucket"):
            answer = self.request("GET", path, {"Origin": ORIGIN})
            self.assertEqual((200, ORIGIN), (answer.status, answer.headers["access-control-allow-origin"]))
            self.assertEqual("true", answer.headers["access-control-allow-credentials"])
        answer = self.request("HEAD", "/bucket/key", {"Origin": "https://evil.test"})
        self.assertEqual("*", answer.headers["access-control-allow-origin"])
        self.assertNotIn("access-control-allow-credentials", answer.headers)

    def test_errors(self) -> None:
        """A script may read an error too, a refused signature among them."""
        for method, path, sign, code in (
            ("GET", "/bucket/none", "default", "NoSuchKey"),
            ("GET", "/bucket/key", None, "AccessDenied"),
            ("PUT", "/bucket/key", None, "AccessDenied"),
            ("GET", "/bucket/key", BOB, "AccessDenied"),
        ):
            answer = self.request(method, path, {"Origin": ORIGIN}, sign=sign)
            self.assertEqual((code, ORIGIN), (answer.error, answer.headers["access-control-allow-origin"]))

    def test_unaffected(self) -> None:
        """Who does not say an origin, or one that no rule names, gets the plain answer."""
        for headers in ({}, {"Origin": "https://evil.test"}):
            answer = self.request("GET", "/bucket/key", headers)
            self.assertEqual(200, answer.status)
            self.assertNotIn("vary", answer.headers)
            self.assertFalse([name for name in answer.headers if name.startswith("access-control-")])
        answer = self.request("GET", "/none/key", {"Origin": ORIGIN})
        self.assert_error("NoSuchBucket", 404, answer)
        self.assertEqual(200, self.request("GET", "/", {"Origin": ORIGIN}).status)
