"""A client of a bucket with versioning and Object Lock, for what a power cut may leave of versions.

As `history.Client`, but each key has versions, and the client also deletes and holds single ones.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import groupby

from s3gw.model import ObjectInfo
from s3gw.store.interface import IObjectStore, VersionQuery
from tests.faults.history import BUCKET, SIZES, Client, Content, Lost, data_of, etag_of
from tests.faults.server import FaultyServer
from tests.store.contract import Actor

VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
LOCKING = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"

Kept = tuple[Content | None, bool]
"""A version: its content, None for a delete marker, and whether it is held."""


def digest_of(body: bytes) -> tuple[str, str]:
    """The header that a document of Object Lock must come with."""
    return "Content-MD5", b64encode(hashlib.md5(body).digest()).decode()


@dataclass(frozen=True)
class Versions:
    """What there is of one client: the versions of each key, the newest first."""

    keys: dict[str, tuple[Kept, ...]] = field(default_factory=dict)

    def told(self) -> tuple[object, ...]:
        """What a listing of versions says of it, and who is held."""
        return tuple(sorted((key, tuple(map(_told, kept))) for key, kept in self.keys.items() if kept))

    def etag(self, key: str) -> str:
        """The ETag of an object, or nothing."""
        newest = self.keys.get(key, ())[:1]
        return etag_of(newest[0][0]) if newest and newest[0][0] is not None else ""

    def having(self, key: str, kept: tuple[Kept, ...]) -> Versions:
        """The same with other versions of a key."""
        return Versions({**self.keys, key: kept})


def _told(kept: Kept) -> tuple[str, bool]:
    content, held = kept
    return ("marker" if content is None else etag_of(content)), held


class VersionClient(Client):
    """One client."""

    def __init__(self, server: FaultyServer, number: int, seed: int) -> None:
        super().__init__(server, number, seed)
        self.states = [Versions()]
        self._ids: dict[str, list[str]] = defaultdict(list)

    def _step(self) -> None:
        state = self.states[-1]
        key = f"{self.number}/{self._random.randrange(4)}"
        move = self._random.choice((self._put_version,) * 4 + (self._mark, self._drop, self._drop, self._hold))
        move(key, state, state.keys.get(key, ()))

    def _put_version(self, key: str, state: Versions, kept: tuple[Kept, ...]) -> None:
        content = self._new(SIZES)
        after = state.having(key, ((content, False), *kept))
        answer = self._do("PUT", key, "", data_of(content), after)
        self._ids[key].insert(0, answer.headers["x-amz-version-id"])

    def _mark(self, key: str, state: Versions, kept: tuple[Kept, ...]) -> None:
        answer = self._do("DELETE", key, "", b"", state.having(key, ((None, False), *kept)), 204)
        self._ids[key].insert(0, answer.headers["x-amz-version-id"])

    def _drop(self, key: str, state: Versions, kept: tuple[Kept, ...]) -> None:
        free = [at for at, (_, held) in enumerate(kept) if not held]
        if free:
            at = self._random.choice(free)
            after = state.having(key, kept[:at] + kept[at + 1 :])
            self._do("DELETE", key, f"?versionId={self._ids[key].pop(at)}", b"", after, 204)

    def _hold(self, key: str, state: Versions, kept: tuple[Kept, ...]) -> None:
        objects = [at for at, (content, _) in enumerate(kept) if content is not None]
        if objects:
            at = self._random.choice(objects)
            content, held = kept[at]
            after = state.having(key, (*kept[:at], (content, not held), *kept[at + 1 :]))
            body = f"<LegalHold><Status>{'OFF' if held else 'ON'}</Status></LegalHold>".encode()
            self._do("PUT", key, f"?legal-hold&versionId={self._ids[key][at]}", body, after, 200, digest_of(body))

    def found(self, store: IObjectStore) -> tuple[object, ...]:
        """What a store has of it, in the words of `Versions.told`."""
        entries = store.list_versions(BUCKET, VersionQuery(f"{self.number}/", limit=100_000)).entries
        names = [(BUCKET, entry.key, entry.info.version) for entry in entries]
        infos = [info for info in store.look_up_versions(names) if isinstance(info, ObjectInfo)]
        shown = [
            (entry.key, ("marker" if info.marker else info.etag, info.lock is not None and info.lock.hold == "ON"))
            for entry, info in zip(entries, infos, strict=True)
        ]
        return tuple((key, tuple(it for _, it in kept)) for key, kept in groupby(shown, lambda it: it[0]))

    def compare(self, store: IObjectStore, state: Versions) -> None:  # type: ignore[override]
        """Read the bodies of all versions. :raises Lost:"""
        actor = Actor(store)
        for entry in store.list_versions(BUCKET, VersionQuery(f"{self.number}/", limit=100_000)).entries:
            (info,) = store.look_up_versions([(BUCKET, entry.key, entry.info.version)])
            if not isinstance(info, ObjectInfo) or info.marker:
                continue
            if hashlib.md5(actor.read(BUCKET, entry.key, info)).hexdigest() != info.etag:
                raise Lost(f"{entry.key} has another content than the record of {info.version} says")
        for key in state.keys:
            info = actor.find(key, BUCKET)
            if (info.etag if info is not None else "") != state.etag(key):
                raise Lost(f"{key} is not its newest version")
