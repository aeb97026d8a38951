"""ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html and its neighbours.
"""

from __future__ import annotations

from s3gw.errors import BucketAlreadyOwnedByYou, IllegalLocationConstraintException
from s3gw.model import BucketInfo
from s3gw.operations.call import Call, Response, document
from s3gw.operations.tagging import DOCUMENT as TAGGING
from s3gw.s3 import xml
from s3gw.s3.documents_in import parse_create_bucket
from s3gw.s3.target import check_bucket_name
from s3gw.store.interface import CreateBucket, DeleteBucket

ANY_REGION = "default"
"""A LocationConstraint that is right everywhere, as it is for other S3-compatible stores."""


async def create_bucket(call: Call) -> Response:
    """PUT /bucket

    Creating a bucket that the caller owns already succeeds and changes nothing, as S3 does in us-east-1; not so with
    tags, which it might not have."""
    check_bucket_name(call.bucket)
    asked = parse_create_bucket(await call.document())
    region = asked.location or call.gateway.region
    if region not in (call.gateway.region, ANY_REGION):
        raise IllegalLocationConstraintException(
            f"The {region} location constraint is incompatible for the region specific endpoint this request was sent"
            " to."
        )
    info = BucketInfo(
        call.bucket,
        call.gateway.clock(),
        call.caller.id,
        "" if region == "us-east-1" else region,
        {TAGGING: xml.tagging(asked.tags)} if asked.tags else {},
    )
    try:
        await call.storage.commit(CreateBucket(info))
    except BucketAlreadyOwnedByYou:
        if asked.tags:
            raise
    return Response(200, [("Location", f"/{call.bucket}")])


async def head_bucket(call: Call) -> Response:
    """HEAD /bucket"""
    return Response(200, [("x-amz-bucket-region", call.gateway.region), ("x-amz-access-point-alias", "false")])


async def delete_bucket(call: Call) -> Response:
    """DELETE /bucket"""
    await call.storage.commit(DeleteBucket(call.bucket, call.bucket_created))
    return Response(204)


async def get_bucket_location(call: Call) -> Response:
    """GET /bucket?location"""
    assert call.bucket_info is not None
    return document(xml.location_constraint(call.bucket_info.region))
