"""What was copied, in an SQLite file that is whole after every crash.

Two endpoints need not agree on the ETag of the same object: one that came in parts has another for each size of parts.
The ledger knows which pair of ETags was one object, and when the source had changed it last. It knows the uploads that
are under way, too, so that those of a run that was killed can be aborted.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Lock

from s3gw.admin.migrate.pairs import Listed
from s3gw.admin.report import AdminError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ends (source TEXT NOT NULL, target TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS copied (
    bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
    source_etag TEXT NOT NULL, source_modified TEXT NOT NULL, target_etag TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (bucket TEXT NOT NULL, key TEXT NOT NULL, upload TEXT PRIMARY KEY);
"""


class Ledger:
    """The ledger of one migration. Threads may share it. Its buckets are those of the target.

    :param path: of the file; None keeps it in memory, for this run.
    :raises AdminError: the file is another migration's, or none of ours.
    """

    def __init__(self, path: Path | None, source: str, target: str) -> None:
        self._lock = Lock()
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
            ends = self._db.execute("SELECT source, target FROM ends").fetchone()
            if ends is None:
                self._db.execute("INSERT INTO ends VALUES (?, ?)", (source, target))
        except sqlite3.Error as error:
            raise AdminError(f"{path}: {error}") from None
        if ends not in (None, (source, target)):
            raise AdminError(f"{path} is about {ends[0]} and {ends[1]}: take another file for another migration")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def same(self, bucket: str, here: Listed, there: Listed) -> bool:
        """Whether these two are what was copied, and the source was not written since."""
        known = (here.size, here.etag, here.modified.isoformat(), there.etag)
        return self._row(bucket, here.key) == known

    def _row(self, bucket: str, key: str) -> tuple[object, ...] | None:
        asked = "SELECT size, source_etag, source_modified, target_etag FROM copied WHERE bucket = ? AND key = ?"
        with self._lock:
            found: tuple[object, ...] | None = self._db.execute(asked, (bucket, key)).fetchone()
        return found

    def copied(self, bucket: str, here: Listed, target_etag: str) -> None:
        """An object has arrived."""
        row = (bucket, here.key, here.size, here.etag, here.modified.isoformat(), target_etag)
        self._write("INSERT OR REPLACE INTO copied VALUES (?, ?, ?, ?, ?, ?)", row)

    def forget(self, bucket: str, key: str) -> None:
        """An object was deleted."""
        self._write("DELETE FROM copied WHERE bucket = ? AND key = ?", (bucket, key))

    def upload_begun(self, bucket: str, key: str, upload: str) -> None:
        """An upload in parts is under way."""
        self._write("INSERT INTO uploads VALUES (?, ?, ?)", (bucket, key, upload))

    def upload_ended(self, upload: str) -> None:
        """It was completed, or aborted."""
        self._write("DELETE FROM uploads WHERE upload = ?", (upload,))

    def uploads(self) -> list[tuple[str, str, str]]:
        """Bucket, key and id of the uploads that did not end."""
        with self._lock:
            return self._db.execute("SELECT bucket, key, upload FROM uploads").fetchall()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with self._lock:
            self._db.execute(statement, values)
