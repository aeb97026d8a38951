"""`Place`: where the checks do their work, without leaving anything behind."""

from __future__ import annotations

import itertools
import random
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from s3gw.admin.endpoint import Endpoint
from s3gw.admin.probe.check import Differs
from s3gw.admin.probe.wire import Answer, Wire, path_of
from s3gw.admin.remote import connect

T = TypeVar("T")

CROWD = 8
"""How many clients race for something."""

MIB = 1 << 20
PART_BYTES = 5 * MIB
"""The least that S3 accepts as a part that is not the last."""


class Place:
    """A bucket at an endpoint, and a prefix in it that is nobody else's.

    :param bucket: one that exists already; None makes one, which is removed at the end.
    :param suffix: the host name below which buckets are; empty: that of the endpoint.
    :ivar s3: a botocore client that tries once.
    :ivar wire: for requests that it cannot make.
    """

    def __init__(self, endpoint: Endpoint, bucket: str | None, suffix: str = "") -> None:
        token = secrets.token_hex(6)
        self.endpoint = endpoint
        self.s3 = connect(endpoint, connections=2 * CROWD, attempts=1)
        self.wire = Wire(endpoint)
        self.suffix = suffix
        self.bucket = bucket or f"s3gw-probe-{token}"
        self.prefix = f"s3gw-probe-{token}/" if bucket else ""
        self._made = not bucket
        self._numbers = itertools.count()
        self._random = random.Random(token)

    def make(self) -> None:
        """Make the bucket, or see that the one that was named is there. :raises ClientError:"""
        if self._made:
            self.s3.create_bucket(Bucket=self.bucket)
        else:
            self.s3.head_bucket(Bucket=self.bucket)

    def clean(self) -> int:
        """Remove everything that the checks have left. :return: what could not be removed."""
        left = 0
        with suppress(ClientError):
            for upload in self.s3.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix).get("Uploads", ()):
                which = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                self.s3.abort_multipart_upload(Bucket=self.bucket, **which)
        try:
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix):
                for found in page.get("Contents", ()):
                    self.s3.delete_object(Bucket=self.bucket, Key=found["Key"])
            if self._made:
                self.s3.delete_bucket(Bucket=self.bucket)
        except ClientError:
            left += 1
        return left

    def key(self, name: str = "key") -> str:
        """A key that was never used."""
        return f"{self.prefix}{next(self._numbers)}/{name}"

    def some_bytes(self, size: int) -> bytes:
        """Bytes that are nowhere else."""
        return self._random.randbytes(size)

    def put(self, body: bytes = b"body", key: str | None = None, **arguments: Any) -> str:
        """Store an object; its key."""
        key = key or self.key()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **arguments)
        return key

    def head(self, key: str, **arguments: Any) -> dict[str, Any]:
        """HeadObject."""
        found: dict[str, Any] = self.s3.head_object(Bucket=self.bucket, Key=key, **arguments)
        return found

    def get(self, key: str, **arguments: Any) -> bytes:
        """The body of an object."""
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=key, **arguments)["Body"].read()
        return body

    def ask(self, method: str, key: str, query: str = "", **arguments: Any) -> Answer:
        """A request about an object, as it goes over the wire."""
        return self.wire.ask(method, path_of(self.bucket, key), query, **arguments)

    def upload(self, key: str, parts: Sequence[bytes], **completion: Any) -> dict[str, Any]:
        """An object in parts; the answer to its completion."""
        where = {"Bucket": self.bucket, "Key": key}
        upload = {**where, "UploadId": self.s3.create_multipart_upload(**where)["UploadId"]}
        done = [
            {"PartNumber": number, "ETag": self.s3.upload_part(**upload, PartNumber=number, Body=part)["ETag"]}
            for number, part in enumerate(parts, 1)
        ]
        found: dict[str, Any] = self.s3.complete_multipart_upload(
            **upload, MultipartUpload={"Parts": done}, **completion
        )
        return found

    def crowd(self, call: Callable[[int], T]) -> list[T]:
        """What comes of a call that `CROWD` clients make at the same time."""
        with ThreadPoolExecutor(CROWD) as pool:
            return list(pool.map(call, range(CROWD)))


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """Status and code of the error with which a call is refused; the code of a bare one is the status.

    :raises Differs: it is not refused.
    """
    try:
        call(**arguments)
    except ClientError as error:
        response = error.response
        return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]
    raise Differs("it was accepted")
