"""The gateway's own pages beside S3: ``/metrics``, ``/_health/live`` and ``/_health/ready``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from s3gw.errors import MethodNotAllowed, ServiceUnavailable
from s3gw.operations.call import Response
from s3gw.web.request import S3Request
from s3gw.web.respond import send, send_failure

TEXT = ("Content-Type", "text/plain; charset=utf-8")


class Page(Resource):
    """Answers GET and HEAD with what ``compose`` makes of the request; an `S3Error` that it raises is the answer."""

    isLeaf = True

    def __init__(self, name: str, compose: Callable[[S3Request], Awaitable[Response]]) -> None:
        super().__init__()
        self._name = name
        self._compose = compose

    def render(self, request: S3Request) -> int:
        """Begin to answer."""
        request.operation = self._name
        Deferred.fromCoroutine(self._answer(request)).addErrback(send_failure, request)
        return NOT_DONE_YET

    async def _answer(self, request: S3Request) -> None:
        if request.head.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(Method=request.head.method, ResourceType="SERVICE")
        send(request, await self._compose(request))


def metrics_page(registry: CollectorRegistry, permit: Callable[[S3Request], object]) -> Page:
    """The figures of a registry in Prometheus's text format.

    :param permit: raises the `S3Error` that keeps a request from seeing them."""

    async def compose(request: S3Request) -> Response:
        permit(request)
        return Response(200, [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)], [generate_latest(registry)])

    return Page("Metrics", compose)


def live_page() -> Page:
    """200 for as long as the process can answer."""

    async def compose(request: S3Request) -> Response:
        return Response(200, [TEXT], [b"live\n"])

    return Page("Live", compose)


def ready_page(ready: Callable[[], Awaitable[bool]]) -> Page:
    """200 while requests are welcome: the store answers and the gateway is not draining. 503 otherwise."""

    async def compose(request: S3Request) -> Response:
        if not await ready():
            raise ServiceUnavailable()
        return Response(200, [TEXT], [b"ready\n"])

    return Page("Ready", compose)
