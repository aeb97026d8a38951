"""The canonical request: one spelling for each of the ways to write the same request."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.s3.canonical import SignedHeaders, canonical_query, canonical_request, canonical_uri


def lines(signed: str, headers: dict[str, str]) -> str:
    """The lines that a canonical request has of its headers."""
    request = canonical_request("GET", "/a%20b", "q=", headers, SignedHeaders(signed), "hash").decode("latin-1")
    before, behind = "GET\n/a%20b\nq=\n", f"\n{signed}\nhash"
    assert request.startswith(before) and request.endswith(behind), request
    return request[len(before) : -len(behind)]


class CanonicalTests(SynchronousTestCase):
    """The canonical request."""

    def test_uri(self) -> None:
        """Segments are decoded and encoded once; slashes, dots and escaped slashes stay what they are."""
        for raw, canonical in {
            "": "/",
            "/": "/",
            "/b/k": "/b/k",
            "/b%2Fk": "/b%2Fk",
            "/b%2fk": "/b%2Fk",
            "//b/../%2e/": "//b/.././",
            "/a+b c*'()!": "/a%2Bb%20c%2A%27%28%29%21",
            "/%7E~%41": "/~~A",
            "/100%": "/100%25",
            "/%zz%2": "/%25zz%252",
            "/\xc3\xa9": "/%C3%A9",
            "/%252F": "/%252F",
        }.items():
            self.assertEqual(canonical_uri(raw), canonical, raw)

    def test_query(self) -> None:
        """Parameters are encoded, then sorted by name and value; a name without ``=`` gets one."""
        for raw, canonical in {
            "": "",
            "acl": "acl=",
            "b=2&a=1&a=0": "a=0&a=1&b=2",
            "a+b=c+d": "a%2Bb=c%2Bd",
            "prefix=a/b": "prefix=a%2Fb",
            "a-=1&a=2": "a=2&a-=1",
            "a=b=c": "a=b%3Dc",
            "x;y=1": "x%3By=1",
            "&a&&b&": "a=&b=",
            "X-Amz-Signature=f&z&X%2DAmz%2DSignature=g": "z=",
        }.items():
            self.assertEqual(canonical_query(raw), canonical, raw)

    def test_headers(self) -> None:
        """Values are trimmed and their inner white space made single; UTF-8 bytes that look blank are not."""
        sent = {"a": "  x   y\t z ", "b": "caf\xc3\xa0 \xc2\xa0"}
        self.assertEqual(lines("a;b;c", sent), "a:x y z\nb:caf\xc3\xa0 \xc2\xa0\nc:\n")

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(
        st.dictionaries(st.sampled_from(("a", "b%s", "c")), st.text(st.sampled_from("x:\t \xa0"), max_size=4)),
        st.sampled_from(("a", "a;b%s", "c;b%s;a;a")),
    )
    def test_any_headers(self, sent: dict[str, str], signed: str) -> None:
        """Whether there is something to trim or not, and whether they were sent or not."""
        trimmed = {name: re.sub("[ \t]+", " ", value.strip(" \t")) for name, value in sent.items()}
        expected = "".join([f"{name}:{trimmed.get(name, '')}\n" for name in signed.split(";")])
        self.assertEqual(lines(signed, sent), expected)
