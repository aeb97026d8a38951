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
| ``s3gw_method_latency_ms{method}``                | the same, by method                                          |
| ``s3gw_rocksdb_ops_total{op}`` and ``_errors_``   | calls into RocksDB                                           |
| ``s3gw_rocksdb_bytes_total{op}``                  | bytes read or written by them                                |
| ``s3gw_rocksdb_latency_ms``                       | duration of one call                                         |
| ``s3gw_responses_total{status}``                  | answers by class: 2xx, 3xx, 4xx, 5xx, cut                    |
| ``s3gw_corruptions_total``                        | requests that met stored bytes that are not what was written |
| ``s3gw_open_connections``                         | client connections                                           |
| ``s3gw_buffered_bytes``                           | bytes of bodies held for slow clients, about                 |
| ``s3gw_cache_hits_total`` and ``_misses_total``   | body rows found in, or missing from, the cache of hot bodies |
| ``s3gw_cache_bytes``                              | what that cache holds                                        |
| ``s3gw_cache_bucket_bytes`` and ``_objects``      | what all cache buckets hold                                  |
| ``s3gw_cache_bucket_hits_total``, ``_misses_``    | reads in them of objects that were there, and were not       |
| ``s3gw_cache_bucket_evicted_objects_total`` and   | what had to go for the sake of a cap; ``..._expired_...``:   |
| ``_evicted_bytes_total``, ``_expired_...``        | what was removed because its time was over                   |
| ``s3gw_cache_bucket_eviction_age_seconds``        | age since its write of what was evicted                      |
| ``s3gw_uploads_expired_total``                    | abandoned uploads that were aborted                          |
| ``s3gw_last_checkpoint_timestamp_seconds``        | when the last checkpoint was made; 0: not since the start    |
| ``s3gw_checkpoint_errors_total``                  | checkpoints that failed                                      |
| ``s3gw_store_property{name}``                     | figures of the database, by name                             |

The figures of a request are plain numbers here, made into families when somebody asks: the library's counters take a
lock and several calls for each of the eight that a request would need.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from threading import Lock

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD", "OTHER")
OPS = ("get", "put", "write", "delete", "iter", "other")
STATUSES = ("2xx", "3xx", "4xx", "5xx", "cut")
FAILED = STATUSES.index("4xx")
"""The first of those that are errors."""

BUCKETS_MS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)


class _Requests:
    """What is counted of one method. ``statuses``: answers by class, as `STATUSES` has them."""

    __slots__ = ("latency", "received", "sent", "statuses")

    def __init__(self) -> None:
        self.received = self.sent = 0
        self.statuses = [0] * len(STATUSES)
        self.latency = _Latency()


class _Calls:
    """What is counted of one kind of call."""

    __slots__ = ("errors", "latency", "nbytes")

    def __init__(self) -> None:
        self.errors = self.nbytes = 0
        self.latency = _Latency()


class _Latency:
    """A histogram of milliseconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_MS) + 1)
        self.total = 0.0

    def observe(self, ms: float) -> None:
        self.counts[bisect_left(BUCKETS_MS, ms)] += 1
        self.total += ms


class Metrics(Collector):
    """The gateway's figures, in a registry of their own."""

    def __init__(self) -> None:
        self._methods = {method: _Requests() for method in METHODS}
        self._ops = {op: _Calls() for op in OPS}
        self._op_lock = Lock()
        self.corruptions = 0
        self._further: list[Callable[[], Metric]] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def request_ended(self, method: str, status: int, received: int, sent: int, seconds: float, *, cut: bool) -> None:
        """Count one request; in the reactor thread. ``cut``: its answer did not reach its end."""
        requests = self._methods.get(method) or self._methods["OTHER"]
        requests.received += received
        requests.sent += sent
        requests.statuses[-1 if cut else status // 100 - 2] += 1
        requests.latency.observe(seconds * 1000)

    def store_called(self, op: str, nbytes: int, seconds: float, failed: bool) -> None:
        """Count one call into the database; in any thread."""
        calls = self._ops[op]
        with self._op_lock:
            calls.latency.observe(seconds * 1000)
            if nbytes:
                calls.nbytes += nbytes
            if failed:
                calls.errors += 1

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that asks for its value when it is read."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def counter(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A counter that is kept elsewhere and asked for its value when it is read; ``name`` without ``_total``."""
        self._further.append(lambda: CounterMetricFamily(name, text, value=value()))

    def histogram(
        self, name: str, text: str, bounds: Sequence[float], read: Callable[[], tuple[list[int], float]]
    ) -> None:
        """A histogram that is kept elsewhere: how many were up to each bound, and above the last; and their sum."""

        def family() -> Metric:
            counts, total = read()
            return _histogram(name, text, bounds, counts, total)

        self._further.append(family)

    def counters(self, name: str, text: str, label: str, values: Callable[[], Iterable[tuple[str, float]]]) -> None:
        """As `counter`, one for each value of ``label``."""
        self._further.append(lambda: _counters(name, text, label, values()))

    def properties(self, read: Callable[[], Mapping[str, int]]) -> None:
        """The store's own figures as ``s3gw_store_property{name}``."""

        def family() -> Metric:
            gauge = GaugeMetricFamily("s3gw_store_property", "A figure of the database.", labels=["name"])
            for name, value in sorted(read().items()):
                gauge.add_metric([name], value)
            return gauge

        self._further.append(family)

    def describe(self) -> Sequence[Metric]:
        """Nothing beforehand: the store may not be open yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family as it stands."""
        methods = self._methods.items()
        yield _counters(
            "s3gw_requests", "Requests whose answer ended.", "method", [(m, sum(t.statuses)) for m, t in methods]
        )
        yield _counters(
            "s3gw_request_errors",
            "Requests answered with an error, or cut off.",
            "method",
            [(m, sum(t.statuses[FAILED:])) for m, t in methods],
        )
        yield _counters("s3gw_request_bytes", "Body bytes received.", "method", [(m, t.received) for m, t in methods])
        yield _counters("s3gw_response_bytes", "Body bytes sent.", "method", [(m, t.sent) for m, t in methods])
        by_status = zip(
            STATUSES, (sum(each) for each in zip(*(t.statuses for _, t in methods), strict=True)), strict=True
        )
        yield _counters("s3gw_responses", "Answers by class of status.", "status", by_status)
        latencies = {method: tally.latency for method, tally in methods}
        yield _together(
            "s3gw_request_latency_ms",
            "First byte of a request to the end of its answer, in milliseconds.",
            latencies.values(),
        )
        yield _by_method(
            "s3gw_method_latency_ms", "The same, by method: that of a HEAD says how busy the gateway is.", latencies
        )
        ops = self._ops.items()
        yield _counters("s3gw_rocksdb_ops", "Calls into RocksDB.", "op", [(op, sum(t.latency.counts)) for op, t in ops])
        yield _counters("s3gw_rocksdb_errors", "Calls that failed.", "op", [(op, t.errors) for op, t in ops])
        yield _counters("s3gw_rocksdb_bytes", "Bytes read or written.", "op", [(op, t.nbytes) for op, t in ops])
        yield _together(
            "s3gw_rocksdb_latency_ms",
            "Duration of one call into RocksDB, in milliseconds.",
            [t.latency for _, t in ops],
        )
        yield CounterMetricFamily(
            "s3gw_corruptions", "Requests that met stored bytes that are not what was written.", value=self.corruptions
        )
        for family in self._further:
            yield family()


def _histogram(name: str, text: str, bounds: Sequence[float], counts: Sequence[int], total: float) -> Metric:
    family = HistogramMetricFamily(name, text)
    family.add_metric([], _running(bounds, counts), total)
    return family


def _together(name: str, text: str, latencies: Collection[_Latency]) -> Metric:
    """One histogram of what several have."""
    counts = [sum(each) for each in zip(*(latency.counts for latency in latencies), strict=True)]
    return _histogram(name, text, BUCKETS_MS, counts, sum(latency.total for latency in latencies))


def _by_method(name: str, text: str, latencies: Mapping[str, _Latency]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["method"])
    for method, latency in latencies.items():
        family.add_metric([method], _running(BUCKETS_MS, latency.counts), latency.total)
    return family


def _running(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """How many there were up to each bound, and in all."""
    return [
        (floatToGoString(bound), up_to)
        for bound, up_to in zip((*bounds, float("inf")), accumulate(counts), strict=True)
    ]


def _counters(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in values:
        family.add_metric([value], count)
    return family
