"""The condition of a mutation against the current object."""

from __future__ import annotations

from s3gw.errors import NoSuchKey, PreconditionFailed
from s3gw.model import ObjectInfo
from s3gw.store.interface import ALWAYS, Condition


def require(condition: Condition, key: str, current: ObjectInfo | None) -> None:
    """Return if ``condition`` holds of the object that is now under ``key``.

    :param current: the object, or the delete marker that is there instead, which has a time and a size as well.
    :raises PreconditionFailed: if not, with the name of the first that does not in ``Condition``.
    :raises NoSuchKey: if there is no object to match; a condition on time or size alone is about what exists.
    """
    if condition == ALWAYS:
        return
    if current is None or current.marker:
        if condition.if_match is not None:
            raise NoSuchKey(Key=key)
    elif condition.if_none_match in ("*", current.etag):
        raise PreconditionFailed(Condition="If-None-Match")
    if current is None:
        return
    if condition.if_match not in (None, "*", current.etag):
        raise PreconditionFailed(Condition="If-Match")
    if condition.if_modified not in (None, current.modified // 1000):
        raise PreconditionFailed(Condition="x-amz-if-match-last-modified-time")
    if condition.if_size not in (None, current.size):
        raise PreconditionFailed(Condition="x-amz-if-match-size")
