"""The way of a body into the store.

A body of at most one chunk is kept whole and committed together with its metadata, in one row: a small one in a row
that is named after the object, another as a blob of one chunk. A longer one goes chunk by chunk into a blob as it
arrives, decoded, hashed, encrypted if it is to be, and written in a worker thread, while the next bytes come off the
wire. At no moment is more held than what arrived while the last pieces were being written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from s3gw.cipher import BodyCipher, DataKey
from s3gw.errors import EntityTooLarge, MissingContentLength
from s3gw.model import CHUNK_BYTES, INLINE_BYTES, Extent, ObjectInfo
from s3gw.operations.call import Abandoned, Buffer, Call, Source
from s3gw.operations.encryption import Fresh, encrypted, seal_checksum, seal_whole
from s3gw.operations.versions import as_made
from s3gw.s3.checksums import Declared, Digests
from s3gw.s3.conditions import WriteCondition
from s3gw.s3.payload import PayloadDecoder
from s3gw.store.interface import PutObject


class Cutter:
    """Cuts a body that comes in pieces of any size into chunks."""

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._partial_bytes = 0

    def take(self, piece: bytes, chunks: list[bytes]) -> None:
        """The next piece; the chunks that it completes are appended."""
        start = 0
        while self._partial_bytes + len(piece) - start >= CHUNK_BYTES:
            cut = start + CHUNK_BYTES - self._partial_bytes
            self._partial.append(piece[start:cut])
            chunks.append(b"".join(self._partial) if len(self._partial) > 1 else self._partial[0])
            self._partial.clear()
            self._partial_bytes = 0
            start = cut
        if start < len(piece):
            rest = piece[start:] if start else piece
            self._partial.append(rest)
            self._partial_bytes += len(rest)

    def rest(self) -> bytes:
        """What is left at the end, less than a chunk."""
        rest = b"".join(self._partial)
        self._partial.clear()
        return rest


class Intake(Cutter):
    """Decodes and hashes the pieces of one body and cuts it into chunks. No I/O, no thread of its own.

    :ivar size: bytes of the decoded body so far.
    """

    def __init__(self, decoder: PayloadDecoder, digests: Digests, limit: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.digests = digests
        self.size = 0
        self._limit = limit

    def feed(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Take raw pieces; return the chunks that they complete.

        :raises EntityTooLarge: :raises S3Error: for a payload that is not what it should be."""
        chunks: list[bytes] = []
        for raw in pieces:
            for piece in self.decoder.feed(raw):
                self.take(piece, chunks)
        return chunks

    def take(self, piece: bytes, chunks: list[bytes]) -> None:
        """As `Cutter.take`. :raises EntityTooLarge:"""
        self.size += len(piece)
        if self.size > self._limit:
            raise EntityTooLarge(ProposedSize=str(self.size), MaxSizeAllowed=str(self._limit))
        self.digests.update(piece)
        super().take(piece, chunks)

    def finish(self) -> bytes:
        """The end of the body: verify the payload, and return what is left of it, less than a chunk.

        :raises S3Error: when length, hash or signature are not what they should be."""
        self.decoder.finish()
        return self.rest()


class Received(msgspec.Struct, frozen=True):
    """A body that has arrived: ``whole`` is it, or it is in ``extents`` of the freshly staged blobs ``staged``."""

    size: int
    whole: bytes = b""
    extents: tuple[Extent, ...] = ()
    staged: tuple[bytes, ...] = ()


Place = tuple[bytes, tuple[Extent, ...]]
"""Where the body of an object is: ``inline`` and ``extents`` of its `ObjectInfo`."""


def place_whole(call: Call, size: int) -> Place:
    """Where a body of at most one chunk goes that is committed with its object.

    :param size: of the body as it came."""
    id = call.storage.begin_blob()
    return (id, ()) if size <= INLINE_BYTES else (b"", (Extent(id, 0, size),))


def place_of(call: Call, received: Received) -> Place:
    """Where a body goes, or is already."""
    return place_whole(call, received.size) if received.whole else (b"", received.extents)


def refuse_size(call: Call, decoder: PayloadDecoder) -> None:
    """Refuse a body before a byte of it is read.

    :raises MissingContentLength: when the request does not say that it has one.
    :raises EntityTooLarge: when it says that it is too large."""
    headers = call.head.headers
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise MissingContentLength()
    limit = call.gateway.max_object_bytes
    if decoder.decoded_length is not None and decoder.decoded_length > limit:
        raise EntityTooLarge(ProposedSize=str(decoder.decoded_length), MaxSizeAllowed=str(limit))


async def receive(call: Call, intake: Intake, *, inline: bool = True, key: DataKey | None = None) -> Received:
    """Take in the whole body of a request.

    :param inline: whether a body of at most one chunk is handed back, as it came, instead of staged.
    :param key: what staged chunks are sealed with.
    :raises S3Error: when it is too large, incomplete, or not what was declared; nothing is left staged then.
    """
    declared = intake.decoder.decoded_length
    chunks: list[bytes] = []
    if inline and (declared is None or declared <= CHUNK_BYTES):
        while pieces := await call.body.read():
            chunks += intake.feed(pieces)
            if intake.size > CHUNK_BYTES:
                break
        else:
            rest = intake.finish()
            return Received(intake.size, whole=b"".join([*chunks, rest]) if chunks else rest)
    blob = Blob(call, key)
    try:
        await blob.stage(lambda: chunks)
        while pieces := await call.body.read():
            await blob.stage(partial(intake.feed, pieces))
        await blob.stage(lambda: [rest] if (rest := intake.finish()) else [])
    except BaseException:
        blob.discard()
        raise
    return blob.received(intake.size)


async def pour(
    call: Call, source: Source, size: int, digests: Digests, key: DataKey | None, *, inline: bool = True
) -> Received:
    """Write the ``size`` bytes of ``source`` once more, window by window.

    :param digests: they go through these.
    :param inline: whether a body of at most one chunk is handed back instead of staged.
    :param key: what staged chunks are sealed with.
    :raises Abandoned: it may be gigabytes, for nobody; nothing is left staged then."""
    if inline and size <= CHUNK_BYTES:
        pieces: list[Buffer] = []
        while window := await source.read():
            pieces += window
        body = b"".join(pieces)
        digests.update(body)
        return Received(size, whole=body)
    blob, cutter = Blob(call, key), Cutter()
    try:
        while window := await source.read(True):
            if call.client.gone:
                raise Abandoned()
            await blob.stage(partial(_cut, cutter, digests, window))
        await blob.stage(lambda: [rest] if (rest := cutter.rest()) else [])
    except BaseException:
        blob.discard()
        raise
    return blob.received(size)


def _cut(cutter: Cutter, digests: Digests, window: Sequence[Buffer]) -> list[bytes]:
    chunks: list[bytes] = []
    for buffer in window:
        piece = bytes(buffer)
        digests.update(piece)
        cutter.take(piece, chunks)
    return chunks


class Blob:
    """A blob that is being written, chunk by chunk.

    :param key: what its chunks are sealed with; None for a blob of plain bytes."""

    def __init__(self, call: Call, key: DataKey | None) -> None:
        self._storage = call.storage
        self.id = call.storage.begin_blob()
        self._number = 0
        self._cipher = None if key is None else key.body(self.id)

    async def stage(self, produce: Callable[[], Sequence[bytes]]) -> None:
        """Write the chunks that ``produce`` makes in a worker thread; each but the last of all is a whole one."""
        if self._cipher is not None:
            produce = partial(_sealed, self._cipher, self._number, produce)
        self._number += await self._storage.stage(self.id, self._number, produce)

    def discard(self) -> None:
        """Give up what was written."""
        self._storage.discard((self.id,))

    def received(self, size: int) -> Received:
        """The body of ``size`` bytes that was written."""
        if not self._number:
            return Received(0)
        return Received(size, extents=(Extent(self.id, 0, size),), staged=(self.id,))


def _sealed(cipher: BodyCipher, number: int, produce: Callable[[], Sequence[bytes]]) -> list[bytes]:
    return cipher.seal_all(number, produce())


async def keep(
    call: Call,
    key: str,
    draft: ObjectInfo,
    intake: Intake,
    checks: Declared,
    condition: WriteCondition,
    check_size: Callable[[int], None] | None = None,
    *,
    fresh: Fresh | None = None,
) -> ObjectInfo:
    """Take in the whole body of a request and make it an object; the object, its checksum readable.

    :param draft: what is known of the object before its body has come.
    :param checks: what the body was declared to be.
    :param check_size: raises for a number of bytes that will not do.
    :param fresh: how it is to be encrypted, if it is.
    :raises S3Error: when the body is not what it should be, or the store will not have it; nothing is kept then.
    """
    received = await receive(call, intake, key=None if fresh is None else fresh.key)
    try:
        if check_size is not None:
            check_size(received.size)
        inline, extents = place_of(call, received)
        info = replace(
            draft,
            size=received.size,
            modified=call.gateway.clock(),
            etag=intake.digests.hex("MD5"),
            inline=inline,
            extents=extents,
            checksum=checks.verify(intake.digests, intake.decoder.trailers),
        )
    except BaseException:
        call.storage.discard(received.staged)
        raise
    if fresh is not None:
        info = encrypted(info, fresh)
        shown, info = info, replace(info, checksum=seal_checksum(fresh.key, info.checksum))
        body = seal_whole(fresh.key, info, received.whole)
    else:
        shown, body = info, received.whole
    outcome = await call.storage.commit(
        PutObject(call.bucket, key, info, body, received.staged, condition, call.bucket_created)
    )
    return as_made(shown, outcome)
