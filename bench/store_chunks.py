"""Where should chunk rows live: blob files or tables, read by pread or mmap?

    python -m bench.store_chunks [--directory DIR] [--live-mib 256] [--churn-mib 1024]

For each way it fills a database with blobs of 16 chunks of 64 KiB, reads random chunks through the list get, 16 a call,
from the page cache, and then replaces random blobs one after the other. Columns:

==========  ==========================================================================================
read_us     microseconds per chunk read, our CRC verified
gil_us      of these, microseconds for which another thread could not run
write_us    microseconds per chunk written
amplified   bytes written to disk per byte of body in the churn, the log included
disk        bytes on disk per live byte at its end
==========  ==========================================================================================

With ``--staging`` instead: one large blob staged with all of its chunks in the log, and as the store does it; seconds
of CPU of the whole process a GiB, and bytes written to disk per byte. The order changes from turn to turn.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from rocksdict import Cache, Options, Rdict, ReadOptions, WriteBatch, WriteOptions

from s3gw.store import staging
from s3gw.store.interface import StoreStalled
from s3gw.store.keys import chunk_row
from s3gw.store.options import CHUNKS as FAMILY
from s3gw.store.options import MIB, body_options, database_options
from s3gw.store.records import open_chunk, seal_chunk
from s3gw.store.rocks import RocksStore

CHUNK = 64 * 1024
CHUNKS = 16


class Way(NamedTuple):
    """A way to keep chunks."""

    name: str
    blobs: bool
    mmap: bool = False
    verify: bool = False
    tune: Callable[[Options], None] = lambda options: None


def _gc(age: float, force: float) -> Callable[[Options], None]:
    def tune(options: Options) -> None:
        options.set_enable_blob_gc(True)
        options.set_blob_gc_age_cutoff(age)
        options.set_blob_gc_force_threshold(force)

    return tune


WAYS = (
    Way("blob files, RocksDB verifies", blobs=True, verify=True),
    Way("blob files", blobs=True),
    Way("blob files, mmap", blobs=True, mmap=True),
    Way("blob files, no GC", blobs=True, tune=lambda options: options.set_enable_blob_gc(False)),
    Way("blob files, GC 0.25/1.0", blobs=True, tune=_gc(0.25, 1.0)),
    Way("blob files, GC 1.0/0.25", blobs=True, tune=_gc(1.0, 0.25)),
    Way("tables, RocksDB verifies", blobs=False, verify=True),
    Way("tables", blobs=False),
    Way("tables, mmap", blobs=False, mmap=True),
)


class Bench:
    """One way, in a directory of its own."""

    def __init__(self, way: Way, path: str) -> None:
        cache = Cache(8 * MIB)
        database = database_options(cache, create=True, wal=True)
        database.set_allow_mmap_reads(way.mmap)
        bodies = body_options(cache)
        bodies.set_enable_blob_files(way.blobs)
        bodies.set_min_blob_size(1024)
        way.tune(bodies)
        self.path = path
        self.database = Rdict(path, database, column_families={FAMILY: bodies})
        self.bodies = self.database.get_column_family(FAMILY)
        self.family = self.database.get_column_family_handle(FAMILY)
        # The list get knows no other options than these.
        options = ReadOptions()
        options.set_verify_checksums(way.verify)
        options.fill_cache(False)  # type: ignore[call-arg]  # it takes what every setter takes
        self.bodies.set_read_options(options)
        self.write_options = WriteOptions()
        self.random = random.Random(5)
        self.blobs: list[bytes] = []
        self.noise = self.random.randbytes(CHUNK * 64)

    def put(self) -> bytes:
        """Write a blob."""
        blob = time.time_ns().to_bytes(8, "big") + self.random.randbytes(8)
        batch = WriteBatch(raw_mode=True)
        for number in range(CHUNKS):
            row = chunk_row(blob, number)
            at = self.random.randrange(CHUNK * 63)
            batch.put(row, seal_chunk(row, self.noise[at : at + CHUNK]), self.family)
        self.database.write(batch, self.write_options)
        return blob

    def drop(self, blob: bytes) -> None:
        batch = WriteBatch(raw_mode=True)
        for number in range(CHUNKS):
            batch.delete(chunk_row(blob, number), self.family)
        self.database.write(batch, self.write_options)

    def fill(self, mib: int) -> float:
        """Write so many blobs. :return: microseconds per chunk"""
        start = time.perf_counter()
        self.blobs = [self.put() for _ in range(mib)]
        taken = time.perf_counter() - start
        self.bodies.flush()
        self.settle()
        return taken / mib / CHUNKS * 1e6

    def read(self, calls: int) -> float:
        """Read random chunks, 16 a call. :return: microseconds per chunk"""
        start = time.perf_counter()
        for _ in range(calls):
            rows = [chunk_row(self.random.choice(self.blobs), self.random.randrange(CHUNKS)) for _ in range(16)]
            values: list[bytes | None] = self.bodies.get([*rows]) or []
            for row, value in zip(rows, values, strict=True):
                open_chunk(row, value)
        return (time.perf_counter() - start) / calls / 16 * 1e6

    def held(self, calls: int) -> float:
        """As `read`, beside a thread that counts. :return: microseconds per chunk for which it could not."""
        counted, stop = [0], threading.Event()

        def count() -> None:
            while not stop.is_set():
                counted[0] += 1

        def rate(seconds: float) -> float:
            before = counted[0]
            time.sleep(seconds)
            return (counted[0] - before) / seconds

        thread = threading.Thread(target=count)
        thread.start()
        free = rate(0.3)
        before, start = counted[0], time.perf_counter()
        self.read(calls)
        taken = time.perf_counter() - start
        lost = taken - (counted[0] - before) / free
        stop.set()
        thread.join()
        return max(0.0, lost) / calls / 16 * 1e6

    def churn(self, mib: int) -> tuple[float, float]:
        """Replace random blobs. :return: bytes written per byte of body, bytes on disk per live byte"""
        before = written()
        for _ in range(mib):
            place = self.random.randrange(len(self.blobs))
            old, self.blobs[place] = self.blobs[place], self.put()
            self.drop(old)
        self.settle()
        amplified = (written() - before) / (mib * MIB)
        return amplified, size(self.path) / (len(self.blobs) * MIB)

    def settle(self) -> None:
        """Wait for flushes and compactions."""
        names = ("rocksdb.num-running-compactions", "rocksdb.num-running-flushes", "rocksdb.compaction-pending")
        quiet = 0
        while quiet < 5:
            time.sleep(0.05)
            quiet = 0 if any(self.bodies.property_int_value(name) for name in names) else quiet + 1

    def close(self) -> None:
        del self.family  # whoever keeps it keeps the database locked
        self.bodies.close()
        self.database.close()


def written() -> int:
    """Bytes that this process has caused to be written."""
    with open("/proc/self/io") as figures:
        return next(int(line.split()[1]) for line in figures if line.startswith("write_bytes"))


def size(path: str) -> int:
    return sum(os.stat(os.path.join(path, name)).st_size for name in os.listdir(path) if not name.endswith(".log"))


def staging_cost(path: str, mib: int, logged_chunks: int) -> tuple[float, float]:
    """Stage a blob. :return: seconds of CPU a GiB, bytes written per byte"""
    usual, staging.LOGGED_CHUNKS = staging.LOGGED_CHUNKS, logged_chunks
    store = RocksStore.open(path, cache_bytes=8 * MIB)
    noise = random.Random(5).randbytes(CHUNK * 5)
    blob = store.begin_blob()
    cpu, before = time.process_time(), written()
    for number in range(0, mib * CHUNKS, 4):
        while True:
            try:
                store.stage(blob, number, [noise[n * CHUNK : (n + 1) * CHUNK] for n in range(4)])
                break
            except StoreStalled:
                time.sleep(0.02)
    store.settle([blob])
    taken = time.process_time() - cpu
    store.close()
    staging.LOGGED_CHUNKS = usual
    return taken * 1024 / mib, (written() - before) / (mib * MIB)


def compare_staging(directory: str | None, mib: int, turns: int = 4) -> None:
    ways = [("all in the log", mib * CHUNKS), ("as the store does it", staging.LOGGED_CHUNKS)]
    for turn in range(turns):
        for name, logged_chunks in ways if turn % 2 else reversed(ways):
            path = tempfile.mkdtemp(prefix="store_chunks", dir=directory)
            try:
                cpu, amplified = staging_cost(path, mib, logged_chunks)
            finally:
                shutil.rmtree(path)
            print(f"{name:32}{cpu:10.2f} s/GiB{amplified:10.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--directory", default=None, help="where the databases are made")
    parser.add_argument("--live-mib", type=int, default=256)
    parser.add_argument("--churn-mib", type=int, default=1024)
    parser.add_argument("--only", default="", help="ways whose name contains this")
    parser.add_argument("--staging", action="store_true", help="compare ways to stage instead")
    arguments = parser.parse_args()
    if arguments.staging:
        compare_staging(arguments.directory, arguments.churn_mib)
        return
    print(f"{'':32}{'read_us':>10}{'gil_us':>10}{'write_us':>10}{'amplified':>11}{'disk':>8}")
    for way in WAYS:
        if arguments.only not in way.name:
            continue
        path = tempfile.mkdtemp(prefix="store_chunks", dir=arguments.directory)
        try:
            bench = Bench(way, path)
            write_us = bench.fill(arguments.live_mib)
            bench.read(50)
            read_us, gil_us = bench.read(300), bench.held(300)
            amplified, disk = bench.churn(arguments.churn_mib)
            bench.close()
        finally:
            shutil.rmtree(path)
        print(f"{way.name:32}{read_us:10.1f}{gil_us:10.1f}{write_us:10.1f}{amplified:11.2f}{disk:8.2f}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
