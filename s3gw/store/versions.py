"""What mutations do where a bucket has versioning, and to single versions anywhere.

================  ==================================================  ================================================
                  enabled                                             suspended
================  ==================================================  ================================================
put               M to V or N, the new one to M                       the same; of two null versions the new one stays
delete            M to V or N, a delete marker to V                   the same, the delete marker to N
delete a version  its row goes; from V or N the newest goes to M, if it is the newest of all and no delete marker
================  ==================================================  ================================================

Here too a step raises before it writes anything. The order of a version is made of the time at which it was modified,
and is greater than that of the newest version there is: so ids go up with every version of a key, whatever the clock
does, and a store that is given the same mutations gives the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from s3gw.errors import ConditionalRequestConflict, MethodNotAllowed, NoSuchKey, NoSuchVersion, PreconditionFailed
from s3gw.model import (
    ENABLED,
    NULL,
    OBJECT_LOCK,
    BucketInfo,
    Extent,
    ObjectInfo,
    ObjectLock,
    first_order,
    version_order,
)
from s3gw.s3.locks import refuse_deletion, refuse_retention
from s3gw.store.caches import retag
from s3gw.store.conditions import require
from s3gw.store.interface import (
    ALWAYS,
    Committed,
    CorruptChunk,
    DeleteObject,
    ExpireObject,
    ExpireVersion,
    HoldObject,
    RetainObject,
    SetObjectAcl,
    TagObject,
    same_write,
)
from s3gw.store.keys import inline_row, null_row, object_row, order_of, version_row, versions_of_key
from s3gw.store.ledger import Ledger
from s3gw.store.records import OBJECT


class History:
    """The versions of one key, as the ledger has them."""

    def __init__(self, ledger: Ledger, bucket: str, key: str) -> None:
        self._ledger = ledger
        self.bucket = bucket
        self.key = key
        self._object = object_row(bucket, key)
        self._null = null_row(bucket, key)
        self._versions = versions_of_key(bucket, key)

    def current(self) -> ObjectInfo | None:
        """The newest version, if it is no delete marker. :raises CorruptChunk:"""
        return self._ledger.get(OBJECT, self._object)

    def kept_null(self) -> ObjectInfo | None:
        """The null version, if it is not the current one. :raises CorruptChunk:"""
        return self._ledger.get(OBJECT, self._null)

    def find(self, version: str) -> ObjectInfo | None:
        """The version with this id. :raises CorruptChunk:"""
        current = self.current()
        if current is not None and current.version == version:
            return current
        if version == NULL:
            return self.kept_null()
        order = version_order(version)
        return None if order is None else self._ledger.get(OBJECT, version_row(self.bucket, self.key, order))

    def newest_order(self, current: ObjectInfo | None) -> int:
        """The order of the newest version or delete marker; 0 if there is none."""
        if current is not None:
            return current.order
        null = _readable(self.kept_null)
        return max(0 if null is None else null.order, next(self._orders(), 0))

    def newest_kept(self, but: ObjectInfo | None = None) -> ObjectInfo | None:
        """The newest version or delete marker that is not the current one, nor ``but``. :raises CorruptChunk:"""
        left_out = None if but is None else but.order
        null = self.kept_null()
        if null is not None and null.order == left_out:
            null = None
        order = next((each for each in self._orders() if each != left_out), None)
        if order is None or (null is not None and null.order > order):
            return null
        return self._ledger.get(OBJECT, version_row(self.bucket, self.key, order))

    def _orders(self) -> Iterator[int]:
        """The orders of the rows V, the newest first."""
        return map(order_of, self._ledger.rows(self._versions))

    def row_of(self, info: ObjectInfo) -> bytes:
        """Where a version is that is not the current one."""
        return self._null if info.null else version_row(self.bucket, self.key, info.order)

    def make_current(self, info: ObjectInfo) -> None:
        self._ledger.put(OBJECT, self._object, info)

    def end_current(self) -> None:
        self._ledger.delete(self._object)

    def keep(self, info: ObjectInfo) -> None:
        """Give a version, or a delete marker, the row of one that is not current."""
        self._ledger.put(OBJECT, self.row_of(info), info)
        if not info.null:
            self._ledger.unsettled.add(self._versions)

    def lose(self, info: ObjectInfo) -> None:
        """Take away the row of a version that is not current; its body stays."""
        self._ledger.delete(self.row_of(info))
        if not info.null:
            self._ledger.unsettled.add(self._versions)

    def lose_null(self) -> None:
        """Take away the row of the null version that is not current, readable or not."""
        if self._ledger.exists(self._null):
            self._ledger.delete(self._null)

    def lose_inline(self, info: ObjectInfo) -> None:
        if info.inline:
            self._ledger.delete_inline(inline_row(self.bucket, self.key, info.order), info)


def put_version(
    ledger: Ledger,
    bucket: BucketInfo,
    key: str,
    info: ObjectInfo,
    *,
    body: bytes = b"",
    lost: Sequence[Extent] = (),
    staged: Sequence[bytes] = (),
) -> Committed:
    """Make an object, or a delete marker, the newest version of its key.

    :param lost: extents of parts that were named until now.
    :raises ConditionalRequestConflict: :raises CorruptChunk:
    """
    history = History(ledger, bucket.name, key)
    current = _readable(history.current)
    null = bucket.versioning != ENABLED
    order = max(first_order(info.modified), history.newest_order(current) + 1)
    info = replace(info, order=order, null=null, place=0)
    replaced = None
    if null:
        replaced = current if current is not None and current.null else _readable(history.kept_null)
    changes = ledger.refer(() if body else info.extents, (*lost, *_extents(replaced)), staged)
    if replaced is not None:
        history.lose_inline(replaced)
    if null:
        history.lose_null()
    if current is not None and current is not replaced:
        history.keep(current)
    if info.marker:
        history.end_current()
        history.keep(info)
    else:
        history.make_current(info)
    ledger.put_body(inline_row(bucket.name, key, order), info, body)
    return Committed(replaced, ledger.apply(changes), info)


def _readable(look: Callable[[], ObjectInfo | None]) -> ObjectInfo | None:
    """What ``look`` finds. What cannot be read is not there: it is overwritten, which is the way to be rid of it."""
    try:
        return look()
    except CorruptChunk:
        return None


def put_marker(ledger: Ledger, bucket: BucketInfo, it: DeleteObject | ExpireObject) -> Committed:
    """Make a delete marker the newest version."""
    marker = ObjectInfo(0, it.now, "", owner=it.owner, marker=True)
    return put_version(ledger, bucket, it.key, marker)


def delete_version(ledger: Ledger, bucket: BucketInfo, it: DeleteObject) -> Committed:
    """Delete the version that ``it`` names, if there is such a one."""
    history = History(ledger, it.bucket, it.key)
    try:
        info = history.find(it.version)
    except CorruptChunk:
        order = version_order(it.version)
        history.current()
        if it.condition != ALWAYS or OBJECT_LOCK in bucket.documents or order is None:
            raise
        # Its blobs are not known, and its body may be there or not.
        ledger.delete(version_row(it.bucket, it.key, order))
        ledger.batch.delete_inline(inline_row(it.bucket, it.key, order))
        return Committed()
    require(it.condition, it.key, info)
    if info is None:
        return Committed()
    refuse_deletion(info.lock, it.now, bypass=it.bypass)
    return _delete(ledger, history, info)


def expire_version(ledger: Ledger, it: ExpireVersion) -> Committed:
    ledger.require_bucket(it.bucket, it.bucket_created)
    history = History(ledger, it.bucket, it.key)
    if ledger.get(OBJECT, history.row_of(it.seen)) != it.seen:
        raise PreconditionFailed()
    if it.alone and (history.current() is not None or history.newest_kept(it.seen) is not None):
        raise PreconditionFailed()
    refuse_deletion(it.seen.lock, it.now)
    return _delete(ledger, history, it.seen)


def _delete(ledger: Ledger, history: History, info: ObjectInfo) -> Committed:
    current = history.current()
    is_current = current is not None and current.order == info.order
    heir = history.newest_kept(info) if is_current or current is None else None
    changes = ledger.refer((), info.extents)
    history.lose_inline(info)
    if is_current:
        history.end_current()
    else:
        history.lose(info)
    if heir is not None and not heir.marker:
        history.lose(heir)
        history.make_current(heir)
    return Committed(info, ledger.apply(changes))


def tag_object(ledger: Ledger, it: TagObject) -> Committed:
    row, info = _meant(ledger, it)
    tagged = replace(info, tags=it.tags)
    ledger.put(OBJECT, row, tagged)
    if info.place:
        retag(ledger, ledger.require_bucket(it.bucket, it.bucket_created), it.key, tagged)
    return Committed(info)


def set_object_acl(ledger: Ledger, it: SetObjectAcl) -> Committed:
    row, info = _meant(ledger, it)
    if not same_write(it.seen, info):
        raise ConditionalRequestConflict(Key=it.key)
    ledger.put(OBJECT, row, replace(info, grants=it.grants))
    return Committed(info)


def retain_object(ledger: Ledger, it: RetainObject) -> Committed:
    row, info = _meant(ledger, it)
    refuse_retention(info.lock, it.lock, it.now, bypass=it.bypass)
    lock = replace(info.lock or ObjectLock(), mode=it.lock.mode, until=it.lock.until)
    ledger.put(OBJECT, row, replace(info, lock=lock))
    return Committed(info)


def hold_object(ledger: Ledger, it: HoldObject) -> Committed:
    row, info = _meant(ledger, it)
    ledger.put(OBJECT, row, replace(info, lock=replace(info.lock or ObjectLock(), hold=it.hold)))
    return Committed(info)


def _meant(ledger: Ledger, it: TagObject | SetObjectAcl | RetainObject | HoldObject) -> tuple[bytes, ObjectInfo]:
    """The row and the record of the version that a mutation changes.

    :raises NoSuchBucket: :raises NoSuchKey: :raises NoSuchVersion: :raises MethodNotAllowed: a delete marker."""
    bucket = ledger.require_bucket(it.bucket, it.bucket_created)
    row = object_row(it.bucket, it.key)
    current = ledger.live(bucket, ledger.get(OBJECT, row))
    if current is not None and it.version in ("", current.version):
        return row, current
    if not it.version:
        raise NoSuchKey(Key=it.key)
    history = History(ledger, it.bucket, it.key)
    info = ledger.live(bucket, history.find(it.version))
    if info is None:
        raise NoSuchVersion(Key=it.key, VersionId=it.version)
    if info.marker:
        raise MethodNotAllowed(Method="PUT", ResourceType="DeleteMarker")
    return history.row_of(info), info


def _extents(info: ObjectInfo | None) -> Iterable[Extent]:
    return () if info is None else info.extents
