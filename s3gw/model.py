"""The frozen values that every layer speaks of: buckets, objects, parts, uploads, pages.

Times are integer milliseconds since the epoch. Keys and bucket names are ``str``; a key's order is the order of its
UTF-8 bytes, which for ``str`` is the order of its code points. ETags are kept without their quotes. Header values and
user metadata are the bytes of the wire decoded as Latin-1, so that they come back as they were sent.

``array_like`` structs are stored as arrays: a field may be added at the end with a default, never moved or removed.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

CHUNK_BYTES = 64 * 1024
"""The largest value of a row that holds body bytes (its CRC not counted)."""


class BucketInfo(msgspec.Struct, frozen=True, array_like=True):
    """A bucket.

    :ivar created: ms since the epoch.
    :ivar owner: canonical user id of the owner; empty when the gateway runs without authentication.
    :ivar region: the LocationConstraint that it was created with; empty for us-east-1.
    :ivar documents: configuration documents by sub-resource name (``cors``, ``tagging``, ...), as stored.
    """

    name: str
    created: int
    owner: str = ""
    region: str = ""
    documents: Mapping[str, bytes] = {}


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """``length`` bytes of a blob from its byte ``start``.

    A blob is an immutable run of chunks of `CHUNK_BYTES` each, the last one shorter, named by a 16-byte id.
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


class PartSummary(msgspec.Struct, frozen=True, array_like=True):
    """What a completed object remembers of one of its parts, in order of part number."""

    number: int
    size: int
    checksum: str = ""


class ObjectInfo(msgspec.Struct, frozen=True, array_like=True):
    """An object without its bytes.

    The body is either inline (``inline`` names the one row that holds it) or the concatenation of ``extents``; an empty
    object has neither.

    :ivar modified: ms since the epoch.
    :ivar etag: hex MD5, or ``<hex>-<N>`` of a multipart upload; no quotes.
    :ivar inline: 16-byte id of the inline body; empty when there is none. Fresh for each write, so that a body row of
        another generation can never pass for this one's.
    :ivar headers: ``content-type`` and the other stored response headers, by lower-case name.
    :ivar metadata: user metadata by name, lower case and without ``x-amz-meta-``.
    :ivar upload: id of the multipart upload that made it; empty otherwise.
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


class UploadInfo(msgspec.Struct, frozen=True, array_like=True):
    """A multipart upload that is neither completed nor aborted; the values its object will have."""

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


class Owner(msgspec.Struct, frozen=True):
    """Who a request speaks for. ``id`` is the canonical user id, ``name`` the display name."""

    id: str
    name: str
