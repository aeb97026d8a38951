"""ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html and its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3gw.access.acl import of_headers, stored
from s3gw.access.controls import BUCKET_OWNER_ENFORCED, OWNERSHIPS, ownership_controls
from s3gw.access.decide import ACL, OWNERSHIP_CONTROLS
from s3gw.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    IllegalLocationConstraintException,
    InvalidArgument,
    InvalidBucketAclWithObjectOwnership,
)
from s3gw.model import ENABLED, OBJECT_LOCK, BucketInfo
from s3gw.operations.call import Call, Response, document
from s3gw.operations.tagging import DOCUMENT as TAGGING
from s3gw.s3 import xml
from s3gw.s3.documents_in import parse_create_bucket
from s3gw.s3.head import RequestHead
from s3gw.s3.locks import configuration
from s3gw.s3.target import check_bucket_name
from s3gw.store.interface import CreateBucket, DeleteBucket

ACCESS = {ACL, OWNERSHIP_CONTROLS}
"""The documents of a bucket that its creation may bring."""

ANY_REGION = "default"
"""A LocationConstraint that is right everywhere, as it is for other S3-compatible stores."""


async def create_bucket(call: Call) -> Response:
    """PUT /bucket

    Creating a bucket that the caller owns already succeeds and changes nothing, as S3 does in us-east-1; not so with
    tags or Object Lock, which it might not have, or with another list or ownership than it has."""
    check_bucket_name(call.bucket)
    asked = parse_create_bucket(await call.document())
    region = asked.location or call.gateway.region
    if region not in (call.gateway.region, ANY_REGION):
        raise IllegalLocationConstraintException(
            f"The {region} location constraint is incompatible for the region specific endpoint this request was sent"
            " to."
        )
    documents = _access(call)
    if asked.tags:
        documents[TAGGING] = xml.tagging(asked.tags)
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
        if documents.keys() - ACCESS:
            raise
        found = await call.storage.find_bucket(call.bucket)
        if found is None or _differs(found, documents):
            raise BucketAlreadyExists(BucketName=call.bucket) from None
    return Response(200, [("Location", f"/{call.bucket}")])


def _is_locked(head: RequestHead) -> bool:
    """Whether the versions of a new bucket can be locked. :raises InvalidArgument:"""
    value = head.headers.get("x-amz-bucket-object-lock-enabled", "false")
    if value.lower() not in ("true", "false"):
        raise InvalidArgument(ArgumentName="x-amz-bucket-object-lock-enabled", ArgumentValue=value)
    return value.lower() == "true"


def _access(call: Call) -> dict[str, bytes]:
    """The documents that say who may use a new bucket, as the headers ask for.

    :raises InvalidArgument: :raises InvalidBucketAclWithObjectOwnership:"""
    headers, documents = call.head.headers, {}
    ownership = headers.get("x-amz-object-ownership")
    if ownership is not None:
        if ownership not in OWNERSHIPS:
            raise InvalidArgument(ArgumentName="x-amz-object-ownership", ArgumentValue=ownership)
        documents[OWNERSHIP_CONTROLS] = ownership_controls(ownership)
    acl = stored(of_headers(headers, call.caller.id, None, call.gateway.directory))
    if acl is not None:
        if ownership == BUCKET_OWNER_ENFORCED:
            raise InvalidBucketAclWithObjectOwnership()
        documents[ACL] = acl
    return documents


def _differs(found: BucketInfo, documents: Mapping[str, bytes]) -> bool:
    """Whether a bucket has another access control list than ``documents``, or not the ownership that they ask for."""
    ownership = documents.get(OWNERSHIP_CONTROLS)
    return found.documents.get(ACL) != documents.get(ACL) or (
        ownership is not None and found.documents.get(OWNERSHIP_CONTROLS) != ownership
    )


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
