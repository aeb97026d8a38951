"""docs/clients.md as the checks read it: what they run is what stands there, but for the address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clients.md"

URL = "http://127.0.0.1:9000"
CA = "/path/to/ca.pem"


@dataclass(frozen=True)
class Section:
    """What the page says about one client.

    :ivar text: all of it.
    :ivar snippets: its blocks of code, in order.
    """

    text: str
    snippets: tuple[str, ...]

    def variant(self, old: str, new: str, snippet: str) -> str:
        """The snippet with a part of it exchanged, as the text tells people to do.

        :raises AssertionError: the snippet has no such part, or the text does not tell.
        """
        assert old in snippet, f"{old!r} is not in the snippet"
        assert f"`{new}`" in self.text or new in "\n".join(self.snippets), f"the page does not speak of {new!r}"
        return snippet.replace(old, new)


def sections() -> dict[str, Section]:
    """The sections of the page by heading."""
    found = {}
    for part in re.split(r"(?m)^## ", PAGE.read_text())[1:]:
        heading, _, text = part.partition("\n")
        blocks = re.findall(r"^```\w*\n(.*?)^```$|((?:^    [^\n]*\n|^\n(?=    ))+)", text, re.MULTILINE | re.DOTALL)
        snippets = tuple(fenced or re.sub(r"(?m)^    ", "", indented.lstrip("\n")) for fenced, indented in blocks)
        found[heading.strip()] = Section(text, snippets)
    return found


def clients() -> dict[str, str]:
    """The table at the head of the page: its clients, each with the name of the file that checks it."""
    table = re.findall(r"^\| \[([^\]]+)\]\(#[^)]*\) \|.*\| `([\w/.]+)` \|$", PAGE.read_text(), re.MULTILINE)
    return dict(table)
