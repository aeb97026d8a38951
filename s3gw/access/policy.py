"""Bucket policies: who may do what with a bucket and its objects, and under which conditions.

::

    {"Version": "2012-10-17", "Id": "...", "Statement": [{"Sid": "...", "Effect": "Allow",
      "Principal": {"AWS": ["<canonical id>", "arn:aws:iam:::user/<canonical id>"]},     or NotPrincipal, or "*"
      "Action": ["s3:GetObject", "s3:List*"],                                            or NotAction
      "Resource": "arn:aws:s3:::bucket/prefix/*",                                        or NotResource
      "Condition": {"StringLike": {"aws:Referer": ["https://example.com/*"]}}}]}

A statement speaks of a request when all of its elements fit. One that denies wins over all that allow; a request that
no statement speaks of is left to owners and access control lists (`s3gw.access.decide`).

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-policy-language-overview.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from ipaddress import ip_network
from typing import Any, NamedTuple, NoReturn

from s3gw.access.actions import ACTIONS
from s3gw.access.facts import KNOWN_TO_AWS, Facts, is_known
from s3gw.access.glob import ANY, STAR, Atom, Variable, atoms, fill, matches
from s3gw.access.operators import ALL_VALUES, Condition
from s3gw.errors import MalformedPolicy, NotImplemented

MAX_BYTES = 20 * 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html"""

MAX_QUESTION_MARKS = 256
"""Each may have to be tried at each place of a text; all else is found in one pass."""

VERSIONS = ("2008-10-17", "2012-10-17")
RESOURCE = "arn:aws:s3:::"
"""What the ARN of every bucket and key begins with."""

_ELEMENTS = frozenset(
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"],
)
_NOT_JSON = "Policies must be valid JSON and the first byte must be '{'"
_BAD_PRINCIPAL = "Invalid principal in policy"
_BAD_RESOURCE = "Policy has invalid resource"
_ID = r"[!-)+-~]+"  # any canonical id: printable, no space; nor a wild card, which is for everybody or nobody
_USER = re.compile(rf"arn:aws:iam::(?P<account>[^:*?\s]*):user/(?P<path>{_ID})")
_ROOT = re.compile(rf"arn:aws:iam::(?P<account>{_ID}):root")
_NOBODY = re.compile(rf"arn:aws:(?:iam::[^:*?\s]+:role/|sts::[^:*?\s]+:(?:assumed-role|federated-user)/){_ID}")


class Effect(Enum):
    """What a policy says of a request."""

    ALLOW = "Allow"
    DENY = "Deny"
    SILENT = ""


class Principals(NamedTuple):
    """Whom a statement is about: ``everyone``, or the users with these canonical ids; ``negated``: all others."""

    everyone: bool
    ids: frozenset[str]
    negated: bool = False

    def include(self, caller: str) -> bool:
        """Whether a caller is one of them."""
        return (self.everyone or caller in self.ids) is not self.negated


class Statement(NamedTuple):
    """One statement, ready to be asked. ``actions`` are patterns in lower case."""

    effect: Effect
    principals: Principals
    actions: tuple[tuple[Atom, ...], ...]
    not_actions: bool
    resources: tuple[tuple[Atom, ...], ...]
    not_resources: bool
    conditions: tuple[Condition, ...]

    def speaks_of(self, action: str, resource: str, facts: Facts) -> bool:
        """Whether it is about a request."""
        return (
            self.principals.include(facts.caller.id)
            and any(matches(pattern, action.lower()) for pattern in self.actions) is not self.not_actions
            and any(self._covers(pattern, resource, facts) for pattern in self.resources) is not self.not_resources
            and all(condition.holds(facts.values) for condition in self.conditions)
        )

    @staticmethod
    def _covers(pattern: Sequence[Atom], resource: str, facts: Facts) -> bool:
        filled = fill(pattern, facts.values)
        return filled is not None and matches(filled, resource)


class Policy(NamedTuple):
    """A whole policy. ``public``: whether it lets in callers that it does not name, as S3 sees it."""

    statements: tuple[Statement, ...]
    public: bool

    def says(self, action: str, resource: str, facts: Facts) -> Effect:
        """What it says of a request: ``action`` as ``s3:GetObject``, ``resource`` as its ARN."""
        effect = Effect.SILENT
        for statement in self.statements:
            # What allows nothing new need not be asked.
            if statement.effect is not effect and statement.speaks_of(action, resource, facts):
                effect = statement.effect
                if effect is Effect.DENY:
                    break
        return effect


def parse_policy(document: bytes, bucket: str) -> Policy:
    """The policy of ``bucket`` that a document describes.

    :raises MalformedPolicy: for what is no policy, or not one of this bucket.
    :raises NotImplemented: for what AWS knows and this gateway does not, by name."""
    if len(document) > MAX_BYTES:
        raise MalformedPolicy("Policy exceeds the maximum allowed document size.")
    top = _load(document)
    for name in top.keys() - {"Version", "Id", "Statement"}:
        raise MalformedPolicy(f"Unknown field {name}")
    version = top.get("Version", VERSIONS[0])
    if version not in VERSIONS:
        raise MalformedPolicy("The policy must contain a valid version string")
    if not isinstance(top.get("Id", ""), str):
        raise MalformedPolicy("Policy has an invalid Id")
    if "Statement" not in top:
        raise MalformedPolicy("Missing required field Statement")
    entries = top["Statement"] if isinstance(top["Statement"], list) else [top["Statement"]]
    if not entries:
        raise MalformedPolicy("Could not parse the policy: Statement is empty!")
    if not all(isinstance(entry, dict) for entry in entries):
        raise MalformedPolicy("Could not parse the policy: a statement must be an object")
    named = [entry["Sid"] for entry in entries if "Sid" in entry]
    if not all(isinstance(sid, str) for sid in named):
        raise MalformedPolicy("Policy has an invalid Sid")
    if len(set(filter(None, named))) < len(list(filter(None, named))):
        raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique.")
    statements = tuple(_statement(entry, bucket, variables=version == VERSIONS[1]) for entry in entries)
    return Policy(statements, any(map(_lets_in_anybody, statements)))


def _load(document: bytes) -> dict[str, Any]:
    try:
        top = json.loads(document.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
        # JSON can spell half of a surrogate pair, which is in no request and which no answer could repeat.
        spelt = json.dumps(top, ensure_ascii=False)
        spelt.encode()
    except (ValueError, RecursionError):
        raise MalformedPolicy(_NOT_JSON) from None
    if spelt.count("?") > MAX_QUESTION_MARKS:
        raise MalformedPolicy(f"A policy has at most {MAX_QUESTION_MARKS} question marks.")
    if not isinstance(top, dict) or not document.startswith(b"{"):
        raise MalformedPolicy(_NOT_JSON)
    return top


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise MalformedPolicy("Could not parse the policy: a field is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _statement(entry: Mapping[str, Any], bucket: str, *, variables: bool) -> Statement:
    for name in entry.keys() - _ELEMENTS:
        raise MalformedPolicy(f"Unknown field {name}")
    if "Effect" not in entry:
        raise MalformedPolicy("Missing required field Effect")
    if entry["Effect"] not in ("Allow", "Deny"):
        raise MalformedPolicy(f"Invalid effect: {entry['Effect']}")
    effect = Effect(entry["Effect"])
    principals = _principals(*_either(entry, "Principal"))
    if principals.negated and effect is Effect.ALLOW:
        raise MalformedPolicy("Allow with NotPrincipal is not allowed.")
    actions, not_actions = _either(entry, "Action")
    resources, not_resources = _either(entry, "Resource")
    return Statement(
        effect,
        principals,
        tuple(map(_action, _texts(actions, "Policy has invalid action"))),
        not_actions,
        tuple(_resource(each, bucket, variables=variables) for each in _texts(resources, _BAD_RESOURCE)),
        not_resources,
        tuple(_conditions(entry.get("Condition", {}), variables=variables)),
    )


def _either(entry: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    """The element ``name``, or its negation and True. :raises MalformedPolicy: unless exactly one is there."""
    negation = f"Not{name}"
    if name in entry and negation in entry:
        raise MalformedPolicy(f"Statement has both {name} and {negation}")
    if name not in entry and negation not in entry:
        raise MalformedPolicy(f"Missing required field {name}")
    return (entry[negation], True) if negation in entry else (entry[name], False)


def _texts(value: Any, complaint: str) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise MalformedPolicy(complaint)
    return texts


def _principals(value: Any, negated: bool) -> Principals:
    if value == "*":
        return Principals(True, frozenset(), negated)
    if not isinstance(value, dict) or not value:
        raise MalformedPolicy(_BAD_PRINCIPAL)
    everyone = False
    ids: set[str] = set()
    for kind, names in value.items():
        if kind in ("Service", "Federated"):
            raise NotImplemented(f"Principals of the kind {kind} are not implemented.", Principal=kind)
        if kind not in ("AWS", "CanonicalUser"):
            raise MalformedPolicy(_BAD_PRINCIPAL)
        for name in _texts(names, _BAD_PRINCIPAL):
            if name == "*" and kind == "AWS":
                everyone = True
            else:
                ids |= _ids(name, arns=kind == "AWS")
    return Principals(everyone, frozenset(ids), negated)


def _ids(name: str, *, arns: bool) -> set[str]:
    """Whom a principal names: a canonical id, which is an account of its own, or an ARN of one. A role is nobody here.

    :raises MalformedPolicy:"""
    if arns and name.startswith("arn:"):
        root = _ROOT.fullmatch(name)
        if root is not None:
            return {root["account"]}
        user = _USER.fullmatch(name)
        if user is not None:
            return {user["path"].rpartition("/")[2]} if user["account"] in ("", user["path"]) else set()
        if _NOBODY.fullmatch(name):
            return set()
        raise MalformedPolicy(_BAD_PRINCIPAL)
    if not re.fullmatch(_ID, name):
        raise MalformedPolicy(_BAD_PRINCIPAL)
    return {name}


_LOWER_ACTIONS = sorted(action.lower() for action in ACTIONS)


def _action(text: str) -> tuple[Atom, ...]:
    pattern = atoms(text.lower(), variables=False)
    if text != "*" and (":" not in text or not any(matches(pattern, action) for action in _LOWER_ACTIONS)):
        raise MalformedPolicy("Policy has invalid action")
    return pattern


def _resource(text: str, bucket: str, *, variables: bool) -> tuple[Atom, ...]:
    """The pattern of a resource that is ``bucket`` or in it. :raises MalformedPolicy:"""
    try:
        pattern = atoms(text, variables=variables)
    except ValueError:
        raise MalformedPolicy(_BAD_RESOURCE) from None
    _check_variables(pattern)
    if text != "*":
        name, _, _ = text.removeprefix(RESOURCE).partition("/")
        if not text.startswith(RESOURCE) or not matches(atoms(name, variables=False), bucket):
            raise MalformedPolicy(_BAD_RESOURCE)
    return pattern


def _check_variables(pattern: Iterable[Atom]) -> None:
    for atom in pattern:
        if isinstance(atom, Variable):
            _check_key(atom.name)


def _check_key(key: str) -> None:
    """:raises NotImplemented: :raises MalformedPolicy:"""
    if not is_known(key):
        if key.lower().partition("/")[0] in KNOWN_TO_AWS:
            raise NotImplemented(f"The condition key {key} is not implemented.", ConditionKey=key)
        raise MalformedPolicy(f"Policy has an invalid condition key: {key}")


def _conditions(block: Any, *, variables: bool) -> Iterable[Condition]:
    if not isinstance(block, dict):
        raise MalformedPolicy("Invalid Condition")
    for operator, keys in block.items():
        if not isinstance(keys, dict):
            raise MalformedPolicy(f"Invalid Condition: {operator}")
        for key, value in keys.items():
            _check_key(key)
            values = [_scalar(each, operator) for each in (value if isinstance(value, list) else [value])]
            try:
                condition = Condition(operator, key, values, variables=variables)
                for each in values if variables else ():
                    _check_variables(atoms(each, variables=True))
            except KeyError:
                raise MalformedPolicy(f"Invalid Condition type : {operator}") from None
            except ValueError:
                raise MalformedPolicy(f"Invalid value for the condition {operator} of {key}") from None
            yield condition


def _scalar(value: Any, operator: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise MalformedPolicy(f"Invalid Condition: {operator}")


_FIXED_KEYS = frozenset({"aws:sourceip", "aws:userid", "aws:principalarn", "aws:principalaccount"})
"""Keys whose fixed values say who the caller is. Those of organizations and networks are not implemented."""

_FIXING = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress"})


def _lets_in_anybody(statement: Statement) -> bool:
    """Whether a statement makes its policy public: it allows, and nothing in it says to whom.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    """
    return (
        statement.effect is Effect.ALLOW
        and statement.principals.everyone
        and not any(map(_fixes_callers, statement.conditions))
    )


def _fixes_callers(condition: Condition) -> bool:
    return (
        condition.key.lower() in _FIXED_KEYS
        and condition.operator in _FIXING
        and not condition.if_exists
        and condition.quantifier != ALL_VALUES
        and bool(condition.values)
        and all(
            _is_narrow(value) if condition.operator == "IpAddress" else _is_fixed(value) for value in condition.values
        )
    )


def _is_fixed(value: str) -> bool:
    return not any(atom in (STAR, ANY) or isinstance(atom, Variable) for atom in atoms(value, variables=True))


def _is_narrow(value: str) -> bool:
    """Whether a network is at most a /8, or a /32 of IPv6."""
    network = ip_network(value, strict=False)
    return network.prefixlen >= (8 if network.version == 4 else 32)
