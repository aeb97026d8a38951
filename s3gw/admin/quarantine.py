"""The directory where damaged things go: everything that is left of each, in two files.

=======================  ===========================================================================================
file                     is
=======================  ===========================================================================================
``<number>.body``        the bytes in their places, zeros where bytes are lost; of a record, the record as it lay there
``<number>.json``        kind, name, record, and which ranges of the body are lost; written last: without it the body is
                         not complete
=======================  ===========================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from s3gw.store.checkpoint import sync_directory
from s3gw.store.repair import Damaged


class QuarantineDirectory:
    """A `Quarantine` on disk. The directory is made, with mode 0700, when it is missing."""

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._number = max((int(each.stem) for each in path.iterdir() if each.stem.isdigit()), default=0)

    def keep(self, it: Damaged, body: Iterable[tuple[int, bytes | None]]) -> None:
        """As `Quarantine.keep`."""
        self._number += 1
        draft = self._path / f"{self._number:06}.body"
        lost: list[list[int]] = []
        size = it.info.size if it.info is not None else 0
        with draft.open("xb") as file:
            for position, piece in body:
                if piece is None:
                    if not lost or len(lost[-1]) == 2:
                        lost.append([position])
                    continue
                _close(lost, position)
                file.seek(position)
                file.write(piece)
                size = max(size, position + len(piece))
            _close(lost, size)
            file.truncate(size)
            _sync(file)
        document = {"kind": it.kind, "name": it.name, "record": it.info, "lost": lost}
        with (self._path / f"{self._number:06}.json").open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
            _sync(file)
        sync_directory(str(self._path))


def _close(lost: list[list[int]], end: int) -> None:
    """The range that was still open ends here: it is from its first byte to ``end``, exclusive."""
    if lost and len(lost[-1]) == 1:
        lost[-1].append(end)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
