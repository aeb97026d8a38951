"""What can go wrong on purpose, and with which requests.

| fault             | the client sees                                    | what it asked for is done |
|-------------------|----------------------------------------------------|---------------------------|
| `Fail`            | an error answer                                    | no                        |
| `Answer`          | any answer                                         | no                        |
| `Delay`           | its answer begins late                             | yes, at once              |
| `Reset`           | a head, some bytes of the body, then a reset       | yes                       |
| `Corrupt`         | a whole body with one wrong bit                    | yes                       |
| `LoseAnswer`      | a reset, and no byte of an answer                  | yes                       |
| `LoseRequest`     | the same                                           | no                        |

`Faults.inject` says for which requests. Of several injections that fit a request all count: an error can be late, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from s3gw.errors import ERRORS, S3Error
from s3gw.s3.routes import route
from s3gw.s3.target import Bucket, Object, parse_target
from s3gw.web.body import BodySource, Buffer, ClientDisconnected, MemorySource
from s3gw.web.request import BODILESS, S3Request, header_lines
from s3gw.web.respond import refuse

F = TypeVar("F", bound="Fault")


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong; the base of those below."""


@dataclass(frozen=True)
class Fail(Fault):
    """Answer with an error and do nothing.

    :ivar status: of HTTP.
    :ivar code: of S3, in the body.
    :ivar headers: further ones of the answer.
    """

    status: int = 503
    code: str = "SlowDown"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer(Fault):
    """Answer with this, whatever was asked, and do nothing."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Corrupt(Fault):
    """Change a bit of the byte of the body at ``at``; a body that is not so long arrives as it is."""

    at: int = 0


@dataclass(frozen=True)
class Delay(Fault):
    """Hold the first byte of the answer back for so many ``seconds``."""

    seconds: float


@dataclass(frozen=True)
class Reset(Fault):
    """Cut the connection after the head and ``after`` bytes of body. A body that is not longer arrives whole.

    A client that reads slowly may get less: what it has not read yet can go with the connection.
    """

    after: int = 0


@dataclass(frozen=True)
class LoseAnswer(Fault):
    """Do what is asked, and cut the connection instead of saying so: what a client cannot tell from `LoseRequest`."""


@dataclass(frozen=True)
class LoseRequest(Fault):
    """Cut the connection at once, and do nothing."""


@dataclass
class Injection:
    """A fault, the requests that it is for, and how often.

    :ivar skip: how many requests it still leaves alone.
    :ivar left: how many requests it meets after those; None: all, until it is taken back.
    :ivar met: how many it met.
    """

    fault: Fault
    method: str | None
    operation: str | None
    bucket: str | None
    key: str | None
    skip: int
    left: int | None
    met: int = 0

    def meets(self, method: str, operation: str, bucket: str, key: str) -> bool:
        """Whether it is for such a request; counts the request if so."""
        fits = (
            self.left != 0
            and self.method in (None, method)
            and self.operation in (None, operation)
            and (self.bucket is None or fnmatchcase(bucket, self.bucket))
            and (self.key is None or fnmatchcase(key, self.key))
        )
        if fits and self.skip:
            self.skip -= 1
            return False
        if fits:
            self.met += 1
            if self.left is not None:
                self.left -= 1
        return fits


class Faults:
    """The injections of a server. May be used from any thread: what is injected holds for requests that come later."""

    def __init__(self, suffixes: Sequence[str] = ()) -> None:
        """:param suffixes: of virtual hosts, so that buckets are found in host names."""
        self._suffixes = tuple(suffixes)
        self._injections: list[Injection] = []

    def inject(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        operation: str | None = None,
        bucket: str | None = None,
        key: str | None = None,
        skip: int = 0,
        times: int | None = 1,
    ) -> Injection:
        """Let a fault happen to requests.

        :param method: only to those with this method of HTTP.
        :param operation: only to this operation of S3, such as ``UploadPart``.
        :param bucket: only in buckets whose names fit this pattern, as in a shell; so with ``key``.
        :param skip: leave the first so many of these alone.
        :param times: to so many requests; None: to all, until `clear` or `remove`.
        """
        it = Injection(fault, method, operation, bucket, key, skip, times)
        self._injections.append(it)
        return it

    def remove(self, injection: Injection) -> None:
        """Take one injection back."""
        self._injections.remove(injection)

    def clear(self) -> None:
        """Take all injections back."""
        self._injections.clear()

    def of(self, request: S3Request) -> tuple[Fault, ...]:
        """The faults that are due for a request."""
        if not self._injections:
            return ()
        operation, bucket, key = self._address(request)
        request.operation, request.bucket, request.key = operation, bucket, key  # nobody may get to note them later
        method = request.head.method
        return tuple(it.fault for it in list(self._injections) if it.meets(method, operation, bucket, key))

    def _address(self, request: S3Request) -> tuple[str, str, str]:
        bucket = key = operation = ""
        try:
            target = parse_target(request.head, self._suffixes)
            if isinstance(target, Bucket):
                bucket = target.name
            elif isinstance(target, Object):
                bucket, key = target.bucket, target.key
            operation = route(request.head.method, target, request.head).name
        except S3Error:
            pass  # it will be refused; whatever of the address could be read is there
        return operation, bucket, key


class FaultyRequest(S3Request):
    """A request of which the `Faults` of its site may make something else.

    :ivar injected: the faults that it met.
    """

    injected: tuple[Fault, ...] = ()
    _faults: Faults

    @classmethod
    def with_faults(cls, faults: Faults) -> type[FaultyRequest]:
        """The class of the requests that ask these."""
        return type(cls.__name__, (cls,), {"_faults": faults})

    def process(self) -> None:
        """Serve, unless what is due says otherwise."""
        if self.refusal is None:
            self.injected = self._faults.of(self)
        if self._due(LoseRequest):
            self.abort()
            return
        if answer := self._due(Answer):
            self.respond(answer.status, list(answer.headers.items()), answer.body)
            return
        fail = self._due(Fail)
        if fail is None:
            super().process()
            return
        self.error_code = fail.code
        kind = ERRORS.get(fail.code) or type("Injected", (S3Error,), {"__doc__": "Injected.", "code": fail.code})
        _, headers, body = refuse(kind(), self.request_id, self.head.raw_path)
        self.respond(fail.status, [*headers, *fail.headers.items()], body)

    def respond(self, status: int, headers: Iterable[tuple[str, str]], body: bytes | Sequence[Buffer] = b"") -> None:
        """Answer, as the faults have it."""
        if corrupt := self._due(Corrupt):
            body = _flipped(_pieces(body), corrupt.at)[0]
        if not self.injected:
            super().respond(status, headers, body)
        elif self._due(LoseAnswer):
            self.abort()
        elif (reset := self._due(Reset)) and sum(map(len, pieces := _pieces(body))) > reset.after:
            whole = b"".join(pieces)
            framing = [] if header_lines(headers)[1] is not None else [("Content-Length", str(len(whole)))]
            self.stream(status, [*headers, *framing], MemorySource(whole, len(whole))).addErrback(_expected)
        elif seconds := self._delay():
            late = self._later(seconds).addCallback(lambda _: S3Request.respond(self, status, headers, body))
            self.on_disconnect(late.cancel)
            late.addErrback(_expected)
        else:
            super().respond(status, headers, body)

    def stream(
        self, status: int, headers: Iterable[tuple[str, str]], source: BodySource, first: Sequence[Buffer] = ()
    ) -> Deferred[None]:
        """Answer with a long body, as the faults have it."""
        if not self.injected:
            return super().stream(status, headers, source, first)
        sending = self._sending = Deferred.fromCoroutine(self._faulty(status, headers, source, first))
        return sending

    async def _faulty(
        self, status: int, headers: Iterable[tuple[str, str]], source: BodySource, first: Sequence[Buffer]
    ) -> None:
        try:
            if self._due(LoseAnswer):
                self.abort()
                raise ClientDisconnected()
            if seconds := self._delay():
                await self._later(seconds)
        except BaseException:
            source.close()
            raise
        if corrupt := self._due(Corrupt):
            first, left = _flipped(first, corrupt.at)
            source = _Corrupting(source, left)
        reset = self._due(Reset)
        length = header_lines(headers)[1] or 0
        if reset is not None and length > reset.after and self.method != b"HEAD" and status not in BODILESS:
            first = _at_most(first, reset.after)
            source = _Cutting(source, reset.after - sum(map(len, first)))
        await self._stream(status, headers, source, first)

    def _due(self, kind: type[F]) -> F | None:
        return next((fault for fault in self.injected if isinstance(fault, kind)), None)

    def _delay(self) -> float:
        return sum(fault.seconds for fault in self.injected if isinstance(fault, Delay))

    def _later(self, seconds: float) -> Deferred[None]:
        clock: IReactorTime = self.site.clock
        return deferLater(clock, seconds)


class _Cutting:
    """A body that breaks off after so many bytes."""

    def __init__(self, source: BodySource, left: int) -> None:
        self._source = source
        self._left = left

    async def read(self, wide: bool = False) -> Sequence[Buffer]:
        """The next window. :raises ClientDisconnected: where it breaks off; the rest is as if the client had gone."""
        if not self._left:
            raise ClientDisconnected()
        pieces = _at_most(await self._source.read(wide), self._left)
        self._left -= sum(map(len, pieces))
        return pieces

    def close(self) -> None:
        """Nobody reads the rest."""
        self._source.close()


class _Corrupting:
    """A body with a wrong bit after so many bytes; behind its place if that is negative."""

    def __init__(self, source: BodySource, at: int) -> None:
        self._source = source
        self._at = at

    async def read(self, wide: bool = False) -> Sequence[Buffer]:
        """The next window."""
        pieces, self._at = _flipped(await self._source.read(wide), self._at)
        return pieces

    def close(self) -> None:
        """Nobody reads the rest."""
        self._source.close()


def _flipped(pieces: Sequence[Buffer], at: int) -> tuple[Sequence[Buffer], int]:
    """The pieces with a bit of the byte at ``at`` changed, if it is in them; and where it is, seen from their end."""
    found: list[Buffer] = []
    for piece in pieces:
        if 0 <= at < len(piece):
            changed = bytearray(piece)
            changed[at] ^= 1
            piece = bytes(changed)  # noqa: PLW2901  # others may hold the one that it was
        found.append(piece)
        at -= len(piece)
    return found, at


def _pieces(body: bytes | Sequence[Buffer]) -> Sequence[Buffer]:
    return (body,) if isinstance(body, bytes) else body


def _at_most(pieces: Sequence[Buffer], count: int) -> Sequence[Buffer]:
    """The first so many bytes of the pieces."""
    kept: list[Buffer] = []
    for piece in pieces:
        if count:
            kept.append(memoryview(piece)[:count])
            count -= len(kept[-1])
    return kept


def _expected(failure: Failure) -> None:
    """What injected faults, and clients that go away meanwhile, end in."""
    failure.trap(ClientDisconnected, CancelledError)
