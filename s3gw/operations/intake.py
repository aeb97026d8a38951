"""The way of a body into the store.

A body of at most one chunk is kept whole and committed in one row beside its metadata. A longer one goes chunk by chunk
into a blob as it arrives, decoded, hashed and written in a worker thread, while the next bytes come off the wire. At no
moment is more held than what arrived while the last pieces were being written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from s3gw.errors import EntityTooLarge, MissingContentLength
from s3gw.model import CHUNK_BYTES, Extent, ObjectInfo
from s3gw.operations.call import Call
from s3gw.s3.checksums import Declared, Digests
from s3gw.s3.conditions import WriteCondition
from s3gw.s3.payload import PayloadDecoder
from s3gw.store.interface import PutObject


class Intake:
    """Decodes and hashes the pieces of one body and cuts it into chunks. No I/O, no thread of its own.

    :ivar size: bytes of the decoded body so far.
    """

    def __init__(self, decoder: PayloadDecoder, digests: Digests, limit: int) -> None:
        self.decoder = decoder
        self.digests = digests
        self.size = 0
        self._limit = limit
        self._partial: list[bytes] = []
        self._partial_bytes = 0

    def feed(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Take raw pieces; return the chunks that they complete.

        :raises EntityTooLarge: :raises S3Error: for a payload that is not what it should be."""
        chunks: list[bytes] = []
        for raw in pieces:
            for piece in self.decoder.feed(raw):
                self._take(piece, chunks)
        return chunks

    def _take(self, piece: bytes, chunks: list[bytes]) -> None:
        self.size += len(piece)
        if self.size > self._limit:
            raise EntityTooLarge(ProposedSize=str(self.size), MaxSizeAllowed=str(self._limit))
        self.digests.update(piece)
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

    def finish(self) -> bytes:
        """The end of the body: verify the payload, and return what is left of it, less than a chunk.

        :raises S3Error: when length, hash or signature are not what they should be."""
        self.decoder.finish()
        rest = b"".join(self._partial)
        self._partial.clear()
        return rest


class Received(msgspec.Struct, frozen=True):
    """A body that has arrived: ``inline`` holds it, or ``extents`` of the freshly staged blobs ``staged``."""

    size: int
    inline: bytes = b""
    extents: tuple[Extent, ...] = ()
    staged: tuple[bytes, ...] = ()


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


async def receive(call: Call, intake: Intake, *, inline: bool = True) -> Received:
    """Take in the whole body of a request.

    :param inline: whether a body of at most one chunk is handed back instead of staged.
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
            return Received(intake.size, inline=b"".join([*chunks, rest]) if chunks else rest)
    return await _receive_blob(call, intake, chunks)


async def _receive_blob(call: Call, intake: Intake, chunks: Sequence[bytes]) -> Received:
    blob = call.storage.begin_blob()
    try:
        number = await call.storage.stage(blob, 0, lambda: chunks)
        while pieces := await call.body.read():
            number += await call.storage.stage(blob, number, partial(intake.feed, pieces))
        number += await call.storage.stage(blob, number, lambda: [rest] if (rest := intake.finish()) else [])
    except BaseException:
        call.storage.discard((blob,))
        raise
    if not number:
        return Received(0)
    return Received(intake.size, extents=(Extent(blob, 0, intake.size),), staged=(blob,))


async def keep(
    call: Call,
    key: str,
    draft: ObjectInfo,
    intake: Intake,
    checks: Declared,
    condition: WriteCondition,
    check_size: Callable[[int], None] | None = None,
) -> ObjectInfo:
    """Take in the whole body of a request and make it an object; the object.

    :param draft: what is known of the object before its body has come.
    :param checks: what the body was declared to be.
    :param check_size: raises for a number of bytes that will not do.
    :raises S3Error: when the body is not what it should be, or the store will not have it; nothing is kept then.
    """
    received = await receive(call, intake)
    try:
        if check_size is not None:
            check_size(received.size)
        info = replace(
            draft,
            size=received.size,
            modified=call.gateway.clock(),
            etag=intake.digests.hex("MD5"),
            inline=call.storage.begin_blob() if received.inline else b"",
            extents=received.extents,
            checksum=checks.verify(intake.digests, intake.decoder.trailers),
        )
    except BaseException:
        call.storage.discard(received.staged)
        raise
    await call.storage.commit(
        PutObject(call.bucket, key, info, received.inline, received.staged, condition, call.bucket_created)
    )
    return info
