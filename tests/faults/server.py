"""`FaultyServer`: a real gateway above a disk that fails when it is told to, and forgets what was not synced."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from mmap import mmap
from pathlib import Path
from random import Random
from typing import Any

from twisted.trial.unittest import SkipTest

from s3gw.masterkeys import MasterKeyRing, add_master_key
from tests.faults.disk import Disk, note_restart, read_journal
from tests.live.server import LiveServer

HERE = Path(__file__).parent

WRITES, SYNCS, READS, CREATIONS = 1, 2, 3, 4
"""Kinds of calls, as `shim.c` numbers them."""

LOGS, TABLES, OTHERS, DIRECTORY = 1, 2, 4, 8
"""Kinds of files, likewise; any of them or-ed."""

EVERYWHERE = LOGS | TABLES | OTHERS | DIRECTORY

_CONTROL = struct.Struct("=iiiiiiiiq")


@lru_cache
def shim() -> Path:
    """The compiled shim. :raises SkipTest: nothing here can compile it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        raise SkipTest("the faulty disk needs Linux and a C compiler")
    library = Path.cwd().absolute() / "shim.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(HERE / "shim.c"), "-ldl", "-pthread"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise SkipTest(f"the faulty disk cannot be compiled: {done.stderr[-300:]}")
    return library


class FaultyServer(LiveServer):
    """A `LiveServer` whose directory is watched.

    :param logged_chunks: how many chunks of a body go through the log, if not as many as for everybody.
    :ivar journal: everything that was done to the directory since the last start; see `disk`.
    :ivar settled: whether what is in the directory at a start is taken to be on disk. Else the journal goes on.
    :ivar keys: the master keys of what is encrypted.
    """

    program = (sys.executable, str(HERE / "gateway.py"), "-n", "--pidfile=")

    def __init__(
        self, directory: Path, args: tuple[str, ...] = (), *, logged_chunks: int | None = None, **options: Any
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        directory = directory.absolute()
        self.journal = directory / "journal"
        control = directory / "control"
        control.write_bytes(_CONTROL.pack(0, 0, 0, 0, 0, 0, 0, 0, -1))
        with control.open("r+b") as file:
            self._control = mmap(file.fileno(), _CONTROL.size)
        variables = {
            "LD_PRELOAD": str(shim()),
            "FAULTS_DIRECTORY": str(directory / "db"),
            "FAULTS_JOURNAL": str(self.journal),
            "FAULTS_CONTROL": str(control),
        }
        if logged_chunks is not None:
            variables["FAULTS_LOGGED_CHUNKS"] = str(logged_chunks)
        self.settled = True
        add_master_key(directory / "keys", "only")
        self.keys = MasterKeyRing(directory / "keys")
        args = (*args, f"--sse_key_file={self.keys.path}")
        super().__init__(directory, variables=variables, args=args, **options)
        self._before = directory / "before"

    def launch(self) -> None:
        """Start, and do not wait."""
        self.calm()
        if not self.settled:
            note_restart(self.journal)
            super().launch()
            return
        self.journal.write_bytes(b"")
        shutil.rmtree(self._before, ignore_errors=True)
        if self.db_path.exists():
            shutil.copytree(self.db_path, self._before)
        else:
            self.db_path.mkdir(mode=0o700)  # its own creation is not what is tried
            self._before.mkdir()
        super().launch()

    def fail(self, operation: int, files: int, error: int, *, after: int = 0) -> None:
        """From now on let calls of this kind on such files fail, once ``after`` of them went well."""
        delay, delayed, room = self._figures()[6:]
        self._control[:] = _CONTROL.pack(0, files, error, after, 0, 0, delay, delayed, room)
        self._control[:4] = struct.pack("=i", operation)

    def shrink(self, room: int) -> None:
        """Have the disk say that so many bytes are free."""
        self._control[32:40] = struct.pack("=q", room)

    def slow_down(self, milliseconds: int, files: int = EVERYWHERE) -> None:
        """Let each sync of such files take so long, those that are under way too; or until it is told otherwise."""
        self._control[24:32] = struct.pack("=ii", milliseconds, files)

    def calm(self) -> None:
        """Let everything go well again."""
        self._control[:] = _CONTROL.pack(0, 0, 0, 0, 0, 0, 0, 0, -1)

    @property
    def hits(self) -> int:
        """Calls that failed since `fail`."""
        return self._figures()[4]

    @property
    def syncs(self) -> int:
        """Syncs since `fail` or the start."""
        return self._figures()[5]

    def _figures(self) -> tuple[int, ...]:
        figures: tuple[int, ...] = _CONTROL.unpack(self._control[:])
        return figures

    def position(self) -> int:
        """How far the journal is."""
        return self.journal.stat().st_size

    def power_cuts(self, positions: list[int], form: str, random: Random) -> Iterator[tuple[int, Path]]:
        """For each position of the journal, ascending, a directory as a power cut there would have left it."""
        disk = Disk(self._before)
        records = read_journal(self.journal)
        at = 0
        for wanted in positions:
            while at < wanted:
                found = next(records, None)
                if found is None:
                    break
                at, record = found
                if at <= wanted:
                    disk.do(record)
                else:
                    late = record
            with self._left(disk, form, random) as where:
                yield wanted, where
            if at > wanted:
                disk.do(late)

    def seams(self) -> list[int]:
        """Positions of the journal at which two logs had writes that were not synced."""
        disk = Disk(self._before)
        found = []
        for at, record in read_journal(self.journal):
            disk.do(record)
            if disk.at_seam():
                found.append(at)
        return found

    @contextmanager
    def _left(self, disk: Disk, form: str, random: Random) -> Iterator[Path]:
        where = self.directory / "left"
        shutil.rmtree(where, ignore_errors=True)
        disk.cut(where, form, random)
        yield where
        shutil.rmtree(where, ignore_errors=True)

    def put_back(self, left: Path) -> None:
        """Let the server start with what a power cut has left."""
        shutil.rmtree(self.db_path)
        shutil.copytree(left, self.db_path)

    def close(self) -> None:
        """End it, and remove its files but for the log."""
        super().close()
        self.journal.unlink(missing_ok=True)
        shutil.rmtree(self._before, ignore_errors=True)
