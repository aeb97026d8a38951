"""GetObjectAttributes."""

from __future__ import annotations

from typing import Any

from tests.operations.test_multipart import PARTS, MultipartCase, checksum, document

EVERYTHING = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


class AttributesTests(MultipartCase):
    """What is told of an object, and nothing that was not asked for."""

    def attributes(self, *wanted: str, **further: Any) -> dict[str, Any]:
        """As botocore has them."""
        answer = self.client().get_object_attributes(
            Bucket="bucket", Key="key", ObjectAttributes=list(wanted or EVERYTHING), **further
        )
        del answer["ResponseMetadata"], answer["LastModified"]
        return dict(answer)

    def uploaded(self, algorithm: str = "") -> None:
        """An object of three parts."""
        upload = self.begin(headers={"x-amz-checksum-algorithm": algorithm} if algorithm else {})
        sums = {algorithm: [checksum(algorithm, body) for body in PARTS]} if algorithm else {}
        answer = self.complete(upload, document(self.parts(upload), **sums))
        self.assertEqual(200, answer.status, answer.body)

    def test_plain(self) -> None:
        """An object in one piece has no parts; its ETag has no quotes here."""
        tag = self.put("/bucket/key", b"hello").headers["etag"].strip('"')
        self.assertEqual(
            {
                "ETag": tag,
                "Checksum": {"ChecksumCRC64NVME": checksum("CRC64NVME", b"hello"), "ChecksumType": "FULL_OBJECT"},
                "StorageClass": "STANDARD",
                "ObjectSize": 5,
            },
            self.attributes(),
        )
        self.assertEqual({"ObjectSize": 5}, self.attributes("ObjectSize"))

    def test_parts(self) -> None:
        """A multipart object has its parts, in pages, with the checksums that they were uploaded with."""
        self.uploaded("SHA256")
        found = self.attributes()
        self.assertEqual("COMPOSITE", found["Checksum"]["ChecksumType"])
        self.assertTrue(found["Checksum"]["ChecksumSHA256"].endswith("=-3"), found["Checksum"])
        parts = [
            {"PartNumber": number, "Size": len(body), "ChecksumSHA256": checksum("SHA256", body)}
            for number, body in enumerate(PARTS, 1)
        ]
        self.assertEqual((3, parts), (found["ObjectParts"]["TotalPartsCount"], found["ObjectParts"]["Parts"]))
        found = self.attributes("ObjectParts", MaxParts=1, PartNumberMarker=1)["ObjectParts"]
        self.assertEqual(parts[1:2], found["Parts"])
        names = ("PartNumberMarker", "NextPartNumberMarker", "MaxParts", "IsTruncated", "TotalPartsCount")
        self.assertEqual([1, 2, 1, True, 3], [found[name] for name in names])

    def test_parts_without_checksums(self) -> None:
        """Parts that were uploaded without checksums are listed without."""
        self.uploaded()
        found = self.attributes("ObjectParts")["ObjectParts"]["Parts"]
        self.assertEqual([{"PartNumber": n, "Size": len(body)} for n, body in enumerate(PARTS, 1)], found)

    def test_refused(self) -> None:
        """Nothing asked for, something that there is not, a number that is none, an object that is not there."""
        self.put("/bucket/key", b"hello")
        for headers, code, status in (
            ({}, "InvalidRequest", 400),
            ({"x-amz-object-attributes": "Colour"}, "InvalidArgument", 400),
            ({"x-amz-object-attributes": "ObjectParts", "x-amz-max-parts": "x"}, "InvalidArgument", 400),
            ({"x-amz-object-attributes": "ObjectParts", "x-amz-part-number-marker": "-1"}, "InvalidArgument", 400),
            ({"x-amz-object-attributes": "ETag", "If-Match": "other"}, "PreconditionFailed", 412),
        ):
            self.assert_error(code, status, self.request("GET", "/bucket/key", headers, query="attributes"))
        answer = self.request("GET", "/bucket/none", {"x-amz-object-attributes": "ETag"}, query="attributes")
        self.assert_error("NoSuchKey", 404, answer)
