"""How a cache bucket forgets, as a document: ``PUT /bucket?x-s3gw-cache``, in the manner of S3's bucket configurations.

    <CacheConfiguration>
      <SecondsSinceWrite>86400</SecondsSinceWrite>
      <SecondsSinceRead>3600</SecondsSinceRead>
      <MaxBytes>107374182400</MaxBytes>
      <MaxObjects>1000000</MaxObjects>
    </CacheConfiguration>

Each element may be left out; with none of them only objects with a time of their own go. S3 has no such thing, so
nothing is ignored: an element that is not one of these is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from s3gw.errors import MalformedXML
from s3gw.model import CacheRules
from s3gw.s3.markup import document, element, read

MAX_SECONDS = 10 * 366 * 24 * 3600
"""Ten years: the longest time that anything in a cache bucket is given."""

MAX_BYTES = 1 << 60
MAX_OBJECTS = 1 << 40

RULES: Mapping[str, tuple[str, int]] = {
    "SecondsSinceWrite": ("ttl_write", MAX_SECONDS),
    "SecondsSinceRead": ("ttl_read", MAX_SECONDS),
    "MaxBytes": ("max_bytes", MAX_BYTES),
    "MaxObjects": ("max_objects", MAX_OBJECTS),
}
"""The elements: the fields of `CacheRules`, and the greatest value of each."""

_NUMBER = re.compile("[0-9]{1,19}")


def parse_cache_rules(body: bytes) -> CacheRules:
    """A CacheConfiguration. :raises MalformedXML: with a message that says what is wrong."""
    root = read(body, "CacheConfiguration")
    return rules_of((child.name, child.text.strip()) for child in root.children)


def rules_of(given: Iterable[tuple[str, str]]) -> CacheRules:
    """Rules by the names of their elements. :raises MalformedXML:"""
    values: dict[str, int] = {}
    for name, text in given:
        if name not in RULES:
            raise MalformedXML(f"CacheConfiguration has no element {name}")
        field, most = RULES[name]
        if field in values:
            raise MalformedXML(f"{name} is there twice")
        if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= most:
            raise MalformedXML(f"{name} must be a whole number from 1 to {most}")
        values[field] = int(text)
    return CacheRules(**values)


def cache_configuration(rules: CacheRules) -> bytes:
    """The document that says so."""
    return document(
        "CacheConfiguration",
        *(element(name, value) for name, (field, _) in RULES.items() if (value := getattr(rules, field))),
    )


def cache_status(objects: int, nbytes: int, adopting: bool, doomed: Iterable[tuple[str, int, str]] = ()) -> bytes:
    """What a cache bucket holds; and what would have to go from it: key, size, and ``expired`` or ``evicted``."""
    return document(
        "CacheStatus",
        element("Objects", objects),
        element("Bytes", nbytes),
        element("Counting", "true" if adopting else "false"),
        *(
            "".join(("<Doomed>", element("Key", key), element("Size", size), element("Reason", why), "</Doomed>"))
            for key, size, why in doomed
        ),
    )
