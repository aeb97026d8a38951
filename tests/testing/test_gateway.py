"""`Gateway` in the reactor of trial, with a client of Twisted's."""

from __future__ import annotations

import signal
from io import BytesIO

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, ResponseNeverReceived, readBody
from twisted.web.http_headers import Headers

from s3gw.testing import Delay, Fail, Gateway, LoseAnswer, gateway_for
from tests.live.case import some_bytes

BODY = some_bytes(200_000)


class GatewayTests(TestCase):
    """A test that is on the reactor has the server there, too."""

    def setUp(self) -> None:
        self.gateway = gateway_for(self)
        self.pool = HTTPConnectionPool(reactor)
        self.pool.retryAutomatically = False
        self.addCleanup(self.pool.closeCachedConnections)

    async def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of the answer."""
        agent = Agent(reactor, pool=self.pool)
        producer = FileBodyProducer(BytesIO(body)) if body is not None else None
        answer = await agent.request(method.encode(), f"{self.gateway.url}{path}".encode(), Headers({}), producer)
        return answer.code, await readBody(answer)

    async def test_round_trip(self) -> None:
        """A bucket, an object, and the record of both."""
        await self.ask("PUT", "/bucket")
        self.assertEqual(await self.ask("PUT", "/bucket/key", BODY), (200, b""))
        self.assertEqual(await self.ask("GET", "/bucket/key"), (200, BODY))
        operations = [record.operation for record in self.gateway.requests]
        self.assertEqual(operations, ["CreateBucket", "PutObject", "GetObject"])
        self.assertEqual(self.gateway.requests[-1].sent, len(BODY))

    async def test_faults(self) -> None:
        """They are injected without a thread in between."""
        await self.ask("PUT", "/bucket")
        self.gateway.faults.inject(Fail(), method="PUT")
        self.gateway.faults.inject(Delay(0.01), method="PUT")
        self.assertEqual((await self.ask("PUT", "/bucket/key", BODY))[0], 503)
        self.gateway.faults.inject(LoseAnswer())
        with self.assertRaises(ResponseNeverReceived):
            await self.ask("PUT", "/bucket/key", BODY)
        self.assertEqual(await self.ask("GET", "/bucket/key"), (200, BODY))

    async def test_restart(self) -> None:
        """Stopped and started again, it has what it had."""
        await self.ask("PUT", "/bucket")
        await self.ask("PUT", "/bucket/key", BODY)
        await self.pool.closeCachedConnections()
        await self.gateway.stop()
        self.gateway.start()
        self.assertEqual(await self.ask("GET", "/bucket/key"), (200, BODY))

    async def test_metrics(self) -> None:
        """What it measures can be looked at."""
        await self.ask("PUT", "/bucket")
        text = (await self.ask("GET", "/metrics"))[1].decode()
        self.assertIn('s3gw_requests_total{method="PUT"} 1.0', text)
        self.assertTrue(any(family.name == "s3gw_requests" for family in self.gateway.metrics.registry.collect()))

    def test_signals(self) -> None:
        """The signals of the process are trial's, while it runs and after."""
        interrupt = signal.getsignal(signal.SIGINT)
        stopped: Deferred[None] = self.gateway.stop()
        self.assertIs(signal.getsignal(signal.SIGINT), interrupt)
        return stopped

    def test_not_running(self) -> None:
        """A gateway that was not started has no metrics, and says so; stopping it does nothing."""
        gateway = Gateway(reactor)
        self.assertRaises(RuntimeError, lambda: gateway.metrics)
        self.successResultOf(gateway.stop())
