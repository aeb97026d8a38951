"""Whose bucket a request writes into."""

from __future__ import annotations

from tests.operations.harness import ALICE, BOB, HOST, GatewayTestCase, signed


class RecreatedBucketTests(GatewayTestCase):
    def test_slow_put(self) -> None:
        """A PUT that was admitted to a bucket does not land in another one that got its name meanwhile."""
        self.make_bucket("bucket")
        body = bytes(200_000)
        headers = {"Host": HOST, "Content-Length": str(len(body))}
        lines = signed("PUT", "/bucket/key", headers, body, ALICE)
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        slow = self.gateway.connect()
        slow.send(f"PUT /bucket/key HTTP/1.1\r\n{head}\r\n".encode() + body[:100_000])
        self.assertEqual(self.request("DELETE", "/bucket").status, 204)
        self.gateway.clock.advance(1)
        self.assertEqual(self.request("PUT", "/bucket", sign=BOB).status, 200)
        slow.send(body[100_000:])
        (answer,) = slow.answers(["PUT"])
        self.assert_error("NoSuchBucket", 404, answer)
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/key", sign=BOB))
        self.assert_error("AccessDenied", 403, self.request("GET", "/bucket/key", sign=ALICE))
