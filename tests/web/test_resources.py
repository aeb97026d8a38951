"""Requests that came through a proxy, which may show us another Host than the client signed."""

from __future__ import annotations

from s3gw.s3.external import ExternalUrl
from tests.operations.harness import ALICE, HOST, Answer, GatewayTestCase, signed


class ProxyTests(GatewayTestCase):
    """``--external_url=https://s3.test``"""

    settings = {"external": ExternalUrl.parse(f"https://{HOST}")}

    def through(
        self, host: str, method: str = "PUT", path: str = "/bucket", query: str = "", body: bytes = b""
    ) -> Answer:
        """What a client gets that signed `HOST`, when a proxy hands its request on with another one."""
        target = f"{path}?{query}" if query else path
        headers = signed(method, target, {"Host": HOST}, body, ALICE)
        return self.request(method, path, {**headers, "Host": host}, body, query, sign=None)

    def test_signed(self) -> None:
        """The Host that the client signed is known, whatever the proxy makes of it."""
        for host in ("127.0.0.1:9000", "gateway", f"{HOST}:9000", HOST):
            self.assertEqual(self.through(host).status, 200, host)

    def test_other_changes(self) -> None:
        """Nothing else may differ from what was signed."""
        headers = signed("PUT", "/bucket", {"Host": HOST}, b"", ALICE)
        answer = self.request("PUT", "/other", {**headers, "Host": "gateway"}, sign=None)
        self.assert_error("SignatureDoesNotMatch", 403, answer)
        headers = signed("PUT", "/bucket", {"Host": "elsewhere.test"}, b"", ALICE)
        self.assertIn("elsewhere.test", headers["Host"])
        answer = self.request("PUT", "/bucket", {**headers, "Host": "gateway"}, sign=None)
        self.assert_error("SignatureDoesNotMatch", 403, answer)

    def test_locations(self) -> None:
        """The URL of a completed upload is one that the client can reach."""
        self.make_bucket()
        upload = self.through("gateway:9000", "POST", "/bucket/key", "uploads=").text("UploadId")
        query = f"partNumber=1&uploadId={upload}"
        etag = self.through("gateway:9000", "PUT", "/bucket/key", query, b"part").headers["etag"]
        part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
        done = self.through("gateway:9000", "POST", "/bucket/key", f"uploadId={upload}", document)
        self.assertEqual((done.status, done.text("Location")), (200, f"https://{HOST}/bucket/key"), done.body)


class DirectTests(GatewayTestCase):
    """Without that option"""

    def test_signed(self) -> None:
        """The Host has to be the one that was signed."""
        headers = signed("PUT", "/bucket", {"Host": HOST}, b"", ALICE)
        answer = self.request("PUT", "/bucket", {**headers, "Host": "gateway"}, sign=None)
        self.assert_error("SignatureDoesNotMatch", 403, answer)
