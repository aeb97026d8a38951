"""Tests of the benchmark: figures that nobody checks are not worth printing."""
