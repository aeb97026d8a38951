"""`python -m bench`: start a gateway and nginx, do the work, print the table. README.md says how to read it."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

from bench import report, servers
from bench.measure import Clients, WentWrong, measure, prepare
from bench.report import Report
from bench.servers import CannotStart, Target
from bench.workloads import MIB, Wire, Workload, workloads
from tools.stress_test import Signer


def add_work_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what work is done, common to the benchmark and the comparison."""
    add = parser.add_argument
    add("--workloads", metavar="NAME,...", help="only these; a name that ends with * stands for all that begin so")
    add("--seconds", type=float, default=1.0, help="length of one run; default: %(default)s")
    add("--runs", type=int, default=5, help="runs of each; medians are printed; default: %(default)s")
    add("--concurrency", metavar="C,...", help="only these numbers of connections")
    add("--huge-mib", type=int, default=256, help="size of the huge object; default: %(default)s")
    add("--list-keys", type=int, default=2000, help="keys to list; default: %(default)s")
    add("--clients", type=int, default=1, help="client processes; default: %(default)s")
    add("--client", choices=["python", "wrk"], default="python", help="what sends the GETs; default: %(default)s")
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


def rounds(given: argparse.Namespace, clients: Clients, targets: list[Target], work: list[Workload]) -> Report:
    """Do all the work `--runs` times. The targets take turns, so that a machine that drifts drifts for both."""
    settings = {name: str(value) for name, value in vars(given).items() if value and not name.endswith("_key")}
    kept = Report(report.describe_machine(), {**settings})
    levels = {int(level) for level in given.concurrency.split(",")} if given.concurrency else None
    wires = {target.name: Wire(target, f"bench-{int(time.time())}") for target in targets}
    for target in targets:
        say(f"filling {target.name}")
        prepare(clients, wires[target.name], [one for one in work if one.static or target.root is None])
    serial = 0
    for turn in range(given.runs):
        for workload in work:
            for concurrency in workload.concurrencies:
                for target in targets:
                    skipped = target.root is not None and not workload.static
                    if skipped or (levels is not None and concurrency not in levels):
                        continue
                    serial += 1
                    figures, failures = measure(
                        clients,
                        wires[target.name],
                        workload,
                        concurrency=concurrency,
                        seconds=given.seconds,
                        serial=serial,
                    )
                    kept.add(target.name, workload.name, concurrency, figures)
                    say(
                        f"{turn + 1}/{given.runs} {target.name:6} {workload.name:17} c={concurrency:<2}"
                        f" {figures['rps']:8.0f}/s {figures['cpu_us']:9.1f} us"
                    )
                    for why in failures:
                        say(f"  {why}")
    return kept


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


def main(arguments: list[str]) -> int:
    """Run the benchmark; the answer is the exit status: 1 when something went wrong or any response was wrong."""
    given = options().parse_args(arguments)
    leave_in_order()
    try:
        work = chosen(given)
        with contextlib.ExitStack() as stack:
            clients = stack.enter_context(Clients(given.clients, given.client == "wrk"))
            targets = [measured(given, stack)]
            if shutil.which("nginx") and not given.no_nginx and any(one.static for one in work):
                targets.append(stack.enter_context(servers.nginx(tls=targets[0].tls)))
            kept = rounds(given, clients, targets, work)
    except (WentWrong, CannotStart, OSError) as why:
        say(f"bench: {why}")
        return 1
    except KeyboardInterrupt:
        return 130
    print(", ".join(f"{name} {value}" for name, value in kept.machine.items()))
    print(f"python -m bench {shlex.join(arguments)}: medians of {given.runs} runs (smallest-largest)")
    print(report.table(kept, work, "s3gw", "nginx"))
    if given.compare:
        print(f"\nnow, {given.compare}, now / then")
        print(report.ratios(kept, "s3gw", Report.load(given.compare), "s3gw"))
    if given.json:
        kept.save(given.json)
    return 1 if kept.errors() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
