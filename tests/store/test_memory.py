"""The contract over `MemoryStore`, and what it has for tests of other layers."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import TestCase

from s3gw.model import ObjectInfo
from s3gw.store.interface import ChunkRow, CorruptChunk, PutObject, StoreFull
from s3gw.store.memory import MemoryStore
from tests.store import contract, contract_caches, contract_versions


class InMemory:
    def makeStore(self) -> MemoryStore:
        return MemoryStore()

    def makeStoreAt(self, now: Callable[[], int]) -> MemoryStore:
        return MemoryStore(now)


class BucketTests(InMemory, contract.BucketTests, TestCase):
    pass


class ObjectTests(InMemory, contract.ObjectTests, TestCase):
    pass


class ConditionTests(InMemory, contract.ConditionTests, TestCase):
    pass


class SharingTests(InMemory, contract.SharingTests, TestCase):
    pass


class UploadTests(InMemory, contract.UploadTests, TestCase):
    pass


class ListingTests(InMemory, contract.ListingTests, TestCase):
    pass


class CacheExpiryTests(InMemory, contract_caches.ExpiryTests, TestCase):
    pass


class CacheQueueTests(InMemory, contract_caches.QueueTests, TestCase):
    pass


class VersionTests(InMemory, contract_versions.VersionTests, TestCase):
    pass


class NullVersionTests(InMemory, contract_versions.NullVersionTests, TestCase):
    pass


class VersionListingTests(InMemory, contract_versions.VersionListingTests, TestCase):
    pass


class LockTests(InMemory, contract_versions.LockTests, TestCase):
    pass


class ExpiryTests(InMemory, contract_versions.ExpiryTests, TestCase):
    pass


class TroubleTests(TestCase):
    """The faults that other layers' tests ask for."""

    def test_trouble(self) -> None:
        """Writes raise what they are told to, and nothing happens."""
        store = MemoryStore()
        store.trouble = StoreFull("full")
        self.assertRaises(StoreFull, store.commit, [PutObject("b", "k", ObjectInfo(0, 1, "e"))])
        self.assertRaises(StoreFull, store.stage, store.begin_blob(), 0, [b"x"])
        self.assertRaises(StoreFull, store.check)

    def test_damaged(self) -> None:
        """A row that is said to be damaged reads as corrupt, the others do not."""
        store = MemoryStore()
        blob = store.begin_blob()
        store.stage(blob, 0, [b"x", b"y"])
        store.damaged.add(ChunkRow(blob, 0))
        bad, good = store.read([ChunkRow(blob, 0), ChunkRow(blob, 1)])
        self.assertIsInstance(bad, CorruptChunk)
        self.assertEqual(good, b"y")
