"""What a store promises.

A store keeps buckets, objects and uploads and speaks of nothing else: no HTTP, no Twisted. Every method blocks unless
it says otherwise and may be called from any thread; `IObjectStore.commit` is called by one thread at a time.

A body that does not fit one row is a *blob*: its chunks are staged first, and become part of the store by the commit
that names the blob. What was staged and never named is gone after the next open. A commit that drops the last reference
to a blob *retires* it: nothing leads to it any more, and its bytes stay readable until `IObjectStore.free`, or the next
open. So a reader that holds an `ObjectInfo` can finish what it began, and a crash at any moment leaks nothing.

Nothing here needs snapshots shared between calls or locks held across them: a store over a network with one atomic
compare-and-set per bucket can keep every promise.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec
from zope.interface import Attribute, Interface

from s3gw.errors import S3Error
from s3gw.model import (
    BucketInfo,
    CacheRules,
    Grant,
    ListPage,
    ObjectInfo,
    ObjectLock,
    PartInfo,
    PartPage,
    UploadInfo,
    UploadPage,
    VersionPage,
)
from s3gw.s3.conditions import UNCONDITIONAL, WriteCondition
from s3gw.store.cache_records import QueueRecord, ReadsRecord


class Unknown(Enum):
    """The answer of a memory-only look-up that memory could not give."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN


class StoreFull(Exception):
    """There is no room for the write; nothing of it was kept. Reads and deletes still work."""


class StoreStalled(Exception):
    """The store cannot take writes at this moment; nothing of this one was kept. Try again later."""


class StoreFailed(Exception):
    """The store could not do what was asked (I/O error, failed sync). Whether the write was kept is not known."""


class StoreUnusable(Exception):
    """The database cannot be opened: foreign, locked, of another format version, unwritable. The text says which."""


class CorruptChunk(Exception):
    """Stored bytes are not the bytes that were written. ``args[0]`` names the row."""


class StaleBody(Exception):
    """The body row is gone or belongs to another generation of the object: look it up again."""


class ChunkRow(msgspec.Struct, frozen=True):
    """Chunk ``number`` of blob ``blob``."""

    blob: bytes
    number: int


class InlineRow(msgspec.Struct, frozen=True):
    """The inline body with id ``inline`` of the object with this ``order``."""

    bucket: str
    key: str
    inline: bytes
    order: int = 0


BodyRow = ChunkRow | InlineRow


Condition = WriteCondition

ALWAYS = UNCONDITIONAL


# ``bucket_created``, where a mutation has it, is when the bucket that is meant was created: in another one of the same
# name, made since by whomever, the mutation is NoSuchBucket. None for whichever bucket has the name.


class CreateBucket(msgspec.Struct, frozen=True):
    """:raises BucketAlreadyOwnedByYou: it exists and has the same owner.
    :raises BucketAlreadyExists: it exists and has another."""

    info: BucketInfo


class DeleteBucket(msgspec.Struct, frozen=True):
    """Delete an empty bucket; uploads in progress in it are aborted.

    :raises NoSuchBucket: :raises BucketNotEmpty: when it has an object, a version or a delete marker."""

    bucket: str
    bucket_created: int | None = None


class ConfigureBucket(msgspec.Struct, frozen=True):
    """Set (or, with None, remove) the configuration document ``name``.

    :raises NoSuchBucket: :raises InvalidBucketState: for `OBJECT_LOCK` where versioning is not enabled."""

    bucket: str
    name: str
    document: bytes | None
    bucket_created: int | None = None


class SetVersioning(msgspec.Struct, frozen=True):
    """Enable or suspend versioning.

    :raises NoSuchBucket: :raises InvalidBucketState: a bucket whose versions can be locked cannot be suspended."""

    bucket: str
    status: str
    bucket_created: int | None = None


# In a bucket with versioning what is put becomes the newest version of its key and what was there stays, unless both
# are null versions: then the new one replaces the old one. While versioning is suspended what is written is the null
# version, while it is enabled it has an id of its own.


class PutObject(msgspec.Struct, frozen=True):
    """Make ``info`` the object under ``key``.

    :ivar body: the whole body, if it comes with its object: the inline body, when ``info.inline`` is set, or else the
        only chunk of a blob that is new, the one in ``info.extents``.
    :ivar staged: the blobs of ``info.extents`` that were staged for this object. Any other blob in ``info.extents``,
        but one that comes as ``body``, is shared with the object that it was found in.
    :raises NoSuchBucket: :raises PreconditionFailed: :raises NoSuchKey: if-match on a missing object.
    :raises ConditionalRequestConflict: a shared blob was retired meanwhile: look the source up again.
    """

    bucket: str
    key: str
    info: ObjectInfo
    body: bytes = b""
    staged: tuple[bytes, ...] = ()
    condition: Condition = ALWAYS
    bucket_created: int | None = None


class DeleteObject(msgspec.Struct, frozen=True):
    """Delete the object; a missing one is no error unless a condition asks for it. In a bucket with versioning a delete
    marker becomes the newest version instead.

    With ``version`` that version or delete marker is deleted for good, and the newest of those that are left takes its
    place.

    :ivar version: empty for the object without regard to versions.
    :ivar now: ms since the epoch: when a delete marker is made, and for locks. :ivar owner: of the delete marker.
    :ivar bypass: whether to delete in spite of a lock in governance mode.
    :raises NoSuchBucket: :raises PreconditionFailed: :raises NoSuchKey: if-match on a missing object.
    :raises AccessDenied: the version is locked."""

    bucket: str
    key: str
    condition: Condition = ALWAYS
    bucket_created: int | None = None
    version: str = ""
    now: int = 0
    owner: str = ""
    bypass: bool = False


class ExpireObject(msgspec.Struct, frozen=True):
    """As `DeleteObject` without a version, if the object is still the one that was ``seen``.

    :raises NoSuchBucket: :raises PreconditionFailed: if not."""

    bucket: str
    key: str
    seen: ObjectInfo
    now: int = 0
    owner: str = ""
    bucket_created: int | None = None


class ExpireVersion(msgspec.Struct, frozen=True):
    """Delete for good the version or delete marker that was ``seen``, if it is still there as it was, and still not the
    object that the key stands for.

    :ivar alone: only if there is no other version of the key.
    :raises NoSuchBucket: :raises PreconditionFailed: if not. :raises AccessDenied: it is locked."""

    bucket: str
    key: str
    seen: ObjectInfo
    now: int = 0
    alone: bool = False
    bucket_created: int | None = None


# ``version``, where a mutation changes an object, names one of its versions; empty for the newest, if that is no delete
# marker. Without the object these mutations raise NoSuchKey, without the version NoSuchVersion, and MethodNotAllowed if
# it is a delete marker.


class TagObject(msgspec.Struct, frozen=True):
    """Replace the tags of an object. :raises NoSuchBucket: :raises NoSuchKey:"""

    bucket: str
    key: str
    tags: tuple[tuple[str, str], ...]
    bucket_created: int | None = None
    version: str = ""


class SetObjectAcl(msgspec.Struct, frozen=True):
    """Replace the access control list of the object that was ``seen``, if it is still the same write.

    :raises NoSuchBucket: :raises NoSuchKey: :raises ConditionalRequestConflict: another one has taken its place."""

    bucket: str
    key: str
    grants: tuple[Grant, ...] | None
    seen: ObjectInfo
    bucket_created: int | None = None
    version: str = ""


class RetainObject(msgspec.Struct, frozen=True):
    """Set the retention of an object to mode and time of ``lock``.

    :raises NoSuchBucket: :raises NoSuchKey: :raises AccessDenied: its present retention does not allow it."""

    bucket: str
    key: str
    lock: ObjectLock
    now: int
    bypass: bool = False
    bucket_created: int | None = None
    version: str = ""


class HoldObject(msgspec.Struct, frozen=True):
    """Set the legal hold of an object, ``ON`` or ``OFF``. :raises NoSuchBucket: :raises NoSuchKey:"""

    bucket: str
    key: str
    hold: str
    bucket_created: int | None = None
    version: str = ""


class CreateUpload(msgspec.Struct, frozen=True):
    """:raises NoSuchBucket:"""

    info: UploadInfo
    bucket_created: int | None = None


class PutPart(msgspec.Struct, frozen=True):
    """Make ``part`` the part of that number; a part it replaces is retired.

    :ivar staged: as for `PutObject`.
    :raises NoSuchUpload: :raises ConditionalRequestConflict: as for `PutObject`."""

    bucket: str
    key: str
    upload: str
    part: PartInfo
    staged: tuple[bytes, ...] = ()


class CompleteUpload(msgspec.Struct, frozen=True):
    """Turn an upload into the object ``info``, whose extents are those of ``parts`` in order.

    The parts named must still be as they were read; every other part of the upload is retired.

    :raises NoSuchBucket: :raises NoSuchUpload: :raises PreconditionFailed:
    :raises NoSuchKey: if-match on a missing object.
    :raises ConditionalRequestConflict: a part was replaced since it was read."""

    bucket: str
    key: str
    upload: str
    info: ObjectInfo
    parts: tuple[PartInfo, ...]
    condition: Condition = ALWAYS
    bucket_created: int | None = None


class AbortUpload(msgspec.Struct, frozen=True):
    """Forget an upload and its parts. :raises NoSuchUpload:"""

    bucket: str
    key: str
    upload: str


class ConfigureCache(msgspec.Struct, frozen=True):
    """Make a bucket forget by these rules; with None, no longer. :raises NoSuchBucket:"""

    bucket: str
    rules: CacheRules | None
    bucket_created: int | None = None


class EvictObject(msgspec.Struct, frozen=True):
    """Delete the object of a cache bucket that still has this place, unless it is pinned.

    :ivar expired: only if it is gone by the rules. :ivar place: 0 for nothing at all."""

    bucket: str
    key: str
    place: int
    expired: bool = False


class MoveBoundary(msgspec.Struct, frozen=True):
    """The objects of a cache bucket before ``boundary`` are no longer young; it never moves back.

    :ivar passed: the places of those that became old by it. :ivar hand: where eviction goes on among the old."""

    bucket: str
    boundary: int
    passed: tuple[int, ...]
    hand: int


class AdoptObjects(msgspec.Struct, frozen=True):
    """Put the next ``limit`` objects that a cache bucket had before it was one into its queue."""

    bucket: str
    limit: int


class SaveReads(msgspec.Struct, frozen=True):
    """Keep what is known of reads: ``pages``, but for those ``dropped``."""

    bucket: str
    pages: tuple[tuple[int, ReadsRecord], ...]
    dropped: tuple[int, ...] = ()


CacheMutation = ConfigureCache | EvictObject | MoveBoundary | AdoptObjects | SaveReads

Mutation = (
    CreateBucket
    | DeleteBucket
    | ConfigureBucket
    | SetVersioning
    | PutObject
    | DeleteObject
    | ExpireObject
    | ExpireVersion
    | TagObject
    | SetObjectAcl
    | RetainObject
    | HoldObject
    | CreateUpload
    | PutPart
    | CompleteUpload
    | AbortUpload
    | CacheMutation
)


class Committed(msgspec.Struct, frozen=True):
    """A mutation that happened.

    :ivar previous: the object that it replaced, deleted or changed. One that stays as a version was not replaced.
    :ivar retired: blobs that nothing leads to any more; hand them to `IObjectStore.free` when their readers are done.
    :ivar made: in a bucket with versioning, the version or delete marker that it made.
    :ivar place: in the queue, of an object that was written to a cache bucket.
    """

    previous: ObjectInfo | None = None
    retired: tuple[bytes, ...] = ()
    made: ObjectInfo | None = None
    place: int = 0


Outcome = Committed | S3Error | StoreFull | StoreStalled | CorruptChunk
"""What became of a mutation."""


class ListQuery(msgspec.Struct, frozen=True):
    """A page of a listing: keys that start with ``prefix`` and are greater than ``after``, at most ``limit`` of them,
    those that contain ``delimiter`` behind the prefix rolled up into common prefixes. A common prefix counts as one,
    and is left out when it is not greater than ``after``."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000


class VersionQuery(msgspec.Struct, frozen=True):
    """A page of versions: as `ListQuery`; versions of the key ``after`` itself count when they are older than
    ``after_order`` and that is not None."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    after_order: int | None = None
    limit: int = 1000


class UploadQuery(msgspec.Struct, frozen=True):
    """A page of uploads: as `ListQuery`; uploads of the key ``after`` itself count when their id is greater than
    ``after_upload`` and that is not empty."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    after_upload: str = ""
    limit: int = 1000


class ICacheBucket(Interface):
    """A cache bucket as memory has it; any thread may look."""

    rules = Attribute("`CacheRules`")
    state = Attribute("`CacheState`, as of the last commit. Not to be changed.")
    reads = Attribute("`Reads`: who reads an object says so there.")

    def ends(queued: QueueRecord, place: int) -> int:
        """When the object at ``place`` is gone, ms since the epoch; 0: never."""

    def ends_by(rules: CacheRules, queued: QueueRecord, place: int) -> int:
        """The same, if these were the rules."""


class IObjectStore(Interface):
    """A durable store of buckets, objects and multipart uploads.

    An object of a cache bucket whose time is over (`CacheRules`, ``ttl``) is not there for any of these methods, from
    that millisecond of the store's clock on, though its rows may be."""

    caches = Attribute("The cache buckets by name: a mapping to `ICacheBucket`. Any thread may look.")

    def expired(bucket: str, info: ObjectInfo) -> bool:
        """Whether an object that was looked up earlier is gone by the rules of its cache bucket. Never blocks."""

    def queue(bucket: str, start: int, end: int, limit: int) -> list[tuple[int, QueueRecord]]:
        """The first ``limit`` objects of a cache bucket with ``start <= place < end``, by place."""

    def peek(bucket: str, key: str) -> ObjectInfo | Unknown | None:
        """Look an object up in memory alone. Never blocks; any thread, the reactor's among them.

        :return: the object, None if it surely does not exist (in this bucket, which may not exist either), or UNKNOWN.
        """

    def peek_bucket(bucket: str) -> BucketInfo | Unknown | None:
        """As `peek`, for a bucket."""

    def look_up(names: Sequence[tuple[str, str]]) -> list[ObjectInfo | CorruptChunk | None]:
        """Look objects up by bucket and key, all at once.

        :return: for each name the object, None, or `CorruptChunk` if its record cannot be read."""

    def look_up_versions(names: Sequence[tuple[str, str, str]]) -> list[ObjectInfo | CorruptChunk | None]:
        """Look versions and delete markers up by bucket, key and version id; by none, the newest of the key."""

    def look_up_buckets(names: Sequence[str]) -> list[BucketInfo | None]:
        """Look buckets up by name, all at once."""

    def look_up_uploads(names: Sequence[tuple[str, str, str]]) -> list[UploadInfo | None]:
        """Look uploads up by bucket, key and upload id, all at once."""

    def buckets() -> list[BucketInfo]:
        """Every bucket, by name."""

    def list_objects(bucket: str, query: ListQuery) -> ListPage:
        """One page. A bucket that does not exist has no objects.

        Of each object it has what a listing shows: size, modified, etag, checksum and owner."""

    def list_versions(bucket: str, query: VersionQuery) -> VersionPage:
        """One page of the versions and delete markers, each with what a listing shows."""

    def list_uploads(bucket: str, query: UploadQuery) -> UploadPage:
        """One page of the uploads in progress."""

    def list_parts(upload: str, after: int, limit: int) -> PartPage:
        """The parts of an upload with a number above ``after``."""

    def read(rows: Sequence[ChunkRow | InlineRow]) -> list[bytes | memoryview | Exception]:
        """Body rows, all at once, each verified against its CRC.

        :return: for each row its bytes, or `CorruptChunk` (also for a chunk that is missing) or `StaleBody`."""

    def begin_blob() -> bytes:
        """A fresh 16-byte id for a blob or an inline body. Never blocks."""

    def stage(blob: bytes, number: int, chunks: Sequence[bytes]) -> None:
        """Write chunks ``number``, ``number + 1``, ... of a blob; each but the blob's last is `CHUNK_BYTES` long,
        or if it is sealed `SEAL_BYTES` longer: what chunks are made of is not the store's business.

        Chunk 0 comes first. After an error the same call may be made again.

        :raises StoreFull: :raises StoreStalled: :raises StoreFailed:"""

    def unsettled(blobs: Sequence[bytes]) -> bool:
        """Whether `settle` has anything to do for these blobs. Never blocks; any thread."""

    def settle(blobs: Sequence[bytes]) -> None:
        """Make what was staged of these blobs ready to be committed. Takes as long as the sync of many bytes.

        `commit` does so itself for the blobs that its mutations stage, and all its mutations wait for it: call this
        before, in another thread, for those that are `unsettled`. :raises StoreFull: :raises StoreFailed:"""

    def commit(mutations: Sequence[Mutation]) -> list[Outcome]:
        """Do the mutations in order, each as if alone, each wholly or not at all, and return when they are durable.

        :return: for each, what happened or the error that says why it did not. `StoreFull` stands for those that need
            room when there is none, the others are done nevertheless; `StoreStalled` for the last ones when the store
            stalled on the way; `CorruptChunk` for one that found a record it could not read. An unconditional put or
            delete of an object whose record cannot be read happens: it is the way to be rid of it.
        :raises StoreFull: :raises StoreStalled: none of them happened.
        :raises StoreFailed: any of them may have happened."""

    def free(blobs: Sequence[bytes]) -> None:
        """Reclaim retired blobs, and blobs that were staged and given up. Need not be durable.

        A blob that is referenced, or is not there, is left alone. No `stage` of these blobs may be in progress."""

    def check() -> None:
        """Return if the store can answer. :raises StoreFailed: if not."""

    def properties() -> dict[str, int]:
        """Figures for metrics, by name: sizes in bytes, counts."""

    def close() -> None:
        """Flush and close. No other call may be in progress."""


class ICheckpointStore(Interface):
    """A store that can be copied while it is in use."""

    def checkpoint(path: str) -> None:
        """Make the directory ``path``, which must not exist: a database with everything that was committed before.

        Blocks; any thread may call, though not two for the same path.

        :raises StoreFull: :raises StoreFailed: nothing is left then."""


class ScrubStep(msgspec.Struct, frozen=True):
    """A part of a scrub.

    :ivar position: where to go on; empty when everything has been read.
    :ivar rows: that were read, and their ``nbytes``.
    :ivar damaged: rows that are not what was written, in words.
    """

    position: bytes
    rows: int
    nbytes: int
    damaged: tuple[str, ...]


class IScrubStore(Interface):
    """A store that can read everything that it holds, bit by bit and while it is in use, to see whether it is good."""

    def scrub(position: bytes) -> ScrubStep:
        """Read on for about a MiB. Blocks; any thread may call.

        :param position: of an earlier step, even in another process; empty to begin.
        :raises StoreFailed: it cannot be read at all."""


def same_write(seen: ObjectInfo, found: ObjectInfo) -> bool:
    """Whether two records are of one write, whatever was changed since in its tags, lock or access control list."""
    return (found.inline, found.extents, found.modified, found.etag, found.owner, found.order) == (
        seen.inline,
        seen.extents,
        seen.modified,
        seen.etag,
        seen.owner,
        seen.order,
    )
