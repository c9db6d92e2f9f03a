"""Whether the values of a table fit the types that its DDL gives them: asked of bronze before silver is rebuilt.

In: the tables as their DDL says, and bronze. Out: for each statement whose conversion loses or refuses a value, the
columns and how many values; the table is then blocked before that statement, and its silver stays as it is.
"""

from collections.abc import Collection, Iterable, Mapping

from pyspark.sql import functions as F

from jobs.history.ledger import newest, source_fields, unfit
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.silver import reshaped, silver_schema
from jobs.ingest.tidb.tables.source_table import SourceTable
from jobs.lake.delta import Lake
from jobs.schema.bronze_silver import LEDGER

Unfit = dict[tuple[TableName, int], str]
"""Table and version of a statement -> what does not fit."""


def unfit_values(lake: Lake, tables: Iterable[SourceTable], batches: Collection[int]) -> Unfit:
    """Return which statements give types that values of their tables do not fit.

    Args:
        lake: the lake, with this run's rows in bronze.
        tables: as their DDL says.
        batches: of bronze, those that this run brought.
    """
    retyped = [table for table in tables if table.ended is None and any(column.casts for column in table.columns)]
    if not retyped or not lake.exists(LEDGER.name):
        return {}
    earliest = _earliest(lake, batches)
    found: Unfit = {}
    for table in retyped:
        came = min((earliest[s.table] for s in table.segments if s.table in earliest), default=None)
        judged = not reshaped(lake, table)
        for at in sorted({at for column in table.columns for at, _ in column.casts}):
            if judged and (came is None or came >= at):
                continue
            said = _said(table, _counted(lake, table, at))
            if said:
                found[_named_at(table, at), at] = said
    return found


def _earliest(lake: Lake, batches: Collection[int]) -> Mapping[str, int]:
    """Return the oldest commit_ts that this run brought, by table."""
    if not batches:
        return {}
    rows = lake.scan(LEDGER.name).where(F.col("batch").isin(list(batches))).groupBy("table")
    return {row["table"]: row["at"] for row in rows.agg(F.min("_commit_ts").alias("at")).collect()}  # bounded: tables


def _counted(lake: Lake, table: SourceTable, at: int) -> dict[str, int]:
    """Return how many values do not fit, by column, of the rows that there were when the statement ran."""
    mine = lake.scan(LEDGER.name).where(table.lineage.rows(at) & (F.col("_commit_ts") < at))
    if table.snapshot is not None:
        later = (F.col("_commit_ts") > table.snapshot.tso) | (F.col("_op_rank") > 1)
        mine = mine.where((F.col("op") == "S") | later)
    there = newest(mine).where(~table.lineage.gone(at))
    fields = zip(table.columns, source_fields(silver_schema(table)), strict=True)
    retyped = {column.name: field for column, field in fields if at in dict(column.casts)}
    bad = [F.count_if(unfit(field, at)).alias(f"c{place}") for place, field in enumerate(retyped.values())]
    counted = there.agg(*bad).first()
    return dict(zip(retyped, counted, strict=True)) if counted else {}


def _said(table: SourceTable, counts: Mapping[str, int]) -> str:
    told = [
        f"gives column {column.name} a type ({column.now.sql}) that {counts[column.name]:,} of its values do not fit"
        for column in table.columns
        if counts.get(column.name)
    ]
    return ", ".join(told)


def _named_at(table: SourceTable, at: int) -> TableName:
    """Return the name that a table had right after a statement."""
    spans = [s.table for s in table.segments if s.start <= at and (s.end is None or at < s.end)]
    schema, _, name = (spans[-1] if spans else table.full_name).partition(".")
    return schema, name
