"""Listings of thousands of keys as boto3 sees them, and the deletion of a thousand at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from tests.live.case import LiveCase
from tests.live.wire import Wire

FOLDERS, FILES, TOP = 30, 80, 100
KEYS = sorted(
    [f"folder {n:02}/sub/{m:03}" for n in range(FOLDERS) for m in range(FILES)] + [f"top+{n:03}" for n in range(TOP)]
)


class ListingTests(LiveCase):
    """2500 keys in 30 folders."""

    def setUp(self) -> None:
        super().setUp()
        self.s3 = self.server.s3()
        self.bucket = self.new_bucket(self.s3)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.store, (KEYS[n::4] for n in range(4))))

    def store(self, keys: list[str]) -> None:
        """Store small objects, in the quickest way."""
        with Wire(self.server) as wire:
            for key in keys:
                answer = wire.ask("PUT", f"/{self.bucket}/{quote(key)}", (), key.encode())
                assert answer.status == 200, answer

    def pages(self, operation: str, size: int | None = None, **query: Any) -> list[dict[str, Any]]:
        """All pages of a listing."""
        paginator = self.s3.get_paginator(operation)
        return list(paginator.paginate(Bucket=self.bucket, PaginationConfig={"PageSize": size}, **query))

    def test_listing(self) -> None:
        """Paged, with and without a delimiter, by both versions of the call: all keys in order, none twice. Then all
        of them are deleted, a thousand at a time."""
        folders = [f"folder {n:02}/" for n in range(FOLDERS)]
        for operation in ("list_objects", "list_objects_v2"):
            with self.subTest(operation):
                pages = self.pages(operation)
                self.assertEqual([len(page["Contents"]) for page in pages], [1000, 1000, 500])
                self.assertEqual([each["Key"] for page in pages for each in page["Contents"]], KEYS)
                pages = self.pages(operation, 7, Delimiter="/")
                self.assertEqual([p["Prefix"] for page in pages for p in page.get("CommonPrefixes", ())], folders)
                tops = [each["Key"] for page in pages for each in page.get("Contents", ())]
                self.assertEqual(tops, [key for key in KEYS if "/" not in key])
                pages = self.pages(operation, 50, Delimiter="/", Prefix="folder 07/sub/")
                within = [each["Key"] for page in pages for each in page["Contents"]]
                self.assertEqual(within, [key for key in KEYS if key.startswith("folder 07/")])
        after = self.s3.list_objects_v2(Bucket=self.bucket, StartAfter="folder 29/sub/078", MaxKeys=2)
        self.assertEqual([each["Key"] for each in after["Contents"]], ["folder 29/sub/079", "top+000"])
        self.assertEqual(after["IsTruncated"], True)
        self.assertEqual(self.s3.list_objects_v2(Bucket=self.bucket, MaxKeys=0)["KeyCount"], 0)
        for start in range(0, len(KEYS), 1000):
            batch = KEYS[start : start + 1000]
            answer = self.s3.delete_objects(
                Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": start == 0}
            )
            self.assertNotIn("Errors", answer)
            self.assertEqual(len(answer.get("Deleted", ())), 0 if start == 0 else len(batch))
        self.assertEqual(self.s3.list_objects_v2(Bucket=self.bucket)["KeyCount"], 0)
        self.s3.delete_bucket(Bucket=self.bucket)
