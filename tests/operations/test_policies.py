"""Bucket policies and public access block over the wire."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode

from tests.operations.access import ARN, TAGGING, AccessCase, acl, policy
from tests.operations.harness import ALICE, BOB, GatewayTestCase

ALLOW = {"Effect": "Allow", "Principal": "*"}


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

    def test_long_headers(self) -> None:
        """A header that is too long to be held against a pattern denies the request: it might be one that is denied."""
        self.set_policy(
            {"Effect": "Deny", "Action": "s3:GetObject", "Condition": {"StringLike": {"aws:Referer": "x*"}}}
        )
        for length, expected in ((4096, 200), (4097, 403)):
            self.assertEqual(expected, self.request("GET", "/bucket/key", {"Referer": "y" * length}).status)

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

    def test_locks(self) -> None:
        """To lock what one writes, and to overlook a lock, take permissions of their own."""
        self.assertEqual(200, self.request("PUT", "/locked", {"x-amz-bucket-object-lock-enabled": "true"}).status)
        until = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"}
        digest = {"Content-MD5": b64encode(hashlib.md5(b"").digest()).decode()}

        def let(*actions: str) -> None:
            statement = {**ALLOW, "Action": actions, "Resource": "arn:aws:s3:::locked/*"}
            self.assertEqual(204, self.request("PUT", "/locked", body=policy(statement), query="policy").status)

        let("s3:PutObject")
        self.denied(self.request("PUT", "/locked/key", {**until, **digest}, sign=BOB))
        let("s3:PutObject", "s3:PutObjectRetention", "s3:DeleteObjectVersion")
        answer = self.request("PUT", "/locked/key", {**until, **digest}, sign=BOB)
        self.assertEqual(200, answer.status, answer.body)
        version = f"versionId={answer.headers['x-amz-version-id']}"
        bypass = {"x-amz-bypass-governance-retention": "true"}
        self.denied(self.request("DELETE", "/locked/key", bypass, query=version, sign=BOB))
        hold = {"x-amz-object-lock-legal-hold": "ON"}
        self.denied(self.request("PUT", "/locked/held", {**hold, **digest}, sign=BOB))
        let("s3:DeleteObjectVersion", "s3:BypassGovernanceRetention")
        self.denied(self.request("DELETE", "/locked/key", query=version, sign=BOB))
        self.assertEqual(204, self.request("DELETE", "/locked/key", bypass, query=version, sign=BOB).status)

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
