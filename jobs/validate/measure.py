"""Measures all metrics of a table in one aggregation: one job, one pass, one row to the driver.

In: the table about to be committed (any grain) and the metrics its suite names. Out: metric -> number, or null.
"""

from collections.abc import Iterable

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame

from jobs.common.errors import ConfigError
from jobs.validate.metrics import MISSING, Metric, Types, parse_metric
from jobs.validate.suites import Suite

Metrics = dict[str, float | None]
"""Metric -> value; counts are integers, None where there was nothing to measure."""


def metrics_of(suite: Suite) -> list[Metric]:
    """Return the metrics that a suite of a table validates.

    Raises:
        ConfigError: a metric is not in the vocabulary.
    """
    return [parse_metric(name, meta, suite.name) for name, meta in suite.metrics.items()]


def aggregation(df: DataFrame, metrics: Iterable[Metric], suite: str) -> tuple[DataFrame, list[str]]:
    """Return the one-row aggregation of all metrics that can be measured, and their names in its order.

    Counts of different keys are exact: Spark shuffles the keys once, in the same job; a suite with two or more of
    them costs a copy of the rows' keys each.

    Raises:
        ConfigError: Spark refuses a condition of the suite.
    """
    types: Types = {field.name: field.dataType for field in df.schema.fields}
    fit = [m for m in metrics if m.kind != MISSING and all(m.fits(column, types) for column in m.columns)]
    try:
        row = df.agg(*[m.column(types).alias(f"f{number}") for number, m in enumerate(fit)]) if fit else df.limit(0)
    except AnalysisException as error:
        conditions = "; ".join(f"{m.name}: {m.argument}" for m in fit if m.kind == "violation_count")
        message = str(error).split("\n", 1)[0]
        raise ConfigError(f"Suite {suite}: Spark refuses one of its conditions ({conditions}): {message}") from error
    return row, [m.name for m in fit]


def measure(df: DataFrame, suite: Suite) -> Metrics:
    """Measure a table for its suite.

    Raises:
        ConfigError: a metric is not in the vocabulary, or Spark refuses a condition.
    """
    metrics = metrics_of(suite)
    values: Metrics = {metric.name: None for metric in metrics}
    row, names = aggregation(df, metrics, suite.name)
    if names:
        measured = row.collect()[0]  # bounded: an aggregation without groups is one row
        values |= {name: None if value is None else _number(value) for name, value in zip(names, measured, strict=True)}
    if MISSING in values:
        values[MISSING] = len(missing_columns(df, metrics))
    return values


def missing_columns(df: DataFrame, metrics: Iterable[Metric]) -> list[str]:
    """Return the columns of metrics that the table lacks, or has in an unsupported type."""
    types: Types = {field.name: field.dataType for field in df.schema.fields}
    return sorted({column for m in metrics for column in m.columns if not m.fits(column, types)})


def _number(value: float | None) -> float | None:
    if value is None:
        return None
    return int(value) if float(value).is_integer() else float(value)
