"""Object Lock: configuration, retention, legal hold, and what they forbid."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import datetime, timedelta, timezone
from typing import Any

from s3gw.s3.dates import MS_PER_DAY
from tests.operations.harness import NOW, Answer
from tests.operations.test_versioning import PART, VersioningCase

DAY = MS_PER_DAY // 1000
MOMENT = datetime.fromtimestamp(NOW, timezone.utc)
TOMORROW = MOMENT + timedelta(days=1)


def rule(mode: str = "GOVERNANCE", **period: int) -> dict[str, Any]:
    """A configuration with a default retention."""
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": mode, **period}}}


class LockCase(VersioningCase):
    """A bucket whose objects can be locked, with one."""

    def setUp(self) -> None:
        super().setUp()
        self.configure({"ObjectLockEnabled": "Enabled"})
        self.version = self.store("key", b"hello")

    def configure(self, configuration: dict[str, Any], bucket: str = "bucket") -> None:
        """Put a configuration."""
        self.s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)

    def retain(self, mode: str, until: datetime = TOMORROW, **more: Any) -> None:
        """Put the object under retention."""
        retention = {"Mode": mode, "RetainUntilDate": until}
        self.s3.put_object_retention(Bucket="bucket", Key="key", Retention=retention, **more)

    def document(self, inner: str, query: str, *, digest: bool = True) -> Answer:
        """Put a document as it is."""
        body = inner.encode()
        headers = {"Content-MD5": b64encode(hashlib.md5(body).digest()).decode()} if digest else {}
        path = "/bucket" if query == "object-lock" else "/bucket/key"
        return self.request("PUT", path, headers, body, query)


class ConfigurationTests(LockCase):
    """Object Lock of a bucket."""

    def test_created(self) -> None:
        """A bucket can be created with it, and has versioning then."""
        self.s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
        self.assertEqual("Enabled", self.s3.get_bucket_versioning(Bucket="locked")["Status"])
        answer = self.s3.get_object_lock_configuration(Bucket="locked")
        self.assertEqual({"ObjectLockEnabled": "Enabled"}, answer["ObjectLockConfiguration"])
        self.refused("BucketAlreadyOwnedByYou", 409, "CreateBucket", ObjectLockEnabledForBucket=True)
        answer = self.request("PUT", "/other", {"x-amz-bucket-object-lock-enabled": "maybe"})
        self.assert_error("InvalidArgument", 400, answer)

    def test_rules(self) -> None:
        """A default retention of days or years can be set, changed, and taken away, not so Object Lock."""
        for configuration in (rule(Days=1), rule("COMPLIANCE", Years=100), {"ObjectLockEnabled": "Enabled"}):
            self.configure(configuration)
            answer = self.s3.get_object_lock_configuration(Bucket="bucket")
            self.assertEqual(configuration, answer["ObjectLockConfiguration"])
        for configuration, code in (
            (rule(Days=1, Years=1), "MalformedXML"),
            (rule(), "MalformedXML"),
            (rule("governance", Days=1), "MalformedXML"),
            ({**rule(Days=1), "ObjectLockEnabled": "Disabled"}, "MalformedXML"),
            (rule(Days=0), "InvalidRetentionPeriod"),
            (rule(Years=-1), "InvalidRetentionPeriod"),
            (rule(Days=36_501), "InvalidRetentionPeriod"),
        ):
            parameters = {"ObjectLockConfiguration": configuration}
            self.refused(code, 400, "PutObjectLockConfiguration", **parameters)
        self.refused("InvalidBucketState", 409, "PutBucketVersioning", VersioningConfiguration={"Status": "Suspended"})

    def test_without_versioning(self) -> None:
        """It needs versioning, and what needs it is refused where it is not."""
        self.s3.create_bucket(Bucket="plain")
        self.put("/plain/key", b"x")
        parameters = {"Bucket": "plain", "ObjectLockConfiguration": rule(Days=1)}
        self.refused("InvalidBucketState", 409, "PutObjectLockConfiguration", **parameters)
        missing = {"Bucket": "plain"}
        self.refused("ObjectLockConfigurationNotFoundError", 404, "GetObjectLockConfiguration", **missing)
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": TOMORROW}
        for operation, more in (
            ("GetObjectRetention", {}),
            ("PutObjectRetention", {"Retention": retention}),
            ("GetObjectLegalHold", {}),
            ("PutObjectLegalHold", {"LegalHold": {"Status": "ON"}}),
            ("PutObject", {"ObjectLockLegalHoldStatus": "OFF"}),
            ("CreateMultipartUpload", {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": TOMORROW}),
        ):
            self.refused("InvalidRequest", 400, operation, Bucket="plain", **more)

    def test_digest(self) -> None:
        """Its documents must come with a digest."""
        for inner, query in (
            ("<ObjectLockConfiguration/>", "object-lock"),
            ("<Retention/>", "retention"),
            ("<LegalHold><Status>ON</Status></LegalHold>", "legal-hold"),
        ):
            self.assert_error("InvalidRequest", 400, self.document(inner, query, digest=False))


class RetentionTests(LockCase):
    """What a retention forbids, for how long, and to whom."""

    def test_told(self) -> None:
        """It is told as it was set, by GET, HEAD and its own operation; a version without is an error."""
        self.refused("NoSuchObjectLockConfiguration", 404, "GetObjectRetention")
        self.retain("GOVERNANCE")
        expected = {"Mode": "GOVERNANCE", "RetainUntilDate": TOMORROW}
        self.assertEqual(expected, self.s3.get_object_retention(Bucket="bucket", Key="key")["Retention"])
        for answer in (
            self.s3.head_object(Bucket="bucket", Key="key"),
            self.s3.get_object(Bucket="bucket", Key="key", VersionId=self.version),
        ):
            self.assertEqual(("GOVERNANCE", TOMORROW), (answer["ObjectLockMode"], answer["ObjectLockRetainUntilDate"]))
            self.assertNotIn("ObjectLockLegalHoldStatus", answer)
        self.store("key", b"another")
        self.assertNotIn("ObjectLockMode", self.s3.head_object(Bucket="bucket", Key="key"))
        named = {"Bucket": "bucket", "Key": "key", "VersionId": self.version}
        self.assertEqual(expected, self.s3.get_object_retention(**named)["Retention"])

    def test_nanoseconds(self) -> None:
        """A time may have nanoseconds, and holds to its last."""
        text = "2026-09-22T00:00:00.000000001Z"
        inner = f"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{text}</RetainUntilDate></Retention>"
        self.assertEqual(200, self.document(inner, "retention").status)
        answer = self.request("HEAD", "/bucket/key")
        self.assertEqual("2026-09-22T00:00:00.001Z", answer.headers["x-amz-object-lock-retain-until-date"])
        headers = {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": text}
        answer = self.request("PUT", "/bucket/other", {**headers, "Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
        self.assertEqual(200, answer.status, answer.body)

    def test_nonsense(self) -> None:
        """What is no retention, or is over already, changes nothing."""
        past = MOMENT - timedelta(seconds=1)
        for inner, code in (
            ("<Retention><Mode>GOVERNANCE</Mode></Retention>", "MalformedXML"),
            ("<Retention><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>", "MalformedXML"),
            ("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>soon</RetainUntilDate></Retention>", "MalformedXML"),
        ):
            self.assert_error(code, 400, self.document(inner, "retention"))
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": past}
        self.refused("InvalidArgument", 400, "PutObjectRetention", Retention=retention)
        self.refused(
            "NoSuchKey",
            404,
            "PutObjectRetention",
            Key="none",
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": TOMORROW},
        )
        self.assertNotIn("ObjectLockMode", self.s3.head_object(Bucket="bucket", Key="key"))

    def test_governance(self) -> None:
        """Under governance a version stays, unless the caller bypasses that."""
        self.retain("GOVERNANCE")
        self.refused("AccessDenied", 403, "DeleteObject", VersionId=self.version)
        self.s3.delete_object(Bucket="bucket", Key="key")
        self.refused("AccessDenied", 403, "DeleteObject", VersionId=self.version)
        objects = [{"Key": "key", "VersionId": self.version}]
        answer = self.s3.delete_objects(Bucket="bucket", Delete={"Objects": objects})
        self.assertEqual(["AccessDenied"], [it["Code"] for it in answer["Errors"]])
        answer = self.s3.delete_objects(Bucket="bucket", Delete={"Objects": objects}, BypassGovernanceRetention=True)
        self.assertEqual(self.version, answer["Deleted"][0]["VersionId"])

    def test_compliance(self) -> None:
        """Under compliance it stays until its time has come, whoever asks."""
        self.retain("COMPLIANCE")
        for mode, until in (("GOVERNANCE", TOMORROW), ("COMPLIANCE", TOMORROW - timedelta(seconds=1))):
            retention = {"Mode": mode, "RetainUntilDate": until}
            more = {"Retention": retention, "BypassGovernanceRetention": True}
            self.refused("AccessDenied", 403, "PutObjectRetention", **more)
        named = {"VersionId": self.version, "BypassGovernanceRetention": True}
        self.refused("AccessDenied", 403, "DeleteObject", **named)
        self.retain("COMPLIANCE", TOMORROW + timedelta(days=1))
        self.gateway.clock.advance(2 * DAY - 1)
        self.refused("AccessDenied", 403, "DeleteObject", **named)
        self.gateway.clock.advance(1)
        self.s3.delete_object(Bucket="bucket", Key="key", VersionId=self.version)

    def test_shortened(self) -> None:
        """A bypass shortens governance, and takes it away."""
        self.retain("GOVERNANCE")
        sooner = MOMENT + timedelta(hours=1)
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": sooner}
        self.refused("AccessDenied", 403, "PutObjectRetention", Retention=retention)
        self.retain("GOVERNANCE", sooner, BypassGovernanceRetention=True)
        self.refused("AccessDenied", 403, "PutObjectRetention", Retention={})
        self.s3.put_object_retention(Bucket="bucket", Key="key", Retention={}, BypassGovernanceRetention=True)
        self.s3.delete_object(Bucket="bucket", Key="key", VersionId=self.version)

    def test_default(self) -> None:
        """New objects get the default of their bucket, however they are made, unless they bring their own."""
        self.configure(rule("GOVERNANCE", Days=2))
        source = {"Bucket": "bucket", "Key": "key", "VersionId": self.version}
        self.store("put", b"x")
        self.s3.copy_object(Bucket="bucket", Key="copy", CopySource=source)
        self.upload("upload")
        self.s3.put_object(Bucket="bucket", Key="held", Body=b"x", ObjectLockLegalHoldStatus="ON")
        for key in ("put", "copy", "upload", "held"):
            head = self.s3.head_object(Bucket="bucket", Key=key)
            found = head["ObjectLockMode"], head["ObjectLockRetainUntilDate"], head.get("ObjectLockLegalHoldStatus")
            self.assertEqual(("GOVERNANCE", MOMENT + timedelta(days=2), "ON" if key == "held" else None), found, key)
        own = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": TOMORROW}
        self.s3.put_object(Bucket="bucket", Key="own", Body=b"x", **own)
        self.upload("own-upload", **own)
        for key in ("own", "own-upload"):
            head = self.s3.head_object(Bucket="bucket", Key=key)
            self.assertEqual(own, {name: head[name] for name in own}, key)
        self.assertNotIn("ObjectLockMode", self.s3.head_object(Bucket="bucket", Key="key"))

    def upload(self, key: str, **more: Any) -> None:
        """Make an object in parts."""
        named = {"Bucket": "bucket", "Key": key}
        named["UploadId"] = self.s3.create_multipart_upload(**named, **more)["UploadId"]
        part = self.s3.upload_part(**named, PartNumber=1, Body=PART)
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        self.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})

    def test_not_copied(self) -> None:
        """A copy is not under its source's lock."""
        self.retain("GOVERNANCE")
        self.s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/key")
        self.assertNotIn("ObjectLockMode", self.s3.head_object(Bucket="bucket", Key="copy"))


class HoldTests(LockCase):
    """Legal holds."""

    def hold(self, status: str) -> None:
        """Set it."""
        self.s3.put_object_legal_hold(Bucket="bucket", Key="key", LegalHold={"Status": status})

    def test_hold(self) -> None:
        """It holds until it is taken away; there is no bypass."""
        self.refused("NoSuchObjectLockConfiguration", 404, "GetObjectLegalHold")
        for status in ("ON", "OFF", "ON"):
            self.hold(status)
            answer = self.s3.get_object_legal_hold(Bucket="bucket", Key="key")
            self.assertEqual({"Status": status}, answer["LegalHold"])
            head = self.s3.head_object(Bucket="bucket", Key="key")
            self.assertEqual(status, head["ObjectLockLegalHoldStatus"])
        named = {"VersionId": self.version, "BypassGovernanceRetention": True}
        self.refused("AccessDenied", 403, "DeleteObject", **named)
        self.hold("OFF")
        self.s3.delete_object(Bucket="bucket", Key="key", VersionId=self.version)
        self.assert_error(
            "MalformedXML", 400, self.document("<LegalHold><Status>on</Status></LegalHold>", "legal-hold")
        )


class HeaderTests(LockCase):
    """Locks that a PUT asks for."""

    def put_locked(self, headers: dict[str, str], body: bytes = b"x", *, digest: bool = True) -> Answer:
        """Put an object with these lock headers, by their ends."""
        named = {f"x-amz-object-lock-{name}": value for name, value in headers.items()}
        if digest:
            named["Content-MD5"] = b64encode(hashlib.md5(body).digest()).decode()
        return self.request("PUT", "/bucket/locked", named, body)

    def test_nonsense(self) -> None:
        """What asks for no lock that there is, is refused, and nothing is stored."""
        future, past = "2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
        for headers in (
            {"mode": "GOVERNANCE"},
            {"retain-until-date": future},
            {"mode": "governance", "retain-until-date": future},
            {"mode": "GOVERNANCE", "retain-until-date": "2030"},
            {"mode": "GOVERNANCE", "retain-until-date": past},
            {"legal-hold": "on"},
        ):
            self.assert_error("InvalidArgument", 400, self.put_locked(headers))
        self.assertEqual(404, self.request("GET", "/bucket/locked").status)

    def test_digest(self) -> None:
        """A body that is to be locked must come with a digest, and so must the parts of an upload."""
        headers = {"mode": "GOVERNANCE", "retain-until-date": "2030-01-01T00:00:00Z"}
        answer = self.put_locked(headers, digest=False)
        self.assert_error("InvalidRequest", 400, answer)
        self.assertIn("Put Object requests", answer.message)
        self.assertEqual(200, self.put_locked(headers).status)
        self.configure(rule(Days=1))
        self.assert_error("InvalidRequest", 400, self.put_locked({}, digest=False))
        upload = self.s3.create_multipart_upload(Bucket="bucket", Key="key")["UploadId"]
        answer = self.request("PUT", "/bucket/key", body=b"x", query=f"partNumber=1&uploadId={upload}")
        self.assert_error("InvalidRequest", 400, answer)
        self.assertIn("Put Part requests", answer.message)
