"""The rules of a bucket for requests from other origins: PutBucketCors, GetBucketCors, DeleteBucketCors, the preflight,
and what they add to the answer to any other request.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html
"""

from __future__ import annotations

from s3gw.errors import AccessForbidden, NoSuchCORSConfiguration
from s3gw.model import BucketInfo
from s3gw.operations.call import Call, Headers, Response, Storage, document
from s3gw.s3 import xml
from s3gw.s3.cors import (
    NO_BUCKET,
    NOT_ENABLED,
    Rules,
    answer_headers,
    parse_cors,
    preflight_headers,
    preflight_method,
    stored_rules,
)
from s3gw.s3.head import RequestHead
from s3gw.store.interface import ConfigureBucket

DOCUMENT = "cors"
"""Where a bucket keeps its rules, as a CORSConfiguration."""

MAX_DOCUMENT_BYTES = 64 * 1024


async def put_bucket_cors(call: Call) -> Response:
    """PUT /bucket?cors"""
    rules = parse_cors(await call.document(MAX_DOCUMENT_BYTES))
    await call.storage.commit(
        ConfigureBucket(call.bucket, DOCUMENT, xml.cors_configuration(rules), call.bucket_created)
    )
    return Response(200)


async def get_bucket_cors(call: Call) -> Response:
    """GET /bucket?cors"""
    assert call.bucket_info is not None
    stored = call.bucket_info.documents.get(DOCUMENT)
    if stored is None:
        raise NoSuchCORSConfiguration(BucketName=call.bucket)
    return document(stored)


async def delete_bucket_cors(call: Call) -> Response:
    """DELETE /bucket?cors"""
    await call.storage.commit(ConfigureBucket(call.bucket, DOCUMENT, None, call.bucket_created))
    return Response(204)


async def preflight_cors(call: Call) -> Response:
    """OPTIONS /bucket or /bucket/key: may a script of another origin do this? Browsers ask it without a signature."""
    method, resource = preflight_method(call.head), "OBJECT" if call.key else "BUCKET"
    info = await call.storage.find_bucket(call.bucket) if call.bucket else None
    if info is None:
        raise AccessForbidden(NO_BUCKET, Method=method, ResourceType=resource)
    rules = _rules(info)
    if not rules:
        raise AccessForbidden(NOT_ENABLED, Method=method, ResourceType=resource)
    return Response(200, preflight_headers(rules, call.head, resource))


async def cross_origin_headers(storage: Storage, bucket: str, head: RequestHead) -> Headers:
    """What the rules of ``bucket`` add to the answer to a request with an Origin, be it a success or an error."""
    if not bucket or head.method == "OPTIONS":
        return []
    info = await storage.find_bucket(bucket)
    return [] if info is None else answer_headers(_rules(info), head)


def _rules(info: BucketInfo) -> Rules:
    stored = info.documents.get(DOCUMENT)
    return () if stored is None else stored_rules(stored)
