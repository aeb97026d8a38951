"""What an operation is handed, and what it hands back.

An operation is an ``async def`` that takes a `Call` and returns a `Response` or raises an `S3Error`. It awaits only
what the call holds: the storage and the body. Who provides these, and on which threads they work, is not its business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from s3gw.access.acl import Directory
from s3gw.cipher import MasterKeys
from s3gw.errors import InvalidRequest, MaxMessageLengthExceeded, S3Error
from s3gw.model import (
    BucketInfo,
    ByteRange,
    CacheRules,
    ListPage,
    ObjectInfo,
    Owner,
    PartPage,
    UploadInfo,
    UploadPage,
    VersionPage,
)
from s3gw.s3.checksums import Declared, Digests, declared
from s3gw.s3.encryption import NOTHING, Asked
from s3gw.s3.external import ExternalUrl
from s3gw.s3.head import RequestHead
from s3gw.s3.payload import decoder_for
from s3gw.s3.sigv4 import Verified
from s3gw.store.interface import BodyRow, Committed, ListQuery, Mutation, Unknown, UploadQuery, VersionQuery

T = TypeVar("T")

Headers = list[tuple[str, str]]
Buffer = bytes | memoryview

Open = Callable[[BodyRow, Buffer], Buffer]
"""Makes of a row of an encrypted body the bytes that it stands for. Raises `store.interface.CorruptChunk`."""


class Body(Protocol):
    """The body of a request as it comes off the wire, transfer coding removed."""

    length: int | None
    """Content-Length; None when the body is chunked."""

    def take(self) -> list[bytes] | None:
        """The whole body if it has arrived and nothing of it was read, so that nobody need wait; else None."""

    def read(self) -> Awaitable[list[bytes]]:
        """What has arrived, waiting for something if need be; ``[]`` at the end.

        The first read asks the client to go on (100-continue). Fails when the client goes away or stalls."""


class Source(Protocol):
    """Bytes of an object, window by window."""

    def read(self, wide: bool = False) -> Awaitable[list[Buffer]]:
        """The next window, a larger one if ``wide``; ``[]`` at the end. One read at a time."""

    def close(self) -> None:
        """Nothing more will be read. May be called more than once."""


class Reader(Protocol):
    """An object that is held: its bytes stay readable until `close`, whatever is committed meanwhile."""

    info: ObjectInfo

    def source(self, start: int, length: int, unseal: Open | None = None) -> Source:
        """``length`` bytes from ``start``, each chunk verified. Closing the source closes the reader.

        :param unseal: what each row of an encrypted body goes through; without it, rows are the bytes themselves.

        Its reads raise `store.interface.StaleBody` when the object was replaced before it could be held, and
        `CorruptChunk` for damage."""

    def close(self) -> None:
        """Let go. May be called more than once."""


class KeptHeaders(list[tuple[str, str]]):
    """Headers that go into many answers, and never change.

    :ivar lines: what `web.request.header_lines` made of them, once it has.
    """

    __slots__ = ("lines",)

    def __init__(self, headers: Headers) -> None:
        super().__init__(headers)
        self.lines: tuple[str, int | None] | None = None


class PartHeaders(msgspec.Struct):
    """Headers of an answer with part of an object: those that any part of it has, and those that say which it is.

    :ivar start: its first byte. :ivar length: of the part. :ivar size: of the object.
    """

    kept: Headers
    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        """The value of Content-Range."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"

    def __iter__(self) -> Iterator[tuple[str, str]]:
        yield from self.kept
        yield "Content-Range", self.content_range
        yield "Content-Length", str(self.length)


class Known:
    """The record of an object that is kept in memory.

    :ivar headers: of the answers about it that depend on nothing else in the request, by x-amz-checksum-mode.
    :ivar part_headers: the same of answers with a part of it: what all of them say.
    """

    __slots__ = ("headers", "info", "part_headers")

    def __init__(self, info: ObjectInfo) -> None:
        self.info = info
        self.headers: dict[str | None, KeptHeaders] = {}
        self.part_headers: KeptHeaders | None = None


class CacheFigures(NamedTuple):
    """What a cache bucket holds. ``adopting``: objects from before it was one are not all counted yet."""

    objects: int
    nbytes: int
    adopting: bool


class Doomed(NamedTuple):
    """An object that would have to go. ``why``: ``expired`` or ``evicted``."""

    key: str
    size: int
    why: str


class Storage(Protocol):
    """`store.interface.IObjectStore` for coroutines. The errors are the same; `SlowDown`, `InsufficientStorage` and
    `InternalError` stand in for StoreStalled, StoreFull and StoreFailed."""

    def known(self, bucket: str, key: str) -> Known | Unknown | None:
        """The object under a key, or None if there is none, as far as memory can tell; UNKNOWN where `find` has to."""

    def hot(self, info: ObjectInfo, span: ByteRange | None) -> Buffer | None:
        """The bytes of a known object, or of a part of it, if they are in one row, as they are, and in memory."""

    async def row(self, bucket: str, key: str, info: ObjectInfo, span: ByteRange | None) -> Buffer | None:
        """As `hot`, but from wherever they are; None too if the object was replaced meanwhile.

        :raises CorruptChunk:"""

    def touched(self, bucket: str, info: ObjectInfo) -> None:
        """Somebody reads an object that has a place: it is needed, and lives on."""

    def missed(self, bucket: str) -> None:
        """Somebody asked for an object that is not there."""

    def cache_figures(self, bucket: str) -> CacheFigures | None:
        """What a cache bucket holds; None if it is none."""

    async def foretell(self, bucket: str, rules: CacheRules, limit: int) -> list[Doomed]:
        """What would have to go from a cache bucket at this moment if these were its rules, at most so many."""

    async def find(self, bucket: str, key: str) -> ObjectInfo | None: ...
    async def open(self, bucket: str, key: str) -> Reader | None: ...
    async def find_version(self, bucket: str, key: str, version: str) -> ObjectInfo | None: ...
    async def find_versions(self, bucket: str, names: Sequence[tuple[str, str]]) -> list[ObjectInfo | None]: ...
    async def open_version(self, bucket: str, key: str, version: str) -> Reader | None: ...
    def known_bucket(self, name: str) -> BucketInfo | None:
        """The bucket of this name if its record is in memory; None says nothing."""

    async def find_bucket(self, name: str) -> BucketInfo | None: ...
    async def find_upload(self, bucket: str, key: str, upload: str) -> UploadInfo | None: ...
    async def buckets(self) -> list[BucketInfo]: ...
    async def list_objects(self, bucket: str, query: ListQuery) -> ListPage: ...
    async def list_versions(self, bucket: str, query: VersionQuery) -> VersionPage: ...
    async def list_uploads(self, bucket: str, query: UploadQuery) -> UploadPage: ...
    async def list_parts(self, upload: str, after: int, limit: int) -> PartPage: ...

    def begin_blob(self) -> bytes: ...

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Call ``work`` in a worker thread: it is long, and lets the interpreter go."""

    async def stage(self, blob: bytes, number: int, produce: Callable[[], Sequence[bytes]]) -> int:
        """Call ``produce`` in a worker thread and stage the chunks it returns; the number of them."""

    def discard(self, blobs: Sequence[bytes]) -> None:
        """Give up blobs that were staged and are in no mutation."""

    async def commit(self, mutation: Mutation) -> Committed:
        """Durable when it returns. A mutation that is refused gives its staged blobs up."""

    async def commit_all(self, mutations: Sequence[Mutation]) -> list[Committed | S3Error]:
        """Several mutations, each on its own; the outcome of each."""


class Gateway(msgspec.Struct, frozen=True):
    """What all calls share: the settings that give answers their content.

    :ivar clock: ms since the epoch.
    :ivar owner_of: the owner with a canonical user id.
    :ivar authenticate_form: who a form speaks for, from its fields by lower-case name; raises `S3Error` for what is
        wrong with its signature.
    :ivar directory: the users that can be granted something.
    :ivar signatures: whether requests are expected to be signed.
    :ivar max_object_bytes: the largest body of one PUT.
    :ivar master_keys: of SSE-S3; None if there are none.
    :ivar sse_c_over_http: whether customer keys may come unencrypted.
    :ivar cache_rules: how a new bucket of this name forgets, if it does.
    :ivar external: the gateway as clients know it, where a proxy shows it another address.
    """

    storage: Storage
    clock: Callable[[], int]
    owner_of: Callable[[str], Owner]
    authenticate_form: Callable[[Mapping[str, str]], Owner]
    directory: Directory
    region: str = "us-east-1"
    signatures: bool = False
    max_object_bytes: int = 5 * 1024**3
    master_keys: MasterKeys | None = None
    sse_c_over_http: bool = False
    cache_rules: Callable[[str], CacheRules | None] = lambda bucket: None
    external: ExternalUrl | None = None


class Client(Protocol):
    """Who sent a request, as its connection knows it."""

    @property
    def gone(self) -> bool:
        """Whether it has gone."""

    @property
    def peer(self) -> str:
        """Its address."""


class Abandoned(Exception):
    """The client has gone: there is no use in going on."""


class Call(msgspec.Struct):
    """One request, authenticated, on its way to its operation.

    :ivar storage: the gateway's.
    :ivar ordinary: as `RequestHead.ordinary`.
    :ivar operation: its name.
    :ivar caller: who asks.
    :ivar verified: what the signature established; None for a request without one.
    :ivar bucket: and ``key``: what it is about; empty where its address has none.
    :ivar version: the id of the version that it is about; empty when it names none.
    :ivar encryption: what it says of encryption.
    :ivar client: where it comes from; whether it has gone is to be asked in what takes long and reads no body.
    :ivar bucket_info: the bucket, which exists; None where the operation needs none.
    :ivar trusted: whether the caller may do anything with the bucket: see `operations.admission`.
    :ivar decided: whether it was asked if the caller may do what it asks for.
    """

    gateway: Gateway
    storage: Storage
    operation: str
    head: RequestHead
    ordinary: bool
    body: Body
    client: Client
    caller: Owner
    verified: Verified | None
    bucket: str
    key: str
    version: str
    bucket_info: BucketInfo | None
    trusted: bool = False
    decided: bool = False
    encryption: Asked = NOTHING

    @property
    def bucket_created(self) -> int | None:
        """When the bucket that the caller was admitted to was created: writes go into that one or nowhere."""
        return None if self.bucket_info is None else self.bucket_info.created

    def url(self, path: str) -> str:
        """The URL of a path, by which the client can reach it."""
        host = self.head.headers.get("host", "")
        if self.gateway.external is not None:
            return self.gateway.external.url(host, path)
        return f"{'https' if self.head.secure else 'http'}://{host}{path}"

    async def document(self, limit: int = 1024 * 1024, *, checksums: bool = True) -> bytes:
        """The whole body, verified.

        :param checksums: whether the checksums in the headers are those of the body.

        :raises InvalidRequest: when it comes in chunks of aws-chunked: only objects do.
        :raises MaxMessageLengthExceeded: when it is larger than ``limit`` bytes."""
        payload = self.head.headers.get("x-amz-content-sha256", "")
        if payload.startswith("STREAMING-"):
            raise InvalidRequest(f"The value of x-amz-content-sha256 header is invalid for this operation: {payload}")
        decoder = decoder_for(self.head, self.verified)
        checks = declared(self.head) if checksums else Declared()
        pieces: list[bytes] = []
        size = 0
        while arrived := await self.body.read():
            for raw in arrived:
                for piece in decoder.feed(raw):
                    size += len(piece)
                    if size > limit:
                        raise MaxMessageLengthExceeded(MaxMessageLengthBytes=str(limit))
                    pieces.append(piece)
        decoder.finish()
        body = b"".join(pieces)
        digests = Digests(checks.names)
        digests.update(body)
        checks.verify(digests, decoder.trailers)
        return body


class Response(msgspec.Struct):
    """An answer.

    :ivar headers: without those that every answer has (Date, request id, ...); Content-Length only where the body's own
        length does not tell it.
    :ivar body: the whole body, or its first window when there is a ``source``.
    :ivar source: the rest of the body.
    """

    status: int = 200
    headers: Headers | PartHeaders = []
    body: Sequence[Buffer] = ()
    source: Source | None = None


def document(body: bytes, headers: Headers | None = None) -> Response:
    """An XML answer."""
    return Response(200, [*(headers or ()), ("Content-Type", "application/xml")], [body])


Operate = Callable[[Call], Awaitable[Response]]
