"""PostObject: the upload of a browser, which a form describes and its policy permits.

fields        everything before the file, at most 20 KiB (s3/form.py)
authenticate  by the signature of the policy, which is a field: the request itself has none
permit        what the policy says of the fields (s3/policy.py)
describe      fields become what headers are to a PUT: Content-Type, x-amz-meta-*, checksums
keep          the file, as it comes, of a size that the policy allows
answer        a redirect, a document or nothing, as the form asks

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from s3gw.access.acl import Grants
from s3gw.access.facts import ANONYMOUS
from s3gw.errors import AccessDenied, InvalidArgument, MissingContentLength, UserKeyMustBeSpecified
from s3gw.model import ObjectInfo
from s3gw.operations.acls import disposition
from s3gw.operations.admission import authorize
from s3gw.operations.call import Body, Call, Response
from s3gw.operations.encryption import asked, describe_encryption, for_writing
from s3gw.operations.headers import (
    STORED,
    TTL,
    as_header,
    checksum_headers,
    refuse_unsupported,
    request_tags,
    requested_ttl,
    stored_headers,
    user_metadata,
)
from s3gw.operations.intake import Intake, keep
from s3gw.operations.lifecycle import expiration_headers
from s3gw.operations.locks import lock_for_writing
from s3gw.operations.versions import made_headers
from s3gw.s3 import xml
from s3gw.s3.checksums import DEFAULT_ALGORITHM, Digests, declared
from s3gw.s3.conditions import write_condition
from s3gw.s3.form import Form, expand_filename
from s3gw.s3.head import RequestHead
from s3gw.s3.policy import Policy, parse_policy_document
from s3gw.s3.tags import Tags, parse_tagging
from s3gw.s3.target import check_key

_LIKE_HEADERS = STORED.keys() | {"content-md5", TTL}
_NO_HEADERS = frozenset({"x-amz-trailer"})
_URL_SAFE = "".join(map(chr, range(0x21, 0x7F)))
_STATUSES = {"200": 200, "201": 201}


async def post_object(call: Call) -> Response:
    """POST /bucket, with a form"""
    form = await _read_fields(call)
    fields = expand_filename(form.fields, form.filename)
    key = _key(fields)
    call.caller = call.gateway.authenticate_form(form.fields)
    policy = _permit(call, fields)
    head = _as_head(call.head, fields)
    tags = parse_tagging(fields["tagging"].encode()) if "tagging" in fields else request_tags(head)
    owner, grants = _authorize(call, head, key, tags)
    if refuse_unsupported(head):
        call.encryption = asked(call, "PostObject", head)
    fresh = for_writing(call, key)
    checks = declared(head, DEFAULT_ALGORITHM)
    draft = ObjectInfo(
        size=0,
        modified=0,
        etag="",
        headers=stored_headers(head),
        metadata=user_metadata(head),
        tags=tags,
        owner=owner,
        grants=grants,
        lock=lock_for_writing(call, head),
        ttl=requested_ttl(call, head),
    )
    decoder, rest = form.file()
    call.body = _Resumed(call.body, rest)
    intake = Intake(decoder, Digests(checks.names), min(policy.most, call.gateway.max_object_bytes))
    info = await keep(call, key, draft, intake, checks, write_condition(call.head), policy.check_size, fresh=fresh)
    return _answer(call, fields, key, info)


def _authorize(call: Call, head: RequestHead, key: str, tags: Tags) -> tuple[str, Grants]:
    """Owner and list of the object that the form makes, if the caller may make it. Raises as `disposition`."""
    posted, call.head = call.head, head
    try:
        authorize(call, key, tags)
        return disposition(call, key, head, tagged=bool(tags))
    finally:
        call.head = posted


async def _read_fields(call: Call) -> Form:
    """The form, read up to its file."""
    headers = call.head.headers
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise MissingContentLength()
    form = Form(headers.get("content-type", ""))
    while not form.at_file:
        arrived = await call.body.read()
        if not arrived:
            form.finish()
        form.feed(b"".join(arrived))
    return form


class _Resumed:
    """A body, beginning with what was read of it already."""

    def __init__(self, body: Body, rest: bytes) -> None:
        self.length = body.length
        self._body = body
        self._rest = rest

    def take(self) -> None:
        """Something of it was read."""

    async def read(self) -> list[bytes]:
        if self._rest:
            rest, self._rest = self._rest, b""
            return [rest]
        return await self._body.read()


def _key(fields: Mapping[str, str]) -> str:
    """:raises InvalidArgument: :raises UserKeyMustBeSpecified: :raises KeyTooLongError: :raises InvalidURI:"""
    key = fields.get("key")
    if key is None:
        raise InvalidArgument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            ArgumentName="key",
            ArgumentValue="",
        )
    if not key:
        raise UserKeyMustBeSpecified()
    return check_key(key)


def _permit(call: Call, fields: Mapping[str, str]) -> Policy:
    """What the form's policy leaves open. A form without one is for callers that do not sign.

    :raises InvalidPolicyDocument: :raises AccessDenied:"""
    encoded = fields.get("policy")
    if encoded is None:
        if call.gateway.signatures and call.caller.id != ANONYMOUS.id:
            raise AccessDenied()
        return Policy(0, ())
    policy = parse_policy_document(encoded)
    policy.check(fields, call.bucket, call.gateway.clock() / 1000)
    return policy


def _as_head(head: RequestHead, fields: Mapping[str, str]) -> RequestHead:
    """The head of the PutObject that says what the fields say.

    :raises InvalidArgument: for a name or value that no header can have."""
    headers: dict[str, str] = {}
    for name, value in fields.items():
        if name == "acl":
            headers["x-amz-acl"] = value
        elif name in _LIKE_HEADERS or (name.startswith("x-amz-") and name not in _NO_HEADERS):
            headers[name] = as_header(name, value.strip())
    return RequestHead("PUT", head.raw_path, headers, secure=head.secure)


def _answer(call: Call, fields: Mapping[str, str], key: str, info: ObjectInfo) -> Response:
    """What the form asks for: ``success_action_redirect`` if it is a URL, else ``success_action_status``, else 204."""
    etag = f'"{info.etag}"'
    headers = [("ETag", etag), *checksum_headers(info.checksum), *made_headers(info)]
    headers += expiration_headers(call.bucket_info, key, info)
    headers += describe_encryption(call, info.encryption)
    redirect = fields.get("success_action_redirect") or fields.get("redirect") or ""
    if _is_url(redirect):
        query = f"bucket={quote(call.bucket, safe='')}&key={quote(key, safe='')}&etag={quote(etag, safe='')}"
        return Response(303, [*headers, ("Location", _with_query(redirect, query))])
    # The path is that of the bucket, in whichever style it was addressed.
    location = call.url(f"{call.head.raw_path.rstrip('/')}/{quote(key, safe='')}")
    headers.append(("Location", location))
    status = _STATUSES.get(fields.get("success_action_status", ""), 204)
    if status != 201:
        return Response(status, headers)
    body = xml.post_response(location, call.bucket, key, info.etag)
    return Response(201, [*headers, ("Content-Type", "application/xml")], [body])


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _with_query(url: str, query: str) -> str:
    """``url`` with more in its query, and what no header can hold percent-encoded."""
    url, hash_mark, fragment = url.partition("#")
    return quote(f"{url}{'&' if '?' in url else '?'}{query}{hash_mark}{fragment}", safe=_URL_SAFE)
