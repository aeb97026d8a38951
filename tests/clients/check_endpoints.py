"""``s3gw-admin probe`` and ``migrate`` against servers that are not s3gw: Ceph's RADOS gateway, and moto."""

from __future__ import annotations

import contextlib
import io
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from twisted.trial.unittest import SkipTest

from s3gw.admin.main import main
from s3gw.testing import S3Server
from tests.clients.case import ClientCase, need
from tests.live.case import MIB, some_bytes
from tests.live.server import environment

START_S = 180.0


def free_ports() -> int:
    """A port that is free, as is the one after it."""
    while True:
        port = random.randrange(20_000, 32_000, 2)
        with contextlib.suppress(OSError), ExitStack() as both:
            for each in (port, port + 1):
                both.enter_context(socket.create_server(("127.0.0.1", each)))
            return port


class Endpoints(ClientCase):
    """What holds of every endpoint; the subclasses start one.

    :cvar same: checks that it passes, of those on which most depends.
    :cvar otherwise: checks that are known to differ.
    """

    same: frozenset[str] = frozenset()
    otherwise: frozenset[str] = frozenset()

    def make_server(self) -> Any:
        """The gateway, in this process; its keys are those of the other endpoint too."""
        server = S3Server(auth="sigv4", store="rocksdb").start()
        self.addCleanup(server.close)
        self.ours = server
        return server

    def setUp(self) -> None:
        super().setUp()
        del self.server  # it has no log to show
        self.with_environment(**{name: value for name, value in self.ours.environment().items() if "URL" not in name})
        self.url = self.start_endpoint()

    def start_endpoint(self) -> str:
        """The URL of an endpoint that runs until the test has ended."""
        raise NotImplementedError

    def run_process(self, command: list[str], ready: Callable[[], bool]) -> None:
        """A process that is ended with the test, once it is ready."""
        log = (self.directory() / "log").open("w+b")
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=environment()
        )

        def end() -> None:
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
            log.close()

        self.addCleanup(end)
        give_up = time.monotonic() + START_S
        while not ready():
            if process.poll() is not None or time.monotonic() > give_up:
                log.seek(0)
                self.fail(log.read().decode(errors="replace")[-2000:])
            time.sleep(0.2)

    def answers(self, port: int) -> bool:
        """Whether somebody listens."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    def admin(self, *words: object) -> tuple[int, Any]:
        """Status and result of a command."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = main([*map(str, words), "--json"])
        return status, json.loads(out.getvalue())

    def client(self, url: str) -> Any:
        """A client of an endpoint."""
        arguments = {**self.ours.boto3(), "endpoint_url": url}
        config = Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"})
        return botocore.session.Session().create_client("s3", **arguments, config=config)

    def test_probe(self) -> None:
        """It tells what is the same and what differs, and cleans up behind itself."""
        status, found = self.admin("probe", self.url, "--style", "path")
        outcomes = {each["name"]: each["outcome"] for each in found["checks"]}
        self.assertEqual({name: outcomes[name] for name in self.same}, dict.fromkeys(self.same, "ok"))
        self.assertEqual([name for name in self.otherwise if outcomes[name] == "ok"], [])
        self.assertEqual((status, found["left_behind"]), (1, False))
        names = [each["Name"] for each in self.client(self.url).list_buckets()["Buckets"]]
        self.assertNotIn(found["bucket"], names)

    def test_migrate(self) -> None:
        """There and back everything is as it was: bytes, headers, metadata, tags; what is there is not copied again."""
        here, there = self.client(self.ours.url), self.client(self.url)
        self.fill(here, "bucket")
        before = self.contents(here, "bucket")
        styles = ("--source-style", "path", "--target-style", "path", "--part-mb", "8")
        over = ("migrate", self.ours.url, self.url, *styles, "--state", self.directory() / "over")
        back = ("migrate", self.url, self.ours.url, *styles, "--bucket", "bucket=back", "--verify")
        for words, copied in ((over, len(before)), (over, 0)):
            status, found = self.admin(*words)
            self.assertEqual(status, 0, found)
            self.assertEqual(found["buckets"][0]["copied"], copied)
        self.assertEqual(self.contents(there, "bucket"), before)
        here.put_object(Bucket="bucket", Key="small/000", Body=b"changed")
        here.delete_object(Bucket="bucket", Key="small/001")
        bucket = self.admin(*over, "--delete")[1]["buckets"][0]
        self.assertEqual((bucket["copied"], bucket["deleted"]), (1, 1))
        self.assertEqual(self.admin(*back)[0], 0)
        self.assertEqual(self.contents(here, "back"), self.contents(here, "bucket"))

    def fill(self, s3: Any, bucket: str) -> None:
        """A bucket with small objects, a tagged one, a large one, and one that came in parts."""
        s3.create_bucket(Bucket=bucket)
        for number in range(50):
            given = {"Metadata": {"n": str(number)}, "ContentType": "a/b", "CacheControl": "max-age=3"}
            s3.put_object(Bucket=bucket, Key=f"small/{number:03}", Body=some_bytes(997 * number, number), **given)
        s3.put_object(Bucket=bucket, Key="tagged ü+@", Body=b"tagged", Tagging="a=1&b=x%20y")
        s3.put_object(Bucket=bucket, Key="large", Body=some_bytes(20 * MIB))
        where = {"Bucket": bucket, "Key": "parts"}
        upload = {**where, "UploadId": s3.create_multipart_upload(**where, Tagging="p=1")["UploadId"]}
        etags = [
            s3.upload_part(**upload, PartNumber=number, Body=some_bytes(size, number))["ETag"]
            for number, size in enumerate((8 * MIB, 8 * MIB, 5), 1)
        ]
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    def contents(self, s3: Any, bucket: str) -> dict[str, tuple[Any, ...]]:
        """Everything that is to arrive."""
        found = {}
        for each in s3.list_objects_v2(Bucket=bucket)["Contents"]:
            where = {"Bucket": bucket, "Key": each["Key"]}
            got = s3.get_object(**where)
            tags = s3.get_object_tagging(**where).get("TagSet", [])
            headers = (got["ContentType"], got["Metadata"], got.get("CacheControl"))
            found[each["Key"]] = (hash(got["Body"].read()), *headers, sorted(map(str, tags)))
        return found


class CephRgw(Endpoints):
    """Ceph's gateway, version 16.2 in Debian 12: old, and everywhere."""

    same = frozenset({"create-once", "create-once-atomic", "list-order", "range-clamped", "virtual-host", "keep-alive"})
    otherwise = frozenset({"empty-range", "trailer", "trailer-chunked", "complete-once", "checksum-crc32"})

    def start_endpoint(self) -> str:
        """A cluster of one node."""
        for name in ("ceph-mon", "ceph-osd", "ceph-mgr", "radosgw"):
            need(name)
        port = free_ports()
        place = self.directory()
        script = str(Path(__file__).with_name("ceph.sh"))
        command = [script, str(place), str(port), self.ours.access_key, self.ours.secret_key]
        self.run_process(command, lambda: self.answers(port))
        return f"http://127.0.0.1:{port}"


class Moto(Endpoints):
    """moto's server, which many test suites have in place of S3."""

    same = frozenset({"create-once", "list-order", "range-clamped", "round-trip"})
    otherwise = frozenset({"tampered-refused", "content-md5", "keep-alive"})

    def start_endpoint(self) -> str:
        """A server in a process of its own."""
        if find_spec("moto") is None:
            raise SkipTest("moto is not installed")
        port = free_ports()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.run_process(command, lambda: self.answers(port))
        return f"http://127.0.0.1:{port}"


del Endpoints  # it is no test by itself
