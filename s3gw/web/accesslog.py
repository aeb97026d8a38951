"""The access log: one line of JSON for each request, in the log of the process.

| field         | what                                                                        |
|---------------|-----------------------------------------------------------------------------|
| ``id``        | the request id that the client got                                          |
| ``peer``      | address of the client                                                       |
| ``user``      | display name of the caller; absent when nobody signed                       |
| ``method``    |                                                                             |
| ``operation`` | S3 operation; absent when the request did not get so far                    |
| ``bucket``    | and ``key``, decoded; absent where the address has none                     |
| ``status``    | of the answer                                                               |
| ``error``     | its S3 error code, if it is one; ``cut`` true when its end was not reached  |
| ``in``        | bytes of body received, ``out`` bytes of body sent                          |
| ``ms``        | first byte of the request to the end of the answer                          |

Never the query or a header: these may hold signatures. JSON escapes what could forge a line.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.logger import Logger

from s3gw.web.request import S3Request

log = Logger(namespace="s3gw.access")

_encode = msgspec.json.Encoder().encode


def log_request(request: S3Request, seconds: float) -> None:
    """Write the line of a request that ended."""
    line: dict[str, Any] = {"id": request.request_id, "peer": request.peer, "method": request.head.method}
    for name, value in (
        ("user", request.user),
        ("operation", request.operation),
        ("bucket", request.bucket),
        ("key", request.key),
    ):
        if value:
            line[name] = value
    line["status"] = request.code
    if request.error_code:
        line["error"] = request.error_code
    if request.cut:
        line["cut"] = True
    line["in"] = request.bytes_received
    line["out"] = request.bytes_sent
    line["ms"] = round(seconds * 1000, 2)
    log.info("{line}", line=_printable(_encode(line).decode()))


def _printable(text: str) -> str:
    """A JSON document with nothing in it that could break its line or disguise it on a terminal.

    JSON itself lets pass what Unicode has beyond ASCII: line separators, and marks that turn the direction of text."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
