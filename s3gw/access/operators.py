"""The condition operators of the policy language.

======================================= =========================================================================
operator                                holds if the key of the request
======================================= =========================================================================
StringEquals, StringEqualsIgnoreCase    is one of the values
StringLike                              matches one of the patterns
NumericEquals, ...LessThan, ...         compares so with one of the numbers
DateEquals, ...LessThan, ...            compares so with one of the moments: ISO 8601 or seconds since the epoch
Bool                                    is ``true`` or ``false``, as the value says
IpAddress                               is in one of the networks
ArnEquals, ArnLike                      matches one of the patterns, part by part between the colons
Null                                    is not there (``true``) or is there (``false``)
======================================= =========================================================================

Those with Not hold if none of the values fits. ``IfExists`` behind the name holds for a request without the key too;
``ForAnyValue:`` and ``ForAllValues:`` before it say how many of several values of the request must hold.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple

from s3gw.access.glob import Atom, Lookup, atoms, fill, matches, plain, text_of
from s3gw.errors import AccessDenied
from s3gw.s3.dates import parse_date

Test = Callable[[str, Lookup], bool]
"""Whether a value of the request fits one value of the policy."""


class Comparison(NamedTuple):
    """How an operator compares.

    :ivar prepare: makes a `Test` of a value in the policy, given whether it may have variables; raises ValueError for a
        value of the wrong kind. :ivar negated: whether the operator holds if no value fits.
    """

    prepare: Callable[[str, bool], Test]
    negated: bool = False


def _string(value: str, variables: bool, *, fold: bool = False) -> Test:
    pattern = plain(value, variables=variables)

    def test(actual: str, lookup: Lookup) -> bool:
        filled = fill(pattern, lookup)
        wanted = None if filled is None else text_of(filled)
        if wanted is None:
            return False
        return actual.casefold() == wanted.casefold() if fold else actual == wanted

    return test


def _like(value: str, variables: bool) -> Test:
    pattern = atoms(value, variables=variables)

    def test(actual: str, lookup: Lookup) -> bool:
        filled = fill(pattern, lookup)
        return filled is not None and matches(filled, actual)

    return test


def _arn(value: str, variables: bool) -> Test:
    parts = value.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        raise ValueError(value)
    patterns: list[tuple[Atom, ...]] = [atoms(part, variables=variables) for part in parts]

    def test(actual: str, lookup: Lookup) -> bool:
        pieces = actual.split(":", 5)
        filled = [fill(pattern, lookup) for pattern in patterns]
        return len(pieces) == 6 and all(
            pattern is not None and matches(pattern, piece) for pattern, piece in zip(filled, pieces, strict=True)
        )

    return test


def _ordered(compare: Callable[[Any, Any], bool], read: Callable[[str], float], value: str, variables: bool) -> Test:
    wanted = read(value)

    def test(actual: str, lookup: Lookup) -> bool:
        try:
            return compare(read(actual), wanted)
        except ValueError:
            return False

    return test


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        raise ValueError(text)
    return float(text) if "." in text else int(text)


def _moment(text: str) -> float:
    if re.fullmatch("[0-9]{1,12}", text):
        return int(text)
    moment = parse_date(f"{text}T00:00:00Z" if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else text)
    if moment is None:
        raise ValueError(text)
    return moment


def _bool(value: str, variables: bool) -> Test:
    wanted = value.lower()
    if wanted not in ("true", "false"):
        raise ValueError(value)
    return lambda actual, lookup: actual.lower() == wanted


def _network(value: str, variables: bool) -> Test:
    network = ip_network(value, strict=False)

    def test(actual: str, lookup: Lookup) -> bool:
        address = address_of(actual)
        return address is not None and address.version == network.version and address in network

    return test


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """An address; of an IPv4 address that is written as one of IPv6, the former."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


_ORDERS = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}
_FOLDED = partial(_string, fold=True)

OPERATORS: Mapping[str, Comparison] = {
    "StringEquals": Comparison(_string),
    "StringNotEquals": Comparison(_string, negated=True),
    "StringEqualsIgnoreCase": Comparison(_FOLDED),
    "StringNotEqualsIgnoreCase": Comparison(_FOLDED, negated=True),
    "StringLike": Comparison(_like),
    "StringNotLike": Comparison(_like, negated=True),
    **{
        f"{kind}{name}": Comparison(partial(_ordered, compare, read))
        for kind, read in (("Numeric", _number), ("Date", _moment))
        for name, compare in _ORDERS.items()
    },
    "NumericNotEquals": Comparison(partial(_ordered, operator.eq, _number), negated=True),
    "DateNotEquals": Comparison(partial(_ordered, operator.eq, _moment), negated=True),
    "Bool": Comparison(_bool),
    "IpAddress": Comparison(_network),
    "NotIpAddress": Comparison(_network, negated=True),
    "ArnEquals": Comparison(_arn),
    "ArnLike": Comparison(_arn),
    "ArnNotEquals": Comparison(_arn, negated=True),
    "ArnNotLike": Comparison(_arn, negated=True),
}
"""Every operator but Null, by name. ``BinaryEquals`` is for keys that S3 has not."""

LONGEST = 4096
"""Characters of the longest value of a request that is compared. Beyond it the request is denied: patterns take time in
proportion, and a condition that is not looked at might have denied it."""

NULL = "Null"
IF_EXISTS = "IfExists"
ANY_VALUE = "ForAnyValue:"
ALL_VALUES = "ForAllValues:"


class Condition:
    """One key of a condition block under its operator.

    :ivar operator: without prefix and suffix. :ivar quantifier: `ANY_VALUE`, `ALL_VALUES` or empty.
    """

    __slots__ = ("_tests", "if_exists", "key", "operator", "quantifier", "values")

    def __init__(self, spelt: str, key: str, values: Sequence[str], *, variables: bool) -> None:
        """:raises KeyError: for an unknown operator. :raises ValueError: for a value of the wrong kind."""
        name = spelt
        self.quantifier = next((each for each in (ANY_VALUE, ALL_VALUES) if name.startswith(each)), "")
        name = name.removeprefix(self.quantifier)
        self.if_exists = name.endswith(IF_EXISTS)
        name = name.removesuffix(IF_EXISTS)
        if name == NULL and (self.if_exists or self.quantifier):
            raise KeyError(spelt)
        self.operator = name
        self.key = key
        self.values = tuple(values)
        prepare = _bool if name == NULL else OPERATORS[name].prepare
        self._tests = [prepare(value, variables) for value in values]

    def holds(self, lookup: Lookup) -> bool:
        """Whether it does, of a request. :raises AccessDenied: for one that says more than `LONGEST` about its key."""
        actual = lookup(self.key)
        if any(len(value) > LONGEST for value in actual):
            raise AccessDenied(f"The policy of the bucket asks about {self.key}, which is too long to be looked at.")
        if self.operator == NULL:
            return self._fits("false" if actual else "true", lookup)
        negated = OPERATORS[self.operator].negated
        if not actual:
            return self.if_exists or self.quantifier == ALL_VALUES or (negated and not self.quantifier)
        held = (self._fits(value, lookup) is not negated for value in actual)
        every = self.quantifier == ALL_VALUES or (negated and not self.quantifier)
        return all(held) if every else any(held)

    def _fits(self, value: str, lookup: Lookup) -> bool:
        return any(test(value, lookup) for test in self._tests)
