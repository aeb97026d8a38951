"""Connections never take the file descriptors that the database needs."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from s3gw.web.descriptors import Doors, limit


class Port:
    """A port that notes whether it accepts."""

    accepts = True
    numberAccepts = 100

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

        self.assertEqual(port.numberAccepts, 1)

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
