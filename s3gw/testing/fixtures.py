"""Fixtures for pytest. In a ``conftest.py``: ``pytest_plugins = ["s3gw.testing.fixtures"]``.

There is no entry point: pytest loads those in every run, and whoever has s3gw installed for something else would pay
for it each time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from s3gw.testing.server import S3Server


@pytest.fixture
def s3gw_server() -> Iterator[S3Server]:
    """An empty server in memory, for one test."""
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def s3gw_session_server() -> Iterator[S3Server]:
    """A server in memory that all tests of the run share: each takes buckets of its own."""
    with S3Server() as server:
        yield server
