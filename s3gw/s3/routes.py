"""Which S3 operation a request is: the only list of what exists.

A request is routed by three things: its method, the level of its target, and its *marker*, which is the sub-resource
that its query names (``?acl``, ``?uploads``) or the header ``x-amz-copy-source``. Every sub-resource of S3 is known
here at both levels, so one that is met with a method or at a level where it means nothing is refused by name and never
falls through to another operation: ``DELETE /bucket?policy`` deletes a policy, and ``HEAD /bucket/key?tagging`` is no
HeadObject. Parameters that are no sub-resource (``versionId``, ``prefix``, ``response-*``, ``X-Amz-*``, ``x-id``, and
any that S3 does not know) do not change the route.

Whether an operation is implemented is not decided here: what has no implementation is answered NotImplemented by name.

Sources: the operations of the S3 API reference, https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html, by
the names of AWS's service model; the ResourceType names are those that S3 answers with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from s3gw.errors import InvalidArgument, InvalidRequest, MethodNotAllowed, PreconditionFailed
from s3gw.s3.head import RequestHead
from s3gw.s3.target import Bucket, Object, Service, Target


class Operation(msgspec.Struct, frozen=True):
    """What a request asks for.

    :ivar name: as in AWS's service model, such as ``GetObject``. What the model lacks: ``PostObject`` and
        ``PreflightCORS``, the form upload and the OPTIONS request; and the `OWN` operations.
    :ivar versioned: whether the query has ``versionId``: an operation that does not take one must not ignore it.
    """

    name: str
    versioned: bool = False


class _Resource(NamedTuple):
    """What S3 calls a thing that methods apply to, and the operation of each method."""

    type: str
    methods: Mapping[str, str]


def _on(resource_type: str, **methods: str) -> _Resource:
    return _Resource(resource_type, methods)


_SERVICE = _on("SERVICE", GET="ListBuckets")
_BUCKET = _on(
    "BUCKET", GET="ListObjects", HEAD="HeadBucket", PUT="CreateBucket", DELETE="DeleteBucket", POST="PostObject"
)
_OBJECT = _on("OBJECT", GET="GetObject", HEAD="HeadObject", PUT="PutObject", DELETE="DeleteObject")
_PART = _on("PART", PUT="UploadPart")

_BUCKET_MARKERS: Mapping[str, _Resource] = {
    "abac": _on("BUCKET_ABAC", GET="GetBucketAbac", PUT="PutBucketAbac"),
    "accelerate": _on("ACCELERATE", GET="GetBucketAccelerateConfiguration", PUT="PutBucketAccelerateConfiguration"),
    "acl": _on("ACL", GET="GetBucketAcl", PUT="PutBucketAcl"),
    "analytics": _on(
        "ANALYTICS",
        GET="ListBucketAnalyticsConfigurations",
        PUT="PutBucketAnalyticsConfiguration",
        DELETE="DeleteBucketAnalyticsConfiguration",
    ),
    "cors": _on("CORS", GET="GetBucketCors", PUT="PutBucketCors", DELETE="DeleteBucketCors"),
    "delete": _on("MULTI_OBJECT_DELETE", POST="DeleteObjects"),
    "encryption": _on(
        "ENCRYPTION", GET="GetBucketEncryption", PUT="PutBucketEncryption", DELETE="DeleteBucketEncryption"
    ),
    "intelligent-tiering": _on(
        "INTELLIGENT_TIERING",
        GET="ListBucketIntelligentTieringConfigurations",
        PUT="PutBucketIntelligentTieringConfiguration",
        DELETE="DeleteBucketIntelligentTieringConfiguration",
    ),
    "inventory": _on(
        "INVENTORY",
        GET="ListBucketInventoryConfigurations",
        PUT="PutBucketInventoryConfiguration",
        DELETE="DeleteBucketInventoryConfiguration",
    ),
    "lifecycle": _on(
        "LIFECYCLE",
        GET="GetBucketLifecycleConfiguration",
        PUT="PutBucketLifecycleConfiguration",
        DELETE="DeleteBucketLifecycle",
    ),
    "location": _on("LOCATION", GET="GetBucketLocation"),
    "logging": _on("LOGGING_STATUS", GET="GetBucketLogging", PUT="PutBucketLogging"),
    "metadataAnnotationTable": _on(
        "BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION", PUT="UpdateBucketMetadataAnnotationTableConfiguration"
    ),
    "metadataConfiguration": _on(
        "BUCKET_METADATA_CONFIGURATION",
        GET="GetBucketMetadataConfiguration",
        POST="CreateBucketMetadataConfiguration",
        DELETE="DeleteBucketMetadataConfiguration",
    ),
    "metadataInventoryTable": _on(
        "BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION", PUT="UpdateBucketMetadataInventoryTableConfiguration"
    ),
    "metadataJournalTable": _on(
        "BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION", PUT="UpdateBucketMetadataJournalTableConfiguration"
    ),
    "metadataTable": _on(
        "BUCKET_METADATA_TABLE_CONFIGURATION",
        GET="GetBucketMetadataTableConfiguration",
        POST="CreateBucketMetadataTableConfiguration",
        DELETE="DeleteBucketMetadataTableConfiguration",
    ),
    "metrics": _on(
        "METRICS",
        GET="ListBucketMetricsConfigurations",
        PUT="PutBucketMetricsConfiguration",
        DELETE="DeleteBucketMetricsConfiguration",
    ),
    "notification": _on(
        "NOTIFICATION", GET="GetBucketNotificationConfiguration", PUT="PutBucketNotificationConfiguration"
    ),
    "object-lock": _on("OBJECT_LOCK_CONFIGURATION", GET="GetObjectLockConfiguration", PUT="PutObjectLockConfiguration"),
    "ownershipControls": _on(
        "OWNERSHIP_CONTROLS",
        GET="GetBucketOwnershipControls",
        PUT="PutBucketOwnershipControls",
        DELETE="DeleteBucketOwnershipControls",
    ),
    "policy": _on("BUCKETPOLICY", GET="GetBucketPolicy", PUT="PutBucketPolicy", DELETE="DeleteBucketPolicy"),
    "policyStatus": _on("POLICY_STATUS", GET="GetBucketPolicyStatus"),
    "publicAccessBlock": _on(
        "PUBLIC_ACCESS_BLOCK",
        GET="GetPublicAccessBlock",
        PUT="PutPublicAccessBlock",
        DELETE="DeletePublicAccessBlock",
    ),
    "replication": _on(
        "REPLICATION", GET="GetBucketReplication", PUT="PutBucketReplication", DELETE="DeleteBucketReplication"
    ),
    "requestPayment": _on("REQUEST_PAYMENT", GET="GetBucketRequestPayment", PUT="PutBucketRequestPayment"),
    "session": _on("SESSION", GET="CreateSession"),
    "tagging": _on("TAGGING", GET="GetBucketTagging", PUT="PutBucketTagging", DELETE="DeleteBucketTagging"),
    "uploads": _on("UPLOADS", GET="ListMultipartUploads"),
    "versioning": _on("VERSIONING", GET="GetBucketVersioning", PUT="PutBucketVersioning"),
    "versions": _on("BUCKETVERSIONS", GET="ListObjectVersions"),
    "website": _on("WEBSITE", GET="GetBucketWebsite", PUT="PutBucketWebsite", DELETE="DeleteBucketWebsite"),
    "x-s3gw-cache": _on("CACHE", GET="GetBucketCache", PUT="PutBucketCache", DELETE="DeleteBucketCache"),
}

_OBJECT_MARKERS: Mapping[str, _Resource] = {
    "acl": _on("ACL", GET="GetObjectAcl", PUT="PutObjectAcl"),
    "annotation": _on(
        "OBJECT_ANNOTATIONS",
        GET="ListObjectAnnotations",
        PUT="PutObjectAnnotation",
        DELETE="DeleteObjectAnnotation",
    ),
    "attributes": _on("OBJECT_ATTRIBUTES", GET="GetObjectAttributes"),
    "encryption": _on("OBJECT_ENCRYPTION", PUT="UpdateObjectEncryption"),
    "legal-hold": _on("OBJECT_LOCK_LEGALHOLD", GET="GetObjectLegalHold", PUT="PutObjectLegalHold"),
    "renameObject": _on("RENAME_OBJECT", PUT="RenameObject"),
    "restore": _on("RESTORE", POST="RestoreObject"),
    "retention": _on("OBJECT_LOCK_RETENTION", GET="GetObjectRetention", PUT="PutObjectRetention"),
    "select": _on("SELECT", POST="SelectObjectContent"),
    "tagging": _on("OBJECT_TAGGING", GET="GetObjectTagging", PUT="PutObjectTagging", DELETE="DeleteObjectTagging"),
    "torrent": _on("TORRENT", GET="GetObjectTorrent"),
    "uploadId": _on("UPLOAD", GET="ListParts", POST="CompleteMultipartUpload", DELETE="AbortMultipartUpload"),
    "uploads": _on("UPLOADS", POST="CreateMultipartUpload"),
}

_QUALIFIED: Mapping[str, tuple[str, str]] = {
    # A parameter beside the marker makes it another operation: list all of a kind, or get the one that is named.
    "ListBucketAnalyticsConfigurations": ("id", "GetBucketAnalyticsConfiguration"),
    "ListBucketIntelligentTieringConfigurations": ("id", "GetBucketIntelligentTieringConfiguration"),
    "ListBucketInventoryConfigurations": ("id", "GetBucketInventoryConfiguration"),
    "ListBucketMetricsConfigurations": ("id", "GetBucketMetricsConfiguration"),
    "ListObjectAnnotations": ("annotationName", "GetObjectAnnotation"),
}

_COPIES: Mapping[str, str] = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}
_COPY_SOURCE = "x-amz-copy-source"

_LEVELS: Mapping[type, tuple[_Resource, Mapping[str, _Resource]]] = {
    Service: (_SERVICE, {}),
    Bucket: (_BUCKET, _BUCKET_MARKERS),
    Object: (_OBJECT, _OBJECT_MARKERS),
}
_MARKERS = _BUCKET_MARKERS.keys() | _OBJECT_MARKERS.keys()

OPERATIONS: frozenset[str] = frozenset(
    [
        name
        for resource, markers in _LEVELS.values()
        for r in (resource, *markers.values())
        for name in r.methods.values()
    ]
    + [name for _, name in _QUALIFIED.values()]
    + [*_PART.methods.values(), *_COPIES.values()]
    + ["ListObjectsV2", "PreflightCORS", "WriteGetObjectResponse"]
)
"""The name of every operation that `route` can answer."""

OWN = frozenset({"DeleteBucketCache", "GetBucketCache", "PutBucketCache"})
"""Operations that S3 does not have."""

_OPERATIONS = {name: Operation(name) for name in OPERATIONS}
_VERSIONED = {name: Operation(name, versioned=True) for name in OPERATIONS}
# Where neither a query nor a header can say more.
_PLAIN: Mapping[type, Mapping[str, Operation]] = {
    level: {method: _OPERATIONS[name] for method, name in resource.methods.items() if name != "PostObject"}
    for level, (resource, _) in _LEVELS.items()
}


def route(method: str, target: Target, head: RequestHead) -> Operation:
    """The operation that a request is.

    :raises MethodNotAllowed: when the method means nothing there; ``Method`` and ``ResourceType`` say what and where.
    :raises InvalidRequest: for a sub-resource of the other level.
    :raises InvalidArgument: for two sub-resources at once, and for a partNumber without an uploadId.
    :raises PreconditionFailed: for a POST to a bucket that is no form.
    """
    if _COPY_SOURCE not in head.headers and (not head.raw_query or head.bare):
        plain = _PLAIN[type(target)].get(method)
        if plain is not None:
            return plain
    if method == "OPTIONS":
        return _OPERATIONS["PreflightCORS"]
    name = _name(_resource(method, target, head), method, target, head)
    return (_VERSIONED if "versionId" in head.query else _OPERATIONS)[name]


def _resource(method: str, target: Target, head: RequestHead) -> _Resource:
    """What the request's method is to be applied to."""
    query = head.query
    resource, markers = _LEVELS[type(target)]
    found = sorted(_MARKERS.intersection(query.names()))
    if not found:
        if "partNumber" in query and resource is _OBJECT and method in ("PUT", "DELETE"):
            raise InvalidArgument(
                "This operation does not accept partNumber without uploadId",
                ArgumentName="partNumber",
                ArgumentValue=query.get("partNumber") or "",
            )
        return resource
    if len(found) > 1:
        raise InvalidArgument(
            "Conflicting query string parameters: " + ", ".join(found),
            ArgumentName="ResourceType",
            ArgumentValue=found[0],
        )
    marker = found[0]
    if marker == "uploadId" and "partNumber" in query and resource is _OBJECT:
        return _PART
    if marker in markers:
        return markers[marker]
    if resource is _SERVICE:
        raise _not_allowed(method, resource)
    if resource is _BUCKET:
        raise InvalidRequest("A key must be specified")
    raise InvalidRequest(f"There is no such thing as the ?{marker} sub-resource for a key")


def _name(resource: _Resource, method: str, target: Target, head: RequestHead) -> str:
    """The name of the operation ``method`` on ``resource``."""
    name = resource.methods.get(method)
    if name is None:
        raise _not_allowed(method, resource)
    if name in _COPIES:
        # A presigned URL carries in its query what would have been headers, whose names know no case.
        copies = _COPY_SOURCE in head.headers or any(each.lower() == _COPY_SOURCE for each in head.query.names())
        return _COPIES[name] if copies else name
    if name in _QUALIFIED:
        parameter, qualified = _QUALIFIED[name]
        return qualified if parameter in head.query else name
    if name == "ListObjects":
        return "ListObjectsV2" if head.query.get("list-type") == "2" else name
    if name == "PostObject":
        return _post(target, head)
    return name


def _post(target: Target, head: RequestHead) -> str:
    """A POST to a bucket is a form, except at the one name that no bucket can have and Object Lambda uses."""
    if (head.headers.get("content-type") or "").lstrip().lower().startswith("multipart/form-data"):
        return "PostObject"
    if target == Bucket("WriteGetObjectResponse"):
        return "WriteGetObjectResponse"
    raise PreconditionFailed(Condition="Bucket POST must be of the enclosure-type multipart/form-data")


def _not_allowed(method: str, resource: _Resource) -> MethodNotAllowed:
    return MethodNotAllowed(
        headers={"Allow": ", ".join(sorted(resource.methods))}, Method=method, ResourceType=resource.type
    )
