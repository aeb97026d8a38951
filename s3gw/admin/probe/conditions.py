"""Conditional writes: that they are honoured, and that they are atomic."""

from __future__ import annotations

from botocore.exceptions import ClientError

from s3gw.admin.probe.check import Differs, check, expect
from s3gw.admin.probe.place import CROWD, PART_BYTES, Place, refusal

LOCKS = "NIXL and KVBM locks, obstore, table formats"
ROUNDS = 5
"""Races of one kind."""

LOST = ((412, "PreconditionFailed"), (409, "ConditionalRequestConflict"))
"""How a race may be lost. Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"""


@check("create-once", "PUT with If-None-Match: * stores what is not there, and is 412 for what is", LOCKS)
def create_once(place: Place) -> None:
    key = place.put(b"first", IfNoneMatch="*")
    again = {"Bucket": place.bucket, "Key": key, "Body": b"second", "IfNoneMatch": "*"}
    expect(refusal(place.s3.put_object, **again), (412, "PreconditionFailed"), "the second PUT")
    expect(place.get(key), b"first", "what is stored")
    place.s3.delete_object(Bucket=place.bucket, Key=key)
    place.s3.put_object(**again)


@check("create-once-atomic", f"of {CROWD} clients that create the same object, exactly one does", LOCKS)
def create_once_atomic(place: Place) -> None:
    for _ in range(ROUNDS):
        _race(place, place.key(), IfNoneMatch="*")


@check("swap", "PUT with If-Match replaces that ETag and no other; a missing object is 404 NoSuchKey", LOCKS)
def swap(place: Place) -> None:
    key = place.put(b"first")
    etag = place.head(key)["ETag"]
    place.put(b"second", key, IfMatch=etag)
    where = {"Bucket": place.bucket, "Body": b"third", "IfMatch": etag}
    expect(refusal(place.s3.put_object, Key=key, **where), (412, "PreconditionFailed"), "a stale ETag")
    expect(place.get(key), b"second", "what is stored")
    expect(refusal(place.s3.put_object, Key=place.key(), **where), (404, "NoSuchKey"), "a missing object")


@check("swap-atomic", f"of {CROWD} clients that replace the same ETag, exactly one does", LOCKS)
def swap_atomic(place: Place) -> None:
    key = place.put(b"start")
    for _ in range(ROUNDS):
        _race(place, key, IfMatch=place.head(key)["ETag"])


@check("complete-once", "CompleteMultipartUpload honours If-None-Match: *", "obstore, Spark committers")
def complete_once(place: Place) -> None:
    key = place.put(b"first")
    try:
        place.upload(key, [b"second"], IfNoneMatch="*")
    except ClientError as error:
        expect(error.response["Error"]["Code"], "PreconditionFailed", "code")
    else:
        raise Differs("it was accepted")
    expect(place.get(key), b"first", "what is stored")
    place.upload(place.key(), [place.some_bytes(PART_BYTES), b"end"], IfNoneMatch="*")


@check("condition-named", "a 412 says which condition failed", "s3fs")
def condition_named(place: Place) -> None:
    answer = place.ask("PUT", place.put(), headers={"If-None-Match": "*", "Content-Length": "0"})
    expect((answer.status, answer.element("Condition")), (412, "If-None-Match"), "answer")


def _race(place: Place, key: str, **condition: str) -> None:
    """Let a crowd write under a condition that one of them can meet. :raises Differs: it was not exactly one."""

    def write(number: int) -> bytes | tuple[int, str]:
        body = b"by %d, " % number + place.some_bytes(16)  # what is written twice has one ETag twice
        try:
            place.put(body, key, **condition)
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
        return body

    outcomes = place.crowd(write)
    winners = [outcome for outcome in outcomes if isinstance(outcome, bytes)]
    if len(winners) != 1:
        raise Differs(f"{len(winners)} of {CROWD} were told that they had won")
    expect(place.get(key), winners[0], "what is stored")
    for outcome in outcomes:
        if not isinstance(outcome, bytes) and outcome not in LOST:
            raise Differs(f"a race was lost by {outcome[0]} {outcome[1]}")
