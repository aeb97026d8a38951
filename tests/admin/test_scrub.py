"""``s3gw-admin scrub``: beside a store that is in use."""

from __future__ import annotations

from s3gw.admin import scrub
from s3gw.store.engine import Engine
from tests.admin.case import AdminCase, some_bytes
from tests.store.contract import Actor


class ScrubTests(AdminCase):
    """What is read, and what is found."""

    def test_in_use(self) -> None:
        """Everything is read while the store is open, what is in its log alone too; nothing is wrong with it."""
        self.fill()
        store = self.open()
        Actor(store).do(Actor(store).chunked("late", some_bytes(500_000)))
        found = self.succeed("scrub", self.db)
        self.assertEqual(found["damaged"], [])
        self.assertGreater(found["bytes"], 3 * 300_000 + 100_000 + 500_000 + 20 * 1000)
        # A bucket, 24 objects, an upload with its part, 5 blobs with 5 * 3 + 2 + 8 chunks, 20 small bodies.
        self.assertEqual(found["rows"], 1 + 24 + 2 + 5 + 25 + 20)
        Actor(store).do(Actor(store).inline("later", b"the lock was never asked for"))

    def test_damaged(self) -> None:
        """A changed chunk is named alone, a changed small body with those that share its block; the status says so."""
        bodies = self.fill()
        self.flip(bodies["large-1"][1000:1100])
        self.flip(bodies["small-7"][:100])
        status, out, _ = self.admin("scrub", self.db)
        lines = out.splitlines()
        self.assertEqual(status, 1)
        self.assertIn("damaged: D b/small-7", lines)
        self.assertEqual(len([line for line in lines if line.startswith("damaged: C ")]), 1, out)
        self.assertNotIn("damaged: D b/small-15", lines)
        self.assertRegex(lines[-1], rf"^\d+ rows read, [\d.]+ .iB; {len(lines) - 1} damaged$")

    def test_rate(self) -> None:
        """It waits between two steps as long as the rate asks for."""
        self.fill()
        store = self.open()
        pauses: list[float] = []
        engine: Engine = store._engine
        self.patch(engine, "catch_up", lambda: None)
        steps = list(scrub._steps(engine, 1 << 20, lambda: 0.0, pauses.append))
        self.assertEqual(len(pauses), len(steps) - 1)
        self.assertEqual(pauses, [step.nbytes / (1 << 20) for step in steps[:-1]])
        self.assertLess(max(step.nbytes for step in steps), 2 << 20)

    def test_nowhere(self) -> None:
        """No database, and a directory of something else."""
        self.assertIn("does not exist", self.refuse("scrub", self.place / "none"))
        self.assertIn("not an s3gw store", self.refuse("scrub", self.place.parent))
