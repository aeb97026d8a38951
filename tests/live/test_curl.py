"""curl: what people type to see whether it works, and what libcurl does by itself."""

from __future__ import annotations

from tests.live.case import KIB, MIB, LiveCase, program, run_client, some_bytes
from tests.live.server import CLEAN_EXITS


class CurlMatrix(LiveCase):
    """What works over every listener and authentication; the subclasses run it."""

    def setUp(self) -> None:
        self.program = program("curl")
        super().setUp()
        self.home = self.directory()

    def curl(self, *arguments: str, status: int = 0) -> str:
        """Run it; what it prints: the body, then the status."""
        command = [
            self.program,
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "60",
            "--write-out",
            "%{http_code}",
        ]
        if self.server.ca is not None:
            command += ["--cacert", str(self.server.ca)]
        return run_client([*command, *arguments], cwd=self.home, status=status, HOME=str(self.home))

    def signed(self, *arguments: str) -> str:
        """The same, signed by curl itself where that is asked for."""
        return self.curl(*self.signing(), *arguments)

    def signing(self) -> list[str]:
        """The options that make curl sign; it knows nothing of the one header that S3 wants besides."""
        if self.auth == "none":
            return []
        user = f"{self.server.access_key}:{self.server.secret_key}"
        return [
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
            "--user",
            user,
            "--header",
            "x-amz-content-sha256: UNSIGNED-PAYLOAD",
        ]

    def test_presigned(self) -> None:
        """Upload and download by presigned URLs, with the wait for 100 Continue, and by range."""
        s3 = self.server.s3()
        where = {"Bucket": self.new_bucket(s3), "Key": "dir/a b+c"}
        body = some_bytes(3 * MIB)
        (self.home / "up").write_bytes(body)
        url = s3.generate_presigned_url("put_object", Params=where)
        for expect in ("Expect: 100-continue", "Expect:"):
            self.assertEqual(self.curl("--upload-file", "up", "--header", expect, url), "200")
        url = s3.generate_presigned_url("get_object", Params=where)
        self.assertEqual(self.curl("--output", "down", url), "200")
        self.assertSame((self.home / "down").read_bytes(), body)
        for form, part in (("0-9", body[:10]), ("65530-65545", body[65530:65546]), ("-5", body[-5:])):
            self.assertEqual(self.curl("--range", form, "--output", "part", url), "206")
            self.assertSame((self.home / "part").read_bytes(), part)
        # The whole of it from two halves, the way an interrupted download goes on.
        (self.home / "rest").write_bytes(body[: 100 * KIB])
        self.assertEqual(self.curl("--continue-at", "-", "--output", "rest", url), "206")
        self.assertSame((self.home / "rest").read_bytes(), body)

    def test_bare_requests(self) -> None:
        """A bucket is made by a PUT with neither Content-Length nor Transfer-Encoding; one transfer after the other
        over one connection."""
        bucket = f"{self.server.url}/{self.new_name()}"
        self.assertEqual(self.signed("--request", "PUT", bucket), "200")
        (self.home / "up").write_bytes(b"hello")
        self.assertEqual(self.signed("--request", "PUT", "--data-binary", "@up", f"{bucket}/key"), "200")
        self.assertEqual(self.signed(f"{bucket}/key", "--next", *self.again(f"{bucket}/none")), "hello200404")
        self.assertEqual(self.signed("--head", "--output", "head", f"{bucket}/key"), "200")
        self.assertEqual(self.signed("--request", "DELETE", f"{bucket}/key"), "204")
        self.assertEqual(self.signed("--request", "DELETE", bucket), "204")

    def again(self, url: str) -> list[str]:
        """A second transfer of one run whose body is not shown; options do not carry over."""
        shown = ["--silent", "--noproxy", "*", "--write-out", "%{http_code}", "--output", "again"]
        if self.server.ca is not None:
            shown += ["--cacert", str(self.server.ca)]
        return [*shown, *self.signing(), url]


class OverHttp(CurlMatrix):
    """http, no authentication; and whatever need not be done over each."""

    def test_chunked(self) -> None:
        """An upload whose length curl does not know."""
        name = self.new_bucket(self.server.s3())
        body = some_bytes(MIB)
        (self.home / "up").write_bytes(body)
        url = f"{self.server.url}/{name}/key"
        self.assertEqual(self.curl("--header", "Transfer-Encoding: chunked", "--upload-file", "up", url), "200")
        self.assertEqual(self.curl("--output", "down", url), "200")
        self.assertSame((self.home / "down").read_bytes(), body)

    def test_virtual_host(self) -> None:
        """bucket.localhost, which curl resolves by itself, needs no set-up."""
        name = self.new_bucket(self.server.s3())
        url = f"http://{name}.localhost:{self.server.port}/key"
        self.assertEqual(self.curl("--ipv4", "--request", "PUT", "--data-binary", "hello", url), "200")
        self.assertEqual(self.curl("--ipv4", url), "hello200")

    def test_unix_socket(self) -> None:
        """A server may listen on a path, too."""
        server = self.own_server(args=("--listen=unix:socket",))  # below its working directory: paths must be short
        server.start()
        server.wait_for_log(r"listening on http\+unix:")
        path = server.directory / "socket"
        (self.home / "s").symlink_to(path)
        self.assertEqual(self.curl("--unix-socket", "s", "http://localhost/_health/ready"), "ready\n200")
        self.assertIn(server.stop(), CLEAN_EXITS)
        self.assertFalse(path.exists())


class OverHttpSigned(CurlMatrix):
    """http, SigV4."""

    auth = "sigv4"


class OverHttps(CurlMatrix):
    """https, no authentication."""

    tls = True


class OverHttpsSigned(CurlMatrix):
    """https, SigV4."""

    auth = "sigv4"
    tls = True


del CurlMatrix  # it is no test by itself
