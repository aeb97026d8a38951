"""Lanes: batches, order, failures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import SynchronousTestCase

from s3gw.web.lanes import MOST_TURNS, Lane


class Threads:
    """Stands in for the pool: functions run when the test says so."""

    def __init__(self) -> None:
        self.pending: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def hand_over(self, work: Callable[[], Any]) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.pending.append((work, result))
        return result

    def run_one(self) -> None:
        work, result = self.pending.pop(0)
        try:
            value = work()
        except Exception as error:
            result.errback(error)
        else:
            result.callback(value)

    def fail_one(self) -> None:
        _, result = self.pending.pop(0)
        result.errback(OSError("the pool failed"))


class LaneTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.threads = Threads()
        self.batches: list[list[int]] = []

    def work(self, jobs: list[int]) -> list[int | Exception]:
        self.batches.append(jobs)
        return [ValueError(job) if job < 0 else job * 10 for job in jobs]

    def test_idle_lane_starts_at_once(self) -> None:
        """A job that finds the lane free goes to the pool without waiting for company."""
        lane = Lane(self.threads.hand_over, self.work)
        answer = lane.ask(1)
        self.assertEqual(len(self.threads.pending), 1)
        self.threads.run_one()
        self.assertEqual(self.successResultOf(answer), 10)
        self.assertFalse(lane.busy)

    def test_busy_lane_gathers(self) -> None:
        """Jobs that come while a batch is in the pool share the next one; there is never a second in the pool."""
        lane = Lane(self.threads.hand_over, self.work)
        answers = [lane.ask(job) for job in (1, 2, 3)]
        self.assertEqual(len(self.threads.pending), 1)
        self.threads.run_one()
        self.assertEqual(len(self.threads.pending), 1)
        self.threads.run_one()
        self.assertEqual(self.batches, [[1], [2, 3]])
        self.assertEqual([self.successResultOf(answer) for answer in answers], [10, 20, 30])

    def test_weight_bounds_a_batch(self) -> None:
        """A batch ends before its weight passes the bound, and a job heavier than that goes alone."""
        lane = Lane(self.threads.hand_over, self.work, most=5, weigh=lambda job: job)
        answers = [lane.ask(job) for job in (1, 2, 3, 9, 1)]
        while self.threads.pending:
            self.threads.run_one()
        self.assertEqual(self.batches, [[1], [2, 3], [9], [1]])
        self.assertEqual([self.successResultOf(answer) for answer in answers], [10, 20, 30, 90, 10])

    def test_one_job_fails(self) -> None:
        """An error that stands for one job is that job's alone."""
        lane = Lane(self.threads.hand_over, self.work)
        first, bad, good = lane.ask(1), lane.ask(-1), lane.ask(2)
        self.threads.run_one()
        self.threads.run_one()
        self.successResultOf(first)
        self.failureResultOf(bad, ValueError)
        self.assertEqual(self.successResultOf(good), 20)

    def test_batch_fails(self) -> None:
        """An error of the whole batch reaches each of its jobs, and the lane goes on."""

        def work(jobs: list[int]) -> list[int | Exception]:
            if 2 in jobs:
                raise OSError("disk")
            return list(jobs)

        lane = Lane(self.threads.hand_over, work)
        answers = [lane.ask(job) for job in (1, 2, 3)]
        self.threads.run_one()
        last = lane.ask(4)
        self.threads.run_one()
        self.successResultOf(answers[0])
        for answer in answers[1:]:
            self.failureResultOf(answer, OSError)
        if self.threads.pending:
            self.threads.run_one()
        self.assertTrue(last.called)
        last.addErrback(lambda _: None)

    def test_settled(self) -> None:
        """`settled` fires with the batch that was in the pool, not with later ones, and after its answers."""
        lane = Lane(self.threads.hand_over, self.work)
        self.successResultOf(lane.settled())
        order: list[str] = []
        lane.ask(1).addCallback(lambda _: order.append("answer"))
        lane.settled().addCallback(lambda _: order.append("settled"))
        lane.ask(2).addCallback(lambda _: order.append("later"))
        self.threads.run_one()
        self.assertEqual(order, ["answer", "settled"])
        self.threads.run_one()
        self.assertEqual(order, ["answer", "settled", "later"])

    def test_begun_and_ended(self) -> None:
        """A lane is told of each batch before it goes and when it is back, before anyone hears of it."""
        events: list[object] = []

        class Watched(Lane[int, int]):
            def begun(self, jobs: object) -> None:
                events.append(jobs)

            def ended(self, error: object) -> None:
                events.append("ended")

        lane = Watched(self.threads.hand_over, self.work)
        for job in (1, 2):
            lane.ask(job).addCallback(events.append)
        self.threads.run_one()
        self.threads.run_one()
        self.assertEqual(events, [[1], "ended", [2], 10, "ended", 20])


class Turns:
    """Stands in for the reactor, as far as `callLater` by nothing goes: the test says when it turns."""

    def __init__(self) -> None:
        self.due: list[Callable[[], object]] = []

    def callLater(self, delay: float, call: Callable[..., object], *args: object) -> None:
        assert delay == 0
        self.due.append(partial(call, *args))

    def turn(self) -> None:
        """What was due before this turn is done, and what that calls for in the next one."""
        due, self.due = self.due, []
        for call in due:
            call()


class GatheringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.threads = Threads()
        self.turns = Turns()
        self.batches: list[list[int]] = []
        self.lane = self.make(most=256)

    def make(self, most: int) -> Lane[int, int]:
        return Lane(self.threads.hand_over, self.work, most=most, gather=cast(IReactorTime, self.turns))

    def work(self, jobs: list[int]) -> list[int]:
        self.batches.append(jobs)
        return jobs

    def turn(self, *jobs: int) -> None:
        """One turn of the reactor, in which these jobs come."""
        self.turns.turn()
        for job in jobs:
            self.lane.ask(job)

    def begin(self, *first: int) -> None:
        """Have a batch of these behind us."""
        for job in (0, *first):
            self.lane.ask(job)
        self.threads.run_one()
        while not self.threads.pending:
            self.turn()
        self.threads.run_one()
        self.assertEqual(self.batches, [[0], list(first)])
        self.batches.clear()
        self.assertTrue(self.lane.idle)

    def test_alone(self) -> None:
        """Who comes alone waits for nobody, time and again."""
        for job in (1, 2, 3):
            self.lane.ask(job)
            self.threads.run_one()
        self.assertEqual(self.batches, [[1], [2], [3]])

    def test_over_several_turns(self) -> None:
        """As many are waited for as were in the last batch, turn after turn, and go as soon as they are there."""
        self.begin(1, 2, 3, 4)
        answers = [self.lane.ask(5)]
        self.turn(6)
        self.turn(7)
        self.assertFalse(self.lane.idle)
        self.assertEqual(self.threads.pending, [])
        self.turn(8)
        self.turn()
        self.threads.run_one()
        self.assertEqual(self.batches, [[5, 6, 7, 8]])
        self.assertEqual(self.successResultOf(answers[0]), 5)
        self.assertTrue(self.lane.idle)

    def test_nobody_came(self) -> None:
        """A turn that brings nobody is the last one that is waited, and from then on fewer are expected."""
        self.begin(1, 2, 3, 4)
        self.lane.ask(5)
        self.turn(6)
        self.turn()
        self.assertEqual(self.threads.pending, [])
        self.turn()
        self.threads.run_one()
        self.assertEqual(self.batches, [[5, 6]])
        for job in (7, 8):
            self.lane.ask(job)
        self.turn(9)
        self.threads.run_one()
        self.assertEqual(self.batches, [[5, 6], [7, 8]])

    def test_bounded(self) -> None:
        """However many are expected, and however steadily they come: the first waits for a few turns at most."""
        self.begin(*range(1, 50))
        self.lane.ask(100)
        for job in range(101, 101 + MOST_TURNS):
            self.assertEqual(self.threads.pending, [])
            self.turn(job)
        self.assertEqual(len(self.threads.pending), 1)
        self.threads.run_one()
        self.assertEqual(self.batches, [list(range(100, 100 + MOST_TURNS))])

    def test_full(self) -> None:
        """A batch that is full waits for nobody."""
        self.lane = self.make(most=3)
        self.begin(1, 2, 3)
        for job in (4, 5, 6, 7):
            self.lane.ask(job)
        self.turn()
        self.threads.run_one()
        for job in (8, 9):
            self.lane.ask(job)
        while not self.threads.pending:
            self.turn()
        self.threads.run_one()
        self.assertEqual(self.batches, [[4, 5, 6], [7, 8, 9]])

    def test_full_behind_a_batch(self) -> None:
        """A full batch that waited behind another follows at once."""
        self.lane = self.make(most=2)
        for job in (1, 2, 3):
            self.lane.ask(job)
        self.threads.run_one()
        self.assertEqual(len(self.threads.pending), 1)
        self.threads.run_one()
        self.assertEqual(self.batches, [[1], [2, 3]])

    def test_clients_in_a_loop(self) -> None:
        """Two groups of clients, each of which asks again when it is answered, are one from then on."""
        self.lane.ask(1)
        self.lane.ask(2)
        self.threads.run_one()
        self.turn(1)
        self.turn()
        for _ in range(5):
            self.threads.run_one()
            self.turn(2)
            self.turn(1)
            self.turn()
        self.assertEqual(self.batches, [[1], [2, 1], *[[2, 1]] * 4])

    def test_after_a_failure(self) -> None:
        """A batch that failed counts like any other."""
        self.begin(1, 2)
        for job in (3, 4):
            self.lane.ask(job).addErrback(lambda _: None)
        self.turn()
        self.threads.fail_one()
        self.lane.ask(5)
        self.assertEqual(self.threads.pending, [])
        self.turn(6)
        self.turn()
        self.threads.run_one()
        self.assertEqual(self.batches, [[5, 6]])

    def test_hurry(self) -> None:
        """Who is told to hurry begins, never with a second batch in the pool, and with none twice."""
        self.begin(1, 2)
        self.lane.hurry()
        self.assertEqual(self.threads.pending, [])
        self.lane.ask(3)
        self.lane.hurry()
        self.lane.ask(4)
        self.lane.hurry()
        self.turn()
        self.turn()
        self.assertEqual(len(self.threads.pending), 1)
        self.threads.run_one()
        self.lane.hurry()
        self.threads.run_one()
        self.turn()
        self.turn()
        self.assertEqual(self.batches, [[3], [4]])
        self.assertEqual(self.threads.pending, [])
        self.assertEqual(self.turns.due, [])
