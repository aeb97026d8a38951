"""Access control lists: what they grant, and the three ways in which a request brings one.

``None`` is the list that everything begins with: full control for the owner. A list says nothing of the owner's own
rights, which nobody can take away.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

from s3gw.access.facts import ANONYMOUS
from s3gw.errors import (
    AccessDenied,
    InvalidArgument,
    InvalidRequest,
    MalformedACLError,
    NotImplemented,
    UnresolvableGrantByEmailAddress,
)
from s3gw.model import Grant
from s3gw.s3.markup import Node, read

Grants = tuple[Grant, ...] | None

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
GROUPS = (ALL_USERS, AUTHENTICATED_USERS)

READ = "READ"
WRITE = "WRITE"
READ_ACP = "READ_ACP"
WRITE_ACP = "WRITE_ACP"
FULL_CONTROL = "FULL_CONTROL"
PERMISSIONS = (READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL)

MAX_GRANTS = 100

CANNED_HEADER = "x-amz-acl"
GRANT_HEADERS = {
    "x-amz-grant-read": READ,
    "x-amz-grant-write": WRITE,
    "x-amz-grant-read-acp": READ_ACP,
    "x-amz-grant-write-acp": WRITE_ACP,
    "x-amz-grant-full-control": FULL_CONTROL,
}
HEADERS = frozenset({CANNED_HEADER, *GRANT_HEADERS})

CANNED = frozenset(
    {
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-full-control",
        "bucket-owner-read",
        "log-delivery-write",
        "private",
        "public-read",
        "public-read-write",
    }
)
UNSUPPORTED = frozenset({"aws-exec-read", "log-delivery-write"})
"""They grant to services of AWS that are not here."""

_GRANTEE = re.compile(r'\s*(id|uri|emailaddress)\s*=\s*(?:"([^"]*)"|([^",\s]*))\s*(?:,|$)', re.IGNORECASE)
_CANONICAL_USER = "CanonicalUser"


class Directory(Protocol):
    """The users that can be granted something."""

    def knows(self, user: str) -> bool:
        """Whether there is a user with this canonical id."""

    def id_of_email(self, address: str) -> str | None:
        """The canonical id of the user with an e-mail address."""


def canned(name: str, owner: str, bucket_owner: str | None) -> Grants:
    """The list that a canned ACL stands for.

    :param owner: canonical id of whose thing it is.
    :param bucket_owner: of the bucket's owner; None for the list of a bucket, where S3 ignores the grants to it.
    :raises InvalidArgument: :raises NotImplemented: for one that grants to a service of AWS."""
    if name not in CANNED:
        raise InvalidArgument(ArgumentName=CANNED_HEADER, ArgumentValue=name)
    if name in UNSUPPORTED:
        raise NotImplemented(f"The canned ACL {name} is not implemented.", Header=CANNED_HEADER)
    own = Grant(FULL_CONTROL, owner)
    match name:
        case "public-read":
            return Grant(READ, group=ALL_USERS), own
        case "public-read-write":
            return Grant(READ, group=ALL_USERS), Grant(WRITE, group=ALL_USERS), own
        case "authenticated-read":
            return Grant(READ, group=AUTHENTICATED_USERS), own
        case "bucket-owner-read" if bucket_owner not in (None, owner):
            return own, Grant(READ, bucket_owner or "")
        case "bucket-owner-full-control" if bucket_owner not in (None, owner):
            return own, Grant(FULL_CONTROL, bucket_owner or "")
    return None


def of_headers(headers: Mapping[str, str], owner: str, bucket_owner: str | None, directory: Directory) -> Grants:
    """The list that the headers of a request ask for; None for none.

    :raises InvalidRequest: for both a canned ACL and grants.
    :raises InvalidArgument: :raises UnresolvableGrantByEmailAddress: :raises NotImplemented:"""
    name = headers.get(CANNED_HEADER)
    grants = [
        _grantee(kind, value, permission, directory)
        for header, permission in GRANT_HEADERS.items()
        for kind, value in _grantees(header, headers.get(header, ""))
    ]
    if name is None:
        return _bounded(grants) if grants else None
    if grants:
        raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
    return canned(name, owner, bucket_owner)


def _grantees(header: str, value: str) -> list[tuple[str, str]]:
    found = []
    at = 0
    while at < len(value):
        match = _GRANTEE.match(value, at)
        if match is None:
            raise InvalidArgument("Argument format not recognized", ArgumentName=header, ArgumentValue=value)
        found.append((match[1].lower(), match[2] if match[2] is not None else match[3]))
        at = match.end()
    return found


def _grantee(kind: str, value: str, permission: str, directory: Directory) -> Grant:
    if kind == "uri":
        if value == LOG_DELIVERY:
            raise NotImplemented("Grants to the log delivery group are not implemented.", Grantee=value)
        if value not in GROUPS:
            raise InvalidArgument("Invalid group uri", ArgumentName="uri", ArgumentValue=value)
        return Grant(permission, group=value)
    if kind == "emailaddress":
        user = directory.id_of_email(value)
        if user is None:
            raise UnresolvableGrantByEmailAddress()
        return Grant(permission, user)
    if value != ANONYMOUS.id and not directory.knows(value):
        raise InvalidArgument("Invalid id", ArgumentName=f"{_CANONICAL_USER}/ID", ArgumentValue=value)
    return Grant(permission, value)


def _bounded(grants: list[Grant]) -> tuple[Grant, ...]:
    if len(grants) > MAX_GRANTS:
        raise MalformedACLError(f"An access control list has at most {MAX_GRANTS} grants.")
    return tuple(grants)


def parse_acl(body: bytes, owner: str, directory: Directory) -> tuple[Grant, ...]:
    """The grants of an AccessControlPolicy document.

    :param owner: canonical id of whose list it is to be: no document gives a thing to somebody else.
    :raises MalformedXML: :raises MalformedACLError: :raises AccessDenied: :raises InvalidArgument:
    :raises UnresolvableGrantByEmailAddress: :raises NotImplemented:"""
    root = read(body, "AccessControlPolicy")
    lists, owners = root.all("AccessControlList"), root.all("Owner")
    if len(lists) != 1 or len(owners) > 1:
        raise MalformedACLError()
    if owners and owners[0].get("ID") not in (None, owner):
        raise AccessDenied()
    return _bounded([_grant(node, directory) for node in lists[0].all("Grant")])


def _grant(node: Node, directory: Directory) -> Grant:
    permission = (node.get("Permission") or "").strip()
    grantees = node.all("Grantee")
    if permission not in PERMISSIONS or len(grantees) != 1:
        raise MalformedACLError()
    # What kind of grantee it is, xsi:type says again; the element that identifies it says it as well.
    for element, kind in (("ID", "id"), ("URI", "uri"), ("EmailAddress", "emailaddress")):
        value = grantees[0].get(element)
        if value is not None:
            return _grantee(kind, value.strip(), permission, directory)
    raise MalformedACLError()


def grants_to(grants: Grants, caller: str, permission: str, *, ignore_groups: bool = False) -> bool:
    """Whether a list grants ``permission`` to a caller, the owner's own rights apart."""
    return any(
        grant.permission in (permission, FULL_CONTROL)
        and (
            grant.user == caller
            if not grant.group
            else not ignore_groups and (grant.group == ALL_USERS or caller != ANONYMOUS.id)
        )
        for grant in grants or ()
    )


def is_public(grants: Grants) -> bool:
    """Whether a list grants anything to a group, so that it is for people that it does not name."""
    return any(grant.group for grant in grants or ())


def grants_beyond(grants: Grants, owner: str, bucket_owner: str) -> bool:
    """Whether a list grants something to others than the object's owner and the bucket's."""
    return any(grant.group or grant.user not in (owner, bucket_owner) for grant in grants or ())


def is_only_full_control(grants: Grants, owner: str) -> bool:
    """Whether a list says what is so without it: full control for one owner, nothing for others."""
    return grants is None or all(
        grant.permission == FULL_CONTROL and grant.user == owner and not grant.group for grant in grants
    )


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[Grant, ...]).decode


def stored(grants: Grants) -> bytes | None:
    """A list as a bucket keeps it among its documents."""
    return None if grants is None else _encode(grants)


def from_stored(document: bytes | None) -> Grants:
    """The list that `stored` wrote."""
    return None if document is None else _decode(document)
