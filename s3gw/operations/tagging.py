"""Tags of objects and buckets.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

from __future__ import annotations

from s3gw.errors import NoSuchTagSet
from s3gw.operations.call import Call, Headers, Response, document
from s3gw.operations.versions import find_object, version_headers
from s3gw.s3 import xml
from s3gw.s3.tags import MAX_BUCKET_TAGS, Tags, parse_tagging
from s3gw.store.interface import ConfigureBucket, TagObject

DOCUMENT = "tagging"
"""Where a bucket keeps its tags, as the document that came."""


async def put_object_tagging(call: Call) -> Response:
    """PUT /bucket/key?tagging"""
    tags = parse_tagging(await call.document())
    await find_object(call, tags)
    return Response(200, await _tag(call, tags))


async def get_object_tagging(call: Call) -> Response:
    """GET /bucket/key?tagging"""
    info = await find_object(call)
    return document(xml.tagging(info.tags), version_headers(call.bucket_info, info))


async def delete_object_tagging(call: Call) -> Response:
    """DELETE /bucket/key?tagging"""
    await find_object(call)
    return Response(204, await _tag(call, ()))


async def _tag(call: Call, tags: Tags) -> Headers:
    """Set the tags of the object; the headers of the answer."""
    outcome = await call.storage.commit(TagObject(call.bucket, call.key, tags, call.bucket_created, call.version))
    return [] if outcome.previous is None else version_headers(call.bucket_info, outcome.previous)


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
