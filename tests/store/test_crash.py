"""A store whose process is killed at any moment keeps its word: what it acknowledged is there, nothing by halves."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import s3gw
from s3gw.model import BucketInfo, UploadInfo
from s3gw.store.interface import CreateBucket, IObjectStore, ListQuery, Mutation, UploadQuery, VersionQuery
from s3gw.store.memory import MemoryStore
from s3gw.store.rocks import RocksStore
from tests.bounded import BoundedTestCase
from tests.store.contract import Actor
from tests.store.crash_worker import BUCKETS, JOURNAL, content
from tests.torture import RUNS, SEED

ROUNDS = 14 * RUNS
STOP_S = 20.0


class Worker:
    """The process of `crash_worker`."""

    def __init__(self, path: str, durability: str) -> None:
        roots = (str(Path(__file__).parents[2]), str(Path(s3gw.__file__).parents[1]))
        self._journal = path + JOURNAL
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.crash_worker", os.path.abspath(path), durability],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(roots)},
            bufsize=0,
            start_new_session=True,  # so that its child goes with it
        )

    def run(self, seed: int, entries: int) -> list[tuple]:
        """Let it work, kill it after so many entries of its journal, and return those that it got to write."""
        output = self._process.stdout
        self._process.stdin.write(b"%d" % seed)
        pid, seen, line, alive = 0, 0, b"", True
        while (byte := output.read(1)) != b"\n" or not pid:
            if not byte:
                raise AssertionError("the worker ended before it was killed")
            seen += byte == b"."
            line += byte.strip(b".")
            if byte == b"\n":
                pid = int(line)
            if pid and alive and seen >= entries:
                os.kill(pid, signal.SIGKILL)
                alive = False
        return self._entries()

    def _entries(self) -> list[tuple]:
        entries = []
        with open(self._journal, "rb") as journal:
            while True:
                try:
                    entries.append(pickle.load(journal))
                except (EOFError, pickle.UnpicklingError):
                    # The last one may be cut.
                    return entries

    def stop(self) -> None:
        """End it; it has nothing to do unless a test was interrupted."""
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_S)


def everything(store: IObjectStore) -> dict[str, object]:
    """All that clients can see of a store, bodies included."""
    actor = Actor(store)
    seen: dict[str, object] = {}
    for bucket in store.buckets():
        seen[bucket.name] = bucket
        if bucket.name in store.caches:
            seen[f"{bucket.name} cache"] = store.caches[bucket.name].state, store.queue(bucket.name, 0, 1 << 62, 1000)
        for key, _ in store.list_objects(bucket.name, ListQuery()).entries:
            (info,) = store.look_up([(bucket.name, key)])
            seen[f"{bucket.name}/{key}"] = info, actor.read(bucket.name, key, info)
        for entry in store.list_versions(bucket.name, VersionQuery()).entries:
            (info,) = store.look_up_versions([(bucket.name, entry.key, entry.info.version)])
            seen[f"{bucket.name}/{entry.key}?{info.version}"] = info, actor.read(bucket.name, entry.key, info)
        for upload in store.list_uploads(bucket.name, UploadQuery()).uploads:
            parts = store.list_parts(upload.upload, 0, 1000).parts
            seen[f"{bucket.name}/{upload.key}?{upload.upload}"] = upload, parts, bodies(actor, upload, parts)
    return seen


def bodies(actor: Actor, upload: UploadInfo, parts: tuple) -> list[bytes]:
    return [b"".join(actor._extent(extent) for extent in part.extents) for part in parts]


class CrashTests(BoundedTestCase):
    def test_killed(self) -> None:
        """Killed again and again, the store always holds what was acknowledged, each later mutation wholly or not at
        all, and not a row too many."""
        path = self.mktemp()
        worker = Worker(path, "commit")
        self.addCleanup(worker.stop)
        random = Random(SEED)
        model = MemoryStore()
        model.commit([CreateBucket(BucketInfo(bucket, 1)) for bucket in BUCKETS])
        mutations = 0
        for number in range(ROUNDS):
            said = worker.run(SEED + number, random.randrange(1, 120))
            if said:
                model.commit([CreateBucket(BucketInfo(bucket, 1)) for bucket in BUCKETS])
            pending = self.replay(model, said)
            mutations += sum(len(entry[1]) for entry in said if entry[0] == "begin")
            store = RocksStore.open(path, cache_bytes=1 << 20, reserve_bytes=0)
            try:
                self.assertEqual(list(store.faults()), [])
                self.settle(model, everything(store), pending)
            finally:
                store.close()
        self.assertGreater(mutations, 10 * ROUNDS)

    def test_killedWithoutLog(self) -> None:
        """Without a log, what is left after a crash is older, and as consistent."""
        path = self.mktemp()
        worker = Worker(path, "memory")
        self.addCleanup(worker.stop)
        objects = 0
        for number in range(3 * RUNS):
            worker.run(SEED + number, 150)
            store = RocksStore.open(path, cache_bytes=1 << 20, reserve_bytes=0)
            try:
                self.assertEqual(list(store.faults()), [])
                objects += len(everything(store))
            finally:
                store.close()
        self.assertGreater(objects, 3)

    def replay(self, model: MemoryStore, said: list[tuple]) -> list[Mutation]:
        """Do what was acknowledged. :return: the mutations that were begun and not acknowledged."""
        pending: list[Mutation] = []
        for entry in said:
            if entry[0] == "stage":
                Actor(model).stage_as(entry[1], content(*entry[1:]))
            elif entry[0] == "begin":
                pending = entry[1]
            else:
                model.commit(pending)
                pending = []
        return pending

    def settle(self, model: MemoryStore, found: dict[str, object], pending: list[Mutation]) -> None:
        """Find out how many of the mutations that nobody was told about have happened, and do them in the model."""
        for mutation in pending:
            if everything(model) == found:
                return
            model.commit([mutation])
        expected = everything(model)
        self.assertEqual(expected.keys(), found.keys())
        self.assertEqual(expected, found)
