"""Patterns of the policy language: ``*`` is any text, ``?`` any character, ``${name}`` what a request says of itself.

A pattern is matched from left to right, never by trying again, so that no policy can make a request slow: what stands
between two ``*`` is taken where it is found first. Only with a ``?`` in it is it compared place by place, and a policy
has few of these.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

Lookup = Callable[[str], Sequence[str]]
"""The values of a condition key; none when the request has none."""

_VARIABLE = re.compile(r"\$\{\s*([^{}',\s]+)\s*(?:,\s*'([^'{}]*)'\s*)?\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}


class Wild(NamedTuple):
    """``*`` or ``?``."""

    sign: str


class Variable(NamedTuple):
    """``${name}`` or ``${name, 'default'}``."""

    name: str
    default: str | None


Atom = str | Wild | Variable

STAR = Wild("*")
ANY = Wild("?")
_WILDS = {"*": STAR, "?": ANY}


def atoms(text: str, *, variables: bool) -> tuple[Atom, ...]:
    """The pieces of a pattern. :raises ValueError: for a ``${`` that is no variable."""
    if not variables or "${" not in text:
        return tuple(_wild(text))
    found: list[Atom] = []
    at = 0
    while (start := text.find("${", at)) >= 0:
        found += _wild(text[at:start])
        match = _VARIABLE.match(text, start)
        if match is None:
            raise ValueError(text[start:])
        name, default = match[1], match[2]
        found.append(_LITERALS[name] if name in _LITERALS else Variable(name, default))
        at = match.end()
    return (*found, *_wild(text[at:]))


def _wild(text: str) -> list[Atom]:
    return [_WILDS.get(piece, piece) for piece in re.split(r"([*?])", text) if piece]


def plain(text: str, *, variables: bool) -> tuple[Atom, ...]:
    """As `atoms`, of a text in which ``*`` and ``?`` stand for themselves."""
    return tuple(piece.sign if isinstance(piece, Wild) else piece for piece in atoms(text, variables=variables))


def fill(pattern: Sequence[Atom], lookup: Lookup) -> tuple[Atom, ...] | None:
    """The pattern with its variables replaced; None when the request has no single value for one of them."""
    if not any(isinstance(atom, Variable) for atom in pattern):
        return tuple(pattern)
    filled: list[Atom] = []
    for atom in pattern:
        if isinstance(atom, Variable):
            values = lookup(atom.name)
            value = values[0] if len(values) == 1 else atom.default
            if value is None:
                return None
            filled.append(value)
        else:
            filled.append(atom)
    return tuple(filled)


def text_of(pattern: Sequence[Atom]) -> str | None:
    """What a filled pattern without wild cards says; None if it has some."""
    return "".join(pattern) if all(isinstance(atom, str) for atom in pattern) else None  # type: ignore[arg-type]


def matches(pattern: Sequence[Atom], text: str) -> bool:
    """Whether a filled pattern is all of ``text``."""
    segments: list[list[str | None]] = [[]]
    for atom in pattern:
        if atom == STAR:
            segments.append([])
        elif atom == ANY:
            segments[-1].append(None)
        elif isinstance(atom, str) and atom:
            segments[-1].append(atom)
    first, *others = segments
    if not others:
        return _length(first) == len(text) and _at(first, text, 0)
    *middle, last = others
    end = len(text) - _length(last)
    start = _length(first)
    if start > end or not _at(first, text, 0) or not _at(last, text, end):
        return False
    for segment in middle:
        start = _find(segment, text, start, end)
        if start < 0:
            return False
        start += _length(segment)
    return True


def _length(segment: Sequence[str | None]) -> int:
    return sum(1 if piece is None else len(piece) for piece in segment)


def _at(segment: Sequence[str | None], text: str, start: int) -> bool:
    for piece in segment:
        if piece is None:
            start += 1
        elif text.startswith(piece, start):
            start += len(piece)
        else:
            return False
    return True


def _find(segment: Sequence[str | None], text: str, start: int, end: int) -> int:
    """Where a segment first stands in ``text[start:end]``; -1 if nowhere."""
    last = end - _length(segment)
    if len(segment) == 1 and segment[0] is not None:
        return text.find(segment[0], start, end)
    return next((at for at in range(start, last + 1) if _at(segment, text, at)), -1)
