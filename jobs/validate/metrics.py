"""The metrics that can be measured of a table, all in one aggregation.

A metric is named `<columns>.<kind>`, columns separated by commas, or by the kind alone for the whole table.
Nulls never count as wrong except in null_count. An empty table has 0 in every count and null in min, max, mean,
min_day, max_day, length_min, length_max.

| kind                 | columns        | metric                                                                      |
|----------------------|----------------|-----------------------------------------------------------------------------|
| row_count            | none           | rows                                                                        |
| missing_column_count | none           | columns named by the suite that are absent or of a type that does not fit   |
| null_count           | one            | rows where the column is null                                               |
| distinct_count       | one            | different values, null left out                                             |
| duplicate_count      | one or more    | rows minus different keys, null counted as a value: 0 if the key is unique  |
| min, max, mean       | one, numeric   | over finite values                                                          |
| not_finite_count     | one, numeric   | rows with NaN or an infinity                                                |
| min_day, max_day     | one, date/time | first and last UTC day as the number yyyymmdd                               |
| length_min/_max      | one            | characters of text, bytes of binary, entries of an array or map             |
| not_in_set_count     | one            | rows with a value outside meta `set`                                        |
| not_match_count      | one, text      | rows with a value that meta `regex` (Java's) does not match                 |
| violation_count      | one or more    | rows for which the SQL condition in meta `where` is true; name the columns  |

A metric over a column that the table lacks, or whose type does not fit, is null and adds to missing_column_count.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.common.errors import ConfigError

Types = Mapping[str, T.DataType]
"""Column name -> type of the table measured."""
MISSING = "missing_column_count"

_FLOATS = (T.FloatType, T.DoubleType)
_TEMPORAL = (T.DateType, T.TimestampType, T.TimestampNTZType)
_SIZED = (T.StringType, T.BinaryType, T.ArrayType, T.MapType)
_ORDERED = (T.AtomicType, T.ArrayType, T.StructType)  # all but maps, which Spark cannot compare


@dataclass(frozen=True)
class Metric:
    """One metric to measure."""

    name: str
    kind: str
    columns: tuple[str, ...]
    argument: Any = None

    def fits(self, column: str, types: Types) -> bool:
        """Return whether the table has the column, of a type this metric can be measured on."""
        return column in types and isinstance(types[column], KINDS[self.kind].fits)

    def column(self, types: Types) -> Column:
        """Return the aggregate; every column must fit."""
        first = types[self.columns[0]] if self.columns else None
        return KINDS[self.kind].build(Target(self.columns, first, self.argument))


@dataclass(frozen=True)
class Target:
    """Columns and argument of an aggregate."""

    names: tuple[str, ...]
    type: T.DataType | None
    """Of the first column."""
    argument: Any

    @property
    def values(self) -> Column:
        """Return the first column."""
        return F.col(f"`{self.names[0]}`")


@dataclass(frozen=True)
class Kind:
    """One kind of metric."""

    build: Callable[[Target], Column]
    fits: tuple[type[T.DataType], ...] = (T.DataType,)
    argument: str | None = None
    """Key in the expectation's meta that holds the metric's argument."""
    least: int = 1
    """Fewest columns."""
    most: int = 1
    """Most columns."""


def parse_metric(name: str, meta: Mapping[str, Any], suite: str) -> Metric:
    """Return the metric called `name` in suite `suite`; `meta` is that of the expectation.

    Raises:
        ConfigError: no such kind, the wrong number of columns, or its argument is missing.
    """
    before, _, kind = name.rpartition(".")
    columns = tuple(part.strip() for part in before.split(",") if part.strip())
    spec = KINDS.get(kind)
    if spec is None:
        raise ConfigError(f"Suite {suite}: there is no metric {name!r}. Kinds: {', '.join(sorted(KINDS))}.")
    if not spec.least <= len(columns) <= spec.most:
        span = spec.least if spec.least == spec.most else f"at least {spec.least}"
        raise ConfigError(f"Suite {suite}: {name!r}: {kind} is of {span} column(s), got {len(columns)}.")
    argument = None
    if spec.argument is not None:
        argument = meta.get(spec.argument)
        if not isinstance(argument, list if spec.argument == "set" else str) or not argument:
            raise ConfigError(f"Suite {suite}: {name!r} needs {spec.argument!r} in its meta, got {argument!r}.")
    return Metric(name, kind, columns, argument)


def _finite(target: Target) -> Column:
    """Return the column as double, null where it is NaN or infinite: Spark sorts NaN above all numbers."""
    number = target.values.cast("double")
    return F.when(~_not_finite(number), number) if isinstance(target.type, _FLOATS) else number


def _not_finite(number: Column) -> Column:
    return F.isnan(number) | (F.abs(number) == F.lit(float("inf")))


def _day(target: Target) -> Column:
    return F.date_format(target.values, "yyyyMMdd").try_cast("double")


def _length(target: Target) -> Column:
    entries = isinstance(target.type, (T.ArrayType, T.MapType))
    # size(null) is -1 where ANSI mode is off
    return F.when(target.values.isNotNull(), F.size(target.values) if entries else F.length(target.values))


def _duplicates(target: Target) -> Column:
    # a struct is never null, so that keys with nulls are compared too
    key = F.struct(*[F.col(f"`{name}`") for name in target.names])
    return F.count(F.lit(1)) - F.count_distinct(key)


KINDS: dict[str, Kind] = {
    "row_count": Kind(lambda _: F.count(F.lit(1)), least=0, most=0),
    # known from the schema alone: see jobs/validate/measure.py
    MISSING: Kind(lambda _: F.lit(0), least=0, most=0),
    "null_count": Kind(lambda t: F.count_if(t.values.isNull())),
    "distinct_count": Kind(lambda t: F.count_distinct(t.values), _ORDERED),
    "duplicate_count": Kind(_duplicates, _ORDERED, most=9),
    "min": Kind(lambda t: F.min(_finite(t)), (T.NumericType,)),
    "max": Kind(lambda t: F.max(_finite(t)), (T.NumericType,)),
    # rounded: the sum of doubles depends on the order of partitions
    "mean": Kind(lambda t: F.round(F.avg(_finite(t)), 6), (T.NumericType,)),
    "not_finite_count": Kind(lambda t: F.count_if(_not_finite(t.values.cast("double"))), (T.NumericType,)),
    "min_day": Kind(lambda t: F.min(_day(t)), _TEMPORAL),
    "max_day": Kind(lambda t: F.max(_day(t)), _TEMPORAL),
    "length_min": Kind(lambda t: F.min(_length(t)), _SIZED),
    "length_max": Kind(lambda t: F.max(_length(t)), _SIZED),
    "not_in_set_count": Kind(lambda t: F.count_if(~t.values.isin(t.argument)), (T.AtomicType,), "set"),
    "not_match_count": Kind(lambda t: F.count_if(~t.values.rlike(t.argument)), (T.StringType,), "regex"),
    "violation_count": Kind(lambda t: F.count_if(F.expr(t.argument)), argument="where", most=9),
}
