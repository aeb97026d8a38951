"""`Bucket`: backups in a bucket of any S3 endpoint, below a prefix.

The marker, the listings and the lock are objects, and so is each file; PUT makes an object whole or not at all, so
nothing is ever partial here. The lock is made with ``If-None-Match: *`` and renewed while work goes on. One that was
not renewed for `STALE_SECONDS` was left by a process that died, and is taken over.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from botocore.exceptions import ClientError

from s3gw.admin.endpoint import Endpoint
from s3gw.admin.place import BLOCK_BYTES, FILES, LISTING, LOCK, MARKER, Step, pour
from s3gw.admin.remote import connect, telling
from s3gw.admin.report import AdminError

STALE_SECONDS = 900.0
RENEW_SECONDS = 60.0
LARGEST_BYTES = 5 << 30
"""Of one PUT, with S3. No table of a database comes near."""

BATCH_KEYS = 1000
"""Of one DeleteObjects."""


class _Held(msgspec.Struct):
    """The lock. :ivar who: host and process. :ivar when: it was renewed last, in seconds since the epoch."""

    who: str
    when: float


class Bucket:
    """As `place.Place`. :param prefix: empty, or ending with a slash."""

    def __init__(self, endpoint: Endpoint, bucket: str, prefix: str, now: Callable[[], float] = time.time) -> None:
        self._endpoint = endpoint
        self._s3: Any = connect(endpoint)
        self._bucket = bucket
        self._prefix = prefix
        self._now = now
        self._renewed = 0.0
        self._holding = False

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix} at {self._endpoint.url}"

    def _ask(self, operation: str, key: str = "", **arguments: Any) -> Any:
        """One request. :raises AdminError: it was refused, or nobody answers; None for what is not there."""
        if key:
            arguments["Key"] = self._prefix + key
        with telling(self._endpoint):
            try:
                return getattr(self._s3, operation)(Bucket=self._bucket, **arguments)
            except ClientError as error:
                if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                    return None
                raise

    def _keys(self, prefix: str = "", **arguments: Any) -> Iterator[tuple[str, int]]:
        token: dict[str, str] = {}
        while True:
            page = self._ask("list_objects_v2", Prefix=self._prefix + prefix, **arguments, **token)
            for entry in page.get("Contents", ()):
                yield entry["Key"][len(self._prefix) + len(prefix) :], entry["Size"]
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def is_new(self) -> bool:
        """As `Place.is_new`."""
        if self.read(MARKER) is not None:
            return False
        if next(self._keys(), None) is not None:
            raise AdminError(f"{self} holds objects that are no backups; they were left alone")
        return True

    def read(self, name: str) -> bytes | None:
        """As `Place.read`."""
        found = self._ask("get_object", name)
        with telling(self._endpoint):
            data: bytes | None = None if found is None else found["Body"].read()
        return data

    def write(self, name: str, data: bytes) -> None:
        """As `Place.write`."""
        self._ask("put_object", name, Body=data, ContentMD5=_md5(data))

    def listings(self) -> list[str]:
        """As `Place.listings`."""
        names = [name for name, _ in self._keys(Delimiter="/")]
        return sorted(name.removesuffix(LISTING) for name in names if name.endswith(LISTING))

    def stored(self) -> dict[str, int]:
        """As `Place.stored`."""
        return dict(self._keys(f"{FILES}/"))

    def add(self, path: Path, stored: str, step: Step) -> tuple[int, str]:
        """As `Place.add`. The file is read twice, since its MD5 goes in front of it: so what arrives is verified."""
        self._renew()
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise AdminError(f"{path} is larger than what one PUT may have: {size} bytes")
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with path.open("rb") as source:
            while block := source.read(BLOCK_BYTES):
                sha256.update(block)
                md5.update(block)
            source.seek(0)
            digest = base64.b64encode(md5.digest()).decode()
            self._ask("put_object", f"{FILES}/{stored}", Body=source, ContentLength=size, ContentMD5=digest)
        step(size)
        return size, sha256.hexdigest()

    def extract(self, stored: str, copy: BinaryIO, step: Step) -> tuple[int, str] | None:
        """As `Place.extract`."""
        found = self._ask("get_object", f"{FILES}/{stored}")
        if found is None:
            return None
        with telling(self._endpoint):
            return pour(found["Body"].iter_chunks(BLOCK_BYTES), copy, step)

    def remove(self, listings: list[str], files: Callable[[], set[str]]) -> None:
        """As `Place.remove`."""
        self._delete([name + LISTING for name in listings])
        used = files()
        self._delete([f"{FILES}/{name}" for name in self.stored() if name not in used])

    def _delete(self, names: list[str]) -> None:
        for start in range(0, len(names), BATCH_KEYS):
            self._renew()
            batch = [{"Key": self._prefix + name} for name in names[start : start + BATCH_KEYS]]
            answer = self._ask("delete_objects", Delete={"Objects": batch, "Quiet": True})
            for error in answer.get("Errors", ()):
                raise AdminError(f"{self}: {error['Key']} was not deleted: {error.get('Message', error['Code'])}")

    def settle(self) -> None:
        """Nothing: what was answered is durable."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """As `Place.locked`."""
        if not self._take(IfNoneMatch="*"):
            held = self._held()
            if held is not None and self._now() < held.when + STALE_SECONDS:
                raise AdminError(f"{self}: another backup is being made here, by {held.who}")
            self._take()
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            self._ask("delete_object", LOCK)

    def _take(self, **condition: str) -> bool:
        self._renewed = self._now()
        data = msgspec.json.encode(_Held(f"process {os.getpid()} on {socket.gethostname()}", self._renewed))
        try:
            self._ask("put_object", LOCK, Body=data, ContentMD5=_md5(data), **condition)
        except AdminError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and cause.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
                return False
            raise
        return True

    def _held(self) -> _Held | None:
        try:
            return msgspec.json.decode(self.read(LOCK) or b"", type=_Held)
        except msgspec.DecodeError:
            return None

    def _renew(self) -> None:
        if self._holding and self._now() >= self._renewed + RENEW_SECONDS:
            self._take()


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
