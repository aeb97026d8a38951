"""Two listings, walked side by side in the order of their keys: no more than a page of each is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from s3gw.admin.endpoint import Endpoint
from s3gw.admin.remote import telling
from s3gw.admin.report import AdminError


@dataclass(frozen=True)
class Listed:
    """An object, as a listing has it.

    :ivar etag: without quotes.
    """

    key: str
    size: int
    etag: str
    modified: datetime


def walk(s3: Any, endpoint: Endpoint, bucket: str, prefix: str) -> Iterator[Listed]:
    """Every object, by key.

    :raises AdminError: it cannot be listed, or is in another order than that of UTF-8.
    """
    last = ""
    pages = iter(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix))
    while True:
        with telling(endpoint):
            page = next(pages, None)
        if page is None:
            return
        for found in page.get("Contents", ()):
            key = found["Key"]
            if key <= last:  # strings compare by code points, which is the order of their UTF-8
                raise AdminError(f"{endpoint.url}: {key!r} is listed after {last!r}: this cannot be compared")
            last = key
            yield Listed(key, found["Size"], found["ETag"].strip('"'), found["LastModified"])


def pairs(source: Iterator[Listed], target: Iterator[Listed]) -> Iterator[tuple[Listed | None, Listed | None]]:
    """Each key once: on the left as the source has it, on the right as the target has it."""
    here, there = next(source, None), next(target, None)
    while here is not None or there is not None:
        if there is None or (here is not None and here.key < there.key):
            yield here, None
            here = next(source, None)
        elif here is None or there.key < here.key:
            yield None, there
            there = next(target, None)
        else:
            yield here, there
            here, there = next(source, None), next(target, None)
