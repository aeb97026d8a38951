"""Who may use a bucket."""

from __future__ import annotations

from s3gw.errors import AccessDenied, NoSuchBucket
from s3gw.model import BucketInfo, Owner


def admit(name: str, info: BucketInfo | None, caller: Owner, expected_owner: str | None = None) -> BucketInfo:
    """The bucket ``name``, if it exists and the caller may use it.

    A bucket belongs to its owner alone. One without an owner was made when nobody signed, and is open to all.

    :param expected_owner: who the owner must be, as ``x-amz-expected-bucket-owner`` has it; None for anybody.
    :raises NoSuchBucket: :raises AccessDenied:"""
    if info is None:
        raise NoSuchBucket(BucketName=name)
    if info.owner and caller.id and info.owner != caller.id:
        raise AccessDenied()
    if expected_owner is not None and expected_owner != info.owner:
        raise AccessDenied()
    return info
