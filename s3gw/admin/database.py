"""The database that a command is about, opened by whom it belongs to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from s3gw.admin.report import AdminError, Report
from s3gw.store.engine import Engine
from s3gw.store.offline import offline


@contextmanager
def database(path: Path, report: Report) -> Iterator[Engine]:
    """As `offline`; what a crash or the disk has taken is reported.

    :raises AdminError: it belongs to another user. :raises StoreUnusable:
    """
    require_owner(path)
    with offline(str(path), report.error) as engine:
        yield engine


def require_owner(path: Path) -> None:
    """Opening a database makes files in it, which a gateway of another user could not open: root asks first as well.

    :raises AdminError: the directory belongs to another user than runs this.
    """
    try:
        owner = path.stat().st_uid
    except OSError:
        return  # whoever opens it says why it cannot be
    if owner != os.geteuid():
        raise AdminError(
            f"{path} belongs to user {owner}: run this as that user, or the gateway could not open it again"
        )


def give_to_owner(directory: Path) -> None:
    """Let the files in a directory belong to whom the directory does, if we may decide that."""
    status = directory.stat()
    if status.st_uid != os.geteuid() == 0:
        for path in directory.iterdir():
            os.chown(path, status.st_uid, status.st_gid)
