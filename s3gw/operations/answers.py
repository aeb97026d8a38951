"""What an answer with an object says, and the answers that memory alone can give.

A read whose record and bytes are in memory waits for nothing, so it needs no coroutine and holds nothing
(`answer_hot`); one whose bytes are in one row waits for that row alone (`answer_row`). What their headers say is kept
with the record (`kept_headers`), and only what tells one part from another is made anew. It is the same answer that
`operations.objects` gives to all others.
"""

from __future__ import annotations

from s3gw.cipher import DataKey
from s3gw.errors import InvalidArgument, InvalidPart, InvalidRequest
from s3gw.model import ByteRange, Checksum, ObjectInfo
from s3gw.operations.call import Buffer, Call, Headers, KeptHeaders, Known, PartHeaders, Response
from s3gw.operations.encryption import describe_encryption, open_checksum
from s3gw.operations.headers import checksum_headers, object_headers, overrides
from s3gw.operations.lifecycle import expiration_headers
from s3gw.operations.multipart import part_number
from s3gw.operations.versions import version_headers
from s3gw.s3.conditions import Outcome, evaluate
from s3gw.s3.dates import http_date
from s3gw.s3.encryption import NOTHING
from s3gw.s3.ranges import parse_range


def answer_hot(call: Call, known: Known) -> Response | None:
    """The answer to a GET if everything is in memory; else None."""
    info = known.info
    if info.encryption is not None or call.encryption is not NOTHING:
        return None
    if call.ordinary:
        span = parse_range(call.head.headers.get("range"), info.size)
    elif unchanged(call, info):
        return not_modified(info)
    else:
        span = select(call, info)
    body = call.storage.hot(info, span)
    return None if body is None else _answer(call, known, span, body)


async def answer_row(call: Call, known: Known) -> Response | None:
    """The answer to a GET that `answer_hot` has none to, if what is asked for is in one row; else None.

    :raises CorruptChunk:"""
    info = known.info
    if info.encryption is not None or call.encryption is not NOTHING:
        return None
    span = parse_range(call.head.headers.get("range"), info.size) if call.ordinary else select(call, info)
    body = await call.storage.row(call.bucket, call.key, info, span)
    return None if body is None else _answer(call, known, span, body)


def _answer(call: Call, known: Known, span: ByteRange | None, body: Buffer) -> Response:
    headers = kept_headers(call, known, span) if call.ordinary else describe(call, known.info, span)
    return Response(200 if span is None else 206, headers, (body,))


def kept_headers(call: Call, known: Known, span: ByteRange | None) -> Headers | PartHeaders:
    """As `describe`, of an ordinary request, whose answers say the same every time."""
    mode = call.head.headers.get("x-amz-checksum-mode")
    kept = known.headers.get(mode) if span is None else known.part_headers
    if kept is None:
        # A bucket that was looked up while it got another configuration is what it was: nobody later is to be told so.
        if mode not in (None, "ENABLED") or call.storage.known_bucket(call.bucket) is not call.bucket_info:
            return describe(call, known.info, span)
        if span is None:
            kept = known.headers[mode] = KeptHeaders(describe(call, known.info, None))
        else:
            kept = known.part_headers = KeptHeaders(_describe(call, known.info, None, whole=False))
    return kept if span is None else PartHeaders(kept, span.start, span.length, known.info.size)


def unchanged(call: Call, info: ObjectInfo) -> bool:
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
    if span is None:
        return [*_describe(call, info, key, whole=True), ("Content-Length", str(info.size))]
    return [*PartHeaders(_describe(call, info, key, whole=False), span.start, span.length, info.size)]


def _describe(call: Call, info: ObjectInfo, key: DataKey | None, *, whole: bool) -> Headers:
    """As `describe`, without what tells where a part begins and how long it is."""
    headers = object_headers(info, overrides(call))
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
        elif whole:
            headers += checksum_headers(open_checksum(key, info.checksum))
    return headers


def _part_checksum(info: ObjectInfo, number: int) -> Checksum | None:
    """The checksum of one part of an object, under the type of the whole; an object in one piece is its own part."""
    if not info.parts or info.checksum is None:
        return info.checksum
    value = info.parts[number - 1].checksum
    return Checksum(info.checksum.algorithm, value, info.checksum.type) if value else None
