"""Too many clients, and clients that are slow on purpose: the server stays small, and others are served as before.

`tests.torture` takes the large numbers.
"""

from __future__ import annotations

import re
import resource
import select
import selectors
import socket
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from s3gw.web.descriptors import Doors
from tests.bounded import wait_until
from tests.live.case import KIB, MIB, LiveCase, some_bytes
from tests.live.server import LiveServer, shared_server
from tests.live.wire import Wire
from tests.torture import TORTURE

IDLE = 10_000 if TORTURE else 2000
SLOW = 1000 if TORTURE else 200
PER_IDLE_KIB = 24
"""What a connection that does nothing may cost, the kernel's part not counted."""

PER_SLOW_KIB = 96
"""What one may cost beside the bodies that `--max_buffer_mb` counts: a head, or the 64 KiB that a transport holds."""

CALM_TIMES = 10
FLOOR_S = 0.02
"""A p99 below this is nobody's trouble, however short the calm one is."""

BLOCKS = 5
BLOCK = 100
"""Requests of each of the two clients in one block; the second longest is their p99."""

MEASUREMENTS = 3
"""What is really slow is so each time; a noisy neighbour is not."""

LARGE = 8 * MIB

DESCRIPTORS = 160
DOORS = Doors(DESCRIPTORS).most
"""Connections that a server accepts that may have so many descriptors."""


def seconds_of(wire: Wire, bucket: str, number: int) -> float:
    """How long one small request of a normal client takes."""
    start = time.perf_counter()
    if number % 4:
        answer = wire.ask("GET", f"/{bucket}/small")
    else:
        answer = wire.ask("PUT", f"/{bucket}/{number}", body=b"x" * 1000)
    taken = time.perf_counter() - start
    assert answer.status == 200, answer
    return taken


def p99s(wires: Sequence[tuple[Wire, str]]) -> list[float]:
    """The p99 of one normal client on each of several servers, in the same moments: the median of several blocks."""
    blocks = []
    for _ in range(BLOCKS):
        times = [[seconds_of(*wire, number) for wire in wires] for number in range(BLOCK)]
        blocks.append([sorted(each)[-2] for each in zip(*times, strict=True)])
    return [statistics.median(each) for each in zip(*blocks, strict=True)]


class OverloadTests(LiveCase):
    """One server each, with a known cache and known bounds."""

    def setUp(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.files = hard

    def begin(self, *args: str, **options: Any) -> Wire:
        """Start `server` with a small and a large object; a normal client of it."""
        self.server = self.own_server(args=("--access_log=off", *args), **options).start()
        wire = Wire(self.server)
        self.addCleanup(wire.close)
        wire.ask("PUT", "/bucket")
        wire.ask("PUT", "/bucket/small", body=some_bytes(4 * KIB))
        self.assertEqual(wire.ask("PUT", "/bucket/large", body=some_bytes(LARGE)).status, 200)
        self.calm = self.calm_client()
        self.before = self.server.memory_kib()
        return wire

    def calm_client(self) -> tuple[Wire, str]:
        """A client of another server, on the same machine, to which nothing happens."""
        calm = shared_server()
        wire = Wire(calm)
        self.addCleanup(wire.close)
        bucket = self.new_bucket(calm.s3())
        wire.ask("PUT", f"/{bucket}/small", body=some_bytes(4 * KIB))
        return wire, bucket

    def connect(self, count: int, receive_buffer: int | None = None) -> list[socket.socket]:
        """So many connections; none of them may be refused."""
        clients = []
        for _ in range(count):
            client = socket.socket()
            self.addCleanup(client.close)
            client.settimeout(30)
            if receive_buffer is not None:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            client.connect(("127.0.0.1", self.server.port))
            clients.append(client)
        return clients

    def assertAsCalm(self, wire: Wire) -> None:
        """A normal client waits no longer than ten times as long as one of a server that has no other.

        Both are asked in turn, so that whatever else the machine does happens to both."""
        found = []
        for _ in range(MEASUREMENTS):
            calm, here = p99s([self.calm, (wire, "bucket")])
            if here < max(FLOOR_S, CALM_TIMES * calm):
                return
            found.append(f"{1000 * here:.1f} ms where {1000 * calm:.1f} ms are calm")
        self.fail(f"p99, each time: {'; '.join(found)}")

    def assertGrown(self, most_kib: int) -> None:
        """The server has not grown by more than so much."""
        self.assertLess(self.server.memory_kib() - self.before, most_kib + 8 * KIB)

    def statuses(self, clients: list[socket.socket], seconds: float = 10.0) -> Counter[str]:
        """The statuses of what comes on these connections, of each its first; ``none`` for those that get nothing."""
        waiting = selectors.DefaultSelector()
        self.addCleanup(waiting.close)
        for client in clients:
            waiting.register(client, selectors.EVENT_READ)
        found: Counter[str] = Counter()
        give_up = time.monotonic() + seconds
        while waiting.get_map() and time.monotonic() < give_up:
            for key, _ in waiting.select(0.2):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                waiting.unregister(client)
                head = client.recv(4096)
                status = head[9:12].decode() or "closed"
                if status == "503":
                    self.assertIn(b"\r\nRetry-After: ", head)
                    self.assertIn(b"<Code>SlowDown</Code>", head)
                found[status] += 1
        found["none"] = len(waiting.get_map())
        return found

    def served(self, wire: Wire, clients: list[socket.socket]) -> tuple[list[socket.socket], list[socket.socket]]:
        """Those that got an answer, once all have of which the server knows, and those that it has not accepted."""

        least = min(DOORS, len(clients) + 1)

        def all_answered() -> bool:
            found = re.search(r"\ns3gw_open_connections (\d+)", self.figures(wire))
            return found is not None and int(found[1]) >= least and len(self.ready(clients)) == int(found[1]) - 1

        wait_until(all_answered, f"{least} connections that are answered")
        served = self.ready(clients)
        self.assertLess(len(served), DOORS)
        self.assertEqual(self.statuses(served), {"200": len(served), "none": 0})
        return served, [client for client in clients if client not in served]

    def ready(self, clients: list[socket.socket]) -> list[socket.socket]:
        """Those that have something to read."""
        poll = select.poll()
        for client in clients:
            poll.register(client, select.POLLIN)
        found = {number for number, _ in poll.poll(0)}
        return [client for client in clients if client.fileno() in found]

    def head(self, method: str, target: str, *lines: str) -> bytes:
        return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {self.server.authority}", *lines, "", ""]).encode()

    def test_idle(self) -> None:
        """Thousands of connections that do nothing cost little, and nobody else any time."""
        count = min(IDLE, self.files // 2)
        wire = self.begin(f"--max_connections={count + 100}")
        clients = self.connect(count)
        self.assertAsCalm(wire)
        self.assertGrown(count * PER_IDLE_KIB)
        for client in clients:
            client.sendall(self.head("GET", "/bucket/small"))
        self.assertEqual(self.statuses(clients, 60), {"200": count, "none": 0})

    def test_too_many_connections(self) -> None:
        """Those above the bound are told to slow down, none is refused or reset; when others go, they are served."""
        wire = self.begin("--max_connections=50")
        clients = self.connect(120)
        for client in clients:
            client.sendall(self.head("GET", "/bucket/small"))
        found = self.statuses(clients)
        self.assertEqual((found["200"], found["503"]), (49, 71))
        self.assertEqual(wire.ask("GET", "/bucket/small").status, 200)
        for client in clients:
            client.close()
        self.assertOpen(wire, 1)
        again = self.connect(40)
        for client in again:
            client.sendall(self.head("GET", "/bucket/small"))
        self.assertEqual(self.statuses(again)["200"], 40)

    def test_too_many_requests(self) -> None:
        """Requests above the bound are told to slow down, on connections that go on; the health pages answer."""
        wire = self.begin("--max_inflight=20")
        slow = self.connect(30)
        for client in slow:
            client.sendall(self.head("PUT", "/bucket/slow", "Content-Length: 100") + b"x")
        wait_until(lambda: wire.ask("GET", "/bucket/small").status == 503, "a refusal")
        answer = wire.ask("GET", "/bucket/small")
        self.assertEqual((answer.status, answer.code, answer.headers["Retry-After"]), (503, "SlowDown", "1"))
        self.assertEqual(wire.ask("GET", "/_health/ready").status, 200)
        self.assertEqual(wire.ask("GET", "/metrics").status, 200)
        for client in slow:
            client.close()
        self.assertOpen(wire, 1)
        self.assertEqual(wire.ask("GET", "/bucket/small").status, 200)

    def test_slow_readers(self) -> None:
        """Clients that do not read hold a bounded amount together, however many; those beyond are told so."""
        wire = self.begin("--max_buffer_mb=64")
        clients = self.connect(SLOW, 4 * KIB)
        for client in clients:
            client.sendall(self.head("GET", "/bucket/large"))
        self.assertAsCalm(wire)
        found = self.statuses(clients)
        self.assertEqual(found["200"] + found["503"], SLOW)
        self.assertGreater(found["503"], 0)
        self.assertGreater(found["200"], 50)
        # The cache is filled meanwhile, and a MiB may be read for each of a few that come at once.
        self.assertGrown((64 + 32 + 32) * KIB + SLOW * PER_SLOW_KIB)
        for client in clients:
            client.close()
        self.assertServedAgain(wire)

    def test_slow_writers(self) -> None:
        """Clients that do not go on sending hold a bounded amount together; so do endless chunked bodies and heads."""
        wire = self.begin("--max_buffer_mb=64")
        body = some_bytes(600 * KIB)
        writers, chunked, heads = self.connect(SLOW), self.connect(SLOW), self.connect(SLOW)
        for number, client in enumerate(writers):
            self.stuff(client, self.head("PUT", f"/bucket/w{number}", f"Content-Length: {LARGE}") + body)
        chunk = b"40000\r\n" + some_bytes(256 * KIB) + b"\r\n"
        for number, client in enumerate(chunked):
            self.stuff(client, self.head("PUT", f"/bucket/c{number}", "Transfer-Encoding: chunked") + chunk * 3)
        for client in heads:
            self.stuff(client, self.head("GET", "/bucket/small")[:-2] + b"x-padding: " + b"p" * 60 * KIB)
        self.assertAsCalm(wire)
        self.assertGrown((64 + 32) * KIB + 3 * SLOW * PER_SLOW_KIB)
        found = self.statuses([*writers, *chunked], 3)
        self.assertGreater(found["503"], 0)
        self.assertEqual(found["503"] + found["none"] + found["411"], 2 * SLOW)
        for client in (*writers, *chunked, *heads):
            client.close()
        self.assertServedAgain(wire)

    def stuff(self, client: socket.socket, data: bytes) -> None:
        """Send what the server takes at once."""
        client.setblocking(False)
        try:
            while data:
                data = data[client.send(data) :]
        except OSError:
            pass
        client.settimeout(30)

    def assertServedAgain(self, wire: Wire) -> None:
        """With the slow ones gone, nothing is held for them any more."""
        self.assertOpen(wire, 1)
        wait_until(lambda: "\ns3gw_buffered_bytes 0.0" in self.figures(wire), "nothing held")
        self.assertSame(wire.ask("GET", "/bucket/large").body, some_bytes(LARGE))
        self.assertNotIn("Traceback", self.server.log())

    def figures(self, wire: Wire) -> str:
        """What /metrics says."""
        return wire.ask("GET", "/metrics").body.decode()

    def assertOpen(self, wire: Wire, count: int) -> None:
        """So many connections are open, soon."""
        wait_until(lambda: f"\ns3gw_open_connections {count}.0" in self.figures(wire), f"{count} open connections")

    def test_huge_heads(self) -> None:
        """Heads without end are refused in good time, and cost nothing."""
        wire = self.begin()
        clients = self.connect(50)
        many, long = (b"x-h: " + b"h" * 1000 + b"\r\n") * 2000, b"x-h: " + b"h" * 2_000_000
        for number, client in enumerate(clients):
            self.stuff(client, self.head("GET", "/bucket/small")[:-2] + (many if number % 2 else long))
        found = self.statuses(clients)
        self.assertEqual(found, {"431": 50, "none": 0})
        self.assertGrown(50 * 64)
        self.assertAsCalm(wire)

    def test_descriptors(self) -> None:
        """With few file descriptors, clients wait for others to go; the database always has what it needs."""
        wire = self.begin("--threads=2")
        self.server.stop()
        self.server.program = ("sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh", *LiveServer.program)
        self.server.start()
        wire = Wire(self.server)
        self.addCleanup(wire.close)
        clients = self.connect(300)
        for client in clients:
            client.sendall(self.head("GET", "/bucket/small"))
        served, waiting = self.served(wire, clients)
        for number in range(80):  # tables are written meanwhile
            self.assertEqual(wire.ask("PUT", f"/bucket/{number}", body=some_bytes(MIB, number)).status, 200)
        for _ in range(2):
            for client in served:
                client.close()
            served, waiting = self.served(wire, waiting)
        self.assertNotIn("Too many open files", self.server.log())
