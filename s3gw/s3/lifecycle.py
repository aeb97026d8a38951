"""Lifecycle rules: the document that has them, and what they say of an object.

A day of a rule ends at midnight UTC: what was made on Monday at ten expires after one day at the midnight that ends
Tuesday. Days can be made short, for tests; then they just pass. What clients are told of the end of an object is of
true days in either case.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote

import msgspec

from s3gw.errors import InvalidArgument, InvalidRequest, MalformedXML, NotImplemented
from s3gw.model import ObjectInfo
from s3gw.s3.dates import MS_PER_DAY, http_date, parse_moment
from s3gw.s3.markup import Node, document, element, read
from s3gw.s3.tags import Tags, check_tags

DOCUMENT = "lifecycle"
"""Where a bucket keeps its rules."""

MAX_RULES = 1000
MAX_ID = 255
MAX_NEWER = 100

_INTEGER = re.compile("-?[0-9]{1,15}")
_MAX_DAYS = 2**31 - 1


class Rule(msgspec.Struct, frozen=True):
    """One rule.

    :ivar larger: only objects of more bytes; ``smaller`` of less. :ivar days: and ``date``, ms since the epoch: when
        the current version expires. :ivar markers: whether delete markers go that nothing is behind.
    :ivar noncurrent_days: after which versions go that are not current, but for the ``newer`` newest of those.
    :ivar abort_days: after which uploads are aborted.
    """

    id: str
    enabled: bool
    prefix: str = ""
    tags: Tags = ()
    larger: int | None = None
    smaller: int | None = None
    days: int | None = None
    date: int | None = None
    markers: bool = False
    noncurrent_days: int | None = None
    newer: int = 0
    abort_days: int | None = None

    def may_admit(self, key: str, size: int) -> bool:
        """Whether the rule is about an object, whatever its tags are said to be."""
        return (
            key.startswith(self.prefix)
            and (self.larger is None or size > self.larger)
            and (self.smaller is None or size < self.smaller)
        )

    def admits(self, key: str, info: ObjectInfo) -> bool:
        """Whether the rule is about an object."""
        return self.may_admit(key, info.size) and set(self.tags) <= set(info.tags)

    @property
    def is_of_versions(self) -> bool:
        """Whether the rule ends versions or delete markers."""
        return self.markers or any(each is not None for each in (self.days, self.date, self.noncurrent_days))

    @property
    def is_of_markers(self) -> bool:
        """Whether the rule can be about delete markers, which have neither tags nor a size."""
        return not self.tags and self.larger is None and self.smaller is None


class Calendar(msgspec.Struct, frozen=True):
    """How days pass. ``day`` is ms, of a true day or of a short one."""

    day: int = MS_PER_DAY

    def after(self, since: int, days: int) -> int:
        """When ``days`` have passed since then, ms since the epoch."""
        end = since + days * self.day
        return end if self.day != MS_PER_DAY else -(-end // MS_PER_DAY) * MS_PER_DAY

    def expiry(self, rule: Rule, modified: int) -> int | None:
        """When a rule ends a current version, if ever."""
        if rule.days is not None:
            return self.after(modified, rule.days)
        return rule.date


TRUE_DAYS = Calendar()


def expiration(rules: Iterable[Rule], key: str, info: ObjectInfo) -> str | None:
    """The value of ``x-amz-expiration``: when the first rule ends an object, and which."""
    ends = [
        (end, rule.id)
        for rule in rules
        if rule.enabled and rule.admits(key, info) and (end := TRUE_DAYS.expiry(rule, info.modified)) is not None
    ]
    if not ends:
        return None
    end, rule_id = min(ends)
    return f'expiry-date="{http_date(end)}", rule-id="{quote(rule_id, safe="")}"'


def abortion(rules: Iterable[Rule], key: str, initiated: int) -> tuple[str, str] | None:
    """The values of ``x-amz-abort-date`` and ``x-amz-abort-rule-id``: when the first rule aborts an upload, and it."""
    ends = [
        (TRUE_DAYS.after(initiated, rule.abort_days), rule.id)
        for rule in rules
        if rule.enabled and rule.abort_days is not None and key.startswith(rule.prefix)
    ]
    if not ends:
        return None
    end, rule_id = min(ends)
    return http_date(end), quote(rule_id, safe="")


def shared_prefix(rules: Sequence[Rule]) -> str:
    """What every key starts with that one of the rules can be about."""
    prefixes = sorted(rule.prefix for rule in rules)
    if not prefixes:
        return ""
    # What the first and the last in order share all have.
    first, last = prefixes[0], prefixes[-1]
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:length]


def parse_lifecycle(body: bytes, make_id: Callable[[], str]) -> bytes:
    """A LifecycleConfiguration, verified and written anew as it is to be stored and given back.

    :param make_id: of a rule that has none.
    :raises MalformedXML: :raises InvalidArgument: :raises InvalidRequest: :raises InvalidTag:
    :raises NotImplemented: for transitions."""
    root = read(body, "LifecycleConfiguration")
    nodes = root.all("Rule")
    if not 1 <= len(nodes) <= MAX_RULES:
        raise MalformedXML()
    for node in nodes:
        if not (node.get("ID") or ""):
            node.children = [child for child in node.children if child.name != "ID"]
            named = Node("ID")
            named.text = make_id()
            node.children.insert(0, named)
    rules = [_rule(node) for node in nodes]
    if len({rule.id for rule in rules}) < len(rules):
        raise InvalidArgument("Rule ID must be unique. Found same ID for more than one rule")
    return document("LifecycleConfiguration", *map(_markup, nodes))


def _markup(node: Node) -> str:
    if not node.children:
        return element(node.name, node.text)
    return f"<{node.name}>{''.join(map(_markup, node.children))}</{node.name}>"


@lru_cache(maxsize=256)
def rules_of(stored: bytes) -> Sequence[Rule]:
    """The rules in a document as it is stored."""
    return tuple(map(_rule, read(stored, "LifecycleConfiguration").all("Rule")))


def _rule(node: Node) -> Rule:
    rule_id = node.get("ID") or ""
    if len(rule_id) > MAX_ID:
        raise InvalidArgument(f"ID length should not exceed allowed limit of {MAX_ID}")
    status = node.require("Status").strip()
    if status not in ("Enabled", "Disabled"):
        raise MalformedXML()
    prefix, tags, larger, smaller = _filter(node)
    days, date, markers = _expiration(node)
    noncurrent_days, newer = _noncurrent(node)
    abort_days = _abort(node)
    _refuse_transitions(node)
    if days is None and date is None and not markers and noncurrent_days is None and abort_days is None:
        raise InvalidRequest("At least one action needs to be specified in a rule")
    if abort_days is not None or markers:
        what = "AbortIncompleteMultipartUpload" if abort_days is not None else "ExpiredObjectDeleteMarker"
        if tags:
            raise InvalidRequest(f"{what} cannot be specified with Tags.")
        if larger is not None or smaller is not None:
            raise InvalidRequest(f"{what} cannot be specified with Object Size.")
    return Rule(
        id=rule_id,
        enabled=status == "Enabled",
        prefix=prefix,
        tags=tags,
        larger=larger,
        smaller=smaller,
        days=days,
        date=date,
        markers=markers,
        noncurrent_days=noncurrent_days,
        newer=newer,
        abort_days=abort_days,
    )


def _filter(node: Node) -> tuple[str, Tags, int | None, int | None]:
    """Prefix, tags and bounds on the size; what is in And counts as what is beside it.

    S3 takes several conditions only in And. s3-tests have them without, and there is one thing only that it can mean.
    """
    filters = node.all("Filter")
    whole = node.get("Prefix")
    if len(filters) != (0 if whole is not None else 1):
        raise MalformedXML()
    if whole is not None:
        return whole, (), None, None
    places = [filters[0], *filters[0].all("And")]
    if len(places) > 2:
        raise MalformedXML()
    prefixes = sorted({text for place in places if (text := place.get("Prefix")) is not None}, key=len)
    if any(not prefixes[-1].startswith(prefix) for prefix in prefixes):
        raise MalformedXML()
    tags = [(tag.require("Key"), tag.require("Value")) for place in places for tag in place.all("Tag")]
    larger = [_number(text) for place in places if (text := place.get("ObjectSizeGreaterThan")) is not None]
    smaller = [_number(text) for place in places if (text := place.get("ObjectSizeLessThan")) is not None]
    if min(larger + smaller, default=0) < 0:
        raise InvalidArgument("Object sizes in a lifecycle filter must not be negative")
    if larger and smaller and max(larger) >= min(smaller):
        raise InvalidRequest("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
    return (
        prefixes[-1] if prefixes else "",
        check_tags(tags, MAX_RULES),
        max(larger, default=None),
        min(smaller, default=None),
    )


def _action(node: Node, name: str) -> Node | None:
    found = node.all(name)
    if len(found) > 1:
        raise MalformedXML()
    return found[0] if found else None


def _expiration(node: Node) -> tuple[int | None, int | None, bool]:
    action = _action(node, "Expiration")
    if action is None:
        return None, None, False
    days, date, marker = (action.get(name) for name in ("Days", "Date", "ExpiredObjectDeleteMarker"))
    if sum(each is not None for each in (days, date, marker)) != 1:
        raise MalformedXML()
    if marker is not None:
        if marker.strip().lower() not in ("true", "false"):
            raise MalformedXML()
        # One that says no is no action.
        return None, None, marker.strip().lower() == "true"
    if days is not None:
        return _days(days, "'Days' for Expiration action must be a positive integer"), None, False
    return None, _date(date or ""), False


def _noncurrent(node: Node) -> tuple[int | None, int]:
    action = _action(node, "NoncurrentVersionExpiration")
    if action is None:
        return None, 0
    text = "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer"
    days = _days(action.require("NoncurrentDays"), text)
    newer = action.get("NewerNoncurrentVersions")
    if newer is None:
        return days, 0
    number = _number(newer)
    if not 1 <= number <= MAX_NEWER:
        raise InvalidArgument(f"'NewerNoncurrentVersions' must be an integer between 1 and {MAX_NEWER}")
    return days, number


def _abort(node: Node) -> int | None:
    action = _action(node, "AbortIncompleteMultipartUpload")
    if action is None:
        return None
    text = "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer"
    return _days(action.require("DaysAfterInitiation"), text)


def _refuse_transitions(node: Node) -> None:
    """:raises InvalidArgument: a date that is none. :raises NotImplemented:"""
    transitions = [*node.all("Transition"), *node.all("NoncurrentVersionTransition")]
    for transition in transitions:
        date = transition.get("Date")
        if date is not None:
            _date(date)
    if transitions:
        raise NotImplemented("Transitions are not implemented", Element=transitions[0].name)


def _date(text: str) -> int:
    moment = parse_moment(text.strip())
    if moment is None:
        raise MalformedXML()
    if moment % MS_PER_DAY:
        raise InvalidArgument("'Date' must be at midnight GMT")
    return moment


def _days(text: str, wrong: str) -> int:
    days = _number(text)
    if not 1 <= days <= _MAX_DAYS:
        raise InvalidArgument(wrong)
    return days


def _number(text: str) -> int:
    if _INTEGER.fullmatch(text.strip()) is None:
        raise MalformedXML()
    return int(text)
