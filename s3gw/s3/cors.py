"""The rules of a bucket for requests from other origins: the document that sets them, and what they make of a request.

============ ======================================================== =================================================
request      the first rule that names all of                         gives, beside the answer
============ ======================================================== =================================================
preflight    Origin, Access-Control-Request-Method and each of        Access-Control-Allow-Origin, -Methods, -Headers,
(OPTIONS)    Access-Control-Request-Headers; without one: 403         -Credentials, -Max-Age, -Expose-Headers
any other    Origin and the method; without one: nothing is given     the same, -Headers apart
============ ======================================================== =================================================

Where an origin is allowed because all are (``*``), the answer says ``*`` and nothing of credentials; any other origin
is repeated to the client, and its credentials are welcome. ``Vary`` tells caches that it all depends on who asked.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from s3gw.errors import AccessForbidden, BadRequest, InvalidRequest, MalformedXML
from s3gw.s3.head import RequestHead
from s3gw.s3.markup import Node, read

MAX_RULES = 100
MAX_ASKED = 100
"""Headers that a preflight may ask for; each is held against each pattern of each rule."""

METHODS = frozenset({"GET", "PUT", "HEAD", "POST", "DELETE"})

VARY = ("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
NOT_ENABLED = "CORSResponse: CORS is not enabled for this bucket."
NO_BUCKET = "CORSResponse: Bucket not found"

_HEADER_NAME = re.compile("[A-Za-z0-9!#$%&'+.^_`|~-]+")

Rules = tuple["CORSRule", ...]


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

    @property
    def patterns(self) -> tuple[str, ...]:
        """`headers` in lower case, as names of headers are compared."""
        return _lowered(self.headers)

    def allows(self, origin: str, method: str, headers: Iterable[str] = ()) -> bool:
        """Whether ``origin`` may use ``method`` and send ``headers``, which are in lower case."""
        return (
            method in self.methods
            and any(_matches(pattern, origin) for pattern in self.origins)
            and ("*" in self.headers or all(any(_matches(each, name) for each in self.patterns) for name in headers))
        )

    def answer(self, origin: str) -> list[tuple[str, str]]:
        """The headers of an answer to ``origin``, which is allowed."""
        everybody = "*" in self.origins
        found = [
            ("Access-Control-Allow-Origin", "*" if everybody else origin),
            ("Access-Control-Allow-Methods", ", ".join(self.methods)),
        ]
        if self.expose:
            found.append(("Access-Control-Expose-Headers", ", ".join(self.expose)))
        if self.max_age is not None:
            found.append(("Access-Control-Max-Age", str(self.max_age)))
        if not everybody:
            found.append(("Access-Control-Allow-Credentials", "true"))
        return found


@lru_cache(maxsize=512)
def _lowered(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(pattern.lower() for pattern in patterns)


def _matches(pattern: str, text: str) -> bool:
    before, star, behind = pattern.partition("*")
    if not star:
        return pattern == text
    return len(text) >= len(before) + len(behind) and text.startswith(before) and text.endswith(behind)


def answer_headers(rules: Rules, head: RequestHead) -> list[tuple[str, str]]:
    """What the answer to a request with an Origin says beside the rest; for a request that is no preflight.

    A method in Access-Control-Request-Method counts instead of the request's own: a client may ask so what it would be
    told.
    """
    origin = head.headers.get("origin", "")
    method = head.headers.get("access-control-request-method") or head.method
    rule = next((rule for rule in rules if rule.allows(origin, method)), None)
    return [] if rule is None else [*rule.answer(origin), VARY]


def preflight_method(head: RequestHead) -> str:
    """The method that a preflight asks for. :raises BadRequest: when it is no preflight that S3 understands."""
    if not head.headers.get("origin"):
        raise BadRequest("Insufficient information. Origin request header needed.")
    method = head.headers.get("access-control-request-method")
    if method not in METHODS:
        raise BadRequest(f"Invalid Access-Control-Request-Method: {'null' if method is None else method}")
    return method


def preflight_headers(rules: Rules, head: RequestHead, resource: str) -> list[tuple[str, str]]:
    """What the answer to a preflight says.

    :param resource: ``BUCKET`` or ``OBJECT``, for the error.
    :raises BadRequest: as `preflight_method`. :raises AccessForbidden: when no rule allows the request.
    """
    method = preflight_method(head)
    origin = head.headers["origin"]
    asked = head.headers.get("access-control-request-headers", "").lower().split(",")
    wanted = list(dict.fromkeys(name for each in asked if (name := each.strip())))
    if len(wanted) > MAX_ASKED:
        raise BadRequest("Access-Control-Request-Headers names too many headers")
    rule = next((rule for rule in rules if rule.allows(origin, method, wanted)), None)
    if rule is None:
        raise AccessForbidden(Method=method, ResourceType=resource)
    headers = rule.answer(origin)
    if wanted:
        headers.append(("Access-Control-Allow-Headers", ", ".join(wanted)))
    return [*headers, VARY]


@lru_cache(maxsize=128)
def stored_rules(document: bytes) -> Rules:
    """The rules of a document that `parse_cors` took once."""
    return parse_cors(document)


def parse_cors(body: bytes) -> Rules:
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
        if not _HEADER_NAME.fullmatch(value):
            raise InvalidRequest(f'ExposeHeader "{value}" is not the name of a header.')
    return CORSRule(origins, methods, headers, expose, None if max_age is None else int(max_age), name)
