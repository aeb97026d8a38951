"""One object from one endpoint to the other: read, proved, written, proved.

| what is proved                    | by                                                                            |
|-----------------------------------|-------------------------------------------------------------------------------|
| the bytes are those of the source | its ETag, if that is an MD5 or made of those of parts; a checksum of the      |
|                                   | whole object, if it has one; else by reading them twice                       |
| all parts are of one object       | If-Match with its ETag                                                        |
| the bytes arrived                 | Content-MD5 with every request, and the ETag of the answer                    |
| they are there                    | with ``--verify``: reading them back                                          |
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from math import inf
from threading import Condition, Event
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from botocore.exceptions import BotoCoreError, ClientError

from s3gw.admin.migrate.ledger import Ledger
from s3gw.admin.migrate.pairs import Listed

CONTENT = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Metadata")
"""What is carried over as it is; with ``Expires``, tags, and the redirect of a website."""

CHECKSUMS = ("ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumSHA256")

MOST_PARTS = 10_000
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

_MD5 = re.compile("[0-9a-f]{32}")
_IN_PARTS = re.compile("[0-9a-f]{32}-([0-9]+)")


class Unproven(Exception):
    """Something is not what it should be, and it cannot be told why. The text says what."""


class Changed(Exception):
    """The object was replaced while it was read."""


class Stopped(Exception):
    """The command was interrupted."""


class InOrder:
    """An MD5 over parts that are read at the same time: each waits until those before it are in.

    Parts are begun in order, so the one that is waited for is never behind those that wait."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._next: float = 1
        self._turn = Condition()

    def update(self, number: int, body: bytes) -> None:
        """Add a part, when it is its turn. :raises Stopped: one before it will not come."""
        with self._turn:
            self._turn.wait_for(lambda: self._next >= number)
            if self._next > number:
                raise Stopped()
            self._md5.update(body)
            self._next += 1
            self._turn.notify_all()

    def give_up(self) -> None:
        """A part will not come."""
        with self._turn:
            self._next = inf
            self._turn.notify_all()

    def hexdigest(self) -> str:
        """The MD5 of all."""
        return self._md5.hexdigest()


class Copier:
    """Copies objects. Threads may share it.

    :param part_bytes: of memory that each thread may use for a body; larger objects go in parts.
    :param parts: runs the transfer of single parts.
    :param verify: read everything back.
    :param stop: set when nothing new is to be begun.
    """

    def __init__(
        self,
        source: Any,
        target: Any,
        ledger: Ledger,
        parts: Executor,
        part_bytes: int,
        verify: bool,
        stop: Event,
    ) -> None:
        self._source = source
        self._target = target
        self._ledger = ledger
        self._parts = parts
        self._part_bytes = part_bytes
        self._verify = verify
        self._stop = stop

    def copy(self, bucket: str, it: Listed, target_bucket: str) -> None:
        """Copy an object, with all that belongs to it.

        :raises Changed: it is another one now. :raises Unproven: :raises Stopped: and whatever requests raise.
        """
        if it.size <= self._part_bytes:
            etag = self._copy_whole(bucket, it, target_bucket)
        else:
            etag = self._copy_parts(bucket, it, target_bucket)
        self._ledger.copied(target_bucket, it, etag)

    def same_headers(self, bucket: str, it: Listed, target_bucket: str) -> bool:
        """Whether what belongs to an object is the same on both sides; its bytes are known to be."""
        here = self._source.head_object(Bucket=bucket, Key=it.key, IfMatch=it.etag)
        there = self._target.head_object(Bucket=target_bucket, Key=it.key)
        return _belongings(here) == _belongings(there) and self._tags(self._source, bucket, it.key, here) == self._tags(
            self._target, target_bucket, it.key, there
        )

    def _copy_whole(self, bucket: str, it: Listed, target_bucket: str) -> str:
        answer, body = self._read(bucket, it)
        digest = hashlib.md5(body, usedforsecurity=False)
        checksums = {name: answer[name] for name in CHECKSUMS if name in answer}
        if answer.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
            checksums = {}
        known = (
            it.etag in (digest.hexdigest(), _etag_of_parts([digest.digest()])) or checksums
        )  # which botocore checked
        if not known and hashlib.sha256(self._read(bucket, it)[1]).digest() != hashlib.sha256(body).digest():
            raise Unproven("the source sends other bytes each time")
        belongings = self._belongings_of(bucket, it, answer) | checksums
        put = self._target.put_object(
            Bucket=target_bucket, Key=it.key, Body=body, ContentMD5=_base64(digest.digest()), **belongings
        )
        etag: str = put["ETag"].strip('"')
        if _is_md5(put, etag) and etag != digest.hexdigest():
            raise Unproven("the target answered with the ETag of other bytes")
        self._read_back(target_bucket, it, [hashlib.sha256(body).digest()], len(body))
        return etag

    def _copy_parts(self, bucket: str, it: Listed, target_bucket: str) -> str:
        size = self._layout(bucket, it)
        spans = [(start, min(start + size, it.size)) for start in range(0, it.size, size)]
        answer, first = self._read(bucket, it, *spans[0])
        where = {"Bucket": target_bucket, "Key": it.key}
        belongings = self._belongings_of(bucket, it, answer)
        begun = self._target.create_multipart_upload(**where, **belongings)
        upload = {**where, "UploadId": begun["UploadId"]}
        self._ledger.upload_begun(target_bucket, it.key, upload["UploadId"])
        try:
            whole = InOrder()
            whole.update(1, first)
            sent = [self._send(upload, 1, first)]
            del first
            move = self._mover(bucket, it, upload, whole)
            sent += self._parts.map(move, range(2, len(spans) + 1), spans[1:])
            if it.etag not in (whole.hexdigest(), _etag_of_parts([md5 for md5, _ in sent])):
                self._prove_again(bucket, it, spans, sent)
            etag = self._complete(upload, it, [md5 for md5, _ in sent], belongings.get("Tagging", ""))
        except BaseException:
            with suppress(ClientError, BotoCoreError):  # else the ledger has it, for the next run
                self._target.abort_multipart_upload(**upload)
                self._ledger.upload_ended(upload["UploadId"])
            raise
        self._ledger.upload_ended(upload["UploadId"])
        self._read_back(target_bucket, it, [sha256 for _, sha256 in sent], size)
        return etag

    def _mover(
        self, bucket: str, it: Listed, upload: dict[str, Any], whole: InOrder
    ) -> Callable[[int, tuple[int, int]], tuple[bytes, bytes]]:
        def move(number: int, span: tuple[int, int]) -> tuple[bytes, bytes]:
            try:
                if self._stop.is_set():
                    raise Stopped()
                body = self._read(bucket, it, *span)[1]
                whole.update(number, body)
                return self._send(upload, number, body)
            except BaseException:
                whole.give_up()
                raise

        return move

    def _prove_again(
        self, bucket: str, it: Listed, spans: Sequence[tuple[int, int]], sent: Sequence[tuple[bytes, bytes]]
    ) -> None:
        """An ETag may be anything: then a second reading has to agree with the first."""
        for span, (_, digest) in zip(spans, sent, strict=True):
            if self._stop.is_set():
                raise Stopped()
            if hashlib.sha256(self._read(bucket, it, *span)[1]).digest() != digest:
                raise Unproven("the source sends other bytes each time")

    def _send(self, upload: dict[str, Any], number: int, body: bytes) -> tuple[bytes, bytes]:
        """Upload one part. :return: its MD5 and its SHA-256."""
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        self._target.upload_part(**upload, PartNumber=number, Body=body, ContentMD5=_base64(digest))
        return digest, hashlib.sha256(body).digest()

    def _complete(self, upload: dict[str, Any], it: Listed, digests: Sequence[bytes], tagging: str) -> str:
        """Complete an upload. :return: its ETag."""
        parts = [{"PartNumber": number, "ETag": f'"{digest.hex()}"'} for number, digest in enumerate(digests, 1)]
        if not self._takes_md5(upload):
            parts = self._listed_parts(upload)
        self._target.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        stored = self._target.head_object(Bucket=upload["Bucket"], Key=it.key)
        if stored["ContentLength"] != it.size:
            raise Unproven(f"the target has {stored['ContentLength']} bytes of {it.size}")
        tags = [{"Key": name, "Value": value} for name, value in parse_qsl(tagging, keep_blank_values=True)]
        if tags and stored.get("TagCount") != len(tags):  # some forget them when an upload begins
            self._target.put_object_tagging(Bucket=upload["Bucket"], Key=it.key, Tagging={"TagSet": tags})
        etag: str = stored["ETag"].strip('"')  # some tell none when they complete
        return etag

    def _takes_md5(self, upload: dict[str, Any]) -> bool:
        first = self._target.list_parts(**upload, MaxParts=1)["Parts"][0]
        return _MD5.fullmatch(first["ETag"].strip('"')) is not None

    def _listed_parts(self, upload: dict[str, Any]) -> list[dict[str, Any]]:
        pages = self._target.get_paginator("list_parts").paginate(**upload)
        return [
            {"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for page in pages for part in page.get("Parts", ())
        ]

    def _layout(self, bucket: str, it: Listed) -> int:
        """The size of the parts: that of the source if memory allows, so that the ETags agree."""
        in_parts = _IN_PARTS.fullmatch(it.etag)
        if in_parts is not None:
            try:
                first = self._source.head_object(Bucket=bucket, Key=it.key, PartNumber=1)["ContentLength"]
            except ClientError:
                first = 0  # an endpoint that does not know parts
            if 0 < first <= self._part_bytes and -(-it.size // first) == int(in_parts[1]):
                return int(first)
        return max(self._part_bytes, -(-it.size // MOST_PARTS))

    def _read(self, bucket: str, it: Listed, start: int = 0, end: int | None = None) -> tuple[dict[str, Any], bytes]:
        """Bytes of the source. :raises Changed: :raises Unproven:"""
        asked: dict[str, Any] = {"ChecksumMode": "ENABLED"} if end is None else {"Range": f"bytes={start}-{end - 1}"}
        try:
            answer = self._source.get_object(Bucket=bucket, Key=it.key, IfMatch=f'"{it.etag}"', **asked)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "412"):
                raise Changed() from None
            raise
        body: bytes = answer["Body"].read()
        wanted = (it.size if end is None else end) - start
        if len(body) != wanted:
            raise Unproven(f"the source sent {len(body)} bytes of {wanted}")
        return answer, body

    def _read_back(self, bucket: str, it: Listed, digests: Sequence[bytes], size: int) -> None:
        if not self._verify:
            return
        body = self._target.get_object(Bucket=bucket, Key=it.key)["Body"]
        for digest in digests:
            if hashlib.sha256(b"".join(_exactly(body, size))).digest() != digest:
                raise Unproven("the target has other bytes than were sent")
        if body.read(1):
            raise Unproven("the target has more bytes than were sent")

    def _belongings_of(self, bucket: str, it: Listed, answer: dict[str, Any]) -> dict[str, Any]:
        belongings = _belongings(answer)
        tags = self._tags(self._source, bucket, it.key, answer)
        return belongings | (
            {"Tagging": urlencode(tags, quote_via=quote)} if tags else {}
        )  # not all know + for a space

    def _tags(self, s3: Any, bucket: str, key: str, answer: dict[str, Any]) -> list[tuple[str, str]]:
        """The tags of an object, which are asked for only where there are some."""
        if not answer.get("TagCount"):
            return []
        found = s3.get_object_tagging(Bucket=bucket, Key=key).get("TagSet", ())
        return sorted((tag["Key"], tag["Value"]) for tag in found)


def _belongings(answer: dict[str, Any]) -> dict[str, Any]:
    """Headers and metadata of an object, as arguments of a PUT."""
    found = {name: answer[name] for name in CONTENT if answer.get(name)}
    if answer.get("ExpiresString") or answer.get("Expires"):
        found["Expires"] = answer.get("ExpiresString") or answer["Expires"]
    if answer.get("WebsiteRedirectLocation"):
        found["WebsiteRedirectLocation"] = answer["WebsiteRedirectLocation"]
    return found


def _etag_of_parts(digests: Sequence[bytes]) -> str:
    """The ETag of an object in parts, from the MD5s of those."""
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def _is_md5(answer: dict[str, Any], etag: str) -> bool:
    """Whether an ETag should be an MD5. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html"""
    return _MD5.fullmatch(etag) is not None and answer.get("ServerSideEncryption", "AES256") == "AES256"


def _exactly(body: Any, size: int) -> Iterator[bytes]:
    """So many bytes of a stream, or those to its end."""
    while size and (piece := body.read(min(size, 1 << 20))):
        size -= len(piece)
        yield piece


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
