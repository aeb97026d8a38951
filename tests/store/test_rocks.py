"""The contract over `RocksStore`, and what a database on disk has besides."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from s3gw.store.rocks import RocksStore
from tests.store import contract

CACHE_BYTES = 8 << 20


class OnDisk:
    def makeStore(self) -> RocksStore:
        self.path = self.mktemp()
        return RocksStore.open(self.path, cache_bytes=CACHE_BYTES, reserve_bytes=0)


class BucketTests(OnDisk, contract.BucketTests, TestCase):
    pass


class ObjectTests(OnDisk, contract.ObjectTests, TestCase):
    pass


class ConditionTests(OnDisk, contract.ConditionTests, TestCase):
    pass


class SharingTests(OnDisk, contract.SharingTests, TestCase):
    pass


class UploadTests(OnDisk, contract.UploadTests, TestCase):
    pass


class ListingTests(OnDisk, contract.ListingTests, TestCase):
    pass
