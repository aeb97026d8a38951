"""``check`` and ``salvage``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import msgspec

from s3gw.admin.database import database
from s3gw.admin.quarantine import QuarantineDirectory
from s3gw.admin.report import Report
from s3gw.store.check import Fault, faults
from s3gw.store.engine import Engine
from s3gw.store.interface import CorruptChunk, StoreFailed
from s3gw.store.repair import Repair, Survey, is_corruption, is_swept, repair
from s3gw.store.salvage import salvage

SOUND, FAULTY, REPAIRED = 0, 1, 4

_ADVICE = {
    "unreadable": "rows cannot be read, and nobody knows what they name: restore a backup",
    "changed": "bytes on disk have changed, so nothing was repaired here: `s3gw-admin salvage` makes a new database of "
    "what is good, and `s3gw-admin check --quarantine` mends that one",
    "damaged": "what is damaged answers an error; --quarantine DIR moves it out of the database",
}


class Checked(msgspec.Struct):
    """What ``check`` found, and what it did about it.

    :ivar faults: that are there now. :ivar damaged: kind and name of what a client knows by name and cannot have.
    :ivar repaired: what was done, if anything was. :ivar found: how many faults there were in the beginning.
    """

    rows: int = 0
    found: int = 0
    faults: list[dict[str, str]] = []
    damaged: list[dict[str, str]] = []
    repaired: Repair | None = None
    advice: list[str] = []


def run_check(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin check DB [--repair] [--quarantine DIR]``"""
    with database(arguments.db, report) as engine:
        check = _Check(engine, report)
        check.look()
        check.result.found = len(check.found)
        wanted = arguments.repair or arguments.quarantine
        if wanted and check.survey is not None and not any(map(is_corruption, check.found)):
            quarantine = QuarantineDirectory(arguments.quarantine) if arguments.quarantine else None
            check.result.repaired = repair(engine, check.survey, quarantine)
            check.look()
    result = check.finish()
    report.result(result, _lines(result))
    if result.faults:
        return FAULTY
    return REPAIRED if result.found else SOUND


class _Check:
    """:ivar found: all faults. :ivar survey: what they come to; None without faults, or if not all could be read."""

    def __init__(self, engine: Engine, report: Report) -> None:
        self._engine = engine
        self._report = report
        self.found: list[Fault] = []
        self.survey: Survey | None = None
        self.result = Checked()

    def look(self) -> None:
        """Read every row."""
        self.result.rows = 0
        self.found, self.survey = [], None
        with self._report.progress("rows read", estimated_rows(self._engine)) as seen:

            def one() -> None:
                self.result.rows += 1
                seen()

            try:
                self.found.extend(fault for fault in faults(self._engine, one) if not is_swept(self._engine, fault))
                if self.found:
                    self.survey = Survey(self._engine, self.found)
            except (CorruptChunk, StoreFailed) as error:
                self.found.append(Fault("database", str(error)))
                self.result.advice = [_ADVICE["unreadable"]]

    def finish(self) -> Checked:
        """The result."""
        result = self.result
        result.faults = [{"row": fault.row, "what": fault.what} for fault in self.found]
        damaged = self.survey.damaged if self.survey is not None else ()
        result.damaged = [{"kind": it.kind, "name": it.name} for it in damaged]
        if self.survey is not None and any(map(is_corruption, self.found)):
            result.advice.append(_ADVICE["changed"])
        elif damaged:
            result.advice.append(_ADVICE["damaged"])
        return result


def _lines(result: Checked) -> Iterator[str]:
    for fault in result.faults:
        yield f"{fault['row']}: {fault['what']}"
    for it in result.damaged:
        yield f"damaged {it['kind']}: {it['name']}"
    if result.repaired is not None:
        done = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in _counts(result.repaired) if count)
        yield f"{result.found} faults were found; {done or 'nothing could be repaired'}"
    yield from result.advice
    yield f"{result.rows} rows read, {len(result.faults)} faults"


def _counts(done: Repair) -> list[tuple[str, Any]]:
    return list(msgspec.structs.asdict(done).items())


def estimated_rows(engine: Engine) -> int:
    """How many rows there are, about."""
    return engine.properties()["estimated_rows"]


def run_salvage(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin salvage DB NEW``"""
    with database(arguments.db, report) as engine, report.progress("rows copied", estimated_rows(engine)) as seen:
        done = salvage(engine, str(arguments.new), seen)
    lines = [*(f"lost: {name}" for name in done.lost), f"{done.copied} rows copied, {len(done.lost)} lost"]
    report.result(done, lines)
    return FAULTY if done.lost else SOUND
