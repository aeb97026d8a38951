"""Server-side encryption as requests and answers speak of it: headers, messages, the configuration of a bucket.

==========================================================  ======================================================
header                                                      says
==========================================================  ======================================================
``x-amz-server-side-encryption``                            ``AES256``: the gateway keeps the key (SSE-S3)
``x-amz-server-side-encryption-customer-algorithm``         ``AES256``: the client does (SSE-C), and sends it with
``x-amz-server-side-encryption-customer-key``               each request: 32 bytes in base64
``x-amz-server-side-encryption-customer-key-md5``           MD5 of these 32 bytes in base64
``x-amz-copy-source-server-side-encryption-customer-...``   the same three for the source of a copy
``x-amz-server-side-encryption-aws-kms-key-id``             belongs to methods that are refused
==========================================================  ======================================================

The messages are those of AWS, as far as answers of AWS are on record (LocalStack's ``test_put_object_validation_sse_c``
and ``test_object_retrieval_sse_c``). No key is ever part of one.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-s3-c-encryption.html
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hmac import compare_digest

import msgspec

from s3gw.errors import (
    InvalidArgument,
    InvalidEncryptionAlgorithmError,
    InvalidRequest,
    MalformedXML,
    NotImplemented,
)
from s3gw.s3.markup import Node, document, element, read

AES256 = "AES256"
KMS_METHODS = frozenset({"aws:backup", "aws:fsx", "aws:kms", "aws:kms:dsse"})
"""Methods that S3 has beside AES256."""

METHOD = "x-amz-server-side-encryption"
KMS_KEY = f"{METHOD}-aws-kms-key-id"
CUSTOMER = f"{METHOD}-customer-"
COPY_SOURCE = "x-amz-copy-source-server-side-encryption-customer-"

_TRIPLE = ("algorithm", "key", "key-md5")
CUSTOMER_HEADERS = frozenset(CUSTOMER + part for part in _TRIPLE)
COPY_SOURCE_HEADERS = frozenset(COPY_SOURCE + part for part in _TRIPLE)
HEADERS = frozenset({METHOD, KMS_KEY}) | CUSTOMER_HEADERS | COPY_SOURCE_HEADERS
"""Every header that speaks of encryption and is understood."""

_WRITES = frozenset({"CopyObject", "CreateMultipartUpload", "PostObject", "PutObject"})
_PARTS = frozenset({"CompleteMultipartUpload", "ListParts", "UploadPart", "UploadPartCopy"})
_READS = frozenset({"GetObject", "GetObjectAttributes", "HeadObject"})
_COPIES = frozenset({"CopyObject", "UploadPartCopy"})

_PROVIDE = "Requests specifying Server Side Encryption with Customer provided keys must "


class CustomerKey:
    """A key that came with a request. Its ``repr`` hides it.

    :ivar key: 32 bytes. :ivar md5: their MD5 in base64, as it came.
    """

    __slots__ = ("key", "md5")

    def __init__(self, key: bytes, md5: str) -> None:
        self.key = key
        self.md5 = md5


class Asked(msgspec.Struct, frozen=True):
    """What a request says of encryption.

    :ivar managed: whether it asks for SSE-S3. :ivar customer: and ``copy_source``: the keys that came with it.
    """

    managed: bool = False
    customer: CustomerKey | None = None
    copy_source: CustomerKey | None = None


NOTHING = Asked()
"""What most requests say."""


def parse_asked(operation: str, headers: Mapping[str, str], *, private: bool) -> Asked:
    """What the headers of a request for ``operation`` say.

    :param private: whether nobody reads along, so that a key may come.
    :raises InvalidRequest: for a key that somebody may have read on its way.
    :raises InvalidArgument: :raises InvalidEncryptionAlgorithmError: for what is wrong with them.
    :raises NotImplemented: naming a header, for a method that is not implemented, and for a key that the operation has
        no use for."""
    for name in (CUSTOMER_HEADERS | COPY_SOURCE_HEADERS) & headers.keys():
        if operation not in _takers(name):
            raise NotImplemented(Header=name)
        if not private:
            raise InvalidRequest(f"{_PROVIDE}be made over a secure connection.")
    customer = _customer_key(headers, CUSTOMER)
    copy_source = _customer_key(headers, COPY_SOURCE)
    method = headers.get(METHOD)
    if method is not None and operation not in _WRITES:
        raise InvalidArgument(f"{METHOD} header is not supported for this operation.", ArgumentName=METHOD)
    if KMS_KEY in headers and method not in KMS_METHODS:
        raise _invalid(f"Server Side Encryption with AWS KMS managed key requires HTTP header {METHOD} : aws:kms")
    if method is not None:
        check_method(method)
    return Asked(method is not None, customer, copy_source)


def _takers(name: str) -> frozenset[str]:
    return _COPIES if name in COPY_SOURCE_HEADERS else _WRITES | _PARTS | _READS


def check_method(method: str) -> None:
    """:raises NotImplemented: for one that S3 has. :raises InvalidArgument: for one that nobody has."""
    if method in KMS_METHODS:
        raise NotImplemented(f"Server-side encryption by {method} is not implemented.", Header=METHOD)
    if method != AES256:
        raise InvalidArgument(
            "The encryption method specified is not supported", ArgumentName=METHOD, ArgumentValue=method
        )


def _customer_key(headers: Mapping[str, str], prefix: str) -> CustomerKey | None:
    algorithm, encoded, md5 = (headers.get(prefix + part) for part in _TRIPLE)
    if algorithm is None and encoded is None and md5 is None:
        return None
    if prefix == CUSTOMER and METHOD in headers:
        raise _invalid(
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
            headers[METHOD],
        )
    if algorithm is None:
        raise _invalid(f"{_PROVIDE}provide a valid encryption algorithm.")
    if algorithm != AES256:
        raise InvalidEncryptionAlgorithmError(ArgumentName=METHOD, ArgumentValue=algorithm)
    if encoded is None:
        raise _invalid(f"{_PROVIDE}provide an appropriate secret key.")
    if md5 is None:
        raise _invalid(f"{_PROVIDE}provide the client calculated MD5 of the secret key.")
    try:
        key = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("The secret key was invalid for the specified algorithm.") from None
    digest = b64encode(hashlib.md5(key, usedforsecurity=False).digest())
    if not compare_digest(digest, md5.encode("latin-1", "replace")):
        raise _invalid("The calculated MD5 hash of the key did not match the hash that was provided.")
    if len(key) != 32:
        raise _invalid("The secret key was invalid for the specified algorithm.")
    return CustomerKey(key, md5)


def _invalid(message: str, value: str = "null") -> InvalidArgument:
    return InvalidArgument(message, ArgumentName=METHOD, ArgumentValue=value)


def answer_headers(customer: CustomerKey | None) -> list[tuple[str, str]]:
    """What an answer says of an encrypted object: by whose key."""
    if customer is None:
        return [(METHOD, AES256)]
    return [(f"{CUSTOMER}algorithm", AES256), (f"{CUSTOMER}key-MD5", customer.md5)]


def parse_configuration(body: bytes) -> bytes:
    """A ServerSideEncryptionConfiguration, as it is kept: the one rule that there can be, that AES256 is the default.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html

    :raises MalformedXML: :raises InvalidArgument: for a KMS key of AES256.
    :raises NotImplemented: naming what asks for more: another method, blocked methods."""
    rules = read(body, "ServerSideEncryptionConfiguration").all("Rule")
    if len(rules) != 1:
        raise MalformedXML()
    (rule,) = rules
    for node in rule.all("BlockedEncryptionTypes"):
        if any(blocked.text.strip() != "NONE" for blocked in node.all("EncryptionType")):
            raise NotImplemented("BlockedEncryptionTypes is not implemented.")
    by_default = rule.all("ApplyServerSideEncryptionByDefault")
    if len(by_default) != 1:
        if by_default or not rule.all("BlockedEncryptionTypes"):
            raise MalformedXML()
        raise NotImplemented("A Rule without ApplyServerSideEncryptionByDefault is not implemented.")
    return _configuration(rule, by_default[0])


def _configuration(rule: Node, by_default: Node) -> bytes:
    method = by_default.require("SSEAlgorithm").strip()
    if method in KMS_METHODS:
        raise NotImplemented(f"The SSEAlgorithm {method} is not implemented.")
    if method != AES256:
        raise MalformedXML()
    if by_default.get("KMSMasterKeyID"):
        raise InvalidArgument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            ArgumentName="ApplyServerSideEncryptionByDefault",
        )
    enabled = (rule.get("BucketKeyEnabled") or "false").strip()
    if enabled not in ("true", "false"):
        raise MalformedXML()
    return document(
        "ServerSideEncryptionConfiguration",
        "<Rule><ApplyServerSideEncryptionByDefault>",
        element("SSEAlgorithm", AES256),
        "</ApplyServerSideEncryptionByDefault>",
        element("BucketKeyEnabled", enabled),
        "</Rule>",
    )
