"""`python -m bench.storm`: small requests beside big ones. Are HEADs and short ranges stuck behind bodies?

    python -m bench.storm                                 # four rounds, quiet and streaming in turn
    python -m bench.storm --seconds 3 --rounds 7 --json storm.json
    python -m bench.storm --endpoint http://127.0.0.1:9000 --pid 4711

In each round the same small requests are sent to an idle gateway (quiet), then while other processes read and write
objects of 64 MiB as fast as they get them (streaming). Both of one round are seconds apart, so on a machine that others
use too the ratio still means something; the absolute figures do not. With `--object-mib 4` the objects that are read
are in the gateway's memory: then nothing but the sending takes time.

| load     | connections | is                                                                                     |
|----------|-------------|----------------------------------------------------------------------------------------|
| storm    | 512         | HEADs, half of objects that are not there, all in flight at once                       |
| head     | 1           | the same HEADs, one after the other: what one client waits for                         |
| range    | 1           | ranges of 16 KiB of a large object, one after the other                                |
| readers  | `--readers` | GETs of large objects, `--object-mib` each                                             |
| writers  | `--writers` | PUTs of such objects                                                                   |

`p50` and `p99` are as the client sees them, so that of the storm is mostly its own queue: 512 requests that are sent at
once are answered one by one. `server p50` and `p99` are of the gateway's own histogram of HEADs, interpolated within
its buckets: first byte of the request to the end of its answer. `MB/s` is what readers and writers got meanwhile.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import json
import multiprocessing
import random
import re
import sys
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import servers
from bench.__main__ import leave_in_order, say, signer
from bench.load import Outcome, Plan, Request, run
from bench.report import describe_machine
from bench.servers import CannotStart, Target
from bench.workloads import KIB, MIB, Objects, Wire

SMALL = Objects("small", 512, 4 * KIB)
RANGE_BYTES = 16 * KIB
STORM = 512

_BUCKET = re.compile(
    r'^s3gw_method_latency_ms_bucket\{(?=[^}]*method="HEAD")[^}]*le="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True)
class Probe:
    """A load whose latency is looked at."""

    name: str
    connections: int
    requests: list[Request]


@dataclass
class Seen:
    """What one probe came to; milliseconds, and 10^6 body bytes a second beside it."""

    p50: float
    p99: float
    worst: float
    rate: float
    server_p50: float
    server_p99: float
    megabytes: float
    errors: int


def percentile(latencies: Sequence[float], part: float) -> float:
    """The latency in ms that this part of them does not exceed."""
    ordered = sorted(latencies)
    return 1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


def head_histogram(target: Target) -> dict[float, float]:
    """How many HEADs there were up to each bound of the gateway's histogram; empty for another server."""
    url = f"{'https' if target.tls else 'http'}://{target.authority}/metrics"
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=30) as answer:
        return {float(bound): float(count) for bound, count in _BUCKET.findall(answer.read().decode())}
    return {}


def of_histogram(before: dict[float, float], after: dict[float, float], part: float) -> float:
    """A percentile of what came between two histograms, linear within a bucket."""
    bounds = sorted(after)
    counts = [after[bound] - before.get(bound, 0) for bound in bounds]
    if not counts or not counts[-1]:
        return float("nan")
    wanted = part * counts[-1]
    index = bisect.bisect_left(counts, wanted)
    low = bounds[index - 1] if index else 0.0
    below = counts[index - 1] if index else 0.0
    if bounds[index] == float("inf"):
        return low
    return low + (bounds[index] - low) * (wanted - below) / ((counts[index] - below) or 1)


class Storm:
    """A gateway, the loads, and the processes that send them."""

    def __init__(self, target: Target, given: argparse.Namespace, pool: ProcessPoolExecutor) -> None:
        self._target = target
        self._given = given
        self._pool = pool
        self._wire = Wire(target, f"storm-{int(time.time())}")
        self._big = Objects("big", max(2, given.readers), given.object_mib * MIB)
        self._serial = 0

    def fill(self) -> None:
        """Store what is read."""
        for requests in (
            [self._wire.request("PUT", "", status=200)],
            self._wire.puts(SMALL),
            self._wire.puts(self._big),
        ):
            outcome = run(Plan(self._target.host, self._target.port, self._target.tls, requests, 4, None))
            if outcome.errors:
                raise CannotStart(f"filling failed: {outcome.failures[0]}")

    def probes(self) -> list[Probe]:
        """Every load that is looked at."""
        wire, dice = self._wire, random.Random(1)
        heads = [wire.request("HEAD", SMALL.key(index), status=200) for index in range(SMALL.count)]
        heads += [wire.request("HEAD", f"missing/{index:08d}", status=404) for index in range(SMALL.count)]
        heads = [Request(head.head, head.status, no_body=True) for head in heads]
        dice.shuffle(heads)
        ranges = []
        for _ in range(256):
            first = dice.randrange(self._big.size - RANGE_BYTES)
            expected = self._big.window(0).part(first, RANGE_BYTES)
            ranges.append(
                wire.request("GET", self._big.key(0), status=206, span=(first, RANGE_BYTES), expected=expected)
            )
        return [Probe("storm", STORM, heads), Probe("head", 1, heads), Probe("range", 1, ranges)]

    def _plan(self, requests: list[Request], connections: int, seconds: float) -> Plan:
        return Plan(self._target.host, self._target.port, self._target.tls, requests, connections, seconds)

    def _streams(self, seconds: float) -> list[Plan]:
        wire = self._wire
        plans = []
        if self._given.readers:
            gets = [
                wire.request("GET", self._big.key(index), status=200, expected=self._big.window(index))
                for index in range(self._big.count)
            ]
            plans.append(self._plan(gets, self._given.readers, seconds))
        if self._given.writers:
            self._serial += 1
            fresh = Objects(f"written/{self._serial % 2}", 4 * self._given.writers, self._big.size)
            plans.append(self._plan(wire.puts(fresh), self._given.writers, seconds))
        return plans

    def measure(self, probe: Probe, streaming: bool) -> Seen:
        """Send one load, beside streams or not."""
        seconds = self._given.seconds
        lead = 0.5 if streaming else 0.0
        plans = self._streams(seconds + 2 * lead) if streaming else []
        beside = [self._pool.submit(run, plan) for plan in plans]
        time.sleep(lead)
        before = head_histogram(self._target)
        outcome = self._pool.submit(run, self._plan(probe.requests, probe.connections, seconds)).result()
        after = head_histogram(self._target)
        streams = [each.result() for each in beside]
        for why in (*outcome.failures, *(why for each in streams for why in each.failures)):
            say(f"  {why}")
        return self._seen(outcome, streams, before, after, heads=probe.name != "range")

    @staticmethod
    def _seen(
        outcome: Outcome, streams: list[Outcome], before: dict[float, float], after: dict[float, float], *, heads: bool
    ) -> Seen:
        nothing = float("nan")
        return Seen(
            p50=percentile(outcome.latencies, 0.5),
            p99=percentile(outcome.latencies, 0.99),
            worst=percentile(outcome.latencies, 1.0),
            rate=len(outcome.latencies) / outcome.elapsed,
            server_p50=of_histogram(before, after, 0.5) if heads else nothing,
            server_p99=of_histogram(before, after, 0.99) if heads else nothing,
            megabytes=sum(each.bytes / each.elapsed for each in streams) / 1e6,
            errors=outcome.errors + sum(each.errors for each in streams),
        )


COLUMNS = ("p50", "p99", "worst", "server_p50", "server_p99", "rate", "megabytes")


def table(found: dict[tuple[str, str], list[Seen]]) -> str:
    """Medians over the rounds, and streaming over quiet."""
    titles = ("p50 ms", "p99 ms", "worst ms", "server p50", "server p99", "per s", "MB/s")
    lines = [f"{'':16}" + "".join(f"{title:>12}" for title in titles)]
    for (probe, beside), rounds in found.items():
        figures = [median(getattr(each, column) for each in rounds) for column in COLUMNS]
        lines.append(f"{probe:6}{beside:10}" + "".join(f"{figure:12.3f}" for figure in figures))
    for probe in dict.fromkeys(name for name, _ in found):
        pairs = list(zip(found[probe, "streaming"], found[probe, "quiet"], strict=True))
        by = [
            median(getattr(loud, column) / getattr(calm, column) for loud, calm in pairs) for column in ("p50", "p99")
        ]
        lines.append(f"{probe:6}streaming / quiet: p50 x {by[0]:.2f}, p99 x {by[1]:.2f}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Measure; the answer is the exit status: 1 when any response was wrong."""
    parser = argparse.ArgumentParser(prog="bench.storm", description="Small requests beside big.")
    add = parser.add_argument
    add("--seconds", type=float, default=2.0, help="length of each load; default: %(default)s")
    add("--rounds", type=int, default=4, help="medians of so many are printed; default: %(default)s")
    add("--readers", type=int, default=2, help="connections that read large objects; default: %(default)s")
    add("--writers", type=int, default=1, help="connections that write them; default: %(default)s")
    add("--object-mib", type=int, default=64, help="size of a large object; default: %(default)s")
    add("--endpoint", metavar="URL", help="measure a server that runs already, instead of starting one")
    add("--pid", type=int, help="its process id")
    add("--access-key", help="sign with SigV4 (a server that runs already)")
    add("--secret-key")
    add("--server-args", default="", metavar="'...'", help="further options for the started gateway")
    add("--json", type=Path, metavar="FILE", help="keep the figures")
    given = parser.parse_args(arguments)
    leave_in_order()
    found: dict[tuple[str, str], list[Seen]] = {}
    with contextlib.ExitStack() as stack:
        try:
            if given.endpoint:
                target = Target.at("s3gw", given.endpoint, given.pid or 0, signer(given))
            else:
                target = stack.enter_context(servers.gateway(arguments=given.server_args.split()))
            pool = stack.enter_context(ProcessPoolExecutor(3, multiprocessing.get_context("spawn")))
            storm = Storm(target, given, pool)
            storm.fill()
        except (CannotStart, OSError) as why:
            say(f"bench.storm: {why}")
            return 1
        for turn in range(given.rounds):
            for probe in storm.probes():
                for beside in ("quiet", "streaming"):
                    seen = storm.measure(probe, beside == "streaming")
                    found.setdefault((probe.name, beside), []).append(seen)
                    say(
                        f"{turn + 1}/{given.rounds} {probe.name:6} {beside:10} p50 {seen.p50:8.3f} p99 {seen.p99:8.3f}"
                        f" server {seen.server_p50:7.3f} {seen.server_p99:7.3f} {seen.megabytes:8.0f} MB/s"
                    )
    print(", ".join(f"{name} {value}" for name, value in describe_machine().items()))
    print(f"python -m bench.storm {' '.join(arguments)}: medians of {given.rounds} rounds")
    print(table(found))
    if given.json:
        kept = {f"{probe} {beside}": [vars(each) for each in rounds] for (probe, beside), rounds in found.items()}
        given.json.write_text(json.dumps({"machine": describe_machine(), "rounds": kept}, indent=1))
    return 1 if any(each.errors for rounds in found.values() for each in rounds) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
