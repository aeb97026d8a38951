"""A memory of results for texts that clients send again and again, which no client can fill with long ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

LONGEST = 300
"""Characters of the longest text that is remembered. A host name has 253 at most."""


def remembered(maxsize: int) -> Callable[[F], F]:
    """As `functools.lru_cache`, for functions of a text; one that is too long to be remembered is worked out anew."""

    def decorate(function: F) -> F:
        cached = lru_cache(maxsize)(function)

        @wraps(function)
        def call(text: str, *further: Any) -> Any:
            if len(text) > LONGEST:
                return function(text, *further)
            return cached(text, *further) if further else cached(text)

        return cast(F, call)

    return decorate
