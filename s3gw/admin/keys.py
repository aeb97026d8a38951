"""``s3gw-admin sse-key``: a key for ``--sse_key_file``."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from pathlib import Path

from s3gw.admin.report import AdminError, Report
from s3gw.masterkeys import add_master_key
from s3gw.settings import ConfigurationError


def run_add_key(arguments: argparse.Namespace, report: Report) -> int:
    """Append a key to the file, and make the file when it is missing."""
    path: Path = arguments.file.absolute()
    id = arguments.id or datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    try:
        add_master_key(path, id)
    except ConfigurationError as error:
        raise AdminError(str(error)) from None
    report.result({"file": str(path), "id": id}, [f"{path}: new objects are encrypted under {id} from the next SIGHUP"])
    return 0
