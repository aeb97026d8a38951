"""What each operation needs: the one table that says which action a policy must allow, and who may without a policy.

| of          | the resource   | who may when no policy says anything                                            |
|-------------|----------------|---------------------------------------------------------------------------------|
| ``SERVICE`` | none           | whoever signs                                                                   |
| ``BUCKET``  | the bucket     | the bucket's owner; others as its list grants ``grant``, if that is given       |
| ``KEY``     | bucket and key | the same: what is done to a key, whatever object is there                       |
| ``OBJECT``  | bucket and key | the object's owner; others as the object's list grants ``grant``, or, if none   |
|             |                | can be given, the bucket's owner                                                |
| ``UPLOAD``  | bucket and key | the bucket's owner, and whoever began the upload                                |
| ``NOTHING`` |                | everybody                                                                       |

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#acl-access-policy-permission-mapping
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from s3gw.access.acl import READ, READ_ACP, WRITE, WRITE_ACP


class Of(Enum):
    """What a permission is about, and so who has it without a policy."""

    NOTHING = "nothing"
    SERVICE = "service"
    BUCKET = "bucket"
    KEY = "key"
    OBJECT = "object"
    UPLOAD = "upload"


class Permission(msgspec.Struct, frozen=True):
    """What an operation needs.

    :ivar actions: all of which must be allowed. :ivar grant: what a list must grant; empty when no list can.
    :ivar versioned: the actions when the request names a version.
    """

    of: Of
    actions: tuple[str, ...] = ()
    grant: str = ""
    versioned: tuple[str, ...] = ()


def _bucket(action: str, grant: str = "") -> Permission:
    return Permission(Of.BUCKET, (f"s3:{action}",), grant)


def _key(action: str, grant: str = "", versioned: str = "") -> Permission:
    return Permission(Of.KEY, (f"s3:{action}",), grant, (f"s3:{versioned or action}",))


def _object(*actions: str, grant: str = "", versioned: tuple[str, ...] = ()) -> Permission:
    return Permission(
        Of.OBJECT,
        tuple(f"s3:{action}" for action in actions),
        grant,
        tuple(f"s3:{action}" for action in versioned or actions),
    )


def _upload(action: str) -> Permission:
    return Permission(Of.UPLOAD, (f"s3:{action}",), "", (f"s3:{action}",))


_READ_OBJECT = _object("GetObject", grant=READ, versioned=("GetObjectVersion",))
_WRITE_KEY = _key("PutObject", WRITE)
_LIST = _bucket("ListBucket", READ)

PERMISSIONS: Mapping[str, Permission] = {
    "AbortMultipartUpload": _upload("AbortMultipartUpload"),
    "CompleteMultipartUpload": _WRITE_KEY,
    "CopyObject": _WRITE_KEY,
    "CreateBucket": Permission(Of.SERVICE, ("s3:CreateBucket",)),
    "CreateBucketMetadataConfiguration": _bucket("CreateBucketMetadataTableConfiguration"),
    "CreateBucketMetadataTableConfiguration": _bucket("CreateBucketMetadataTableConfiguration"),
    "CreateMultipartUpload": _WRITE_KEY,
    "CreateSession": Permission(Of.BUCKET, ("s3express:CreateSession",)),
    "DeleteBucket": _bucket("DeleteBucket"),
    "DeleteBucketAnalyticsConfiguration": _bucket("PutAnalyticsConfiguration"),
    "DeleteBucketCache": _bucket("PutLifecycleConfiguration"),
    "DeleteBucketCors": _bucket("PutBucketCORS"),
    "DeleteBucketEncryption": _bucket("PutEncryptionConfiguration"),
    "DeleteBucketIntelligentTieringConfiguration": _bucket("PutIntelligentTieringConfiguration"),
    "DeleteBucketInventoryConfiguration": _bucket("PutInventoryConfiguration"),
    "DeleteBucketLifecycle": _bucket("PutLifecycleConfiguration"),
    "DeleteBucketMetadataConfiguration": _bucket("DeleteBucketMetadataTableConfiguration"),
    "DeleteBucketMetadataTableConfiguration": _bucket("DeleteBucketMetadataTableConfiguration"),
    "DeleteBucketMetricsConfiguration": _bucket("PutMetricsConfiguration"),
    "DeleteBucketOwnershipControls": _bucket("PutBucketOwnershipControls"),
    "DeleteBucketPolicy": _bucket("DeleteBucketPolicy"),
    "DeleteBucketReplication": _bucket("PutReplicationConfiguration"),
    "DeleteBucketTagging": _bucket("PutBucketTagging"),
    "DeleteBucketWebsite": _bucket("DeleteBucketWebsite"),
    "DeleteObject": _key("DeleteObject", WRITE, versioned="DeleteObjectVersion"),
    "DeleteObjectAnnotation": _object("DeleteObjectAnnotation"),
    "DeleteObjects": _key("DeleteObject", WRITE, versioned="DeleteObjectVersion"),
    "DeleteObjectTagging": _object("DeleteObjectTagging", versioned=("DeleteObjectVersionTagging",)),
    "DeletePublicAccessBlock": _bucket("PutBucketPublicAccessBlock"),
    "GetBucketAbac": _bucket("GetBucketAbac"),
    "GetBucketAccelerateConfiguration": _bucket("GetAccelerateConfiguration"),
    "GetBucketAcl": _bucket("GetBucketAcl", READ_ACP),
    "GetBucketAnalyticsConfiguration": _bucket("GetAnalyticsConfiguration"),
    "GetBucketCache": _bucket("GetLifecycleConfiguration"),
    "GetBucketCors": _bucket("GetBucketCORS"),
    "GetBucketEncryption": _bucket("GetEncryptionConfiguration"),
    "GetBucketIntelligentTieringConfiguration": _bucket("GetIntelligentTieringConfiguration"),
    "GetBucketInventoryConfiguration": _bucket("GetInventoryConfiguration"),
    "GetBucketLifecycleConfiguration": _bucket("GetLifecycleConfiguration"),
    "GetBucketLocation": _bucket("GetBucketLocation"),
    "GetBucketLogging": _bucket("GetBucketLogging"),
    "GetBucketMetadataConfiguration": _bucket("GetBucketMetadataTableConfiguration"),
    "GetBucketMetadataTableConfiguration": _bucket("GetBucketMetadataTableConfiguration"),
    "GetBucketMetricsConfiguration": _bucket("GetMetricsConfiguration"),
    "GetBucketNotificationConfiguration": _bucket("GetBucketNotification"),
    "GetBucketOwnershipControls": _bucket("GetBucketOwnershipControls"),
    "GetBucketPolicy": _bucket("GetBucketPolicy"),
    "GetBucketPolicyStatus": _bucket("GetBucketPolicyStatus"),
    "GetBucketReplication": _bucket("GetReplicationConfiguration"),
    "GetBucketRequestPayment": _bucket("GetBucketRequestPayment"),
    "GetBucketTagging": _bucket("GetBucketTagging"),
    "GetBucketVersioning": _bucket("GetBucketVersioning"),
    "GetBucketWebsite": _bucket("GetBucketWebsite"),
    "GetObject": _READ_OBJECT,
    "GetObjectAcl": _object("GetObjectAcl", grant=READ_ACP, versioned=("GetObjectVersionAcl",)),
    "GetObjectAnnotation": _object("GetObjectAnnotation"),
    "GetObjectAttributes": _object(
        "GetObject",
        "GetObjectAttributes",
        grant=READ,
        versioned=("GetObjectVersion", "GetObjectVersionAttributes"),
    ),
    "GetObjectLegalHold": _object("GetObjectLegalHold"),
    "GetObjectLockConfiguration": _bucket("GetBucketObjectLockConfiguration"),
    "GetObjectRetention": _object("GetObjectRetention"),
    "GetObjectTagging": _object("GetObjectTagging", versioned=("GetObjectVersionTagging",)),
    "GetObjectTorrent": _object("GetObjectTorrent", versioned=("GetObjectVersionTorrent",)),
    "GetPublicAccessBlock": _bucket("GetBucketPublicAccessBlock"),
    "HeadBucket": _LIST,
    "HeadObject": _READ_OBJECT,
    "ListBucketAnalyticsConfigurations": _bucket("GetAnalyticsConfiguration"),
    "ListBucketIntelligentTieringConfigurations": _bucket("GetIntelligentTieringConfiguration"),
    "ListBucketInventoryConfigurations": _bucket("GetInventoryConfiguration"),
    "ListBucketMetricsConfigurations": _bucket("GetMetricsConfiguration"),
    "ListBuckets": Permission(Of.SERVICE, ("s3:ListAllMyBuckets",)),
    "ListMultipartUploads": _bucket("ListBucketMultipartUploads", READ),
    "ListObjectAnnotations": _object("ListObjectAnnotations"),
    "ListObjects": _LIST,
    "ListObjectsV2": _LIST,
    "ListObjectVersions": _bucket("ListBucketVersions", READ),
    "ListParts": _upload("ListMultipartUploadParts"),
    "PostObject": _WRITE_KEY,
    "PreflightCORS": Permission(Of.NOTHING),
    "PutBucketAbac": _bucket("PutBucketAbac"),
    "PutBucketAccelerateConfiguration": _bucket("PutAccelerateConfiguration"),
    "PutBucketAcl": _bucket("PutBucketAcl", WRITE_ACP),
    "PutBucketAnalyticsConfiguration": _bucket("PutAnalyticsConfiguration"),
    "PutBucketCache": _bucket("PutLifecycleConfiguration"),
    "PutBucketCors": _bucket("PutBucketCORS"),
    "PutBucketEncryption": _bucket("PutEncryptionConfiguration"),
    "PutBucketIntelligentTieringConfiguration": _bucket("PutIntelligentTieringConfiguration"),
    "PutBucketInventoryConfiguration": _bucket("PutInventoryConfiguration"),
    "PutBucketLifecycleConfiguration": _bucket("PutLifecycleConfiguration"),
    "PutBucketLogging": _bucket("PutBucketLogging"),
    "PutBucketMetricsConfiguration": _bucket("PutMetricsConfiguration"),
    "PutBucketNotificationConfiguration": _bucket("PutBucketNotification"),
    "PutBucketOwnershipControls": _bucket("PutBucketOwnershipControls"),
    "PutBucketPolicy": _bucket("PutBucketPolicy"),
    "PutBucketReplication": _bucket("PutReplicationConfiguration"),
    "PutBucketRequestPayment": _bucket("PutBucketRequestPayment"),
    "PutBucketTagging": _bucket("PutBucketTagging"),
    "PutBucketVersioning": _bucket("PutBucketVersioning"),
    "PutBucketWebsite": _bucket("PutBucketWebsite"),
    "PutObject": _WRITE_KEY,
    "PutObjectAcl": _object("PutObjectAcl", grant=WRITE_ACP, versioned=("PutObjectVersionAcl",)),
    "PutObjectAnnotation": _object("PutObjectAnnotation"),
    "PutObjectLegalHold": _object("PutObjectLegalHold"),
    "PutObjectLockConfiguration": _bucket("PutBucketObjectLockConfiguration"),
    "PutObjectRetention": _object("PutObjectRetention"),
    "PutObjectTagging": _object("PutObjectTagging", versioned=("PutObjectVersionTagging",)),
    "PutPublicAccessBlock": _bucket("PutBucketPublicAccessBlock"),
    "RenameObject": _WRITE_KEY,
    "RestoreObject": _object("RestoreObject"),
    "SelectObjectContent": _READ_OBJECT,
    "UpdateBucketMetadataAnnotationTableConfiguration": _bucket("UpdateBucketMetadataAnnotationTableConfiguration"),
    "UpdateBucketMetadataInventoryTableConfiguration": _bucket("UpdateBucketMetadataInventoryTableConfiguration"),
    "UpdateBucketMetadataJournalTableConfiguration": _bucket("UpdateBucketMetadataJournalTableConfiguration"),
    "UpdateObjectEncryption": _object("UpdateObjectEncryption"),
    "UploadPart": _WRITE_KEY,
    "UploadPartCopy": _WRITE_KEY,
    "WriteGetObjectResponse": Permission(Of.NOTHING),
}
"""What each operation of `s3gw.s3.routes` needs, by name."""

READ_SOURCE = _READ_OBJECT
"""What a copy needs of its source."""

SEE_ABSENCE = _LIST
"""Who may not list a bucket is not told which keys are missing in it."""

SET_ACL = _key("PutObjectAcl", WRITE)
"""What a write needs that brings a list which grants something to others than owner and bucket owner."""

GET_TAGS = _object("GetObjectTagging", versioned=("GetObjectVersionTagging",))
"""What a copy that keeps the tags needs of a source that has some."""

SET_TAGS = _key("PutObjectTagging", WRITE)
"""What a write needs that brings tags."""

SET_RETENTION = _key("PutObjectRetention")
SET_HOLD = _key("PutObjectLegalHold")
"""What a write needs that locks the version which it makes."""

BYPASS_GOVERNANCE = _key("BypassGovernanceRetention")
"""What a request needs that says ``x-amz-bypass-governance-retention: true``."""
