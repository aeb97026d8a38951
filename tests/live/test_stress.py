"""``tools/stress_test.py``, which verifies every byte that it reads, against a real server."""

from __future__ import annotations

import sys

from tests.live.case import LiveCase, run_client
from tests.live.server import CHECKOUT

TOOL = CHECKOUT / "tools" / "stress_test.py"


class StressMatrix(LiveCase):
    """Over every listener and authentication; the subclasses run it."""

    def test_two_seconds(self) -> None:
        """Reads and writes for two seconds without a single error."""
        command = [sys.executable, str(TOOL), f"--endpoint={self.server.url}", f"--bucket={self.new_name()}"]
        command += ["--create-bucket", "--duration=2", "--objects=20", "--write-ratio=0.2", "--random", "--insecure"]
        if self.auth == "sigv4":
            command.append(f"--access-key={self.server.access_key}")
        said = run_client(command, cwd=self.directory(), AWS_SECRET_ACCESS_KEY=self.server.secret_key)
        figures = dict(line.split(" ") for line in said.splitlines())
        self.assertEqual(figures["errors"], "0")
        self.assertGreater(int(figures["requests"]), 100)
        self.assertGreater(float(figures["p99_ms"]), 0)


class OverHttp(StressMatrix):
    """http, no authentication."""


class OverHttpsSigned(StressMatrix):
    """https, SigV4."""

    auth = "sigv4"
    tls = True


del StressMatrix  # it is no test by itself
