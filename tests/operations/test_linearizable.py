"""Conditional requests of many clients at once behave as if they came one by one.

A test holds every thread of the pool: it decides when a thread does its work, and when the reactor hears of it. With
hypothesis to choose, clients, lanes and threads interleave in ways that a fast machine seldom shows. What the clients
saw is a *history*: requests with the moments of their beginning and end. It is linearizable when the requests can be
put in one order, keeping those that did not overlap as they were, in which a plain register gives the same answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from s3gw.model import CHUNK_BYTES
from tests.operations.harness import HOST, Answer, Connection, InMemoryGateway

BODIES = (b"", b"one", b"two" * 20_000, b"three" * CHUNK_BYTES)
"""The values of the register: none, one of one row, one of one chunk, one of several chunks."""

ETAGS = tuple(hashlib.md5(body).hexdigest() for body in BODIES)

quick = settings(max_examples=150, deadline=None)


class Request(NamedTuple):
    """One operation on the register.

    :ivar value: of a PUT. :ivar match: the value that If-Match names. :ivar absent: If-None-Match: *
    :ivar present: If-Match: * :ivar other: the value that If-None-Match names.
    """

    method: str
    value: int = 0
    match: int | None = None
    absent: bool = False
    present: bool = False
    other: int | None = None

    def wire(self) -> bytes:
        """As a client sends it."""
        body = BODIES[self.value] if self.method == "PUT" else b""
        condition = f'If-Match: "{ETAGS[self.match]}"\r\n' if self.match is not None else ""
        condition += "If-None-Match: *\r\n" if self.absent else ""
        condition += "If-Match: *\r\n" if self.present else ""
        condition += f'If-None-Match: "{ETAGS[self.other]}"\r\n' if self.other is not None else ""
        length = f"Content-Length: {len(body)}\r\n" if self.method == "PUT" else ""
        return f"{self.method} /bucket/key HTTP/1.1\r\nHost: {HOST}\r\n{condition}{length}\r\n".encode() + body


Outcome = tuple[int, int | None]
"""Status, and the value that was read."""

State = int | None
"""The value in the register; None for no object."""


def register(state: State, request: Request) -> tuple[Outcome, State]:
    """What a register answers, and what it holds then."""
    if request.method in ("GET", "HEAD"):
        return ((404, None) if state is None else (200, state)), state
    if request.absent and state is not None:
        return (412, None), state
    if request.other is not None and request.other == state:
        return (412, None), state
    if (request.match is not None or request.present) and state is None:
        return (404, None), state
    if request.match is not None and request.match != state:
        return (412, None), state
    return ((200, None), request.value) if request.method == "PUT" else ((204, None), None)


def outcome_of(request: Request, answer: Answer) -> Outcome:
    """What a client makes of an answer."""
    if request.method not in ("GET", "HEAD") or answer.status != 200:
        return answer.status, None
    value = ETAGS.index(answer.headers["etag"].strip('"'))
    if request.method == "GET" and answer.body != BODIES[value]:
        raise AssertionError("an ETag with the bytes of another object")
    return 200, value


class Event(NamedTuple):
    """One request of a history, with the ticks at which it began and ended."""

    began: int
    ended: int
    request: Request
    outcome: Outcome


def linearizable(history: Sequence[Event], first: State = None) -> bool:
    """Whether one order of the requests explains every outcome."""

    @cache
    def explained(left: frozenset[int], state: State) -> bool:
        if not left:
            return True
        horizon = min(history[index].ended for index in left)
        for index in left:
            if history[index].began > horizon:
                continue  # something ended before this began
            outcome, after = register(state, history[index].request)
            if outcome == history[index].outcome and explained(left - {index}, after):
                return True
        return False

    return explained(frozenset(range(len(history))), first)


class Threads:
    """Threads that a test holds. Each job takes two steps: it is done, and the reactor hears of it."""

    def __init__(self) -> None:
        self._jobs: list[tuple[Callable[[], Any] | None, Any, Deferred[Any]]] = []

    def hand_over(self, work: Callable[[], Any]) -> Deferred[Any]:
        """What a thread pool would do."""
        done: Deferred[Any] = Deferred()
        self._jobs.append((work, None, done))
        return done

    def __len__(self) -> int:
        return len(self._jobs)

    def step(self, number: int) -> None:
        """The next step of one of the jobs."""
        work, result, done = self._jobs.pop(number)
        if work is None:
            done.callback(result)
            return
        try:
            result = work()
        except Exception:
            result = Failure()
        self._jobs.insert(number, (None, result, done))


Script = Generator[Request, Outcome, None]
"""What a client does: it yields requests, and each yield gives back what came of it."""


class Client:
    """One client that runs a script, a request at a time, on one connection.

    :ivar events: what it saw."""

    def __init__(self, gateway: InMemoryGateway, script: Script) -> None:
        self._connection: Connection = gateway.connect()
        self._script = script
        self._next: Request | None = next(script, None)
        self._sent: list[tuple[int, Request]] = []
        self.events: list[Event] = []

    @property
    def ready(self) -> bool:
        """Whether it waits for nothing, and has something to ask."""
        return self._next is not None and len(self._sent) == len(self.events)

    @property
    def waiting(self) -> bool:
        """Whether an answer is due."""
        return len(self._sent) > len(self.events)

    def ask(self, tick: int) -> None:
        """Send the next request."""
        assert self._next is not None
        self._sent.append((tick, self._next))
        self._connection.send(self._next.wire())

    def listen(self, tick: int) -> None:
        """Take the answer, if it is there."""
        answers = self._connection.answers([request.method for _, request in self._sent])
        if len(answers) < len(self._sent):
            return
        began, request = self._sent[-1]
        outcome = outcome_of(request, answers[-1])
        self.events.append(Event(began, tick, request, outcome))
        try:
            self._next = self._script.send(outcome)
        except StopIteration:
            self._next = None


def run(scripts: Sequence[Script], choices: Sequence[int], first: State = None) -> list[Event]:
    """Run clients to their end; the history.

    :param choices: which of the possible steps comes next, at each tick; the first one when they run out."""
    threads = Threads()
    gateway = InMemoryGateway((), hand_over=threads.hand_over, gather=True)
    clients: list[Client] = []
    try:
        _prepare(gateway, threads, first)
        clients = [Client(gateway, script) for script in scripts]
        tick, chosen = 0, iter(choices)
        while True:
            steps = [partial(client.ask, tick) for client in clients if client.ready]
            steps += [partial(threads.step, number) for number in range(len(threads))]
            if _turn_is_due(gateway):
                steps.append(partial(gateway.clock.advance, 0))
            if not steps:
                break
            steps[next(chosen, 0) % len(steps)]()
            tick += 1
            for client in clients:
                if client.waiting:
                    client.listen(tick)
            tick += 1
        assert not any(client.waiting for client in clients), "a client was never answered"
    finally:
        gateway.close()
    return [event for client in clients for event in client.events]


def _prepare(gateway: InMemoryGateway, threads: Threads, first: State) -> None:
    connection = gateway.connect()
    connection.send(f"PUT /bucket HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n".encode())
    if first is not None:
        connection.send(Request("PUT", first).wire())
    while len(threads) or _turn_is_due(gateway):
        gateway.clock.advance(0)
        if len(threads):
            threads.step(0)


def _turn_is_due(gateway: InMemoryGateway) -> bool:
    """Whether something is to be done in the reactor's next turn."""
    return any(call.getTime() <= gateway.clock.seconds() for call in gateway.clock.getDelayedCalls())


def plain(requests: Sequence[Request]) -> Script:
    """A script that asks one thing after another, whatever comes."""
    for request in requests:
        _ = yield request


values = st.integers(0, len(BODIES) - 1)
REQUESTS = st.one_of(
    values.map(lambda value: Request("PUT", value)),
    values.map(lambda value: Request("PUT", value, absent=True)),
    st.tuples(values, values).map(lambda two: Request("PUT", two[0], match=two[1])),
    values.map(lambda value: Request("PUT", value, present=True)),
    st.tuples(values, values).map(lambda two: Request("PUT", two[0], other=two[1])),
    st.just(Request("DELETE")),
    st.just(Request("DELETE", present=True)),
    values.map(lambda value: Request("DELETE", match=value)),
    st.sampled_from([Request("GET"), Request("HEAD")]),
)
CHOICES = st.lists(st.integers(0, 7), max_size=80)


class CheckerTests(SynchronousTestCase):
    """The judge itself."""

    def test_overlap(self) -> None:
        """Requests that overlap may have happened in either order, those that did not may not."""
        put, get = Request("PUT", 1), Request("GET")
        for began, seen, fine in ((0, 1, True), (0, None, True), (5, 1, True), (5, None, False)):
            outcome = (404, None) if seen is None else (200, seen)
            history = [Event(0, 4, put, (200, None)), Event(began, 9, get, outcome)]
            self.assertEqual(fine, linearizable(history), history)

    def test_lost_update(self) -> None:
        """Two that both replaced the same value are found out."""
        taken = [Event(0, 9, Request("PUT", value, 1), (200, None)) for value in (2, 3)]
        self.assertFalse(linearizable(taken, 1))
        self.assertTrue(linearizable(taken[:1], 1))


class HistoryTests(SynchronousTestCase):
    """Histories of the gateway."""

    @quick
    @given(st.lists(st.lists(REQUESTS, max_size=4), min_size=2, max_size=5), CHOICES, st.none() | values)
    def test_linearizable(self, scripts: list[list[Request]], choices: list[int], first: State) -> None:
        """Whatever clients ask, and however it interleaves, one order explains what they saw."""
        history = run([plain(requests) for requests in scripts], choices, first)
        self.assertEqual(sum(map(len, scripts)), len(history))
        self.assertTrue(linearizable(history, first), history)

    @quick
    @given(st.integers(2, 5), CHOICES)
    def test_expired_lock(self, takers: int, choices: list[int]) -> None:
        """Of any number who find an expired lock and take it over by its ETag, exactly one gets it."""
        held = []

        def taker(me: int) -> Script:
            outcome = yield Request("PUT", me, absent=True)
            if outcome[0] == 200:
                held.append(me)
                return
            _, found = yield Request("GET")
            if found == 0:  # the value of a holder that is gone
                outcome = yield Request("PUT", me, match=0)
                if outcome[0] == 200:
                    held.append(me)

        history = run([taker(1 + number % (len(BODIES) - 1)) for number in range(takers)], choices, first=0)
        self.assertEqual(1, len(held), history)
        self.assertTrue(linearizable(history, 0), history)

    @quick
    @given(st.integers(2, 6), CHOICES)
    def test_free_lock(self, takers: int, choices: list[int]) -> None:
        """Of any number who create the same key, exactly one does."""
        scripts = [plain([Request("PUT", number % len(BODIES), absent=True)]) for number in range(takers)]
        history = run(scripts, choices)
        self.assertEqual([200] + [412] * (takers - 1), sorted(event.outcome[0] for event in history))
