"""No request does what it did not ask for: the whole API of S3, as AWS's own service model lists it, is walked.

What the gateway has no implementation of is refused by name and changes nothing; what it implements is what was asked
for, and never a neighbour of the same address. ``docs/operations.md`` says the same as the code.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape
from twisted.internet.defer import Deferred

from s3gw.access.acl import CANNED, HEADERS
from s3gw.operations import OPERATIONS
from s3gw.operations.call import Call, Response
from s3gw.operations.headers import REFUSED, STORAGE_CLASSES, VERSIONED
from s3gw.s3.encryption import HEADERS as ENCRYPTION
from s3gw.s3.routes import _BUCKET_MARKERS, _OBJECT_MARKERS
from s3gw.store.interface import ConfigureBucket, ListQuery, UploadQuery
from s3gw.web import resources
from tests.operations.harness import Answer, GatewayTestCase, MasterKeysInMemory

TABLE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"

SAME_REQUEST = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
"""Operations of the model that are on the wire what another one is: old names."""

OTHER_ENDPOINTS = {"ListDirectoryBuckets", "WriteGetObjectResponse"}
"""Operations that are not asked of S3 itself, and are signed for another service."""

BEYOND_THE_MODEL = {"PostObject", "PreflightCORS"}
"""What browsers ask and the model does not have."""

PLAIN = {
    *("ListBuckets", "CreateBucket", "HeadBucket", "DeleteBucket", "ListObjects", "ListObjectsV2"),
    *("PutObject", "GetObject", "HeadObject", "DeleteObject", "CopyObject", "PostObject"),
}
"""The operations of an address without a sub-resource."""

UNDERSTOOD = {
    *("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"),
    *("content-length", "content-md5", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"),
    *HEADERS,
    *(
        "x-amz-object-ownership",
        "range",
        "x-amz-meta-",
        "x-amz-tagging",
        "x-amz-tagging-directive",
        "x-amz-metadata-directive",
    ),
    *(f"x-amz-checksum-{name}" for name in ("algorithm", "mode", "type", "crc32", "crc32c", "crc64nvme", "sha1")),
    *("x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm", "x-amz-mp-object-size"),
    *("x-amz-copy-source", "x-amz-copy-source-range", "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match"),
    *("x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-unmodified-since"),
    *("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"),
    *("x-amz-if-match-last-modified-time", "x-amz-if-match-size"),
    *("x-amz-bypass-governance-retention", "x-amz-bucket-object-lock-enabled", "x-amz-object-lock-legal-hold"),
    *("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"),
    *("x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker"),
}
"""Headers that an operation acts upon."""

REFUSED_ELSEWHERE = {f"x-amz-checksum-{name}" for name in ("md5", "sha512", "xxhash3", "xxhash64", "xxhash128")}
"""Headers that `s3.checksums` refuses, since they stand for an algorithm that we have not."""

HARMLESS = {
    "x-amz-confirm-remove-self-bucket-access",  # an owner cannot be kept from its policy
    "x-amz-object-annotation-directive",  # there are no annotations to copy
    "x-amz-optional-object-attributes",  # asks for the state of a restore, which no object has
    "x-amz-bucket-object-lock-token",  # once asked for to lock a bucket that exists
    "x-amz-request-payer",  # nobody pays here
}
"""Headers without which the answer would be the same."""


def operation_models(client: Any) -> Iterator[OperationModel]:
    """Every operation of the service model."""
    for name in client.meta.service_model.operation_names:
        yield client.meta.service_model.operation_model(name)


def least(shape: Shape | None, name: str = "") -> Any:
    """The least value that botocore takes for a shape: what is required, and one of everything in a list."""
    given = {"Bucket": "bucket", "Key": "key", "CopySource": "bucket/key", "UploadId": "none", "PartNumber": 1}
    if name in given:
        return given[name]
    if name == "MFADelete":
        return "Disabled"
    if isinstance(shape, StructureShape):
        names = shape.required_members or list(shape.members)[:1]
        return {member: least(shape.members[member], member) for member in names}
    if isinstance(shape, ListShape):
        return [least(shape.member)]
    if isinstance(shape, MapShape):
        return {"x": least(shape.value)}
    if isinstance(shape, StringShape):
        return shape.enum[0] if shape.enum else "x" * max(3, shape.metadata.get("min", 0))
    values = {"integer": 1, "long": 1, "boolean": True, "timestamp": 1_790_000_000, "blob": b"x"}
    return values[shape.type_name] if shape is not None else {}


class WalkCase(GatewayTestCase):
    """A bucket with an object and an upload, and an ear at every operation."""

    settings = {"master_keys": MasterKeysInMemory()}

    def setUp(self) -> None:
        """Fill it."""
        super().setUp()
        self.ran: list[str] = []
        self.patch(resources, "OPERATIONS", {name: self._heard(name, it) for name, it in OPERATIONS.items()})
        self.make_bucket()
        self.put("/bucket/key", b"hello", {"x-amz-tagging": "a=b"})
        self.upload = self.request("POST", "/bucket/key", query="uploads").text("UploadId") or ""
        self.ran.clear()

    def _heard(
        self, name: str, operate: Callable[[Call], Awaitable[Response]]
    ) -> Callable[[Call], Awaitable[Response]]:
        async def heard(call: Call) -> Response:
            self.ran.append(name)
            return await operate(call)

        return heard

    def state(self) -> object:
        """Everything that the store holds."""
        store = self.gateway.store
        return (
            store.buckets(),
            store.list_objects("bucket", ListQuery()),
            store.list_uploads("bucket", UploadQuery()),
            store.list_parts(self.upload, 0, 10),
        )


class ModelTests(WalkCase):
    """Every operation of AWS's service model, sent by botocore."""

    def call(self, model: OperationModel) -> str:
        """Ask for an operation with the least that it takes; the error code, empty for success."""
        parameters = least(model.input_shape) if model.input_shape is not None else {}
        for placed in ("Bucket", "Key"):
            if model.input_shape is not None and placed in model.input_shape.members:
                parameters.setdefault(placed, placed.lower())
        try:
            self.client()._make_api_call(model.name, parameters)
        except ClientError as error:
            return f"{error.response['Error']['Code']} {error.response['Error'].get('Message', '')}"
        return ""

    def test_every_operation(self) -> None:
        """It is implemented, or it is refused by its name with nothing changed; no other one runs in its place."""
        for model in operation_models(self.client()):
            if model.name in OTHER_ENDPOINTS:
                continue
            name = SAME_REQUEST.get(model.name, model.name)
            before = self.state()
            self.ran.clear()
            outcome = self.call(model)
            if name in OPERATIONS:
                self.assertEqual([name], self.ran, (model.name, outcome))
                self.assertNotIn("NotImplemented", outcome, model.name)
                self.setUpAgain()
            else:
                self.assertEqual([], self.ran, model.name)
                self.assertEqual(f"NotImplemented The operation {name} is not implemented.", outcome)
                self.assertEqual(before, self.state(), model.name)

    def setUpAgain(self) -> None:
        """Make whole what an operation may have taken away, and forget who may do what."""
        bucket = next((bucket for bucket in self.gateway.store.buckets() if bucket.name == "bucket"), None)
        if bucket is None:
            self.make_bucket()
        for name in bucket.documents if bucket is not None else ():
            forgotten = self.gateway.storage.commit(ConfigureBucket("bucket", name, None))
            self.successResultOf(Deferred.fromCoroutine(forgotten))
        self.put("/bucket/key", b"hello", {"x-amz-tagging": "a=b"})

    def test_other_endpoints(self) -> None:
        """What is signed for another service is refused; what Object Lambda asks of its endpoint, in S3's name too."""
        for model in operation_models(self.client()):
            if model.name == "ListDirectoryBuckets":
                self.assertIn("AuthorizationHeaderMalformed", self.call(model))
        answer = self.request("POST", "/WriteGetObjectResponse", {"x-amz-request-route": "r"}, b"x")
        self.assert_error("NotImplemented", 501, answer)
        self.assertIn("WriteGetObjectResponse", answer.message)
        self.assertEqual([], self.ran)

    def test_versions(self) -> None:
        """A versionId is taken where the model has one, and refused everywhere else."""
        takes = {
            model.name
            for model in operation_models(self.client())
            if model.input_shape is not None
            and any(m.serialization.get("name") == "versionId" for m in model.input_shape.members.values())
        }
        self.assertEqual(takes & OPERATIONS.keys(), VERSIONED)


class SubresourceTests(WalkCase):
    """Sub-resources with methods that they may not have."""

    def test_no_fall_through(self) -> None:
        """Nothing with a sub-resource is ever taken for the same without it."""
        markers = sorted(_BUCKET_MARKERS.keys() | _OBJECT_MARKERS.keys())
        methods = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH")
        for path, marker, method in product(("/", "/bucket", "/bucket/key"), markers, methods):
            for value in ("", "=", "=x"):
                before = self.state()
                self.ran.clear()
                answer = self.request(method, path, query=f"{marker}{value}")
                self.assertEqual(set(), PLAIN.intersection(self.ran), (method, path, marker))
                if not self.ran:
                    self.assertGreaterEqual(answer.status, 400, (method, path, marker))
                    self.assertEqual(before, self.state(), (method, path, marker))

    def test_two_at_once(self) -> None:
        """Two sub-resources in one request are refused: neither is done."""
        before = self.state()
        for method in ("GET", "PUT", "DELETE"):
            answer = self.request(method, "/bucket/key", query="tagging&acl")
            self.assert_error("InvalidArgument", 400, answer)
        self.assertEqual(([], before), (self.ran, self.state()))


class HeaderTests(WalkCase):
    """Headers that would change what a request means."""

    def test_inventory(self) -> None:
        """Every header that the model has for an operation of ours is acted upon, refused, or makes no difference."""
        known = REFUSED.keys() | ENCRYPTION | UNDERSTOOD | REFUSED_ELSEWHERE | HARMLESS
        for model in operation_models(self.client()):
            if model.name not in OPERATIONS or model.input_shape is None:
                continue
            for member in model.input_shape.members.values():
                if member.serialization.get("location") in ("header", "headers"):
                    self.assertIn(member.serialization["name"].lower(), known, model.name)

    def test_refused(self) -> None:
        """A header that is not implemented is refused by name, whatever the operation, and nothing happens."""
        requests = [
            ("PUT", "/bucket/other", "", b"x"),
            ("PUT", "/bucket/key", "tagging", b"<Tagging><TagSet/></Tagging>"),
            ("POST", "/bucket/key", "uploads", b""),
            ("PUT", "/bucket/key", f"partNumber=1&uploadId={self.upload}", b"x"),
            ("DELETE", "/bucket/key", "", b""),
            ("GET", "/bucket/key", "", b""),
            ("PUT", "/another", "", b""),
        ]
        unwanted = {"x-amz-storage-class": "GLACIER"}
        for name, (method, path, query, body) in product(REFUSED, requests):
            before = self.state()
            answer = self.request(method, path, {name: unwanted.get(name, "unwanted")}, body, query)
            self.assert_error("NotImplemented", 501, answer)
            self.assertEqual(name, answer.text("Header"))
            self.assertEqual(([], before), (self.ran, self.state()), name)

    def test_values_that_change_nothing(self) -> None:
        """The value that says what is so anyway is taken."""
        for name, values in REFUSED.items():
            for value in values:
                self.put("/bucket/key", b"hello", {name: value})

    def test_values_that_nobody_has(self) -> None:
        """An ACL and a storage class that S3 has not either are the client's mistake, and called so."""
        for method, path, query in (("PUT", "/bucket/key", ""), ("PUT", "/other", ""), ("PUT", "/bucket", "acl")):
            answer = self.request(method, path, {"x-amz-acl": "public-ready"}, b"", query)
            self.assert_error("InvalidArgument", 400, answer)
            self.assertEqual("x-amz-acl", answer.text("ArgumentName"))
        answer = self.request("PUT", "/other", {"x-amz-object-ownership": "Nobody"})
        self.assert_error("InvalidArgument", 400, answer)
        answer = self.request("PUT", "/bucket/key", {"x-amz-storage-class": "WARM"}, b"")
        self.assert_error("InvalidStorageClass", 400, answer)

    def test_model_values(self) -> None:
        """We know the ACLs and storage classes that the model has."""
        model = self.client().meta.service_model
        acls = {*model.shape_for("ObjectCannedACL").enum, *model.shape_for("BucketCannedACL").enum}
        self.assertEqual(acls | {"log-delivery-write"}, CANNED)
        self.assertLessEqual(set(model.shape_for("StorageClass").enum), STORAGE_CLASSES)

    def test_chunked_documents(self) -> None:
        """Only objects come in chunks of aws-chunked: a document in them is refused, not read as if it were plain."""
        chunked = b"1c\r\n<Tagging><TagSet/></Tagging>\r\n0\r\n\r\n"
        headers = {
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": "28",
        }
        self.assert_error("InvalidRequest", 400, self.request("PUT", "/bucket/key", headers, chunked, "tagging"))
        self.assertEqual(b"hello", self.get("/bucket/key"))


class PresignedTests(WalkCase):
    """A presigned URL carries in its query what would have been headers."""

    def presigned(self, operation: str, method: str, body: bytes = b"", **parameters: Any) -> Answer:
        """What a client gets that was handed a URL and nothing else."""
        return self.follow(method, self.presign(operation, **parameters), body)

    def presign(self, operation: str, **parameters: Any) -> str:
        """A URL that is good for a minute."""
        client = self.client(signature_version="s3v4")
        return str(client.generate_presigned_url(operation, {"Bucket": "bucket", **parameters}, 60))

    def follow(self, method: str, url: str, body: bytes = b"") -> Answer:
        """What such a URL gives."""
        path, _, query = ("/" + url.split("/", 3)[3]).partition("?")
        return self.request(method, path, body=body, query=query, sign=None)

    def test_parameters(self) -> None:
        """They do what the headers would."""
        query = "x-amz-tagging=a%3Db&x-amz-meta-Name=caf%C3%A9"
        self.assertEqual(200, self.request("PUT", "/bucket/shared", body=b"x", query=query).status)
        head = self.request("HEAD", "/bucket/shared")
        self.assertEqual("1", head.headers["x-amz-tagging-count"])
        self.assertEqual("café", head.headers["x-amz-meta-name"].encode("latin-1").decode())

    def test_copy(self) -> None:
        """A copy whose source is in the query is a copy, not an empty object."""
        self.assertEqual(200, self.request("PUT", "/bucket/copy", query="x-amz-copy-source=bucket%2Fkey").status)
        self.assertEqual(["CopyObject"], self.ran)
        self.assertEqual(b"hello", self.get("/bucket/copy"))

    def test_refused(self) -> None:
        """What is refused as a header is refused there too."""
        answer = self.request("PUT", "/bucket/new", body=b"x", query="x-amz-server-side-encryption=aws%3Akms")
        self.assert_error("NotImplemented", 501, answer)
        self.assertEqual("x-amz-server-side-encryption", answer.text("Header"))

    def test_whole_way(self) -> None:
        """URLs that botocore presigns put and get, until they expire."""
        answer = self.presigned("put_object", "PUT", b"by link", Key="a b/ü")
        self.assertEqual(200, answer.status, answer.body)
        self.assertEqual(b"by link", self.presigned("get_object", "GET", Key="a b/ü").body)
        answer = self.presigned("get_object", "GET", Key="a b/ü", ResponseContentType="text/x")
        self.assertEqual("text/x", answer.headers["content-type"])
        answer = self.follow("PUT", self.presign("put_object", Key="tagged", Tagging="a=b"), b"x")
        self.assert_error("SignatureDoesNotMatch", 403, answer)  # botocore signs a header, which did not come
        url = self.presign("get_object", Key="key")
        self.assertEqual(b"hello", self.follow("GET", url).body)
        self.gateway.clock.advance(61)
        self.assert_error("AccessDenied", 403, self.follow("GET", url))


class DocumentTests(GatewayTestCase):
    """The table of ``docs/operations.md``."""

    def rows(self) -> dict[str, str]:
        """Each operation and its yes, no or differs."""
        rows: dict[str, str] = {}
        for line in TABLE.read_text().splitlines():
            match = re.fullmatch(r"\| ([A-Z][A-Za-z0-9]+) \| (yes|no|differs) \| .* \|", line)
            if match is not None:
                self.assertNotIn(match[1], rows)
                rows[match[1]] = match[2]
        return rows

    def test_complete(self) -> None:
        """Every operation of the model has its row, and nothing else has one."""
        names = {model.name for model in operation_models(self.client())}
        self.assertEqual(names | BEYOND_THE_MODEL, self.rows().keys())

    def test_true(self) -> None:
        """It says yes of what there is, and no of what there is not."""
        for name, answer in self.rows().items():
            self.assertEqual(SAME_REQUEST.get(name, name) in OPERATIONS, answer != "no", name)
