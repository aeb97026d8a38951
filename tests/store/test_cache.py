"""The cache of hot bodies."""

from twisted.trial.unittest import SynchronousTestCase

from s3gw.store.cache import BodyCache
from s3gw.store.interface import ChunkRow, InlineRow

BLOB = b"b" * 16


class BodyCacheTests(SynchronousTestCase):
    def test_remembers(self) -> None:
        """A row that was put is found again, by its identity."""
        cache = BodyCache(10_000)
        cache.put(ChunkRow(BLOB, 3), b"three")
        cache.put(InlineRow("bucket", "key", b"i" * 16), b"inline")
        self.assertEqual(cache.get(ChunkRow(BLOB, 3)), b"three")
        self.assertEqual(cache.get(InlineRow("bucket", "key", b"i" * 16)), b"inline")
        self.assertIsNone(cache.get(ChunkRow(BLOB, 4)))
        self.assertEqual((cache.hits, cache.misses), (2, 1))

    def test_budget(self) -> None:
        """What was used longest ago makes room, and the budget holds."""
        cache = BodyCache(4000)
        for number in range(3):
            cache.put(ChunkRow(BLOB, number), b"x" * 1000)
        cache.get(ChunkRow(BLOB, 0))
        cache.put(ChunkRow(BLOB, 3), b"x" * 1000)
        self.assertIsNone(cache.get(ChunkRow(BLOB, 1)))
        self.assertIsNotNone(cache.get(ChunkRow(BLOB, 0)))
        self.assertLessEqual(cache.size, 4000)

    def test_without_budget(self) -> None:
        """A cache of no bytes keeps nothing."""
        cache = BodyCache(0)
        cache.put(ChunkRow(BLOB, 0), b"x")
        self.assertIsNone(cache.get(ChunkRow(BLOB, 0)))
        self.assertEqual(cache.size, 0)

    def test_drop(self) -> None:
        """Dropping a blob forgets all its rows and no other's, and gives their bytes back."""
        cache = BodyCache(10_000)
        for number in range(3):
            cache.put(ChunkRow(BLOB, number), b"x" * 100)
        cache.put(ChunkRow(b"c" * 16, 0), b"other")
        before = cache.size
        cache.drop(BLOB)
        cache.drop(BLOB)
        self.assertIsNone(cache.get(ChunkRow(BLOB, 1)))
        self.assertEqual(cache.get(ChunkRow(b"c" * 16, 0)), b"other")
        self.assertLess(cache.size, before - 300)
        cache.drop(b"c" * 16)
        self.assertEqual(cache.size, 0)

    def test_put_twice(self) -> None:
        """Putting a row again counts its bytes once."""
        cache = BodyCache(10_000)
        cache.put(ChunkRow(BLOB, 0), b"x" * 100)
        size = cache.size
        cache.put(ChunkRow(BLOB, 0), b"x" * 100)
        self.assertEqual(cache.size, size)
