"""``s3gw-admin cache``: how a bucket of a running gateway forgets, what is in it, and what would have to go."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

import msgspec
from defusedxml.ElementTree import fromstring

from s3gw.admin.endpoint import endpoint_of
from s3gw.admin.probe.wire import Answer, Wire, path_of
from s3gw.admin.report import AdminError, Report

RULES = ("SecondsSinceWrite", "SecondsSinceRead", "MaxBytes", "MaxObjects")

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_RULE = re.compile(r"(?P<name>[A-Za-z]+)=(?P<number>[0-9]+)(?P<unit>[KMGT]?)")


class Going(msgspec.Struct, frozen=True):
    """An object that would have to go. ``reason``: ``expired`` or ``evicted``."""

    key: str
    size: int
    reason: str


class CacheReport(msgspec.Struct, frozen=True):
    """What there is to say of a cache bucket.

    :ivar rules: by name; None if it is no cache bucket.
    :ivar counting: objects from before it was one are not all counted yet.
    :ivar going: in a dry run, the first thousand that would have to go.
    """

    bucket: str
    rules: dict[str, int] | None
    objects: int = 0
    bytes: int = 0
    counting: bool = False
    going: list[Going] | None = None


def parse_rule(text: str) -> tuple[str, int]:
    """``MaxBytes=100G``: a rule and its value. :raises ArgumentTypeError: it is none."""
    found = _RULE.fullmatch(text)
    if found is None or found["name"] not in RULES:
        raise argparse.ArgumentTypeError(f"NAME=NUMBER is needed, with one of {', '.join(RULES)}; K, M, G, T are units")
    return found["name"], int(found["number"]) * _UNITS.get(found["unit"], 1)


def run_cache(arguments: argparse.Namespace, report: Report) -> int:
    """The command."""
    wire = Wire(endpoint_of(arguments, "url"))
    path = path_of(arguments.bucket)
    rules = dict(arguments.set or ())
    if arguments.dry_run:
        query = "&".join(filter(None, ("x-s3gw-cache=&dry-run=", urlencode(rules))))
        found = _described(arguments.bucket, rules or _rules(wire, path), _ask(wire, "GET", path, query))
        report.result(found, _lines(found))
        return 0
    if arguments.off:
        _ask(wire, "DELETE", path, "x-s3gw-cache=")
    elif arguments.set is not None or arguments.on:
        content = "".join(f"<{name}>{value}</{name}>" for name, value in rules.items())
        _ask(wire, "PUT", path, "x-s3gw-cache=", f"<CacheConfiguration>{content}</CacheConfiguration>".encode())
    now = _rules(wire, path)
    found = CacheReport(arguments.bucket, None)
    if now is not None:
        found = _described(arguments.bucket, now, _ask(wire, "GET", path, "x-s3gw-cache=&status="))
    report.result(found, _lines(found))
    return 0


def _rules(wire: Wire, path: str) -> dict[str, int] | None:
    answer = wire.ask("GET", path, "x-s3gw-cache=")
    if answer.element("Code") == "NoSuchCacheConfiguration":
        return None
    return {_name(node): int(node.text or 0) for node in _parsed(answer)}


def _ask(wire: Wire, method: str, path: str, query: str, body: bytes | None = None) -> Element:
    headers = {"Content-Length": str(len(body))} if body is not None else None
    return _parsed(wire.ask(method, path, query, headers, body))


def _parsed(answer: Answer) -> Element:
    """The document of an answer. :raises AdminError: it is an error, or from a server that knows nothing of this."""
    if answer.status >= 300:
        code, message = answer.element("Code"), answer.element("Message")
        raise AdminError(f"{answer.status} {code}: {message}" if code else f"the endpoint answers {answer.status}")
    root: Element = fromstring(answer.body or b"<Nothing/>")
    return root


def _name(node: Element) -> str:
    return node.tag.rpartition("}")[2]


def _described(bucket: str, rules: dict[str, int] | None, status: Element) -> CacheReport:
    if _name(status) != "CacheStatus":
        raise AdminError("the endpoint knows nothing of cache buckets: it is no s3gw")
    texts = {_name(node): node.text or "" for node in status}
    doomed = [{_name(part): part.text or "" for part in node} for node in status if _name(node) == "Doomed"]
    going = [Going(each["Key"], int(each["Size"]), each["Reason"]) for each in doomed]
    counting = texts["Counting"] == "true"
    return CacheReport(bucket, rules, int(texts["Objects"]), int(texts["Bytes"]), counting, going)


def _lines(found: CacheReport) -> Iterable[str]:
    if found.rules is None:
        yield f"{found.bucket} is no cache bucket"
        return
    yield f"{found.bucket}: {found.objects} objects, {found.bytes} bytes{', still counting' if found.counting else ''}"
    for name, value in found.rules.items():
        yield f"{name} {value}"
    for each in found.going or ():
        yield f"{each.reason} {each.size} {each.key}"
