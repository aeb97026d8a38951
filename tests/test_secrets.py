"""Secrets are compared in constant time, wherever they are compared."""

from __future__ import annotations

import ast
import hmac
import re
from pathlib import Path
from typing import Any

import s3gw
from tests.operations.harness import ALICE, GatewayTestCase

SECRET_WORDS = re.compile("signature|secret|verifier|digest|hmac|mac$", re.IGNORECASE)
PUBLIC_WORDS = re.compile("SignatureVersion|signature_version|digest_size|SIGNATURE|DIGEST")
WRONG = "0" * 64


def words_of(node: ast.expr) -> str:
    """The last name of an expression, or nothing."""
    if isinstance(node, ast.Call):
        return words_of(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


class ComparisonTests(GatewayTestCase):
    """Who may learn from how long a refusal takes."""

    def setUp(self) -> None:
        super().setUp()
        self.compared: list[tuple[Any, Any]] = []
        compare = hmac.compare_digest

        def compare_digest(one: Any, other: Any) -> bool:
            self.compared.append((one, other))
            return compare(one, other)

        self.make_bucket("bucket")
        self.patch(hmac, "compare_digest", compare_digest)

    def assertCompared(self, what: bytes | str) -> None:
        """This was compared with something of the same kind and length, and in constant time."""
        found = [
            one for one, other in self.compared if other == what and len(one) == len(what) and type(one) is type(other)
        ]
        self.assertEqual(len(found), 1, self.compared)
        self.compared.clear()

    def test_signatures(self) -> None:
        """Of a header, of a URL, and of a form."""
        credential = f"{ALICE.access_key}/20260921/us-east-1/s3/aws4_request"
        header = {
            "x-amz-date": "20260921T141320Z",
            "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
            "Authorization": "AWS4-HMAC-SHA256 "
            f"Credential={credential}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={WRONG}",
        }
        self.assert_error("SignatureDoesNotMatch", 403, self.request("GET", "/bucket/key", headers=header, sign=None))
        self.assertCompared(WRONG)
        query = "&".join(
            (
                "X-Amz-Algorithm=AWS4-HMAC-SHA256",
                f"X-Amz-Credential={credential.replace('/', '%2F')}",
                "X-Amz-Date=20260921T141320Z",
                "X-Amz-Expires=60",
                "X-Amz-SignedHeaders=host",
                f"X-Amz-Signature={WRONG}",
            )
        )
        self.assert_error("SignatureDoesNotMatch", 403, self.request("GET", "/bucket/key", query=query, sign=None))
        self.assertCompared(WRONG)
        fields = {
            "key": "key",
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": credential,
            "x-amz-date": "20260921T141320Z",
            "policy": "eyJleHBpcmF0aW9uIjogIjIwMzAtMDEtMDFUMDA6MDA6MDBaIiwgImNvbmRpdGlvbnMiOiBbXX0=",
            "x-amz-signature": WRONG,
        }
        parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{it}\r\n' for name, it in fields.items()]
        parts.append('--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nbody\r\n--x--\r\n')
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = self.request("POST", "/bucket", headers=kind, body="".join(parts).encode(), sign=None)
        self.assert_error("SignatureDoesNotMatch", 403, answer)
        self.assertCompared(WRONG)

    def test_digests(self) -> None:
        """Of a body whose hash was signed."""
        self.compared.clear()
        md5 = {"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="}
        self.assert_error("BadDigest", 400, self.request("PUT", "/bucket/key", headers=md5, body=b"another"))
        self.assertTrue(any(len(other) == 16 for _, other in self.compared))

    def test_no_other_way(self) -> None:
        """No statement of the gateway compares what is called a secret or a signature by ``==``. Whom `s3gw.admin`
        compares digests of objects for has read the objects."""
        found = []
        package = Path(s3gw.__file__).parent
        for path in sorted(set(package.rglob("*.py")) - set(package.joinpath("admin").rglob("*.py"))):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if not isinstance(node, ast.Compare) or not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                    continue
                sides = [words_of(side) for side in (node.left, *node.comparators)]
                # A constant is known to everybody.
                known = any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))
                if not known and any(SECRET_WORDS.search(side) and not PUBLIC_WORDS.search(side) for side in sides):
                    found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
        self.assertEqual(found, [])
