"""What lifecycle rules have ended, and its end.

A sweep reads the versions of each bucket that has rules, in order, a page at a time, and keeps nothing but where it is:
one that is cut off begins anew. Each object, version or upload goes in a commit of its own, and only if it is still
what the sweep saw: what a client does meanwhile comes first. What is locked stays.

=========================  =========================================================================================
rule                       ends
=========================  =========================================================================================
Expiration                 the current version, behind a delete marker where there is versioning. With days also a
                           delete marker of that age with nothing behind it
ExpiredObjectDeleteMarker  a delete marker with nothing behind it
NoncurrentVersion...       a version, or delete marker, so many days after a newer one came, for good
AbortIncomplete...         an upload
=========================  =========================================================================================

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-expire-general-considerations.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from s3gw.errors import AccessDenied, NoSuchBucket, NoSuchUpload, PreconditionFailed, S3Error
from s3gw.model import BucketInfo, ObjectInfo, UploadInfo, VersionEntry
from s3gw.operations.call import Storage
from s3gw.s3.lifecycle import DOCUMENT, Calendar, Rule, rules_of, shared_prefix
from s3gw.s3.locks import is_locked
from s3gw.store.interface import AbortUpload, ExpireObject, ExpireVersion, Mutation, UploadQuery, VersionQuery

PAGE = 1000
"""Versions, or uploads, that are looked at between two pauses."""

BATCH = 100
"""What is ended between two pauses: a sweep must not stand in the way of a client's commit."""

KINDS = ("object", "version", "marker", "upload")
"""What can end: a current version, another version, a delete marker, an upload."""

_OVERTAKEN = (PreconditionFailed, AccessDenied, NoSuchUpload, NoSuchBucket)
"""What a mutation meets where a client was faster."""


class _Seen(NamedTuple):
    """A version in its place among those of its key.

    :ivar since: when a newer one came, ms since the epoch. :ivar newer: how many newer ones are not current.
    :ivar last: whether no older one is known of.
    """

    key: str
    info: ObjectInfo
    latest: bool
    since: int
    newer: int
    last: bool

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return "marker" if self.info.marker else "object" if self.latest else "version"


class _Place:
    """Where a walk over versions is, from one page to the next."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._since = 0
        self._newer = 0

    def see(self, entries: Sequence[VersionEntry]) -> Iterator[_Seen]:
        """The entries of a page, each in its place."""
        for entry, following in zip_longest(entries, entries[1:]):
            if entry.key != self._key:
                self._key, self._since, self._newer = entry.key, 0, 0
            last = following is None or following.key != entry.key
            yield _Seen(entry.key, entry.info, entry.latest, self._since, self._newer, last)
            self._since = entry.info.modified
            self._newer += not entry.latest and not entry.info.marker


def configurations(buckets: Iterable[BucketInfo]) -> dict[str, bytes]:
    """The rules of buckets that have some, as they are stored, by name."""
    return {bucket.name: bucket.documents[DOCUMENT] for bucket in buckets if DOCUMENT in bucket.documents}


class LifecycleSweep:
    """One sweep.

    :param now: ms since the epoch, the moment that counts for all of it.
    :param pause: awaited after each page and each batch: it bounds the rate, and may end the sweep by an exception.
    :param ended: called with one of `KINDS` for each thing that is gone.
    :param known: the configurations that an earlier sweep has seen, by bucket; any other is not followed yet. None for
        all of them.
    :ivar seen: those that this one has seen. :ivar looked_at: versions and uploads that were looked at.
    """

    def __init__(
        self,
        storage: Storage,
        calendar: Calendar,
        now: int,
        pause: Callable[[], Awaitable[None]],
        ended: Callable[[str], object],
        known: Mapping[str, bytes] | None = None,
    ) -> None:
        self.seen: dict[str, bytes] = {}
        self._storage = storage
        self._calendar = calendar
        self._now = now
        self._pause = pause
        self._ended = ended
        self._known = known
        self.looked_at = 0

    async def run(self) -> None:
        """Sweep all buckets. :raises S3Error: when the store cannot do it now; what is gone by then stays gone."""
        buckets = await self._storage.buckets()
        self.seen = configurations(buckets)
        for bucket in buckets:
            stored = self.seen.get(bucket.name)
            if stored is None or (self._known is not None and self._known.get(bucket.name) != stored):
                continue
            rules = [rule for rule in rules_of(stored) if rule.enabled]
            await self._sweep_versions(bucket, [rule for rule in rules if rule.is_of_versions])
            await self._sweep_uploads(bucket, [rule for rule in rules if rule.abort_days is not None])

    async def _sweep_versions(self, bucket: BucketInfo, rules: Sequence[Rule]) -> None:
        query = VersionQuery(shared_prefix(rules), limit=PAGE)
        place = _Place()
        while rules:
            page = await self._storage.list_versions(bucket.name, query)
            self.looked_at += len(page.entries)
            # A listing has no tags: what only they could spare is looked up.
            doomed = [seen for seen in place.see(page.entries) if self._ends(rules, seen, seen.info, tagged=False)]
            for start in range(0, len(doomed), BATCH):
                await self._end_versions(bucket, rules, doomed[start : start + BATCH])
            if not page.truncated:
                return
            query = VersionQuery(query.prefix, "", page.last, page.last_order, PAGE)
            await self._pause()

    def _ends(self, rules: Sequence[Rule], seen: _Seen, info: ObjectInfo, *, tagged: bool = True) -> bool:
        """Whether a rule has ended a version. :param tagged: whether ``info`` has its tags."""
        return any(
            rule.admits(seen.key, info) if tagged else rule.may_admit(seen.key, info.size)
            for rule in rules
            if self._is_due(rule, seen)
        )

    def _is_due(self, rule: Rule, seen: _Seen) -> bool:
        """Whether the time of a version has come, if the rule is about it."""
        now, calendar, info = self._now, self._calendar, seen.info
        if info.marker and not rule.is_of_markers:
            return False
        if not seen.latest:
            days = rule.noncurrent_days
            return days is not None and seen.newer >= rule.newer and calendar.after(seen.since, days) <= now
        if not info.marker:
            end = calendar.expiry(rule, info.modified)
            return end is not None and end <= now
        old = rule.days is not None and calendar.after(info.modified, rule.days) <= now
        return seen.last and (rule.markers or old)

    async def _end_versions(self, bucket: BucketInfo, rules: Sequence[Rule], doomed: Sequence[_Seen]) -> None:
        found = await self._storage.find_versions(bucket.name, [(seen.key, seen.info.version) for seen in doomed])
        mutations = [
            (seen.kind, self._mutation(bucket, seen, info))
            for seen, info in zip(doomed, found, strict=True)
            if info is not None and self._ends(rules, seen, info) and not is_locked(info.lock, self._now)
        ]
        await self._commit(mutations)

    def _mutation(self, bucket: BucketInfo, seen: _Seen, info: ObjectInfo) -> Mutation:
        if seen.kind == "object":
            return ExpireObject(bucket.name, seen.key, info, self._now, bucket.owner, bucket.created)
        return ExpireVersion(bucket.name, seen.key, info, self._now, seen.latest, bucket.created)

    async def _sweep_uploads(self, bucket: BucketInfo, rules: Sequence[Rule]) -> None:
        query = UploadQuery(shared_prefix(rules), limit=PAGE)
        while rules:
            page = await self._storage.list_uploads(bucket.name, query)
            self.looked_at += len(page.uploads)
            doomed = [upload for upload in page.uploads if self._is_over(rules, upload)]
            for start in range(0, len(doomed), BATCH):
                batch = doomed[start : start + BATCH]
                await self._commit([("upload", AbortUpload(bucket.name, it.key, it.upload)) for it in batch])
            if not page.truncated:
                return
            query = UploadQuery(query.prefix, "", page.last_key, page.last_upload, PAGE)
            await self._pause()

    def _is_over(self, rules: Sequence[Rule], upload: UploadInfo) -> bool:
        return any(
            upload.key.startswith(rule.prefix)
            and rule.abort_days is not None
            and self._calendar.after(upload.initiated, rule.abort_days) <= self._now
            for rule in rules
        )

    async def _commit(self, mutations: Sequence[tuple[str, Mutation]]) -> None:
        """Do these, and count. :raises S3Error:"""
        if not mutations:
            return
        outcomes = await self._storage.commit_all([mutation for _, mutation in mutations])
        failed: S3Error | None = None
        for (kind, _), outcome in zip(mutations, outcomes, strict=True):
            if not isinstance(outcome, S3Error):
                self._ended(kind)
            elif not isinstance(outcome, _OVERTAKEN):
                failed = outcome
        if failed is not None:
            raise failed
        await self._pause()
