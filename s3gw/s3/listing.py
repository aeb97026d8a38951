"""Listings: the walk over a sorted cursor of keys, and the request parameters that steer it.

The walk reads no more of the keys than it must, and no entry that is not listed. Behind a key that rolls up into a
common prefix it seeks to the first key that does not, however many there are; past the end of ``prefix`` it does not
read at all.

Keys are ``str`` and ordered by code point, which is the order of their UTF-8 bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Protocol, TypeVar

import msgspec

from s3gw.errors import InvalidArgument
from s3gw.s3.head import Query

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_KEYS = 1000
"""The longest page of objects, uploads or parts; a request for more gets this."""
MAX_BUCKETS = 10_000

_LAST = chr(0x10FFFF)
_BEFORE_SURROGATES, _AFTER_SURROGATES = chr(0xD7FF), chr(0xE000)
_INTEGER = re.compile("-?[0-9]+")
_INT32_MAX = 2**31 - 1
_TOKEN_VERSION = b"\x01"


class Cursor(Protocol[T_co]):
    """A position among keys in ascending order."""

    def seek(self, key: str) -> None:
        """Go to the first entry whose key is ``key`` or greater."""

    def next(self) -> str | None:
        """The key at the position, None past the last; then advance."""

    def entry(self) -> T_co:
        """What is under the key that `next` gave last."""


def successor(prefix: str) -> str | None:
    """The least string greater than every string that starts with ``prefix``; None when there is none."""
    prefix = prefix.rstrip(_LAST)
    if not prefix:
        return None
    last = prefix[-1]
    # Surrogates are no characters: UTF-8 cannot hold them.
    return prefix[:-1] + (_AFTER_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1))


def list_page(
    cursor: Cursor[T], prefix: str = "", delimiter: str = "", after: str = "", limit: int = MAX_KEYS
) -> tuple[tuple[tuple[str, T], ...], tuple[str, ...], bool, str]:
    """One page of the keys that start with ``prefix`` and are greater than ``after``.

    Keys that contain ``delimiter`` behind the prefix are rolled up: the key up to and with its first delimiter counts
    as one common prefix. A common prefix that is ``after``, or that ``after`` starts with, has been listed, so it is
    left out with all its keys.

    :param limit: of keys and common prefixes together; 0 gives an empty page that is not truncated.
    :return: entries; common prefixes; whether there is more; and the last key or common prefix, which as ``after``
        gives the next page.
    """
    entries: list[tuple[str, T]] = []
    prefixes: list[str] = []
    last = ""
    truncated = False
    start = _start(prefix, delimiter, after) if limit > 0 else None
    if start is None:
        return (), (), False, ""
    cursor.seek(start)
    depth = len(prefix)
    room = limit
    while (key := cursor.next()) is not None and key.startswith(prefix):
        if not room:
            truncated = True
            break
        room -= 1
        last = key
        end = key.find(delimiter, depth) if delimiter else -1
        if end < 0:
            entries.append((key, cursor.entry()))
            continue
        last = last[: end + len(delimiter)]
        prefixes.append(last)
        beyond = successor(last)
        if beyond is None:
            break
        cursor.seek(beyond)
    return tuple(entries), tuple(prefixes), truncated, last


def _start(prefix: str, delimiter: str, after: str) -> str | None:
    """The first string that may be listed, None if there is none."""
    if after < prefix:
        return prefix
    if delimiter and after.startswith(prefix):
        end = after.find(delimiter, len(prefix))
        if end >= 0:
            return successor(after[: end + len(delimiter)])
    # Without ``after`` the prefix is empty as well, and every key is greater than "".
    return after + "\0" if after else ""


class ListObjectsRequest(msgspec.Struct, frozen=True):
    """The parameters of ListObjects.

    :ivar encoding: ``url`` when the client wants keys percent-encoded, or empty.
    """

    prefix: str = ""
    delimiter: str = ""
    marker: str = ""
    max_keys: int = MAX_KEYS
    encoding: str = ""

    @property
    def after(self) -> str:
        """Where the page begins, exclusive."""
        return self.marker


class ListObjectsV2Request(msgspec.Struct, frozen=True):
    """The parameters of ListObjectsV2.

    :ivar token: the continuation token as sent, and ``after`` the key in it, or else ``start_after``. An empty token
        is that of the first page.
    """

    prefix: str = ""
    delimiter: str = ""
    start_after: str = ""
    token: str | None = None
    after: str = ""
    max_keys: int = MAX_KEYS
    encoding: str = ""
    fetch_owner: bool = False


class ListUploadsRequest(msgspec.Struct, frozen=True):
    """The parameters of ListMultipartUploads. An upload-id-marker without a key-marker is ignored, as S3 has it."""

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    upload_marker: str = ""
    max_uploads: int = MAX_KEYS
    encoding: str = ""


class ListVersionsRequest(msgspec.Struct, frozen=True):
    """The parameters of ListObjectVersions."""

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    version_marker: str = ""
    max_keys: int = MAX_KEYS
    encoding: str = ""


class ListPartsRequest(msgspec.Struct, frozen=True):
    """The parameters of ListParts. ``marker`` is a part number."""

    upload: str
    marker: int = 0
    max_parts: int = MAX_KEYS


class ListBucketsRequest(msgspec.Struct, frozen=True):
    """The parameters of ListBuckets. ``after`` is the name in the continuation token.

    :ivar paged: whether the client asked for pages at all; if not, it gets every bucket at once.
    """

    prefix: str = ""
    region: str = ""
    after: str = ""
    max_buckets: int = MAX_BUCKETS
    paged: bool = False


def list_objects_request(query: Query) -> ListObjectsRequest:
    """:raises InvalidArgument: for a max-keys or encoding-type that is none.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html
    """
    return ListObjectsRequest(
        prefix=query.get("prefix") or "",
        delimiter=query.get("delimiter") or "",
        marker=query.get("marker") or "",
        encoding=_encoding(query),
        max_keys=_limit(query, "max-keys", "maxKeys"),
    )


def list_objects_v2_request(query: Query) -> ListObjectsV2Request:
    """:raises InvalidArgument: also for a continuation token that is none of ours.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
    """
    token = query.get("continuation-token")
    start_after = query.get("start-after") or ""
    return ListObjectsV2Request(
        prefix=query.get("prefix") or "",
        delimiter=query.get("delimiter") or "",
        start_after=start_after,
        encoding=_encoding(query),
        max_keys=_limit(query, "max-keys", "maxKeys"),
        token=token,
        after=decode_token(token) if token else start_after,
        fetch_owner=(query.get("fetch-owner") or "").lower() == "true",
    )


def list_versions_request(query: Query) -> ListVersionsRequest:
    """:raises InvalidArgument: for a max-keys or encoding-type that is none, and a version-id-marker without a key.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
    """
    key_marker, version_marker = query.get("key-marker") or "", query.get("version-id-marker") or ""
    if version_marker and not key_marker:
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=version_marker,
        )
    return ListVersionsRequest(
        prefix=query.get("prefix") or "",
        delimiter=query.get("delimiter") or "",
        key_marker=key_marker,
        version_marker=version_marker,
        encoding=_encoding(query),
        max_keys=_limit(query, "max-keys", "maxKeys"),
    )


def list_uploads_request(query: Query) -> ListUploadsRequest:
    """:raises InvalidArgument: for a max-uploads or encoding-type that is none.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
    """
    key_marker = query.get("key-marker") or ""
    return ListUploadsRequest(
        prefix=query.get("prefix") or "",
        delimiter=query.get("delimiter") or "",
        key_marker=key_marker,
        upload_marker=(query.get("upload-id-marker") or "") if key_marker else "",
        encoding=_encoding(query),
        max_uploads=_limit(query, "max-uploads"),
    )


def list_parts_request(query: Query) -> ListPartsRequest:
    """:raises InvalidArgument: for a max-parts or part-number-marker that is none.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html
    """
    return ListPartsRequest(
        upload=query.get("uploadId") or "",
        marker=_integer(query, "part-number-marker", 0),
        max_parts=_limit(query, "max-parts"),
    )


def list_buckets_request(query: Query) -> ListBucketsRequest:
    """:raises InvalidArgument: for a max-buckets or continuation token that is none.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
    """
    token = query.get("continuation-token")
    return ListBucketsRequest(
        prefix=query.get("prefix") or "",
        region=query.get("bucket-region") or "",
        max_buckets=_integer(query, "max-buckets", MAX_BUCKETS, low=1, high=MAX_BUCKETS),
        after=decode_token(token) if token else "",
        paged=any(name in query for name in ("max-buckets", "continuation-token", "prefix", "bucket-region")),
    )


def encode_token(last: str) -> str:
    """A continuation token: opaque to clients, safe in a URL, and bound to nothing but the last key."""
    return base64.urlsafe_b64encode(_TOKEN_VERSION + last.encode()).rstrip(b"=").decode("ascii")


def decode_token(token: str) -> str:
    """The key in a token that `encode_token` made. :raises InvalidArgument: for any other."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        last = raw[1:].decode()
    except (UnicodeError, binascii.Error):
        last = ""
    # What decodes is not yet what was encoded: base64 overlooks foreign characters and stray bits.
    if not last or encode_token(last) != token:
        raise InvalidArgument(
            "The continuation token provided is incorrect", ArgumentName="continuation-token", ArgumentValue=token
        )
    return last


def _encoding(query: Query) -> str:
    value = query.get("encoding-type")
    if value is None:
        return ""
    if value.lower() != "url":
        raise InvalidArgument(
            "Invalid Encoding Method specified in Request", ArgumentName="encoding-type", ArgumentValue=value
        )
    return "url"


def _limit(query: Query, name: str, range_name: str = "") -> int:
    return min(_integer(query, name, MAX_KEYS, range_name=range_name), MAX_KEYS)


def _integer(
    query: Query, name: str, default: int, *, low: int = 0, high: int = _INT32_MAX, range_name: str = ""
) -> int:
    """The integer under ``name``; ``default`` when absent or empty.

    :param range_name: what S3 calls the parameter when it is an integer out of range, when not ``name``.
    """
    value = query.get(name)
    if not value:
        return default
    digits = value.lstrip("-").lstrip("0") or "0"
    number = int(digits) if _INTEGER.fullmatch(value) and len(digits) <= 10 else _INT32_MAX + 1
    if number > _INT32_MAX:
        raise InvalidArgument(
            f"Provided {name} not an integer or within integer range", ArgumentName=name, ArgumentValue=value
        )
    if value[0] == "-":
        number = -number
    if not low <= number <= high:
        raise InvalidArgument(
            f"Argument {range_name or name} must be an integer between {low} and {high}",
            ArgumentName=range_name or name,
            ArgumentValue=str(number),
        )
    return number
