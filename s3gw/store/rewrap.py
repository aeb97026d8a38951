"""Records whose data keys are wrapped anew, in a database that nobody serves."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from s3gw.model import Encryption, ObjectInfo, UploadInfo
from s3gw.store import keys
from s3gw.store.engine import Engine
from s3gw.store.interface import CorruptChunk
from s3gw.store.records import OBJECT, UPLOAD, AnyCodec
from s3gw.store.scan import Walk

BATCH_BYTES = 1 << 20

Change = Callable[[Encryption, str, str], Encryption | None]
"""From the encryption of an object or upload, its bucket and its key: what is to be stored instead; None for no change.
"""

_CODECS: dict[bytes, AnyCodec] = {**dict.fromkeys(keys.OF_OBJECTS, OBJECT), keys.UPLOADS: UPLOAD}


class Rewrapped(msgspec.Struct):
    """What there was: data keys that were wrapped anew, encrypted objects and uploads that stay as they are, records
    that cannot be read."""

    rewrapped: int = 0
    unchanged: int = 0
    unreadable: int = 0


def rewrap(engine: Engine, change: Change, seen: Callable[[], object]) -> Rewrapped:
    """Change the encryption of every version and upload. A record has the old one or the new one, whatever happens.

    :param seen: called for each record. :raises StoreFailed: :raises StoreFull:"""
    found = Rewrapped()
    batch = engine.batch()
    for prefix, codec in _CODECS.items():
        walk = Walk(engine, prefix)
        while (entry := walk.next()) is not None:
            seen()
            row, value = entry
            try:
                record = codec.decode(row, value)
            except CorruptChunk:
                found.unreadable += 1
                continue
            if record.encryption is None:
                continue
            changed = change(record.encryption, *_name(row, record))
            if changed is None:
                found.unchanged += 1
                continue
            batch.put(row, codec.encode(row, msgspec.structs.replace(record, encryption=changed)))
            found.rewrapped += 1
            if batch.nbytes >= BATCH_BYTES:
                engine.write(batch)
    if len(batch):
        engine.write(batch)
    engine.sync()
    return found


def _name(row: bytes, record: ObjectInfo | UploadInfo) -> tuple[str, str]:
    if isinstance(record, UploadInfo):
        return record.bucket, record.key
    bucket, key = keys.split_version(row)
    return bucket.decode(), key.decode()
