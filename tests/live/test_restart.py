"""Restarts that no client notices: the port is somebody else's, as it is systemd's by deploy/s3gw.socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from tests.bounded import join_all, wait_until
from tests.live.case import KIB, LiveCase, some_bytes
from tests.live.server import CLEAN_EXITS, REQUEST_S, LiveServer
from tests.torture import TORTURE

RESTARTS = 20 if TORTURE else 5
CLIENTS = 3
BACKLOG = 128


class Load:
    """Threads that do one thing over and over. Use it as a context.

    :ivar done: how often. :ivar failures: each error.
    """

    def __init__(self, *work: Callable[[int], object]) -> None:
        self.done = 0
        self.failures: list[BaseException] = []
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in work]

    def _run(self, work: Callable[[int], object]) -> None:
        number = 0
        while not self._ending.is_set():
            try:
                work(number)
            except Exception as error:
                self.failures.append(error)
            number += 1
            self.done += 1

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        join_all(self._threads, 2 * REQUEST_S)


class RestartTests(LiveCase):
    """Restarts under load."""

    def make_server(self) -> LiveServer:
        """One on a socket that stays open whatever becomes of it."""
        port = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.addCleanup(port.close)
        return self.own_server(listening=port).start()

    def write_and_read(self, s3: Any, bucket: str, client: int) -> Callable[[int], None]:
        """A client that puts an object and compares what it gets."""

        def once(number: int) -> None:
            key, body = f"{client}/{number}", some_bytes(KIB * (1 + number % 200), number)
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            if s3.get_object(Bucket=bucket, Key=key)["Body"].read() != body:
                raise AssertionError(key)

        return once

    def connect(self, _: int) -> None:
        """A connection; :raises OSError: if it is refused."""
        with socket.create_connection(("127.0.0.1", self.server.port), REQUEST_S):
            pass

    def test_nothing_fails(self) -> None:
        """Clients that try again, as every SDK does, finish every request, no connection is refused, and what was
        answered is there."""
        retrying = {"retries": {"mode": "standard", "total_max_attempts": 5}}
        clients = [self.server.s3(**retrying) for _ in range(CLIENTS)]
        bucket = self.new_bucket(clients[0])
        port = self.server.port
        work = [self.write_and_read(s3, bucket, number) for number, s3 in enumerate(clients)]
        with Load(*work) as load, Load(self.connect) as connections:
            for _ in range(RESTARTS):
                before = load.done
                self.assertIn(self.server.stop(), CLEAN_EXITS)
                self.server.start()
                self.assertEqual(self.server.port, port)
                wait_until(lambda before=before: load.done > before + CLIENTS, "more load")  # type: ignore[misc]
        self.assertEqual(load.failures, [])
        self.assertEqual(connections.failures, [])
        self.assertGreater(connections.done, RESTARTS)
        if TORTURE:
            print(f"{RESTARTS} restarts: {2 * load.done} requests and {connections.done} connections, none failed")
        listed = sum(page["KeyCount"] for page in clients[0].get_paginator("list_objects_v2").paginate(Bucket=bucket))
        self.assertEqual(listed, load.done)
