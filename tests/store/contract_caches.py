"""What `IObjectStore` promises of cache buckets, as tests that every store passes; the stores go by `now`."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from s3gw.errors import BucketNotEmpty, InvalidRequest, NoSuchKey, PreconditionFailed
from s3gw.model import ENABLED, PIN, BucketInfo, CacheRules, ObjectInfo
from s3gw.s3.conditions import WriteCondition
from s3gw.store.cache_records import CacheState, ReadsRecord
from s3gw.store.interface import (
    AdoptObjects,
    Committed,
    ConfigureCache,
    CreateBucket,
    DeleteBucket,
    DeleteObject,
    EvictObject,
    ICacheBucket,
    ListQuery,
    MoveBoundary,
    Mutation,
    PutObject,
    SaveReads,
    SetVersioning,
    TagObject,
    VersionQuery,
)
from tests.store.contract import Actor

ALL = 1 << 62


class CacheContract:
    """A cache bucket ``b``; ``makeStoreAt`` gives a new, empty store that goes by a clock."""

    RULES = CacheRules(ttl_write=10)

    def setUp(self) -> None:
        self.now = 1_000_000
        self.store = self.makeStoreAt(lambda: self.now)
        self.addCleanup(self.store.close)
        self.actor = Actor(self.store)
        self.do(CreateBucket(BucketInfo("b", 1, cache=self.RULES)))

    def do(self, mutation: Mutation) -> Committed:
        return self.actor.do(mutation)

    def put(self, key: str, body: bytes = b"x", **fields: object) -> int:
        """Write an object; its place."""
        inline = self.store.begin_blob()
        info = ObjectInfo(len(body), self.now, key, inline=inline, **fields)  # type: ignore[arg-type]
        return self.do(PutObject("b", key, info, body)).place

    @property
    def state(self) -> CacheState:
        return self.store.caches["b"].state

    def counts(self) -> tuple[int, int, int, int]:
        """Objects, bytes, and those of the young."""
        state = self.state
        return state.objects, state.nbytes, state.young_objects, state.young_bytes

    def queue(self) -> list[tuple[int, str]]:
        """Places and keys."""
        return [(place, queued.key) for place, queued in self.store.queue("b", 0, ALL, 1000)]


class ExpiryTests(CacheContract):
    """Objects whose time is over."""

    def test_gone(self) -> None:
        """At its millisecond, and not before, an object is not there for anybody."""
        self.put("k", b"body")
        self.now += 9_999
        self.assertEqual(self.actor.body("k"), b"body")
        self.assertFalse(self.store.expired("b", self.actor.find("k")))
        info = self.actor.find("k")
        self.now += 1
        self.assertTrue(self.store.expired("b", info))
        self.assertIsNone(self.actor.find("k"))
        self.assertIsNone(self.store.peek("b", "k"))
        self.assertEqual(self.store.look_up_versions([("b", "k", ""), ("b", "k", "null")]), [None, None])
        self.assertEqual(self.store.list_objects("b", ListQuery()).entries, ())
        self.assertEqual(self.store.list_versions("b", VersionQuery()).entries, ())

    def test_preconditions(self) -> None:
        """The commit sees it so, too."""
        self.put("k", b"old")
        put = self.actor.inline("k", b"new", if_none_match="*")
        self.assertRaises(PreconditionFailed, self.do, put)
        self.now += 10_000
        self.assertRaises(NoSuchKey, self.do, TagObject("b", "k", (("a", "b"),)))
        self.assertRaises(NoSuchKey, self.do, DeleteObject("b", "k", WriteCondition(if_match="k")))
        self.assertRaises(NoSuchKey, self.do, self.actor.inline("k", b"new", if_match="k"))
        inline = self.store.begin_blob()
        fresh = ObjectInfo(3, self.now, "new", inline=inline)
        self.do(PutObject("b", "k", fresh, b"new", condition=WriteCondition(if_none_match="*")))
        self.assertEqual(self.actor.body("k"), b"new")
        self.assertEqual(self.counts(), (1, 3, 1, 3))

    def test_page_of_a_listing(self) -> None:
        """A page is full of what is there, however much is not."""
        for number in range(50):
            self.put(f"{number:02d}", ttl=1 if number % 10 else 0)
        self.now += 1000
        page = self.store.list_objects("b", ListQuery(limit=3))
        self.assertEqual([key for key, _ in page.entries], ["00", "10", "20"])
        self.assertTrue(page.truncated)

    def test_own_time_and_pin(self) -> None:
        """An object's own time counts instead of the bucket's; a pin instead of either."""
        self.put("short", ttl=1)
        self.put("long", ttl=100)
        self.put("pinned", ttl=1, tags=(PIN,))
        self.now += 1000
        self.assertEqual([self.actor.body(key) for key in ("short", "long", "pinned")], [None, b"x", b"x"])
        self.now += 200_000
        self.assertEqual([self.actor.body(key) for key in ("short", "long", "pinned")], [None, None, b"x"])
        self.do(TagObject("b", "pinned", ()))
        self.assertIsNone(self.actor.find("pinned"))

    def test_last_read(self) -> None:
        """With a time since the last read, reads keep an object; they are told to the bucket."""
        self.do(ConfigureCache("b", CacheRules(ttl_read=10)))
        place = self.put("k")
        self.now += 9_000
        self.store.caches["b"].reads.read(place, self.now)
        self.now += 9_000
        self.assertEqual(self.actor.body("k"), b"x")
        self.now += 1_000
        self.assertIsNone(self.actor.find("k"))

    def test_bucket(self) -> None:
        """A bucket with expired objects alone is empty."""
        self.put("k")
        self.do(self.actor.chunked("large", bytes(200_000)))
        self.assertRaises(BucketNotEmpty, self.do, DeleteBucket("b"))
        self.now += 10_000_000
        outcome = self.do(DeleteBucket("b"))
        self.assertEqual(len(outcome.retired), 1)
        self.assertEqual(dict(self.store.caches), {})
        self.do(CreateBucket(BucketInfo("b", 2)))
        self.assertIsNone(self.actor.find("k"))

    def test_swept(self) -> None:
        """The sweep deletes what is gone, and nothing else."""
        place = self.put("k")
        self.assertIsNone(self.do(EvictObject("b", "k", place, expired=True)).previous)
        self.assertEqual(self.actor.body("k"), b"x")
        self.now += 10_000
        outcome = self.do(EvictObject("b", "k", place, expired=True))
        self.assertEqual(outcome.previous and outcome.previous.etag, "k")
        self.assertEqual(self.counts(), (0, 0, 0, 0))


class QueueTests(CacheContract):
    """Places, counts and evictions."""

    RULES = CacheRules(max_objects=5)

    def test_interface(self) -> None:
        """What memory has of a cache bucket is what is promised."""
        self.assertTrue(verifyObject(ICacheBucket, self.store.caches["b"]))

    def test_places(self) -> None:
        """Each write is at the end of the queue; what it replaces leaves it."""
        first, second, third = self.put("a"), self.put("b", b"22"), self.put("a", b"333")
        self.assertTrue(first < second < third)
        self.assertEqual(self.queue(), [(second, "b"), (third, "a")])
        self.assertEqual(self.counts(), (2, 5, 2, 5))
        self.do(DeleteObject("b", "b"))
        self.assertEqual(self.queue(), [(third, "a")])
        self.assertEqual(self.counts(), (1, 3, 1, 3))
        self.assertEqual(self.store.queue("b", third, third, 9), [])
        self.assertEqual(len(self.store.queue("b", third, third + 1, 9)), 1)

    def test_evict(self) -> None:
        """An object is evicted by its place, once, and its body with it."""
        place = self.put("k", b"body")
        self.assertEqual(self.do(EvictObject("b", "other", place + 1)).previous, None)
        self.assertEqual(self.do(EvictObject("b", "k", 0)).previous, None)
        outcome = self.do(EvictObject("b", "k", place))
        self.assertEqual(outcome.previous and outcome.previous.size, 4)
        self.assertIsNone(self.actor.find("k"))
        self.assertEqual(self.queue(), [])
        self.assertEqual(self.do(EvictObject("b", "k", place)).previous, None)
        self.do(self.actor.chunked("large", bytes(200_000)))
        ((place, _),) = self.queue()
        self.assertEqual(len(self.do(EvictObject("b", "large", place)).retired), 1)

    def test_evict_what_was_written_again(self) -> None:
        """Who has chosen an object that was replaced meanwhile evicts nothing."""
        place = self.put("k", b"old")
        self.put("k", b"new")
        self.assertIsNone(self.do(EvictObject("b", "k", place)).previous)
        self.assertEqual(self.actor.body("k"), b"new")

    def test_evict_pinned(self) -> None:
        """A pin holds, whenever it was set."""
        place = self.put("k")
        self.do(TagObject("b", "k", (PIN,)))
        self.assertTrue(self.store.queue("b", 0, ALL, 1)[0][1].pinned)
        self.assertIsNone(self.do(EvictObject("b", "k", place)).previous)
        self.do(TagObject("b", "k", ()))
        self.assertIsNotNone(self.do(EvictObject("b", "k", place)).previous)

    def test_boundary(self) -> None:
        """Behind the boundary are the young; it never goes back, and evictions before it count as old."""
        places = [self.put(key, key.encode() * 10) for key in "abcd"]
        self.do(MoveBoundary("b", places[2], tuple(places[:2]), places[1]))
        self.assertEqual(self.counts(), (4, 40, 2, 20))
        self.assertEqual((self.state.boundary, self.state.hand), (places[2], places[1]))
        self.do(MoveBoundary("b", places[1], (), 0))
        self.do(MoveBoundary("b", 10**6, tuple(places), 0))
        self.assertEqual(self.state.boundary, places[2])
        self.do(EvictObject("b", "a", places[0]))
        self.do(EvictObject("b", "d", places[3]))
        self.assertEqual(self.counts(), (2, 20, 1, 10))
        # One that is gone by now has been counted out already.
        self.do(MoveBoundary("b", places[3] + 1, (places[2], places[3]), 0))
        self.assertEqual(self.counts(), (2, 20, 0, 0))

    def test_adoption(self) -> None:
        """Objects from before are counted in the order of their keys, each once, whatever happens meanwhile."""
        self.do(ConfigureCache("b", None))
        for key in "abcdef":
            self.put(key)
        self.do(ConfigureCache("b", self.RULES))
        self.assertEqual(self.counts(), (0, 0, 0, 0))
        self.do(AdoptObjects("b", 2))
        self.do(DeleteObject("b", "a"))
        self.do(DeleteObject("b", "f"))
        self.put("e", b"new")
        self.assertEqual([key for _, key in self.queue()], ["b", "e"])
        for _ in range(3):
            self.do(AdoptObjects("b", 2))
        self.assertIsNone(self.state.cursor)
        self.assertEqual([key for _, key in self.queue()], ["b", "e", "c", "d"])
        self.assertEqual(self.counts(), (4, 6, 4, 6))
        self.assertEqual([self.actor.body(key) for key in "abcdef"], [None, b"x", b"x", b"x", b"new", None])

    def test_no_longer(self) -> None:
        """Without rules nothing is counted or evicted; with new ones places begin behind those that were given."""
        place = self.put("k")
        self.do(ConfigureCache("b", None))
        self.assertNotIn("b", self.store.caches)
        self.assertEqual(self.queue(), [])
        self.assertIsNone(self.do(EvictObject("b", "k", place)).previous)
        self.assertEqual(self.put("other"), 0)
        self.do(ConfigureCache("b", CacheRules(ttl_write=1)))
        self.now += 100_000
        self.assertEqual(self.actor.body("k"), b"x")
        self.do(AdoptObjects("b", 9))
        self.assertIsNone(self.actor.find("k"))
        self.assertTrue(all(each > place for each, _ in self.queue()))

    def test_several_at_once(self) -> None:
        """Mutations of one batch see what those before them did."""
        self.do(DeleteBucket("b"))
        info = ObjectInfo(0, self.now, "e")
        outcomes = self.store.commit(
            [
                CreateBucket(BucketInfo("b", 2, cache=self.RULES)),
                PutObject("b", "k", info),
                ConfigureCache("b", None),
                PutObject("b", "l", info),
                ConfigureCache("b", CacheRules(max_bytes=7)),
                PutObject("b", "m", info),
                AdoptObjects("b", 9),
                DeleteObject("b", "k"),
            ]
        )
        self.assertEqual([type(outcome) for outcome in outcomes], [Committed] * 8)
        self.assertEqual([key for _, key in self.queue()], ["m", "l"])
        self.assertEqual(self.counts(), (2, 0, 2, 0))
        self.assertEqual(self.store.caches["b"].rules, CacheRules(max_bytes=7))

    def test_versioning(self) -> None:
        """A bucket is a cache bucket or keeps versions, not both."""
        self.assertRaises(InvalidRequest, self.do, SetVersioning("b", ENABLED))
        self.do(ConfigureCache("b", None))
        self.do(SetVersioning("b", ENABLED))
        self.assertRaises(InvalidRequest, self.do, ConfigureCache("b", self.RULES))

    def test_save_reads(self) -> None:
        """Saving what is known of reads changes nothing that one sees."""
        self.put("k")
        self.do(SaveReads("b", ((0, ReadsRecord(bytes(256))),), (7,)))
        self.assertEqual(self.actor.body("k"), b"x")
        self.do(SaveReads("missing", ()))
