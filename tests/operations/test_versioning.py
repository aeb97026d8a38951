"""Versioning: what every operation says and does of versions and delete markers."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tests.operations.harness import Answer, GatewayTestCase

UNKNOWN = "0123456789abcdef"
PART = b"p" * (5 * 1024 * 1024)


class VersioningCase(GatewayTestCase):
    """A bucket with versioning, and botocore as its client."""

    def setUp(self) -> None:
        super().setUp()
        self.make_bucket()
        self.s3 = self.client()
        self.versioning("Enabled")

    def versioning(self, status: str) -> None:
        """Set it."""
        self.s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": status})

    def store(self, key: str, body: bytes) -> str:
        """Put an object. :return: its version id."""
        return str(self.s3.put_object(Bucket="bucket", Key=key, Body=body).get("VersionId", ""))

    def body(self, key: str, version: str = "") -> bytes:
        """The bytes of an object or a version, whose id is told."""
        named = {"VersionId": version} if version else {}
        answer = self.s3.get_object(Bucket="bucket", Key=key, **named)
        if version:
            self.assertEqual(version, answer["VersionId"])
        return bytes(answer["Body"].read())

    def versions(self, **query: Any) -> list[tuple[str, str, bool, str]]:
        """Key, version id, whether it is the latest, and size or ``marker``, in the order of the document."""
        answer = self.s3.list_object_versions(Bucket="bucket", **query)
        found = [(it, str(it["Size"])) for it in answer.get("Versions", [])]
        found += [(it, "marker") for it in answer.get("DeleteMarkers", [])]
        shown = [(it["Key"], it["VersionId"], it["IsLatest"], what) for it, what in found]
        return sorted(shown, key=lambda it: (it[0], not it[2]))

    def refused(self, code: str, status: int, operation: str, **parameters: Any) -> dict[str, str]:
        """The headers of an answer that is this error."""
        members = self.s3.meta.service_model.operation_model(operation).input_shape.members
        named = {name: value for name, value in (("Bucket", "bucket"), ("Key", "key")) if name in members}
        with self.assertRaises(ClientError) as caught:
            self.s3._make_api_call(operation, {**named, **parameters})
        response = caught.exception.response
        found = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
        self.assertEqual((code, status), found)
        headers: dict[str, str] = response["ResponseMetadata"]["HTTPHeaders"]
        return headers


class ConfigurationTests(GatewayTestCase):
    """The versioning of a bucket."""

    def put(self, inner: str) -> Answer:  # type: ignore[override]
        """Put a configuration."""
        body = f"<VersioningConfiguration>{inner}</VersioningConfiguration>".encode()
        return self.request("PUT", "/bucket", body=body, query="versioning")

    def status(self) -> str | None:
        """What it is."""
        return self.request("GET", "/bucket", query="versioning").text("Status")

    def test_status(self) -> None:
        """It is nothing, until it is enabled or suspended."""
        self.make_bucket()
        self.assertIsNone(self.status())
        for status in ("Suspended", "Enabled", "Suspended"):
            self.assertEqual(200, self.put(f"<Status>{status}</Status>").status)
            self.assertEqual(status, self.status())

    def test_nonsense(self) -> None:
        """What is no status changes nothing."""
        self.make_bucket()
        self.assert_error("IllegalVersioningConfigurationException", 400, self.put(""))
        self.assert_error("MalformedXML", 400, self.put("<Status>enabled</Status>"))
        answer = self.put("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>")
        self.assert_error("NotImplemented", 501, answer)
        self.assertIsNone(self.status())
        answer = self.request("PUT", "/none", body=b"<VersioningConfiguration/>", query="versioning")
        self.assert_error("NoSuchBucket", 404, answer)


class ObjectTests(VersioningCase):
    """One object and its versions."""

    def test_ids(self) -> None:
        """Each PUT has an id of its own, by which its bytes, headers and size are found."""
        one, two = self.store("key", b"one"), self.store("key", b"second")
        self.assertLess(one, two)
        self.assertEqual((b"second", b"one", b"second"), tuple(map(self.body, ["key"] * 3, ["", one, two])))
        head = self.s3.head_object(Bucket="bucket", Key="key", VersionId=one)
        self.assertEqual((3, one), (head["ContentLength"], head["VersionId"]))
        self.assertEqual(two, self.s3.head_object(Bucket="bucket", Key="key")["VersionId"])
        self.assertEqual([("key", two, True, "6"), ("key", one, False, "3")], self.versions())
        part = self.s3.get_object(Bucket="bucket", Key="key", VersionId=one, Range="bytes=1-")
        self.assertEqual((b"ne", "bytes 1-2/3"), (part["Body"].read(), part["ContentRange"]))

    def test_plain(self) -> None:
        """A bucket that never had versioning says nothing of versions; its objects have the version null."""
        self.s3.create_bucket(Bucket="plain")
        for answer in (
            self.put("/plain/key", b"x"),
            self.request("GET", "/plain/key"),
            self.request("HEAD", "/plain/key", query="versionId=null"),
            self.request("DELETE", "/plain/none"),
        ):
            self.assertNotIn("x-amz-version-id", answer.headers)
        self.assert_error("NoSuchVersion", 404, self.request("GET", "/plain/key", query=f"versionId={UNKNOWN}"))
        self.assertEqual(204, self.request("DELETE", "/plain/key", query="versionId=null").status)
        self.assertEqual(404, self.request("GET", "/plain/key").status)

    def test_before_and_after(self) -> None:
        """An object of before is the version null, and is said to be so from the moment that versioning is enabled."""
        self.s3.create_bucket(Bucket="plain")
        self.put("/plain/key", b"old")
        for _ in range(2):
            self.assertNotIn("x-amz-version-id", self.request("GET", "/plain/key").headers)
        self.s3.put_bucket_versioning(Bucket="plain", VersioningConfiguration={"Status": "Enabled"})
        self.assertEqual("null", self.request("GET", "/plain/key").headers["x-amz-version-id"])
        new = self.put("/plain/key", b"new").headers["x-amz-version-id"]
        self.assertEqual(b"old", self.request("GET", "/plain/key", query="versionId=null").body)
        self.assertEqual(b"new", self.request("GET", "/plain/key", query=f"versionId={new}").body)

    def test_suspended(self) -> None:
        """While it is suspended a PUT makes and replaces the version null, and the others stay."""
        one = self.store("key", b"one")
        self.versioning("Suspended")
        self.assertEqual("", self.store("key", b"first"))
        self.assertEqual("", self.store("key", b"second"))
        self.assertEqual((b"second", b"one"), (self.body("key", "null"), self.body("key", one)))
        self.assertEqual([("key", "null", True, "6"), ("key", one, False, "3")], self.versions())
        marker = self.s3.delete_object(Bucket="bucket", Key="key")
        self.assertEqual((True, "null"), (marker["DeleteMarker"], marker["VersionId"]))
        self.assertEqual([("key", "null", True, "marker"), ("key", one, False, "3")], self.versions())

    def test_large(self) -> None:
        """A body in chunks is a version as one in a row is."""
        body = bytes(range(256)) * 1000
        one, two = self.store("key", body), self.store("key", b"small")
        self.store("key", body[::-1])
        self.assertEqual((body, b"small"), (self.body("key", one), self.body("key", two)))

    def test_ids_that_are_none(self) -> None:
        """One that no version can have is the client's mistake; one that none has is not there."""
        self.store("key", b"x")
        for method, query in (("GET", "none"), ("HEAD", "none"), ("DELETE", "A" * 16), ("GET", "")):
            answer = self.request(method, "/bucket/key", query=f"versionId={query}")
            self.assertEqual(400, answer.status, (method, query))
        self.refused("NoSuchVersion", 404, "GetObject", VersionId=UNKNOWN)
        self.refused("404", 404, "HeadObject", VersionId=UNKNOWN)
        gone = self.s3.delete_object(Bucket="bucket", Key="key", VersionId=UNKNOWN)
        self.assertEqual((UNKNOWN, False), (gone["VersionId"], "DeleteMarker" in gone))
        self.assertEqual(1, len(self.versions()))

    def test_conditional(self) -> None:
        """Conditions of a read are about the version; those of a write about the object."""
        one = self.store("key", b"one")
        etag = self.s3.head_object(Bucket="bucket", Key="key")["ETag"]
        self.store("key", b"two")
        answer = self.request("GET", "/bucket/key", {"If-None-Match": etag}, query=f"versionId={one}")
        self.assertEqual(304, answer.status)
        self.refused("PreconditionFailed", 412, "PutObject", IfMatch=etag)
        self.refused("PreconditionFailed", 412, "PutObject", IfNoneMatch="*")
        self.s3.delete_object(Bucket="bucket", Key="key")
        self.s3.put_object(Bucket="bucket", Key="key", IfNoneMatch="*")

    def test_bucket_stays(self) -> None:
        """A bucket goes when the last version and the last marker have gone."""
        one = self.store("key", b"x")
        marker = self.s3.delete_object(Bucket="bucket", Key="key")["VersionId"]
        for version in (one, marker):
            self.assert_error("BucketNotEmpty", 409, self.request("DELETE", "/bucket"))
            self.s3.delete_object(Bucket="bucket", Key="key", VersionId=version)
        self.assertEqual(204, self.request("DELETE", "/bucket").status)


class MarkerTests(VersioningCase):
    """Delete markers."""

    def setUp(self) -> None:
        super().setUp()
        self.one = self.store("key", b"one")
        answer = self.s3.delete_object(Bucket="bucket", Key="key")
        self.marker = answer["VersionId"]
        self.assertTrue(answer["DeleteMarker"])

    def test_hidden(self) -> None:
        """The object is not found, and the answer says why; nor is it listed."""
        for operation, code in (("GetObject", "NoSuchKey"), ("HeadObject", "404"), ("GetObjectTagging", "NoSuchKey")):
            headers = self.refused(code, 404, operation)
            self.assertEqual("true", headers["x-amz-delete-marker"], operation)
            self.assertEqual(self.marker, headers["x-amz-version-id"], operation)
        self.assertNotIn("x-amz-delete-marker", self.refused("NoSuchKey", 404, "GetObject", Key="never"))
        self.assertEqual(0, self.s3.list_objects_v2(Bucket="bucket")["KeyCount"])
        self.assertEqual(b"one", self.body("key", self.one))

    def test_named(self) -> None:
        """A marker itself can be deleted, and nothing else; then the object is back."""
        for operation, code in (("GetObject", "MethodNotAllowed"), ("HeadObject", "405")):
            headers = self.refused(code, 405, operation, VersionId=self.marker)
            self.assertEqual(("true", "DELETE"), (headers["x-amz-delete-marker"], headers["allow"]))
            self.assertIn("last-modified", headers)
        for operation, more in (("GetObjectTagging", {}), ("PutObjectTagging", {"Tagging": {"TagSet": []}})):
            self.refused("MethodNotAllowed", 405, operation, VersionId=self.marker, **more)
        source = {"Bucket": "bucket", "Key": "key", "VersionId": self.marker}
        self.refused("InvalidRequest", 400, "CopyObject", Key="copy", CopySource=source)
        answer = self.s3.delete_object(Bucket="bucket", Key="key", VersionId=self.marker)
        self.assertEqual((True, self.marker), (answer["DeleteMarker"], answer["VersionId"]))
        self.assertEqual(b"one", self.body("key"))

    def test_stacked(self) -> None:
        """Deleting again makes another; a PUT on top of them is the object."""
        second = self.s3.delete_object(Bucket="bucket", Key="key")["VersionId"]
        self.assertNotEqual(self.marker, second)
        self.store("key", b"two")
        self.assertEqual(["3", "3", "marker", "marker"], sorted(what for *_, what in self.versions()))
        self.assertEqual(b"two", self.body("key"))

    def test_many(self) -> None:
        """DeleteObjects makes markers, deletes versions and markers, and says which."""
        objects = [{"Key": "a"}, {"Key": "key", "VersionId": self.one}, {"Key": "key", "VersionId": self.marker}]
        objects += [{"Key": "key", "VersionId": "none"}, {"Key": "k" * 1025}]
        answer = self.s3.delete_objects(Bucket="bucket", Delete={"Objects": objects})
        made, version, marker = answer["Deleted"]
        self.assertEqual({"Key": "a", "DeleteMarker": True}, {k: made[k] for k in ("Key", "DeleteMarker")})
        self.assertEqual([("a", made["DeleteMarkerVersionId"], True, "marker")], self.versions())
        self.assertEqual({"Key": "key", "VersionId": self.one}, version)
        expected = {"VersionId": self.marker, "DeleteMarker": True, "DeleteMarkerVersionId": self.marker}
        self.assertEqual({"Key": "key", **expected}, marker)
        self.assertEqual(["NoSuchVersion", "KeyTooLongError"], [it["Code"] for it in answer["Errors"]])


class OtherOperationTests(VersioningCase):
    """Operations that take or tell a version."""

    def setUp(self) -> None:
        super().setUp()
        self.one = self.store("key", b"first")
        self.two = self.store("key", b"2")

    def test_copy(self) -> None:
        """Any version can be copied, onto its own key as well, which brings it back."""
        source = {"Bucket": "bucket", "Key": "key", "VersionId": self.one}
        answer = self.s3.copy_object(Bucket="bucket", Key="key", CopySource=source)
        self.assertEqual(self.one, answer["CopySourceVersionId"])
        self.assertEqual((b"first", b"first"), (self.body("key"), self.body("key", answer["VersionId"])))
        answer = self.s3.copy_object(Bucket="bucket", Key="other", CopySource="bucket/key")
        self.assertEqual(3, len({answer["CopySourceVersionId"], answer["VersionId"], self.two}))
        self.s3.create_bucket(Bucket="plain")
        answer = self.s3.copy_object(Bucket="plain", Key="key", CopySource=source)
        self.assertNotIn("VersionId", answer)
        self.assertEqual(b"first", self.get("/plain/key"))
        missing = {**source, "VersionId": UNKNOWN}
        self.refused("NoSuchVersion", 404, "CopyObject", CopySource=missing)
        self.refused("InvalidArgument", 400, "CopyObject", CopySource={**source, "VersionId": "none"})

    def test_upload(self) -> None:
        """A completed upload is a version; its parts can be copies of versions."""
        upload = self.s3.create_multipart_upload(Bucket="bucket", Key="key")["UploadId"]
        named = {"Bucket": "bucket", "Key": "key", "UploadId": upload}
        first = self.s3.upload_part(**named, PartNumber=1, Body=PART)
        source = {"Bucket": "bucket", "Key": "key", "VersionId": self.one}
        second = self.s3.upload_part_copy(**named, PartNumber=2, CopySource=source)
        self.assertEqual(self.one, second["CopySourceVersionId"])
        parts = [{"PartNumber": 1, "ETag": first["ETag"]}, {"PartNumber": 2, "ETag": second["CopyPartResult"]["ETag"]}]
        done = self.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        again = self.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        self.assertEqual(done["VersionId"], again["VersionId"])
        self.assertEqual(PART + b"first", self.body("key", done["VersionId"]))
        self.assertEqual((b"first", b"2"), (self.body("key", self.one), self.body("key", self.two)))

    def test_tags(self) -> None:
        """Tags are of a version, and the answers say of which."""
        tagging = {"TagSet": [{"Key": "a", "Value": "b"}]}
        named = {"Bucket": "bucket", "Key": "key", "VersionId": self.one}
        self.assertEqual(self.one, self.s3.put_object_tagging(**named, Tagging=tagging)["VersionId"])
        answer = self.s3.get_object_tagging(**named)
        self.assertEqual((tagging["TagSet"], self.one), (answer["TagSet"], answer["VersionId"]))
        answer = self.s3.get_object_tagging(Bucket="bucket", Key="key")
        self.assertEqual(([], self.two), (answer["TagSet"], answer["VersionId"]))
        self.assertEqual(1, self.s3.head_object(**named)["TagCount"])
        self.assertEqual(self.one, self.s3.delete_object_tagging(**named)["VersionId"])
        self.assertEqual([], self.s3.get_object_tagging(**named)["TagSet"])
        self.refused("NoSuchVersion", 404, "PutObjectTagging", VersionId=UNKNOWN, Tagging=tagging)

    def test_attributes_and_acl(self) -> None:
        """The attributes and the ACL of a version."""
        named = {"Bucket": "bucket", "Key": "key", "VersionId": self.one}
        answer = self.s3.get_object_attributes(**named, ObjectAttributes=["ObjectSize"])
        self.assertEqual((5, self.one), (answer["ObjectSize"], answer["VersionId"]))
        self.assertEqual("FULL_CONTROL", self.s3.get_object_acl(**named)["Grants"][0]["Permission"])
        self.refused("NoSuchVersion", 404, "GetObjectAcl", VersionId=UNKNOWN)

    def test_form(self) -> None:
        """A form upload tells its version as well."""
        form = self.s3.generate_presigned_post("bucket", "key")
        fields = "".join(
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in form["fields"].items()
        )
        body = f'{fields}--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nform\r\n--x--\r\n'.encode()
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = self.request("POST", "/bucket", headers, body, sign=None)
        self.assertEqual(204, answer.status, answer.body)
        self.assertEqual(b"form", self.body("key", answer.headers["x-amz-version-id"]))

    def test_where_none_is_taken(self) -> None:
        """Operations without versions do not ignore one."""
        for method, query in (("PUT", ""), ("POST", "uploads&"), ("PUT", "partNumber=1&uploadId=x&")):
            answer = self.request(method, "/bucket/key", query=f"{query}versionId={self.one}")
            self.assert_error("InvalidArgument", 400, answer)


class ListingTests(VersioningCase):
    """ListObjectVersions."""

    def setUp(self) -> None:
        super().setUp()
        for key in ("a", "dir/b", "dir/c", "k", "k", "k"):
            self.store(key, b"x")
        self.s3.delete_object(Bucket="bucket", Key="dir/b")
        self.versioning("Suspended")
        self.store("k", b"null")

    def pages(self, size: int, **query: Any) -> list[tuple[str, str]]:
        """Key and id of everything, page by page, in the order of the documents."""
        found: list[tuple[str, str]] = []
        markers: dict[str, str] = {}
        while True:
            parameters = {"versions": "", "max-keys": str(size), **query, **markers}
            answer = self.request("GET", "/bucket", query=parameters)
            self.assertLessEqual(len(answer.texts("Key")), size)
            found += zip(answer.texts("Key"), answer.texts("VersionId"), strict=True)
            if answer.text("IsTruncated") == "false":
                return found
            markers = {"key-marker": answer.text("NextKeyMarker") or ""}
            if answer.text("NextVersionIdMarker"):
                markers["version-id-marker"] = answer.text("NextVersionIdMarker") or ""

    def test_pages(self) -> None:
        """Every version once, by key and newest first, whatever the length of a page."""
        everything = self.pages(1000)
        self.assertEqual(["a", "dir/b", "dir/b", "dir/c", "k", "k", "k", "k"], [key for key, _ in everything])
        self.assertEqual("null", everything[4][1])
        ids = [version for _, version in everything[5:]]
        self.assertEqual(ids, sorted(ids, reverse=True))
        for size in range(1, 9):
            self.assertEqual(everything, self.pages(size), size)

    def test_null_marker(self) -> None:
        """Where clients take the id of the last version for the marker, null is as good as any."""
        answer = self.s3.list_object_versions(Bucket="bucket", KeyMarker="k", VersionIdMarker="null")
        self.assertEqual(3, len(answer["Versions"]))
        self.assertEqual({False}, {it["IsLatest"] for it in answer["Versions"]})
        last = answer["Versions"][-1]["VersionId"]
        answer = self.s3.list_object_versions(Bucket="bucket", KeyMarker="k", VersionIdMarker=last)
        self.assertNotIn("Versions", answer)
        answer = self.request("GET", "/bucket", query="versions&key-marker=k&version-id-marker=x")
        self.assert_error("InvalidArgument", 400, answer)

    def test_rolled_up(self) -> None:
        """Prefix and delimiter do what they do for objects; a common prefix counts as one."""
        answer = self.s3.list_object_versions(Bucket="bucket", Delimiter="/", MaxKeys=2)
        self.assertEqual((["a"], ["dir/"]), ([v["Key"] for v in answer["Versions"]], self.prefixes(answer)))
        self.assertEqual("dir/", answer["NextKeyMarker"])
        answer = self.s3.list_object_versions(Bucket="bucket", Delimiter="/", KeyMarker="dir/")
        self.assertEqual((["k"] * 4, []), ([v["Key"] for v in answer["Versions"]], self.prefixes(answer)))
        answer = self.s3.list_object_versions(Bucket="bucket", Prefix="dir/")
        self.assertEqual((2, 1), (len(answer["Versions"]), len(answer["DeleteMarkers"])))
        self.assertTrue(answer["DeleteMarkers"][0]["IsLatest"])

    def prefixes(self, answer: dict[str, Any]) -> list[str]:
        """The common prefixes of an answer."""
        return [it["Prefix"] for it in answer.get("CommonPrefixes", [])]
