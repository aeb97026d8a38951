"""Backups of a gateway that is running."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.bounded import join_all
from tests.live.case import KIB, LiveCase, some_bytes
from tests.live.server import CHECKOUT, LiveServer, environment

COMMAND_S = 60.0


class BackupTests(LiveCase):
    """``s3gw-admin`` beside a gateway."""

    def make_server(self) -> LiveServer:
        """One that has a place for checkpoints."""
        self.place = self.directory()
        return self.own_server(args=(f"--checkpoint_dir={self.place / 'checkpoints'}",)).start()

    def admin(self, *words: object, status: int = 0) -> Any:
        """Run a command in a process of its own. :return: its document; its error, if the status is another than 0."""
        done = subprocess.run(
            [sys.executable, "-m", "s3gw.admin", *map(str, words), "--json"],
            cwd=CHECKOUT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout) if status == 0 else done.stderr

    def backup(self) -> Any:
        """Back the gateway up."""
        return self.admin("backup", self.server.db_path, self.place / "backups", "--online", self.place / "checkpoints")

    def restored(self) -> LiveServer:
        """A gateway on the newest backup, which passes the check."""
        db = self.place / "restored"
        shutil.rmtree(db, ignore_errors=True)
        self.admin("restore", self.place / "backups", db)
        self.assertEqual(self.admin("check", db)["faults"], [])
        return self.own_server(db_path=db).start()

    def test_online(self) -> None:
        """A backup has everything that was answered before it, byte by byte, and what was written meanwhile whole or
        not at all; the second one copies what is new. No checkpoint is left behind."""
        s3 = self.server.s3()
        bucket = self.new_bucket(s3)
        bodies = {f"key-{number}": some_bytes(KIB * (1 + 40 * number), number) for number in range(20)}
        for key, body in bodies.items():
            s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"number": key[4:]})
        ending = threading.Event()
        writer = threading.Thread(target=self.write_on, args=(self.server.s3(), bucket, ending), daemon=True)
        writer.start()
        try:
            first = self.backup()
        finally:
            ending.set()
            join_all([writer], COMMAND_S)
        s3.put_object(Bucket=bucket, Key="last", Body=b"last")
        second = self.backup()
        self.assertLess(second["copied_bytes"], first["bytes"])
        self.assertEqual(list((self.place / "checkpoints").iterdir()), [])

        copy = self.restored().s3()
        for key, body in bodies.items():
            got = copy.get_object(Bucket=bucket, Key=key)
            self.assertEqual(got["Metadata"], {"number": key[4:]})
            self.assertSame(got["Body"].read(), body)
        self.assertEqual(copy.get_object(Bucket=bucket, Key="last")["Body"].read(), b"last")
        for it in copy.list_objects_v2(Bucket=bucket, Prefix="more/")["Contents"]:
            self.assertSame(copy.get_object(Bucket=bucket, Key=it["Key"])["Body"].read(), self.more(it["Key"]))

    def write_on(self, s3: Any, bucket: str, ending: threading.Event) -> None:
        """Put objects until told to stop."""
        number = 0
        while not ending.is_set():
            number += 1
            key = f"more/{number}"
            s3.put_object(Bucket=bucket, Key=key, Body=self.more(key))

    def more(self, key: str) -> bytes:
        """The body of such an object."""
        number = int(key[5:])
        return some_bytes(KIB * (1 + 37 * number % 500), number)

    def test_signal(self) -> None:
        """SIGUSR2 makes a checkpoint that can be opened, named in one line of the log; /metrics tells when."""
        s3 = self.server.s3()
        bucket = self.new_bucket(s3)
        s3.put_object(Bucket=bucket, Key="key", Body=b"body")
        self.server.send_signal(signal.SIGUSR2)
        path = Path(self.server.wait_for_log(r"checkpoint (\S+) was made in \d+ ms")[1])
        s3.delete_object(Bucket=bucket, Key="key")
        self.assertEqual(path.parent, self.place / "checkpoints")
        self.assertEqual((path.stat().st_mode | path.parent.stat().st_mode) & 0o077, 0)
        self.assertEqual(self.admin("check", path)["faults"], [])
        copy = self.own_server(db_path=path).start().s3()
        self.assertEqual(copy.get_object(Bucket=bucket, Key="key")["Body"].read(), b"body")

    def test_nowhere(self) -> None:
        """A gateway without a place for checkpoints says so, and goes on; so does the command that asked."""
        self.server = server = self.own_server().start()
        server.send_signal(signal.SIGUSR2)
        server.wait_for_log("no --checkpoint_dir")
        bucket = self.new_bucket(server.s3())
        self.assertEqual([it["Name"] for it in server.s3().list_buckets()["Buckets"]], [bucket])
