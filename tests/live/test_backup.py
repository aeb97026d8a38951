"""Backups of a gateway that is running."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.bounded import join_all
from tests.live.case import KIB, LiveCase, some_bytes
from tests.live.server import ACCESS_KEY, CHECKOUT, SECRET_KEY, LiveServer, environment, shared_server

COMMAND_S = 60.0


class BackupCase(LiveCase):
    """``s3gw-admin`` beside a gateway.

    :ivar target: words that say where the backups are."""

    target: tuple[str, ...]

    def make_server(self) -> LiveServer:
        """One that has a place for checkpoints."""
        self.place = self.directory()
        self.target = (str(self.place / "backups"),)
        return self.own_server(args=(f"--checkpoint_dir={self.place / 'checkpoints'}",)).start()

    def admin(self, *words: object, status: int = 0) -> Any:
        """Run a command in a process of its own. :return: its document; its error, if the status is another than 0."""
        done = subprocess.run(
            [sys.executable, "-m", "s3gw.admin", *map(str, words), "--json"],
            cwd=CHECKOUT,
            env=environment(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY),
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout) if status == 0 else done.stderr

    def backup(self, *options: object, status: int = 0) -> Any:
        """Back the gateway up."""
        online = ("--online", self.place / "checkpoints")
        return self.admin("backup", self.server.db_path, *self.target, *online, *options, status=status)

    def restored(self) -> LiveServer:
        """A gateway on the newest backup, which passes the check."""
        db = self.place / "restored"
        shutil.rmtree(db, ignore_errors=True)
        self.admin("restore", self.target[0], db, *self.target[1:])
        self.assertEqual(self.admin("check", db)["faults"], [])
        return self.own_server(db_path=db).start()

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


class BackupTests(BackupCase):
    """Into a directory."""

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


class BucketTests(BackupCase):
    """Into a bucket of another gateway."""

    def setUp(self) -> None:
        super().setUp()
        self.other = shared_server("sigv4")
        self.there = self.other.s3()
        self.bucket = self.new_bucket(self.there)
        self.target = (f"s3://{self.bucket}/nightly/", "--endpoint", self.other.url)

    def stored(self) -> dict[str, int]:
        """What is in the bucket."""
        pages = self.there.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {it["Key"]: it["Size"] for page in pages for it in page.get("Contents", ())}

    def test_online(self) -> None:
        """What was answered before is in the backup, byte by byte; the second one copies what is new, and removes what
        only older ones had."""
        s3 = self.server.s3()
        bucket = self.new_bucket(s3)
        bodies = {f"key-{number}": some_bytes(KIB * (1 + 90 * number), number) for number in range(8)}
        for key, body in bodies.items():
            s3.put_object(Bucket=bucket, Key=key, Body=body)
        first = self.backup()
        self.assertEqual(first["bytes"], sum(size for key, size in self.stored().items() if "/files/" in key))
        s3.put_object(Bucket=bucket, Key="last", Body=b"last")
        second = self.backup()
        self.assertLess(second["copied_bytes"], first["bytes"] / 2)
        self.assertEqual(len(self.admin("backups", *self.target)), 2)
        third = self.backup("--keep", 1)
        self.assertEqual(third["removed"], [first["name"], second["name"]])
        kept = {key.rpartition("/")[2] for key in self.stored() if "/files/" in key}
        self.assertEqual(len(kept), third["files"])
        self.assertNotIn("nightly/lock", self.stored())
        copy = self.restored().s3()
        for key, body in {**bodies, "last": b"last"}.items():
            self.assertSame(copy.get_object(Bucket=bucket, Key=key)["Body"].read(), body)

    def test_damaged(self) -> None:
        """An object that has changed, and one that is gone, are named, and nothing that opens comes of it."""
        self.backup()
        largest = max((key for key in self.stored() if "/files/" in key), key=self.stored().__getitem__)
        body = bytearray(self.there.get_object(Bucket=self.bucket, Key=largest)["Body"].read())
        body[len(body) // 2] ^= 1
        self.there.put_object(Bucket=self.bucket, Key=largest, Body=bytes(body))
        db = self.place / "restored"
        words = ("restore", self.target[0], db, *self.target[1:])
        self.assertIn(f"{largest.rpartition('/')[2]} in s3://{self.bucket}", self.admin(*words, status=3))
        self.there.delete_object(Bucket=self.bucket, Key=largest)
        shutil.rmtree(db)
        self.assertIn("is missing", self.admin(*words, status=3))
        self.assertIn("not an s3gw store", self.admin("check", db, status=3))

    def test_locked(self) -> None:
        """Where somebody else is at work there is no backup, unless he has died long ago."""
        lock = {"Bucket": self.bucket, "Key": "nightly/lock"}
        self.backup()
        for when, status in ((time.time() - 60, 3), (time.time() - 3600, 0)):
            self.there.put_object(**lock, Body=json.dumps({"who": "process 1 on elsewhere", "when": when}))
            said = self.backup(status=status)
            self.assertTrue(status == 0 or "by process 1 on elsewhere" in said, said)

    def test_refused(self) -> None:
        """A bucket of something else, one that there is not, no endpoint, and one that does not answer."""
        self.there.put_object(Bucket=self.bucket, Key="theirs", Body=b"")
        self.target = (f"s3://{self.bucket}", *self.target[1:])
        self.assertIn("are no backups; they were left alone", self.backup(status=3))
        self.assertEqual(list(self.stored()), ["theirs"])
        self.assertIn("NoSuchBucket", self.admin("backups", "s3://no-such-bucket/x", *self.target[1:], status=3))
        self.assertIn("--endpoint is needed", self.admin("backups", "s3://bucket/x", status=3))
        self.assertIn("is for a target such as", self.admin("backups", self.place, *self.target[1:], status=3))
