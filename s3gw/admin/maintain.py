"""``stats`` and ``compact``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from s3gw.admin.database import database, require_owner
from s3gw.admin.report import Report, in_bytes
from s3gw.store.offline import CACHE_BYTES
from s3gw.store.options import FAMILIES
from s3gw.store.rocks import RocksStore
from s3gw.store.usage import Usage, usage


def run_stats(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin stats DB``"""
    with database(arguments.db, report) as engine, report.progress("records read") as seen:
        found = usage(engine, seen)
    report.result(found, _stats_lines(found))
    return 0


def _stats_lines(found: Usage) -> Iterator[str]:
    for each in found.buckets:
        yield (
            f"{each.bucket}: {each.objects} objects, {in_bytes(each.object_bytes)}; "
            f"{each.versions} older versions, {in_bytes(each.version_bytes)}; "
            f"{each.uploads} uploads, {in_bytes(each.upload_bytes)}; "
            f"{in_bytes(each.blob_bytes)} in chunks, {in_bytes(each.garbage_bytes)} of them garbage"
        )
    objects, size = sum(each.objects for each in found.buckets), sum(each.object_bytes for each in found.buckets)
    yield f"total: {len(found.buckets)} buckets, {objects} objects, {in_bytes(size)}"
    yield f"bodies in chunks: {found.blobs}, {in_bytes(found.blob_bytes)}"
    yield f"garbage: {found.garbage_blobs} bodies, {in_bytes(found.garbage_bytes)}"
    yield (
        f"tables on disk: {in_bytes(found.disk['sst_bytes'])}, "
        f"{in_bytes(found.disk['garbage_bytes'])} of them deleted and not compacted yet"
    )
    if found.unreadable:
        yield f"damaged records, not counted: {found.unreadable} (see s3gw-admin check)"


def run_compact(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin compact DB``"""
    require_owner(arguments.db)
    store = RocksStore.open(str(arguments.db), cache_bytes=CACHE_BYTES, create=False, reserve_bytes=0)
    for line in store.damage:
        report.error(line)
    swept = store.swept
    store.close()
    with database(arguments.db, report) as engine:
        before = engine.properties()["sst_bytes"]
        with report.progress("column families compacted", len(FAMILIES)) as done:
            for family in FAMILIES:
                engine.compact(family)
                done()
        after = engine.properties()["sst_bytes"]
    document = {"swept_blobs": swept, "bytes_before": before, "bytes_after": after}
    report.result(document, [f"{in_bytes(before)} before, {in_bytes(after)} after; {swept} bodies were swept"])
    return 0
