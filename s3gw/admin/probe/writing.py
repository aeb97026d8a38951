"""What goes with an object, and how its bytes may come."""

from __future__ import annotations

import http.client
from typing import Any

from s3gw.admin.probe.check import Differs, check, expect
from s3gw.admin.probe.place import Place, refusal
from s3gw.admin.probe.wire import path_of

CURL = "the libcurl client, and others without an SDK"

HEADERS: dict[str, Any] = {
    "ContentType": "text/x-probe",
    "CacheControl": "max-age=1",
    "ContentDisposition": 'attachment; filename="x"',
    "ContentEncoding": "zstd",
    "ContentLanguage": "de",
    "Metadata": {"one": "1", "two-words": "a b"},
}


@check("metadata", "content headers and user metadata come back as they were given", "everybody")
def metadata(place: Place) -> None:
    found = place.head(place.put(**HEADERS))
    expect({name: found.get(name) for name in HEADERS}, HEADERS, "headers")


@check("tags", "tags of an object are kept, replaced and deleted", "lifecycle rules, migrate")
def tags(place: Place) -> None:
    where = {"Bucket": place.bucket, "Key": place.put(Tagging="a=1&b=x%20y")}
    wanted = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "x y"}]
    expect(sorted(place.s3.get_object_tagging(**where)["TagSet"], key=str), wanted, "given with the PUT")
    expect(place.s3.get_object(**where).get("TagCount"), 2, "x-amz-tagging-count")
    place.s3.put_object_tagging(**where, Tagging={"TagSet": wanted[:1]})
    expect(place.s3.get_object_tagging(**where)["TagSet"], wanted[:1], "replaced")
    place.s3.delete_object_tagging(**where)
    expect(place.s3.get_object_tagging(**where)["TagSet"], [], "deleted")


@check("bucket-bare", "PUT of a bucket needs neither Content-Length nor Transfer-Encoding", CURL)
def bucket_bare(place: Place) -> None:
    answer = place.wire.ask("PUT", path_of(place.bucket))
    if (answer.status, answer.element("Code")) != (409, "BucketAlreadyOwnedByYou"):  # AWS outside of us-east-1
        expect(answer.status, 200, "status")


@check("keep-alive", "a connection goes on after every kind of answer", CURL)
def keep_alive(place: Place) -> None:
    key = place.put(b"0123456789")
    path, missing = path_of(place.bucket, key), path_of(place.bucket, place.key())
    put = {"headers": {"Content-Length": "4"}, "body": b"body"}
    asked = (("GET", path), ("GET", missing), ("HEAD", path), ("HEAD", missing), ("DELETE", missing), ("PUT", path))
    with place.wire.connection() as connection:
        for method, where in asked:
            try:
                place.wire.ask_on(connection, method, where, **(put if method == "PUT" else {}))  # type: ignore[arg-type]
            except (http.client.HTTPException, OSError) as error:
                raise Differs(f"closed at or before {method} of {where}: {error!r}") from None
        expect(place.wire.ask_on(connection, "GET", path).body, b"body", "at last")


@check("expect-continue", "Expect: 100-continue is answered before the body is sent", "botocore, Java SDK")
def expect_continue(place: Place) -> None:
    path = path_of(place.bucket, place.key())
    with place.wire.connection() as connection:
        connection.putrequest("PUT", path, skip_host=True, skip_accept_encoding=True)
        for name, value in place.wire.signed("PUT", path):
            connection.putheader(name, value)
        connection.putheader("Content-Length", "4")
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        connection.sock.settimeout(5)
        try:
            line = connection.sock.recv(4096)
        except TimeoutError:
            raise Differs("no 100 Continue within 5 s") from None
        expect(line[:12], b"HTTP/1.1 100", "the first line")


@check("entity-too-large", "a header section or metadata beyond what S3 allows is refused, not cut", "everybody")
def too_large(place: Place) -> None:
    given = {"Bucket": place.bucket, "Key": place.key(), "Body": b"", "Metadata": {"big": "x" * 2100}}
    status, _ = refusal(place.s3.put_object, **given)
    expect(status, 400, "status")
