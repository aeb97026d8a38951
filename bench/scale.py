"""Many objects: what a listing costs among them, how long a start takes, and what they cost in memory.

Uploading ten million objects would take an hour, so their records are written into the database of a gateway that does
not run; the objects are empty. A database has one bucket, of this shape:

| keys                  | how many | for                                                                  |
|-----------------------|----------|----------------------------------------------------------------------|
| ``00000012/3``        | N        | a first page of keys; with a delimiter, a page of 1000 prefixes      |
| ``deep/00000012``     | N / 10   | one common prefix of many keys, which a listing has to pass          |
| ``deeq/0``            | 1        | what comes behind it                                                 |
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from bench import servers
from bench.measure import Clients, Figures, measure
from bench.report import Report
from bench.servers import Target
from bench.workloads import Wire, Workload, listing
from s3gw.model import BucketInfo, ObjectInfo
from s3gw.store.engine import Engine
from s3gw.store.interface import StoreStalled
from s3gw.store.keys import bucket_row, object_row
from s3gw.store.marker import claim
from s3gw.store.records import BUCKET, OBJECT

MIB = 1024 * 1024
BATCH = 4096
CREATED = 1_790_000_000_000
NAME = "many"
PAGE = "list-type=2&max-keys=1000"
WORK = {
    "list-1000": listing(PAGE),
    "list-prefixes": listing(f"delimiter=%2F&{PAGE}"),
    "list-deep": listing(f"delimiter=%2F&{PAGE}&prefix=dee"),
}
"""The listings: a page of keys; a page of common prefixes; two of these, of which the first has N / 10 keys."""


def at(work: str, keys: int) -> str:
    """The name under which the figures of some work among so many keys are kept."""
    return f"{work}@{keys}"


def keys_of(keys: int) -> Iterator[str]:
    """The keys of the bucket, in order."""
    for number in range(keys):
        yield f"{number // 10:08d}/{number % 10}"
    for number in range(keys // 10):
        yield f"deep/{number:08d}"
    yield "deeq/0"


def fill(path: Path, keys: int) -> None:
    """Make the database, and close it as a gateway does."""
    with claim(str(path), create=True):
        engine = Engine(str(path), durability="os", cache_bytes=64 * MIB, create=True, reserve_bytes=0, observe=None)
    info = ObjectInfo(0, CREATED, hashlib.md5(b"").hexdigest(), headers={"content-type": "binary/octet-stream"})
    row = bucket_row(NAME)
    _write(engine, [(row, BUCKET.encode(row, BucketInfo(NAME, CREATED)))])
    rows = (object_row(NAME, key) for key in keys_of(keys))
    while some := [(row, OBJECT.encode(row, info)) for row in islice(rows, BATCH)]:
        _write(engine, some)
    engine.close()


def _write(engine: Engine, rows: list[tuple[bytes, bytes]]) -> None:
    while True:
        batch = engine.batch()
        for row, value in rows:
            batch.put(row, value)
        try:
            engine.write(batch)
            return
        except StoreStalled:
            time.sleep(0.02)


def run(
    clients: Clients, sizes: list[int], runs: int, seconds: float, kept: Report, say: Callable[[str], None]
) -> None:
    """Fill, then start and list as often as told. The sizes take turns."""
    with tempfile.TemporaryDirectory(prefix="s3gw-scale-") as directory:
        paths = {keys: Path(directory, str(keys)) for keys in sizes}
        for keys, path in paths.items():
            begun = time.perf_counter()
            fill(path, keys)
            say(f"{keys} records written in {time.perf_counter() - begun:.0f} s")
        serial = 0
        for turn in range(runs):
            for keys, path in paths.items():
                begun = time.perf_counter()
                with servers.gateway(sigv4=False, tls=False, arguments=[], database=path) as target:
                    kept.add("s3gw", at("start", keys), 1, _started(target, time.perf_counter() - begun))
                    for name, requests in WORK.items():
                        serial += 1
                        work = Workload(at(name, keys), requests)
                        figures, failures = measure(
                            clients, Wire(target, NAME), work, concurrency=1, seconds=seconds, serial=serial
                        )
                        kept.add("s3gw", work.name, 1, figures)
                        say(f"{turn + 1}/{runs} {work.name:22} {figures['cpu_us']:9.1f} us")
                        for why in failures:
                            say(f"  {why}")


def _started(target: Target, seconds: float) -> Figures:
    resident = re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{target.pid}/status").read_text())
    return {"start_s": seconds, "rss_mb": int(resident[1]) / 1024 if resident else 0.0, "errors": 0.0}
