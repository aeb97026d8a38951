"""Uploads that nobody completes or aborts: they hold their parts until somebody does.

S3 leaves this to a lifecycle rule, AbortIncompleteMultipartUpload; the days count from the initiation there too.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html
"""

from __future__ import annotations

from s3gw.errors import NoSuchUpload, S3Error
from s3gw.operations.call import Storage
from s3gw.store.interface import AbortUpload, UploadQuery

PAGE = 100
"""Uploads that are looked at, and aborted, at a time: a sweep must not stand in the way of a client's commit."""


async def expire_uploads(storage: Storage, before: int) -> int:
    """Abort the uploads of every bucket that began before ``before``, ms since the epoch; how many there were.

    :raises S3Error: when the store cannot do it now; those aborted so far stay aborted."""
    count = 0
    for bucket in await storage.buckets():
        count += await _expire_in(storage, bucket.name, before)
    return count


async def _expire_in(storage: Storage, bucket: str, before: int) -> int:
    count = 0
    query = UploadQuery(limit=PAGE)
    while True:
        page = await storage.list_uploads(bucket, query)
        old = [upload for upload in page.uploads if upload.initiated < before]
        for outcome in await storage.commit_all([AbortUpload(bucket, it.key, it.upload) for it in old]):
            if not isinstance(outcome, S3Error):
                count += 1
            elif not isinstance(outcome, NoSuchUpload):
                raise outcome
        if not page.truncated:
            return count
        query = UploadQuery(after=page.last_key, after_upload=page.last_upload, limit=PAGE)
