"""All figures of a table in one aggregation: one job, one pass, one row back to the driver.

In: the table about to be committed (any grain) and the figures its suite names. Out: figure -> number, or null.
"""

from collections.abc import Iterable

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame

from jobs.common.errors import ConfigError
from jobs.validate.metrics import MISSING, Metric, Types, parse_metric
from jobs.validate.suites import Suite

Figures = dict[str, float | None]
"""Name of the figure -> what was measured; counts are whole numbers, null where there was nothing to measure."""


def metrics_of(suite: Suite) -> list[Metric]:
    """Return the figures that a suite of a table judges.

    Raises:
        ConfigError: a figure is not in the vocabulary.
    """
    return [parse_metric(name, meta, suite.name) for name, meta in suite.figures.items()]


def aggregation(df: DataFrame, metrics: Iterable[Metric], suite: str) -> tuple[DataFrame, list[str]]:
    """Return the one-row aggregation of all figures that can be measured, and their names in its order.

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
        asked = "; ".join(f"{m.name}: {m.argument}" for m in fit if m.kind == "violation_count")
        first = str(error).split("\n", 1)[0]
        raise ConfigError(f"Suite {suite}: Spark refuses one of its conditions ({asked}): {first}") from error
    return row, [m.name for m in fit]


def measure(df: DataFrame, suite: Suite) -> Figures:
    """Measure a table for its suite.

    Raises:
        ConfigError: a figure is not in the vocabulary, or Spark refuses a condition.
    """
    metrics = metrics_of(suite)
    figures: Figures = {metric.name: None for metric in metrics}
    row, names = aggregation(df, metrics, suite.name)
    if names:
        measured = row.collect()[0]  # bounded: an aggregation without groups is one row
        figures |= {
            name: None if value is None else _number(value) for name, value in zip(names, measured, strict=True)
        }
    if MISSING in figures:
        figures[MISSING] = len(missing_columns(df, metrics))
    return figures


def missing_columns(df: DataFrame, metrics: Iterable[Metric]) -> list[str]:
    """Return the columns that figures are about and that the table lacks or has in a type that does not fit."""
    types: Types = {field.name: field.dataType for field in df.schema.fields}
    return sorted({column for m in metrics for column in m.columns if not m.fits(column, types)})


def _number(value: float | None) -> float | None:
    if value is None:
        return None
    return int(value) if float(value).is_integer() else float(value)
