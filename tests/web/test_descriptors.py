"""Connections never take the file descriptors that the database needs."""

from __future__ import annotations

import resource
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from s3gw.web.descriptors import Doors, limit


class Port:
    """A port that notes whether it accepts, with a crowd in front of it."""

    def __init__(self) -> None:
        self.accepts = True
        self.numberAccepts = 100

    def doRead(self, counted: Callable[[int], object], connections: int) -> int:
        """Accept, as twisted.internet.tcp.Port does. :return: how many connections there are then."""
        accepted = 0
        for _ in range(self.numberAccepts):
            accepted, connections = accepted + 1, connections + 1
            counted(connections)
        self.numberAccepts = self.numberAccepts + 20 if accepted == self.numberAccepts else max(1, accepted)
        return connections

    def stopReading(self) -> None:
        self.accepts = False

    def startReading(self) -> None:
        self.accepts = True


class DoorsTests(SynchronousTestCase):
    """`Doors`"""

    def test_shut_and_open(self) -> None:
        """Clients wait while there are too many, and come in when others have gone."""
        doors, port = Doors(400), Port()
        doors.watch([port])
        self.assertEqual(doors.most, 300)
        told = [(count, doors.counted(count), port.accepts)[::2] for count in (1, 299, 300, 301, 300, 299, 300)]
        self.assertEqual(
            told, [(1, True), (299, True), (300, False), (301, False), (300, False), (299, True), (300, False)]
        )

    def test_crowd(self) -> None:
        """However many come at once, not one too many is let in, and that from the very first on."""
        doors, port = Doors(400), Port()
        doors.watch([port])
        connections = 0
        for _ in range(3):
            while port.accepts:
                connections = port.doRead(doors.counted, connections)
            self.assertEqual(connections, 300)
            connections -= 10
            doors.counted(connections)

    def test_few(self) -> None:
        """With hardly any descriptors, one connection at a time is still served."""
        self.assertEqual([Doors(count).most for count in (10, 64, 100, 128, 1024)], [1, 1, 36, 64, 768])

    def test_closing(self) -> None:
        """A port that is being closed is not opened again."""
        doors, port = Doors(4), Port()
        doors.watch([port])
        doors.counted(1)
        doors.close()
        doors.counted(0)
        self.assertFalse(port.accepts)

    def test_limit(self) -> None:
        """The process may have as many as the system allows, when it is told to take them."""
        self.assertEqual(limit(highest=True), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
