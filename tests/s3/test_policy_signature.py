"""The signatures of browser uploads."""

from __future__ import annotations

import base64

from botocore.auth import HmacV1PostAuth, S3SigV4PostAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import InvalidArgument, InvalidToken, SignatureDoesNotMatch
from s3gw.s3.policy_signature import parse_policy, verify_policy
from s3gw.s3.sigv4 import SigningKeys

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"


class PolicyTests(SynchronousTestCase):
    """The signatures of browser uploads."""

    policy = (
        '{ "expiration": "2015-12-30T12:00:00.000Z",\r\n'
        '  "conditions": [\r\n'
        '    {"bucket": "sigv4examplebucket"},\r\n'
        '    ["starts-with", "$key", "user/user1/"],\r\n'
        '    {"acl": "public-read"},\r\n'
        '    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},\r\n'
        '    ["starts-with", "$Content-Type", "image/"],\r\n'
        '    {"x-amz-meta-uuid": "14365123651274"},\r\n'
        '    {"x-amz-server-side-encryption": "AES256"},\r\n'
        '    ["starts-with", "$x-amz-meta-tag", ""],\r\n'
        "\r\n"
        '    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},\r\n'
        '    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},\r\n'
        '    {"x-amz-date": "20151229T000000Z" }\r\n'
        "  ]\r\n"
        "}"
    )
    fields = {
        "policy": base64.b64encode(policy.encode()).decode(),
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{ACCESS_KEY}/20151229/us-east-1/s3/aws4_request",
        "x-amz-date": "20151229T000000Z",
        "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
    }

    def verify(self, fields: dict[str, str]) -> None:
        signed = parse_policy(fields)
        assert signed is not None
        self.assertEqual(signed.access_key, ACCESS_KEY)
        verify_policy(signed, SECRET, REGION, SigningKeys())

    def test_documentation(self) -> None:
        """The form of the documentation is believed, and not with a single character changed."""
        self.verify(self.fields)
        for name in ("policy", "x-amz-signature"):
            for wrong in (self.fields[name][:-1], self.fields[name].swapcase(), self.fields[name] + "\xe9"):
                self.assertRaises(SignatureDoesNotMatch, self.verify, {**self.fields, name: wrong})

    def test_botocore(self) -> None:
        """Forms that botocore signs, the old way too, are believed."""
        for auth in (
            S3SigV4PostAuth(Credentials(ACCESS_KEY, SECRET), "s3", REGION),
            HmacV1PostAuth(Credentials(ACCESS_KEY, SECRET)),
        ):
            request = AWSRequest(method="POST", url="http://localhost:9000/bucket")
            request.context["s3-presign-post-fields"] = {}
            request.context["s3-presign-post-policy"] = {"expiration": "2030-01-01T00:00:00Z", "conditions": []}
            auth.add_auth(request)
            fields = {name.lower(): value for name, value in request.context["s3-presign-post-fields"].items()}
            self.verify(fields)
            tampered = {**fields, "policy": base64.b64encode(b'{"conditions": []}').decode()}
            error = self.assertRaises(SignatureDoesNotMatch, self.verify, tampered)
            self.assertEqual(error.fields["StringToSign"], tampered["policy"])

    def test_anonymous(self) -> None:
        """A form without signature or policy is nobody's."""
        self.assertIsNone(parse_policy({"key": "k", "content-type": "image/png"}))

    def test_refused(self) -> None:
        """What is missing or meant for somewhere else is refused by name."""
        for name in ("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"):
            error = self.assertRaises(InvalidArgument, self.verify, {**self.fields, name: ""})
            self.assertEqual(error.fields["ArgumentName"].lower(), name)
        for fields in ({"policy": "e30="}, {"policy": "e30=", "awsaccesskeyid": "A"}, {"signature": "s"}):
            self.assertRaises(InvalidArgument, parse_policy, fields)
        for name, value in {
            "x-amz-algorithm": "AWS4-HMAC-SHA1",
            "x-amz-date": "2015-12-29",
            "x-amz-credential": f"{ACCESS_KEY}/20151229/us-east-1/s3",
        }.items():
            self.assertRaises(InvalidArgument, self.verify, {**self.fields, name: value})
        for scope in ("20151228/us-east-1/s3/aws4_request", "20151229/eu-west-1/s3/aws4_request"):
            credential = f"{ACCESS_KEY}/{scope}"
            self.assertRaises(InvalidArgument, self.verify, {**self.fields, "x-amz-credential": credential})
        self.assertRaises(InvalidToken, self.verify, {**self.fields, "x-amz-security-token": "t"})
