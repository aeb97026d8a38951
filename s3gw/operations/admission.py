"""Who may do what: the questions that operations put to `s3gw.access.decide`.

`authorize` is asked before an operation begins and answers for everything that does not hang on an object or upload.
An operation that does asks `permit` or `permit_upload` with the very one that it answers about, so that nothing can be
put in its place meanwhile. `Call.decided` remembers that somebody asked; no answer leaves without it.

The owner of a bucket without a policy is trusted, and pays for no more than a few comparisons. Objects in it may be
somebody else's: `permit` is asked about them all the same.
"""

from __future__ import annotations

from s3gw.access.decide import POLICY, Rules, Subject, allowed, resource_of, rules_of
from s3gw.access.facts import ANONYMOUS, Facts
from s3gw.access.permissions import BYPASS_GOVERNANCE, GET_TAGS, PERMISSIONS, READ_SOURCE, SEE_ABSENCE, Of, Permission
from s3gw.access.policy import Effect
from s3gw.errors import AccessDenied, NoSuchBucket, S3Error
from s3gw.model import BucketInfo, ObjectInfo, Owner, UploadInfo
from s3gw.operations.call import Call
from s3gw.operations.headers import bypasses_governance
from s3gw.s3.sigv4 import instant

LATER = frozenset({"DeleteObjects", "PostObject"})
"""Operations that learn from their body what they are about, and ask then."""

_NO_COPIES = "Anonymous users cannot copy objects. Please authenticate."
SIGNED = {
    "CopyObject": _NO_COPIES,
    "CreateMultipartUpload": "Anonymous users cannot initiate multipart uploads. Please authenticate.",
    "UploadPartCopy": _NO_COPIES,
}
"""Operations that nobody may do without signing, and what S3 says then."""

Tags = tuple[tuple[str, str], ...]


def admit(name: str, info: BucketInfo | None, expected_owner: str | None = None) -> BucketInfo:
    """The bucket ``name``, if it exists and has the owner that the request expects.

    :param expected_owner: as ``x-amz-expected-bucket-owner`` has it; None for anybody.
    :raises NoSuchBucket: :raises AccessDenied:"""
    if info is None:
        raise NoSuchBucket(BucketName=name)
    if expected_owner is not None and expected_owner != info.owner:
        raise AccessDenied()
    return info


def is_trusted(info: BucketInfo, caller: Owner) -> bool:
    """Whether a caller may do anything with a bucket, as its owner whom no policy can deny anything."""
    return info.owner == caller.id and POLICY not in info.documents


def authorize(call: Call, key: str | None = None, tags: Tags | None = None) -> None:
    """Return if the caller may do the operation, as far as that can be told before it begins.

    :param key: which the request's body names; it may bring ``tags`` too. None before the body was read.
    :raises AccessDenied:"""
    if not call.gateway.signatures:
        call.trusted = call.decided = True
        return
    info = call.bucket_info
    call.trusted = info is not None and is_trusted(info, call.caller)  # a form tells late who sent it
    permission = PERMISSIONS[call.operation]
    if permission.of is Of.OBJECT or permission.of is Of.UPLOAD or (key is None and call.operation in LATER):
        return
    call.decided = True
    if call.caller.id == ANONYMOUS.id and call.operation in SIGNED:
        raise AccessDenied(SIGNED[call.operation])
    if not call.trusted and not _decide(
        call, permission, info, call.key if key is None else key, tags=tags, versioned=bool(call.version)
    ):
        raise AccessDenied()


def permit(call: Call, info: ObjectInfo, tags: Tags | None = None) -> None:
    """Return if the caller may do with ``info``, the object of the request, what the operation does.

    :param tags: those that the request's body brings. :raises AccessDenied:"""
    if call.trusted and (info.owner == call.caller.id or not call.gateway.signatures):
        return
    call.decided = True
    permission = PERMISSIONS[call.operation]
    if not _decide(call, permission, call.bucket_info, call.key, info=info, tags=tags, versioned=bool(call.version)):
        raise AccessDenied()


def absent(call: Call, error: S3Error) -> S3Error:
    """What the caller is told of an object that there is not: ``error``, or AccessDenied who may not list."""
    call.decided = True
    if call.trusted or _may_miss(call, PERMISSIONS[call.operation], call.bucket_info, call.key, bool(call.version)):
        return error
    return AccessDenied()


def permit_upload(call: Call, upload: UploadInfo) -> None:
    """Return if the caller may do with ``upload`` what the operation does. :raises AccessDenied:"""
    permission = PERMISSIONS[call.operation]
    if permission.of is not Of.UPLOAD:
        return  # `authorize` has answered
    call.decided = True
    if call.trusted:
        return
    initiator = Subject(upload.initiator or upload.owner)
    if not _decide(call, permission, call.bucket_info, call.key, initiator):
        raise AccessDenied()


def absent_upload(call: Call, error: S3Error) -> S3Error:
    """What the caller is told of an upload that is not there."""
    call.decided = True
    if call.trusted or allows(call, PERMISSIONS[call.operation], call.key):
        return error
    return AccessDenied()


def permit_source(call: Call, bucket: BucketInfo, key: str, version: str, info: ObjectInfo, *, tags: bool) -> None:
    """Return if the caller may read ``info``, the source of a copy.

    :param tags: whether its tags are copied too.
    :raises AccessDenied:"""
    if not call.gateway.signatures or (is_trusted(bucket, call.caller) and info.owner == call.caller.id):
        return
    needed = (READ_SOURCE, GET_TAGS) if tags and info.tags else (READ_SOURCE,)
    if not all(_decide(call, each, bucket, key, info=info, versioned=bool(version)) for each in needed):
        raise AccessDenied()


def absent_source(call: Call, bucket: BucketInfo, key: str, version: str, error: S3Error) -> S3Error:
    """As `absent`, of the source of a copy."""
    trusted = not call.gateway.signatures or is_trusted(bucket, call.caller)
    if trusted or _may_miss(call, READ_SOURCE, bucket, key, bool(version)):
        return error
    return AccessDenied()


def allows(call: Call, permission: Permission, key: str, *, versioned: bool | None = None) -> bool:
    """Whether the caller has a permission about the call's bucket, or about a key in it.

    :param versioned: whether a version is named; None for what the request's query says."""
    if call.trusted:
        return True
    return _decide(
        call, permission, call.bucket_info, key, versioned=bool(call.version) if versioned is None else versioned
    )


def overlooks_governance(call: Call, key: str) -> bool:
    """Whether the caller wants locks in governance mode overlooked, and may have that."""
    return bypasses_governance(call.head) and allows(call, BYPASS_GOVERNANCE, key)


def require(call: Call, permission: Permission, key: str) -> None:
    """As `allows`. :raises AccessDenied:"""
    if not allows(call, permission, key):
        raise AccessDenied()


def _may_miss(call: Call, permission: Permission, info: BucketInfo | None, key: str, versioned: bool) -> bool:
    """Whether the caller may know that there is no object: it may list the key, and no policy denies it the object."""
    assert info is not None
    rules = rules_of(info)
    if rules.policy is not None:
        facts = _facts(call, info)
        resource = resource_of(info.name, key, permission)
        actions = permission.versioned if versioned else permission.actions
        if any(rules.policy.says(action, resource, facts) is Effect.DENY for action in actions):
            return False
    return _decide(call, SEE_ABSENCE, info, key, prefix=key)


def _decide(
    call: Call,
    permission: Permission,
    bucket: BucketInfo | None,
    key: str,
    subject: Subject | None = None,
    *,
    info: ObjectInfo | None = None,
    tags: Tags | None = None,
    prefix: str | None = None,
    versioned: bool = False,
) -> bool:
    if bucket is None:
        return allowed(permission, Rules(""), "", _facts(call, None))
    if info is not None:
        subject = Subject(info.owner, info.grants)
    facts = _facts(call, bucket, info.tags if info is not None else None, tags, prefix)
    return allowed(
        permission, rules_of(bucket), resource_of(bucket.name, key, permission), facts, subject, versioned=versioned
    )


def _facts(
    call: Call,
    bucket: BucketInfo | None,
    existing_tags: Tags | None = None,
    request_tags: Tags | None = None,
    prefix: str | None = None,
) -> Facts:
    verified = call.verified
    if call.caller.id == ANONYMOUS.id:
        auth_type = ""
    elif verified is None:
        auth_type = "POST"
    else:
        auth_type = "REST-HEADER" if "authorization" in call.head.headers else "REST-QUERY-STRING"
    signed = None if verified is None else instant(verified.timestamp)
    return Facts(
        call.caller,
        call.head,
        call.client.peer,
        call.gateway.clock(),
        "" if bucket is None else bucket.owner,
        auth_type,
        None if signed is None else signed * 1000,
        existing_tags,
        request_tags,
        prefix,
    )
