"""ListBuckets, ListObjects, ListObjectsV2, ListObjectVersions.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and its neighbours.
"""

from __future__ import annotations

from s3gw.errors import InvalidArgument
from s3gw.model import NULL, ListPage, VersionPage, version_order
from s3gw.operations.acls import owner_of
from s3gw.operations.call import Call, Headers, Response, document
from s3gw.s3 import xml
from s3gw.s3.listing import (
    list_buckets_request,
    list_objects_request,
    list_objects_v2_request,
    list_versions_request,
)
from s3gw.store.interface import ListQuery, VersionQuery


async def list_buckets(call: Call) -> Response:
    """GET /

    The buckets of the caller, and those that have no owner."""
    request = list_buckets_request(call.head.query)
    region = call.gateway.region
    found = [
        info
        for info in await call.storage.buckets()
        if (not info.owner or not call.caller.id or info.owner == call.caller.id)
        and info.name > request.after
        and info.name.startswith(request.prefix)
        and request.region in ("", info.region or "us-east-1", region)
    ]
    page = found[: request.max_buckets] if request.paged else found
    next_after = page[-1].name if len(page) < len(found) else ""
    return document(xml.list_buckets(page, call.caller, request, next_after))


async def list_objects(call: Call) -> Response:
    """GET /bucket"""
    request = list_objects_request(call.head.query)
    page = await _page(call, ListQuery(request.prefix, request.delimiter, request.after, request.max_keys))
    return document(xml.list_objects(call.bucket, request, page, owner_of(call)), _region(call))


async def list_objects_v2(call: Call) -> Response:
    """GET /bucket?list-type=2"""
    request = list_objects_v2_request(call.head.query)
    page = await _page(call, ListQuery(request.prefix, request.delimiter, request.after, request.max_keys))
    return document(xml.list_objects_v2(call.bucket, request, page, owner_of(call)), _region(call))


async def list_object_versions(call: Call) -> Response:
    """GET /bucket?versions"""
    request = list_versions_request(call.head.query)
    after = await _order(call, request.key_marker, request.version_marker) if request.version_marker else None
    page = VersionPage((), (), False)
    if request.max_keys:
        page = await call.storage.list_versions(
            call.bucket, VersionQuery(request.prefix, request.delimiter, request.key_marker, after, request.max_keys)
        )
    return document(xml.list_versions(call.bucket, request, page, owner_of(call)), _region(call))


async def _order(call: Call, key: str, version: str) -> int:
    """The order of the version that a page begins behind.

    :raises InvalidArgument: for what is no version id."""
    order = version_order(version)
    if order is not None:
        return order
    if version != NULL:
        raise InvalidArgument("Invalid version id specified", ArgumentName="version-id-marker", ArgumentValue=version)
    info = await call.storage.find_version(call.bucket, key, NULL)
    # Of before versioning, most likely: then it is the oldest.
    return 0 if info is None else info.order


async def _page(call: Call, query: ListQuery) -> ListPage:
    if not query.limit:
        return ListPage((), (), False)
    return await call.storage.list_objects(call.bucket, query)


def _region(call: Call) -> Headers:
    return [("x-amz-bucket-region", call.gateway.region)]
