"""Headers that are kept with an object, given back with it, or refused.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
"""

from __future__ import annotations

import re

from s3gw.errors import InvalidArgument, InvalidRequest, InvalidStorageClass, MetadataTooLarge, NotImplemented
from s3gw.model import NULL, Checksum, ObjectInfo, version_order
from s3gw.operations.call import Call, Headers
from s3gw.s3.cache_rules import MAX_SECONDS
from s3gw.s3.dates import http_date
from s3gw.s3.encryption import HEADERS as ENCRYPTION
from s3gw.s3.head import RequestHead
from s3gw.s3.locks import lock_headers
from s3gw.s3.tags import parse_tag_header

STORED = {
    "content-type": "Content-Type",
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "expires": "Expires",
}
"""Request headers that a PUT stores and a GET returns, and how they are spelt in the answer."""

OVERRIDES = {f"response-{name}": name for name in STORED}
"""Query parameters that replace a stored header in one answer."""

DEFAULT_CONTENT_TYPE = "binary/octet-stream"
META_PREFIX = "x-amz-meta-"
MAX_METADATA_BYTES = 2048

_HEADER_NAME = re.compile("[a-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile("[\0-\x08\n-\x1f\x7f]")

REFUSED = {
    "x-amz-bucket-namespace": ("global",),
    "x-amz-if-match-initiated-time": (),
    "x-amz-mfa": (),
    "x-amz-object-lock-event-hold": ("OFF",),
    "x-amz-object-lock-event-hold-duration-days": (),
    "x-amz-object-lock-event-hold-duration-years": (),
    "x-amz-server-side-encryption-bucket-key-enabled": ("false",),
    "x-amz-server-side-encryption-context": (),
    "x-amz-storage-class": ("STANDARD",),
    "x-amz-transition-default-minimum-object-size": ("all_storage_classes_128K",),
    "x-amz-website-redirect-location": (),
    "x-amz-write-offset-bytes": (),
}
"""Headers that would change what a request means and are not implemented, with the values that change nothing."""

_NOTABLE = REFUSED.keys() | ENCRYPTION

TTL = "x-s3gw-ttl"

STORAGE_CLASSES = frozenset(
    {
        "AWS_BACKUP_LOW_COST_WARM",
        "AWS_BACKUP_WARM",
        "DEEP_ARCHIVE",
        "EXPRESS_ONEZONE",
        "FSX_ONTAP",
        "FSX_OPENZFS",
        "GLACIER",
        "GLACIER_IR",
        "INTELLIGENT_TIERING",
        "ONEZONE_IA",
        "OUTPOSTS",
        "REDUCED_REDUNDANCY",
        "SNOW",
        "STANDARD",
        "STANDARD_IA",
    }
)
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html#AmazonS3-PutObject-request-header-StorageClass"""


def refuse_unsupported(head: RequestHead) -> bool:
    """Refuse a request that asks for more than it would get.

    :return: whether it says something of encryption, which is to be looked at once its sender may do what it asks for.
    :raises NotImplemented: naming the header.
    :raises InvalidStorageClass: for a class that S3 has not either."""
    encryption = False
    for name, value in head.headers.items():
        if name not in _NOTABLE:
            continue
        if name in ENCRYPTION:
            encryption = True
        elif value not in REFUSED[name]:
            if name == "x-amz-storage-class" and value not in STORAGE_CLASSES:
                raise InvalidStorageClass(StorageClassRequested=value)
            raise NotImplemented(Header=name)
    return encryption


VERSIONED = frozenset(
    {
        "DeleteObject",
        "DeleteObjectTagging",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectRetention",
        "GetObjectTagging",
        "HeadObject",
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectRetention",
        "PutObjectTagging",
    }
)
"""Operations that take a versionId."""


def check_version(operation: str, version: str) -> str:
    """``version``, if an operation takes one and it can be the id of one. :raises InvalidArgument:"""
    if operation not in VERSIONED:
        raise InvalidArgument(
            "This operation does not accept a version-id.", ArgumentName="versionId", ArgumentValue=version
        )
    if not version:
        raise InvalidArgument("Version id cannot be the empty string", ArgumentName="versionId", ArgumentValue=version)
    if version != NULL and version_order(version) is None:
        raise InvalidArgument("Invalid version id specified", ArgumentName="versionId", ArgumentValue=version)
    return version


def has_digest(head: RequestHead) -> bool:
    """Whether a request says what its body is."""
    return "content-md5" in head.headers or any(
        name.startswith("x-amz-checksum-") or name in ("x-amz-sdk-checksum-algorithm", "x-amz-trailer")
        for name in head.headers
    )


def require_digest(head: RequestHead) -> None:
    """:raises InvalidRequest: for a document that does not come with a digest, where S3 demands one."""
    if not has_digest(head):
        raise InvalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")


def bypasses_governance(head: RequestHead) -> bool:
    """Whether the caller wants locks in governance mode overlooked."""
    return head.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"


def hoist_headers(head: RequestHead) -> RequestHead:
    """The request with the ``x-amz-*`` parameters of its query as headers: a presigned URL carries them there.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html

    :raises InvalidArgument: for a parameter that no header could be."""
    if not head.raw_query or "x-amz-" not in head.raw_query.lower():
        return head
    hoisted = {
        name.lower(): as_header(name.lower(), value)
        for name, value in head.query.pairs
        if name.lower().startswith("x-amz-") and name.lower() not in AUTHENTICATION_PARAMETERS
    }
    return head.with_headers(hoisted) if hoisted else head


AUTHENTICATION_PARAMETERS = frozenset(
    f"x-amz-{name}"
    for name in ("algorithm", "credential", "date", "expires", "signature", "signedheaders", "security-token")
)


def as_header(name: str, value: str) -> str:
    """The value of a parameter or field that stands for the header ``name``, as Latin-1 text of the wire.

    :raises InvalidArgument: for a name or value that no header can have: it could not be given back in one."""
    if not _HEADER_NAME.fullmatch(name) or _CONTROL.search(value):
        raise InvalidArgument("The value cannot be represented as a header.", ArgumentName=name)
    return value.encode().decode("latin-1")


def stored_headers(head: RequestHead) -> dict[str, str]:
    """The headers of a request that are kept with the object, by lower-case name.

    ``aws-chunked`` describes the transfer and not the object, and is left out of Content-Encoding."""
    kept = {name: value for name in STORED if (value := head.headers.get(name))}
    encoding = kept.get("content-encoding")
    if encoding and "aws-chunked" in encoding:
        kept["content-encoding"] = ",".join(
            coding for piece in encoding.split(",") if (coding := piece.strip()) and coding != "aws-chunked"
        )
        if not kept["content-encoding"]:
            del kept["content-encoding"]
    kept.setdefault("content-type", DEFAULT_CONTENT_TYPE)
    return kept


def user_metadata(head: RequestHead) -> dict[str, str]:
    """The ``x-amz-meta-*`` headers by name without the prefix.

    :raises MetadataTooLarge: when names and values take more than 2 KiB."""
    start = len(META_PREFIX)
    found = {name[start:]: value for name, value in head.headers.items() if name.startswith(META_PREFIX)}
    size = sum(len(name) + len(value) for name, value in found.items())
    if size > MAX_METADATA_BYTES:
        raise MetadataTooLarge(Size=str(size), MaxSizeAllowed=str(MAX_METADATA_BYTES))
    return found


def request_tags(head: RequestHead) -> tuple[tuple[str, str], ...]:
    """The tags in ``x-amz-tagging``.

    :raises InvalidArgument: :raises InvalidTag:"""
    value = head.headers.get("x-amz-tagging")
    return tuple(parse_tag_header(value)) if value else ()


def requested_ttl(call: Call, head: RequestHead) -> int:
    """The seconds in ``x-s3gw-ttl``, 0 without one: how long the object lives, in a cache bucket.

    :raises InvalidArgument: for what is no number of seconds.
    :raises InvalidRequest: in another bucket: the object would stay for ever, and nobody would know."""
    value = head.headers.get(TTL)
    if value is None:
        return 0
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and 1 <= int(value) <= MAX_SECONDS):
        raise InvalidArgument(
            f"x-s3gw-ttl must be a number of seconds from 1 to {MAX_SECONDS}", ArgumentName=TTL, ArgumentValue=value
        )
    if call.bucket_info is None or call.bucket_info.cache is None:
        raise InvalidRequest("x-s3gw-ttl needs a bucket with an x-s3gw-cache configuration.", BucketName=call.bucket)
    return int(value)


def overrides(call: Call) -> dict[str, str]:
    """Stored headers that this request wants replaced, by lower-case name, as Latin-1 text of the wire.

    :raises InvalidRequest: for a request without a signature where signatures matter."""
    query = call.head.query
    if not query:
        return {}
    found = {name: value for parameter, name in OVERRIDES.items() if (value := query.get(parameter)) is not None}
    if found and call.verified is None and call.gateway.signatures:
        raise InvalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
    for parameter, value in found.items():
        if any(ord(character) < 0x20 and character != "\t" for character in value):
            raise InvalidArgument(
                "Header value cannot be represented using ISO-8859-1.",
                ArgumentName=f"response-{parameter}",
                ArgumentValue=value,
            )
    return {name: value.encode("utf-8").decode("latin-1") for name, value in found.items()}


def checksum_headers(checksum: Checksum | None) -> Headers:
    """``x-amz-checksum-<algorithm>`` and ``x-amz-checksum-type``."""
    if checksum is None:
        return []
    return [
        (f"x-amz-checksum-{checksum.algorithm.lower()}", checksum.value),
        ("x-amz-checksum-type", checksum.type),
    ]


def object_headers(info: ObjectInfo, replaced: dict[str, str]) -> Headers:
    """What GET and HEAD say of an object, whatever part of it is asked for.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html#API_GetObject_ResponseSyntax"""
    headers = [
        ("Last-Modified", http_date(info.modified)),
        ("ETag", f'"{info.etag}"'),
        ("Accept-Ranges", "bytes"),
    ]
    for name, value in ({**info.headers, **replaced} if replaced else info.headers).items():
        headers.append((STORED[name], value))
    for name, value in info.metadata.items():
        headers.append((META_PREFIX + name, value))
    if info.lock is not None:
        headers += lock_headers(info.lock)
    if info.tags:
        headers.append(("x-amz-tagging-count", str(len(info.tags))))
    return headers
