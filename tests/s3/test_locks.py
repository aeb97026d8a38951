"""What Object Lock forbids, as a table, and its documents."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import AccessDenied
from s3gw.model import ObjectLock
from s3gw.s3.dates import MS_PER_DAY
from s3gw.s3.locks import (
    configuration,
    default_retention,
    is_locked,
    lock_headers,
    parse_configuration,
    parse_retention,
    refuse_retention,
    retention,
)

MODES = ("GOVERNANCE", "COMPLIANCE")
NOW = 1000
LATER, SOONER, PAST = 3000, 2000, 500

DELETIONS = (
    # mode, until, hold; whether it is locked; whether it is in spite of a bypass
    ("", 0, "", False, False),
    ("", 0, "OFF", False, False),
    ("", 0, "ON", True, True),
    ("GOVERNANCE", LATER, "", True, False),
    ("GOVERNANCE", LATER, "ON", True, True),
    ("GOVERNANCE", NOW, "", False, False),
    ("COMPLIANCE", LATER, "", True, True),
    ("COMPLIANCE", LATER, "OFF", True, True),
    ("COMPLIANCE", PAST, "ON", True, True),
    ("COMPLIANCE", NOW, "", False, False),
)


class RuleTests(SynchronousTestCase):
    """What may be done."""

    def test_deletion(self) -> None:
        """A version stays while it is held, or under retention that is not bypassed."""
        self.assertFalse(is_locked(None, NOW))
        for mode, until, hold, plain, bypassed in DELETIONS:
            lock = ObjectLock(mode, until, hold)
            self.assertEqual((plain, bypassed), (is_locked(lock, NOW), is_locked(lock, NOW, bypass=True)), lock)

    def allowed(self, present: ObjectLock | None, wanted: ObjectLock, *, bypass: bool) -> bool:
        """Whether a retention may take the place of another."""
        try:
            refuse_retention(present, wanted, NOW, bypass=bypass)
        except AccessDenied:
            return False
        return True

    def test_retention(self) -> None:
        """A retention may always be prolonged; governance gives way to a bypass, compliance to its end alone."""
        wishes = [ObjectLock(), *(ObjectLock(mode, until) for mode in MODES for until in (SOONER, LATER))]
        for wanted, bypass in product(wishes, (False, True)):
            for free in (None, ObjectLock(), ObjectLock("COMPLIANCE", PAST), ObjectLock("GOVERNANCE", NOW, "ON")):
                self.assertTrue(self.allowed(free, wanted, bypass=bypass))
            for mode in MODES:
                prolonged = wanted.mode == mode and wanted.until >= LATER
                expected = prolonged or (mode == "GOVERNANCE" and bypass)
                self.assertEqual(expected, self.allowed(ObjectLock(mode, LATER), wanted, bypass=bypass), wanted)


class DocumentTests(SynchronousTestCase):
    """What is written can be read."""

    @given(st.sampled_from(MODES), st.sampled_from((("Days", 1, 36_500), ("Years", 365, 100))), st.data())
    def test_default(self, mode: str, unit: tuple[str, int, int], data: st.DataObject) -> None:
        """A default retention means as many days, and is given back as it was set."""
        name, days, most = unit
        number = data.draw(st.integers(1, most))
        stored = configuration((mode, name, number))
        self.assertEqual(stored, parse_configuration(stored))
        found = default_retention(stored)
        assert found is not None
        self.assertEqual(ObjectLock(mode, NOW + number * days * MS_PER_DAY), found.lock(NOW))
        self.assertIsNone(default_retention(configuration()))

    @given(st.sampled_from(MODES), st.integers(NOW + 1, 4_102_444_800_000))
    def test_retention(self, mode: str, until: int) -> None:
        """A retention is told to the millisecond."""
        lock = ObjectLock(mode, until)
        self.assertEqual(lock, parse_retention(retention(lock), NOW))
        self.assertEqual([mode], [value for name, value in lock_headers(lock) if name.endswith("mode")])
