"""The figures that Prometheus sees."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from s3gw.web.metrics import METHODS, OPS, Metrics


def _samples(metrics: Metrics) -> dict[tuple[str, str], float]:
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class MetricsTests(SynchronousTestCase):
    def test_present_from_the_start(self) -> None:
        """Every agreed name is there with every label value before the first request."""
        found = _samples(Metrics())
        for name in ("requests", "request_errors", "request_bytes", "response_bytes"):
            for method in METHODS:
                self.assertEqual(found[f"s3gw_{name}_total", method], 0)
        for name in ("ops", "errors", "bytes"):
            for op in OPS:
                self.assertEqual(found[f"s3gw_rocksdb_{name}_total", op], 0)
        for name in ("request", "rocksdb"):
            self.assertEqual(found[f"s3gw_{name}_latency_ms_count", ""], 0)
            self.assertEqual(found[f"s3gw_{name}_latency_ms_bucket", "0.1"], 0)
            self.assertEqual(found[f"s3gw_{name}_latency_ms_bucket", "+Inf"], 0)

    def test_requests(self) -> None:
        """A request counts under its method, an unknown method as OTHER, with its bytes and its class of status."""
        metrics = Metrics()
        metrics.request_ended("PUT", 200, 100, 0, 0.0007, cut=False)
        metrics.request_ended("GET", 404, 0, 20, 0.00005, cut=False)
        metrics.request_ended("GET", 200, 0, 30, 20.0, cut=True)
        metrics.request_ended("BREW", 501, 0, 0, 0.0, cut=False)
        found = _samples(metrics)
        self.assertEqual(found["s3gw_requests_total", "PUT"], 1)
        self.assertEqual(found["s3gw_requests_total", "GET"], 2)
        self.assertEqual(found["s3gw_requests_total", "OTHER"], 1)
        self.assertEqual(found["s3gw_request_errors_total", "PUT"], 0)
        self.assertEqual(found["s3gw_request_errors_total", "GET"], 2)
        self.assertEqual(found["s3gw_request_bytes_total", "PUT"], 100)
        self.assertEqual(found["s3gw_response_bytes_total", "GET"], 50)
        self.assertEqual([found["s3gw_responses_total", s] for s in ("2xx", "4xx", "5xx", "cut")], [1, 1, 1, 1])

    def test_latency(self) -> None:
        """Durations fall in the bucket whose bound they do not exceed, and buckets are cumulative."""
        metrics = Metrics()
        for seconds in (0.0001, 0.0002, 0.003, 100.0):
            metrics.request_ended("GET", 200, 0, 0, seconds, cut=False)
        found = _samples(metrics)
        bucket = "s3gw_request_latency_ms_bucket"
        self.assertEqual([found[bucket, b] for b in ("0.1", "0.25", "1.0", "5.0", "10000.0")], [1, 2, 2, 3, 3])
        self.assertEqual(found[bucket, "+Inf"], 4)
        self.assertAlmostEqual(found["s3gw_request_latency_ms_sum", ""], 100003.3)

    def test_store_calls(self) -> None:
        """Calls into the database count by kind, with bytes and failures."""
        metrics = Metrics()
        metrics.store_called("get", 10, 0.001, False)
        metrics.store_called("get", 5, 0.001, True)
        found = _samples(metrics)
        self.assertEqual(found["s3gw_rocksdb_ops_total", "get"], 2)
        self.assertEqual(found["s3gw_rocksdb_errors_total", "get"], 1)
        self.assertEqual(found["s3gw_rocksdb_bytes_total", "get"], 15)
        self.assertEqual(found["s3gw_rocksdb_latency_ms_count", ""], 2)

    def test_corruption(self) -> None:
        """Damage that requests met is counted, from zero on."""
        metrics = Metrics()
        self.assertEqual(_samples(metrics)["s3gw_corruptions_total", ""], 0)
        metrics.corruptions += 1
        self.assertEqual(_samples(metrics)["s3gw_corruptions_total", ""], 1)

    def test_kept_elsewhere(self) -> None:
        """Gauges, counters and properties show what their source says when they are read."""
        metrics = Metrics()
        figures = {"size": 1}
        metrics.gauge("s3gw_g", "A gauge.", lambda: figures["size"])
        metrics.counter("s3gw_c", "A counter.", lambda: figures["size"])
        metrics.properties(lambda: figures)
        figures["size"] = 7
        found = _samples(metrics)
        self.assertEqual(found["s3gw_g", ""], 7)
        self.assertEqual(found["s3gw_c_total", ""], 7)
        self.assertEqual(found["s3gw_store_property", "size"], 7)
