"""One measurement: a load against a target, and what it cost the target.

| figure          | meaning                                                           |
|-----------------|-------------------------------------------------------------------|
| rps             | good responses per second                                         |
| mb_s            | body bytes, 10^6 per second                                       |
| p50_ms, p99_ms  | latency as the client sees it                                     |
| cpu_us          | CPU time of the server per response, microseconds                 |
| gb_cpu_s        | body bytes per second of the server's CPU time, 10^9              |
| client          | the share of one core that the client needed: near 1, it is the limit |
| errors          | responses that were wrong or did not come                         |
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from bench import load
from bench.load import Outcome, Plan, Request
from bench.servers import Target, write_file
from bench.workloads import Objects, Wire, Workload

Figures = dict[str, float]
FILL_CONNECTIONS = 8
WARM_UP_S = 0.3

# wrk calls these; the last line it prints is ours.
_WRK_SCRIPT = """
local requests, at = {%s}, 0
request = function() at = at %% #requests + 1 return requests[at] end
done = function(summary, latency, all)
  local failed = summary.errors
  print(string.format('{"n":%%d,"us":%%d,"bytes":%%d,"p50":%%f,"p99":%%f,"status":%%d,"broken":%%d}', summary.requests,
    summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), failed.status,
    failed.connect + failed.read + failed.write + failed.timeout))
end
"""


class WentWrong(Exception):
    """The work that prepares a measurement failed."""


class Clients:
    """The processes that make the load; a context, since they live as long as the benchmark."""

    def __init__(self, processes: int, wrk: bool) -> None:
        self.wrk = wrk
        self._processes = processes
        self._pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))

    def __enter__(self) -> Clients:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def run(self, plan: Plan) -> Outcome:
        """Run a plan, divided among the processes where there are several."""
        count = min(self._processes, plan.connections, len(plan.requests))
        share = -(-plan.connections // count)
        plans = [replace(plan, requests=plan.requests[n::count], connections=share) for n in range(count)]
        return load.merge(list(self._pool.map(load.run, plans)))

    def fill(self, target: Target, requests: list[Request], connections: int = FILL_CONNECTIONS) -> None:
        """Send each request once and insist on success."""
        outcome = self.run(Plan(target.host, target.port, target.tls, requests, connections, None))
        if outcome.errors:
            raise WentWrong(f"filling {target.name}: {outcome.failures[0]}")


def prepare(clients: Clients, wire: Wire, work: list[Workload]) -> None:
    """Create the bucket and the objects that the workloads read."""
    needed: dict[str, Objects] = {one.reads.prefix: one.reads for one in work if one.reads is not None}
    root = wire.target.root
    if root is not None:
        for objects in needed.values():
            for index in range(objects.count):
                write_file(root, wire.path(objects.key(index)), objects.window(index))
        return
    bucket = wire.request("PUT", "", status=200)
    clients.fill(wire.target, [bucket], 1)
    for objects in needed.values():
        clients.fill(wire.target, wire.puts(objects))


def measure(
    clients: Clients, wire: Wire, workload: Workload, *, concurrency: int, seconds: float, serial: int
) -> tuple[Figures, list[str]]:
    """The figures of one run, and the first failures. `serial` is a number that no other run on the target has."""
    target = wire.target
    limit: float | None = seconds
    if workload.consumes is not None:
        clients.fill(target, wire.puts(workload.consumes(serial)))
        limit = None
    requests = workload.requests(wire, serial)
    plan = Plan(target.host, target.port, target.tls, requests, concurrency, limit)
    failures: list[str] = []
    if workload.static and workload.name != "get-huge":
        failures = clients.run(replace(plan, seconds=min(seconds, WARM_UP_S))).failures
    before = target.cpu_seconds()
    if clients.wrk and workload.by_wrk:
        figures = _wrk(plan, target, before)
    else:
        outcome = clients.run(plan)
        figures = _figures(outcome, target.cpu_seconds() - before)
        failures += outcome.failures
    figures["errors"] = max(figures["errors"], float(len(failures)))
    return figures, failures


def _figures(outcome: Outcome, cpu: float) -> Figures:
    latencies = sorted(outcome.latencies)
    count, elapsed = len(latencies), outcome.elapsed
    if not count:
        raise WentWrong(f"not one good response: {outcome.failures[:1]}")
    return {
        "rps": count / elapsed,
        "mb_s": outcome.bytes / elapsed / 1e6,
        "p50_ms": 1000 * latencies[count // 2],
        "p99_ms": 1000 * latencies[min(count - 1, count * 99 // 100)],
        "cpu_us": 1e6 * cpu / count,
        "gb_cpu_s": outcome.bytes / 1e9 / cpu if cpu else 0.0,
        "client": outcome.client_cpu / elapsed,
        "errors": float(outcome.errors),
    }


def _wrk(plan: Plan, target: Target, cpu_before: float) -> Figures:
    """The same with wrk as the client: faster, but it checks nothing except the status."""
    literals = ",".join('"' + "".join(f"\\{byte:03d}" for byte in request.head) + '"' for request in plan.requests)
    with tempfile.TemporaryDirectory(prefix="wrk-") as directory:
        script = Path(directory, "load.lua")
        script.write_text(_WRK_SCRIPT % literals)
        url = f"{'https' if plan.tls else 'http'}://{target.authority}/"
        command = [str(shutil.which("wrk")), "-t1", f"-c{plan.connections}", f"-d{max(1, round(plan.seconds or 1))}s"]
        done = subprocess.run(
            [*command, "--timeout", "30", "-s", str(script), url],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    if done.returncode or not done.stdout:
        raise WentWrong(f"wrk: {done.stderr.strip()}")
    said = json.loads(done.stdout.splitlines()[-1])
    cpu, count, elapsed = target.cpu_seconds() - cpu_before, max(said["n"], 1), said["us"] / 1e6
    refused = said["n"] - said["status"] if plan.requests[0].status >= 400 else said["status"]
    return {
        "rps": count / elapsed,
        "mb_s": said["bytes"] / elapsed / 1e6,
        "p50_ms": said["p50"] / 1000,
        "p99_ms": said["p99"] / 1000,
        "cpu_us": 1e6 * cpu / count,
        "gb_cpu_s": said["bytes"] / 1e9 / cpu if cpu else 0.0,
        "client": 0.0,
        "errors": float(refused + said["broken"]),
    }
