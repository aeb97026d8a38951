"""Lifecycle configuration of a bucket, and what answers say of it. `expiry` does what it says.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

from s3gw.errors import NoSuchLifecycleConfiguration
from s3gw.model import BucketInfo, ObjectInfo
from s3gw.operations.call import Call, Headers, Response, document
from s3gw.operations.headers import require_digest
from s3gw.s3.lifecycle import DOCUMENT, abortion, expiration, parse_lifecycle, rules_of
from s3gw.store.interface import ConfigureBucket

_SIZES = [("x-amz-transition-default-minimum-object-size", "all_storage_classes_128K")]
"""S3's default, of a thing that there is not here."""


async def put_bucket_lifecycle(call: Call) -> Response:
    """PUT /bucket?lifecycle"""
    require_digest(call.head)
    body = await call.document()
    stored = parse_lifecycle(body, lambda: urlsafe_b64encode(call.storage.begin_blob()).rstrip(b"=").decode())
    await call.storage.commit(ConfigureBucket(call.bucket, DOCUMENT, stored, call.bucket_created))
    return Response(200, list(_SIZES))


async def get_bucket_lifecycle(call: Call) -> Response:
    """GET /bucket?lifecycle"""
    assert call.bucket_info is not None
    stored = call.bucket_info.documents.get(DOCUMENT)
    if stored is None:
        raise NoSuchLifecycleConfiguration(BucketName=call.bucket)
    return document(stored, list(_SIZES))


async def delete_bucket_lifecycle(call: Call) -> Response:
    """DELETE /bucket?lifecycle"""
    await call.storage.commit(ConfigureBucket(call.bucket, DOCUMENT, None, call.bucket_created))
    return Response(204)


def expiration_headers(bucket: BucketInfo | None, key: str, info: ObjectInfo) -> Headers:
    """When a rule ends an object, if one does."""
    stored = None if bucket is None else bucket.documents.get(DOCUMENT)
    value = None if stored is None else expiration(rules_of(stored), key, info)
    return [] if value is None else [("x-amz-expiration", value)]


def abort_headers(bucket: BucketInfo | None, key: str, initiated: int) -> Headers:
    """When a rule aborts an upload, if one does."""
    stored = None if bucket is None else bucket.documents.get(DOCUMENT)
    found = None if stored is None else abortion(rules_of(stored), key, initiated)
    return [] if found is None else [("x-amz-abort-date", found[0]), ("x-amz-abort-rule-id", found[1])]
