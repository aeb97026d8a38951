"""Which version of an object a request is about, and what an answer says when there is none.

====================================  =====================================================================
the request names                     answer
====================================  =====================================================================
no version, the newest is a marker    404 NoSuchKey, with ``x-amz-delete-marker`` and the id of the marker
a delete marker                       405 MethodNotAllowed: it can be deleted, and nothing else
a version that there is not           404 NoSuchVersion
====================================  =====================================================================

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
"""

from __future__ import annotations

from msgspec.structs import replace

from s3gw.errors import MethodNotAllowed, NoSuchKey, NoSuchVersion, S3Error
from s3gw.model import BucketInfo, ObjectInfo
from s3gw.operations.admission import absent, permit
from s3gw.operations.call import Call, Headers, Known, Reader, Storage
from s3gw.s3.dates import http_date
from s3gw.s3.tags import Tags
from s3gw.store.interface import UNKNOWN, Committed

ABSENT = (NoSuchKey, NoSuchVersion, MethodNotAllowed)
"""Why there is no object to be had."""


def known_object(call: Call) -> Known | None:
    """As `find_object`, as far as memory tells; None says nothing."""
    bucket = call.bucket_info
    if bucket is None or call.version:
        return None
    known = call.storage.known(call.bucket, call.key)
    if known is UNKNOWN:
        return None
    if known is None:
        if bucket.versioning:
            return None  # there may be a delete marker to tell of
        raise absent(call, _nothing(call.storage, bucket, call.key))
    permit(call, known.info)
    return known


async def find_object(call: Call, tags: Tags | None = None) -> ObjectInfo:
    """The object that a request is about, if the caller may do with it what the request asks for.

    :param tags: those that the request's body brings.
    :raises NoSuchKey: :raises NoSuchVersion: :raises MethodNotAllowed:
    :raises AccessDenied: also when there is none, to who may not know that."""
    assert call.bucket_info is not None
    try:
        info = await find_version(call.storage, call.bucket_info, call.key, call.version)
    except ABSENT as error:
        raise absent(call, error) from None
    permit(call, info, tags)
    return info


async def open_object(call: Call) -> Reader:
    """As `find_object`, held."""
    assert call.bucket_info is not None
    try:
        reader = await open_version(call.storage, call.bucket_info, call.key, call.version)
    except ABSENT as error:
        raise absent(call, error) from None
    try:
        permit(call, reader.info)
    except BaseException:
        reader.close()
        raise
    return reader


async def find_version(storage: Storage, bucket: BucketInfo, key: str, version: str) -> ObjectInfo:
    """An object, or that version of it. :raises: as `find_object`"""
    if version:
        return _usable(key, version, await storage.find_version(bucket.name, key, version))
    info = await storage.find(bucket.name, key)
    if info is None:
        raise await missing(storage, bucket, key)
    return info


async def open_version(storage: Storage, bucket: BucketInfo, key: str, version: str) -> Reader:
    """An object, or that version of it, held. :raises: as `find_object`"""
    reader = await (storage.open_version(bucket.name, key, version) if version else storage.open(bucket.name, key))
    if reader is None:
        raise NoSuchVersion(Key=key, VersionId=version) if version else await missing(storage, bucket, key)
    try:
        _usable(key, version, reader.info)
    except BaseException:
        reader.close()
        raise
    return reader


def _usable(key: str, version: str, info: ObjectInfo | None) -> ObjectInfo:
    if info is None:
        raise NoSuchVersion(Key=key, VersionId=version)
    if info.marker:
        headers = {"Allow": "DELETE", "Last-Modified": http_date(info.modified), **marker_headers(info)}
        raise MethodNotAllowed(headers=headers, Method="GET", ResourceType="DeleteMarker")
    return info


async def missing(storage: Storage, bucket: BucketInfo, key: str) -> S3Error:
    """Why there is no object under a key. Only in a bucket with versioning is there more to be said."""
    error = _nothing(storage, bucket, key)
    if bucket.versioning:
        newest = await storage.find_version(bucket.name, key, "")
        if newest is not None and newest.marker:
            error.headers = marker_headers(newest)
    return error


def _nothing(storage: Storage, bucket: BucketInfo, key: str) -> S3Error:
    if bucket.cache is not None:
        storage.missed(bucket.name)
    return NoSuchKey(Key=key)


def marker_headers(marker: ObjectInfo) -> dict[str, str]:
    """What an answer about a delete marker says."""
    return {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version}


def version_headers(bucket: BucketInfo | None, info: ObjectInfo, name: str = "x-amz-version-id") -> Headers:
    """The id of a version that was found in this bucket, if it ever had versioning."""
    return [(name, info.version)] if bucket is not None and bucket.versioning else []


def as_made(shown: ObjectInfo, outcome: Committed) -> ObjectInfo:
    """What is shown of an object, with the version that it became."""
    made = outcome.made
    return shown if made is None else replace(shown, order=made.order, null=made.null)


def made_headers(info: ObjectInfo) -> Headers:
    """The id of a version that was just made. Of a null version S3 says nothing, also where versioning is suspended.

    s3-tests have it so: ``test_versioning_bucket_atomic_upload_return_version_id``."""
    return [] if info.null else [("x-amz-version-id", info.version)]
