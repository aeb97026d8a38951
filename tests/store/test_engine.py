"""What the store makes of RocksDB's errors."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from s3gw.model import BucketInfo, ObjectInfo, UploadInfo
from s3gw.store.interface import AbortUpload, CreateBucket, CreateUpload, PutObject, StoreFailed
from s3gw.store.rocks import RocksStore


class Damaged:
    """A database that has met damage in the background, and from then on refuses every write, as RocksDB does."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def write(self, *arguments: object) -> None:
        raise Exception("Corruption: block checksum mismatch: stored = 1, computed = 2 in 000012.sst")


class RefusedWriteTests(TestCase):
    """A write that RocksDB refuses."""

    def test_corruption(self) -> None:
        """Nobody is told that something was stored when the write that all share was refused for damage elsewhere.

        Aborting an upload writes what came before it, to see all of its parts: so the refusal comes in the middle."""
        store = RocksStore.open(self.mktemp(), cache_bytes=8 << 20, reserve_bytes=0)
        upload = "0" * 32
        store.commit([CreateBucket(BucketInfo("b", 1)), CreateUpload(UploadInfo("b", "m", upload, 1))])
        store._engine._records = Damaged(store._engine._records)  # type: ignore[assignment]
        put = PutObject("b", "k", ObjectInfo(2, 1, "etag", inline=bytes(16)), b"hi")
        self.assertRaises(StoreFailed, store.commit, [put, AbortUpload("b", "m", upload)])
        self.assertEqual([None], store.look_up([("b", "k")]))
        self.assertRaises(StoreFailed, store.check)
        self.assertRaises(StoreFailed, store.close)
