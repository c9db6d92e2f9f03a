"""From changes to state: the newest row per key, typed. Ingest merges with it, a past state is rebuilt with it.

Sequence of a change is (commit_ts, op_rank), numeric, a delete before an insert or update at equal commit_ts
(docs/adr/0002): any arrival order and any repetition give one state.
"""

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DateType, StructField, StructType, TimestampNTZType, TimestampType

from jobs.lake.columns import COMMIT_TS, DELETED, OP_RANK

DEFAULT = "default"
"""Key of a silver column's metadata: the text its older rows have (ADD COLUMN … DEFAULT)."""

_DATES = (DateType, TimestampType, TimestampNTZType)
"""Types with values that MySQL has and Spark has not: dates with a month or day 00."""


def newest(changes: DataFrame) -> DataFrame:
    """Return one row per key: the change with the greatest sequence.

    Args:
        changes: rows of bronze.ledger, of one source table.
    """
    # ties are repetitions of one change; the place decides so that the choice is always the same
    last = [F.col(name).desc() for name in ("_commit_ts", "_op_rank", "object", "row_no")]
    # a window, not max_by: nearly every key has one row, and an aggregate that keeps maps copies each several times
    places = changes.withColumn("_place", F.row_number().over(Window.partitionBy("key").orderBy(*last)))
    return places.where(F.col("_place") == 1).select("key", "_commit_ts", "_op_rank", "op", "after", "before")


def typed(rows: DataFrame, schema: StructType) -> DataFrame:
    """Return silver rows from newest ledger rows.

    Values come as text: integers, decimals and floats as written by MySQL, timestamps at UTC, ENUM and SET by name,
    BIT as unsigned number, binary as lower-case hexadecimal. A row that lacks a column was written before the column
    was added: it takes the column's default. A date with a month or day 00 becomes NULL; its text stays in the ledger.

    Args:
        rows: result of `newest`.
        schema: schema of the silver table, the platform's own columns included.
    """
    gone = F.col("op") == "D"
    value = F.when(gone, F.col("before")).otherwise(F.col("after"))
    columns = [_typed(field, value) for field in source_fields(schema)]
    return rows.select(*columns, "_commit_ts", F.col("_op_rank").cast("int"), gone.alias("_deleted"))


def source_fields(schema: StructType) -> list[StructField]:
    """Return the fields that the source has, without the platform's own."""
    own = {COMMIT_TS.name, OP_RANK.name, DELETED.name}
    return [field for field in schema.fields if field.name not in own]


def state_at(ledger: DataFrame, schema: StructType, tso: int) -> DataFrame:
    """Return the rows alive strictly before `tso`, from the ledger rows of one table."""
    rows = typed(newest(ledger.where(F.col("_commit_ts") < tso)), schema)
    return rows.where(~F.col("_deleted"))


def _typed(field: StructField, value: Column) -> Column:
    text = F.element_at(value, field.name)
    if DEFAULT in (field.metadata or {}):
        text = F.when(F.map_contains_key(value, field.name), text).otherwise(F.lit(field.metadata[DEFAULT]))
    if isinstance(field.dataType, BinaryType):
        return F.unhex(text).alias(field.name)
    if isinstance(field.dataType, _DATES):
        return text.try_cast(field.dataType).alias(field.name)
    return text.cast(field.dataType).alias(field.name)


def require_columns(found: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Return the wanted columns that were not found."""
    have = set(found)
    return [name for name in wanted if name not in have]
