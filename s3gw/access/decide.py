"""The one place that decides whether a request may be.

In this order: what a policy denies is denied; what it allows is allowed; else owners may, and those to whom a list
grants it; else nobody. Three things narrow that:

* An owner cannot lock itself out: it may read, replace and delete its bucket's policy whatever that says.
* A policy is the word of the bucket's owner. It can deny anything, and allow what that owner may do: not what lists
  grant of an object that belongs to somebody else.
* What a bucket keeps from the public (`PublicAccessBlock`) and whom it makes the owner of all objects
  (``BucketOwnerEnforced``, which does away with lists) comes before lists and policies.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-auth-workflow-object-operation.html
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from s3gw.access.acl import Grants, from_stored, grants_to
from s3gw.access.controls import (
    BUCKET_OWNER_ENFORCED,
    OBJECT_WRITER,
    PublicAccessBlock,
    parse_ownership_controls,
    parse_public_access_block,
)
from s3gw.access.facts import ANONYMOUS, Facts
from s3gw.access.permissions import Of, Permission
from s3gw.access.policy import RESOURCE, Effect, Policy, parse_policy
from s3gw.model import BucketInfo

ACL = "acl"
POLICY = "policy"
PUBLIC_ACCESS_BLOCK = "publicAccessBlock"
OWNERSHIP_CONTROLS = "ownershipControls"
"""Where a bucket keeps what says who may use it."""

OWN_POLICY = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
"""Actions that no policy can deny to the bucket's owner."""


class Rules(msgspec.Struct, frozen=True):
    """What a bucket says about who may use it.

    :ivar owner: canonical id; empty for a bucket that was made when nobody signed: it belongs to all who do.
    """

    owner: str
    policy: Policy | None = None
    grants: Grants = None
    block: PublicAccessBlock = PublicAccessBlock()
    ownership: str = OBJECT_WRITER

    @property
    def enforced(self) -> bool:
        """Whether the bucket's owner owns all objects, and lists mean nothing."""
        return self.ownership == BUCKET_OWNER_ENFORCED

    def owned_by(self, caller: str) -> bool:
        """Whether a caller is the bucket's owner."""
        return caller == self.owner or (not self.owner and caller != ANONYMOUS.id)


class Subject(msgspec.Struct, frozen=True):
    """The object or upload that a request is about. ``owner`` is who began an upload."""

    owner: str
    grants: Grants = None


def rules_of(info: BucketInfo) -> Rules:
    """What a bucket's record says. It is read once for all requests that find the same record."""
    get = info.documents.get
    return _rules(info.name, info.owner, get(POLICY), get(ACL), get(PUBLIC_ACCESS_BLOCK), get(OWNERSHIP_CONTROLS))


@lru_cache(maxsize=256)
def _rules(
    name: str, owner: str, policy: bytes | None, acl: bytes | None, block: bytes | None, ownership: bytes | None
) -> Rules:
    return Rules(
        owner,
        None if policy is None else parse_policy(policy, name),
        from_stored(acl),
        PublicAccessBlock() if block is None else parse_public_access_block(block),
        OBJECT_WRITER if ownership is None else parse_ownership_controls(ownership),
    )


def resource_of(bucket: str, key: str, permission: Permission) -> str:
    """The ARN of what a permission is about."""
    return RESOURCE + (bucket if permission.of is Of.BUCKET else f"{bucket}/{key}")


def allowed(
    permission: Permission,
    rules: Rules,
    resource: str,
    facts: Facts,
    subject: Subject | None = None,
    *,
    versioned: bool = False,
) -> bool:
    """Whether the caller in ``facts`` may.

    :param permission: what it takes. :param rules: of the bucket. :param resource: the ARN that policies name.
    :param subject: the object of an ``Of.OBJECT``, the upload of an ``Of.UPLOAD``.
    :param versioned: whether the request names a version."""
    if permission.of is Of.NOTHING:
        return True
    if permission.of is Of.SERVICE:
        return not facts.anonymous
    actions = permission.versioned if versioned else permission.actions
    return all(_allows(action, permission, rules, resource, facts, subject) for action in actions)


def _allows(
    action: str, permission: Permission, rules: Rules, resource: str, facts: Facts, subject: Subject | None
) -> bool:
    owns = rules.owned_by(facts.caller.id)
    effect = Effect.SILENT if rules.policy is None else rules.policy.says(action, resource, facts)
    if effect is Effect.DENY and not (owns and action in OWN_POLICY):
        return False
    if effect is Effect.ALLOW and _heeds(rules, permission, subject, owns=owns):
        return True
    return _has(permission, rules, facts, subject, owns=owns)


def _heeds(rules: Rules, permission: Permission, subject: Subject | None, *, owns: bool) -> bool:
    """Whether what the policy allows counts."""
    if rules.block.restrict and rules.policy is not None and rules.policy.public and not owns:
        return False
    of_writer = permission.of is Of.OBJECT and permission.grant
    return not of_writer or subject is None or _owner_of(subject, rules) == rules.owner


def _has(permission: Permission, rules: Rules, facts: Facts, subject: Subject | None, *, owns: bool) -> bool:
    """Whether the caller may without a policy: as an owner, or by a list."""
    caller = facts.caller.id
    grants = rules.grants
    if permission.of is Of.OBJECT:
        if subject is None:
            return owns
        owner = _owner_of(subject, rules)
        # What no list can grant, such as tags, the owner of the bucket has of everybody's objects.
        if owner == caller or (owns and (owner == rules.owner or not permission.grant)):
            return True
        grants = subject.grants
    elif owns:
        return True
    elif permission.of is Of.UPLOAD:
        return subject is not None and subject.owner == caller
    if rules.enforced or not permission.grant:
        return False
    return grants_to(grants, caller, permission.grant, ignore_groups=rules.block.ignore_acls)


def _owner_of(subject: Subject, rules: Rules) -> str:
    """Whose an object is. One that was made when nobody signed is the bucket owner's."""
    return rules.owner if rules.enforced or not subject.owner else subject.owner
