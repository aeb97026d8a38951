"""What a request addresses: the service, a bucket, or an object.

============================  =====================================  ==========================
Host                          raw path                               target
============================  =====================================  ==========================
any                           ``/``                                  `Service`
path style                    ``/bucket``, ``/bucket/``              `Bucket`
path style                    ``/bucket/key//with/../all/of/it/``    `Object`
``bucket.<suffix>``           ``/``                                  `Bucket`
``bucket.<suffix>``           ``/key``                               `Object`
any, where one bucket is      ``/``, ``/key``                        `Bucket`, `Object`
all that is served
============================  =====================================  ==========================

The raw path is split before it is decoded: ``/b%2Fk`` is not ``/b/k``. Nothing is normalised, since ``//``, ``..`` and
a trailing slash are parts of a key like any other.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from s3gw.errors import InvalidArgument, InvalidBucketName, InvalidRequest, InvalidURI, KeyTooLongError
from s3gw.s3.head import RequestHead, decode
from s3gw.s3.memo import LONGEST

MAX_KEY_BYTES = 1024
"""The longest key, in bytes of UTF-8."""

RESERVED_NAMES = frozenset({"metrics", "_health"})
"""Paths of the gateway's own, which no bucket may hide."""

_LOCALHOST = "localhost"
_IPV4 = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_BUCKET_NAME = re.compile(rf"(?=.{{3,63}}\Z){_LABEL}(?:\.{_LABEL})*")
# What could ever have been a bucket: names of before 2018 had capitals, underscores and up to 255 characters.
_ANY_BUCKET_NAME = re.compile(r"[A-Za-z0-9._-]{3,255}")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


class Service(msgspec.Struct, frozen=True):
    """The account's buckets as a whole."""


class Bucket(msgspec.Struct, frozen=True):
    """A bucket. The name has a bucket name's characters, and need not satisfy `check_bucket_name`."""

    name: str


class Object(msgspec.Struct, frozen=True):
    """A key in a bucket. The key is 1 to `MAX_KEY_BYTES` bytes of UTF-8 and has no NUL."""

    bucket: str
    key: str


Target = Service | Bucket | Object

_SERVICE = Service()


def parse_target(head: RequestHead, suffixes: Sequence[str] = (), only: str = "") -> Target:
    """What ``head`` addresses.

    :param suffixes: lower-case domain names that stand behind the bucket in virtual-host style; ``localhost`` always
        counts as one.
    :param only: the one bucket that is served where the request arrived: its path is a key, whatever it looks like.
    :raises InvalidURI: for a path that does not start with ``/``, a malformed escape, bytes that are not UTF-8, or NUL.
    :raises InvalidBucketName: for a name that no bucket can have.
    :raises InvalidRequest: when Host names another bucket than ``only``.
    :raises KeyTooLongError:
    """
    return target_at(head.raw_path, head.headers.get("host"), suffixes, only)


def target_at(path: str, host: str | None, suffixes: Sequence[str] = (), only: str = "") -> Target:
    """As `parse_target`, of the raw path and the Host header, on which alone it depends."""
    if path[:1] != "/" or ("%" in path and _BAD_ESCAPE.search(path)):
        raise InvalidURI()
    name = bucket_of_host(host, tuple(suffixes)) if host else None
    if only:
        if name not in (None, only):
            raise InvalidRequest(f"Only the bucket {only} is served at this address.", BucketName=name)
        name = only
    if name is None:
        raw_name, _, raw_key = path[1:].partition("/")
        if not raw_name:
            if raw_key:
                raise InvalidBucketName(BucketName="")
            return _SERVICE
        name = decode(raw_name)
    else:
        raw_key = path[1:]
    if _ANY_BUCKET_NAME.fullmatch(name) is None:
        raise InvalidBucketName(BucketName=name)
    if not raw_key:
        return Bucket(name)
    return Object(name, check_key(decode(raw_key)))


def check_key(key: str) -> str:
    """``key``, if an object can have it.

    :raises KeyTooLongError: :raises InvalidURI: when it has a NUL."""
    if "\0" in key:
        raise InvalidURI()
    # No character takes more than four bytes, so most keys need no encoding to be measured.
    if len(key) * 4 > MAX_KEY_BYTES and (size := len(key.encode())) > MAX_KEY_BYTES:
        raise KeyTooLongError(Size=str(size), MaxSizeAllowed=str(MAX_KEY_BYTES))
    return key


def parse_copy_source(value: str) -> tuple[Object, str]:
    """The object that ``x-amz-copy-source`` names, and its version; an empty one when it names none.

    ``bucket/key?versionId=id``, percent-encoded, with or without a slash before it; ``+`` is a plus. Unlike a path it
    is decoded before it is split, since clients encode the slash between bucket and key too.

    :raises InvalidArgument: for anything else. :raises KeyTooLongError:
    """
    path, _, version = value.partition("?versionId=")
    try:
        name, _, key = decode(path).removeprefix("/").partition("/")
        if not key or _ANY_BUCKET_NAME.fullmatch(name) is None or _BAD_ESCAPE.search(path):
            raise InvalidURI()
        return Object(name, check_key(key)), decode(version)
    except InvalidURI:
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ArgumentName="x-amz-copy-source",
            ArgumentValue=value,
        ) from None


def bucket_of_host(host: str, suffixes: tuple[str, ...] = ()) -> str | None:
    """The bucket that a Host header names in virtual-host style; None in path style.

    An IP address and a bare suffix are path style; of several suffixes that fit, the longest counts.
    """
    return (_bucket_of_host if len(host) <= LONGEST else _bucket_of_host.__wrapped__)(host, suffixes)


@lru_cache(1024)
def _bucket_of_host(host: str, suffixes: tuple[str, ...]) -> str | None:
    name = host.lower()
    if name.startswith("["):
        return None
    name = name.partition(":")[0].removesuffix(".")
    domains = (_LOCALHOST, *suffixes)
    if name in domains or _IPV4.fullmatch(name):
        return None
    fitting = [suffix for suffix in domains if name.endswith("." + suffix)]
    if not fitting:
        return None
    return name[: -len(max(fitting, key=len)) - 1] or None


def check_bucket_name(name: str) -> str:
    """``name``, if a new bucket may have it.

    The rules for general purpose buckets; the older one that each label begins and ends with a letter or digit, which
    TLS and DNS need, is among them.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html

    :raises InvalidBucketName:
    """
    if (
        _BUCKET_NAME.fullmatch(name) is None
        or _IPV4.fullmatch(name)
        or name.startswith(_RESERVED_PREFIXES)
        or name.endswith(_RESERVED_SUFFIXES)
        or name in RESERVED_NAMES
    ):
        raise InvalidBucketName(BucketName=name)
    return name
