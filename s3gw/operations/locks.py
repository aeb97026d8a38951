"""Object Lock: of a bucket, and the retention and legal hold of objects.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html and its neighbours.
"""

from __future__ import annotations

from s3gw.errors import InvalidRequest, NoSuchObjectLockConfiguration, ObjectLockConfigurationNotFoundError
from s3gw.model import OBJECT_LOCK, BucketInfo, ObjectLock, UploadInfo
from s3gw.operations.admission import overlooks_governance
from s3gw.operations.call import Call, Response, document
from s3gw.operations.headers import has_digest, require_digest
from s3gw.operations.versions import find_object
from s3gw.s3.head import RequestHead
from s3gw.s3.locks import (
    LOCK_HEADERS,
    default_retention,
    legal_hold,
    parse_configuration,
    parse_hold,
    parse_lock_headers,
    parse_retention,
    retention,
)
from s3gw.store.interface import ConfigureBucket, HoldObject, RetainObject


async def put_object_lock_configuration(call: Call) -> Response:
    """PUT /bucket?object-lock"""
    require_digest(call.head)
    stored = parse_configuration(await call.document())
    await call.storage.commit(ConfigureBucket(call.bucket, OBJECT_LOCK, stored, call.bucket_created))
    return Response(200)


async def get_object_lock_configuration(call: Call) -> Response:
    """GET /bucket?object-lock"""
    assert call.bucket_info is not None
    stored = call.bucket_info.documents.get(OBJECT_LOCK)
    if stored is None:
        raise ObjectLockConfigurationNotFoundError(BucketName=call.bucket)
    return document(stored)


async def put_object_retention(call: Call) -> Response:
    """PUT /bucket/key?retention"""
    require_digest(call.head)
    now = call.gateway.clock()
    lock = parse_retention(await call.document(), now)
    bypass = overlooks_governance(call, call.key)
    await find_object(call)
    _require_lock(call.bucket_info)
    await call.storage.commit(RetainObject(call.bucket, call.key, lock, now, bypass, call.bucket_created, call.version))
    return Response(200)


async def get_object_retention(call: Call) -> Response:
    """GET /bucket/key?retention"""
    lock = (await find_object(call)).lock
    _require_lock(call.bucket_info)
    if lock is None or not lock.mode:
        raise NoSuchObjectLockConfiguration()
    return document(retention(lock))


async def put_object_legal_hold(call: Call) -> Response:
    """PUT /bucket/key?legal-hold"""
    require_digest(call.head)
    hold = parse_hold(await call.document())
    await find_object(call)
    _require_lock(call.bucket_info)
    await call.storage.commit(HoldObject(call.bucket, call.key, hold, call.bucket_created, call.version))
    return Response(200)


async def get_object_legal_hold(call: Call) -> Response:
    """GET /bucket/key?legal-hold"""
    lock = (await find_object(call)).lock
    _require_lock(call.bucket_info)
    if lock is None or not lock.hold:
        raise NoSuchObjectLockConfiguration()
    return document(legal_hold(lock))


def lock_for_writing(call: Call, head: RequestHead, *, body: str = "") -> ObjectLock | None:
    """The lock that an object is to have which a request makes: the one that it asks for, or its bucket's default.

    :param body: what S3 calls a request that brings a body, which must come with a digest of that if there is a lock.
    :raises InvalidRequest: the bucket has no Object Lock, or the digest is missing. :raises InvalidArgument:"""
    assert call.bucket_info is not None
    stored = call.bucket_info.documents.get(OBJECT_LOCK)
    if stored is None:
        if not LOCK_HEADERS.isdisjoint(head.headers):
            _require_lock(call.bucket_info)
        return None
    now = call.gateway.clock()
    lock = with_default(call.bucket_info, parse_lock_headers(head.headers, now), now)
    if lock is not None and body:
        require_digest_of_body(head, body)
    return lock


def with_default(bucket: BucketInfo, lock: ObjectLock | None, now: int) -> ObjectLock | None:
    """``lock``, with the default retention of the bucket if it has none of its own."""
    stored = bucket.documents.get(OBJECT_LOCK)
    default = None if stored is None or (lock is not None and lock.mode) else default_retention(stored)
    if default is None:
        return lock
    found = default.lock(now)
    return found if lock is None else ObjectLock(found.mode, found.until, lock.hold)


def refuse_undigested_part(call: Call, upload: UploadInfo) -> None:
    """:raises InvalidRequest: a part of what will be locked must come with a digest."""
    assert call.bucket_info is not None
    if with_default(call.bucket_info, upload.lock, 0) is not None:
        require_digest_of_body(call.head, "Put Part")


def require_digest_of_body(head: RequestHead, what: str) -> None:
    """:raises InvalidRequest: without one."""
    if not has_digest(head):
        raise InvalidRequest(
            f"Content-MD5 OR x-amz-checksum- HTTP header is required for {what} requests with Object Lock parameters"
        )


def _require_lock(bucket: BucketInfo | None) -> None:
    if bucket is None or OBJECT_LOCK not in bucket.documents:
        raise InvalidRequest("Bucket is missing Object Lock Configuration")
