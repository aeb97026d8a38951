"""One object from one endpoint to the other: read, proved, written, proved.

| what is proved                   | by                                                                            |
|----------------------------------|-------------------------------------------------------------------------------|
| the bytes are those of the source | its checksum if it has one, its ETag if that is an MD5, else reading them twice |
| all parts are of one object      | If-Match with its ETag                                                          |
| the bytes arrived                | Content-MD5 with every request, and the ETag of the answer                      |
| they are there                   | with ``--verify``: reading them back                                            |
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from threading import Event
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from botocore.exceptions import ClientError

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
        if _is_md5(answer, it.etag) and digest.hexdigest() != it.etag:
            self._prove_twice(bucket, it, body)
        belongings = self._belongings_of(bucket, it, answer)
        if answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
            belongings |= {name: answer[name] for name in CHECKSUMS if name in answer}
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
            sent = [self._send(upload, 1, first)]
            del first
            move = self._mover(bucket, it, upload)
            sent += self._parts.map(move, range(2, len(spans) + 1), spans[1:])
            etag = self._complete(upload, it, [md5 for md5, _ in sent], belongings.get("Tagging", ""))
        except BaseException:
            self._target.abort_multipart_upload(**upload)
            raise
        finally:
            self._ledger.upload_ended(upload["UploadId"])
        self._read_back(target_bucket, it, [sha256 for _, sha256 in sent], size)
        return etag

    def _mover(
        self, bucket: str, it: Listed, upload: dict[str, Any]
    ) -> Callable[[int, tuple[int, int]], tuple[bytes, bytes]]:
        def move(number: int, span: tuple[int, int]) -> tuple[bytes, bytes]:
            if self._stop.is_set():
                raise Stopped()
            return self._send(upload, number, self._read(bucket, it, *span)[1])

        return move

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

    def _prove_twice(self, bucket: str, it: Listed, body: bytes) -> None:
        """An ETag may be no MD5: then a second reading has to agree with the first."""
        if hashlib.sha256(self._read(bucket, it)[1]).digest() != hashlib.sha256(body).digest():
            raise Unproven("the source sends other bytes each time")

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
