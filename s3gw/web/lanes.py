"""Lanes: many small jobs, few thread calls.

A hand-over to a thread costs more than most store operations. So requests do not each get one: they join a lane, which
has at most one batch in the thread pool and takes what is waiting when it is free. An idle lane answers at once; a busy
one shares each hand-over among all that came meanwhile.

            ask ── waiting ──┐ free: take a batch            ┌── Deferreds fire, in order
            ask ── waiting ──┼──────────► work([job, ...]) ──┼──►
            ask ── waiting ──┘   one thread, one batch       └── the next batch is on its way, or soon

A lane that gathers does not take at once what is waiting, but first lets those come who are on their way: as many as
the last batch had and left behind, for as long as each turn of the reactor brings one. Whoever was alone waits for
nobody. Clients in a loop would else fall into groups, one of which keeps the reactor busy while another one's batch is
in the pool; and two threads of one interpreter that are busy at the same time lose a third of it by taking it from each
other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

MOST_TURNS = 4
"""Turns of the reactor that a batch is gathered in: the first may be over already, and two do for most loops."""

Job = TypeVar("Job")
Result = TypeVar("Result")

HandOver = Callable[[Callable[[], Any]], "Deferred[Any]"]
"""Runs a function in another thread: `deferToThreadPool` with its first arguments, or `defer.execute` in tests."""


class Lane(Generic[Job, Result]):
    """One queue of jobs and the function that does a batch of them. Lives in the reactor thread.

    :param work: takes the jobs of a batch and returns as many results, in order; a result that is an exception fails
        that job alone, one that is raised fails the batch.
    :param most: the largest weight of a batch; one job is always taken.
    :param weigh: the weight of a job.
    :param gather: what tells the turns of the reactor, if the lane is to gather.
    """

    def __init__(
        self,
        hand_over: HandOver,
        work: Callable[[list[Job]], Sequence[Result | Exception]],
        *,
        most: int = 256,
        weigh: Callable[[Job], int] = lambda job: 1,
        gather: IReactorTime | None = None,
    ) -> None:
        self._hand_over = hand_over
        self._work = work
        self._most = most
        self._weigh = weigh
        self._next_turn = None if gather is None else partial(gather.callLater, 0, self._turn)
        self._gathering = False
        self._expected = 1
        self._came = self._turns = 0
        self._waiting: deque[tuple[Job, Deferred[Result], int]] = deque()
        self._weight = 0  # of all that wait
        self._settled: list[Deferred[None]] = []
        self.busy = False

    def ask(self, job: Job) -> Deferred[Result]:
        """Queue a job; its Deferred fires with its result."""
        answer: Deferred[Result] = Deferred()
        weight = self._weigh(job)
        self._waiting.append((job, answer, weight))
        self._weight += weight
        if not self.busy and not self._gathering:
            self._gather()
        return answer

    def settled(self) -> Deferred[None]:
        """Fires when the batch that is in the pool now has been answered; at once when there is none."""
        waiting: Deferred[None] = Deferred()
        if self.busy:
            self._settled.append(waiting)
        else:
            waiting.callback(None)
        return waiting

    @property
    def idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not (self.busy or self._waiting)

    def hurry(self) -> None:
        """Gather no longer: what waits goes into the pool, unless there is a batch in it."""
        if self._waiting and not self.busy:
            self._start()

    def _gather(self) -> None:
        """Start a batch, or wait for those who are expected."""
        if self._next_turn is None or self._complete():
            self._start()
        else:
            self._gathering = True
            self._came = self._turns = 0
            self._next_turn()

    def _complete(self) -> bool:
        return len(self._waiting) >= self._expected or self._weight >= self._most

    def _turn(self) -> None:
        """A turn of the reactor is over."""
        before, self._came = self._came, len(self._waiting)
        self._turns += 1
        if self._next_turn and before < self._came and self._turns < MOST_TURNS and not self._complete():
            self._next_turn()
        else:
            self._gathering = False
            self.hurry()

    def _start(self) -> None:
        batch: list[tuple[Job, Deferred[Result]]] = []
        left = self._most
        while self._waiting and (not batch or self._waiting[0][2] <= left):
            job, answer, weight = self._waiting.popleft()
            batch.append((job, answer))
            left -= weight
        self._weight -= self._most - left
        self.busy = True
        jobs = [job for job, _ in batch]
        self.begun(jobs)
        self._hand_over(lambda: self._work(jobs)).addCallbacks(
            self._done, self._failed, callbackArgs=(batch,), errbackArgs=(batch,)
        )

    def begun(self, jobs: list[Job]) -> None:
        """Called before a batch goes to the pool, which does what is then in ``jobs``."""

    def ended(self, error: BaseException | None) -> None:
        """Called when a batch is back, before anybody hears of it and before the next begins.

        :param error: what failed the whole batch."""

    def _done(self, results: Sequence[Result | Exception], batch: list[tuple[Job, Deferred[Result]]]) -> None:
        settled = self._next(None, len(batch))
        for (_, answer), result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                answer.errback(result)
            else:
                answer.callback(result)
        for waiting in settled:
            waiting.callback(None)

    def _failed(self, failure: Failure, batch: list[tuple[Job, Deferred[Result]]]) -> None:
        settled = self._next(failure.value, len(batch))
        for _, answer in batch:
            answer.errback(failure)
        for waiting in settled:
            waiting.errback(failure)

    def _next(self, error: BaseException | None, answered: int) -> list[Deferred[None]]:
        settled, self._settled = self._settled, []
        self.busy = False
        self.ended(error)
        self._expected = answered + len(self._waiting)
        if self._waiting and not self._gathering:
            self._gather()
        return settled
