"""Tests of `s3gw.s3.target`."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import InvalidArgument, InvalidBucketName, InvalidRequest, InvalidURI, KeyTooLongError
from s3gw.s3.head import RequestHead
from s3gw.s3.target import Bucket, Object, Service, Target, check_bucket_name, parse_copy_source, parse_target

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200)
SUFFIXES = ("s3.example.com", "example.com")

quick = settings(max_examples=100, deadline=None, derandomize=True)


def target(path: str, host: str = "127.0.0.1:9000") -> Target:
    """What a path and a Host address, with two suffixes configured."""
    return parse_target(RequestHead("GET", path, {"host": host}), SUFFIXES)


class PathStyleTests(SynchronousTestCase):
    """``/bucket/key``."""

    def test_table(self) -> None:
        """The first segment is the bucket, and everything behind it the key, as it is."""
        for path, expected in (
            ("/", Service()),
            ("/bucket", Bucket("bucket")),
            ("/bucket/", Bucket("bucket")),
            ("/bucket/key", Object("bucket", "key")),
            ("/bucket/a/b/", Object("bucket", "a/b/")),
            ("/bucket//", Object("bucket", "/")),
            ("/bucket//a//b", Object("bucket", "/a//b")),
            ("/bucket/../etc/./passwd", Object("bucket", "../etc/./passwd")),
            ("/bucket/a%2Fb", Object("bucket", "a/b")),
            ("/bucket/%2F", Object("bucket", "/")),
            ("/bucket/a+b%20c", Object("bucket", "a+b c")),
            ("/bucket/%C3%BC", Object("bucket", "ü")),
            ("/bucket/a;b=c&d", Object("bucket", "a;b=c&d")),
            ("/Old_Bucket/key", Object("Old_Bucket", "key")),
        ):
            self.assertEqual(expected, target(path), path)

    def test_an_escaped_slash_does_not_separate(self) -> None:
        """``/b%2Fk`` is not ``/b/k``: no bucket can be called so."""
        for path in ("/bucket%2Fkey", "//key", "/a", "/bad%00name/key", "/b%C3%BCcket", "/" + "b" * 256):
            self.assertRaises(InvalidBucketName, target, path)

    def test_what_is_no_key(self) -> None:
        """Bytes that are not UTF-8, half escapes and NUL are refused, as is a path that is none."""
        for path in ("/bucket/%FF", "/bucket/%C3", "/bucket/%zz", "/bucket/%", "/bucket/a%00b", "", "bucket", "*"):
            self.assertRaises(InvalidURI, target, path)

    def test_length(self) -> None:
        """A key has at most 1024 bytes, and characters of several bytes count as such."""
        for key in ("k" * 1024, "ü" * 512, "\U0001f600" * 256):
            self.assertEqual(Object("bucket", key), target("/bucket/" + quote(key)))
        for key in ("k" * 1025, "ü" * 512 + "k", "\U0001f600" * 256 + "k"):
            error = self.assertRaises(KeyTooLongError, target, "/bucket/" + quote(key))
            self.assertEqual({"Size": "1025", "MaxSizeAllowed": "1024"}, error.fields)

    @quick
    @given(KEYS)
    def test_any_key(self, key: str) -> None:
        """Every key comes back from its percent-encoding, slashes escaped or not."""
        self.assertEqual(Object("bucket", key), target("/bucket/" + quote(key, safe="/")))
        self.assertEqual(Object("bucket", key), target("/bucket/" + quote(key, safe="")))


class BoundTests(SynchronousTestCase):
    """Where one bucket is all that is served, every path is a key of it."""

    def test_table(self) -> None:
        """Nothing in the path is a bucket, and the host may leave it out or name it again."""
        for path, expected in (
            ("/", Bucket("only")),
            ("/key", Object("only", "key")),
            ("/only/key", Object("only", "only/key")),
            ("//a/../b/", Object("only", "/a/../b/")),
            ("/metrics", Object("only", "metrics")),
        ):
            for host in ("127.0.0.1:9001", "only.example.com", "gateway.test"):
                self.assertEqual(expected, parse_target(RequestHead("GET", path, {"host": host}), SUFFIXES, "only"))

    def test_another_bucket(self) -> None:
        """A host that names another bucket is refused: its key would be read in the wrong one."""
        head = RequestHead("GET", "/key", {"host": "other.example.com"})
        self.assertRaises(InvalidRequest, parse_target, head, SUFFIXES, "only")


class VirtualHostTests(SynchronousTestCase):
    """``bucket.<suffix>``."""

    def test_table(self) -> None:
        """The Host names the bucket when it ends with a suffix; the path is then the key, whole."""
        for host, path, expected in (
            ("bucket.localhost:9000", "/", Bucket("bucket")),
            ("bucket.localhost", "/key", Object("bucket", "key")),
            ("Bucket.LOCALHOST:9000", "/a//b/", Object("bucket", "a//b/")),
            ("bucket.localhost", "/bucket/key", Object("bucket", "bucket/key")),
            ("bucket.localhost", "//", Object("bucket", "/")),
            ("bucket.localhost.", "/key", Object("bucket", "key")),
            ("a.b.example.com", "/key", Object("a.b", "key")),
            ("bucket.s3.example.com:443", "/key", Object("bucket", "key")),
            ("localhost:9000", "/bucket/key", Object("bucket", "key")),
            ("s3.example.com", "/bucket/key", Object("bucket", "key")),
            ("example.com", "/bucket", Bucket("bucket")),
            ("other.org", "/bucket", Bucket("bucket")),
            ("notexample.com", "/bucket", Bucket("bucket")),
            ("192.168.1.1:9000", "/bucket/key", Object("bucket", "key")),
            ("[::1]:9000", "/bucket/key", Object("bucket", "key")),
            (".localhost", "/bucket", Bucket("bucket")),
        ):
            self.assertEqual(expected, target(path, host), f"{host} {path}")

    def test_without_a_host(self) -> None:
        """HTTP/1.0 needs no Host: path style."""
        self.assertEqual(Object("bucket", "key"), parse_target(RequestHead("GET", "/bucket/key", {})))


class CopySourceTests(SynchronousTestCase):
    """``x-amz-copy-source``."""

    def test_table(self) -> None:
        """Bucket, key and version, however much of it the client has encoded."""
        for value, key, version in (
            ("bucket/key", "key", ""),
            ("/bucket/key", "key", ""),
            ("bucket%2Fkey", "key", ""),
            ("%2Fbucket%2Fa%2F%2Fb%2F", "a//b/", ""),
            ("bucket//a/../b", "/a/../b", ""),
            ("bucket/a+b%20c%3Fd", "a+b c?d", ""),
            ("bucket/key?versionId=v%2B1", "key", "v+1"),
            ("bucket/foo%3FversionId=1?versionId=2", "foo?versionId=1", "2"),
            ("bucket/key?x", "key?x", ""),
        ):
            self.assertEqual((Object("bucket", key), version), parse_copy_source(value), value)

    def test_refused(self) -> None:
        """What names no object is refused in S3's words."""
        for value in (
            "",
            "/",
            "bucket",
            "bucket/",
            "/bucket",
            "//key",
            "b/k",
            "bucket/%zz",
            "bucket/%FF",
            "bucket/%00",
        ):
            error = self.assertRaises(InvalidArgument, parse_copy_source, value)
            self.assertEqual({"ArgumentName": "x-amz-copy-source", "ArgumentValue": value}, error.fields)
        self.assertRaises(KeyTooLongError, parse_copy_source, "bucket/" + "k" * 1025)

    @quick
    @given(KEYS)
    def test_any_key(self, key: str) -> None:
        """Every key comes back from either way of encoding it."""
        for safe in ("", "/"):
            self.assertEqual((Object("bucket", key), ""), parse_copy_source("bucket/" + quote(key, safe=safe)))


class BucketNameTests(SynchronousTestCase):
    """The rules for new buckets."""

    def test_good(self) -> None:
        """Names that S3 takes."""
        for name in ("abc", "a-b", "my.bucket.1", "1bucket", "b" * 63, "a--b", "prompt-cache", "1.2.3", "1.2.3.4.5"):
            self.assertEqual(name, check_bucket_name(name))

    def test_bad(self) -> None:
        """Names that S3, TLS or DNS cannot have, and the gateway's own, are refused by name."""
        for name in (
            *("", "ab", "b" * 64, "Abc", "a_b_c", "foo-", "-foo", ".foo", "foo.", "foo..bar", "foo-.bar", "foo.-bar"),
            *("192.168.5.123", "xn--abc", "sthree-abc", "amzn-s3-demo-x", "abc-s3alias", "abc--ol-s3", "abc.mrap"),
            *("abc--x-s3", "abc--table-s3", "metrics", "_health", "foo bar", "foo\n", "büro", "foo/bar", "a\0b"),
        ):
            error = self.assertRaises(InvalidBucketName, check_bucket_name, name)
            self.assertEqual({"BucketName": name}, error.fields)
