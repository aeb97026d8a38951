"""Every operation by its owner, by another user and by nobody, as policies and lists let them; and what callers learn
of what is not there."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from s3gw.access.permissions import PERMISSIONS, Of
from s3gw.operations import OPERATIONS
from s3gw.operations.admission import SIGNED
from tests.operations.access import ARN, TAGGING, AccessCase, acl, policy
from tests.operations.harness import ALICE, BOB, Answer, Credential


class Request(NamedTuple):
    """A request that does an operation."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = {}


class WalkTests(AccessCase):
    """Every operation that is implemented."""

    def requests(self) -> dict[str, Request]:
        """A request that succeeds for the owner, by operation."""
        upload = self.request("POST", "/bucket/up", query="uploads").text("UploadId")
        part = f"partNumber=1&uploadId={upload}"
        etag = self.request("PUT", "/bucket/up", query=part, body=b"part").headers["etag"]
        done = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
        bucket, key = "/bucket", "/bucket/key"
        copy = {"x-amz-copy-source": "bucket/key"}
        lock = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
        lifecycle = (
            b"<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter><Prefix>x</Prefix></Filter>"
            b"<Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
        )
        cors = (
            b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
            b"</CORSRule></CORSConfiguration>"
        )
        retention = (
            b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>"
        )
        hold = b"<LegalHold><Status>ON</Status></LegalHold>"
        return {
            "AbortMultipartUpload": Request("DELETE", "/bucket/up", f"uploadId={upload}"),
            "CompleteMultipartUpload": Request(
                "POST", "/bucket/up", f"uploadId={upload}", f"{done}</CompleteMultipartUpload>".encode()
            ),
            "CopyObject": Request("PUT", "/bucket/copy", headers=copy),
            "CreateMultipartUpload": Request("POST", key, "uploads"),
            "DeleteBucket": Request("DELETE", bucket),
            "DeleteBucketCache": Request("DELETE", bucket, "x-s3gw-cache"),
            "DeleteBucketCors": Request("DELETE", bucket, "cors"),
            "DeleteBucketEncryption": Request("DELETE", bucket, "encryption"),
            "DeleteBucketLifecycle": Request("DELETE", bucket, "lifecycle"),
            "DeleteBucketOwnershipControls": Request("DELETE", bucket, "ownershipControls"),
            "DeleteBucketPolicy": Request("DELETE", bucket, "policy"),
            "DeleteBucketTagging": Request("DELETE", bucket, "tagging"),
            "DeleteObject": Request("DELETE", "/bucket/none"),
            "DeleteObjects": Request("POST", bucket, "delete", b"<Delete><Object><Key>none</Key></Object></Delete>"),
            "DeleteObjectTagging": Request("DELETE", key, "tagging"),
            "DeletePublicAccessBlock": Request("DELETE", bucket, "publicAccessBlock"),
            "GetBucketAccelerateConfiguration": Request("GET", bucket, "accelerate"),
            "GetBucketAcl": Request("GET", bucket, "acl"),
            "GetBucketCache": Request("GET", bucket, "x-s3gw-cache"),
            "GetBucketCors": Request("GET", bucket, "cors"),
            "GetBucketEncryption": Request("GET", bucket, "encryption"),
            "GetBucketLifecycleConfiguration": Request("GET", bucket, "lifecycle"),
            "GetBucketLocation": Request("GET", bucket, "location"),
            "GetBucketLogging": Request("GET", bucket, "logging"),
            "GetBucketNotificationConfiguration": Request("GET", bucket, "notification"),
            "GetBucketOwnershipControls": Request("GET", bucket, "ownershipControls"),
            "GetBucketPolicy": Request("GET", bucket, "policy"),
            "GetBucketPolicyStatus": Request("GET", bucket, "policyStatus"),
            "GetBucketReplication": Request("GET", bucket, "replication"),
            "GetBucketRequestPayment": Request("GET", bucket, "requestPayment"),
            "GetBucketTagging": Request("GET", bucket, "tagging"),
            "GetBucketVersioning": Request("GET", bucket, "versioning"),
            "GetBucketWebsite": Request("GET", bucket, "website"),
            "GetObject": Request("GET", key),
            "GetObjectAcl": Request("GET", key, "acl"),
            "GetObjectAttributes": Request("GET", key, "attributes", headers={"x-amz-object-attributes": "ETag"}),
            "GetObjectLegalHold": Request("GET", key, "legal-hold"),
            "GetObjectLockConfiguration": Request("GET", bucket, "object-lock"),
            "GetObjectRetention": Request("GET", key, "retention"),
            "GetObjectTagging": Request("GET", key, "tagging"),
            "GetObjectTorrent": Request("GET", key, "torrent"),
            "GetPublicAccessBlock": Request("GET", bucket, "publicAccessBlock"),
            "HeadBucket": Request("HEAD", bucket),
            "HeadObject": Request("HEAD", key),
            "ListMultipartUploads": Request("GET", bucket, "uploads"),
            "ListObjects": Request("GET", bucket),
            "ListObjectsV2": Request("GET", bucket, "list-type=2"),
            "ListObjectVersions": Request("GET", bucket, "versions"),
            "ListParts": Request("GET", "/bucket/up", f"uploadId={upload}"),
            "PutBucketAcl": Request("PUT", bucket, "acl", headers={"x-amz-acl": "private"}),
            "PutBucketCache": Request("PUT", bucket, "x-s3gw-cache", b"<CacheConfiguration/>"),
            "PutBucketCors": Request("PUT", bucket, "cors", cors),
            "PutBucketEncryption": Request("PUT", bucket, "encryption", b"<x/>"),
            "PutBucketLifecycleConfiguration": Request("PUT", bucket, "lifecycle", lifecycle),
            "PutBucketOwnershipControls": Request(
                "PUT",
                bucket,
                "ownershipControls",
                b"<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>",
            ),
            "PutBucketPolicy": Request("PUT", bucket, "policy", policy({"Principal": {"AWS": "nobody"}})),
            "PutBucketTagging": Request("PUT", bucket, "tagging", TAGGING),
            "PutBucketVersioning": Request("PUT", bucket, "versioning", b"<VersioningConfiguration/>"),
            "PutObject": Request("PUT", "/bucket/other", body=b"x"),
            "PutObjectAcl": Request("PUT", key, "acl", headers={"x-amz-acl": "private"}),
            "PutObjectLegalHold": Request("PUT", key, "legal-hold", hold),
            "PutObjectLockConfiguration": Request("PUT", bucket, "object-lock", lock),
            "PutObjectRetention": Request("PUT", key, "retention", retention),
            "PutObjectTagging": Request("PUT", key, "tagging", TAGGING),
            "PutPublicAccessBlock": Request("PUT", bucket, "publicAccessBlock", b"<PublicAccessBlockConfiguration/>"),
            "UploadPart": Request("PUT", "/bucket/up", part, b"x"),
            "UploadPartCopy": Request("PUT", "/bucket/up", part, headers=copy),
        }

    def each(self) -> Iterator[tuple[str, Request]]:
        """Every request, to a gateway of its own."""
        for name in sorted(OPERATIONS.keys() - self.ELSEWHERE):
            self.setUp()
            yield name, self.requests()[name]

    ELSEWHERE = frozenset({"CreateBucket", "ListBuckets", "PostObject", "PreflightCORS"})
    """Operations that are about no bucket, or that no header signs."""

    def test_everything_is_walked(self) -> None:
        """The walk leaves out nothing that is implemented."""
        self.assertEqual(OPERATIONS.keys() - self.ELSEWHERE, self.requests().keys())

    def ask(self, request: Request, sign: Credential | None) -> Answer:
        """Send it."""
        headers = dict(request.headers)
        if request.body:
            headers["Content-MD5"] = b64encode(hashlib.md5(request.body).digest()).decode()
        return self.request(request.method, request.path, headers, request.body, request.query, sign)

    def refused(self, name: str, answer: Answer) -> bool:
        """Whether an answer refuses, and says nothing else."""
        if name == "DeleteObjects":
            return answer.texts("Code") == ["AccessDenied"]
        return answer.status == 403 and (not answer.body or answer.error == "AccessDenied")

    def test_owner(self) -> None:
        """The owner may do everything."""
        for name, request in self.each():
            self.assertFalse(self.refused(name, self.ask(request, ALICE)), name)

    def test_others(self) -> None:
        """Another user and nobody may do nothing, and change nothing."""
        for name, request in self.each():
            before = self.gateway.store.buckets()
            for sign in (BOB, None):
                answer = self.ask(request, sign)
                self.assertTrue(self.refused(name, answer), (name, answer.raw))
            self.assertEqual(before, self.gateway.store.buckets(), name)
        self.assertEqual(b"hello", self.get("/bucket/key"))

    def test_by_policy(self) -> None:
        """A policy that allows an operation's actions, and no others, lets another user and nobody do it."""
        for name, request in self.each():
            permission = PERMISSIONS[name]
            actions = list(permission.actions)
            if name in ("CopyObject", "UploadPartCopy"):
                actions += ["s3:GetObject", "s3:GetObjectTagging", "s3:PutObjectTagging"]
            if name == "GetObjectTorrent":
                actions.append("s3:ListBucket")  # of which there never is one
            self.set_policy({"Action": actions})
            for sign in (BOB, None):
                answer = self.ask(request, sign)
                if sign is None and name in SIGNED:
                    self.assertIn("Anonymous users cannot", answer.message)
                    continue
                self.assertFalse(self.refused(name, answer), (name, answer.raw))
                if name in ("DeleteBucketPolicy", "PutBucketPolicy", "CompleteMultipartUpload", "AbortMultipartUpload"):
                    break

    def test_denied_to_the_owner(self) -> None:
        """A policy that denies an operation's actions keeps the owner from it, but for the policy itself."""
        for name, request in self.each():
            permission = PERMISSIONS[name]
            self.set_policy({"Effect": "Deny", "Action": list(permission.actions)})
            answer = self.ask(request, ALICE)
            expected = name not in ("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy")
            self.assertIs(self.refused(name, answer), expected, (name, answer.raw))

    def test_by_list(self) -> None:
        """A list grants what the table says, and nothing else."""
        for granted in ("READ", "WRITE", "READ_ACP", "WRITE_ACP"):
            for name, request in self.each():
                permission = PERMISSIONS[name]
                on_object = permission.of is Of.OBJECT
                body = acl(("FULL_CONTROL", ALICE.owner.id), (granted, BOB.owner.id))
                self.set_acl("/bucket/key" if on_object else "/bucket", body)
                answer = self.ask(request, BOB)
                expected = permission.grant == granted
                if name in ("CopyObject", "UploadPartCopy"):
                    expected = False  # the source is not granted
                self.assertIs(not self.refused(name, answer), expected, (granted, name, answer.raw))

    def test_service(self) -> None:
        """Buckets are listed and created by who signs."""
        self.denied(self.request("GET", "/", sign=None))
        self.denied(self.request("PUT", "/new", sign=None))
        self.assertEqual(200, self.request("PUT", "/new", sign=BOB).status)
        self.assertEqual(["new"], self.request("GET", "/", sign=BOB).texts("Name"))


class AbsenceTests(AccessCase):
    """What a caller learns of keys that are not there."""

    def test_without_list(self) -> None:
        """Only who may list a bucket is told that a key is missing."""
        for method, query in (("GET", ""), ("HEAD", ""), ("GET", "tagging"), ("GET", "acl"), ("PUT", "tagging")):
            body = TAGGING if method == "PUT" else b""
            self.assertEqual([404, 403, 403], self.statuses(method, "/bucket/none", query, body), query)
        self.set_acl("/bucket", name="public-read")
        self.assertEqual([404, 404, 404], self.statuses("GET", "/bucket/none"))

    def test_by_policy(self) -> None:
        """By policy as well, as far as that lets the caller list; not what is denied."""
        self.set_policy(
            {"Action": "s3:ListBucket", "Resource": ARN, "Condition": {"StringLike": {"s3:prefix": "public/*"}}},
            {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"{ARN}/public/secret"},
        )
        self.assertEqual(404, self.request("HEAD", "/bucket/public/none", sign=BOB).status)
        self.assertEqual(403, self.request("HEAD", "/bucket/private/none", sign=BOB).status)
        self.assertEqual(403, self.request("HEAD", "/bucket/public/secret", sign=BOB).status)
        self.assertEqual([200, 200, 200], self.statuses("GET", "/bucket", "prefix=public%2Fx"))
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket", "prefix=private%2F"))

    def test_bucket(self) -> None:
        """That a bucket does not exist is no secret."""
        for sign in (ALICE, BOB, None):
            self.assert_error("NoSuchBucket", 404, self.request("GET", "/none/key", sign=sign))

    def test_upload(self) -> None:
        """That an upload does not exist is one."""
        answers = [self.request("GET", "/bucket/key", query="uploadId=none", sign=sign) for sign in (ALICE, BOB, None)]
        self.assertEqual(["NoSuchUpload", "AccessDenied", "AccessDenied"], [answer.error for answer in answers])

    def test_copy(self) -> None:
        """The same of the source of a copy."""
        self.request("PUT", "/bobs", sign=BOB)
        for key in ("key", "none"):
            self.denied(self.request("PUT", "/bobs/x", {"x-amz-copy-source": f"bucket/{key}"}, sign=BOB))
        self.set_acl("/bucket", name="public-read")
        answer = self.request("PUT", "/bobs/x", {"x-amz-copy-source": "bucket/none"}, sign=BOB)
        self.assert_error("NoSuchKey", 404, answer)
