"""``s3gw-admin probe``, against a gateway in this process, as it is and spoilt."""

from __future__ import annotations

import os
import sys
from typing import Any
from unittest import mock
from urllib.parse import quote

from s3gw.admin.probe.check import CHECKS
from s3gw.operations import OPERATIONS
from s3gw.operations.call import Call, Response
from s3gw.testing import Fail, S3Server
from tests.admin.case import AdminCase

FAILING = 1
UNSIGNED_ONLY = {"presigned", "unsigned-refused", "tampered-refused"}


class ProbeCase(AdminCase):
    """A server to be probed, and nothing of the user's own keys."""

    def serve(self, **options: Any) -> S3Server:
        """A server; its keys are in the environment."""
        server = S3Server(**options).start()
        self.addCleanup(server.close)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        keys = server.environment() | {"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none"}
        patch = mock.patch.dict(os.environ, clean | keys, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
        return server

    def outcomes(self, server: S3Server, *words: str, status: int = 0) -> dict[str, str]:
        """What became of each check."""
        found = self.succeed("probe", server.url, *words, status=status)
        return {each["name"]: each["outcome"] for each in found["checks"]}

    def of(self, *names: str) -> list[str]:
        """The options that choose checks."""
        return [word for name in names for word in ("--only", name)]


class SameTests(ProbeCase):
    """An endpoint that is like s3gw."""

    def test_itself(self) -> None:
        """Everything is as it should be, and nothing is left behind."""
        server = self.serve(auth="sigv4")
        found = self.succeed("probe", server.url)
        self.assertEqual({each["name"]: each["detail"] for each in found["checks"] if each["outcome"] != "ok"}, {})
        self.assertEqual((found["same"], found["otherwise"], found["skipped"]), (len(CHECKS), 0, 0))
        self.assertEqual((found["server"], found["left_behind"]), ("s3gw", False))
        last = server.requests[-1]
        self.assertEqual((last.operation, last.status), ("DeleteBucket", 204))

    def test_over_tls(self) -> None:
        """So is what TLS has a part in."""
        server = self.serve(auth="sigv4", tls=True)
        names = ("virtual-host", "presigned", "trailer", "trailer-chunked", "keep-alive", "expect-continue")
        self.assertEqual(self.outcomes(server, *self.of(*names)), dict.fromkeys(names, "ok"))

    def test_unsigned(self) -> None:
        """Where nothing is signed, what is about signatures is not asked."""
        server = self.serve()
        names = {"round-trip", *UNSIGNED_ONLY}
        outcomes = self.outcomes(server, "--unsigned", *self.of(*names))
        self.assertEqual(outcomes, {name: "skipped" if name in UNSIGNED_ONLY else "ok" for name in names})
        self.assertFalse([record for record in server.requests if "authorization" in record.headers])

    def test_bucket_of_the_user(self) -> None:
        """In a bucket that is there, it works under a prefix, and leaves the rest and the bucket alone."""
        server = self.serve()
        self.assertEqual(self.outcomes(server, *self.of("create-once")), {"create-once": "ok"})
        with mock.patch("s3gw.admin.probe.place.Place.clean", return_value=0):
            bucket = self.succeed("probe", server.url, *self.of("create-once"))["bucket"]
        server.forget_requests()
        self.outcomes(server, "--bucket", bucket, *self.of("create-once", "list-pages"))
        stored = {record.key for record in server.requests if record.operation == "PutObject"}
        self.assertTrue(all(key.startswith("s3gw-probe-") for key in stored), stored)
        listed = self.succeed("probe", server.url, "--bucket", bucket, *self.of("missing-get"))
        self.assertEqual(listed["bucket"], bucket)
        self.assertNotIn("DeleteBucket", {record.operation for record in server.requests})

    def test_lines(self) -> None:
        """For people: a line for each check, what differs with what was seen and who needs it, and the sum."""
        server = self.serve()
        server.inject(Fail(501, "NotImplemented"), operation="CopyObject", times=None)
        status, out, _ = self.admin("probe", server.url, *self.of("copy", "missing-head"))
        self.assertEqual(status, FAILING)
        self.assertIn("ok      missing-head: HEAD of a missing object is a bare 404\n", out)
        self.assertIn("missing copy: CopyObject copies", out)
        self.assertIn("        CopyObject: 501 NotImplemented\n        needed by: aws-cli, rclone, s3cmd\n", out)
        self.assertIn(f"{server.url} (s3gw): 1 as s3gw has it, 1 not, 0 not asked\n", out)


class DiffersTests(ProbeCase):
    """An endpoint that is not."""

    def spoil(self, operation: str, change: Any) -> None:
        """Let every answer to an operation be changed before it is sent."""
        right = OPERATIONS[operation]

        async def spoilt(call: Call) -> Response:
            return change(call, await right(call))

        patch = mock.patch.dict(OPERATIONS, {operation: spoilt})
        patch.start()
        self.addCleanup(patch.stop)

    def ignore(self, operation: str, *headers: str) -> None:
        """Let an operation not see these headers."""
        right = OPERATIONS[operation]

        async def spoilt(call: Call) -> Response:
            call.head.headers = {name: value for name, value in call.head.headers.items() if name not in headers}
            return await right(call)

        patch = mock.patch.dict(OPERATIONS, {operation: spoilt})
        patch.start()
        self.addCleanup(patch.stop)

    def test_nothing_works(self) -> None:
        """No check is content with a server that can do nothing."""
        server = self.serve(auth="sigv4")
        for operation in OPERATIONS:
            if operation not in ("CreateBucket", "DeleteBucket"):
                server.inject(Fail(501, "NotImplemented"), operation=operation, times=None)
        outcomes = self.outcomes(server, status=FAILING)
        content = {name for name, outcome in outcomes.items() if outcome == "ok"}
        self.assertEqual(content, {"bucket-bare"})
        self.assertEqual(outcomes["copy"], "missing")

    def test_conditions_ignored(self) -> None:
        """A server that overwrites whatever it was told is found out, alone and in a race."""
        server = self.serve()
        self.ignore("PutObject", "if-match", "if-none-match")
        self.ignore("CompleteMultipartUpload", "if-none-match")
        names = ("create-once", "create-once-atomic", "swap", "swap-atomic", "complete-once", "condition-named")
        outcomes = self.outcomes(server, *self.of(*names), status=FAILING)
        self.assertEqual(outcomes, dict.fromkeys(names, "differs"))

    def test_ranges_ignored(self) -> None:
        """A server that answers a range with everything."""
        server = self.serve()
        self.ignore("GetObject", "range")
        self.ignore("HeadObject", "range")
        names = ("range", "range-clamped", "range-suffix", "range-outside", "range-head", "empty-range")
        self.assertEqual(self.outcomes(server, *self.of(*names), status=FAILING), dict.fromkeys(names, "differs"))

    def test_checksums_ignored(self) -> None:
        """A server that takes every body for the right one."""
        server = self.serve()
        self.ignore("PutObject", "content-md5", *(f"x-amz-checksum-{name}" for name in ("crc32", "sha1")))
        names = ("content-md5", "checksum-crc32", "checksum-sha1")
        self.assertEqual(self.outcomes(server, *self.of(*names), status=FAILING), dict.fromkeys(names, "differs"))

    def test_other_order(self) -> None:
        """A server that lists in the order of another encoding."""
        server = self.serve()

        def swap(call: Call, response: Response) -> Response:
            one, other = (quote(name).encode() for name in ("\uffee", "\U0001f600"))
            body = b"".join([response.body] if isinstance(response.body, bytes) else response.body)
            for name, by in ((one, b"~"), (other, one), (b"~", other)):
                body = body.replace(name, by)
            return Response(response.status, response.headers, body)

        self.spoil("ListObjectsV2", swap)
        outcomes = self.outcomes(server, *self.of("list-order", "list-delimiter"), status=FAILING)
        self.assertEqual(outcomes, {"list-order": "differs", "list-delimiter": "ok"})

    def test_headers_forgotten(self) -> None:
        """A server that keeps no metadata, and has its own idea of an ETag."""
        server = self.serve()

        def forget(call: Call, response: Response) -> Response:
            kept = [(name, '"other"' if name == "ETag" else value) for name, value in response.headers]
            kept = [(name, value) for name, value in kept if not name.lower().startswith(("x-amz-meta", "cache-"))]
            return Response(response.status, kept, response.body)

        self.spoil("HeadObject", forget)
        names = ("metadata", "round-trip")
        self.assertEqual(self.outcomes(server, *self.of(*names), status=FAILING), dict.fromkeys(names, "differs"))


class CouldNotTests(ProbeCase):
    """What cannot be probed."""

    def test_nobody_there(self) -> None:
        """An endpoint that does not answer."""
        server = self.serve()
        url = server.url
        server.stop()
        self.assertIn(url, self.refuse("probe", url))

    def test_no_keys(self) -> None:
        """Nothing is asked without keys; a profile that is not there is named."""
        server = self.serve()
        del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        self.assertIn("no keys found", self.refuse("probe", server.url))
        self.assertIn("appliance", self.refuse("probe", server.url, "--profile", "appliance"))
        self.assertEqual(server.requests, [])

    def test_wrong_keys(self) -> None:
        """Keys that the endpoint does not know."""
        server = self.serve(auth="sigv4")
        os.environ["AWS_ACCESS_KEY_ID"] = "nobody"
        self.assertIn("InvalidAccessKeyId", self.refuse("probe", server.url))

    def test_missing_bucket(self) -> None:
        """A bucket that is named is not made."""
        server = self.serve()
        self.assertIn("404", self.refuse("probe", server.url, "--bucket", "absent"))

    def test_words(self) -> None:
        """URLs with keys in them, with a path, or that are none; checks that there are not."""
        for url in ("http://key:secret@host", "http://host/bucket", "host:9000", "ftp://host", "http://host:99999"):
            status, _, err = self.admin("probe", url)
            self.assertEqual(status, 2, url)
            self.assertNotIn("secret", err)
        server = self.serve()
        self.assertIn("there is no check 'x'", self.refuse("probe", server.url, "--only", "x"))

    def test_without_botocore(self) -> None:
        """Without the extra it says what to install, and the other commands work."""
        with mock.patch.dict(sys.modules):
            for name in [name for name in sys.modules if name.startswith(("s3gw.admin.probe", "s3gw.admin.remote"))]:
                del sys.modules[name]
            sys.modules["botocore"] = None  # type: ignore[assignment]  # this is how an import is made to fail
            self.assertIn("pip install 's3gw[admin]'", self.refuse("probe", "http://127.0.0.1:1"))
            self.assertEqual(self.admin("--version")[0], 0)
