"""Measure a table once, validate it by its suite: Spark computes the metrics, Great Expectations validates them."""
