"""Checksums of bodies: what a request declares, what came, and the checksums of multipart objects.

========= ===== =========== ========= ==================================
algorithm bytes FULL_OBJECT COMPOSITE an upload's type, if it names none
========= ===== =========== ========= ==================================
CRC32     4     yes         yes       COMPOSITE
CRC32C    4     yes         yes       COMPOSITE
CRC64NVME 8     yes         no        FULL_OBJECT
SHA1      20    no          yes       COMPOSITE
SHA256    32    no          yes       COMPOSITE
========= ===== =========== ========= ==================================

FULL_OBJECT is the checksum of the object's bytes; COMPOSITE that of its parts' checksums, with the number of parts
behind it. An object that came in one piece has its full checksum whatever the algorithm. MD5 makes ETags and verifies
Content-MD5. Values are base64, as S3 shows them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from awscrt import checksums as crt

from s3gw.errors import BadDigest, InvalidDigest, InvalidRequest, MalformedTrailerError, NotImplemented
from s3gw.model import Checksum
from s3gw.s3.head import RequestHead
from s3gw.s3.payload import announced_trailers

DEFAULT_ALGORITHM = "CRC64NVME"
"""What S3 computes and stores for an object whose client declares no checksum."""

FULL_OBJECT, COMPOSITE = "FULL_OBJECT", "COMPOSITE"

_PREFIX = "x-amz-checksum-"
_NOT_VALUES = frozenset((_PREFIX + "algorithm", _PREFIX + "mode", _PREFIX + "type"))
_SEVERAL = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."


class _Running(Protocol):
    def update(self, data: bytes, /) -> object: ...
    def digest(self) -> bytes: ...


class _Crc:
    """A function of awscrt with the manners of hashlib."""

    __slots__ = ("_function", "_size", "_value")

    def __init__(self, function: Callable[[bytes, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class Algorithm(msgspec.Struct, frozen=True):
    """:ivar size: bytes of a digest. :ivar types: the types that a multipart upload may ask for, its default first."""

    size: int
    types: tuple[str, ...]
    start: Callable[[], _Running]
    combine: Callable[[int, int, int], int] | None = None


ALGORITHMS: Mapping[str, Algorithm] = {
    "CRC32": Algorithm(4, (COMPOSITE, FULL_OBJECT), lambda: _Crc(crt.crc32, 4), crt.combine_crc32),
    "CRC32C": Algorithm(4, (COMPOSITE, FULL_OBJECT), lambda: _Crc(crt.crc32c, 4), crt.combine_crc32c),
    "CRC64NVME": Algorithm(8, (FULL_OBJECT,), lambda: _Crc(crt.crc64nvme, 8), crt.combine_crc64nvme),
    "SHA1": Algorithm(20, (COMPOSITE,), lambda: hashlib.sha1(usedforsecurity=False)),
    "SHA256": Algorithm(32, (COMPOSITE,), lambda: hashlib.sha256(usedforsecurity=False)),
}
"""The checksum algorithms by name."""

_UNSUPPORTED = (
    "Checksum algorithm provided is unsupported."
    f" Please try again with any of the valid types: [{', '.join(ALGORITHMS)}]"
)
_NOT_IMPLEMENTED = frozenset(("MD5", "SHA512", "XXHASH3", "XXHASH64", "XXHASH128"))


class Digests:
    """Digests of one body under several algorithms: those of `ALGORITHMS`, and ``MD5``."""

    __slots__ = ("_running",)

    def __init__(self, names: Iterable[str]) -> None:
        self._running: dict[str, _Running] = {
            name: hashlib.md5(usedforsecurity=False) if name == "MD5" else ALGORITHMS[name].start() for name in names
        }

    def update(self, data: bytes) -> None:
        """The next bytes of the body."""
        for running in self._running.values():
            running.update(data)

    def digest(self, name: str) -> bytes:
        """The digest, big-endian where it is a CRC. :raises KeyError: for a name that was not asked for."""
        return self._running[name].digest()

    def base64(self, name: str) -> str:
        """`digest` as S3 shows a checksum."""
        return b64encode(self.digest(name)).decode()

    def hex(self, name: str) -> str:
        """`digest` as S3 shows an ETag."""
        return self.digest(name).hex()


class Declared(msgspec.Struct, frozen=True):
    """What a request with a body declares of its checksums.

    :ivar algorithm: the algorithm whose checksum is to be stored; empty when there is none.
    :ivar value: the checksum that a header declares, decoded. :ivar trailer: whether a trailer will declare it.
    :ivar md5: the decoded Content-MD5.
    """

    algorithm: str = ""
    value: bytes | None = None
    trailer: bool = False
    md5: bytes | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What `Digests` must compute: MD5 for the ETag, and the algorithm."""
        return ("MD5", self.algorithm) if self.algorithm else ("MD5",)

    def verify(self, digests: Digests, trailers: Mapping[str, str]) -> Checksum | None:
        """Compare with what came; the checksum to store.

        :raises BadDigest: when the body is another than declared. :raises InvalidRequest: for a trailer that is no
            checksum. :raises MalformedTrailerError: when an announced trailer did not come.
        """
        if self.md5 is not None and not hmac.compare_digest(self.md5, digests.digest("MD5")):
            raise BadDigest(
                "The Content-MD5 you specified did not match what we received.",
                CalculatedDigest=digests.base64("MD5"),
                ExpectedDigest=self.md5.hex(),
            )
        if not self.algorithm:
            return None
        expected = self._expected(trailers)
        if expected is not None and not hmac.compare_digest(expected, digests.digest(self.algorithm)):
            raise BadDigest(f"The {self.algorithm} you specified did not match the calculated checksum.")
        return Checksum(self.algorithm, digests.base64(self.algorithm))

    def _expected(self, trailers: Mapping[str, str]) -> bytes | None:
        if not self.trailer:
            return self.value
        name = _PREFIX + self.algorithm.lower()
        if name not in trailers:
            raise MalformedTrailerError()
        value = decode(self.algorithm, trailers[name])
        if value is None:
            raise InvalidRequest(f"Value for {name} trailing header is invalid.")
        return value


def declared(head: RequestHead, default: str = "", *, only_default: bool = False) -> Declared:
    """What a PutObject, UploadPart or a document's request declares.

    :param default: the algorithm to compute and store when the request declares no checksum; empty for none.
    :param only_default: refuse another algorithm than ``default``, the one of the upload that a part belongs to.
    :raises InvalidDigest: for a Content-MD5 that is none. :raises BadDigest: for a checksum that is none.
    :raises InvalidRequest: for checksum headers that contradict each other, or name no algorithm.
    :raises NotImplemented: for an algorithm that S3 has and we have not.
    """
    md5 = _content_md5(head)
    headers = [name for name in head.headers if name.startswith(_PREFIX) and name not in _NOT_VALUES]
    trailers = announced_trailers(head)
    if len(headers) + len(trailers) > 1:
        raise InvalidRequest(_SEVERAL)
    algorithm, value = "", None
    for name in headers:
        algorithm = _algorithm_of(name, "The algorithm type you specified in x-amz-checksum- header is invalid.")
        value = decode(algorithm, head.headers[name])
        if value is None:
            raise BadDigest(f"Value for {name} header is invalid.")
    for name in trailers:
        algorithm = _algorithm_of(name, "The value specified in the x-amz-trailer header is not supported")
    _check_sdk_algorithm(head, algorithm)
    if only_default and algorithm and algorithm != default:
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {default.lower() or 'null'},"
            f" actual checksum Type: {algorithm.lower()}"
        )
    return Declared(algorithm or default, value, bool(trailers), md5)


DECLARING = frozenset(("content-md5", "x-amz-sdk-checksum-algorithm", *(_PREFIX + name.lower() for name in ALGORITHMS)))
"""Headers in which a request declares checksums of a body that no trailers follow."""

NO_TRAILERS: Mapping[str, str] = {}

UNDECLARED = Declared(DEFAULT_ALGORITHM)
"""What `declared` says of a request without any, where a checksum is stored all the same."""


def whole(body: bytes, checks: Declared, trailers: Mapping[str, str] = NO_TRAILERS) -> tuple[str, Checksum | None]:
    """The MD5, in hex, and the checksum to store of a body that is there at once.

    :raises S3Error: as `Declared.verify`."""
    if checks is UNDECLARED:
        value = b2a_base64(crt.crc64nvme(body).to_bytes(8, "big"), newline=False).decode()
        return hashlib.md5(body, usedforsecurity=False).hexdigest(), Checksum(DEFAULT_ALGORITHM, value)
    digests = Digests(checks.names)
    digests.update(body)
    return digests.hex("MD5"), checks.verify(digests, trailers)


def _content_md5(head: RequestHead) -> bytes | None:
    text = head.header("content-md5")
    if text is None:
        return None
    digest = _from_base64(text)
    if digest is None or len(digest) != 16:
        error = InvalidDigest("The Content-MD5 you specified was invalid.")
        error.fields["Content-MD5"] = text
        raise error
    return digest


def _algorithm_of(name: str, otherwise: str) -> str:
    algorithm = name.removeprefix(_PREFIX).upper()
    if algorithm in _NOT_IMPLEMENTED and name.startswith(_PREFIX):
        raise NotImplemented(f"The checksum algorithm {algorithm} is not implemented")
    if algorithm not in ALGORITHMS or not name.startswith(_PREFIX):
        raise InvalidRequest(otherwise)
    return algorithm


def _check_sdk_algorithm(head: RequestHead, algorithm: str) -> None:
    name = head.header("x-amz-sdk-checksum-algorithm")
    if name is None or name.upper() == algorithm:
        return
    if name.upper() in _NOT_IMPLEMENTED:
        raise NotImplemented(f"The checksum algorithm {name.upper()} is not implemented")
    if algorithm or name.upper() not in ALGORITHMS:
        raise InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    raise InvalidRequest(
        "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were"
        " found."
    )


def upload_checksum(head: RequestHead) -> tuple[str, str]:
    """Algorithm and type that a CreateMultipartUpload asks for; two empty strings when it asks for none.

    :raises InvalidRequest: for an unknown algorithm or type, or two that do not go together.
    :raises NotImplemented: for an algorithm that S3 has and we have not.
    """
    name, kind = head.header("x-amz-checksum-algorithm"), head.header("x-amz-checksum-type")
    if name is None:
        if kind is not None:
            raise InvalidRequest(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )
        return "", ""
    algorithm = name.upper()
    if algorithm in _NOT_IMPLEMENTED:
        raise NotImplemented(f"The checksum algorithm {algorithm} is not implemented")
    if algorithm not in ALGORITHMS:
        raise InvalidRequest(_UNSUPPORTED)
    types = ALGORITHMS[algorithm].types
    if kind is None:
        return algorithm, types[0]
    if kind.upper() not in (FULL_OBJECT, COMPOSITE):
        raise InvalidRequest("Value for x-amz-checksum-type header is invalid.")
    if kind.upper() not in types:
        raise InvalidRequest(
            f"The {kind.upper()} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        )
    return algorithm, kind.upper()


def decode(algorithm: str, text: str) -> bytes | None:
    """The digest in base64 ``text``; None when it is none of ``algorithm``."""
    digest = _from_base64(text)
    return digest if digest is not None and len(digest) == ALGORITHMS[algorithm].size else None


def _from_base64(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None


def combine(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The FULL_OBJECT checksum of an object from ``(base64, bytes)`` of each of its parts. CRCs only.

    :raises ValueError: for an algorithm that cannot, or a checksum that is none of it.
    """
    entry = ALGORITHMS[algorithm]
    if entry.combine is None:
        raise ValueError(f"checksums of {algorithm} cannot be combined")
    value = 0
    for text, length in parts:
        value = entry.combine(value, int.from_bytes(_digest(algorithm, text), "big"), length)
    return b64encode(value.to_bytes(entry.size, "big")).decode()


def composite(algorithm: str, parts: Sequence[str]) -> str:
    """The COMPOSITE checksum of an object from the base64 checksums of its parts: ``<base64>-<number of parts>``.

    :raises ValueError: for a checksum that is none of ``algorithm``.
    """
    running = ALGORITHMS[algorithm].start()
    for text in parts:
        running.update(_digest(algorithm, text))
    return f"{b64encode(running.digest()).decode()}-{len(parts)}"


def _digest(algorithm: str, text: str) -> bytes:
    digest = decode(algorithm, text)
    if digest is None:
        raise ValueError(f"no {algorithm}: {text!r}")
    return digest
