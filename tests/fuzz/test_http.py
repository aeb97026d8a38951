"""A whole gateway in memory, spoken to by clients who do not mean it well.

Whatever comes, in whatever pieces: no answer is a 5xx but 501 and 503, nothing is logged as an error, each answer is
well-formed, nothing follows the last one, and what the connection holds stays small.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.credentials import Credential
from s3gw.web.limits import Limits
from tests.fuzz.mutation import fuzz, mutated, pieces
from tests.operations.harness import ALICE, HOST, Connection, GatewayTestCase, InMemoryGateway, signed

LIMITS = Limits(window=8 * 1024, header_section=4 * 1024, uri=1024, headers=40)
HELD = 300 * 1024
"""What a connection may hold while it is paused; see `s3gw.web.channel.HELD_BYTES`."""


def message(method: str, target: str, *lines: str, body: bytes = b"") -> bytes:
    """A request."""
    sized = [f"Content-Length: {len(body)}"] if body or method in ("PUT", "POST") else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {HOST}", *lines, *sized, "", ""]).encode() + body


BOUNDARY = "Content-Type: multipart/form-data; boundary=xx"
FORM = (
    b'--xx\r\nContent-Disposition: form-data; name="key"\r\n\r\nf/${filename}\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="success_action_status"\r\n\r\n201\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\nhello\r\n--xx--\r\n"
)
CHUNKED = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n"
AWS_CHUNKED = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
AWS_LINES = (
    "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "x-amz-decoded-content-length: 5",
    "x-amz-trailer: x-amz-checksum-crc32",
    "Content-Encoding: aws-chunked",
)
DELETE = b"<Delete><Object><Key>k</Key></Object><Object><Key>l</Key></Object></Delete>"
RULE = b"<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>"
CORS = b"<CORSConfiguration>%b</CORSConfiguration>" % RULE
PLACE = b"<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>"
PART = b"<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>"
COMPLETE = b"<CompleteMultipartUpload>%b</CompleteMultipartUpload>" % PART
TAGS = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"

SEEDS = [
    message("GET", "/"),
    message("GET", "/bkt?list-type=2&prefix=a&delimiter=%2F&max-keys=3&encoding-type=url"),
    message("GET", "/bkt?uploads&key-marker=a&upload-id-marker=x"),
    message("GET", "/bkt?versions"),
    message("GET", "/bkt?location"),
    message("GET", "/bkt/k", "Range: bytes=1-3,5-", 'If-None-Match: "abc", W/"d"', "x-amz-checksum-mode: ENABLED"),
    message("GET", "/bkt/k?partNumber=1&response-content-type=text%2Fplain"),
    message("GET", "/bkt/k?attributes", "x-amz-object-attributes: ETag,Checksum,ObjectParts"),
    message("HEAD", "/bkt/k", "If-Modified-Since: Mon, 21 Sep 2026 14:13:20 GMT"),
    message("PUT", "/bkt/n", "x-amz-meta-a: b", "x-amz-tagging: a=b&c=d", "Expect: 100-continue", body=b"hello" * 40),
    message("PUT", "/bkt/large", "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==", body=bytes(100_000)),
    message("PUT", "/bkt/c", "x-amz-copy-source: /bkt/k?versionId=null", "x-amz-metadata-directive: REPLACE"),
    message("PUT", "/bkt/chunked", "Transfer-Encoding: chunked")[:-2].replace(b"Content-Length: 0\r\n", b"")
    + b"\r\n"
    + CHUNKED,
    message("PUT", "/bkt/aws", *AWS_LINES, body=AWS_CHUNKED),
    message("PUT", "/bkt?cors", body=CORS),
    message("PUT", "/bkt/k?tagging", body=TAGS),
    message("PUT", "/new-bucket", body=PLACE),
    message("PUT", "/bkt/k?partNumber=1&uploadId=abc", body=b"part"),
    message("POST", "/bkt/k?uploads"),
    message("POST", "/bkt/k?uploadId=abc", body=COMPLETE),
    message("POST", "/bkt?delete", body=DELETE),
    message("POST", "/bkt", BOUNDARY, body=FORM),
    message("DELETE", "/bkt/k", "If-Match: *"),
    message("OPTIONS", "/bkt/k", "Origin: http://a", "Access-Control-Request-Method: GET"),
    message("OPTIONS", "*"),
]

WORDS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b"%",
    b"%00",
    b"%0d%0a",
    b"%2F",
    b"..",
    b"//",
    b"?",
    b"&",
    b"=",
    b";",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"http://other/bkt/k",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: -1\r\n",
    b"Connection: close\r\n",
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: x\r\n",
    b"Range: bytes=0-0\r\n",
    b"Range: bytes=-0\r\n",
    b"If-None-Match: *\r\n",
    b'If-Match: ""\r\n',
    b"x-amz-acl: private\r\n",
    b"x-amz-meta-\xff: \xfe\r\n",
    b"Authorization: AWS4-HMAC-SHA256 Credential=\r\n",
    b"Authorization: AWS a:b\r\n",
    b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0",
    b"uploads",
    b"uploadId=",
    b"versionId=",
    b"max-keys=-1",
    b"max-keys=99999999999999999999999",
    b"partNumber=0",
    b"list-type=2",
    b"continuation-token=%ff",
    b"\xc3\x28",
    b"\xf0\x9f\x92\xa9",
    b'<!DOCTYPE a [<!ENTITY b "c">]>',
    b"<a>",
    b"]]>",
    b"&#0;",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"--xx",
    b"x" * 3000,
]


class Conversation:
    """One connection to a gateway with a bucket and an object."""

    def __init__(self, gateway: InMemoryGateway) -> None:
        self.connection: Connection = gateway.connect()
        self.channel = self.connection.protocol
        self.transport = self.connection.transport
        self.gone = False

    def send(self, piece: bytes) -> None:
        """Send, as long as the server listens."""
        if self.transport.disconnected or self.transport.disconnecting:
            self.gone = True
        elif self.transport.producerState != "paused":
            self.connection.send(piece)

    @property
    def held(self) -> int:
        """Bytes that the connection holds."""
        channel = self.channel
        bodies = [request.body for request in channel._queue]
        if channel._current is not None:
            bodies.append(channel._current.body)
        return len(channel._held) + sum(body.buffered for body in bodies)

    def check(self, test: SynchronousTestCase) -> list[int]:
        """What came back is well-formed; the statuses."""
        data = self.transport.value()
        statuses = []
        while data:
            head, separator, rest = data.partition(b"\r\n\r\n")
            found = re.match(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n", head + b"\r\n")
            test.assertTrue(separator and found, head)
            assert found is not None
            status = int(found[1])
            lines = head.split(b"\r\n")[1:]
            if status == 100:
                data = rest
                continue
            statuses.append(status)
            names = [line.partition(b":")[0].lower() for line in lines]
            test.assertNotIn(b"transfer-encoding", names)
            for once in (b"content-length", b"date", b"server", b"x-amz-request-id", b"connection", b"etag"):
                test.assertLessEqual(names.count(once), 1, head)
            length = re.search(rb"(?mi)^content-length: (\d+)\r?$", head)
            size = int(length[1]) if length else 0
            if status in (204, 304) or (not rest.startswith(b"<?xml") and len(rest) < size):
                size = 0  # a HEAD
            elif rest[:8] == b"HTTP/1.1":
                size = 0
            data = rest[size:]
        return statuses


class ChannelTests(GatewayTestCase):
    """`S3Channel` and everything above it."""

    keys: Sequence[Credential] = ()
    settings = {"limits": LIMITS}

    def setUp(self) -> None:
        """Start a gateway with a bucket and an object in it."""
        super().setUp()
        self.make_bucket("bkt")
        self.put("/bkt/k", b"0123456789")

    def converse(self, data: bytes, parts: list[bytes], pace: int) -> None:
        """Send these, let time go by, and go away."""
        gateway = self.gateway
        talk = Conversation(gateway)
        for number, part in enumerate(parts):
            talk.send(part)
            self.assertLess(talk.held, HELD)
            if pace and number % pace == 0:
                gateway.clock.advance(0.2)
        for status in talk.check(self):
            self.assertTrue(status < 500 or status in (501, 503, 507), (status, data))
        for _ in range(4):
            gateway.clock.advance(40)
        talk.check(self)
        talk.connection.close()
        gateway._connections.clear()
        gateway.clock.advance(1)
        self.assertEqual(gateway.site.requests_in_flight, 0)
        self.assertEqual(gateway.site.buffered, 0)
        self.assertEqual(self.flushLoggedErrors(), [], data)

    @fuzz(250)
    @given(st.data())
    def test_mutations(self, data: st.DataObject) -> None:
        """Requests that are almost right."""
        sent = data.draw(mutated(SEEDS, WORDS))
        self.converse(sent, data.draw(pieces(sent)), data.draw(st.integers(0, 3)))

    @fuzz(40)
    @given(st.data())
    def test_pipelines(self, data: st.DataObject) -> None:
        """Several at once, the last of which may be anything."""
        sent = b"".join(data.draw(st.lists(st.sampled_from(SEEDS), max_size=6))) + data.draw(mutated(SEEDS, WORDS, 1))
        self.converse(sent, data.draw(pieces(sent)), 0)


class SignedChannelTests(ChannelTests):
    """The same, where everything has to be signed."""

    keys = (ALICE,)

    @fuzz(150)
    @given(st.data())
    def test_signed(self, data: st.DataObject) -> None:
        """A request that was signed, and then changed where the signature covers it, changes nothing."""
        lines = signed("PUT", "/bkt/k?tagging", {"Host": HOST}, TAGS, ALICE)
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        valid = f"PUT /b/k?tagging HTTP/1.1\r\n{head}Content-Length: {len(TAGS)}\r\n\r\n".encode() + TAGS
        sent = data.draw(mutated([valid], [*WORDS, b"AWS4-HMAC-SHA256 ", b"Credential=", b"SignedHeaders=host"]))
        self.converse(sent, [sent], 0)
