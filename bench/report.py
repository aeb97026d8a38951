"""Figures of many runs: kept as JSON, printed as medians with their spread, compared with earlier ones.

{"machine": {...}, "settings": {...}, "results": {TARGET: {WORKLOAD: {CONCURRENCY: {FIGURE: [one value a run]}}}}}
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import Figures
from bench.workloads import Workload

LOWER_IS_BETTER = frozenset({"cpu_us", "p50_ms", "p99_ms"})
BUSY_CLIENT = 0.9
SIGV4_ALLOWANCE_US = 12.0

Runs = dict[str, list[float]]


@dataclass
class Report:
    """All figures of all runs."""

    machine: dict[str, str]
    settings: dict[str, object]
    results: dict[str, dict[str, dict[str, Runs]]] = field(default_factory=dict)

    def add(self, target: str, workload: str, concurrency: int, figures: Figures) -> None:
        """Keep the figures of one run."""
        runs = self.results.setdefault(target, {}).setdefault(workload, {}).setdefault(str(concurrency), {})
        for name, value in figures.items():
            runs.setdefault(name, []).append(value)

    def runs(self, target: str, workload: str, concurrency: int | str) -> Runs | None:
        """The figures of a target at some work, if it did any."""
        return self.results.get(target, {}).get(workload, {}).get(str(concurrency))

    def errors(self) -> int:
        """How many responses were wrong, in everything."""
        return int(sum(sum(runs["errors"]) for _, _, _, runs in self.rows()))

    def rows(self) -> Iterator[tuple[str, str, str, Runs]]:
        """Target, workload, concurrency and figures of all that was measured."""
        for target, works in self.results.items():
            for workload, levels in works.items():
                for concurrency, runs in levels.items():
                    yield target, workload, concurrency, runs

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(vars(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Report:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text()))


def describe_machine() -> dict[str, str]:
    """What the figures depend on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory[1]) // 1024} MiB" if memory else "?",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def spread(values: list[float], digits: int = 0) -> str:
    """Median, and where there are several runs the smallest and the largest."""
    median = f"{statistics.median(values):.{digits}f}"
    return median if len(values) == 1 else f"{median} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def bars(workload: Workload, runs: Runs, settings: dict[str, object]) -> str:
    """The limits of a workload and whether its medians keep them. There are none over TLS."""
    said = []
    for name, plain in workload.bars.items() if not settings.get("tls") else ():
        limit = plain + SIGV4_ALLOWANCE_US if name == "cpu_us" and settings.get("auth") == "sigv4" else plain
        median = statistics.median(runs[name])
        kept = median <= limit if name in LOWER_IS_BETTER else median >= limit
        said.append(f"{name} {'<=' if name in LOWER_IS_BETTER else '>='} {limit:g} {'ok' if kept else 'MISSED'}")
    return ", ".join(said)


def table(report: Report, work: list[Workload], target: str, yardstick: str) -> str:
    """What a target did, with the multiple of the yardstick's CPU time and the bars."""
    rows = [["workload", "c", "req/s", "MB/s", "p50 ms", "p99 ms", "CPU us/req", "GB/CPU s", f"x {yardstick}", "bar"]]
    for workload in work:
        for concurrency in workload.concurrencies:
            runs = report.runs(target, workload.name, concurrency)
            if runs is None:
                continue
            other = report.runs(yardstick, workload.name, concurrency)
            floor = statistics.median(other["cpu_us"]) if other else 0.0
            row = [workload.name, str(concurrency), spread(runs["rps"]), spread_short(runs["mb_s"])]
            row += [f"{statistics.median(runs[name]):.2f}" for name in ("p50_ms", "p99_ms")]
            row += [spread(runs["cpu_us"], 1), f"{statistics.median(runs['gb_cpu_s']):.2f}"]
            row.append(f"{statistics.median(runs['cpu_us']) / floor:.1f} of {floor:.1f}" if floor else "")
            marks = [bars(workload, runs, report.settings)] if concurrency == max(workload.concurrencies) else [""]
            if statistics.median(runs["client"]) > BUSY_CLIENT:
                marks.append("[client-bound]")
            if sum(runs["errors"]):
                marks.append(f"[{sum(runs['errors']):.0f} ERRORS]")
            rows.append([*row, " ".join(filter(None, marks))])
    return align(rows)


def spread_short(values: list[float]) -> str:
    """The median alone."""
    return f"{statistics.median(values):.1f}"


def ratios(now: Report, target: str, earlier: Report, earlier_target: str) -> str:
    """Every common measurement of two targets: the second's median beside the first's, and first by second."""
    rows = [["workload", "c", "CPU us/req", "", "ratio", "req/s", "", "ratio", "p99 ms", "", "ratio"]]
    for workload, levels in now.results.get(target, {}).items():
        for concurrency, runs in levels.items():
            old = earlier.runs(earlier_target, workload, concurrency)
            if old is None:
                continue
            row = [workload, concurrency]
            for name in ("cpu_us", "rps", "p99_ms"):
                a, b = statistics.median(runs[name]), statistics.median(old[name])
                digits = 0 if name == "rps" else 2
                row += [f"{a:.{digits}f}", f"{b:.{digits}f}", f"{a / b:.2f}" if b else "-"]
            rows.append(row)
    return align(rows)


def align(rows: list[list[str]]) -> str:
    """Rows as a table: the first and the last column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    last = len(widths) - 1
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
