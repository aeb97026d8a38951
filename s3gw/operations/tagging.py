"""Tags of objects and buckets.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

from __future__ import annotations

from s3gw.errors import NoSuchKey, NoSuchTagSet
from s3gw.operations.call import Call, Response, document
from s3gw.s3 import xml
from s3gw.s3.tags import MAX_BUCKET_TAGS, parse_tagging
from s3gw.store.interface import ConfigureBucket, TagObject

DOCUMENT = "tagging"
"""Where a bucket keeps its tags, as the document that came."""


async def put_object_tagging(call: Call) -> Response:
    """PUT /bucket/key?tagging"""
    tags = parse_tagging(await call.document())
    await call.storage.commit(TagObject(call.bucket, call.key, tags, call.bucket_created))
    return Response(200)


async def get_object_tagging(call: Call) -> Response:
    """GET /bucket/key?tagging"""
    info = await call.storage.find(call.bucket, call.key)
    if info is None:
        raise NoSuchKey(Key=call.key)
    return document(xml.tagging(info.tags))


async def delete_object_tagging(call: Call) -> Response:
    """DELETE /bucket/key?tagging"""
    await call.storage.commit(TagObject(call.bucket, call.key, (), call.bucket_created))
    return Response(204)


async def put_bucket_tagging(call: Call) -> Response:
    """PUT /bucket?tagging"""
    tags = parse_tagging(await call.document(), MAX_BUCKET_TAGS)
    await call.storage.commit(ConfigureBucket(call.bucket, DOCUMENT, xml.tagging(tags), call.bucket_created))
    return Response(204)


async def get_bucket_tagging(call: Call) -> Response:
    """GET /bucket?tagging"""
    assert call.bucket_info is not None
    stored = call.bucket_info.documents.get(DOCUMENT)
    if stored is None:
        raise NoSuchTagSet(BucketName=call.bucket)
    return document(stored)


async def delete_bucket_tagging(call: Call) -> Response:
    """DELETE /bucket?tagging"""
    await call.storage.commit(ConfigureBucket(call.bucket, DOCUMENT, None, call.bucket_created))
    return Response(204)
