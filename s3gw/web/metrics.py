"""The Prometheus face: every family by name, and the two functions that count.

Families (all are present, with every label value, from the start):

| family                                            | what                                                         |
|---------------------------------------------------|--------------------------------------------------------------|
| ``s3gw_requests_total{method}``                   | requests whose answer ended                                  |
| ``s3gw_request_errors_total{method}``             | of those, answered with a status of 400 or more, or cut off  |
| ``s3gw_request_bytes_total{method}``              | body bytes received                                          |
| ``s3gw_response_bytes_total{method}``             | body bytes sent                                              |
| ``s3gw_inflight_requests``                        | requests between their head and the end of their answer      |
| ``s3gw_request_latency_ms``                       | first byte of a request to the end of its answer             |
| ``s3gw_rocksdb_ops_total{op}`` and ``_errors_``   | calls into RocksDB                                           |
| ``s3gw_rocksdb_bytes_total{op}``                  | bytes read or written by them                                |
| ``s3gw_rocksdb_latency_ms``                       | duration of one call                                         |
| ``s3gw_responses_total{status}``                  | answers by class: 2xx, 3xx, 4xx, 5xx, cut                    |
| ``s3gw_open_connections``                         | client connections                                           |
| ``s3gw_cache_hits_total`` and ``_misses_total``   | body rows found in, or missing from, the cache of hot bodies |
| ``s3gw_cache_bytes``                              | what that cache holds                                        |
| ``s3gw_store_property{name}``                     | figures of the database, by name                             |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD", "OTHER")
OPS = ("get", "put", "write", "delete", "iter", "other")
STATUSES = ("2xx", "3xx", "4xx", "5xx", "cut")
BUCKETS_MS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class _MethodFigures:
    __slots__ = ("errors", "received", "requests", "sent")

    def __init__(self, requests: Counter, errors: Counter, received: Counter, sent: Counter) -> None:
        self.requests = requests
        self.errors = errors
        self.received = received
        self.sent = sent


class Metrics:
    """The gateway's figures in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry(auto_describe=True)

        def counter(name: str, text: str, label: str) -> Counter:
            return Counter(name, text, [label], registry=registry)

        requests = counter("s3gw_requests", "Requests whose answer ended.", "method")
        errors = counter("s3gw_request_errors", "Requests answered with an error, or cut off.", "method")
        received = counter("s3gw_request_bytes", "Body bytes received.", "method")
        sent = counter("s3gw_response_bytes", "Body bytes sent.", "method")
        self._methods = {
            method: _MethodFigures(*(family.labels(method) for family in (requests, errors, received, sent)))
            for method in METHODS
        }
        responses = counter("s3gw_responses", "Answers by class of status.", "status")
        self._statuses = {status: responses.labels(status) for status in STATUSES}
        self._latency = Histogram(
            "s3gw_request_latency_ms",
            "First byte of a request to the end of its answer, in milliseconds.",
            buckets=BUCKETS_MS,
            registry=registry,
        )
        ops = counter("s3gw_rocksdb_ops", "Calls into RocksDB.", "op")
        op_errors = counter("s3gw_rocksdb_errors", "Calls into RocksDB that failed.", "op")
        op_bytes = counter("s3gw_rocksdb_bytes", "Bytes read or written by calls into RocksDB.", "op")
        self._ops = {op: (ops.labels(op), op_errors.labels(op), op_bytes.labels(op)) for op in OPS}
        self._op_latency = Histogram(
            "s3gw_rocksdb_latency_ms",
            "Duration of one call into RocksDB, in milliseconds.",
            buckets=BUCKETS_MS,
            registry=registry,
        )

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that asks for its value when it is read."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def count(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A counter that is kept elsewhere and read when it is asked for."""
        self.registry.register(_CounterOf(name, text, value))

    def properties(self, read: Callable[[], Mapping[str, int]]) -> None:
        """The store's own figures as ``s3gw_store_property{name}``."""
        self.registry.register(_Properties(read))

    def request_ended(self, method: str, status: int, received: int, sent: int, seconds: float, *, cut: bool) -> None:
        """Count one request. ``cut``: its answer did not reach its end."""
        figures = self._methods.get(method) or self._methods["OTHER"]
        figures.requests.inc()
        if received:
            figures.received.inc(received)
        if sent:
            figures.sent.inc(sent)
        if cut or status >= 400:
            figures.errors.inc()
        self._statuses["cut" if cut else STATUSES[status // 100 - 2]].inc()
        self._latency.observe(seconds * 1000)

    def store_called(self, op: str, nbytes: int, seconds: float, failed: bool) -> None:
        """Count one call into the database; any thread."""
        calls, errors, volume = self._ops[op]
        calls.inc()
        if nbytes:
            volume.inc(nbytes)
        if failed:
            errors.inc()
        self._op_latency.observe(seconds * 1000)


class _CounterOf(Collector):
    def __init__(self, name: str, text: str, value: Callable[[], float]) -> None:
        self._name, self._text, self._value = name, text, value

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, self._text, value=self._value())


class _Properties(Collector):
    def __init__(self, read: Callable[[], Mapping[str, int]]) -> None:
        self._read = read

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("s3gw_store_property", "A figure of the database.", labels=["name"])

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("s3gw_store_property", "A figure of the database.", labels=["name"])
        for name, value in sorted(self._read().items()):
            family.add_metric([name], value)
        yield family
