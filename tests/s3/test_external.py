"""`ExternalUrl`: the Host that a client behind a proxy has sent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from s3gw.s3.external import ExternalUrl


class ExternalUrlTests(SynchronousTestCase):
    """Reading one, and what it says of requests."""

    def test_parse(self) -> None:
        """Scheme and authority, in lower case and without the port of the scheme."""
        for text, expected in {
            "https://S3.example.com": ("https", "s3.example.com", ""),
            "https://s3.example.com:443/": ("https", "s3.example.com", ""),
            "http://s3.example.com:443": ("http", "s3.example.com", ":443"),
            "http://[2001:db8::1]:8080": ("http", "[2001:db8::1]", ":8080"),
        }.items():
            self.assertEqual(tuple(ExternalUrl.parse(text)), expected)

    def test_refused(self) -> None:
        """Anything else, a path among it: what is behind a prefix of a proxy was signed with that prefix."""
        for text in (
            "",
            "s3.example.com",
            "ftp://s3.example.com",
            "https://s3.example.com/s3",
            "https://a b",
            "http://",
        ):
            self.assertRaises(ValueError, ExternalUrl.parse, text)

    def test_authority(self) -> None:
        """A name that is ours or below ours stays, with the port that clients use; any other one is ours."""
        url = ExternalUrl.parse("https://s3.example.com:8443")
        for received, sent in {
            "s3.example.com": "s3.example.com:8443",
            "S3.example.com:80": "s3.example.com:8443",
            "bucket.s3.example.com": "bucket.s3.example.com:8443",
            "127.0.0.1:9000": "s3.example.com:8443",
            "[::1]:9000": "s3.example.com:8443",
            "others3.example.com": "s3.example.com:8443",
            "": "s3.example.com:8443",
        }.items():
            self.assertEqual(url.authority(received), sent)

    def test_url(self) -> None:
        """The URL of an object, in the style in which it was asked for."""
        url = ExternalUrl.parse("https://s3.example.com")
        self.assertEqual(url.url("bucket.s3.example.com", "/key"), "https://bucket.s3.example.com/key")
        self.assertEqual(url.url("gateway:9000", "/bucket/key"), "https://s3.example.com/bucket/key")
