"""How inputs are made that are almost right, and how many of them.

A mutation takes a valid input and changes it in a few places, with words that mean something to the code under test:
that reaches further than random bytes. ``S3GW_FUZZ=N`` in the environment makes N examples of each property, other ones
each time; without it there are few, and always the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("S3GW_FUZZ", "0"))

BY_THE_BYTE = 4096
"""Longer than every head, document and form of the seeds; a body behind it is as good in one piece."""


def fuzz(few: int) -> Callable[[Any], Any]:
    """Settings of a property: ``few`` examples in the suite."""
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes], words: Sequence[bytes] = (), most: int = 4) -> bytes:
    """One of the seeds, changed in up to ``most`` places."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, most))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.sampled_from(("bit", "byte", "cut", "word", "repeat", "end", "join")))
        length = draw(st.integers(1, 24))
        if how == "bit" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "byte":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=3))
        elif how == "cut":
            del data[at : at + length]
        elif how == "word" and words:
            data[at : at + draw(st.sampled_from((0, 0, length)))] = draw(st.sampled_from(words))
        elif how == "repeat":
            data[at:at] = data[at : at + length] * draw(st.sampled_from((1, 2, 50)))
        elif how == "end":
            del data[at:]
        elif how == "join":
            data += draw(st.sampled_from(seeds))
    return bytes(data)


def mutated_text(seeds: Sequence[str], words: Sequence[str] = (), most: int = 4) -> st.SearchStrategy[str]:
    """The same of texts; bytes stand for Latin-1, as in a header."""
    encoded = [seed.encode("latin-1") for seed in seeds]
    return mutated(encoded, [word.encode("latin-1") for word in words], most).map(lambda data: data.decode("latin-1"))


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The data as it may arrive: in one piece, byte by byte as far as that is interesting, or cut
    anywhere."""
    how = draw(st.sampled_from(("whole", "cuts", "cuts", "bytes")))
    if how == "bytes":
        ones = [data[at : at + 1] for at in range(min(len(data), BY_THE_BYTE))]
        return [*ones, data[BY_THE_BYTE:]] if len(data) > BY_THE_BYTE else ones
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6))) if how == "cuts" else []
    return [data[low:high] for low, high in zip([0, *cuts], [*cuts, len(data)], strict=True) if low < high]
