"""The rows of the database: which there are, and their keys.

=========================  ==========================================  ==============================================
row                        key                                         value
=========================  ==========================================  ==============================================
bucket                     ``B\\0<bucket>``                             `BucketInfo`
object                     ``M\\0<bucket>\\0<key>``                      `ObjectInfo`
older version, marker      ``V\\0<bucket>\\0<key>\\0<place, 8 bytes>``   `ObjectInfo`
older null version         ``N\\0<bucket>\\0<key>``                      `ObjectInfo`
upload                     ``U\\0<bucket>\\0<key>\\0<upload>``            `UploadInfo`
part                       ``P\\0<upload>\\0<number, 2 bytes>``          `PartInfo`
referenced blob            ``R\\0<blob, 16 bytes>``                     `records.BlobRecord`
unreferenced blob          ``X\\0<blob, 16 bytes>``                     `records.BlobRecord`
inline body (*inline*)     ``D\\0<bucket>\\0<key>``                      the bytes, then the 16-byte inline id
the same of a version      ``D\\0<bucket>\\0<key>\\0<place, 8 bytes>``   the same
cache bucket               ``K\\0<bucket>``                            `CacheState`
queue of a cache bucket    ``Q\\0<bucket>\\0<place, 8 bytes>``         `QueueRecord`
reads in a cache bucket    ``Y\\0<bucket>\\0<page, 8 bytes>``          `ReadsRecord`
seam of the log            ``L\\0``                                     a sequence number, see `seams`
chunk (*chunks*)           ``C\\0<blob, 16 bytes><number, 4 bytes>``    the bytes of chunk ``number``
=========================  ==========================================  ==============================================

The rows of bodies are in column families of their own, named behind them, the others in the default one: so looking up
and listing never touches a body, and chunks, which are written in the order of their rows, are not sorted in among
bodies that are not. Names are UTF-8, numbers big-endian. NUL is in no name, and UTF-8 keeps the order of code points:
so the order of rows is the order of bucket, key and upload.

Row M is the newest version of a key, unless that is a delete marker: then there is none. All other versions, and all
delete markers, are in V, and the one null version in N: so what is asked without a version, and a listing of objects,
meets nothing of what was. The place of a version is 2**64 - 1 less its order, so that the newest comes first. The
inline body of an object with order 0, which is one that was written before its bucket had versioning, is in D without a
place, that of any other in D with its place: a version keeps its body where it is when another becomes the newest.

A blob that exists has exactly one of the rows R and X. X is there from its first staged chunk until the commit that
names it, and again from the commit that drops its last reference until its chunks are deleted.
"""

from __future__ import annotations

from functools import lru_cache

BUCKETS = b"B\0"
OBJECTS = b"M\0"
VERSIONS = b"V\0"
NULLS = b"N\0"
UPLOADS = b"U\0"
PARTS = b"P\0"
REFERENCES = b"R\0"
UNREFERENCED = b"X\0"
CACHES = b"K\0"
QUEUES = b"Q\0"
READS = b"Y\0"
LOG = b"L\0"
INLINE_BODIES = b"D\0"
CHUNKS = b"C\0"

OF_OBJECTS = (OBJECTS, NULLS, VERSIONS)
"""What the rows of the three kinds start with that an object may be in."""

BLOB_BYTES = 16
"""Length of the id of a blob or an inline body."""

NUMBER_BYTES = 4
"""Length of the number of a chunk."""

PLACE_BYTES = 8
"""Length of the place of a version."""

_LAST_PLACE = (1 << 8 * PLACE_BYTES) - 1

MAX_PART = 0xFFFF
"""The greatest number of a part that a row can have."""

MAX_CHUNKS = 1 << 32
"""Chunks of one blob, at most."""


@lru_cache(1024)
def bucket_row(bucket: str) -> bytes:
    return f"B\0{bucket}".encode()


def object_row(bucket: str, key: str) -> bytes:
    return f"M\0{bucket}\0{key}".encode()


def objects_of(bucket: str) -> bytes:
    """What the rows of the bucket's objects start with; their keys follow."""
    return f"M\0{bucket}\0".encode()


def place_of(order: int) -> bytes:
    """Where a version stands among those of its key."""
    return (_LAST_PLACE - order).to_bytes(PLACE_BYTES, "big")


def order_of(row: bytes) -> int:
    """The order of the version in a row that ends with a place."""
    return _LAST_PLACE - int.from_bytes(row[-PLACE_BYTES:], "big")


def version_row(bucket: str, key: str, order: int) -> bytes:
    return versions_of_key(bucket, key) + place_of(order)


def versions_of(bucket: str) -> bytes:
    """What the rows V of the bucket start with; key, NUL and place follow."""
    return f"V\0{bucket}\0".encode()


def versions_of_key(bucket: str, key: str) -> bytes:
    """What the rows V of the key start with; their places follow."""
    return f"V\0{bucket}\0{key}\0".encode()


def null_row(bucket: str, key: str) -> bytes:
    return f"N\0{bucket}\0{key}".encode()


def nulls_of(bucket: str) -> bytes:
    """What the rows N of the bucket start with; their keys follow."""
    return f"N\0{bucket}\0".encode()


def split_version(row: bytes) -> tuple[bytes, bytes]:
    """Bucket and key in a row M, N or V, as they are in it."""
    _, bucket, key = row.split(b"\0", 2)
    return bucket, key[: -PLACE_BYTES - 1] if row.startswith(VERSIONS) else key


def inline_row(bucket: str, key: str, order: int = 0) -> bytes:
    row = f"D\0{bucket}\0{key}".encode()
    return row + b"\0" + place_of(order) if order else row


def inline_row_of(row: bytes, order: int) -> bytes:
    """The row of the inline body of the object in a row M, N or V."""
    body = INLINE_BODIES + b"\0".join(split_version(row))
    return body + b"\0" + place_of(order) if order else body


def inline_owners(body: bytes) -> list[bytes]:
    """The rows that the object with this inline body may be in."""
    _, bucket, rest = body.split(b"\0", 2)
    key, placed, _ = rest.partition(b"\0")
    owners = [OBJECTS + bucket + b"\0" + key, NULLS + bucket + b"\0" + key]
    return [*owners, VERSIONS + bucket + b"\0" + rest] if placed else owners


def upload_row(bucket: str, key: str, upload: str) -> bytes:
    return f"U\0{bucket}\0{key}\0{upload}".encode()


def uploads_of(bucket: str) -> bytes:
    """What the rows of the bucket's uploads start with; key, NUL and upload id follow."""
    return f"U\0{bucket}\0".encode()


def part_row(upload: str, number: int) -> bytes:
    return parts_of(upload) + number.to_bytes(2, "big")


def parts_of(upload: str) -> bytes:
    """What the rows of the upload's parts start with; their numbers follow."""
    return f"P\0{upload}\0".encode()


def upload_of(row: bytes) -> str:
    """The upload id in the row of a part."""
    return row[len(PARTS) : -3].decode()


def bucket_of(row: bytes) -> str:
    """The bucket in a row of an object, a cache bucket or its queue."""
    return row.split(b"\0", 2)[1].decode()


def cache_row(bucket: str) -> bytes:
    return f"K\0{bucket}".encode()


def queue_row(bucket: str, place: int) -> bytes:
    return queue_of(bucket) + place.to_bytes(8, "big")


def queue_of(bucket: str) -> bytes:
    """What the rows of the bucket's queue start with; the places follow."""
    return f"Q\0{bucket}\0".encode()


def number_of(row: bytes) -> int:
    """The place in a row of a queue, or the page in one of reads."""
    return int.from_bytes(row[-8:], "big")


def reads_row(bucket: str, page: int) -> bytes:
    return reads_of(bucket) + page.to_bytes(8, "big")


def reads_of(bucket: str) -> bytes:
    """What the rows of the bucket's reads start with; the numbers of pages follow."""
    return f"Y\0{bucket}\0".encode()


def references_row(blob: bytes) -> bytes:
    return REFERENCES + blob


def unreferenced_row(blob: bytes) -> bytes:
    return UNREFERENCED + blob


def chunk_row(blob: bytes, number: int) -> bytes:
    return b"C\0%b%b" % (blob, number.to_bytes(NUMBER_BYTES, "big"))


def chunks_of(blob: bytes) -> bytes:
    """What the rows of the blob's chunks start with; their numbers follow."""
    return CHUNKS + blob


def after_prefix(prefix: bytes) -> bytes:
    """The least byte string that is greater than every one that starts with ``prefix``.

    ``prefix`` is not empty and has a byte other than 255.
    """
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,))


def row_name(row: bytes) -> str:
    """The row in words, for errors and reports: its key with what is not text as hex."""
    kind, rest = row[:2], row[2:]
    if kind in (REFERENCES, UNREFERENCED, CHUNKS):
        blob, number = rest[:BLOB_BYTES], rest[BLOB_BYTES:]
        text = blob.hex() + (f"/{int.from_bytes(number, 'big')}" if number else "")
    elif kind in (QUEUES, READS) and len(rest) > 9:
        text = f"{rest[:-9].decode('utf-8', 'replace')}/{int.from_bytes(rest[-8:], 'big')}"
    elif kind == PARTS and len(rest) > 3:
        text = f"{rest[:-3].decode('utf-8', 'replace')}/{int.from_bytes(rest[-2:], 'big')}"
    elif kind in (VERSIONS, INLINE_BODIES) and rest.count(b"\0", 0, -PLACE_BYTES) > 1:
        text = f"{rest[: -PLACE_BYTES - 1].decode('utf-8', 'replace')}?{order_of(rest):016x}".replace("\0", "/")
    else:
        text = rest.decode("utf-8", "replace").replace("\0", "/")
    return f"{kind[:1].decode('latin-1')} {text}"
