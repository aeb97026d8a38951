"""A whole gateway in memory, for tests that ask it what a client asks: bytes in, bytes out, no reactor and no thread.

Everything between the socket and the store is real: `GatewaySite`, the resource tree, signatures, operations, and lanes
over `MemoryStore`. Only the transport is a `StringTransport`, and "threads" run where they are called, so an answer is
there when `request` returns. Time stands still at `NOW` until a test moves ``gateway.clock``; botocore, which signs,
reads the same clock.

::

    class MyTests(GatewayTestCase):
        def test_it(self) -> None:
            self.make_bucket("bucket")
            self.assertEqual(200, self.request("PUT", "/bucket/key", body=b"hello").status)   # signed by ALICE
            answer = self.request("GET", "/bucket/key", query="response-expires=never", sign=None)  # by nobody
            self.assertEqual((403, "AccessDenied"), (answer.status, answer.error))
            self.client().get_object(Bucket="bucket", Key="key")          # boto3, without a network

    class OpenTests(GatewayTestCase):
        keys = ()                                                         # as --auth=none
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import cache
from hashlib import sha256
from io import BytesIO
from typing import Any, NamedTuple
from xml.etree import ElementTree

import botocore.auth
import botocore.crt.auth
import botocore.session
import botocore.signers
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from s3gw.cipher import MasterKey
from s3gw.credentials import Credential, KeyRing, owner_named
from s3gw.operations.call import Gateway
from s3gw.store.interface import IObjectStore
from s3gw.store.memory import MemoryStore
from s3gw.web.lanes import HandOver
from s3gw.web.limits import Limits
from s3gw.web.resources import Authenticator, ServiceResource
from s3gw.web.respond import refuse
from s3gw.web.site import GatewaySite
from s3gw.web.storage import LaneStorage

NOW = 1_790_000_000
"""2026-09-21T14:13:20Z, when every test begins."""

REGION = "us-east-1"
HOST = "s3.test"
PIECE = 64 * 1024


class MasterKeysInMemory:
    """`cipher.MasterKeys`: as a key file with these ids would make; the last one is active."""

    def __init__(self, *ids: str) -> None:
        self.keys = {id: MasterKey(id, sha256(id.encode()).digest()) for id in ids or ("first",)}

    @property
    def active(self) -> MasterKey:
        """The last one."""
        return list(self.keys.values())[-1]

    def find(self, id: str) -> MasterKey | None:
        """The one with this id."""
        return self.keys.get(id)


ALICE = Credential("AKIAALICE", "alice's secret", owner_named("alice"))
BOB = Credential("AKIABOB", "bob's secret", owner_named("bob"))


class Answer(NamedTuple):
    """What a client got.

    :ivar headers: by lower-case name; of a repeated one the values joined by ``", "``.
    :ivar raw: the response as it was on the wire.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes = b""

    def text(self, name: str) -> str | None:
        """The text of the first element of this name in the XML body, in whatever namespace; None without one."""
        found = self.texts(name)
        return found[0] if found else None

    def texts(self, name: str) -> list[str]:
        """The text of each such element."""
        return [node.text or "" for node in ElementTree.fromstring(self.body).iter() if _local(node.tag) == name]

    @property
    def error(self) -> str:
        """The error code; empty when the body is no error document."""
        if not self.body.startswith(b"<?xml") or _local(ElementTree.fromstring(self.body).tag) != "Error":
            return ""
        return self.text("Code") or ""

    @property
    def message(self) -> str:
        """The message of the error document."""
        return self.text("Message") or ""


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


class Connection:
    """One client connection."""

    def __init__(self, site: GatewaySite) -> None:
        self.protocol = site.buildProtocol(None)
        self.transport = StringTransport(lenient=True)
        self.protocol.makeConnection(self.transport)
        self._open = True

    def send(self, data: bytes) -> None:
        """Bytes of a request, all at once."""
        self.protocol.dataReceived(data)
        self.protocol.site.clock.advance(0)  # long answers take several turns of the reactor

    @property
    def closed(self) -> bool:
        """Whether the server has ended it."""
        return bool(self.transport.disconnecting)

    def close(self) -> None:
        """The client goes away."""
        if self._open:
            self._open = False
            self.protocol.connectionLost()

    def answers(self, methods: Sequence[str]) -> list[Answer]:
        """The answers so far to requests with these methods; interim ones are left out."""
        found: list[Answer] = []
        data = self.transport.value()
        while data and len(found) < len(methods):
            head, separator, rest = data.partition(b"\r\n\r\n")
            if not separator:
                break
            line, *lines = head.decode("latin-1").split("\r\n")
            status = int(line.split(" ")[1])
            headers: dict[str, str] = {}
            for each in lines:
                name, _, value = each.partition(":")
                name, value = name.lower(), value.strip()
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            bodiless = methods[len(found)] == "HEAD" or status in (204, 304) or status < 200
            length = 0 if bodiless else int(headers.get("content-length", len(rest)))
            if len(rest) < length and not self.closed:
                break
            if status >= 200:
                found.append(Answer(status, headers, rest[:length], data[: len(head) + 4 + length]))
            data = rest[length:]
        return found


class InMemoryGateway:
    """A gateway and its clients' connections.

    :param keys: who may sign; none for ``--auth=none``.
    :param hand_over: what a thread pool would do; by default the work is done at once.
    :param gather: whether commits gather: they begin when the clock is moved.
    :ivar clock: seconds since the epoch. :ivar store: the store under it all.
    """

    def __init__(
        self,
        keys: Iterable[Credential] = (ALICE, BOB),
        *,
        store: IObjectStore | None = None,
        hand_over: HandOver = execute,
        gather: bool = False,
        limits: Limits | None = None,
        suffixes: Sequence[str] = ("localhost",),
        **settings: Any,
    ) -> None:
        ring = KeyRing(keys)
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = MemoryStore(self._now) if store is None else store
        self.storage = LaneStorage(self.store, hand_over, self.clock, cache_bytes=16 * 1024 * 1024, gather=gather)
        external = settings.get("external")
        authenticator = Authenticator(ring if len(ring) else None, REGION, self.clock.seconds, external)
        self.gateway = Gateway(
            storage=self.storage,
            clock=lambda: int(self.clock.seconds() * 1000),
            owner_of=authenticator.owner_of,
            authenticate_form=authenticator.authenticate_form,
            directory=authenticator,
            region=REGION,
            signatures=len(ring) > 0,
            **settings,
        )
        tree = ServiceResource(self.gateway, authenticator, suffixes, {})
        self.site = GatewaySite(tree, reactor=self.clock, refuse=refuse, limits=limits)
        self._connections: list[Connection] = []

    def _now(self) -> int:
        return int(self.clock.seconds() * 1000)

    def connect(self) -> Connection:
        """A fresh connection; `close` closes it."""
        connection = Connection(self.site)
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        """All clients go away."""
        for connection in self._connections:
            connection.close()

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Sequence[bytes] = b"",
        query: str | Mapping[str, str] = "",
        sign: Credential | None = None,
    ) -> Answer:
        """What a client gets that sends one request on a fresh connection.

        :param path: as on the wire, percent-encoded where need be.
        :param headers: Latin-1. Content-Length is added if there is no Transfer-Encoding. An ``x-amz-content-sha256``
            is signed as it is; without one, that of the body is added.
        :param body: bytes; or the pieces in which they arrive.
        :param query: as on the wire; or names and values, to be encoded.
        """
        pieces = [body[n : n + PIECE] for n in range(0, len(body), PIECE)] if isinstance(body, bytes) else body
        if not isinstance(query, str):
            query = "&".join(f"{_quote(name)}={_quote(value)}" for name, value in query.items())
        target = f"{path}?{query}" if query else path
        lines = dict(headers or {})
        if not any(name.lower() == "host" for name in lines):
            lines["Host"] = HOST
        if sign is not None:
            lines = signed(method, target, lines, b"".join(pieces), sign)
        names = {name.lower() for name in lines}
        if not names & {"content-length", "transfer-encoding"} and (pieces or method in ("PUT", "POST")):
            lines["Content-Length"] = str(sum(map(len, pieces)))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection = self.connect()
        connection.send(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
        for piece in pieces:
            connection.send(piece)
        answers = connection.answers([method])
        if not answers:
            raise AssertionError(f"{method} {target} has no answer yet: {connection.transport.value()!r}")
        connection.close()
        return answers[0]

    def client(self, credential: Credential = ALICE, **config: Any) -> Any:
        """A botocore client of this gateway that needs no network.

        :param config: of ``botocore.config.Config``."""
        client = _session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=f"http://{HOST}",
            aws_access_key_id=credential.access_key,
            aws_secret_access_key=credential.secret,
            config=Config(retries={"max_attempts": 0}, **{"s3": {"addressing_style": "path"}, **config}),
        )
        client.meta.events.register("before-send.s3", self._send)
        return client

    def _send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        body = request.body if request.body is not None else b""
        if hasattr(body, "read"):
            body = body.read()
        if isinstance(body, str):
            body = body.encode()
        target = "/" + request.url.split("/", 3)[3]
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        answer = self.request(request.method, target, headers, bytes(body))
        return AWSResponse(request.url, answer.status, answer.headers, _Raw(answer.body))


class _Raw(BytesIO):
    """What botocore reads an answer from."""

    def stream(self, amt: int = PIECE, decode_content: bool | None = None) -> Iterable[bytes]:
        """The rest, piece by piece."""
        while piece := self.read(amt):
            yield piece


@cache
def _session() -> Any:
    return botocore.session.Session()


class _Signer(S3SigV4Auth):  # type: ignore[misc]
    """Signs the ``x-amz-content-sha256`` that there is, and adds no other."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["payload"] or super().payload(request))


def signed(method: str, target: str, headers: Mapping[str, str], body: bytes, credential: Credential) -> dict[str, str]:
    """``headers``, and those that sign a request with them."""
    request = AWSRequest(method=method, url=f"http://{HOST}{target}", headers=dict(headers), data=body)
    request.context["payload"] = next((v for n, v in headers.items() if n.lower() == "x-amz-content-sha256"), "")
    _Signer(Credentials(credential.access_key, credential.secret), "s3", REGION).add_auth(request)
    return dict(request.headers.items())


def _quote(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._~-]", lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


class GatewayTestCase(SynchronousTestCase):
    """Tests against a fresh gateway each.

    :cvar keys: who may sign; empty for ``--auth=none``. :cvar settings: further arguments of `InMemoryGateway`.
    """

    keys: Sequence[Credential] = (ALICE, BOB)
    settings: Mapping[str, Any] = {}

    def setUp(self) -> None:
        """Start one."""
        self.gateway = InMemoryGateway(self.keys, **self.settings)
        self.addCleanup(self.gateway.close)
        clock = self.gateway.clock

        def now(remove_tzinfo: bool = True) -> datetime:
            moment = datetime.fromtimestamp(clock.seconds(), timezone.utc)
            return moment.replace(tzinfo=None) if remove_tzinfo else moment

        for module in (botocore.auth, botocore.crt.auth, botocore.signers):
            self.patch(module, "get_current_datetime", now)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Sequence[bytes] = b"",
        query: str | Mapping[str, str] = "",
        sign: Credential | str | None = "default",
    ) -> Answer:
        """`InMemoryGateway.request`, signed by ALICE if anybody signs."""
        if isinstance(sign, str):
            sign = ALICE if self.keys else None
        return self.gateway.request(method, path, headers, body, query, sign)

    def client(self, credential: Credential = ALICE, **config: Any) -> Any:
        """`InMemoryGateway.client`"""
        return self.gateway.client(credential, **config)

    def make_bucket(self, name: str = "bucket", sign: Credential = ALICE) -> None:
        """Create a bucket."""
        answer = self.request("PUT", f"/{name}", sign=sign if self.keys else None)
        self.assertEqual(200, answer.status, answer.body)

    def put(self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Store an object."""
        answer = self.request("PUT", path, headers, body)
        self.assertEqual(200, answer.status, answer.body)
        return answer

    def get(self, path: str) -> bytes:
        """The bytes of an object."""
        answer = self.request("GET", path)
        self.assertEqual(200, answer.status, answer.body)
        return answer.body

    def assert_error(self, code: str, status: int, answer: Answer) -> None:
        """``answer`` is this error."""
        self.assertEqual((code, status), (answer.error, answer.status), answer.body)


class Pool:
    """A thread pool whose work waits for the test: hand ``Pool().hand_over`` to `InMemoryGateway`."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def hand_over(self, work: Callable[[], Any]) -> Deferred[Any]:
        """Keep ``work`` until `run`."""
        done: Deferred[Any] = Deferred()
        self.waiting.append((work, done))
        return done

    def run(self, most: int | None = None) -> int:
        """Do what waits, what comes of it too, up to ``most`` jobs; how many were done."""
        count = 0
        while self.waiting and (most is None or count < most):
            work, done = self.waiting.pop(0)
            execute(work).chainDeferred(done)
            count += 1
        return count
