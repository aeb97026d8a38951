"""What the tests of who may do what have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.operations.harness import ALICE, BOB, Answer, Credential, GatewayTestCase

ARN = "arn:aws:s3:::bucket"
TAGGING = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"


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
