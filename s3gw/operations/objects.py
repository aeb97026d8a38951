"""PutObject, GetObject, HeadObject, DeleteObject.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html and its neighbours.
"""

from __future__ import annotations

from collections.abc import Awaitable
from hashlib import sha256

from s3gw.cipher import DataKey
from s3gw.errors import (
    IncompleteBody,
    InternalError,
    InvalidArgument,
    InvalidPart,
    InvalidRequest,
    NoSuchKey,
)
from s3gw.model import CHUNK_BYTES, BucketInfo, ByteRange, Checksum, ObjectInfo
from s3gw.operations.acls import disposition, owner_of_new
from s3gw.operations.admission import absent, overlooks_governance, permit
from s3gw.operations.call import Body, Buffer, Call, Headers, KeptHeaders, Known, Reader, Response
from s3gw.operations.encryption import (
    check_reader,
    describe_encryption,
    for_writing,
    open_checksum,
    opener,
    unlock,
)
from s3gw.operations.headers import (
    DEFAULT_CONTENT_TYPE,
    checksum_headers,
    object_headers,
    overrides,
    request_tags,
    requested_ttl,
    stored_headers,
    user_metadata,
)
from s3gw.operations.intake import Intake, keep, refuse_size
from s3gw.operations.lifecycle import expiration_headers
from s3gw.operations.locks import lock_for_writing
from s3gw.operations.multipart import part_number
from s3gw.operations.versions import as_made, find_object, made_headers, marker_headers, open_object, version_headers
from s3gw.s3.checksums import DECLARING, DEFAULT_ALGORITHM, UNDECLARED, Digests, declared, whole
from s3gw.s3.conditions import UNCONDITIONAL, Outcome, WriteCondition, delete_condition, evaluate, write_condition
from s3gw.s3.dates import http_date
from s3gw.s3.encryption import NOTHING
from s3gw.s3.head import ORDINARY
from s3gw.s3.payload import check_hash, decoder_for, sent_as
from s3gw.s3.ranges import parse_range
from s3gw.s3.sigv4 import UNSIGNED
from s3gw.store.conditions import require
from s3gw.store.interface import DeleteObject, PutObject, StaleBody

LOOKS = 5
"""How often a GET looks an object up again that is replaced under its hands."""


PLAIN = (ORDINARY - {"cache-control"}) | DECLARING
"""Headers of a PUT that make nothing of an object but its bytes, their type, and a checksum."""


def put_object(call: Call) -> Awaitable[Response]:
    """PUT /bucket/key"""
    bucket, length = call.bucket_info, call.body.length
    assert bucket is not None
    if (
        length
        and length <= min(CHUNK_BYTES, call.gateway.max_object_bytes)
        and not bucket.documents
        and call.head.bare
        and call.head.headers.keys() <= PLAIN
        and not call.head.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    ):
        return _put_plain(call, bucket, length)
    return _put(call)


async def _put_plain(call: Call, bucket: BucketInfo, length: int) -> Response:
    """As `_put`, for what most requests are: a small body for a bucket that asks for nothing, of which nothing is said
    but its type and checksum. So there is nothing to be looked for, and what comes need be neither cut nor staged."""
    headers = call.head.headers
    checks = UNDECLARED if headers.keys() <= ORDINARY else declared(call.head, DEFAULT_ALGORITHM)
    sent = sent_as(call.head, call.verified)
    body = await _whole(call.body, length)
    if sent != UNSIGNED:
        check_hash(sent, sha256(body).hexdigest())
    md5, checksum = whole(body, checks)
    info = ObjectInfo(
        size=length,
        modified=call.gateway.clock(),
        etag=md5,
        inline=call.storage.begin_blob(),
        headers={"content-type": headers.get("content-type") or DEFAULT_CONTENT_TYPE},
        checksum=checksum,
        owner=owner_of_new(call, bucket),
    )
    outcome = await call.storage.commit(
        PutObject(call.bucket, call.key, info, body, condition=UNCONDITIONAL, bucket_created=bucket.created)
    )
    answer = [("ETag", f'"{md5}"'), *checksum_headers(checksum)]
    if outcome.made is not None:
        answer += made_headers(as_made(info, outcome))
    return Response(200, answer)


async def _whole(body: Body, length: int) -> bytes:
    """All the ``length`` bytes of a body. :raises: as `Body.read`"""
    pieces = await body.read()
    left = length - sum(map(len, pieces))
    while left:
        arrived = await body.read()
        if not arrived:
            raise IncompleteBody()
        pieces += arrived
        left -= sum(map(len, arrived))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _put(call: Call) -> Response:
    """Any PutObject."""
    head = call.head
    tags = request_tags(head)
    owner, grants = disposition(call, call.key, head, tagged=bool(tags))
    draft = ObjectInfo(
        size=0,
        modified=0,
        etag="",
        headers=stored_headers(head),
        metadata=user_metadata(head),
        tags=tags,
        owner=owner,
        grants=grants,
        lock=lock_for_writing(call, head, body="Put Object"),
        ttl=requested_ttl(call, head),
    )
    condition = write_condition(head)
    checks = declared(head, DEFAULT_ALGORITHM)
    decoder = decoder_for(head, call.verified)
    refuse_size(call, decoder)
    fresh = for_writing(call, call.key)
    await _refuse_early(call, condition)
    intake = Intake(decoder, Digests(checks.names), call.gateway.max_object_bytes)
    info = await keep(call, call.key, draft, intake, checks, condition, fresh=fresh)
    headers = [("ETag", f'"{info.etag}"'), *checksum_headers(info.checksum), *made_headers(info)]
    headers += expiration_headers(call.bucket_info, call.key, info)
    if fresh is not None:
        headers += describe_encryption(call, fresh.stored)
    return Response(200, headers)


async def _refuse_early(call: Call, condition: WriteCondition) -> None:
    """Spare the client an upload that the commit would refuse; the commit alone decides."""
    if condition != UNCONDITIONAL:
        require(condition, call.key, await call.storage.find(call.bucket, call.key))


async def get_object(call: Call) -> Response:
    """GET /bucket/key"""
    known = call.storage.known(call.bucket, call.key) if not call.version else None
    body = None if known is None else call.storage.hot_body(known.info)
    if known is not None and body is not None:
        permit(call, known.info)
        if known.info.place:
            call.storage.touched(call.bucket, known.info)
        return _answer_hot(call, known, body)
    for _ in range(LOOKS):
        reader = await open_object(call)
        if reader.info.place:
            call.storage.touched(call.bucket, reader.info)
        try:
            return await _answer_get(call, reader)
        except StaleBody:
            reader.close()
        except BaseException:
            reader.close()
            raise
    raise InternalError("The object is being replaced faster than it can be read.")


def _answer_hot(call: Call, known: Known, body: Buffer) -> Response:
    """The answer when everything is in memory: nothing is waited for, so nothing need be held."""
    info = known.info
    if call.head.ordinary:
        span = parse_range(call.head.headers.get("range"), info.size)
        if span is None:
            return Response(200, _kept_headers(call, known), (body,))
    else:
        if call.encryption is not NOTHING:
            check_reader(call, info)
        if _unchanged(call, info):
            return not_modified(info)
        span = select(call, info)
    headers = describe(call, info, span)
    if span is None:
        return Response(200, headers, (body,))
    return Response(206, headers, (memoryview(body)[span.start : span.start + span.length],))


def _kept_headers(call: Call, known: Known) -> KeptHeaders:
    """The headers of the answer to an ordinary request."""
    mode = call.head.headers.get("x-amz-checksum-mode")
    kept = known.headers.get(mode)
    if kept is None:
        kept = KeptHeaders(describe(call, known.info, None))
        if mode in (None, "ENABLED"):
            known.headers[mode] = kept
    return kept


async def _answer_get(call: Call, reader: Reader) -> Response:
    info = reader.info
    key = None
    if info.encryption is not None or call.encryption is not NOTHING:
        key = _data_key(call, info, needed=True)
    if _unchanged(call, info):
        reader.close()
        return not_modified(info)
    span = select(call, info)
    headers = describe(call, info, span, key)
    start, length = (span.start, span.length) if span is not None else (0, info.size)
    status = 200 if span is None else 206
    if not length:
        reader.close()
        return Response(status, headers)
    source = reader.source(start, length, opener(key))
    first = await source.read()
    if sum(map(len, first)) == length:
        source.close()
        return Response(status, headers, first)
    return Response(status, headers, first, source)


async def head_object(call: Call) -> Response:
    """HEAD /bucket/key"""
    known = call.storage.known(call.bucket, call.key) if not call.version else None
    whole = call.head.ordinary and "range" not in call.head.headers
    if known is not None and whole and known.info.encryption is None:
        permit(call, known.info)
        if known.info.place:
            call.storage.touched(call.bucket, known.info)
        return Response(200, _kept_headers(call, known))
    info = await find_object(call)
    if info.place:
        call.storage.touched(call.bucket, info)
    key = None
    if info.encryption is not None or call.encryption is not NOTHING:
        key = _data_key(call, info, needed="x-amz-checksum-mode" in call.head.headers)
    if _unchanged(call, info):
        return not_modified(info)
    span = select(call, info)
    return Response(200 if span is None else 206, describe(call, info, span, key))


def _data_key(call: Call, info: ObjectInfo, *, needed: bool) -> DataKey | None:
    """The data key of the object, if it has one and it is needed, for a request that may see the object.

    A part that there is not is refused whether its reader has the key or not: the ETag tells how many there are."""
    if "partNumber" in call.head.query:
        select(call, info)
    if needed:
        return unlock(call, info, call.bucket, call.key, call.encryption.customer)
    check_reader(call, info)
    return None


def _unchanged(call: Call, info: ObjectInfo) -> bool:
    """Whether the client has what it asks for. :raises PreconditionFailed:"""
    return evaluate(call.head, info.etag, info.modified, call.gateway.clock()) is Outcome.NOT_MODIFIED


def select(call: Call, info: ObjectInfo) -> ByteRange | None:
    """The part of the object that the request is about, by Range or ``?partNumber``; None for all of it.

    :raises InvalidRange: :raises InvalidPart: :raises InvalidRequest: for both at once.
    :raises InvalidArgument: for a number that is none."""
    value = call.head.headers.get("range")
    if "partNumber" not in call.head.query:
        return parse_range(value, info.size)
    if value is not None:
        raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
    number = part_number(call)
    sizes = [part.size for part in info.parts] or [info.size]
    if number > len(sizes):
        raise InvalidPart(
            "The requested partnumber is not satisfiable",
            ActualPartCount=str(len(sizes)),
            PartNumberRequested=str(number),
        )
    return ByteRange(sum(sizes[: number - 1]), sizes[number - 1]) if info.size else None


def not_modified(info: ObjectInfo) -> Response:
    """304, with the headers that RFC 9110 §15.4.5 asks for."""
    headers = [("ETag", f'"{info.etag}"'), ("Last-Modified", http_date(info.modified))]
    for name, spelt in (("cache-control", "Cache-Control"), ("expires", "Expires")):
        if name in info.headers:
            headers.append((spelt, info.headers[name]))
    return Response(304, headers)


def describe(call: Call, info: ObjectInfo, span: ByteRange | None, key: DataKey | None = None) -> Headers:
    """The headers of an answer about ``info`` or a part of it.

    :param key: of an encrypted object, when its checksums are asked for.
    :raises InvalidArgument: for an unknown value of x-amz-checksum-mode."""
    headers = object_headers(info, overrides(call), span)
    bucket = call.bucket_info
    if bucket is not None and (bucket.versioning or bucket.documents):
        headers += version_headers(bucket, info)
        if not call.version:
            headers += expiration_headers(bucket, call.key, info)
    if info.encryption is not None:
        headers += describe_encryption(call, info.encryption)
    of_part = "partNumber" in call.head.query
    if of_part and info.parts:
        headers.append(("x-amz-mp-parts-count", str(len(info.parts))))
    mode = call.head.headers.get("x-amz-checksum-mode")
    if mode is not None:
        if mode.upper() != "ENABLED":
            raise InvalidArgument(
                "Value for x-amz-checksum-mode header is invalid.",
                ArgumentName="x-amz-checksum-mode",
                ArgumentValue=mode,
            )
        if of_part:
            headers += checksum_headers(open_checksum(key, _part_checksum(info, part_number(call))))
        elif span is None:
            headers += checksum_headers(open_checksum(key, info.checksum))
    return headers


def _part_checksum(info: ObjectInfo, number: int) -> Checksum | None:
    """The checksum of one part of an object, under the type of the whole; an object in one piece is its own part."""
    if not info.parts or info.checksum is None:
        return info.checksum
    value = info.parts[number - 1].checksum
    return Checksum(info.checksum.algorithm, value, info.checksum.type) if value else None


async def get_object_torrent(call: Call) -> Response:
    """GET /bucket/key?torrent

    S3 has given BitTorrent up.

    :raises NoSuchKey: whatever the key: of no object there is a torrent."""
    raise absent(call, NoSuchKey("There are no torrents of objects.", Key=call.key))


async def delete_object(call: Call) -> Response:
    """DELETE /bucket/key"""
    outcome = await call.storage.commit(
        DeleteObject(
            call.bucket,
            call.key,
            delete_condition(call.head),
            call.bucket_created,
            call.version,
            call.gateway.clock(),
            call.caller.id,
            overlooks_governance(call, call.key),
        )
    )
    if outcome.made is not None:
        return Response(204, list(marker_headers(outcome.made).items()))
    if not call.version:
        return Response(204)
    was_marker = outcome.previous is not None and outcome.previous.marker
    marker: Headers = [("x-amz-delete-marker", "true")] if was_marker else []
    return Response(204, [*marker, ("x-amz-version-id", call.version)])
