"""`python -m bench.instructions`: how many instructions a request costs. README.md says how to read it.

Time is no measure on a machine that is busy, or that is not there alone; instructions are. callgrind counts those that
the process itself runs (the kernel's are not among them) while requests go through the gateway of `bench.in_process`:
from the bytes of a request to those of its answer.

The process that is asked for this compiles `callgrind.c`, which says from where to where to count, and starts itself
again below valgrind; what that one counted it reads from callgrind's files.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.in_process import ACCESS_KEY, REGION, SECRET_KEY, InProcess, WrongAnswer, gateways, pieces_of
from bench.load import Request
from bench.report import align
from bench.servers import CHECKOUT
from bench.workloads import KIB, MIB, Objects, Wire
from s3gw.s3.canonical import SignedHeaders, canonical_request, string_to_sign
from s3gw.s3.sigv4 import SigningKey

WARM_UP = 96
COUNTED = 192
TIMES = 2
"""Countings of each; the smaller one is it."""

AT_ONCE = 16

SMALL, MEDIUM, BIG = Objects("1k", 32, KIB), Objects("64k", 32, 64 * KIB), Objects("60m", 1, 60 * MIB)
LISTED = Objects("list", 1000, 16)
ROUNDS = 1 + 2 * TIMES
"""How often requests of one work are made."""

STORED = Objects("stored", ROUNDS * COUNTED, 64 * KIB)
SPOTS = 64

BOTO3_SAYS = b"""\
Accept-Encoding: identity\r
User-Agent: Boto3/1.44.8 md/Botocore#1.44.8 md/awscrt#0.38.1 ua/2.1 os/linux#6.18.44 md/arch#x86_64 \
lang/python#3.11.7 md/pyimpl#CPython m/b,N,e,E,Z cfg/retry-mode#standard Botocore/1.44.8\r
amz-sdk-invocation-id: 01234567-89ab-4cde-8f01-23456789abcd\r
amz-sdk-request: attempt=1; max=3\r
"""
"""What boto3 sends with a GET and does not sign."""

BOTO3 = (
    BOTO3_SAYS
    + b"""\
x-amz-checksum-mode: ENABLED\r
X-Amz-Date: 20300101T000000Z\r
X-Amz-Content-SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r
Authorization: AWS4-HMAC-SHA256 Credential=somebody/20300101/us-east-1/s3/aws4_request, SignedHeaders=host;\
x-amz-checksum-mode;x-amz-content-sha256;x-amz-date, \
Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r
"""
)
"""What it sends, beside Host."""

REQUESTS_SAYS = b"""\
User-Agent: python-requests/2.34.2\r
Accept-Encoding: gzip, deflate\r
Accept: */*\r
Connection: keep-alive\r
"""
"""What requests sends with the URL that it is given."""

_DUMPED = re.compile(r"^desc: Trigger: Client Request: (\S+) (\d+)$", re.MULTILINE)
_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


class CannotCount(Exception):
    """There is nothing to count with; the message says why."""


Make = Callable[[Wire, int], list[Request]]


@dataclass(frozen=True)
class Work:
    """Requests that are counted.

    :ivar make: so many of them, from a wire and a serial number that no other round has.
    :ivar needs: what has to be there.
    """

    name: str
    make: Make
    needs: Objects | None = None
    at_once: int = 1
    signed: bool = False
    count: int = COUNTED


def works() -> list[Work]:
    """All there is, in the order of the report."""
    first_16k = (0, 16 * KIB)
    return [
        Work("get-1k", _reads("GET", SMALL), SMALL),
        Work("get-1k-boto3", _saying(BOTO3, _reads("GET", SMALL)), SMALL),
        Work("get-1k-sigv4", _reads("GET", SMALL), SMALL, signed=True),
        Work("get-1k-boto3-sigv4", _saying(BOTO3_SAYS, _reads("GET", SMALL)), SMALL, signed=True),
        Work("get-1k-presigned", _saying(REQUESTS_SAYS, _presigned), SMALL, signed=True),
        Work("get-64k", _reads("GET", MEDIUM), MEDIUM),
        Work("get-64k-stored-c16", _stored, STORED, at_once=AT_ONCE),
        Work("head", _reads("HEAD", SMALL), SMALL),
        Work("missing", _missing("GET")),
        Work("missing-head", _missing("HEAD")),
        Work("missing-boto3", _saying(BOTO3, _missing("GET"))),
        Work("range-16k-of-64k", _reads("GET", MEDIUM, first_16k), MEDIUM),
        Work("put-1k", _uploads(KIB)),
        Work("put-1k-c16", _uploads(KIB), at_once=AT_ONCE),
        Work("put-1k-c16-sigv4", _uploads(KIB), at_once=AT_ONCE, signed=True),
        Work("put-64k", _uploads(64 * KIB), count=64),
        Work("put-64k-c16", _uploads(64 * KIB), count=64, at_once=AT_ONCE),
        Work("list-1000", _listing, LISTED, count=8),
        # Behind the others: after it RocksDB flushes, in a thread of its own.
        Work("range-16b-of-60m", _spots, BIG),
    ]


def _reads(method: str, objects: Objects, span: tuple[int, int] | None = None) -> Make:
    def make(wire: Wire, serial: int) -> list[Request]:
        return [
            wire.request(
                method,
                objects.key(index),
                status=206 if span else 200,
                span=span,
                expected=objects.window(index).part(*(span or (0, objects.size))),
            )
            for index in range(objects.count)
        ]

    return make


def _stored(wire: Wire, serial: int) -> list[Request]:
    """Objects that nobody has asked for before, so that their bytes are in no cache."""
    first = serial % ROUNDS * COUNTED
    return [
        wire.request("GET", STORED.key(index), status=200, expected=STORED.window(index))
        for index in range(first, first + COUNTED)
    ]


def _missing(method: str) -> Make:
    return lambda wire, serial: [wire.request(method, f"missing/{number:08d}", status=404) for number in range(32)]


def _spots(wire: Wire, serial: int) -> list[Request]:
    """16 bytes of the first chunks of a large object, all of which are in memory."""
    window = BIG.window(0)
    return [
        wire.request("GET", BIG.key(0), status=206, span=(first, 16), expected=window.part(first, 16))
        for first in range(1000, SPOTS * 64 * KIB, 64 * KIB)
    ]


def _uploads(size: int) -> Make:
    return lambda wire, serial: wire.puts(Objects(f"put-{size}/{serial:06d}", COUNTED, size))


def _listing(wire: Wire, serial: int) -> list[Request]:
    return [wire.request("GET", "", status=200, query="list-type=2&max-keys=1000&prefix=list%2F")]


def _saying(headers: bytes, plain: Make) -> Make:
    """The same requests with further headers."""

    def make(wire: Wire, serial: int) -> list[Request]:
        return [
            Request(
                each.head.removesuffix(b"\r\n") + headers + b"\r\n",
                each.status,
                each.upload,
                each.expected,
                each.no_body,
            )
            for each in plain(wire, serial)
        ]

    return make


def _presigned(wire: Wire, serial: int) -> list[Request]:
    """By URLs that are good for an hour."""
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{timestamp[:8]}/{REGION}/s3/aws4_request"
    key, host = SigningKey(SECRET_KEY, timestamp[:8], REGION), wire.target.authority
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={quote(f'{ACCESS_KEY}/{scope}', safe='')}"
        f"&X-Amz-Date={timestamp}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host"
    )
    made = []
    for index in range(SMALL.count):
        path = wire.path(SMALL.key(index))
        request = canonical_request("GET", path, query, {"host": host}, SignedHeaders("host"), "UNSIGNED-PAYLOAD")
        signature = key.sign(string_to_sign(timestamp, scope, request))
        head = f"GET {path}?{query}&X-Amz-Signature={signature} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        made.append(Request(head.encode(), 200, expected=SMALL.window(index)))
    return made


def chosen(names: Sequence[str]) -> list[Work]:
    """The works of these names, or all of them. :raises CannotCount: one does not exist."""
    every = works()
    for name in names:
        if not any(work.name == name for work in every):
            raise CannotCount(f"no work {name!r}; there are {', '.join(work.name for work in every)}")
    return [work for work in every if not names or work.name in names]


def rehearse(gateway: InProcess, work: Work, serial: int) -> None:
    """Have there what work needs, and see that each of its requests is answered as it should be."""
    if work.needs is not None:
        gateway.fill(work.needs)
    gateway.check(work.make(gateway.wire, serial)[:WARM_UP], work.at_once)


def rounds(requests: Sequence[Request], count: int, at_once: int) -> list[list[list[bytes]]]:
    """About so many requests, again from the first when there are no more, for `InProcess.exchange`."""
    pieces = [pieces_of(request) for request in requests]
    every = [pieces[number % len(pieces)] for number in range(count)]
    return [every[at : at + at_once] for at in range(0, count, at_once)]


def count_here(work: Sequence[Work], library: ctypes.CDLL) -> None:
    """Do the work, and let callgrind count."""
    with gateways(alone=True) as gateway:
        serial = itertools.count()
        for each in work:
            one = gateway(each.signed)
            rehearse(one, each, next(serial))
            for _ in range(TIMES):
                one.exchange(rounds(each.make(one.wire, next(serial)), min(WARM_UP, each.count), each.at_once))
                requests = each.make(one.wire, next(serial))
                measured, status = rounds(requests, each.count, each.at_once), requests[0].status
                before = one.answered(status)
                gc.collect()
                library.begin()
                one.exchange(measured)
                library.end(b"%s %d" % (each.name.encode(), each.count))
                if one.answered(status) - before != each.count:
                    raise WrongAnswer(f"{each.name}: not every answer was a {status}")


def compile_library(directory: Path) -> Path:
    """`callgrind.c`, compiled. :raises CannotCount:"""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotCount("there is no C compiler")
    library = directory / "callgrind.so"
    source = Path(__file__).with_name("callgrind.c")
    done = subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise CannotCount(f"callgrind.c needs valgrind's headers: {done.stderr.strip().splitlines()[-1:]}")
    return library


def count(names: Sequence[str]) -> dict[str, int]:
    """Instructions per request of some work, counted in a process of its own. :raises CannotCount:"""
    if shutil.which("valgrind") is None:
        raise CannotCount("valgrind is not installed")
    with tempfile.TemporaryDirectory(prefix="s3gw-instructions-") as made:
        directory = Path(made)
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
        command += [f"--callgrind-out-file={directory / 'counted'}", sys.executable, "-m", "bench.instructions"]
        command += [f"--library={compile_library(directory)}", *names]
        # The order of sets would change from run to run.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotCount(f"valgrind: {done.stderr[-2000:]}")
        return read_counts(path.read_text() for path in directory.glob("counted.*"))


def read_counts(dumps: Iterable[str]) -> dict[str, int]:
    """Instructions per request, by name, from what callgrind wrote; of several of a name, the fewest."""
    counts: dict[str, int] = {}
    for text in dumps:
        named, total = _DUMPED.search(text), _TOTAL.search(text)
        if named is not None and total is not None:
            name, each = named[1], round(int(total[1]) / int(named[2]))
            counts[name] = min(each, counts.get(name, each))
    return counts


def table(counts: dict[str, int], before: dict[str, int] | None) -> str:
    """One line for each name; beside an earlier figure, the quotient of now and then."""
    rows = [["work", "instructions"] if before is None else ["work", "instructions", "then", "now / then"]]
    for name in (work.name for work in works() if work.name in counts):
        row = [name, f"{counts[name]:,}"]
        if before is not None:
            then = before.get(name)
            row += [f"{then:,}", f"{counts[name] / then:.3f}"] if then else ["", ""]
        rows.append(row)
    return align(rows)


def options() -> argparse.ArgumentParser:
    """What it can be told."""
    parser = argparse.ArgumentParser(
        prog="bench.instructions", description="Count the instructions of a request.", allow_abbrev=False
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="WORK", help="only these: " + ", ".join(work.name for work in works()))
    add("--json", type=Path, metavar="FILE", help="keep the figures")
    add("--compare", type=Path, metavar="FILE", help="print ratios to the figures kept there")
    add("--library", type=Path, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, print, keep."""
    given = options().parse_args(arguments)
    try:
        work = chosen(given.names)
        if given.library is not None:
            count_here(work, ctypes.CDLL(str(given.library)))
            return 0
        before = json.loads(given.compare.read_text()) if given.compare is not None else None
        counts = count([each.name for each in work])
    except (CannotCount, WrongAnswer) as error:
        print(f"bench.instructions: {error}", file=sys.stderr)
        return 1
    print(table(counts, before))
    if given.json is not None:
        given.json.write_text(json.dumps(counts, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
