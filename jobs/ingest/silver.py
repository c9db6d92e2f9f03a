"""From bronze to silver: the newest change per key, merged into the table's current state, tombstones included.

In: rows of bronze.ledger not applied yet. Out: silver.<schema>_<table> as of the checkpoint. A row is applied
if its sequence (commit_ts, op_rank) is greater than the one in silver, so that a repetition of this step, or of any
file, changes nothing.
"""

from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructField, StructType
from pyspark.storagelevel import StorageLevel

from jobs.ingest.history import SourceTable
from jobs.lake.columns import COMMIT_TS, DELETED, OP_RANK
from jobs.lake.delta import Lake
from jobs.lake.job import Work
from jobs.lake.ledger import DEFAULT, newest, typed
from jobs.lake.sources import LEDGER, SILVER
from jobs.lake.table import Table

_OWN = (COMMIT_TS, OP_RANK, DELETED)


@dataclass(frozen=True)
class Mark:
    """How far one table is, and how far it may go."""

    table: SourceTable
    batch: int
    """Newest bronze batch in silver."""
    checkpoint: int
    """commit_ts up to which changes are in silver."""
    limit: int
    """commit_ts up to which they may be now."""

    def unapplied(self) -> Any:
        """Return the condition on ledger rows that no earlier run has applied."""
        mine = F.col("table") == self.table.full_name
        return mine & ((F.col("batch") > self.batch) | (F.col("_commit_ts") > self.checkpoint))


def merge(work: Work, mark: Mark) -> int:
    """Apply a table's changes up to its limit.

    Returns:
        Rows of silver that changed.

    Raises:
        ValidationFailed: the rows break a critical expectation; the table stays as it was.
        ConcurrentRun: another run wrote the table first.
    """
    table, lake = mark.table, work.lake
    changes = lake.read(LEDGER.name).where(mark.unapplied() & (F.col("_commit_ts") <= mark.limit))
    if table.snapshot is not None:
        # the snapshot holds every commit up to its TSO; what the feed has of them is older or the same
        changes = changes.where((F.col("op") == "S") | (F.col("_commit_ts") > table.snapshot.tso))
    schema = _schema(lake, table)
    rows = typed(newest(changes), schema).persist(StorageLevel.DISK_ONLY)
    try:
        work.judge_table(table.silver, rows.where(~F.col("_deleted")))
        if create(lake, table, schema):
            return lake.append(table.silver, rows).rows
        _evolve(lake, mark, schema)
        return _merge_rows(lake, table, rows)
    finally:
        rows.unpersist()


def create(lake: Lake, table: SourceTable, schema: StructType | None = None) -> bool:
    """Create a table's silver, empty, and return True; False if it is there: a table without rows is a table too."""
    if lake.exists(table.silver):
        return False
    lake.create(table.silver, schema or _schema(lake, table), comment=_comment(table))
    return True


def _merge_rows(lake: Lake, table: SourceTable, rows: DataFrame) -> int:
    same = " AND ".join(f"t.`{name}` = s.`{name}`" for name in table.key)
    newer = "s._commit_ts > t._commit_ts OR (s._commit_ts = t._commit_ts AND s._op_rank > t._op_rank)"
    target = lake.delta(table.silver).alias("t").merge(rows.alias("s"), same)
    with lake.committing(table.silver):
        done = target.whenMatchedUpdateAll(newer).whenNotMatchedInsertAll().execute().first()
    return int(done["num_updated_rows"]) + int(done["num_inserted_rows"]) if done else 0


def _evolve(lake: Lake, mark: Mark, schema: StructType) -> None:
    """Add the columns that silver lacks, and give older rows their default: the feed rewrites no row for it."""
    have = set(lake.read(mark.table.silver).columns)
    fresh = [field for field in schema.fields if field.name not in have]
    if fresh:
        none = lake.spark.createDataFrame([], StructType(fresh))
        writer = none.write.format("delta").mode("append").option("mergeSchema", "true")
        with lake.committing(mark.table.silver):
            writer.save(lake.path(mark.table.silver))
    for name, added in sorted(mark.table.added.items()):
        if added.default is not None and added.version > mark.checkpoint:
            value = F.lit(added.default).try_cast(schema[name].dataType)
            old = F.col(name).isNull() & (F.col("_commit_ts") < added.version)
            with lake.committing(mark.table.silver):
                lake.delta(mark.table.silver).update(old, {f"`{name}`": value})


def _schema(lake: Lake, table: SourceTable) -> StructType:
    """Return silver's schema: the source's columns, later ones last, then the platform's own."""
    known = next((t for t in SILVER if t.source == table.full_name), None)
    fields = [_field(table, known, column.name) for column in table.columns]
    fields += [StructField(own.name, _type(own.type), True, {"comment": own.comment}) for own in _OWN]
    wanted = {field.name: field for field in fields}
    if not lake.exists(table.silver):
        return StructType(fields)
    have = [field.name for field in lake.read(table.silver).schema.fields if field.name in wanted]
    return StructType([wanted[name] for name in have] + [f for f in fields if f.name not in have])


def _field(table: SourceTable, known: Table | None, name: str) -> StructField:
    column = next(c for c in table.columns if c.name == name)
    comment = f"Column {name} of {table.full_name}, {column.sql}."
    if known is not None:
        comment = next((c.comment for c in known.columns if c.name == name), comment)
    added = table.added.get(name)
    default = {DEFAULT: added.default} if added is not None and added.default is not None else {}
    return StructField(name, _type(column.spark), True, {"comment": comment} | default)


def _type(ddl: str) -> DataType:
    return DataType.fromDDL(ddl)


def _comment(table: SourceTable) -> str:
    known = next((t for t in SILVER if t.source == table.full_name), None)
    return known.comment if known else f"Current rows of {table.full_name} in TiDB, tombstones included."
