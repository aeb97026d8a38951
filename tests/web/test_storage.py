"""The store behind coroutines: what readers see, what is freed when, and what a store in trouble does to clients."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import InsufficientStorage, InternalError, NoSuchBucket, PreconditionFailed, S3Error, SlowDown
from s3gw.model import CHUNK_BYTES, BucketInfo, ByteRange, Extent, ObjectInfo
from s3gw.s3.conditions import WriteCondition
from s3gw.store.interface import (
    UNKNOWN,
    Committed,
    CreateBucket,
    DeleteBucket,
    DeleteObject,
    ListQuery,
    Mutation,
    PutObject,
    StaleBody,
    StoreFailed,
    StoreFull,
    StoreStalled,
    Unknown,
)
from s3gw.store.memory import MemoryStore
from s3gw.web.bodies import BATCHES_KEPT, HeldObject
from s3gw.web.storage import (
    CORES,
    KNOWN_DOCUMENTS,
    KNOWN_EXTENTS,
    KNOWN_HEADERS,
    STALL_BACKOFF,
    STALL_SECONDS,
    LaneStorage,
)


class Threads:
    """Stands in for the pool: the test says when a function runs, and when its answer is delivered."""

    def __init__(self) -> None:
        self.given: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.done: list[tuple[Deferred[Any], Any]] = []

    def hand_over(self, work: Callable[[], Any]) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.given.append((work, result))
        return result

    def work(self) -> None:
        """Run what was given first; nobody hears of it yet."""
        function, result = self.given.pop(0)
        try:
            self.done.append((result, function()))
        except Exception as error:
            self.done.append((result, error))

    def deliver(self) -> None:
        """Deliver the answer that has waited longest."""
        result, value = self.done.pop(0)
        if isinstance(value, Exception):
            result.errback(value)
        else:
            result.callback(value)

    def settle(self) -> None:
        """Run and deliver until nothing is left."""
        while self.given or self.done:
            if self.given:
                self.work()
            if self.done:
                self.deliver()


class Moody(MemoryStore):
    """A store that can be told to fail, and whose memory-only look-ups can be told to know nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.mood: list[Exception | None] = []
        self.forgetful = self._inside = False
        self.freed: list[bytes] = []
        self.stalls = 0  # of `free`

    def peek(self, bucket: str, key: str) -> ObjectInfo | Unknown | None:  # type: ignore[override]
        return UNKNOWN if self.forgetful and not self._inside else super().peek(bucket, key)

    def look_up(self, names: Sequence[tuple[str, str]]) -> list[Any]:
        self._inside = True
        try:
            return super().look_up(names)
        finally:
            self._inside = False

    def commit(self, mutations: Sequence[Mutation]) -> list[Any]:
        mood = self.mood.pop(0) if self.mood else None
        if mood is not None:
            raise mood
        self._inside = True
        try:
            return super().commit(mutations)
        finally:
            self._inside = False

    def stage(self, blob: bytes, number: int, chunks: Sequence[bytes]) -> None:
        mood = self.mood.pop(0) if self.mood else None
        if mood is not None:
            raise mood
        super().stage(blob, number, chunks)

    def free(self, blobs: Sequence[bytes]) -> None:
        if self.stalls:
            self.stalls -= 1
            raise StoreStalled
        self.freed += blobs
        super().free(blobs)


class StorageTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = Moody()
        self.store.commit([CreateBucket(BucketInfo("bucket", 0))])
        self.threads = Threads()
        self.clock = Clock()
        self.storage = LaneStorage(self.store, self.threads.hand_over, self.clock, 1024 * 1024)

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(coroutine)

    def run_now(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        answer = self.begin(coroutine)
        self.threads.settle()
        return self.successResultOf(answer)

    def small(self, body: bytes, key: str = "key", **more: Any) -> PutObject:
        info = ObjectInfo(size=len(body), modified=0, etag=body.hex()[:8], inline=self.storage.begin_blob())
        return PutObject("bucket", key, info, body, **more)

    def medium(self, body: bytes, key: str = "key") -> PutObject:
        extents = (Extent(self.storage.begin_blob(), 0, len(body)),)
        info = ObjectInfo(size=len(body), modified=0, etag=body.hex()[:8], extents=extents)
        return PutObject("bucket", key, info, body)

    def large(self, chunks: list[bytes], key: str = "key", **more: Any) -> PutObject:
        blob = self.storage.begin_blob()
        self.run_now(self.storage.stage(blob, 0, lambda: chunks))
        size = sum(map(len, chunks))
        info = ObjectInfo(size=size, modified=0, etag=blob.hex(), extents=(Extent(blob, 0, size),))
        return PutObject("bucket", key, info, staged=(blob,), **more)

    def read_all(self, held: HeldObject) -> bytes:
        source = held.source(0, held.info.size)
        body = b""
        while window := self.run_now(source.read()):
            body += b"".join(window)
        return body


class VisibilityTests(StorageTestCase):
    def test_not_before_it_is_durable(self) -> None:
        """An object that is written but not synced yet is shown to nobody until it is."""
        put = self.begin(self.storage.commit(self.small(b"new")))
        self.threads.work()  # written; the lane has not heard that it is durable
        found = self.begin(self.storage.find("bucket", "key"))
        opened = self.begin(self.storage.open("bucket", "key"))
        self.assertNoResult(found)
        self.assertNoResult(opened)
        self.threads.settle()
        self.successResultOf(put)
        self.assertEqual(self.successResultOf(found).size, 3)
        self.assertEqual(self.read_all(self.successResultOf(opened)), b"new")

    def test_not_gone_before_it_is_durable(self) -> None:
        """Nor does an object that is being deleted look deleted before that is certain."""
        self.run_now(self.storage.commit(self.small(b"old")))
        self.begin(self.storage.commit(DeleteObject("bucket", "key")))
        self.threads.work()
        found = self.begin(self.storage.find("bucket", "key"))
        self.assertNoResult(found)
        self.threads.settle()
        self.assertIsNone(self.successResultOf(found))

    def test_other_keys_do_not_wait(self) -> None:
        """A commit holds up nobody who asks for another key."""
        self.run_now(self.storage.commit(self.small(b"other", "other")))
        self.begin(self.storage.commit(self.small(b"new")))
        self.threads.work()
        self.assertEqual(self.successResultOf(self.begin(self.storage.find("bucket", "other"))).size, 5)
        self.threads.settle()

    def test_hammered_key(self) -> None:
        """A reader waits for the commit that it met, not for those that follow without end."""
        self.begin(self.storage.commit(self.small(b"1")))
        self.threads.work()
        found = self.begin(self.storage.find("bucket", "key"))
        self.begin(self.storage.commit(self.small(b"22")))
        self.threads.deliver()
        self.assertEqual(self.successResultOf(found).size, 1)
        self.threads.settle()

    def test_sync_failed(self) -> None:
        """What may not be durable is not shown when the sync fails, and the writer is told nothing good."""
        self.store.mood = [StoreFailed("EIO")]
        put = self.begin(self.storage.commit(self.small(b"new")))
        found = self.begin(self.storage.find("bucket", "key"))
        self.threads.settle()
        self.failureResultOf(put, InternalError)
        self.failureResultOf(found, InternalError)

    def test_not_known_until_the_next_open(self) -> None:
        """After a failed sync nobody is told anything about its keys, readiness is gone, and other keys are served."""
        self.run_now(self.storage.commit(self.small(b"other", "other")))
        self.store.mood = [StoreFailed("EIO")]
        self.begin(self.storage.commit(self.small(b"new"))).addErrback(lambda _: None)
        self.threads.settle()
        for begin in (self.storage.find, self.storage.open):
            found = self.begin(begin("bucket", "key"))
            self.threads.settle()
            self.failureResultOf(found, InternalError)
        listed = self.begin(self.storage.list_objects("bucket", ListQuery()))
        self.threads.settle()
        self.failureResultOf(listed, InternalError)
        self.failureResultOf(self.begin(self.storage.check()), StoreFailed)
        self.assertEqual(self.run_now(self.storage.find("bucket", "other")).size, 5)

    def test_listing_waits(self) -> None:
        """A listing that may show what is being committed waits for it."""
        self.begin(self.storage.commit(self.small(b"new")))
        self.threads.work()
        listed = self.begin(self.storage.list_objects("bucket", ListQuery()))
        self.threads.work()
        committed, page = self.threads.done
        self.threads.done = [page, committed]
        self.threads.deliver()
        self.assertNoResult(listed)
        self.threads.settle()
        self.assertEqual([key for key, _ in self.successResultOf(listed).entries], ["key"])

    def test_remembered_records_are_never_stale(self) -> None:
        """A record that was kept decoded is forgotten with the commit that changes it, also one read meanwhile."""
        self.run_now(self.storage.commit(self.small(b"1")))
        self.assertEqual(self.run_now(self.storage.find("bucket", "key")).size, 1)
        self.begin(self.storage.commit(self.small(b"22")))
        early = self.begin(self.storage.find("bucket", "key"))
        self.threads.settle()
        self.assertEqual(self.successResultOf(early).size, 1)
        self.assertEqual(self.run_now(self.storage.find("bucket", "key")).size, 2)
        self.run_now(self.storage.commit(DeleteObject("bucket", "key")))
        self.assertIsNone(self.run_now(self.storage.find("bucket", "key")))

    def test_what_is_kept(self) -> None:
        """Records that would take a lot of memory are read again each time."""
        extents = tuple(Extent(bytes([number]) * 16, 0, 1) for number in range(KNOWN_EXTENTS + 1))
        for more, kept in (
            ({}, True),
            ({"headers": {"content-type": "a/b", "cache-control": "x" * (KNOWN_HEADERS - 3)}}, True),
            ({"headers": {"content-type": "a/b", "cache-control": "x" * (KNOWN_HEADERS - 2)}}, False),
            ({"extents": extents[1:]}, True),
            ({"extents": extents}, False),
        ):
            self.patch(self.store, "peek", lambda *_, more=more: ObjectInfo(size=9, modified=0, etag="e", **more))
            self.storage._known.clear()
            known = [self.storage.known("bucket", "key") for _ in range(2)]
            self.assertEqual(known[0] is known[1], kept, more)

    def test_buckets_that_are_kept(self) -> None:
        """Buckets are forgotten, all of them, before what they are configured with would be a lot of memory."""
        document = bytes(KNOWN_DOCUMENTS // 4)
        self.patch(self.store, "peek_bucket", lambda name: BucketInfo(name, 1, "", documents={"cors": document}))
        self.storage._buckets.clear()
        kept = []
        for number in range(6):
            self.run_now(self.storage.find_bucket(f"bucket-{number}"))
            kept.append(len(self.storage._buckets))
        self.assertEqual(kept, [1, 2, 3, 4, 1, 2])

    def test_late_look_up_is_not_remembered(self) -> None:
        """A look-up that read the old record and answers after the commit does not bring it back."""
        self.run_now(self.storage.commit(self.small(b"1")))
        self.store.forgetful = True
        self.storage._known.clear()
        slow = self.begin(self.storage.find("bucket", "key"))
        self.threads.work()
        self.begin(self.storage.commit(self.small(b"22")))
        looked_up = self.threads.done.pop()
        self.threads.work()
        self.threads.deliver()
        self.threads.done.append(looked_up)
        self.threads.settle()
        self.assertEqual(self.successResultOf(slow).size, 1)
        self.store.forgetful = False
        self.assertEqual(self.run_now(self.storage.find("bucket", "key")).size, 2)

    def test_bucket(self) -> None:
        """A bucket is found while it is there, and not when it was deleted."""
        self.assertEqual(self.run_now(self.storage.find_bucket("bucket")).name, "bucket")
        self.assertEqual(self.run_now(self.storage.find_bucket("bucket")).name, "bucket")
        self.assertIsNone(self.run_now(self.storage.find_bucket("none")))
        self.run_now(self.storage.commit(DeleteBucket("bucket")))
        self.assertIsNone(self.run_now(self.storage.find_bucket("bucket")))
        self.run_now(self.storage.commit(CreateBucket(BucketInfo("bucket", 7))))
        self.assertEqual(self.run_now(self.storage.find_bucket("bucket")).created, 7)


class HoldTests(StorageTestCase):
    def test_held_bytes_stay(self) -> None:
        """A reader finishes the object that it began, however often it is replaced, and then its chunks are freed."""
        old = [os.urandom(CHUNK_BYTES) for _ in range(9)]
        self.run_now(self.storage.commit(self.large(old)))
        held = self.run_now(self.storage.open("bucket", "key"))
        blob = held.info.extents[0].blob
        source = held.source(0, held.info.size)
        first = self.run_now(source.read())
        self.run_now(self.storage.commit(self.large([b"x" * 100])))
        self.assertEqual(self.store.freed, [])
        rest = b""
        while window := self.run_now(source.read()):
            rest += b"".join(window)
        self.assertEqual(b"".join(first) + rest, b"".join(old))
        source.close()
        source.close()
        self.threads.settle()
        self.assertEqual(self.store.freed, [blob])

    def test_width(self) -> None:
        """Who takes all it can get reads 4 MiB at a time, one client at a time; all others read 1 MiB."""
        chunks = [number.to_bytes(2, "big") * (CHUNK_BYTES // 2) for number in range(64 + 16 + 1)]
        self.run_now(self.storage.commit(self.large(chunks)))
        readers = [self.run_now(self.storage.open("bucket", "key")) for _ in range(3)]
        alone, beside, third = (held.source(0, held.info.size) for held in readers)
        reading = self.begin(alone.read(True)), self.begin(beside.read(True))
        self.threads.settle()
        windows = [self.successResultOf(one) for one in reading]
        self.assertEqual([64, 16], [len(window) for window in windows])
        self.assertEqual(b"".join(chunks[:64]), b"".join(windows[0]))
        self.assertEqual(b"".join(chunks[:16]), b"".join(windows[1]))
        self.assertEqual(16, len(self.run_now(third.read(True))))
        self.assertEqual(b"".join(chunks[64:]), b"".join(self.run_now(alone.read(True))))
        alone.close()
        self.assertEqual(b"".join(chunks[16:80]), b"".join(self.run_now(beside.read(True))))
        self.run_now(beside.read(False))
        self.assertEqual(64, len(self.run_now(third.read(True))))
        third.close()
        beside.close()

    def test_nobody_reads(self) -> None:
        """What nobody reads is freed when it is replaced or deleted."""
        put = self.large([b"x" * CHUNK_BYTES])
        self.run_now(self.storage.commit(put))
        self.run_now(self.storage.commit(DeleteObject("bucket", "key")))
        self.assertEqual(self.store.freed, list(put.staged))

    def test_look_up_under_way(self) -> None:
        """A look-up that saw the old object before it was deleted gets to hold it: its chunks wait for that."""
        put = self.large([os.urandom(CHUNK_BYTES)])
        self.run_now(self.storage.commit(put))
        self.store.forgetful = True
        self.storage._known.clear()
        opened = self.begin(self.storage.open("bucket", "key"))
        self.threads.work()
        answer = self.threads.done.pop()
        self.begin(self.storage.commit(DeleteObject("bucket", "key")))
        self.threads.work()
        self.threads.deliver()
        while self.threads.given:
            self.threads.work()
        self.assertEqual(self.store.freed, [])
        self.threads.done.append(answer)
        self.threads.settle()
        held = self.successResultOf(opened)
        self.assertEqual(len(self.read_all(held)), CHUNK_BYTES)
        held.close()
        self.threads.settle()
        self.assertEqual(self.store.freed, list(put.staged))

    def test_replaced_inline_body(self) -> None:
        """A body in one row that was replaced before it was read says so, so that the reader looks again."""
        self.run_now(self.storage.commit(self.small(b"old")))
        held = self.run_now(self.storage.open("bucket", "key"))
        for _ in range(BATCHES_KEPT):
            self.run_now(self.storage.commit(self.small(b"new")))
        reading = self.begin(held.source(0, 3).read())
        self.threads.settle()
        self.failureResultOf(reading, StaleBody)

    def test_replaced_all_the_time(self) -> None:
        """Of an object that is written without end a reader gets what it has seen, at once and whole."""
        self.run_now(self.storage.commit(self.small(b"0")))
        self.begin(self.storage.commit(self.small(b"1")))
        before = self.begin(self.storage.open("bucket", "key"))  # sees what was there before the batch
        self.threads.work()
        behind = self.begin(self.storage.open("bucket", "key"))  # sees what it wrote
        self.begin(self.storage.commit(self.small(b"2")))
        self.threads.deliver()
        self.threads.work()
        for opened, body in ((before, b"0"), (behind, b"1")):
            reading = self.begin(self.successResultOf(opened).source(0, 1).read())
            self.assertEqual(b"".join(self.successResultOf(reading)), body)
        self.threads.settle()

    def test_just_written(self) -> None:
        """A body that came with its object a moment ago is read without asking the store, a moment later from there."""
        for put in (self.small(b"body"), self.medium(b"body")):
            self.run_now(self.storage.commit(put))
            reading = self.begin(self.storage.row("bucket", "key", put.info, None))
            self.assertEqual(b"body", self.successResultOf(reading))
            self.storage.cache.drop(put.info.inline or put.info.extents[0].blob)
            for _ in range(BATCHES_KEPT):
                self.run_now(self.storage.commit(self.small(b"x", "other")))
            reading = self.begin(self.storage.row("bucket", "key", put.info, None))
            self.assertNoResult(reading)
            self.threads.settle()
            self.assertEqual(b"body", self.successResultOf(reading))

    def test_hot_rows(self) -> None:
        """A small body is read from the store once, and from memory from then on."""
        self.run_now(self.storage.commit(self.small(b"body")))
        held = self.run_now(self.storage.open("bucket", "key"))
        self.assertEqual(self.read_all(held), b"body")
        self.assertEqual(self.read_all(held), b"body")
        self.assertEqual((self.storage.cache.hits, self.storage.cache.misses), (1, 1))

    def test_one_row(self) -> None:
        """What is in one row is read without more ado, and from memory from then on; what is not is not."""
        body = os.urandom(CHUNK_BYTES)
        for put in (self.small(body, "small"), self.large([body, b"x" * 9], "large")):
            self.run_now(self.storage.commit(put))
            for _ in range(BATCHES_KEPT):
                self.run_now(self.storage.commit(self.small(b"other")))
            key, info = put.key, put.info
            for span in (ByteRange(5, 100), ByteRange(0, CHUNK_BYTES)):
                self.storage.cache.drop(info.inline or info.extents[0].blob)
                self.assertIsNone(self.storage.hot(info, span))
                read = self.run_now(self.storage.row("bucket", key, info, span))
                self.assertEqual(body[span.start : span.start + span.length], read)
                self.assertEqual(read, self.storage.hot(info, span))
        self.assertIsNone(self.run_now(self.storage.row("bucket", "large", info, None)))
        self.assertIsNone(self.run_now(self.storage.row("bucket", "large", info, ByteRange(CHUNK_BYTES - 1, 2))))

    def test_one_row_replaced(self) -> None:
        """One row of an object that is replaced meanwhile: the inline one is gone, the chunk stays until it is read."""
        inline, chunked = self.small(b"old", "small"), self.large([b"old"], "large")
        for put in (inline, chunked):
            self.run_now(self.storage.commit(put))
        for _ in range(BATCHES_KEPT):
            self.run_now(self.storage.commit(self.small(b"new", "small")))
        self.assertIsNone(self.run_now(self.storage.row("bucket", "small", inline.info, None)))
        reading = self.begin(self.storage.row("bucket", "large", chunked.info, None))
        self.begin(self.storage.commit(DeleteObject("bucket", "large")))
        read = self.threads.given.pop(0)
        self.threads.settle()
        self.assertEqual(self.store.freed, [])
        self.threads.given.append(read)
        self.threads.settle()
        self.assertEqual(b"old", self.successResultOf(reading))
        self.assertEqual(self.store.freed, list(chunked.staged))

    def test_refused_mutation_gives_up_its_blobs(self) -> None:
        """What was staged for a write that is refused is freed."""
        put = self.large([b"x" * CHUNK_BYTES], condition=WriteCondition(if_match="other"))
        self.run_now(self.storage.commit(self.small(b"old")))
        refused = self.begin(self.storage.commit(put))
        self.threads.settle()
        self.failureResultOf(refused, PreconditionFailed)
        self.assertEqual(self.store.freed, list(put.staged))


class TroubleTests(StorageTestCase):
    def test_stall_passes(self) -> None:
        """A write that meets a stall of the store is tried again, and the client notices nothing but the time."""
        self.store.mood = [StoreStalled(), StoreStalled()]
        put = self.begin(self.storage.commit(self.small(b"x")))
        for _ in range(3):
            self.threads.settle()
            self.clock.advance(0.1)
        self.threads.settle()
        self.assertEqual(self.successResultOf(put), Committed())

    def test_stall_does_not_pass(self) -> None:
        """A stall that goes on is SlowDown, and what was staged is given up."""
        put = self.large([b"x"])
        self.store.mood = [StoreStalled()] * 1000
        refused = self.begin(self.storage.commit(put))
        for _ in range(int(STALL_SECONDS * 10) + 3):
            self.threads.settle()
            self.clock.advance(0.1)
        self.threads.settle()
        self.failureResultOf(refused, SlowDown)
        self.assertEqual(self.store.freed, list(put.staged))

    def test_stall_of_free(self) -> None:
        """What could not be freed for a stall of the store is freed behind it, however long it lasts; it is tried ever
        more seldom."""
        put = self.large([b"x"])
        self.run_now(self.storage.commit(put))
        self.store.stalls = 200
        self.run_now(self.storage.commit(self.small(b"y")))
        pauses = []
        while self.store.stalls:
            self.assertEqual(self.store.freed, [])
            (call,) = self.clock.getDelayedCalls()
            pauses.append(call.getTime() - self.clock.seconds())
            self.clock.advance(pauses[-1])
            self.threads.settle()
        self.assertAlmostEqual(STALL_BACKOFF[-1], pauses[0])
        self.assertAlmostEqual(2 * STALL_BACKOFF[-1], pauses[1])
        self.assertAlmostEqual(STALL_SECONDS, pauses[-1])
        self.assertEqual(199, len(pauses))
        self.clock.advance(STALL_SECONDS)
        self.threads.settle()
        self.assertEqual(self.store.freed, list(put.staged))

    def test_few_at_a_time(self) -> None:
        """One walk through rows at a time, and of what computes no more than there are cores; all come to their turn,
        whatever becomes of those before, and `drained` waits for them."""
        scans = [self.begin(self.storage.list_objects("bucket", ListQuery())) for _ in range(3)]
        self.assertEqual(1, len(self.threads.given))

        def fails() -> None:
            raise ValueError

        computed = [self.begin(self.storage.in_thread(fails)) for _ in range(CORES + 2)]
        self.assertEqual(1 + CORES, len(self.threads.given))
        drained = self.begin(self.storage.drained())
        self.threads.settle()
        for scan in scans:
            self.assertEqual((), self.successResultOf(scan).entries)
        for one in computed:
            self.failureResultOf(one, ValueError)
        self.successResultOf(drained)

    def test_full(self) -> None:
        """A full disk is InsufficientStorage, for bodies on their way and for commits."""
        self.store.mood = [StoreFull()]
        staging = self.begin(self.storage.stage(self.storage.begin_blob(), 0, lambda: [b"x"]))
        self.threads.settle()
        self.failureResultOf(staging, InsufficientStorage)
        put = self.large([b"x"])
        self.store.mood = [StoreFull()]
        refused = self.begin(self.storage.commit(put))
        self.threads.settle()
        self.failureResultOf(refused, InsufficientStorage)
        self.assertEqual(self.store.freed, list(put.staged))

    def test_unknown_outcome_keeps_the_blobs(self) -> None:
        """When nobody knows whether a commit happened, its chunks stay: the object may be there."""
        put = self.large([b"x"])
        self.store.mood = [StoreFailed("EIO")]
        refused = self.begin(self.storage.commit(put))
        self.threads.settle()
        self.failureResultOf(refused, InternalError)
        self.assertEqual(self.store.freed, [])

    def test_each_on_its_own(self) -> None:
        """Of several mutations those that can happen do, and the others say why not."""
        outcomes = self.run_now(
            self.storage.commit_all([self.small(b"x"), DeleteObject("none", "key"), DeleteObject("bucket", "gone")])
        )
        self.assertIsInstance(outcomes[0], Committed)
        self.assertIsInstance(outcomes[1], NoSuchBucket)
        self.assertIsInstance(outcomes[2], Committed)
        self.assertIsInstance(outcomes[1], S3Error)

    def test_drained(self) -> None:
        """`drained` waits for all that is under way in threads, and for what that leads to."""
        self.begin(self.storage.commit(self.large([b"x"])))
        self.begin(self.storage.commit(DeleteObject("bucket", "key")))
        self.begin(self.storage.buckets())
        drained = self.begin(self.storage.drained())
        self.assertNoResult(drained)
        self.threads.settle()
        self.successResultOf(drained)
        self.assertEqual(len(self.store.freed), 1)

    def test_drained_of_what_gathers(self) -> None:
        """A commit that waits for others to come is done, not forgotten, when everything is to end."""
        storage = LaneStorage(self.store, self.threads.hand_over, self.clock, gather=True)
        self.begin(storage.commit(self.small(b"first")))
        put = self.begin(storage.commit(self.small(b"last")))
        self.threads.work()
        self.threads.deliver()
        self.assertEqual(self.threads.given, [])
        drained = self.begin(storage.drained())
        self.assertNoResult(drained)
        self.threads.settle()
        self.successResultOf(drained)
        self.successResultOf(put)
        self.assertIsNotNone(self.store.peek("bucket", "key"))
