"""Multipart uploads: create, upload a part, complete, abort, list.

Completing writes metadata only: the object's extents are those of its parts, its ETag and checksums are made of theirs.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from s3gw.cipher import CUSTOMER, DataKey
from s3gw.errors import (
    BadDigest,
    ConditionalRequestConflict,
    EntityTooSmall,
    InternalError,
    InvalidArgument,
    InvalidPart,
    InvalidRequest,
    NoSuchUpload,
)
from s3gw.model import Checksum, ObjectInfo, PartInfo, PartPage, PartSummary, UploadInfo
from s3gw.operations.acls import disposition, owner_of
from s3gw.operations.admission import absent_upload, permit_upload
from s3gw.operations.call import Call, Response, document
from s3gw.operations.encryption import (
    describe_encryption,
    for_writing,
    open_checksum,
    open_value,
    seal_checksum,
    seal_value,
    stored_etag,
    unlock,
    unlock_upload,
)
from s3gw.operations.headers import checksum_headers, request_tags, requested_ttl, stored_headers, user_metadata
from s3gw.operations.intake import Intake, receive, refuse_size
from s3gw.operations.lifecycle import abort_headers, expiration_headers
from s3gw.operations.locks import lock_for_writing, refuse_undigested_part, with_default
from s3gw.operations.versions import as_made, made_headers
from s3gw.s3 import xml
from s3gw.s3.checksums import (
    ALGORITHMS,
    DEFAULT_ALGORITHM,
    FULL_OBJECT,
    Digests,
    combine,
    composite,
    declared,
    upload_checksum,
)
from s3gw.s3.conditions import WriteCondition, write_condition
from s3gw.s3.documents_in import MAX_PARTS, CompletedPart, parse_complete
from s3gw.s3.listing import list_parts_request, list_uploads_request
from s3gw.s3.payload import decoder_for
from s3gw.store.interface import AbortUpload, CompleteUpload, CreateUpload, PutPart, UploadQuery

MIN_PART_BYTES = 5 * 1024 * 1024
"""The least size of a part, the last one excepted."""

MAX_EXTENTS = 20_000
"""The most pieces of blobs that an object may be made of. Each part that was uploaded is one; a part that was copied
has those of its source, and parts of parts would multiply them."""

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
"""The largest document that completes an upload: ten thousand parts, each with its ETag and a checksum."""

_COMPLETE_TRIES = 5
"""How often a completion begins anew when a part is replaced meanwhile."""


async def create_multipart_upload(call: Call) -> Response:
    """POST /bucket/key?uploads"""
    head = call.head
    algorithm, kind = upload_checksum(head)
    tags = request_tags(head)
    owner, grants = disposition(call, call.key, head, tagged=bool(tags))
    fresh = for_writing(call, call.key)
    upload = UploadInfo(
        bucket=call.bucket,
        key=call.key,
        upload=call.storage.begin_blob().hex(),
        initiated=call.gateway.clock(),
        owner=owner,
        headers=stored_headers(head),
        metadata=user_metadata(head),
        tags=tags,
        checksum_algorithm=algorithm,
        checksum_type=kind,
        lock=lock_for_writing(call, head),
        encryption=None if fresh is None else fresh.stored,
        ttl=requested_ttl(call, head),
        initiator=call.caller.id,
        grants=grants,
    )
    await call.storage.commit(CreateUpload(upload, call.bucket_created))
    headers = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)] if algorithm else []
    headers += describe_encryption(call, upload.encryption)
    headers += abort_headers(call.bucket_info, call.key, upload.initiated)
    return document(xml.initiate_upload(call.bucket, call.key, upload.upload), headers)


async def find_upload(call: Call) -> UploadInfo:
    """The upload that ``?uploadId`` names, if the caller may do with it what it asks for.

    :raises NoSuchUpload: :raises AccessDenied:"""
    upload_id = call.head.query.get("uploadId") or ""
    upload = await call.storage.find_upload(call.bucket, call.key, upload_id) if upload_id else None
    if upload is None:
        raise absent_upload(call, NoSuchUpload(UploadId=upload_id))
    permit_upload(call, upload)
    return upload


def part_number(call: Call) -> int:
    """The number in ``?partNumber``. :raises InvalidArgument: when it is none of a part."""
    text = call.head.query.get("partNumber") or ""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_PARTS):
        raise InvalidArgument(
            f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=text,
        )
    return int(text)


async def upload_part(call: Call) -> Response:
    """PUT /bucket/key?partNumber=N&uploadId=ID"""
    number = part_number(call)
    decoder = decoder_for(call.head, call.verified)
    refuse_size(call, decoder)
    upload = await find_upload(call)
    refuse_undigested_part(call, upload)
    key = unlock_upload(call, upload)
    algorithm, _ = checksum_of(upload)
    checks = declared(call.head, algorithm, only_default=bool(upload.checksum_algorithm))
    digests = Digests({*checks.names, algorithm})
    received = await receive(call, Intake(decoder, digests, call.gateway.max_object_bytes), inline=False, key=key)
    try:
        checksum = checks.verify(digests, decoder.trailers)
    except BaseException:
        call.storage.discard(received.staged)
        raise
    part = PartInfo(
        number=number,
        size=received.size,
        modified=call.gateway.clock(),
        etag=stored_etag(upload.encryption, key, digests.hex("MD5")),
        extents=received.extents,
        checksum=seal_value(key, digests.base64(algorithm)),
    )
    await call.storage.commit(PutPart(call.bucket, call.key, upload.upload, part, received.staged))
    headers = [("ETag", f'"{part.etag}"'), *checksum_headers(checksum)[:1]]
    return Response(200, headers + describe_encryption(call, upload.encryption))


def checksum_of(upload: UploadInfo) -> tuple[str, str]:
    """Algorithm and type of the checksum that the object of an upload will have."""
    if upload.checksum_algorithm:
        return upload.checksum_algorithm, upload.checksum_type
    return DEFAULT_ALGORITHM, FULL_OBJECT


async def complete_multipart_upload(call: Call) -> Response:
    """POST /bucket/key?uploadId=ID

    Doing it again with the same parts answers the same for as long as the object is there."""
    wanted = parse_complete(await call.document(MAX_DOCUMENT_BYTES, checksums=False))
    condition = write_condition(call.head)
    for _ in range(_COMPLETE_TRIES):
        try:
            upload = await find_upload(call)
        except NoSuchUpload:
            return await _answer_again(call, wanted)
        key = unlock_upload(call, upload, needed=bool(upload.checksum_algorithm) or _states_checksum(call))
        page = await call.storage.list_parts(upload.upload, 0, MAX_PARTS)
        parts = _chosen(upload, wanted, await _readable(call, upload, key, page.parts))
        shown = info = _assemble(call, upload, parts)
        if upload.encryption is not None:
            numbers = {part.number for part in parts}
            parts = [part for part in page.parts if part.number in numbers]
            info = _as_stored(shown, key, parts)
        await _refuse_overtaken(call, upload, condition)
        try:
            outcome = await call.storage.commit(
                CompleteUpload(call.bucket, call.key, upload.upload, info, tuple(parts), condition, call.bucket_created)
            )
        except ConditionalRequestConflict:
            continue
        return _completed(call, as_made(shown, outcome))
    raise InternalError("The parts of the upload are being replaced faster than it can be completed.")


def _states_checksum(call: Call) -> bool:
    return any(f"x-amz-checksum-{name.lower()}" in call.head.headers for name in ALGORITHMS)


async def _readable(
    call: Call, upload: UploadInfo, key: DataKey | None, parts: Sequence[PartInfo]
) -> Sequence[PartInfo]:
    """The parts of an upload with their checksums readable; without any where the key did not come."""
    if upload.encryption is None:
        return parts
    if key is None:
        return [replace(part, checksum="") for part in parts]
    return await call.storage.in_thread(
        lambda: [replace(part, checksum=open_value(key, part.checksum)) for part in parts]
    )


def _as_stored(info: ObjectInfo, key: DataKey | None, parts: Sequence[PartInfo]) -> ObjectInfo:
    """An encrypted object as it is stored: its checksum sealed, and those of its parts as they are stored already."""
    summaries = tuple(
        replace(shown, checksum=part.checksum if shown.checksum else "")
        for shown, part in zip(info.parts, parts, strict=True)
    )
    return replace(info, checksum=seal_checksum(key, info.checksum), parts=summaries)


async def _refuse_overtaken(call: Call, upload: UploadInfo, condition: WriteCondition) -> None:
    """An object that was written while the upload was under way is not the one that If-Match was meant for.

    :raises ConditionalRequestConflict: the client is to begin the upload anew."""
    if condition.if_match is None:
        return
    current = await call.storage.find(call.bucket, call.key)
    if current is not None and current.etag == condition.if_match and current.modified > upload.initiated:
        raise ConditionalRequestConflict(Condition="If-Match", Key=call.key)


def _chosen(upload: UploadInfo, wanted: Sequence[CompletedPart], found: Sequence[PartInfo]) -> list[PartInfo]:
    """The parts that the client names, if they are what it says.

    :raises InvalidPart: :raises EntityTooSmall: :raises BadDigest:"""
    by_number = {part.number: part for part in found}
    parts = [_verified(upload, want, by_number.get(want.number)) for want in wanted]
    for part in parts[:-1]:
        if part.size < MIN_PART_BYTES:
            raise EntityTooSmall(
                ETag=part.etag,
                MinSizeAllowed=str(MIN_PART_BYTES),
                PartNumber=str(part.number),
                ProposedSize=str(part.size),
            )
    return parts


def _verified(upload: UploadInfo, want: CompletedPart, part: PartInfo | None) -> PartInfo:
    """The part that is there, if it is the one that the client means. Raises as `_chosen`."""
    algorithm = upload.checksum_algorithm
    expected = want.checksums.get(algorithm)
    if (
        part is None
        or part.etag != want.etag
        or (expected is not None and expected != part.checksum)
        or (want.checksums and not algorithm)
    ):
        raise InvalidPart(UploadId=upload.upload, PartNumber=str(want.number), ETag=want.etag)
    for other in want.checksums:
        if other != algorithm:
            raise BadDigest(f"The {other.lower()} you specified for part {want.number} did not match what we received.")
    return part


def _assemble(call: Call, upload: UploadInfo, parts: Sequence[PartInfo]) -> ObjectInfo:
    """The object that the parts make up.

    :raises InvalidRequest: :raises BadDigest: when it is not what the request says it is."""
    size = sum(part.size for part in parts)
    stated = call.head.headers.get("x-amz-mp-object-size")
    if stated is not None and stated != str(size):
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {stated} does not match what was computed: {size}"
        )
    extents = tuple(extent for part in parts for extent in part.extents)
    if len(extents) > MAX_EXTENTS:
        raise InvalidRequest("The parts were copied from objects of too many parts to be one object.")
    return ObjectInfo(
        size=size,
        modified=call.gateway.clock(),
        etag=_etag_of(part.etag for part in parts),
        extents=extents,
        headers=upload.headers,
        metadata=upload.metadata,
        checksum=_object_checksum(call, upload, parts),
        encryption=upload.encryption,
        parts=tuple(
            PartSummary(part.number, part.size, part.checksum if upload.checksum_algorithm else "") for part in parts
        ),
        tags=upload.tags,
        owner=upload.owner,
        upload=upload.upload,
        lock=with_default(call.bucket_info, upload.lock, call.gateway.clock()) if call.bucket_info else None,
        ttl=upload.ttl,
        grants=upload.grants,
    )


def _etag_of(etags: Iterable[str]) -> str:
    """The ETag of an object from those of its parts. :raises ValueError: for one that is no part's."""
    digests = [bytes.fromhex(etag) for etag in etags]
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def _object_checksum(call: Call, upload: UploadInfo, parts: Sequence[PartInfo]) -> Checksum | None:
    """The checksum that the object gets, and that the request may state; None where those of its parts are sealed.

    Of an upload that was created without an algorithm S3 ignores what is stated under another than the default."""
    algorithm, kind = checksum_of(upload)
    asked = call.head.headers.get("x-amz-checksum-type")
    if asked is not None and asked.upper() != upload.checksum_type:
        raise InvalidRequest(
            f"The upload was created using the {upload.checksum_type or 'null'} checksum mode. The complete request"
            " must use the same checksum mode."
        )
    if not all(part.checksum for part in parts):
        return None
    if kind == FULL_OBJECT:
        value = combine(algorithm, [(part.checksum, part.size) for part in parts])
    else:
        value = composite(algorithm, [part.checksum for part in parts])
    for name in ALGORITHMS:
        stated = call.head.headers.get(f"x-amz-checksum-{name.lower()}")
        if stated is None or (name != algorithm and not upload.checksum_algorithm):
            continue
        if name != algorithm or stated not in (value, value.partition("-")[0]):
            raise BadDigest(f"The {algorithm.lower()} you specified did not match the calculated checksum.")
    return Checksum(algorithm, value, kind)


async def _answer_again(call: Call, wanted: Sequence[CompletedPart]) -> Response:
    """The answer to a completion that happened already. :raises NoSuchUpload: if it did not."""
    upload_id = call.head.query.get("uploadId") or ""
    info = await call.storage.find(call.bucket, call.key)
    if info is None or info.upload != upload_id or not _made_of(info, wanted):
        raise NoSuchUpload(UploadId=upload_id)
    if info.encryption is None:
        return _completed(call, info)
    customer = call.encryption.customer
    if info.encryption.kind == CUSTOMER and customer is None:
        return _completed(call, replace(info, checksum=None))
    key = unlock(call, info, call.bucket, call.key, customer)
    return _completed(call, replace(info, checksum=open_checksum(key, info.checksum)))


def _made_of(info: ObjectInfo, wanted: Sequence[CompletedPart]) -> bool:
    try:
        etag = _etag_of(want.etag for want in wanted)
    except ValueError:
        return False
    return info.etag == etag and [part.number for part in info.parts] == [want.number for want in wanted]


def _completed(call: Call, info: ObjectInfo) -> Response:
    headers = [*describe_encryption(call, info.encryption), *made_headers(info)]
    headers += expiration_headers(call.bucket_info, call.key, info)
    return document(xml.complete_upload(call.url(call.head.raw_path), call.bucket, call.key, info), headers)


async def abort_multipart_upload(call: Call) -> Response:
    """DELETE /bucket/key?uploadId=ID"""
    upload = await find_upload(call)
    await call.storage.commit(AbortUpload(call.bucket, call.key, upload.upload))
    return Response(204)


async def list_parts(call: Call) -> Response:
    """GET /bucket/key?uploadId=ID"""
    request = list_parts_request(call.head.query)
    upload = await find_upload(call)
    key = unlock_upload(call, upload, needed=bool(upload.checksum_algorithm))
    page = await call.storage.list_parts(upload.upload, request.marker, request.max_parts)
    if not upload.checksum_algorithm:
        page = PartPage(tuple(replace(part, checksum="") for part in page.parts), page.truncated)
    elif key is not None:
        page = PartPage(tuple(await _readable(call, upload, key, page.parts)), page.truncated)
    headers = abort_headers(call.bucket_info, call.key, upload.initiated)
    return document(xml.list_parts(upload, request, page, owner_of(call), call.gateway.owner_of), headers)


async def list_multipart_uploads(call: Call) -> Response:
    """GET /bucket?uploads"""
    request = list_uploads_request(call.head.query)
    page = await call.storage.list_uploads(
        call.bucket,
        UploadQuery(request.prefix, request.delimiter, request.key_marker, request.upload_marker, request.max_uploads),
    )
    return document(xml.list_uploads(call.bucket, request, page, owner_of(call), call.gateway.owner_of))
