"""Encryption as boto3 asks for it, over TLS, and what is on the disk afterwards."""

from __future__ import annotations

import os
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig, create_transfer_manager

from s3gw.masterkeys import add_master_key
from tests.live.case import KIB, MIB, LiveCase, some_bytes
from tests.live.server import LiveServer

KEY_A, KEY_B = os.urandom(32), os.urandom(32)
METHOD = "ServerSideEncryption"


def customer(key: bytes, prefix: str = "") -> dict[str, Any]:
    """What boto3 is told of a customer key; it makes three headers of it."""
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": key}


class PlainTests(LiveCase):
    """A gateway as it starts by default."""

    def test_refused(self) -> None:
        """Over plain HTTP a customer key is refused, and without a key file the option that is lacking is named."""
        s3 = self.server.s3()
        bucket = self.new_bucket(s3)
        status = self.refused(s3.put_object, Bucket=bucket, Key="key", Body=b"x", **customer(KEY_A))
        self.assertEqual((400, "InvalidRequest"), status)
        status = self.refused(s3.put_object, Bucket=bucket, Key="key", Body=b"x", ServerSideEncryption="AES256")
        self.assertEqual((501, "NotImplemented"), status)


class EncryptionTests(LiveCase):
    """A gateway with a key file."""

    def make_server(self) -> LiveServer:
        """One with TLS and one master key."""
        self.keys = self.directory() / "keys"
        add_master_key(self.keys, "first")
        return self.own_server(auth="sigv4", tls=True, args=(f"--sse_key_file={self.keys}",)).start()

    def on_disk(self) -> bytes:
        """All that the database has on the disk, once it was stopped."""
        self.server.stop()
        return b"".join(path.read_bytes() for path in Path(self.server.db_path).iterdir() if path.is_file())

    def test_managed(self) -> None:
        """Objects of all kinds are read back, whole and in ranges, by a gateway that was started again, under a key
        that is not the last any more; on the disk there is nothing of them."""
        s3 = self.server.s3()
        bucket = self.new_bucket(s3)
        bodies = {f"{size}": some_bytes(size, size) for size in (1, 1000, 64 * KIB, 64 * KIB + 1, 3 * MIB)}
        for key, body in bodies.items():
            put = s3.put_object(Bucket=bucket, Key=key, Body=body, ServerSideEncryption="AES256")
            self.assertEqual("AES256", put[METHOD])
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        bodies["parts"] = some_bytes(12 * MIB, 12)
        config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
        with create_transfer_manager(s3, config) as transfer:
            transfer.upload(BytesIO(bodies["parts"]), bucket, "parts").result()
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "parts"})
        bodies["copy"] = bodies["parts"]

        add_master_key(self.keys, "second")
        self.server.hang_up()
        self.server.wait_for_log("reloaded")
        bodies["later"] = some_bytes(200 * KIB, 99)
        s3.put_object(Bucket=bucket, Key="later", Body=bodies["later"])
        stored = self.on_disk()
        for body in bodies.values():
            if len(body) >= 1000:
                self.assertNotIn(body[:32], stored)
                self.assertNotIn(body[-32:], stored)
        self.server.start()
        s3 = self.server.s3()
        for key, body in bodies.items():
            got = s3.get_object(Bucket=bucket, Key=key)
            self.assertEqual("AES256", got[METHOD])
            self.assertSame(got["Body"].read(), body)
            middle = len(body) // 2
            got = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={middle}-{middle + 70_000}")
            self.assertSame(got["Body"].read(), body[middle : middle + 70_001])

    def test_customer(self) -> None:
        """A customer's objects are read back with the key, by whole clients too; neither they nor the key are on the
        disk or in the log."""
        s3 = self.server.s3()
        bucket = self.new_bucket(s3)
        key, body = customer(KEY_A), some_bytes(12 * MIB, 5)
        s3.put_object(Bucket=bucket, Key="small", Body=body[:1000], **key)
        config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
        got = BytesIO()
        with create_transfer_manager(s3, config) as transfer:
            transfer.upload(BytesIO(body), bucket, "large", key).result()
            transfer.download(bucket, "large", got, key).result()
        self.assertSame(got.getvalue(), body)
        source = {"Bucket": bucket, "Key": "large"}
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, **customer(KEY_A, "CopySource"), **customer(KEY_B))
        self.assertSame(s3.get_object(Bucket=bucket, Key="copy", **customer(KEY_B))["Body"].read(), body)
        head = s3.head_object(Bucket=bucket, Key="small", **key)
        self.assertEqual(("AES256", 1000), (head["SSECustomerAlgorithm"], head["ContentLength"]))
        self.assertEqual((400, "InvalidRequest"), self.refused(s3.get_object, Bucket=bucket, Key="small"))
        wrong = customer(KEY_B)
        self.assertEqual((403, "AccessDenied"), self.refused(s3.get_object, Bucket=bucket, Key="small", **wrong))
        self.assertEqual((400, "400"), self.refused(s3.head_object, Bucket=bucket, Key="small"))
        log = self.server.log()
        stored = self.on_disk()
        self.assertNotIn(body[:32], stored)
        self.assertNotIn(body[-32:], stored)
        for secret in (KEY_A, KEY_B):
            self.assertNotIn(secret, stored)
            self.assertNotIn(b64encode(secret).decode(), log)
        self.assertNotIn("Traceback", log)
