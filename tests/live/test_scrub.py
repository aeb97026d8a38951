"""A gateway that reads what it has stored, and finds what its disk has changed, before a client does."""

from __future__ import annotations

import re

import msgspec

from s3gw.web.scrub import STATE, State
from tests.bounded import wait_until
from tests.live.case import KIB, LiveCase, some_bytes
from tests.live.wire import Wire


class ScrubTests(LiveCase):
    """A scrub that is due at the start."""

    def test_found(self) -> None:
        """It is in the log by name, and in the figures; what is good is served meanwhile and afterwards."""
        self.server = server = self.own_server(args=("--scrub_mb_s=1",)).start()
        bodies = {f"key-{number}": some_bytes(300 * KIB, number) for number in range(8)}
        with Wire(server) as wire:
            wire.ask("PUT", "/bucket")
            for key, body in bodies.items():
                self.assertEqual(wire.ask("PUT", f"/bucket/{key}", body=body).status, 200)
        server.stop()
        self.flip(bodies["key-5"][100 * KIB :][:100])
        (server.db_path / STATE).write_bytes(msgspec.json.encode(State(0.0)))
        server.start()
        with Wire(server) as wire:
            wait_until(lambda: self.figure(wire, "s3gw_scrub_last_completed_timestamp_seconds") > 0, "a whole scrub")
            self.assertEqual(self.figure(wire, "s3gw_scrub_damaged_total"), 1)
            self.assertGreater(self.figure(wire, "s3gw_scrub_bytes_total"), 7 * 300 * KIB)
            self.assertRegex(server.log(), r"critical\] scrub: damaged: C [0-9a-f]{32}/1")
            for key, body in bodies.items():
                if key != "key-5":
                    self.assertSame(wire.ask("GET", f"/bucket/{key}").body, body)
            self.assertEqual(wire.ask("GET", "/bucket/key-5").status, 500)
        self.assertIn("all is read", server.log())

    def figure(self, wire: Wire, name: str) -> float:
        """A figure without labels of /metrics."""
        found = re.search(rf"(?m)^{name} (\S+)$", wire.ask("GET", "/metrics").body.decode())
        assert found is not None, name
        return float(found[1])

    def flip(self, needle: bytes) -> None:
        """Change one bit on disk."""
        for path in self.server.db_path.glob("*.sst"):
            data = bytearray(path.read_bytes())
            at = data.find(needle)
            if at >= 0:
                data[at + 50] ^= 1
                path.write_bytes(data)
                return
        self.fail("these bytes are in no table")
