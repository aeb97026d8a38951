"""`python -m bench.compare --peer URL --peer-pid N`: the same work against two S3 endpoints in turn, A B A B.

A is a gateway that is started, or with `--endpoint` and `--pid` one that runs; B is the peer, any S3 endpoint on this
machine. Only ratios of figures that were taken side by side mean something on a machine that others use too.
"""

from __future__ import annotations

import contextlib
import sys

from bench import report
from bench.__main__ import (
    asked_levels,
    chosen,
    fill,
    leave_in_order,
    measured,
    options,
    rounds,
    say,
    signer,
    wants_wrk,
    wires,
)
from bench.measure import Clients, WentWrong
from bench.servers import CannotStart, Target


def main(arguments: list[str]) -> int:
    """Run the comparison; the answer is the exit status."""
    parser = options()
    parser.prog = "bench.compare"
    parser.add_argument("--peer", required=True, metavar="URL", help="the other endpoint")
    parser.add_argument("--peer-pid", required=True, type=int, help="its process id")
    given = parser.parse_args(arguments)
    leave_in_order()
    try:
        work = chosen(given)
        with contextlib.ExitStack() as stack:
            clients = stack.enter_context(Clients(given.clients, wants_wrk(given)))
            peer = Target.at("peer", given.peer, given.peer_pid, signer(given))
            ready = wires([measured(given, stack), peer])
            for wire in ready.values():
                fill(clients, wire, work)
            kept = rounds(given, clients, ready, work, asked_levels(given))
    except (WentWrong, CannotStart, OSError) as why:
        say(f"bench.compare: {why}")
        return 1
    except KeyboardInterrupt:
        return 130
    print(", ".join(f"{name} {value}" for name, value in kept.machine.items()))
    print(f"s3gw, {given.peer}, s3gw / peer; medians of {given.runs} runs of {given.seconds:g} s")
    print(report.ratios(kept, "s3gw", kept, "peer"))
    if given.json:
        kept.save(given.json)
    return 1 if kept.errors() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
