"""The policy of a browser upload: until when a form may be used, and what may be in it.

The field ``policy`` is the base64 of a JSON document::

    {"expiration": "2026-12-01T12:00:00.000Z", "conditions": [CONDITION, ...]}

======================================== ===========================================================================
condition                                holds if
======================================== ===========================================================================
``{"field": "value"}``                   the form has the field, with this value
``["eq", "$field", "value"]``            the same
``["starts-with", "$field", "prefix"]``  the form has the field, beginning so; of Content-Type, each of a list
``["content-length-range", 1, 1048576]`` the file has at least and at most so many bytes
======================================== ===========================================================================

Every field needs a condition that names it, but for those that `_is_exempt` tells of; so does ``bucket``, which every
form has, being where it was posted. Names of fields and operators are without regard to case, values are not.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec

from s3gw.errors import AccessDenied, EntityTooLarge, EntityTooSmall, InvalidPolicyDocument
from s3gw.s3.dates import parse_date

UNBOUNDED = 1 << 63
"""More bytes than a file can have."""

_EXEMPT = frozenset({"policy", "x-amz-signature", "signature", "awsaccesskeyid", "file"})
_EXEMPT_PREFIXES = ("x-ignore-", "x-amz-checksum-")
_LISTS = frozenset({"content-type"})
_DIGITS = re.compile("[0-9]{1,18}")


class Condition(msgspec.Struct, frozen=True):
    """What one field must be. ``operator`` is ``eq`` or ``starts-with``, ``field`` in lower case."""

    operator: str
    field: str
    value: str
    spelt: str

    def holds(self, fields: Mapping[str, str]) -> bool:
        """Whether a form with ``fields``, by lower-case name, meets it: where any value will do, none does too."""
        actual = fields.get(self.field)
        if actual is None:
            return self.operator == "starts-with" and not self.value
        if self.operator == "eq":
            return actual == self.value
        if self.field in _LISTS:
            return all(each.strip().startswith(self.value) for each in actual.split(","))
        return actual.startswith(self.value)


class Policy(msgspec.Struct, frozen=True):
    """What a form may be used for.

    :ivar expiration: seconds since the epoch. :ivar least: and ``most``: bytes of the file.
    """

    expiration: int
    conditions: tuple[Condition, ...]
    least: int = 0
    most: int = UNBOUNDED

    def check(self, fields: Mapping[str, str], bucket: str, now: float) -> None:
        """Return if a form is within it.

        :param fields: by lower-case name, variables replaced. :param bucket: where it is posted. :param now: seconds.
        :raises AccessDenied: saying which condition it does not meet, or which fields no condition names."""
        if now > self.expiration:
            raise _denied("Policy expired.")
        actual = {**fields, "bucket": bucket}
        for condition in self.conditions:
            if not condition.holds(actual):
                raise _denied(f"Policy Condition failed: {condition.spelt}")
        covered = {condition.field for condition in self.conditions}
        further = [name for name in actual if name not in covered and not _is_exempt(name)]
        if further:
            raise _denied(f"Extra input fields: {', '.join(further)}")

    def check_size(self, size: int) -> None:
        """Return if the file may have ``size`` bytes. :raises EntityTooSmall: :raises EntityTooLarge:"""
        if size < self.least:
            raise EntityTooSmall(ProposedSize=str(size), MinSizeAllowed=str(self.least))
        if size > self.most:
            raise EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(self.most))


def _is_exempt(name: str) -> bool:
    """Whether a field needs no condition. A checksum can only have the upload refused, so it harms nobody's intent."""
    return name in _EXEMPT or name.startswith(_EXEMPT_PREFIXES)


def _denied(detail: str) -> AccessDenied:
    return AccessDenied(f"Invalid according to Policy: {detail}")


def parse_policy_document(encoded: str) -> Policy:
    """The policy in the field ``policy``.

    :raises InvalidPolicyDocument: for what is not base64, not JSON, or not a policy."""
    try:
        document = json.loads(b64decode("".join(encoded.split()), validate=True))
        # JSON can spell half of a surrogate pair, which is in no field and which no answer could repeat.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON.")
    expiration = _expiration(document)
    if "conditions" not in document:
        raise _invalid("Policy missing conditions.")
    if not isinstance(document["conditions"], list):
        raise _invalid("Invalid 'conditions' value: must be a List.")
    conditions: list[Condition] = []
    least, most = 0, UNBOUNDED
    for entry in document["conditions"]:
        if _is_range(entry):
            low, high = _range(entry)
            least, most = max(least, low), min(most, high)
        else:
            conditions.append(_condition(entry))
    return Policy(expiration, tuple(conditions), least, most)


def _invalid(detail: str) -> InvalidPolicyDocument:
    return InvalidPolicyDocument(f"Invalid Policy: {detail}")


def _expiration(document: dict[str, Any]) -> int:
    value = document.get("expiration")
    if value is None:
        raise _invalid("Policy missing expiration.")
    moment = parse_date(value) if isinstance(value, str) and value[:1].isdigit() else None
    if moment is None:
        raise _invalid(f"Invalid 'expiration' value: '{value}'")
    return moment


def _condition(entry: object) -> Condition:
    if isinstance(entry, dict):
        if len(entry) != 1:
            raise _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        ((field, value),) = entry.items()
        return _checked("eq", field, value)
    if not isinstance(entry, list):
        raise _invalid("Invalid Condition: must be a List or an Object.")
    if len(entry) != 3 or not all(isinstance(each, str) for each in entry):
        raise _invalid(f"Invalid Condition: {json.dumps(entry)}")
    operator, field, value = entry
    if operator.lower() not in ("eq", "starts-with"):
        raise _invalid(f"Invalid Condition: unknown operation '{operator}'.")
    if not field.startswith("$"):
        raise _invalid(f"Invalid Condition: the field '{field}' must begin with '$'.")
    return _checked(operator.lower(), field[1:], value)


def _checked(operator: str, field: str, value: object) -> Condition:
    if not isinstance(value, str):
        raise _invalid("Invalid Simple-Condition: value must be a string.")
    return Condition(operator, field.lower(), value, json.dumps([operator, f"${field}", value], ensure_ascii=False))


def _is_range(entry: object) -> bool:
    return (
        isinstance(entry, list)
        and bool(entry)
        and isinstance(entry[0], str)
        and entry[0].lower() == "content-length-range"
    )


def _range(entry: list[Any]) -> tuple[int, int]:
    bounds = [_number(each) for each in entry[1:]]
    if len(bounds) != 2:
        raise _invalid("Invalid content-length-range: must have a minimum and a maximum.")
    return bounds[0], bounds[1]


def _number(value: object) -> int:
    """A number of bytes, also when a string spells it."""
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not _DIGITS.fullmatch(text):
        raise _invalid("Invalid content-length-range: bounds must be non-negative integers.")
    return int(text)
