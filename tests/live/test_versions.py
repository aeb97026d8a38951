"""Versions, locks and lifecycle rules as boto3 and the figures show them, across a kill -9."""

from __future__ import annotations

import re
from typing import Any

from tests.bounded import wait_until
from tests.live.case import KIB, LiveCase, some_bytes
from tests.live.wire import Wire

BODIES = [some_bytes(100, 1), some_bytes(64 * KIB, 2), some_bytes(300 * KIB, 3)]


class VersionTests(LiveCase):
    """One gateway whose days last a second."""

    def setUp(self) -> None:
        self.server = self.own_server(args=("--lifecycle_day_seconds=1",)).start()
        self.s3 = self.server.s3()
        self.bucket = self.new_name()

    def versions(self) -> list[dict[str, Any]]:
        """Versions and delete markers."""
        answer = self.s3.list_object_versions(Bucket=self.bucket)
        return [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]

    def figure(self, kind: str) -> float:
        """How many of a kind rules have ended."""
        with Wire(self.server) as wire:
            text = wire.ask("GET", "/metrics").body.decode()
        found = re.search(rf'(?m)^s3gw_lifecycle_ended_total{{kind="{kind}"}} (\S+)$', text)
        assert found is not None, kind
        return float(found[1])

    def test_from_first_to_last(self) -> None:
        """Versions outlive a kill, each byte for byte; a lock holds against clients and rules; rules end the rest."""
        self.s3.create_bucket(Bucket=self.bucket, ObjectLockEnabledForBucket=True)
        named = {"Bucket": self.bucket, "Key": "key"}
        ids = [self.s3.put_object(**named, Body=body)["VersionId"] for body in BODIES]
        self.s3.put_object_legal_hold(**named, VersionId=ids[0], LegalHold={"Status": "ON"})
        marker = self.s3.delete_object(**named)["VersionId"]
        self.server.kill()
        self.server.start()
        self.s3 = self.server.s3()
        for version, body in zip(ids, BODIES, strict=True):
            self.assertSame(self.s3.get_object(**named, VersionId=version)["Body"].read(), body)
        self.assertEqual(self.refused(self.s3.get_object, **named), (404, "NoSuchKey"))
        self.assertEqual(self.refused(self.s3.delete_object, **named, VersionId=ids[0]), (403, "AccessDenied"))
        self.s3.delete_object(**named, VersionId=marker)
        self.assertSame(self.s3.get_object(**named)["Body"].read(), BODIES[2])
        rule = {"ID": "all", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": 1}
        self.s3.put_bucket_lifecycle_configuration(Bucket=self.bucket, LifecycleConfiguration={"Rules": [rule]})
        wait_until(lambda: [it["VersionId"] for it in self.versions() if "Size" in it] == ids[:1], "the held one left")
        wait_until(lambda: (self.figure("object"), self.figure("version")) == (1, 2), "the others counted")
        self.s3.put_object_legal_hold(**named, VersionId=ids[0], LegalHold={"Status": "OFF"})
        wait_until(lambda: not self.versions(), "nothing left")
        self.s3.delete_bucket(Bucket=self.bucket)
        wait_until(lambda: self.figure("marker") == 1, "the marker counted")
