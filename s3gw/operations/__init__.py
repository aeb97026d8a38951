"""What each S3 call means: one coroutine for each operation, and the table that finds it."""

from __future__ import annotations

from collections.abc import Mapping

from s3gw.operations import buckets, copies, deletes, listings, multipart, objects
from s3gw.operations.call import Operation

OPERATIONS: Mapping[str, Operation] = {
    "AbortMultipartUpload": multipart.abort_multipart_upload,
    "CompleteMultipartUpload": multipart.complete_multipart_upload,
    "CopyObject": copies.copy_object,
    "CreateBucket": buckets.create_bucket,
    "CreateMultipartUpload": multipart.create_multipart_upload,
    "DeleteBucket": buckets.delete_bucket,
    "DeleteObject": objects.delete_object,
    "DeleteObjects": deletes.delete_objects,
    "GetBucketLocation": buckets.get_bucket_location,
    "GetObject": objects.get_object,
    "HeadBucket": buckets.head_bucket,
    "HeadObject": objects.head_object,
    "ListBuckets": listings.list_buckets,
    "ListMultipartUploads": multipart.list_multipart_uploads,
    "ListObjects": listings.list_objects,
    "ListObjectsV2": listings.list_objects_v2,
    "ListParts": multipart.list_parts,
    "PutObject": objects.put_object,
    "UploadPart": multipart.upload_part,
    "UploadPartCopy": copies.upload_part_copy,
}
"""The operations that are implemented, by name. Any other that `s3gw.s3.routes` knows is answered NotImplemented."""
