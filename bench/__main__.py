"""`python -m bench`: start a gateway and nginx, do the work, print the table. README.md says how to read it."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench import bars, report, scale, servers
from bench.measure import Clients, WentWrong, measure, prepare
from bench.report import Report
from bench.servers import CannotStart, Target
from bench.workloads import MIB, Wire, Workload, cold_workloads, workloads
from tools.stress_test import Signer


def add_work_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what work is done, common to the benchmark and the comparison."""
    add = parser.add_argument
    add("--workloads", metavar="NAME,...", help="only these; a name that ends with * stands for all that begin so")
    add("--seconds", type=float, default=1.0, help="length of one run; default: %(default)s")
    add("--runs", type=int, default=5, help="runs of each; medians are printed; default: %(default)s")
    add("--concurrency", metavar="C,...", help="only these numbers of connections")
    add("--huge-mib", type=int, default=1024, help="size of the huge object; default: %(default)s")
    add("--list-keys", type=int, default=2000, help="keys to list; default: %(default)s")
    add("--clients", type=int, default=1, help="client processes; default: %(default)s")
    add("--client", choices=["python", "wrk"], help="what sends the GETs; default: wrk where it is installed")
    add("--json", type=Path, metavar="FILE", help="keep the figures")
    add("--access-key", help="sign with SigV4 (a server that runs already)")
    add("--secret-key")


def options() -> argparse.ArgumentParser:
    """Every option of the benchmark."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure what a request costs.", allow_abbrev=False)
    add_work_options(parser)
    add = parser.add_argument
    add("--compare", type=Path, metavar="FILE", help="print ratios to the figures kept there")
    add("--endpoint", metavar="URL", help="measure a server that runs already, instead of starting one")
    add("--pid", type=int, help="its process id, for the CPU time")
    add("--auth", choices=["none", "sigv4"], default="none", help="how the started gateway authenticates")
    add("--tls", action="store_true", help="https")
    add("--server-args", default="", metavar="'...'", help="further options for the started gateway")
    add("--many-keys", default="10000,1000000", metavar="N,...", help="objects to list; default: %(default)s")
    add("--markdown", type=Path, metavar="FILE", help="write the table of bars there too")
    add("--no-nginx", action="store_true", help="leave the yardstick out")
    return parser


def chosen(given: argparse.Namespace) -> list[Workload]:
    """The workloads that the options ask for; WentWrong names one that does not exist."""
    work = workloads(given.huge_mib * MIB, given.list_keys, given.seconds)
    if given.workloads:
        wanted = given.workloads.split(",")
        for name in wanted:
            if not any(one.name == name or (name[-1:] == "*" and one.name.startswith(name[:-1])) for one in work):
                raise WentWrong(f"no workload {name!r}; there are {', '.join(one.name for one in work)}")
        work = [
            one
            for one in work
            if any(one.name == name or (name[-1:] == "*" and one.name.startswith(name[:-1])) for name in wanted)
        ]
    return work


def wires(targets: list[Target]) -> dict[str, Wire]:
    """What makes the requests for each target, by its name; each has a fresh bucket."""
    return {target.name: Wire(target, f"bench-{time.time_ns() // 1_000_000}") for target in targets}


def fill(clients: Clients, wire: Wire, work: list[Workload]) -> None:
    """Put everything there that is going to be read."""
    say(f"filling {wire.target.name}")
    prepare(clients, wire, [one for one in work if one.static or wire.target.root is None])


def rounds(
    given: argparse.Namespace,
    clients: Clients,
    ready: dict[str, Wire],
    work: list[Workload],
    levels: set[int] | None = None,
) -> Report:
    """Do all the work `--runs` times. The targets take turns, so that a machine that drifts drifts for both."""
    settings = {name: str(value) for name, value in vars(given).items() if value and not name.endswith("_key")}
    kept = Report(report.describe_machine(), {**settings})
    serial = 0
    for turn in range(given.runs):
        for workload in work:
            for concurrency in workload.concurrencies:
                for wire in ready.values():
                    target = wire.target
                    skipped = target.root is not None and not workload.static
                    if skipped or (levels is not None and concurrency not in levels):
                        continue
                    serial += 1
                    figures, failures = measure(
                        clients, wire, workload, concurrency=concurrency, seconds=given.seconds, serial=serial
                    )
                    kept.add(target.name, workload.name, concurrency, figures)
                    say(
                        f"{turn + 1}/{given.runs} {target.name:9} {workload.name:17} c={concurrency:<2}"
                        f" {figures['rps']:8.0f}/s {figures['cpu_us']:9.1f} us"
                    )
                    for why in failures:
                        say(f"  {why}")
    return kept


def asked_levels(given: argparse.Namespace) -> set[int] | None:
    """The numbers of connections that the options ask for; None: all."""
    return {int(level) for level in given.concurrency.split(",")} if given.concurrency else None


def say(text: str) -> None:
    """Tell how far things are."""
    print(text, file=sys.stderr, flush=True)


def signer(given: argparse.Namespace) -> Signer | None:
    """What signs for a server that runs already."""
    return Signer(given.access_key, given.secret_key or "", "us-east-1") if given.access_key else None


def measured(given: argparse.Namespace, stack: contextlib.ExitStack) -> Target:
    """The gateway: one that runs, or one that is started and lives as long as the stack."""
    if given.endpoint:
        if not given.pid:
            raise CannotStart("--endpoint needs --pid")
        return Target.at("s3gw", given.endpoint, given.pid, signer(given))
    extra = shlex.split(given.server_args)
    return stack.enter_context(servers.gateway(sigv4=given.auth == "sigv4", tls=given.tls, arguments=extra))


def leave_in_order() -> None:
    """Let SIGTERM end this as an exception does: with the servers stopped and the directories removed."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def wants_wrk(given: argparse.Namespace) -> bool:
    """Whether wrk sends the GETs."""
    return given.client == "wrk" or (given.client is None and shutil.which("wrk") is not None)


def is_partial(given: argparse.Namespace) -> bool:
    """Whether the options ask for something other than the table of bars."""
    return bool(given.workloads or given.endpoint or given.tls or given.auth != "none" or given.server_args)


def has_nginx(given: argparse.Namespace) -> bool:
    """Whether there is a yardstick."""
    return shutil.which("nginx") is not None and not given.no_nginx


def some(given: argparse.Namespace, clients: Clients, work: list[Workload]) -> Report:
    """The work that was asked for, on one gateway, as the options have it."""
    with contextlib.ExitStack() as stack:
        targets = [measured(given, stack)]
        if has_nginx(given) and any(one.static for one in work):
            targets.append(stack.enter_context(servers.nginx(tls=targets[0].tls)))
        ready = wires(targets)
        for wire in ready.values():
            fill(clients, wire, work)
        return rounds(given, clients, ready, work, asked_levels(given))


def everything(given: argparse.Namespace, clients: Clients) -> bars.Reports:
    """All sections of `bars`, one after the other."""
    work = {one.name: one for one in workloads(given.huge_mib * MIB, given.list_keys, given.seconds)}
    few = [work["get-64k"], work["put-1k"]]
    reports = {"plain": some(given, clients, [one for one in work.values() if not one.name.startswith("list")])}
    with servers.gateway() as plain, servers.gateway("signed", sigv4=True) as signed:
        reports["signed"] = _section(given, clients, [plain, signed], few)
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(servers.gateway()), stack.enter_context(servers.gateway("tls", tls=True))]
        if has_nginx(given):
            targets.append(stack.enter_context(servers.nginx("nginx-tls", tls=True)))
        reports["tls"] = _section(given, clients, targets, few[:1])
    reports["cold"] = _cold(given, clients)
    reports["scale"] = Report(report.describe_machine(), {})
    scale.run(clients, sizes(given), given.runs, given.seconds / 2, reports["scale"], say)
    return reports


def _section(given: argparse.Namespace, clients: Clients, targets: list[Target], work: list[Workload]) -> Report:
    ready = wires(targets)
    for wire in ready.values():
        fill(clients, wire, work)
    return rounds(given, clients, ready, work, {16})


def _cold(given: argparse.Namespace, clients: Clients) -> Report:
    work = cold_workloads()
    with tempfile.TemporaryDirectory(prefix="s3gw-cold-") as directory:
        database = Path(directory, "db")
        with servers.gateway(database=database) as target:
            wire = wires([target])[target.name]
            fill(clients, wire, work)
        with servers.gateway(database=database) as target:
            return rounds(given, clients, {target.name: replace(wire, target=target)}, work, {16})


def sizes(given: argparse.Namespace) -> list[int]:
    """How many objects there are to be, fewest first."""
    return sorted({int(keys) for keys in given.many_keys.split(",")})


def main(arguments: list[str]) -> int:
    """Run the benchmark; the answer is the exit status: 1 when something went wrong or any response was wrong."""
    given = options().parse_args(arguments)
    leave_in_order()
    begun = time.monotonic()
    try:
        work = chosen(given)
        with Clients(given.clients, wants_wrk(given)) as clients:
            if is_partial(given):
                reports = {"plain": some(given, clients, work)}
            else:
                reports = everything(given, clients)
    except (WentWrong, CannotStart, OSError) as why:
        say(f"bench: {why}")
        return 1
    except KeyboardInterrupt:
        return 130
    kept = reports["plain"]
    took = f"medians of {given.runs} runs, done in {time.monotonic() - begun:.0f} s"
    said = [
        ", ".join(f"{name} {value}" for name, value in kept.machine.items()),
        f"python -m bench {shlex.join(arguments)}: {took}",
    ]
    print("\n".join(said))
    print(report.table(kept, work, "s3gw", "nginx"))
    if not is_partial(given):
        wanted = bars.rows(given.huge_mib, sizes(given))
        print("\n" + bars.table(reports, wanted))
        if given.markdown:
            given.markdown.write_text("\n\n".join([*said, bars.table(reports, wanted, markdown=True)]) + "\n")
    if given.compare:
        print(f"\nnow, {given.compare}, now / then")
        print(report.ratios(kept, "s3gw", Report.load(given.compare), "s3gw"))
    if given.json:
        kept.save(given.json)
    return 1 if any(one.errors() for one in reports.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
