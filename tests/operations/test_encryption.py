"""Encrypted objects, as clients meet them."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from s3gw.cipher import CUSTOMER, MASTER
from s3gw.model import CHUNK_BYTES, ObjectInfo
from s3gw.store.interface import ChunkRow, InlineRow
from s3gw.store.memory import MemoryStore
from s3gw.web.bodies import BATCHES_KEPT
from tests.operations.harness import (
    ALICE,
    Answer,
    Connection,
    GatewayTestCase,
    InMemoryGateway,
    MasterKeysInMemory,
    signed,
)
from tests.operations.test_forms import ANY_KEY, FormTestCase, signed_v2

METHOD = "x-amz-server-side-encryption"
MANAGED = {METHOD: "AES256"}
MIB = 1024 * 1024


def customer(name: str, prefix: str = METHOD) -> dict[str, str]:
    """The headers that bring a customer key."""
    key = hashlib.sha256(name.encode()).digest()
    return {
        f"{prefix}-customer-algorithm": "AES256",
        f"{prefix}-customer-key": b64encode(key).decode(),
        f"{prefix}-customer-key-md5": b64encode(hashlib.md5(key).digest()).decode(),
    }


def source(name: str) -> dict[str, str]:
    """The headers that bring the customer key of the source of a copy."""
    return customer(name, f"x-amz-copy-source-{METHOD.removeprefix('x-amz-')}")


KEY_A, KEY_B = customer("a"), customer("b")


def pattern(size: int, seed: int = 7) -> bytes:
    """Bytes of which each stretch is unlike the others."""
    block = hashlib.shake_256(seed.to_bytes(4, "big")).digest(min(size, 9973))
    return (block * (size // len(block) + 1))[:size] if size else b""


class EncryptedTestCase(GatewayTestCase):
    """A gateway with a master key, whose customers send their keys over plain HTTP."""

    settings: Mapping[str, Any] = {"sse_c_over_http": True, "master_keys": MasterKeysInMemory("first")}

    def setUp(self) -> None:
        """Make the bucket."""
        super().setUp()
        self.make_bucket()

    @property
    def store(self) -> MemoryStore:
        """What is below it all."""
        assert isinstance(self.gateway.store, MemoryStore)
        return self.gateway.store

    def info(self, key: str) -> ObjectInfo:
        """The record of an object."""
        found = self.store.peek("bucket", key)
        assert isinstance(found, ObjectInfo)
        return found

    def rows(self, key: str) -> list[ChunkRow | InlineRow]:
        """The rows of its body."""
        info = self.info(key)
        if info.inline:
            return [InlineRow("bucket", key, info.inline)]
        return [
            ChunkRow(extent.blob, number)
            for extent in info.extents
            for number in range(extent.start // CHUNK_BYTES, -(-(extent.start + extent.length) // CHUNK_BYTES))
        ]

    def stored(self, key: str) -> bytes:
        """The bytes of its body as the store has them."""
        found = self.store.read(self.rows(key))
        assert not any(isinstance(each, Exception) for each in found)
        return b"".join(found)  # type: ignore[arg-type]

    def assert_opens(self, key: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """A GET gives these bytes, and what is stored is none of them."""
        answer = self.request("GET", f"/bucket/{key}", headers)
        self.assertEqual(200, answer.status, answer.body[:500])
        self.assertEqual(body, answer.body)
        if self.info(key).encryption is not None and len(body) >= 16:
            stored = self.stored(key)
            self.assertNotIn(body[:16], stored)
            self.assertNotIn(body[-16:], stored)
        return answer

    def upload(self, key: str, parts: list[bytes], headers: Mapping[str, str], more: Mapping[str, str]) -> Answer:
        """A multipart upload. :param more: headers of its parts and its end."""
        created = self.request("POST", f"/bucket/{key}", headers, query="uploads")
        self.assertEqual(200, created.status, created.body)
        upload = created.text("UploadId") or ""
        listed = ""
        for number, part in enumerate(parts, 1):
            answer = self.request("PUT", f"/bucket/{key}", more, part, {"partNumber": str(number), "uploadId": upload})
            self.assertEqual(200, answer.status, answer.body)
            listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{answer.headers['etag']}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        return self.request("POST", f"/bucket/{key}", more, document, {"uploadId": upload})


class ManagedTests(EncryptedTestCase):
    """SSE-S3: the gateway keeps the key."""

    def test_round_trip(self) -> None:
        """Bodies of every kind come back as they were, say how they are kept, and are unreadable in the store."""
        for size in (0, 1, 1024, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES, 3 * MIB + 5):
            body = pattern(size)
            answer = self.put("/bucket/key", body, MANAGED)
            self.assertEqual("AES256", answer.headers[METHOD])
            self.assertEqual(f'"{hashlib.md5(body).hexdigest()}"', answer.headers["etag"])
            answer = self.assert_opens("key", body)
            self.assertEqual("AES256", answer.headers[METHOD])
            head = self.request("HEAD", "/bucket/key")
            self.assertEqual(("AES256", str(size)), (head.headers[METHOD], head.headers["content-length"]))

    def test_checksums(self) -> None:
        """A checksum is given back as it was, and is not to be read in the record."""
        sent = self.put("/bucket/key", b"hello", MANAGED | {"x-amz-checksum-crc32": "NhCmhg=="})
        self.assertEqual("NhCmhg==", sent.headers["x-amz-checksum-crc32"])
        for method in ("GET", "HEAD"):
            answer = self.request(method, "/bucket/key", {"x-amz-checksum-mode": "ENABLED"})
            self.assertEqual("NhCmhg==", answer.headers["x-amz-checksum-crc32"])
        checksum = self.info("key").checksum
        assert checksum is not None
        self.assertNotEqual("NhCmhg==", checksum.value)
        attributes = self.request("GET", "/bucket/key", {"x-amz-object-attributes": "Checksum"}, query="attributes")
        self.assertEqual("NhCmhg==", attributes.text("ChecksumCRC32"))

    def test_same_bytes_twice(self) -> None:
        """Nothing in the store tells that two objects are the same."""
        body = pattern(CHUNK_BYTES * 2)
        for key in ("one", "two"):
            self.put(f"/bucket/{key}", body, MANAGED)
        self.assertNotEqual(self.stored("one"), self.stored("two"))
        self.assertNotEqual(self.stored("one")[:64], self.stored("one")[CHUNK_BYTES + 16 :][:64])

    def test_reads_take_no_header(self) -> None:
        """Asking for the method where something is read is a mistake, as in S3."""
        self.put("/bucket/key", b"hello", MANAGED)
        for method in ("GET", "HEAD", "DELETE"):
            self.assertEqual(400, self.request(method, "/bucket/key", MANAGED).status)
        self.assert_error("InvalidArgument", 400, self.request("GET", "/bucket/key", MANAGED))

    def test_other_methods(self) -> None:
        """KMS is refused by name; what nobody has is the client's mistake. Nothing is stored."""
        for method in ("aws:kms", "aws:kms:dsse", "aws:fsx", "aws:backup"):
            answer = self.request("PUT", "/bucket/key", {METHOD: method}, b"x")
            self.assert_error("NotImplemented", 501, answer)
            self.assertEqual(METHOD, answer.text("Header"))
        self.assert_error("InvalidArgument", 400, self.request("PUT", "/bucket/key", {METHOD: "aes:kms"}, b"x"))
        self.assertEqual(404, self.request("HEAD", "/bucket/key").status)

    def test_rotation(self) -> None:
        """Objects open with the key that they were written under; a copy onto itself changes to the active one."""
        body = pattern(2 * CHUNK_BYTES)
        self.put("/bucket/key", body, MANAGED)
        keys = MasterKeysInMemory("first", "second")
        self.gateway = InMemoryGateway(self.keys, store=self.store, master_keys=keys)
        self.addCleanup(self.gateway.close)
        self.assert_opens("key", body)
        blobs = self.info("key").extents
        copied = self.request("PUT", "/bucket/key", {"x-amz-copy-source": "bucket/key", **MANAGED})
        self.assertEqual(200, copied.status, copied.body)
        encryption = self.info("key").encryption
        assert encryption is not None
        self.assertEqual(("second", blobs), (encryption.master, self.info("key").extents))
        del keys.keys["first"]
        self.assert_opens("key", body)

    def test_missing_master_key(self) -> None:
        """An object whose master key is gone is an error that names the key; what needs no key is answered."""
        self.put("/bucket/key", b"hello", MANAGED)
        self.gateway = InMemoryGateway(self.keys, store=self.store, master_keys=MasterKeysInMemory("other"))
        self.addCleanup(self.gateway.close)
        answer = self.request("GET", "/bucket/key")
        self.assert_error("InternalError", 500, answer)
        self.assertIn("first", answer.message)
        self.assertEqual("AES256", self.request("HEAD", "/bucket/key").headers[METHOD])
        self.assertEqual(204, self.request("DELETE", "/bucket/key").status)


class UnconfiguredTests(GatewayTestCase):
    """A gateway without a key file, as it starts by default."""

    def setUp(self) -> None:
        """Make the bucket."""
        super().setUp()
        self.make_bucket()

    def test_refused(self) -> None:
        """Encryption that cannot be had is refused by the name of the option, everywhere; nothing is stored plainly."""
        configuration = (
            b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256"
            b"</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        )
        self.put("/bucket/source", b"hello")
        copy = {"x-amz-copy-source": "bucket/source"}
        for answer in (
            self.request("PUT", "/bucket/key", MANAGED, b"hello"),
            self.request("PUT", "/bucket/key", MANAGED | copy),
            self.request("POST", "/bucket/key", MANAGED, query="uploads"),
            self.request("PUT", "/bucket", body=configuration, query="encryption"),
        ):
            self.assert_error("NotImplemented", 501, answer)
            self.assertIn("--sse_key_file", answer.message)
        self.assertEqual(404, self.request("HEAD", "/bucket/key").status)

    def test_default_without_its_key(self) -> None:
        """A bucket that encrypts by default takes nothing when the gateway was started without the key file."""
        gateway = InMemoryGateway(self.keys, store=self.gateway.store, master_keys=MasterKeysInMemory())
        self.addCleanup(gateway.close)
        gateway.request("PUT", "/bucket", body=AES256_DEFAULT, query="encryption", sign=ALICE)
        self.assert_error("NotImplemented", 501, self.request("PUT", "/bucket/key", body=b"hello"))

    def test_customer_keys_over_http(self) -> None:
        """A customer key that came over plain HTTP is refused, and so is everything that it came with."""
        for method, headers in (("PUT", KEY_A), ("GET", KEY_A), ("PUT", {"x-amz-copy-source": "b/k", **source("a")})):
            answer = self.request(method, "/bucket/key", headers, b"x" if method == "PUT" else b"")
            self.assert_error("InvalidRequest", 400, answer)
            self.assertIn("secure connection", answer.message)

    def test_customer_keys_over_tls(self) -> None:
        """Over TLS they need no key file and no option."""
        connect = self.gateway.connect

        def connect_securely() -> Connection:
            connection = connect()
            connection.protocol.secure = True
            return connection

        self.patch(self.gateway, "connect", connect_securely)
        self.put("/bucket/key", b"hello", KEY_A)
        self.assertEqual(b"hello", self.request("GET", "/bucket/key", KEY_A).body)


AES256_DEFAULT = (
    b'<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>'
    b"<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
    b"</Rule></ServerSideEncryptionConfiguration>"
)


class CustomerTests(EncryptedTestCase):
    """SSE-C: the client keeps the key, and sends it each time."""

    def test_round_trip(self) -> None:
        """Bodies of every kind come back under the key; the answers confirm it and say nothing of the bytes."""
        md5 = KEY_A[f"{METHOD}-customer-key-md5"]
        for size in (0, 1, 1024, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * MIB + 5):
            body = pattern(size)
            sent = self.put("/bucket/key", body, KEY_A)
            self.assertNotEqual(f'"{hashlib.md5(body).hexdigest()}"', sent.headers["etag"])
            self.assertRegex(sent.headers["etag"], '^"[0-9a-f]{32}"$')
            got = self.assert_opens("key", body, KEY_A)
            head = self.request("HEAD", "/bucket/key", KEY_A)
            for answer in (sent, got, head):
                self.assertEqual("AES256", answer.headers[f"{METHOD}-customer-algorithm"])
                self.assertEqual(md5, answer.headers[f"{METHOD}-customer-key-md5"])
                self.assertNotIn(METHOD, answer.headers)
                self.assertEqual(sent.headers["etag"], answer.headers["etag"])

    def test_without_the_key(self) -> None:
        """Nothing of the object is told to who has not got the key, or has another; only deleting needs none."""
        self.put("/bucket/key", b"hello", KEY_A)
        attributes = {"x-amz-object-attributes": "ETag"}
        copy = {"x-amz-copy-source": "bucket/key"}
        for answer in (
            self.request("GET", "/bucket/key"),
            self.request("GET", "/bucket/key", {"range": "bytes=0-1"}),
            self.request("GET", "/bucket/key", attributes, query="attributes"),
            self.request("PUT", "/bucket/copy", copy),
            self.request("PUT", "/bucket/copy", copy | KEY_A),
        ):
            self.assert_error("InvalidRequest", 400, answer)
            self.assertIn("stored using a form of Server Side Encryption", answer.message)
        for answer in (
            self.request("GET", "/bucket/key", KEY_B),
            self.request("GET", "/bucket/key", attributes | KEY_B, query="attributes"),
            self.request("PUT", "/bucket/copy", copy | source("b")),
        ):
            self.assert_error("AccessDenied", 403, answer)
            self.assertIn("correct secret key", answer.message)
        self.assertEqual((400, b""), self.request("HEAD", "/bucket/key")[0:3:2])
        self.assertEqual((403, b""), self.request("HEAD", "/bucket/key", KEY_B)[0:3:2])
        self.assertEqual(204, self.request("DELETE", "/bucket/key").status)

    def test_memory_gives_nothing_away(self) -> None:
        """That the object was just read with its key opens it to nobody else, nor does a key open a plain one that is
        in memory."""
        self.put("/bucket/key", b"hello", KEY_A)
        self.put("/bucket/plain", b"hello")
        for _ in range(3):
            self.assertEqual(b"hello", self.request("GET", "/bucket/key", KEY_A).body)
            self.assertEqual(b"hello", self.get("/bucket/plain"))
            for headers, status in (({}, 400), ({"x-amz-checksum-mode": "ENABLED"}, 400), (KEY_B, 403)):
                self.assertEqual(status, self.request("GET", "/bucket/key", headers).status)
                self.assertEqual(status, self.request("HEAD", "/bucket/key", headers).status)
            for method in ("GET", "HEAD"):
                self.assertEqual(400, self.request(method, "/bucket/plain", KEY_A).status)

    def test_part_that_there_is_not(self) -> None:
        """It is refused as such with and without the key; one that there is wants the key."""
        self.put("/bucket/key", b"hello", KEY_A)
        for headers in ({}, KEY_A):
            answer = self.request("GET", "/bucket/key", headers, query="partNumber=2")
            self.assertEqual("InvalidPart", answer.error)
        self.assert_error("InvalidRequest", 400, self.request("GET", "/bucket/key", query="partNumber=1"))
        self.assertEqual(b"hello", self.request("GET", "/bucket/key", KEY_A, query="partNumber=1").body)

    def test_key_for_a_plain_object(self) -> None:
        """A key for an object that has none is refused."""
        self.put("/bucket/plain", b"hello")
        self.put("/bucket/managed", b"hello", MANAGED)
        for key in ("plain", "managed"):
            self.assert_error("InvalidRequest", 400, self.request("GET", f"/bucket/{key}", KEY_A))
            self.assertEqual(400, self.request("HEAD", f"/bucket/{key}", KEY_A).status)
            copy = {"x-amz-copy-source": f"bucket/{key}"}
            self.assert_error("InvalidRequest", 400, self.request("PUT", "/bucket/copy", copy | source("a")))

    def test_other_operations(self) -> None:
        """Where a key means nothing it is refused by name."""
        self.put("/bucket/key", b"hello", KEY_A)
        for method, path in (("DELETE", "/bucket/key"), ("GET", "/bucket"), ("GET", "/bucket/key?tagging")):
            answer = self.request(method, path, KEY_A)
            self.assert_error("NotImplemented", 501, answer)
            self.assertIn(answer.text("Header"), KEY_A)
        self.assert_error("NotImplemented", 501, self.request("PUT", "/bucket/key", source("a"), b"x"))

    def test_nothing_is_kept_of_the_key(self) -> None:
        """No record, no error and no repr has the key or what could be computed from it without the salt."""
        key = hashlib.sha256(b"a").digest()
        self.put("/bucket/key", b"hello", KEY_A)
        info = self.info("key")
        assert info.encryption is not None
        known = (key, key.hex().encode(), b64encode(key), hashlib.md5(key).digest(), hashlib.sha256(key).digest())
        for secret in known:
            self.assertNotIn(secret, info.encryption.wrapped + info.encryption.verifier)
        wrong = {**KEY_A, f"{METHOD}-customer-key-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}
        answer = self.request("PUT", "/bucket/key", wrong, b"x")
        self.assert_error("InvalidArgument", 400, answer)
        self.assertNotIn(b64encode(key), answer.raw)

    def test_failed_signature(self) -> None:
        """The error for a bad signature tells what was signed, but for the key."""
        headers = signed("GET", "/bucket/key", {"Host": "s3.test", **KEY_A}, b"", ALICE)
        headers["Authorization"] = headers["Authorization"][:-4] + "0000"
        answer = self.request("GET", "/bucket/key", headers, sign=None)
        self.assert_error("SignatureDoesNotMatch", 403, answer)
        self.assertIn(f"{METHOD}-customer-key:", answer.text("CanonicalRequest") or "")
        secret = KEY_A[f"{METHOD}-customer-key"]
        self.assertNotIn(secret.encode(), answer.raw)
        self.assertNotIn(secret.encode().hex(" ").encode(), answer.raw)

    def test_default_encryption_gives_way(self) -> None:
        """In a bucket with a default the key that came wins."""
        self.request("PUT", "/bucket", body=AES256_DEFAULT, query="encryption")
        self.put("/bucket/key", b"hello", KEY_A)
        encryption = self.info("key").encryption
        assert encryption is not None
        self.assertEqual(CUSTOMER, encryption.kind)
        self.assert_opens("key", b"hello", KEY_A)


class RangeTests(EncryptedTestCase):
    """Parts of encrypted objects."""

    @given(st.data())
    @settings(max_examples=40, deadline=None)
    def test_ranges(self, data: st.DataObject) -> None:
        """Any range of an object of any size and kind is what it is of the bytes that were sent."""
        size = data.draw(st.one_of(st.integers(1, 300), st.integers(CHUNK_BYTES - 2, 3 * CHUNK_BYTES + 2)))
        headers = data.draw(st.sampled_from([MANAGED, KEY_A]))
        start = data.draw(st.integers(0, size - 1))
        last = data.draw(st.integers(start, size + 10))
        body = pattern(size, size)
        self.put("/bucket/key", body, headers)
        read = {} if headers is MANAGED else headers
        answer = self.request("GET", "/bucket/key", {"Range": f"bytes={start}-{last}", **read})
        self.assertEqual((206, body[start : last + 1]), (answer.status, answer.body))
        self.assertEqual(f"bytes {start}-{min(last, size - 1)}/{size}", answer.headers["content-range"])

    def test_reads_only_its_chunks(self) -> None:
        """A range does not touch the chunks beside it: these may even be gone."""
        body = pattern(4 * CHUNK_BYTES)
        self.put("/bucket/key", body, KEY_A)
        rows = self.rows("key")
        self.store.damaged.update((rows[0], rows[1], rows[3]))
        start = 2 * CHUNK_BYTES
        answer = self.request("GET", "/bucket/key", {"Range": f"bytes={start + 5}-{start + 99}", **KEY_A})
        self.assertEqual(body[start + 5 : start + 100], answer.body)

    def test_wide_windows(self) -> None:
        """A large body that its client takes as fast as it comes is opened in threads, and is the same."""
        body = pattern(3 * MIB + 77)
        self.put("/bucket/key", body, MANAGED)
        threads = []
        in_thread = self.gateway.storage._bodies._in_thread
        self.patch(self.gateway.storage._bodies, "_in_thread", lambda work: threads.append(work) or in_thread(work))
        self.assertEqual(body, self.get("/bucket/key"))
        self.assertGreater(len(threads), 0)

    def test_hot(self) -> None:
        """What stays in memory of an encrypted object is what is on disk: not its bytes."""
        body = pattern(2 * CHUNK_BYTES)
        self.put("/bucket/key", body, KEY_A)
        for _ in range(3):
            self.assertEqual(body, self.request("GET", "/bucket/key", KEY_A).body)
        cache = self.gateway.storage.cache
        self.assertGreater(cache.hits, 0)
        for row in self.rows("key"):
            kept = cache.get(row)
            assert kept is not None
            self.assertNotIn(body[:16], bytes(kept))


class TamperTests(EncryptedTestCase):
    """Bytes in the store that are not what was sealed: an error, never other bytes than those that were sent."""

    def setUp(self) -> None:
        """Two objects of two chunks and a bit, and two small ones."""
        super().setUp()
        self.bodies = {
            "large": pattern(2 * CHUNK_BYTES + 100, 1),
            "other": pattern(2 * CHUNK_BYTES + 100, 2),
            "small": pattern(1000, 3),
            "tiny": b"x",
        }
        for key, body in self.bodies.items():
            self.put(f"/bucket/{key}", body, MANAGED)
        for number in range(BATCHES_KEPT):  # what was written last would be read from memory
            self.make_bucket(f"later-{number}")

    def overwrite(self, row: ChunkRow | InlineRow, content: bytes) -> None:
        """Put bytes into a row behind everybody's back, with every CRC right."""
        self.gateway.storage.cache.drop(row.blob if isinstance(row, ChunkRow) else row.inline)
        if isinstance(row, ChunkRow):
            self.store._blobs[row.blob][row.number] = content
        else:
            self.store._bodies[row.inline] = content

    def content(self, row: ChunkRow | InlineRow) -> bytes:
        """The bytes of a row."""
        (found,) = self.store.read([row])
        assert not isinstance(found, Exception)
        return bytes(found)

    def assert_noticed(self, key: str) -> None:
        """A GET fails, or is cut before the first wrong byte."""
        answer = self.request("GET", f"/bucket/{key}")
        if answer.status == 200:
            self.assertLess(len(answer.body), len(self.bodies[key]))
            self.assertEqual(self.bodies[key][: len(answer.body)], answer.body)
        else:
            self.assert_error("InternalError", 500, answer)

    def test_flipped(self) -> None:
        """One bit, anywhere in a row: of the bytes, of the tag."""
        for key in self.bodies:
            for row in self.rows(key):
                content = self.content(row)
                for at in {0, len(content) // 2, len(content) - 16, len(content) - 1}:
                    self.overwrite(row, content[:at] + bytes((content[at] ^ 1,)) + content[at + 1 :])
                    self.assert_noticed(key)
                self.overwrite(row, content)
            self.assertEqual(self.bodies[key], self.get(f"/bucket/{key}"))
        self.flushLoggedErrors()

    def test_swapped(self) -> None:
        """A row in the place of another, of the same object or of one under the same master key."""
        first, second, _ = self.rows("large")
        other = self.rows("other")[0]
        small, tiny = self.rows("small")[0], self.rows("tiny")[0]
        for one, two in ((first, second), (first, other), (small, tiny)):
            contents = self.content(one), self.content(two)
            self.overwrite(one, contents[1])
            self.overwrite(two, contents[0])
            for row in (one, two):
                key = next(key for key in self.bodies if row in self.rows(key))
                self.assert_noticed(key)
            self.overwrite(one, contents[0])
            self.overwrite(two, contents[1])

    def test_shortened(self) -> None:
        """A row of which the end is missing, or the beginning, or all."""
        for key in self.bodies:
            for row in self.rows(key):
                content = self.content(row)
                for short in (content[:-1], content[1:], content[:16], content[:15], b""):
                    self.overwrite(row, short)
                    self.assert_noticed(key)
                self.overwrite(row, content)

    def test_another_record(self) -> None:
        """The wrapped key of one object does not open in the place of another's."""
        tiny = self.info("tiny")
        self.patch(self.store, "peek", lambda bucket, key: tiny)
        self.gateway.storage._known.clear()
        self.assert_error("InternalError", 500, self.request("GET", "/bucket/small"))

    def test_copies_of_it(self) -> None:
        """A copy of what does not open fails, is not there, and leaves nothing behind."""
        row = self.rows("large")[1]
        self.overwrite(row, self.content(row)[::-1])
        for headers in ({}, KEY_A):
            answer = self.request("PUT", "/bucket/copy", {"x-amz-copy-source": "bucket/large", **headers})
            self.assert_error("InternalError", 500, answer)
        upload = self.request("POST", "/bucket/copy", MANAGED, query="uploads").text("UploadId") or ""
        part = {"partNumber": "1", "uploadId": upload}
        answer = self.request("PUT", "/bucket/copy", {"x-amz-copy-source": "bucket/large"}, query=part)
        self.assert_error("InternalError", 500, answer)
        self.assertEqual(404, self.request("HEAD", "/bucket/copy").status)
        self.assertEqual(set(), self.store._loose)

    def test_counted(self) -> None:
        """It is told as damage, like a CRC that is wrong."""
        (row,) = self.rows("small")
        self.overwrite(row, bytes(1016))
        damaged: list[bool] = []
        self.patch(self.gateway.site, "_observe", lambda request: damaged.append(request.damaged))
        self.assert_noticed("small")
        self.assertEqual([True], damaged)


class MultipartTests(EncryptedTestCase):
    """Encrypted uploads in parts."""

    def test_managed(self) -> None:
        """The method is asked for once, at the beginning; parts are told of it."""
        parts = [pattern(5 * MIB + 1, 1), pattern(70_000, 2)]
        answer = self.upload("key", parts, MANAGED, {})
        self.assertEqual((200, "AES256"), (answer.status, answer.headers[METHOD]), answer.body)
        self.assert_opens("key", b"".join(parts))
        got = self.request("GET", "/bucket/key", query="partNumber=2")
        self.assertEqual(parts[1], got.body)
        got = self.request("GET", "/bucket/key", {"Range": f"bytes={5 * MIB - 3}-{5 * MIB + 9}"})
        self.assertEqual(b"".join(parts)[5 * MIB - 3 : 5 * MIB + 10], got.body)

    def test_customer(self) -> None:
        """The key comes with the beginning and each part; the end needs it only for the sake of checksums."""
        parts = [pattern(5 * MIB + 1, 1), pattern(70_000, 2)]
        answer = self.upload("key", parts, KEY_A, KEY_A)
        self.assertEqual(200, answer.status, answer.body)
        self.assertEqual("AES256", answer.headers[f"{METHOD}-customer-algorithm"])
        self.assert_opens("key", b"".join(parts), KEY_A)
        self.assertRegex(answer.text("ETag") or "", "-2")
        checksum = self.request("HEAD", "/bucket/key", {"x-amz-checksum-mode": "ENABLED", **KEY_A})
        self.assertEqual(answer.text("ChecksumCRC64NVME"), checksum.headers["x-amz-checksum-crc64nvme"])

    def test_parts_need_the_key(self) -> None:
        """A part without the key, or with another one, is refused; so is one with a key that the upload has not."""
        begun = self.request("POST", "/bucket/key", KEY_A, query="uploads")
        query = {"partNumber": "1", "uploadId": begun.text("UploadId") or ""}
        answer = self.request("PUT", "/bucket/key", {}, b"x", query)
        self.assert_error("InvalidRequest", 400, answer)
        self.assertIn("Subsequent part requests must include", answer.message)
        answer = self.request("PUT", "/bucket/key", KEY_B, b"x", query)
        self.assert_error("InvalidRequest", 400, answer)
        self.assertIn("did not match the ones used originally", answer.message)
        plain = self.request("POST", "/bucket/key", query="uploads").text("UploadId") or ""
        answer = self.request("PUT", "/bucket/key", KEY_A, b"x", {"partNumber": "1", "uploadId": plain})
        self.assert_error("InvalidRequest", 400, answer)

    def test_end_without_the_key(self) -> None:
        """An upload that asked for no checksum ends without the key, and has none; one that did wants it."""
        for asked, status in (({}, 200), ({"x-amz-checksum-algorithm": "CRC32"}, 400)):
            begun = self.request("POST", "/bucket/key", {**KEY_A, **asked}, query="uploads")
            upload = begun.text("UploadId") or ""
            part = self.request("PUT", "/bucket/key", KEY_A, b"x", {"partNumber": "1", "uploadId": upload})
            document = (
                f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
                "</CompleteMultipartUpload>"
            ).encode()
            for again in range(2 if status == 200 else 1):
                answer = self.request("POST", "/bucket/key", {}, document, {"uploadId": upload})
                self.assertEqual(status, answer.status, (again, answer.body))
            listed = self.request("GET", "/bucket/key", query={"uploadId": upload})
            self.assertEqual(404 if status == 200 else 400, listed.status)
        listed = self.request("GET", "/bucket/key", KEY_A, query={"uploadId": upload})
        self.assertEqual(part.headers["x-amz-checksum-crc32"], listed.text("ChecksumCRC32"))
        self.assert_opens("key", b"x", KEY_A)

    def test_replaced_part(self) -> None:
        """A part that is sent again is sealed anew, though it has the same number: no key stream comes twice."""
        begun = self.request("POST", "/bucket/key", MANAGED, query="uploads")
        query = {"partNumber": "1", "uploadId": begun.text("UploadId") or ""}
        stored = []
        for body in (bytes(1000), pattern(1000)):
            self.request("PUT", "/bucket/key", {}, body, query)
            (part,) = self.store.list_parts(query["uploadId"], 0, 10).parts
            (content,) = self.store.read([ChunkRow(part.extents[0].blob, 0)])
            stored.append(bytes(content))  # type: ignore[arg-type]
        mixed = bytes(a ^ b for a, b in zip(*stored, strict=True))[:1000]
        self.assertNotEqual(pattern(1000), mixed)

    def test_resent_part(self) -> None:
        """The same part sent twice under a customer key has one ETag, so whichever answer came names it."""
        begun = self.request("POST", "/bucket/key", KEY_A, query="uploads")
        query = {"partNumber": "1", "uploadId": begun.text("UploadId") or ""}
        etags = {self.request("PUT", "/bucket/key", KEY_A, b"x", query).headers["etag"] for _ in range(2)}
        self.assertEqual(1, len(etags))
        self.assertNotIn(hashlib.md5(b"x").hexdigest(), etags.pop())

    def test_copied_parts(self) -> None:
        """A part that is copied is opened with the key of its source and sealed with that of the upload."""
        body = pattern(5 * MIB + 77)
        sources = {"plain": ({}, {}), "managed": (MANAGED, {}), "customer": (KEY_A, source("a"))}
        for key, (headers, _) in sources.items():
            self.put(f"/bucket/{key}", body, headers)
        for upload_headers, part_headers in (({}, {}), (MANAGED, {}), (KEY_B, KEY_B)):
            for key, (_, source_headers) in sources.items():
                begun = self.request("POST", "/bucket/copy", upload_headers, query="uploads")
                upload = begun.text("UploadId") or ""
                copy = {"x-amz-copy-source": f"bucket/{key}", **source_headers, **part_headers}
                first = self.request("PUT", "/bucket/copy", copy, b"", {"partNumber": "1", "uploadId": upload})
                self.assertEqual(200, first.status, first.body)
                ranged = {**copy, "x-amz-copy-source-range": "bytes=10-100000"}
                second = self.request("PUT", "/bucket/copy", ranged, b"", {"partNumber": "2", "uploadId": upload})
                document = (
                    "<CompleteMultipartUpload>"
                    f"<Part><PartNumber>1</PartNumber><ETag>{first.text('ETag')}</ETag></Part>"
                    f"<Part><PartNumber>2</PartNumber><ETag>{second.text('ETag')}</ETag></Part>"
                    "</CompleteMultipartUpload>"
                ).encode()
                done = self.request("POST", "/bucket/copy", part_headers, document, {"uploadId": upload})
                self.assertEqual(200, done.status, done.body)
                self.assert_opens("copy", body + body[10:100001], part_headers)

    def test_default(self) -> None:
        """An upload in a bucket with a default is encrypted without being asked to be."""
        self.request("PUT", "/bucket", body=AES256_DEFAULT, query="encryption")
        answer = self.upload("key", [b"hello"], {}, {})
        self.assertEqual("AES256", answer.headers[METHOD])
        self.assert_opens("key", b"hello")


class CopyTests(EncryptedTestCase):
    """Copies between all kinds."""

    def test_all_kinds(self) -> None:
        """A copy has the bytes of its source and the encryption that was asked for."""
        sources = {"plain": ({}, {}), "managed": (MANAGED, {}), "customer": (KEY_A, source("a"))}
        kinds = {None: ({}, {}), MASTER: (MANAGED, {}), CUSTOMER: (KEY_B, KEY_B)}
        for size in (0, 1, 1024, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * MIB + 3):
            body = pattern(size)
            for key, (headers, source_headers) in sources.items():
                self.put(f"/bucket/{key}", body, headers)
                for kind, (wanted, read) in kinds.items():
                    copy = {"x-amz-copy-source": f"bucket/{key}", **wanted, **source_headers}
                    answer = self.request("PUT", "/bucket/copy", copy)
                    self.assertEqual(200, answer.status, (key, kind, answer.body))
                    encryption = self.info("copy").encryption
                    self.assertEqual(kind, None if encryption is None else encryption.kind)
                    got = self.assert_opens("copy", body, read)
                    self.assertEqual(answer.text("ETag"), got.headers["etag"])
                    md5 = f'"{hashlib.md5(body).hexdigest()}"'
                    self.assertEqual(kind != CUSTOMER, got.headers["etag"] == md5, (key, kind))
                    self.assertEqual(METHOD in got.headers, kind == MASTER)
                    checked = self.request("HEAD", "/bucket/copy", {"x-amz-checksum-mode": "ENABLED", **read})
                    self.assertEqual(answer.text("ChecksumCRC64NVME"), checked.headers["x-amz-checksum-crc64nvme"])

    def test_sharing(self) -> None:
        """Chunks are shared where the same key opens both, and written once more where not."""
        body = pattern(3 * CHUNK_BYTES)
        self.put("/bucket/managed", body, MANAGED)
        self.put("/bucket/customer", body, KEY_A)
        for key, headers, shared in (
            ("managed", MANAGED, True),
            ("managed", KEY_A, False),
            ("managed", {}, False),
            ("customer", {**source("a"), **KEY_A}, True),
            ("customer", {**source("a"), **KEY_B}, False),
            ("customer", {**source("a"), **MANAGED}, False),
        ):
            answer = self.request("PUT", "/bucket/copy", {"x-amz-copy-source": f"bucket/{key}", **headers})
            self.assertEqual(200, answer.status, answer.body)
            self.assertEqual(shared, self.info(key).extents == self.info("copy").extents, (key, headers))

    def test_small_bodies_are_sealed_again(self) -> None:
        """A small copy has a row of its own, sealed for that row."""
        self.put("/bucket/key", bytes(1000), MANAGED)
        self.request("PUT", "/bucket/copy", {"x-amz-copy-source": "bucket/key", **MANAGED})
        self.assertNotEqual(self.stored("key"), self.stored("copy"))
        self.assert_opens("copy", bytes(1000))

    def test_parts(self) -> None:
        """A copy of an object of parts keeps its parts, their checksums and their places."""
        parts = [pattern(5 * MIB, 1), pattern(99_999, 2)]
        checksums = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}
        self.upload("key", parts, {**KEY_A, **checksums}, KEY_A)
        before = self.request("HEAD", "/bucket/key", {"x-amz-checksum-mode": "ENABLED", **KEY_A}, query="partNumber=2")
        self.assertEqual(206, before.status, before.headers)
        for wanted, read in (({}, {}), (MANAGED, {}), (KEY_B, KEY_B)):
            copy = {"x-amz-copy-source": "bucket/key", **source("a"), **wanted}
            answer = self.request("PUT", "/bucket/copy", copy)
            self.assertEqual(200, answer.status, answer.body)
            after = self.request(
                "HEAD", "/bucket/copy", {"x-amz-checksum-mode": "ENABLED", **read}, query="partNumber=2"
            )
            self.assertEqual("2", after.headers["x-amz-mp-parts-count"])
            self.assertEqual(before.headers["x-amz-checksum-crc32"], after.headers["x-amz-checksum-crc32"])
            self.assertEqual(parts[1], self.request("GET", "/bucket/copy", read, query="partNumber=2").body)

    def test_new_checksum(self) -> None:
        """A checksum that the copy is to have and the source has not is computed from the bytes, not the store's."""
        for wanted, read in (({}, {}), (MANAGED, {}), (KEY_A, KEY_A)):
            self.put("/bucket/key", b"hello", KEY_A)
            copy = {"x-amz-copy-source": "bucket/key", "x-amz-checksum-algorithm": "CRC32", **source("a"), **wanted}
            answer = self.request("PUT", "/bucket/copy", copy)
            self.assertEqual("NhCmhg==", answer.text("ChecksumCRC32"))
            head = self.request("HEAD", "/bucket/copy", {"x-amz-checksum-mode": "ENABLED", **read})
            self.assertEqual("NhCmhg==", head.headers["x-amz-checksum-crc32"])

    def test_in_place(self) -> None:
        """Encrypting an object where it is counts as a change."""
        self.put("/bucket/key", b"hello")
        copy = {"x-amz-copy-source": "bucket/key"}
        self.assert_error("InvalidRequest", 400, self.request("PUT", "/bucket/key", copy))
        for headers, read in ((MANAGED, {}), (KEY_A, KEY_A), ({**KEY_B, **source("a")}, KEY_B)):
            answer = self.request("PUT", "/bucket/key", copy | headers)
            self.assertEqual(200, answer.status, answer.body)
            self.assert_opens("key", b"hello", read)

    def test_in_place_by_default(self) -> None:
        """So does the default of the bucket, which is how objects from before it are encrypted."""
        self.put("/bucket/key", b"hello")
        self.request("PUT", "/bucket", body=AES256_DEFAULT, query="encryption")
        answer = self.request("PUT", "/bucket/key", {"x-amz-copy-source": "bucket/key"})
        self.assertEqual((200, "AES256"), (answer.status, answer.headers.get(METHOD)))
        self.assert_opens("key", b"hello")

    def test_default_of_the_target(self) -> None:
        """The bucket that is copied to decides where the request does not."""
        self.put("/bucket/key", b"hello")
        self.make_bucket("target")
        self.request("PUT", "/target", body=AES256_DEFAULT, query="encryption")
        answer = self.request("PUT", "/target/key", {"x-amz-copy-source": "bucket/key"})
        self.assertEqual("AES256", answer.headers[METHOD])
        self.assertEqual("AES256", self.request("GET", "/target/key").headers[METHOD])


class BucketTests(EncryptedTestCase):
    """The default encryption of a bucket."""

    def test_round_trip(self) -> None:
        """It is set, read, effective, and taken back; what was written meanwhile stays encrypted."""
        client = self.client()
        with self.assertRaises(client.exceptions.ClientError) as caught:
            client.get_bucket_encryption(Bucket="bucket")
        error = caught.exception.response["Error"]["Code"]
        self.assertEqual("ServerSideEncryptionConfigurationNotFoundError", error)
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}
        client.put_bucket_encryption(Bucket="bucket", ServerSideEncryptionConfiguration={"Rules": [rule]})
        found = client.get_bucket_encryption(Bucket="bucket")["ServerSideEncryptionConfiguration"]
        self.assertEqual({"Rules": [rule]}, found)
        self.assertEqual("AES256", self.put("/bucket/key", b"hello").headers[METHOD])
        self.assertEqual(204, self.request("DELETE", "/bucket", query="encryption").status)
        self.assertEqual(204, self.request("DELETE", "/bucket", query="encryption").status)
        self.assertNotIn(METHOD, self.put("/bucket/plain", b"hello").headers)
        self.assert_opens("key", b"hello")

    def test_refused(self) -> None:
        """What asks for more than there is is refused by name, and changes nothing."""

        def configure(rule: str) -> Answer:
            document = f"<ServerSideEncryptionConfiguration>{rule}</ServerSideEncryptionConfiguration>"
            return self.request("PUT", "/bucket", body=document.encode(), query="encryption")

        def rule(algorithm: str, more: str = "", inner: str = "") -> str:
            by_default = f"<SSEAlgorithm>{algorithm}</SSEAlgorithm>{inner}"
            name = "ApplyServerSideEncryptionByDefault"
            return f"<Rule><{name}>{by_default}</{name}>{more}</Rule>"

        for method in ("aws:kms", "aws:kms:dsse"):
            answer = configure(rule(method))
            self.assert_error("NotImplemented", 501, answer)
            self.assertIn(method, answer.message)
        blocked = "<BlockedEncryptionTypes><EncryptionType>{}</EncryptionType></BlockedEncryptionTypes>"
        for document in (rule("AES256", blocked.format("SSE-C")), f"<Rule>{blocked.format('SSE-C')}</Rule>"):
            answer = configure(document)
            self.assert_error("NotImplemented", 501, answer)
            self.assertIn("BlockedEncryptionTypes", answer.message)
        wrong = rule("AES256", "<BucketKeyEnabled>x</BucketKeyEnabled>")
        for document in ("", rule("AES256") * 2, rule("AES192"), "<Rule></Rule>", wrong):
            self.assert_error("MalformedXML", 400, configure(document))
        answer = configure(rule("AES256", inner="<KMSMasterKeyID>x</KMSMasterKeyID>"))
        self.assert_error("InvalidArgument", 400, answer)
        self.assertEqual(404, self.request("GET", "/bucket", query="encryption").status)
        self.assertEqual(200, configure(rule("AES256", blocked.format("NONE"))).status)


class FormTests(FormTestCase):
    """Uploads of browsers."""

    settings = EncryptedTestCase.settings

    def test_fields(self) -> None:
        """Fields ask for encryption as headers do, where the policy lets them."""
        for headers, read in ((MANAGED, {}), (KEY_A, KEY_A)):
            conditions = [["starts-with", f"${name}", ""] for name in headers]
            answer = self.post({"key": "key", **headers, **signed_v2(ANY_KEY, *conditions)})
            self.assertEqual(204, answer.status, answer.body)
            self.assertEqual("AES256", answer.headers.get(METHOD) or answer.headers[f"{METHOD}-customer-algorithm"])
            got = self.request("GET", "/bucket/key", read)
            self.assertEqual((200, b"hello"), (got.status, got.body))

    def test_refused(self) -> None:
        """What is wrong with them is told, and nothing is stored."""
        for headers, code in (
            ({METHOD: "aws:kms"}, "NotImplemented"),
            ({f"{METHOD}-customer-algorithm": "AES256"}, "InvalidArgument"),
            ({**KEY_A, f"{METHOD}-customer-key-md5": "AAAA"}, "InvalidArgument"),
        ):
            conditions = [["starts-with", f"${name}", ""] for name in headers]
            answer = self.post({"key": "key", **headers, **signed_v2(ANY_KEY, *conditions)})
            self.assertEqual(code, answer.error)
        self.assertEqual(404, self.request("HEAD", "/bucket/key").status)

    def test_default(self) -> None:
        """A bucket with a default encrypts them unasked."""
        self.request("PUT", "/bucket", body=AES256_DEFAULT, query="encryption")
        self.assertEqual("AES256", self.post({"key": "key", **signed_v2(ANY_KEY)}).headers[METHOD])
        self.assertEqual("AES256", self.request("GET", "/bucket/key").headers[METHOD])
