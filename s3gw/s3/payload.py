"""The body of a request, from the bytes of the wire to the bytes of the object.

What a body looks like is said by ``x-amz-content-sha256``, never by Content-Encoding:

============================================== ============ ================= ========== ==============================
x-amz-content-sha256                           framing      chunk signatures  trailers   verified
============================================== ============ ================= ========== ==============================
64 hex digits                                  none         no                no         length, SHA-256 of it all
``UNSIGNED-PAYLOAD``, or nothing               none         no                no         length
``STREAMING-UNSIGNED-PAYLOAD-TRAILER``         aws-chunked  no                yes        length
``STREAMING-AWS4-HMAC-SHA256-PAYLOAD``         aws-chunked  yes               no         length, each chunk
``STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`` aws-chunked  yes               yes        length, each chunk, trailers
============================================== ============ ================= ========== ==============================

aws-chunked, with ``$`` for CRLF. A signature is 64 hex digits; each one signs the one before it too, the first that of
the request::

    signed      10000;chunk-signature=SIGNATURE$ DATA$ ... 0;chunk-signature=SIGNATURE$
                x-amz-checksum-crc32c:sOO8/Q==$ x-amz-trailer-signature:SIGNATURE$ $
    unsigned    10000$ DATA$ ... 0$ x-amz-checksum-crc32c:sOO8/Q==$ $

A decoder hands data on before it is verified, so nothing may be committed before `PayloadDecoder.finish` has returned.
It keeps no more than a line and the trailers, and has no ties to a thread.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from hashlib import sha256

from s3gw.errors import (
    IncompleteBody,
    InvalidChunkSizeError,
    MalformedTrailerError,
    MissingContentLength,
    S3Error,
    XAmzContentSHA256Mismatch,
)
from s3gw.s3.head import RequestHead
from s3gw.s3.memo import remembered
from s3gw.s3.sigv4 import (
    STREAMING,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED,
    Verified,
    mismatch,
    payload_mode,
    same,
)

MIN_CHUNK = 8192
"""The fewest bytes of data that a chunk may have, the last one excepted."""

_MAX_LINE = 256
_MAX_TRAILERS = 8192
_LENGTH = re.compile("[0-9]{1,18}")
_SIGNED_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{64})\r\n")
_UNSIGNED_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_TRAILER = re.compile(rb"([A-Za-z0-9-]+): *([\x21-\x7e]+)\r?\n")
_TRAILER_SIGNATURE = "x-amz-trailer-signature"
_NO_TRAILERS: frozenset[str] = frozenset()
_EMPTY_SHA256 = sha256().hexdigest()


def decoder_for(head: RequestHead, verified: Verified | None) -> PayloadDecoder:
    """The decoder for the body that ``head`` announces.

    :param verified: None when nobody signed. Chunk signatures must then look like such, and are not checked.
    :raises MissingContentLength: for aws-chunked without x-amz-decoded-content-length.
    :raises InvalidArgument: :raises NotImplemented: for an x-amz-content-sha256 that we do not know.
    """
    mode = sent_as(head, verified)
    if mode == UNSIGNED:
        return IdentityDecoder(_length(head.header("content-length")))
    if not mode.startswith("STREAMING-"):
        return HashedDecoder(_length(head.header("content-length")), mode)
    length = _length(head.header("x-amz-decoded-content-length"))
    if length is None:
        raise MissingContentLength()
    return ChunkedDecoder(
        length,
        signed=mode != STREAMING_UNSIGNED_TRAILER,
        announced=None if mode == STREAMING else announced_trailers(head),
        chain=None if verified is None or mode == STREAMING_UNSIGNED_TRAILER else _SignatureChain(verified),
    )


def sent_as(head: RequestHead, verified: Verified | None) -> str:
    """What x-amz-content-sha256 says of the body. :raises: as `decoder_for`, but for a missing length"""
    if verified is not None:
        return verified.payload
    sent = head.headers.get("x-amz-content-sha256")
    return payload_mode(sent) if sent else UNSIGNED


def check_hash(declared: str, computed: str) -> None:
    """Compare the SHA-256 of a body, in hex, with the one that its request declares.

    :raises XAmzContentSHA256Mismatch:"""
    if computed != declared:
        raise XAmzContentSHA256Mismatch(ClientComputedContentSHA256=declared, S3ComputedContentSHA256=computed)


def announced_trailers(head: RequestHead) -> frozenset[str]:
    """The names in x-amz-trailer, in lower case."""
    announced = head.headers.get("x-amz-trailer")
    return _NO_TRAILERS if announced is None else _trailer_names(announced)


@remembered(64)
def _trailer_names(text: str) -> frozenset[str]:
    names = (name.strip(" \t").lower() for name in text.split(","))
    return frozenset(name for name in names if name)


def _length(text: str | None) -> int | None:
    return int(text) if text is not None and _LENGTH.fullmatch(text) else None


class PayloadDecoder(ABC):
    """Takes a body in pieces, however cut, and gives back the bytes of the object.

    :ivar decoded_length: how many those will be; None when the request does not say.
    :ivar trailers: what came behind the data, by lower-case name; complete after `finish`.
    """

    def __init__(self, decoded_length: int | None) -> None:
        self.decoded_length = decoded_length
        self.trailers: dict[str, str] = {}
        self._decoded = 0
        self._error: S3Error | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Decode the next bytes of the body.

        :returns: pieces of the object, none empty. One that is the whole of ``data`` is ``data`` itself, not a copy.
        :raises S3Error: when the body is not what it should be, and from then on at every call.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._feed(data)
        except S3Error as error:
            self._error = error
            raise

    def finish(self) -> None:
        """The body has ended.

        :raises S3Error: when it is not what it should be: nothing of it may be kept then.
        """
        if self._error is not None:
            raise self._error
        try:
            self._finish()
        except S3Error as error:
            self._error = error
            raise

    @abstractmethod
    def _feed(self, data: bytes) -> list[bytes]:
        """`feed`, while nothing is wrong yet."""

    def _finish(self) -> None:
        if self.decoded_length is not None and self._decoded != self.decoded_length:
            raise IncompleteBody()


class IdentityDecoder(PayloadDecoder):
    """A body that is the object."""

    def _feed(self, data: bytes) -> list[bytes]:
        self._decoded += len(data)
        return [data] if data else []


class HashedDecoder(PayloadDecoder):
    """A body that is the object, whose SHA-256 the request declares."""

    def __init__(self, decoded_length: int | None, declared: str) -> None:
        super().__init__(decoded_length)
        self._declared = declared
        self._hash = sha256()

    def _feed(self, data: bytes) -> list[bytes]:
        self._hash.update(data)
        self._decoded += len(data)
        return [data] if data else []

    def _finish(self) -> None:
        super()._finish()
        check_hash(self._declared, self._hash.hexdigest())


class ChunkedDecoder(PayloadDecoder):
    """A body in aws-chunked framing: chunks of data up to an empty one, then trailers.

    :ivar length: bytes of the object, as the request declares them.
    :param signed: whether chunks carry signatures.
    :param announced: names of the trailers that must come; None when the framing has none.
    :param chain: verifies the signatures; None when there are none, or no key.
    """

    def __init__(
        self, decoded_length: int, *, signed: bool, announced: frozenset[str] | None, chain: _SignatureChain | None
    ) -> None:
        super().__init__(decoded_length)
        self.length = decoded_length
        self._signed = signed
        self._header = _SIGNED_CHUNK if signed else _UNSIGNED_CHUNK
        self._announced = announced
        self._chain = chain
        self._take_line = self._chunk_header
        self._line = b""  # a line that has not ended yet
        self._left = 0  # bytes that the current chunk still lacks
        self._chunks = 0
        self._size = MIN_CHUNK  # of the chunk before
        self._signature = ""  # of the current chunk, as sent
        self._trailer_bytes = 0
        self._signed_trailers = b""
        self._trailer_signature = ""
        self._ended = False  # whether the last line was empty, behind the last chunk

    def _feed(self, data: bytes) -> list[bytes]:
        pieces = []
        position, end = 0, len(data)
        while position < end:
            if self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                self._decoded += len(piece)
                if self._chain is not None:
                    self._chain.update(piece)
                pieces.append(piece)
            else:
                stop = data.find(b"\n", position) + 1
                self._line += data[position : stop or position + _MAX_LINE + 1]
                if len(self._line) > _MAX_LINE:
                    raise _malformed()
                if not stop:
                    break
                line, self._line = self._line, b""
                self._take_line(line)
                position = stop
        return pieces

    def _chunk_header(self, line: bytes) -> None:
        match = self._header.fullmatch(line)
        if match is None:
            raise _malformed()
        size = int(match[1], 16)
        self._chunks += 1
        if size and self._size < MIN_CHUNK:
            raise InvalidChunkSizeError(Chunk=str(self._chunks), BadChunkSize=str(self._size))
        if size > self.length - self._decoded:
            raise IncompleteBody()
        self._size = self._left = size
        if self._signed:
            self._signature = match[2].decode()
        if size:
            self._take_line = self._chunk_end
        else:
            self._verify_chunk()
            self._take_line = self._trailer

    def _chunk_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise _malformed()
        self._verify_chunk()
        self._take_line = self._chunk_header

    def _verify_chunk(self) -> None:
        if self._chain is not None:
            self._chain.verify_chunk(self._signature)

    def _trailer(self, line: bytes) -> None:
        # Some clients end the trailers by a bare LF and write an empty line before or behind the signature, and S3
        # lets them. An empty line therefore ends the body only if the body ends there.
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _MAX_TRAILERS:
            raise MalformedTrailerError()
        self._ended = line == b"\r\n"
        if self._ended:
            return
        match = _TRAILER.fullmatch(line)
        if match is None or self._announced is None:
            raise _malformed()
        name, value = match[1].decode().lower(), match[2].decode()
        if name == _TRAILER_SIGNATURE and self._signed and not self._trailer_signature:
            self._trailer_signature = value
            return
        if name not in self._announced or name in self.trailers:
            raise MalformedTrailerError()
        self.trailers[name] = value
        self._signed_trailers += f"{name}:{value}\n".encode()

    def _finish(self) -> None:
        if not self._ended or self._line:
            raise _malformed()
        super()._finish()
        if self._announced and self.trailers.keys() != self._announced:
            raise MalformedTrailerError()
        if self._signed and (self.trailers or self._trailer_signature):
            if not re.fullmatch("[0-9a-f]{64}", self._trailer_signature):
                raise _malformed()
            if self._chain is not None:
                self._chain.verify_trailers(self._signed_trailers, self._trailer_signature)


def _malformed() -> IncompleteBody:
    return IncompleteBody("The request body terminated unexpectedly")


class _SignatureChain:
    """The signatures of a body's chunks: each signs its chunk and the signature before it, the first the request's."""

    def __init__(self, verified: Verified) -> None:
        self._verified = verified
        self._previous = verified.signature
        self._hash = sha256()
        self.update = self._hash.update

    def verify_chunk(self, signature: str) -> None:
        """The data since the chunk before was all of this one. :raises SignatureDoesNotMatch:"""
        self._verify("AWS4-HMAC-SHA256-PAYLOAD", f"{_EMPTY_SHA256}\n{self._hash.hexdigest()}", signature)
        self._hash = sha256()
        self.update = self._hash.update

    def verify_trailers(self, trailers: bytes, signature: str) -> None:
        """``trailers`` are the lines ``name:value`` as sent, each ended by LF. :raises SignatureDoesNotMatch:"""
        self._verify("AWS4-HMAC-SHA256-TRAILER", sha256(trailers).hexdigest(), signature)

    def _verify(self, kind: str, hashes: str, signature: str) -> None:
        request = self._verified
        text = f"{kind}\n{request.timestamp}\n{request.scope}\n{self._previous}\n{hashes}".encode()
        if not same(request.signing_key.sign(text), signature):
            raise mismatch(request.access_key, text, signature)
        self._previous = signature
