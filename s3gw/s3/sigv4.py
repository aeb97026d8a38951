"""AWS Signature Version 4 for S3, the server's side: who signed a request, and is it what they signed?

============ ======================================================= ==================================================
form         where the credentials are                               valid
============ ======================================================= ==================================================
header       ``Authorization: AWS4-HMAC-SHA256 Credential=...``      15 minutes around ``x-amz-date`` (or ``Date``)
presigned    ``?X-Amz-Algorithm=...&X-Amz-Credential=...``           from ``X-Amz-Date`` for ``X-Amz-Expires`` seconds
============ ======================================================= ==================================================

`parse` reads what a request claims, the caller looks the secret up, `verify` believes it or raises. The clock and the
secret are arguments: times are seconds since the epoch. The forms of browser uploads are `policy_signature`'s.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import NoReturn

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from s3gw.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    NotImplemented,
    RequestTimeTooSkewed,
    S3Error,
    SignatureDoesNotMatch,
)
from s3gw.s3.canonical import ALGORITHM, SignedHeaders, canonical_query, canonical_request, string_to_sign
from s3gw.s3.dates import parse_http_date
from s3gw.s3.head import ORDINARY, Query, RequestHead, split_signature
from s3gw.s3.memo import remembered

MAX_SKEW = 15 * 60
"""How far, in seconds, a client's clock may be off."""

MAX_EXPIRES = 7 * 24 * 3600
"""The longest life of a presigned URL, in seconds."""

UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

_EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_USUAL_PAYLOADS = frozenset((UNSIGNED, STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER, _EMPTY_SHA256))
_HEX_SHA256 = re.compile("[0-9a-f]{64}")
_HEADER_NAMES = re.compile("[a-z0-9!#$%&'*+.^_`|~-]+(?:;[a-z0-9!#$%&'*+.^_`|~-]+)*")
# As nearly everybody writes it. Whatever else there is goes the longer way, on which its faults are named.
_USUAL_AUTHORIZATION = re.compile(f"{ALGORITHM} Credential=([^,= \t]+), ?SignedHeaders=([^,= \t]+), ?")
_ISO_BASIC = re.compile("([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_DATE = re.compile("[0-9]{8}")
_END_OF_9999 = 253402300799

# x-amz-content-sha256 needs no signature of its own: its value is the last line of the canonical request.
_NEEDS_NONE = "x-amz-content-sha256"
# Headers of usual requests that need none.
_UNSIGNED_HEADERS = frozenset(name for name in ORDINARY if not name.startswith("x-amz-") or name == _NEEDS_NONE)

_SIGV2 = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
_CUSTOMER_KEY = re.compile(rb"(?m)(server-side-encryption-customer-key[:=])[^&\n]*")
"""The value of such a header, or parameter, in a canonical request."""

_ONE_MECHANISM = (
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter"
    " or the Authorization header should be specified"
)
_QUERY_PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
_QUERY_INCOMPLETE = (
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature,"
    " X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
)
_PAYLOAD_HASH = (
    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER,"
    " STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER,"
    " STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"
    " or a valid sha256 value."
)

Refusal = Callable[[str], S3Error]
"""Makes the error for a bad credential from a detail; its class depends on where the credential was found."""


class Credential(msgspec.Struct, frozen=True):
    """``<access key>/<yyyyMMdd>/<region>/<service>/aws4_request``.

    :ivar scope: all of it but the access key.
    """

    access_key: str
    date: str
    region: str
    service: str
    terminator: str
    scope: str

    @classmethod
    def parse(cls, text: str, refusal: Refusal) -> Credential:
        """:raises S3Error: what ``refusal`` makes, when ``text`` is no credential."""
        parts = text.split("/")
        if len(parts) != 5 or not parts[0]:
            raise refusal('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
        access_key, date, region, service, terminator = parts
        if not _DATE.fullmatch(date):
            raise refusal(
                f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".'
            )
        return cls(access_key, date, region, service, terminator, text.removeprefix(f"{access_key}/"))

    def check(self, region: str, refusal: Refusal) -> None:
        """:raises S3Error: what ``refusal`` makes, when the scope is not that of S3 in ``region``."""
        if self.region != region:
            error = refusal(f"the region '{self.region}' is wrong; expecting '{region}'")
            error.fields["Region"] = region
            raise error
        if self.service != "s3":
            raise refusal(f'incorrect service "{self.service}". This endpoint belongs to "s3".')
        if self.terminator != "aws4_request":
            raise refusal(f'incorrect terminal "{self.terminator}". This endpoint uses "aws4_request".')


class Claim(msgspec.Struct, frozen=True):
    """What a client says of its signatures, beside each signature itself: by header the same all day, by presigned URL
    for a second. Nothing of it is verified.

    :ivar enough: headers that a request may have on the strength of ``headers``; none at all if Host is not among
        these. A request with others has more to be said of it: they may still be such as need no signature.
    :ivar expires: seconds for which a presigned URL is valid; None when the header signs.
    :ivar date: ``X-Amz-Date`` of a presigned URL. :ivar query: its query in canonical form.
    :ivar payload: its ``X-Amz-Content-Sha256``; without one the payload is not signed.
    """

    credential: Credential
    headers: SignedHeaders
    enough: frozenset[str]
    expires: int | None = None
    date: str = ""
    query: str = ""
    payload: str = UNSIGNED


class SignedRequest(msgspec.Struct, frozen=True):
    """What a request claims about its signature; nothing of it is verified."""

    claim: Claim
    signature: str


class Verified(msgspec.Struct, frozen=True):
    """A request whose signature holds, with what the signatures of its body's chunks build upon.

    :ivar timestamp: ``yyyyMMddTHHmmssZ``. :ivar signature: the seed of the chunk signatures, 64 hex digits.
    :ivar payload: the value of x-amz-content-sha256, one that `payload_mode` accepts.
    """

    access_key: str
    signing_key: SigningKey
    scope: str
    timestamp: str
    signature: str
    payload: str


class SigningKey:
    """Signs for S3 in one region on one day.

    It is kept as an HMAC that has taken in its key: for a text as short as what is signed, that is half of the work."""

    __slots__ = ("_keyed",)

    def __init__(self, secret: str, date: str, region: str) -> None:
        """:param date: ``yyyyMMdd``."""
        key = ("AWS4" + secret).encode()
        for part in (date, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._keyed = HMAC(key, hashes.SHA256())

    def sign(self, text: bytes) -> str:
        """The signature of ``text``: 64 hex digits."""
        signing = self._keyed.copy()
        signing.update(text)
        return signing.finalize().hex()


class SigningKeys(dict[tuple[str, str, str], SigningKey]):
    """A bounded cache of the keys that sign for S3, by secret, date (``yyyyMMdd``) and region; it derives those that it
    does not have. A changed secret never meets its old key."""

    def __init__(self, capacity: int = 1024) -> None:
        super().__init__()
        self._capacity = capacity

    def __missing__(self, name: tuple[str, str, str]) -> SigningKey:
        if len(self) >= self._capacity:
            self.clear()
        key = self[name] = SigningKey(*name)
        return key

    def __repr__(self) -> str:
        return f"<{len(self)} signing keys>"  # never the secrets


def payload_mode(value: str) -> str:
    """``value`` of x-amz-content-sha256, when it is one that we know: a hex SHA-256, unsigned, or a streaming form.

    :raises NotImplemented: for the ECDSA forms of Signature Version 4A. :raises InvalidArgument: for anything else."""
    if value in _USUAL_PAYLOADS or _HEX_SHA256.fullmatch(value):
        return value
    if value.startswith("STREAMING-AWS4-ECDSA-"):
        raise NotImplemented(f"x-amz-content-sha256: {value} is not implemented")
    raise InvalidArgument(_PAYLOAD_HASH, ArgumentName="x-amz-content-sha256", ArgumentValue=value)


def parse(head: RequestHead) -> SignedRequest | None:
    """What ``head`` says about its signature; None when it is anonymous.

    :raises InvalidRequest: for Signature Version 2. :raises InvalidToken: for a session token: we issue none.
    :raises InvalidArgument: :raises AuthorizationHeaderMalformed: :raises AuthorizationQueryParametersError:
        when what it says cannot be understood.
    """
    authorization = head.headers.get("authorization")
    if not head.raw_query:
        if authorization is None:
            return None
        if "x-amz-security-token" in head.headers:
            raise InvalidToken()
        return _from_header(authorization)
    if authorization is None and head.bare and "x-amz-security-token" not in head.headers:
        usual = _from_usual_query(head.raw_query)
        if usual is not None:
            return usual
    query = head.query
    presigned = "X-Amz-Algorithm" in query or "X-Amz-Signature" in query or "X-Amz-Credential" in query
    version_2 = "Signature" in query and "AWSAccessKeyId" in query
    if authorization is None:
        if version_2:
            raise InvalidRequest(_SIGV2)
        if not presigned:
            return None
    elif presigned or version_2:
        raise InvalidArgument(_ONE_MECHANISM, ArgumentName="Authorization", ArgumentValue=authorization)
    if "x-amz-security-token" in head.headers or "X-Amz-Security-Token" in query:
        raise InvalidToken()
    return _from_query(query, head.raw_query) if authorization is None else _from_header(authorization)


def _from_header(authorization: str) -> SignedRequest:
    text, _, signature = authorization.rpartition("Signature=")
    if signature and not ("," in signature or "=" in signature or " " in signature or "\t" in signature):
        claim = _usual_header(text)
        if claim is not None:
            return SignedRequest(claim, signature)
    scheme, _, rest = authorization.partition(" ")
    if scheme != ALGORITHM:
        _refuse_scheme(scheme, authorization)
    found: dict[str, str] = {}
    for piece in rest.split(","):
        component = piece.strip(" \t")
        name, _, value = component.partition("=")
        if not value or name in found:
            raise _bad_header(f'the authorization component "{component}" is malformed.')
        found[name] = value
    if found.keys() != {"Credential", "SignedHeaders", "Signature"}:
        raise _bad_header(
            "the authorization header requires three components: Credential, SignedHeaders, and Signature."
        )
    headers = _signed_headers(found["SignedHeaders"])
    if headers is None:
        raise _bad_header(f'the authorization component "SignedHeaders={found["SignedHeaders"]}" is malformed.')
    return SignedRequest(Claim(Credential.parse(found["Credential"], _bad_header), *headers), found["Signature"])


@remembered(256)
def _usual_header(text: str) -> Claim | None:
    """What an Authorization header says before ``Signature=``, if it says it as usual. :raises S3Error:"""
    usual = _USUAL_AUTHORIZATION.fullmatch(text)
    headers = None if usual is None else _signed_headers(usual[2])
    return None if usual is None or headers is None else Claim(Credential.parse(usual[1], _bad_header), *headers)


def _signed_headers(text: str) -> tuple[SignedHeaders, frozenset[str]] | None:
    """`Claim.headers` and `Claim.enough`; None for what is no list of names."""
    if not _HEADER_NAMES.fullmatch(text):
        return None
    headers = SignedHeaders(text)
    return headers, _UNSIGNED_HEADERS.union(headers.names) if "host" in headers.names else frozenset()


def _refuse_scheme(scheme: str, authorization: str) -> NoReturn:
    if scheme == "AWS":
        raise InvalidRequest(_SIGV2)
    if scheme.startswith("AWS4-ECDSA-"):
        raise NotImplemented(f"Authorization: {scheme} is not implemented. Please use {ALGORITHM}.")
    message = "Unsupported Authorization Type"
    if scheme == authorization:
        message = "Authorization header is invalid -- one and only one ' ' (space) required."
    raise InvalidArgument(message, ArgumentName="Authorization", ArgumentValue=authorization)


def _from_usual_query(raw_query: str) -> SignedRequest | None:
    """As `_from_query`; None when the signature is not where it is usually, or missing."""
    split = split_signature(raw_query)
    claim = None if split is None else _usual_query(split[0])
    return None if split is None or claim is None else SignedRequest(claim, split[1])


@remembered(256)
def _usual_query(text: str) -> Claim | None:
    """What a presigned URL says beside its signature. :raises S3Error:"""
    # Where the signature stood, among parameters of other names, does not matter.
    query = Query(text)
    return None if "X-Amz-Signature" in query else _from_query(Query(f"{text}&X-Amz-Signature=x"), text).claim


def _from_query(query: Query, raw_query: str) -> SignedRequest:
    algorithm, credential, signature, date, signed_headers, expires = map(query.get, _QUERY_PARAMETERS)
    if not (algorithm and credential and signature and date and signed_headers and expires):
        raise AuthorizationQueryParametersError(_QUERY_INCOMPLETE)
    if algorithm.startswith("AWS4-ECDSA-"):
        raise NotImplemented(f"X-Amz-Algorithm: {algorithm} is not implemented. Please use {ALGORITHM}.")
    if algorithm != ALGORITHM:
        raise AuthorizationQueryParametersError(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    headers = _signed_headers(signed_headers)
    if headers is None:
        raise AuthorizationQueryParametersError("X-Amz-SignedHeaders must be a list of header names joined by ';'")
    identity = Credential.parse(credential, _bad_query)
    payload = query.get("X-Amz-Content-Sha256") or UNSIGNED
    claim = Claim(identity, *headers, _expires(expires), date, canonical_query(raw_query), payload)
    return SignedRequest(claim, signature)


def _expires(text: str) -> int:
    if not re.fullmatch("-?[0-9]{1,18}", text):
        raise AuthorizationQueryParametersError("X-Amz-Expires should be a number")
    seconds = int(text)
    if seconds < 0:
        raise AccessDenied("X-Amz-Expires must be non-negative")
    if seconds > MAX_EXPIRES:
        raise AccessDenied(
            "X-Amz-Expires must be less than a week (in seconds);"
            f" that is, the given X-Amz-Expires must be less than {MAX_EXPIRES} seconds"
        )
    return seconds


def _bad_header(detail: str) -> S3Error:
    return AuthorizationHeaderMalformed(f"The authorization header is malformed; {detail}")


def _bad_query(detail: str) -> S3Error:
    return AuthorizationQueryParametersError(f"Error parsing the X-Amz-Credential parameter; {detail}")


@remembered(256)
def instant(text: str) -> int | None:
    """Seconds since the epoch of ``yyyyMMddTHHmmssZ``; None for anything else."""
    match = _ISO_BASIC.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        return int(datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp())
    except ValueError:
        return None


def _written(seconds: float, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    return datetime.fromtimestamp(min(seconds, _END_OF_9999), timezone.utc).strftime(form)


def verify(
    signed: SignedRequest, head: RequestHead, secret: str, now: float, region: str, keys: SigningKeys
) -> Verified:
    """Believe ``signed``, or raise.

    :param secret: the secret key that belongs to the access key that is claimed.
    :param now: seconds since the epoch. :param region: ours; no other is accepted.
    :raises RequestTimeTooSkewed: :raises AccessDenied: when it comes too early or too late, or something is not signed.
    :raises AuthorizationHeaderMalformed: :raises AuthorizationQueryParametersError: when it is meant for another scope.
    :raises InvalidRequest: :raises InvalidArgument: for a missing or unknown x-amz-content-sha256.
    :raises SignatureDoesNotMatch: with what we signed, so that the difference can be found.
    """
    claim, headers = signed.claim, head.headers
    credential = claim.credential
    presigned = claim.expires is not None
    if presigned:
        timestamp = _presigned_time(claim, now)
    else:
        timestamp = headers.get("x-amz-date", "")
        seconds = instant(timestamp)
        if seconds is None or not -MAX_SKEW <= now - seconds <= MAX_SKEW:
            timestamp = _header_time(head, now)
    if credential.scope != f"{timestamp[:8]}/{region}/s3/aws4_request":
        _refuse_scope(credential, region, timestamp, _bad_query if presigned else _bad_header)
    if not headers.keys() <= claim.enough:
        _refuse_unsigned_headers(claim.headers.names, head)
    payload = headers.get("x-amz-content-sha256")
    if payload is None:
        if not presigned:
            raise InvalidRequest("Missing required header for this request: x-amz-content-sha256")
        payload = claim.payload
    if payload not in _USUAL_PAYLOADS:
        payload_mode(payload)
    query = claim.query if presigned or not head.raw_query else canonical_query(head.raw_query)
    request = canonical_request(head.method, head.raw_path, query, headers, claim.headers, payload)
    text = string_to_sign(timestamp, credential.scope, request)
    key = keys[secret, credential.date, region]
    if not same(key.sign(text), signed.signature):
        raise mismatch(credential.access_key, text, signed.signature, request)
    return Verified(credential.access_key, key, credential.scope, timestamp, signed.signature, payload)


def same(computed: str, provided: str) -> bool:
    """Whether two signatures are equal, found out in a time that does not tell where they differ."""
    return provided.isascii() and hmac.compare_digest(computed, provided)


def mismatch(access_key: str, text: bytes, provided: str, request: bytes = b"") -> SignatureDoesNotMatch:
    """The error for a signature that is not that of ``text``: it tells what we signed, as AWS does.

    :param request: the canonical request behind ``text``, if there is one; shown without keys of customers."""
    error = SignatureDoesNotMatch(
        AWSAccessKeyId=access_key,
        StringToSign=text.decode("utf-8", "replace"),
        SignatureProvided=provided,
        StringToSignBytes=text.hex(" "),
    )
    if request:
        request = _CUSTOMER_KEY.sub(rb"\1(hidden)", request)
        error.fields["CanonicalRequest"] = request.decode("utf-8", "replace")
        error.fields["CanonicalRequestBytes"] = request.hex(" ")
    return error


def _header_time(head: RequestHead, now: float) -> str:
    sent = head.headers.get("x-amz-date") or head.headers.get("date") or ""
    timestamp, seconds = sent, instant(sent)
    if seconds is None:
        seconds = parse_http_date(sent)
        if seconds is None:
            raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
        timestamp = _written(seconds, "%Y%m%dT%H%M%SZ")
    if abs(now - seconds) > MAX_SKEW:
        raise RequestTimeTooSkewed(
            RequestTime=sent, ServerTime=_written(now), MaxAllowedSkewMilliseconds=str(MAX_SKEW * 1000)
        )
    return timestamp


def _presigned_time(claim: Claim, now: float) -> str:
    sent, expires = claim.date, claim.expires or 0
    seconds = instant(sent)
    if seconds is None:
        raise AuthorizationQueryParametersError(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    if now > seconds + expires:
        error = AccessDenied("Request has expired")
        error.fields["X-Amz-Expires"] = str(expires)
    elif seconds > now + MAX_SKEW:
        error = AccessDenied("Request is not yet valid")
        error.fields["X-Amz-Date"] = f"{seconds}000"
    else:
        return sent
    error.fields["Expires"], error.fields["ServerTime"] = _written(seconds + expires), _written(now)
    raise error


def _refuse_scope(credential: Credential, region: str, timestamp: str, refusal: Refusal) -> NoReturn:
    credential.check(region, refusal)
    detail = f'Invalid credential date "{credential.date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
    raise AuthorizationQueryParametersError(detail) if refusal is _bad_query else refusal(detail)


def _refuse_unsigned_headers(signed: Sequence[str], head: RequestHead) -> None:
    """:raises AccessDenied: when there is a header that must be signed, and is not."""
    loose = [name for name in head.headers if name.startswith("x-amz-") and name not in signed and name != _NEEDS_NONE]
    if "host" not in signed:
        loose.insert(0, "host")
    if loose:
        raise AccessDenied(
            "There were headers present in the request which were not signed", HeadersNotSigned=", ".join(loose)
        )
