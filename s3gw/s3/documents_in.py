"""The documents that S3 requests bring about buckets, deletions and uploads; `tags` and `cors` have their own.

A namespace is optional. Elements that S3 does not know are ignored; what it requires and is missing, doubled or no
number is MalformedXML. The caller has bounded the size of the body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

import msgspec

from s3gw.errors import (
    IllegalVersioningConfigurationException,
    InvalidPartOrder,
    InvalidRequest,
    MalformedXML,
    NotImplemented,
    UserKeyMustBeSpecified,
)
from s3gw.model import ENABLED, SUSPENDED
from s3gw.s3.conditions import unquote_etag
from s3gw.s3.dates import parse_date
from s3gw.s3.markup import Node, read
from s3gw.s3.tags import MAX_BUCKET_TAGS, Tags, read_tags

DISABLED = "Disabled"
MAX_DELETES = 1000
MAX_PARTS = 10_000

_NUMBER = re.compile("[0-9]{1,18}")
_CHECKSUM = "Checksum"


class NewBucket(msgspec.Struct, frozen=True):
    """What CreateBucket asks for. ``location`` is the LocationConstraint, empty when there is none."""

    location: str = ""
    tags: Tags = ()


class Deletion(msgspec.Struct, frozen=True):
    """One object of DeleteObjects.

    :ivar version: empty for the object without regard to versions.
    :ivar etag: only if the object has this ETag (no quotes; ``*`` for any); None for no such condition.
    :ivar modified: only if it was modified in this second since the epoch. :ivar size: only if it has this size.
    """

    key: str
    version: str = ""
    etag: str | None = None
    modified: int | None = None
    size: int | None = None


class Deletions(msgspec.Struct, frozen=True):
    """The body of DeleteObjects. ``quiet``: answer with the failures only."""

    objects: tuple[Deletion, ...]
    quiet: bool = False


class CompletedPart(msgspec.Struct, frozen=True):
    """A part that CompleteMultipartUpload names.

    :ivar etag: no quotes. :ivar checksums: base64 values by algorithm, such as ``CRC32``.
    """

    number: int
    etag: str
    checksums: Mapping[str, str] = {}


def parse_create_bucket(body: bytes) -> NewBucket:
    """A CreateBucketConfiguration; an empty body asks for nothing.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html

    :raises MalformedXML: :raises InvalidTag: :raises BadRequest: for too many tags.
    :raises NotImplemented: for a directory bucket.
    """
    if not body.strip():
        return NewBucket()
    root = read(body, "CreateBucketConfiguration")
    if root.all("Location") or root.all("Bucket"):
        raise NotImplemented("Directory buckets are not implemented")
    tags: Tags = ()
    for node in root.all("Tags"):
        tags += read_tags(node, MAX_BUCKET_TAGS)
    return NewBucket((root.get("LocationConstraint") or "").strip(), tags)


def parse_versioning(body: bytes) -> str:
    """The status in a VersioningConfiguration: ``Enabled`` or ``Suspended``.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html

    :raises MalformedXML: :raises IllegalVersioningConfigurationException: without a status.
    :raises NotImplemented: for MFA Delete.
    """
    root = read(body, "VersioningConfiguration")
    if (root.get("MfaDelete") or DISABLED).strip() != DISABLED:
        raise NotImplemented("MFA Delete is not implemented", Element="MfaDelete")
    status = root.get("Status")
    if status is None:
        raise IllegalVersioningConfigurationException()
    if status.strip() not in (ENABLED, SUSPENDED):
        raise MalformedXML()
    return status.strip()


def parse_delete(body: bytes) -> Deletions:
    """The Delete document of DeleteObjects.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html

    :raises MalformedXML: also for no objects and for more than `MAX_DELETES`.
    :raises UserKeyMustBeSpecified: for an empty key.
    """
    root = read(body, "Delete")
    objects = root.all("Object")
    if not 1 <= len(objects) <= MAX_DELETES:
        raise MalformedXML()
    quiet = (root.get("Quiet") or "").strip().lower()
    return Deletions(tuple(map(_deletion, objects)), quiet in ("true", "1"))


def _deletion(node: Node) -> Deletion:
    key = node.require("Key")
    if not key:
        raise UserKeyMustBeSpecified()
    if len(node.children) == 1:
        return Deletion(key)
    etag, size, time = node.get("ETag"), node.get("Size"), node.get("LastModifiedTime")
    modified = None if time is None else parse_date(time.strip())
    if time is not None and modified is None:
        raise MalformedXML()
    return Deletion(
        key,
        node.get("VersionId") or "",
        None if etag is None else unquote_etag(etag),
        modified,
        None if size is None else _number(size),
    )


def parse_complete(body: bytes) -> tuple[CompletedPart, ...]:
    """The parts of a CompleteMultipartUpload document, by ascending number.

    Of a part that is named several times, as a client does that sent it again, the last mention counts.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html

    :raises MalformedXML: also for more than `MAX_PARTS`, and numbers that are not 1 to `MAX_PARTS`.
    :raises InvalidRequest: for no parts. :raises InvalidPartOrder: when they descend.
    """
    nodes = read(body, "CompleteMultipartUpload").all("Part")
    if not nodes:
        raise InvalidRequest("You must specify at least one part")
    if len(nodes) > MAX_PARTS:
        raise MalformedXML()
    parts = tuple(map(_completed_part, nodes))
    if any(part.number > after.number for part, after in pairwise(parts)):
        raise InvalidPartOrder()
    return tuple({part.number: part for part in parts}.values())


def _completed_part(node: Node) -> CompletedPart:
    number = _number(node.require("PartNumber"))
    if not 1 <= number <= MAX_PARTS:
        raise MalformedXML()
    checksums = {
        child.name.removeprefix(_CHECKSUM): child.text.strip()
        for child in node.children
        if child.name.startswith(_CHECKSUM)
    }
    return CompletedPart(number, unquote_etag(node.require("ETag")), checksums)


def _number(text: str) -> int:
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        raise MalformedXML()
    return int(text)
