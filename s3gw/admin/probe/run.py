"""The command: ask every check, and say what came of it."""

from __future__ import annotations

import argparse
import http.client
import ssl
import time
from collections.abc import Iterator
from typing import Literal

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from s3gw.admin.endpoint import endpoint_of

# Each of these puts its checks on the list.
from s3gw.admin.probe import access, conditions, listing, reading, uploads, writing  # noqa: F401
from s3gw.admin.probe.check import CHECKS, Check, Differs, Skipped
from s3gw.admin.probe.place import Place
from s3gw.admin.remote import telling
from s3gw.admin.report import AdminError, Report

DIFFERS = 1
"""The exit status when something is not as s3gw has it."""

REFUSED = frozenset({405, 501})
"""Statuses by which a server says that it has no such thing."""

Outcome = Literal["ok", "differs", "missing", "failed", "skipped"]


class Finding(msgspec.Struct, frozen=True):
    """What came of a check.

    :ivar outcome: ``missing``: the endpoint says that it has no such thing; ``failed``: it gave no answer, or an error
        where s3gw gives none.
    """

    name: str
    promise: str
    needed_by: str
    outcome: Outcome
    detail: str
    seconds: float


class Findings(msgspec.Struct, frozen=True):
    """What came of all of them."""

    endpoint: str
    bucket: str
    server: str
    same: int
    otherwise: int
    skipped: int
    left_behind: bool
    checks: list[Finding]


def run_probe(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin probe``. :return: 0 when everything is as s3gw has it, 1 when not."""
    endpoint = endpoint_of(arguments, "url")
    chosen = _choose(arguments.only)
    with telling(endpoint):
        place = Place(endpoint, arguments.bucket, arguments.virtual_host_suffix or "")
        place.make()
        findings = []
        try:
            server = _server(place)
            with report.progress("probing", len(chosen)) as progress:
                for check in chosen:
                    report.show(f"probing: {check.name}")
                    findings.append(ask(check, place))
                    progress()
        finally:
            left = place.clean()
    same = sum(finding.outcome == "ok" for finding in findings)
    skipped = sum(finding.outcome == "skipped" for finding in findings)
    result = Findings(
        endpoint.url, place.bucket, server, same, len(findings) - same - skipped, skipped, bool(left), findings
    )
    report.result(result, _lines(result))
    return DIFFERS if result.otherwise else 0


def _choose(only: list[str] | None) -> list[Check]:
    names = {check.name for check in CHECKS}
    for name in only or ():
        if name not in names:
            raise AdminError(f"there is no check {name!r}; there are {', '.join(sorted(names))}")
    return [check for check in CHECKS if not only or check.name in only]


def _server(place: Place) -> str:
    """What the endpoint calls itself."""
    return place.ask("HEAD", place.key()).headers.get("server", "")


def ask(check: Check, place: Place) -> Finding:
    """Ask one check."""
    began = time.monotonic()
    outcome: Outcome = "ok"
    detail = ""
    try:
        check.ask(place)
    except Differs as found:
        outcome, detail = "differs", str(found)
    except Skipped as reason:
        outcome, detail = "skipped", str(reason)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        outcome = "missing" if status in REFUSED else "failed"
        detail = f"{error.operation_name}: {status} {error.response['Error']['Code']}"
    except (BotoCoreError, http.client.HTTPException, ssl.SSLError, OSError, KeyError) as error:
        outcome, detail = "failed", " ".join(repr(error).split())
    taken = round(time.monotonic() - began, 3)
    return Finding(check.name, check.promise, check.needed_by, outcome, detail, taken)


def _lines(result: Findings) -> Iterator[str]:
    for finding in result.checks:
        yield f"{finding.outcome:8}{finding.name}: {finding.promise}"
        if finding.detail:
            yield f"{'':8}{finding.detail}"
        if finding.outcome not in ("ok", "skipped"):
            yield f"{'':8}needed by: {finding.needed_by}"
    if result.left_behind:
        yield f"the bucket {result.bucket} could not be cleaned up"
    yield (
        f"{result.endpoint} ({result.server or 'nameless'}): {result.same} as s3gw has it, {result.otherwise} not, "
        f"{result.skipped} not asked"
    )
