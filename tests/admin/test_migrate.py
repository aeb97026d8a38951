"""``s3gw-admin migrate``, between two gateways in this process."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import botocore.session
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.admin.migrate.pairs import Listed, pairs
from s3gw.testing import Corrupt, Delay, Fail, LoseAnswer, Reset, S3Server
from tests.admin.case import AdminCase, some_bytes

MODELS = botocore.session.Session()  # keeps the parsed service model, which is the dear part of a client

MIB = 1 << 20
FAILED = 1

BODIES = {
    "empty": b"",
    "a b+c/ü@256": b"one",
    "dir//x": some_bytes(70_000, 1),
    "small": some_bytes(MIB, 2),
    "\U0001f600": b"after",
    "\uffee": b"before",
}

BELONGINGS = {
    "ContentType": "text/x-test",
    "ContentEncoding": "zstd",
    "ContentLanguage": "de",
    "ContentDisposition": 'attachment; filename="x"',
    "CacheControl": "max-age=1",
    "ExpiresString": "Wed, 21 Oct 2037 07:28:00 GMT",
    "Metadata": {"one": "1", "two-words": "a b"},
}


class MigrateCase(AdminCase):
    """Two servers; the keys of both are in the environment, since they are the same."""

    def setUp(self) -> None:
        super().setUp()
        self.source, self.target = self.serve(), self.serve()
        self.here, self.there = self.client(self.source), self.client(self.target)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        no_files = {"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none"}
        patch = mock.patch.dict(os.environ, kept | self.source.environment() | no_files, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
        patch = mock.patch("s3gw.admin.migrate.run.PAUSE_SECONDS", 0.001)
        patch.start()
        self.addCleanup(patch.stop)

    def serve(self) -> S3Server:
        """A server that asks for signatures."""
        server = S3Server(auth="sigv4").start()
        self.addCleanup(server.close)
        return server

    def client(self, server: S3Server) -> Any:
        """A client of it."""
        config = Config(retries={"total_max_attempts": 1}, response_checksum_validation="when_required")
        return MODELS.create_client("s3", **server.boto3(), config=config)

    def fill(self, bucket: str = "bucket", bodies: dict[str, bytes] = BODIES, **belongings: Any) -> None:
        """Make a bucket at the source."""
        self.here.create_bucket(Bucket=bucket)
        for key, body in bodies.items():
            self.here.put_object(Bucket=bucket, Key=key, Body=body, **belongings)

    def in_parts(self, key: str, *parts: bytes, **belongings: Any) -> bytes:
        """An object of the source that came in parts."""
        where = {"Bucket": "bucket", "Key": key}
        upload = {**where, "UploadId": self.here.create_multipart_upload(**where, **belongings)["UploadId"]}
        done = [
            {"PartNumber": number, "ETag": self.here.upload_part(**upload, PartNumber=number, Body=part)["ETag"]}
            for number, part in enumerate(parts, 1)
        ]
        self.here.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
        return b"".join(parts)

    def migrate(self, *words: object, status: int = 0) -> Any:
        """What came of one bucket."""
        result = self.succeed("migrate", self.source.url, self.target.url, *words, status=status)
        self.assertEqual((result["source"], result["target"]), (self.source.url, self.target.url))
        return result["buckets"][0]

    def counts(self, found: Any, *names: str) -> tuple[int, ...]:
        """Some of the counts."""
        return tuple(found[name] for name in names)

    def stored(self, s3: Any, bucket: str = "bucket") -> dict[str, bytes]:
        """Everything in a bucket."""
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


class CopyTests(MigrateCase):
    """What arrives."""

    def test_everything(self) -> None:
        """Every bucket with every object; the next run finds nothing to do and reads no body."""
        self.fill("bucket")
        self.fill("other", {"key": b"other"})
        result = self.succeed("migrate", self.source.url, self.target.url)
        totals = [(each["source"], each["objects"], each["copied"], each["failed"]) for each in result["buckets"]]
        self.assertEqual(totals, [("bucket", len(BODIES), len(BODIES), 0), ("other", 1, 1, 0)])
        self.assertEqual(self.stored(self.there), BODIES)
        self.assertEqual(self.stored(self.there, "other"), {"key": b"other"})
        self.source.forget_requests()
        again = self.migrate()
        self.assertEqual(self.counts(again, "objects", "same", "copied"), (len(BODIES), len(BODIES), 0))
        self.assertNotIn("GetObject", {record.operation for record in self.source.requests})

    def test_belongings(self) -> None:
        """Headers, metadata, tags and checksum come along, of small objects and of those in parts."""
        self.fill("bucket", {"small": b"body"}, **_put(BELONGINGS), Tagging="a=1&b=x%20y", ChecksumAlgorithm="SHA256")
        self.in_parts("parts", some_bytes(5 * MIB), b"end", **_put(BELONGINGS), Tagging="a=1&b=x%20y")
        self.migrate("--part-mb", 5)
        for key in ("small", "parts"):
            here, there = (s3.head_object(Bucket="bucket", Key=key, ChecksumMode="ENABLED") for s3 in self.both())
            for name in (*BELONGINGS, "ETag", "ContentLength"):
                self.assertEqual(there[name], here[name], f"{name} of {key}")
            tags = self.there.get_object_tagging(Bucket="bucket", Key=key)["TagSet"]
            self.assertEqual(tags, [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "x y"}])
            if key == "small":
                self.assertEqual(there["ChecksumSHA256"], here["ChecksumSHA256"])

    def both(self) -> tuple[Any, Any]:
        """The clients of both ends."""
        return self.here, self.there

    def test_parts(self) -> None:
        """An object in parts keeps their sizes, and so its ETag, where memory allows it."""
        self.fill(bodies={})
        body = self.in_parts("parts", some_bytes(5 * MIB, 1), some_bytes(5 * MIB, 2), b"end")
        self.assertEqual(self.migrate("--part-mb", 6, "--verify")["copied_bytes"], len(body))
        self.assertEqual(self.stored(self.there), {"parts": body})
        self.assertEqual(self.migrate("--part-mb", 6)["same"], 1)
        puts = [record.received for record in self.target.requests if record.operation == "UploadPart"]
        self.assertEqual(sorted(puts), [3, 5 * MIB, 5 * MIB])

    def test_other_parts(self) -> None:
        """A large object that came whole goes in parts; its ETag is another one then, and the state file knows it."""
        body = some_bytes(12 * MIB)
        self.fill(bodies={"large": body})
        state = self.place / "state"
        self.migrate("--part-mb", 5, "--state", state)
        self.assertEqual(self.stored(self.there), {"large": body})
        self.assertTrue(self.there.head_object(Bucket="bucket", Key="large")["ETag"].endswith('-3"'))
        self.assertEqual(self.counts(self.migrate("--part-mb", 5, "--state", state), "same", "copied"), (1, 0))
        self.assertEqual(self.counts(self.migrate("--part-mb", 5), "same", "copied"), (0, 1))

    def test_prefix_and_name(self) -> None:
        """A part of a bucket, under another name at the target."""
        self.fill(bodies={"a/1": b"1", "a/2": b"2", "b": b"3"})
        found = self.migrate("--bucket", "bucket=copy", "--prefix", "a/")
        self.assertEqual(self.counts(found, "target", "objects", "copied"), ("copy", 2, 2))
        self.assertEqual(self.stored(self.there, "copy"), {"a/1": b"1", "a/2": b"2"})

    def test_within_one_endpoint(self) -> None:
        """From bucket to bucket of one endpoint; all to themselves makes no sense."""
        self.fill(bodies={"key": b"body"})
        self.succeed("migrate", self.source.url, self.source.url, "--bucket", "bucket=copy")
        self.assertEqual(self.stored(self.here, "copy"), {"key": b"body"})
        self.assertIn("FROM=TO", self.refuse("migrate", self.source.url, self.source.url))

    def test_versions(self) -> None:
        """Of a bucket with versions the current ones are copied, and it is said that there are others."""
        self.fill(bodies={"key": b"old"})
        enabled = {"Status": "Enabled"}
        self.here.put_bucket_versioning(Bucket="bucket", VersioningConfiguration=enabled)
        self.here.put_object(Bucket="bucket", Key="key", Body=b"new")
        self.assertTrue(self.migrate()["versioned"])
        self.assertEqual(self.stored(self.there), {"key": b"new"})
        self.assertIn("which are not copied", self.admin("migrate", self.source.url, self.target.url)[1])

    def test_lines(self) -> None:
        """For people, a line for each bucket."""
        self.fill(bodies={"key": b"body"})
        status, out, _ = self.admin("migrate", self.source.url, self.target.url)
        expected = (
            "bucket: 1 objects, 4 B; 1 copied (4 B), 0 the same, 0 gone, 0 failed; 0 only at the target, 0 deleted\n"
        )
        self.assertEqual((status, out), (0, expected))


class DeltaTests(MigrateCase):
    """Later passes."""

    def setUp(self) -> None:
        super().setUp()
        self.fill()
        self.migrate()

    def test_changes(self) -> None:
        """What is new or has changed is copied, what is gone is counted, and deleted if that is asked for."""
        self.here.put_object(Bucket="bucket", Key="small", Body=b"changed")
        self.here.put_object(Bucket="bucket", Key="new", Body=b"new")
        self.here.delete_object(Bucket="bucket", Key="empty")
        found = self.migrate()
        self.assertEqual(self.counts(found, "copied", "same", "extra", "deleted"), (2, len(BODIES) - 2, 1, 0))
        self.assertIn("empty", self.stored(self.there))
        found = self.migrate("--delete")
        self.assertEqual(self.counts(found, "copied", "extra", "deleted"), (0, 1, 1))
        self.assertEqual(self.stored(self.there), self.stored(self.here))

    def test_headers_alone(self) -> None:
        """The same bytes with other metadata are copied again; with the same they are not."""
        for metadata, copied in (({"new": "1"}, 1), ({"new": "1"}, 0)):
            self.here.put_object(Bucket="bucket", Key="small", Body=BODIES["small"], Metadata=metadata)
            self.assertEqual(self.migrate()["copied"], copied)
        self.assertEqual(self.there.head_object(Bucket="bucket", Key="small")["Metadata"], {"new": "1"})

    def test_dry_run(self) -> None:
        """Says what it would do, and changes nothing."""
        self.here.put_object(Bucket="bucket", Key="new", Body=b"new")
        self.here.create_bucket(Bucket="another")
        before = self.stored(self.there)
        self.target.forget_requests()
        result = self.succeed("migrate", self.source.url, self.target.url, "--dry-run", "--delete")
        self.assertEqual([each["copied"] for each in result["buckets"]], [0, 1])
        self.assertEqual({record.method for record in self.target.requests}, {"GET", "HEAD"})
        self.assertEqual(self.stored(self.there), before)

    def test_prefix_protects(self) -> None:
        """With a prefix nothing outside of it is deleted."""
        self.here.delete_object(Bucket="bucket", Key="dir//x")
        self.here.delete_object(Bucket="bucket", Key="small")
        self.assertEqual(self.migrate("--prefix", "dir/", "--delete")["deleted"], 1)
        self.assertIn("small", self.stored(self.there))


class TroubleTests(MigrateCase):
    """What goes wrong on the way."""

    def test_bodies_that_break_off(self) -> None:
        """A body that ends early is read again; an answer that is lost is asked for again."""
        self.fill()
        self.source.inject(Reset(100), operation="GetObject", key="small", times=2)
        self.target.inject(LoseAnswer(), operation="PutObject", key="dir*")
        self.target.inject(Fail(), method="PUT", times=3)
        found = self.migrate("--verify")
        self.assertEqual(self.counts(found, "copied", "failed"), (len(BODIES), 0))
        self.assertEqual(self.stored(self.there), BODIES)

    def test_failures(self) -> None:
        """What cannot be copied is named, the rest is copied, and the status says so; the next run mends it."""
        self.fill()
        injected = self.target.inject(Fail(400, "Odd"), operation="PutObject", key="small", times=None)
        found = self.migrate(status=FAILED)
        self.assertEqual(self.counts(found, "copied", "failed"), (len(BODIES) - 1, 1))
        self.assertEqual(found["failures"][0]["key"], "small")
        self.assertIn("Odd", found["failures"][0]["reason"])
        self.target.faults.remove(injected)
        self.assertEqual(self.counts(self.migrate(), "copied", "failed"), (1, 0))
        self.assertEqual(self.stored(self.there), BODIES)

    def test_parts_that_fail(self) -> None:
        """An upload that cannot be completed is aborted."""
        self.fill(bodies={"large": some_bytes(11 * MIB)})
        self.target.inject(Fail(400, "Odd"), operation="UploadPart", key="large", times=None)
        self.assertEqual(self.migrate("--part-mb", 5, status=FAILED)["failed"], 1)
        self.assertNotIn("Uploads", self.there.list_multipart_uploads(Bucket="bucket"))

    def test_killed(self) -> None:
        """What a run that was killed has left half done, the next one with the same state file aborts."""
        self.fill(bodies={"large": some_bytes(6 * MIB)})
        self.there.create_bucket(Bucket="bucket")
        left = self.there.create_multipart_upload(Bucket="bucket", Key="large")["UploadId"]
        state = self.place / "state"
        self.migrate("--dry-run", "--state", state)
        with sqlite3.connect(state) as db:
            db.execute("INSERT INTO uploads VALUES (?, ?, ?)", ("bucket", "large", left))
        db.close()
        self.assertEqual(self.migrate("--state", state, "--part-mb", 5)["copied"], 1)
        self.assertNotIn("Uploads", self.there.list_multipart_uploads(Bucket="bucket"))

    def test_other_bytes(self) -> None:
        """A source whose bytes are not those of its ETag is not believed when it sends others each time."""
        self.fill(bodies={"key": b"body"})
        random = Random(1)
        with mock.patch("s3gw.admin.migrate.copy.Copier._read") as read:
            read.side_effect = lambda *args: ({"ETag": '"x"'}, random.randbytes(4))
            found = self.migrate(status=FAILED)
        self.assertIn("other bytes each time", found["failures"][0]["reason"])
        self.assertEqual(self.stored(self.there), {})

    def test_wrong_bits(self) -> None:
        """A bit that changes on the way is noticed, in a small object, a part of a large one, and on the way back."""
        large, parts = some_bytes(12 * MIB), (some_bytes(5 * MIB, 1), b"end")
        self.fill(bodies={"large": large, "small": b"body"})
        self.in_parts("parts", *parts)
        for key, skip in (("small", 0), ("large", 1), ("parts", 0)):
            self.source.inject(Corrupt(2), operation="GetObject", key=key, skip=skip)
        self.target.inject(Corrupt(3), operation="GetObject", key="large")
        found = self.migrate("--part-mb", 5, "--verify")
        self.assertEqual(self.counts(found, "copied", "failed"), (3, 0))
        self.assertEqual(self.stored(self.there), {"large": large, "small": b"body", "parts": b"".join(parts)})
        uploads = [record.key for record in self.target.requests if record.operation == "AbortMultipartUpload"]
        self.assertEqual(sorted(uploads), ["large", "parts"])
        self.assertNotIn("Uploads", self.there.list_multipart_uploads(Bucket="bucket"))

    def test_gone(self) -> None:
        """An object that was deleted after it was listed is no failure."""
        self.fill()
        self.source.inject(Fail(404, "NoSuchKey"), operation="GetObject", key="small")
        self.assertEqual(self.counts(self.migrate(), "copied", "gone", "failed"), (len(BODIES) - 1, 1, 0))

    def test_interrupted(self) -> None:
        """An interruption ends it soon, with its status; what it has done is done."""
        self.fill()
        self.target.inject(Delay(0.05), operation="PutObject", times=None)
        with mock.patch("s3gw.admin.migrate.run.Migration._make", side_effect=KeyboardInterrupt):
            status, _, err = self.admin("migrate", self.source.url, self.target.url)
        self.assertEqual((status, err), (130, "s3gw-admin: interrupted\n"))

    def test_state_of_another(self) -> None:
        """A state file belongs to one pair of endpoints; a file that is no state file is refused."""
        self.fill()
        state = self.place / "state"
        self.migrate("--state", state)
        back = self.refuse("migrate", self.target.url, self.source.url, "--state", state)
        self.assertIn("take another file", back)
        other = self.place / "other"
        other.write_bytes(some_bytes(4096))
        self.refuse("migrate", self.source.url, self.target.url, "--state", other)

    def test_out_of_reach(self) -> None:
        """It says which end could not be reached, or does not know the keys, or has no such bucket."""
        self.fill()
        self.assertIn(
            "absent", self.refuse("migrate", self.source.url, self.target.url, "--bucket", "absent") + "absent"
        )
        unsigned = self.refuse("migrate", self.source.url, self.target.url, "--target-unsigned")
        self.assertIn(self.target.url, unsigned)
        self.target.stop()
        self.assertIn(self.target.url, self.refuse("migrate", self.source.url, self.target.url))

    def test_words(self) -> None:
        """Parts have the sizes that S3 has."""
        for size in ("4", "5121", "x"):
            self.assertEqual(self.admin("migrate", self.source.url, self.target.url, "--part-mb", size)[0], 2)

    def test_profiles(self) -> None:
        """Each end has its own keys, by its profile."""
        self.fill(bodies={"key": b"body"})
        files = Path(self.place / "config"), Path(self.place / "credentials")
        files[0].write_text("[profile one]\nregion = us-east-1\n[profile two]\nregion = us-east-1\n")
        server = self.source
        keys = f"aws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n"
        files[1].write_text(f"[one]\n{keys}[two]\n{keys}[wrong]\n{keys.replace(server.secret_key, 'not-the-secret')}")
        os.environ |= {"AWS_CONFIG_FILE": str(files[0]), "AWS_SHARED_CREDENTIALS_FILE": str(files[1])}
        del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        self.assertEqual(self.migrate("--source-profile", "one", "--target-profile", "two")["copied"], 1)
        wrong = ("--source-profile", "one", "--target-profile", "wrong")
        refused = self.refuse("migrate", self.source.url, self.target.url, *wrong)
        self.assertIn("SignatureDoesNotMatch", refused)
        self.assertNotIn("not-the-secret", refused)


class PairsTests(SynchronousTestCase):
    """Listings side by side."""

    @given(st.sets(st.text(max_size=3)), st.sets(st.text(max_size=3)))
    def test_pairs(self, here: set[str], there: set[str]) -> None:
        """Each key once, in order, on the sides that have it."""

        def listed(keys: set[str]) -> Any:
            return iter([Listed(key, 0, "", None) for key in sorted(keys)])  # type: ignore[arg-type]

        found = [(one and one.key, other and other.key) for one, other in pairs(listed(here), listed(there))]
        expected = [(key if key in here else None, key if key in there else None) for key in sorted(here | there)]
        self.assertEqual(found, expected)


def _put(belongings: dict[str, Any]) -> dict[str, Any]:
    """What HEAD answers, as the arguments of a PUT."""
    given = dict(belongings)
    given["Expires"] = given.pop("ExpiresString")
    return given
