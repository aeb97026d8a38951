"""Tests of `s3gw.s3.markup`."""

from __future__ import annotations

import re
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import MalformedXML
from s3gw.s3.markup import MAX_DEPTH, MAX_ELEMENTS, escape, is_plain, printable, read, url_encode

ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)

quick = settings(max_examples=100, deadline=None, derandomize=True)


class EscapeTests(SynchronousTestCase):
    """Text as markup."""

    @quick
    @given(ANY | st.text(st.characters(max_codepoint=255), max_size=5))
    def test_plain(self, text: str) -> None:
        """What is called plain is the same when it is escaped; what is ASCII and the same is called plain."""
        same = re.search('[&<>"\r\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]', text) is None
        self.assertEqual(same, escape(text) == text)
        if is_plain(text):
            self.assertEqual((text, text), (escape(text), printable(text)))
        self.assertTrue(is_plain(text) or not same or not text.isascii() or not text.isprintable())

    def test_table(self) -> None:
        """Markup and what a parser would change or refuse become references; the rest stays."""
        for text, expected in (
            ("plain/key.txt", "plain/key.txt"),
            ("<a & \"b\"> 'c'", "&lt;a &amp; &quot;b&quot;&gt; 'c'"),
            ("a\r\n\tb", "a&#xD;\n\tb"),
            ("\x01\x1f\ufffe\uffff", "&#x1;&#x1F;&#xFFFE;&#xFFFF;"),
            ("\u00fc\U0001f600\x7f", "\u00fc\U0001f600\x7f"),
        ):
            self.assertEqual(expected, escape(text))

    @quick
    @given(ANY)
    def test_url_encoding(self, text: str) -> None:
        """Percent-encoding gives every text back and needs no escaping."""
        encoded = url_encode(text)
        self.assertEqual(text, unquote(encoded))
        self.assertEqual(encoded, escape(encoded))

    def test_url_encoding_keeps(self) -> None:
        """What S3 keeps is kept."""
        self.assertEqual("foo%2B1/quux%20ab/~a-b_c.d%C3%BC", url_encode("foo+1/quux ab/~a-b_c.d\u00fc"))


class ReadTests(SynchronousTestCase):
    """`markup.read`."""

    def test_namespaces(self) -> None:
        """With S3's namespace, another, a prefix or none: the same document."""
        for attributes, prefix in (
            ("", ""),
            (' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', ""),
            (' xmlns="urn:x"', ""),
            (' xmlns:a="urn:x"', "a:"),
        ):
            body = f"<{prefix}Root{attributes}> <{prefix}A>1</{prefix}A><B><![CDATA[<&]]></B>\n</{prefix}Root>"
            root = read(body.encode(), "Root")
            self.assertEqual(("1", "<&", None), (root.get("A"), root.get("B"), root.get("C")))

    def test_refused(self) -> None:
        """What is no document, has a DTD, or another root is refused, whatever it declares."""
        for body in (
            *(b"", b" ", b"x", b"<Root>", b"<Root></Toor>", b"<Other/>", b"<Root/><Root/>", b"<Root>&x;</Root>"),
            b'<!DOCTYPE Root [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Root>&b;</Root>',
            b'<!DOCTYPE Root SYSTEM "file:///etc/passwd"><Root/>',
            b"<!DOCTYPE Root><Root/>",
            b"<Root>\xff</Root>",
            b"<Root>\x01</Root>",
            b'<?xml version="1.0" encoding="no-such"?><Root/>',
            b'<?xml version="1.0" encoding="utf-7"?><Root/>',
            b"<a:Root/>",
        ):
            self.assertRaises(MalformedXML, read, body, "Root")

    def test_doubled(self) -> None:
        """An element that may be there once and is there twice is refused when it is asked for."""
        root = read(b"<Root><A/><A/></Root>", "Root")
        self.assertRaises(MalformedXML, root.get, "A")
        self.assertRaises(MalformedXML, root.require, "B")

    def test_bounds(self) -> None:
        """Depth and number of elements are bounded."""
        deep = b"<Root>" + b"<a>" * (MAX_DEPTH - 1) + b"</a>" * (MAX_DEPTH - 1) + b"</Root>"
        read(deep, "Root")
        self.assertRaises(MalformedXML, read, deep.replace(b"<Root>", b"<Root><a>"), "Root")
        self.assertRaises(MalformedXML, read, b"<Root>" + b"<a/>" * MAX_ELEMENTS + b"</Root>", "Root")
