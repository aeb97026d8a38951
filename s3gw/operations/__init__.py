"""What each S3 call means: one coroutine for each operation, and the table that finds it."""

from __future__ import annotations

from collections.abc import Mapping

from s3gw.operations import (
    attributes,
    buckets,
    copies,
    cors,
    deletes,
    encryption,
    forms,
    listings,
    locks,
    multipart,
    objects,
    tagging,
    versioning,
)
from s3gw.operations.call import Operation
from s3gw.operations.configuration import UNCONFIGURED

OPERATIONS: Mapping[str, Operation] = {
    **UNCONFIGURED,
    "AbortMultipartUpload": multipart.abort_multipart_upload,
    "CompleteMultipartUpload": multipart.complete_multipart_upload,
    "CopyObject": copies.copy_object,
    "CreateBucket": buckets.create_bucket,
    "CreateMultipartUpload": multipart.create_multipart_upload,
    "DeleteBucket": buckets.delete_bucket,
    "DeleteBucketCors": cors.delete_bucket_cors,
    "DeleteBucketEncryption": encryption.delete_bucket_encryption,
    "DeleteBucketTagging": tagging.delete_bucket_tagging,
    "DeleteObject": objects.delete_object,
    "DeleteObjects": deletes.delete_objects,
    "DeleteObjectTagging": tagging.delete_object_tagging,
    "GetBucketCors": cors.get_bucket_cors,
    "GetBucketEncryption": encryption.get_bucket_encryption,
    "GetBucketLocation": buckets.get_bucket_location,
    "GetBucketTagging": tagging.get_bucket_tagging,
    "GetBucketVersioning": versioning.get_bucket_versioning,
    "GetObject": objects.get_object,
    "GetObjectAttributes": attributes.get_object_attributes,
    "GetObjectLegalHold": locks.get_object_legal_hold,
    "GetObjectLockConfiguration": locks.get_object_lock_configuration,
    "GetObjectRetention": locks.get_object_retention,
    "GetObjectTagging": tagging.get_object_tagging,
    "GetObjectTorrent": objects.get_object_torrent,
    "HeadBucket": buckets.head_bucket,
    "HeadObject": objects.head_object,
    "ListBuckets": listings.list_buckets,
    "ListMultipartUploads": multipart.list_multipart_uploads,
    "ListObjectVersions": listings.list_object_versions,
    "ListObjects": listings.list_objects,
    "ListObjectsV2": listings.list_objects_v2,
    "ListParts": multipart.list_parts,
    "PostObject": forms.post_object,
    "PreflightCORS": cors.preflight_cors,
    "PutBucketCors": cors.put_bucket_cors,
    "PutBucketEncryption": encryption.put_bucket_encryption,
    "PutBucketTagging": tagging.put_bucket_tagging,
    "PutBucketVersioning": versioning.put_bucket_versioning,
    "PutObject": objects.put_object,
    "PutObjectLegalHold": locks.put_object_legal_hold,
    "PutObjectLockConfiguration": locks.put_object_lock_configuration,
    "PutObjectRetention": locks.put_object_retention,
    "PutObjectTagging": tagging.put_object_tagging,
    "UploadPart": multipart.upload_part,
    "UploadPartCopy": copies.upload_part_copy,
}
"""The operations that are implemented, by name. Any other that `s3gw.s3.routes` knows is answered NotImplemented."""
