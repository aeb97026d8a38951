"""What a database holds, bucket by bucket, from its records alone: no body is read.

A body has no name of its own, so that copies can share it. What is garbage, then, is a figure of the database and not
of a bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TypeVar

import msgspec

from s3gw.model import CHUNK_BYTES, Extent
from s3gw.store import keys
from s3gw.store.engine import Engine
from s3gw.store.interface import CorruptChunk
from s3gw.store.records import BLOB, OBJECT, PART, UPLOAD, Codec
from s3gw.store.scan import Walk

T = TypeVar("T")


class BucketUsage(msgspec.Struct):
    """What is in a bucket. Bytes are those that clients see: of copies that share a body, each counts.

    :ivar versions: that are not the newest of their key, delete markers among them, and ``version_bytes``.
    :ivar blob_bytes: of bodies in chunks that something in the bucket names, each once, in whole chunks; those that
        another bucket names too are in both. :ivar garbage_bytes: of these, chunks that nothing in the bucket needs:
        of a body of which only a copied range is left, say."""

    bucket: str
    objects: int = 0
    object_bytes: int = 0
    versions: int = 0
    version_bytes: int = 0
    uploads: int = 0
    upload_bytes: int = 0
    blob_bytes: int = 0
    garbage_bytes: int = 0


class Usage(msgspec.Struct):
    """What is in a database.

    :ivar blobs: bodies in chunks that objects or parts name, each once; ``blob_bytes`` in whole chunks.
    :ivar garbage_blobs: bodies that nothing names and the next start sweeps; ``garbage_bytes`` in whole chunks.
    :ivar unreadable: records that are damaged, and not counted.
    :ivar disk: figures of RocksDB, see `figures`.
    """

    buckets: list[BucketUsage]
    blobs: int = 0
    blob_bytes: int = 0
    garbage_blobs: int = 0
    garbage_bytes: int = 0
    unreadable: int = 0
    disk: dict[str, int] = {}


def usage(engine: Engine, seen: Callable[[], object] = lambda: None) -> Usage:
    """Count. :param seen: called for each row that was read. :raises StoreFailed: :raises CorruptChunk:"""
    return _Count(engine, seen).run()


class _Count:
    def __init__(self, engine: Engine, seen: Callable[[], object]) -> None:
        self._engine = engine
        self._seen = seen
        self._buckets: dict[str, BucketUsage] = {}
        self._usage = Usage([])
        self._needed: dict[bytes, dict[str, list[tuple[int, int]]]] = {}

    def run(self) -> Usage:
        total = self._usage
        for row, _ in self._rows(keys.BUCKETS):
            self._bucket(row[len(keys.BUCKETS) :].decode())
        for row, info in self._records(OBJECT, keys.OBJECTS):
            bucket = self._bucket(keys.split_version(row)[0].decode())
            bucket.objects += 1
            bucket.object_bytes += info.size
            self._need(bucket, info.extents)
        for row, info in chain(self._records(OBJECT, keys.NULLS), self._records(OBJECT, keys.VERSIONS)):
            bucket = self._bucket(keys.split_version(row)[0].decode())
            bucket.versions += 1
            bucket.version_bytes += info.size
            self._need(bucket, info.extents)
        self._uploads()
        for row, blob in self._records(BLOB, keys.REFERENCES):
            total.blobs += 1
            total.blob_bytes += blob.chunks * CHUNK_BYTES
            for name, spans in self._needed.pop(row[len(keys.REFERENCES) :], {}).items():
                bucket = self._bucket(name)
                bucket.blob_bytes += blob.chunks * CHUNK_BYTES
                bucket.garbage_bytes += (blob.chunks - _covered(spans)) * CHUNK_BYTES
        for _, blob in self._records(BLOB, keys.UNREFERENCED):
            total.garbage_blobs += 1
            total.garbage_bytes += blob.chunks * CHUNK_BYTES
        total.buckets = sorted(self._buckets.values(), key=lambda each: each.bucket)
        total.disk = self._engine.properties()
        return total

    def _uploads(self) -> None:
        buckets = {}
        for _, upload in self._records(UPLOAD, keys.UPLOADS):
            bucket = buckets[upload.upload] = self._bucket(upload.bucket)
            bucket.uploads += 1
        for row, part in self._records(PART, keys.PARTS):
            found = buckets.get(keys.upload_of(row))
            if found is not None:
                found.upload_bytes += part.size
                self._need(found, part.extents)

    def _need(self, bucket: BucketUsage, extents: tuple[Extent, ...]) -> None:
        """Note which chunks something in a bucket needs."""
        for extent in extents:
            first, last = extent.start // CHUNK_BYTES, (extent.start + extent.length - 1) // CHUNK_BYTES
            self._needed.setdefault(extent.blob, {}).setdefault(bucket.bucket, []).append((first, last))

    def _bucket(self, name: str) -> BucketUsage:
        return self._buckets.setdefault(name, BucketUsage(name))

    def _rows(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        walk = Walk(self._engine, prefix)
        while (found := walk.next()) is not None:
            self._seen()
            yield found

    def _records(self, codec: Codec[T], prefix: bytes) -> Iterator[tuple[bytes, T]]:
        for row, value in self._rows(prefix):
            try:
                yield row, codec.decode(row, value)
            except CorruptChunk:
                self._usage.unreadable += 1


def _covered(spans: list[tuple[int, int]]) -> int:
    """How many numbers are in some of the spans, each from its first to its last."""
    count, reached = 0, -1
    for first, last in sorted(spans):
        count += max(0, last - max(first, reached + 1) + 1)
        reached = max(reached, last)
    return count
