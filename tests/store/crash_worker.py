"""The process that the crash tests kill: random mutations on a store, each told before and after.

Run with a directory and a durability. For each seed, a line on standard input, a child is forked that opens the store
there and works until it is killed. What it does is in the file `JOURNAL` beside the store, as pickles:

========================  =======================================================
``("stage", blob, n)``    a body of ``n`` bytes, see `content`, is about to be staged
``("begin", mutations)``  these are about to be committed
``("end", outcomes)``     they were
========================  =======================================================

Standard output says how far it is: the child's process id on a line, a dot for each entry, a line when it is dead.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from functools import partial
from random import Random
from typing import TypeVar

from s3gw.model import (
    CHUNK_BYTES,
    ENABLED,
    OBJECT_LOCK,
    PIN,
    SUSPENDED,
    BucketInfo,
    CacheRules,
    Extent,
    ObjectInfo,
    ObjectLock,
    PartInfo,
    UploadInfo,
)
from s3gw.store import staging
from s3gw.store.cache_records import ReadsRecord
from s3gw.store.engine import Durability
from s3gw.store.interface import (
    AbortUpload,
    AdoptObjects,
    Committed,
    CompleteUpload,
    Condition,
    ConfigureBucket,
    ConfigureCache,
    CreateBucket,
    CreateUpload,
    DeleteBucket,
    DeleteObject,
    EvictObject,
    ExpireObject,
    ExpireVersion,
    HoldObject,
    ListQuery,
    MoveBoundary,
    Mutation,
    PutObject,
    PutPart,
    RetainObject,
    SaveReads,
    SetVersioning,
    StoreStalled,
    TagObject,
    UploadQuery,
    VersionQuery,
)
from s3gw.store.rocks import RocksStore

T = TypeVar("T")

BUCKETS = "bcd"

JOURNAL = ".journal"
JOURNAL_DESCRIPTOR = 9


def content(name: bytes, length: int) -> bytes:
    """The body with this id."""
    return Random(name).randbytes(length)


def tell(*entry: object) -> None:
    os.write(JOURNAL_DESCRIPTOR, pickle.dumps(entry))
    os.write(1, b".")


def insist(call: Callable[[], T]) -> T:
    """Do it, as often as the store says that it cannot now."""
    while True:
        try:
            return call()
        except StoreStalled:
            pass


class Client:
    """Makes up mutations that mostly make sense, and commits them."""

    def __init__(self, store: RocksStore, seed: int, tell: Callable[..., None]) -> None:
        self.store = store
        self.random = Random(seed)
        self.tell = tell

    def work(self) -> None:
        while True:
            self.step()

    def step(self) -> None:
        mutations = [self.mutation() for _ in range(self.random.choice((1, 1, 2, 5)))]
        self.tell("begin", mutations)
        outcomes = insist(partial(self.store.commit, mutations))
        self.tell("end", outcomes)
        retired = [blob for it in outcomes if isinstance(it, Committed) for blob in it.retired]
        staged = [
            blob
            for it, outcome in zip(mutations, outcomes, strict=True)
            if isinstance(outcome, Exception) and isinstance(it, PutObject | PutPart)
            for blob in it.staged
        ]
        if self.random.random() < 0.7:
            insist(partial(self.store.free, retired + staged))

    def mutation(self) -> Mutation:
        bucket, key = self.random.choice(BUCKETS), self.random.choice("klmnop")
        make = self.random.choice(
            (self.put,) * 6
            + (self.copy, self.part, self.part, self.part, self.complete, self.other, self.other)
            + (self.version,) * 3
            + (self.cache,) * 4
        )
        return make(bucket, key)

    def extents(self, most: int) -> tuple[Extent, ...]:
        """Stage a new body."""
        blob, length = self.store.begin_blob(), self.random.randrange(1, most)
        self.tell("stage", blob, length)
        body = content(blob, length)
        for number, start in enumerate(range(0, length, CHUNK_BYTES)):
            insist(partial(self.store.stage, blob, number, [body[start : start + CHUNK_BYTES]]))
        return (Extent(blob, 0, length),)

    def condition(self) -> Condition:
        return Condition(if_none_match="*" if self.random.random() < 0.1 else None)

    def put(self, bucket: str, key: str) -> Mutation:
        if self.random.random() < 0.5:
            id, length = self.store.begin_blob(), self.random.randrange(1, 3000)
            info = ObjectInfo(length, 1, id.hex(), inline=id)
            if self.random.random() < 0.4:
                info = ObjectInfo(length, 1, id.hex(), extents=(Extent(id, 0, length),))
            return PutObject(bucket, key, info, content(id, length), condition=self.condition())
        extents = self.extents(200_000)
        info = ObjectInfo(extents[0].length, 1, extents[0].blob.hex(), extents=extents)
        return PutObject(bucket, key, info, staged=(extents[0].blob,), condition=self.condition())

    def copy(self, bucket: str, key: str) -> Mutation:
        for source, _ in self.store.list_objects(bucket, ListQuery()).entries:
            (info,) = self.store.look_up([(bucket, source)])
            if info.extents and source != key:
                return PutObject(bucket, key, ObjectInfo(info.size, 2, "copy", extents=info.extents))
        return self.put(bucket, key)

    def part(self, bucket: str, key: str) -> Mutation:
        uploads = self.store.list_uploads(bucket, UploadQuery()).uploads
        if len(uploads) < 2:
            return CreateUpload(UploadInfo(bucket, key, self.store.begin_blob().hex(), 1))
        upload = self.random.choice(uploads)
        extents = self.extents(100_000)
        part = PartInfo(self.random.randrange(1, 5), extents[0].length, 1, "e", extents)
        return PutPart(bucket, upload.key, upload.upload, part, (extents[0].blob,))

    def complete(self, bucket: str, key: str) -> Mutation:
        uploads = self.store.list_uploads(bucket, UploadQuery()).uploads
        if not uploads:
            return self.part(bucket, key)
        upload = self.random.choice(uploads)
        parts = self.store.list_parts(upload.upload, 0, 3).parts
        extents = tuple(extent for part in parts for extent in part.extents)
        info = ObjectInfo(sum(part.size for part in parts), 1, "multi", extents=extents, upload=upload.upload)
        return CompleteUpload(bucket, upload.key, upload.upload, info, parts, self.condition())

    def version(self, bucket: str, key: str) -> Mutation:
        """Something that is done to one version, or that makes versions."""
        if bucket == "d":
            return self.cache(bucket, key)
        entries = self.store.list_versions(bucket, VersionQuery()).entries
        if not entries or self.random.random() < 0.1:
            return self.random.choice(
                (
                    *(SetVersioning(bucket, ENABLED), SetVersioning(bucket, SUSPENDED)) * 4,
                    # Only in one of them: it is for ever.
                    ConfigureBucket("b", OBJECT_LOCK, b"on"),
                )
            )
        entry = self.random.choice(entries)
        (seen,) = self.store.look_up_versions([(bucket, entry.key, entry.info.version)])
        version, now, bypass = entry.info.version, self.random.randrange(4), self.random.random() < 0.5
        alone = self.random.random() < 0.5
        lock = ObjectLock(self.random.choice(("GOVERNANCE", "COMPLIANCE")), self.random.randrange(4))
        return self.random.choice(
            (
                *(DeleteObject(bucket, entry.key, version=version, now=now, bypass=bypass),) * 4,
                *(ExpireVersion(bucket, entry.key, seen, now, alone),) * 2,
                ExpireObject(bucket, entry.key, seen, now, "lifecycle"),
                TagObject(bucket, entry.key, (("v", str(now)),), version=version),
                RetainObject(bucket, entry.key, lock, now, bypass, version=version),
                HoldObject(bucket, entry.key, self.random.choice(("ON", "OFF", "OFF")), version=version),
            )
        )

    def cache(self, bucket: str, key: str) -> Mutation:
        """Something that is done to a cache bucket: ``d`` is one, most of the time."""
        cache = self.store.caches.get(bucket)
        rules = CacheRules(ttl_write=10**9 * self.random.randrange(2), max_objects=self.random.randrange(9))
        if cache is None:
            return ConfigureCache("d", rules)
        queue = self.store.queue(bucket, 0, 1 << 62, 20)
        gone = ObjectInfo(0, 1, "gone", ttl=1)
        pinned = ObjectInfo(0, 1, "pinned", tags=(PIN,))
        choices: list[Mutation] = [
            PutObject(bucket, key, self.random.choice((gone, pinned))),
            AdoptObjects(bucket, self.random.randrange(1, 4)),
            ConfigureCache(bucket, self.random.choice((rules, rules, None))),
            SaveReads(bucket, ((1, ReadsRecord(bytes(256))),), (2,)),
            TagObject(bucket, key, self.random.choice(((), (PIN,)))),
        ]
        if queue:
            place, queued = self.random.choice(queue)
            end = self.random.randrange(cache.state.next + 1)
            passed = tuple(place for place, _ in queue if cache.state.boundary <= place < end)
            choices += [EvictObject(bucket, queued.key, place, self.random.random() < 0.3)] * 6
            choices += [MoveBoundary(bucket, end, passed, place)] * 3
        return self.random.choice(choices)

    def other(self, bucket: str, key: str) -> Mutation:
        uploads = self.store.list_uploads(bucket, UploadQuery()).uploads
        mutations: list[Mutation] = [
            CreateBucket(BucketInfo(bucket, 1)),
            DeleteBucket(bucket),
            ConfigureBucket(bucket, "cors", self.random.randbytes(9)),
            TagObject(bucket, key, (("t", str(self.random.random())),)),
            DeleteObject(bucket, key),
            DeleteObject(bucket, key),
        ]
        mutations += [AbortUpload(bucket, upload.key, upload.upload) for upload in uploads[:1]]
        return self.random.choice(mutations)


def work(path: str, durability: Durability, seed: int) -> None:
    store = RocksStore.open(path, durability=durability, cache_bytes=1 << 20, reserve_bytes=0)
    # The second chunk of a body is not in the log already.
    staging.LOGGED_CHUNKS = 1
    if durability == "memory":
        for family in store._engine._families.values():
            family.set_options({"write_buffer_size": "1048576"})
    insist(partial(store.commit, [CreateBucket(BucketInfo(bucket, 1)) for bucket in BUCKETS]))
    Client(store, seed, tell).work()


def main(path: str, durability: Durability) -> None:
    # Descriptor 0 is read without a buffer: a buffer would be copied by fork.
    while seed := os.read(0, 20):
        os.dup2(os.open(path + JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), JOURNAL_DESCRIPTOR)
        pid = os.fork()
        if not pid:
            work(path, durability, int(seed))
        os.write(1, b"%d\n" % pid)
        os.waitpid(pid, 0)
        os.write(1, b"\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])  # type: ignore[arg-type]
