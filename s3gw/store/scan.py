"""Walks over rows in order that never hold the interpreter for long.

A deleted row stays in the tree until compaction, and a scan passes it one at a time, in one call that holds the GIL. A
walk therefore lets a step pass at most `DESERT_STEP` deleted rows. RocksDB answers a longer one with "incomplete" and
forgets how far it came. So the walk goes on through windows: ranges of keys so narrow that each holds fewer deleted
rows than a step may pass. A window that proves too wide is narrowed, by bisection on the bits of the key, and each
window that is crossed makes the next one wider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocksdict import RdictIter

from s3gw.model import ObjectInfo, UploadInfo, VersionEntry
from s3gw.store.engine import Engine
from s3gw.store.keys import (
    PLACE_BYTES,
    after_prefix,
    nulls_of,
    objects_of,
    place_of,
    versions_of,
)
from s3gw.store.options import RECORDS
from s3gw.store.records import LISTED, OBJECT, UPLOAD, Codec, Listed, listed, listed_version

if TYPE_CHECKING:
    from s3gw.store.caches import CacheBucket

DESERT_STEP = 4096
"""Deleted rows that one step may pass: about half a millisecond."""

_FINEST = 8 * 2048
"""Bits of a key; no row has a longer one."""


LOOKS = 100
"""How often a listing of versions begins anew that something was written into."""

_Version = ObjectInfo | Listed


class _Windows:
    """How wide the next window is: 2 to the power of ``-bits``, a row being a binary fraction between 0 and 1.

    Each miss narrows it more than the last one did, each hit widens it more, so that it fits after few of either.
    """

    def __init__(self) -> None:
        self._bits = 0
        self._stride = 0

    def narrow(self) -> bool:
        """The last window was too wide. False if there is no narrower one."""
        if self._bits >= _FINEST:
            return False
        self._stride = max(1, 2 * self._stride)
        self._bits = min(_FINEST, self._bits + self._stride)
        return True

    def widen(self) -> None:
        """The last window was narrow enough."""
        self._stride = min(-1, 2 * self._stride)
        self._bits = max(0, self._bits + self._stride)

    def bound(self, position: bytes) -> bytes:
        """Where a window that begins at ``position`` ends."""
        width = max(len(position), (self._bits + 7) // 8)
        bound = int.from_bytes(position.ljust(width, b"\0"), "big") + (1 << 8 * width - self._bits)
        if bound >> 8 * width:
            return b"\xff"
        return bound.to_bytes(width, "big").rstrip(b"\0")


class Walk:
    """The rows of a column family that start with ``prefix``, in order."""

    def __init__(self, engine: Engine, prefix: bytes, family: str = RECORDS, step: int = DESERT_STEP) -> None:
        self._engine = engine
        self._family = family
        self._end = after_prefix(prefix)
        self._step = step
        self._position = prefix
        self._passed: bytes | None = None  # the row that the iterator stands at, when it was given away
        self._bound = self._end
        self._windows: _Windows | None = None
        self._iterator: RdictIter | None = None
        engine.walks.add(self)

    def drop(self) -> None:
        self._leave()
        self._iterator = None

    def seek(self, row: bytes) -> None:
        """Go to the first record of the walk at or behind ``row``."""
        self._position, self._passed = row, None
        if self._iterator is None or self._windows is not None:
            self._windows = None
            self._open(self._end)
        else:
            self._iterator.seek(row)

    def next(self) -> tuple[bytes, bytes] | None:
        """The next record, None at the end. :raises StoreFailed: if a row cannot be read."""
        if self._iterator is None:
            self._open(self._end)
        iterator: RdictIter = self._iterator  # type: ignore[assignment]  # open now
        if self._passed is not None:
            # Not as soon as it was given away: whoever seeks now spares it.
            iterator.next()
        while not iterator.valid():
            self._leave()
            if not self._cross(iterator):
                return None
            iterator = self._iterator  # type: ignore[assignment]
        row: bytes = iterator.key()
        self._passed = row
        return row, iterator.value()

    def _leave(self) -> None:
        """Stand behind the row that was given away."""
        if self._passed is not None:
            self._position, self._passed = self._passed + b"\0", None

    def _open(self, bound: bytes) -> None:
        self._bound = bound
        self._iterator = self._engine.walk(self._family, self._position, bound, self._step)

    def _cross(self, iterator: RdictIter) -> bool:
        """The iterator ends here, or gave up: go on from the next window. False at the end of the walk."""
        gave_up = self._engine.gave_up(iterator)
        if gave_up:
            if self._windows is None:
                self._windows = _Windows()
            if not self._windows.narrow():
                self._iterator = self._engine.walk(self._family, self._position, self._bound, 0)
                return True
        else:
            if self._bound == self._end:
                return False
            self._windows.widen()  # type: ignore[union-attr]  # there is no other bound without windows
            self._position = self._bound
        self._open(min(self._windows.bound(self._position), self._end))  # type: ignore[union-attr]
        return True


class ObjectCursor:
    """The objects of a bucket by key, as a listing shows them, for `list_page`.

    :param cache: of a cache bucket; what is gone at ``now`` by its rules is left out.
    :ivar nbytes: of the records read.
    """

    def __init__(
        self, engine: Engine, objects: bytes, prefix: str, cache: CacheBucket | None = None, now: int = 0
    ) -> None:
        self._cache = cache
        self._now = now
        self._walk = Walk(engine, objects + prefix.encode())
        self._objects = objects
        self._skip = len(objects)
        self._found = b"", b""
        self.nbytes = 0

    def seek(self, key: str) -> None:
        self._walk.seek(self._objects + key.encode())

    def next(self) -> str | None:
        """:raises CorruptChunk: of a cache bucket"""
        while (found := self._walk.next()) is not None:
            row, value = found
            self.nbytes += len(value)
            if self._cache is None or not self._cache.expired(OBJECT.decode(row, value), self._now):
                self._found = found
                return row[self._skip :].decode()
        return None

    def entry(self) -> ObjectInfo:
        """:raises CorruptChunk:"""
        return listed(LISTED.decode(*self._found))


class _Versions:
    """One of the three kinds of rows that versions are in.

    :ivar head: key, negative order and version at the position; None at the end.
    :ivar nbytes: of the records read.
    """

    def __init__(self, engine: Engine, rows: bytes, prefix: str, codec: Codec[Any], *, placed: bool) -> None:
        self._walk = Walk(engine, rows + prefix.encode())
        self._codec = codec
        self._rows = rows
        self._placed = placed
        self.head: tuple[str, int, _Version] | None = None
        self.nbytes = 0

    def drop(self) -> None:
        """Forget the rows as they were: the next `seek` sees them as they are."""
        self._walk.drop()

    def seek(self, key: str, below: int | None) -> None:
        """Go to ``key``; of that key itself, to what is older than the order ``below``, unless that is None."""
        row = self._rows + key.encode()
        if self._placed and below is not None:
            row += b"\0" + place_of(below) + b"\0"
        elif self._placed and key.endswith("\0"):
            # Behind a key and all of its places, which follow it and a NUL.
            row = row[:-1] + b"\1"
        self._walk.seek(row)
        self.advance()
        if below is not None and self.head is not None and self.head[0] == key and -self.head[1] >= below:
            self.advance()

    def advance(self) -> None:
        found = self._walk.next()
        if found is None:
            self.head = None
            return
        row, value = found
        self.nbytes += len(value)
        name = row[len(self._rows) :]
        info = self._codec.decode(row, value)
        self.head = (name[: -PLACE_BYTES - 1] if self._placed else name).decode(), -info.order, info


class VersionCursor:
    """The versions and delete markers of a bucket by key, the newest first, for `list_page`.

    A commit may move a version from one kind of rows to another. So the three are to be seen as they are at one moment,
    and are looked at anew when something was written in between.

    :param after: the key that the page begins behind, and ``after_order`` the order of a version of that key that it
        begins behind, or None for all of them.
    :param cache: as for `ObjectCursor`, with ``now``.
    """

    def __init__(
        self,
        engine: Engine,
        bucket: str,
        prefix: str,
        after: str,
        after_order: int | None,
        cache: CacheBucket | None = None,
        now: int = 0,
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._now = now
        # Whether an object of a cache bucket is gone, only its whole record tells.
        codec: Codec[Any] = LISTED if cache is None else OBJECT
        self._kinds = (
            _Versions(engine, objects_of(bucket), prefix, codec, placed=False),
            _Versions(engine, nulls_of(bucket), prefix, codec, placed=False),
            _Versions(engine, versions_of(bucket), prefix, codec, placed=True),
        )
        self._behind = after + "\0"
        self._after_order = after_order
        self._key = ""
        self._latest = False
        self._info: _Version
        self._begun = False

    @property
    def nbytes(self) -> int:
        """Of the records read."""
        return sum(kind.nbytes for kind in self._kinds)

    def seek(self, key: str) -> None:
        below = None
        if key == self._behind and self._after_order is not None:
            key, below = key[:-1], self._after_order
            self._key = key
        for _ in range(1 if self._begun else LOOKS):
            sequence = self._engine.sequence()
            for kind in self._kinds:
                kind.seek(key, below)
            if self._engine.sequence() == sequence:
                break
            for kind in () if self._begun else self._kinds:
                kind.drop()
        self._begun = True

    def next(self) -> str | None:
        """:raises CorruptChunk:"""
        while True:
            first = min((kind for kind in self._kinds if kind.head is not None), key=_position, default=None)
            if first is None or first.head is None:
                return None
            key, _, info = first.head
            first.advance()
            if self._cache is None or not (isinstance(info, ObjectInfo) and self._cache.expired(info, self._now)):
                break
        self._info, self._latest, self._key = info, key != self._key, key
        return key

    def entry(self) -> VersionEntry:
        return VersionEntry(self._key, listed_version(self._info), self._latest)


def _position(kind: _Versions) -> tuple[str, int]:
    assert kind.head is not None
    return kind.head[:2]


class UploadCursor:
    """The uploads of a bucket by key, then by id, for `list_page`; a key with several uploads comes several times.

    :param after: the key that the page begins behind, and ``after_upload`` the upload of that key, or empty for all.
    :ivar nbytes: of the records read.
    """

    def __init__(self, engine: Engine, uploads: bytes, prefix: str, after: str, after_upload: str) -> None:
        self._walk = Walk(engine, uploads + prefix.encode())
        self._uploads = uploads
        self._behind = after + "\0"
        # The ids of a key's uploads follow the key and a NUL.
        self._row = f"{after}\0{after_upload}\0" if after_upload else after + "\1"
        self._upload: UploadInfo
        self.nbytes = 0

    def seek(self, key: str) -> None:
        self._walk.seek(self._uploads + (self._row if key == self._behind else key).encode())

    def next(self) -> str | None:
        """:raises CorruptChunk:"""
        found = self._walk.next()
        if found is None:
            return None
        self.nbytes += len(found[1])
        self._upload = UPLOAD.decode(*found)
        return self._upload.key

    def entry(self) -> UploadInfo:
        return self._upload
