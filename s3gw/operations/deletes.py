"""DeleteObjects: up to 1000 keys in one request.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from __future__ import annotations

from s3gw.errors import InvalidRequest, NoSuchVersion, S3Error
from s3gw.operations.call import Call, Response, document
from s3gw.s3 import xml
from s3gw.s3.conditions import WriteCondition
from s3gw.s3.documents_in import Deletion, parse_delete
from s3gw.store.interface import DeleteObject

MAX_DOCUMENT_BYTES = 2 * 1024 * 1024


async def delete_objects(call: Call) -> Response:
    """POST /bucket?delete"""
    if not any(
        name in call.head.headers for name in ("content-md5", "x-amz-trailer", "x-amz-sdk-checksum-algorithm")
    ) and not any(name.startswith("x-amz-checksum-") for name in call.head.headers):
        raise InvalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    asked = parse_delete(await call.document(MAX_DOCUMENT_BYTES))
    wanted = [deletion for deletion in asked.objects if deletion.version in ("", "null")]
    failed: list[tuple[str, S3Error]] = [
        (deletion.key, NoSuchVersion()) for deletion in asked.objects if deletion not in wanted
    ]
    outcomes = await call.storage.commit_all([_mutation(call.bucket, deletion) for deletion in wanted])
    deleted = []
    for deletion, outcome in zip(wanted, outcomes, strict=True):
        if isinstance(outcome, S3Error):
            failed.append((deletion.key, outcome))
        else:
            deleted.append(deletion.key)
    return document(xml.delete_objects([] if asked.quiet else deleted, failed))


def _mutation(bucket: str, deletion: Deletion) -> DeleteObject:
    condition = WriteCondition(if_match=deletion.etag, if_modified=deletion.modified, if_size=deletion.size)
    return DeleteObject(bucket, deletion.key, condition)
