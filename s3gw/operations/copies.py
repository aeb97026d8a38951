"""CopyObject and UploadPartCopy.

The chunks of a copy are those of its source, shared and counted; only a body that is one row with its object, at most
64 KiB, is written again. Bytes are read where a digest is asked for that is not known: a part needs its MD5.

What was uploaded in parts is copied with its parts and their ETag, where S3 makes an object in one piece of it.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html and API_UploadPartCopy.html
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from s3gw.errors import (
    ConditionalRequestConflict,
    InternalError,
    InvalidArgument,
    InvalidRequest,
    NoSuchKey,
)
from s3gw.model import ByteRange, Checksum, Extent, ObjectInfo, PartInfo
from s3gw.operations.admission import admit
from s3gw.operations.call import Abandoned, Buffer, Call, Reader, Response, document
from s3gw.operations.headers import request_tags, stored_headers, user_metadata
from s3gw.operations.multipart import checksum_of, find_upload, part_number
from s3gw.s3 import xml
from s3gw.s3.checksums import FULL_OBJECT, Digests, upload_checksum
from s3gw.s3.conditions import evaluate_copy_source, write_condition
from s3gw.s3.ranges import parse_copy_range
from s3gw.s3.target import Object, parse_copy_source
from s3gw.store.interface import PutObject, PutPart, StaleBody

MAX_COPY_BYTES = 5 * 1024**3
"""The largest object that CopyObject copies; beyond it parts are copied."""

_TRIES = 5
"""How often a copy begins anew when its source is replaced under its hands."""


async def copy_object(call: Call) -> Response:
    """PUT /bucket/key with x-amz-copy-source"""
    origin = await _origin(call)
    changes = _changes(call, in_place=origin == Object(call.bucket, call.key))
    condition = write_condition(call.head)
    algorithm, _ = upload_checksum(call.head)
    for _ in range(_TRIES):
        reader = await _open(call, origin)
        try:
            source = reader.info
            _refuse_size(source.size)
            body = b"".join(await reader.source(0, source.size).read()) if source.inline else b""
            info = replace(
                source,
                modified=call.gateway.clock(),
                inline=call.storage.begin_blob() if source.inline else b"",
                checksum=await _checksum(call, reader, algorithm),
                owner=call.caller.id,
                upload="",
                **changes,
            )
            await call.storage.commit(PutObject(call.bucket, call.key, info, body, (), condition, call.bucket_created))
        except (StaleBody, ConditionalRequestConflict):
            continue
        finally:
            reader.close()
        return document(xml.copy_object(info))
    raise InternalError("The source is being replaced faster than it can be copied.")


def _changes(call: Call, *, in_place: bool) -> dict[str, Any]:
    """The fields in which the copy is to differ from its source.

    :raises InvalidRequest: for a copy of an object onto itself that changes nothing. A storage class counts as a change
        even if it is the one that the object has."""
    keep_headers = _directive(call, "x-amz-metadata-directive")
    keep_tags = _directive(call, "x-amz-tagging-directive")
    if in_place and keep_headers and "x-amz-storage-class" not in call.head.headers:
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the"
            " object's metadata, storage class, website redirect location or encryption attributes."
        )
    changes: dict[str, Any] = {}
    if not keep_headers:
        changes |= {"headers": stored_headers(call.head), "metadata": user_metadata(call.head)}
    if not keep_tags:
        changes["tags"] = request_tags(call.head)
    return changes


def _refuse_size(size: int) -> None:
    if size > MAX_COPY_BYTES:
        raise InvalidRequest(
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_COPY_BYTES}"
        )


async def _checksum(call: Call, reader: Reader, algorithm: str) -> Checksum | None:
    """The checksum of a copy: its source's, or that of the algorithm that the request names."""
    found = reader.info.checksum
    if not algorithm or (found is not None and (found.algorithm, found.type) == (algorithm, FULL_OBJECT)):
        return found
    digests = await _digest(call, reader, (algorithm,), 0, reader.info.size)
    return Checksum(algorithm, digests.base64(algorithm))


async def upload_part_copy(call: Call) -> Response:
    """PUT /bucket/key?partNumber=N&uploadId=ID with x-amz-copy-source"""
    number = part_number(call)
    origin = await _origin(call)
    upload = await find_upload(call)
    algorithm, _ = checksum_of(upload)
    for _ in range(_TRIES):
        reader = await _open(call, origin)
        staged: tuple[bytes, ...] = ()
        try:
            size = reader.info.size
            span = parse_copy_range(call.head.headers.get("x-amz-copy-source-range"), size) or ByteRange(0, size)
            _refuse_size(span.length)
            seals = await _seal(call, reader, algorithm, span)
            if reader.info.inline and span.length:
                extents, staged = await _stage_inline(call, reader, span)
            else:
                extents = _slice(reader.info.extents, span)
            part = PartInfo(
                number=number,
                size=span.length,
                modified=call.gateway.clock(),
                etag=seals.etag,
                extents=extents,
                checksum=seals.checksum,
            )
            mutation = PutPart(call.bucket, call.key, upload.upload, part, staged)
            await call.storage.commit(mutation)
        except (StaleBody, ConditionalRequestConflict):
            continue
        finally:
            reader.close()
        shown = part if upload.checksum_algorithm else replace(part, checksum="")
        return document(xml.copy_part(shown, upload.checksum_algorithm))
    raise InternalError("The source is being replaced faster than it can be copied.")


class _Seals(NamedTuple):
    etag: str
    checksum: str


async def _seal(call: Call, reader: Reader, algorithm: str, span: ByteRange) -> _Seals:
    """ETag and checksum of a part that is copied: those of a whole source that has both, or else of its bytes."""
    known = _known_seals(reader.info, algorithm) if span.length == reader.info.size else None
    if known is not None:
        return known
    digests = await _digest(call, reader, ("MD5", algorithm), span.start, span.length)
    return _Seals(digests.hex("MD5"), digests.base64(algorithm))


def _known_seals(info: ObjectInfo, algorithm: str) -> _Seals | None:
    if info.parts or info.checksum is None or (info.checksum.algorithm, info.checksum.type) != (algorithm, FULL_OBJECT):
        return None
    return _Seals(info.etag, info.checksum.value)


async def _origin(call: Call) -> Object:
    """The source that the request names, in a bucket that the caller may use.

    :raises InvalidArgument: :raises NoSuchBucket: :raises AccessDenied:"""
    origin, version = parse_copy_source(call.head.headers.get("x-amz-copy-source") or "")
    if version not in ("", "null"):
        raise InvalidArgument("Invalid version id specified", ArgumentName="versionId", ArgumentValue=version)
    same = origin.bucket == call.bucket
    bucket = call.bucket_info if same else await call.storage.find_bucket(origin.bucket)
    admit(origin.bucket, bucket, call.caller, call.head.headers.get("x-amz-source-expected-bucket-owner"))
    return origin


def _directive(call: Call, name: str) -> bool:
    """Whether what the source has is to be kept. :raises InvalidArgument:"""
    value = call.head.headers.get(name, "COPY")
    if value not in ("COPY", "REPLACE"):
        kind = "metadata" if "metadata" in name else "tagging"
        raise InvalidArgument(f"Unknown {kind} directive.", ArgumentName=name, ArgumentValue=value)
    return value == "COPY"


async def _open(call: Call, origin: Object) -> Reader:
    """The source, held, if its conditions hold.

    :raises NoSuchKey: :raises PreconditionFailed:"""
    reader = await call.storage.open(origin.bucket, origin.key)
    if reader is None:
        raise NoSuchKey(Key=origin.key)
    try:
        evaluate_copy_source(call.head, reader.info.etag, reader.info.modified, call.gateway.clock())
    except BaseException:
        reader.close()
        raise
    return reader


async def _digest(call: Call, reader: Reader, names: Iterable[str], start: int, length: int) -> Digests:
    """Digests of a part of the source, which is read for it.

    :raises Abandoned: it may be gigabytes, for nobody."""
    digests = Digests(names)
    source = reader.source(start, length)
    while window := await source.read(True):
        if call.gone():
            raise Abandoned()
        await call.storage.in_thread(partial(_update, digests, window))
    return digests


def _update(digests: Digests, window: list[Buffer]) -> None:
    for piece in window:
        digests.update(bytes(piece))


async def _stage_inline(call: Call, reader: Reader, span: ByteRange) -> tuple[tuple[Extent, ...], tuple[bytes, ...]]:
    body = b"".join(await reader.source(span.start, span.length).read())
    blob = call.storage.begin_blob()
    try:
        await call.storage.stage(blob, 0, lambda: [body])
    except BaseException:
        call.storage.discard((blob,))
        raise
    return (Extent(blob, 0, len(body)),), (blob,)


def _slice(extents: Iterable[Extent], span: ByteRange) -> tuple[Extent, ...]:
    """The extents of a part of an object."""
    found = []
    start, length = span.start, span.length
    for extent in extents:
        if not length:
            break
        if start >= extent.length:
            start -= extent.length
            continue
        taken = min(length, extent.length - start)
        found.append(Extent(extent.blob, extent.start + start, taken))
        start = 0
        length -= taken
    return tuple(found)
