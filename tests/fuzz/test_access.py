"""Policies and access control lists that are almost right: a value or an `S3Error`, and nothing more is allowed by one
that nobody could have meant."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.access.acl import of_headers, parse_acl
from s3gw.access.facts import ANONYMOUS, Facts
from s3gw.access.policy import MAX_BYTES, Effect, Policy, parse_policy
from s3gw.model import Owner
from s3gw.s3.head import RequestHead
from tests.fuzz.mutation import fuzz, mutated, mutated_text
from tests.fuzz.test_parsers import outcome

POLICIES = [
    b'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "bob"}, "Action": "s3:Get*",'
    b' "Resource": "arn:aws:s3:::b/*", "Condition": {"StringLike": {"aws:Referer": ["http://x/*"]}}}]}',
    b'{"Statement": {"Effect": "Deny", "NotPrincipal": {"AWS": ["arn:aws:iam:::user/bob"]}, "NotAction": "*",'
    b' "NotResource": "arn:aws:s3:::b/${aws:userid}", "Condition": {"NumericLessThan": {"s3:max-keys": 10},'
    b' "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}}}',
]
PIECES = [
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"*",
        b"?",
        b"${",
        b"}",
        b"null",
        b"true",
        b"1e999",
        b"[" * 2000,
        b"\\ud800",
        b"9" * 5000,
    ),
    *(b'"Not', b"IfExists", b"ForAnyValue:", b"ForAllValues:", b"Null", b"s3:", b"arn:aws:s3:::b", b"*" * 300, b"\xff"),
]
LISTS = [
    b"<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList><Grant><Grantee><ID>me</ID></Grantee>"
    b"<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
]


class Users:
    """A directory of one."""

    def knows(self, user: str) -> bool:
        """Me."""
        return user == "me"

    def id_of_email(self, address: str) -> str | None:
        """Nobody has an address."""
        return None


class AccessTests(SynchronousTestCase):
    @fuzz(300)
    @given(mutated(POLICIES, PIECES), st.sampled_from(["bob", "carol", ANONYMOUS.id]), st.text("abc/*?$", max_size=8))
    def test_policies(self, document: bytes, caller: str, key: str) -> None:
        """What is taken for a policy can be asked, and is the JSON object that it seems to be."""
        found = outcome(lambda: parse_policy(document, "b"))
        if not isinstance(found, Policy):
            return
        self.assertLessEqual(len(document), MAX_BYTES)
        self.assertIn("Statement", json.loads(document))
        head = RequestHead("GET", "/b?max-keys=5", {"referer": "http://x/y", "x-amz-copy-source": key})
        facts = Facts(Owner(caller, caller), head, peer="10.0.0.1", now=1_790_000_000_000)
        effect = outcome(lambda: found.says("s3:GetObject", f"arn:aws:s3:::b/{key}", facts))
        self.assertIsInstance(effect, Effect)

    @fuzz(200)
    @given(
        mutated(
            LISTS, [b"<Grant>", b"</Grant>", b"<URI>", b"</URI>", b"<EmailAddress>", b"&x;", b"me", b"FULL_CONTROL"]
        ),
        mutated_text(
            ['id="me"', "id=me,uri=x", "emailAddress=a@b"], [",", '"', "=", " ", "id", "uri", "\xff", "," * 50]
        ),
        mutated_text(["public-read", "private", "bucket-owner-read"], ["-", "public", ""]),
    )
    def test_lists(self, document: bytes, grants: str, name: str) -> None:
        """What is taken for a list grants to users that there are, and to groups."""
        for read in (
            lambda: parse_acl(document, "me", Users()),
            lambda: of_headers({"x-amz-grant-read": grants}, "me", "me", Users()),
            lambda: of_headers({"x-amz-acl": name}, "me", "me", Users()),
        ):
            found = outcome(read)
            for grant in found if isinstance(found, tuple) else ():
                self.assertTrue(grant.user in ("me", ANONYMOUS.id) or grant.group.startswith("http"), grant)
