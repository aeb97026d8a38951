"""The resource tree: ServiceResource -> BucketResource -> ObjectResource, and the steps that every S3 request takes.

locate        where the address leads: the service, a bucket, an object, or one of the gateway's own pages
route         which operation it is (s3/routes.py)
authenticate  who asks (s3/sigv4.py): on the headers alone, before a byte of body is read
admit         whether the bucket exists and the caller may do this (operations/admission.py)
operate       operations/
respond       web/respond.py
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from s3gw.access.facts import ANONYMOUS
from s3gw.credentials import KeyRing
from s3gw.errors import AccessDenied, InvalidAccessKeyId, NotImplemented, S3Error, SignatureDoesNotMatch
from s3gw.model import Owner
from s3gw.operations import OPERATIONS
from s3gw.operations.admission import admit, authorize, is_trusted
from s3gw.operations.call import Call, Gateway
from s3gw.operations.cors import cross_origin_headers
from s3gw.operations.encryption import asked
from s3gw.operations.headers import check_version, hoist_headers, refuse_unsupported
from s3gw.s3.external import ExternalUrl
from s3gw.s3.policy_signature import parse_policy, verify_policy
from s3gw.s3.routes import route
from s3gw.s3.sigv4 import SigningKeys, Verified, parse, verify
from s3gw.s3.target import Bucket, Object, Service, Target, bucket_of_host, target_at
from s3gw.web.request import S3Request
from s3gw.web.respond import send, send_error

EVERYONE = Owner("", "s3gw")
"""Who every caller is when nothing is signed."""

BUCKETLESS = frozenset({"ListBuckets", "CreateBucket", "PreflightCORS"})
"""Operations that need no existing bucket."""

ADDRESSES = 4096
"""Addresses whose resources are remembered: what is read is mostly read again. A resource has no state."""

LONG_ADDRESS = 400
"""Characters of the longest address that is remembered."""

UNSIGNED = frozenset({"PostObject", "PreflightCORS"})
"""Operations that no header signs: a form carries its signature in its fields, a preflight has none."""


class Authenticator:
    """Tells who a request speaks for.

    :param keys: the known access keys; None lets everyone in.
    :param now: seconds since the epoch.
    :param external: the gateway as clients know it, if that may be another than what a proxy lets us see.
    :ivar nobody: who a request speaks for that nobody signed.
    """

    def __init__(
        self, keys: KeyRing | None, region: str, now: Callable[[], float], external: ExternalUrl | None = None
    ) -> None:
        self._keys = keys
        self._external = external
        self._region = region
        self._now = now
        self._signing_keys = SigningKeys()
        self.nobody = EVERYONE if keys is None else ANONYMOUS

    def owner_of(self, owner_id: str) -> Owner:
        """The owner with a canonical user id."""
        if owner_id == ANONYMOUS.id:
            return ANONYMOUS
        return EVERYONE if self._keys is None else self._keys.owner_of(owner_id)

    def knows(self, user: str) -> bool:
        """Whether there is a user with a canonical id."""
        return user == EVERYONE.id if self._keys is None else self._keys.knows(user)

    def id_of_email(self, address: str) -> str | None:
        """The canonical id of the user with an e-mail address."""
        return None if self._keys is None else self._keys.id_of_email(address)

    def authenticate(self, request: S3Request) -> tuple[Owner, Verified | None]:
        """The caller, and what the signature established; `ANONYMOUS` and None without one.

        :raises S3Error: what is wrong with the signature that there is."""
        if self._keys is None:
            return EVERYONE, None
        head = request.head
        signed = parse(head)
        if signed is None:
            return ANONYMOUS, None
        access_key = signed.claim.credential.access_key
        credential = self._keys.lookup(access_key)
        if credential is None:
            raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
        now, secret = self._now(), credential.secret
        try:
            verified = verify(signed, head, secret, now, self._region, self._signing_keys)
        except SignatureDoesNotMatch:
            if self._external is None:
                raise
            sent_to = head.sent_to(self._external.authority(head.headers.get("host", "")))
            verified = verify(signed, sent_to, secret, now, self._region, self._signing_keys)
        return credential.owner, verified

    def require_signed(self, request: S3Request) -> None:
        """As `authenticate`. :raises AccessDenied: also without a signature."""
        caller, _ = self.authenticate(request)
        if caller is ANONYMOUS:
            raise AccessDenied()

    def authenticate_form(self, fields: Mapping[str, str]) -> Owner:
        """The caller that the fields of a form speak for; see `Gateway.authenticate_form`.

        :raises S3Error: as `authenticate`."""
        if self._keys is None:
            return EVERYONE
        signed = parse_policy(fields)
        if signed is None:
            return ANONYMOUS
        credential = self._keys.lookup(signed.access_key)
        if credential is None:
            raise InvalidAccessKeyId(AWSAccessKeyId=signed.access_key)
        verify_policy(signed, credential.secret, self._region, self._signing_keys)
        return credential.owner


class S3Resource(Resource):
    """A leaf of the tree: something that S3 operations are about."""

    isLeaf = True

    def __init__(self, service: ServiceResource, target: Target, bucket: str = "", key: str = "") -> None:
        super().__init__()
        self.service = service
        self.target = target
        self.bucket = bucket
        self.key = key

    def render(self, request: S3Request) -> int:
        """Begin the steps; the answer comes later, however soon."""
        request.bucket, request.key = self.bucket, self.key
        run(self._serve(request), request)
        return NOT_DONE_YET

    async def _serve(self, request: S3Request) -> None:
        head = request.head
        gateway = self.service.gateway
        ordinary = head.ordinary
        if not ordinary and "origin" in head.headers:
            request.further_headers = await cross_origin_headers(gateway.storage, self.bucket, head)
        operation = route(head.method, self.target, head)
        name, bucket, key = operation.name, self.bucket, self.key
        request.operation = name
        caller, verified = self.service.authenticator.nobody, None
        if name not in UNSIGNED:
            caller, verified = self.service.authenticator.authenticate(request)
            if verified is not None:
                request.user = caller.name
            if not ordinary:
                head = hoist_headers(head)
        speaks_of_encryption = not ordinary and refuse_unsupported(head)
        version = ""
        if operation.versioned and key:
            version = check_version(name, head.query.get("versionId") or "")
        operate = OPERATIONS.get(name)
        if operate is None:
            raise NotImplemented(f"The operation {name} is not implemented.", Operation=name)
        storage = gateway.storage
        info = None
        if name not in BUCKETLESS:
            info = storage.known_bucket(bucket) or await storage.find_bucket(bucket)
            if info is None or not ordinary:
                admit(bucket, info, head.headers.get("x-amz-expected-bucket-owner"))
        call = Call(
            gateway, storage, name, head, ordinary, request.body, request, caller, verified, bucket, key, version, info
        )
        if info is not None and is_trusted(info, caller):
            call.trusted = True
        else:
            authorize(call)
        if speaks_of_encryption:
            call.encryption = asked(call, name, head)
        response = await operate(call)
        if not (call.trusted or call.decided):
            raise RuntimeError(f"{name} asked nobody whether its caller may")
        if call.caller is not caller:
            request.user = call.caller.name
        send(request, response)


class ObjectResource(S3Resource):
    """An object, existing or not."""

    def __init__(self, service: ServiceResource, target: Object) -> None:
        super().__init__(service, target, target.bucket, target.key)


class BucketResource(S3Resource):
    """A bucket, existing or not."""

    def __init__(self, service: ServiceResource, target: Bucket) -> None:
        super().__init__(service, target, target.name)


class RefusedResource(Resource):
    """An address that leads nowhere: answers with the reason."""

    isLeaf = True

    def __init__(self, error: S3Error) -> None:
        super().__init__()
        self._error = error

    def render(self, request: S3Request) -> int:
        """Refuse."""
        send_error(request, self._error)
        return NOT_DONE_YET


class ServiceResource(S3Resource):
    """The root: the list of buckets, the way to each of them, and the gateway's own pages.

    :param pages: resources by path (``/metrics``), reachable in path style only; their names are no bucket names. Where
        one bucket is all that is served they are keys of it.
    """

    isLeaf = False

    def __init__(
        self,
        gateway: Gateway,
        authenticator: Authenticator,
        suffixes: Sequence[str],
        pages: Mapping[str, IResource],
    ) -> None:
        super().__init__(self, Service())
        self.gateway = gateway
        self.authenticator = authenticator
        self._suffixes = tuple(suffixes)
        self._remembered = lru_cache(ADDRESSES)(self._resource_at)
        self._pages = dict(pages)

    def getChildWithDefault(self, path: bytes, request: S3Request) -> IResource:
        """See `locate`: Twisted's path segments do not tell ``/b/k`` from ``/b%2Fk``."""
        return self.locate(request)

    def locate(self, request: S3Request) -> IResource:
        """The resource that an address leads to."""
        path, host = request.head.raw_path, request.head.headers.get("host", "")
        only = request.channel.bucket if request.channel is not None else ""
        page = self._pages.get(path)
        if page is not None and not only and bucket_of_host(host, self._suffixes) is None:
            return page
        find = self._remembered if len(path) + len(host) <= LONG_ADDRESS else self._resource_at
        try:
            return find(path, host, only)
        except S3Error as error:
            return RefusedResource(error)

    def _resource_at(self, path: str, host: str, only: str) -> IResource:
        """:raises S3Error: for an address that leads nowhere."""
        target = target_at(path, host, self._suffixes, only)
        if isinstance(target, Object):
            return ObjectResource(self, target)
        if isinstance(target, Bucket):
            return BucketResource(self, target)
        return self


def run(coroutine: Coroutine[Deferred[Any], Any, None], request: S3Request) -> None:
    """Run the steps of a request; what they raise is its answer.

    Most requests that memory can answer never wait for anything, and end here without a Deferred being made."""
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return
    except Exception as error:
        send_error(request, error)
        return
    awaited.addBoth(_Steps(coroutine, request).go_on)


class _Steps:
    """The steps that are left when something had to be waited for. `Deferred.fromCoroutine` would do, at the price of a
    tenth of a small PUT: it can be cancelled, and keeps contexts apart, which nobody asks of it here."""

    __slots__ = ("_coroutine", "_request")

    def __init__(self, coroutine: Coroutine[Deferred[Any], Any, None], request: S3Request) -> None:
        self._coroutine = coroutine
        self._request = request

    def go_on(self, result: object) -> None:
        """What is awaited has come, or failed. The coroutine asks its Deferred again for a result."""
        try:
            if isinstance(result, Failure):
                awaited = result.throwExceptionIntoGenerator(self._coroutine)
            else:
                awaited = self._coroutine.send(None)
        except StopIteration:
            return
        except Exception as error:
            self._tell(error)
        else:
            awaited.addBoth(self.go_on)

    def _tell(self, error: Exception) -> None:
        try:
            send_error(self._request, error)
        except Exception:
            # An error that cannot be told must not leave its client waiting for ever.
            with suppress(Exception):
                self._request.processingFailed(Failure())
