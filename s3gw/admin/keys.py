"""``sse-key`` and ``sse-rotate``: the master keys of ``--sse_key_file``."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from pathlib import Path

from s3gw.admin.database import database
from s3gw.admin.report import AdminError, Report
from s3gw.cipher import MASTER, Tampered, unwrap, wrap
from s3gw.masterkeys import MasterKeyRing, add_master_key
from s3gw.model import Encryption
from s3gw.settings import ConfigurationError
from s3gw.store.rewrap import Change, rewrap


def run_add_key(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin sse-key FILE``"""
    path: Path = arguments.file.absolute()
    id = arguments.id or datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    try:
        add_master_key(path, id)
    except ConfigurationError as error:
        raise AdminError(str(error)) from None
    report.result({"file": str(path), "id": id}, [f"{path}: new objects are encrypted under {id} from the next SIGHUP"])
    return 0


def run_rotate(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin sse-rotate DB FILE``"""
    try:
        ring = MasterKeyRing(arguments.file.absolute())
    except ConfigurationError as error:
        raise AdminError(str(error)) from None
    with database(arguments.db, report) as engine, report.progress("records read") as seen:
        found = rewrap(engine, _to_active(ring), seen)
    lines = [
        f"put under {ring.active.id}: {found.rewrapped}; under it before, or under customer keys: {found.unchanged}"
    ]
    if found.unreadable:
        lines.append(f"damaged records, left alone: {found.unreadable} (see s3gw-admin check)")
    report.result(found, lines)
    return 0


def _to_active(ring: MasterKeyRing) -> Change:
    """Wrap with the active key whatever is wrapped with another. :raises AdminError: that is not in the file."""

    def change(stored: Encryption, bucket: str, key: str) -> Encryption | None:
        if stored.kind != MASTER or stored.master == ring.active.id:
            return None
        master = ring.find(stored.master)
        if master is None:
            raise AdminError(f"the key {stored.master} of {bucket}/{key} is not in {ring.path}")
        try:
            return wrap(unwrap(stored, master, bucket, key), ring.active, bucket, key)
        except Tampered:
            raise AdminError(f"the key {stored.master} in {ring.path} is not the one of {bucket}/{key}") from None

    return change
