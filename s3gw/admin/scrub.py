"""``scrub``: read everything that a gateway has stored, beside the gateway and at a bounded rate."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import msgspec

from s3gw.admin.check import FAULTY, SOUND
from s3gw.admin.report import Report, in_bytes
from s3gw.store.engine import Engine
from s3gw.store.interface import ScrubStep
from s3gw.store.offline import beside
from s3gw.store.options import MIB
from s3gw.store.scrub import scrub_step


class Scrubbed(msgspec.Struct):
    """What was read. :ivar damaged: the rows that are not what was written, in words."""

    rows: int = 0
    bytes: int = 0
    damaged: list[str] = []


def run_scrub(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin scrub DB [--mb_s N]``"""
    found = Scrubbed()
    with beside(str(arguments.db)) as engine:
        size = engine.properties()["live_data_bytes"]
        with report.progress("read", size, size=True) as done:
            for step in _steps(engine, arguments.mb_s * MIB, time.monotonic, time.sleep):
                found.rows += step.rows
                found.bytes += step.nbytes
                found.damaged += step.damaged
                done(step.nbytes)
    lines = [
        *(f"damaged: {row}" for row in found.damaged),
        f"{found.rows} rows read, {in_bytes(found.bytes)}; {len(found.damaged)} damaged",
    ]
    report.result(found, lines)
    return FAULTY if found.damaged else SOUND


def _steps(
    engine: Engine, rate: int, now: Callable[[], float], sleep: Callable[[float], object]
) -> Iterator[ScrubStep]:
    """All steps of a scrub, at ``rate`` bytes a second at most."""
    position = b""
    while True:
        begun = now()
        engine.catch_up()
        step = scrub_step(engine, position)
        if step.damaged:
            # The gateway's files and its log are not read at the same moment: what is really damaged is so twice.
            engine.catch_up()
            step = scrub_step(engine, position)
        yield step
        position = step.position
        if not position:
            return
        sleep(max(0.0, step.nbytes / rate - (now() - begun)))
