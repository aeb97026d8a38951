"""The frozen values that every layer speaks of: buckets, objects, parts, uploads, pages.

Times are integer milliseconds since the epoch. Keys and bucket names are ``str``; a key's order is the order of its
UTF-8 bytes, which for ``str`` is the order of its code points. ETags are kept without their quotes. Header values and
user metadata are the bytes of the wire decoded as Latin-1, so that they come back as they were sent.

``array_like`` structs are stored as arrays: a field may be added at the end with a default, never moved or removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

CHUNK_BYTES = 64 * 1024
"""The most bytes of a body that a row holds."""

INLINE_BYTES = 32 * 1024
"""The most bytes of a body whose row is named after its object. Such rows are written in no order, and merged again and
again as there are more of them; chunks are written in the order of their rows, and stay where they are."""

SEAL_BYTES = 16
"""By how much a row of an encrypted body is longer (`s3gw.cipher`)."""


ENABLED = "Enabled"
SUSPENDED = "Suspended"

NULL = "null"
"""The id of the version that was written while versioning was not enabled."""

OBJECT_LOCK = "object-lock"
"""The configuration document that a bucket has if, and only if, its versions can be locked."""


class CacheRules(msgspec.Struct, frozen=True, array_like=True):
    """How a cache bucket forgets; 0 for a rule that it has not.

    :ivar ttl_write: seconds after its write an object is gone.
    :ivar ttl_read: seconds after its last read, or its write if it never was read, an object is gone.
    :ivar max_bytes: and ``max_objects``: above them the objects that are needed least are evicted.
    """

    ttl_write: int = 0
    ttl_read: int = 0
    max_bytes: int = 0
    max_objects: int = 0


PIN = ("s3gw-pin", "true")
"""The tag of an object that no rule of a cache bucket, nor its own time to live, takes away."""


class BucketInfo(msgspec.Struct, frozen=True, array_like=True):
    """A bucket.

    :ivar created: ms since the epoch.
    :ivar owner: canonical user id of the owner; empty when the gateway runs without authentication.
    :ivar region: the LocationConstraint that it was created with; empty for us-east-1.
    :ivar documents: configuration documents by sub-resource name (``cors``, ``tagging``, ...), as stored.
    :ivar versioning: `ENABLED`, `SUSPENDED`, or empty for a bucket that never was either.
    :ivar cache: how it forgets, if it is a cache bucket.
    """

    name: str
    created: int
    owner: str = ""
    region: str = ""
    documents: Mapping[str, bytes] = {}
    versioning: str = ""
    cache: CacheRules | None = None


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """``length`` bytes of a blob from its byte ``start``.

    A blob is an immutable run of chunks of `CHUNK_BYTES` each, the last one shorter, named by a 16-byte id. Where
    chunks are sealed, positions are still those of the bytes that they stand for.
    """

    blob: bytes
    start: int
    length: int


class Checksum(msgspec.Struct, frozen=True, array_like=True):
    """A checksum as S3 shows it.

    :ivar algorithm: ``CRC32``, ``CRC32C``, ``CRC64NVME``, ``SHA1`` or ``SHA256``.
    :ivar value: base64, with ``-N`` behind it when composite.
    :ivar type: ``FULL_OBJECT`` or ``COMPOSITE``.
    """

    algorithm: str
    value: str
    type: str = "FULL_OBJECT"


class Encryption(msgspec.Struct, frozen=True, array_like=True):
    """How a body is encrypted: its data key, wrapped. `s3gw.cipher` says how, and knows the kinds.

    :ivar kind: ``AES256`` (SSE-S3) or ``SSE-C``.
    :ivar master: id of the master key that wraps it; empty for SSE-C.
    :ivar verifier: salted digest that tells whether a customer key is the right one; empty for SSE-S3.
    """

    kind: str
    wrapped: bytes
    master: str = ""
    verifier: bytes = b""


class PartSummary(msgspec.Struct, frozen=True, array_like=True):
    """What a completed object remembers of one of its parts, in order of part number."""

    number: int
    size: int
    checksum: str = ""


class ObjectLock(msgspec.Struct, frozen=True, array_like=True):
    """What Object Lock says of a version.

    :ivar mode: ``GOVERNANCE`` or ``COMPLIANCE``, and ``until``, ms since the epoch; empty and 0 without a retention.
    :ivar hold: ``ON`` or ``OFF``; empty when nobody ever said either.
    """

    mode: str = ""
    until: int = 0
    hold: str = ""


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """What an access control list grants to one user, or to one group.

    :ivar permission: ``READ``, ``WRITE``, ``READ_ACP``, ``WRITE_ACP`` or ``FULL_CONTROL``.
    :ivar user: canonical user id. :ivar group: URI of the group; empty for a user.
    """

    permission: str
    user: str = ""
    group: str = ""


class ObjectInfo(msgspec.Struct, frozen=True, array_like=True):
    """An object without its bytes: one version of it, or a delete marker.

    The body is either inline (``inline`` names the one row that holds it) or the concatenation of ``extents``; an empty
    object has neither.

    :ivar modified: ms since the epoch.
    :ivar etag: hex MD5, or ``<hex>-<N>`` of a multipart upload; no quotes.
    :ivar inline: 16-byte id of the inline body; empty when there is none. Fresh for each write, so that a body row of
        another generation can never pass for this one's.
    :ivar headers: ``content-type`` and the other stored response headers, by lower-case name.
    :ivar metadata: user metadata by name, lower case and without ``x-amz-meta-``.
    :ivar upload: id of the multipart upload that made it; empty otherwise.
    :ivar order: its place among the versions of its key: the greater, the newer. 0 for what was written before its
        bucket had versioning. The store gives it, and ``null``.
    :ivar null: whether it is the null version, of which a key has one at most.
    :ivar marker: whether it is a delete marker.
    :ivar encryption: of the body, and of the values of checksums; None if they are stored as they came.
    :ivar ttl: seconds from ``modified`` that it asked to live in a cache bucket; 0 if it asked for nothing.
    :ivar place: in the queue of its cache bucket, which grows with each write and is never given twice; the store sets
        it. 0 in any other bucket.
    :ivar grants: its access control list; None for one that grants nothing but full control to the owner.
    """

    size: int
    modified: int
    etag: str
    inline: bytes = b""
    extents: tuple[Extent, ...] = ()
    headers: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}
    checksum: Checksum | None = None
    parts: tuple[PartSummary, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    owner: str = ""
    upload: str = ""
    order: int = 0
    null: bool = True
    marker: bool = False
    lock: ObjectLock | None = None
    encryption: Encryption | None = None
    ttl: int = 0
    place: int = 0
    grants: tuple[Grant, ...] | None = None

    @property
    def version(self) -> str:
        """Its version id: opaque to clients, and in the order of creation."""
        return NULL if self.null else f"{self.order:016x}"


ORDERS_PER_MS = 1 << 20


def first_order(modified: int) -> int:
    """The least order of a version that was modified then, ms since the epoch."""
    return modified * ORDERS_PER_MS


def version_order(version: str) -> int | None:
    """The order in a version id, None for `NULL` and for what is no version id of ours."""
    if len(version) != 16:
        return None
    try:
        order = int(version, 16)
    except ValueError:
        return None
    return order if f"{order:016x}" == version else None


class UploadInfo(msgspec.Struct, frozen=True, array_like=True):
    """A multipart upload that is neither completed nor aborted; the values its object will have.

    :ivar initiator: canonical id of who began it, who need not become the owner.
    """

    bucket: str
    key: str
    upload: str
    initiated: int
    owner: str = ""
    headers: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}
    tags: tuple[tuple[str, str], ...] = ()
    checksum_algorithm: str = ""
    checksum_type: str = ""
    lock: ObjectLock | None = None
    encryption: Encryption | None = None
    ttl: int = 0
    initiator: str = ""
    grants: tuple[Grant, ...] | None = None


class PartInfo(msgspec.Struct, frozen=True, array_like=True):
    """An uploaded part. Its body is always ``extents``, however small; ``checksum`` is base64, of the upload's
    algorithm."""

    number: int
    size: int
    modified: int
    etag: str
    extents: tuple[Extent, ...] = ()
    checksum: str = ""


class ByteRange(msgspec.Struct, frozen=True):
    """``length`` bytes from byte ``start``; both already clamped to the object's size."""

    start: int
    length: int

    @property
    def last(self) -> int:
        """The position of the last byte, as Content-Range has it."""
        return self.start + self.length - 1


class ListPage(msgspec.Struct, frozen=True):
    """One page of a listing of objects, in key order.

    :ivar entries: keys with their objects. :ivar prefixes: common prefixes.
    :ivar last: the last key or common prefix of the page, from which the next page continues; empty if there is none.
    """

    entries: tuple[tuple[str, ObjectInfo], ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last: str = ""


class VersionEntry(msgspec.Struct, frozen=True):
    """A version in a listing. :ivar latest: whether it is the newest of its key."""

    key: str
    info: ObjectInfo
    latest: bool


class VersionPage(msgspec.Struct, frozen=True):
    """One page of versions and delete markers, in key order, those of a key the newest first.

    :ivar last: the last key or common prefix of the page, and ``last_order`` the order of the last version of that key,
        None behind a common prefix.
    """

    entries: tuple[VersionEntry, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last: str = ""
    last_order: int | None = None

    @staticmethod
    def of(
        found: Sequence[tuple[str, VersionEntry]], prefixes: tuple[str, ...], truncated: bool, last: str
    ) -> VersionPage:
        """The page that ``s3.listing.list_page`` found."""
        entries = tuple(entry for _, entry in found)
        last_order = entries[-1].info.order if entries and entries[-1].key == last else None
        return VersionPage(entries, prefixes, truncated, last, last_order)


class UploadPage(msgspec.Struct, frozen=True):
    """One page of multipart uploads, in order of key, then of initiation."""

    uploads: tuple[UploadInfo, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last_key: str = ""
    last_upload: str = ""


class PartPage(msgspec.Struct, frozen=True):
    """One page of the parts of an upload, in order of number."""

    parts: tuple[PartInfo, ...]
    truncated: bool


ANONYMOUS_ID = "65a011a29cdf8ec533ec3d1ccaae921c"
"""The canonical id of whoever does not sign: S3 gives their objects this one."""


class Owner(msgspec.Struct, frozen=True):
    """Who a request speaks for. ``id`` is the canonical user id, ``name`` the display name."""

    id: str
    name: str
