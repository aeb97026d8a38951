"""Bucket policies: what is refused when they are put, and what they say, against a direct reading of the rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.access.facts import ANONYMOUS, KEYS, KNOWN_TO_AWS, Facts, arn_of
from s3gw.access.policy import MAX_BYTES, Effect, Policy, parse_policy
from s3gw.errors import MalformedPolicy, NotImplemented
from s3gw.model import Owner
from s3gw.s3.head import RequestHead

ALICE, BOB, CAROL = (Owner(name, name) for name in ("alice", "bob", "carol"))
CALLERS = (ALICE, BOB, CAROL, ANONYMOUS)
BUCKET = "arn:aws:s3:::bucket"


def policy_of(*statements: Mapping[str, Any], version: str = "2012-10-17") -> Policy:
    """A policy of these statements, what they leave out filled in."""
    least = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{BUCKET}/*"}
    filled = []
    for statement in statements:
        given_ = {name.removeprefix("Not") for name in statement}
        filled.append({**{name: value for name, value in least.items() if name not in given_}, **statement})
    return parse_policy(json.dumps({"Version": version, "Statement": filled}).encode(), "bucket")


def facts(caller: Owner = BOB, path: str = "/", headers: Mapping[str, str] | None = None, **more: Any) -> Facts:
    """A request."""
    return Facts(caller, RequestHead("GET", path, headers or {}, secure=more.pop("secure", False)), **more)


def says(policy: Policy, action: str = "s3:GetObject", key: str = "key", asked: Facts | None = None) -> Effect:
    """What a policy says of a request for a key; of one for the bucket without one."""
    return policy.says(action, f"{BUCKET}/{key}" if key else BUCKET, asked or facts())


class RefusalTests(SynchronousTestCase):
    def refused(self, document: object, part: str = "") -> None:
        """A document is no policy."""
        text = document if isinstance(document, bytes) else json.dumps(document).encode()
        error = self.assertRaises(MalformedPolicy, parse_policy, text, "bucket")
        self.assertIn(part, error.message)

    def test_documents(self) -> None:
        """What is no JSON, no object, too long, or says a thing twice."""
        for text in (b"", b"[]", b"null", b"{", b"\xff", b' {"Statement": []}', b'{"Statement": NaN}', b"[" * 20_000):
            self.refused(text, "valid JSON")
        self.refused(b'{"Id": "\\ud800"}', "valid JSON")
        self.refused(b'{"Version": "2012-10-17", "Version": "2012-10-17"}', "twice")
        good = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{BUCKET}/*"}
        self.refused({"Statement": [good], "Id": "x" * MAX_BYTES}, "maximum allowed document size")
        many = json.dumps({"Statement": {**good, "Resource": f"{BUCKET}/" + "?" * 257}}).replace("?", "\\u003f")
        self.refused(many.encode(), "question marks")
        self.refused({"Statement": good, "More": 1}, "Unknown field More")
        self.refused({"Statement": good, "Version": "2020-01-01"}, "valid version")
        self.refused({"Version": "2012-10-17"}, "Missing required field Statement")
        self.refused({"Statement": []}, "empty")
        self.refused({"Statement": ["x"]}, "object")
        self.refused({"Statement": good, "Id": 1}, "Id")
        self.refused({"Statement": [{**good, "Sid": "a"}, {**good, "Sid": "a"}]}, "unique")
        self.refused({"Statement": [{**good, "Sid": 1}]}, "Sid")
        for name in good:
            self.refused({"Statement": {key: value for key, value in good.items() if key != name}}, name)
        parse_policy(json.dumps({"Statement": [{**good, "Sid": "a b"}, {**good, "Sid": ""}]}).encode(), "bucket")

    def test_statements(self) -> None:
        """Elements with values that S3 does not take."""
        for statement, part in (
            ({"Effect": "allow"}, "Invalid effect"),
            ({"More": 1}, "Unknown field More"),
            ({"Principal": "alice"}, "Invalid principal"),
            ({"Principal": {}}, "Invalid principal"),
            ({"Principal": {"AWS": []}}, "Invalid principal"),
            ({"Principal": {"AWS": ["a b"]}}, "Invalid principal"),
            ({"Principal": {"AWS": "al*"}}, "Invalid principal"),
            ({"Principal": {"AWS": "arn:aws:iam::*:root"}}, "Invalid principal"),
            ({"Principal": {"AWS": "arn:aws:iam::1:group/x"}}, "Invalid principal"),
            ({"Principal": {"AWS": "arn:aws:s3:::bucket"}}, "Invalid principal"),
            ({"Principal": {"CanonicalUser": "*"}}, "Invalid principal"),
            ({"Principal": {"User": "x"}}, "Invalid principal"),
            ({"NotPrincipal": {"AWS": "alice"}}, "NotPrincipal"),
            ({"Effect": "Deny", "Principal": "*", "NotPrincipal": {"AWS": "alice"}}, "both"),
            ({"Action": "GetObject"}, "invalid action"),
            ({"Action": "s3:GetObjet"}, "invalid action"),
            ({"Action": "ec2:*"}, "invalid action"),
            ({"Action": []}, "invalid action"),
            ({"Action": ["s3:GetObject", 1]}, "invalid action"),
            ({"Action": "s3:GetObject", "NotAction": "s3:GetObject"}, "both"),
            ({"Resource": "bucket"}, "invalid resource"),
            ({"Resource": "arn:aws:s3:::other/*"}, "invalid resource"),
            ({"Resource": "arn:aws:s3:::bucketeer/*"}, "invalid resource"),
            ({"Resource": [f"{BUCKET}/*", "arn:aws:s3:::"]}, "invalid resource"),
            ({"Resource": f"{BUCKET}/${{aws:nobody}}"}, "condition key"),
            ({"Resource": f"{BUCKET}/${{"}, "invalid resource"),
            ({"Condition": []}, "Invalid Condition"),
            ({"Condition": {"StringEquals": "x"}}, "Invalid Condition"),
            ({"Condition": {"StringEquals": {"aws:Referer": {}}}}, "Invalid Condition"),
            ({"Condition": {"StringEquals": {"aws:Referer": None}}}, "Invalid Condition"),
            ({"Condition": {"StringIs": {"aws:Referer": "x"}}}, "Invalid Condition type : StringIs"),
            ({"Condition": {"NumericEquals": {"s3:max-keys": "ten"}}}, "Invalid value"),
            ({"Condition": {"StringEquals": {"s3:Prefx": "x"}}}, "invalid condition key: s3:Prefx"),
            ({"Condition": {"StringEquals": {"s3:ExistingObjectTag": "x"}}}, "invalid condition key"),
            ({"Condition": {"StringEquals": {"aws:Referer": "${"}}}, "Invalid value"),
            ({"Condition": {"StringEquals": {"aws:Referer": "${x:y}"}}}, "invalid condition key"),
        ):
            error = self.assertRaises(MalformedPolicy, policy_of, statement)
            self.assertIn(part, error.message, statement)

    def test_not_implemented(self) -> None:
        """What AWS knows and we do not is refused by its name."""
        for key in sorted(KNOWN_TO_AWS):
            error = self.assertRaises(NotImplemented, policy_of, {"Condition": {"StringEquals": {key: "x"}}})
            self.assertIn(key, error.message)
        self.assertRaises(NotImplemented, policy_of, {"Condition": {"StringEquals": {"aws:PrincipalTag/x": "x"}}})
        for kind in ("Service", "Federated"):
            self.assertRaises(NotImplemented, policy_of, {"Principal": {kind: "x.amazonaws.com"}})
        self.assertEqual(set(), KNOWN_TO_AWS & KEYS.keys())


class ElementTests(SynchronousTestCase):
    """What each element means."""

    def test_principals(self) -> None:
        """Users are named in four ways; a role is nobody."""
        for name in ("bob", arn_of("bob"), "arn:aws:iam::bob:root", "arn:aws:iam::bob:user/bob"):
            policy = policy_of({"Principal": {"AWS": name}})
            said = [says(policy, asked=facts(caller)) for caller in CALLERS]
            self.assertEqual([Effect.SILENT, Effect.ALLOW, Effect.SILENT, Effect.SILENT], said, name)
        policy = policy_of({"Principal": {"CanonicalUser": ["bob", "carol"], "AWS": ["arn:aws:iam::1:role/bob"]}})
        said = [says(policy, asked=facts(caller)) for caller in CALLERS]
        self.assertEqual([Effect.SILENT, Effect.ALLOW, Effect.ALLOW, Effect.SILENT], said)
        for everyone in ("*", {"AWS": "*"}, {"AWS": ["*", "bob"]}):
            policy = policy_of({"Principal": everyone})
            self.assertEqual({Effect.ALLOW}, {says(policy, asked=facts(caller)) for caller in CALLERS})
        policy = policy_of({"Principal": {"AWS": ["arn:aws:iam::1:role/bob", "arn:aws:iam::other:user/bob"]}})
        self.assertEqual({Effect.SILENT}, {says(policy, asked=facts(caller)) for caller in CALLERS})

    def test_not_principal(self) -> None:
        """All but these, anonymous callers too."""
        policy = policy_of({"Effect": "Deny", "NotPrincipal": {"AWS": "alice"}})
        said = [says(policy, asked=facts(caller)) for caller in CALLERS]
        self.assertEqual([Effect.SILENT, Effect.DENY, Effect.DENY, Effect.DENY], said)

    def test_actions(self) -> None:
        """Actions know no case, and have wild cards."""
        for pattern, action, expected in (
            ("s3:getobject", "s3:GetObject", True),
            ("s3:GetObject", "s3:GetObjectAcl", False),
            ("s3:GetObject*", "s3:GetObjectAcl", True),
            ("s3:?etObject", "s3:GetObject", True),
            ("*", "s3:PutBucketPolicy", True),
            ("s3:*", "s3:PutBucketPolicy", True),
        ):
            said = says(policy_of({"Action": ["s3:RestoreObject", pattern]}), action)
            self.assertEqual(Effect.ALLOW if expected else Effect.SILENT, said, pattern)
            said = says(policy_of({"NotAction": ["s3:RestoreObject", pattern]}), action)
            self.assertEqual(Effect.SILENT if expected else Effect.ALLOW, said, pattern)

    def test_resources(self) -> None:
        """Resources are the bucket and its keys; the bucket is none of its keys."""
        for pattern, key, expected in (
            (f"{BUCKET}/*", "a/b", True),
            (f"{BUCKET}/*", "", False),
            (BUCKET, "", True),
            (BUCKET, "key", False),
            (f"{BUCKET}/a?/*", "ab/c", True),
            (f"{BUCKET}/a?/*", "ab", False),
            ("*", "key", True),
            ("arn:aws:s3:::*", "key", True),
            ("arn:aws:s3:::buck*/x", "x", True),
            (f"{BUCKET}/KEY", "key", False),
        ):
            said = says(policy_of({"Resource": pattern}), key=key)
            self.assertEqual(Effect.ALLOW if expected else Effect.SILENT, said, pattern)
            said = says(policy_of({"NotResource": pattern}), key=key)
            self.assertEqual(Effect.SILENT if expected else Effect.ALLOW, said, pattern)

    def test_home_directories(self) -> None:
        """A variable gives every user a place of its own, in the newer version only."""
        statement = {"Resource": f"{BUCKET}/home/${{aws:userid}}/*"}
        self.assertEqual(Effect.ALLOW, says(policy_of(statement), key="home/bob/x"))
        self.assertEqual(Effect.SILENT, says(policy_of(statement), key="home/carol/x"))
        old = policy_of(statement, version="2008-10-17")
        self.assertEqual(Effect.SILENT, says(old, key="home/bob/x"))
        self.assertEqual(Effect.ALLOW, says(old, key="home/${aws:userid}/x"))

    def test_keys(self) -> None:
        """Every condition key finds what the request says, in whatever case it is spelt."""
        tags = {"x-amz-tagging": "a=1&b=2"}
        for key, value, asked in (
            ("aws:CurrentTime", "2026-09-21T14:13:20.000Z", facts(now=1_790_000_000_123)),
            ("aws:EpochTime", "1790000000", facts(now=1_790_000_000_123)),
            ("aws:PrincipalAccount", "bob", facts()),
            ("aws:PrincipalArn", "arn:aws:iam:::user/bob", facts()),
            ("aws:PrincipalType", "User", facts()),
            ("aws:PrincipalType", "Anonymous", facts(ANONYMOUS)),
            ("aws:Referer", "http://x", facts(headers={"referer": "http://x"})),
            ("aws:SecureTransport", "true", facts(secure=True)),
            ("AWS:securetransport", "false", facts()),
            ("aws:SourceIp", "192.0.2.1", facts(peer="::ffff:192.0.2.1")),
            ("aws:UserAgent", "curl", facts(headers={"user-agent": "curl"})),
            ("aws:userid", "bob", facts()),
            ("aws:userid", "anonymous", facts(ANONYMOUS)),
            ("aws:username", "bob", facts()),
            ("aws:ResourceAccount", "alice", facts(owner="alice")),
            ("s3:ResourceAccount", "alice", facts(owner="alice")),
            ("s3:authType", "REST-HEADER", facts(auth_type="REST-HEADER")),
            ("s3:signatureversion", "AWS4-HMAC-SHA256", facts(auth_type="POST")),
            ("s3:signatureAge", "1500", facts(now=2500, signed_at=1000)),
            ("s3:prefix", "a/", facts(path="/b?prefix=a/")),
            ("s3:prefix", "key", facts(path="/b", prefix="key")),
            ("s3:delimiter", "/", facts(path="/b?delimiter=/")),
            ("s3:max-keys", "7", facts(path="/b?max-keys=7")),
            ("s3:VersionId", "v", facts(path="/b/k?versionId=v")),
            ("s3:if-match", "e", facts(headers={"if-match": "e"})),
            ("s3:if-none-match", "*", facts(headers={"if-none-match": "*"})),
            ("s3:x-amz-copy-source", "source/a b", facts(headers={"x-amz-copy-source": "/source/a%20b?versionId=v"})),
            ("s3:x-amz-copy-source", "nonsense", facts(headers={"x-amz-copy-source": "nonsense"})),
            ("s3:ExistingObjectTag/A", "1", facts(existing_tags=(("a", "0"), ("A", "1")))),
            ("S3:existingobjecttag/A", "1", facts(existing_tags=(("A", "1"),))),
            ("s3:RequestObjectTag/b", "2", facts(headers=tags)),
            ("s3:RequestObjectTag/b", "3", facts(headers=tags, request_tags=(("b", "3"),))),
            ("s3:RequestObjectTagKeys", "a", facts(headers=tags)),
            *((key, "v", facts(headers={key.removeprefix("s3:"): "v"})) for key in KEYS if _is_header(key)),
        ):
            policy = policy_of({"Condition": {"StringEquals": {key: value}}})
            self.assertEqual(Effect.ALLOW, says(policy, asked=asked), key)
            there = policy_of({"Condition": {"Null": {key: "false"}}})
            self.assertEqual(Effect.ALLOW, says(there, asked=asked), key)

    def test_absent_keys(self) -> None:
        """A request that says nothing has none of the keys but those that every request has."""
        always = {"aws:currenttime", "aws:epochtime", "aws:principaltype", "aws:securetransport", "aws:userid"}
        for key in (*KEYS, "s3:ExistingObjectTag/x", "s3:RequestObjectTag/x"):
            policy = policy_of({"Condition": {"Null": {key: "true"}}})
            expected = Effect.SILENT if key in always else Effect.ALLOW
            self.assertEqual(expected, says(policy, asked=facts(ANONYMOUS)), key)

    def test_values(self) -> None:
        """Conditions are all to hold, of the values of one any."""
        policy = policy_of(
            {
                "Condition": {
                    "StringEquals": {"aws:Referer": ["a", "b"], "aws:UserAgent": "c"},
                    "Bool": {"aws:SecureTransport": True},
                    "NumericLessThan": {"s3:max-keys": 10},
                }
            }
        )
        headers = {"referer": "b", "user-agent": "c"}
        self.assertEqual(Effect.ALLOW, says(policy, asked=facts(path="/?max-keys=9", headers=headers, secure=True)))
        for path, changed, secure in (
            ("/?max-keys=10", headers, True),
            ("/?max-keys=9", headers, False),
            ("/?max-keys=9", {**headers, "referer": "c"}, True),
            ("/?max-keys=9", {"referer": "a"}, True),
        ):
            self.assertEqual(Effect.SILENT, says(policy, asked=facts(path=path, headers=changed, secure=secure)))


def _is_header(key: str) -> bool:
    return key.startswith("s3:x-amz-") and key != "s3:x-amz-copy-source"


class PublicTests(SynchronousTestCase):
    def test_table(self) -> None:
        """A policy is public that allows everybody, and fixes nowhere who that is."""
        ip, agent = "aws:SourceIp", "aws:UserAgent"
        for statement, public in (
            ({}, True),
            ({"Principal": {"AWS": "*"}}, True),
            ({"Principal": {"AWS": "bob"}}, False),
            ({"Effect": "Deny"}, False),
            ({"Condition": {"IpAddress": {ip: "10.0.0.0/32"}}}, False),
            ({"Condition": {"IpAddress": {ip: ["10.0.0.0/8", "11.0.0.0/7"]}}}, True),
            ({"Condition": {"IpAddress": {ip: "0.0.0.0/1"}}}, True),
            ({"Condition": {"IpAddress": {ip: "2001:db8::/32"}}}, False),
            ({"Condition": {"IpAddress": {ip: "::/0"}}}, True),
            ({"Condition": {"IpAddressIfExists": {ip: "10.0.0.0/32"}}}, True),
            ({"Condition": {"NotIpAddress": {ip: "10.0.0.0/32"}}}, True),
            ({"Condition": {"StringEquals": {"aws:userid": "bob"}}}, False),
            ({"Condition": {"StringLike": {"aws:userid": "b*"}}}, True),
            ({"Condition": {"ForAllValues:StringEquals": {"aws:userid": "bob"}}}, True),
            ({"Condition": {"StringEquals": {"aws:PrincipalAccount": "bob"}}}, False),
            ({"Condition": {"StringEquals": {agent: "bob"}}}, True),
            ({"Condition": {"StringEquals": {agent: "bob", "aws:userid": "bob"}}}, False),
        ):
            self.assertIs(policy_of(statement).public, public, statement)
        self.assertTrue(policy_of({"Principal": {"AWS": "bob"}}, {}).public)


ACTIONS = ("s3:GetObject", "s3:GetObjectAcl", "s3:PutObject", "s3:ListBucket")
STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "principal": st.sampled_from(["*", ["alice"], ["bob", "carol"], ["*", "bob"]]),
        "negate": st.tuples(st.booleans(), st.booleans(), st.booleans()),
        "action": st.lists(st.sampled_from([*ACTIONS, "s3:*", "s3:Get*", "s3:?etObject"]), min_size=1, max_size=2),
        "resource": st.lists(
            st.sampled_from([BUCKET, f"{BUCKET}/*", f"{BUCKET}/a*", f"{BUCKET}/?b"]), min_size=1, max_size=2
        ),
        "referer": st.sampled_from([None, "x", "y"]),
        "secure": st.sampled_from([None, True, False]),
    }
)
REQUESTS = st.tuples(
    st.sampled_from(CALLERS),
    st.sampled_from(ACTIONS),
    st.sampled_from(["", "a", "ab", "c/d"]),
    st.sampled_from([None, "x", "y"]),
    st.booleans(),
)


def written(statement: Mapping[str, Any]) -> dict[str, Any]:
    """A statement in the policy language."""
    allow = statement["Effect"] == "Allow"
    principal, action, resource = (
        name if negated is False else f"Not{name}"
        for name, negated in zip(("Principal", "Action", "Resource"), statement["negate"], strict=True)
    )
    principals = statement["principal"]
    condition: dict[str, Any] = {}
    if statement["referer"] is not None:
        condition["StringNotEquals"] = {"aws:Referer": statement["referer"]}
    if statement["secure"] is not None:
        condition["Bool"] = {"aws:SecureTransport": statement["secure"]}
    return {
        "Effect": statement["Effect"],
        "Principal" if allow else principal: principals if principals == "*" else {"AWS": principals},
        action: statement["action"],
        resource: statement["resource"],
        "Condition": condition,
    }


def speaks(
    statement: Mapping[str, Any], caller: Owner, action: str, resource: str, referer: str | None, *, secure: bool
) -> bool:
    """Whether a statement is about a request, read straight from the rules."""
    not_principal, not_action, not_resource = statement["negate"]
    included = "*" in statement["principal"] or caller.id in statement["principal"]
    if statement["Effect"] == "Deny" and not_principal:
        included = not included
    if not included:
        return False
    if any(fnmatchcase(action, pattern) for pattern in statement["action"]) == not_action:
        return False
    if any(fnmatchcase(resource, pattern) for pattern in statement["resource"]) == not_resource:
        return False
    if statement["referer"] is not None and referer == statement["referer"]:
        return False
    return statement["secure"] is None or statement["secure"] == secure


class ReadingTests(SynchronousTestCase):
    @settings(max_examples=400, deadline=None)
    @given(st.lists(STATEMENTS, min_size=1, max_size=4), st.lists(REQUESTS, min_size=1, max_size=6))
    def test_against_the_rules(self, statements: list[Any], requests: list[Any]) -> None:
        """Some deny: denied. Else some allow: allowed. Else nothing is said."""
        policy = parse_policy(json.dumps({"Statement": [written(each) for each in statements]}).encode(), "bucket")
        for caller, action, key, referer, secure in requests:
            resource = f"{BUCKET}/{key}" if key else BUCKET
            about = {
                each["Effect"] for each in statements if speaks(each, caller, action, resource, referer, secure=secure)
            }
            expected = Effect.DENY if "Deny" in about else Effect.ALLOW if "Allow" in about else Effect.SILENT
            headers = {} if referer is None else {"referer": referer}
            self.assertEqual(expected, policy.says(action, resource, facts(caller, headers=headers, secure=secure)))
