"""Addresses and signatures."""

from __future__ import annotations

import ipaddress

from s3gw.admin.endpoint import Endpoint
from s3gw.admin.probe.check import Skipped, check, expect
from s3gw.admin.probe.place import Place
from s3gw.admin.probe.wire import Wire, fetch, path_of

LOOPBACK = {"http": "localhost", "https": "s3.localhost"}
"""Names of this machine with subdomains; OpenSSL accepts no certificate for ``*.localhost``."""


@check("virtual-host", "BUCKET.HOST addresses a bucket", "AWS CRT and LMCache by default, most SDKs")
def virtual_host(place: Place) -> None:
    suffix = place.suffix or _suffix(place.wire)
    key = place.put()
    host = place.wire.authority(place.bucket, suffix)
    answer = place.wire.ask("GET", f"/{key}", host=host)
    expect((answer.status, answer.body), (200, b"body"), f"GET at {host}")


def _suffix(wire: Wire) -> str:
    try:
        address = ipaddress.ip_address(wire.host)
    except ValueError:
        return wire.host
    if address.is_loopback:
        return LOOPBACK[wire.scheme]
    raise Skipped("an IP address has no subdomains: name the host with --virtual-host-suffix")


@check("presigned", "presigned URLs upload and download, as they are and no other way", "browsers, whoever has no keys")
def presigned(place: Place) -> None:
    if not place.endpoint.signed:
        raise Skipped("nothing is signed")
    key = place.key("a b+c ü")
    where = {"Bucket": place.bucket, "Key": key}
    put = place.s3.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
    get = place.s3.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
    expect(fetch(place.wire.context, put, "PUT", b"presigned")[0], 200, "PUT")
    expect(fetch(place.wire.context, get), (200, b"presigned"), "GET")
    expect(fetch(place.wire.context, get.replace("Expires=60", "Expires=61"))[0], 403, "a changed one")
    expect(fetch(place.wire.context, get, "PUT", b"x")[0], 403, "another method")


@check("unsigned-refused", "a request without a signature is 403 AccessDenied", "whoever signs")
def unsigned(place: Place) -> None:
    if not place.endpoint.signed:
        raise Skipped("nothing is signed")
    bare = Wire(Endpoint(place.endpoint.url, ca=place.endpoint.ca, signed=False, profile=place.endpoint.profile))
    answer = bare.ask("GET", path_of(place.bucket, place.put()))
    expect((answer.status, answer.element("Code")), (403, "AccessDenied"), "answer")


@check("tampered-refused", "a request changed after it was signed is 403 SignatureDoesNotMatch", "whoever signs")
def tampered(place: Place) -> None:
    if not place.endpoint.signed:
        raise Skipped("nothing is signed")
    one, other = place.put(), place.put()
    headers = dict(place.wire.signed("GET", path_of(place.bucket, one)))
    with place.wire.connection() as connection:
        connection.request("GET", path_of(place.bucket, other), headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    expect((answer.status, b"SignatureDoesNotMatch" in body), (403, True), "answer")
