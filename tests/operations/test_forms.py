"""Tests of PostObject: what becomes of a browser's upload."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from s3gw.credentials import Credential
from tests.operations.harness import ALICE, BOB, HOST, NOW, Answer, GatewayTestCase

BOUNDARY = "----browser"
EXPIRATION = "2026-09-21T15:13:20.000Z"
"""An hour after `NOW`."""


def multipart(fields: Mapping[str, str], content: bytes | None, filename: str = "a.txt") -> bytes:
    """The body of a form."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if content is not None:
        head = f'Content-Disposition: form-data; name="file"; filename="{filename}"\r\nContent-Type: image/png'
        parts.append(f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def signed_v2(
    *conditions: Any, key: Credential = ALICE, expiration: str = EXPIRATION, bucket: str = "bucket"
) -> dict[str, str]:
    """The fields that carry a policy, signed the old way."""
    document = {"expiration": expiration, "conditions": [{"bucket": bucket}, *conditions]}
    policy = b64encode(json.dumps(document).encode())
    signature = b64encode(hmac.digest(key.secret.encode(), policy, "sha1")).decode()
    return {"AWSAccessKeyId": key.access_key, "policy": policy.decode(), "signature": signature}


ANY_KEY = ["starts-with", "$key", ""]


class FormTestCase(GatewayTestCase):
    """A bucket that forms are posted to."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.make_bucket()

    def post(
        self,
        fields: Mapping[str, str],
        content: bytes | None = b"hello",
        filename: str = "a.txt",
        path: str = "/bucket",
        headers: Mapping[str, str] | None = None,
        pieces: int = 0,
    ) -> Answer:
        """The answer to a form, which arrives in pieces of so many bytes if told so."""
        whole = multipart(fields, content, filename)
        body = [whole[n : n + pieces] for n in range(0, len(whole), pieces)] if pieces else whole
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.request("POST", path, {**kind, **(headers or {})}, body, sign=None)


class AnonymousTests(FormTestCase):
    """Forms without a policy, in a bucket where everybody may write."""

    def test_tags(self) -> None:
        """The object is the bucket owner's, and has the tags that it came with."""
        self.client().create_bucket(Bucket="open", ACL="public-read-write", ObjectOwnership="ObjectWriter")
        tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
        answer = self.post({"key": "k", "acl": "public-read", "tagging": tags}, path="/open")
        self.assertEqual(204, answer.status, answer.body)
        found = self.client().get_object_tagging(Bucket="open", Key="k")["TagSet"]
        self.assertEqual([{"Key": "a", "Value": "1"}], found)
        self.assert_error("AccessDenied", 403, self.request("GET", "/open/k", query="tagging", sign=BOB))
        self.assertEqual(b"hello", self.request("GET", "/open/k", sign=None).body)

    def test_not_open(self) -> None:
        """Where only the owner may write, a form without a policy is refused, and nothing is kept."""
        for acl in ("private", "public-read"):
            self.assertEqual(200, self.request("PUT", "/bucket", {"x-amz-acl": acl}, query="acl").status)
            self.assert_error("AccessDenied", 403, self.post({"key": "k"}))
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/k"))

    def test_signed_without_policy(self) -> None:
        """Who signs has to say what."""
        self.assertEqual(200, self.request("PUT", "/bucket", {"x-amz-acl": "public-read-write"}, query="acl").status)
        fields = signed_v2(ANY_KEY)
        del fields["policy"]
        self.assertGreaterEqual(self.post({"key": "k", **fields}).status, 400)

    def test_bucket_policy(self) -> None:
        """A bucket's policy decides about forms by their key, their fields and their signer."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": BOB.owner.id},
            "Action": ["s3:PutObject", "s3:PutObjectAcl"],
            "Resource": "arn:aws:s3:::bucket/up/*",
            "Condition": {"StringEquals": {"s3:authType": "POST", "s3:x-amz-acl": "public-read"}},
        }
        body = json.dumps({"Version": "2012-10-17", "Statement": statement}).encode()
        self.assertEqual(204, self.request("PUT", "/bucket", body=body, query="policy").status)
        bobs = signed_v2(ANY_KEY, ["starts-with", "$acl", ""], key=BOB)
        self.assertEqual(204, self.post({"key": "up/a", "acl": "public-read", **bobs}).status)
        self.assertEqual(b"hello", self.request("GET", "/bucket/up/a", sign=None).body)
        for fields in (
            {"key": "a", "acl": "public-read", **bobs},
            {"key": "up/b", "acl": "private", **bobs},
            {"key": "up/b", "acl": "public-read"},
        ):
            self.assert_error("AccessDenied", 403, self.post(fields))


class SignedTests(FormTestCase):
    """Forms with a policy."""

    def presigned(self, key: str = "key", version: str = "s3v4", **further: Any) -> dict[str, str]:
        """The fields that botocore makes."""
        made = self.client(signature_version=version).generate_presigned_post("bucket", key, **further)
        self.assertEqual(f"http://{HOST}/bucket", made["url"])
        fields: dict[str, str] = made["fields"]
        return fields

    def test_botocore(self) -> None:
        """What botocore presigns is stored, and answered with nothing but its ETag and address."""
        self.assertEqual(204, self.post(self.presigned("old", version="s3")).status)
        answer = self.post(self.presigned("a b/ä"))
        self.assertEqual((204, b""), (answer.status, answer.body))
        self.assertEqual('"5d41402abc4b2a76b9719d911017c592"', answer.headers["etag"])
        self.assertEqual(f"http://{HOST}/bucket/a%20b%2F%C3%A4", answer.headers["location"])
        self.assertEqual(b"hello", self.get(urlsplit(answer.headers["location"]).path))
        info = self.client().head_object(Bucket="bucket", Key="a b/ä")
        self.assertEqual(("binary/octet-stream", 5), (info["ContentType"], info["ContentLength"]))

    def test_old_signature(self) -> None:
        """A policy signed by version 2 is good too, and the object is the signer's."""
        self.assertEqual(204, self.post({"key": "k", **signed_v2(ANY_KEY)}).status)
        listed = self.client().list_objects_v2(Bucket="bucket", FetchOwner=True)["Contents"]
        self.assertEqual([ALICE.owner.id], [each["Owner"]["ID"] for each in listed])

    def test_large(self) -> None:
        """A file of many chunks arrives whole, however it is cut; one byte of it may be anything."""
        content = bytes(range(256)) * 2000 + f"\r\n--{BOUNDARY}"[:-1].encode() + b"\r" * 70_000
        for pieces in (0, 1000, 65536):
            self.assertEqual(204, self.post({"key": "k", **signed_v2(ANY_KEY)}, content, pieces=pieces).status)
            self.assertEqual(content, self.get("/bucket/k"))
        self.assertEqual(204, self.post({"key": "k", **signed_v2(ANY_KEY)}, pieces=1).status)
        self.assertEqual(b"hello", self.get("/bucket/k"))
        self.assertEqual(204, self.post({"key": "k", **signed_v2(ANY_KEY)}, b"").status)
        self.assertEqual(b"", self.get("/bucket/k"))

    def test_filename(self) -> None:
        """The name of the file stands in the key, and the policy sees it there."""
        fields = {"key": "u/${filename}", **signed_v2(["starts-with", "$key", "u/a"])}
        self.assertEqual(204, self.post(fields, filename="C:\\x\\a.txt").status)
        self.assertEqual(b"hello", self.get("/bucket/u/a.txt"))
        self.assert_error("AccessDenied", 403, self.post(fields, filename="b.txt"))

    def test_described(self) -> None:
        """Fields do what headers do for a PUT."""
        fields = {
            "key": "k",
            "Content-Type": "text/plain",
            "Cache-Control": "no-cache",
            "X-Amz-Meta-Color": " gr\u00fcn ",
            "tagging": "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
            "acl": "private",
            "x-amz-storage-class": "STANDARD",
            "x-ignore-me": "yes",
            "x-amz-checksum-sha256": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        }
        named = [ANY_KEY, *(["starts-with", f"${n}", ""] for n in fields if not n.startswith(("x-ignore", "x-amz-c")))]
        answer = self.post({**fields, **signed_v2(*named)})
        self.assertEqual(204, answer.status, answer.body)
        self.assertEqual(fields["x-amz-checksum-sha256"], answer.headers["x-amz-checksum-sha256"])
        info = self.request("HEAD", "/bucket/k", {"x-amz-checksum-mode": "ENABLED"})
        self.assertEqual(fields["x-amz-checksum-sha256"], info.headers["x-amz-checksum-sha256"])
        self.assertEqual("text/plain", info.headers["content-type"])
        self.assertEqual("no-cache", info.headers["cache-control"])
        self.assertEqual("grün", info.headers["x-amz-meta-color"].encode("latin-1").decode())
        self.assertEqual("1", info.headers["x-amz-tagging-count"])

    def test_refused_fields(self) -> None:
        """What would change what the upload means, cannot be kept, or is not what came, is refused by name."""
        for name, value, code, status in (
            ("acl", "public-ready", "InvalidArgument", 400),
            ("x-amz-server-side-encryption", "AES256", "NotImplemented", 501),
            ("x-amz-storage-class", "GLACIER", "NotImplemented", 501),
            ("x-amz-meta-a", "b\r\nSet-Cookie: c", "InvalidArgument", 400),
            ("x-amz-meta-a: b", "c", "InvalidArgument", 400),
            ("x-amz-meta-a", "b" * 2048, "MetadataTooLarge", 400),
            ("tagging", "<Tagging/>", "MalformedXML", 400),
            ("x-amz-checksum-sha256", "sailorjerry", "BadDigest", 400),
            ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest", 400),
            ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest", 400),
        ):
            policy = signed_v2(ANY_KEY, ["starts-with", f"${name}", ""])
            if name.startswith("x-amz-checksum-"):
                policy = signed_v2(ANY_KEY)
            self.assert_error(code, status, self.post({"key": "k", name: value, **policy}))
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/k"))

    def test_answers(self) -> None:
        """The form chooses among nothing, a status, and a document."""
        for wanted, status in (("200", 200), ("201", 201), ("204", 204), ("404", 204), ("", 204)):
            policy = signed_v2(ANY_KEY, {"success_action_status": wanted})
            answer = self.post({"key": "a/b&c", "success_action_status": wanted, **policy})
            self.assertEqual(status, answer.status)
            self.assertEqual(f"http://{HOST}/bucket/a%2Fb%26c", answer.headers["location"])
            if status == 201:
                texts = [answer.text(name) for name in ("Location", "Bucket", "Key", "ETag")]
                self.assertEqual([answer.headers["location"], "bucket", "a/b&c", answer.headers["etag"]], texts)
                self.assertIn(b"<PostResponse><Location>", answer.body)
            else:
                self.assertEqual(b"", answer.body)

    def test_redirect(self) -> None:
        """The form may send the browser on, with what was stored in the query; what is no URL is not followed."""
        query = "bucket=bucket&key=a%2Fb%20%26&etag=%225d41402abc4b2a76b9719d911017c592%22"
        for url, location in (
            ("https://app.example/done", f"https://app.example/done?{query}"),
            ("http://app.example/?a=b#c", f"http://app.example/?a=b&{query}#c"),
            ("http://app.example/\r\nX: \u00fc", f"http://app.example/%0D%0AX:%20%C3%BC?{query}"),
            ("javascript:alert(1)", ""),
            ("http://[", ""),
            ("/done", ""),
        ):
            policy = signed_v2(ANY_KEY, ["eq", "$success_action_redirect", url])
            answer = self.post({"key": "a/b &", "success_action_redirect": url, **policy})
            self.assertEqual(303 if location else 204, answer.status, answer.body)
            if location:
                self.assertEqual(location, answer.headers["location"])

    def test_virtual_host(self) -> None:
        """A bucket's own host serves forms at its root."""
        answer = self.post({"key": "k", **signed_v2(ANY_KEY)}, path="/", headers={"Host": "bucket.localhost:9000"})
        self.assertEqual((204, "http://bucket.localhost:9000/k"), (answer.status, answer.headers["location"]))

    def test_sizes(self) -> None:
        """The policy bounds the file, chunked bodies and staged ones too; nothing of a refused one is kept."""
        for low, high, size, code in (
            (0, 5, 5, ""),
            (5, 9, 5, ""),
            (0, 4, 5, "EntityTooLarge"),
            (6, 9, 5, "EntityTooSmall"),
            (0, 100_000, 100_001, "EntityTooLarge"),
            (200_000, 300_000, 100_001, "EntityTooSmall"),
        ):
            policy = signed_v2(ANY_KEY, ["content-length-range", low, high])
            answer = self.post({"key": "k", **policy}, bytes(size))
            self.assertEqual(code, answer.error)
        self.assertEqual(bytes(5), self.get("/bucket/k"))

    def test_who(self) -> None:
        """A form needs a good signature by somebody who may use the bucket."""
        good = {"key": "k", **signed_v2(ANY_KEY)}
        for fields, code, status in (
            ({"key": "k"}, "AccessDenied", 403),
            ({**good, "signature": good["signature"][::-1]}, "SignatureDoesNotMatch", 403),
            ({**good, "policy": good["policy"][:-4]}, "SignatureDoesNotMatch", 403),
            ({**good, "AWSAccessKeyId": "nobody"}, "InvalidAccessKeyId", 403),
            ({name: value for name, value in good.items() if name != "signature"}, "InvalidArgument", 400),
            ({"key": "k", **signed_v2(ANY_KEY, key=BOB)}, "AccessDenied", 403),
            ({**self.presigned(), "x-amz-signature": "0" * 64}, "SignatureDoesNotMatch", 403),
        ):
            self.assert_error(code, status, self.post(fields))
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/k"))

    def test_policy(self) -> None:
        """A form is held to its policy, in S3's words."""
        for fields, message in (
            ({"key": "k", **signed_v2({"key": "x"})}, 'Policy Condition failed: ["eq", "$key", "x"]'),
            ({"key": "k", "acl": "private", **signed_v2(ANY_KEY)}, "Extra input fields: acl"),
            (
                {"key": "k", "bucket": "other", **signed_v2(ANY_KEY, bucket="other")},
                'Policy Condition failed: ["eq", "$bucket", "other"]',
            ),
            ({"key": "k", **signed_v2(ANY_KEY, expiration="2026-09-21T14:13:19Z")}, "Policy expired."),
        ):
            answer = self.post(fields)
            self.assert_error("AccessDenied", 403, answer)
            self.assertEqual(f"Invalid according to Policy: {message}", answer.message)
        self.assert_error("InvalidPolicyDocument", 400, self.post({"key": "k", **signed_v2({})}))

    def test_expires(self) -> None:
        """What botocore presigns for a minute is good for a minute."""
        fields = self.presigned(ExpiresIn=60)
        self.gateway.clock.advance(60)
        self.assertEqual(204, self.post(fields).status)
        self.gateway.clock.advance(2)
        self.assertEqual("Invalid according to Policy: Policy expired.", self.post(fields).message)
        self.assertEqual(NOW + 62, self.gateway.clock.seconds())


class MalformedTests(FormTestCase):
    """Forms that are none."""

    keys = ()

    def test_malformed(self) -> None:
        """A form that is cut short, has no file, no key or too much before its file."""
        self.assert_error("InvalidArgument", 400, self.post({"key": "k"}, None))
        self.assert_error("InvalidArgument", 400, self.post({}))
        self.assert_error("UserKeyMustBeSpecified", 400, self.post({"key": ""}))
        self.assert_error("KeyTooLongError", 400, self.post({"key": "k" * 1025}))
        self.assert_error("MaxPostPreDataLengthExceeded", 400, self.post({"key": "k", "a": "b" * 20480}))
        self.assert_error("NoSuchBucket", 404, self.post({"key": "k"}, path="/none"))
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        body = multipart({"key": "k"}, bytes(100_000))
        for cut in (body[:-30], body[:50], b""):
            self.assert_error("MalformedPOSTRequest", 400, self.request("POST", "/bucket", headers, cut))
        other = {"Content-Type": "multipart/form-data"}
        self.assert_error("MalformedPOSTRequest", 400, self.request("POST", "/bucket", other, body))
        self.assert_error("PreconditionFailed", 412, self.request("POST", "/bucket", body=body))
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/k"))

    def test_open(self) -> None:
        """Where nobody signs, nobody needs a policy; one that is there is still heeded."""
        self.assertEqual(204, self.post({"key": "k", "x-amz-meta-a": "b", "anything": "goes"}).status)
        self.assertEqual("b", self.request("GET", "/bucket/k").headers["x-amz-meta-a"])
        self.assertEqual(204, self.post({"key": "k", **signed_v2(ANY_KEY)}).status)
        self.assert_error("AccessDenied", 403, self.post({"key": "k", **signed_v2({"key": "x"})}))

    def test_half_a_character(self) -> None:
        """A policy with text that no answer could repeat is refused, however the form arrives."""
        policy = b64encode(
            b'{"expiration": "2030-01-01T00:00:00Z", "conditions": [["eq", "$key", "\\ud800"]]}'
        ).decode()
        answer = self.post({"key": "k", "policy": policy}, pieces=100)
        self.assert_error("InvalidPolicyDocument", 400, answer)

    def test_condition(self) -> None:
        """A condition in the headers holds for a form as for a PUT."""
        self.put("/bucket/k", b"old")
        answer = self.post({"key": "k"}, headers={"If-None-Match": "*"})
        self.assert_error("PreconditionFailed", 412, answer)
        self.assertEqual(b"old", self.get("/bucket/k"))

    def test_continue(self) -> None:
        """A form to a bucket that is not there is refused before a byte of it is sent."""
        connection = self.gateway.connect()
        head = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 1000\r\n"
        connection.send(f"POST /none HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\n{head}\r\n".encode())
        self.assertNotIn(b"100 Continue", connection.transport.value())
        self.assertEqual(["NoSuchBucket"], [answer.error for answer in connection.answers(["POST"])])
