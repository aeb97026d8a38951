"""The command line: which commands there are, and with what status each can end.

| status | means                                                                                  |
|--------|----------------------------------------------------------------------------------------|
| 0      | done; of ``check``: nothing is wrong                                                   |
| 1      | ``check`` or ``scrub`` found faults that are still there; ``salvage`` lost rows;       |
|        | ``probe`` found what is not as s3gw has it; ``migrate`` could not copy an object       |
| 2      | the command line makes no sense                                                        |
| 3      | it could not be done; one line on stderr says why                                      |
| 4      | ``check --repair`` found faults, and now nothing is wrong                              |
| 130    | interrupted                                                                            |
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from s3gw.admin.backup import run_backup, run_list, run_restore
from s3gw.admin.check import run_check, run_salvage
from s3gw.admin.endpoint import add_access, add_endpoint, parse_endpoint
from s3gw.admin.extra import from_extra
from s3gw.admin.keys import run_add_key, run_rotate
from s3gw.admin.maintain import run_compact, run_stats
from s3gw.admin.report import AdminError, Report
from s3gw.admin.scrub import run_scrub
from s3gw.store.interface import CorruptChunk, StoreFailed, StoreFull, StoreStalled, StoreUnusable

COULD_NOT = 3
INTERRUPTED = 130

_EPILOG = (
    "Exit status: 0 done, nothing is wrong; 1 faults or differences are there; 2 wrong usage; 3 it could not be done; "
    "4 there were faults, all of them repaired."
)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command. :return: the exit status, see above. :raises SystemExit: with 2, or 0 after ``--help``."""
    arguments = parser().parse_args(words)
    report = Report(json=arguments.json)
    run: Callable[[argparse.Namespace, Report], int] = arguments.run
    try:
        return run(arguments, report)
    except KeyboardInterrupt:
        report.error("interrupted")
        return INTERRUPTED
    except OSError as error:
        report.error(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "))
    except CorruptChunk as error:
        report.error(f"damaged: {error}")
    except (AdminError, StoreUnusable, StoreFailed, StoreFull, StoreStalled) as error:
        report.error(str(error))
    return COULD_NOT


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    whole = argparse.ArgumentParser(
        prog="s3gw-admin", description="Look after an s3gw gateway, and what may take its place.", epilog=_EPILOG
    )
    whole.add_argument("--version", action="version", version=f"s3gw {_version()}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as one JSON document")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace, Report], int], text: str) -> argparse.ArgumentParser:
        it = commands.add_parser(name, parents=[common], help=text, description=text, epilog=_EPILOG)
        it.set_defaults(run=run)
        return it

    database = "directory of the database (--db_path); no gateway may be using it"
    it = command("check", run_check, "Read every row and verify manifests, reference counts and checksums.")
    it.add_argument("db", type=Path, help=database)
    it.add_argument("--repair", action="store_true", help="mend what loses nothing: wrong counts, and unnamed leaks")
    it.add_argument(
        "--quarantine",
        type=Path,
        metavar="DIR",
        help="repair, and move damaged objects out of the database into this directory",
    )
    it = command(
        "scrub", run_scrub, "Read every row and verify its checksum, while a gateway may be using the database."
    )
    it.add_argument("db", type=Path, help="directory of the database (--db_path)")
    it.add_argument("--mb_s", type=_count, default=64, metavar="N", help="read so many MiB a second at most (64)")
    it = command("salvage", run_salvage, "Copy all that is good into a new database; the damaged one stays as it is.")
    it.add_argument("db", type=Path, help=database)
    it.add_argument("new", type=Path, help="directory of the new database; empty or missing")
    it = command("stats", run_stats, "Count objects, uploads, bytes and garbage.")
    it.add_argument("db", type=Path, help=database)
    it = command("compact", run_compact, "Sweep and rewrite the database without what was deleted.")
    it.add_argument("db", type=Path, help=database)

    it = command("backup", run_backup, "Add a backup to a place of backups; only what is new is copied.")
    it.add_argument("source", type=Path, help="directory of the database")
    _add_target(it)
    where = it.add_mutually_exclusive_group()
    where.add_argument(
        "--from-checkpoint",
        action="store_true",
        help="the source is a checkpoint, or a --checkpoint_dir, whose newest checkpoint is taken",
    )
    where.add_argument(
        "--online",
        type=Path,
        metavar="CHECKPOINT_DIR",
        help="the gateway is running with this --checkpoint_dir: ask it for a checkpoint, back that up, and remove it",
    )
    it.add_argument("--keep", type=_count, metavar="N", help="then remove all but the N newest backups")
    it = command("backups", run_list, "List the backups in a place of backups.")
    _add_target(it)
    it = command("restore", run_restore, "Make a database from a backup, verifying every file.")
    _add_target(it)
    it.add_argument("db", type=Path, help="directory of the new database; empty or missing")
    it.add_argument("--name", help="the backup to take, as `backups` lists it; the newest without this")
    it = command("sse-key", run_add_key, "Add a master key to the file of --sse_key_file; make the file if need be.")
    it.add_argument("file", type=Path, help="the key file")
    it.add_argument("--id", help="what to call the key; the time without this")
    it = command("sse-rotate", run_rotate, "Put everything that is encrypted by SSE-S3 under the last key of the file.")
    it.add_argument("db", type=Path, help=database)
    it.add_argument("file", type=Path, help="the key file, with the old keys and the new one")
    _add_remote(command)
    return whole


def _add_remote(command: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands that are clients of S3."""
    run = _later("s3gw.admin.probe.run", "run_probe")
    it = command("probe", run, "Ask an S3 endpoint for what users of s3gw rely on.")
    add_endpoint(it, "url", "the endpoint, such as https://s3.example.com")
    it.add_argument("--bucket", help="a bucket to work in, under a prefix of its own; one is made without this")
    it.add_argument("--only", action="append", metavar="CHECK", help="ask this check alone; repeatable")
    it.add_argument("--virtual-host-suffix", metavar="HOST", help="where buckets are subdomains; the host of the URL")

    it = command("cache", _later("s3gw.admin.caches", "run_cache"), "Show or set how a bucket of a gateway forgets.")
    add_endpoint(it, "url", "the gateway, such as http://127.0.0.1:9000")
    it.add_argument("bucket", help="the bucket")
    what = it.add_mutually_exclusive_group()
    what.add_argument(
        "--on", action="store_true", help="make it a cache bucket without rules: objects bring their time"
    )
    what.add_argument("--off", action="store_true", help="make it no cache bucket; what is in it stays")
    it.add_argument(
        "--set",
        action="append",
        type=_rule,
        metavar="NAME=N",
        help="a rule, instead of those there are: SecondsSinceWrite, SecondsSinceRead, MaxBytes, MaxObjects; repeats",
    )
    it.add_argument("--dry-run", action="store_true", help="change nothing, and say what would have to go")

    run = _later("s3gw.admin.migrate.run", "run_migrate")
    it = command("migrate", run, "Copy buckets to another S3 endpoint: what is missing there, or differs.")
    add_endpoint(it, "source", "where from", "source-")
    add_endpoint(it, "target", "where to", "target-")
    it.add_argument("--bucket", action="append", metavar="FROM[=TO]", help="this bucket; repeatable; all without this")
    it.add_argument("--prefix", default="", help="only keys that begin with this")
    it.add_argument("--state", type=Path, metavar="FILE", help="remember here what was copied, for the next run")
    it.add_argument("--delete", action="store_true", help="delete what only the target has")
    it.add_argument("--verify", action="store_true", help="read back from the target all that is copied")
    it.add_argument("--dry-run", action="store_true", help="change nothing, and say what would be copied")
    it.add_argument("--parallel", type=_count, default=8, metavar="N", help="objects, and parts, at a time; default: 8")
    it.add_argument("--part-mb", type=_part, default=16, metavar="MIB", help="of memory for each of those; default: 16")


def _rule(text: str) -> tuple[str, int]:
    """A rule of a cache bucket. :raises ArgumentTypeError:"""
    rule: tuple[str, int] = from_extra("s3gw.admin.caches", "parse_rule")(text)
    return rule


def _later(module: str, name: str) -> Callable[[argparse.Namespace, Report], int]:
    """A command that is imported when it runs: it needs botocore, which only ``s3gw[admin]`` brings."""

    def run(arguments: argparse.Namespace, report: Report) -> int:
        status: int = from_extra(module, name)(arguments, report)
        return status

    return run


def _add_target(it: argparse.ArgumentParser) -> None:
    """Let a command take a place of backups."""
    it.add_argument("target", help="the backups: a directory, made when missing, or s3://BUCKET/PREFIX")
    it.add_argument("--endpoint", type=parse_endpoint, metavar="URL", help="of a target in a bucket")
    add_access(it, "the endpoint")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number from 1 is needed")
    return int(text)


def _part(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 5 <= int(text) <= 5120:
        raise argparse.ArgumentTypeError("a whole number from 5 to 5120 is needed, as S3 has parts")
    return int(text)


def _version() -> str:
    try:
        return version("s3gw")
    except PackageNotFoundError:
        return "(not installed)"
