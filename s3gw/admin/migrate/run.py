"""The command: which buckets, who does the work, and what came of it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Event, Lock, Semaphore
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from s3gw.admin.endpoint import Endpoint, endpoint_of
from s3gw.admin.migrate.copy import Changed, Copier, Stopped, Unproven
from s3gw.admin.migrate.ledger import Ledger
from s3gw.admin.migrate.pairs import Listed, pairs, walk
from s3gw.admin.remote import connect, telling
from s3gw.admin.report import AdminError, Report, in_bytes

FAILED = 1
"""The exit status when an object could not be copied."""

ATTEMPTS = 3
"""At an object, beside those of botocore at each request: bodies break off, objects are replaced."""

PAUSE_SECONDS = 0.5
SHOWN_FAILURES = 100
MIB = 1 << 20

GONE = frozenset({"NoSuchKey", "404"})


class Failure(msgspec.Struct, frozen=True):
    """An object that could not be copied, and why."""

    key: str
    reason: str


class Bucket(msgspec.Struct):
    """What came of a bucket.

    :ivar objects: of the source, as listed; ``bytes`` likewise.
    :ivar same: were there already. ``copied`` and ``copied_bytes``: were not, or differed.
    :ivar extra: only the target has them; ``deleted``: of those, were deleted.
    :ivar gone: were deleted from the source after they were listed.
    :ivar failed: could not be copied; ``failures`` has the first of them.
    :ivar versioned: the source keeps older versions, which are not copied.
    """

    source: str
    target: str
    objects: int = 0
    bytes: int = 0
    same: int = 0
    copied: int = 0
    copied_bytes: int = 0
    extra: int = 0
    deleted: int = 0
    gone: int = 0
    failed: int = 0
    versioned: bool = False
    failures: list[Failure] = []  # msgspec copies it


class Result(msgspec.Struct, frozen=True):
    """What came of all."""

    source: str
    target: str
    dry_run: bool
    seconds: float
    buckets: list[Bucket]


def run_migrate(arguments: argparse.Namespace, report: Report) -> int:
    """``s3gw-admin migrate``. :return: 0 when the target has everything, 1 when something could not be copied."""
    source, target = endpoint_of(arguments, "source", "source_"), endpoint_of(arguments, "target", "target_")
    if source.url == target.url and not arguments.bucket:
        raise AdminError("source and target are one endpoint: name buckets as FROM=TO")
    began = time.monotonic()
    connections = 2 * arguments.parallel + 4
    with telling(source):
        here = connect(source, connections=connections)
        names = _chosen(here, arguments.bucket)
    with telling(target):
        there = connect(target, connections=connections)
        there.list_buckets()
    with closing(Ledger(arguments.state, source.url, target.url)) as ledger:
        _abort(there, ledger)
        with closing(Migration((source, here), (target, there), ledger, arguments, report)) as migration:
            buckets = [migration.bucket(*pair) for pair in names]
    result = Result(source.url, target.url, arguments.dry_run, round(time.monotonic() - began, 3), buckets)
    report.result(result, _lines(result))
    return FAILED if any(bucket.failed for bucket in buckets) else 0


def _chosen(s3: Any, given: list[str] | None) -> list[tuple[str, str]]:
    """The buckets, each with its name at the target."""
    if not given:
        return [(each["Name"], each["Name"]) for each in s3.list_buckets()["Buckets"]]
    chosen = []
    for word in given:
        name, _, other = word.partition("=")
        s3.head_bucket(Bucket=name)
        chosen.append((name, other or name))
    return chosen


def _abort(s3: Any, ledger: Ledger) -> None:
    """Abort what a run that was killed has left under way."""
    for bucket, key, upload in ledger.uploads():
        with suppress(ClientError):
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        ledger.upload_ended(upload)


class Migration:
    """The threads of a migration, and the counts that they share.

    At most twice as many objects as there are threads are decided upon and not done: memory does not grow with buckets.
    """

    def __init__(
        self,
        source: tuple[Endpoint, Any],
        target: tuple[Endpoint, Any],
        ledger: Ledger,
        arguments: argparse.Namespace,
        report: Report,
    ) -> None:
        self._source_end, self._source = source
        self._target_end, self._target = target
        self._ledger = ledger
        self._report = report
        self._prefix: str = arguments.prefix
        self._delete: bool = arguments.delete
        self._dry_run: bool = arguments.dry_run
        self._stop = Event()
        self._lock = Lock()
        self._room = Semaphore(2 * arguments.parallel)
        self._objects = ThreadPoolExecutor(arguments.parallel)
        self._parts = ThreadPoolExecutor(arguments.parallel)
        self._copier = Copier(
            self._source, self._target, ledger, self._parts, arguments.part_mb * MIB, arguments.verify, self._stop
        )

    def close(self) -> None:
        """End the threads; after an interruption at the next part."""
        self._stop.set()
        self._objects.shutdown(cancel_futures=True)
        self._parts.shutdown(cancel_futures=True)

    def bucket(self, name: str, other: str) -> Bucket:
        """Copy a bucket. :raises AdminError: it cannot be listed, or made."""
        tally = Bucket(name, other)
        with suppress(ClientError):
            tally.versioned = self._source.get_bucket_versioning(Bucket=name).get("Status") == "Enabled"
        with telling(self._target_end):
            exists = self._make(other)
        running: list[Future[None]] = []
        listed = walk(self._source, self._source_end, name, self._prefix)
        there = walk(self._target, self._target_end, other, self._prefix) if exists else iter(())
        for here, found in pairs(listed, there):
            self._room.acquire()
            task = self._objects.submit(self._decide, tally, here, found)
            task.add_done_callback(lambda _: self._room.release())
            running = [each for each in running if not each.done()] + [task]
            self._report.show(
                f"{name}: {tally.objects} seen, {tally.same} the same, {tally.failed} failed, "
                f"{tally.copied} copied ({in_bytes(tally.copied_bytes)})"
            )
        for task in running:
            task.result()
        return tally

    def _make(self, bucket: str) -> bool:
        """Make the bucket at the target if it is not there. :return: whether it is now."""
        try:
            self._target.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            if self._dry_run:
                return False
            self._target.create_bucket(Bucket=bucket)
        return True

    def _decide(self, tally: Bucket, here: Listed | None, there: Listed | None) -> None:
        """Do with a key what has to be done."""
        if here is None:
            assert there is not None
            self._count(tally, extra=1)
            if self._delete and not self._dry_run:
                self._try(tally, there, lambda: self._remove(tally, there))
            return
        self._count(tally, objects=1, bytes=here.size)
        self._try(tally, here, lambda: self._bring(tally, here, there))

    def _remove(self, tally: Bucket, it: Listed) -> None:
        self._target.delete_object(Bucket=tally.target, Key=it.key)
        self._ledger.forget(tally.target, it.key)
        self._count(tally, deleted=1)

    def _bring(self, tally: Bucket, here: Listed, there: Listed | None) -> None:
        if there is not None and self._same(tally, here, there):
            self._count(tally, same=1)
            return
        if not self._dry_run:
            self._copier.copy(tally.source, here, tally.target)
        self._count(tally, copied=1, copied_bytes=here.size)

    def _same(self, tally: Bucket, here: Listed, there: Listed) -> bool:
        """Whether the target's object needs no copying."""
        if here.size != there.size:
            return False
        if self._ledger.same(tally.target, here, there):
            return True
        if here.etag != there.etag:
            return False
        # The same bytes. Written later than the copy, or in the same second, they may have got other headers.
        return here.modified < there.modified or self._copier.same_headers(tally.source, here, tally.target)

    def _try(self, tally: Bucket, it: Listed, act: Any) -> None:
        """Do it, a few times if need be, and keep account of what is not to be done."""
        for attempt in range(1, ATTEMPTS + 1):
            if self._stop.is_set():
                return
            try:
                act()
                return
            except Stopped:
                return
            except Changed:
                reason = "it is replaced all the time: try again when it is not"
            except ClientError as error:
                if error.operation_name == "GetObject" and error.response["Error"]["Code"] in GONE:
                    self._count(tally, gone=1)
                    return
                reason = str(error)
            except (BotoCoreError, Unproven, OSError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
            except Exception as error:  # botocore lets those of urllib3 through while a body is read
                reason = " ".join(repr(error).split())
            if attempt < ATTEMPTS:
                self._stop.wait(PAUSE_SECONDS * attempt)
        self._count(tally, failed=1)
        with self._lock:
            if len(tally.failures) < SHOWN_FAILURES:
                tally.failures.append(Failure(it.key, reason))

    def _count(self, tally: Bucket, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                setattr(tally, name, getattr(tally, name) + number)


def _lines(result: Result) -> Iterator[str]:
    for it in result.buckets:
        name = it.source if it.source == it.target else f"{it.source} to {it.target}"
        verb = "to copy" if result.dry_run else "copied"
        yield (
            f"{name}: {it.objects} objects, {in_bytes(it.bytes)}; {it.copied} {verb} ({in_bytes(it.copied_bytes)}), "
            f"{it.same} the same, {it.gone} gone, {it.failed} failed; "
            f"{it.extra} only at the target, {it.deleted} deleted"
        )
        if it.versioned:
            yield f"{name}: has older versions, which are not copied"
        yield from (f"{name}/{failure.key}: {failure.reason}" for failure in it.failures)
