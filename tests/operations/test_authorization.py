"""Who may do what, asked over the wire: every operation by its owner, by another user and by nobody, and what policies,
lists, public access block and ownership change about that."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from s3gw.access.permissions import PERMISSIONS, Of
from s3gw.operations import OPERATIONS
from s3gw.operations.admission import SIGNED
from tests.operations.harness import ALICE, BOB, Answer, Credential, GatewayTestCase

ARN = "arn:aws:s3:::bucket"
TAGGING = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
ALLOW = {"Effect": "Allow", "Principal": "*"}


class Request(NamedTuple):
    """A request that does an operation."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = {}


def policy(*statements: Mapping[str, Any]) -> bytes:
    """A policy of these statements, each about everything unless it says more."""
    least = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [ARN, f"{ARN}/*"]}
    filled = [{**{k: v for k, v in least.items() if f"Not{k}" not in each}, **each} for each in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": filled}).encode()


def acl(*grants: tuple[str, str], owner: str = ALICE.owner.id) -> bytes:
    """An AccessControlPolicy that grants permissions to canonical ids."""
    listed = "".join(
        f"<Grant><Grantee><ID>{user}</ID></Grantee><Permission>{permission}</Permission></Grant>"
        for permission, user in grants
    )
    return (
        f"<AccessControlPolicy><Owner><ID>{owner}</ID></Owner>"
        f"<AccessControlList>{listed}</AccessControlList></AccessControlPolicy>"
    ).encode()


class AccessCase(GatewayTestCase):
    """Alice has a bucket with an object."""

    def setUp(self) -> None:
        """Make them."""
        super().setUp()
        self.make_bucket()
        self.put("/bucket/key", b"hello", {"x-amz-tagging": "security=public"})

    def set_policy(self, *statements: Mapping[str, Any]) -> None:
        """Alice puts a policy."""
        answer = self.request("PUT", "/bucket", body=policy(*statements), query="policy")
        self.assertEqual(204, answer.status, answer.body)

    def set_acl(self, path: str, body: bytes = b"", name: str = "", sign: Credential = ALICE) -> None:
        """Somebody sets a list, by document or canned name."""
        answer = self.request("PUT", path, {"x-amz-acl": name} if name else {}, body, "acl", sign)
        self.assertEqual(200, answer.status, answer.body)

    def block(self, *flags: str) -> None:
        """Set flags of the public access block."""
        body = "".join(f"<{flag}>true</{flag}>" for flag in flags)
        document = f"<PublicAccessBlockConfiguration>{body}</PublicAccessBlockConfiguration>".encode()
        self.assertEqual(200, self.request("PUT", "/bucket", body=document, query="publicAccessBlock").status)

    def denied(self, answer: Answer) -> None:
        """It was refused."""
        if answer.body:
            self.assert_error("AccessDenied", 403, answer)
        self.assertEqual(403, answer.status, answer.raw)

    def statuses(self, method: str, path: str, query: str = "", body: bytes = b"") -> list[int]:
        """What Alice, Bob and nobody get."""
        return [self.request(method, path, {}, body, query, sign).status for sign in (ALICE, BOB, None)]


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


class ListTests(AccessCase):
    """Access control lists of buckets and objects."""

    def test_public_read(self) -> None:
        """An object that all may read can be read by all, and nothing more."""
        self.set_acl("/bucket/key", name="public-read")
        self.assertEqual([200, 200, 200], self.statuses("GET", "/bucket/key"))
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/key", "acl"))
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket"))
        self.set_acl("/bucket/key", name="authenticated-read")
        self.assertEqual([200, 200, 403], self.statuses("GET", "/bucket/key"))
        self.set_acl("/bucket/key", name="private")
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/key"))

    def test_written_with_a_list(self) -> None:
        """PutObject, CopyObject and uploads take a list; a copy does not take its source's; another PUT forgets it."""
        public = {"x-amz-acl": "public-read"}
        self.put("/bucket/a", b"x", public)
        self.request("PUT", "/bucket/b", {**public, "x-amz-copy-source": "bucket/key"})
        self.request("PUT", "/bucket/c", {"x-amz-copy-source": "bucket/a"})
        upload = self.request("POST", "/bucket/d", public, query="uploads").text("UploadId")
        etag = self.request("PUT", "/bucket/d", query=f"partNumber=1&uploadId={upload}", body=b"x").headers["etag"]
        done = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
        body = f"{done}</CompleteMultipartUpload>".encode()
        self.request("POST", "/bucket/d", query=f"uploadId={upload}", body=body)
        found = {key: self.request("GET", f"/bucket/{key}", sign=None).status for key in "abcd"}
        self.assertEqual({"a": 200, "b": 200, "c": 403, "d": 200}, found)
        self.put("/bucket/a", b"y")
        self.denied(self.request("GET", "/bucket/a", sign=None))

    def test_public_write(self) -> None:
        """Who may write a bucket owns what it writes there; the bucket's owner can delete it, but not read it. What
        nobody in particular wrote is the bucket owner's."""
        self.set_acl("/bucket", name="public-read-write")
        self.assertEqual(200, self.request("PUT", "/bucket/bobs", body=b"bob", sign=BOB).status)
        self.assertEqual([403, 200, 403], self.statuses("GET", "/bucket/bobs"))
        listed = self.client().list_objects_v2(Bucket="bucket", FetchOwner=True)["Contents"]
        self.assertEqual([BOB.owner.id, ALICE.owner.id], [each["Owner"]["ID"] for each in listed])
        self.assertEqual(200, self.request("PUT", "/bucket/anybodys", body=b"x", sign=None).status)
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/anybodys"))
        self.assertEqual(ALICE.owner.id, self.request("GET", "/bucket/anybodys", query="acl").text("ID"))
        self.assertEqual([204, 204], [self.request("DELETE", f"/bucket/{k}").status for k in ("bobs", "anybodys")])

    def test_uploads_of_others(self) -> None:
        """An upload is for its initiator and for the bucket's owner."""
        self.set_acl("/bucket", name="public-read-write")
        upload = self.request("POST", "/bucket/up", query="uploads", sign=BOB).text("UploadId")
        self.assertEqual([200, 200, 403], self.statuses("GET", "/bucket/up", f"uploadId={upload}"))
        self.denied(self.request("DELETE", "/bucket/up", query=f"uploadId={upload}", sign=None))
        self.assertEqual(204, self.request("DELETE", "/bucket/up", query=f"uploadId={upload}", sign=BOB).status)

    def test_giving_access_on(self) -> None:
        """Who may write a list may, and does not become the owner by it."""
        self.set_acl("/bucket/key", acl(("WRITE_ACP", BOB.owner.id)))
        body = acl(("READ", BOB.owner.id), owner=BOB.owner.id)
        self.denied(self.request("PUT", "/bucket/key", {}, body, "acl", BOB))
        self.set_acl("/bucket/key", acl(("READ", BOB.owner.id)), sign=BOB)
        self.assertEqual([200, 200, 403], self.statuses("GET", "/bucket/key"))
        self.denied(self.request("PUT", "/bucket/key", {"x-amz-acl": "private"}, b"", "acl", BOB))

    def test_requests(self) -> None:
        """A request says what it wants in one way."""
        for headers, body, code in (
            ({}, b"", "MissingSecurityHeader"),
            ({"x-amz-acl": "private"}, acl(), "InvalidRequest"),
            ({"x-amz-acl": "public"}, b"", "InvalidArgument"),
            ({"x-amz-acl": "log-delivery-write"}, b"", "NotImplemented"),
            ({}, acl(("READ", "nobody")), "InvalidArgument"),
            ({}, b"<x/>", "MalformedXML"),
        ):
            for path in ("/bucket", "/bucket/key"):
                self.assertEqual(code, self.request("PUT", path, headers, body, "acl").error)
        self.assert_error("NotImplemented", 501, self.request("PUT", "/bucket/x", {"x-amz-acl": "aws-exec-read"}))

    def test_times(self) -> None:
        """A list changes nothing else about an object."""
        before = self.request("HEAD", "/bucket/key").headers
        self.gateway.clock.advance(5)
        self.set_acl("/bucket/key", name="public-read")
        after = self.request("HEAD", "/bucket/key").headers
        for name in ("last-modified", "etag", "x-amz-tagging-count"):
            self.assertEqual(before[name], after[name])

    def test_bucket_created_with_a_list(self) -> None:
        """A bucket may be created with a list; creating it again with another is refused."""
        public = {"x-amz-acl": "public-read"}
        self.assertEqual(200, self.request("PUT", "/open", public).status)
        self.assertEqual([200, 200, 200], self.statuses("GET", "/open"))
        self.assertEqual(200, self.request("PUT", "/open", public).status)
        self.assert_error("BucketAlreadyExists", 409, self.request("PUT", "/open"))
        self.assert_error("BucketAlreadyExists", 409, self.request("PUT", "/bucket", public))

    def test_response_headers(self) -> None:
        """Who does not sign cannot choose the headers of an answer."""
        self.set_acl("/bucket/key", name="public-read")
        answer = self.request("GET", "/bucket/key", query="response-content-type=text/html", sign=None)
        self.assert_error("InvalidRequest", 400, answer)


class PolicyTests(AccessCase):
    """Bucket policies over the wire."""

    def test_kept(self) -> None:
        """A policy comes back as it was put, and can be deleted."""
        text = (
            b'{ "Statement" : %s }' % json.dumps([{**ALLOW, "Action": "s3:GetObject", "Resource": f"{ARN}/*"}]).encode()
        )
        self.assertEqual(204, self.request("PUT", "/bucket", body=text, query="policy").status)
        self.assertEqual(text, self.request("GET", "/bucket", query="policy").body)
        self.assertEqual(text.decode(), self.client().get_bucket_policy(Bucket="bucket")["Policy"])
        self.assertEqual(204, self.request("DELETE", "/bucket", query="policy").status)
        self.assert_error("NoSuchBucketPolicy", 404, self.request("GET", "/bucket", query="policy"))
        self.denied(self.request("GET", "/bucket/key", sign=None))

    def test_refused(self) -> None:
        """What is no policy of this bucket is refused, and the one that there was stays."""
        self.set_policy({"Action": "s3:GetObject"})
        for body in (b"", b"x", policy({"Resource": "arn:aws:s3:::other"}), policy({"Action": "s3:Nothing"})):
            self.assert_error("MalformedPolicy", 400, self.request("PUT", "/bucket", body=body, query="policy"))
        body = policy({"Condition": {"StringEquals": {"aws:SourceVpc": "x"}}})
        answer = self.request("PUT", "/bucket", body=body, query="policy")
        self.assert_error("NotImplemented", 501, answer)
        self.assertEqual("aws:SourceVpc", answer.text("ConditionKey"))
        self.assertEqual(200, self.request("GET", "/bucket/key", sign=None).status)

    def test_deny_wins(self) -> None:
        """Over the same policy, over lists, over the owner."""
        self.set_acl("/bucket/key", name="public-read")
        self.set_policy(
            {"Action": "s3:GetObject"}, {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"{ARN}/key"}
        )
        self.put("/bucket/other", b"x")
        self.assertEqual([403, 403, 403], self.statuses("GET", "/bucket/key"))
        self.assertEqual([200, 200, 200], self.statuses("GET", "/bucket/other"))

    def test_objects_of_others(self) -> None:
        """A policy allows nobody to read an object that is not the bucket owner's, but can deny it to its owner. Its
        tags are the bucket owner's too."""
        self.set_policy({})
        self.assertEqual(200, self.request("PUT", "/bucket/bobs", body=b"x", sign=BOB).status)
        self.assertEqual([403, 200, 403], self.statuses("GET", "/bucket/bobs"))
        self.assertEqual([403, 200, 403], self.statuses("GET", "/bucket/bobs", "acl"))
        self.assertEqual([200, 200, 200], self.statuses("GET", "/bucket/bobs", "tagging"))
        self.set_policy({"Effect": "Deny", "Action": "s3:GetObject"})
        self.assertEqual([403, 403, 403], self.statuses("GET", "/bucket/bobs"))

    def test_conditions(self) -> None:
        """Conditions see the request: its connection, headers, tags and object."""
        for condition, headers, expected in (
            ({"Bool": {"aws:SecureTransport": "true"}}, {}, 403),
            ({"StringLike": {"aws:Referer": "http://x/*"}}, {"Referer": "http://x/y"}, 200),
            ({"StringLike": {"aws:Referer": "http://x/*"}}, {}, 403),
            ({"StringEquals": {"s3:ExistingObjectTag/security": "public"}}, {}, 200),
            ({"StringEquals": {"s3:ExistingObjectTag/security": "private"}}, {}, 403),
            ({"DateLessThan": {"aws:CurrentTime": "2026-09-21T14:13:21Z"}}, {}, 200),
            ({"DateLessThan": {"aws:CurrentTime": "2026-09-21T14:13:20Z"}}, {}, 403),
            ({"StringEquals": {"s3:authType": "REST-HEADER"}}, {}, 200),
            ({"NumericLessThan": {"s3:signatureAge": "1000"}}, {}, 200),
            ({"StringEquals": {"aws:username": "bob"}}, {}, 200),
        ):
            self.set_policy({"Action": "s3:GetObject", "Condition": condition})
            self.assertEqual(expected, self.request("GET", "/bucket/key", headers, sign=BOB).status, condition)

    def test_presigned(self) -> None:
        """A presigned URL is its signer, and says so."""
        url = self.client(BOB, signature_version="s3v4").generate_presigned_url(
            "get_object", {"Bucket": "bucket", "Key": "key"}
        )
        path, _, query = url.partition("/bucket/")[2].partition("?")
        self.denied(self.request("GET", f"/bucket/{path}", query=query, sign=None))
        self.set_policy({"Condition": {"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}})
        self.assertEqual(200, self.request("GET", f"/bucket/{path}", query=query, sign=None).status)
        self.denied(self.request("GET", "/bucket/key", sign=BOB))

    def test_tags_of_the_request(self) -> None:
        """Tags in a PUT take a permission of their own, and conditions see them, in a document too."""
        self.set_policy({"Action": "s3:PutObject"})
        tagged = {"x-amz-tagging": "a=b"}
        self.assertEqual(200, self.request("PUT", "/bucket/x", sign=BOB).status)
        self.denied(self.request("PUT", "/bucket/x", tagged, sign=BOB))
        self.set_policy(
            {
                "Action": ["s3:PutObject", "s3:PutObjectTagging"],
                "Condition": {"StringEquals": {"s3:RequestObjectTag/a": "b"}},
            }
        )
        self.denied(self.request("PUT", "/bucket/y", sign=BOB))
        self.assertEqual(200, self.request("PUT", "/bucket/y", tagged, sign=BOB).status)
        self.denied(self.request("PUT", "/bucket/y", {"x-amz-tagging": "a=c"}, sign=BOB))
        self.assertEqual(200, self.request("PUT", "/bucket/key", {}, TAGGING, "tagging", BOB).status)
        self.denied(self.request("PUT", "/bucket/key", {}, TAGGING.replace(b">b<", b">c<"), "tagging", BOB))

    def test_lists_in_a_put(self) -> None:
        """A list that grants something to others takes a permission of its own."""
        self.set_policy({"Action": "s3:PutObject"})
        for headers, expected in (
            ({"x-amz-acl": "private"}, 200),
            ({"x-amz-acl": "bucket-owner-full-control"}, 200),
            ({"x-amz-grant-full-control": f"id={ALICE.owner.id}"}, 200),
            ({"x-amz-acl": "public-read"}, 403),
            ({"x-amz-grant-read": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}, 403),
        ):
            self.assertEqual(expected, self.request("PUT", "/bucket/x", headers, sign=BOB).status, headers)
        self.set_policy({"Action": ["s3:PutObject", "s3:PutObjectAcl"]})
        self.assertEqual(200, self.request("PUT", "/bucket/x", {"x-amz-acl": "public-read"}, sign=BOB).status)

    def test_copies(self) -> None:
        """A copy takes the reading of its source, and of its tags, and the writing of its destination."""
        self.request("PUT", "/bobs", sign=BOB)
        copy = {"x-amz-copy-source": "bucket/key"}
        for actions, expected in (
            (["s3:GetObject"], 403),
            (["s3:GetObjectTagging"], 403),
            (["s3:GetObject", "s3:GetObjectTagging"], 200),
        ):
            self.set_policy({"Action": actions})
            self.assertEqual(expected, self.request("PUT", "/bobs/x", copy, sign=BOB).status, actions)
        self.set_policy({"Action": "s3:GetObject"})
        replaced = {**copy, "x-amz-tagging-directive": "REPLACE"}
        self.assertEqual(200, self.request("PUT", "/bobs/x", replaced, sign=BOB).status)
        self.denied(self.request("PUT", "/bucket/x", replaced, sign=BOB))

    def test_multi_delete(self) -> None:
        """Each key is decided on its own."""
        self.put("/bucket/tmp/a", b"x")
        self.set_policy({"Action": "s3:DeleteObject", "Resource": f"{ARN}/tmp/*"})
        answer = self.client(BOB).delete_objects(
            Bucket="bucket",
            Delete={"Objects": [{"Key": "tmp/a"}, {"Key": "key"}, {"Key": "tmp/b", "VersionId": "null"}]},
        )
        self.assertEqual(["tmp/a"], [each["Key"] for each in answer["Deleted"]])
        self.assertEqual(
            [("key", "AccessDenied"), ("tmp/b", "AccessDenied")],
            [(each["Key"], each["Code"]) for each in answer["Errors"]],
        )
        self.assertEqual(b"hello", self.get("/bucket/key"))

    def test_versions(self) -> None:
        """A named version takes the permission for versions."""
        self.set_policy({"Action": "s3:GetObject"})
        self.assertEqual(200, self.request("GET", "/bucket/key", sign=BOB).status)
        self.denied(self.request("GET", "/bucket/key", query="versionId=null", sign=BOB))
        self.set_policy({"Action": "s3:GetObjectVersion"})
        self.denied(self.request("GET", "/bucket/key", sign=BOB))
        self.assertEqual(200, self.request("GET", "/bucket/key", query="versionId=null", sign=BOB).status)

    def test_hot_objects(self) -> None:
        """What is in memory is decided as anything else."""
        for _ in range(3):
            self.assertEqual(b"hello", self.get("/bucket/key"))
            self.denied(self.request("GET", "/bucket/key", sign=BOB))
            self.denied(self.request("HEAD", "/bucket/key", sign=None))

    def test_changes_count_at_once(self) -> None:
        """The next request meets the policy of now."""
        for effect, expected in (("Allow", 200), ("Deny", 403), ("Allow", 200)):
            self.set_policy({"Effect": effect, "Action": "s3:GetObject"})
            self.assertEqual(expected, self.request("GET", "/bucket/key", sign=BOB).status)

    def test_status(self) -> None:
        """A bucket is public by its policy or by its list, unless that is kept from counting."""

        def public() -> bool:
            return self.request("GET", "/bucket", query="policyStatus").text("IsPublic") == "true"

        self.assertFalse(public())
        self.set_policy({"Action": "s3:GetObject"})
        self.assertTrue(public())
        self.set_policy({"Action": "s3:GetObject", "Principal": {"AWS": BOB.owner.id}})
        self.assertFalse(public())
        self.set_acl("/bucket", name="authenticated-read")
        self.assertTrue(public())
        self.block("IgnorePublicAcls")
        self.assertFalse(public())


class BlockTests(AccessCase):
    """Public access block."""

    def test_documents(self) -> None:
        """It comes back whole; what is no such document is refused."""
        self.block("BlockPublicAcls", "RestrictPublicBuckets")
        self.assertEqual(
            {
                "BlockPublicAcls": True,
                "IgnorePublicAcls": False,
                "BlockPublicPolicy": False,
                "RestrictPublicBuckets": True,
            },
            self.client().get_public_access_block(Bucket="bucket")["PublicAccessBlockConfiguration"],
        )
        for body in (b"", b"<x/>", b"<PublicAccessBlockConfiguration><x>true</x></PublicAccessBlockConfiguration>"):
            answer = self.request("PUT", "/bucket", body=body, query="publicAccessBlock")
            self.assert_error("MalformedXML", 400, answer)
        self.assertEqual(204, self.request("DELETE", "/bucket", query="publicAccessBlock").status)
        answer = self.request("GET", "/bucket", query="publicAccessBlock")
        self.assert_error("NoSuchPublicAccessBlockConfiguration", 404, answer)

    def test_block_acls(self) -> None:
        """Requests that bring a public list are refused, whatever they do; others are not."""
        self.block("BlockPublicAcls")
        public = {"x-amz-acl": "public-read"}
        for method, path, query in (
            ("PUT", "/bucket", "acl"),
            ("PUT", "/bucket/key", "acl"),
            ("PUT", "/bucket/x", ""),
            ("POST", "/bucket/x", "uploads"),
        ):
            self.denied(self.request(method, path, public, b"", query))
        self.denied(self.request("PUT", "/bucket/x", {**public, "x-amz-copy-source": "bucket/key"}))
        self.set_acl("/bucket", acl(("READ", BOB.owner.id)))
        self.put("/bucket/x", b"", {"x-amz-acl": "private"})

    def test_ignore_acls(self) -> None:
        """Groups have nothing by lists; users that are named keep what they have."""
        self.set_acl("/bucket/key", name="public-read")
        self.block("IgnorePublicAcls")
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/key"))
        self.set_acl("/bucket/key", acl(("READ", BOB.owner.id)))
        self.assertEqual([200, 200, 403], self.statuses("GET", "/bucket/key"))

    def test_block_policy(self) -> None:
        """A public policy is refused, one for named users is not."""
        self.block("BlockPublicPolicy")
        self.denied(self.request("PUT", "/bucket", body=policy({"Action": "s3:GetObject"}), query="policy"))
        self.set_policy({"Principal": {"AWS": BOB.owner.id}})
        self.set_policy({"Effect": "Deny", "Action": "s3:DeleteObject"})

    def test_restrict(self) -> None:
        """A public policy allows nobody but the owner, not even users that it names; one that is not public does."""
        named = {"Action": "s3:GetObject", "Principal": {"AWS": BOB.owner.id}}
        self.set_policy({"Action": "s3:GetObject"}, named)
        self.assertEqual([200, 200, 200], self.statuses("GET", "/bucket/key"))
        self.block("RestrictPublicBuckets")
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/key"))
        self.set_policy(named)
        self.assertEqual([200, 200, 403], self.statuses("GET", "/bucket/key"))


class OwnershipTests(AccessCase):
    """Whose what is written in somebody else's bucket is."""

    def own(self, ownership: str) -> None:
        """Alice sets the ownership controls, and lets everybody write."""
        body = f"<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>"
        answer = self.request("PUT", "/bucket", body=body.encode(), query="ownershipControls")
        self.assertEqual(200, answer.status, answer.body)
        self.set_policy({})

    def owners(self) -> list[str | None]:
        """Who owns what Bob writes: without a list, with full control for the bucket's owner, with a private one."""
        found: list[str | None] = []
        for headers in ({}, {"x-amz-acl": "bucket-owner-full-control"}, {"x-amz-acl": "private"}):
            answer = self.request("PUT", "/bucket/x", headers, b"x", sign=BOB)
            if answer.status != 200:
                found.append(answer.error)
                continue
            listed = self.client().list_objects_v2(Bucket="bucket", Prefix="x", FetchOwner=True)["Contents"]
            found.append({ALICE.owner.id: "alice", BOB.owner.id: "bob"}[listed[0]["Owner"]["ID"]])
        return found

    def test_writer(self) -> None:
        """By default, and by name, the writer's."""
        self.set_policy({})
        self.assertEqual(["bob", "bob", "bob"], self.owners())
        self.own("ObjectWriter")
        self.assertEqual(["bob", "bob", "bob"], self.owners())

    def test_preferred(self) -> None:
        """The bucket owner's, if the writer says so."""
        self.own("BucketOwnerPreferred")
        self.assertEqual(["bob", "alice", "bob"], self.owners())

    def test_enforced(self) -> None:
        """The bucket owner's, what was there before too; and lists mean nothing."""
        self.set_acl("/bucket/key", name="public-read")
        self.set_policy({})
        self.request("PUT", "/bucket/bobs", body=b"x", sign=BOB)
        self.own("BucketOwnerEnforced")
        self.assertEqual(["alice", "alice", "AccessControlListNotSupported"], self.owners())
        for path in ("/bucket", "/bucket/key"):
            answer = self.request("PUT", path, {"x-amz-acl": "private"}, b"", "acl")
            self.assert_error("AccessControlListNotSupported", 400, answer)
            self.assertEqual(["FULL_CONTROL"], self.request("GET", path, query="acl").texts("Permission"))
        self.request("DELETE", "/bucket", query="policy")
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/key"))
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/bobs"))
        self.request("DELETE", "/bucket", query="ownershipControls")
        self.assertEqual([200, 200, 200], self.statuses("GET", "/bucket/key"))
        self.assertEqual([403, 200, 403], self.statuses("GET", "/bucket/bobs"))

    def test_documents(self) -> None:
        """It comes back; a bucket whose list grants to others cannot have it enforced; nonsense is refused."""
        self.own("BucketOwnerPreferred")
        rules = self.client().get_bucket_ownership_controls(Bucket="bucket")["OwnershipControls"]["Rules"]
        self.assertEqual([{"ObjectOwnership": "BucketOwnerPreferred"}], rules)
        self.set_acl("/bucket", name="public-read")
        body = b"<OwnershipControls><Rule><ObjectOwnership>%s</ObjectOwnership></Rule></OwnershipControls>"
        answer = self.request("PUT", "/bucket", body=body % b"BucketOwnerEnforced", query="ownershipControls")
        self.assert_error("InvalidBucketAclWithObjectOwnership", 400, answer)
        for nonsense in (b"", b"<OwnershipControls/>", body % b"Nobody"):
            answer = self.request("PUT", "/bucket", body=nonsense, query="ownershipControls")
            self.assert_error("MalformedXML", 400, answer)

    def test_new_bucket(self) -> None:
        """A bucket may be created with it, but not with lists at the same time."""
        headers = {"x-amz-object-ownership": "BucketOwnerEnforced"}
        both = {**headers, "x-amz-acl": "public-read"}
        self.assert_error("InvalidBucketAclWithObjectOwnership", 400, self.request("PUT", "/new", both))
        self.assertEqual(200, self.request("PUT", "/new", headers).status)
        found = self.request("GET", "/new", query="ownershipControls").text("ObjectOwnership")
        self.assertEqual("BucketOwnerEnforced", found)


class OpenTests(GatewayTestCase):
    """``--auth=none``: everybody may do everything."""

    keys = ()

    def test_policies_do_not_count(self) -> None:
        """Policies and lists can be put, come back, and keep nobody from anything."""
        self.make_bucket()
        self.put("/bucket/key", b"hello", {"x-amz-acl": "public-read"})
        body = policy({"Effect": "Deny"})
        self.assertEqual(204, self.request("PUT", "/bucket", body=body, query="policy").status)
        self.assertEqual(b"hello", self.get("/bucket/key"))
        self.assertEqual(204, self.request("DELETE", "/bucket/key").status)
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/key"))
        self.assertEqual(body, self.request("GET", "/bucket", query="policy").body)
