"""The fixtures, in a run of pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.live.server import environment

TESTS = """
import urllib.request

import pytest


def put(server, path):
    return urllib.request.urlopen(urllib.request.Request(server.url + path, method="PUT")).status


@pytest.mark.parametrize("time", range(2))
def test_fresh(s3gw_server, time):
    assert s3gw_server.requests == []
    assert put(s3gw_server, "/bucket") == 200


@pytest.mark.parametrize("time", range(2))
def test_shared(s3gw_session_server, s3gw_server, time):
    assert s3gw_server is not s3gw_session_server
    assert len(s3gw_session_server.requests) == time
    assert put(s3gw_session_server, f"/bucket-{time}") == 200
"""


class FixtureTests(SynchronousTestCase):
    """What docs/testing.md promises users of pytest."""

    def test_run(self) -> None:
        """A server for each test, and one for all of them."""
        place = Path(self.mktemp()).absolute()
        place.mkdir()
        (place / "conftest.py").write_text('pytest_plugins = ["s3gw.testing.fixtures"]\n')
        (place / "test_it.py").write_text(TESTS)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(place)]
        ran = subprocess.run(
            command, cwd=place, env=environment(), capture_output=True, text=True, timeout=120, check=False
        )
        self.assertIn("4 passed", ran.stdout, ran.stdout + ran.stderr)
