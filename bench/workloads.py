"""The work: which objects there are, and what each workload asks for. One table, `workloads()`.

| objects | keys                | for                                          |
|---------|---------------------|----------------------------------------------|
| 1k      | 256 x 1 KiB         | GET, HEAD                                    |
| 64k     | 256 x 64 KiB        | GET and prefix ranges: a prompt-cache block  |
| 60m     | 2 x 60 MiB          | ranges at 256 random places                  |
| huge    | 1 x `huge_bytes`    | GET on one connection                        |
| list    | `list_keys` x 16 B  | LIST                                         |

PUT and DELETE work on keys that no earlier run has used.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.load import POOL_BYTES, Request, Window
from bench.servers import Target

KIB, MIB = 1024, 1024 * 1024
SPOTS = 256
COLD_SPOTS = 2048
MISSING = 256


@dataclass(frozen=True)
class Objects:
    """`count` objects of `size` bytes below a prefix."""

    prefix: str
    count: int
    size: int

    def key(self, index: int) -> str:
        """The key of one of them; needs no percent-encoding."""
        return f"{self.prefix}/{index:08d}"

    def window(self, index: int) -> Window:
        """Its bytes."""
        return Window((index * 100_003 + self.size) % POOL_BYTES, self.size)


@dataclass(frozen=True)
class Wire:
    """Makes requests for one target and bucket, signed where the target wants it."""

    target: Target
    bucket: str

    def path(self, key: str) -> str:
        """The path of an object, or with an empty key of the bucket."""
        return f"/{self.bucket}/{key}" if key else f"/{self.bucket}"

    def request(
        self,
        method: str,
        key: str,
        *,
        status: int,
        query: str = "",
        span: tuple[int, int] | None = None,
        upload: Window | None = None,
        expected: Window | None = None,
    ) -> Request:
        """A request. `span` is a range (first byte, length); `query` is in canonical order."""
        path, target = self.path(key), self.target
        lines = [f"{method} {path}{'?' + query if query else ''} HTTP/1.1", f"Host: {target.authority}"]
        if span is not None:
            lines.append(f"Range: bytes={span[0]}-{span[0] + span[1] - 1}")
        if method == "PUT":
            lines.append(f"Content-Length: {upload.size if upload is not None else 0}")
        if target.signer is not None:
            now = datetime.datetime.now(datetime.timezone.utc)
            signed = target.signer.headers(method, path, query, target.authority, now)
            lines += [f"{name}: {value}" for name, value in signed]
        head = "\r\n".join([*lines, "", ""]).encode()
        return Request(head, status, upload, expected, method == "HEAD")

    def put(self, objects: Objects, index: int) -> Request:
        """The upload of an object."""
        return self.request("PUT", objects.key(index), status=200, upload=objects.window(index))

    def puts(self, objects: Objects) -> list[Request]:
        """The uploads of all of them."""
        return [self.put(objects, index) for index in range(objects.count)]


Requests = Callable[[Wire, int], list[Request]]


@dataclass(frozen=True)
class Workload:
    """What is asked for, and what it should cost.

    `requests` makes the requests of one run from its serial number. `reads` has to be there before; `consumes` is made
    afresh for each run, and each request is then sent once. `bars` bind the figures at the highest concurrency.
    """

    name: str
    requests: Requests
    reads: Objects | None = None
    consumes: Callable[[int], Objects] | None = None
    static: bool = False
    concurrencies: tuple[int, ...] = (1, 16)
    bars: dict[str, float] = field(default_factory=dict)

    @property
    def by_wrk(self) -> bool:
        """Whether wrk can do it: it would wait for the body of a HEAD."""
        return self.static and self.name not in ("head", "get-huge")


def _reads(method: str, objects: Objects, length: int | None = None) -> Requests:
    """Whole objects, or their first `length` bytes."""

    def requests(wire: Wire, serial: int) -> list[Request]:
        span = (0, length) if length is not None else None
        status = 206 if span else 200
        return [
            wire.request(
                method,
                objects.key(index),
                status=status,
                span=span,
                expected=objects.window(index).part(0, length or objects.size),
            )
            for index in range(objects.count)
        ]

    return requests


def _spots(objects: Objects, length: int, count: int = SPOTS) -> Requests:
    """Ranges at random places, the same in every run."""

    def requests(wire: Wire, serial: int) -> list[Request]:
        dice = random.Random(length)
        made = []
        for number in range(count):
            index, first = number % objects.count, dice.randrange(objects.size - length)
            expected = objects.window(index).part(first, length)
            key = objects.key(index)
            made.append(wire.request("GET", key, status=206, span=(first, length), expected=expected))
        return made

    return requests


def _missing(wire: Wire, serial: int) -> list[Request]:
    return [wire.request("GET", f"missing/{number:08d}", status=404) for number in range(MISSING)]


def _uploads(name: str, count: int, size: int) -> Requests:
    def requests(wire: Wire, serial: int) -> list[Request]:
        return wire.puts(Objects(f"{name}/{serial:04d}", count, size))

    return requests


def listing(query: str) -> Requests:
    """A listing of the bucket, again and again; ``query`` is in canonical order."""

    def requests(wire: Wire, serial: int) -> list[Request]:
        return [wire.request("GET", "", status=200, query=query)]

    return requests


def cold_workloads() -> list[Workload]:
    """Reads of more than the hot cache holds, round and round: whatever is asked for has been pushed out."""
    medium, big = Objects("64k", COLD_SPOTS, 64 * KIB), Objects("60m", 2, 60 * MIB)
    return [
        Workload("get-64k", _reads("GET", medium), medium, static=True),
        Workload("range-16b-of-60m", _spots(big, 16, COLD_SPOTS), big, static=True),
    ]


def workloads(huge_bytes: int, list_keys: int, seconds: float) -> list[Workload]:
    """Every workload there is, in the order of the report."""
    small, medium, big = Objects("1k", 256, KIB), Objects("64k", 256, 64 * KIB), Objects("60m", 2, 60 * MIB)
    huge, listed = Objects("huge", 1, huge_bytes), Objects("list", list_keys, 16)

    def doomed(serial: int) -> Objects:
        return Objects(f"doomed/{serial:04d}", int(max(seconds, 0.2) * 2000), KIB)

    def deletes(wire: Wire, serial: int) -> list[Request]:
        objects = doomed(serial)
        return [wire.request("DELETE", objects.key(index), status=204) for index in range(objects.count)]

    whole_list, by_delimiter = "list-type=2&max-keys=1000&prefix=list%2F", "delimiter=%2F&list-type=2&max-keys=1000"
    hot = {"cpu_us": 28.0}
    get_64k = {"cpu_us": 40.0, "rps": 15000.0, "p99_ms": 10.0}
    # As many keys as a fast server could use up, so that a PUT rarely meets a key of its own run again.
    fresh_small, fresh_medium = int(max(seconds, 0.2) * 15000), int(max(seconds, 0.2) * 4000)
    return [
        Workload("get-1k", _reads("GET", small), small, static=True, bars=hot),
        Workload("get-64k", _reads("GET", medium), medium, static=True, bars=get_64k),
        Workload("head", _reads("HEAD", small), small, static=True, bars=hot),
        Workload("missing", _missing, static=True, bars=hot),
        Workload("range-16k-of-64k", _reads("GET", medium, 16 * KIB), medium, static=True, bars={"cpu_us": 32.0}),
        Workload("range-16k-of-60m", _spots(big, 16 * KIB), big, static=True),
        Workload("range-16b-of-60m", _spots(big, 16), big, static=True, bars={"cpu_us": 60.0}),
        Workload("put-1k", _uploads("put-1k", fresh_small, KIB), bars={"cpu_us": 70.0, "rps": 8000.0}),
        Workload("put-64k", _uploads("put-64k", fresh_medium, 64 * KIB), bars={"cpu_us": 400.0}),
        Workload("list-1000", listing(whole_list), listed, bars={"cpu_us": 8000.0}),
        Workload("list-delimiter", listing(by_delimiter), listed, bars={"cpu_us": 8000.0}),
        Workload("get-huge", _reads("GET", huge), huge, static=True, bars={"gb_cpu_s": 1.0}, concurrencies=(1,)),
        Workload("put-huge", _uploads("put-huge", 1, huge_bytes), bars={"gb_cpu_s": 0.25}, concurrencies=(1,)),
        Workload("delete", deletes, consumes=doomed),
    ]
