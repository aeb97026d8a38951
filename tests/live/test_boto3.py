"""boto3 against a real server: every listener and authentication, path style and virtual-host style."""

from __future__ import annotations

import base64
import hashlib
import urllib.error
import urllib.request
from typing import Any

from awscrt import checksums as crt

from tests.live.case import KIB, MIB, LiveCase, patch_resolver, some_bytes, trusting

REFERENCE = {
    "CRC32": lambda data: crt.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: crt.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: crt.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}


class Boto3Matrix(LiveCase):
    """What works over every listener and authentication; the subclasses run it."""

    def round_trip(self, s3: Any) -> None:
        """A bucket and objects of all sizes: there, listed, read, gone."""
        bucket = self.new_bucket(s3)
        s3.head_bucket(Bucket=bucket)
        self.assertIn(bucket, [each["Name"] for each in s3.list_buckets()["Buckets"]])
        bodies = {f"size/{size}": some_bytes(size, size) for size in (0, 1, 64 * KIB, 64 * KIB + 1, 5 * MIB)}
        for key, body in bodies.items():
            put = s3.put_object(Bucket=bucket, Key=key, Body=body)
            self.assertEqual(put["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
        listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
        self.assertEqual({each["Key"]: each["Size"] for each in listed}, {key: len(b) for key, b in bodies.items()})
        for key, body in bodies.items():
            self.assertSame(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), body)
            self.assertEqual(s3.head_object(Bucket=bucket, Key=key)["ContentLength"], len(body))
            s3.delete_object(Bucket=bucket, Key=key)
            self.assertEqual(self.refused(s3.get_object, Bucket=bucket, Key=key), (404, "NoSuchKey"))
        s3.delete_bucket(Bucket=bucket)
        self.assertEqual(self.refused(s3.head_bucket, Bucket=bucket), (404, "404"))

    def test_path_style(self) -> None:
        """The whole life of objects, path style."""
        self.round_trip(self.server.s3())

    def test_virtual_host_style(self) -> None:
        """The same with the bucket in the host name."""
        patch_resolver(self)
        self.round_trip(self.server.s3(style="virtual"))

    def test_checksums(self) -> None:
        """Each algorithm, in a header over http and in a trailer over https: verified, stored, and told."""
        s3 = self.server.s3()
        bucket = self.new_bucket(s3)
        for algorithm, digest in REFERENCE.items():
            for size in (0, 1000, 200 * KIB):
                with self.subTest(f"{algorithm} of {size} bytes"):
                    body = some_bytes(size, size)
                    field = f"Checksum{algorithm}"
                    expected = base64.b64encode(digest(body)).decode()
                    put = s3.put_object(Bucket=bucket, Key="key", Body=body, ChecksumAlgorithm=algorithm)
                    self.assertEqual(put[field], expected)
                    got = s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
                    self.assertSame(got["Body"].read(), body)
                    self.assertEqual((got[field], got["ChecksumType"]), (expected, "FULL_OBJECT"))
                    head = s3.head_object(Bucket=bucket, Key="key")
                    self.assertNotIn(field, head)
                    wrong = base64.b64encode(digest(body + b"!")).decode()
                    refusal = self.refused(s3.put_object, Bucket=bucket, Key="key", Body=body, **{field: wrong})
                    self.assertEqual(refusal, (400, "BadDigest"))

    def test_streamed_upload(self) -> None:
        """A body without a length, which goes out chunked, arrives whole and without its framing."""
        s3 = self.server.s3()
        bucket = self.new_bucket(s3)
        body = some_bytes(3 * MIB + 5)
        source = urllib.request.Request(
            s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "key"}),
            method="PUT",
            data=iter([body[: 2 * MIB], b"", body[2 * MIB :]]),
            headers={"Transfer-Encoding": "chunked"},
        )
        with trusting(self.server).open(source) as answer:
            self.assertEqual(answer.status, 200)
        self.assertSame(s3.get_object(Bucket=bucket, Key="key")["Body"].read(), body)

    def test_presigned(self) -> None:
        """A presigned URL uploads and downloads with no other credentials, as it is and no other way."""
        s3 = self.server.s3()
        bucket = self.new_bucket(s3)
        where = {"Bucket": bucket, "Key": "sp ace+plus/ü&=?"}
        body = some_bytes(100 * KIB)
        opener = trusting(self.server)
        put_url = s3.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
        with opener.open(urllib.request.Request(put_url, method="PUT", data=body)) as answer:
            self.assertEqual(answer.headers["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
        get_url = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
        with opener.open(get_url) as answer:
            self.assertSame(answer.read(), body)
        if self.auth == "sigv4":
            for spoilt in (get_url.replace("Expires=60", "Expires=61"), get_url.replace("%26%3D", "%26"), put_url):
                refusal = self.assertRaises(urllib.error.HTTPError, opener.open, spoilt)
                self.assertEqual(refusal.code, 403)
                self.assertIn(b"<Code>SignatureDoesNotMatch</Code>", refusal.read())


class OverHttp(Boto3Matrix):
    """http, no authentication."""


class OverHttpSigned(Boto3Matrix):
    """http, SigV4."""

    auth = "sigv4"


class OverHttps(Boto3Matrix):
    """https, no authentication."""

    tls = True


class OverHttpsSigned(Boto3Matrix):
    """https, SigV4."""

    auth = "sigv4"
    tls = True


del Boto3Matrix  # it is no test by itself
