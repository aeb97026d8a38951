"""What a policy can ask about a request: the condition keys.

A key that the request does not have, such as ``s3:prefix`` of one that lists nothing, is absent, which is not the same
as empty. Names of keys know no case; the key of a tag behind the slash does.

Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html#amazons3-policy-keys
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from s3gw.access.operators import address_of
from s3gw.errors import S3Error
from s3gw.model import ANONYMOUS_ID, Owner
from s3gw.s3.dates import iso8601
from s3gw.s3.head import RequestHead
from s3gw.s3.tags import parse_tag_header
from s3gw.s3.target import parse_copy_source

ANONYMOUS = Owner(ANONYMOUS_ID, "Anonymous")
"""Whoever does not sign."""

Tags = Iterable[tuple[str, str]]


class Facts(msgspec.Struct, frozen=True):
    """One request, as policies see it.

    :ivar peer: the address that the connection comes from. :ivar now: ms since the epoch.
    :ivar owner: canonical id of the bucket's owner.
    :ivar auth_type: how it is signed: ``REST-HEADER``, ``REST-QUERY-STRING``, ``POST``; empty for anonymous.
    :ivar signed_at: ms since the epoch; None for anonymous.
    :ivar existing_tags: of the object that is there; None where there is none to ask about.
    :ivar request_tags: those that the request brings; None for those in its headers.
    :ivar prefix: what the request lists; None for what its query says.
    """

    caller: Owner
    head: RequestHead
    peer: str = ""
    now: int = 0
    owner: str = ""
    auth_type: str = ""
    signed_at: int | None = None
    existing_tags: tuple[tuple[str, str], ...] | None = None
    request_tags: tuple[tuple[str, str], ...] | None = None
    prefix: str | None = None

    @property
    def anonymous(self) -> bool:
        """Whether nobody signed."""
        return self.caller.id == ANONYMOUS.id

    def values(self, key: str) -> tuple[str, ...]:
        """The values of a condition key; none if the request does not have it."""
        name, slash, tag = key.partition("/")
        if slash:
            tags = _TAGGED[name.lower()](self)
            return tuple(value for key, value in tags if key == tag)
        return KEYS[name.lower()](self)


def _one(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


def _header(name: str) -> Callable[[Facts], tuple[str, ...]]:
    return lambda facts: _one(facts.head.headers.get(name))


def _query(name: str) -> Callable[[Facts], tuple[str, ...]]:
    return lambda facts: _one(facts.head.query.get(name))


def _prefix(facts: Facts) -> tuple[str, ...]:
    return _one(facts.head.query.get("prefix") if facts.prefix is None else facts.prefix)


def _copy_source(facts: Facts) -> tuple[str, ...]:
    value = facts.head.headers.get("x-amz-copy-source")
    if value is None:
        return ()
    try:
        source, _ = parse_copy_source(value)
    except S3Error:
        return (value,)
    return (f"{source.bucket}/{source.key}",)


def _request_tags(facts: Facts) -> tuple[tuple[str, str], ...]:
    if facts.request_tags is not None:
        return facts.request_tags
    value = facts.head.headers.get("x-amz-tagging")
    return tuple(parse_tag_header(value)) if value else ()


def _source_ip(facts: Facts) -> tuple[str, ...]:
    address = address_of(facts.peer)
    return () if address is None else (str(address),)


def _age(facts: Facts) -> tuple[str, ...]:
    return () if facts.signed_at is None else (str(facts.now - facts.signed_at),)


def arn_of(user: str) -> str:
    """The ARN by which a policy may name the user with a canonical id."""
    return f"arn:aws:iam:::user/{user}"


def _of_caller(value: Callable[[Owner], str]) -> Callable[[Facts], tuple[str, ...]]:
    return lambda facts: () if facts.anonymous else (value(facts.caller),)


_HEADERS = (
    "x-amz-acl",
    "x-amz-content-sha256",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-metadata-directive",
    "x-amz-object-ownership",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
)

KEYS: Mapping[str, Callable[[Facts], tuple[str, ...]]] = {
    "aws:currenttime": lambda facts: (iso8601(facts.now),),
    "aws:epochtime": lambda facts: (str(facts.now // 1000),),
    "aws:principalaccount": _of_caller(lambda caller: caller.id),
    "aws:principalarn": _of_caller(lambda caller: arn_of(caller.id)),
    "aws:principaltype": lambda facts: ("Anonymous" if facts.anonymous else "User",),
    "aws:referer": _header("referer"),
    "aws:securetransport": lambda facts: ("true" if facts.head.secure else "false",),
    "aws:sourceip": _source_ip,
    "aws:useragent": _header("user-agent"),
    "aws:userid": lambda facts: ("anonymous" if facts.anonymous else facts.caller.id,),
    "aws:username": _of_caller(lambda caller: caller.name),
    "s3:authtype": lambda facts: _one(facts.auth_type or None),
    "s3:delimiter": _query("delimiter"),
    "s3:if-match": _header("if-match"),
    "s3:if-none-match": _header("if-none-match"),
    "s3:max-keys": _query("max-keys"),
    "s3:prefix": _prefix,
    "s3:requestobjecttagkeys": lambda facts: tuple(key for key, _ in _request_tags(facts)),
    "s3:resourceaccount": lambda facts: _one(facts.owner or None),
    "aws:resourceaccount": lambda facts: _one(facts.owner or None),
    "s3:signatureage": _age,
    "s3:signatureversion": lambda facts: _one("AWS4-HMAC-SHA256" if facts.auth_type else None),
    "s3:versionid": _query("versionId"),
    "s3:x-amz-copy-source": _copy_source,
    **{f"s3:{name}": _header(name) for name in _HEADERS},
}
"""The condition keys, in lower case."""

_TAGGED: Mapping[str, Callable[[Facts], Tags]] = {
    "s3:existingobjecttag": lambda facts: facts.existing_tags or (),
    "s3:requestobjecttag": _request_tags,
}
"""The condition keys that name a tag behind a slash, in lower case."""

KNOWN_TO_AWS = frozenset(
    f"aws:{name}"
    for name in [
        "calledvia",
        "calledviafirst",
        "calledvialast",
        "ec2instancesourcevpc",
        "federatedprovider",
        "multifactorauthage",
        "multifactorauthpresent",
        "principalisawsservice",
        "principalorgid",
        "principalorgpaths",
        "principalservicename",
        "principalservicenameslist",
        "requestedregion",
        "resourceorgid",
        "resourceorgpaths",
        "resourcetag",
        "sourceaccount",
        "sourcearn",
        "sourceidentity",
        "sourceorgid",
        "sourceorgpaths",
        "sourcevpc",
        "sourcevpcarn",
        "sourcevpce",
        "tagkeys",
        "tokenissuetime",
        "viaawsservice",
        "vpcsourceip",
        "requesttag",
        "principaltag",
        "sourceowner",
    ]
) | frozenset(
    f"s3:{name}"
    for name in [
        "accessgrantsinstancearn",
        "accesspointnetworkorigin",
        "accesspointtag",
        "dataaccesspointaccount",
        "dataaccesspointarn",
        "destinationregion",
        "existingjoboperation",
        "existingjobpriority",
        "inventoryaccessibleoptionalfields",
        "jobsuspendedcause",
        "locationconstraint",
        "object-lock-legal-hold",
        "object-lock-mode",
        "object-lock-remaining-retention-days",
        "object-lock-retain-until-date",
        "objectcreationoperation",
        "requestjoboperation",
        "requestjobpriority",
        "tlsversion",
        "buckettag",
        "bucketregionname",
        "x-amz-bucket-namespace",
    ]
)
"""Condition keys that AWS has and that are not implemented, in lower case, without what stands behind a slash."""


def is_known(key: str) -> bool:
    """Whether a condition key is one that requests may have."""
    name, slash, tag = key.lower().partition("/")
    return (name in _TAGGED and bool(tag)) if slash else name in KEYS
