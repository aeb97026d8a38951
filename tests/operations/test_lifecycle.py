"""Lifecycle rules: their configuration, what answers say of them, and the sweep that does what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError
from twisted.internet.defer import Deferred

from s3gw.errors import S3Error
from s3gw.operations import lifecycle_sweep
from s3gw.store.interface import Committed, Mutation, StoreFull, VersionQuery
from s3gw.store.memory import MemoryStore
from s3gw.store.rocks import RocksStore
from s3gw.web.lifecycle import MOST_SECONDS, PAUSE_SECONDS, LifecycleSweeps
from tests.operations.harness import InMemoryGateway
from tests.operations.test_versioning import VersioningCase

DAY = 24 * 3600
DEFAULT_SIZES = "all_storage_classes_128K"


def expiration(prefix: str = "", **action: Any) -> dict[str, Any]:
    """A rule for current versions."""
    return {"ID": f"{prefix}{action}"[:40], "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": action}


def noncurrent(days: int, newer: int = 0, prefix: str = "") -> dict[str, Any]:
    """A rule for the others."""
    action = {"NoncurrentDays": days, **({"NewerNoncurrentVersions": newer} if newer else {})}
    return {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": prefix}, "NoncurrentVersionExpiration": action}


class LifecycleCase(VersioningCase):
    """A bucket, and sweeps on the gateway's clock that go on in the middle of keys."""

    day = DAY

    def setUp(self) -> None:
        super().setUp()
        self.patch(lifecycle_sweep, "PAGE", 3)
        self.patch(lifecycle_sweep, "BATCH", 2)
        self.s3.create_bucket(Bucket="plain")
        self.sweeps = self.swept(self.gateway)

    def swept(self, gateway: InMemoryGateway) -> LifecycleSweeps:
        """Sweeps that have begun."""
        sweeps = LifecycleSweeps(gateway.storage, gateway.clock, lambda: int(gateway.clock.seconds() * 1000), self.day)
        sweeps.start()
        return sweeps

    def configure(self, *rules: dict[str, Any], bucket: str = "bucket") -> None:
        """Set the rules of a bucket."""
        self.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})

    def wait(self, days: float) -> None:
        """Let the clock run, and every sweep that begins come to its end."""
        end = self.gateway.clock.seconds() + days * self.day
        while self.gateway.clock.seconds() < end:
            self.gateway.clock.advance(min(MOST_SECONDS, end - self.gateway.clock.seconds()))
            while any(call.time - self.gateway.clock.seconds() <= PAUSE_SECONDS for call in self.gateway.clock.calls):
                self.gateway.clock.advance(PAUSE_SECONDS)

    def names(self, bucket: str = "bucket") -> list[str]:
        """The objects that are left."""
        return [it["Key"] for it in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def left(self) -> list[str]:
        """Sizes of the versions that are left, ``marker`` for a marker, in no order."""
        return sorted(what for *_, what in self.versions())


class ConfigurationTests(LifecycleCase):
    """The configuration."""

    def test_given_back(self) -> None:
        """It is given back as it was set, until it is deleted; ids are made up where there are none."""
        named = {"Bucket": "bucket"}
        with self.assertRaises(ClientError) as caught:
            self.s3.get_bucket_lifecycle_configuration(**named)
        self.assertEqual("NoSuchLifecycleConfiguration", caught.exception.response["Error"]["Code"])
        rules = [
            expiration("a/", Days=1),
            {"ID": "x", "Status": "Disabled", "Prefix": "b", "Expiration": {"ExpiredObjectDeleteMarker": True}},
            noncurrent(3, 2),
        ]
        self.configure(*rules)
        answer = self.s3.get_bucket_lifecycle_configuration(**named)
        self.assertEqual((rules, DEFAULT_SIZES), (answer["Rules"], answer["TransitionDefaultMinimumObjectSize"]))
        self.configure({key: value for key, value in rules[0].items() if key != "ID"})
        self.assertTrue(self.s3.get_bucket_lifecycle_configuration(**named)["Rules"][0]["ID"])
        for _ in range(2):
            self.s3.delete_bucket_lifecycle(**named)
        with self.assertRaises(ClientError):
            self.s3.get_bucket_lifecycle_configuration(**named)

    def test_refused(self) -> None:
        """What is refused changes nothing: a transition, a document without a digest, another size."""
        transition = {**expiration(Days=1), "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}
        parameters: dict[str, Any] = {"LifecycleConfiguration": {"Rules": [transition]}}
        self.refused("NotImplemented", 501, "PutBucketLifecycleConfiguration", **parameters)
        answer = self.request("PUT", "/bucket", body=b"<LifecycleConfiguration/>", query="lifecycle")
        self.assert_error("InvalidRequest", 400, answer)
        parameters = {"LifecycleConfiguration": {"Rules": [expiration(Days=1)]}}
        parameters["TransitionDefaultMinimumObjectSize"] = "varies_by_storage_class"
        self.refused("NotImplemented", 501, "PutBucketLifecycleConfiguration", **parameters)
        self.assertEqual(404, self.request("GET", "/bucket", query="lifecycle").status)


class HeaderTests(LifecycleCase):
    """``x-amz-expiration`` and ``x-amz-abort-date``."""

    day = 2

    def test_expiration(self) -> None:
        """Every answer about an object says when a rule ends it, from when there is one until there is none, in true
        days."""
        self.put("/bucket/key", b"x")
        for _ in range(2):
            self.assertNotIn("x-amz-expiration", self.request("GET", "/bucket/key").headers)
        self.configure({**expiration("k", Days=1), "ID": "a rule"})
        told = 'expiry-date="Wed, 23 Sep 2026 00:00:00 GMT", rule-id="a%20rule"'
        answers = {
            "put": self.request("PUT", "/bucket/key", body=b"y"),
            "get": self.request("GET", "/bucket/key"),
            "head": self.request("HEAD", "/bucket/key"),
            "range": self.request("GET", "/bucket/key", {"Range": "bytes=0-0"}),
            "copy": self.request("PUT", "/bucket/key2", {"x-amz-copy-source": "bucket/key"}),
        }
        for name, answer in answers.items():
            self.assertEqual(told, answer.headers.get("x-amz-expiration"), (name, answer))
        version = answers["put"].headers["x-amz-version-id"]
        for other in (
            self.request("PUT", "/bucket/other", body=b"x"),
            self.request("GET", "/bucket/key", query=f"versionId={version}"),
        ):
            self.assertNotIn("x-amz-expiration", other.headers)
        self.s3.delete_bucket_lifecycle(Bucket="bucket")
        self.assertNotIn("x-amz-expiration", self.request("GET", "/bucket/key").headers)

    def test_tags(self) -> None:
        """A rule about tags counts as soon as an object has them."""
        rule = {**expiration(Days=1), "Filter": {"Tag": {"Key": "a", "Value": "b"}}}
        self.configure(rule)
        self.put("/bucket/key", b"x")
        self.assertNotIn("x-amz-expiration", self.request("HEAD", "/bucket/key").headers)
        tagging = {"TagSet": [{"Key": "a", "Value": "b"}]}
        self.s3.put_object_tagging(Bucket="bucket", Key="key", Tagging=tagging)
        self.assertIn("x-amz-expiration", self.request("HEAD", "/bucket/key").headers)

    def test_abort(self) -> None:
        """An upload is told when it will be aborted."""
        abort = {"ID": "up", "Status": "Enabled", "Filter": {}}
        self.configure({**abort, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}})
        upload = self.s3.create_multipart_upload(Bucket="bucket", Key="key")
        parts = self.s3.list_parts(Bucket="bucket", Key="key", UploadId=upload["UploadId"])
        for answer in (upload, parts):
            self.assertEqual(("up", 23), (answer["AbortRuleId"], answer["AbortDate"].day))


class PlainSweepTests(LifecycleCase):
    """Sweeps of a bucket without versioning."""

    def fill(self, *keys: str, **more: Any) -> None:
        """Objects of a byte."""
        for key in keys:
            self.s3.put_object(Bucket="plain", Key=key, Body=b"x", **more)

    def test_days(self) -> None:
        """Objects go when their day has ended and a sweep has come by, not before; others stay."""
        self.fill("a/1", "a/2", "a/3", "a/4", "a/5", "b/1")
        self.configure(expiration("a/", Days=2), expiration("c/", Days=1), bucket="plain")
        self.wait(2)
        self.assertEqual(6, len(self.names("plain")))
        self.wait(1)
        self.assertEqual(["b/1"], self.names("plain"))
        self.assertEqual({"object": 5, "version": 0, "marker": 0, "upload": 0}, self.sweeps.ended)
        self.assertEqual(0, self.sweeps.errors)
        self.assertAlmostEqual(self.sweeps.last, self.gateway.clock.seconds(), delta=2 * MOST_SECONDS)

    def test_second_thoughts(self) -> None:
        """Rules that are new, or others than before, are followed from the second sweep on that sees them."""
        self.fill("key")
        self.wait(0.1)
        self.configure(expiration(Date="2026-01-01"), bucket="plain")
        sweeps = self.sweeps.sweeps
        while self.sweeps.sweeps == sweeps:
            self.assertEqual(["key"], self.names("plain"))
            self.gateway.clock.advance(60)
        self.assertEqual(["key"], self.names("plain"))
        self.wait(0.1)
        self.assertEqual([], self.names("plain"))

    def test_date(self) -> None:
        """A date that has passed ends what there is, one to come does not."""
        self.fill("past", "future")
        self.configure(expiration("past", Date="2026-01-01"), expiration("future", Date="2030-01-01"), bucket="plain")
        self.wait(0.1)
        self.assertEqual(["future"], self.names("plain"))

    def test_filters(self) -> None:
        """Tags and sizes choose."""
        self.fill("tagged", Tagging="a=b&c=d")
        self.fill("other", Tagging="a=x")
        self.s3.put_object(Bucket="plain", Key="large", Body=b"x" * 2001)
        tagged = {"And": {"Prefix": "", "Tags": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]}}
        self.configure({**expiration(Days=1), "Filter": tagged}, bucket="plain")
        self.wait(2)
        self.assertEqual(["large", "other"], self.names("plain"))
        self.configure({**expiration(Days=1), "Filter": {"ObjectSizeGreaterThan": 2000}}, bucket="plain")
        self.wait(0.1)
        self.assertEqual(["other"], self.names("plain"))

    def test_disabled(self) -> None:
        """A rule that is disabled does nothing."""
        self.fill("a")
        self.configure({**expiration(Days=1), "Status": "Disabled"}, bucket="plain")
        self.wait(5)
        self.assertEqual(["a"], self.names("plain"))

    def test_written_anew(self) -> None:
        """An object that is written again begins anew."""
        self.fill("a", "b")
        self.configure(expiration(Days=2), bucket="plain")
        self.wait(2)
        self.fill("a")
        self.wait(1)
        self.assertEqual(["a"], self.names("plain"))

    def test_uploads(self) -> None:
        """Uploads that nobody ended are ended."""
        for key in ("a/1", "a/2", "a/3", "a/4", "b/1"):
            self.s3.create_multipart_upload(Bucket="plain", Key=key)
        abort = {"ID": "up", "Status": "Enabled", "Filter": {"Prefix": "a/"}}
        self.configure({**abort, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}, bucket="plain")
        self.wait(2)
        self.assertEqual(5, len(self.s3.list_multipart_uploads(Bucket="plain")["Uploads"]))
        self.wait(1)
        self.assertEqual(["b/1"], [it["Key"] for it in self.s3.list_multipart_uploads(Bucket="plain")["Uploads"]])
        self.assertEqual(4, self.sweeps.ended["upload"])


class VersionSweepTests(LifecycleCase):
    """Sweeps of a bucket with versioning."""

    def test_current(self) -> None:
        """What expires hides behind a marker, of the bucket's owner; versions and others' keys stay."""
        self.store("a", b"1")
        self.store("a", b"22")
        self.store("b", b"333")
        self.configure(expiration("a", Days=1))
        self.wait(2)
        self.assertEqual(["b"], self.names())
        self.assertEqual(["1", "2", "3", "marker"], self.left())
        marker = self.s3.list_object_versions(Bucket="bucket")["DeleteMarkers"][0]
        self.assertEqual(self.s3.list_buckets()["Owner"]["ID"], marker["Owner"]["ID"])
        self.wait(1)
        self.assertEqual(1, self.sweeps.ended["object"])

    def test_noncurrent(self) -> None:
        """Versions go so many days after a newer one came."""
        for size in range(1, 5):
            self.store("a", b"x" * size)
            self.store("b", b"x" * size)
            self.wait(1)
        self.configure(noncurrent(2, prefix="a"))
        self.wait(0.1)
        self.assertEqual(["1", "2", "2", "3", "3", "4", "4"], self.left())
        self.wait(9)
        self.assertEqual(["1", "2", "3", "4", "4"], self.left())
        self.assertEqual(["a", "b"], self.names())

    def test_newer(self) -> None:
        """The newest of them can be kept, however old."""
        for size in range(1, 9):
            self.store("a", b"x" * size)
        self.configure(noncurrent(1, newer=3))
        self.wait(9)
        self.assertEqual(["5", "6", "7", "8"], self.left())

    def test_markers(self) -> None:
        """A marker goes when there is nothing behind it any more."""
        self.store("a", b"1")
        for key in ("a", "b", "c/1"):
            self.s3.delete_object(Bucket="bucket", Key=key)
        self.configure({**noncurrent(1), "Expiration": {"ExpiredObjectDeleteMarker": True}, "Filter": {"Prefix": "a"}})
        self.wait(1)
        self.assertEqual(["1", "marker", "marker", "marker"], self.left())
        self.wait(1)
        self.assertEqual(["marker", "marker"], self.left())
        self.configure(expiration("b", Days=4))
        self.wait(1)
        self.assertEqual(["marker", "marker"], self.left())
        self.wait(3)
        self.assertEqual([("c/1", "marker")], [(key, what) for key, _, _, what in self.versions()])
        self.assertEqual((1, 2), (self.sweeps.ended["version"], self.sweeps.ended["marker"]))

    def test_everything(self) -> None:
        """Rules that end all leave nothing, in the course of time, and null versions are no exception."""
        self.put("/plain/k", b"null")
        self.s3.put_bucket_versioning(Bucket="plain", VersioningConfiguration={"Status": "Enabled"})
        self.put("/plain/k", b"id")
        self.s3.put_bucket_versioning(Bucket="plain", VersioningConfiguration={"Status": "Suspended"})
        self.configure(expiration(Days=1), noncurrent(1), bucket="plain")
        self.wait(6)
        self.assertEqual(204, self.request("DELETE", "/plain").status)

    def test_locked(self) -> None:
        """What is locked stays until it is not."""
        self.configure_lock()
        one = self.store("a", b"1")
        self.s3.put_object_legal_hold(Bucket="bucket", Key="a", LegalHold={"Status": "ON"})
        self.store("a", b"2")
        self.configure(noncurrent(1))
        self.wait(5)
        self.assertEqual(2, len(self.left()))
        self.s3.put_object_legal_hold(Bucket="bucket", Key="a", VersionId=one, LegalHold={"Status": "OFF"})
        self.wait(0.1)
        self.assertEqual(1, len(self.left()))
        self.assertEqual(0, self.sweeps.errors)

    def configure_lock(self) -> None:
        """Let versions be locked."""
        configuration = {"ObjectLockEnabled": "Enabled"}
        self.s3.put_object_lock_configuration(Bucket="bucket", ObjectLockConfiguration=configuration)


class TroubleTests(LifecycleCase):
    """Sweeps that clients, the store or the end of the gateway get in the way of."""

    def test_overtaken(self) -> None:
        """What a client writes between the look and the commit stays, and is no error."""
        self.put("/plain/a", b"old")
        self.put("/plain/b", b"old")
        self.configure(expiration(Days=1), bucket="plain")
        commit_all = self.gateway.storage.commit_all

        async def meanwhile(mutations: Sequence[Mutation]) -> list[Committed | S3Error]:
            self.put("/plain/a", b"new")
            return await commit_all(mutations)

        self.patch(self.gateway.storage, "commit_all", meanwhile)
        self.wait(2)
        self.assertEqual((["a"], b"new"), (self.names("plain"), self.get("/plain/a")))
        self.assertEqual((1, 0), (self.sweeps.ended["object"], self.sweeps.errors))

    def test_failed(self) -> None:
        """A sweep that the store cannot do is counted, and the next one does it."""
        self.put("/plain/a", b"x")
        self.configure(expiration(Days=1), bucket="plain")
        store = self.gateway.store
        assert isinstance(store, MemoryStore)
        store.trouble = StoreFull("full")
        self.wait(2)
        self.assertGreater(self.sweeps.errors, 0)
        self.assertEqual(len(self.flushLoggedErrors()), 0)
        store.trouble = None
        self.wait(0.1)
        self.assertEqual([], self.names("plain"))

    def test_begun_anew(self) -> None:
        """What a crash cuts off in the middle, the next gateway over the same database brings to the same end."""
        path = self.mktemp()
        store = RocksStore.open(path, cache_bytes=1 << 20, reserve_bytes=0)
        self.gateway = InMemoryGateway(self.keys, store=store)
        self.s3 = self.client()
        self.s3.create_bucket(Bucket="bucket")
        self.versioning("Enabled")
        for key in "abcdefgh":
            self.store(key, b"1")
            self.store(key, b"2" * 100_000)
        self.configure(expiration(Days=1), noncurrent(1))
        self.sweeps = self.swept(self.gateway)
        self.gateway.clock.advance(2 * DAY)
        self.gateway.clock.advance(PAUSE_SECONDS)
        cut = self.sweeps.ended["object"], self.sweeps.ended["version"]
        self.assertTrue(0 < sum(cut) < 16, cut)
        self.gateway.close()
        store.close()
        again = RocksStore.open(path, cache_bytes=1 << 20, reserve_bytes=0)
        self.addCleanup(again.close)
        moment = self.gateway.clock.seconds()
        self.gateway = InMemoryGateway(self.keys, store=again)
        self.addCleanup(self.gateway.close)
        self.gateway.clock.advance(moment - self.gateway.clock.seconds())
        self.sweeps = self.swept(self.gateway)
        self.wait(5)
        self.assertEqual(again.list_versions("bucket", VersionQuery()).entries, ())
        self.assertEqual(list(again.faults()), [])

    def test_stopped_early(self) -> None:
        """One that has not begun never does."""
        self.put("/plain/a", b"x")
        self.configure(expiration(Date="2026-01-01"), bucket="plain")
        self.successResultOf(Deferred.fromCoroutine(self.sweeps.stop()))
        self.wait(1)
        self.assertEqual(["a"], self.names("plain"))

    def test_stopped(self) -> None:
        """The gateway's end does not wait for a sweep's."""
        for number in range(20):
            self.put(f"/plain/{number}", b"x")
        self.configure(expiration(Days=1), bucket="plain")
        self.successResultOf(Deferred.fromCoroutine(self.sweeps.stop()))
        self.sweeps = self.swept(self.gateway)
        self.gateway.clock.advance(2 * DAY)
        left = len(self.names("plain"))
        self.assertIn(left, range(10, 20))
        stopped = Deferred.fromCoroutine(self.sweeps.stop())
        self.gateway.clock.advance(PAUSE_SECONDS)
        self.successResultOf(stopped)
        self.wait(1)
        self.assertEqual(left, len(self.names("plain")))
