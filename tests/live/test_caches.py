"""Cache buckets with a real client, a real clock, and a process that is killed."""

from __future__ import annotations

import contextlib
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import Request

from botocore.exceptions import BotoCoreError, ClientError

from tests.live.case import LiveCase, trusting
from tests.live.server import LiveServer

RULES = "[kv-*]\nMaxBytes = 2000000\nMaxObjects = 200\n"


class CacheTests(LiveCase):
    """One gateway with a file of rules."""

    def make_server(self) -> LiveServer:
        self.rules = self.directory() / "rules"
        self.rules.write_text(RULES)
        return self.own_server(args=(f"--cache_rules={self.rules}",)).start()

    def ask(self, method: str, path: str, body: bytes | None = None) -> str:
        """What a request that boto3 does not know is answered with."""
        request = Request(f"{self.server.url}{path}", body, method=method)
        with trusting(self.server).open(request, timeout=30) as answer:
            return str(answer.read().decode())

    def status(self, bucket: str) -> tuple[int, int]:
        """Objects and bytes that a cache bucket says it has."""
        text = self.ask("GET", f"/{bucket}?x-s3gw-cache&status")
        found = re.search(r"<Objects>(\d+)</Objects><Bytes>(\d+)</Bytes>", text)
        assert found is not None, text
        return int(found[1]), int(found[2])

    def listed(self, s3: Any, bucket: str) -> tuple[int, int]:
        """Objects and bytes that a listing shows."""
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        sizes = [entry["Size"] for page in pages for entry in page.get("Contents", ())]
        return len(sizes), sum(sizes)

    def settled(self, s3: Any, bucket: str) -> tuple[int, int]:
        """The same by both, at a moment in which nothing is being evicted."""
        deadline = time.monotonic() + 20
        while True:
            said, listed = self.status(bucket), self.listed(s3, bucket)
            if said == self.status(bucket) or time.monotonic() > deadline:
                self.assertEqual(said, listed)
                return listed

    def with_ttl(self, s3: Any, seconds: int) -> None:
        """Let a client send a time to live with each request that writes, as an application does."""

        def add(params: dict[str, Any], **_: object) -> None:
            params["headers"]["x-s3gw-ttl"] = str(seconds)

        for operation in ("PutObject", "CreateMultipartUpload", "CopyObject"):
            s3.meta.events.register(f"before-call.s3.{operation}", add)

    def test_time_to_live(self) -> None:
        """An object that a boto3 application gave a second is there, and then is not."""
        s3 = self.server.s3()
        s3.create_bucket(Bucket="kv-ttl")
        s3.put_object(Bucket="kv-ttl", Key="stays", Body=b"y")
        self.with_ttl(s3, 1)
        s3.put_object(Bucket="kv-ttl", Key="goes", Body=b"x")
        written = time.monotonic()
        with contextlib.suppress(ClientError):
            while time.monotonic() < written + 10:
                s3.head_object(Bucket="kv-ttl", Key="goes")
        self.assertGreater(time.monotonic() - written, 0.9)
        self.assertLess(time.monotonic() - written, 9)
        self.assertEqual(self.refused(s3.get_object, Bucket="kv-ttl", Key="goes"), (404, "NoSuchKey"))
        self.assertEqual([e["Key"] for e in s3.list_objects_v2(Bucket="kv-ttl")["Contents"]], ["stays"])
        s3.put_object(Bucket="kv-ttl", Key="goes", Body=b"z", IfNoneMatch="*")

    def test_killed_at_its_cap(self) -> None:
        """Killed while many clients write, what a capped bucket says it holds is what it holds, and it stays capped."""
        s3 = self.server.s3(max_pool_connections=8)
        s3.create_bucket(Bucket="kv-cap")

        def write(number: int) -> None:
            size = 150_000 if number % 8 == 0 else 3000 + number
            s3.put_object(Bucket="kv-cap", Key=f"{number % 700:04d}", Body=bytes(size))

        for turn in range(3):
            with ThreadPoolExecutor(8) as pool:
                writes = [pool.submit(write, 250 * turn + number) for number in range(250)]
                [each.result() for each in writes[:120]]
                self.server.kill()
                for each in writes:
                    with contextlib.suppress(ClientError, BotoCoreError):
                        each.result()
            self.server.start()
            s3 = self.server.s3(max_pool_connections=8)
            self.settled(s3, "kv-cap")
        for number in range(100):
            write(number)
        objects, nbytes = self.settled(s3, "kv-cap")
        self.assertLessEqual(objects, 201)
        self.assertLessEqual(nbytes, 2_150_000)
        self.assertIn("s3gw_cache_bucket_evicted_objects_total", self.ask("GET", "/metrics"))

    def test_rules_by_name(self) -> None:
        """Rules come with the name; a bucket that was there gets them when the file is read again."""
        s3 = self.server.s3()
        for bucket in ("kv-new", "old-one"):
            s3.create_bucket(Bucket=bucket)
        self.assertIn("<MaxObjects>200</MaxObjects>", self.ask("GET", "/kv-new?x-s3gw-cache"))
        s3.put_object(Bucket="old-one", Key="k", Body=b"x")
        self.rules.write_text(RULES + "[old-*]\nSecondsSinceRead = 60\n")
        self.server.hang_up()
        self.server.wait_for_log(r"reloaded \d of \d")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.status("old-one") == (1, 1):
                    break
        self.assertEqual(self.status("old-one"), (1, 1))
        self.assertIn("<SecondsSinceRead>60<", self.ask("GET", "/old-one?x-s3gw-cache"))
        self.rules.write_text("[old-*]\nMaxBytes = lots\n")
        self.server.hang_up()
        self.server.wait_for_log(r"not reloaded: .*MaxBytes must be a whole number")
