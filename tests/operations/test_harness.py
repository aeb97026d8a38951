"""Tests of the harness itself: it shows what a client would see."""

from __future__ import annotations

from tests.operations.harness import ALICE, BOB, HOST, GatewayTestCase, InMemoryGateway, Pool


class SignedTests(GatewayTestCase):
    """A gateway that wants signatures."""

    def test_round_trip(self) -> None:
        """What is put comes back, large and small, however it arrives."""
        self.make_bucket()
        large = bytes(range(256)) * 1024
        for body in (b"", b"hello", large):
            self.put("/bucket/a%20key", body)
            self.assertEqual(body, self.get("/bucket/a%20key"))
        answer = self.request("PUT", "/bucket/key", body=[b"he", b"", b"llo"])
        self.assertEqual('"5d41402abc4b2a76b9719d911017c592"', answer.headers["etag"])

    def test_signatures(self) -> None:
        """Nobody is refused for want of a signature, Bob because the bucket is Alice's."""
        self.make_bucket()
        self.assert_error("AccessDenied", 403, self.request("GET", "/bucket", sign=None))
        self.assert_error("AccessDenied", 403, self.request("GET", "/bucket", sign=BOB))
        self.assertEqual(200, self.request("GET", "/bucket", query={"prefix": "a b/ä"}).status)
        unsigned = self.request("PUT", "/bucket/k", {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, b"x")
        self.assertEqual(200, unsigned.status)
        self.gateway.clock.advance(3600)
        self.assertEqual(200, self.request("GET", "/bucket").status)

    def test_botocore(self) -> None:
        """A botocore client speaks to it, checksums and all."""
        client = self.client()
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="ä/b", Body=b"hello", Metadata={"a": "b"})
        answer = client.get_object(Bucket="bucket", Key="ä/b", ChecksumMode="ENABLED")
        self.assertEqual((b"hello", {"a": "b"}), (answer["Body"].read(), answer["Metadata"]))
        self.assertRaises(client.exceptions.NoSuchKey, client.get_object, Bucket="bucket", Key="none")
        self.assertEqual(["ä/b"], [each["Key"] for each in client.list_objects_v2(Bucket="bucket")["Contents"]])


class OpenTests(GatewayTestCase):
    """A gateway without signatures."""

    keys = ()

    def test_round_trip(self) -> None:
        """Nobody needs to sign, and pipelined answers come in order."""
        self.make_bucket()
        self.put("/bucket/key", b"hello")
        connection = self.gateway.connect()
        line = f"HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
        connection.send(f"HEAD /bucket/key {line}GET /bucket/key {line}GET /bucket/none {line}".encode())
        answers = connection.answers(["HEAD", "GET", "GET"])
        self.assertEqual([(200, b""), (200, b"hello")], [(each.status, each.body) for each in answers[:2]])
        self.assertEqual("NoSuchKey", answers[2].error)

    def test_pool(self) -> None:
        """With a `Pool` a test decides when the store does its work."""
        pool = Pool()
        gateway = InMemoryGateway((), hand_over=pool.hand_over)
        self.addCleanup(gateway.close)
        connection = gateway.connect()
        connection.send(f"PUT /bucket HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n".encode())
        self.assertEqual([], connection.answers(["PUT"]))
        self.assertEqual(1, pool.run())
        self.assertEqual([200], [each.status for each in connection.answers(["PUT"])])


class NamesTests(GatewayTestCase):
    """The two users."""

    def test_owners(self) -> None:
        """Alice and Bob are two."""
        self.assertNotEqual(ALICE.owner.id, BOB.owner.id)
