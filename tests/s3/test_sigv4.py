"""Signature Version 4: what AWS's documentation and botocore sign is believed, and nothing else is."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

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
from s3gw.s3.head import RequestHead
from s3gw.s3.sigv4 import SigningKeys, Verified, instant, parse, payload_mode, verify

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"
SCOPE = "20130524/us-east-1/s3/aws4_request"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
STAMP = "20130524T000000Z"
THEN = 1369353600
BUCKET_HOST = {"host": "examplebucket.s3.amazonaws.com", "x-amz-date": STAMP}

quick = settings(max_examples=150, deadline=None, derandomize=True)


def authorization(signed_headers: str, signature: str, scope: str = SCOPE) -> str:
    return f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope},SignedHeaders={signed_headers},Signature={signature}"


def example(method: str, target: str, signed: str, signature: str, **headers: str) -> RequestHead:
    """A request of AWS's documentation; ``_`` in the names of ``headers`` stands for ``-``."""
    sent = {**BUCKET_HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    sent.setdefault("x-amz-content-sha256", EMPTY)
    return RequestHead(method, target, {**sent, "authorization": authorization(signed, signature)})


GET_RANGE = example(
    "GET",
    "/test.txt",
    "host;range;x-amz-content-sha256;x-amz-date",
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    range="bytes=0-9",
)
STREAMED = {
    "host": "s3.amazonaws.com",
    "content_encoding": "aws-chunked",
    "content_length": "66824",
    "x_amz_decoded_content_length": "66560",
    "x_amz_storage_class": "REDUCED_REDUNDANCY",
}
EXAMPLES = {
    "GET Object": GET_RANGE,
    "PUT Object": example(
        "PUT",
        "/test%24file.text",
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        date="Fri, 24 May 2013 00:00:00 GMT",
        x_amz_storage_class="REDUCED_REDUNDANCY",
        x_amz_content_sha256="44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    ),
    "GET Bucket lifecycle": example(
        "GET",
        "/?lifecycle",
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "GET Bucket (List Objects)": example(
        "GET",
        "/?max-keys=2&prefix=J",
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
    "PUT Object in chunks": example(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
        "x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        x_amz_content_sha256="STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        **STREAMED,
    ),
    "PUT Object in chunks, with a trailer": example(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;"
        "x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        x_amz_content_sha256="STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        x_amz_trailer="x-amz-checksum-crc32c",
        **STREAMED,
    ),
}
PRESIGNED_TARGET = (
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)
PRESIGNED = RequestHead("GET", PRESIGNED_TARGET, {"host": "examplebucket.s3.amazonaws.com"})


def check(head: RequestHead, now: float = THEN, secret: str = SECRET, region: str = REGION) -> Verified:
    signed = parse(head)
    assert signed is not None
    return verify(signed, head, secret, now, region, SigningKeys())


def changed(head: RequestHead, *, method: str = "", target: str = "", **headers: str | None) -> RequestHead:
    """``head`` with parts of it replaced; a header of None is taken away."""
    sent = {**head.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    old = f"{head.raw_path}?{head.raw_query}" if head.raw_query else head.raw_path
    kept = {name: value for name, value in sent.items() if value is not None}
    return RequestHead(method or head.method, target or old, kept)


def botocore_signs(
    method: str, path: str, query: str = "", headers: dict[str, str] | None = None, *, expires: int = 0
) -> RequestHead:
    """What a server sees of a request that botocore signed, by header or (with ``expires``) by presigned URL."""
    host = "http://localhost:9000"
    request = AWSRequest(method=method, url=f"{host}{path}{'?' if query else ''}{query}", headers=headers or {})
    credentials = Credentials(ACCESS_KEY, SECRET)
    if expires:
        S3SigV4QueryAuth(credentials, "s3", REGION, expires=expires).add_auth(request)
    else:
        S3SigV4Auth(credentials, "s3", REGION).add_auth(request)
    sent = {name.lower(): value for name, value in request.headers.items()}
    return RequestHead(method, request.url.removeprefix(host), {**sent, "host": "localhost:9000"})


def time_of(head: RequestHead) -> int:
    seconds = instant(head.header("x-amz-date") or head.query.get("X-Amz-Date") or "")
    assert seconds is not None
    return seconds


class DocumentationTests(SynchronousTestCase):
    """The worked examples of AWS's documentation."""

    def test_header(self) -> None:
        """Each signed request of the documentation is believed."""
        for name, head in EXAMPLES.items():
            verified = check(head)
            self.assertEqual(verified.access_key, ACCESS_KEY, name)
            self.assertEqual(verified.scope, SCOPE, name)
            self.assertEqual(verified.timestamp, STAMP, name)
            self.assertEqual(verified.payload, head.header("x-amz-content-sha256"), name)
            self.assertTrue((head.header("authorization") or "").endswith(verified.signature), name)

    def test_spaces(self) -> None:
        """Spaces behind the commas of the Authorization header, and the order of its parts, do not matter."""
        scheme, _, rest = (GET_RANGE.header("authorization") or "").partition(" ")
        for joint in (", ", " ,\t", ",  "):
            check(changed(GET_RANGE, authorization=f"{scheme}  {joint.join(reversed(rest.split(',')))}"))

    def test_presigned(self) -> None:
        """The presigned URL of the documentation is believed for a day, its payload unsigned."""
        for now in (THEN - 900, THEN, THEN + 86400):
            self.assertEqual(check(PRESIGNED, now).payload, "UNSIGNED-PAYLOAD")

    def test_tampered(self) -> None:
        """None of the examples is believed for another request, with another secret, or with another signature."""
        for head in (*EXAMPLES.values(), PRESIGNED):
            for other in (
                changed(head, method="POST"),
                changed(head, target=f"{head.raw_path}x?{head.raw_query}"),
                changed(head, target=f"{head.raw_path}?{head.raw_query}&acl"),
                changed(head, host="examplebucket.s3.amazonaws.org"),
            ):
                self.assertRaises(SignatureDoesNotMatch, check, other)
            self.assertRaises(SignatureDoesNotMatch, check, head, secret=SECRET + "x")
            signature = head.query.get("X-Amz-Signature") or (head.header("authorization") or "")[-64:]
            for wrong in (signature.upper(), signature[:-1], signature[:-1] + "\xe9", "0" * 64):
                forged = changed(
                    head,
                    target=f"{head.raw_path}?{head.raw_query.replace(signature, quote(wrong))}".rstrip("?"),
                    authorization=(head.header("authorization") or "").replace(signature, wrong) or None,
                )
                self.assertRaises(SignatureDoesNotMatch, check, forged)


class BotocoreTests(SynchronousTestCase):
    """What botocore signs is believed."""

    keys = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=40)
    pairs = st.lists(st.tuples(keys, st.text(st.characters(exclude_categories=("Cs",)), max_size=20)), max_size=4)

    @quick
    @given(keys, pairs, st.booleans())
    def test_any_key_and_query(self, key: str, pairs: list[tuple[str, str]], presigned: bool) -> None:
        """Any key and any query, signed in the header or presigned."""
        path = "/bucket/" + quote(key, safe="/~")
        query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
        head = botocore_signs("PUT", path, query, expires=60 if presigned else 0)
        now = time_of(head)
        check(head, now)
        self.assertRaises(SignatureDoesNotMatch, check, changed(head, method="GET"), now)
        other = f"{path}0?{head.raw_query}"
        self.assertRaises(SignatureDoesNotMatch, check, changed(head, target=other), now)

    @quick
    @given(st.text(st.sampled_from("ab \tA,;=/+"), max_size=20), st.text(st.sampled_from("xéà  "), max_size=9))
    def test_header_values(self, plain: str, text: str) -> None:
        """White space in and around header values, and their bytes beyond ASCII."""
        sent = {"x-amz-meta-plain": plain, "x-amz-meta-text": text}
        head = botocore_signs("PUT", "/bucket/key", headers=sent)
        as_sent = changed(head, **{n.replace("-", "_"): v.encode().decode("latin-1") for n, v in sent.items()})
        check(as_sent, time_of(head))

    @quick
    @given(keys, st.randoms(use_true_random=False))
    def test_spelling(self, key: str, random: Any) -> None:
        """A path's bytes may be escaped or not, in upper or lower case: S3 signs one spelling of them."""
        head = botocore_signs("GET", "/bucket/" + quote(key, safe="/~"))
        spelled = "".join(
            chr(byte) if random.random() < 0.5 and byte not in b"%?/" else f"%{byte:02x}" if byte != 0x2F else "/"
            for byte in key.encode()
        )
        check(changed(head, target="/bucket/" + spelled), time_of(head))

    def test_virtual_host(self) -> None:
        """The path is signed as sent, without the bucket that the Host header names."""
        for head in EXAMPLES.values():
            if (head.header("host") or "").startswith("examplebucket"):
                self.assertRaises(SignatureDoesNotMatch, check, changed(head, target=f"/examplebucket{head.raw_path}"))

    def test_one_signing_key_per_day(self) -> None:
        """A cache of signing keys that is shared and too small changes no answer, nor does a changed secret."""
        keys = SigningKeys(capacity=1)
        head = botocore_signs("GET", "/bucket/key")
        for _ in range(3):
            for request, now in ((head, time_of(head)), (GET_RANGE, THEN)):
                signed = parse(request)
                assert signed is not None
                verify(signed, request, SECRET, now, REGION, keys)
                self.assertRaises(SignatureDoesNotMatch, verify, signed, request, "other", now, REGION, keys)

    def test_keys_hide_secrets(self) -> None:
        """Signing keys can be logged by mistake: neither secrets nor keys are in what is seen of them."""
        keys = SigningKeys()
        key = keys[SECRET, "20130524", REGION]
        self.assertIs(keys[SECRET, "20130524", REGION], key)
        for seen in (f"{keys!r} {keys} {key!r}", repr(vars(keys))):
            self.assertNotIn(SECRET, seen)

    def test_escaped_slash(self) -> None:
        """The signature of one key is not that of another which differs from it by an escaped slash."""
        head = botocore_signs("DELETE", "/b/k")
        self.assertRaises(SignatureDoesNotMatch, check, changed(head, target="/b%2Fk"), time_of(head))


class RefusalTests(SynchronousTestCase):
    """What is not a valid signature is refused in AWS's words."""

    def refused(self, error: type[S3Error], message: str, head: RequestHead, now: float = THEN, **fields: str) -> None:
        """``head`` is refused so, with at least these fields; ``_`` in their names stands for ``-``."""
        caught = self.assertRaises(error, check, head, now)
        self.assertEqual(caught.message, message)
        for name, value in fields.items():
            self.assertEqual(caught.fields[name.replace("_", "-")], value)

    def test_anonymous(self) -> None:
        """A request without credentials is nobody's."""
        for target in ("/b/k", "/b?list-type=2&prefix=X-Amz-Algorithm", "/b/k?AWSAccessKeyId=1"):
            self.assertIsNone(parse(RequestHead("GET", target, {"host": "h"})))

    def test_version_2(self) -> None:
        """Signature Version 2 is refused as in AWS's newer regions."""
        message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        self.refused(InvalidRequest, message, RequestHead("GET", "/b", {"authorization": "AWS AKID:c2ln"}))
        self.refused(InvalidRequest, message, RequestHead("GET", "/b?AWSAccessKeyId=A&Expires=1&Signature=s", {}))

    def test_two_mechanisms(self) -> None:
        """A request that is signed twice is refused."""
        header = GET_RANGE.header("authorization")
        self.refused(
            InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string"
            " parameter or the Authorization header should be specified",
            changed(PRESIGNED, authorization=header),
            ArgumentName="Authorization",
            ArgumentValue=header or "",
        )

    def test_session_token(self) -> None:
        """A session token is refused: there are no sessions."""
        message = "The provided token is malformed or otherwise invalid."
        self.refused(InvalidToken, message, changed(GET_RANGE, x_amz_security_token="t"))
        self.refused(InvalidToken, message, changed(PRESIGNED, target=f"{PRESIGNED_TARGET}&X-Amz-Security-Token=t"))

    def test_other_schemes(self) -> None:
        """Other schemes are refused: those that S3 has as not implemented, the rest as S3 does."""
        for scheme in ("Basic dTpw", "Bearer t", "AWS4-HMAC-SHA1 Credential=x"):
            head = RequestHead("GET", "/b", {"authorization": scheme})
            self.refused(InvalidArgument, "Unsupported Authorization Type", head, ArgumentValue=scheme)
        one_space = "Authorization header is invalid -- one and only one ' ' (space) required."
        self.refused(InvalidArgument, one_space, RequestHead("GET", "/b", {"authorization": "nonsense"}))
        ecdsa = {"authorization": "AWS4-ECDSA-P256-SHA256 Credential=x"}
        self.assertRaises(NotImplemented, parse, RequestHead("GET", "/b", ecdsa))
        target = PRESIGNED_TARGET.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")
        self.assertRaises(NotImplemented, parse, RequestHead("GET", target, {}))

    def test_malformed_header(self) -> None:
        """An Authorization header that cannot be understood says what is wrong with it."""
        credential = f"Credential={ACCESS_KEY}/{SCOPE}"
        expecting = 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        three = "the authorization header requires three components: Credential, SignedHeaders, and Signature."
        for rest, detail in {
            "": 'the authorization component "" is malformed.',
            "x": 'the authorization component "x" is malformed.',
            f"{credential},SignedHeaders=host,Signature=": 'the authorization component "Signature=" is malformed.',
            f"{credential},{credential}": f'the authorization component "{credential}" is malformed.',
            f"{credential},SignedHeaders=host": three,
            f"{credential},SignedHeaders=host,Sign=1": three,
            f"{credential},SignedHeaders=a;;b,Signature=1": (
                'the authorization component "SignedHeaders=a;;b" is malformed.'
            ),
            "Credential=a/b/c,SignedHeaders=host,Signature=1": expecting,
            f"Credential=/{SCOPE},SignedHeaders=host,Signature=1": expecting,
            f"{credential}/x,SignedHeaders=host,Signature=1": expecting,
            "Credential=A/2013/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=1": (
                'incorrect date format "2013". This date in the credential must be in the format "yyyyMMdd".'
            ),
        }.items():
            head = changed(GET_RANGE, authorization=f"AWS4-HMAC-SHA256 {rest}")
            self.refused(AuthorizationHeaderMalformed, f"The authorization header is malformed; {detail}", head)

    def test_wrong_scope(self) -> None:
        """A signature for another region, service, day or protocol is refused, and clients learn our region."""
        for scope, detail, fields in (
            (
                "20130524/eu-west-1/s3/aws4_request",
                "the region 'eu-west-1' is wrong; expecting 'us-east-1'",
                {"Region": "us-east-1"},
            ),
            (
                "20130524/us-east-1/ec2/aws4_request",
                'incorrect service "ec2". This endpoint belongs to "s3".',
                {},
            ),
            (
                "20130524/us-east-1/s3/aws4",
                'incorrect terminal "aws4". This endpoint uses "aws4_request".',
                {},
            ),
            (
                "20130523/us-east-1/s3/aws4_request",
                'Invalid credential date "20130523". This date is not the same as X-Amz-Date: "20130524".',
                {},
            ),
        ):
            head = changed(GET_RANGE, authorization=authorization("host;x-amz-date", "0" * 64, scope))
            message = f"The authorization header is malformed; {detail}"
            self.refused(AuthorizationHeaderMalformed, message, head, **fields)
            target = PRESIGNED_TARGET.replace(quote(SCOPE, safe=""), quote(scope, safe=""))
            prefix = "" if detail.startswith("Invalid") else "Error parsing the X-Amz-Credential parameter; "
            url = changed(PRESIGNED, target=target)
            self.refused(AuthorizationQueryParametersError, prefix + detail, url, **fields)

    def test_malformed_query(self) -> None:
        """Query parameters that are missing or cannot be understood are refused as such."""
        incomplete = (
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature,"
            " X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
        for old, new, message in (
            ("X-Amz-Date=20130524T000000Z", "", incomplete),
            ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "", incomplete),
            ("X-Amz-Expires=86400", "X-Amz-Expires=", incomplete),
            ("=AWS4-HMAC-SHA256", "=AWS4", 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"'),
            ("=86400", "=soon", "X-Amz-Expires should be a number"),
            ("=86400", "=1e3", "X-Amz-Expires should be a number"),
            (
                "=20130524T000000Z",
                "=2013-05-24",
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
            ),
            ("=host", "=host%0Ax", "X-Amz-SignedHeaders must be a list of header names joined by ';'"),
        ):
            head = changed(PRESIGNED, target=PRESIGNED_TARGET.replace(old, new))
            self.refused(AuthorizationQueryParametersError, message, head)

    def test_lifetime(self) -> None:
        """A URL that is valid for less than nothing or more than a week is not valid at all."""
        for seconds, message in (
            (-1, "X-Amz-Expires must be non-negative"),
            (
                604801,
                "X-Amz-Expires must be less than a week (in seconds);"
                " that is, the given X-Amz-Expires must be less than 604800 seconds",
            ),
        ):
            head = changed(PRESIGNED, target=PRESIGNED_TARGET.replace("=86400", f"={seconds}"))
            self.refused(AccessDenied, message, head)

    def test_skew(self) -> None:
        """A clock that is more than 15 minutes off is told so."""
        check(GET_RANGE, THEN + 900)
        check(GET_RANGE, THEN - 900)
        for now, server in ((THEN + 901, "2013-05-24T00:15:01Z"), (THEN - 901, "2013-05-23T23:44:59Z")):
            self.refused(
                RequestTimeTooSkewed,
                "The difference between the request time and the current time is too large.",
                GET_RANGE,
                now,
                RequestTime=STAMP,
                ServerTime=server,
                MaxAllowedSkewMilliseconds="900000",
            )

    def test_date(self) -> None:
        """Without x-amz-date the Date header counts, in either of its forms; without a valid one nothing does."""
        message = "AWS authentication requires a valid Date or x-amz-date header"
        for date in (None, "", "yesterday", "20130524T000000", "20130524T250000Z", "20131324T000000Z"):
            self.refused(AccessDenied, message, changed(GET_RANGE, x_amz_date=date))
        for date in (STAMP, "Fri, 24 May 2013 00:00:00 GMT", "Fri May 24 00:00:00 2013"):
            head = changed(GET_RANGE, x_amz_date=None, date=date, authorization=authorization("date;host", "0" * 64))
            wrong = self.assertRaises(SignatureDoesNotMatch, check, head)
            self.assertIn(f"\n{STAMP}\n", wrong.fields["StringToSign"])

    def test_expired(self) -> None:
        """A presigned URL works from its date, or a quarter of an hour before, for its time, and no longer."""
        for now, message, fields in (
            (THEN + 86401, "Request has expired", {"X_Amz_Expires": "86400", "ServerTime": "2013-05-25T00:00:01Z"}),
            (THEN - 901, "Request is not yet valid", {"X_Amz_Date": "1369353600000"}),
        ):
            self.refused(AccessDenied, message, PRESIGNED, now, Expires="2013-05-25T00:00:00Z", **fields)

    def test_expires_bounds(self) -> None:
        """A presigned URL may last a week, and no time at all."""
        week = botocore_signs("GET", "/b/k", expires=604800)
        check(week, time_of(week) + 604800)
        none = changed(PRESIGNED, target=PRESIGNED_TARGET.replace("=86400", "=0"))
        self.refused(AccessDenied, "Request has expired", none, THEN + 1, X_Amz_Expires="0")

    def test_unsigned_headers(self) -> None:
        """Host and every x-amz- header must be signed; what the canonical request holds anyway need not be."""
        message = "There were headers present in the request which were not signed"
        head = changed(GET_RANGE, x_amz_acl="public-read", x_amz_meta_a="b", x_amzn_trace_id="t", x_other="o")
        self.refused(AccessDenied, message, head, HeadersNotSigned="x-amz-acl, x-amz-meta-a")
        no_host = changed(GET_RANGE, authorization=authorization("x-amz-date", "0" * 64))
        self.refused(AccessDenied, message, no_host, HeadersNotSigned="host")
        extra = changed(PRESIGNED, x_amz_meta_a="b")
        self.refused(AccessDenied, message, extra, HeadersNotSigned="x-amz-meta-a")

    def test_payload(self) -> None:
        """The header must say how the payload is signed, in a way that S3 knows."""
        missing = "Missing required header for this request: x-amz-content-sha256"
        self.refused(InvalidRequest, missing, changed(GET_RANGE, x_amz_content_sha256=None))
        for value in ("", "unsigned-payload", EMPTY[1:], EMPTY.upper(), "STREAMING-PAYLOAD"):
            error = self.assertRaises(InvalidArgument, payload_mode, value)
            self.assertEqual(error.fields["ArgumentValue"], value)
        ecdsa = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
        self.assertIn(ecdsa, self.assertRaises(NotImplemented, payload_mode, ecdsa).message)
        head = botocore_signs("PUT", "/b/k", f"X-Amz-Content-Sha256={EMPTY}", expires=9)
        # botocore signs UNSIGNED-PAYLOAD whatever the query says.
        self.assertRaises(SignatureDoesNotMatch, check, head, time_of(head))

    def test_what_was_signed(self) -> None:
        """A wrong signature is answered by what should have been signed, so that the difference can be found."""
        head = changed(GET_RANGE, target="/other.txt", range="bytes=0-9")
        error = self.assertRaises(SignatureDoesNotMatch, check, head)
        request = (
            "GET\n/other.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n"
            f"x-amz-content-sha256:{EMPTY}\nx-amz-date:{STAMP}\n\nhost;range;x-amz-content-sha256;x-amz-date\n{EMPTY}"
        )
        self.assertEqual(error.fields["CanonicalRequest"], request)
        self.assertEqual(bytes.fromhex(error.fields["CanonicalRequestBytes"]).decode(), request)
        self.assertEqual(error.fields["AWSAccessKeyId"], ACCESS_KEY)
        self.assertEqual(error.fields["SignatureProvided"], (GET_RANGE.header("authorization") or "")[-64:])
        self.assertTrue(error.fields["StringToSign"].startswith(f"AWS4-HMAC-SHA256\n{STAMP}\n{SCOPE}\n"))
        self.assertTrue(error.fields["StringToSignBytes"].startswith("41 57 53 34 2d"))

    def test_far_away(self) -> None:
        """The last day of the calendar is too far away, and no trouble to say so."""
        late = PRESIGNED_TARGET.replace("=20130524", "=99991231")
        message = "Request is not yet valid"
        self.refused(AccessDenied, message, changed(PRESIGNED, target=late), Expires="9999-12-31T23:59:59Z")

    @quick
    @given(
        st.sampled_from(("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Content-Sha256")),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=30),
    )
    def test_any_parameter(self, name: str, value: str) -> None:
        """Whatever a presigned URL says, it gets an answer of S3."""
        pieces = [piece for piece in PRESIGNED.raw_query.split("&") if not piece.startswith(f"X-Amz-{name}=")]
        query = "&".join([*pieces, f"X-Amz-{name}={quote(value, safe='')}"])
        self.assertRaises(S3Error, check, changed(PRESIGNED, target=f"/test.txt?{query}"))

    @quick
    @given(st.text(st.characters(max_codepoint=255), max_size=60), st.sampled_from(("authorization", "x_amz_date")))
    def test_any_header(self, value: str, name: str) -> None:
        """Whatever stands in the headers, it gets an answer of S3."""
        prefix = "AWS4-HMAC-SHA256 " if name == "authorization" else ""
        self.assertRaises(S3Error, check, changed(GET_RANGE, **{name: prefix + value}))
