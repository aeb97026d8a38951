"""Power cuts: what was acknowledged is on disk, for a disk that forgets whatever was not synced.

A gateway works above `shim.c` and is killed; then the disk is reckoned as a power cut at many moments would have left
it, in every form of loss that `disk` knows, opened, and compared with what its clients were told.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from random import Random

from twisted.trial.unittest import FailTest

from s3gw.store.interface import StoreUnusable
from s3gw.store.rocks import RocksStore
from tests.bounded import BoundedTestCase, join_all
from tests.faults.disk import FORMS, KEPT, LOST, SHORT
from tests.faults.history import BUCKET, Client, Lost
from tests.faults.server import FaultyServer
from tests.faults.versions import LOCKING, VERSIONING, VersionClient, digest_of
from tests.live.wire import Wire
from tests.torture import RUNS, SEED

CUTS = 8
"""In each form, for each run."""
OPERATIONS = 60
LOGGED = (None, 0)
"""How many chunks of a body go through the log: as many as for everybody, which is all of these, or none."""
WORK_S = 60.0
"""How long clients may take for their operations."""


def open_store(path: Path, *, create: bool = False) -> RocksStore:
    """Open what a power cut left."""
    return RocksStore.open(str(path), cache_bytes=1 << 20, reserve_bytes=0, create=create)


class PowerCutTests(BoundedTestCase):
    """Power fails in the middle of it."""

    sync_ms = 2
    """How long a sync takes."""

    def begin(self, durability: str, chance: Random, clients: int, logged: int | None = None) -> list[Client]:
        """Start `server`, with a bucket; its clients."""
        args = f"--durability={durability}", "--access_log=off"
        self.server = FaultyServer(Path(self.mktemp()), args, logged_chunks=logged)
        self.addCleanup(self.server.close)
        self.server.start()
        with Wire(self.server) as wire:
            self.assertEqual(wire.ask("PUT", f"/{BUCKET}").status, 200)
        self.made = self.server.position()
        return [Client(self.server, number, chance.getrandbits(32)) for number in range(clients)]

    def work(self, clients: list[Client], chance: Random, operations: int = OPERATIONS) -> None:
        """Let clients work while somebody looks on, then kill the server."""
        failures: list[BaseException] = []

        def work(client: Client) -> None:
            try:
                client.work(operations)
            except BaseException as error:
                failures.append(error)

        self.server.slow_down(self.sync_ms)  # so that others get to look in the meantime
        watcher = Client(self.server, len(clients), 0)
        threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in clients]
        watching = threading.Thread(target=watcher.watch, args=(clients, chance.getrandbits(32)), daemon=True)
        for thread in (*threads, watching):
            thread.start()
        join_all(threads, WORK_S)
        self.server.kill()
        join_all([watching], WORK_S)
        self.assertEqual(failures, [])

    def cut(self, clients: list[Client], chance: Random, *, everything: bool) -> tuple[int, int]:
        """Try power cuts in every form; how many there were, and how many operations they took away."""
        rounds = lost = 0
        ends = sorted({at for client in clients for at in client.told})
        looks = sorted({at for client in clients for at, _, _ in client.seen}) or ends
        seams = [at for at in self.server.seams() if at > self.made]
        for form in FORMS:
            # Just behind an answer is where a promise has just been made.
            moments = [chance.choice(ends) for _ in range(2)]
            moments += [chance.choice((form == SHORT and seams) or looks) for _ in range(CUTS - 3)]
            moments.append(chance.randrange(self.made, self.server.position()))
            for position, where in self.server.power_cuts(sorted(moments), form, chance):
                rounds += 1
                lost += self.examine(where, clients, position, everything=everything, form=form)
        return rounds, lost

    def examine(self, where: Path, clients: list[Client], position: int, *, everything: bool, form: str) -> int:
        """Open what is left, and compare it; how many acknowledged operations are not there."""
        copy = where.with_name("failed")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(where, copy)
        try:
            store = open_store(where)
        except StoreUnusable as error:
            raise Lost(f"{form} at {position}: {error}; it is kept in {copy}") from None
        try:
            self.assertEqual(list(store.faults()), [], f"{form} at {position}")
            if form == KEPT:
                self.assertEqual(store.damage, [])  # as after a kill, which takes nothing
            lost = 0
            for client in clients:
                there = client.check(store, position, everything=everything)
                lost += max(0, sum(told <= position for told in client.told) - there)
        finally:
            store.close()
        shutil.rmtree(copy)
        return lost

    def trial(self, durability: str, clients: int, operations: int = OPERATIONS) -> int:
        """Many power cuts; how many acknowledged operations they took away together."""
        taken = 0
        for run in range(RUNS):
            chance = Random(f"{SEED} {durability} {run}")
            workers = self.begin(durability, chance, clients, chance.choice(LOGGED))
            self.work(workers, chance, operations)
            rounds, lost = self.cut(workers, chance, everything=durability == "commit")
            self.assertEqual(rounds, CUTS * len(FORMS))
            taken += lost
            self.server.close()
        return taken

    def test_commit(self) -> None:
        """With ``commit``, nothing that anybody was told or shown is lost, whatever a disk forgets."""
        self.assertEqual(self.trial("commit", 3), 0)

    def test_os(self) -> None:
        """With ``os``, the last of it may go, and what is left is what was there at some earlier moment."""
        self.sync_ms = 30  # clients do not wait for it, and write to the next log meanwhile
        self.assertGreater(self.trial("os", 2), 0)  # or else this disk forgets nothing

    def test_memory(self) -> None:
        """With ``memory``, what is left is what was there at some flush."""
        self.assertGreater(self.trial("memory", 2, 2 * OPERATIONS), 0)

    def test_versions(self) -> None:
        """Nor is a version, a delete marker or a legal hold lost, nor one back that was deleted for good."""
        for run in range(RUNS):
            chance = Random(f"{SEED} versions {run}")
            self.begin("commit", chance, 0)
            with Wire(self.server) as wire:
                self.assertEqual(wire.ask("PUT", f"/{BUCKET}?versioning", (), VERSIONING).status, 200)
                answer = wire.ask("PUT", f"/{BUCKET}?object-lock", (digest_of(LOCKING),), LOCKING)
                self.assertEqual(answer.status, 200)
            clients = [VersionClient(self.server, number, chance.getrandbits(32)) for number in range(2)]
            self.work(clients, chance)
            rounds, lost = self.cut(clients, chance, everything=True)
            self.assertEqual((rounds, lost), (CUTS * len(FORMS), 0))
            self.server.close()

    def test_first_start(self) -> None:
        """A gateway whose very first start was cut off starts the next time."""
        chance = Random(f"{SEED} first")
        self.begin("commit", chance, 0)
        self.server.kill()
        for form in FORMS:
            moments = sorted(chance.randrange(self.made) for _ in range(CUTS * RUNS))
            for position, where in self.server.power_cuts(moments, form, chance):
                store = open_store(where, create=True)
                self.assertLessEqual(len(store.buckets()), 1, f"{form} at {position}")
                store.close()

    def test_again_and_again(self) -> None:
        """One power cut after the other on one database, some of them while it recovers from the last one."""
        chance = Random(f"{SEED} again")
        clients = self.begin("commit", chance, 2)
        for number in range(len(FORMS) * RUNS):
            if number:
                self.server.start()
                started = self.server.position()
            self.work(clients, chance, chance.randrange(1, 25))
            form = FORMS[number % len(FORMS)]
            end = self.server.position()
            if number:
                moments = sorted(chance.randrange(started) for _ in range(CUTS))
                for position, where in self.server.power_cuts(moments, LOST, chance):
                    self.examine(where, clients, position, everything=True, form=LOST)
            seams = self.server.seams() if form == SHORT else ()
            for position, where in self.server.power_cuts([chance.choice(seams or [end])], form, chance):
                self.server.put_back(where)
                self.examine(where, clients, position, everything=True, form=form)
                store = open_store(where)
                for client in clients:
                    client.go_on(store, client.check(store, position, everything=True))
                store.close()

    def test_recovery(self) -> None:
        """Power fails while a gateway recovers whose process had been killed, so that little of the log was synced."""
        for run in range(RUNS):
            for durability in ("commit", "os"):
                chance = Random(f"{SEED} recovery {durability} {run}")
                clients = self.begin(durability, chance, 2, chance.choice(LOGGED))
                self.work(clients, chance, chance.randrange(5, OPERATIONS))
                self.server.settled = False
                restarted = self.server.position()
                self.server.start()
                self.server.kill()
                for form in FORMS:
                    moments = sorted(chance.randrange(restarted, self.server.position()) for _ in range(CUTS // 2))
                    for position, where in self.server.power_cuts(moments, form, chance):
                        self.examine(where, clients, position, everything=durability == "commit", form=form)
                self.server.close()

    def test_model_is_honest(self) -> None:
        """A gateway that told more than is on disk is found out."""
        chance = Random(SEED)
        clients = self.begin("os", chance, 1)
        self.work(clients, chance, 20)
        for position, where in self.server.power_cuts([clients[0].told[-1]], LOST, chance):
            self.assertRaises((Lost, FailTest), self.examine, where, clients, position, everything=True, form=LOST)
