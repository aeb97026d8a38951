"""Checksums: what clients declare is verified, in every algorithm, and what multipart objects have is computed."""

from __future__ import annotations

import base64
import hashlib
import itertools
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import BadDigest, InvalidDigest, InvalidRequest, MalformedTrailerError, NotImplemented
from s3gw.model import Checksum
from s3gw.s3.checksums import (
    ALGORITHMS,
    DEFAULT_ALGORITHM,
    Digests,
    combine,
    composite,
    declared,
    decode,
    upload_checksum,
)
from s3gw.s3.head import RequestHead

CHECK = b"123456789"
"""The message whose CRCs every catalogue of CRCs gives as ``check``."""

DIGESTS = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": hashlib.sha1(CHECK).hexdigest(),
    "SHA256": hashlib.sha256(CHECK).hexdigest(),
    "MD5": hashlib.md5(CHECK).hexdigest(),
}
BASE64 = {name: base64.b64encode(bytes.fromhex(digest)).decode() for name, digest in DIGESTS.items()}

quick = settings(max_examples=100, deadline=None, derandomize=True)
several_parts = st.lists(st.binary(max_size=30), min_size=1, max_size=5)


def head(**headers: str) -> RequestHead:
    return RequestHead("PUT", "/b/k", {name.replace("_", "-"): value for name, value in headers.items()})


def digests(*names: str, data: bytes = CHECK) -> Digests:
    running = Digests(names)
    running.update(data)
    return running


def sum_of(name: str, data: bytes) -> str:
    return digests(name, data=data).base64(name)


class DigestTests(SynchronousTestCase):
    """The digests of a body."""

    def test_known(self) -> None:
        """Every algorithm gives its published value, however the body comes."""
        for cuts in ((0, 9), (0, 1, 9), (0, 4, 4, 8, 9)):
            running = Digests(DIGESTS)
            for start, stop in itertools.pairwise(cuts):
                running.update(CHECK[start:stop])
            self.assertEqual({name: running.hex(name) for name in DIGESTS}, DIGESTS)
            self.assertEqual({name: running.base64(name) for name in DIGESTS}, BASE64)
            self.assertEqual(running.digest("CRC32"), zlib.crc32(CHECK).to_bytes(4, "big"))

    def test_only_what_was_asked_for(self) -> None:
        """Other algorithms are not computed."""
        self.assertRaises(KeyError, digests("MD5").digest, "CRC32")
        self.assertRaises(KeyError, Digests, ["CRC16"])

    def test_empty(self) -> None:
        """An empty body has digests too."""
        empty = Digests(DIGESTS)
        self.assertEqual(empty.base64("CRC32"), "AAAAAA==")
        self.assertEqual(empty.base64("CRC64NVME"), "AAAAAAAAAAA=")
        self.assertEqual(empty.hex("MD5"), "d41d8cd98f00b204e9800998ecf8427e")


class DeclaredTests(SynchronousTestCase):
    """What a PUT declares of its body."""

    def test_nothing(self) -> None:
        """Without a declaration nothing is verified, and what is stored is the caller's choice."""
        nothing = declared(head())
        self.assertEqual(nothing.names, ("MD5",))
        self.assertIsNone(nothing.verify(digests("MD5"), {}))
        default = declared(head(), DEFAULT_ALGORITHM)
        self.assertEqual(default.names, ("MD5", "CRC64NVME"))
        stored = default.verify(digests(*default.names), {})
        self.assertEqual(stored, Checksum("CRC64NVME", BASE64["CRC64NVME"], "FULL_OBJECT"))

    def test_header(self) -> None:
        """A checksum in a header is verified and stored, in place of the default."""
        for name in ALGORITHMS:
            checks = declared(head(**{f"x-amz-checksum-{name.lower()}": BASE64[name]}), DEFAULT_ALGORITHM)
            self.assertEqual(checks.names, ("MD5", name))
            self.assertEqual(checks.verify(digests(*checks.names), {}), Checksum(name, BASE64[name]))
            error = self.assertRaises(BadDigest, checks.verify, digests(*checks.names, data=b"other"), {})
            self.assertEqual(error.message, f"The {name} you specified did not match the calculated checksum.")

    def test_trailer(self) -> None:
        """So is one in a trailer, which must come and be a checksum."""
        for name in ALGORITHMS:
            trailer = f"x-amz-checksum-{name.lower()}"
            checks = declared(head(x_amz_trailer=trailer, x_amz_sdk_checksum_algorithm=name))
            came = digests(*checks.names)
            self.assertEqual(checks.verify(came, {trailer: BASE64[name]}), Checksum(name, BASE64[name]))
            self.assertRaises(BadDigest, checks.verify, digests(*checks.names, data=b""), {trailer: BASE64[name]})
            self.assertRaises(MalformedTrailerError, checks.verify, came, {})
            for wrong in ("", "invalid", "AAA=", BASE64[name][:-1]):
                error = self.assertRaises(InvalidRequest, checks.verify, came, {trailer: wrong})
                self.assertEqual(error.message, f"Value for {trailer} trailing header is invalid.")

    def test_content_md5(self) -> None:
        """Content-MD5 is verified beside any checksum."""
        checks = declared(head(content_md5=BASE64["MD5"], x_amz_checksum_crc32=BASE64["CRC32"]))
        self.assertEqual(checks.verify(digests(*checks.names), {}), Checksum("CRC32", BASE64["CRC32"]))
        error = self.assertRaises(BadDigest, declared(head(content_md5=BASE64["MD5"])).verify, Digests(["MD5"]), {})
        self.assertEqual(error.message, "The Content-MD5 you specified did not match what we received.")
        self.assertEqual(
            error.fields,
            {"CalculatedDigest": "1B2M2Y8AsgTpgAmY7PhCfg==", "ExpectedDigest": "25f9e794323b453885f5181f1b624d0b"},
        )

    def test_invalid_content_md5(self) -> None:
        """A Content-MD5 that is not 16 bytes in base64 is refused before the body comes."""
        for text in ("", "AAAA", "x", BASE64["MD5"][:-1], DIGESTS["MD5"], BASE64["SHA1"], BASE64["MD5"] + "\n", "é"):
            error = self.assertRaises(InvalidDigest, declared, head(content_md5=text))
            self.assertEqual(error.fields, {"Content-MD5": text})

    def refused(self, message: str, **headers: str) -> None:
        self.assertEqual(self.assertRaises(InvalidRequest, declared, head(**headers)).message, message)

    def test_invalid(self) -> None:
        """A checksum that cannot be one is refused before the body comes."""
        for text in ("", "invalid_base64!", "c2RhZnNhZGZzZGFm", "AAAAAA"):
            error = self.assertRaises(BadDigest, declared, head(x_amz_checksum_crc32=text))
            self.assertEqual("Value for x-amz-checksum-crc32 header is invalid.", error.message)
        unknown = "The algorithm type you specified in x-amz-checksum- header is invalid."
        self.refused(unknown, x_amz_checksum_crc16="AAA=")
        self.refused(unknown, **{"x-amz-checksum-": "AAA="})
        for trailer in ("x-amz-checksum-crc16", "x-amz-meta-a", "crc32", "md5"):
            self.refused("The value specified in the x-amz-trailer header is not supported", x_amz_trailer=trailer)

    def test_several(self) -> None:
        """At most one checksum may be declared, counting trailers."""
        message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        crc = {"x_amz_checksum_crc32": BASE64["CRC32"]}
        self.refused(message, **crc, x_amz_checksum_sha1=BASE64["SHA1"])
        self.refused(message, **crc, x_amz_trailer="x-amz-checksum-crc32")
        self.refused(message, x_amz_trailer="x-amz-checksum-crc32, x-amz-checksum-sha1")

    def test_other_headers(self) -> None:
        """Headers about checksums that are no checksums are not taken for one."""
        sent = head(
            x_amz_checksum_algorithm="CRC32",
            x_amz_checksum_type="COMPOSITE",
            x_amz_checksum_mode="ENABLED",
            x_amz_trailer="",
        )
        self.assertEqual(declared(sent).names, ("MD5",))

    def test_sdk_algorithm(self) -> None:
        """x-amz-sdk-checksum-algorithm must be that of the checksum, which must be there."""
        for name in ("CRC32", "crc32"):
            declared(head(x_amz_sdk_checksum_algorithm=name, x_amz_checksum_crc32=BASE64["CRC32"]))
        mismatch = "Value for x-amz-sdk-checksum-algorithm header is invalid."
        self.refused(mismatch, x_amz_sdk_checksum_algorithm="SHA1", x_amz_checksum_crc32=BASE64["CRC32"])
        self.refused(mismatch, x_amz_sdk_checksum_algorithm="SHA1", x_amz_trailer="x-amz-checksum-crc32")
        self.refused(mismatch, x_amz_sdk_checksum_algorithm="CRC16")
        self.refused(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers"
            " were found.",
            x_amz_sdk_checksum_algorithm="CRC32",
        )

    def test_not_implemented(self) -> None:
        """The algorithms that S3 has and we have not are refused as such, not as mistakes."""
        for sent in (
            head(x_amz_checksum_sha512="AAAA"),
            head(x_amz_trailer="x-amz-checksum-xxhash64"),
            head(x_amz_sdk_checksum_algorithm="SHA512"),
        ):
            self.assertRaises(NotImplemented, declared, sent)
        self.assertRaises(NotImplemented, upload_checksum, head(x_amz_checksum_algorithm="XXHASH3"))

    def test_part(self) -> None:
        """A part's checksum must be of the upload's algorithm; without one it is computed."""
        part = head(x_amz_checksum_crc32=BASE64["CRC32"])
        self.assertEqual(declared(part, "CRC32", only_default=True).algorithm, "CRC32")
        self.assertEqual(declared(head(), "SHA256", only_default=True).algorithm, "SHA256")
        for algorithm, expected in (("SHA1", "sha1"), ("", "null")):
            error = self.assertRaises(InvalidRequest, declared, part, algorithm, only_default=True)
            self.assertEqual(
                error.message,
                f"Checksum Type mismatch occurred, expected checksum Type: {expected}, actual checksum Type: crc32",
            )


class UploadTests(SynchronousTestCase):
    """Checksums of multipart uploads."""

    def test_asked_for(self) -> None:
        """An upload has the algorithm and type it asks for, or the algorithm's usual type."""
        for algorithm, kind, expected in (
            ("CRC32", None, ("CRC32", "COMPOSITE")),
            ("crc32c", "full_object", ("CRC32C", "FULL_OBJECT")),
            ("CRC64NVME", None, ("CRC64NVME", "FULL_OBJECT")),
            ("CRC64NVME", "FULL_OBJECT", ("CRC64NVME", "FULL_OBJECT")),
            ("SHA1", None, ("SHA1", "COMPOSITE")),
            ("SHA256", "COMPOSITE", ("SHA256", "COMPOSITE")),
        ):
            sent = {"x_amz_checksum_algorithm": algorithm} | ({"x_amz_checksum_type": kind} if kind else {})
            self.assertEqual(upload_checksum(head(**sent)), expected)
        self.assertEqual(upload_checksum(head()), ("", ""))

    def test_refused(self) -> None:
        """What does not go together, or is not known, is refused in AWS's words."""
        for algorithm, kind, message in (
            (
                "",
                "COMPOSITE",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            ),
            (
                "CRC64NVME",
                "COMPOSITE",
                "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.",
            ),
            (
                "SHA1",
                "FULL_OBJECT",
                "The FULL_OBJECT checksum type cannot be used with the sha1 checksum algorithm.",
            ),
            ("CRC32", "PARTIAL", "Value for x-amz-checksum-type header is invalid."),
            (
                "CRC16",
                "",
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types:"
                " [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
            ),
        ):
            sent = {"x_amz_checksum_algorithm": algorithm, "x_amz_checksum_type": kind}
            chosen = head(**{name: value for name, value in sent.items() if value})
            self.assertEqual(self.assertRaises(InvalidRequest, upload_checksum, chosen).message, message)

    @quick
    @given(several_parts, st.sampled_from(("CRC32", "CRC32C", "CRC64NVME")))
    def test_full_object(self, parts: list[bytes], name: str) -> None:
        """The combined CRC of the parts is the CRC of the object."""
        combined = combine(name, [(sum_of(name, part), len(part)) for part in parts])
        self.assertEqual(combined, sum_of(name, b"".join(parts)))

    @quick
    @given(several_parts, st.sampled_from(sorted(ALGORITHMS)))
    def test_composite(self, parts: list[bytes], name: str) -> None:
        """The composite checksum is that of the parts' checksums, with their number."""
        raw = b"".join(digests(name, data=part).digest(name) for part in parts)
        sums = [sum_of(name, part) for part in parts]
        self.assertEqual(composite(name, sums), f"{sum_of(name, raw)}-{len(parts)}")

    def test_not_of_the_algorithm(self) -> None:
        """What is no checksum of the algorithm cannot be combined; nor can hashes."""
        self.assertRaises(ValueError, combine, "SHA1", [(BASE64["SHA1"], 9)])
        self.assertRaises(ValueError, combine, "CRC32", [(BASE64["CRC64NVME"], 9)])
        self.assertRaises(ValueError, composite, "SHA256", [BASE64["SHA1"]])

    def test_decode(self) -> None:
        """Base64 of the right length is a checksum, anything else is none."""
        self.assertEqual(decode("CRC32", "AAAAAQ=="), b"\0\0\0\1")
        for text in ("", "AAAAAQ", "AAAAAQ==\n", " AAAAAQ==", "AAAA", "é"):
            self.assertIsNone(decode("CRC32", text))
