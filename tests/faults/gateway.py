"""``twistd`` with a gateway whose memtables are small, so that a test sees flushes and compactions in seconds.

Everything else is as it is for everybody: options, service, threads; but for what is in the environment:

| variable               | is                                                |
|------------------------|---------------------------------------------------|
| `FAULTS_LOGGED_CHUNKS` | how many chunks of a body go through the log      |
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rocksdict import Options
from twisted.scripts.twistd import run

from s3gw.store import engine, staging

KIB = 1024


def small(make: Callable[..., Options]) -> Callable[..., Options]:
    """The same options with buffers of a few hundred KiB."""

    def options(*args: Any, **kwargs: Any) -> Options:
        made = make(*args, **kwargs)
        made.set_write_buffer_size(256 * KIB)
        made.set_target_file_size_base(256 * KIB)
        made.set_max_bytes_for_level_base(1024 * KIB)
        made.set_max_total_wal_size(4096 * KIB)
        return made

    return options


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).resolve().parent))  # the modules beside this one are not for everybody
    engine.database_options = small(engine.database_options)
    engine.body_options = small(engine.body_options)
    staging.LOGGED_CHUNKS = int(os.environ.get("FAULTS_LOGGED_CHUNKS", staging.LOGGED_CHUNKS))
    sys.argv[0] = "twistd"
    run()
