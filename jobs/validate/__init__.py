"""Measure a table once, judge it by its suite: Spark computes the figures, Great Expectations judges them."""
