"""LMCache's requests, as its S3 connector makes them, and its circuit breaker over a restart of the gateway."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.clients.case import ACCESS_KEY, SECRET_KEY, ClientCase, Matrix, Place
from tests.clients.crt import Crt
from tests.live.case import MIB, some_bytes

CHUNK = 32 * MIB
"""What 256 tokens of an 8B model are."""

WAIT_S = 60.0


def key_of(number: int) -> str:
    """The key of a chunk: model, world, rank, hash, type; its slashes are made underscores."""
    return f"meta-llama_Llama-3.1-8B-Instruct@1@0@{number:016x}@bfloat16"


class LMCache(Matrix, ClientCase):
    """Look-ups by HEAD, chunks whole."""

    section = "LMCache"

    def client(self, place: Place, bucket: str) -> Crt:
        """A client with the settings of the page for CRT."""
        page = self.page_of("AWS CRT")
        snippet = place.fill_in(page.snippets[0])
        if place.tls:
            # It would rather speak HTTP/2, and offers that first.
            tls = f'{page.snippets[1].strip()}\ntls.set_alpn_list(["h2", "http/1.1"])'
            snippet = place.fill_in(snippet.replace("tls = None", tls))
        return Crt(self.run_python(snippet)["client"], place, bucket)

    def exercise(self, place: Place) -> None:
        """A prefix of 8 chunks is missed, stored, found by 512 look-ups, and read back."""
        bucket = self.new_bucket_name(place)
        self.server.s3().create_bucket(Bucket=bucket)
        client = self.client(place, bucket)
        chunks = {key_of(number): some_bytes(CHUNK, number) for number in range(2)}
        keys = list(chunks)
        with ThreadPoolExecutor(32) as pool:
            self.assertEqual([status for status, _ in pool.map(client.head, keys)], [404] * len(keys))
            self.assertEqual(list(pool.map(client.put, keys, chunks.values())), [200] * len(keys))
            looked_up = list(pool.map(client.head, [key_of(number % 4) for number in range(512)]))
            self.assertEqual([status for status, _ in looked_up], [200, 200, 404, 404] * 128)
            self.assertEqual({size for status, size in looked_up if status == 200}, {CHUNK})
            for key, (status, body) in zip(keys, pool.map(client.get, keys), strict=True):
                self.assertIn(status, (200, 206))
                self.assertSame(body, chunks[key])
        self.assertEqual(client.broken, 0)


class Restarts(ClientCase):
    """The gateway restarts under a client that would never come back."""

    section = "LMCache"

    def test_no_strike(self) -> None:
        """Restarted by SIGTERM behind its socket, and killed too: no request fails by its connection."""
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.addCleanup(listening.close)
        keys = {"S3GW_ACCESS_KEY": ACCESS_KEY, "S3GW_SECRET_KEY": SECRET_KEY}
        server = self.own_server(auth="sigv4", listening=listening, variables=keys)
        server.access_key, server.secret_key = ACCESS_KEY, SECRET_KEY
        server.launch()
        server.wait_for_log("listening on")
        server.port = listening.getsockname()[1]
        self.server = server
        place = Place(server, False)
        bucket = self.new_bucket_name(place)
        server.s3().create_bucket(Bucket=bucket)
        client = LMCache.client(self, place, bucket)  # type: ignore[arg-type]
        body = some_bytes(MIB)
        found: list[tuple[int, int, int]] = []
        ended = threading.Event()

        def work() -> None:
            while not ended.is_set():
                key = key_of(len(found))
                found.append((client.head(key)[0], client.put(key, body), client.get(key)[0]))

        def progress() -> None:
            goal, give_up = len(found) + 5, time.monotonic() + WAIT_S
            while len(found) < goal and time.monotonic() < give_up:
                time.sleep(0.01)
            self.assertGreaterEqual(len(found), goal)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            for end in (server.stop, server.kill):
                progress()
                end()
                server.launch()
                server.wait_for_log("listening on")
            progress()
        finally:
            ended.set()
            worker.join(WAIT_S)
        self.assertEqual(client.broken, 0)
        self.assertEqual({(miss, put) for miss, put, _ in found}, {(404, 200)})
        self.assertTrue({got for _, _, got in found} <= {200, 206})
