"""Lanes: batches, order, failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from s3gw.web.lanes import Lane


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


class GatheringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.threads = Threads()
        self.clock = Clock()
        self.batches: list[list[int]] = []
        self.lane = Lane(self.threads.hand_over, self.work, gather=self.clock)

    def work(self, jobs: list[int]) -> list[int]:
        self.batches.append(jobs)
        return jobs

    def begin(self) -> None:
        """Have a batch of two behind us."""
        for job in (-1, -2, -3):
            self.lane.ask(job)
        self.threads.run_one()
        self.clock.advance(0)
        self.threads.run_one()
        self.assertEqual(self.batches, [[-1], [-2, -3]])
        self.batches.clear()

    def test_alone(self) -> None:
        """Who comes alone waits for nobody, time and again."""
        for job in (1, 2, 3):
            self.lane.ask(job)
            self.threads.run_one()
        self.assertEqual(self.batches, [[1], [2], [3]])

    def test_same_turn(self) -> None:
        """Who comes to an idle lane in the same turn of the reactor is in the same batch."""
        self.begin()
        answers = [self.lane.ask(job) for job in (1, 2, 3)]
        self.assertFalse(self.lane.idle)
        self.assertEqual(self.threads.pending, [])
        self.clock.advance(0)
        self.threads.run_one()
        self.assertEqual(self.batches, [[1, 2, 3]])
        self.assertEqual([self.successResultOf(answer) for answer in answers], [1, 2, 3])
        self.assertTrue(self.lane.idle)

    def test_clients_in_a_loop(self) -> None:
        """Who is answered and asks again at the next look at the sockets is in one batch with those who waited."""
        self.lane.ask(1).addCallback(lambda _: self.clock.callLater(0, self.lane.ask, 3))
        self.lane.ask(2)
        self.threads.run_one()
        self.assertEqual(self.threads.pending, [])
        self.clock.advance(0)
        self.clock.advance(0)
        self.threads.run_one()
        self.assertEqual(self.batches, [[1], [2, 3]])
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hurry(self) -> None:
        """Who is told to hurry begins, never with a second batch in the pool, and with none twice."""
        self.begin()
        self.lane.hurry()
        self.assertEqual(self.threads.pending, [])
        self.lane.ask(1)
        self.lane.hurry()
        self.lane.ask(2)
        self.lane.hurry()
        self.clock.advance(0)
        self.assertEqual(len(self.threads.pending), 1)
        self.threads.run_one()
        self.lane.hurry()
        self.threads.run_one()
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(self.batches, [[1], [2]])
        self.assertEqual(self.threads.pending, [])
