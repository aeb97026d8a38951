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
    NoSuchKey,
)
from s3gw.model import CHUNK_BYTES, BucketInfo, ObjectInfo
from s3gw.operations.acls import disposition, owner_of_new
from s3gw.operations.admission import absent, overlooks_governance
from s3gw.operations.answers import answer_hot, answer_row, describe, kept_headers, not_modified, select, unchanged
from s3gw.operations.call import Body, Call, Headers, Reader, Response
from s3gw.operations.encryption import (
    check_reader,
    describe_encryption,
    for_writing,
    opener,
    unlock,
)
from s3gw.operations.headers import (
    DEFAULT_CONTENT_TYPE,
    checksum_headers,
    request_tags,
    requested_ttl,
    stored_headers,
    user_metadata,
)
from s3gw.operations.intake import Intake, keep, place_whole, refuse_size
from s3gw.operations.lifecycle import expiration_headers
from s3gw.operations.locks import lock_for_writing
from s3gw.operations.versions import as_made, find_object, known_object, made_headers, marker_headers, open_object
from s3gw.s3.checksums import DECLARING, DEFAULT_ALGORITHM, NO_TRAILERS, UNDECLARED, Digests, declared, whole
from s3gw.s3.conditions import UNCONDITIONAL, WriteCondition, delete_condition, write_condition
from s3gw.s3.encryption import NOTHING
from s3gw.s3.head import ORDINARY
from s3gw.s3.payload import ChunkedDecoder, PayloadDecoder, check_hash, decoder_for, sent_as
from s3gw.s3.ranges import parse_range
from s3gw.s3.sigv4 import UNSIGNED
from s3gw.store.conditions import require
from s3gw.store.interface import DeleteObject, PutObject, StaleBody

LOOKS = 5
"""How often a GET looks an object up again that is replaced under its hands."""


PLAIN = (ORDINARY - {"cache-control"}) | DECLARING
"""Headers of a PUT that make nothing of an object but its bytes, their type, and a checksum."""

CHUNKED = PLAIN | {"content-encoding", "transfer-encoding", "x-amz-decoded-content-length", "x-amz-trailer"}
"""The same of one whose body comes in aws-chunked framing, as SDKs send it over TLS."""


def put_object(call: Call) -> Awaitable[Response]:
    """PUT /bucket/key"""
    bucket, length = call.bucket_info, call.body.length
    assert bucket is not None
    if not bucket.documents:
        if length and length <= CHUNK_BYTES and length <= call.gateway.max_object_bytes and _is_plain(call):
            return _put_plain(call, bucket, length)
        if "x-amz-decoded-content-length" in call.head.headers and _is_plainly_chunked(call):
            return _put_plain(call, bucket, 0)
    return _put(call)


def _is_plain(call: Call) -> bool:
    headers = call.head.headers
    if call.ordinary:
        return "cache-control" not in headers
    return call.head.bare and headers.keys() <= PLAIN


def _is_plainly_chunked(call: Call) -> bool:
    headers = call.head.headers
    encoding = headers.get("content-encoding", "aws-chunked")
    return encoding == "aws-chunked" and call.head.bare and headers.keys() <= CHUNKED


async def _put_plain(call: Call, bucket: BucketInfo, length: int) -> Response:
    """As `_put`, for what most requests are: a small body for a bucket that asks for nothing, of which nothing is said
    but its type and checksum. So there is nothing to be looked for, and what comes need be neither cut nor staged.

    :param length: of the body, if it is the object's; 0 if it comes in aws-chunked framing."""
    headers = call.head.headers
    checks = UNDECLARED if call.ordinary else declared(call.head, DEFAULT_ALGORITHM)
    sent = sent_as(call.head, call.verified)
    trailers = NO_TRAILERS
    if sent.startswith("STREAMING-") or not length:
        decoder = decoder_for(call.head, call.verified)
        if not isinstance(decoder, ChunkedDecoder) or not 0 < decoder.length <= CHUNK_BYTES:
            return await _put(call)
        refuse_size(call, decoder)
        body, trailers = await _decoded(call.body, decoder), decoder.trailers
    else:
        pieces = call.body.take()
        body = pieces[0] if pieces is not None and len(pieces) == 1 else await _whole(call.body, pieces or [], length)
        if sent != UNSIGNED:
            check_hash(sent, sha256(body).hexdigest())
    md5, checksum = whole(body, checks, trailers)
    inline, extents = place_whole(call, len(body))
    info = ObjectInfo(
        size=len(body),
        modified=call.gateway.clock(),
        etag=md5,
        inline=inline,
        extents=extents,
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


async def _decoded(body: Body, decoder: PayloadDecoder) -> bytes:
    """All of a short body, decoded and verified. :raises S3Error:"""
    pieces: list[bytes] = []
    while arrived := await body.read():
        for raw in arrived:
            pieces += decoder.feed(raw)
    decoder.finish()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _whole(body: Body, pieces: list[bytes], length: int) -> bytes:
    """All the ``length`` bytes of a body, of which there are ``pieces``. :raises: as `Body.read`"""
    left = length - sum(map(len, pieces))
    while left:
        arrived = await body.read()
        if not arrived:
            raise IncompleteBody()
        pieces += arrived
        left -= sum(map(len, arrived))
    return b"".join(pieces)


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
    known = known_object(call)
    if known is not None:
        if known.info.place:
            call.storage.touched(call.bucket, known.info)
        answer = answer_hot(call, known) or await answer_row(call, known)
        if answer is not None:
            return answer
    for _ in range(LOOKS):
        reader = await open_object(call)
        if known is None and reader.info.place:
            call.storage.touched(call.bucket, reader.info)
        try:
            return await _answer_get(call, reader)
        except StaleBody:
            reader.close()
        except BaseException:
            reader.close()
            raise
    raise InternalError("The object is being replaced faster than it can be read.")


async def _answer_get(call: Call, reader: Reader) -> Response:
    info = reader.info
    key = None
    if info.encryption is not None or call.encryption is not NOTHING:
        key = _data_key(call, info, needed=True)
    if unchanged(call, info):
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
    known = known_object(call)
    if known is not None and call.ordinary and known.info.encryption is None:
        if known.info.place:
            call.storage.touched(call.bucket, known.info)
        span = parse_range(call.head.headers.get("range"), known.info.size)
        return Response(200 if span is None else 206, kept_headers(call, known, span))
    info = await find_object(call)
    if info.place:
        call.storage.touched(call.bucket, info)
    key = None
    if info.encryption is not None or call.encryption is not NOTHING:
        key = _data_key(call, info, needed="x-amz-checksum-mode" in call.head.headers)
    if unchanged(call, info):
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
