"""Versioning of a bucket.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html
"""

from __future__ import annotations

from s3gw.operations.call import Call, Response, document
from s3gw.s3 import xml
from s3gw.s3.documents_in import parse_versioning
from s3gw.store.interface import SetVersioning


async def put_bucket_versioning(call: Call) -> Response:
    """PUT /bucket?versioning"""
    status = parse_versioning(await call.document())
    await call.storage.commit(SetVersioning(call.bucket, status, call.bucket_created))
    return Response(200)


async def get_bucket_versioning(call: Call) -> Response:
    """GET /bucket?versioning"""
    assert call.bucket_info is not None
    return document(xml.versioning_configuration(call.bucket_info.versioning))
