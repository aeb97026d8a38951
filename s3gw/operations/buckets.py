"""ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html and its neighbours.
"""

from __future__ import annotations

from s3gw.errors import BucketAlreadyOwnedByYou, IllegalLocationConstraintException, InvalidArgument
from s3gw.model import ENABLED, OBJECT_LOCK, BucketInfo
from s3gw.operations.call import Call, Response, document
from s3gw.operations.tagging import DOCUMENT as TAGGING
from s3gw.s3 import xml
from s3gw.s3.documents_in import parse_create_bucket
from s3gw.s3.head import RequestHead
from s3gw.s3.locks import configuration
from s3gw.s3.target import check_bucket_name
from s3gw.store.interface import CreateBucket, DeleteBucket

ANY_REGION = "default"
"""A LocationConstraint that is right everywhere, as it is for other S3-compatible stores."""


async def create_bucket(call: Call) -> Response:
    """PUT /bucket

    Creating a bucket that the caller owns already succeeds and changes nothing, as S3 does in us-east-1; not so with
    tags or Object Lock, which it might not have."""
    check_bucket_name(call.bucket)
    asked = parse_create_bucket(await call.document())
    region = asked.location or call.gateway.region
    if region not in (call.gateway.region, ANY_REGION):
        raise IllegalLocationConstraintException(
            f"The {region} location constraint is incompatible for the region specific endpoint this request was sent"
            " to."
        )
    documents = {TAGGING: xml.tagging(asked.tags)} if asked.tags else {}
    locked = _is_locked(call.head)
    if locked:
        documents[OBJECT_LOCK] = configuration()
    info = BucketInfo(
        call.bucket,
        call.gateway.clock(),
        call.caller.id,
        "" if region == "us-east-1" else region,
        documents,
        ENABLED if locked else "",
        None if locked else call.gateway.cache_rules(call.bucket),
    )
    try:
        await call.storage.commit(CreateBucket(info))
    except BucketAlreadyOwnedByYou:
        if documents:
            raise
    return Response(200, [("Location", f"/{call.bucket}")])


def _is_locked(head: RequestHead) -> bool:
    """Whether the versions of a new bucket can be locked. :raises InvalidArgument:"""
    value = head.headers.get("x-amz-bucket-object-lock-enabled", "false")
    if value.lower() not in ("true", "false"):
        raise InvalidArgument(ArgumentName="x-amz-bucket-object-lock-enabled", ArgumentValue=value)
    return value.lower() == "true"


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
