"""Configuration that a bucket can have in S3 and has not here, read as S3 answers for a bucket without it.

SDKs and tools read these on their own. Writing any of them is NotImplemented.

Source: the Get operations of https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from collections.abc import Mapping

from s3gw.errors import (
    NoSuchWebsiteConfiguration,
    ReplicationConfigurationNotFoundError,
    S3Error,
)
from s3gw.operations.call import Call, Operate, Response, document
from s3gw.s3 import xml
from s3gw.s3.markup import document as markup

_MISSING: Mapping[str, type[S3Error]] = {
    "GetBucketReplication": ReplicationConfigurationNotFoundError,
    "GetBucketWebsite": NoSuchWebsiteConfiguration,
}
"""Configuration whose absence is an error."""

_EMPTY: Mapping[str, bytes] = {
    "GetBucketAccelerateConfiguration": markup("AccelerateConfiguration"),
    "GetBucketLogging": markup("BucketLoggingStatus"),
    "GetBucketNotificationConfiguration": markup("NotificationConfiguration"),
    "GetBucketRequestPayment": xml.request_payment_configuration(),
}
"""Configuration whose absence is a document."""


def _missing(error: type[S3Error]) -> Operate:
    async def operate(call: Call) -> Response:
        raise error(BucketName=call.bucket)

    return operate


def _empty(body: bytes) -> Operate:
    async def operate(call: Call) -> Response:
        return document(body)

    return operate


UNCONFIGURED: Mapping[str, Operate] = {
    **{name: _missing(error) for name, error in _MISSING.items()},
    **{name: _empty(body) for name, body in _EMPTY.items()},
}
"""These operations by name."""
