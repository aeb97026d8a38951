"""Tests of `s3gw.s3.routes`, against the operations of AWS's own service model."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.serialize import create_serializer
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import InvalidArgument, InvalidRequest, MethodNotAllowed, PreconditionFailed, S3Error
from s3gw.s3.head import RequestHead
from s3gw.s3.routes import OPERATIONS, OWN, Operation, route
from s3gw.s3.target import parse_target

MODEL = botocore.session.get_session().get_service_model("s3")

SHARED = {
    # What cannot be told apart by method and URI, and the name that both have here.
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}


def sample(shape: Any, depth: int = 0) -> Any:
    """A value of a botocore shape with its required members."""
    kind = shape.type_name
    if kind == "structure":
        return {name: sample(shape.members[name], depth + 1) for name in shape.required_members}
    if kind == "list":
        return [sample(shape.member, depth + 1)]
    return {"integer": 1, "long": 1, "boolean": True, "blob": b"x", "timestamp": 0}.get(kind, "x")


def requested(name: str) -> RequestHead:
    """The head of the least request that botocore sends for an operation."""
    operation = MODEL.operation_model(name)
    parameters = sample(operation.input_shape) if operation.input_shape else {}
    if "Bucket" in parameters:
        parameters["Bucket"] = "bucket"
    wire = create_serializer("rest-xml", False).serialize_to_request(parameters, operation)
    path, _, query = wire["url_path"].partition("?")
    pieces = [query, *(f"{key}={value}" for key, value in wire["query_string"].items())]
    headers = {key.lower(): str(value) for key, value in wire["headers"].items()}
    return head(wire["method"], f"{path}?{'&'.join(filter(None, pieces))}", headers)


def head(method: str, target: str, headers: dict[str, str] | None = None) -> RequestHead:
    """A request head."""
    return RequestHead(method, target, headers or {})


def name(method: str, target: str, **headers: str) -> str:
    """The name of the operation that a request is; the code of the error if it is refused."""
    request = head(method, target, {key.replace("_", "-"): value for key, value in headers.items()})
    try:
        return route(method, parse_target(request), request).name
    except S3Error as error:
        return error.code


class ModelTests(SynchronousTestCase):
    """The service model is the specification."""

    def test_every_operation_of_the_model(self) -> None:
        """What botocore sends for an operation is that operation."""
        for operation in MODEL.operation_names:
            request = requested(operation)
            found = route(request.method, parse_target(request), request).name
            self.assertEqual(SHARED.get(operation, operation), found, f"{request.method} {request.raw_query}")

    def test_nothing_that_the_model_lacks(self) -> None:
        """There are no operations beyond the model's but the form upload and the preflight."""
        expected = {SHARED.get(operation, operation) for operation in MODEL.operation_names}
        self.assertEqual({"PostObject", "PreflightCORS"} | OWN, OPERATIONS - expected)
        self.assertEqual(set(), expected - OPERATIONS)

    def test_sdk_parameters_change_nothing(self) -> None:
        """``x-id``, presigning parameters and unknown ones leave every operation what it is."""
        for operation in MODEL.operation_names:
            request = requested(operation)
            target = f"{request.raw_path}?{request.raw_query}&x-id={operation}&X-Amz-Signature=0&whatever&prefix=a"
            extended = head(request.method, target, dict(request.headers))
            found = route(extended.method, parse_target(extended), extended).name
            self.assertEqual(SHARED.get(operation, operation), found)


class RouteTests(SynchronousTestCase):
    """Requests as people and tools write them."""

    def test_table(self) -> None:
        """Each request is the operation that S3 takes it for, or refused with S3's code."""
        for method, target, expected in (
            ("GET", "/", "ListBuckets"),
            ("GET", "/?x-id=ListBuckets", "ListBuckets"),
            ("PUT", "/", "MethodNotAllowed"),
            ("DELETE", "/", "MethodNotAllowed"),
            ("POST", "/", "MethodNotAllowed"),
            ("HEAD", "/", "MethodNotAllowed"),
            ("GET", "/?acl", "MethodNotAllowed"),
            ("GET", "/bucket", "ListObjects"),
            ("GET", "/bucket/?list-type=2&prefix=a", "ListObjectsV2"),
            ("GET", "/bucket?prefix=acl", "ListObjects"),
            ("GET", "/bucket?Versioning", "ListObjects"),
            ("HEAD", "/bucket", "HeadBucket"),
            ("HEAD", "/bucket?location", "MethodNotAllowed"),
            ("DELETE", "/bucket", "DeleteBucket"),
            ("DELETE", "/bucket?policy", "DeleteBucketPolicy"),
            ("DELETE", "/bucket?versioning", "MethodNotAllowed"),
            ("POST", "/bucket?acl", "MethodNotAllowed"),
            ("POST", "/bucket?delete", "DeleteObjects"),
            ("GET", "/bucket?delete", "MethodNotAllowed"),
            ("PATCH", "/bucket", "MethodNotAllowed"),
            ("GET", "/bucket?versioning=1", "GetBucketVersioning"),
            ("GET", "/bucket?uploadId=1", "InvalidRequest"),
            ("GET", "/bucket?acl&policy", "InvalidArgument"),
            ("GET", "/bucket/key", "GetObject"),
            ("GET", "/bucket/key?versionId=1", "GetObject"),
            ("GET", "/bucket/key?response-content-type=a", "GetObject"),
            ("GET", "/bucket/key?partNumber=1", "GetObject"),
            ("HEAD", "/bucket/key?partNumber=1", "HeadObject"),
            ("HEAD", "/bucket/key?tagging", "MethodNotAllowed"),
            ("GET", "/bucket/key?policy", "InvalidRequest"),
            ("GET", "/bucket/key?versions", "InvalidRequest"),
            ("PUT", "/bucket/key?acl", "PutObjectAcl"),
            ("PUT", "/bucket/key?partNumber=1&uploadId=2", "UploadPart"),
            ("PUT", "/bucket/key?uploadId=2", "MethodNotAllowed"),
            ("PUT", "/bucket/key?partNumber=1", "InvalidArgument"),
            ("DELETE", "/bucket/key?uploadId=2", "AbortMultipartUpload"),
            ("DELETE", "/bucket/key?uploads", "MethodNotAllowed"),
            ("POST", "/bucket/key", "MethodNotAllowed"),
            ("POST", "/bucket/key?uploads", "CreateMultipartUpload"),
            ("POST", "/bucket/key?select&select-type=2", "SelectObjectContent"),
            ("PATCH", "/bucket/key", "MethodNotAllowed"),
            ("OPTIONS", "/bucket/key?acl", "PreflightCORS"),
            ("OPTIONS", "/bucket", "PreflightCORS"),
            ("POST", "/bucket", "PreconditionFailed"),
        ):
            self.assertEqual(expected, name(method, target), f"{method} {target}")

    def test_copies(self) -> None:
        """A copy source, in a header or in a presigned query, makes a PUT a copy; elsewhere it means nothing."""
        self.assertEqual("CopyObject", name("PUT", "/bucket/key", x_amz_copy_source="b/k"))
        self.assertEqual("CopyObject", name("PUT", "/bucket/key?x-amz-copy-source=b/k"))
        self.assertEqual("UploadPartCopy", name("PUT", "/b-1/k?partNumber=1&uploadId=u", x_amz_copy_source="b/k"))
        self.assertEqual("PutObjectTagging", name("PUT", "/bucket/key?tagging", x_amz_copy_source="b/k"))
        self.assertEqual("GetObject", name("GET", "/bucket/key", x_amz_copy_source="b/k"))

    def test_form(self) -> None:
        """A POST of a form to a bucket is an upload; any other POST says which precondition failed."""
        form = 'Multipart/Form-Data; boundary="x"'
        self.assertEqual("PostObject", name("POST", "/bucket", content_type=form))
        self.assertEqual("PostObject", name("POST", "/bucket?whatever", content_type=form))
        request = head("POST", "/bucket", {"content-type": "application/xml"})
        error = self.assertRaises(PreconditionFailed, route, "POST", parse_target(request), request)
        self.assertEqual("Bucket POST must be of the enclosure-type multipart/form-data", error.fields["Condition"])

    def test_versions_are_flagged(self) -> None:
        """A versionId keeps the operation and is told to the caller."""
        request = head("DELETE", "/bucket/key?versionId=abc")
        self.assertEqual(Operation("DeleteObject", versioned=True), route("DELETE", parse_target(request), request))
        request = head("DELETE", "/bucket/key")
        self.assertEqual(Operation("DeleteObject"), route("DELETE", parse_target(request), request))

    def test_not_allowed_says_what(self) -> None:
        """A method that means nothing is told its name, what it met, and what would be allowed."""
        for method, target, kind, allowed in (
            ("PUT", "/", "SERVICE", "GET"),
            ("PATCH", "/bucket", "BUCKET", "DELETE, GET, HEAD, POST, PUT"),
            ("POST", "/bucket?policy", "BUCKETPOLICY", "DELETE, GET, PUT"),
            ("POST", "/bucket/key", "OBJECT", "DELETE, GET, HEAD, PUT"),
            ("DELETE", "/bucket/key?partNumber=1&uploadId=u", "PART", "PUT"),
        ):
            request = head(method, target)
            error = self.assertRaises(MethodNotAllowed, route, method, parse_target(request), request)
            self.assertEqual({"Method": method, "ResourceType": kind}, error.fields)
            self.assertEqual(allowed, error.headers["Allow"])

    def test_conflicts_are_named(self) -> None:
        """Two sub-resources at once are refused in S3's words, sorted."""
        request = head("GET", "/bucket?policy&acl")
        error = self.assertRaises(InvalidArgument, route, "GET", parse_target(request), request)
        self.assertEqual("Conflicting query string parameters: acl, policy", error.message)
        self.assertEqual({"ArgumentName": "ResourceType", "ArgumentValue": "acl"}, error.fields)

    def test_wrong_level_is_named(self) -> None:
        """A bucket's sub-resource on a key is refused in S3's words, and so is an object's on a bucket."""
        request = head("DELETE", "/bucket/key?policy")
        error = self.assertRaises(InvalidRequest, route, "DELETE", parse_target(request), request)
        self.assertEqual("There is no such thing as the ?policy sub-resource for a key", error.message)
        request = head("GET", "/bucket?retention")
        error = self.assertRaises(InvalidRequest, route, "GET", parse_target(request), request)
        self.assertEqual("A key must be specified", error.message)
