"""Multipart uploads as boto3 and its transfer manager make them."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from boto3.s3.transfer import TransferConfig, create_transfer_manager

from tests.live.case import KIB, MIB, LiveCase, some_bytes

PART = 5 * MIB


def multipart_etag(*parts: bytes) -> str:
    """The ETag of an object that was uploaded in these parts."""
    return f'"{hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()}-{len(parts)}"'


class MultipartTests(LiveCase):
    """One bucket, http, no authentication."""

    def setUp(self) -> None:
        super().setUp()
        self.s3 = self.server.s3(max_pool_connections=16)
        self.bucket = self.new_bucket(self.s3)

    def begin(self, key: str, **more: Any) -> dict[str, str]:
        """Begin an upload; what names it."""
        created = self.s3.create_multipart_upload(Bucket=self.bucket, Key=key, **more)
        return {"Bucket": self.bucket, "Key": key, "UploadId": created["UploadId"]}

    def part(self, upload: dict[str, str], number: int, body: bytes) -> dict[str, Any]:
        """Upload a part; what names it on completion."""
        return {"PartNumber": number, "ETag": self.s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}

    def test_transfer_manager(self) -> None:
        """64 MiB, up and down by 16 threads, in parts."""
        body = some_bytes(64 * MIB)
        config = TransferConfig(
            multipart_threshold=8 * MIB,
            multipart_chunksize=PART,
            max_concurrency=16,
            preferred_transfer_client="classic",
        )
        with create_transfer_manager(self.s3, config) as transfers:
            transfers.upload(io.BytesIO(body), self.bucket, "big").result()
        head = self.s3.head_object(Bucket=self.bucket, Key="big", PartNumber=1)
        self.assertEqual((head["PartsCount"], head["ContentLength"]), (13, PART))
        parts = [body[start : start + PART] for start in range(0, len(body), PART)]
        self.assertEqual(head["ETag"], multipart_etag(*parts))
        down = io.BytesIO()
        with create_transfer_manager(self.s3, config) as transfers:
            transfers.download(self.bucket, "big", down).result()
        self.assertSame(down.getvalue(), body)
        for number, part in enumerate(parts, 1):
            got = self.s3.get_object(Bucket=self.bucket, Key="big", PartNumber=number)
            self.assertSame(got["Body"].read(), part)

    def test_life(self) -> None:
        """Listed while it goes on; a part sent again replaces the first; completed; not listed any more."""
        upload = self.begin("key", Metadata={"a": "1"}, ContentType="a/b")
        first, again, last = some_bytes(PART, 1), some_bytes(PART, 2), b"the end"
        self.part(upload, 1, first)
        parts = [self.part(upload, 1, again), self.part(upload, 9, last)]
        self.assertEqual(self.refused(self.s3.get_object, Bucket=self.bucket, Key="key"), (404, "NoSuchKey"))
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket)["Uploads"]
        self.assertEqual([each["UploadId"] for each in uploads], [upload["UploadId"]])
        listed = self.s3.list_parts(**upload)["Parts"]
        self.assertEqual([(p["PartNumber"], p["Size"], p["ETag"]) for p in listed], [
            (1, PART, parts[0]["ETag"]), (9, len(last), parts[1]["ETag"]),
        ])  # fmt: skip
        done = self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        self.assertEqual(done["ETag"], multipart_etag(again, last))
        got = self.s3.get_object(Bucket=self.bucket, Key="key")
        self.assertEqual((got["Metadata"], got["ContentType"]), ({"a": "1"}, "a/b"))
        self.assertSame(got["Body"].read(), again + last)
        across = self.s3.get_object(Bucket=self.bucket, Key="key", Range=f"bytes={PART - 3}-{PART + 2}")
        self.assertEqual(across["Body"].read(), again[-3:] + last[:3])
        self.assertNotIn("Uploads", self.s3.list_multipart_uploads(Bucket=self.bucket))

    def test_refusals(self) -> None:
        """Parts that are too small, unknown or out of order; an upload that was given up."""
        upload = self.begin("key")
        parts = [self.part(upload, 1, b"too small"), self.part(upload, 2, b"end")]

        def complete(*chosen: dict[str, Any]) -> tuple[int, str]:
            return self.refused(self.s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": list(chosen)})

        self.assertEqual(complete(*parts), (400, "EntityTooSmall"))
        self.assertEqual(complete(*reversed(parts)), (400, "InvalidPartOrder"))
        self.assertEqual(complete({**parts[0], "ETag": '"0"'}), (400, "InvalidPart"))
        self.assertEqual(complete({**parts[0], "PartNumber": 3}), (400, "InvalidPart"))
        self.assertEqual(self.refused(self.part, upload=upload, number=10001, body=b"x"), (400, "InvalidArgument"))
        self.s3.abort_multipart_upload(**upload)
        self.assertEqual(self.refused(self.part, upload=upload, number=1, body=b"x"), (404, "NoSuchUpload"))
        self.assertEqual(complete(*parts), (404, "NoSuchUpload"))
        self.assertEqual(self.refused(self.s3.head_object, Bucket=self.bucket, Key="key"), (404, "404"))

    def test_part_copy(self) -> None:
        """Parts that are copied, whole and by range, from large and small objects."""
        large, small = some_bytes(6 * MIB, 1), some_bytes(10 * KIB, 2)
        self.s3.put_object(Bucket=self.bucket, Key="large", Body=large)
        self.s3.put_object(Bucket=self.bucket, Key="small", Body=small)
        upload = self.begin("copy")
        spans = [("large", None), ("large", (1, PART)), ("small", (5, 4000))]
        parts = []
        for number, (key, span) in enumerate(spans, 1):
            ranged = {} if span is None else {"CopySourceRange": "bytes={}-{}".format(*span)}
            answer = self.s3.upload_part_copy(
                **upload, PartNumber=number, CopySource={"Bucket": self.bucket, "Key": key}, **ranged
            )
            parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
        self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        for key in ("large", "small"):
            self.s3.delete_object(Bucket=self.bucket, Key=key)
        got = self.s3.get_object(Bucket=self.bucket, Key="copy")
        self.assertSame(got["Body"].read(), large + large[1 : PART + 1] + small[5:4001])

    def test_checksums(self) -> None:
        """Checksums of parts become one of the object: over the parts' checksums, or over all bytes."""
        bodies = some_bytes(PART, 1), some_bytes(1000, 2)
        for algorithm, kind in (("SHA256", "COMPOSITE"), ("CRC32C", "COMPOSITE"), ("CRC64NVME", "FULL_OBJECT")):
            with self.subTest(f"{algorithm} {kind}"):
                field = f"Checksum{algorithm}"
                upload = self.begin("key", ChecksumAlgorithm=algorithm, ChecksumType=kind)
                parts = []
                for number, body in enumerate(bodies, 1):
                    sent = self.s3.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
                    parts.append({"PartNumber": number, "ETag": sent["ETag"], field: sent[field]})
                done = self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, ChecksumType=kind)
                self.assertEqual(done["ChecksumType"], kind)
                self.assertEqual(done[field].endswith("-2"), kind == "COMPOSITE")
                got = self.s3.get_object(Bucket=self.bucket, Key="key", ChecksumMode="ENABLED")
                self.assertSame(got["Body"].read(), b"".join(bodies))
                self.assertEqual(got[field], done[field])
