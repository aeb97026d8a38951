"""Abandoned uploads, and the sweep that ends them."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from s3gw.operations import expiry
from s3gw.store.interface import Mutation, Outcome, StoreFull
from s3gw.store.memory import MemoryStore
from s3gw.web.sweep import INTERVAL_SECONDS, UploadSweep
from tests.operations.harness import NOW, GatewayTestCase, InMemoryGateway

DAY = 24 * 3600


class SweepTests(GatewayTestCase):
    """The sweep, on a clock that the test moves."""

    def setUp(self) -> None:
        """Two buckets."""
        super().setUp()
        self.patch(expiry, "PAGE", 2)
        for bucket in ("one", "two"):
            self.make_bucket(bucket)
        self.sweep = self.swept(self.gateway, 2)

    def swept(self, gateway: InMemoryGateway, days: int) -> UploadSweep:
        """A sweep that has begun."""
        sweep = UploadSweep(gateway.storage, gateway.clock, lambda: int(gateway.clock.seconds() * 1000), days)
        sweep.start()
        return sweep

    def begin(self, bucket: str, key: str) -> str:
        """An upload with a part."""
        upload = self.request("POST", f"/{bucket}/{key}", query="uploads").text("UploadId") or ""
        answer = self.request("PUT", f"/{bucket}/{key}", body=b"x", query=f"partNumber=1&uploadId={upload}")
        self.assertEqual(200, answer.status)
        return upload

    def uploads(self) -> list[str]:
        """Keys of the uploads that are left."""
        found = []
        for bucket in ("one", "two"):
            found += self.request("GET", f"/{bucket}", query="uploads").texts("Key")
        return found

    def wait(self, seconds: float) -> None:
        """Let the clock run, hour by hour."""
        hours = int(seconds // INTERVAL_SECONDS)
        self.gateway.clock.pump([INTERVAL_SECONDS] * hours + [seconds - hours * INTERVAL_SECONDS])

    def test_expires(self) -> None:
        """What is older than the days that were set is aborted, in every bucket, and nothing that is younger."""
        for number in range(5):
            self.begin("one", f"old-{number}")
        self.begin("two", "old")
        self.wait(DAY)
        self.begin("one", "young")
        self.assertEqual(7, len(self.uploads()))
        self.wait(DAY + INTERVAL_SECONDS)
        self.assertEqual((["young"], 6), (self.uploads(), self.sweep.aborted))
        self.wait(DAY)
        self.assertEqual(([], 7), (self.uploads(), self.sweep.aborted))

    def test_gone(self) -> None:
        """To its client an expired upload is one that there is not."""
        upload = self.begin("one", "key")
        self.wait(3 * DAY)
        answer = self.request("PUT", "/one/key", body=b"x", query=f"partNumber=2&uploadId={upload}")
        self.assert_error("NoSuchUpload", 404, answer)

    def test_never(self) -> None:
        """0 days are never."""
        self.stop()
        self.swept(self.gateway, 0)
        self.begin("one", "key")
        self.wait(400 * DAY)
        self.assertEqual(["key"], self.uploads())

    def stop(self) -> None:
        """Stop the sweep."""
        self.successResultOf(Deferred.fromCoroutine(self.sweep.stop()))

    def test_stops(self) -> None:
        """A sweep that was stopped sweeps no more, and leaves no timer behind."""
        self.begin("one", "key")
        self.stop()
        self.assertEqual([], self.gateway.clock.getDelayedCalls())
        self.wait(10 * DAY)
        self.assertEqual(["key"], self.uploads())

    def test_fails(self) -> None:
        """A sweep that fails is logged, and the next one tries again."""
        store = _Failing()
        gateway = InMemoryGateway((), store=store)
        self.addCleanup(gateway.close)
        gateway.request("PUT", "/one")
        gateway.request("POST", "/one/key", query="uploads")
        sweep = self.swept(gateway, 1)
        store.failing = True
        gateway.clock.advance(2 * DAY)
        self.assertEqual(0, sweep.aborted)
        store.failing = False
        gateway.clock.advance(INTERVAL_SECONDS)
        self.assertEqual((NOW + 2 * DAY + INTERVAL_SECONDS, 1), (gateway.clock.seconds(), sweep.aborted))


class _Failing(MemoryStore):
    failing = False

    def commit(self, mutations: Sequence[Mutation]) -> list[Outcome]:
        if self.failing:
            raise StoreFull("the disk is full")
        return super().commit(mutations)
