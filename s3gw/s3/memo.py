"""A memory of results for texts that clients send again and again, which no client can fill with long ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

LONGEST = 300
"""Characters of the longest text that is remembered. A host name has 253 at most."""


class _Memory(dict[str, Any]):
    """What a function makes of texts. Finding it takes no Python function, which an `lru_cache` would need in front of
    it, to keep long texts out."""

    __slots__ = ("_function", "_most")

    def __init__(self, function: Callable[[str], Any], most: int) -> None:
        super().__init__()
        self._function = function
        self._most = most

    def __missing__(self, text: str) -> Any:
        result = self._function(text)
        if len(text) <= LONGEST:
            if len(self) >= self._most:
                self.clear()
            self[text] = result
        return result


def remembered(most: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """A function of a text, with a memory of so many results; when it is full, it begins anew. A text that is too long
    to be remembered is worked out each time, and so is what raises."""
    return lambda function: _Memory(function, most).__getitem__
