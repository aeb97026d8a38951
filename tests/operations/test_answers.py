"""What memory alone answers is what everybody else would have been told."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from s3gw.credentials import Credential
from s3gw.model import CHUNK_BYTES
from s3gw.operations import objects
from s3gw.operations.answers import answer_hot
from s3gw.operations.call import Call, Known, Response
from s3gw.store.interface import UNKNOWN
from tests.operations.harness import ALICE, BOB, Connection, GatewayTestCase, MasterKeysInMemory
from tests.web.test_storage import Threads

CHUNKED = 3 * CHUNK_BYTES - 100
KEYS = ("small", "chunked", "parts", "empty", "sealed", "tagged", "bobs", "none", "%3Ca%26%01%C3%A4%E2%80%A8%22%3E")
BUCKETS = ("plain", "open", "versioned", "expiring", "nowhere")
ENABLED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
EXPIRING = {"Rules": [{"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 3}}]}

thorough = settings(max_examples=300, deadline=None)


def _spans() -> st.SearchStrategy[str]:
    edges = [0, 1, 15, 2047, 2048, *(CHUNK_BYTES * n + by for n in (1, 2) for by in (-1, 0, 1)), CHUNKED - 1, CHUNKED]
    edge = st.sampled_from([*map(str, edges), "", "007", "9" * 30])
    return st.builds("bytes={}-{}".format, edge, edge) | st.sampled_from(["bytes=0-9,20-29", "lines=1-2", "bytes=-0"])


@st.composite
def _headers(draw: st.DrawFn) -> dict[str, str]:
    """Mostly such as leave a request an ordinary one."""
    headers = {"Range": draw(_spans())} if draw(st.booleans()) else {}
    others = {
        "x-amz-checksum-mode": ["ENABLED", "ENABLED", "enabled", "what"],
        "User-Agent": ["tests"],
        "Origin": ["https://example.com"],
        "If-None-Match": ["*", '"other"'],
        "If-Match": ["*", '"other"'],
        "x-amz-expected-bucket-owner": [ALICE.owner.id, "somebody"],
    }
    for name in draw(st.lists(st.sampled_from(list(others)), unique=True, max_size=2)):
        headers[name] = draw(st.sampled_from(others[name]))
    return headers


class HotTests(GatewayTestCase):
    """The short way and the long one, asked for the same."""

    settings = {"master_keys": MasterKeysInMemory()}

    def setUp(self) -> None:
        """Objects of every make in buckets of every kind, all read once."""
        super().setUp()
        for bucket in BUCKETS[:-1]:
            self.make_bucket(bucket)
            self.fill(bucket)
        self.expect(200, "PUT", "/versioned", query="versioning", body=ENABLED)
        self.client().put_bucket_lifecycle_configuration(Bucket="expiring", LifecycleConfiguration=EXPIRING)
        self.expect(200, "PUT", "/open", headers={"x-amz-acl": "public-read-write"}, query="acl")
        self.request("PUT", "/open/bobs", body=b"bob's", sign=BOB)
        self.request("DELETE", "/versioned/tagged")
        for bucket in BUCKETS:
            for key in KEYS:
                self.request("GET", f"/{bucket}/{key}")
        self.known = self.gateway.storage.known
        self.hot = 0
        self.patch(objects, "answer_hot", self.counted)

    def expect(self, status: int, method: str, path: str, **request: object) -> None:
        """Do something that has to be done."""
        self.assertEqual(status, self.request(method, path, **request).status)  # type: ignore[arg-type]

    def fill(self, bucket: str) -> None:
        """Some objects: in one row, in chunks, in parts, in none, sealed, and with all that answers tell of."""
        self.expect(200, "PUT", f"/{bucket}/small", body=bytes(range(256)) * 8)
        self.expect(
            200, "PUT", f"/{bucket}/chunked", body=bytes(range(255)) * (CHUNKED // 255) + b"x" * (CHUNKED % 255)
        )
        self.expect(200, "PUT", f"/{bucket}/empty")
        sealed = {"x-amz-server-side-encryption": "AES256"}
        self.expect(200, "PUT", f"/{bucket}/sealed", headers=sealed, body=b"secret" * 9)
        told = {"x-amz-meta-a": "b", "Cache-Control": "no-store", "x-amz-tagging": "a=b", "Content-Type": "a/b"}
        self.expect(200, "PUT", f"/{bucket}/tagged", headers=told, body=b"told of")
        if bucket == "plain":
            self.upload_parts(bucket, b"1" * (5 * 1024 * 1024 + 7), b"2" * 9)

    def upload_parts(self, bucket: str, *bodies: bytes) -> None:
        """An object in parts."""
        client, whole = self.client(), []
        upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
        for number, body in enumerate(bodies, 1):
            part = client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=body)
            whole.append({"PartNumber": number, "ETag": part["ETag"]})
        parts = {"Parts": whole}
        client.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)

    def forget_bodies(self) -> None:
        """Have none in memory."""
        cache = self.gateway.storage.cache
        for inline_or_blob in tuple(cache._chunks):
            cache.drop(inline_or_blob)

    def counted(self, call: Call, known: Known) -> Response | None:
        """`answer_hot`, which is to be asked."""
        answer = answer_hot(call, known)
        self.hot += answer is not None
        return answer

    def answer(
        self, method: str, target: str, headers: dict[str, str], query: str, sign: Credential | None
    ) -> tuple[int, bytes]:
        """All that goes over the wire, but for the request id."""
        answer = self.request(method, target, headers, query=query, sign=sign)
        return answer.status, answer.raw.replace(answer.headers["x-amz-request-id"].encode(), b"")

    @thorough
    @given(
        st.sampled_from(["GET", "GET", "HEAD"]),
        st.sampled_from(BUCKETS),
        st.sampled_from(KEYS),
        _headers(),
        st.sampled_from(["", "", "", "partNumber=1", "partNumber=2", "response-content-type=a/b", "versionId=null"]),
        st.sampled_from([ALICE, ALICE, ALICE, BOB, None]),
    )
    def test_same(
        self, method: str, bucket: str, key: str, headers: dict[str, str], query: str, sign: Credential | None
    ) -> None:
        """Whatever is asked for, by whom, of what: byte for byte, the first time and when it is remembered."""
        target = f"/{bucket}/{key}"
        storage = self.gateway.storage
        self.patch(storage, "known", lambda bucket, key: UNKNOWN)
        expected = self.answer(method, target, headers, query, sign)
        self.patch(storage, "known", self.known)
        storage._known.clear()
        self.forget_bodies()
        for _ in range(3):
            self.assertEqual(expected, self.answer(method, target, headers, query, sign))

    def test_taken(self) -> None:
        """It is taken for all of a small object, and for what is in one chunk of a large one."""
        border = CHUNK_BYTES
        for key, span, taken in (
            ("small", "", True),
            ("small", "bytes=5-9", True),
            ("chunked", f"bytes=0-{border - 1}", True),
            ("chunked", f"bytes={2 * border}-", True),
            ("chunked", f"bytes={border - 1}-{border}", False),
            ("chunked", "", False),
            ("parts", "bytes=-9", True),
            ("parts", "bytes=70000-70015", True),
            ("empty", "", False),
            ("sealed", "", False),
        ):
            for _ in range(2):
                before = self.hot
                self.request("GET", f"/plain/{key}", {"Range": span} if span else {})
            self.assertEqual(taken, self.hot > before, (key, span))

    def test_row_alone(self) -> None:
        """What is in one row is read without holding anything, wherever that row is."""
        self.patch(objects, "open_object", None)
        for key, span, status in (("small", "", 200), ("chunked", "bytes=1-9", 206), ("parts", "bytes=-9", 206)):
            self.forget_bodies()
            before = self.hot
            answer = self.request("GET", f"/plain/{key}", {"Range": span} if span else {})
            self.assertEqual((status, before), (answer.status, self.hot))


class ReconfiguredTests(GatewayTestCase):
    """A bucket gets another configuration while its objects are asked for."""

    keys = ()

    def test_meanwhile(self) -> None:
        """What an answer says that was begun before is not what later ones say."""
        self.make_bucket("bucket")
        self.request("PUT", "/bucket/key", body=b"x")
        threads, storage = Threads(), self.gateway.storage
        self.patch(storage._commits, "_hand_over", threads.hand_over)
        Connection(self.gateway.site).send(
            b"PUT /bucket?versioning HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (len(ENABLED), ENABLED)
        )
        self.assertTrue(threads.given)
        storage._buckets.clear()  # as when there are too many of them
        meanwhile = Connection(self.gateway.site)
        meanwhile.send(b"HEAD /bucket/key HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual([], meanwhile.answers(["HEAD"]))
        threads.settle()
        self.gateway.clock.advance(0)
        self.assertEqual(200, meanwhile.answers(["HEAD"])[0].status)
        for _ in range(2):
            self.assertEqual("null", self.request("HEAD", "/bucket/key").headers.get("x-amz-version-id"))
