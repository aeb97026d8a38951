"""Conditional requests: what If-* headers ask for, and whether it holds.

Reading (GET, HEAD), evaluated in this order, as RFC 9110 §13.2.2 and S3 have it:

===========================  ========================================  ===========  ==============
header                       holds when                                if not       GET and HEAD
===========================  ========================================  ===========  ==============
If-Match                     an ETag of the list is the object's, *    412
If-Unmodified-Since          modified then or before                   412          only without If-Match
If-None-Match                no ETag of the list is the object's       304
If-Modified-Since            modified later                            304          only without If-None-Match
===========================  ========================================  ===========  ==============

Copying evaluates the same four as ``x-amz-copy-source-if-*``; there every failure is 412. Writing takes If-Match or
If-None-Match, deleting If-Match, each with one ETag or ``*``; the store evaluates those, atomically with the write. An
object that is not there fails If-Match by 404.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from s3gw.errors import InvalidArgument, NotImplemented, PreconditionFailed
from s3gw.s3.dates import parse_date, parse_http_date
from s3gw.s3.head import RequestHead

__all__ = [
    "UNCONDITIONAL",
    "Outcome",
    "WriteCondition",
    "delete_condition",
    "evaluate",
    "evaluate_copy_source",
    "unquote_etag",
    "write_condition",
]

_ETAG = re.compile(r'(W/)?"([^"]*)"|([^\s,"]+)')
_ONE_ETAG = re.compile(r'"[^"]*"|[^\s,"]+')
_COPY_SOURCE = "x-amz-copy-source-"


class Outcome(Enum):
    """What becomes of a conditional read whose preconditions did not fail."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"


class WriteCondition(NamedTuple):
    """What must hold of the current object for a write to happen, in the order in which a store wants it.

    :ivar if_match: an ETag without quotes, or ``*`` for any object; None for no condition. There must be an object.
    :ivar if_none_match: an ETag without quotes that the object must not have, or ``*`` for there must be no object.
    :ivar if_modified: only if the object was modified in this second since the epoch.
    :ivar if_size: only if the object has this many bytes.
    """

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified: int | None = None
    if_size: int | None = None


UNCONDITIONAL = WriteCondition()


def evaluate(head: RequestHead, etag: str, modified: int, now: int | None = None) -> Outcome:
    """Evaluate the conditions of a GET or HEAD.

    :param etag: the object's, without quotes. :param modified: ms since the epoch.
    :param now: ms since the epoch. When given, an If-Modified-Since that lies in the future says nothing, as RFC 9110
        §13.1.3 has it.
    :raises PreconditionFailed: with ``Condition``, the header that failed.
    """
    failed = _first_failed(head.headers, "", etag, modified, now)
    if failed is None:
        return Outcome.PROCEED
    if failed in ("If-None-Match", "If-Modified-Since"):
        return Outcome.NOT_MODIFIED
    raise PreconditionFailed(Condition=failed)


def evaluate_copy_source(head: RequestHead, etag: str, modified: int, now: int | None = None) -> None:
    """Evaluate the ``x-amz-copy-source-if-*`` conditions of CopyObject or UploadPartCopy on the source.

    Parameters as for `evaluate`.

    :raises PreconditionFailed: with ``Condition``, such as ``x-amz-copy-source-If-Match``.
    """
    failed = _first_failed(head.headers, _COPY_SOURCE, etag, modified, now)
    if failed is not None:
        raise PreconditionFailed(Condition=_COPY_SOURCE + failed)


def _first_failed(headers: Mapping[str, str], prefix: str, etag: str, modified: int, now: int | None) -> str | None:
    """The name of the condition that does not hold, None if all do."""
    match = headers.get(prefix + "if-match")
    none_match = headers.get(prefix + "if-none-match")
    if match is not None:
        if not _lists(match, etag, weak=False):
            return "If-Match"
    else:
        date = _date(headers, prefix + "if-unmodified-since")
        if date is not None and modified // 1000 > date:
            return "If-Unmodified-Since"
    if none_match is not None:
        if _lists(none_match, etag, weak=True):
            return "If-None-Match"
    else:
        date = _date(headers, prefix + "if-modified-since")
        if date is not None and modified // 1000 <= date and (now is None or date <= now // 1000):
            return "If-Modified-Since"
    return None


def _date(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name)
    return parse_http_date(value) if value is not None else None


def _lists(value: str, etag: str, *, weak: bool) -> bool:
    """Whether the list of entity tags in ``value`` has ``etag``, a strong one; ``weak`` ones are like it or not.

    S3 takes a tag without its quotes too.
    """
    if value.strip() == "*":
        return True
    return any((weak or not weakness) and (quoted or bare) == etag for weakness, quoted, bare in _ETAG.findall(value))


def write_condition(head: RequestHead) -> WriteCondition:
    """The condition of a PutObject, CopyObject, CompleteMultipartUpload or POST.

    S3 itself takes If-None-Match with ``*`` and If-Match with an ETag, and calls the rest not implemented.

    :raises NotImplemented: for both headers, as in S3, and for If-None-Match with more than one ETag or a weak one:
        overlooked, they would let a write happen that should not.
    """
    match = head.headers.get("if-match")
    none_match = head.headers.get("if-none-match")
    if match is None and none_match is None:
        return UNCONDITIONAL
    if match is not None and none_match is not None:
        raise NotImplemented(
            Header="If-Match,If-None-Match",
            additionalMessage="Multiple conditional request headers present in the request",
        )
    if none_match is not None and not _ONE_ETAG.fullmatch(none_match.strip()):
        raise _not_accepted("If-None-Match")
    return WriteCondition(
        if_match=None if match is None else unquote_etag(match),
        if_none_match=None if none_match is None else unquote_etag(none_match),
    )


def delete_condition(head: RequestHead) -> WriteCondition:
    """The condition of a DeleteObject: If-Match, ``x-amz-if-match-last-modified-time``, ``x-amz-if-match-size``.

    S3 implements the latter two for directory buckets only. A missing object fails the first and fulfils these.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html

    :raises NotImplemented: for If-None-Match. :raises InvalidArgument: for a time or size that is none.
    """
    headers = head.headers
    match = headers.get("if-match")
    if headers.get("if-none-match") is not None:
        raise _not_accepted("If-None-Match")
    time = headers.get("x-amz-if-match-last-modified-time")
    size = headers.get("x-amz-if-match-size")
    if match is None and time is None and size is None:
        return UNCONDITIONAL
    modified = None if time is None else parse_date(time)
    if time is not None and modified is None:
        raise InvalidArgument(ArgumentName="x-amz-if-match-last-modified-time", ArgumentValue=time)
    if size is not None and not re.fullmatch("[0-9]{1,18}", size):
        raise InvalidArgument(ArgumentName="x-amz-if-match-size", ArgumentValue=size)
    return WriteCondition(
        if_match=None if match is None else unquote_etag(match),
        if_modified=modified,
        if_size=None if size is None else int(size),
    )


def unquote_etag(value: str) -> str:
    """One ETag without its quotes, which S3's clients may leave out. A list or a weak tag is no object's ETag."""
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _not_accepted(header: str) -> NotImplemented:
    return NotImplemented(
        Header=header, additionalMessage=f"We don't accept the provided value of {header} header for this API"
    )
