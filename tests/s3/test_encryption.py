"""What requests say of encryption."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import S3Error
from s3gw.s3.encryption import HEADERS, NOTHING, Asked, answer_headers, parse_asked, parse_configuration

KEY = bytes(range(32))
METHOD = "x-amz-server-side-encryption"
COPY_SOURCE = "x-amz-copy-source-server-side-encryption"
VALUES = st.sampled_from(
    ["AES256", "aws:kms", b64encode(KEY).decode(), b64encode(hashlib.md5(KEY).digest()).decode()]
) | st.text(st.characters(max_codepoint=255), max_size=50)
"""Of headers, mostly such as fit together."""


def triple(
    key: bytes = KEY, algorithm: str = "AES256", md5: bytes | None = None, prefix: str = METHOD
) -> dict[str, str]:
    """The three headers of a customer key."""
    digest = hashlib.md5(key).digest() if md5 is None else md5
    return {
        f"{prefix}-customer-algorithm": algorithm,
        f"{prefix}-customer-key": b64encode(key).decode(),
        f"{prefix}-customer-key-md5": b64encode(digest).decode(),
    }


def without(part: str) -> dict[str, str]:
    """A customer key without one of its headers."""
    return {name: value for name, value in triple().items() if name != f"{METHOD}-customer-{part}"}


class AskedTests(SynchronousTestCase):
    """Headers."""

    def asked(self, headers: Mapping[str, str], operation: str = "PutObject", *, private: bool = True) -> Asked:
        """What they say."""
        return parse_asked(operation, {"host": "s3.test", **headers}, private=private)

    def refused(self, headers: Mapping[str, str], operation: str = "PutObject", *, private: bool = True) -> S3Error:
        """Why they are refused; without a trace of the key."""
        error = self.assertRaises(S3Error, self.asked, headers, operation, private=private)
        for shown in (error.message, repr(error.fields), repr(error)):
            self.assertNotIn(b64encode(KEY).decode(), shown)
        return error

    def test_nothing(self) -> None:
        """A request that does not speak of encryption asks for nothing."""
        self.assertEqual(NOTHING, self.asked({}))

    def test_managed(self) -> None:
        """SSE-S3 is asked for where something is written as a whole."""
        for operation in ("PutObject", "CopyObject", "CreateMultipartUpload", "PostObject"):
            self.assertEqual(Asked(managed=True), self.asked({METHOD: "AES256"}, operation))
        for operation in ("GetObject", "HeadObject", "UploadPart", "CompleteMultipartUpload", "DeleteObject"):
            error = self.refused({METHOD: "AES256"}, operation)
            self.assertEqual(("InvalidArgument", METHOD), (error.code, error.fields["ArgumentName"]))

    def test_customer(self) -> None:
        """A customer key comes with everything that reads or writes the object."""
        for operation in ("PutObject", "GetObject", "HeadObject", "UploadPart", "ListParts", "GetObjectAttributes"):
            customer = self.asked(triple(), operation).customer
            assert customer is not None
            self.assertEqual(KEY, customer.key)
            self.assertNotIn(repr(KEY), repr(customer) + repr(self.asked(triple(), operation)))
        for operation in ("DeleteObject", "ListObjectsV2", "CreateBucket", "PutObjectTagging"):
            self.assertEqual("NotImplemented", self.refused(triple(), operation).code)

    def test_copy_source(self) -> None:
        """The key of a source comes with copies, and there with the other or with SSE-S3."""
        for operation in ("CopyObject", "UploadPartCopy"):
            asked = self.asked({**triple(), **triple(KEY[::-1], prefix=COPY_SOURCE)}, operation)
            assert asked.customer is not None and asked.copy_source is not None
            self.assertEqual((KEY, KEY[::-1]), (asked.customer.key, asked.copy_source.key))
        asked = self.asked({METHOD: "AES256", **triple(prefix=COPY_SOURCE)}, "CopyObject")
        self.assertTrue(asked.managed)
        self.assertEqual("NotImplemented", self.refused(triple(prefix=COPY_SOURCE), "PutObject").code)

    def test_private(self) -> None:
        """A key that others may have read on its way is refused, whole or in part, before it is looked at."""
        for headers in (triple(), without("algorithm"), triple(prefix=COPY_SOURCE), triple(b"short")):
            error = self.refused(headers, "CopyObject", private=False)
            self.assertEqual("InvalidRequest", error.code)
            self.assertIn("must be made over a secure connection", error.message)
        self.assertTrue(self.asked({METHOD: "AES256"}, private=False).managed)

    def test_wrong(self) -> None:
        """The first thing that is wrong is told, in the words of S3."""
        invalid = "InvalidArgument"
        for headers, code, message in (
            (without("algorithm"), invalid, "must provide a valid encryption algorithm."),
            (without("key"), invalid, "must provide an appropriate secret key."),
            (without("key-md5"), invalid, "must provide the client calculated MD5 of the secret key."),
            (triple(algorithm="AES192"), "InvalidEncryptionAlgorithmError", "Supported value: AES256."),
            (triple(algorithm=""), "InvalidEncryptionAlgorithmError", "Supported value: AES256."),
            (triple(md5=bytes(16)), invalid, "The calculated MD5 hash of the key did not match"),
            (triple(b"short", md5=bytes(16)), invalid, "The calculated MD5 hash of the key did not match"),
            (triple(b"short"), invalid, "The secret key was invalid for the specified algorithm."),
            (triple(KEY + b"x"), invalid, "The secret key was invalid for the specified algorithm."),
            ({**triple(), f"{METHOD}-customer-key": "*"}, invalid, "The secret key was invalid"),
            ({**triple(), f"{METHOD}-customer-key-md5": "\xff"}, invalid, "The calculated MD5 hash"),
            ({**triple(), METHOD: "AES256"}, invalid, "is incompatible with the encryption method specified"),
            ({METHOD: "AES192"}, invalid, "The encryption method specified is not supported"),
            ({METHOD: ""}, invalid, "The encryption method specified is not supported"),
            ({METHOD: "aws:kms"}, "NotImplemented", "aws:kms"),
            ({METHOD: "aws:kms", f"{METHOD}-aws-kms-key-id": "k"}, "NotImplemented", "aws:kms"),
            ({f"{METHOD}-aws-kms-key-id": "k"}, invalid, "AWS KMS managed key requires HTTP header"),
            ({METHOD: "AES256", f"{METHOD}-aws-kms-key-id": "k"}, invalid, "AWS KMS managed key requires HTTP header"),
            ({**triple(), f"{METHOD}-aws-kms-key-id": "k"}, invalid, "AWS KMS managed key requires HTTP header"),
            ({METHOD: "aws:kms:dsse"}, "NotImplemented", "aws:kms:dsse"),
        ):
            error = self.refused(headers)
            self.assertEqual(code, error.code, headers)
            self.assertIn(message, error.message)

    @given(st.dictionaries(st.sampled_from(sorted(HEADERS)), VALUES), st.sampled_from(["CopyObject", "GetObject"]))
    def test_anything(self, headers: dict[str, str], operation: str) -> None:
        """Whatever comes is understood or refused as S3 refuses it."""
        try:
            asked = self.asked(headers, operation)
        except S3Error:
            return
        self.assertEqual(METHOD in headers, asked.managed)
        self.assertEqual(f"{METHOD}-customer-key" in headers, asked.customer is not None)

    @given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
    def test_any_configuration(self, body: bytes) -> None:
        """Nor does any document do more than that."""
        for document in (body, b"<ServerSideEncryptionConfiguration>%b</ServerSideEncryptionConfiguration>" % body):
            self.assertRaises(S3Error, parse_configuration, document)

    def test_answers(self) -> None:
        """An answer names the method, or confirms the key by its MD5."""
        self.assertEqual([(METHOD, "AES256")], answer_headers(None))
        customer = self.asked(triple()).customer
        md5 = b64encode(hashlib.md5(KEY).digest()).decode()
        expected = [(f"{METHOD}-customer-algorithm", "AES256"), (f"{METHOD}-customer-key-MD5", md5)]
        self.assertEqual(expected, answer_headers(customer))
