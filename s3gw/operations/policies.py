"""Bucket policies, public access block and ownership controls.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html and its neighbours.
"""

from __future__ import annotations

from s3gw.access.acl import grants_beyond, is_public
from s3gw.access.controls import (
    BUCKET_OWNER_ENFORCED,
    ownership_controls,
    parse_ownership_controls,
    parse_public_access_block,
    policy_status,
    public_access_block,
)
from s3gw.access.decide import (
    OWNERSHIP_CONTROLS,
    POLICY,
    PUBLIC_ACCESS_BLOCK,
    rules_of,
)
from s3gw.access.policy import MAX_BYTES, parse_policy
from s3gw.errors import (
    AccessDenied,
    InvalidBucketAclWithObjectOwnership,
    NoSuchBucketPolicy,
    NoSuchPublicAccessBlockConfiguration,
    OwnershipControlsNotFoundError,
    S3Error,
)
from s3gw.operations.call import Call, Response, document
from s3gw.store.interface import ConfigureBucket

MAX_DOCUMENT_BYTES = 64 * 1024


async def put_bucket_policy(call: Call) -> Response:
    """PUT /bucket?policy

    The policy is kept as it came, byte for byte."""
    info = call.bucket_info
    assert info is not None
    text = await call.document(MAX_BYTES)
    policy = parse_policy(text, call.bucket)
    if policy.public and rules_of(info).block.block_policy:
        raise AccessDenied()
    await _configure(call, POLICY, text)
    return Response(204)


async def get_bucket_policy(call: Call) -> Response:
    """GET /bucket?policy"""
    return Response(200, [("Content-Type", "application/json")], [_stored(call, POLICY, NoSuchBucketPolicy)])


async def delete_bucket_policy(call: Call) -> Response:
    """DELETE /bucket?policy"""
    await _configure(call, POLICY, None)
    return Response(204)


async def get_bucket_policy_status(call: Call) -> Response:
    """GET /bucket?policyStatus: whether policy or list make the bucket public."""
    info = call.bucket_info
    assert info is not None
    rules = rules_of(info)
    by_policy = rules.policy is not None and rules.policy.public and not rules.block.restrict
    by_list = is_public(rules.grants) and not rules.enforced and not rules.block.ignore_acls
    return document(policy_status(public=by_policy or by_list))


async def put_public_access_block(call: Call) -> Response:
    """PUT /bucket?publicAccessBlock"""
    block = parse_public_access_block(await call.document(MAX_DOCUMENT_BYTES))
    await _configure(call, PUBLIC_ACCESS_BLOCK, public_access_block(block))
    return Response(200)


async def get_public_access_block(call: Call) -> Response:
    """GET /bucket?publicAccessBlock"""
    return document(_stored(call, PUBLIC_ACCESS_BLOCK, NoSuchPublicAccessBlockConfiguration))


async def delete_public_access_block(call: Call) -> Response:
    """DELETE /bucket?publicAccessBlock"""
    await _configure(call, PUBLIC_ACCESS_BLOCK, None)
    return Response(204)


async def put_bucket_ownership_controls(call: Call) -> Response:
    """PUT /bucket?ownershipControls"""
    info = call.bucket_info
    assert info is not None
    ownership = parse_ownership_controls(await call.document(MAX_DOCUMENT_BYTES))
    if ownership == BUCKET_OWNER_ENFORCED and grants_beyond(rules_of(info).grants, info.owner, info.owner):
        raise InvalidBucketAclWithObjectOwnership()
    await _configure(call, OWNERSHIP_CONTROLS, ownership_controls(ownership))
    return Response(200)


async def get_bucket_ownership_controls(call: Call) -> Response:
    """GET /bucket?ownershipControls"""
    return document(_stored(call, OWNERSHIP_CONTROLS, OwnershipControlsNotFoundError))


async def delete_bucket_ownership_controls(call: Call) -> Response:
    """DELETE /bucket?ownershipControls"""
    await _configure(call, OWNERSHIP_CONTROLS, None)
    return Response(204)


def _stored(call: Call, name: str, missing: type[S3Error]) -> bytes:
    assert call.bucket_info is not None
    stored = call.bucket_info.documents.get(name)
    if stored is None:
        raise missing(BucketName=call.bucket)
    return stored


async def _configure(call: Call, name: str, stored: bytes | None) -> None:
    await call.storage.commit(ConfigureBucket(call.bucket, name, stored, call.bucket_created))
