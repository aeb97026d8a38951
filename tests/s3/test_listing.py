"""Tests of `s3gw.s3.listing`: the walk against a model that looks at every key, and the request parameters."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import InvalidArgument
from s3gw.s3.head import Query
from s3gw.s3.listing import (
    ListBucketsRequest,
    ListObjectsRequest,
    ListObjectsV2Request,
    ListPartsRequest,
    ListUploadsRequest,
    decode_token,
    encode_token,
    list_buckets_request,
    list_objects_request,
    list_objects_v2_request,
    list_page,
    list_parts_request,
    list_uploads_request,
    successor,
)

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
# A small alphabet makes prefixes and delimiters meet; the big one has the borders of the code space.
ALPHABET = st.one_of(st.sampled_from("ab/"), st.sampled_from("a/\U0010ffff\ud7ff\ue000\U00010000\x01"), CHARACTERS)
TEXT = st.text(ALPHABET, max_size=6)
KEYS = st.sets(st.text(ALPHABET, min_size=1, max_size=6), max_size=30)

quick = settings(max_examples=200, deadline=None, derandomize=True)

Page = tuple[tuple[tuple[str, int], ...], tuple[str, ...], bool, str]


class ListCursor:
    """A cursor over a list of keys, which counts its seeks, its steps, and the entries that are asked for."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = sorted(keys)
        self.position = 0
        self.seeks = 0
        self.steps = 0
        self.read = 0

    def seek(self, key: str) -> None:
        """As `listing.Cursor`."""
        self.seeks += 1
        self.position = bisect_left(self.keys, key)

    def next(self) -> str | None:
        """As `listing.Cursor`."""
        self.steps += 1
        if self.position == len(self.keys):
            return None
        self.position += 1
        return self.keys[self.position - 1]

    def entry(self) -> int:
        """As `listing.Cursor`."""
        self.read += 1
        return self.position - 1


def model(keys: set[str], prefix: str, delimiter: str, after: str) -> list[str]:
    """Everything that is to be listed, in order: keys, and common prefixes as they are, seen from every key."""
    found = []
    for key in sorted(keys):
        if not key.startswith(prefix):
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        item = key if end < 0 else key[: end + len(delimiter)]
        if item > after and item not in found and not (end >= 0 and after.startswith(item)):
            found.append(item)
    return found


def names(page: Page) -> list[str]:
    """Keys and common prefixes of a page, in order."""
    return sorted([key for key, _ in page[0]] + list(page[1]))


class WalkTests(SynchronousTestCase):
    """`list_page`."""

    @quick
    @given(KEYS, TEXT, st.text(ALPHABET, max_size=3), TEXT, st.integers(0, 8))
    @example({"a/b", "a0", "b"}, "", "/", "a/", 1000)
    @example({"a", "ab"}, "a", "", "a", 1000)
    @example({"a\ud7ffb", "a\ue000"}, "", "\ud7ff", "", 1000)
    @example({"\U0010ffffa", "\U0010ffff"}, "", "\U0010ffff", "", 1)
    def test_a_page(self, keys: set[str], prefix: str, delimiter: str, after: str, limit: int) -> None:
        """A page has the first of what is to be listed, and says exactly whether there is more."""
        expected = model(keys, prefix, delimiter, after)
        page = list_page(ListCursor(keys), prefix, delimiter, after, limit)
        self.assertEqual(expected[:limit], names(page))
        self.assertEqual(bool(limit) and len(expected) > limit, page[2])
        self.assertEqual(expected[:limit][-1] if expected[:limit] else "", page[3])
        self.assertTrue(all(key in keys and sorted(keys)[value] == key for key, value in page[0]))

    @quick
    @given(KEYS, TEXT, st.text(ALPHABET, max_size=2), st.integers(1, 4))
    def test_all_pages(self, keys: set[str], prefix: str, delimiter: str, limit: int) -> None:
        """Going on from the last item of each page gives everything once, in order."""
        walked: list[str] = []
        after, truncated = "", True
        for _ in range(len(keys) + 1):
            if truncated:
                page = list_page(ListCursor(keys), prefix, delimiter, after, limit)
                walked += names(page)
                truncated, after = page[2], page[3]
        self.assertEqual(model(keys, prefix, delimiter, ""), walked)

    @quick
    @given(st.text(ALPHABET, max_size=4), st.text(ALPHABET, max_size=4))
    @example("a\ud7ff", "")
    @example("a\U0010ffff", "b")
    def test_successor(self, prefix: str, other: str) -> None:
        """The successor divides what starts with the prefix from all that is greater."""
        beyond = successor(prefix)
        if beyond is None:
            self.assertEqual("", prefix.replace("\U0010ffff", ""))
            return
        self.assertEqual(other >= beyond, other > prefix and not other.startswith(prefix))
        self.assertTrue(beyond > prefix + other)
        beyond.encode()

    def test_cost(self) -> None:
        """A thousand keys under a common prefix, or behind the end, cost one seek and not a step each."""
        cursor = ListCursor({f"{folder}/{number}" for folder in "abc" for number in range(1000)})
        self.assertEqual(((), ("a/", "b/", "c/"), False, "c/"), list_page(cursor, "", "/"))
        self.assertEqual((4, 4, 0), (cursor.seeks, cursor.steps, cursor.read))
        cursor.seeks = cursor.steps = 0
        self.assertEqual((), list_page(cursor, "0", "")[0])
        self.assertEqual((1, 1), (cursor.seeks, cursor.steps))
        cursor.steps = 0
        self.assertEqual(3, len(list_page(cursor, "a/", "", "", 3)[0]))
        self.assertEqual((4, 3), (cursor.steps, cursor.read))

    def test_marker_inside_a_common_prefix(self) -> None:
        """A marker that is, or lies in, a common prefix has the whole of it behind it."""
        keys = {"asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla"}
        for after in ("boo/", "boo/bar", "boo/zzz"):
            self.assertEqual(["cquux/"], names(list_page(ListCursor(keys), "", "/", after)))
        self.assertEqual(["boo/bar", "boo/baz/"], names(list_page(ListCursor(keys), "boo/", "/", "boo/")))
        self.assertEqual(["boo/baz/xyzzy"], names(list_page(ListCursor(keys), "boo/", "", "boo/bar")))


class ParameterTests(SynchronousTestCase):
    """The parameters of the listing operations."""

    def test_defaults(self) -> None:
        """A bare request lists a thousand of everything."""
        self.assertEqual(ListObjectsRequest(), list_objects_request(Query("")))
        self.assertEqual(ListObjectsV2Request(), list_objects_v2_request(Query("list-type=2")))
        self.assertEqual(ListUploadsRequest(), list_uploads_request(Query("uploads")))
        self.assertEqual(ListPartsRequest("u"), list_parts_request(Query("uploadId=u")))
        self.assertEqual(ListBucketsRequest(), list_buckets_request(Query("x-id=ListBuckets")))

    def test_everything(self) -> None:
        """Each parameter arrives where it belongs."""
        self.assertEqual(
            ListObjectsRequest("p", "/", "m", 7, "url"),
            list_objects_request(Query("prefix=p&delimiter=%2F&marker=m&max-keys=7&encoding-type=url")),
        )
        token = encode_token("k\u00fc")
        self.assertEqual(
            ListObjectsV2Request("p", "/", "s", token, "k\u00fc", 7, "url", True),
            list_objects_v2_request(
                Query(
                    f"prefix=p&delimiter=/&start-after=s&continuation-token={token}&max-keys=7&encoding-type=URL"
                    "&fetch-owner=true"
                )
            ),
        )
        self.assertEqual("s", list_objects_v2_request(Query("start-after=s")).after)
        self.assertEqual(
            ListUploadsRequest("p", "/", "k", "u", 7),
            list_uploads_request(Query("prefix=p&delimiter=/&key-marker=k&upload-id-marker=u&max-uploads=7")),
        )
        self.assertEqual(ListUploadsRequest(), list_uploads_request(Query("upload-id-marker=u")))
        self.assertEqual(
            ListPartsRequest("u", 3, 7), list_parts_request(Query("uploadId=u&part-number-marker=3&max-parts=7"))
        )
        self.assertEqual(
            ListBucketsRequest("p", "eu-1", "b", 7, True),
            list_buckets_request(
                Query(f"prefix=p&bucket-region=eu-1&max-buckets=7&continuation-token={encode_token('b')}")
            ),
        )

    def test_integers(self) -> None:
        """Integers are read for their value, and pages capped at a thousand."""
        for value, expected in (
            ("", 1000),
            ("0", 0),
            ("-0", 0),
            ("05", 5),
            ("1000", 1000),
            ("1001", 1000),
            ("0" * 5000 + "9", 9),
            ("2147483647", 1000),
        ):
            self.assertEqual(expected, list_objects_request(Query(f"max-keys={value}")).max_keys, value[:20])
            self.assertEqual(expected, list_uploads_request(Query(f"max-uploads={value}")).max_uploads)
            self.assertEqual(expected, list_parts_request(Query(f"max-parts={value}")).max_parts)

    def test_no_integers(self) -> None:
        """What is no integer or none in range is refused in S3's words, which differ."""
        parsers: tuple[tuple[str, str, Callable[[Query], object]], ...] = (
            ("max-keys", "maxKeys", list_objects_request),
            ("max-keys", "maxKeys", list_objects_v2_request),
            ("max-uploads", "max-uploads", list_uploads_request),
            ("max-parts", "max-parts", list_parts_request),
            ("part-number-marker", "part-number-marker", list_parts_request),
        )
        for name, range_name, parse in parsers:
            for value in ("blah", "+5", "1.0", "2147483648", "9" * 5000, "--1", "-"):
                error = self.assertRaises(InvalidArgument, parse, Query(f"{name}={value}"))
                self.assertEqual(f"Provided {name} not an integer or within integer range", error.message)
                self.assertEqual({"ArgumentName": name, "ArgumentValue": value}, error.fields)
            error = self.assertRaises(InvalidArgument, parse, Query(f"{name}=-01"))
            self.assertEqual(f"Argument {range_name} must be an integer between 0 and 2147483647", error.message)
            self.assertEqual({"ArgumentName": range_name, "ArgumentValue": "-1"}, error.fields)
        for value in ("0", "10001"):
            error = self.assertRaises(InvalidArgument, list_buckets_request, Query(f"max-buckets={value}"))
            self.assertEqual("Argument max-buckets must be an integer between 1 and 10000", error.message)

    def test_encoding(self) -> None:
        """There is one encoding type."""
        for value in ("", "xml", "url "):
            error = self.assertRaises(InvalidArgument, list_objects_request, Query(f"encoding-type={value}"))
            self.assertEqual("Invalid Encoding Method specified in Request", error.message)
            self.assertEqual({"ArgumentName": "encoding-type", "ArgumentValue": value}, error.fields)


class TokenTests(SynchronousTestCase):
    """Continuation tokens."""

    @quick
    @given(st.text(CHARACTERS, min_size=1))
    def test_any_key(self, key: str) -> None:
        """A token gives back the key that it was made of, and needs no escaping in a URL."""
        token = encode_token(key)
        self.assertEqual(key, decode_token(token))
        self.assertRegex(token, r"\A[A-Za-z0-9_-]+\Z")

    def test_no_token(self) -> None:
        """What is none of our tokens is refused. The empty one asks for the first page."""
        good = encode_token("key")
        for token in ("", "key", "a", good + "=", good[:-1], " " + good, "Ag", "AQ", "Af8", "\u00fc", good + "\n"):
            error = self.assertRaises(InvalidArgument, decode_token, token)
            self.assertEqual("The continuation token provided is incorrect", error.message)
        self.assertEqual("a", list_objects_v2_request(Query("continuation-token=&start-after=a")).after)
        self.assertEqual("", list_buckets_request(Query("continuation-token=")).after)
        self.assertRaises(InvalidArgument, list_buckets_request, Query("continuation-token=a"))
