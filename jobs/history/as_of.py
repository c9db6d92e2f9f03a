"""Reads a table as of a date, so that a feature means the same on the day and in a backfill a year later."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import TableError
from jobs.common.tso import as_of_instant, tso_at
from jobs.history.ledger import require_columns, source_fields, state_at
from jobs.history.table_lineage import lineage_of
from jobs.lake.delta import Lake
from jobs.lake.table_frames import struct_of
from jobs.schema.bronze_silver import LEDGER
from jobs.schema.names import quoted
from jobs.schema.table import AsOf, Table
from jobs.schema.tables import table

ABSENT = -1
"""Version of a table, or of a partition, that no run has made."""


def read_as_of(lake: Lake, name: str, as_of: date, version: int | None = None) -> DataFrame:
    """Return the rows of table `name` that were there strictly before 00:00 UTC of `as_of`.

    Args:
        lake: where the table is.
        name: registered name.
        as_of: the as-of date.
        version: Delta version to read; newest if None; ABSENT reads as no rows.

    Raises:
        TableError: the table is absent, lacks a registered column, or has nothing for that as-of.
    """
    known = table(name)
    if known.optional and (version == ABSENT or not lake.exists(name)):
        return lake.spark.createDataFrame([], struct_of(known)).drop("as_of", "_op_rank", "_deleted")
    version = lake.version(name) if version is None else version
    df = lake.read(name, version)
    if known.time is AsOf.PARTITION:
        return df.where(F.col("as_of") == F.lit(as_of)).drop("as_of")
    lost = require_columns(df.columns, (c.name for c in known.columns))
    if lost:
        raise TableError(
            f"{name} lacks {', '.join(lost)}, which later jobs need: the source table changed. "
            f"Bring the column back, or change jobs/schema/bronze_silver.py and the jobs that read it."
        )
    if known.time is AsOf.STATE:
        return _state(lake, df, known, as_of, version)
    if known.time is AsOf.STATIC:
        return df
    past = df.where(F.col("ts") < F.lit(as_of_instant(as_of)))
    if known.time is AsOf.LATEST:
        return _newest(past, known)
    return past


def _state(lake: Lake, df: DataFrame, known: Table, as_of: date, version: int) -> DataFrame:
    tso = tso_at(as_of_instant(as_of))
    # a truncation after that instant changed no row that is left, and took away others
    if max(lake.newest_change(known.name, version), lineage_of(df.schema).newest_loss()) < tso:
        live = df.where(~F.col("_deleted"))
    else:
        live = lake.once((known.name, version, tso), lambda: _rebuilt(lake, df, known, tso))
    return live.select(*[quoted(field.name) for field in source_fields(df.schema)], "_commit_ts")


def _rebuilt(lake: Lake, df: DataFrame, known: Table, tso: int) -> DataFrame:
    return state_at(lake.read(LEDGER.name), df.schema, tso, known.source or "")


def _newest(df: DataFrame, known: Table) -> DataFrame:
    # equal ts: the model's name decides, so that the choice is always the same
    first = known.keys[0]
    columns = [c.name for c in known.columns if c.name != first]
    order = F.struct(*[key for key in ("ts", "model") if key in columns])
    picked = df.groupBy(first).agg(F.max_by(F.struct(*columns), order).alias("row"))
    return picked.select(first, "row.*")
