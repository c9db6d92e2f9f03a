"""From bronze to silver: the newest change per key, merged into the table's current state, tombstones included.

In: rows of bronze.ledger not applied yet. Out: silver.<schema>_<table> as of the checkpoint. A row is applied
if its sequence (commit_ts, op_rank) is greater than the one in silver, so that a repetition of this step, or of any
file, changes nothing. Where DDL changed what older rows are (a column renamed, dropped or of another type, the table
truncated, renamed or recreated), the table is rebuilt from the ledger in one commit.
"""

import json
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DataType, StructField, StructType
from pyspark.storagelevel import StorageLevel

from jobs.common.errors import ConfigError
from jobs.engine.context import ActionContext
from jobs.history.ledger import CASTS, DEFAULT, NAMES, SINCE, newest, typed
from jobs.history.table_lineage import LINEAGE
from jobs.ingest.tidb.ddl.indexes import ROW_ID
from jobs.ingest.tidb.ddl.source_column import Column
from jobs.ingest.tidb.tables.source_table import SourceTable
from jobs.lake.bloom import maybe_among
from jobs.lake.delta import Lake
from jobs.lake.layout import by_key, extent
from jobs.schema.bronze_silver import LEDGER, SILVER
from jobs.schema.columns import COMMIT_TS, DELETED, OP_RANK
from jobs.schema.names import quoted
from jobs.schema.table import Table
from jobs.settings.ingest import TableRules

_OWN = (COMMIT_TS, OP_RANK, DELETED)
LARGE = 32 << 20
"""Bytes of a table from which on its rows are told apart before they are joined with the changes."""


@dataclass(frozen=True)
class ApplyWindow:
    """How far one table is, and how far it may go."""

    table: SourceTable
    batch: int
    """Newest bronze batch in silver."""
    checkpoint: int
    """commit_ts up to which changes are in silver."""
    limit: int
    """commit_ts up to which they may be now."""
    late: bool = False
    """Whether changes came that are older than what is in silver: tombstones of their keys may have been removed."""

    def pending_changes(self) -> SparkColumn:
        """Return the condition on the table's ledger rows that no earlier run has applied."""
        return (F.col("batch") > self.batch) | (F.col("_commit_ts") > self.checkpoint)


def merge(work: ActionContext, mark: ApplyWindow) -> int:
    """Apply a table's changes up to its limit.

    Returns:
        Rows of silver that changed, of those not applied before.

    Raises:
        ValidationFailedError: the rows break a critical expectation; the table stays as it was.
        ConcurrentRunError: another run wrote the table first.
    """
    table, lake = mark.table, work.lake
    rebuild = reshaped(lake, table)
    changes = lake.scan(LEDGER.name).where(table.lineage.rows() & (F.col("_commit_ts") <= mark.limit))
    if table.snapshot is not None:
        # the snapshot holds every commit up to its TSO; what the feed has of them is older or the same
        # what `reconcile` took from the source at that moment is of a rank of its own
        later = (F.col("_commit_ts") > table.snapshot.tso) | (F.col("_op_rank") > 1)
        changes = changes.where((F.col("op") == "S") | later)
    schema = _schema(lake, table, rebuild)
    last = newest(changes if rebuild else _unapplied(changes, mark)).persist(StorageLevel.DISK_ONLY)
    try:
        rows = typed(last, schema)
        work.validate_table(table.silver, rows.where(~F.col("_deleted")))
        if create(work, table, schema):
            lake.append(table.silver, by_key(rows, table.silver_key, last.count()))
        elif rebuild:
            lake.rewrite(table.silver, by_key(rows.to(schema), table.silver_key, last.count()))
        else:
            _evolve(lake, mark, schema)
            return put(lake, table.silver, table.silver_key, rows)
        return last.where(mark.pending_changes()).count()
    finally:
        last.unpersist()


def _unapplied(changes: DataFrame, mark: ApplyWindow) -> DataFrame:
    """Return the changes to apply; for keys of late ones all there are, so that none brings back what was deleted."""
    fresh = changes.where(mark.pending_changes())
    if not mark.late:
        return fresh
    keys = fresh.where(F.col("_commit_ts") <= mark.checkpoint).select("key").distinct()
    return fresh.unionByName(changes.where(~mark.pending_changes()).join(keys, "key", "left_semi"))


def reshaped(lake: Lake, table: SourceTable) -> bool:
    """Return whether silver is made from all of the table's changes: it is not there, or DDL changed older rows."""
    if not lake.exists(table.silver):
        return True
    have, wanted = lake.schema(table.silver), _fields(table)
    if have[COMMIT_TS.name].metadata.get(LINEAGE) != table.lineage.to_json():
        return True
    own = {column.name for column in _OWN}
    kept = [field for field in have.fields if field.name not in own]
    by_name = {field.name: field for field in wanted}
    if any(CASTS in (field.metadata or {}) for field in wanted if field.name not in have.names):
        return True  # added, and of another type since
    return any(field.name not in by_name or _shape(field) != _shape(by_name[field.name]) for field in kept)


def outdated(lake: Lake, table: SourceTable) -> bool:
    """Return whether DDL alone calls for a change of a silver table that is there."""
    if not lake.exists(table.silver):
        return False
    own = {column.name for column in _OWN}
    have = [name for name in lake.schema(table.silver).names if name not in own]
    return have != list(table.silver_columns.values()) or reshaped(lake, table)


def clear(lake: Lake, silver: str) -> None:
    """Remove all rows of a table that the source has no more; earlier versions keep them."""
    if lake.exists(silver) and not lake.scan(silver).isEmpty():
        with lake.commit_lock(silver):
            lake.delta(silver).delete()


def create(work: ActionContext, table: SourceTable, schema: StructType | None = None) -> bool:
    """Create a table's silver, empty, and return True; False if it is there: a table without rows is a table too."""
    if work.lake.exists(table.silver):
        return False
    cluster = work.context.settings.ingest.tables.get(table.full_name, TableRules()).cluster
    schema = schema or silver_schema(table)
    names = {own.name: own.name for own in _OWN} | table.silver_columns
    unknown = [name for name in cluster if name not in names]
    if unknown:
        raise ConfigError(
            f"ingest.tables.{table.full_name}.cluster: {', '.join(unknown)} is not a column of it. "
            f"It has {', '.join(names)}."
        )
    columns = [name if name.isidentifier() else quoted(name) for name in (names[one] for one in cluster)]
    work.lake.create(table.silver, schema, comment=_comment(table), cluster=columns)
    return True


def put(lake: Lake, silver: str, key: tuple[str, ...], rows: DataFrame) -> int:
    """Bring typed rows into silver where they are newer than what it has; return how many rows changed.

    Args:
        lake: where silver is.
        silver: the table.
        key: its key columns, as silver names them.
        rows: the newest row of each key.
    """
    same = [F.col(f"t.{quoted(name)}") == F.col(f"s.{quoted(name)}") for name in key]
    newer = "s._commit_ts > t._commit_ts OR (s._commit_ts = t._commit_ts AND s._op_rank > t._op_rank)"
    found = extent(rows, key)
    if not found.rows:  # DDL alone
        return 0
    among = found.between("t")
    if found.scattered and lake.bytes(silver) > LARGE:
        among = [*among, maybe_among(rows, key, found.rows, "t")]
    where = reduce(SparkColumn.__and__, [*same, *among])
    target = lake.delta(silver).alias("t").merge(by_key(rows, key, found.rows).alias("s"), where)
    with lake.commit_lock(silver):
        done = target.whenMatchedUpdateAll(newer).whenNotMatchedInsertAll().execute().first()
    return int(done["num_updated_rows"]) + int(done["num_inserted_rows"]) if done else 0


def _evolve(lake: Lake, mark: ApplyWindow, schema: StructType) -> None:
    """Add the columns that silver lacks, and give older rows their default: the feed rewrites no row for it."""
    have = set(lake.schema(mark.table.silver).names)
    fresh = [field for field in schema.fields if field.name not in have]
    if fresh:
        lake.allow_names(mark.table.silver, schema.names)
        lake.add_columns(mark.table.silver, fresh)
    _arrange(lake, mark.table)
    names = mark.table.silver_columns
    for column in mark.table.columns:
        if column.default is not None and column.since is not None and column.since > mark.checkpoint:
            name = names[column.name]
            wanted, default = schema[name].dataType, F.lit(column.default)
            value = F.unhex(default) if isinstance(wanted, BinaryType) else default.try_cast(wanted)
            old = F.col(quoted(name)).isNull() & (F.col("_commit_ts") < column.since)
            with lake.commit_lock(mark.table.silver):
                lake.delta(mark.table.silver).update(old, {quoted(name): value})


def _arrange(lake: Lake, table: SourceTable) -> None:
    """Bring silver's columns into the source's order; a change of the log alone."""
    order = [column for column in lake.schema(table.silver).names if column not in {own.name for own in _OWN}]
    for place, name in enumerate(table.silver_columns.values()):
        if order[place] == name:
            continue
        where = f"AFTER {quoted(order[place - 1])}" if place else "FIRST"
        with lake.commit_lock(table.silver):
            path = quoted(lake.path(table.silver))
            lake.spark.sql(f"ALTER TABLE delta.{path} ALTER COLUMN {quoted(name)} {where}")
        order.remove(name)
        order.insert(place, name)


def silver_schema(table: SourceTable) -> StructType:
    """Return the schema of a table's silver when it is made: the source's columns, then the platform's own."""
    fields = _fields(table)
    for own in _OWN:
        metadata = {LINEAGE: table.lineage.to_json()} if own is COMMIT_TS else {}
        fields.append(StructField(own.name, _type(own.type), True, {"comment": own.comment} | metadata))
    return StructType(fields)


def _schema(lake: Lake, table: SourceTable, rebuild: bool) -> StructType:
    """Return the schema that silver is to have; of a table that is there, later columns come last."""
    whole = silver_schema(table)
    if rebuild:
        return whole
    wanted = {field.name: field for field in whole.fields}
    have = [field.name for field in lake.schema(table.silver).fields if field.name in wanted]
    return StructType([wanted[name] for name in have] + [f for f in whole.fields if f.name not in have])


def _fields(table: SourceTable) -> list[StructField]:
    known = next((t for t in SILVER if t.source == table.full_name), None)
    names = table.silver_columns
    return [_field(table, known, column, names[column.name]) for column in table.columns]


def _field(table: SourceTable, known: Table | None, column: Column, name: str) -> StructField:
    comment = f"Column {column.name} of {table.full_name}, {column.now.sql}."
    if name != column.name:
        comment += f" Named {name} here: {column.name} cannot be the name of a Delta column."
    if table.key == (ROW_ID,) and column.name == ROW_ID:
        comment = "Id of an inserted row, as the table has no key: commit_ts, digest of the row, number."
    if known is not None:
        comment = next((c.comment for c in known.columns if c.name == column.name), comment)
    metadata: dict[str, Any] = {"comment": comment}
    if len(column.names) > 1 or name != column.name:
        metadata[NAMES] = json.dumps([list(name) for name in column.names])
    if column.since is not None:
        metadata[SINCE] = str(column.since)
    if column.default is not None:
        metadata[DEFAULT] = column.default
    if column.casts:
        metadata[CASTS] = json.dumps(column.casts)
    return StructField(name, _type(column.now.spark), True, metadata)


def _shape(field: StructField) -> tuple[Any, ...]:
    """Return what of a column decides how older rows read."""
    return (field.dataType, *[(field.metadata or {}).get(key) for key in (NAMES, SINCE, DEFAULT, CASTS)])


@cache
def _type(ddl: str) -> DataType:
    return DataType.fromDDL(ddl)


def _comment(table: SourceTable) -> str:
    known = next((t for t in SILVER if t.source == table.full_name), None)
    return known.comment if known else f"Current rows of {table.full_name} in TiDB, tombstones included."
