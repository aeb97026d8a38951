"""DeleteObjects: up to 1000 keys in one request.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from __future__ import annotations

from s3gw.access.permissions import PERMISSIONS
from s3gw.errors import AccessDenied, NoSuchVersion, S3Error
from s3gw.model import NULL, version_order
from s3gw.operations.admission import allows, overlooks_governance
from s3gw.operations.call import Call, Response, document
from s3gw.operations.headers import require_digest
from s3gw.s3 import xml
from s3gw.s3.conditions import WriteCondition
from s3gw.s3.documents_in import Deletion, parse_delete
from s3gw.s3.target import check_key
from s3gw.store.interface import Committed, DeleteObject

MAX_DOCUMENT_BYTES = 2 * 1024 * 1024


async def delete_objects(call: Call) -> Response:
    """POST /bucket?delete

    Every key is deleted, or fails, on its own."""
    # Where a flipped bit deletes another key.
    require_digest(call.head)
    asked = parse_delete(await call.document(MAX_DOCUMENT_BYTES))
    call.decided = True
    permission = PERMISSIONS[call.operation]
    there: list[Deletion] = []
    failed: list[tuple[str, str, S3Error]] = []
    for deletion in asked.objects:
        if not allows(call, permission, deletion.key, versioned=bool(deletion.version)):
            failed.append((deletion.key, deletion.version, AccessDenied()))
            continue
        try:
            _check(deletion)
        except S3Error as error:
            failed.append((deletion.key, deletion.version, error))
        else:
            there.append(deletion)
    deleted: list[xml.Deleted] = []
    outcomes = await call.storage.commit_all([_mutation(call, deletion) for deletion in there])
    for deletion, outcome in zip(there, outcomes, strict=True):
        if isinstance(outcome, S3Error):
            failed.append((deletion.key, deletion.version, outcome))
        elif not asked.quiet:
            deleted.append(xml.Deleted(deletion.key, deletion.version, _marker(deletion, outcome)))
    return document(xml.delete_objects(deleted, failed))


def _check(deletion: Deletion) -> None:
    """Refuse what no object can be: a delete marker would make one of it.

    :raises KeyTooLongError: :raises NoSuchVersion: for what is no version id."""
    check_key(deletion.key)
    if deletion.version not in ("", NULL) and version_order(deletion.version) is None:
        raise NoSuchVersion()


def _marker(deletion: Deletion, outcome: Committed) -> str:
    """The id of the delete marker that was made or deleted, or nothing."""
    if outcome.made is not None:
        return outcome.made.version
    return deletion.version if outcome.previous is not None and outcome.previous.marker else ""


def _mutation(call: Call, deletion: Deletion) -> DeleteObject:
    condition = WriteCondition(if_match=deletion.etag, if_modified=deletion.modified, if_size=deletion.size)
    return DeleteObject(
        call.bucket,
        deletion.key,
        condition,
        call.bucket_created,
        deletion.version,
        call.gateway.clock(),
        call.caller.id,
        overlooks_governance(call, deletion.key),
    )
