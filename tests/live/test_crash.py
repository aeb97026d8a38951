"""A server that is killed while it works keeps what it has promised: nothing lost, nothing torn, nothing left over."""

from __future__ import annotations

import random
import threading
import time

from s3gw.masterkeys import add_master_key
from s3gw.store.rocks import RocksStore
from tests.bounded import join_all
from tests.live.case import MIB, LiveCase
from tests.live.server import LiveServer
from tests.live.wire import Wire
from tests.live.workload import Appender, Writer, Wrong
from tests.torture import RUNS, SEED

ROUNDS = 16 * RUNS
"""Every fourth has a second kill."""
WRITERS = 4
CHAINS = 2
BUCKETS = ("crash", "crash-sealed")
"""Plain, and encrypted by default."""
ENCRYPTED = (
    b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"
    b"</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
)


class ChainTests(LiveCase):
    """Clients that all append to the same few objects, each by a conditional PUT, while the server is killed."""

    def make_server(self) -> LiveServer:
        """One that may die."""
        return self.own_server(args=("--access_log=off",))

    def test_nothing_overwritten(self) -> None:
        """An object is a list of who wrote it. Each client adds itself to what it has read, if that is still there: so
        each link that was acknowledged is in the list, once, behind all that were acknowledged before it began."""
        chance = random.Random(SEED)
        appenders = [Appender(self.server, f"/{BUCKETS[0]}/chain", n, chance.getrandbits(32)) for n in range(WRITERS)]
        for number in range(ROUNDS // 4):
            self.server.start()
            if number == 0:
                with Wire(self.server) as wire:
                    self.assertEqual(wire.ask("PUT", f"/{BUCKETS[0]}").status, 200)
            threads = [threading.Thread(target=each.run, daemon=True) for each in appenders]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.2, 0.8))
            self.server.kill()
            join_all(threads, 30)
            self.assertEqual([each.wrong for each in appenders if each.wrong], [])
        self.server.start()
        with Wire(self.server) as wire:
            for key in range(CHAINS):
                self.assertChain(wire.ask("GET", f"/{BUCKETS[0]}/chain{key}").body.decode().split(), key, appenders)
        self.assertGreater(min(len(each.links) for each in appenders), ROUNDS // 4)

    def assertChain(self, chain: list[str], key: int, appenders: list[Appender]) -> None:
        """The list is one that conditional writes, done one by one, can have made."""
        self.assertEqual(len(chain), len(set(chain)))
        place = {name: number for number, name in enumerate(chain)}
        links = [link for each in appenders for link in each.links if link.key == key]
        self.assertEqual({link.name for link in links} - place.keys(), set(), "acknowledged, and gone")
        ended = sorted(links, key=lambda link: link.ended, reverse=True)
        latest = -1
        for link in sorted(links, key=lambda link: link.began):
            while ended[-1].ended < link.began:
                latest = max(latest, place[ended.pop().name])
            self.assertGreater(place[link.name], latest, "it stands before one that had ended when it began")


class CrashTests(LiveCase):
    """SIGKILL under load, again and again on one database."""

    def make_server(self) -> LiveServer:
        """One that may die; it syncs before it answers, as by default."""
        keys = self.directory() / "keys"
        add_master_key(keys, "only")
        return self.own_server(args=("--access_log=off", f"--sse_key_file={keys}"))

    def load(self, writers: list[Writer], seconds: float) -> None:
        """Let them work, and kill the server in the middle of it. :raises Wrong: one of them was lied to."""
        wrong: list[Wrong] = []

        def work(writer: Writer) -> None:
            try:
                writer.run()
            except Wrong as error:
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(writer,), daemon=True) for writer in writers]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self.server.kill()
        join_all(threads, 30)
        if wrong:
            raise wrong[0]

    def assertConsistent(self) -> None:
        """No row of the database contradicts another, and no bytes belong to nothing, once it was opened again."""
        store = RocksStore.open(str(self.server.db_path), cache_bytes=MIB)
        try:
            self.assertEqual(list(store.faults()), [])
        finally:
            store.close()

    def test_kill(self) -> None:
        """What was acknowledged is there, byte by byte; what was not is wholly there or not at all; uploads go on; and
        in the end everything can be deleted."""
        chance = random.Random(SEED)
        writers = [Writer(self.server, BUCKETS[n % 2], n, chance.getrandbits(32)) for n in range(WRITERS)]
        for number in range(ROUNDS):
            if number % 4 == 3:  # killed once more, while it gets up
                self.server.launch()
                time.sleep(chance.uniform(0.3, 1.0))
                self.server.kill()
            if number % 3 == 2:
                self.assertConsistent()
            self.server.start()
            if number == 0:
                with Wire(self.server) as wire:
                    for bucket in BUCKETS:
                        self.assertEqual(wire.ask("PUT", f"/{bucket}").status, 200)
                    self.assertEqual(wire.ask("PUT", f"/{BUCKETS[1]}?encryption", body=ENCRYPTED).status, 200)
            for writer in writers:
                writer.verify()
            self.load(writers, chance.uniform(0.1, 0.7))
            self.assertNotIn("Traceback", self.server.log())
        self.assertGreater(min(writer.done for writer in writers), ROUNDS)

        self.server.start()
        for writer in writers:
            writer.verify()
            writer.clear()
        with Wire(self.server) as wire:
            for bucket in BUCKETS:
                self.assertEqual(wire.ask("DELETE", f"/{bucket}").status, 204)
        self.server.stop()
        self.assertNotIn("Traceback", self.server.log())
        self.assertConsistent()
