"""Which key a body is encrypted with, and who may open it; the default encryption of a bucket.

What a request asks for is resolved once: into `Fresh`, a new data key for what is written, or into the `DataKey` of
what is read. Requests that say nothing, in buckets that have no default, meet none of this.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from hmac import compare_digest
from typing import NamedTuple

from msgspec.structs import replace

from s3gw.cipher import CUSTOMER, BodyCipher, DataKey, MasterKey, Secret, Tampered, WrongKey, unwrap, verify, wrap
from s3gw.errors import (
    AccessDenied,
    InternalError,
    InvalidRequest,
    NotImplemented,
    ServerSideEncryptionConfigurationNotFoundError,
)
from s3gw.model import Checksum, Encryption, ObjectInfo, UploadInfo
from s3gw.operations.call import Buffer, Call, Headers, Response, document
from s3gw.s3.encryption import METHOD, Asked, CustomerKey, answer_headers, parse_asked, parse_configuration
from s3gw.s3.head import RequestHead
from s3gw.store.interface import BodyRow, ChunkRow, ConfigureBucket, CorruptChunk

DOCUMENT = "encryption"
"""Where a bucket keeps its default encryption. Whatever it is, it is AES256: nothing else is taken."""

MAX_DOCUMENT_BYTES = 64 * 1024

NEEDS_KEY_FILE = "Server-side encryption with keys of the gateway needs --sse_key_file, which this gateway has not."

_NOT_APPLICABLE = "The encryption parameters are not applicable to this object."
_STORED_ENCRYPTED = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve"
    " the object."
)
_WRONG_KEY = (
    "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key."
)
_PARTS_ENCRYPTED = (
    "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate"
    " encryption parameters."
)
_OTHER_PARAMETERS = "The provided encryption parameters did not match the ones used originally."


class Fresh(NamedTuple):
    """A data key and what is stored of it, for an object or an upload."""

    key: DataKey
    stored: Encryption


def asked(call: Call, operation: str, head: RequestHead) -> Asked:
    """What a request, or a form, says of encryption. Raises as `s3.encryption.parse_asked`."""
    return parse_asked(operation, head.headers, private=head.secure or call.gateway.sse_c_over_http)


def for_writing(call: Call, key: str, data_key: DataKey | None = None) -> Fresh | None:
    """How object ``key``, which the request writes, is to be encrypted; None if it is not.

    :param data_key: the one to use, where bytes that are there already go on with theirs.
    :raises NotImplemented: there is no master key."""
    wrapping = _wrapping_key(call)
    if wrapping is None:
        return None
    data_key = data_key or DataKey.fresh()
    return Fresh(data_key, wrap(data_key, wrapping, call.bucket, key))


def encrypts(call: Call) -> bool:
    """Whether what the request writes is to be encrypted, because it or its bucket says so."""
    asked, bucket = call.encryption, call.bucket_info
    return asked.managed or asked.customer is not None or (bucket is not None and DOCUMENT in bucket.documents)


def _wrapping_key(call: Call) -> Secret | None:
    if not encrypts(call):
        return None
    if call.encryption.customer is not None:
        return Secret(call.encryption.customer.key)
    keys = call.gateway.master_keys
    if keys is None:
        raise NotImplemented(NEEDS_KEY_FILE, Header=METHOD)
    return keys.active


def check_reader(call: Call, info: ObjectInfo) -> None:
    """Refuse a request that may not see the object, without its data key being opened.

    :raises InvalidRequest: a key is missing, or one came that is not needed. :raises AccessDenied: it is the wrong one.
    """
    _check(info.encryption, call.encryption.customer)


def unlock(call: Call, info: ObjectInfo, bucket: str, key: str, customer: CustomerKey | None) -> DataKey | None:
    """The data key of an object; None for one that is not encrypted. Raises as `check_reader`.

    :param customer: the key that came with the request for this object.
    :raises InternalError: its master key is not there, or the record is not what was written."""
    stored = info.encryption
    if stored is None or stored.kind != CUSTOMER or customer is None:
        _check(stored, customer)
        return None if stored is None else _open(stored, _master_key(call, stored), bucket, key)
    return _open(stored, Secret(customer.key), bucket, key)


def _check(stored: Encryption | None, customer: CustomerKey | None) -> None:
    if stored is None or stored.kind != CUSTOMER:
        if customer is not None:
            raise InvalidRequest(_NOT_APPLICABLE)
        return
    if customer is None:
        raise InvalidRequest(_STORED_ENCRYPTED)
    try:
        verify(stored, Secret(customer.key))
    except WrongKey:
        raise AccessDenied(_WRONG_KEY) from None


def _open(stored: Encryption, key: Secret, bucket: str, name: str) -> DataKey:
    try:
        return unwrap(stored, key, bucket, name)
    except WrongKey:
        raise AccessDenied(_WRONG_KEY) from None
    except Tampered:
        raise CorruptChunk(f"data key of {bucket}/{name} (master key {stored.master or 'of the customer'})") from None


def _master_key(call: Call, stored: Encryption) -> MasterKey:
    keys = call.gateway.master_keys
    found = None if keys is None else keys.find(stored.master)
    if found is None:
        raise InternalError(f"The master key {stored.master} is not in the --sse_key_file of this gateway.")
    return found


def unlock_upload(call: Call, upload: UploadInfo, *, needed: bool = True) -> DataKey | None:
    """The data key of an upload; None for one that is not encrypted.

    :param needed: whether a customer key has to come; if not, and none does, the answer is None.
    :raises InvalidRequest: the request does not bring the encryption that the upload began with."""
    stored, customer = upload.encryption, call.encryption.customer
    if stored is None or stored.kind != CUSTOMER:
        if customer is not None:
            raise InvalidRequest(_PARTS_ENCRYPTED)
        return None if stored is None else _open(stored, _master_key(call, stored), upload.bucket, upload.key)
    if customer is None:
        if needed:
            raise InvalidRequest(_PARTS_ENCRYPTED)
        return None
    try:
        return _open(stored, Secret(customer.key), upload.bucket, upload.key)
    except AccessDenied:
        raise InvalidRequest(_OTHER_PARAMETERS) from None


class Opener:
    """Opens the rows of an encrypted body, in whatever thread they were read in.

    Rows come in the order of the body, so the cipher of the blob before is mostly that of the next."""

    __slots__ = ("_cipher", "_key")

    def __init__(self, key: DataKey) -> None:
        self._key = key
        self._cipher: BodyCipher | None = None

    def __call__(self, row: BodyRow, sealed: Buffer) -> bytes:
        """The bytes of the row. :raises CorruptChunk: if they were not sealed with this key in this place."""
        id, number = (row.blob, row.number) if isinstance(row, ChunkRow) else (row.inline, 0)
        cipher = self._cipher
        if cipher is None or cipher.id != id:
            cipher = self._cipher = self._key.body(id)
        try:
            return cipher.open(number, sealed)
        except Tampered:
            raise CorruptChunk(f"{id.hex()}/{number}, which does not decrypt") from None


def opener(key: DataKey | None) -> Opener | None:
    """What opens a body with this data key; None where there is none to be opened."""
    return None if key is None else Opener(key)


def describe_encryption(call: Call, stored: Encryption | None) -> Headers:
    """What an answer says of the encryption of an object or an upload."""
    if stored is None:
        return []
    if stored.kind != CUSTOMER:
        return answer_headers(None)
    customer = call.encryption.customer
    return [] if customer is None else answer_headers(customer)


def encrypted(info: ObjectInfo, fresh: Fresh) -> ObjectInfo:
    """The object as one that is encrypted so; its ETag tells nothing of its bytes if its key is a customer's."""
    return replace(info, etag=stored_etag(fresh.stored, fresh.key, info.etag), encryption=fresh.stored)


def seal_whole(key: DataKey, info: ObjectInfo, body: Buffer) -> bytes:
    """The body of an object that is stored with it, as it is stored."""
    return key.body(info.inline or info.extents[0].blob).seal(0, body) if body else b""


def may_share(call: Call, source: ObjectInfo) -> bool:
    """Whether a copy of an encrypted object may go on with its data key: if who may open the one may open the other.

    A copy under another customer key gets a data key of its own, since a key is changed for a reason."""
    customer, copy_source = call.encryption.customer, call.encryption.copy_source
    if source.encryption is None or source.encryption.kind != CUSTOMER:
        return customer is None
    return customer is not None and copy_source is not None and compare_digest(customer.key, copy_source.key)


def stored_etag(stored: Encryption | None, key: DataKey | None, etag: str) -> str:
    """The ETag in place of ``etag``, an MD5 with or without a number of parts: under a customer key one that tells
    nothing of the bytes to who has not got the key."""
    if stored is None or stored.kind != CUSTOMER or key is None:
        return etag
    return key.etag(etag[:32]) + etag[32:]


def seal_value(key: DataKey | None, value: str) -> str:
    """The value of a checksum as it is stored."""
    return value if key is None or not value else b64encode(key.seal_note(value.encode())).decode()


def open_value(key: DataKey | None, value: str) -> str:
    """What `seal_value` was given. :raises CorruptChunk:"""
    if key is None or not value:
        return value
    try:
        return key.open_note(b64decode(value)).decode()
    except (Tampered, ValueError):
        raise CorruptChunk("a checksum, which does not decrypt") from None


def seal_checksum(key: DataKey | None, checksum: Checksum | None) -> Checksum | None:
    """A checksum as it is stored."""
    return checksum if key is None or checksum is None else replace(checksum, value=seal_value(key, checksum.value))


def open_checksum(key: DataKey | None, checksum: Checksum | None) -> Checksum | None:
    """What `seal_checksum` was given. :raises CorruptChunk:"""
    return checksum if key is None or checksum is None else replace(checksum, value=open_value(key, checksum.value))


def open_checksums(key: DataKey | None, info: ObjectInfo) -> ObjectInfo:
    """The object with its checksum and those of its parts readable. :raises CorruptChunk:"""
    if key is None:
        return info
    parts = tuple(replace(part, checksum=open_value(key, part.checksum)) for part in info.parts)
    return replace(info, checksum=open_checksum(key, info.checksum), parts=parts)


async def put_bucket_encryption(call: Call) -> Response:
    """PUT /bucket?encryption"""
    configuration = parse_configuration(await call.document(MAX_DOCUMENT_BYTES))
    if call.gateway.master_keys is None:
        raise NotImplemented(NEEDS_KEY_FILE)
    await call.storage.commit(ConfigureBucket(call.bucket, DOCUMENT, configuration, call.bucket_created))
    return Response(200)


async def get_bucket_encryption(call: Call) -> Response:
    """GET /bucket?encryption"""
    assert call.bucket_info is not None
    stored = call.bucket_info.documents.get(DOCUMENT)
    if stored is None:
        raise ServerSideEncryptionConfigurationNotFoundError(BucketName=call.bucket)
    return document(stored)


async def delete_bucket_encryption(call: Call) -> Response:
    """DELETE /bucket?encryption"""
    await call.storage.commit(ConfigureBucket(call.bucket, DOCUMENT, None, call.bucket_created))
    return Response(204)
