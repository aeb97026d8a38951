"""Tags: the rules for them, and the two ways in which a request brings them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from s3gw.errors import BadRequest, InvalidArgument, InvalidTag, MalformedXML
from s3gw.s3.markup import Node, read

Tags = tuple[tuple[str, str], ...]

MAX_OBJECT_TAGS = 10
MAX_BUCKET_TAGS = 50
MAX_KEY_LENGTH = 128
MAX_VALUE_LENGTH = 256

# Letters, numbers and separators of Unicode (no controls, so no tab), and a few symbols.
_ALLOWED = re.compile(r"(?:[\w.:/=+@-]|[^\S\t-\r\x1c-\x1f\x85])*")
_RESERVED = "aws:"
_OF_OBJECTS = "Your TagKey cannot be prefixed with aws:"
_OF_BUCKETS = "System tags cannot be added/updated by requester"
_HEADER = "x-amz-tagging"
_HEADER_FORM = (
    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
    "duplicates."
)


def parse_tagging(body: bytes, limit: int = MAX_OBJECT_TAGS) -> Tags:
    """The tags of a Tagging document, in its order.

    :param limit: the most that there may be: `MAX_OBJECT_TAGS` or `MAX_BUCKET_TAGS`.
    :raises MalformedXML: :raises InvalidTag: :raises BadRequest: for too many of a bucket.
    """
    sets = read(body, "Tagging").all("TagSet")
    if len(sets) != 1:
        raise MalformedXML()
    return read_tags(sets[0], limit)


def read_tags(node: Node, limit: int) -> Tags:
    """The Tag elements in ``node``. Raises as `parse_tagging`."""
    return check_tags([(tag.require("Key"), tag.require("Value")) for tag in node.all("Tag")], limit)


def parse_tag_header(value: str) -> Tags:
    """The tags of ``x-amz-tagging: a=b&c=d``, by key; form-encoded, a key without ``=`` having the empty value.

    :raises InvalidArgument: for another form. :raises InvalidTag:
    """
    tags = []
    for piece in filter(None, value.split("&")):
        key, _, tag_value = piece.partition("=")
        if "=" in tag_value:
            raise _malformed(value)
        try:
            tags.append((_decode(key), _decode(tag_value)))
        except UnicodeDecodeError:
            raise _malformed(value) from None
    if len({key for key, _ in tags}) < len(tags):
        raise _malformed(value)
    return check_tags(sorted(tags), MAX_OBJECT_TAGS)


def check_tags(tags: Sequence[tuple[str, str]], limit: int) -> Tags:
    """``tags``, if S3 takes them. :raises InvalidTag: :raises BadRequest: for too many of a bucket."""
    if len(tags) > limit:
        if limit == MAX_OBJECT_TAGS:
            raise InvalidTag(f"Object tags cannot be greater than {limit}")
        raise BadRequest(f"Bucket tags cannot be greater than {limit}")
    seen: set[str] = set()
    for key, value in tags:
        if not 1 <= len(key) <= MAX_KEY_LENGTH or not _ALLOWED.fullmatch(key):
            raise InvalidTag("The TagKey you have provided is invalid", TagKey=key)
        if len(value) > MAX_VALUE_LENGTH or not _ALLOWED.fullmatch(value):
            raise InvalidTag("The TagValue you have provided is invalid", TagKey=key, TagValue=value)
        if key.startswith(_RESERVED):
            raise InvalidTag(_OF_OBJECTS if limit == MAX_OBJECT_TAGS else _OF_BUCKETS, TagKey=key)
        if key in seen:
            raise InvalidTag("Cannot provide multiple Tags with the same key", TagKey=key)
        seen.add(key)
    return tuple(tags)


def _decode(quoted: str) -> str:
    """A piece of the header, which is Latin-1 text of the wire, percent-decoded as UTF-8 with ``+`` for a space."""
    return unquote_to_bytes(quoted.replace("+", " ").encode("latin-1")).decode()


def _malformed(value: str) -> InvalidArgument:
    return InvalidArgument(_HEADER_FORM, ArgumentName=_HEADER, ArgumentValue=value)
