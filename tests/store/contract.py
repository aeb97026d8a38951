"""What `IObjectStore` promises, as tests that every store passes.

Each class here is mixed, behind one that has ``makeStore``, into a TestCase: see `test_memory` and `test_rocks`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from zope.interface.verify import verifyObject

from s3gw.errors import S3Error
from s3gw.model import (
    CHUNK_BYTES,
    SEAL_BYTES,
    BucketInfo,
    Checksum,
    Encryption,
    Extent,
    Grant,
    ObjectInfo,
    PartInfo,
    PartPage,
    UploadInfo,
)
from s3gw.store.interface import (
    AbortUpload,
    ChunkRow,
    Committed,
    CompleteUpload,
    Condition,
    ConfigureBucket,
    CorruptChunk,
    CreateBucket,
    CreateUpload,
    DeleteBucket,
    DeleteObject,
    ExpireObject,
    HoldObject,
    InlineRow,
    IObjectStore,
    ListQuery,
    Mutation,
    PutObject,
    PutPart,
    SetObjectAcl,
    StaleBody,
    StoreFailed,
    TagObject,
    UploadQuery,
)

KEYS = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=6
) | st.text("ab/", min_size=1, max_size=6)
"""Keys as clients choose them, with many that share prefixes."""


SHARED = (HealthCheck.differing_executors,)
"""Each property here runs over every store; an example that one of them failed is worth trying on the others."""


class Actor:
    """Does to a store what the layer above it does, step by step."""

    def __init__(self, store: IObjectStore) -> None:
        self.store = store

    def do(self, mutation: Mutation) -> Committed:
        """Commit one mutation and expect it to happen."""
        (outcome,) = self.store.commit([mutation])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def create(self, bucket: str = "b") -> None:
        self.do(CreateBucket(BucketInfo(bucket, 1)))

    def stage(self, body: bytes) -> bytes:
        """Stage a body as a blob."""
        blob = self.store.begin_blob()
        self.stage_as(blob, body)
        return blob

    def stage_as(self, blob: bytes, body: bytes) -> None:
        """Stage a body as the blob with this id."""
        self.store.stage(blob, 0, [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)])

    def inline(self, key: str, body: bytes, bucket: str = "b", **condition: object) -> PutObject:
        """The put of a small object."""
        info = ObjectInfo(len(body), 1000, hashlib.md5(body).hexdigest(), inline=self.store.begin_blob())
        return PutObject(bucket, key, info, body, condition=Condition(**condition))  # type: ignore[arg-type]

    def chunked(self, key: str, body: bytes, bucket: str = "b", **condition: object) -> PutObject:
        """The put of an object whose body is staged as a blob."""
        blob = self.stage(body)
        info = ObjectInfo(len(body), 1000, hashlib.md5(body).hexdigest(), extents=(Extent(blob, 0, len(body)),))
        return PutObject(bucket, key, info, staged=(blob,), condition=Condition(**condition))  # type: ignore[arg-type]

    def whole(self, key: str, body: bytes, bucket: str = "b", **condition: object) -> PutObject:
        """The put of an object whose body comes with it and becomes a blob of one chunk."""
        extents = (Extent(self.store.begin_blob(), 0, len(body)),)
        info = ObjectInfo(len(body), 1000, hashlib.md5(body).hexdigest(), extents=extents)
        return PutObject(bucket, key, info, body, condition=Condition(**condition))  # type: ignore[arg-type]

    def begin(self, key: str = "k", upload: str = "u1", bucket: str = "b") -> None:
        """Begin an upload."""
        self.do(CreateUpload(UploadInfo(bucket, key, upload, 5)))

    def part(self, number: int, body: bytes, key: str = "k", upload: str = "u1", bucket: str = "b") -> PutPart:
        """The put of a part."""
        blob = self.stage(body)
        extents = (Extent(blob, 0, len(body)),)
        part = PartInfo(number, len(body), 1000, hashlib.md5(body).hexdigest(), extents)
        return PutPart(bucket, key, upload, part, staged=(blob,))

    def completion(
        self, parts: Sequence[PartInfo], key: str = "k", upload: str = "u1", **condition: object
    ) -> CompleteUpload:
        """The completion of an upload from these parts."""
        extents = tuple(extent for part in parts for extent in part.extents)
        info = ObjectInfo(sum(part.size for part in parts), 1000, f"e-{len(parts)}", extents=extents, upload=upload)
        return CompleteUpload("b", key, upload, info, tuple(parts), Condition(**condition))  # type: ignore[arg-type]

    def find(self, key: str, bucket: str = "b") -> ObjectInfo | None:
        return self.store.look_up([(bucket, key)])[0]

    def body(self, key: str, bucket: str = "b") -> bytes | None:
        """The bytes of an object as a reader gets them; None if there is none."""
        info = self.find(key, bucket)
        return None if info is None else self.read(bucket, key, info)

    def read(self, bucket: str, key: str, info: ObjectInfo) -> bytes:
        """The bytes that ``info`` leads to."""
        if info.inline:
            return self._rows([InlineRow(bucket, key, info.inline, info.order)])
        return b"".join(self._extent(extent) for extent in info.extents)

    def _extent(self, extent: Extent) -> bytes:
        first, last = extent.start // CHUNK_BYTES, (extent.start + extent.length - 1) // CHUNK_BYTES
        run = self._rows([ChunkRow(extent.blob, number) for number in range(first, last + 1)])
        return run[extent.start - first * CHUNK_BYTES :][: extent.length]

    def _rows(self, rows: Sequence[ChunkRow | InlineRow]) -> bytes:
        found = self.store.read(rows)
        for row in found:
            if isinstance(row, Exception):
                raise row
        return b"".join(bytes(row) for row in found)  # type: ignore[arg-type]


class Contract:
    """What the mixins have in common; ``makeStore`` gives a new, empty store."""

    def setUp(self) -> None:
        self.store = self.makeStore()
        self.addCleanup(self.store.close)
        self.actor = Actor(self.store)

    def fails(self, mutation: Mutation, error: str, **fields: str) -> None:
        """Assert that a mutation is refused with this error and these fields."""
        (outcome,) = self.store.commit([mutation])
        self.assertIsInstance(outcome, S3Error)
        self.assertEqual(outcome.code, error)
        self.assertEqual(outcome.fields, fields)


class BucketTests(Contract):
    def test_interface(self) -> None:
        """A store is what the layers above ask for."""
        self.assertTrue(verifyObject(IObjectStore, self.store))

    def test_created(self) -> None:
        """A bucket that was created is found as it was described, and the others are not."""
        info = BucketInfo("b", 17, "me", "eu-central-1", {"cors": b"<x/>"})
        self.actor.do(CreateBucket(info))
        self.assertEqual(self.store.look_up_buckets(["b", "bb"]), [info, None])
        self.assertEqual(self.store.peek_bucket("b"), info)
        self.assertIsNone(self.store.peek_bucket("a"))

    def test_listed(self) -> None:
        """Buckets are listed by name."""
        for name in ("zoo", "a.b", "a-b", "a"):
            self.actor.create(name)
        self.assertEqual([info.name for info in self.store.buckets()], ["a", "a-b", "a.b", "zoo"])

    def test_createdTwice(self) -> None:
        """Creating a bucket again says whose it is."""
        self.actor.do(CreateBucket(BucketInfo("b", 1, "me")))
        self.fails(CreateBucket(BucketInfo("b", 2, "me")), "BucketAlreadyOwnedByYou", BucketName="b")
        self.fails(CreateBucket(BucketInfo("b", 2, "you")), "BucketAlreadyExists", BucketName="b")

    def test_the_one_that_was_meant(self) -> None:
        """A mutation that says when its bucket was created does not happen in another one of the same name."""
        self.actor.do(CreateBucket(BucketInfo("b", 1, "me")))
        self.actor.do(self.actor.inline("k", b"x"))
        upload = UploadInfo("b", "k", "u1", 0)
        for mutation in (
            replace(self.actor.inline("k", b"y"), bucket_created=2),
            DeleteObject("b", "k", bucket_created=2),
            TagObject("b", "k", (), 2),
            CreateUpload(upload, 2),
            ConfigureBucket("b", "cors", b"<x/>", 2),
            DeleteBucket("b", 2),
        ):
            self.fails(mutation, "NoSuchBucket", BucketName="b")
        self.actor.do(replace(self.actor.inline("k", b"z"), bucket_created=1))
        self.assertEqual(self.actor.body("k"), b"z")

    def test_deleted(self) -> None:
        """An empty bucket can be deleted, one with an object or none at all cannot."""
        self.fails(DeleteBucket("b"), "NoSuchBucket", BucketName="b")
        self.actor.create()
        self.actor.create("b2")
        self.actor.do(self.actor.inline("k", b"x"))
        self.fails(DeleteBucket("b"), "BucketNotEmpty", BucketName="b")
        self.actor.do(DeleteObject("b", "k"))
        self.actor.do(DeleteBucket("b"))
        self.assertEqual([info.name for info in self.store.buckets()], ["b2"])

    def test_deletedInTheSameCommit(self) -> None:
        """Emptiness is judged after the mutations in front, in one commit as in several."""
        put, delete, gone = self.actor.inline("k", b"x"), DeleteObject("b", "k"), DeleteBucket("b")
        outcomes = self.store.commit([CreateBucket(BucketInfo("b", 1)), put, gone, delete, gone, put])
        self.assertEqual(
            [outcome.code if isinstance(outcome, S3Error) else "" for outcome in outcomes],
            ["", "", "BucketNotEmpty", "", "", "NoSuchBucket"],
        )
        self.assertEqual(self.store.buckets(), [])

    def test_configured(self) -> None:
        """Configuration documents are set, replaced and removed by name."""
        self.fails(ConfigureBucket("b", "cors", b"1"), "NoSuchBucket", BucketName="b")
        self.actor.create()
        for name, document in (("cors", b"1"), ("tagging", b"2"), ("cors", b"3"), ("none", None)):
            self.actor.do(ConfigureBucket("b", name, document))
        self.assertEqual(self.store.look_up_buckets(["b"])[0].documents, {"cors": b"3", "tagging": b"2"})
        self.actor.do(ConfigureBucket("b", "cors", None))
        self.assertEqual(self.store.peek_bucket("b").documents, {"tagging": b"2"})

    def test_deletedWithUploads(self) -> None:
        """Deleting a bucket aborts the uploads in it, and gives their bytes back."""
        self.actor.create()
        self.actor.begin()
        part = self.actor.part(1, b"x" * 10)
        self.actor.do(part)
        self.assertEqual(self.actor.do(DeleteBucket("b")).retired, part.staged)
        self.actor.create()
        self.assertEqual(self.store.list_uploads("b", UploadQuery()).uploads, ())
        self.assertEqual(self.store.list_parts("u1", 0, 10).parts, ())


class ObjectTests(Contract):
    def setUp(self) -> None:
        super().setUp()
        self.actor.create()

    def test_inline(self) -> None:
        """A small object comes back byte for byte, with everything that was said about it."""
        info = ObjectInfo(
            3, 5, "abc", self.store.begin_blob(), (), {"content-type": "é"}, {"a": "b"}, tags=(("x", "y"),), owner="me"
        )
        self.assertEqual(self.actor.do(PutObject("b", "k", info, b"abc")), Committed())
        self.assertEqual(self.actor.find("k"), info)
        self.assertEqual(self.store.peek("b", "k"), info)
        self.assertEqual(self.actor.body("k"), b"abc")

    def test_chunked(self) -> None:
        """A large object comes back byte for byte, whole and by the chunk."""
        body = bytes(range(256)) * 600
        put = self.actor.chunked("k", body)
        self.actor.do(put)
        self.assertEqual(self.actor.body("k"), body)
        (second,) = self.store.read([ChunkRow(put.staged[0], 1)])
        self.assertEqual(bytes(second), body[CHUNK_BYTES : 2 * CHUNK_BYTES])

    def test_whole(self) -> None:
        """A body that comes with its object can be a blob: copies share it, and the last one frees it."""
        put = self.actor.whole("k", b"body" * 10_000)
        blobs = (put.info.extents[0].blob,)
        self.assertEqual(self.actor.do(put), Committed())
        self.assertEqual(self.actor.find("k"), put.info)
        self.assertEqual(self.actor.body("k"), b"body" * 10_000)
        self.actor.do(PutObject("b", "copy", put.info))
        self.assertEqual(self.actor.do(DeleteObject("b", "k")).retired, ())
        self.assertEqual(self.actor.do(self.actor.inline("copy", b"x")).retired, blobs)
        self.assertEqual(self.actor.read("b", "k", put.info), b"body" * 10_000)
        self.store.free(blobs)
        self.assertIsInstance(self.store.read([ChunkRow(blobs[0], 0)])[0], CorruptChunk)

    def test_wholeReplaced(self) -> None:
        """Puts of the same key in one batch replace each other's blobs, and those before them."""
        puts = [self.actor.whole("k", bytes((n,)) * 40_000) for n in range(4)]
        self.actor.do(puts[0])
        outcomes = self.store.commit(puts[1:])
        retired = [outcome.retired for outcome in outcomes if isinstance(outcome, Committed)]
        self.assertEqual(retired, [(put.info.extents[0].blob,) for put in puts[:-1]])
        self.store.free([blob for blobs in retired for blob in blobs])
        self.assertEqual(self.actor.body("k"), bytes((3,)) * 40_000)

    def test_wholeRefused(self) -> None:
        """What is refused leaves nothing of the body that came with it."""
        self.actor.do(self.actor.inline("k", b"x"))
        put = self.actor.whole("k", b"body", if_none_match="*")
        self.fails(put, "PreconditionFailed", Condition="If-None-Match")
        self.assertIsInstance(self.store.read([ChunkRow(put.info.extents[0].blob, 0)])[0], CorruptChunk)
        self.assertEqual(self.actor.body("k"), b"x")

    def test_empty(self) -> None:
        """An object without a body is one nevertheless."""
        self.actor.do(PutObject("b", "k", ObjectInfo(0, 1, "e")))
        self.assertEqual(self.actor.body("k"), b"")

    def test_missing(self) -> None:
        """What is not there is None, whichever way it is asked for."""
        self.actor.do(self.actor.inline("kk", b"x"))
        self.assertEqual(self.store.look_up([("b", "k"), ("b", "kkk"), ("c", "kk")]), [None] * 3)
        self.assertIsNone(self.store.peek("b", "k"))
        self.assertIsNone(self.store.peek("c", "kk"))

    def test_missingBucket(self) -> None:
        """Nothing happens in a bucket that does not exist."""
        for mutation in (self.actor.inline("k", b"x", "c"), DeleteObject("c", "k"), TagObject("c", "k", ())):
            self.fails(mutation, "NoSuchBucket", BucketName="c")

    def test_nul(self) -> None:
        """A key with NUL would be a key of another bucket: it is refused."""
        self.fails(self.actor.inline("a\0b", b"x"), "InvalidArgument")
        self.fails(CreateBucket(BucketInfo("a\0b", 1)), "InvalidArgument")
        self.fails(CreateUpload(UploadInfo("b", "a\0b", "u", 1)), "InvalidArgument")

    def test_replaced(self) -> None:
        """A put says which object it replaced, and the reader of the old inline body learns that it is gone."""
        first, second = self.actor.inline("k", b"one"), self.actor.inline("k", b"two")
        self.actor.do(first)
        self.assertEqual(self.actor.do(second).previous, first.info)
        self.assertEqual(self.actor.body("k"), b"two")
        (stale,) = self.store.read([InlineRow("b", "k", first.info.inline)])
        self.assertIsInstance(stale, StaleBody)

    def test_replacedByOtherKind(self) -> None:
        """Inline, chunked and empty objects replace each other without a trace."""
        inline, chunked = self.actor.inline("k", b"one"), self.actor.chunked("k", b"x" * 100_000)
        self.actor.do(inline)
        self.actor.do(chunked)
        self.assertIsInstance(self.store.read([InlineRow("b", "k", inline.info.inline)])[0], StaleBody)
        self.assertEqual(self.actor.do(PutObject("b", "k", ObjectInfo(0, 1, "e"))).retired, chunked.staged)
        self.assertEqual(self.actor.body("k"), b"")

    def test_deleted(self) -> None:
        """A delete says what it deleted; of nothing, it is no error."""
        put = self.actor.inline("k", b"one")
        self.actor.do(put)
        self.assertEqual(self.actor.do(DeleteObject("b", "k")), Committed(previous=put.info))
        self.assertEqual(self.actor.do(DeleteObject("b", "k")), Committed())
        self.assertIsNone(self.actor.find("k"))
        self.assertIsNone(self.store.peek("b", "k"))
        self.assertIsInstance(self.store.read([InlineRow("b", "k", put.info.inline)])[0], StaleBody)

    def test_locked(self) -> None:
        """A lock holds without versioning too, whoever set it."""
        self.actor.do(self.actor.inline("k", b"one"))
        self.actor.do(HoldObject("b", "k", "ON"))
        self.fails(DeleteObject("b", "k"), "AccessDenied")
        self.fails(ExpireObject("b", "k", self.actor.find("k")), "AccessDenied")
        self.assertEqual(self.actor.body("k"), b"one")
        self.actor.do(HoldObject("b", "k", "OFF"))
        self.assertIsNotNone(self.actor.do(DeleteObject("b", "k")).previous)

    def test_retired(self) -> None:
        """A reader that has the old object can read on after it was replaced, until its blob is freed."""
        old = self.actor.chunked("k", b"old" * 50_000)
        self.actor.do(old)
        self.assertEqual(self.actor.do(self.actor.chunked("k", b"new")).retired, old.staged)
        self.assertEqual(self.actor.read("b", "k", old.info), b"old" * 50_000)
        self.store.free(old.staged)
        self.assertIsInstance(self.store.read([ChunkRow(old.staged[0], 0)])[0], CorruptChunk)
        self.assertEqual(self.actor.body("k"), b"new")

    def test_freedInUse(self) -> None:
        """Freeing a blob that an object uses, or one that never was, does nothing."""
        put = self.actor.chunked("k", b"x" * 10)
        self.actor.do(put)
        self.store.free([put.staged[0], self.store.begin_blob()])
        self.assertEqual(self.actor.body("k"), b"x" * 10)

    def test_sealed(self) -> None:
        """A sealed chunk is longer than others, and is read as it came; the same goes for a body of one row."""
        chunks = [bytes([number]) * (CHUNK_BYTES + SEAL_BYTES) for number in range(3)]
        blob = self.store.begin_blob()
        self.store.stage(blob, 0, chunks[:2])
        self.store.stage(blob, 2, chunks[2:])
        inline = self.store.begin_blob()
        encryption = Encryption("SSE-C", b"wrapped", verifier=b"v")
        large = ObjectInfo(3 * CHUNK_BYTES, 1, "e", extents=(Extent(blob, 0, 3 * CHUNK_BYTES),), encryption=encryption)
        small = ObjectInfo(CHUNK_BYTES, 1, "e", inline=inline, encryption=encryption)
        self.actor.do(PutObject("b", "large", large, staged=(blob,)))
        self.actor.do(PutObject("b", "small", small, chunks[0]))
        rows = [ChunkRow(blob, 2), ChunkRow(blob, 0), InlineRow("b", "small", inline), ChunkRow(blob, 1)]
        found = [bytes(row) for row in self.store.read(rows)]  # type: ignore[arg-type]
        self.assertEqual(found, [chunks[2], chunks[0], chunks[0], chunks[1]])
        for key in ("large", "small"):
            info = self.actor.find(key)
            assert info is not None
            self.assertEqual(info.encryption, encryption)

    def test_stagedAndGivenUp(self) -> None:
        """A blob that was given up cannot become an object."""
        put = self.actor.chunked("k", b"x" * 10)
        self.store.free(put.staged)
        self.fails(put, "InternalError")
        self.assertIsNone(self.actor.find("k"))

    def test_tags(self) -> None:
        """Tags are replaced as a whole, and nothing else of the object is."""
        self.fails(TagObject("b", "k", ()), "NoSuchKey", Key="k")
        put = self.actor.inline("k", b"x")
        self.actor.do(put)
        self.assertEqual(self.actor.do(TagObject("b", "k", (("a", "b"),))).previous, put.info)
        self.assertEqual(self.actor.find("k").tags, (("a", "b"),))
        self.assertEqual(self.actor.body("k"), b"x")

    def test_lists(self) -> None:
        """An access control list is set on the write that was seen, whatever became of its tags; on no other."""
        grants = (Grant("READ", "somebody"), Grant("READ", group="http://everybody"))
        put = self.actor.inline("k", b"x")
        self.fails(SetObjectAcl("b", "k", grants, put.info), "NoSuchKey", Key="k")
        self.actor.do(put)
        seen = self.actor.find("k")
        self.actor.do(TagObject("b", "k", (("a", "b"),)))
        self.actor.do(SetObjectAcl("b", "k", grants, seen))
        found = self.actor.find("k")
        self.assertEqual((grants, (("a", "b"),), b"x"), (found.grants, found.tags, self.actor.body("k")))
        self.actor.do(SetObjectAcl("b", "k", None, seen))
        self.assertIsNone(self.actor.find("k").grants)
        self.actor.do(self.actor.inline("k", b"x"))
        self.fails(SetObjectAcl("b", "k", grants, seen), "ConditionalRequestConflict", Key="k")
        self.assertIsNone(self.actor.find("k").grants)

    def test_order(self) -> None:
        """Mutations of one commit happen in order, and a refused one stops none of the others."""
        outcomes = self.store.commit(
            [
                self.actor.inline("k", b"1", if_none_match="*"),
                self.actor.inline("k", b"2", if_none_match="*"),
                self.actor.inline("k", b"3", if_match=hashlib.md5(b"1").hexdigest()),
                DeleteObject("b", "k", Condition(if_match=hashlib.md5(b"1").hexdigest())),
                self.actor.inline("k", b"4"),
                TagObject("b", "k", (("a", "b"),)),
            ]
        )
        self.assertEqual(
            [isinstance(outcome, Committed) for outcome in outcomes], [True, False, True, False, True, True]
        )
        self.assertEqual(self.actor.body("k"), b"4")
        self.assertEqual(self.actor.find("k").tags, (("a", "b"),))

    def test_manyBytes(self) -> None:
        """A commit may be larger than one write of the store."""
        puts = [self.actor.inline(f"k{n}", bytes((n,)) * CHUNK_BYTES) for n in range(40)]
        self.assertEqual(self.store.commit(puts), [Committed()] * 40)
        self.assertEqual([self.actor.body(f"k{n}") for n in range(40)], [bytes((n,)) * CHUNK_BYTES for n in range(40)])

    def test_closed(self) -> None:
        """A store that was closed says so."""
        put = self.actor.inline("k", b"x")
        self.store.close()
        self.assertRaises(StoreFailed, self.store.check)
        self.assertRaises(StoreFailed, self.store.commit, [put])
        self.assertRaises(StoreFailed, self.store.stage, self.store.begin_blob(), 0, [b"x"])
        self.store.close()

    def test_properties(self) -> None:
        """A store has figures to show."""
        self.assertTrue(all(isinstance(value, int) for value in self.store.properties().values()))


CONDITIONS: tuple[tuple[dict[str, object], str, str], ...] = (
    # condition, outcome on {etag "e", modified 5999, size 3}, outcome on a missing object
    ({}, "", ""),
    ({"if_match": "e"}, "", "NoSuchKey"),
    ({"if_match": "*"}, "", "NoSuchKey"),
    ({"if_match": "f"}, "PreconditionFailed If-Match", "NoSuchKey"),
    ({"if_none_match": "*"}, "PreconditionFailed If-None-Match", ""),
    ({"if_none_match": "e"}, "PreconditionFailed If-None-Match", ""),
    ({"if_none_match": "f"}, "", ""),
    ({"if_modified": 5}, "", ""),
    ({"if_modified": 6}, "PreconditionFailed x-amz-if-match-last-modified-time", ""),
    ({"if_size": 3}, "", ""),
    ({"if_size": 0}, "PreconditionFailed x-amz-if-match-size", ""),
    ({"if_match": "e", "if_size": 4}, "PreconditionFailed x-amz-if-match-size", "NoSuchKey"),
    ({"if_match": "e", "if_none_match": "*"}, "PreconditionFailed If-None-Match", "NoSuchKey"),
)


class ConditionTests(Contract):
    def outcome(self, mutation: Mutation) -> str:
        (outcome,) = self.store.commit([mutation])
        if not isinstance(outcome, S3Error):
            return ""
        return f"{outcome.code} {outcome.fields.get('Condition', '')}".strip()

    def test_conditions(self) -> None:
        """A put and a delete happen if, and only if, what they ask for holds."""
        self.actor.create()
        info = ObjectInfo(3, 5999, "e")
        for condition, present, missing in CONDITIONS:
            asked = Condition(**condition)
            for mutation in (PutObject("b", "k", info, condition=asked), DeleteObject("b", "k", asked)):
                self.actor.do(PutObject("b", "k", info))
                self.assertEqual(self.outcome(mutation), present, (mutation, condition))
                self.actor.do(DeleteObject("b", "k"))
                self.assertEqual(self.outcome(mutation), missing, (mutation, condition))

    def test_completion(self) -> None:
        """So does the completion of an upload, and one that did not can be tried again."""
        self.actor.create()
        self.actor.begin()
        part = self.actor.part(1, b"x")
        self.actor.do(part)
        self.fails(self.actor.completion([part.part], if_match="e"), "NoSuchKey", Key="k")
        self.actor.do(self.actor.inline("k", b"old"))
        self.fails(
            self.actor.completion([part.part], if_none_match="*"), "PreconditionFailed", Condition="If-None-Match"
        )
        self.actor.do(self.actor.completion([part.part], if_match=hashlib.md5(b"old").hexdigest()))
        self.assertEqual(self.actor.body("k"), b"x")


class SharingTests(Contract):
    def setUp(self) -> None:
        super().setUp()
        self.actor.create()
        self.body = b"0123456789" * 20_000
        self.source = self.actor.chunked("source", self.body)
        self.actor.do(self.source)

    def copy(self, key: str, *spans: tuple[int, int]) -> PutObject:
        """The put of an object made of spans of the source."""
        extents = tuple(Extent(self.source.staged[0], *span) for span in spans)
        return PutObject("b", key, ObjectInfo(sum(span[1] for span in spans), 1, "e", extents=extents))

    def test_survives(self) -> None:
        """A copy is whole after its source was deleted, and only the last of both gives the bytes back."""
        self.actor.do(self.copy("copy", (5, 70_000), (0, 3)))
        self.assertEqual(self.actor.do(DeleteObject("b", "source")).retired, ())
        self.assertEqual(self.actor.body("copy"), self.body[5:70_005] + self.body[:3])
        self.assertEqual(self.actor.do(DeleteObject("b", "copy")).retired, self.source.staged)

    def test_ontoItself(self) -> None:
        """An object can be copied onto itself."""
        self.assertEqual(self.actor.do(self.copy("source", (0, len(self.body)))).retired, ())
        self.assertEqual(self.actor.body("source"), self.body)
        self.assertEqual(self.actor.do(DeleteObject("b", "source")).retired, self.source.staged)

    def test_retired(self) -> None:
        """A copy of what was deleted meanwhile is refused, freed or not."""
        copy = self.copy("copy", (0, 5))
        self.actor.do(DeleteObject("b", "source"))
        self.fails(copy, "ConditionalRequestConflict")
        self.store.free(self.source.staged)
        self.fails(copy, "ConditionalRequestConflict")
        self.assertIsNone(self.actor.find("copy"))

    def test_part(self) -> None:
        """A part can be copied from an object, and outlives it."""
        self.actor.begin()
        part = PartInfo(1, 9, 1, "e", (Extent(self.source.staged[0], 1, 9),))
        self.actor.do(PutPart("b", "k", "u1", part))
        self.assertEqual(self.actor.do(DeleteObject("b", "source")).retired, ())
        self.actor.do(self.actor.completion([part]))
        self.assertEqual(self.actor.body("k"), self.body[1:10])


class UploadTests(Contract):
    def setUp(self) -> None:
        super().setUp()
        self.actor.create()
        self.actor.begin()

    def put(self, number: int, body: bytes) -> PartInfo:
        mutation = self.actor.part(number, body)
        self.actor.do(mutation)
        return mutation.part

    def test_found(self) -> None:
        """An upload is found by bucket, key and id together."""
        info = UploadInfo("b", "k", "u1", 5)
        names = [("b", "k", "u1"), ("b", "k", "u2"), ("b", "j", "u1"), ("c", "k", "u1")]
        self.assertEqual(self.store.look_up_uploads(names), [info, None, None, None])

    def test_noBucket(self) -> None:
        """There is no upload to a bucket that does not exist."""
        self.fails(CreateUpload(UploadInfo("c", "k", "u", 1)), "NoSuchBucket", BucketName="c")

    def test_missing(self) -> None:
        """What refers to an upload that is not, or not of that key, is refused."""
        part = self.actor.part(1, b"x", key="other")
        for mutation in (part, self.actor.completion([], key="other"), AbortUpload("b", "other", "u1")):
            self.fails(mutation, "NoSuchUpload", UploadId="u1")

    def test_parts(self) -> None:
        """Parts are listed by number, a page at a time."""
        parts = [self.put(number, b"%d" % number) for number in (300, 2, 1, 10_000)]
        parts.sort(key=lambda part: part.number)
        self.assertEqual(self.store.list_parts("u1", 0, 1000), self.page(parts, False))
        self.assertEqual(self.store.list_parts("u1", 1, 2), self.page(parts[1:3], True))
        self.assertEqual(self.store.list_parts("u1", 2, 2), self.page(parts[2:], False))
        self.assertEqual(self.store.list_parts("u1", 2**31 - 1, 2), self.page([], False))
        self.assertEqual(self.store.list_parts("u1", 0, 0), self.page([], False))
        self.assertEqual(self.store.list_parts("u", 0, 9), self.page([], False))

    def page(self, parts: Sequence[PartInfo], truncated: bool) -> PartPage:
        return PartPage(tuple(parts), truncated)

    def test_replacedPart(self) -> None:
        """A part that is put again replaces the first, whose bytes are given back."""
        first = self.put(1, b"one")
        second = self.actor.part(1, b"two")
        self.assertEqual(self.actor.do(second).retired, (first.extents[0].blob,))
        self.assertEqual(self.store.list_parts("u1", 0, 9).parts, (second.part,))

    def test_completed(self) -> None:
        """The object is the parts named, in order; the others are given back, and the upload is over."""
        one, two, three = self.put(1, b"1" * 70_000), self.put(2, b"2"), self.put(3, b"3" * 100)
        outcome = self.actor.do(self.actor.completion([one, three]))
        self.assertEqual(outcome, Committed(None, (two.extents[0].blob,)))
        self.assertEqual(self.actor.body("k"), b"1" * 70_000 + b"3" * 100)
        self.assertEqual(self.store.look_up_uploads([("b", "k", "u1")]), [None])
        self.assertEqual(self.store.list_parts("u1", 0, 9).parts, ())
        self.fails(self.actor.completion([one, three]), "NoSuchUpload", UploadId="u1")

    def test_completedOver(self) -> None:
        """The object that a completed upload replaces is given back."""
        for previous in (self.actor.inline("k", b"x"), self.actor.chunked("k", b"y" * 10)):
            upload = f"u-{len(previous.staged)}"
            self.actor.do(previous)
            self.actor.begin(upload=upload)
            part = self.actor.part(1, b"new", upload=upload)
            self.actor.do(part)
            outcome = self.actor.do(self.actor.completion([part.part], upload=upload))
            self.assertEqual(outcome, Committed(previous.info, previous.staged))
            self.assertEqual(self.actor.body("k"), b"new")

    def test_completedInOneCommit(self) -> None:
        """Parts of the same commit count."""
        parts = [self.actor.part(number, b"%d" % number) for number in (1, 2)]
        outcomes = self.store.commit([*parts, self.actor.completion([part.part for part in parts])])
        self.assertEqual(outcomes, [Committed()] * 3)
        self.assertEqual(self.actor.body("k"), b"12")

    def test_completedWithReplacedPart(self) -> None:
        """A part that was replaced since it was read makes the completion fail, and the upload goes on."""
        one = self.put(1, b"one")
        again = self.put(1, b"two")
        self.fails(self.actor.completion([one]), "ConditionalRequestConflict")
        self.actor.do(self.actor.completion([again]))
        self.assertEqual(self.actor.body("k"), b"two")

    def test_aborted(self) -> None:
        """An aborted upload is gone with all of its parts."""
        parts = [self.put(1, b"one"), self.put(2, b"two")]
        outcome = self.actor.do(AbortUpload("b", "k", "u1"))
        self.assertEqual(set(outcome.retired), {part.extents[0].blob for part in parts})
        self.fails(AbortUpload("b", "k", "u1"), "NoSuchUpload", UploadId="u1")
        self.assertEqual(self.store.list_parts("u1", 0, 9).parts, ())
        self.actor.do(DeleteBucket("b"))


class ListingTests(Contract):
    def fill(self, keys: Sequence[str]) -> None:
        """Make ``keys`` the objects of the bucket ``b``."""
        if not self.store.look_up_buckets(["b"])[0]:
            for bucket in ("a", "b", "b-", "c"):
                self.actor.create(bucket)
            self.store.commit([PutObject(bucket, "k/other", ObjectInfo(0, 1, "e")) for bucket in ("a", "b-", "c")])
        present = [key for key, _ in self.store.list_objects("b", ListQuery(limit=10_000)).entries]
        self.store.commit([DeleteObject("b", key) for key in present])
        self.store.commit([PutObject("b", key, ObjectInfo(0, 1, key)) for key in keys])

    @given(st.sets(KEYS, max_size=12))
    @settings(max_examples=40, deadline=None, suppress_health_check=SHARED)
    def test_order(self, keys: set[str]) -> None:
        """Every key is listed once, in the order of its UTF-8 bytes, with its own object."""
        self.fill(list(keys))
        entries = self.store.list_objects("b", ListQuery()).entries
        self.assertEqual([key for key, _ in entries], sorted(keys, key=str.encode))
        self.assertTrue(all(info.etag == key for key, info in entries))

    def test_what_is_shown(self) -> None:
        """A listing shows what it needs of an object, however large the rest of its record is."""
        self.actor.create()
        put = self.actor.inline("k", b"x")
        checksum = Checksum("CRC32", "AAAAAA==")
        info = replace(
            put.info, headers={"a": "b"}, metadata={"c": "d"}, checksum=checksum, owner="me", tags=(("e", "f"),)
        )
        self.actor.do(replace(put, info=info))
        ((_, shown),) = self.store.list_objects("b", ListQuery()).entries
        self.assertEqual(
            (shown.size, shown.modified, shown.etag, shown.checksum, shown.owner),
            (info.size, info.modified, info.etag, checksum, "me"),
        )
        self.assertEqual((shown.headers, shown.metadata, shown.tags, shown.extents), ({}, {}, (), ()))

    @given(
        st.sets(KEYS, max_size=12),
        st.text("ab/", max_size=2),
        st.sampled_from(("", "/", "a", "b/")),
        st.integers(1, 4),
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=SHARED)
    def test_pages(self, keys: set[str], prefix: str, delimiter: str, limit: int) -> None:
        """Page by page, a listing gives what sorting and grouping all keys gives."""
        self.fill(list(keys))
        expected: list[str] = []
        for key in sorted(key for key in keys if key.startswith(prefix)):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            name = key if end < 0 else key[: end + len(delimiter)] + "*"
            if name not in expected:
                expected.append(name)
        found: list[str] = []
        after = ""
        while True:
            page = self.store.list_objects("b", ListQuery(prefix, delimiter, after, limit))
            self.assertLessEqual(len(page.entries) + len(page.prefixes), limit)
            found += sorted([key for key, _ in page.entries] + [name + "*" for name in page.prefixes])
            if not page.truncated:
                break
            after = page.last
        self.assertEqual(found, sorted(expected))

    def test_noBucket(self) -> None:
        """A bucket that does not exist has nothing in it."""
        self.fill(["k"])
        self.assertEqual(self.store.list_objects("bb", ListQuery()).entries, ())
        self.assertEqual(self.store.list_uploads("bb", UploadQuery()).uploads, ())

    def test_uploads(self) -> None:
        """Uploads are listed by key, then by id, and paged through without loss."""
        for bucket in ("a", "b", "c"):
            self.actor.create(bucket)
            for key, upload in (("k", "2"), ("k", "1"), ("j/x", "4"), ("j/y", "5"), ("k", "3"), ("kk", "0")):
                self.actor.begin(key, bucket + upload, bucket)
        everything = ["b4", "b5", "b1", "b2", "b3", "b0"]
        page = self.store.list_uploads("b", UploadQuery())
        self.assertEqual([info.upload for info in page.uploads], everything)
        self.assertFalse(page.truncated)
        for limit in range(1, 7):
            found: list[str] = []
            query = UploadQuery(limit=limit)
            while (page := self.store.list_uploads("b", query)).truncated:
                found += [info.upload for info in page.uploads]
                query = UploadQuery(after=page.last_key, after_upload=page.last_upload, limit=limit)
            self.assertEqual(found + [info.upload for info in page.uploads], everything)

    def test_uploadsRolledUp(self) -> None:
        """Uploads have common prefixes as objects have, and begin behind a whole key when no id is given."""
        self.actor.create()
        for key, upload in (("a", "1"), ("j/x", "2"), ("j/y", "3"), ("k", "4"), ("k", "5")):
            self.actor.begin(key, upload)
        page = self.store.list_uploads("b", UploadQuery(delimiter="/"))
        self.assertEqual(([info.upload for info in page.uploads], page.prefixes), (["1", "4", "5"], ("j/",)))
        page = self.store.list_uploads("b", UploadQuery(delimiter="/", limit=2))
        self.assertEqual((page.truncated, page.last_key, page.last_upload), (True, "j/", ""))
        page = self.store.list_uploads("b", UploadQuery(prefix="j/"))
        self.assertEqual([info.upload for info in page.uploads], ["2", "3"])
        page = self.store.list_uploads("b", UploadQuery(after="k"))
        self.assertEqual(page.uploads, ())
        page = self.store.list_uploads("b", UploadQuery(after="k", after_upload="4"))
        self.assertEqual([info.upload for info in page.uploads], ["5"])
