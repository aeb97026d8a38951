"""`GatewaySite`: the factory of connections, what they share, and the one timer that watches over all of them."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
)
from twisted.logger import Logger
from twisted.web import server
from twisted.web.http import datetimeToString
from twisted.web.resource import IResource, getChildForRequest
from zope.interface import implementer

from s3gw.errors import S3Error
from s3gw.web.channel import S3Channel
from s3gw.web.descriptors import Doors
from s3gw.web.limits import Limits
from s3gw.web.outbox import Outbox
from s3gw.web.request import S3Request
from s3gw.web.turns import Turns

SWEEP_SECONDS = 1.0

SMALL_BODY = 64 * 1024
"""Bodies that are taken in whatever else is held: what they add is bounded by the number of requests."""

OWN_PAGES = frozenset({"/_health/live", "/_health/ready", "/metrics"})

_STRIDE = 0x9E3779B97F4A7C15
"""Odd, so that its multiples go through all 64-bit numbers before one comes again."""
_MASK = 0xFFFFFFFFFFFFFFFF

Refusal = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body of an error."""

_log = Logger()


@implementer(IProtocolFactory, IProtocolNegotiationFactory)
class BucketSite:
    """The connections of a listener that serves one bucket of a site alone."""

    def __init__(self, site: GatewaySite, bucket: str) -> None:
        self._site = site
        self._bucket = bucket

    def buildProtocol(self, addr: IAddress | None) -> S3Channel:
        """A channel for a new connection."""
        channel = self._site.buildProtocol(addr)
        channel.bucket = self._bucket
        return channel

    def doStart(self) -> None:
        """Nothing: as for the site."""

    def doStop(self) -> None:
        """Nothing: as for the site."""

    def acceptableProtocols(self) -> list[bytes]:
        """As the site."""
        return self._site.acceptableProtocols()


class GatewaySite(server.Site):
    """Serves a resource tree over HTTP/1.1.

    :param resource: the root of the tree. If it has a method ``locate(request) -> IResource``, this is asked instead of
        walking down the segments of the path.
    :param reactor: the clock of all timers; ``seconds()`` is the time of the epoch.
    :param refuse: renders an error that is raised below the tree, from the error and the request id.
    :param observe: called once for each request, when its answer was handed to the transport or its client went away.

    :cvar requestFactory: makes the requests, with the arguments of `S3Request`.
    :ivar requests_in_flight: requests between their head and the end of their answer.
    :ivar buffered: bytes of bodies held in both directions, about: what slow clients have not read of whole answers,
        and for each transfer that goes through memory window by window the most that it may hold.
    :ivar doors: told how many connections there are.
    :ivar turns: shared out among long answers.
    :ivar outbox: small answers that leave together.
    :ivar draining: every answer is the last one of its connection.
    :ivar now: seconds of the clock, as of the last sweep.
    :ivar common_headers: Date, Server and x-amz-id-2, as text.
    """

    requestFactory: type[S3Request] = S3Request

    def __init__(
        self,
        resource: IResource,
        *,
        reactor: IReactorTime,
        refuse: Callable[[S3Error, str], Refusal],
        limits: Limits | None = None,
        observe: Callable[[S3Request], object] | None = None,
    ) -> None:
        super().__init__(resource, reactor=reactor, parsePOSTFormSubmission=False)
        self.serve(resource)
        self.clock = reactor
        self.limits = limits if limits is not None else Limits()
        self.refuse = refuse
        self.requests_in_flight = 0
        self.buffered = 0
        self.doors: Doors | None = None
        self.draining = False
        self.turns = Turns(reactor)
        self.outbox = Outbox(reactor)
        self.now = reactor.seconds()
        self.common_headers = ""
        self._observe = observe
        self._channels: set[S3Channel] = set()
        self._admitted = 0
        self._sweeping: IDelayedCall | None = None
        self._drained: list[Deferred[None]] = []
        self._serial = int.from_bytes(os.urandom(8), "big")
        self._host_id = base64.b64encode(os.urandom(56)).decode()

    def startFactory(self) -> None:
        """Nothing: the access log is for `observe`, the clock runs while there are connections."""

    def stopFactory(self) -> None:
        """Nothing: connections outlive the port."""

    def log(self, request: object) -> None:
        """Nothing: see `startFactory`."""

    def buildProtocol(self, addr: IAddress | None) -> S3Channel:  # type: ignore[override]
        """A channel for a new connection."""
        channel = S3Channel(self)
        channel.factory = self
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/1.1 only."""
        return [b"http/1.1"]

    def serve(self, resource: IResource) -> None:
        """Answer from this tree from now on."""
        self.resource = resource
        self._locate: Callable[[S3Request], IResource] | None = getattr(resource, "locate", None)

    @property
    def open_connections(self) -> int:
        """Connections that are not closed yet."""
        return len(self._channels)

    def connection_opened(self, channel: S3Channel) -> None:
        """Count a connection in."""
        self._channels.add(channel)
        if self.doors is not None:
            self.doors.counted(len(self._channels))
        if self._sweeping is None:
            self._sweep()
        self.admits(channel)

    def connection_closed(self, channel: S3Channel) -> None:
        """Count a connection out."""
        self._channels.discard(channel)
        if self.doors is not None:
            self.doors.counted(len(self._channels))
        if channel.admitted:
            channel.admitted = False
            self._admitted -= 1
        self.buffered -= channel.unsent
        channel.unsent = 0
        if self._channels:
            return
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        waiting, self._drained = self._drained, []
        for drained in waiting:
            drained.callback(None)

    def admits(self, channel: S3Channel) -> bool:
        """Whether a connection is among the `Limits.max_connections` that are served."""
        if not channel.admitted and self._admitted < self.limits.max_connections:
            channel.admitted = True
            self._admitted += 1
        return channel.admitted

    def has_room(self, request: S3Request) -> bool:
        """Whether a request may be served now, and its body be taken in: makes room for that.

        Our own pages always may be: those who look after an overloaded gateway need them."""
        if self.requests_in_flight > self.limits.max_inflight and request.head.raw_path not in OWN_PAGES:
            return False
        length = request.body.length
        if length is None or length > SMALL_BODY:
            window = 2 * self.limits.window
            return self.reserve(request, window if length is None else min(length, window))
        return True

    def reserve(self, request: S3Request, nbytes: int) -> bool:
        """Set aside memory until a request ends, if there is some."""
        if self.buffered + nbytes > self.limits.max_buffered:
            return False
        self.buffered += nbytes
        request.reserved += nbytes
        return True

    @property
    def crowded(self) -> bool:
        """Whether so much is held that nobody gets more than what is needed."""
        return 2 * self.buffered > self.limits.max_buffered

    def next_request_id(self) -> str:
        """16 upper-case hexadecimal digits that no other request of this process has, and hardly one of another."""
        self._serial = serial = (self._serial + _STRIDE) & _MASK
        return serial.to_bytes(8, "big").hex().upper()

    def request_ended(self, request: S3Request) -> None:
        """An answer has ended, or will never be."""
        self.requests_in_flight -= 1
        if request.reserved:
            self.buffered -= request.reserved
            request.reserved = 0
        if self._observe is not None:
            try:
                self._observe(request)
            except Exception:
                _log.failure("could not account for request {id}", id=request.request_id)

    def getResourceFor(self, request: S3Request) -> IResource:
        """The resource that answers a request."""
        if self._locate is not None:
            return self._locate(request)
        if self.resource.isLeaf:
            return cast(IResource, self.resource)
        return cast(IResource, getChildForRequest(self.resource, request))

    def begin_drain(self) -> Deferred[None]:
        """Close idle connections now and busy ones after their answer.

        :return: fires when none is left. How long to wait is the caller's business; see `abort_connections`."""
        self.draining = True
        drained: Deferred[None] = Deferred()
        if not self._channels:
            drained.callback(None)
            return drained
        self._drained.append(drained)
        for channel in list(self._channels):
            channel.drain()
        return drained

    def abort_connections(self) -> None:
        """Cut all connections."""
        for channel in list(self._channels):
            channel.abortConnection()

    def _sweep(self) -> None:
        now = self.now = self.clock.seconds()
        date = datetimeToString(now).decode()
        self.common_headers = f"Date: {date}\r\nServer: s3gw\r\nx-amz-id-2: {self._host_id}\r\n"
        self._sweeping = self.clock.callLater(SWEEP_SECONDS, self._sweep)
        for channel in [each for each in self._channels if each.deadline <= now or each.unread_deadline <= now]:
            channel.expired()
