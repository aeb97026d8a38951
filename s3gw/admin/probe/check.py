"""What a check is: a name, a sentence that is true of s3gw, who relies on it, and a function that finds out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3gw.admin.probe.place import Place


class Differs(Exception):
    """The endpoint answers otherwise than s3gw does. The text says what it answered."""


class Skipped(Exception):
    """This cannot be asked here. The text says why."""


@dataclass(frozen=True)
class Check:
    """One thing that users rely on.

    :ivar name: for programs, and for ``--only``.
    :ivar promise: what s3gw does.
    :ivar needed_by: who relies on it.
    :ivar ask: finds out. :raises Differs: :raises Skipped: or whatever a request may raise.
    """

    name: str
    promise: str
    needed_by: str
    ask: Callable[[Place], None]


CHECKS: list[Check] = []
"""Every check, in the order in which they are asked."""


def check(name: str, promise: str, needed_by: str) -> Callable[[Callable[[Place], None]], Callable[[Place], None]]:
    """Put a function on the list."""

    def add(ask: Callable[[Place], None]) -> Callable[[Place], None]:
        CHECKS.append(Check(name, promise, needed_by, ask))
        return ask

    return add


def expect(found: object, wanted: object, what: str) -> None:
    """:raises Differs: two values that should be the same are not."""
    if found != wanted:
        raise Differs(f"{what}: {_short(found)}, where s3gw has {_short(wanted)}")


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else value or "nothing"
    return text if len(text) <= 120 else f"{text[:117]}..."
