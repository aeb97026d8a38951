"""A database opened to be looked at: as its files lie, and nothing is swept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from s3gw.store.engine import Engine
from s3gw.store.logs import open_recovered
from s3gw.store.marker import claim
from s3gw.store.options import MIB

CACHE_BYTES = 64 * MIB


@contextmanager
def offline(path: str, tell: Callable[[str], object]) -> Iterator[Engine]:
    """The engine of the database in directory ``path``, closed at the end.

    `RocksStore.open` would sweep what no record names. Here that stays, since in a damaged database it may be all that
    is left of something.

    :param tell: called with each line about what a crash or the disk has taken.
    :raises StoreUnusable: in one line, why not; another process has it open, among others.
    """
    with claim(path, create=False):
        engine, lines = open_recovered(
            path,
            lambda: Engine(
                path, durability="commit", cache_bytes=CACHE_BYTES, create=False, reserve_bytes=0, observe=None
            ),
        )
    for line in lines:
        tell(line)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def beside(path: str) -> Iterator[Engine]:
    """The engine of the database in directory ``path``, to be read while another process may write to it.

    What it shows is what stood at its last `Engine.catch_up`. :raises StoreUnusable: in one line, why not.
    """
    with TemporaryDirectory(prefix="s3gw-") as own:
        with claim(path, create=False):
            engine = Engine(
                path,
                durability="commit",
                cache_bytes=CACHE_BYTES,
                create=False,
                reserve_bytes=0,
                observe=None,
                beside=own,
            )
        try:
            yield engine
        finally:
            engine.close()
