"""GetObjectAttributes.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
"""

from __future__ import annotations

from functools import partial

from s3gw.errors import InvalidArgument, InvalidRequest
from s3gw.operations.call import Call, Response, document
from s3gw.operations.encryption import open_checksums, unlock
from s3gw.operations.versions import find_object, version_headers
from s3gw.s3 import xml
from s3gw.s3.conditions import Outcome, evaluate
from s3gw.s3.dates import http_date
from s3gw.s3.encryption import NOTHING

ATTRIBUTES = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})
MAX_PARTS = 1000


async def get_object_attributes(call: Call) -> Response:
    """GET /bucket/key?attributes"""
    headers = call.head.headers
    wanted = {name.strip() for name in headers.get("x-amz-object-attributes", "").split(",") if name.strip()}
    if not wanted:
        raise InvalidRequest("The x-amz-object-attributes header specifying the attributes to be retrieved is missing")
    if not wanted <= ATTRIBUTES:
        raise InvalidArgument(
            "Invalid attribute name specified.",
            ArgumentName="x-amz-object-attributes",
            ArgumentValue=headers["x-amz-object-attributes"],
        )
    marker = _number(call, "x-amz-part-number-marker", 0)
    max_parts = min(_number(call, "x-amz-max-parts", MAX_PARTS), MAX_PARTS)
    info = await find_object(call)
    if info.encryption is not None or call.encryption is not NOTHING:
        key = unlock(call, info, call.bucket, call.key, call.encryption.customer)
        if wanted & {"Checksum", "ObjectParts"}:
            # Ten thousand parts take a tenth of a second.
            info = await call.storage.in_thread(partial(open_checksums, key, info))
    described = [("Last-Modified", http_date(info.modified)), *version_headers(call.bucket_info, info)]
    if evaluate(call.head, info.etag, info.modified, call.gateway.clock()) is Outcome.NOT_MODIFIED:
        return Response(304, described)
    return document(xml.object_attributes(info, wanted, marker, max_parts), described)


def _number(call: Call, name: str, default: int) -> int:
    text = call.head.headers.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidArgument(f"Provided {name} not an integer or within integer range", ArgumentName=name)
    return int(text)
