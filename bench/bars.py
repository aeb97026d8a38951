"""The bars: what each kind of work may cost. They are measured in sections; one table holds them together.

| section | servers, in turn                            | work                                                  |
|---------|---------------------------------------------|-------------------------------------------------------|
| plain   | a gateway, nginx                            | every workload                                        |
| signed  | a gateway, one with ``--auth=sigv4``        | what the signature adds                               |
| tls     | a gateway, one with https, nginx with https | what TLS adds                                         |
| cold    | a gateway that was stopped in between       | bodies from tables, more than the hot cache holds     |
| scale   | gateways with few and with many objects     | listings, start, memory (`bench.scale`)               |

A bar is on a figure of each run, or on what two figures make that were taken side by side; the median of them counts.

Bars in microseconds are those of the machine that they were set on, where nginx took 6 us of CPU time for a GET of
1 KiB and 9 for one of 64 KiB. So each of them has a second one, which holds anywhere: how many such GETs of nginx the
work may cost, beside how many it did in this run.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.report import Report, align
from bench.scale import at

Reports = dict[str, Report]
"""The figures of each section."""

Values = Callable[[Reports], "list[float] | None"]
"""One value a run; None if it was not measured."""


def of(section: str, work: str, figure: str, *, target: str = "s3gw", c: int = 16) -> Values:
    """A figure as it was measured."""

    def values(reports: Reports) -> list[float] | None:
        runs = reports[section].runs(target, work, c) if section in reports else None
        return None if runs is None else runs.get(figure)

    return values


def pairs(first: Values, second: Values, combine: Callable[[float, float], float]) -> Values:
    """What two figures of the same run make."""

    def values(reports: Reports) -> list[float] | None:
        a, b = first(reports), second(reports)
        return None if a is None or b is None else [combine(x, y) for x, y in zip(a, b, strict=False)]

    return values


@dataclass(frozen=True)
class Unit:
    """What else CPU time is counted in: a kind of GET of nginx. ``us``: what it took where the bars were set."""

    work: str
    us: float


OF_1K, OF_64K = Unit("get-1k", 6), Unit("get-64k", 9)


@dataclass(frozen=True)
class Bar:
    """A row of the table. ``bar`` is None where there is none: the figure is there to be compared with others."""

    work: str
    unit: str
    values: Values
    bar: float | None
    at_least: bool = False
    yardstick: Values | None = None
    unit_of_nginx: Unit | None = None

    def row(self, reports: Reports) -> list[str] | None:
        """Its cells: work, unit, median, smallest and largest, bar, verdict, the yardstick, our multiple of it, GETs of
        nginx, bar in them, verdict."""
        values = self.values(reports)
        if not values:
            return None
        median = statistics.median(values)
        digits = 0 if median >= 1000 else 1 if median >= 10 else 2
        cells = [self.work, self.unit, f"{median:.{digits}f}", f"{min(values):.{digits}f}-{max(values):.{digits}f}"]
        if self.bar is None:
            cells += ["", ""]
        else:
            kept = median >= self.bar if self.at_least else median <= self.bar
            cells += [f"{'>=' if self.at_least else '<='} {self.bar:g}", "ok" if kept else "MISSED"]
        other = self.yardstick(reports) if self.yardstick is not None else None
        floor = statistics.median(other) if other else 0.0
        cells += [f"{floor:.1f}", f"{median / floor:.1f}"] if floor else ["", ""]
        return cells + self._in_gets(reports, median)

    def _in_gets(self, reports: Reports, median: float) -> list[str]:
        unit = self.unit_of_nginx
        took = of("plain", unit.work, "cpu_us", target="nginx")(reports) if unit is not None else None
        if unit is None or not took or self.bar is None:
            return ["", "", ""]
        gets, bar = median / statistics.median(took), self.bar / unit.us
        return [f"{gets:.1f}", f"<= {bar:.1f}", "ok" if gets <= bar else "MISSED"]


def _cpu(work: str, name: str, bar: float, *, section: str = "plain", unit: Unit = OF_1K) -> Bar:
    yardstick = of("plain", name, "cpu_us", target="nginx")
    return Bar(work, "CPU us", of(section, name, "cpu_us"), bar, yardstick=yardstick, unit_of_nginx=unit)


def _rate(work: str, name: str, bar: float) -> Bar:
    yardstick = of("plain", name, "rps", target="nginx")
    return Bar(work, "req/s", of("plain", name, "rps"), bar, at_least=True, yardstick=yardstick)


def _signature(work: str, name: str) -> Bar:
    signed, plain = (of("signed", name, "cpu_us", target=target) for target in ("signed", "s3gw"))
    added = pairs(signed, plain, lambda a, b: a - b)
    return Bar(f"{work}: what SigV4 adds", "CPU us", added, 12, unit_of_nginx=OF_1K)


def _per_cpu_second(work: str, name: str, bar: float) -> Bar:
    yardstick = of("plain", name, "gb_cpu_s", target="nginx", c=1)
    return Bar(work, "GB per CPU s", of("plain", name, "gb_cpu_s", c=1), bar, at_least=True, yardstick=yardstick)


def _listing(work: str, name: str, keys: int, bar: float | None) -> Bar:
    us = of("scale", at(name, keys), "cpu_us", c=1)
    ms = pairs(us, us, lambda a, _: a / 1000)
    return Bar(f"{work}, {keys:,} keys", "CPU ms", ms, bar)


def rows(huge_mib: int, sizes: Sequence[int]) -> list[Bar]:
    """Every bar there is."""
    huge = f"{huge_mib} MiB, one connection"
    few, many = min(sizes), max(sizes)
    plain_tls, tls = (of("tls", "get-64k", "cpu_us", target=target) for target in ("s3gw", "tls"))
    ratio = pairs(tls, plain_tls, lambda a, b: a / b)
    nginx_ratio = pairs(
        of("tls", "get-64k", "cpu_us", target="nginx-tls"),
        of("plain", "get-64k", "cpu_us", target="nginx"),
        lambda a, b: a / b,
    )
    resident = pairs(
        of("scale", at("start", many), "rss_mb", c=1), of("scale", at("start", few), "rss_mb", c=1), lambda a, b: a - b
    )
    deep = pairs(
        of("scale", at("list-deep", many), "cpu_us", c=1),
        of("scale", at("list-deep", few), "cpu_us", c=1),
        lambda a, b: a / b,
    )
    return [
        _cpu("GET 64 KiB, hot", "get-64k", 40, unit=OF_64K),
        _rate("GET 64 KiB, hot", "get-64k", 15000),
        Bar(
            "GET 64 KiB, hot",
            "p99 ms",
            of("plain", "get-64k", "p99_ms"),
            10,
            yardstick=of("plain", "get-64k", "p99_ms", target="nginx"),
        ),
        _cpu("GET 1 KiB, hot", "get-1k", 28),
        _cpu("HEAD", "head", 28),
        _cpu("GET of a missing object", "missing", 28),
        _cpu("16 KiB range of 64 KiB", "range-16k-of-64k", 32),
        _cpu("16-byte range of 60 MiB, hot", "range-16b-of-60m", 60),
        _cpu("16-byte range of 60 MiB, cold", "range-16b-of-60m", 300, section="cold"),
        _cpu("GET 64 KiB from RocksDB", "get-64k", 70, section="cold", unit=OF_64K),
        _cpu("PUT 1 KiB, fsynced", "put-1k", 70),
        _rate("PUT 1 KiB, fsynced", "put-1k", 8000),
        _cpu("PUT 64 KiB, fsynced", "put-64k", 400, unit=OF_64K),
        _signature("GET 64 KiB", "get-64k"),
        _signature("PUT 1 KiB", "put-1k"),
        Bar("GET 64 KiB: TLS by plain", "ratio", ratio, 2, yardstick=nginx_ratio),
        _per_cpu_second(f"GET {huge}", "get-huge", 1.0),
        _per_cpu_second(f"PUT {huge}", "put-huge", 0.25),
        *(_listing("LIST 1000", "list-1000", keys, 8) for keys in sizes),
        *(_listing("LIST 1000 common prefixes", "list-prefixes", keys, 8) for keys in sizes),
        *(_listing(f"LIST past a prefix of {keys // 10:,}", "list-deep", keys, None) for keys in sizes),
        Bar("the longer by the shorter prefix: one seek", "ratio", deep, 1.5),
        *(
            Bar(f"start with {keys:,} objects", "s", of("scale", at("start", keys), "start_s", c=1), 2)
            for keys in sizes
        ),
        Bar(f"memory: {many:,} less {few:,} objects", "MB", resident, 8),
    ]


HEADER = ["work", "", "median", "min-max", "bar", "", "nginx", "x", "GETs of nginx", "bar", ""]


def table(reports: Reports, bars: Sequence[Bar], *, markdown: bool = False) -> str:
    """What was measured of the bars."""
    cells = [HEADER, *filter(None, (bar.row(reports) for bar in bars))]
    if not markdown:
        return align(cells)
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "|---|---|--:|--:|--:|---|--:|--:|--:|--:|---|", *lines[1:]])
