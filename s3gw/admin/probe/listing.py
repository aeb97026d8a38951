"""Listings and deletions."""

from __future__ import annotations

from typing import Any

from s3gw.admin.probe.check import check, expect
from s3gw.admin.probe.place import Place, refusal

NAMES = ("B", "a", "a b", "a+b", "a//b", "a/b", "a@256@0123", "ä", "日本", "\uffee", "\U0001f600")
"""In the order of their UTF-8, where the last two are the other way round than in UTF-16."""


def _filled(place: Place, names: tuple[str, ...] = NAMES) -> str:
    """A prefix with objects of these names, stored in another order."""
    prefix = place.key("")
    for name in reversed(names):
        place.put(name.encode(), prefix + name)
    return prefix


def _list(place: Place, prefix: str, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = place.s3.list_objects_v2(Bucket=place.bucket, Prefix=prefix, **arguments)
    return found


def _names(page: dict[str, Any], prefix: str) -> list[str]:
    return [each["Key"].removeprefix(prefix) for each in page.get("Contents", ())]


@check("list-order", "listings are in the order of the keys' UTF-8 bytes", "migrate, sync tools, Spark")
def order(place: Place) -> None:
    prefix = _filled(place)
    expect(_names(_list(place, prefix), prefix), list(NAMES), "order")


@check("list-pages", "pages follow each other without a gap or a double", "everybody")
def pages(place: Place) -> None:
    prefix = _filled(place)
    found: list[str] = []
    for page in place.s3.get_paginator("list_objects_v2").paginate(
        Bucket=place.bucket, Prefix=prefix, PaginationConfig={"PageSize": 3}
    ):
        found += _names(page, prefix)
    expect(found, list(NAMES), "ListObjectsV2")
    found = []
    for page in place.s3.get_paginator("list_objects").paginate(
        Bucket=place.bucket, Prefix=prefix, PaginationConfig={"PageSize": 3}
    ):
        found += _names(page, prefix)
    expect(found, list(NAMES), "ListObjects")


@check("list-start-after", "StartAfter begins behind a key, whether it is there or not", "resumed walks")
def start_after(place: Place) -> None:
    prefix = _filled(place)
    for after in ("a b", "a b!"):
        expect(_names(_list(place, prefix, StartAfter=prefix + after), prefix), list(NAMES[3:]), after)


@check(
    "list-delimiter",
    "a delimiter groups keys into common prefixes, which count as one each",
    "every ls",
)
def delimiter(place: Place) -> None:
    prefix = _filled(place, ("a", "b/1", "b/2", "b/3", "c//x", "d"))
    page = _list(place, prefix, Delimiter="/")
    expect(_names(page, prefix), ["a", "d"], "keys")
    groups = [each["Prefix"].removeprefix(prefix) for each in page.get("CommonPrefixes", ())]
    expect(groups, ["b/", "c/"], "common prefixes")
    expect(_list(place, prefix, Delimiter="/", MaxKeys=2)["KeyCount"], 2, "KeyCount")


@check("list-fresh", "what was stored or deleted a moment ago is so in listings and reads", "everybody")
def fresh(place: Place) -> None:
    prefix = place.key("")
    for number in range(10):
        key = place.put(b"%d" % number, f"{prefix}{number}")
        expect(len(_names(_list(place, prefix), prefix)), 1, "listed")
        place.put(b"again", key)
        expect(place.get(key), b"again", "read")
        place.s3.delete_object(Bucket=place.bucket, Key=key)
        expect(len(_names(_list(place, prefix), prefix)), 0, "listed once deleted")


@check("keys", "keys are bytes: spaces, plus, slashes, dots, percent and any script", "everybody")
def keys(place: Place) -> None:
    prefix = place.key("")
    for name in ("a b", "a+b", "a%20b", "//", "/", "a/../b", "./.", "x@y=z&c", "日本 ü😀", "?#", "tail/"):
        key = place.put(name.encode(), prefix + name)
        expect(place.get(key), name.encode(), repr(name))


@check("delete-missing", "deleting what is not there is 204", "KV caches")
def delete_missing(place: Place) -> None:
    expect(place.ask("DELETE", place.key()).status, 204, "status")


@check("delete-many", "DeleteObjects deletes, and tells of each key", "aws-cli, rclone, migrate")
def delete_many(place: Place) -> None:
    prefix = _filled(place)
    asked = [{"Key": prefix + name} for name in (*NAMES, "missing")]
    given = {"Bucket": place.bucket, "Delete": {"Objects": asked}}
    answer = place.s3.delete_objects(**given, ChecksumAlgorithm="CRC32")
    expect(sorted(each["Key"] for each in answer.get("Deleted", ())), sorted(each["Key"] for each in asked), "Deleted")
    expect(_names(_list(place, prefix), prefix), [], "what is left")


@check("bucket-not-empty", "a bucket with objects is not deleted: 409 BucketNotEmpty", "everybody")
def not_empty(place: Place) -> None:
    place.put()
    expect(refusal(place.s3.delete_bucket, Bucket=place.bucket), (409, "BucketNotEmpty"), "answer")
