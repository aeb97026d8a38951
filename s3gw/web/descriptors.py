"""File descriptors: how many this process may have, and when it stops accepting connections so as to keep some.

A connection takes one, and so does each table of the database. When none is left a flush fails, and with it every later
write. So connections get a share of them, and clients beyond it wait in the backlog of the port until others have gone.
"""

from __future__ import annotations

import resource
from collections.abc import Sequence
from typing import Protocol, cast

from twisted.internet.interfaces import IListeningPort

SHARE = 0.75
"""The part of all descriptors that connections may have."""

KEPT = 64
"""Descriptors that they leave at least."""


class Door(Protocol):
    """A port that can stop accepting for a while; every stream port of Twisted's reactors is one.

    :ivar numberAccepts: how many it accepts in one go, whatever happens meanwhile: 100 at first. Behind that, it is
        20 more if it equals what was accepted, or else it becomes what was accepted."""

    numberAccepts: int

    def stopReading(self) -> None:
        """Accept no more."""

    def startReading(self) -> None:
        """Accept again."""


def limit(*, highest: bool = False) -> int:
    """How many descriptors this process may have. :param highest: let it have as many as the system allows it first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if highest and soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass  # macOS names a higher limit than it grants
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft


class Doors:
    """Ports that are shut while there are too many connections.

    :param descriptors: that this process may have.
    """

    def __init__(self, descriptors: int) -> None:
        self.most = max(1, min(int(descriptors * SHARE), descriptors - KEPT))
        self._doors: list[Door] = []
        self._shut = False

    def watch(self, ports: Sequence[IListeningPort]) -> None:
        """Shut these from now on; those that cannot be are left open."""
        self._doors = [cast(Door, port) for port in ports if hasattr(port, "stopReading")]
        for door in self._doors:
            door.numberAccepts = 1  # a port does not stop in the middle of it

    def counted(self, connections: int) -> None:
        """So many connections there are."""
        for door in self._doors:
            door.numberAccepts = -1  # nobody ever accepts so many, so it becomes one again
        if not self._shut and connections >= self.most:
            self._shut = True
            for door in self._doors:
                door.stopReading()
        elif self._shut and connections < self.most:
            self._shut = False
            for door in self._doors:
                door.startReading()

    def close(self) -> None:
        """The ports are about to be closed: never open them again."""
        self._doors = []
