"""What the store makes of RocksDB's errors."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from s3gw.model import CHUNK_BYTES, BucketInfo, ObjectInfo, UploadInfo
from s3gw.store.interface import AbortUpload, ChunkRow, CreateBucket, CreateUpload, PutObject, StoreFailed
from s3gw.store.options import CHUNKS
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


class BlockCacheTests(TestCase):
    """What reads of bodies leave in the cache that the records are in."""

    def test_runs(self) -> None:
        """Reading a large body takes no room there, however large it is; a chunk alone brings in what leads to it."""
        store = RocksStore.open(self.mktemp(), cache_bytes=8 << 20, reserve_bytes=0)
        self.addCleanup(store.close)
        blob = store.begin_blob()
        chunks = [number.to_bytes(2, "big") * (CHUNK_BYTES // 2) for number in range(64)]
        store.stage(blob, 0, chunks)
        store._engine.flush(CHUNKS)
        rows = [ChunkRow(blob, number) for number in range(64)]
        before = self.used(store)
        for low in range(0, 64, 16):
            self.assertEqual(chunks[low : low + 16], list(store.read(rows[low : low + 16])))
        self.assertLess(self.used(store) - before, CHUNK_BYTES)
        self.assertEqual(chunks[:1], list(store.read(rows[:1])))
        self.assertGreater(self.used(store) - before, CHUNK_BYTES)

    def used(self, store: RocksStore) -> int:
        return store.properties()["block_cache_bytes"]
