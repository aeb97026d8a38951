"""Object Lock: what a lock forbids.

A version under retention, or under legal hold, is not deleted for good and not overwritten; everything else may be done
with it. Retention ends by itself. Until then

=============  =========================  =======================================  =====================
mode           delete the version         shorten, remove, or change the mode      prolong
=============  =========================  =======================================  =====================
GOVERNANCE     with a bypass              with a bypass                            yes
COMPLIANCE     no                         no                                       yes
=============  =========================  =======================================  =====================

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from s3gw.errors import AccessDenied, InvalidArgument, InvalidRetentionPeriod, MalformedXML
from s3gw.model import ObjectLock
from s3gw.s3.dates import MS_PER_DAY, iso8601_ms, parse_moment
from s3gw.s3.markup import Node, document, element, read

GOVERNANCE = "GOVERNANCE"
COMPLIANCE = "COMPLIANCE"
MODES = (GOVERNANCE, COMPLIANCE)
ON, OFF = "ON", "OFF"
HOLD_HEADER = "x-amz-object-lock-legal-hold"
_NAMES = ("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", HOLD_HEADER)
LOCK_HEADERS = frozenset(_NAMES)
"""Headers with which a request that makes an object asks for a lock."""

_MOST = {"Days": 36_500, "Years": 100}


def is_locked(lock: ObjectLock | None, now: int, *, bypass: bool = False) -> bool:
    """Whether the version with this lock must stay. ``now`` is ms since the epoch."""
    if lock is None:
        return False
    return lock.hold == ON or (lock.until > now and not (bypass and lock.mode == GOVERNANCE))


def refuse_deletion(lock: ObjectLock | None, now: int, *, bypass: bool = False) -> None:
    """:raises AccessDenied: if the version must stay."""
    if is_locked(lock, now, bypass=bypass):
        raise AccessDenied("Access Denied because object protected by object lock.")


def refuse_retention(present: ObjectLock | None, wanted: ObjectLock, now: int, *, bypass: bool = False) -> None:
    """:raises AccessDenied: if the retention of ``wanted`` may not take the place of the present one."""
    if present is None or present.until <= now:
        return
    if present.mode == wanted.mode and wanted.until >= present.until:
        return
    if present.mode == COMPLIANCE or not bypass:
        raise AccessDenied("Access Denied because object protected by object lock.")


class DefaultRetention(msgspec.Struct, frozen=True):
    """What new objects of a bucket are put under; ``days`` are of 24 hours, a year has 365 of them."""

    mode: str
    days: int

    def lock(self, now: int) -> ObjectLock:
        """The lock of an object that is made ``now``, ms since the epoch."""
        return ObjectLock(self.mode, now + self.days * MS_PER_DAY)


def parse_configuration(body: bytes) -> bytes:
    """An ObjectLockConfiguration, written anew as it is to be stored and given back.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html

    :raises MalformedXML: :raises InvalidRetentionPeriod:
    """
    root = read(body, "ObjectLockConfiguration")
    if root.get("ObjectLockEnabled") != "Enabled":
        raise MalformedXML()
    rules = root.all("Rule")
    if len(rules) > 1:
        raise MalformedXML()
    return configuration(*(_rule(rule) for rule in rules))


def configuration(rule: tuple[str, str, int] | None = None) -> bytes:
    """ObjectLockConfiguration. :param rule: mode, unit and number of the default retention."""
    text = ""
    if rule is not None:
        mode, unit, number = rule
        text = f"<Rule><DefaultRetention>{element('Mode', mode)}{element(unit, number)}</DefaultRetention></Rule>"
    return document("ObjectLockConfiguration", "<ObjectLockEnabled>Enabled</ObjectLockEnabled>", text)


def _rule(rule: Node) -> tuple[str, str, int]:
    retentions = rule.all("DefaultRetention")
    if len(retentions) != 1:
        raise MalformedXML()
    (retention,) = retentions
    mode = retention.require("Mode")
    given = [(unit, text) for unit in _MOST if (text := retention.get(unit)) is not None]
    if mode not in MODES or len(given) != 1:
        raise MalformedXML()
    ((unit, text),) = given
    if not re.fullmatch("-?[0-9]{1,9}", text.strip()):
        raise MalformedXML()
    number = int(text)
    if number < 1:
        raise InvalidRetentionPeriod("Default retention period must be a positive integer value.")
    if number > _MOST[unit]:
        raise InvalidRetentionPeriod(f"Default retention period is too large: {_MOST[unit]} {unit} are the most.")
    return mode, unit, number


@lru_cache(maxsize=256)
def default_retention(stored: bytes) -> DefaultRetention | None:
    """The default retention in a configuration as it is stored."""
    for rule in read(stored, "ObjectLockConfiguration").all("Rule"):
        mode, unit, number = _rule(rule)
        return DefaultRetention(mode, number * (365 if unit == "Years" else 1))
    return None


def parse_retention(body: bytes, now: int) -> ObjectLock:
    """The retention that a document asks for; an empty Retention takes it away.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html

    :raises MalformedXML: :raises InvalidArgument: for a time that has passed.
    """
    root = read(body, "Retention")
    mode, until = root.get("Mode"), root.get("RetainUntilDate")
    if mode is None and until is None:
        return ObjectLock()
    moment = None if until is None else parse_moment(until.strip())
    if mode not in MODES or moment is None:
        raise MalformedXML()
    return ObjectLock(mode, _future(moment, now))


def parse_hold(body: bytes) -> str:
    """The status in a LegalHold document. :raises MalformedXML:"""
    status = read(body, "LegalHold").get("Status")
    if status not in (ON, OFF):
        raise MalformedXML()
    return status


def parse_lock_headers(headers: Mapping[str, str], now: int) -> ObjectLock | None:
    """The lock that the headers of a PUT ask for, None if they ask for none.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html

    :raises InvalidArgument:
    """
    mode, until, hold = (headers.get(name) for name in _NAMES)
    if mode is None and until is None and hold is None:
        return None
    if (mode is None) != (until is None):
        raise InvalidArgument(
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            ArgumentName=_NAMES[1] if mode is None else _NAMES[0],
        )
    if mode is not None and mode not in MODES:
        raise InvalidArgument("Unknown wormMode directive.", ArgumentName=_NAMES[0], ArgumentValue=mode)
    if hold not in (None, ON, OFF):
        raise InvalidArgument(
            "Legal Hold must be either of 'ON' or 'OFF'", ArgumentName=_NAMES[2], ArgumentValue=hold or ""
        )
    if until is None:
        return ObjectLock(hold=hold or "")
    moment = parse_moment(until)
    if moment is None:
        raise InvalidArgument(
            "The retain until date must be provided in ISO 8601 format",
            ArgumentName=_NAMES[1],
            ArgumentValue=until,
        )
    return ObjectLock(mode or "", _future(moment, now), hold or "")


def _future(moment: int, now: int) -> int:
    if moment <= now:
        raise InvalidArgument("The retain until date must be in the future!", ArgumentName=_NAMES[1])
    return moment


def retention(lock: ObjectLock) -> bytes:
    """Retention."""
    return document("Retention", element("Mode", lock.mode), element("RetainUntilDate", iso8601_ms(lock.until)))


def legal_hold(lock: ObjectLock) -> bytes:
    """LegalHold."""
    return document("LegalHold", element("Status", lock.hold))


def lock_headers(lock: ObjectLock) -> list[tuple[str, str]]:
    """What GET and HEAD say of a lock."""
    headers = []
    if lock.mode:
        headers += [("x-amz-object-lock-mode", lock.mode)]
        headers += [("x-amz-object-lock-retain-until-date", iso8601_ms(lock.until))]
    if lock.hold:
        headers += [("x-amz-object-lock-legal-hold", lock.hold)]
    return headers
