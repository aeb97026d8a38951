"""`Writer`: a client that changes objects at random, and knows of each what a server that was killed may hold.

A writer is the only one to change its keys, so what they hold follows from what it was told:

| the server said             | afterwards the key holds                      |
|-----------------------------|-----------------------------------------------|
| that it is done             | the new content, and nothing else             |
| nothing, since it was killed | the old or the new content, whole             |
| no (412, 404)               | what it held, and that must be a reason for it |

The same holds for the parts of an upload that has begun: those that were acknowledged are there, and the upload can be
completed with them.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import time
from dataclasses import dataclass, field
from functools import lru_cache

from tests.live.case import KIB, MIB
from tests.live.server import LiveServer
from tests.live.wire import Answer, Wire

KEYS = 10
SIZES = (0, 1, 900, 64 * KIB, 64 * KIB + 1, 300 * KIB, MIB)
PART_SIZES = (1, 70 * KIB, 400 * KIB)
"""Of a last part, which may be small; each is the only one of its upload."""


@dataclass(frozen=True)
class Content:
    """The bytes of an object or part, by how they are made; no two have the same."""

    size: int
    seed: int
    parts: int = 0

    def data(self) -> bytes:
        """The bytes."""
        return _data(self.size, self.seed)

    @property
    def etag(self) -> str:
        """Of the object that holds it."""
        digest = hashlib.md5(self.data())
        if self.parts:
            return f"{hashlib.md5(digest.digest()).hexdigest()}-1"
        return digest.hexdigest()


@lru_cache(maxsize=256)
def _data(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclass
class Begun:
    """An upload: what its part 1 may be, of which None is that it has none."""

    key: str
    upload: str
    part: set[Content | None] = field(default_factory=lambda: {None})


@dataclass(frozen=True)
class Link:
    """An acknowledged write of an `Appender`. :ivar began: and ``ended``, by one clock for all clients."""

    key: int
    name: str
    began: float
    ended: float


class Appender:
    """One of several clients that add themselves to the same lists, each with ``If-Match`` of the list that it has read
    and with ``If-None-Match: *`` where there is none.

    :param target: of the objects, without their numbers: 0 and 1.
    :ivar links: the writes that were acknowledged. :ivar wrong: an answer that may not be, or nothing."""

    def __init__(self, server: LiveServer, target: str, number: int, seed: int) -> None:
        self.links: list[Link] = []
        self.wrong = ""
        self._server = server
        self._target = target
        self._names = (f"{number}-{count}" for count in itertools.count())
        self._random = random.Random(seed)

    def run(self) -> None:
        """Work until the server is gone."""
        try:
            with Wire(self._server) as wire:
                while not self.wrong:
                    self._append(wire, self._random.randrange(2))
        except OSError:
            return

    def _append(self, wire: Wire, key: int) -> None:
        target, name = f"{self._target}{key}", next(self._names)
        found = wire.ask("GET", target)
        there = found.status == 200
        body = [*(found.body.split() if there else ()), name.encode()]
        condition = ("If-Match", found.headers["ETag"]) if there else ("If-None-Match", "*")
        began = time.monotonic()
        answer = wire.ask("PUT", target, [condition], b"\n".join(body))
        if answer.status == 200:
            self.links.append(Link(key, name, began, time.monotonic()))
        elif answer.status != 412:
            self.wrong = f"{answer.status} {answer.body.decode()}"


class Wrong(Exception):
    """The server does not hold what it must, or gave an answer that it may not give."""


class Writer:
    """One client, with keys of its own in one bucket.

    :ivar holds: by key, each content that it may have; None is that there is no such object.
    :ivar done: operations that were acknowledged."""

    def __init__(self, server: LiveServer, bucket: str, name: int, seed: int) -> None:
        self.holds: dict[str, set[Content | None]] = {f"{name}/{n}": {None} for n in range(KEYS)}
        self.done = 0
        self._server = server
        self._bucket = bucket
        self._prefix = f"{name}/"
        self._random = random.Random(seed)
        self._seeds = iter(range(name << 32, (name + 1) << 32))
        self._begun: list[Begun] = []

    def run(self) -> None:
        """Work until the server is gone. :raises Wrong:"""
        moves = [
            (self._put, 8), (self._create, 2), (self._delete, 2), (self._copy, 3),
            (self._begin, 2), (self._part, 3), (self._complete, 3), (self._abort, 1),
        ]  # fmt: skip
        try:
            with Wire(self._server) as self._wire:
                while True:
                    [move] = self._random.choices([move for move, _ in moves], [weight for _, weight in moves])
                    move(self._random.choice(list(self.holds)))
                    self.done += 1
        except OSError:
            return

    def verify(self) -> None:
        """Compare all that is there with what must be; afterwards what was in doubt is known. :raises Wrong:"""
        with Wire(self._server) as self._wire:
            listed = self._listed()
            for key, possible in self.holds.items():
                found = self._found(key, possible)
                possible.intersection_update({found})
                expected = None if found is None else (found.size, found.etag)
                if listed.pop(key, None) != expected:
                    raise Wrong(f"{key} is listed with another size or ETag than it has")
            if listed:
                raise Wrong(f"{sorted(listed)} are listed, and nobody has made them")
            for begun in list(self._begun):
                self._verify_upload(begun)

    def clear(self) -> None:
        """Complete every upload, then delete every object. :raises Wrong:"""
        with Wire(self._server) as self._wire:
            while self._begun:
                self._complete("")
        self.verify()
        with Wire(self._server) as self._wire:
            for key in self.holds:
                self._delete(key)
            # An upload whose end was not acknowledged is forgotten above, and may be there.
            uploads = self._wire.ask("GET", f"/{self._bucket}?uploads&prefix={self._prefix}").body.decode()
            for key, upload in re.findall("<Key>(.*?)</Key><UploadId>(.*?)</UploadId>", uploads):
                self._abort_upload(Begun(key, upload))

    def _found(self, key: str, possible: set[Content | None]) -> Content | None:
        answer = self._ask("GET", key)
        if answer.status == 404 and None in possible:
            return None
        for content in possible:
            if content is not None and answer.status == 200 and answer.body == content.data():
                if answer.headers["ETag"] != f'"{content.etag}"':
                    raise Wrong(f"{key} has the ETag {answer.headers['ETag']}")
                return content
        raise Wrong(f"{key} is {answer.status} with {len(answer.body)} bytes, and must be one of {possible}")

    def _listed(self) -> dict[str, tuple[int, str]]:
        answer = self._wire.ask("GET", f"/{self._bucket}?list-type=2&prefix={self._prefix}")
        entry = "<Key>(.*?)</Key>.*?<ETag>&quot;(.*?)&quot;</ETag>.*?<Size>(.*?)</Size>"
        found = re.findall(entry, answer.body.decode().replace('"', "&quot;"))
        return {key: (int(size), etag) for key, etag, size in found}

    def _verify_upload(self, begun: Begun) -> None:
        answer = self._ask("GET", begun.key, f"?uploadId={begun.upload}")
        listed = re.findall('<ETag>(?:&quot;|")(.*?)(?:&quot;|")</ETag>', answer.body.decode())
        fitting = {
            each for each in begun.part if ([] if each is None else [hashlib.md5(each.data()).hexdigest()]) == listed
        }
        if answer.status != 200 or not fitting:
            raise Wrong(f"the upload of {begun.key} has {answer.status} {listed}, and must have {begun.part}")
        begun.part = fitting

    # The moves. What may be afterwards is noted before they are made, since they may be the last.

    def _put(self, key: str) -> None:
        new = self._new(SIZES)
        self._change(key, new)
        self._expect(self._ask("PUT", key, "", new.data()), 200)
        self._settle(key, new)

    def _create(self, key: str) -> None:
        new = self._new(SIZES)
        old = self._change(key, new)
        answer = self._ask("PUT", key, "", new.data(), ("If-None-Match", "*"))
        if answer.status == 412 and old != {None}:
            self.holds[key] = old - {None}
        else:
            self._expect(answer, 200)
            if None not in old:
                raise Wrong(f"{key} was made although it was there")
            self._settle(key, new)

    def _delete(self, key: str) -> None:
        self._change(key, None)
        self._expect(self._ask("DELETE", key), 204)
        self._settle(key, None)

    def _copy(self, key: str) -> None:
        origin = self._random.choice(list(self.holds))
        if origin == key or len(self.holds[origin]) != 1:
            return
        [content] = self.holds[origin]
        if content is None:
            return
        self._change(key, content)
        self._expect(self._ask("PUT", key, "", b"", ("x-amz-copy-source", f"/{self._bucket}/{origin}")), 200)
        self._settle(key, content)

    def _begin(self, key: str) -> None:
        if len(self._begun) > 3:
            return
        answer = self._ask("POST", key, "?uploads")
        self._expect(answer, 200)
        found = re.search(b"<UploadId>(.*?)</UploadId>", answer.body)
        if found is None:
            raise Wrong("an upload without an id")
        self._begun.append(Begun(key, found[1].decode()))

    def _part(self, _: str) -> None:
        if not self._begun:
            return
        begun = self._random.choice(self._begun)
        new = self._new(PART_SIZES)
        begun.part.add(new)
        self._expect(self._ask("PUT", begun.key, f"?partNumber=1&uploadId={begun.upload}", new.data()), 200)
        begun.part = {new}

    def _complete(self, _: str) -> None:
        if not self._begun:
            return
        begun = self._random.choice(self._begun)
        if len(begun.part) != 1 or None in begun.part:
            self._abort_upload(begun)
            return
        [part] = begun.part
        assert part is not None
        whole = Content(part.size, part.seed, parts=1)
        document = (
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{hashlib.md5(part.data()).hexdigest()}</ETag></Part></CompleteMultipartUpload>"
        )
        # If this is the last move it is not known whether the upload is there afterwards; it is not looked at again.
        self._begun.remove(begun)
        self._change(begun.key, whole)
        self._expect(self._ask("POST", begun.key, f"?uploadId={begun.upload}", document.encode()), 200)
        self._settle(begun.key, whole)

    def _abort(self, _: str) -> None:
        if self._begun:
            self._abort_upload(self._random.choice(self._begun))

    def _abort_upload(self, begun: Begun) -> None:
        if begun in self._begun:
            self._begun.remove(begun)
        self._expect(self._ask("DELETE", begun.key, f"?uploadId={begun.upload}"), 204)

    def _new(self, sizes: tuple[int, ...]) -> Content:
        return Content(self._random.choice(sizes), next(self._seeds))

    def _change(self, key: str, new: Content | None) -> set[Content | None]:
        """Note that the key may hold ``new``; what it may have held."""
        old = set(self.holds[key])
        self.holds[key].add(new)
        return old

    def _settle(self, key: str, new: Content | None) -> None:
        self.holds[key] = {new}

    def _ask(self, method: str, key: str, query: str = "", body: bytes = b"", *headers: tuple[str, str]) -> Answer:
        return self._wire.ask(method, f"/{self._bucket}/{key}{query}", headers, body)

    def _expect(self, answer: Answer, status: int) -> None:
        if answer.status != status:
            raise Wrong(f"{answer.status} {answer.body.decode()} where {status} was due")
