"""What RocksDB can tell of itself, in figures for metrics."""

from __future__ import annotations

from collections.abc import Mapping

from rocksdict import Rdict

from s3gw.store.options import BODIES, RECORDS

SUMS = {
    "rocksdb.estimate-live-data-size": "live_data_bytes",
    "rocksdb.total-sst-files-size": "sst_bytes",
    "rocksdb.total-blob-file-size": "blob_bytes",
    "rocksdb.live-blob-file-garbage-size": "blob_garbage_bytes",
    "rocksdb.cur-size-all-mem-tables": "memtable_bytes",
    "rocksdb.estimate-pending-compaction-bytes": "pending_compaction_bytes",
    "rocksdb.num-files-at-level0": "level0_files",
    "rocksdb.estimate-num-keys": "estimated_rows",
}
"""Properties of RocksDB that are summed over the column families, and what we call them."""

SHARED = {
    "rocksdb.num-running-compactions": "running_compactions",
    "rocksdb.num-running-flushes": "running_flushes",
    "rocksdb.background-errors": "background_errors",
    "rocksdb.block-cache-usage": "block_cache_bytes",
    "rocksdb.is-write-stopped": "write_stopped",
}
"""Properties that are the same for every column family."""

TABLES = "rocksdb.aggregated-table-properties"

UNTABLED_DELETIONS = ("rocksdb.num-deletes-active-mem-table", "rocksdb.num-deletes-imm-mem-tables")


def figures(families: Mapping[str, Rdict]) -> dict[str, int]:
    """Figures by name: those of `SUMS` and `SHARED`, and

    ``garbage_bytes``: of bodies that were deleted and are still on disk, about.
    """
    found = {ours: sum(_figure(family, theirs) for family in families.values()) for theirs, ours in SUMS.items()}
    found.update((ours, _figure(families[RECORDS], theirs)) for theirs, ours in SHARED.items())
    found["garbage_bytes"] = sum(_garbage(families[name]) for name in BODIES)
    return found


def unflushed(families: Mapping[str, Rdict]) -> int:
    """Bytes in memtables."""
    return sum(_figure(family, "rocksdb.cur-size-all-mem-tables") for family in families.values())


def _figure(family: Rdict, name: str) -> int:
    return family.property_int_value(name) or 0


def _garbage(family: Rdict) -> int:
    """A deletion is dropped together with the row that it deletes: those that are left stand for a row each."""
    text: str = family.property_value(TABLES) or ""
    of = {name.strip(): value for name, _, value in (each.partition("=") for each in text.split(";"))}
    entries, deletions, nbytes = (int(of.get(name, 0)) for name in ("# entries", "# deletions", "raw value size"))
    rows = entries - deletions
    pending = deletions + sum(_figure(family, name) for name in UNTABLED_DELETIONS)
    return nbytes * min(pending, rows) // rows if rows > 0 else 0
