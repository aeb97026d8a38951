"""Tests of `s3gw.s3.policy`: what a policy lets through, in S3's words where it does not."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import AccessDenied, EntityTooLarge, EntityTooSmall, InvalidPolicyDocument
from s3gw.s3.policy import Policy, parse_policy_document

EXPIRATION = "2026-12-01T12:00:00.000Z"
EXPIRES = 1796126400


def policy(*conditions: Any, expiration: Any = EXPIRATION, **further: Any) -> Policy:
    """The policy with these conditions."""
    return parse(json.dumps({"expiration": expiration, "conditions": list(conditions), **further}))


def parse(text: str) -> Policy:
    """The policy of a JSON document."""
    return parse_policy_document(b64encode(text.encode()).decode())


class CheckTests(SynchronousTestCase):
    """Forms within a policy and beyond it."""

    def permitted(self, fields: dict[str, str], *conditions: Any) -> str:
        """Why a form to the bucket ``b`` is refused; empty when it is not."""
        try:
            policy({"bucket": "b"}, *conditions).check(fields, "b", EXPIRES)
        except AccessDenied as error:
            prefix = "Invalid according to Policy: "
            self.assertTrue(error.message.startswith(prefix), error.message)
            return error.message.removeprefix(prefix)
        return ""

    def test_conditions(self) -> None:
        """Each kind of condition lets through what it names and nothing else."""
        for condition, good, bad in (
            ({"acl": "private"}, ["private"], ["", "Private", "privates"]),
            (["eq", "$acl", "private"], ["private"], ["", "Private", "privates"]),
            (["EQ", "$aCL", ""], [""], ["x"]),
            (["starts-with", "$acl", "u/"], ["u/", "u/x"], ["", "U/", "x/u/"]),
            (["Starts-With", "$ACL", ""], ["", "x"], []),
        ):
            for value in good:
                self.assertEqual("", self.permitted({"acl": value}, condition))
            for value in bad:
                self.assertIn("Policy Condition failed: [", self.permitted({"acl": value}, condition))
            if "" in good and "x" in good:
                self.assertEqual("", self.permitted({}, condition), "where any value will do, none does")
            else:
                self.assertIn("Policy Condition failed: [", self.permitted({}, condition), "a missing field")
        self.assertEqual(
            'Policy Condition failed: ["eq", "$Acl", "private"]', self.permitted({"acl": "x"}, {"Acl": "private"})
        )
        self.assertEqual(
            'Policy Condition failed: ["starts-with", "$key", "u/"]',
            self.permitted({"key": "x"}, ["STARTS-WITH", "$key", "u/"]),
        )

    def test_content_types(self) -> None:
        """Each of a list of content types must begin as the condition says; of other fields only the value."""
        condition = ["starts-with", "$Content-Type", "image/"]
        self.assertEqual("", self.permitted({"content-type": "image/png, image/gif,image/jpeg"}, condition))
        self.assertNotEqual("", self.permitted({"content-type": "image/png,text/html"}, condition))
        self.assertEqual("", self.permitted({"key": "a,b"}, ["starts-with", "$key", "a"]))

    def test_coverage(self) -> None:
        """A field that no condition names is refused, but for those of the form's own machinery."""
        exempt = {"policy", "x-amz-signature", "signature", "awsaccesskeyid", "x-ignore-y", "x-amz-checksum-sha256"}
        self.assertEqual("", self.permitted(dict.fromkeys(exempt, "v")))
        self.assertEqual("Extra input fields: x-amz-meta-a, submit", self.permitted({"x-amz-meta-a": "", "submit": ""}))
        self.assertEqual("Extra input fields: x-amz-date", self.permitted({"x-amz-date": "20261201T000000Z"}))

    def test_bucket(self) -> None:
        """The bucket is where the form is posted, whatever a field of it says, and must be named."""
        where = policy({"bucket": "b"})
        where.check({"bucket": "other"}, "b", 0)
        self.assertRaises(AccessDenied, where.check, {"bucket": "b"}, "other", 0)
        error = self.assertRaises(AccessDenied, policy().check, {}, "b", 0)
        self.assertEqual("Invalid according to Policy: Extra input fields: bucket", error.message)

    def test_expiration(self) -> None:
        """A form is good until its policy expires."""
        for spelt in (EXPIRATION, "2026-12-01T12:00:00Z"):
            until = policy({"bucket": "b"}, expiration=spelt)
            until.check({}, "b", EXPIRES)
            error = self.assertRaises(AccessDenied, until.check, {}, "b", EXPIRES + 0.001)
            self.assertEqual("Invalid according to Policy: Policy expired.", error.message)

    def test_size(self) -> None:
        """The file has at least and at most so many bytes; without a condition any number."""
        bounded = policy(["content-length-range", 1, 10], ["Content-Length-Range", "2", "20"])
        for size in (2, 10):
            bounded.check_size(size)
        self.assertEqual(
            {"ProposedSize": "1", "MinSizeAllowed": "2"},
            self.assertRaises(EntityTooSmall, bounded.check_size, 1).fields,
        )
        self.assertEqual(
            {"ProposedSize": "11", "MaxSizeAllowed": "10"},
            self.assertRaises(EntityTooLarge, bounded.check_size, 11).fields,
        )
        for size in (0, 1 << 50):
            policy().check_size(size)


class ParseTests(SynchronousTestCase):
    """Documents that are policies and such that are not."""

    def test_whitespace(self) -> None:
        """The base64 may be broken into lines."""
        text = b64encode(json.dumps({"expiration": EXPIRATION, "conditions": []}).encode()).decode()
        self.assertEqual(EXPIRES, parse_policy_document(f"{text[:20]}\r\n{text[20:]}\n").expiration)

    def test_no_json(self) -> None:
        """What is not base64 of a JSON object is refused."""
        for text in ("", "{", "[]", "1", "null", "[" * 100_000):
            self.assertRaises(InvalidPolicyDocument, parse, text)
        self.assertRaises(InvalidPolicyDocument, parse, '{"expiration": "\\ud800", "conditions": []}')
        for encoded in ("{}", "e30", "=", "\u00e4", b64encode(b"\xff\xfe{}").decode()):
            self.assertRaises(InvalidPolicyDocument, parse_policy_document, encoded)

    def test_missing(self) -> None:
        """Expiration and conditions are required, spelt as they are."""
        for document, message in (
            ({"conditions": []}, "Policy missing expiration."),
            ({"Expiration": EXPIRATION, "conditions": []}, "Policy missing expiration."),
            ({"expiration": EXPIRATION}, "Policy missing conditions."),
            ({"expiration": EXPIRATION, "CONDITIONS": []}, "Policy missing conditions."),
            ({"expiration": EXPIRATION, "conditions": {}}, "Invalid 'conditions' value: must be a List."),
        ):
            error = self.assertRaises(InvalidPolicyDocument, parse, json.dumps(document))
            self.assertEqual(f"Invalid Policy: {message}", error.message)

    def test_bad_expiration(self) -> None:
        """An expiration is an ISO 8601 date and time in UTC."""
        for value in (
            "",
            5,
            "2026-12-01",
            "2026-13-01T12:00:00Z",
            "2026-12-01 12:00:00+00:00",
            "2026-12-01T12:00:00",
            "Tue, 01 Dec 2026 12:00:00 GMT",
        ):
            self.assertRaises(InvalidPolicyDocument, policy, expiration=value)

    def test_bad_conditions(self) -> None:
        """A condition that is none is refused, never ignored."""
        for condition in (
            {},
            {"a": "b", "c": "d"},
            {"success_action_status": 201},
            {"a": None},
            [],
            "eq",
            ["eq", "$a"],
            ["eq", "$a", "b", "c"],
            ["eq", "a", "b"],
            ["eq", "$a", 1],
            ["ends-with", "$a", "b"],
            [["eq"], "$a", "b"],
            ["content-length-range", 0],
            ["content-length-range", 0, 1, 2],
            ["content-length-range", -1, 0],
            ["content-length-range", 0, 1.5],
            ["content-length-range", True, 5],
            ["content-length-range", "0", "x"],
            ["content-length-range", None, 5],
            ["content-length-range", 0, 10**30],
        ):
            self.assertRaises(InvalidPolicyDocument, policy, condition)
