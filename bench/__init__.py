"""The benchmark: requests per second, latency, and above all the server's CPU time per request. See README.md."""
