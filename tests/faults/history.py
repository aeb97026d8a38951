"""Clients that write down what they did and when they were told, and what a power cut may have left of it.

The moment is a position in the journal of the server's disk (`server.FaultyServer`). A client is alone on its keys and
does one thing after the other, so what is left of its work must be what stood after some number of its operations:

| durability | that number is                                                                     |
|------------|------------------------------------------------------------------------------------|
| commit     | at least that of the operations that it was told of, and that somebody has seen     |
| os, memory | any, and the operation that was under way may be there as well                      |
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass, field
from functools import lru_cache

from s3gw.cipher import unwrap
from s3gw.model import ObjectInfo
from s3gw.operations.encryption import Opener
from s3gw.store.interface import IObjectStore, ListQuery, UploadQuery
from s3gw.store.layout import spans
from tests.faults.server import FaultyServer
from tests.live.wire import Answer, Wire
from tests.store.contract import Actor

KIB = 1024
SIZES = (0, 1, 700, 5000, 64 * KIB, 64 * KIB + 1, 200 * KIB)
PART_SIZES = (1, 70 * KIB, 150 * KIB)
KEYS = 8
BUCKET = "cut"

Content = tuple[int, int]
"""Size and seed of a body."""

Part = tuple[str, str]
"""Of an upload with its part: the key, and the ETag of part 1 or nothing."""


@lru_cache(maxsize=512)
def data_of(content: Content) -> bytes:
    """The bytes of a body."""
    return random.Random(content[1]).randbytes(content[0])


@lru_cache(maxsize=4096)
def etag_of(content: Content) -> str:
    """The MD5 of a body."""
    return hashlib.md5(data_of(content)).hexdigest()


@dataclass(frozen=True)
class State:
    """What there is of one client: the content of each key, whole or as the one part of an upload, and the uploads."""

    objects: dict[str, tuple[Content, bool]] = field(default_factory=dict)
    uploads: tuple[Part, ...] = ()

    def told(self) -> tuple[object, ...]:
        """What a listing says of it."""
        return tuple(sorted((key, self.etag(key)) for key in self.objects)), tuple(sorted(self.uploads))

    def etag(self, key: str) -> str:
        """The ETag of an object, or nothing."""
        if key not in self.objects:
            return ""
        content, parted = self.objects[key]
        return f"{hashlib.md5(bytes.fromhex(etag_of(content))).hexdigest()}-1" if parted else etag_of(content)


class Refused(Exception):
    """The server said that it cannot: 5xx."""


class Lost(AssertionError):
    """Something is not there that must be, or there that must not."""


class Client:
    """One client. `work` does one operation after the other until the server is gone, or refuses one. Every second one
    has its objects encrypted.

    :ivar states: after no operation, after the first, ...; the last may have been under way.
    :ivar begun: the position of the journal when each was begun, and ``told`` when it was answered.
    :ivar seen: what others were shown: the position of the journal then, the key and the ETag.
    """

    def __init__(self, server: FaultyServer, number: int, seed: int) -> None:
        self.number = number
        self._sealing = (("x-amz-server-side-encryption", "AES256"),) if number % 2 else ()
        self.states = [State()]
        self.begun: list[int] = []
        self.told: list[int] = []
        self.seen: list[tuple[int, str, str]] = []
        self._server = server
        self._random = random.Random(seed)
        self._seeds = iter(range((number + 1) << 32, (number + 2) << 32))
        self._uploads: list[tuple[str, str, Content | None]] = []
        self._made: list[Content] = []

    def work(self, operations: int) -> None:
        """Do so many operations, fewer if the server goes away or says that it cannot."""
        try:
            with Wire(self._server) as self._wire:
                while len(self.told) < operations:
                    self._step()
        except (OSError, Refused):
            return

    def _step(self) -> None:
        state = self.states[-1]
        key = f"{self.number}/{self._random.randrange(KEYS)}"
        move = self._random.choice(
            (self._put,) * 5 + (self._delete, self._copy, self._begin, self._part, self._part, self._end, self._end)
        )
        move(state, key)

    def _put(self, state: State, key: str) -> None:
        content = self._new(SIZES)
        after = State({**state.objects, key: (content, False)}, state.uploads)
        self._do("PUT", key, "", data_of(content), after, 200, *self._sealing)

    def _delete(self, state: State, key: str) -> None:
        objects = {other: it for other, it in state.objects.items() if other != key}
        self._do("DELETE", key, "", b"", State(objects, state.uploads), 204)

    def _copy(self, state: State, key: str) -> None:
        origins = [other for other, (_, parted) in state.objects.items() if other != key and not parted]
        if origins:
            origin = self._random.choice(origins)
            after = State({**state.objects, key: state.objects[origin]}, state.uploads)
            self._do("PUT", key, "", b"", after, 200, ("x-amz-copy-source", f"/{BUCKET}/{origin}"), *self._sealing)

    def _begin(self, state: State, key: str) -> None:
        if len(self._uploads) > 2:
            return
        after = State(state.objects, (*state.uploads, (key, "")))
        answer = self._do("POST", key, "?uploads", b"", after, 200, *self._sealing)
        found = re.search(b"<UploadId>(.*?)</UploadId>", answer.body)
        assert found is not None
        self._uploads.append((key, found[1].decode(), None))

    def _part(self, state: State, _: str) -> None:
        if not self._uploads:
            return
        at = self._random.randrange(len(self._uploads))
        key, upload, _old = self._uploads[at]
        content = self._new(PART_SIZES)
        self._uploads[at] = key, upload, content
        after = State(state.objects, self._listed())
        self._do("PUT", key, f"?partNumber=1&uploadId={upload}", data_of(content), after)

    def _end(self, state: State, _: str) -> None:
        if not self._uploads:
            return
        key, upload, content = self._uploads.pop(self._random.randrange(len(self._uploads)))
        if content is None:
            self._do("DELETE", key, f"?uploadId={upload}", b"", State(state.objects, self._listed()), 204)
            return
        part = f"<Part><PartNumber>1</PartNumber><ETag>{etag_of(content)}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"
        after = State({**state.objects, key: (content, True)}, self._listed())
        self._do("POST", key, f"?uploadId={upload}", document.encode(), after)

    def _listed(self) -> tuple[Part, ...]:
        return tuple((key, etag_of(content) if content else "") for key, _, content in self._uploads)

    def _new(self, sizes: tuple[int, ...]) -> Content:
        content = self._random.choice(sizes), next(self._seeds)
        self._made.append(content)
        return content

    def _do(
        self, method: str, key: str, query: str, body: bytes, after: State, status: int = 200, *headers: tuple[str, str]
    ) -> Answer:
        self.states.append(after)
        self.begun.append(self._server.position())
        answer = self._wire.ask(method, f"/{BUCKET}/{key}{query}", headers, body)
        if answer.status >= 500:
            raise Refused()
        if answer.status != status:
            raise Lost(f"{method} {key}{query} was answered {answer.status} {answer.body.decode()}")
        self.told.append(self._server.position())
        return answer

    def go_on(self, store: IObjectStore, count: int) -> None:
        """Begin again from what stood after so many operations, which a store holds."""
        contents = {etag_of(content): content for content in self._made}
        self._uploads = []
        for upload in store.list_uploads(BUCKET, UploadQuery(f"{self.number}/")).uploads:
            parts = store.list_parts(upload.upload, 0, 10).parts
            self._uploads.append((upload.key, upload.upload, contents[parts[0].etag] if parts else None))
        self.states = [self.states[count]]
        self.begun, self.told, self.seen = [], [], []

    def watch(self, others: list[Client], seed: int) -> None:
        """Look at the keys of others, and write down what is shown, until the server is gone."""
        chance = random.Random(seed)
        try:
            with Wire(self._server) as wire:
                while True:
                    other = chance.choice(others)
                    key = f"{other.number}/{chance.randrange(KEYS)}"
                    answer = wire.ask("HEAD", f"/{BUCKET}/{key}")
                    if answer.status == 200:
                        other.seen.append((self._server.position(), key, answer.headers["ETag"].strip('"')))
        except OSError:
            return

    def check(self, store: IObjectStore, position: int, *, everything: bool) -> int:
        """How many operations a store holds after a power cut at a position. :raises Lost:

        :param everything: whether all that were told must be there.
        """
        found = self.found(store)
        least = 0
        if everything:
            least = max(sum(told <= position for told in self.told), self._shown(position))
        most = sum(begun <= position for begun in self.begun)
        for count in range(most, least - 1, -1):
            if self.states[count].told() == found:
                self.compare(store, self.states[count])
                return count
        earlier = [count for count in range(least) if self.states[count].told() == found]
        raise Lost(
            f"client {self.number} at {position}: told of {least} operations, {most} begun, and what there is "
            + (f"stood after {earlier[-1]}" if earlier else f"never stood: {found} instead of {self.states[least]}")
        )

    def _shown(self, position: int) -> int:
        """How many operations somebody had seen the effect of."""
        shown = 0
        for at, key, etag in self.seen:
            if at <= position:
                shown = max(shown, next(n for n, state in enumerate(self.states) if state.etag(key) == etag))
        return shown

    def found(self, store: IObjectStore) -> tuple[object, ...]:
        """What a store has of it, as `State.told` says it."""
        return _found(store, f"{self.number}/")

    def compare(self, store: IObjectStore, state: State) -> None:
        """Read the bodies of all objects. :raises Lost:"""
        actor = Actor(store)
        for key, (content, _) in state.objects.items():
            info = actor.find(key, BUCKET)
            assert info is not None
            if (info.encryption is not None) != bool(self._sealing):
                raise Lost(f"{key} is not encrypted as it was asked for")
            if self._body(store, key, info) != data_of(content):
                raise Lost(f"{key} has another content than its record says")

    def _body(self, store: IObjectStore, key: str, info: ObjectInfo) -> bytes:
        if info.encryption is None:
            return Actor(store).read(BUCKET, key, info)
        master = self._server.keys.find(info.encryption.master)
        assert master is not None
        unseal = Opener(unwrap(info.encryption, master, BUCKET, key))
        run = list(spans(BUCKET, key, info, 0, info.size))
        rows = store.read([span.row for span in run])
        broken = [row for row in rows if isinstance(row, Exception)]
        if broken:
            raise broken[0]
        return b"".join(unseal(span.row, row)[span.low : span.high] for span, row in zip(run, rows, strict=True))


def _found(store: IObjectStore, prefix: str) -> tuple[object, ...]:
    """What there is below a prefix, as `State.told` says it."""
    objects: dict[str, ObjectInfo] = dict(store.list_objects(BUCKET, ListQuery(prefix)).entries)
    uploads = []
    for upload in store.list_uploads(BUCKET, UploadQuery(prefix)).uploads:
        parts = store.list_parts(upload.upload, 0, 10).parts
        uploads.append((upload.key, parts[0].etag if parts else ""))
    return tuple(sorted((key, info.etag) for key, info in objects.items())), tuple(sorted(uploads))
