"""XML as S3 speaks it: text to elements, and request bodies to small trees.

Written: no indentation, UTF-8, and any text at all. What XML 1.0 has no way to write, such as U+0001, goes out as a
numeric reference, as S3 does; a strict parser will not take it, and ``encoding-type=url`` is for whom that troubles.

Read: no DTD, no entities, namespaces dropped, and bounds on depth and elements, so that a body costs no more than its
length.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from s3gw.errors import MalformedXML

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

MAX_DEPTH = 16
MAX_ELEMENTS = 150_000
"""Enough for 10 000 parts with every checksum."""

# The carriage return is legal but would be read as a line feed; the rest are no characters of XML 1.0.
_SPECIAL = re.compile('[&<>"\r\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]')
_NO_CHARACTER = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_URL_SAFE = re.compile("[A-Za-z0-9._~/-]*")
_URL_UNSAFE = re.compile("[^A-Za-z0-9._~/-]+")


def _reference(match: re.Match[str]) -> str:
    character = match[0]
    return _NAMED.get(character) or f"&#x{ord(character):X};"


def printable(text: str) -> str:
    """``text`` with what is no character of XML 1.0 replaced, for documents that must be read whatever is in it."""
    # What Python can print is a character of XML as well, and mostly that is all there is.
    return text if text.isprintable() else _NO_CHARACTER.sub("\ufffd", text)


def is_plain(text: str) -> bool:
    """Whether ``text`` is its own `escape` and `printable`. It may say no of some text that is, but not of ASCII."""
    # What Python can print is a character of XML, and four searches for a character take less time than a pattern.
    return text.isprintable() and not ("&" in text or "<" in text or ">" in text or '"' in text)


def escape(text: str) -> str:
    """``text`` as the content of an element or, in double quotes, of an attribute."""
    return text if is_plain(text) else _SPECIAL.sub(_reference, text)


def url_encode(text: str) -> str:
    """``text`` as ``encoding-type=url`` has it: percent-encoded UTF-8, ``/`` kept.

    A space becomes ``%20``, which every decoder reads back, where S3 itself writes ``+``, which some do not.
    """
    return text if _URL_SAFE.fullmatch(text) is not None else _URL_UNSAFE.sub(_percent, text)


def _percent(match: re.Match[str]) -> str:
    return "%" + match[0].encode().hex("%").upper()


def element(name: str, text: str | int) -> str:
    """``<name>text</name>``, escaped."""
    return f"<{name}>{escape(text) if isinstance(text, str) else text}</{name}>"


def optional(name: str, text: str) -> str:
    """As `element`; nothing for no text."""
    return f"<{name}>{escape(text)}</{name}>" if text else ""


def document(root: str, *content: str, namespace: bool = True) -> bytes:
    """A whole document with the element ``root`` around ``content``, which is markup already."""
    xmlns = f' xmlns="{NAMESPACE}"' if namespace else ""
    return "".join((f"{DECLARATION}<{root}{xmlns}>", *content, f"</{root}>")).encode()


class Node:
    """An element that was read: its local name, the text directly in it, and the elements in it in order."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.children: list[Node] = []

    def all(self, name: str) -> list[Node]:
        """The children with this name."""
        return [child for child in self.children if child.name == name]

    def get(self, name: str) -> str | None:
        """The text of the child with this name; None without one.

        :raises MalformedXML: when there are several."""
        found = self.all(name)
        if len(found) > 1:
            raise MalformedXML()
        return found[0].text if found else None

    def require(self, name: str) -> str:
        """As `get`. :raises MalformedXML: also when there is none."""
        text = self.get(name)
        if text is None:
            raise MalformedXML()
        return text


class _TreeTarget:
    """Builds `Node` trees from parser events, within bounds."""

    def __init__(self) -> None:
        self._open: list[Node] = []
        self._elements = 0
        self._root: Node | None = None

    def start(self, tag: str, attributes: object) -> None:
        node = Node(tag.rpartition("}")[2])
        self._elements += 1
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node
        self._open.append(node)
        if len(self._open) > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise MalformedXML()

    def end(self, tag: str) -> None:
        self._open.pop()

    def data(self, text: str) -> None:
        self._open[-1].text += text

    def close(self) -> Node | None:
        return self._root


def read(body: bytes, root: str) -> Node:
    """The document ``body``, whose root must be ``root``; in the S3 namespace, another or none.

    The caller bounds the size of ``body``.

    :raises MalformedXML: for what is not well-formed, has a DTD or an entity, is too deep or too big, or has another
        root.
    """
    parser = DefusedXMLParser(target=_TreeTarget(), forbid_dtd=True)
    try:
        parser.feed(body)
        node = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise MalformedXML() from None
    if not isinstance(node, Node) or node.name != root:
        raise MalformedXML()
    return node
