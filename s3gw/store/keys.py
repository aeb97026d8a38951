"""The rows of the database: which there are, and their keys.

=========================  ==========================================  ==============================================
row                        key                                         value
=========================  ==========================================  ==============================================
bucket                     ``B\\0<bucket>``                             `BucketInfo`
object                     ``M\\0<bucket>\\0<key>``                      `ObjectInfo`
upload                     ``U\\0<bucket>\\0<key>\\0<upload>``            `UploadInfo`
part                       ``P\\0<upload>\\0<number, 2 bytes>``          `PartInfo`
referenced blob            ``R\\0<blob, 16 bytes>``                     `records.BlobRecord`
unreferenced blob          ``X\\0<blob, 16 bytes>``                     `records.BlobRecord`
inline body (*inline*)     ``D\\0<bucket>\\0<key>``                      the bytes, then the 16-byte inline id
chunk (*chunks*)           ``C\\0<blob, 16 bytes><number, 4 bytes>``    the bytes of chunk ``number``
=========================  ==========================================  ==============================================

The rows of bodies are in column families of their own, named behind them, the others in the default one: so looking up
and listing never touches a body, and chunks, which are written in the order of their rows, are not sorted in among
bodies that are not. Names are UTF-8, numbers big-endian. NUL is in no name, and UTF-8 keeps the order of code points:
so the order of rows is the order of bucket, key and upload.

A blob that exists has exactly one of the rows R and X. X is there from its first staged chunk until the commit that
names it, and again from the commit that drops its last reference until its chunks are deleted.
"""

from __future__ import annotations

BUCKETS = b"B\0"
OBJECTS = b"M\0"
UPLOADS = b"U\0"
PARTS = b"P\0"
REFERENCES = b"R\0"
UNREFERENCED = b"X\0"
INLINE_BODIES = b"D\0"
CHUNKS = b"C\0"

BLOB_BYTES = 16
"""Length of the id of a blob or an inline body."""

MAX_PART = 0xFFFF
"""The greatest number of a part that a row can have."""

MAX_CHUNKS = 1 << 32
"""Chunks of one blob, at most."""


def bucket_row(bucket: str) -> bytes:
    return f"B\0{bucket}".encode()


def object_row(bucket: str, key: str) -> bytes:
    return f"M\0{bucket}\0{key}".encode()


def objects_of(bucket: str) -> bytes:
    """What the rows of the bucket's objects start with; their keys follow."""
    return f"M\0{bucket}\0".encode()


def inline_row(bucket: str, key: str) -> bytes:
    return f"D\0{bucket}\0{key}".encode()


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


def references_row(blob: bytes) -> bytes:
    return REFERENCES + blob


def unreferenced_row(blob: bytes) -> bytes:
    return UNREFERENCED + blob


def chunk_row(blob: bytes, number: int) -> bytes:
    return b"C\0%b%b" % (blob, number.to_bytes(4, "big"))


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
    elif kind == PARTS and len(rest) > 3:
        text = f"{rest[:-3].decode('utf-8', 'replace')}/{int.from_bytes(rest[-2:], 'big')}"
    else:
        text = rest.decode("utf-8", "replace").replace("\0", "/")
    return f"{kind[:1].decode('latin-1')} {text}"
