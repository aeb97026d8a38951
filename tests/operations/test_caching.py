"""Cache buckets as clients see them: the sub-resource, times to live, caps and pins."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from s3gw.model import CacheRules
from tests.operations.harness import Answer, GatewayTestCase

XML = '<CacheConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</CacheConfiguration>'


class CacheCase(GatewayTestCase):
    """Tests against a bucket and a clock."""

    keys = ()

    def setUp(self) -> None:
        super().setUp()
        self.make_bucket()
        self.forgetting = self.gateway.storage.forgetting
        self.forgetting.start()
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(self.forgetting.stop())))

    def configure(self, bucket: str = "bucket", **rules: int) -> None:
        """Make a bucket forget."""
        body = XML.format("".join(f"<{name}>{value}</{name}>" for name, value in rules.items()))
        answer = self.request("PUT", f"/{bucket}", body=body.encode(), query="x-s3gw-cache")
        self.assertEqual(200, answer.status, answer.body)

    def pass_seconds(self, count: int) -> None:
        """So many seconds go by, one by one."""
        for _ in range(count):
            self.gateway.clock.advance(1)

    def status(self, query: str = "x-s3gw-cache&status") -> Answer:
        """What the bucket says that it holds."""
        answer = self.request("GET", "/bucket", query=query)
        self.assertEqual(200, answer.status, answer.body)
        return answer

    def kept(self) -> list[str]:
        """The keys that a listing shows."""
        return self.request("GET", "/bucket", query="list-type=2").texts("Key")


class ConfigurationTests(CacheCase):
    """``?x-s3gw-cache``."""

    def test_round_trip(self) -> None:
        """What was put is got, until it is deleted."""
        self.assert_error("NoSuchCacheConfiguration", 404, self.request("GET", "/bucket", query="x-s3gw-cache"))
        self.configure(SecondsSinceRead=60, MaxBytes=1000, MaxObjects=7, SecondsSinceWrite=3600)
        answer = self.request("GET", "/bucket", query="x-s3gw-cache")
        found = {
            name: answer.text(name) for name in ("SecondsSinceWrite", "SecondsSinceRead", "MaxBytes", "MaxObjects")
        }
        self.assertEqual(
            {"SecondsSinceWrite": "3600", "SecondsSinceRead": "60", "MaxBytes": "1000", "MaxObjects": "7"}, found
        )
        self.configure()
        self.assertIsNone(self.request("GET", "/bucket", query="x-s3gw-cache").text("MaxBytes"))
        self.assertEqual(204, self.request("DELETE", "/bucket", query="x-s3gw-cache").status)
        self.assert_error("NoSuchCacheConfiguration", 404, self.request("GET", "/bucket", query="x-s3gw-cache"))

    def test_refused(self) -> None:
        """What is no configuration changes nothing, and the message says what is wrong with it."""
        self.configure(MaxObjects=7)
        for content, why in (
            ("<MaxBytes>0</MaxBytes>", "MaxBytes must be a whole number"),
            ("<MaxBytes>-1</MaxBytes>", "MaxBytes must be a whole number"),
            ("<MaxBytes>1e9</MaxBytes>", "MaxBytes must be a whole number"),
            ("<SecondsSinceRead>999999999999</SecondsSinceRead>", "SecondsSinceRead must be a whole number from 1"),
            ("<MaxObjects>1</MaxObjects><MaxObjects>2</MaxObjects>", "MaxObjects is there twice"),
            ("<Colour>red</Colour>", "no element Colour"),
        ):
            body = XML.format(content).encode()
            answer = self.request("PUT", "/bucket", body=body, query="x-s3gw-cache")
            self.assert_error("MalformedXML", 400, answer)
            self.assertIn(why, answer.message)
        answer = self.request("PUT", "/bucket", body=b"<LifecycleConfiguration/>", query="x-s3gw-cache")
        self.assert_error("MalformedXML", 400, answer)
        self.assert_error("NoSuchBucket", 404, self.request("GET", "/missing", query="x-s3gw-cache"))
        self.assert_error("MethodNotAllowed", 405, self.request("POST", "/bucket", query="x-s3gw-cache"))
        self.assert_error("InvalidRequest", 400, self.request("GET", "/bucket/key", query="x-s3gw-cache"))
        self.assertEqual("7", self.request("GET", "/bucket", query="x-s3gw-cache").text("MaxObjects"))

    def test_removed_rules(self) -> None:
        """What is in a bucket stays when it is no cache bucket any more, and is forgotten when it is one again."""
        self.configure(SecondsSinceWrite=10)
        self.put("/bucket/key", b"x")
        self.request("DELETE", "/bucket", query="x-s3gw-cache")
        self.pass_seconds(20)
        self.assertEqual(b"x", self.get("/bucket/key"))
        self.configure(SecondsSinceWrite=30)
        self.pass_seconds(2)
        self.assertEqual("1", self.status().text("Objects"))
        self.assertEqual(b"x", self.get("/bucket/key"))
        self.pass_seconds(9)
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/key"))

    def test_objects_from_before(self) -> None:
        """A bucket that has objects already counts them little by little, and they count as any other then."""
        for number in range(5):
            self.put(f"/bucket/{number}", b"12345")
        self.configure(MaxObjects=4)
        self.assertEqual("true", self.status().text("Counting"))
        self.pass_seconds(2)
        self.assertEqual("false", self.status().text("Counting"))
        self.assertEqual(("4", "20"), (self.status().text("Objects"), self.status().text("Bytes")))


class TimeToLiveTests(CacheCase):
    """Objects end at their second, for every operation."""

    def expire(self) -> None:
        """One object that has just expired, before anything has swept it up, and one that has not."""
        self.configure(SecondsSinceWrite=10)
        self.put("/bucket/gone", b"gone")
        self.gateway.clock.advance(9.5)
        self.put("/bucket/there", b"there")
        self.assertEqual(b"gone", self.get("/bucket/gone"))
        # The sweep comes with whole seconds: at this moment nobody has been here but the clock.
        self.forgetting._loop.stop()
        self.gateway.clock.advance(0.5)
        self.assertEqual(2, self.gateway.store.caches["bucket"].state.objects)

    def test_reads(self) -> None:
        """GET, HEAD, tags, attributes and versions of an expired object are those of one that is not there."""
        self.expire()
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/gone"))
        self.assertEqual(404, self.request("HEAD", "/bucket/gone").status)
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/gone", query="tagging"))
        self.assert_error("NoSuchKey", 404, self.request("GET", "/bucket/gone", query="acl"))
        attributes = self.request("GET", "/bucket/gone", {"x-amz-object-attributes": "ETag"}, query="attributes")
        self.assert_error("NoSuchKey", 404, attributes)
        self.assertEqual(404, self.request("GET", "/bucket/gone", query="versionId=null").status)
        self.assertEqual(["there"], self.kept())
        self.assertEqual(["there"], self.request("GET", "/bucket", query="versions").texts("Key"))

    def test_copy_source(self) -> None:
        """It is no source of a copy."""
        self.expire()
        answer = self.request("PUT", "/bucket/copy", {"x-amz-copy-source": "bucket/gone"})
        self.assert_error("NoSuchKey", 404, answer)

    def test_conditions(self) -> None:
        """If-None-Match: * succeeds over it, If-Match does not find it; the commit itself says so."""
        self.expire()
        etag = '"' + "0" * 32 + '"'
        self.assert_error("NoSuchKey", 404, self.request("PUT", "/bucket/gone", {"If-Match": etag}, b"new"))
        self.assert_error("NoSuchKey", 404, self.request("DELETE", "/bucket/gone", {"If-Match": "*"}))
        self.assertEqual(412, self.request("PUT", "/bucket/there", {"If-None-Match": "*"}, b"new").status)
        self.assertEqual(200, self.request("PUT", "/bucket/gone", {"If-None-Match": "*"}, b"new").status)
        self.assertEqual(b"new", self.get("/bucket/gone"))
        self.assertEqual(412, self.request("PUT", "/bucket/gone", {"If-None-Match": "*"}, b"newer").status)

    def test_writes(self) -> None:
        """It cannot be tagged, and deleting it is deleting nothing."""
        self.expire()
        tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
        self.assert_error("NoSuchKey", 404, self.request("PUT", "/bucket/gone", body=tags, query="tagging"))
        self.assertEqual(204, self.request("DELETE", "/bucket/gone").status)
        self.assertEqual(("1", "5"), (self.status().text("Objects"), self.status().text("Bytes")))

    def test_bucket(self) -> None:
        """A bucket whose objects have all expired is empty, and can be deleted and made again."""
        self.expire()
        self.assert_error("BucketNotEmpty", 409, self.request("DELETE", "/bucket"))
        self.gateway.clock.advance(10)
        self.assertEqual(204, self.request("DELETE", "/bucket").status)
        self.make_bucket()
        self.assertEqual([], self.kept())
        self.assertEqual(404, self.request("GET", "/bucket/there").status)

    def test_swept(self) -> None:
        """A second later nothing is left of it."""
        self.configure(SecondsSinceWrite=10)
        for number in range(700):
            self.put(f"/bucket/{number:03d}", b"x")
        self.pass_seconds(9)
        self.assertEqual("700", self.status().text("Objects"))
        self.pass_seconds(2)
        self.assertEqual(0, self.gateway.store.caches["bucket"].state.objects)
        self.assertEqual((700, 700), (self.forgetting.expired, self.forgetting.expired_bytes))

    def test_read_keeps(self) -> None:
        """With SecondsSinceRead an object lives as long as somebody reads it."""
        self.configure(SecondsSinceRead=10)
        self.put("/bucket/read", b"x")
        self.put("/bucket/asked", b"x")
        self.put("/bucket/alone", b"x")
        for _ in range(5):
            self.pass_seconds(8)
            self.assertEqual(b"x", self.get("/bucket/read"))
            self.assertEqual(200, self.request("HEAD", "/bucket/asked").status)
        self.assertEqual(["asked", "read"], self.kept())
        self.pass_seconds(10)
        self.assertEqual([], self.kept())

    def test_own_time(self) -> None:
        """x-s3gw-ttl is an object's own time, whichever way it comes, and counts instead of the bucket's."""
        self.configure(SecondsSinceWrite=30)
        ttl = {"x-s3gw-ttl": "5"}
        self.put("/bucket/put", b"x", ttl)
        self.put("/bucket/longer", b"x", {"x-s3gw-ttl": "60"})
        self.put("/bucket/source", b"x", {"x-s3gw-ttl": "60"})
        self.request("PUT", "/bucket/copied", {"x-amz-copy-source": "bucket/source", **ttl})
        self.request("PUT", "/bucket/plain-copy", {"x-amz-copy-source": "bucket/put"})
        upload = self.request("POST", "/bucket/parts", ttl, query="uploads").text("UploadId")
        part = self.request("PUT", "/bucket/parts", body=b"y", query=f"partNumber=1&uploadId={upload}")
        done = (
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{part.headers['etag']}</ETag></Part></CompleteMultipartUpload>"
        )
        self.request("POST", "/bucket/parts", body=done.encode(), query=f"uploadId={upload}")
        form = (
            b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nform\r\n'
            b'--b\r\nContent-Disposition: form-data; name="x-s3gw-ttl"\r\n\r\n5\r\n'
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nz\r\n--b--\r\n'
        )
        answer = self.request("POST", "/bucket", {"Content-Type": "multipart/form-data; boundary=b"}, form)
        self.assertEqual(204, answer.status, answer.body)
        self.assertEqual(["copied", "form", "longer", "parts", "plain-copy", "put", "source"], self.kept())
        self.pass_seconds(5)
        self.assertEqual(["longer", "plain-copy", "source"], self.kept())
        self.pass_seconds(25)
        self.assertEqual(["longer", "source"], self.kept())
        self.pass_seconds(30)
        self.assertEqual([], self.kept())

    def test_own_time_refused(self) -> None:
        """A time that is none is refused, and so is any in a bucket that would not heed it."""
        self.configure()
        for value in ("0", "-1", "soon", "1.5", "99999999999", ""):
            answer = self.request("PUT", "/bucket/key", {"x-s3gw-ttl": value}, b"x")
            self.assert_error("InvalidArgument", 400, answer)
        self.make_bucket("plain")
        self.assert_error("InvalidRequest", 400, self.request("PUT", "/plain/key", {"x-s3gw-ttl": "5"}, b"x"))
        self.assertEqual(404, self.request("GET", "/plain/key").status)


class CapTests(CacheCase):
    """What does not fit goes."""

    def test_objects(self) -> None:
        """A bucket never stays above its cap, and what was read outlives what was not."""
        self.configure(MaxObjects=64)
        self.put("/bucket/hot", b"x")
        for number in range(500):
            self.assertEqual(b"x", self.get("/bucket/hot"))
            self.put(f"/bucket/{number:04d}", b"x")
            self.assertLessEqual(self.gateway.store.caches["bucket"].state.objects, 64)
        self.assertIn("hot", self.kept())
        self.assertEqual(len(self.kept()), self.gateway.store.caches["bucket"].state.objects)
        self.assertEqual(501, len(self.kept()) + self.forgetting.evicted)
        self.assertEqual(self.forgetting.evicted, sum(self.forgetting.ages))

    def test_bytes(self) -> None:
        """Bodies large and small count with their sizes, and their room comes back."""
        self.configure(MaxBytes=1_000_000)
        for number in range(40):
            self.put(f"/bucket/{number:02d}", bytes(90_000 if number % 2 else 1000))
        state = self.gateway.store.caches["bucket"].state
        self.assertLessEqual(state.nbytes, 1_000_000)
        self.assertGreater(state.nbytes, 800_000)
        self.assertEqual(
            state.nbytes, sum(int(size) for size in self.request("GET", "/bucket", query="list-type=2").texts("Size"))
        )
        self.assertLess(self.gateway.store.properties()["live_data_bytes"], 1_000_000 + 90_000)

    def test_one_that_is_too_large(self) -> None:
        """An object larger than the cap is stored, and goes when its turn comes: the write is never refused."""
        self.configure(MaxBytes=1000)
        self.put("/bucket/large", bytes(5000))
        self.assertEqual([], self.kept())
        self.put("/bucket/small", bytes(500))
        self.assertEqual(["small"], self.kept())

    def test_pinned(self) -> None:
        """What is tagged so stays, above any cap and beyond any time, until the tag is taken away."""
        self.configure(MaxObjects=10, SecondsSinceWrite=60)
        for number in range(12):
            self.put(f"/bucket/pinned-{number:02d}", b"x", {"x-amz-tagging": "s3gw-pin=true"})
        for number in range(100):
            self.put(f"/bucket/{number:03d}", b"x")
        pinned = [f"pinned-{number:02d}" for number in range(12)]
        self.assertEqual(pinned, [key for key in self.kept() if key.startswith("pinned")])
        self.pass_seconds(90)
        self.assertEqual(pinned, self.kept())
        self.assertEqual(204, self.request("DELETE", "/bucket/pinned-00", query="tagging").status)
        self.pass_seconds(2)
        self.assertEqual(pinned[1:], self.kept())

    def test_being_read(self) -> None:
        """An object that is being read stays for as long as that takes."""
        self.configure(MaxObjects=2)
        self.put("/bucket/key", bytes(3_000_000))
        reader = self.successResultOf(Deferred.fromCoroutine(self.gateway.storage.open("bucket", "key")))
        for number in range(20):
            self.put(f"/bucket/{number:02d}", b"x")
        self.assertIn("key", self.kept())
        reader.close()
        for number in range(20):
            self.put(f"/bucket/{number:02d}", b"x")
        self.assertNotIn("key", self.kept())

    def test_uploads_do_not_count(self) -> None:
        """Parts count when they have become an object."""
        self.configure(MaxBytes=10_000)
        upload = self.request("POST", "/bucket/parts", query="uploads").text("UploadId")
        part = self.request("PUT", "/bucket/parts", body=bytes(9000), query=f"partNumber=1&uploadId={upload}")
        self.put("/bucket/key", bytes(5000))
        self.assertEqual("5000", self.status().text("Bytes"))
        done = (
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{part.headers['etag']}</ETag></Part></CompleteMultipartUpload>"
        )
        self.request("POST", "/bucket/parts", body=done.encode(), query=f"uploadId={upload}")
        self.assertLessEqual(int(self.status().text("Bytes") or 0), 10_000)

    def test_dry_run(self) -> None:
        """What would go is told, by the rules there are or by others, and nothing goes."""
        self.configure(MaxObjects=100, SecondsSinceWrite=1000)
        for number in range(20):
            self.put(f"/bucket/{number:02d}", bytes(100))
            self.gateway.clock.advance(1)
        for number in range(0, 20, 2):
            self.get(f"/bucket/{number:02d}")
        self.assertEqual([], self.status("x-s3gw-cache&dry-run").texts("Key"))
        answer = self.status("x-s3gw-cache&dry-run&MaxObjects=15")
        self.assertEqual(["01", "03", "05", "07", "09"], answer.texts("Key"))
        self.assertEqual({"evicted"}, set(answer.texts("Reason")))
        answer = self.status("x-s3gw-cache&dry-run&SecondsSinceWrite=15")
        self.assertEqual([f"{number:02d}" for number in range(6)], answer.texts("Key"))
        self.assertEqual({"expired"}, set(answer.texts("Reason")))
        self.assertEqual(20, len(self.kept()))
        wrong = self.request("GET", "/bucket", query="x-s3gw-cache&dry-run&MaxObjects=none")
        self.assert_error("InvalidArgument", 400, wrong)


class OtherBucketsTests(CacheCase):
    """What cache buckets have to do with the others."""

    def test_copy_out(self) -> None:
        """A copy in a plain bucket is an object like any other."""
        self.make_bucket("plain")
        self.configure(SecondsSinceWrite=10)
        self.put("/bucket/key", b"x", {"x-s3gw-ttl": "5"})
        self.request("PUT", "/plain/key", {"x-amz-copy-source": "bucket/key"})
        self.pass_seconds(60)
        self.assertEqual(b"x", self.get("/plain/key"))

    def test_versioning(self) -> None:
        """A bucket keeps all versions or forgets, not both."""
        on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        self.configure(MaxObjects=5)
        answer = self.request("PUT", "/bucket", body=on, query="versioning")
        if answer.status == 501:
            raise self.skipTest("no versioning by the protocol yet")
        self.assert_error("InvalidRequest", 400, answer)
        self.make_bucket("versioned")
        self.assertEqual(200, self.request("PUT", "/versioned", body=on, query="versioning").status)
        body = XML.format("<MaxObjects>5</MaxObjects>").encode()
        self.assert_error("InvalidRequest", 400, self.request("PUT", "/versioned", body=body, query="x-s3gw-cache"))


class NamedBucketTests(GatewayTestCase):
    """Buckets that are cache buckets by their names."""

    keys = ()

    def setUp(self) -> None:
        self.settings = {"cache_rules": lambda name: CacheRules(max_objects=3) if name.startswith("kv-") else None}
        super().setUp()

    def test_created(self) -> None:
        """A bucket has the rules of its name from its first moment on."""
        self.make_bucket("kv-cache")
        self.make_bucket("plain")
        answer = self.request("GET", "/kv-cache", query="x-s3gw-cache")
        self.assertEqual("3", answer.text("MaxObjects"))
        self.assertEqual(404, self.request("GET", "/plain", query="x-s3gw-cache").status)
