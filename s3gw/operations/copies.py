r"""CopyObject and UploadPartCopy.

The chunks of a copy are those of its source, shared and counted; only a body that is one row with its object, at most
64 KiB, is written again. Bytes are read where a digest is asked for that is not known: a part needs its MD5.

Encrypted chunks are shared as well where the same key may open them: of SSE-S3 among themselves, and under one customer
key. Between others, and for parts, the bytes are read, opened, sealed and written, window by window:

=============  =========  ===========  ==========================
source \ copy  plain      SSE-S3       SSE-C
=============  =========  ===========  ==========================
plain          shared     rewritten    rewritten
SSE-S3         rewritten  shared       rewritten
SSE-C          rewritten  rewritten    shared if the key is the same
=============  =========  ===========  ==========================

What was uploaded in parts is copied with its parts and their ETag, where S3 makes an object in one piece of it.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html and API_UploadPartCopy.html
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from s3gw.access.permissions import SET_TAGS
from s3gw.cipher import DataKey
from s3gw.errors import (
    ConditionalRequestConflict,
    InternalError,
    InvalidArgument,
    InvalidRequest,
    MethodNotAllowed,
    NoSuchKey,
    NoSuchVersion,
)
from s3gw.model import (
    NULL,
    BucketInfo,
    ByteRange,
    Checksum,
    Extent,
    ObjectInfo,
    PartInfo,
    PartSummary,
    UploadInfo,
    version_order,
)
from s3gw.operations.acls import disposition
from s3gw.operations.admission import absent_source, admit, permit_source, require
from s3gw.operations.call import Abandoned, Buffer, Call, Headers, Reader, Response, Source, document
from s3gw.operations.encryption import (
    Fresh,
    describe_encryption,
    encrypted,
    encrypts,
    for_writing,
    may_share,
    open_checksum,
    open_value,
    opener,
    seal_checksum,
    seal_value,
    seal_whole,
    stored_etag,
    unlock,
    unlock_upload,
)
from s3gw.operations.headers import request_tags, requested_ttl, stored_headers, user_metadata
from s3gw.operations.intake import place_of, place_whole, pour
from s3gw.operations.lifecycle import expiration_headers
from s3gw.operations.locks import lock_for_writing
from s3gw.operations.multipart import checksum_of, find_upload, part_number
from s3gw.operations.versions import made_headers, open_version, version_headers
from s3gw.s3 import xml
from s3gw.s3.checksums import FULL_OBJECT, Digests, upload_checksum
from s3gw.s3.conditions import evaluate_copy_source, write_condition
from s3gw.s3.ranges import parse_copy_range
from s3gw.s3.target import parse_copy_source
from s3gw.store.interface import PutObject, PutPart, StaleBody

MAX_COPY_BYTES = 5 * 1024**3
"""The largest object that CopyObject copies; beyond it parts are copied."""

_TRIES = 5
"""How often a copy begins anew when its source is replaced under its hands."""


async def copy_object(call: Call) -> Response:
    """PUT /bucket/key with x-amz-copy-source"""
    origin = await _origin(call)
    in_place = (origin.bucket.name, origin.key, origin.version) == (call.bucket, call.key, "")
    changes = _changes(call, in_place=in_place)
    owner, grants = disposition(call, call.key, call.head, tagged=bool(changes.get("tags")))
    condition = write_condition(call.head)
    lock = lock_for_writing(call, call.head)
    ttl = requested_ttl(call, call.head)
    algorithm, _ = upload_checksum(call.head)
    for _ in range(_TRIES):
        reader = await _open(call, origin, tags="tags" not in changes)
        try:
            source = reader.info
            _refuse_size(source.size)
            if source.tags and "tags" not in changes:
                require(call, SET_TAGS, call.key)
            copy = await _duplicate(call, origin, reader, algorithm)
            info = replace(
                copy.info,
                modified=call.gateway.clock(),
                owner=owner,
                grants=grants,
                upload="",
                order=0,
                null=True,
                lock=lock,
                ttl=ttl,
                place=0,
                **changes,
            )
            outcome = await call.storage.commit(
                PutObject(call.bucket, call.key, info, copy.body, copy.staged, condition, call.bucket_created)
            )
        except (StaleBody, ConditionalRequestConflict):
            continue
        finally:
            reader.close()
        shown = replace(info, checksum=copy.checksum)
        versions = made_headers(outcome.made or info) + _source_headers(origin, source)
        versions += expiration_headers(call.bucket_info, call.key, info)
        return document(xml.copy_object(shown), [*describe_encryption(call, info.encryption), *versions])
    raise InternalError("The source is being replaced faster than it can be copied.")


class _Copy(NamedTuple):
    """A source as it is to be stored once more. ``checksum`` is readable, that of ``info`` is as it is stored."""

    info: ObjectInfo
    checksum: Checksum | None
    body: bytes = b""
    staged: tuple[bytes, ...] = ()


async def _duplicate(call: Call, origin: _Origin, reader: Reader, algorithm: str) -> _Copy:
    """The source with the encryption that its copy is to have, its chunks shared if they may be."""
    source = reader.info
    key = unlock(call, source, origin.bucket.name, origin.key, call.encryption.copy_source)
    fresh = for_writing(call, call.key, key if may_share(call, source) else None)
    if (None if fresh is None else fresh.key) is not key:
        return await _rewritten(call, reader, key, fresh, algorithm)
    checksum = await _checksum(call, reader, algorithm, key)
    body = b"".join(await reader.source(0, source.size, opener(key)).read()) if source.inline else b""
    inline, extents = place_whole(call, len(body)) if source.inline else (b"", source.extents)
    info = replace(source, inline=inline, extents=extents, checksum=seal_checksum(key, checksum))
    if fresh is None:
        return _Copy(info, checksum, body)
    return _Copy(replace(info, encryption=fresh.stored), checksum, seal_whole(fresh.key, info, body))


async def _rewritten(call: Call, reader: Reader, key: DataKey | None, fresh: Fresh | None, algorithm: str) -> _Copy:
    """The source with its bytes written once more, under another key or none.

    :param key: of the source. :param fresh: of the copy."""
    source = reader.info
    known = open_checksum(key, source.checksum)
    if not _wanted(known, algorithm):
        known = None
    # The ETag of an SSE-C object in one piece is not the MD5 that the copy is to have.
    digests = Digests({algorithm if known is None else "", "" if source.parts or key is None else "MD5"} - {""})
    data_key = None if fresh is None else fresh.key
    # What can fail comes before the bytes: nothing would give them up.
    parts = await call.storage.in_thread(partial(_resealed, source.parts, key, data_key)) if source.parts else ()
    received = await pour(call, reader.source(0, source.size, opener(key)), source.size, digests, data_key)
    checksum = Checksum(algorithm, digests.base64(algorithm)) if known is None and algorithm else known
    inline, extents = place_of(call, received)
    info = replace(
        source,
        etag=source.etag if source.parts or key is None else digests.hex("MD5"),
        inline=inline,
        extents=extents,
        checksum=seal_checksum(data_key, checksum),
        parts=parts,
        encryption=None,
    )
    if fresh is None:
        return _Copy(info, checksum, received.whole, received.staged)
    return _Copy(encrypted(info, fresh), checksum, seal_whole(fresh.key, info, received.whole), received.staged)


def _resealed(parts: Iterable[PartSummary], old: DataKey | None, new: DataKey | None) -> tuple[PartSummary, ...]:
    return tuple(replace(part, checksum=seal_value(new, open_value(old, part.checksum))) for part in parts)


def _changes(call: Call, *, in_place: bool) -> dict[str, Any]:
    """The fields in which the copy is to differ from its source.

    :raises InvalidRequest: for a copy of an object onto itself that changes nothing. A storage class counts as a change
        even if it is the one that the object has."""
    keep_headers = _directive(call, "x-amz-metadata-directive")
    keep_tags = _directive(call, "x-amz-tagging-directive")
    if in_place and keep_headers and not encrypts(call) and "x-amz-storage-class" not in call.head.headers:
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


def _wanted(found: Checksum | None, algorithm: str) -> bool:
    """Whether a checksum is the one that the request names, if it names any."""
    return not algorithm or (found is not None and (found.algorithm, found.type) == (algorithm, FULL_OBJECT))


async def _checksum(call: Call, reader: Reader, algorithm: str, key: DataKey | None) -> Checksum | None:
    """The checksum of a copy: its source's, or that of the algorithm that the request names."""
    found = open_checksum(key, reader.info.checksum)
    if _wanted(found, algorithm):
        return found
    digests = await _digest(call, reader.source(0, reader.info.size, opener(key)), (algorithm,))
    return Checksum(algorithm, digests.base64(algorithm))


async def upload_part_copy(call: Call) -> Response:
    """PUT /bucket/key?partNumber=N&uploadId=ID with x-amz-copy-source"""
    number = part_number(call)
    origin = await _origin(call)
    upload = await find_upload(call)
    upload_key = unlock_upload(call, upload)
    algorithm, _ = checksum_of(upload)
    for _ in range(_TRIES):
        reader = await _open(call, origin)
        staged: tuple[bytes, ...] = ()
        try:
            size = reader.info.size
            span = parse_copy_range(call.head.headers.get("x-amz-copy-source-range"), size) or ByteRange(0, size)
            _refuse_size(span.length)
            key = unlock(call, reader.info, origin.bucket.name, origin.key, call.encryption.copy_source)
            if key is not None or upload_key is not None:
                seals, extents, staged = await _rewrite_part(call, upload, reader, span, key, upload_key)
            elif reader.info.inline and span.length:
                seals = await _seal(call, reader, algorithm, span)
                extents, staged = await _stage_inline(call, reader, span)
            else:
                seals = await _seal(call, reader, algorithm, span)
                extents = _slice(reader.info.extents, span)
            part = PartInfo(
                number=number,
                size=span.length,
                modified=call.gateway.clock(),
                etag=seals.etag,
                extents=extents,
                checksum=seal_value(upload_key, seals.checksum),
            )
            mutation = PutPart(call.bucket, call.key, upload.upload, part, staged)
            await call.storage.commit(mutation)
        except (StaleBody, ConditionalRequestConflict):
            continue
        finally:
            reader.close()
        shown = replace(part, checksum=seals.checksum if upload.checksum_algorithm else "")
        headers = [*describe_encryption(call, upload.encryption), *_source_headers(origin, reader.info)]
        return document(xml.copy_part(shown, upload.checksum_algorithm), headers)
    raise InternalError("The source is being replaced faster than it can be copied.")


class _Seals(NamedTuple):
    etag: str
    checksum: str


async def _rewrite_part(
    call: Call, upload: UploadInfo, reader: Reader, span: ByteRange, key: DataKey | None, upload_key: DataKey | None
) -> tuple[_Seals, tuple[Extent, ...], tuple[bytes, ...]]:
    """Write a part of the source once more, under the key of the upload."""
    algorithm, _ = checksum_of(upload)
    digests = Digests({"MD5", algorithm})
    source = reader.source(span.start, span.length, opener(key))
    received = await pour(call, source, span.length, digests, upload_key, inline=False)
    seals = _Seals(stored_etag(upload.encryption, upload_key, digests.hex("MD5")), digests.base64(algorithm))
    return seals, received.extents, received.staged


async def _seal(call: Call, reader: Reader, algorithm: str, span: ByteRange) -> _Seals:
    """ETag and checksum of a part that is copied: those of a whole source that has both, or else of its bytes."""
    known = _known_seals(reader.info, algorithm) if span.length == reader.info.size else None
    if known is not None:
        return known
    digests = await _digest(call, reader.source(span.start, span.length), ("MD5", algorithm))
    return _Seals(digests.hex("MD5"), digests.base64(algorithm))


def _known_seals(info: ObjectInfo, algorithm: str) -> _Seals | None:
    if info.parts or info.checksum is None or (info.checksum.algorithm, info.checksum.type) != (algorithm, FULL_OBJECT):
        return None
    return _Seals(info.etag, info.checksum.value)


class _Origin(NamedTuple):
    """What is copied. ``version`` is empty for the object without regard to versions."""

    bucket: BucketInfo
    key: str
    version: str


def _source_headers(origin: _Origin, source: ObjectInfo) -> Headers:
    return version_headers(origin.bucket, source, "x-amz-copy-source-version-id")


async def _origin(call: Call) -> _Origin:
    """The source that the request names, in a bucket that exists.

    :raises InvalidArgument: :raises NoSuchBucket: :raises AccessDenied:"""
    origin, version = parse_copy_source(call.head.headers.get("x-amz-copy-source") or "")
    if version not in ("", NULL) and version_order(version) is None:
        raise InvalidArgument("Invalid version id specified", ArgumentName="versionId", ArgumentValue=version)
    same = origin.bucket == call.bucket
    bucket = call.bucket_info if same else await call.storage.find_bucket(origin.bucket)
    owner = call.head.headers.get("x-amz-source-expected-bucket-owner")
    return _Origin(admit(origin.bucket, bucket, owner), origin.key, version)


def _directive(call: Call, name: str) -> bool:
    """Whether what the source has is to be kept. :raises InvalidArgument:"""
    value = call.head.headers.get(name, "COPY")
    if value not in ("COPY", "REPLACE"):
        kind = "metadata" if "metadata" in name else "tagging"
        raise InvalidArgument(f"Unknown {kind} directive.", ArgumentName=name, ArgumentValue=value)
    return value == "COPY"


async def _open(call: Call, origin: _Origin, *, tags: bool = False) -> Reader:
    """The source, held, if the caller may read it and its conditions hold.

    :param tags: whether its tags are copied too.
    :raises NoSuchKey: :raises NoSuchVersion: :raises AccessDenied: :raises PreconditionFailed:
    :raises InvalidRequest: a delete marker."""
    try:
        reader = await open_version(call.storage, *origin)
    except MethodNotAllowed:
        marker = InvalidRequest(
            "The source of a copy request may not specifically refer to a delete marker by version id."
        )
        raise absent_source(call, *origin, marker) from None
    except (NoSuchKey, NoSuchVersion) as error:
        raise absent_source(call, *origin, error) from None
    try:
        permit_source(call, *origin, reader.info, tags=tags)
        if reader.info.place:
            call.storage.touched(origin.bucket.name, reader.info)
        evaluate_copy_source(call.head, reader.info.etag, reader.info.modified, call.gateway.clock())
    except BaseException:
        reader.close()
        raise
    return reader


async def _digest(call: Call, source: Source, names: Iterable[str]) -> Digests:
    """Digests of a part of the source, which is read for it.

    :raises Abandoned: it may be gigabytes, for nobody."""
    digests = Digests(names)
    while window := await source.read(True):
        if call.client.gone:
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
