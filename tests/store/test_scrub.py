"""`scrub_step`: every row once, in bounded steps, and nothing taken for damage that was only changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from s3gw.model import CHUNK_BYTES
from s3gw.store import keys, scrub
from s3gw.store.interface import DeleteObject, IScrubStore, ScrubStep
from s3gw.store.rocks import RocksStore
from tests.store.contract import Actor

NO_RECORDS = {keys.INLINE_BODIES, keys.CHUNKS, keys.LOG}
"""Bodies are read with the records that name them, and what the log says of itself nobody reads outside of it."""

CHUNKED = bytes(range(256)) * 256 * 40


class ScrubTests(SynchronousTestCase):
    """A scrub of a store in use."""

    def setUp(self) -> None:
        self.store = RocksStore.open(self.mktemp(), cache_bytes=1 << 20, reserve_bytes=0)
        self.addCleanup(self.store.close)
        self.actor = Actor(self.store)
        self.actor.create()
        for number in range(5):
            self.actor.do(self.actor.inline(f"i{number}", b"%d" % number * 100))
        self.actor.do(self.actor.chunked("c", CHUNKED))

    def steps(self, between: Callable[[int], object] = lambda _: None) -> list[ScrubStep]:
        """A whole pass."""
        found = [self.store.scrub(b"")]
        while found[-1].position:
            between(len(found))
            found.append(self.store.scrub(found[-1].position))
        return found

    def damaged(self, steps: list[ScrubStep]) -> list[str]:
        return [row for step in steps for row in step.damaged]

    def test_everything_once(self) -> None:
        """A bucket, objects, bodies, a blob and each of its chunks, over as many steps as they take."""
        self.assertTrue(verifyObject(IScrubStore, self.store))
        steps = self.steps()
        chunks = len(CHUNKED) // CHUNK_BYTES
        self.assertEqual(sum(step.rows for step in steps), 1 + 6 + 5 + 1 + chunks)
        self.assertGreaterEqual(len(steps), chunks // scrub.STEP_CHUNKS)
        self.assertGreater(sum(step.nbytes for step in steps), len(CHUNKED))
        self.assertEqual(self.damaged(steps), [])

    def test_small_steps(self) -> None:
        """The same with steps of one row each."""
        self.patch(scrub, "STEP_CHUNKS", 1)
        self.patch(scrub, "STEP_RECORDS", 1)
        steps = self.steps()
        self.assertEqual(sum(step.rows for step in steps), 1 + 6 + 5 + 1 + len(CHUNKED) // CHUNK_BYTES)
        self.assertEqual(self.damaged(steps), [])

    def test_changing(self) -> None:
        """Objects that are replaced, deleted and freed between the steps are not damaged."""

        def change(number: int) -> None:
            self.actor.do(self.actor.inline(f"i{number % 5}", b"new" * number))
            retired = self.actor.do(DeleteObject("b", "c")).retired
            self.store.free(retired)
            self.actor.do(self.actor.chunked("c", CHUNKED[number:]))

        self.patch(scrub, "STEP_CHUNKS", 3)
        steps = self.steps(lambda number: change(number) if number < 30 else None)
        self.assertEqual(self.damaged(steps), [])

    def test_changed_within_a_step(self) -> None:
        """Neither are those that go between the record and its body."""
        engine = self.store._engine
        read = {"inline": engine.inline, "chunks": engine.chunks}

        def meddle(name: str) -> Callable[[list[bytes]], list[bytes | None]]:
            def get(rows: list[bytes]) -> list[bytes | None]:
                for key in ("i0", "i1", "c"):
                    self.store.free(self.actor.do(DeleteObject("b", key)).retired)
                self.actor.do(self.actor.inline("i2", b"another"))
                return read[name](rows)

            return get

        for name in read:
            self.patch(engine, name, meddle(name))
        self.assertEqual(self.damaged(self.steps()), [])

    def test_missing(self) -> None:
        """A chunk and a small body that are not there at all are damage; a record that cannot be read is too."""
        engine = self.store._engine
        info = self.actor.find("c")
        batch = engine.batch()
        row = b"C\0" + info.extents[0].blob + (3).to_bytes(4, "big")  # type: ignore[union-attr]
        batch.delete_chunk(row)
        batch.delete_inline(b"D\0b\0i1")
        batch.put(b"M\0b\0i3", b"nonsense")
        engine.write(batch)
        blob = info.extents[0].blob.hex()  # type: ignore[union-attr]
        self.assertEqual(sorted(self.damaged(self.steps())), [f"C {blob}/3", "D b/i1", "M b/i3"])

    def test_kinds(self) -> None:
        """Every kind of record that there is, is one that a scrub reads."""
        kinds = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, bytes)}
        self.assertEqual({kind for kind in kinds if len(kind) == 2} - NO_RECORDS, set(scrub.CODECS))
        self.assertEqual(list(scrub.CODECS), sorted(scrub.CODECS))
