"""What people and programs read of ``s3gw-admin``.

| stream | has                                                                                         |
|--------|---------------------------------------------------------------------------------------------|
| stdout | the result: lines, or one document of JSON with ``--json``                                  |
| stderr | how far long work has come, when it is a terminal; the one line of what could not be done   |
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TextIO

import msgspec

SHOWN_EVERY_SECONDS = 0.2
_CLEAR = "\r\x1b[K"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class AdminError(Exception):
    """What was asked for cannot be done. The text is one line for the person who asked."""


class Report:
    """Where a command says what it does and what came of it."""

    def __init__(self, *, json: bool, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._json = json
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._alive = self._err.isatty()
        self._shown = 0.0

    def result(self, document: Any, lines: Iterable[str]) -> None:
        """The result, in one of its two forms. :param document: anything that msgspec can encode."""
        text = msgspec.json.encode(document).decode() if self._json else "\n".join(map(one_line, lines))
        print(text, file=self._out, flush=True)

    def error(self, line: str) -> None:
        """What went wrong."""
        print(f"s3gw-admin: {one_line(line)}", file=self._err)

    @contextmanager
    def progress(self, what: str, total: int = 0, *, size: bool = False) -> Iterator[Progress]:
        """Long work. :param total: what it counts to, if that is known. :param size: it counts bytes."""
        try:
            yield Progress(self, what, total, size)
        finally:
            if self._alive:
                self._err.write(_CLEAR)
                self._err.flush()

    def show(self, line: str) -> None:
        """Replace the line that says how far something is, unless nobody looks."""
        now = monotonic()
        if self._alive and now >= self._shown + SHOWN_EVERY_SECONDS:
            self._shown = now
            self._err.write(_CLEAR + line)
            self._err.flush()


class Progress:
    """How far long work is; call it with each step."""

    def __init__(self, report: Report, what: str, total: int, size: bool) -> None:
        self._report = report
        self._what = what
        self._total = total
        self._size = size
        self._done = 0

    def __call__(self, step: int = 1) -> None:
        self._done += step
        if self._size or not self._done % 256:
            done = in_bytes(self._done) if self._size else str(self._done)
            of = f" of {in_bytes(self._total) if self._size else f'about {self._total}'}" if self._total else ""
            self._report.show(f"{self._what}: {done}{of}")


def in_bytes(count: int) -> str:
    """A number of bytes as people read it, such as ``1.5 GiB``."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def one_line(text: str) -> str:
    """The text with whatever could break a line, or play with a terminal, escaped: keys are anybody's."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
