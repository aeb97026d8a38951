"""Requests by the S3 client of AWS CRT, in the shapes that LMCache's connector has."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote

from awscrt.exceptions import AwsCrtError
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.s3 import S3RequestType, S3ResponseError

from tests.clients.case import Place

DONE_S = 60.0


class Crt:
    """Requests to one bucket.

    :ivar broken: requests that failed by their connection; for LMCache the third in a row is the last of all.
    """

    def __init__(self, client: Any, place: Place, bucket: str) -> None:
        self._client = client
        self._virtual = place.virtual
        self._bucket = bucket
        self._host = f"{bucket}.{place.authority}" if place.virtual else place.authority
        self.broken = 0

    def _ask(
        self,
        kind: S3RequestType,
        method: str,
        key: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        name: str | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        path = quote(f"/{key}" if self._virtual else f"/{self._bucket}/{key}", safe="/")
        all_headers = HttpHeaders([("Host", self._host), *(headers or {}).items()])
        if body is not None:
            all_headers.add("Content-Length", str(len(body)))
        stream = io.BytesIO(body) if body is not None else None
        got: dict[str, Any] = {"status": 0, "headers": {}}
        pieces: dict[int, bytes] = {}

        def on_headers(status_code: int, headers: list[tuple[str, str]], **_: Any) -> None:
            got.update(status=status_code, headers={name.lower(): value for name, value in headers})

        def on_body(chunk: bytes, offset: int, **_: Any) -> None:
            pieces[offset] = bytes(chunk)

        request = self._client.make_request(
            type=kind,
            request=HttpRequest(method, path, all_headers, stream),
            operation_name=name,
            on_headers=on_headers,
            on_body=on_body,
        )
        try:
            request.finished_future.result(DONE_S)
        except S3ResponseError as error:
            got["status"] = error.status_code
        except AwsCrtError:
            self.broken += 1
            return 0, {}, b""
        return got["status"], got["headers"], b"".join(pieces[offset] for offset in sorted(pieces))

    def put(self, key: str, body: bytes) -> int:
        """Store an object; the status."""
        return self._ask(S3RequestType.PUT_OBJECT, "PUT", key, body=body)[0]

    def get(self, key: str, asked: str | None = None) -> tuple[int, bytes]:
        """Status and body. :param asked: a range."""
        status, _, body = self._ask(S3RequestType.GET_OBJECT, "GET", key, {"Range": asked} if asked else None)
        return status, body

    def head(self, key: str) -> tuple[int, int]:
        """Status and size."""
        status, headers, _ = self._ask(S3RequestType.DEFAULT, "HEAD", key, name="HeadObject")
        return status, int(headers.get("content-length", 0))
