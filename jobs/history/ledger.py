"""From changes to state: the newest row per key, typed. Ingest merges with it, a past state is rebuilt with it.

Sequence of a change is (commit_ts, op_rank), numeric, a delete before an insert or update at equal commit_ts
(docs/adr/0002): any arrival order and any repetition give one state.
"""

import json
from collections.abc import Iterable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DateType, StructField, StructType, TimestampNTZType, TimestampType

from jobs.history.conversions import Step, converted, keeps_text
from jobs.history.table_lineage import lineage_of
from jobs.schema.columns import COMMIT_TS, DELETED, OP_RANK
from jobs.schema.names import quoted

DEFAULT, SINCE, NAMES, CASTS = "default", "since", "names", "casts"
"""Keys of a silver column's metadata: the text that rows from before `since` have, the commit_ts of the DDL that added
it, the names it had, as JSON [[commit_ts from which, name], …], oldest first, and the changes of its type, as JSON
[[commit_ts, [rule of jobs/history/conversions.py, …]], …], oldest first."""

_DATES = (DateType, TimestampType, TimestampNTZType)
"""Types with values that MySQL has and Spark has not: dates that the calendar lacks."""


def newest(changes: DataFrame) -> DataFrame:
    """Return one row per key: the change with the greatest sequence.

    Args:
        changes: rows of bronze.ledger, of one source table.
    """
    # ties are repetitions of one change; the place decides so that the choice is always the same
    last = [F.col(name).desc() for name in ("_commit_ts", "_op_rank", "path", "row_no")]
    # a window, not max_by: nearly every key has one row, and an aggregate that keeps maps copies each several times
    places = changes.withColumn("_place", F.row_number().over(Window.partitionBy("key").orderBy(*last)))
    return places.where(F.col("_place") == 1).drop("_place", "table", "path", "row_no", "run_id", "table_version")


def typed(rows: DataFrame, schema: StructType, until: int | None = None) -> DataFrame:
    """Return silver rows from newest ledger rows.

    Values come as text: integers, decimals and floats as written by MySQL, timestamps at UTC, ENUM and SET by name,
    BIT as unsigned number, binary as lower-case hexadecimal. A row that lacks a column was written before the column
    was added: it takes the column's default. A date that the calendar lacks (month or day 00, 30 February, year 0000)
    becomes NULL; its text stays in the ledger.
    A row that went with its partition is a tombstone, like one that was deleted.

    Args:
        rows: result of `newest`.
        schema: schema of the silver table, the platform's own columns included.
        until: commit_ts of the past state; None for now.
    """
    deleted = F.col("op") == "D"
    value = F.when(deleted, F.col("before")).otherwise(F.col("after"))
    gone = deleted | lineage_of(schema).gone(until)
    columns = [_typed(field, value) for field in source_fields(schema)]
    return rows.select(*columns, "_commit_ts", F.col("_op_rank").cast("int"), gone.alias("_deleted"))


def source_fields(schema: StructType) -> list[StructField]:
    """Return the fields that the source has, without the platform's own."""
    own = {COMMIT_TS.name, OP_RANK.name, DELETED.name}
    return [field for field in schema.fields if field.name not in own]


def source_name(field: StructField) -> str:
    """Return the name that a column of silver has at the source."""
    names = json.loads((field.metadata or {}).get(NAMES, "null"))
    return str(names[-1][1]) if names else field.name


def source_rows(rows: DataFrame, schema: StructType) -> DataFrame:
    """Return silver's rows in the source's columns, under the source's names.

    Args:
        rows: in the columns of silver.
        schema: of the silver table, with the source's names: a frame made from the ledger has lost them.
    """
    return rows.select(*[F.col(quoted(f.name)).alias(source_name(f)) for f in source_fields(schema)])


def silver_names(schema: StructType, names: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of silver that have these names at the source."""
    known = {source_name(field): field.name for field in source_fields(schema)}
    return tuple(known.get(name, name) for name in names)


def state_at(ledger: DataFrame, schema: StructType, tso: int, source: str = "") -> DataFrame:
    """Return the rows of one table alive strictly before `tso`, in its newest columns.

    Args:
        ledger: bronze.ledger.
        schema: schema of the silver table, with its lineage.
        tso: the as-of instant.
        source: schema.table, for a silver table whose schema has no lineage.
    """
    mine = ledger.where(lineage_of(schema, [source]).rows(tso) & (F.col("_commit_ts") < tso))
    return typed(newest(mine), schema, tso).where(~F.col("_deleted"))


def _typed(field: StructField, value: Column) -> Column:
    text = _text(field, value)
    if isinstance(field.dataType, BinaryType):
        return F.unhex(text).alias(field.name)
    if isinstance(field.dataType, _DATES):
        # Spark has a year 0, which Python's dates and Parquet's readers have not
        real = F.when(~text.startswith("0000-"), text)
        return real.try_cast(field.dataType).alias(field.name)
    # a row that was deleted before its column got another type may hold what does not fit it
    if type_changes_of(field):
        return text.try_cast(field.dataType).alias(field.name)
    return text.cast(field.dataType).alias(field.name)


def type_changes_of(field: StructField) -> list[tuple[int, list[Step]]]:
    """Return the changes of a column's type: commit_ts, and what values from before it go through."""
    return [(at, [tuple(step) for step in steps]) for at, steps in json.loads((field.metadata or {}).get(CASTS, "[]"))]


def unfit(field: StructField, at: int) -> Column:
    """Return the condition on newest ledger rows that a value does not fit the type that its column got at `at`."""
    value = F.col("after")
    steps = [step for version, some in type_changes_of(field) if version == at for step in some]
    text = _text(field, value, at - 1)
    return (F.col("op") != "D") & text.isNotNull() & converted(text, steps).isNull()


def _text(field: StructField, value: Column, until: int | None = None) -> Column:
    """Return a column's text in a ledger row, as of the type that it has now, or had at `until`."""
    text = _named_text(field, value)
    for version, steps in type_changes_of(field):
        if not keeps_text(steps) and (until is None or version <= until):
            # only rows from before it are handed over: the others come back as NULL
            older = F.col(COMMIT_TS.name) < version
            text = F.when(older, converted(F.when(older, text), steps)).otherwise(text)
    return text


def _named_text(field: StructField, value: Column) -> Column:
    """Return a column's text in a ledger row: under the name it had then, or the default of rows that precede it."""
    known = field.metadata or {}
    at = F.col(COMMIT_TS.name)
    names = json.loads(known.get(NAMES, "null")) or [[0, field.name]]
    text, named = F.element_at(value, names[0][1]), F.map_contains_key(value, names[0][1])
    for start, name in names[1:]:
        text = F.when(at >= start, F.element_at(value, name)).otherwise(text)
        named = F.when(at >= start, F.map_contains_key(value, name)).otherwise(named)
    if SINCE in known:
        named = named & (at >= int(known[SINCE]))
    if DEFAULT in known or SINCE in known:
        return F.when(named, text).otherwise(F.lit(known.get(DEFAULT)).cast("string"))
    return text


def require_columns(found: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Return the wanted columns that were not found."""
    have = set(found)
    return [name for name in wanted if name not in have]
