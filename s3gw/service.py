"""The gateway as a Twisted service: what is opened, in which order, and how it ends.

privilegedStartService   bind the listeners
startService             open the store, start the threads, build the resource tree, announce
SIGHUP                   read certificates, credentials and master keys again
SIGUSR2                  make a checkpoint of the store
stopService              (from here on a second signal cuts what is still running)
                         stop listening -> close idle connections, let busy ones end (bounded) -> wait for the lanes
                         -> flush and close the store -> stop the threads
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from twisted.web.resource import IResource, Resource

from s3gw.allocator import keep_buffers
from s3gw.cachefile import CacheFile
from s3gw.credentials import KeyRing
from s3gw.errors import ServiceUnavailable
from s3gw.masterkeys import MasterKeyRing
from s3gw.operations.caching import apply_rules
from s3gw.operations.call import Gateway
from s3gw.settings import ConfigurationError, Listener, Reloadable, Settings, reload_each
from s3gw.store.interface import IObjectStore, StoreFailed, StoreUnusable
from s3gw.store.rocks import RocksStore
from s3gw.web.accesslog import log_request
from s3gw.web.checkpoints import Checkpoints
from s3gw.web.descriptors import Doors, limit
from s3gw.web.lifecycle import LifecycleSweeps
from s3gw.web.limits import Limits
from s3gw.web.listen import announcement, bind
from s3gw.web.metrics import Metrics
from s3gw.web.pages import live_page, metrics_page, ready_page
from s3gw.web.request import S3Request
from s3gw.web.resources import Authenticator, ServiceResource
from s3gw.web.respond import refuse
from s3gw.web.scrub import MIB, STATE, Scrub
from s3gw.web.site import BucketSite, GatewaySite
from s3gw.web.storage import LaneStorage
from s3gw.web.sweep import UploadSweep
from s3gw.web.tls import ServerCertificate

T = TypeVar("T")

SWITCH_INTERVAL_SECONDS = 0.0005
"""How long a pool thread waits for the interpreter before it insists: it decides the latency of every lane."""

HOT_SHARE = 0.5
"""The part of ``--cache_mb`` that holds hot bodies; the rest is RocksDB's block cache."""


class GatewayService(Service):
    """One gateway over one store.

    :param keys: who may sign; None serves everybody.
    :param certificate: of the TLS listeners, if any.
    :param master_keys: of SSE-S3, if any.
    :param cache_file: which buckets are cache buckets by their names.
    :param open_store: opens the store; for a store other than RocksDB.
    :param alone: the process is the gateway's, which sets its signals, switch interval and limit of descriptors.
    """

    name = "s3gw"
    log = Logger()

    def __init__(
        self,
        settings: Settings,
        keys: KeyRing | None,
        certificate: ServerCertificate | None,
        reactor: Any,
        open_store: Callable[[Settings, Metrics], IObjectStore] | None = None,
        alone: bool = True,
        master_keys: MasterKeyRing | None = None,
        cache_file: CacheFile | None = None,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._certificate = certificate
        self._master_keys = master_keys
        self._cache_file = CacheFile(None) if cache_file is None else cache_file
        self._reactor = reactor
        self._open_store = open_store or open_rocks
        self._alone = alone
        self.metrics = Metrics()
        self.site = GatewaySite(
            _Closed(),
            reactor=reactor,
            limits=Limits(
                max_connections=settings.max_connections,
                max_inflight=settings.max_inflight,
                max_buffered=settings.max_buffer_mb << 20,
            ),
            refuse=refuse,
            observe=self.request_ended,
        )
        self._ports: list[tuple[Listener, IListeningPort]] = []
        self._serving = False

    @property
    def ports(self) -> list[IListeningPort]:
        """The bound ports, in the order of the listeners."""
        return [port for _, port in self._ports]

    def privilegedStartService(self) -> None:
        """Bind. :raises ConfigurationError: when a listener cannot be bound; none is left bound then."""
        super().privilegedStartService()
        try:
            for listener in self._settings.listen:
                factory = BucketSite(self.site, listener.bucket) if listener.bucket else self.site
                self._ports.append((listener, bind(self._reactor, listener, factory, self._certificate)))
        except ConfigurationError:
            for _, port in self._ports:
                port.stopListening()
            self._ports.clear()
            raise
        self.site.doors = Doors(limit(highest=self._alone))
        self.site.doors.watch(self.ports)

    def startService(self) -> None:
        """Open the store and serve. :raises ConfigurationError: when the database cannot be opened."""
        if self._alone:
            keep_buffers()
        try:
            self._store = self._open_store(self._settings, self.metrics)
        except StoreUnusable as error:
            raise ConfigurationError(str(error)) from None
        super().startService()
        if self._alone:
            sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
            # What is imported stays: the collector need not look through it, which takes it 10 ms while all wait.
            gc.freeze()
        threads = self._settings.threads
        self._pool = ThreadPool(threads, threads, name="s3gw")
        self._pool.start()
        self._storage = LaneStorage(
            self._store,
            self._in_pool,
            self._reactor,
            int(self._settings.cache_bytes * HOT_SHARE),
            gather=True,
        )
        self.site.serve(self._tree())
        self._sweep = UploadSweep(self._storage, self._reactor, _now_ms, self._settings.abandoned_upload_days)
        self._sweep.start()
        self._lifecycle = LifecycleSweeps(self._storage, self._reactor, _now_ms, self._settings.lifecycle_day_seconds)
        self._lifecycle.start()
        self._scrub = Scrub(
            self._store,
            self._settings.db_path / STATE,
            self._in_pool,
            self._reactor,
            time.time,
            self._settings.scrub_days,
            self._settings.scrub_mb_s * MIB,
        )
        self._scrub.start()
        self._storage.forgetting.start()
        self._apply_cache_rules()
        self._checkpoints = Checkpoints(self._store, self._settings.checkpoint_dir, self._in_pool, time.time)
        self._watch()
        self._on_signal(signal.SIGHUP, self.reload)
        # Without a place for checkpoints as well: unhandled, the signal would end the process.
        self._on_signal(signal.SIGUSR2, self._checkpoints.make)
        self._serving = True
        for listener, port in self._ports:
            self.log.info("{line}", line=announcement(listener, port))

    def _in_pool(self, work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._pool, work)

    def _tree(self) -> ServiceResource:
        settings = self._settings
        authenticator = Authenticator(self._keys, settings.region, time.time, settings.external_url)
        gateway = Gateway(
            storage=self._storage,
            clock=_now_ms,
            owner_of=authenticator.owner_of,
            authenticate_form=authenticator.authenticate_form,
            directory=authenticator,
            region=settings.region,
            signatures=self._keys is not None,
            max_object_bytes=settings.max_object_bytes,
            cache_rules=self._cache_file.rules_for,
            master_keys=self._master_keys,
            sse_c_over_http=settings.sse_c_over_http,
            external=settings.external_url,
        )
        pages: dict[str, IResource] = {"/_health/live": live_page(), "/_health/ready": ready_page(self._ready)}
        if settings.metrics != "off":
            permit = authenticator.require_signed if settings.metrics == "signed" else _permit_all
            pages["/metrics"] = metrics_page(self.metrics.registry, permit)
        return ServiceResource(gateway, authenticator, settings.virtual_host_suffixes, pages)

    def _watch(self) -> None:
        metrics, site, cache = self.metrics, self.site, self._storage.cache
        metrics.gauge("s3gw_inflight_requests", "Requests being answered.", lambda: site.requests_in_flight)
        metrics.gauge("s3gw_open_connections", "Client connections.", lambda: site.open_connections)
        metrics.gauge("s3gw_buffered_bytes", "Bytes of bodies held for slow clients.", lambda: site.buffered)
        metrics.gauge("s3gw_cache_bytes", "Bytes in the cache of hot bodies.", lambda: cache.size)
        metrics.counter("s3gw_cache_hits", "Body rows found in the cache of hot bodies.", lambda: cache.hits)
        metrics.counter("s3gw_cache_misses", "Body rows not found in that cache.", lambda: cache.misses)
        self._storage.forgetting.watch(metrics)
        metrics.counter("s3gw_uploads_expired", "Abandoned uploads that were aborted.", lambda: self._sweep.aborted)
        lifecycle = self._lifecycle
        metrics.counters("s3gw_lifecycle_ended", "What lifecycle rules have ended.", "kind", lifecycle.ended.items)
        metrics.counter("s3gw_lifecycle_looked_at", "Versions and uploads looked at.", lambda: lifecycle.looked_at)
        metrics.counter("s3gw_lifecycle_sweeps", "Lifecycle sweeps that were completed.", lambda: lifecycle.sweeps)
        metrics.counter("s3gw_lifecycle_errors", "Lifecycle sweeps that failed.", lambda: lifecycle.errors)
        metrics.gauge(
            "s3gw_lifecycle_last_sweep_timestamp_seconds",
            "When the last lifecycle sweep was completed, in seconds since the epoch; 0: not since the start.",
            lambda: lifecycle.last,
        )
        checkpoints = self._checkpoints
        metrics.gauge(
            "s3gw_last_checkpoint_timestamp_seconds",
            "When the last checkpoint was made, in seconds since the epoch; 0: not since the start.",
            lambda: checkpoints.last,
        )
        metrics.counter("s3gw_checkpoint_errors", "Checkpoints that failed.", lambda: checkpoints.errors)
        scrub = self._scrub
        metrics.gauge("s3gw_scrub_running", "1 while everything stored is being read.", lambda: scrub.running)
        metrics.counter("s3gw_scrub_rows", "Rows that the scrub has read.", lambda: scrub.rows)
        metrics.counter("s3gw_scrub_bytes", "Bytes that the scrub has read.", lambda: scrub.nbytes)
        metrics.counter("s3gw_scrub_damaged", "Rows that it found damaged.", lambda: scrub.damaged)
        metrics.gauge(
            "s3gw_scrub_last_completed_timestamp_seconds",
            "When the scrub had last read everything, in seconds since the epoch; 0: not since the start.",
            lambda: scrub.completed,
        )
        metrics.properties(self._store.properties)

    async def _ready(self) -> bool:
        if not self._serving:
            return False
        try:
            await self._storage.check()
        except StoreFailed as error:
            self.log.error("the store does not answer: {error}", error=error)
            return False
        return True

    def request_ended(self, request: S3Request) -> None:
        """Account for a request: metrics, and a line in the log."""
        seconds = self._reactor.seconds() - request.arrived
        self.metrics.request_ended(
            request.head.method, request.code, request.body.received, request.bytes_sent, seconds, cut=request.cut
        )
        if request.damaged:
            self.metrics.corruptions += 1
        if self._settings.access_log:
            log_request(request, seconds)

    def reload(self) -> None:
        """Read again whatever came from files; what cannot be read leaves what was in use."""
        files: tuple[Reloadable | None, ...] = (self._keys, self._certificate, self._master_keys)
        sources = [source for source in files if source is not None]
        if self._cache_file.path is not None:
            sources.append(self._cache_file)
        refused = reload_each(sources)
        for line in refused:
            self.log.error("not reloaded: {line}", line=line)
        self.log.info("reloaded {count} of {all}", count=len(sources) - len(refused), all=len(sources))
        self._apply_cache_rules()

    def _apply_cache_rules(self) -> None:
        """Make cache buckets of those that the file means, and that have no rules yet."""
        if self._cache_file.path is not None:
            applying = Deferred.fromCoroutine(apply_rules(self._storage, self._cache_file.rules_for))
            applying.addErrback(lambda failure: self.log.error("cache rules: {why}", why=failure.getErrorMessage()))

    def _on_signal(self, number: signal.Signals, act: Callable[[], object]) -> None:
        if self._alone and threading.current_thread() is threading.main_thread():
            signal.signal(number, lambda *_: self._reactor.callFromThread(act))

    def stopService(self) -> Deferred[None]:
        """End in order; fires when the store is closed."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._serving = False
        for number in (signal.SIGTERM, signal.SIGINT):
            self._on_signal(number, self.site.abort_connections)
        if self.site.doors is not None:
            self.site.doors.close()
        for _, port in self._ports:
            await maybeDeferred(port.stopListening)
        drained = self.site.begin_drain()
        give_up = self._reactor.callLater(self._settings.drain_seconds, self.site.abort_connections)
        await drained
        if give_up.active():
            give_up.cancel()
        await self._sweep.stop()
        await self._lifecycle.stop()
        await self._scrub.stop()
        await self._storage.forgetting.stop()
        await self._storage.drained()
        await self._checkpoints.ended()
        try:
            await self._in_pool(self._store.close)
        except StoreFailed as error:
            # It is closed all the same; whoever starts it again is told what is left.
            self.log.error("stopped: the database is closed, but not in order: {error}", error=error)
        else:
            self.log.info("stopped: the database is closed")
        finally:
            # Its threads would keep the process for ever.
            self._pool.stop()


class _Closed(Resource):
    """What a connection finds that comes before the store is open."""

    isLeaf = True

    def render(self, request: S3Request) -> bytes:
        raise ServiceUnavailable()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _permit_all(request: S3Request) -> None:
    """Let everybody see the metrics."""


def open_rocks(settings: Settings, metrics: Metrics) -> IObjectStore:
    """RocksDB at ``--db_path``, which is what a gateway serves unless it is told otherwise. :raises StoreUnusable:"""
    store = RocksStore.open(
        str(settings.db_path),
        durability=settings.durability,
        cache_bytes=int(settings.cache_bytes * (1 - HOT_SHARE)),
        observe=metrics.store_called,
    )
    for line in store.damage:
        GatewayService.log.critical("{db_path}: {line}", db_path=str(settings.db_path), line=line)
    return store
