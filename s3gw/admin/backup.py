"""``backup``, ``backups`` and ``restore``."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from s3gw.admin.database import database, give_to_owner
from s3gw.admin.endpoint import endpoint_of
from s3gw.admin.extra import from_extra
from s3gw.admin.online import ask_checkpoint
from s3gw.admin.place import Directory, Place
from s3gw.admin.report import AdminError, Report, in_bytes
from s3gw.admin.repository import Repository
from s3gw.store.checkpoint import checkpoints, is_checkpoint, take_checkpoint

BUCKETS = "s3://"
"""What a target begins with that is in a bucket."""

CHECKPOINT = "backup-in-progress"
"""Where, in the database's own directory and so on its file system, the checkpoint of an offline backup is."""


def run_backup(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin backup SOURCE TARGET [--from-checkpoint | --online CHECKPOINT_DIR] [--keep N]``"""
    source: Path = arguments.source
    place = _place(arguments)
    if isinstance(place, Directory) and Path(arguments.target).absolute().is_relative_to(source.absolute()):
        raise AdminError(f"{place} is inside of what is to be backed up")
    repository = Repository.made(place)
    with place.locked():
        with _checkpoint(source, arguments, report) as checkpoint:
            size = sum(path.stat().st_size for path in checkpoint.iterdir())
            with report.progress("backed up", size, size=True) as step:
                added = repository.add(checkpoint, _now(), step)
        if arguments.keep is not None:
            added = msgspec.structs.replace(added, removed=repository.keep(arguments.keep))
    lines = [
        f"{added.name}: {added.files} files, {in_bytes(added.bytes)}; "
        f"{added.copied} of them, {in_bytes(added.copied_bytes)}, were copied",
        *(f"removed {name}" for name in added.removed),
    ]
    report.result(added, lines)
    return 0


def _place(arguments: argparse.Namespace) -> Place:
    """Where the backups are. :raises AdminError: the words do not say."""
    target: str = arguments.target
    if not target.startswith(BUCKETS):
        if arguments.endpoint is not None:
            raise AdminError(f"--endpoint is for a target such as {BUCKETS}BUCKET/PREFIX")
        return Directory(Path(target))
    bucket, _, prefix = target.removeprefix(BUCKETS).partition("/")
    if not bucket or arguments.endpoint is None:
        raise AdminError(f"{target}: {'a bucket' if not bucket else '--endpoint'} is needed")
    prefix = prefix.strip("/")
    made: Place = from_extra("s3gw.admin.bucket", "Bucket")(
        endpoint_of(arguments, "endpoint"), bucket, f"{prefix}/" if prefix else ""
    )
    return made


@contextmanager
def _checkpoint(source: Path, arguments: argparse.Namespace, report: Report) -> Iterator[Path]:
    """What is to be copied; a checkpoint that was made for it is removed at the end."""
    if arguments.from_checkpoint:
        yield _newest(source)
        return
    if arguments.online is not None:
        made = ask_checkpoint(source, arguments.online)
    else:
        made = source / CHECKPOINT
        with database(source, report) as engine:
            shutil.rmtree(made, ignore_errors=True)  # of a backup that was interrupted
            take_checkpoint(engine, str(made))
    # From here on a gateway may run, and write: the checkpoint is no part of the database any more.
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _newest(source: Path) -> Path:
    if is_checkpoint(str(source)):
        if (source / "LOCK").exists():
            raise AdminError(f"{source} is no checkpoint but a database that was opened")
        return source
    found = checkpoints(str(source))
    if not found:
        raise AdminError(f"{source} holds no complete checkpoint")
    return Path(found[-1])


def run_list(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin backups TARGET``"""
    found = Repository(_place(arguments)).listings()
    document = [{"name": each.name, "files": len(each.files), "bytes": each.size} for each in found]
    report.result(document, [f"{each.name}: {len(each.files)} files, {in_bytes(each.size)}" for each in found])
    return 0


def run_restore(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin restore TARGET DB [--name NAME]``"""
    repository = Repository(_place(arguments))
    listing = repository.find(arguments.name)
    db: Path = arguments.db
    db.mkdir(mode=0o700, parents=True, exist_ok=True)
    if {each.name for each in db.iterdir()} - {"lost+found"}:
        raise AdminError(f"{db} is not empty; it was left alone")
    with report.progress("restored", listing.size, size=True) as step:
        repository.extract(listing, db, step)
    give_to_owner(db)
    document = {"name": listing.name, "files": len(listing.files), "bytes": listing.size}
    report.result(document, [f"{listing.name}: {len(listing.files)} files, {in_bytes(listing.size)}"])
    return 0


def _now() -> str:
    """The name of a backup that is made now: in the order of names they are in the order of time."""
    return datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
