"""The values of rows: what is in them and how they prove themselves.

====================  =====================================================  =======================
row                   payload                                                trailer
====================  =====================================================  =======================
record                one byte format version, then MessagePack              CRC32C, 4 bytes
inline body           bytes, then the 16-byte inline id                      CRC32C, 4 bytes
chunk                 bytes                                                  CRC32C, 4 bytes
====================  =====================================================  =======================

The CRC is big-endian and covers the row's key, then the payload: bytes that went bad are found, and so is a good row in
a wrong place.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from awscrt.checksums import crc32c

from s3gw.model import BucketInfo, Checksum, ObjectInfo, PartInfo, UploadInfo
from s3gw.store.cache_records import CacheState, QueueRecord, ReadsRecord
from s3gw.store.interface import CorruptChunk, StaleBody
from s3gw.store.keys import BLOB_BYTES, row_name

FORMAT = 1
"""The version of all of this, keys and values."""

CRC_BYTES = 4

_VERSION = bytes((FORMAT,))

T = TypeVar("T")

Buffer = bytes | bytearray | memoryview


SHORT = 4096
"""Bytes that are copied sooner than awscrt is called once more."""


def _crc(row: bytes, payload: Buffer) -> bytes:
    crc: int = crc32c(row + payload) if len(payload) < SHORT else crc32c(payload, crc32c(row))
    return crc.to_bytes(CRC_BYTES, "big")


class Codec(Generic[T]):
    """Records of one type as row values."""

    def __init__(self, kind: type[T]) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def encode(self, row: bytes, record: T) -> bytes:
        payload = _VERSION + self._encode(record)
        return payload + _crc(row, payload)

    def decode(self, row: bytes, value: bytes) -> T:
        """:raises CorruptChunk: if this is not what was written under this row."""
        payload = value[:-CRC_BYTES]
        if _crc(row, payload) != value[-CRC_BYTES:] or payload[:1] != _VERSION:
            raise CorruptChunk(row_name(row))
        try:
            return self._decode(memoryview(payload)[1:])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CorruptChunk(row_name(row)) from error


class BlobRecord(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a blob: how many chunks it has, and how many extents of objects and parts name it (or
    `DOOMED`)."""

    chunks: int
    references: int = 0


DOOMED = -1
"""References of a blob whose chunks are being deleted."""


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """`ObjectInfo`, of which only what a listing shows is made into values."""

    size: int
    modified: int
    etag: str
    inline: msgspec.Raw = msgspec.Raw()
    extents: msgspec.Raw = msgspec.Raw()
    headers: msgspec.Raw = msgspec.Raw()
    metadata: msgspec.Raw = msgspec.Raw()
    checksum: Checksum | None = None
    parts: msgspec.Raw = msgspec.Raw()
    tags: msgspec.Raw = msgspec.Raw()
    owner: str = ""
    upload: msgspec.Raw = msgspec.Raw()
    order: int = 0
    null: bool = True
    marker: bool = False


def listed(info: ObjectInfo | Listed) -> ObjectInfo:
    """An object as a listing shows it. One of ten thousand parts has a record of 400 kB: a page holds a thousand."""
    return ObjectInfo(info.size, info.modified, info.etag, checksum=info.checksum, owner=info.owner)


def listed_version(info: ObjectInfo | Listed) -> ObjectInfo:
    """A version as a listing shows it."""
    return ObjectInfo(
        info.size,
        info.modified,
        info.etag,
        checksum=info.checksum,
        owner=info.owner,
        order=info.order,
        null=info.null,
        marker=info.marker,
    )


LISTED = Codec(Listed)
BUCKET = Codec(BucketInfo)
OBJECT = Codec(ObjectInfo)
UPLOAD = Codec(UploadInfo)
PART = Codec(PartInfo)
BLOB = Codec(BlobRecord)
CACHE = Codec(CacheState)
QUEUE = Codec(QueueRecord)
READS = Codec(ReadsRecord)

AnyCodec = Codec[Any]


def seal_chunk(row: bytes, chunk: Buffer) -> bytes:
    """The value of a chunk's row."""
    return b"".join((chunk, _crc(row, chunk)))


def open_chunk(row: bytes, value: bytes | None) -> memoryview:
    """The bytes of a chunk, not copied. :raises CorruptChunk: if they are missing or not what was written."""
    if value is None or len(value) <= CRC_BYTES:
        raise CorruptChunk(row_name(row))
    view = memoryview(value)
    chunk = view[:-CRC_BYTES]
    if _crc(row, chunk) != view[-CRC_BYTES:]:
        raise CorruptChunk(row_name(row))
    return chunk


def seal_inline(row: bytes, body: Buffer, inline: bytes) -> bytes:
    """The value of an inline body's row."""
    if len(body) < SHORT:
        payload = b"".join((body, inline))
        return payload + _crc(row, payload)
    crc = crc32c(inline, crc32c(body, crc32c(row)))
    return b"".join((body, inline, crc.to_bytes(CRC_BYTES, "big")))


def open_inline(row: bytes, value: bytes | None, inline: bytes) -> memoryview:
    """The bytes of an inline body, not copied.

    :raises CorruptChunk: if the row is not what was written.
    :raises StaleBody: if it is missing, or a good one with another id.
    """
    if value is None:
        raise StaleBody(row_name(row))
    payload = open_chunk(row, value)
    if payload[-BLOB_BYTES:] != inline:
        raise StaleBody(row_name(row))
    return payload[:-BLOB_BYTES]
