"""The one place where a Response or a failure becomes bytes on the wire."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from s3gw.errors import InternalError, S3Error, SlowDown
from s3gw.operations.call import Headers, KeptHeaders, Response
from s3gw.s3 import xml
from s3gw.store.interface import CorruptChunk
from s3gw.web.body import ClientDisconnected
from s3gw.web.request import S3Request

log = Logger()

RETRY_AFTER_SECONDS = "1"

DOCUMENT = KeptHeaders([("Content-Type", "application/xml")])
"""The headers of most errors."""


def send(request: S3Request, response: Response) -> None:
    """Answer a request. What goes wrong while a long body is sent is logged here; the client sees a cut connection."""
    headers = response.headers
    if request.further_headers:
        headers = [*headers, *request.further_headers]
    if response.source is None:
        request.respond(response.status, headers, response.body)
        return
    if request.gone:
        response.source.close()
        return
    request.stream(response.status, headers, response.source, response.body).addErrback(_cut_short, request)


def _cut_short(failure: Failure, request: S3Request) -> None:
    if not request.started:
        send_failure(failure, request)
    elif not failure.check(ClientDisconnected, CancelledError):
        _report(failure.value, request)


def refuse(error: S3Error, request_id: str, resource: str = "") -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of an error."""
    headers: Headers = DOCUMENT
    if error.headers:
        headers = [*DOCUMENT, *error.headers.items()]
    if isinstance(error, SlowDown):
        headers = [*headers, ("Retry-After", RETRY_AFTER_SECONDS)]
    return error.status, headers, xml.error(error, resource, request_id)


def send_failure(failure: Failure, request: S3Request) -> None:
    """`send_error`, for whom Deferreds call back."""
    send_error(request, failure.value)


def send_error(request: S3Request, error: BaseException | None) -> None:
    """Answer with what went wrong: a known error as it is, anything else as InternalError, logged."""
    if isinstance(error, ClientDisconnected) or request.gone:
        return
    if not isinstance(error, S3Error):
        _report(error, request)
        error = InternalError()
    request.error_code = error.code
    if request.started:
        request.abort()
        return
    status, headers, body = refuse(error, request.request_id, request.head.raw_path)
    if request.further_headers:
        headers = [*headers, *request.further_headers]
    request.respond(status, headers, body)


def _report(error: BaseException | None, request: S3Request) -> None:
    if isinstance(error, CorruptChunk):
        request.damaged = True
        log.critical("request {id}: {damage}", id=request.request_id, damage=str(error))
    else:
        log.failure("request {id} failed", Failure(error), id=request.request_id)
