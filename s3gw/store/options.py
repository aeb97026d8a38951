"""How RocksDB is set up: the options of the three column families, with the reasons.

Bodies are in tables, not in blob files. Both were measured (``bench/store_chunks.py``). What comes from blob files is
checked with a CRC in software: 75 us for a chunk of 64 KiB, our own check included, 25 if the list get is told not to
(by `Rdict.set_read_options`, it knows no other options); from a table 21, and 19 unchecked. In return blob files write
13 to 22 % less under churn. mmap would save another 4 us, and turn a bad sector into the death of the process. RocksDB
checks tables all the same, for the sake of their indexes: unchecked, one in 200 that were damaged there did that too.
"""

from __future__ import annotations

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
)

RECORDS = "default"
"""The column family of every row that is no body."""

INLINE = "inline"
"""The column family of inline bodies."""

CHUNKS = "chunks"
"""The column family of chunks."""

BODIES = (INLINE, CHUNKS)

FAMILIES = (*BODIES, RECORDS)

MIB = 1 << 20

FEW_FILES = 16

TABLE_BYTES = 64 * MIB
"""Size of a table of bodies."""


def database_options(cache: Cache, *, create: bool, wal: bool) -> Options:
    """The options of the database and of its default column family, which holds every row but bodies."""
    options = Options(raw_mode=True)
    options.create_if_missing(create)
    options.create_missing_column_families(create)
    options.set_paranoid_checks(True)
    # What follows the first bad record of the log was never acknowledged, or the log is damaged: stop before it.
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    # Without a log, a flush is what makes things durable: it must cut both column families at the same point.
    options.set_atomic_flush(not wal)
    options.set_max_background_jobs(2)
    options.set_max_open_files(-1)
    # Bodies fill the log; this is what makes the small memtable of the records let go of it.
    options.set_max_total_wal_size(512 * MIB)
    # Write back steadily instead of all at once in an fdatasync that someone waits for.
    options.set_bytes_per_sync(1 * MIB)
    # All memtables together; the one that is fullest is flushed.
    options.set_db_write_buffer_size(256 * MIB)
    options.set_keep_log_file_num(4)
    options.set_max_log_file_size(16 * MIB)
    options.set_stats_dump_period_sec(0)
    _common(options)
    table = _table(cache)
    # `key_may_exist` answers from what is in the cache: let the newest files be.
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    # Keys that are gone are skipped one by one by every scan: compact where they are many.
    options.add_compact_on_deletion_collector_factory(1024, 512, 0.0)
    return options


def body_options(cache: Cache) -> Options:
    """The options of the two column families of bodies.

    The ids of blobs begin with the time. So a file of chunks that is flushed lies behind all older ones, and compaction
    moves it down as it is instead of merging it; but for blobs of several chunks that were written at the same time,
    which lie across the borders of files.
    """
    options = Options(raw_mode=True)
    _common(options)
    table = _table(cache)
    table.set_bloom_filter(10, False)
    # The index of a database of many bodies is larger than the cache: keep it in pieces that come and go.
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_pin_top_level_index_and_filter(True)
    options.set_block_based_table_factory(table)
    # Bodies have high entropy, or their owner has compressed them.
    options.set_compression_type(DBCompressionType.none())
    # Deleted chunks are bytes on disk until compaction. A table with as many deletions as these is compacted downwards,
    # and covers no more than these bytes of the level below, whatever it spans: so compaction frees at least an eighth
    # of what it rewrites, and deletions that are too thin for that wait until there are more of them, or so many that
    # the shape of the tree asks for it. (Measured: with 128 of 256, random deletes wrote 24 times what they freed, with
    # these 8 times, and what is left behind is at most 7 % of what lives.)
    options.add_compact_on_deletion_collector_factory(1024, 512, 0.0)
    options.set_max_compaction_bytes(4 * TABLE_BYTES)
    options.set_write_buffer_size(64 * MIB)
    options.set_target_file_size_base(TABLE_BYTES)
    options.set_max_bytes_for_level_base(512 * MIB)
    return options


def closed_options(elsewhere: str) -> Options:
    """The options of a database that is opened to be asked what is in its MANIFEST: without its logs, and nothing is
    written but to an empty directory ``elsewhere``."""
    options = Options(raw_mode=True)
    options.set_wal_dir(elsewhere)
    options.set_db_log_dir(elsewhere)
    options.set_max_open_files(FEW_FILES)
    return options


def _common(options: Options) -> None:
    options.set_write_buffer_size(32 * MIB)
    options.set_max_write_buffer_number(4)
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_level_zero_file_num_compaction_trigger(4)
    options.set_level_zero_slowdown_writes_trigger(20)
    options.set_level_zero_stop_writes_trigger(36)


def _table(cache: Cache) -> BlockBasedOptions:
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_cache_index_and_filter_blocks(True)
    table.set_format_version(5)
    return table
