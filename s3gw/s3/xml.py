"""The documents that S3 answers with, element by element in the order in which S3 writes them.

Each function takes values of the model and the request they answer, and gives the whole document as bytes. ETags come
without quotes and go out with them. A key may have characters that XML 1.0 has not: listings write them as S3 does,
which no strict parser takes unless the client asks for encoding-type=url; where the client knows the key anyway, they
are replaced, so that it can read the rest.

Source: the Response Syntax of each operation in https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from s3gw.errors import S3Error
from s3gw.model import (
    NULL,
    BucketInfo,
    Checksum,
    Grant,
    ListPage,
    ObjectInfo,
    Owner,
    PartInfo,
    PartPage,
    PartSummary,
    UploadInfo,
    UploadPage,
    VersionEntry,
    VersionPage,
)
from s3gw.s3.cors import CORSRule
from s3gw.s3.dates import iso8601
from s3gw.s3.listing import (
    ListBucketsRequest,
    ListObjectsRequest,
    ListObjectsV2Request,
    ListPartsRequest,
    ListUploadsRequest,
    ListVersionsRequest,
    encode_token,
)
from s3gw.s3.markup import DECLARATION, document, element, escape, is_plain, optional, printable, url_encode

Encode = Callable[[str], str]
OwnerOf = Callable[[str], Owner]
"""From a canonical user id, as the model stores it, to whom it names."""

_CHANGES_WHEN_DECODED = re.compile("[%+\0-\x08\x0b-\x1f\ufffe\uffff]")
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def error(error: S3Error, resource: str = "", request_id: str = "", host_id: str = "") -> bytes:
    """Error, which is in no namespace."""
    usual = error.message is type(error).message
    text = (_usual_opening if usual else _opening)(error.code, error.message)
    for name, value in error.fields.items():
        text += f"<{name}>{value if is_plain(value) else escape(printable(value))}</{name}>"
    if resource:
        text += f"<Resource>{resource if is_plain(resource) else escape(resource)}</Resource>"
    if not is_plain(request_id):
        request_id = escape(request_id)
    return f"{text}<RequestId>{request_id}</RequestId>{optional('HostId', host_id) if host_id else ''}</Error>".encode()


def _opening(code: str, message: str) -> str:
    return f"{DECLARATION}<Error>{element('Code', code)}{element('Message', printable(message))}"


_usual_opening = lru_cache(512)(_opening)
"""The same for errors that say no more than their class: to many a client a miss is as usual as a hit."""


def list_buckets(
    buckets: Iterable[BucketInfo], owner: Owner, request: ListBucketsRequest, next_after: str = ""
) -> bytes:
    """ListAllMyBucketsResult.

    :param next_after: the last bucket of a page that another follows.
    """
    return document(
        "ListAllMyBucketsResult",
        _owner("Owner", owner),
        "<Buckets>",
        *(
            f"<Bucket>{element('Name', bucket.name)}{element('CreationDate', iso8601(bucket.created))}"
            f"{element('BucketRegion', bucket.region or 'us-east-1') if request.paged else ''}</Bucket>"
            for bucket in buckets
        ),
        "</Buckets>",
        optional("ContinuationToken", encode_token(next_after) if next_after else ""),
        optional("Prefix", request.prefix),
    )


def location_constraint(region: str) -> bytes:
    """LocationConstraint: empty for us-east-1."""
    return document("LocationConstraint", "" if region == "us-east-1" else escape(region))


def list_objects(bucket: str, request: ListObjectsRequest, page: ListPage, owner_of: OwnerOf) -> bytes:
    """ListBucketResult of ListObjects. There is a NextMarker only with a delimiter; without, it is the last key."""
    encode = _encoder(request.encoding)
    return document(
        "ListBucketResult",
        element("Name", bucket),
        element("Prefix", request.prefix if _reads_the_same(request.prefix) else encode(request.prefix)),
        element("Marker", encode(request.marker)),
        optional("NextMarker", encode(page.last) if page.truncated and request.delimiter else ""),
        element("MaxKeys", request.max_keys),
        optional("Delimiter", encode(request.delimiter)),
        optional("EncodingType", request.encoding),
        element("IsTruncated", _boolean(page.truncated)),
        *_contents(page.entries, request.encoding, owner_of),
        *_common_prefixes(page.prefixes, encode),
    )


def list_objects_v2(bucket: str, request: ListObjectsV2Request, page: ListPage, owner_of: OwnerOf) -> bytes:
    """ListBucketResult of ListObjectsV2. Continuation tokens are never percent-encoded."""
    encode = _encoder(request.encoding)
    return document(
        "ListBucketResult",
        element("Name", bucket),
        element("Prefix", encode(request.prefix)),
        optional("StartAfter", encode(request.start_after)),
        "" if request.token is None else element("ContinuationToken", request.token),
        optional("NextContinuationToken", encode_token(page.last) if page.truncated else ""),
        element("KeyCount", len(page.entries) + len(page.prefixes)),
        element("MaxKeys", request.max_keys),
        optional("Delimiter", encode(request.delimiter)),
        optional("EncodingType", request.encoding),
        element("IsTruncated", _boolean(page.truncated)),
        *_contents(page.entries, request.encoding, owner_of if request.fetch_owner else None),
        *_common_prefixes(page.prefixes, encode),
    )


def list_versions(bucket: str, request: ListVersionsRequest, page: VersionPage, owner_of: OwnerOf) -> bytes:
    """ListVersionsResult: versions and delete markers, in the order of the page."""
    encode = _encoder(request.encoding)
    return document(
        "ListVersionsResult",
        element("Name", bucket),
        element("Prefix", encode(request.prefix)),
        element("KeyMarker", encode(request.key_marker)),
        element("VersionIdMarker", request.version_marker),
        optional("NextKeyMarker", encode(page.last) if page.truncated else ""),
        optional("NextVersionIdMarker", _version_marker(page.last_order) if page.truncated else ""),
        element("MaxKeys", request.max_keys),
        optional("Delimiter", encode(request.delimiter)),
        optional("EncodingType", request.encoding),
        element("IsTruncated", _boolean(page.truncated)),
        *(_version(entry, encode, owner_of) for entry in page.entries),
        *_common_prefixes(page.prefixes, encode),
    )


def list_uploads(
    bucket: str, request: ListUploadsRequest, page: UploadPage, owner_of: OwnerOf, name_of: OwnerOf
) -> bytes:
    """ListMultipartUploadsResult. ``name_of`` is for those who began the uploads."""
    encode = _encoder(request.encoding)
    return document(
        "ListMultipartUploadsResult",
        element("Bucket", bucket),
        element("KeyMarker", encode(request.key_marker)),
        element("UploadIdMarker", request.upload_marker),
        element("NextKeyMarker", encode(page.last_key)),
        element("NextUploadIdMarker", page.last_upload),
        optional("Delimiter", encode(request.delimiter)),
        optional("Prefix", encode(request.prefix)),
        element("MaxUploads", request.max_uploads),
        optional("EncodingType", request.encoding),
        element("IsTruncated", _boolean(page.truncated)),
        *(_upload(upload, encode, owner_of, name_of) for upload in page.uploads),
        *_common_prefixes(page.prefixes, encode),
    )


def list_parts(
    upload: UploadInfo, request: ListPartsRequest, page: PartPage, owner_of: OwnerOf, name_of: OwnerOf
) -> bytes:
    """ListPartsResult. ``name_of`` is for who began the upload."""
    return document(
        "ListPartsResult",
        element("Bucket", upload.bucket),
        element("Key", printable(upload.key)),
        element("UploadId", upload.upload),
        _owner("Initiator", name_of(upload.initiator or upload.owner)),
        _owner("Owner", owner_of(upload.owner)),
        "<StorageClass>STANDARD</StorageClass>",
        element("PartNumberMarker", request.marker),
        element("NextPartNumberMarker", page.parts[-1].number if page.parts else 0),
        element("MaxParts", request.max_parts),
        element("IsTruncated", _boolean(page.truncated)),
        optional("ChecksumAlgorithm", upload.checksum_algorithm),
        optional("ChecksumType", upload.checksum_type),
        *(_part(part, upload.checksum_algorithm) for part in page.parts),
    )


def initiate_upload(bucket: str, key: str, upload: str) -> bytes:
    """InitiateMultipartUploadResult."""
    return document(
        "InitiateMultipartUploadResult",
        element("Bucket", bucket),
        element("Key", printable(key)),
        element("UploadId", upload),
    )


def complete_upload(location: str, bucket: str, key: str, info: ObjectInfo) -> bytes:
    """CompleteMultipartUploadResult. ``location`` is the object's URL."""
    return document(
        "CompleteMultipartUploadResult",
        element("Location", location),
        element("Bucket", bucket),
        element("Key", printable(key)),
        _etag(info.etag),
        _checksum(info.checksum),
    )


def copy_object(info: ObjectInfo) -> bytes:
    """CopyObjectResult."""
    return document(
        "CopyObjectResult", element("LastModified", iso8601(info.modified)), _etag(info.etag), _checksum(info.checksum)
    )


def copy_part(part: PartInfo, algorithm: str = "") -> bytes:
    """CopyPartResult. ``algorithm`` is the upload's."""
    return document(
        "CopyPartResult",
        element("LastModified", iso8601(part.modified)),
        _etag(part.etag),
        optional(f"Checksum{algorithm}", part.checksum),
    )


class Deleted(NamedTuple):
    """A key that DeleteObjects deleted.

    :ivar version: that the client named, or empty. :ivar marker: the delete marker that was made or deleted, or empty.
    """

    key: str
    version: str = ""
    marker: str = ""


def delete_objects(deleted: Iterable[Deleted], failed: Iterable[tuple[str, str, S3Error]] = ()) -> bytes:
    """DeleteResult: keys that are gone (none of them in quiet mode), and keys, with the version that the client named,
    and the reason why they are not."""
    return document(
        "DeleteResult",
        *(
            f"<Deleted>{element('Key', it.key)}{optional('VersionId', it.version)}"
            f"{'<DeleteMarker>true</DeleteMarker>' if it.marker else ''}"
            f"{optional('DeleteMarkerVersionId', it.marker)}</Deleted>"
            for it in deleted
        ),
        *(
            f"<Error>{element('Key', key)}{optional('VersionId', version)}{element('Code', why.code)}"
            f"{element('Message', why.message)}</Error>"
            for key, version, why in failed
        ),
    )


def object_attributes(info: ObjectInfo, wanted: Collection[str], marker: int = 0, max_parts: int = 1000) -> bytes:
    """GetObjectAttributesResponse with the attributes that ``wanted`` names, as ``x-amz-object-attributes`` does.

    S3 lists the parts only of an object with a COMPOSITE checksum, or in a directory bucket, and of any other counts
    them; here they are always listed. The ETag has no quotes here.

    :param marker: the part number behind which the list of parts begins. :param max_parts: the most it has.
    """
    return document(
        "GetObjectAttributesResponse",
        element("ETag", info.etag) if "ETag" in wanted else "",
        _attribute_checksum(info.checksum) if "Checksum" in wanted and info.checksum else "",
        _object_parts(info, marker, max_parts) if "ObjectParts" in wanted and info.parts else "",
        "<StorageClass>STANDARD</StorageClass>" if "StorageClass" in wanted else "",
        element("ObjectSize", info.size) if "ObjectSize" in wanted else "",
    )


def tagging(tags: Iterable[tuple[str, str]]) -> bytes:
    """Tagging."""
    return document(
        "Tagging",
        "<TagSet>",
        *(f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in tags),
        "</TagSet>",
    )


def post_response(location: str, bucket: str, key: str, etag: str) -> bytes:
    """PostResponse, of a form upload that asked for status 201; in no namespace."""
    return document(
        "PostResponse",
        element("Location", location),
        element("Bucket", bucket),
        element("Key", printable(key)),
        _etag(etag),
        namespace=False,
    )


def cors_configuration(rules: Iterable[CORSRule]) -> bytes:
    """CORSConfiguration."""
    return document("CORSConfiguration", *map(_cors_rule, rules))


def versioning_configuration(status: str = "") -> bytes:
    """VersioningConfiguration: ``Enabled``, ``Suspended``, or empty for a bucket that never was either."""
    return document("VersioningConfiguration", optional("Status", status))


def request_payment_configuration() -> bytes:
    """RequestPaymentConfiguration: the owner pays."""
    return document("RequestPaymentConfiguration", element("Payer", "BucketOwner"))


def access_control_policy(owner: Owner, grants: Iterable[Grant], owner_of: OwnerOf) -> bytes:
    """AccessControlPolicy, groups first."""
    return document(
        "AccessControlPolicy",
        _owner("Owner", owner),
        "<AccessControlList>",
        *(_grant(grant, owner_of) for grant in sorted(grants, key=lambda grant: not grant.group)),
        "</AccessControlList>",
    )


def _grant(grant: Grant, owner_of: OwnerOf) -> str:
    kind, who = "Group", element("URI", grant.group)
    if not grant.group:
        kind, who = "CanonicalUser", _id_and_name(owner_of(grant.user))
    grantee = f'<Grantee {_XSI} xsi:type="{kind}">{who}</Grantee>'
    return f"<Grant>{grantee}{element('Permission', grant.permission)}</Grant>"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _reads_the_same(text: str) -> bool:
    """Whether ``text`` is the same to a client that decodes it and to one that does not, and XML can hold it.

    S3 encodes the Prefix of ListObjects like the rest, and botocore alone does not decode that one."""
    return not _CHANGES_WHEN_DECODED.search(text)


def _encoder(encoding: str) -> Encode:
    return url_encode if encoding else str


def _etag(etag: str) -> str:
    return f"<ETag>&quot;{escape(etag)}&quot;</ETag>"


def _checksum(checksum: Checksum | None) -> str:
    if checksum is None:
        return ""
    return element(f"Checksum{checksum.algorithm}", checksum.value) + element("ChecksumType", checksum.type)


def _attribute_checksum(checksum: Checksum) -> str:
    return f"<Checksum>{_checksum(checksum)}</Checksum>"


def _id_and_name(owner: Owner) -> str:
    return element("ID", owner.id) + element("DisplayName", owner.name)


def _owner(name: str, owner: Owner) -> str:
    return f"<{name}>{_id_and_name(owner)}</{name}>"


def _contents(entries: Sequence[tuple[str, ObjectInfo]], encoding: str, owner_of: OwnerOf | None) -> list[str]:
    """The entries of a listing. There are up to a thousand: whatever is not particular to one is made once."""
    text = url_encode if encoding else escape
    tails: dict[str, str] = {}
    contents = []
    for key, info in entries:
        tail = tails.get(info.owner)
        if tail is None:
            owner = "" if owner_of is None else _owner("Owner", owner_of(info.owner))
            tail = tails[info.owner] = f"</Size>{owner}<StorageClass>STANDARD</StorageClass></Contents>"
        checksum = info.checksum
        algorithm = "" if checksum is None else _algorithm(checksum.algorithm, checksum.type)
        contents.append(
            f"<Contents><Key>{text(key)}</Key><LastModified>{iso8601(info.modified)}</LastModified>"
            f"<ETag>&quot;{info.etag}&quot;</ETag>{algorithm}<Size>{info.size}{tail}"
        )
    return contents


def _version_marker(order: int | None) -> str:
    """The version that the next page begins behind: its place, since a null version can be gone when that is asked
    for, and come back in another. Behind all versions of a common prefix it is none."""
    return "" if order is None else f"{order:016x}" if order else NULL


def _version(entry: VersionEntry, encode: Encode, owner_of: OwnerOf) -> str:
    info = entry.info
    common = (
        element("Key", encode(entry.key))
        + element("VersionId", info.version)
        + element("IsLatest", _boolean(entry.latest))
        + element("LastModified", iso8601(info.modified))
    )
    owner = _owner("Owner", owner_of(info.owner))
    if info.marker:
        return f"<DeleteMarker>{common}{owner}</DeleteMarker>"
    algorithm = "" if info.checksum is None else _algorithm(info.checksum.algorithm, info.checksum.type)
    return (
        f"<Version>{common}{_etag(info.etag)}{algorithm}{element('Size', info.size)}{owner}"
        "<StorageClass>STANDARD</StorageClass></Version>"
    )


def _algorithm(algorithm: str, kind: str) -> str:
    return f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"


def _common_prefixes(prefixes: Iterable[str], encode: Encode) -> list[str]:
    return [f"<CommonPrefixes>{element('Prefix', encode(prefix))}</CommonPrefixes>" for prefix in prefixes]


def _upload(upload: UploadInfo, encode: Encode, owner_of: OwnerOf, name_of: OwnerOf) -> str:
    initiator, owner = name_of(upload.initiator or upload.owner), owner_of(upload.owner)
    return (
        f"<Upload>{element('Key', encode(upload.key))}{element('UploadId', upload.upload)}"
        f"{_owner('Initiator', initiator)}{_owner('Owner', owner)}<StorageClass>STANDARD</StorageClass>"
        f"{element('Initiated', iso8601(upload.initiated))}{optional('ChecksumAlgorithm', upload.checksum_algorithm)}"
        f"{optional('ChecksumType', upload.checksum_type)}</Upload>"
    )


def _part(part: PartInfo, algorithm: str) -> str:
    return (
        f"<Part>{element('PartNumber', part.number)}{element('LastModified', iso8601(part.modified))}{_etag(part.etag)}"
        f"{element('Size', part.size)}{optional(f'Checksum{algorithm}', part.checksum)}</Part>"
    )


def _object_parts(info: ObjectInfo, marker: int, max_parts: int) -> str:
    algorithm = "" if info.checksum is None else info.checksum.algorithm
    later = [part for part in info.parts if part.number > marker]
    shown = later[:max_parts]
    return (
        f"<ObjectParts>{element('PartsCount', len(info.parts))}{element('PartNumberMarker', marker)}"
        f"{element('NextPartNumberMarker', shown[-1].number if shown else 0)}{element('MaxParts', max_parts)}"
        f"{element('IsTruncated', _boolean(len(later) > len(shown)))}"
        f"{''.join(_object_part(part, algorithm) for part in shown)}</ObjectParts>"
    )


def _object_part(part: PartSummary, algorithm: str) -> str:
    return (
        f"<Part>{element('PartNumber', part.number)}{element('Size', part.size)}"
        f"{optional(f'Checksum{algorithm}', part.checksum)}</Part>"
    )


def _cors_rule(rule: CORSRule) -> str:
    lists = (
        ("AllowedHeader", rule.headers),
        ("AllowedMethod", rule.methods),
        ("AllowedOrigin", rule.origins),
        ("ExposeHeader", rule.expose),
    )
    listed = "".join(element(name, value) for name, values in lists for value in values)
    age = "" if rule.max_age is None else element("MaxAgeSeconds", rule.max_age)
    return f"<CORSRule>{optional('ID', rule.id)}{listed}{age}</CORSRule>"
