"""``s3gw-admin cache``, against a gateway in this process."""

from __future__ import annotations

import botocore.session

from tests.admin.test_probe import ProbeCase


class CacheTests(ProbeCase):
    """A bucket of a gateway that checks signatures."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve(auth="sigv4")
        self.s3 = botocore.session.Session().create_client("s3", **self.server.boto3())
        self.s3.create_bucket(Bucket="kv-cache")

    def cache(self, *words: str) -> dict[str, object]:
        """What it says of the bucket."""
        found: dict[str, object] = self.succeed("cache", self.server.url, "kv-cache", *words)
        return found

    def test_set_and_off(self) -> None:
        """Rules are set as a whole, shown, and taken away."""
        self.assertIsNone(self.cache()["rules"])
        found = self.cache("--set", "MaxBytes=2K", "--set", "SecondsSinceRead=60")
        self.assertEqual(found["rules"], {"SecondsSinceRead": 60, "MaxBytes": 2048})
        self.s3.put_object(Bucket="kv-cache", Key="k", Body=b"12345")
        found = self.cache("--set", "MaxObjects=7")
        self.assertEqual((found["rules"], found["objects"], found["bytes"]), ({"MaxObjects": 7}, 1, 5))
        self.assertEqual(self.cache("--on")["rules"], {})
        self.assertIsNone(self.cache("--off")["rules"])
        status, out, _ = self.admin("cache", self.server.url, "kv-cache")
        self.assertEqual((status, out), (0, "kv-cache is no cache bucket\n"))

    def test_dry_run(self) -> None:
        """What would have to go is told, and stays."""
        self.cache("--set", "MaxObjects=9")
        for number in range(6):
            self.s3.put_object(Bucket="kv-cache", Key=f"<{number}>", Body=b"x")
        found = self.cache("--set", "MaxObjects=4", "--dry-run")
        self.assertEqual(
            found["going"], [{"key": key, "size": 1, "reason": "evicted"} for key in ("<0>", "<1>")], found
        )
        self.assertEqual(self.cache("--dry-run")["going"], [])
        found = self.cache()
        self.assertEqual((found["rules"], found["objects"]), ({"MaxObjects": 9}, 6))

    def test_refused(self) -> None:
        """What makes no sense, or is not allowed, is one line."""
        for words in (("--set", "MaxBites=1"), ("--set", "MaxBytes"), ("--on", "--off")):
            status, _, err = self.admin("cache", self.server.url, "kv-cache", *words)
            self.assertEqual(status, 2, err)
        self.assertIn("NoSuchBucket", self.refuse("cache", self.server.url, "missing", "--on"))
        self.assertIn("MaxBytes must be", self.refuse("cache", self.server.url, "kv-cache", "--set", "MaxBytes=0"))
        self.assertIn("NoSuchCacheConfiguration", self.refuse("cache", self.server.url, "kv-cache", "--dry-run"))
