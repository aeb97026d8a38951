"""Listeners that serve one bucket, and UNIX sockets: what needs no name service and no port."""

from __future__ import annotations

import stat

from tests.live.case import LiveCase, patch_resolver, program, run_client
from tests.live.server import CLEAN_EXITS, LiveServer

BUCKET = "kv-cache"


class BoundListenerTests(LiveCase):
    """One gateway with signatures, a listener for everything and two that serve one bucket."""

    auth = "sigv4"

    def make_server(self) -> LiveServer:
        """A server with three listeners; the path of the socket is below its working directory: it must be short."""
        self.program = program("curl")
        self.home = self.directory()
        server = self.own_server(
            auth="sigv4", args=(f"--listen=127.0.0.1:0,bucket={BUCKET}", f"--listen=unix:socket,bucket={BUCKET}")
        )
        return self.started(server)

    def started(self, server: LiveServer) -> LiveServer:
        """Start it, and note where the bound listeners are."""
        server.start()
        found = server.wait_for_log(rf"listening on http://(127\.0\.0\.1:\d+), for the bucket {BUCKET}")
        server.wait_for_log(rf"listening on http\+unix:.*socket, for the bucket {BUCKET}")
        self.bound = found[1]
        link = self.home / "s"
        link.unlink(missing_ok=True)
        link.symlink_to(server.directory / "socket")
        return server

    def curl(self, *arguments: str, signed: bool = True) -> str:
        """What curl prints: the body, then the status."""
        command = [self.program, "--silent", "--show-error", "--noproxy", "*", "--max-time", "60"]
        if signed:
            user = f"{self.server.access_key}:{self.server.secret_key}"
            command += ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", user]
            command += ["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
        return run_client([*command, "--write-out", "%{http_code}", *arguments], cwd=self.home)

    def test_the_path_is_the_key(self) -> None:
        """Create the bucket, write, read and list over its own listener; the signature is of what the client sent."""
        url = f"http://{self.bound}"
        self.assertEqual(self.curl("--request", "PUT", f"{url}/"), "200")
        self.assertEqual(self.curl("--request", "PUT", "--data-binary", "one", f"{url}/model-0/ab"), "200")
        self.assertEqual(self.curl(f"{url}/model-0/ab"), "one200")
        self.assertIn("<Key>model-0/ab</Key>", self.curl(f"{url}/?list-type=2"))
        self.assertIn("AccessDenied", self.curl(f"{url}/model-0/ab", signed=False))
        s3 = self.server.s3()
        self.assertEqual(s3.get_object(Bucket=BUCKET, Key="model-0/ab")["Body"].read(), b"one")
        # What is a page of the gateway or a bucket elsewhere is a key here.
        for key in ("metrics", "_health/live", f"{BUCKET}/key"):
            self.assertIn("NoSuchKey", self.curl(f"{url}/{key}"))
            self.assertEqual(self.curl("--request", "PUT", "--data-binary", key, f"{url}/{key}"), "200")
            self.assertEqual(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read(), key.encode())
        self.assertEqual(self.curl(f"{self.server.url}/_health/live", signed=False), "live\n200")

    def test_virtual_host_style(self) -> None:
        """A client that puts the bucket into the host name is served there too; another bucket is refused."""
        patch_resolver(self)
        self.server.port = int(self.bound.rpartition(":")[2])
        s3 = self.server.s3(style="virtual")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="dir/key", Body=b"two")
        key = "vllm@model@4/\u00fc//a b+c%2F"
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"signed as it was sent")
        self.assertEqual(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read(), b"signed as it was sent")
        self.assertEqual(self.curl(f"http://{self.bound}/dir/key"), "two200")
        self.assertEqual(self.refused(s3.list_objects_v2, Bucket="another"), (400, "InvalidRequest"))

    def test_unix_socket_after_kill(self) -> None:
        """A process that was killed leaves its socket behind; the next one takes its place, and no second one does."""
        socket = self.server.directory / "socket"
        self.assertEqual(stat.S_IMODE(socket.stat().st_mode), 0o660)
        over = ("--unix-socket", "s")
        self.assertEqual(self.curl(*over, "--request", "PUT", "http://localhost/"), "200")
        self.assertEqual(self.curl(*over, "--request", "PUT", "--data-binary", "x", "http://localhost/k"), "200")
        self.server.kill()
        self.assertTrue(socket.is_socket())
        self.started(self.server)
        self.assertEqual(self.curl(*over, "http://localhost/k"), "x200")
        second = LiveServer(self.server.directory, db_path=self.home / "db", args=("--listen=unix:socket",))
        self.addCleanup(second.close)
        second.launch()
        second.wait_for_log("socket is in use by another process")
        self.assertEqual(second.wait(), 1)
        self.assertEqual(self.curl(*over, "http://localhost/k"), "x200")
        self.assertIn(self.server.stop(), CLEAN_EXITS)
        self.assertFalse(socket.exists())
