"""Lanes: many small jobs, few thread calls.

A hand-over to a thread costs more than most store operations. So requests do not each get one: they join a lane, which
has at most one batch in the thread pool and takes what is waiting when it is free. An idle lane answers at once; a busy
one shares each hand-over among all that came meanwhile.

            ask ── waiting ──┐ free: take a batch            ┌── Deferreds fire, in order
            ask ── waiting ──┼──────────► work([job, ...]) ──┼──►
            ask ── waiting ──┘   one thread, one batch       └── the next batch is on its way, or soon

A lane that gathers lets those in who come in the same turn of the reactor, unless the last one came alone, and behind a
batch those whom its answers make ask again: clients in a loop would else fall into two groups, each of which waits for
the other's batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

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
        self._clock = gather
        self._gathering = False
        self._lonely = True
        self._waiting: deque[tuple[Job, Deferred[Result]]] = deque()
        self._settled: list[Deferred[None]] = []
        self.busy = False

    def ask(self, job: Job) -> Deferred[Result]:
        """Queue a job; its Deferred fires with its result."""
        answer: Deferred[Result] = Deferred()
        self._waiting.append((job, answer))
        if not self.busy:
            if self._clock is None or self._lonely:
                self._start()
            elif not self._gathering:
                self._gathering = True
                self._clock.callLater(0, self._gathered)
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

    def _gathered(self) -> None:
        self._gathering = False
        self.hurry()

    def _start(self) -> None:
        batch = [self._waiting.popleft()]
        weight = self._weigh(batch[0][0])
        while self._waiting:
            weight += self._weigh(self._waiting[0][0])
            if weight > self._most:
                break
            batch.append(self._waiting.popleft())
        # Whoever came alone need not wait for others; if there were some, they are in the next batch.
        self._lonely = len(batch) == 1
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
        settled = self._next(None)
        for (_, answer), result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                answer.errback(result)
            else:
                answer.callback(result)
        for waiting in settled:
            waiting.callback(None)

    def _failed(self, failure: Failure, batch: list[tuple[Job, Deferred[Result]]]) -> None:
        settled = self._next(failure.value)
        for _, answer in batch:
            answer.errback(failure)
        for waiting in settled:
            waiting.errback(failure)

    def _next(self, error: BaseException | None) -> list[Deferred[None]]:
        settled, self._settled = self._settled, []
        self.busy = False
        self.ended(error)
        if self._waiting:
            clock = self._clock
            if clock is None:
                self._start()
            else:
                # In the next turn but one the reactor has seen who asks again.
                self._gathering = True
                clock.callLater(0, lambda: clock.callLater(0, self._gathered))
        return settled
