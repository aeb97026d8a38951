"""Bodies: each framing yields the object's bytes however it is cut, and nothing that is not what was sent."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from io import BytesIO
from itertools import pairwise
from zlib import crc32

from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import (
    IncompleteBody,
    InvalidArgument,
    InvalidChunkSizeError,
    MalformedTrailerError,
    MissingContentLength,
    NotImplemented,
    S3Error,
    SignatureDoesNotMatch,
    XAmzContentSHA256Mismatch,
)
from s3gw.s3.head import RequestHead
from s3gw.s3.payload import ChunkedDecoder, PayloadDecoder, decoder_for
from s3gw.s3.sigv4 import SigningKeys, Verified

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY = SigningKeys()[SECRET, "20130524", "us-east-1"]
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY = sha256().hexdigest()
DATA = b"a" * 66560
TRAILER = {"x-amz-checksum-crc32c": "sOO8/Q=="}

DOCUMENTED = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
    + DATA[:65536]
    + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
    + DATA[65536:]
    + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
)
DOCUMENTED_TRAILER = (
    b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n"
    + DATA[:65536]
    + b"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n"
    + DATA[65536:]
    + b"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
    + b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    + b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
)
SEEDS = {
    STREAMING: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    STREAMING_TRAILER: "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
}

quick = settings(max_examples=100, deadline=None, derandomize=True)


def verified(payload: str) -> Verified:
    return Verified(
        "AKIAIOSFODNN7EXAMPLE",
        KEY,
        "20130524/us-east-1/s3/aws4_request",
        "20130524T000000Z",
        SEEDS.get(payload, "0" * 64),
        payload,
    )


def decoder(payload: str, *, known: bool = True, **headers: str) -> PayloadDecoder:
    """The decoder for a request with these headers, signed by somebody ``known`` or by nobody."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    head = RequestHead("PUT", "/b/k", {"x-amz-content-sha256": payload, **sent})
    return decoder_for(head, verified(payload) if known else None)


def chunked(payload: str, length: int, trailers: Iterable[str] = (), *, known: bool = True) -> PayloadDecoder:
    headers = {"x_amz_trailer": ",".join(trailers)} if trailers else {}
    return decoder(payload, known=known, x_amz_decoded_content_length=str(length), **headers)


def encode(payload: str, chunks: list[bytes], trailers: dict[str, str] | None = None) -> bytes:
    """``chunks`` in the framing of ``payload``, signed as a client does."""
    wire, previous = [], SEEDS.get(payload, "")

    def sign(kind: str, hashes: str) -> str:
        text = f"AWS4-HMAC-SHA256-{kind}\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n{previous}\n{hashes}"
        return KEY.sign(text.encode())

    for chunk in [*chunks, b""]:
        extension = ""
        if payload != UNSIGNED_TRAILER:
            previous = sign("PAYLOAD", f"{EMPTY}\n{sha256(chunk).hexdigest()}")
            extension = f";chunk-signature={previous}"
        wire.append(f"{len(chunk):x}{extension}\r\n".encode())
        if chunk:
            wire.append(chunk + b"\r\n")
    for name, value in (trailers or {}).items():
        wire.append(f"{name}:{value}\r\n".encode())
    if trailers and payload == STREAMING_TRAILER:
        lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        wire.append(f"x-amz-trailer-signature:{sign('TRAILER', sha256(lines.encode()).hexdigest())}\r\n".encode())
    return b"".join(wire) + b"\r\n"


def decode(body: bytes, into: PayloadDecoder, cuts: Iterable[int] = ()) -> bytes:
    """Feed ``body`` in the pieces that ``cuts`` make of it, then the end."""
    edges = [0, *sorted(cuts), len(body)]
    pieces = [piece for start, stop in pairwise(edges) for piece in into.feed(body[start:stop])]
    into.finish()
    assert all(pieces)
    return b"".join(pieces)


class IdentityTests(SynchronousTestCase):
    """Bodies without framing."""

    def test_same_object(self) -> None:
        """The bytes that arrive are handed on as they are, uncopied."""
        for payload in ("UNSIGNED-PAYLOAD", sha256(DATA).hexdigest()):
            body = decoder(payload, content_length=str(len(DATA)))
            self.assertEqual(body.decoded_length, len(DATA))
            self.assertIs(body.feed(DATA)[0], DATA)
            self.assertEqual(body.feed(b""), [])
            body.finish()
            self.assertEqual(body.trailers, {})

    def test_anonymous(self) -> None:
        """A request that nobody signed and that says nothing of its body has one without framing."""
        body = decoder_for(RequestHead("PUT", "/b/k", {}), None)
        self.assertIsNone(body.decoded_length)
        self.assertEqual(decode(b"hello", body, (2,)), b"hello")

    def test_short(self) -> None:
        """A body that is shorter than its Content-Length is refused."""
        body = decoder("UNSIGNED-PAYLOAD", content_length="5")
        body.feed(b"hell")
        self.assertRaises(IncompleteBody, body.finish)

    def test_content_encoding_decides_nothing(self) -> None:
        """A body whose Content-Encoding says aws-chunked, and whose x-amz-content-sha256 does not, has no framing."""
        body = decoder("UNSIGNED-PAYLOAD", content_encoding="aws-chunked", x_amz_decoded_content_length="1")
        self.assertEqual(decode(b"5\r\nhello\r\n0\r\n\r\n", body), b"5\r\nhello\r\n0\r\n\r\n")

    def test_hash(self) -> None:
        """A body whose SHA-256 is not the one that was signed is refused, with both, signed or not."""
        declared = sha256(b"hello").hexdigest()
        for known in (True, False):
            self.assertEqual(decode(b"hello", decoder(declared, known=known), (1, 3)), b"hello")
            error = self.assertRaises(XAmzContentSHA256Mismatch, decode, b"hellp", decoder(declared, known=known))
            self.assertEqual(
                error.fields,
                {
                    "ClientComputedContentSHA256": declared,
                    "S3ComputedContentSHA256": sha256(b"hellp").hexdigest(),
                },
            )

    def test_unknown(self) -> None:
        """Another x-amz-content-sha256 is refused: ECDSA as not implemented, anything else as wrong."""
        self.assertRaises(InvalidArgument, decoder, "SIGNED", known=False)
        ecdsa = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"
        self.assertRaises(NotImplemented, decoder, ecdsa, known=False)


class DocumentationTests(SynchronousTestCase):
    """The worked examples of AWS's documentation."""

    def test_signed(self) -> None:
        """The chunked upload of 65 KB, whole, in odd pieces, and byte by byte."""
        for cuts in ((), range(0, len(DOCUMENTED), 777), range(len(DOCUMENTED))):
            self.assertEqual(decode(DOCUMENTED, chunked(STREAMING, 66560), cuts), DATA)
        self.assertEqual(encode(STREAMING, [DATA[:65536], DATA[65536:]]), DOCUMENTED)

    def test_trailer(self) -> None:
        """The same with a trailing checksum, which is signed too."""
        for cuts in ((), range(0, len(DOCUMENTED_TRAILER), 777), range(len(DOCUMENTED_TRAILER))):
            body = chunked(STREAMING_TRAILER, 66560, TRAILER)
            self.assertEqual(decode(DOCUMENTED_TRAILER, body, cuts), DATA)
            self.assertEqual(body.trailers, TRAILER)
        self.assertEqual(encode(STREAMING_TRAILER, [DATA[:65536], DATA[65536:]], TRAILER), DOCUMENTED_TRAILER)

    def test_large_pieces(self) -> None:
        """Data comes out in pieces as large as it arrived: uncopied where all of what arrived is data."""
        body = chunked(STREAMING, 66560)
        self.assertEqual(body.decoded_length, 66560)
        header = DOCUMENTED.index(b"\n") + 1
        self.assertEqual(body.feed(DOCUMENTED[:header]), [])
        middle = DOCUMENTED[header : header + 30000]
        self.assertIs(body.feed(middle)[0], middle)
        self.assertEqual([len(piece) for piece in body.feed(DOCUMENTED[header + 30000 :])], [35536, 1024])

    def test_nobody_signed(self) -> None:
        """Without a key the framing is still taken off, and chunk signatures must look like such."""
        body = chunked(STREAMING_TRAILER, 66560, TRAILER, known=False)
        self.assertEqual(decode(DOCUMENTED_TRAILER.replace(b"b474", b"0000"), body), DATA)
        self.assertEqual(body.trailers, TRAILER)
        for wrong in (DOCUMENTED.replace(b"ad80", b"AD80"), DOCUMENTED.replace(b";chunk-signature=ad80", b";a=ad80")):
            self.assertRaises(IncompleteBody, decode, wrong, chunked(STREAMING, 66560, known=False))


class FramingTests(SynchronousTestCase):
    """aws-chunked bodies, right and wrong."""

    def test_botocore(self) -> None:
        """What botocore sends of a stream is decoded."""
        for data in (b"", b"hello", DATA, bytes(3 * 1024 * 1024 + 1)):
            stream = AwsChunkedWrapper(BytesIO(data), Crc32Checksum, "x-amz-checksum-crc32")
            body = chunked(UNSIGNED_TRAILER, len(data), ["x-amz-checksum-crc32"])
            self.assertEqual(decode(stream.read(), body), data)
            self.assertEqual(
                body.trailers, {"x-amz-checksum-crc32": b64encode(crc32(data).to_bytes(4, "big")).decode()}
            )

    @quick
    @given(
        st.sampled_from((STREAMING, STREAMING_TRAILER, UNSIGNED_TRAILER)),
        st.lists(st.binary(min_size=1, max_size=50), max_size=4),
        st.dictionaries(
            st.sampled_from(("x-amz-checksum-sha1", "x-amz-meta-x")), st.sampled_from(("a", "b=")), max_size=2
        ),
        st.lists(st.integers(0, 40000), max_size=30),
    )
    def test_any_cut(self, payload: str, seeds: list[bytes], trailers: dict[str, str], cuts: list[int]) -> None:
        """What a client encodes is decoded, wherever the network cuts it."""
        chunks = [seed * -(-8192 // len(seed)) for seed in seeds[:-1]] + seeds[-1:]
        sent = {} if payload == STREAMING else trailers
        wire, data = encode(payload, chunks, sent), b"".join(chunks)
        body = chunked(payload, len(data), sent)
        self.assertEqual(decode(wire, body, (cut for cut in cuts if cut < len(wire))), data)
        self.assertEqual(body.trailers, sent)

    @quick
    @given(st.sampled_from((STREAMING, STREAMING_TRAILER)), st.integers(0), st.integers(1, 255))
    @example(STREAMING_TRAILER, -3, ord("\r") ^ ord("\n"))
    def test_tampering(self, payload: str, position: int, flip: int) -> None:
        """No byte of a signed body can be changed, unless to another spelling of the same."""
        trailers = TRAILER if payload == STREAMING_TRAILER else {}
        wire = bytearray(encode(payload, [b"0123456789abcdef" * 512, b"end"], trailers))
        wire[position % len(wire)] ^= flip
        body = chunked(payload, 8195, trailers)
        try:
            data = decode(bytes(wire), body)
        except S3Error:
            return
        self.assertEqual((data, body.trailers), (b"0123456789abcdef" * 512 + b"end", trailers))

    def test_every_byte_of_framing(self) -> None:
        """Nor one byte of what is around the data, each flipped in three ways."""
        wire = encode(STREAMING_TRAILER, [b"hello"], TRAILER)
        for position in range(len(wire)):
            for flip in (0x01, 0x07, 0x80):
                tampered = bytearray(wire)
                tampered[position] ^= flip
                self.assertRaises(S3Error, decode, bytes(tampered), chunked(STREAMING_TRAILER, 5, TRAILER))

    def test_truncated(self) -> None:
        """No part of a body passes for the whole of it, and nothing may follow it."""
        for payload, trailers in ((STREAMING, {}), (STREAMING_TRAILER, TRAILER), (UNSIGNED_TRAILER, TRAILER)):
            wire = encode(payload, [b"hello"], trailers)
            self.assertEqual(decode(wire, chunked(payload, 5, trailers)), b"hello")
            for stop in range(len(wire)):
                self.assertRaises(S3Error, decode, wire[:stop], chunked(payload, 5, trailers))
            for more in (b"x", b"\n", b"\r", b"0\r\n", wire):
                self.assertRaises(S3Error, decode, wire + more, chunked(payload, 5, trailers))

    def test_swapped_chunks(self) -> None:
        """Chunks that are signed well but stand in another order are refused."""
        first, second = b"a" * 8192, b"b" * 8192
        wire = encode(STREAMING, [first, second])
        size = wire.index(second) - wire.index(first)
        swapped = wire[size : 2 * size] + wire[:size] + wire[2 * size :]
        error = self.assertRaises(SignatureDoesNotMatch, decode, swapped, chunked(STREAMING, 16384))
        self.assertEqual(error.fields["AWSAccessKeyId"], "AKIAIOSFODNN7EXAMPLE")
        self.assertIn("AWS4-HMAC-SHA256-PAYLOAD\n20130524T000000Z\n", error.fields["StringToSign"])

    def test_stays_wrong(self) -> None:
        """A decoder that has refused a body does not take the rest of it for another."""
        body = chunked(UNSIGNED_TRAILER, 5)
        error = self.assertRaises(IncompleteBody, body.feed, b"nonsense\r\n")
        self.assertIs(self.assertRaises(IncompleteBody, body.feed, b"5\r\nhello\r\n0\r\n\r\n"), error)
        self.assertIs(self.assertRaises(IncompleteBody, body.finish), error)

    def test_malformed(self) -> None:
        """Framing that is not what it should be is refused, in AWS's words."""
        for wire in (
            b"",
            b"A\ndummy data\r\n0\r\n\r\n",
            b"A\r\ndummy data0\r\n\r\n",
            b"A\r\nXYZ\r\ndummy data\r\n0\r\n\r\n",
            b"A\r\ndummy data\r\n0\r\n",
            b"A\r\ndummy data\r\n0\r\n\n",
            b"A\r\ndummy data\r\n0\r\nno trailer\r\n\r\n",
            b"A\r\n",
            b"A\r\nA\r\ndummy data\r\n0\r\n\r\n",
            b"A;x=y\r\ndummy data\r\n0\r\n\r\n",
            b"0xA\r\ndummy data\r\n0\r\n\r\n",
            b"+A\r\ndummy data\r\n0\r\n\r\n",
            b" A\r\ndummy data\r\n0\r\n\r\n",
            b"1_0\r\ndummy data\r\n0\r\n\r\n",
            b"-A\r\ndummy data\r\n0\r\n\r\n",
            b"\r\ndummy data\r\n0\r\n\r\n",
        ):
            error = self.assertRaises(IncompleteBody, decode, wire, chunked(UNSIGNED_TRAILER, 10))
            self.assertEqual(error.message, "The request body terminated unexpectedly", wire)

    def test_length(self) -> None:
        """The data must be as long as x-amz-decoded-content-length, which must be there."""
        wire = encode(UNSIGNED_TRAILER, [b"dummy data"])
        for length in (0, 9, 11, 10**18 - 1):
            self.assertRaises(IncompleteBody, decode, wire, chunked(UNSIGNED_TRAILER, length))
        for wrong in ({}, *({"x_amz_decoded_content_length": text} for text in ("", "abc", "12x", "-1", "1" * 19))):
            self.assertRaises(MissingContentLength, decoder, UNSIGNED_TRAILER, **wrong)

    def test_too_long_is_refused_at_once(self) -> None:
        """A chunk that would exceed the declared length is refused at its header, before its data comes."""
        self.assertRaises(IncompleteBody, chunked(UNSIGNED_TRAILER, 10).feed, b"FFFFFFFFFFFFFFFF\r\n")

    def test_bounded(self) -> None:
        """A line that does not end is refused before it fills the memory; so are trailers without end."""
        self.assertRaises(IncompleteBody, decode, b"0" * 300, chunked(UNSIGNED_TRAILER, 10), range(300))
        self.assertRaises(IncompleteBody, chunked(UNSIGNED_TRAILER, 10).feed, b"0" * 100_000)
        endless = b"0\r\n" + b"\r\n" * 5000
        self.assertRaises(MalformedTrailerError, chunked(UNSIGNED_TRAILER, 0).feed, endless)

    def test_small_chunks(self) -> None:
        """Only the last chunk may have less than 8 KiB."""
        for sizes, wrong in (
            ((100,), None),
            ((8192, 8192, 100), None),
            ((8192, 1, 8192), ("3", "1")),
            ((3, 2), ("2", "3")),
            ((8191, 8192), ("2", "8191")),
        ):
            for payload in (STREAMING, UNSIGNED_TRAILER):
                wire = encode(payload, [b"x" * size for size in sizes])
                if wrong is None:
                    self.assertEqual(len(decode(wire, chunked(payload, sum(sizes)))), sum(sizes))
                else:
                    error = self.assertRaises(InvalidChunkSizeError, decode, wire, chunked(payload, sum(sizes)))
                    self.assertEqual((error.fields["Chunk"], error.fields["BadChunkSize"]), wrong)


class TrailerTests(SynchronousTestCase):
    """Trailers are those that the request announced, no more and no fewer."""

    def test_as_clients_write_them(self) -> None:
        """Trailers that end in a bare LF, or follow an empty line, as some clients write them, are understood."""
        crc = b"x-amz-checksum-crc32c:sOO8/Q=="
        unsigned = b"5\r\nhello\r\n0\r\n%s\r\n\r\n" % crc
        signed = encode(STREAMING_TRAILER, [b"hello"], TRAILER)
        for payload, wire in (
            (UNSIGNED_TRAILER, unsigned),
            (UNSIGNED_TRAILER, unsigned.replace(crc + b"\r\n", crc + b"\n\r\n")),
            (UNSIGNED_TRAILER, unsigned.replace(crc, crc.replace(b":", b": ").replace(b"x-amz", b"X-Amz"))),
            (STREAMING_TRAILER, signed.replace(crc + b"\r\n", crc + b"\n\r\n")),
            (STREAMING_TRAILER, signed.replace(crc, b"\r\n" + crc)),
        ):
            body = chunked(payload, 5, TRAILER)
            self.assertEqual(decode(wire, body), b"hello")
            self.assertEqual(body.trailers, TRAILER)

    def test_none(self) -> None:
        """No trailer is needed where none was announced."""
        for payload in (STREAMING_TRAILER, UNSIGNED_TRAILER):
            self.assertEqual(decode(encode(payload, [b"hello"]), chunked(payload, 5)), b"hello")

    def test_not_announced(self) -> None:
        """A trailer that is missing, was not announced or comes twice is refused."""
        for payload in (STREAMING_TRAILER, UNSIGNED_TRAILER):
            for announced, sent in (
                (["x-amz-checksum-crc32c"], {}),
                ([], TRAILER),
                (["x-amz-checksum-sha1"], TRAILER),
                (["x-amz-checksum-crc32c", "x-amz-checksum-sha1"], TRAILER),
                (["x-amz-checksum-crc32c"], {**TRAILER, "X-Amz-Checksum-Crc32c": "AAAAAA=="}),
            ):
                wire = encode(payload, [b"hello"], sent)
                self.assertRaises(MalformedTrailerError, decode, wire, chunked(payload, 5, announced))

    def test_signature(self) -> None:
        """Signed trailers need their signature, of theirs and no other; unsigned ones have none."""
        wire = encode(STREAMING_TRAILER, [b"hello"], TRAILER)
        line = re.search(rb"x-amz-trailer-signature:.*\r\n", wire)
        assert line is not None
        for replacement, error in (
            (b"", IncompleteBody),
            (b"x-amz-trailer-signature:1\r\n", IncompleteBody),
            (b"x-amz-trailer-signature:" + b"0" * 64 + b"\r\n", SignatureDoesNotMatch),
            (line[0] * 2, MalformedTrailerError),
        ):
            tampered = wire.replace(line[0], replacement)
            self.assertRaises(error, decode, tampered, chunked(STREAMING_TRAILER, 5, TRAILER))
        other = wire.replace(b"sOO8/Q==", b"AAAAAA==")
        self.assertRaises(SignatureDoesNotMatch, decode, other, chunked(STREAMING_TRAILER, 5, TRAILER))
        unsigned = encode(UNSIGNED_TRAILER, [b"hello"], {**TRAILER, "x-amz-trailer-signature": "0" * 64})
        self.assertRaises(MalformedTrailerError, decode, unsigned, chunked(UNSIGNED_TRAILER, 5, TRAILER))

    def test_form_without_trailers(self) -> None:
        """The form of the payload that has no trailers takes none, whatever was announced."""
        wire = encode(STREAMING, [b"hello"], TRAILER)
        self.assertRaises(IncompleteBody, decode, wire, chunked(STREAMING, 5, TRAILER))
        self.assertIsInstance(chunked(STREAMING, 5), ChunkedDecoder)
