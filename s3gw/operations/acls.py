"""Access control lists of buckets and objects, and whose a new object is.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html and its neighbours
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from __future__ import annotations

from s3gw.access.acl import (
    FULL_CONTROL,
    HEADERS,
    Grants,
    grants_beyond,
    is_only_full_control,
    is_public,
    of_headers,
    parse_acl,
    stored,
)
from s3gw.access.controls import BUCKET_OWNER_PREFERRED
from s3gw.access.decide import (
    ACL,
    OWNERSHIP_CONTROLS,
    Rules,
    rules_of,
)
from s3gw.access.facts import ANONYMOUS
from s3gw.access.permissions import SET_ACL, SET_HOLD, SET_RETENTION, SET_TAGS
from s3gw.errors import (
    AccessControlListNotSupported,
    AccessDenied,
    ConditionalRequestConflict,
    InternalError,
    InvalidRequest,
    MissingSecurityHeader,
)
from s3gw.model import BucketInfo, Grant
from s3gw.operations.admission import require
from s3gw.operations.call import Call, Response, document
from s3gw.operations.versions import find_object, version_headers
from s3gw.s3 import xml
from s3gw.s3.head import RequestHead
from s3gw.s3.locks import HOLD_HEADER, LOCK_HEADERS
from s3gw.store.interface import ConfigureBucket, SetObjectAcl

MAX_DOCUMENT_BYTES = 64 * 1024
_TRIES = 5
"""How often a list is set anew on an object that is replaced under its hands."""


def disposition(call: Call, key: str, head: RequestHead, *, tagged: bool = False) -> tuple[str, Grants]:
    """Owner and list of the object that a request is about to make.

    :param tagged: whether it brings tags.
    :raises AccessDenied: for a public list where those are blocked, for a list or tags that the caller may not set.
    :raises AccessControlListNotSupported: :raises InvalidArgument: :raises InvalidRequest: :raises NotImplemented:"""
    info = call.bucket_info
    assert info is not None
    asked = not head.headers.keys().isdisjoint(HEADERS)
    if tagged and not call.trusted:
        require(call, SET_TAGS, key)
    if not call.trusted and not LOCK_HEADERS.isdisjoint(head.headers):
        _require_locks(call, key, head)
    owner = owner_of_new(call, info)
    if not asked and OWNERSHIP_CONTROLS not in info.documents:
        return owner, None
    rules = rules_of(info)
    grants = of_headers(head.headers, owner, info.owner, call.gateway.directory)
    full_control = head.headers.get("x-amz-acl") == "bucket-owner-full-control"
    if rules.enforced:
        if asked and not full_control and (grants is None or not is_only_full_control(grants, info.owner)):
            raise AccessControlListNotSupported()
        return info.owner, None
    if full_control and rules.ownership == BUCKET_OWNER_PREFERRED:
        return info.owner, None
    _refuse_public(rules, grants)
    if not call.trusted and grants_beyond(grants, owner, info.owner):
        require(call, SET_ACL, key)
    return owner, grants


def owner_of_new(call: Call, bucket: BucketInfo) -> str:
    """Whose an object is that the caller writes, if neither a list nor the bucket says otherwise."""
    # What nobody in particular wrote is the bucket owner's: S3 would make it everybody's who does not sign.
    return call.caller.id if call.caller.id != ANONYMOUS.id else bucket.owner


def _require_locks(call: Call, key: str, head: RequestHead) -> None:
    """:raises AccessDenied: who may not lock what it writes."""
    if HOLD_HEADER in head.headers:
        require(call, SET_HOLD, key)
    if any(name in head.headers for name in LOCK_HEADERS - {HOLD_HEADER}):
        require(call, SET_RETENTION, key)


def _refuse_public(rules: Rules, grants: Grants) -> None:
    if rules.block.block_acls and is_public(grants):
        raise AccessDenied()


def owner_of(call: Call) -> xml.OwnerOf:
    """Who owns the objects of the call's bucket, by the canonical ids that their records have."""
    info = call.bucket_info
    assert info is not None
    if OWNERSHIP_CONTROLS in info.documents and rules_of(info).enforced:
        owner = call.gateway.owner_of(info.owner)
        return lambda _: owner
    return call.gateway.owner_of


def _shown(grants: Grants, owner: str) -> tuple[Grant, ...]:
    return (Grant(FULL_CONTROL, owner),) if grants is None else grants


async def get_bucket_acl(call: Call) -> Response:
    """GET /bucket?acl"""
    info = call.bucket_info
    assert info is not None
    rules = rules_of(info)
    grants = None if rules.enforced else rules.grants
    owner_of = call.gateway.owner_of
    return document(xml.access_control_policy(owner_of(info.owner), _shown(grants, info.owner), owner_of))


async def put_bucket_acl(call: Call) -> Response:
    """PUT /bucket?acl"""
    info = call.bucket_info
    assert info is not None
    rules = rules_of(info)
    grants = await _asked(call, info.owner, None)
    if rules.enforced:
        raise AccessControlListNotSupported()
    _refuse_public(rules, grants)
    await call.storage.commit(ConfigureBucket(call.bucket, ACL, stored(grants), call.bucket_created))
    return Response(200)


async def _asked(call: Call, owner: str, bucket_owner: str | None) -> Grants:
    """The list that headers or document of a request ask for.

    :raises InvalidRequest: for both. :raises MissingSecurityHeader: for neither."""
    body = await call.document(MAX_DOCUMENT_BYTES)
    if call.head.headers.keys().isdisjoint(HEADERS):
        if not body.strip():
            raise MissingSecurityHeader(MissingHeaderName="x-amz-acl")
        return parse_acl(body, owner, call.gateway.directory)
    if body.strip():
        raise InvalidRequest("Specifying both a document and headers is not allowed for an access control list.")
    return of_headers(call.head.headers, owner, bucket_owner, call.gateway.directory)


async def get_object_acl(call: Call) -> Response:
    """GET /bucket/key?acl"""
    info = await find_object(call)
    bucket = call.bucket_info
    assert bucket is not None
    owner = bucket.owner if not info.owner else owner_of(call)(info.owner).id
    grants = None if rules_of(bucket).enforced else info.grants
    name = call.gateway.owner_of
    shown = xml.access_control_policy(name(owner), _shown(grants, owner), name)
    return document(shown, version_headers(bucket, info))


async def put_object_acl(call: Call) -> Response:
    """PUT /bucket/key?acl

    The list is set on the object that the caller was permitted to set it on, and on no other that takes its place."""
    bucket = call.bucket_info
    assert bucket is not None
    rules = rules_of(bucket)
    info = await find_object(call)
    grants = await _asked(call, info.owner or bucket.owner, bucket.owner)
    if rules.enforced:
        raise AccessControlListNotSupported()
    _refuse_public(rules, grants)
    for _ in range(_TRIES):
        try:
            await call.storage.commit(
                SetObjectAcl(call.bucket, call.key, grants, info, call.bucket_created, call.version)
            )
        except ConditionalRequestConflict:
            info = await find_object(call)
            continue
        return Response(200, version_headers(bucket, info))
    raise InternalError("The object is being replaced faster than its access control list can be set.")
