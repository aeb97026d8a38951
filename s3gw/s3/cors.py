"""The rules of a bucket for requests from other origins: the document that sets them, and its checks.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html
"""

from __future__ import annotations

import re

import msgspec

from s3gw.errors import InvalidRequest, MalformedXML
from s3gw.s3.markup import Node, read

MAX_RULES = 100
METHODS = frozenset({"GET", "PUT", "HEAD", "POST", "DELETE"})


class CORSRule(msgspec.Struct, frozen=True):
    """What requests from ``origins`` may do. An origin or header has at most one ``*``.

    :ivar headers: what a preflight may ask to send. :ivar expose: what a script may read of the response.
    :ivar max_age: how many seconds a browser may remember the answer to a preflight; None to say nothing.
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    max_age: int | None = None
    id: str = ""


def parse_cors(body: bytes) -> tuple[CORSRule, ...]:
    """The rules of a CORSConfiguration document, in order.

    :raises MalformedXML: also for no rules, more than `MAX_RULES`, and a rule without an origin or a method.
    :raises InvalidRequest: for a method, wildcard or exposed header that S3 does not support.
    """
    rules = read(body, "CORSConfiguration").all("CORSRule")
    if not 1 <= len(rules) <= MAX_RULES:
        raise MalformedXML()
    return tuple(map(_rule, rules))


def _rule(node: Node) -> CORSRule:
    origins, methods, headers, expose = (
        tuple(child.text for child in node.all(name))
        for name in ("AllowedOrigin", "AllowedMethod", "AllowedHeader", "ExposeHeader")
    )
    max_age = node.get("MaxAgeSeconds")
    name = node.get("ID") or ""
    if not origins or not methods or len(name) > 255:
        raise MalformedXML()
    if max_age is not None and not re.fullmatch("[0-9]{1,9}", max_age.strip()):
        raise MalformedXML()
    for method in methods:
        if method not in METHODS:
            raise InvalidRequest(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    for kind, values in (("AllowedOrigin", origins), ("AllowedHeader", headers)):
        for value in values:
            if value.count("*") > 1:
                raise InvalidRequest(f'{kind} "{value}" can not have more than one wildcard.')
    for value in expose:
        if "*" in value:
            raise InvalidRequest(
                f'ExposeHeader "{value}" contains wildcard. We currently do not support wildcard for ExposeHeader.'
            )
    return CORSRule(origins, methods, headers, expose, None if max_age is None else int(max_age), name)
