"""Rows that differ from their source are taken from it and written down as changes; silver follows.

In: what a comparison found, and the source as it was at the moment compared. Out: rows of bronze.ledger at that
commit_ts, of a rank above every change of the feed at it, with `reconcile:<run>` for a place; silver with them. So a
later change of the feed wins, one that comes late does not, silver can be rebuilt from bronze, and states before the
moment stay as they were told. What would be written is held against the source before anything is.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructType

from jobs.common.errors import SourceError, TableError
from jobs.engine.checkpoints import Checkpoint, TableRunStats, append_checkpoints, newest_checkpoints
from jobs.engine.context import ActionContext, ActionResult
from jobs.history.ledger import newest, silver_names, source_fields, source_name, source_rows, typed
from jobs.history.table_lineage import TableLineage, lineage_of
from jobs.ingest.loading.manifest import COMMITTED, PLANNED, Count, Item, Manifest, note
from jobs.ingest.loading.storage import StoredFile
from jobs.ingest.loading.stream import Task
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.canonical import in_key
from jobs.ingest.tidb.rows.ledger_rows import key_text
from jobs.ingest.tidb.rows.masks import masks_of
from jobs.ingest.tidb.silver import put
from jobs.ingest.tidb.tables.source_table import table_named
from jobs.lake.delta import Lake
from jobs.lake.table_frames import nullable, struct_of
from jobs.reconcile.compare import Found, Key, Row, hold_against
from jobs.reconcile.database import Address, Database
from jobs.reconcile.silver import Silver
from jobs.reconcile.table import Question, Report
from jobs.reconcile.texts import Field
from jobs.schema.bronze_silver import LEDGER
from jobs.schema.job import Job
from jobs.settings.ingest import Ingest

JOB = Job(
    "ingest.repair",
    "Takes rows that differ from their source from it.",
    "jobs.reconcile.repair:run",
)
RECONCILE = "reconcile"
"""Source of such rows in ops.source_files, and the beginning of their place."""
_RANK = 2
"""The least rank of a row taken from the source: at its commit_ts it stands above what the feed said."""


@dataclass(frozen=True)
class Repair:
    """What to repair: `options["repair"]`."""

    asked: Question
    address: Address
    report: Report
    settled: bool = False
    """Whether a source that cannot be read as of a moment has all up to the checkpoint, and nobody writes to it."""


Rows = Mapping[Key, tuple[Row, dict[str, str | None]]]


def run(work: ActionContext) -> ActionResult:
    """Repair a table.

    Returns:
        counts: read (rows of the source and keys it has not), applied (rows of silver changed), superseded.

    Raises:
        TableError: the table cannot be repaired, or was ingested since it was compared; nothing was written.
        SourceError: the source has changed since it was compared, or cannot be trusted to be as new as the lake.
        ValidationFailedError: the rows break a critical expectation; nothing was written.
    """
    plan: Repair = work.options["repair"]
    table, lake = table_named(plan.asked.table), work.lake
    past, schema = _unchanged(lake, plan), lake.schema(table.silver)
    source = Database(plan.address, plan.asked.named or plan.asked.table, plan.report.at)
    try:
        fields = _fields(source, plan, past, schema)
        rows = source.whole([*plan.report.found.missing, *plan.report.found.differing, *plan.report.found.extra])
    finally:
        source.close()
    _require_as_found(plan.report.found, rows, source.name)
    changes = _changes(
        work, plan, _key_columns(fields, schema, past.keys or ()), rows, lineage_of(schema, [plan.asked.table])
    )
    struct = nullable(struct_of(LEDGER))
    frame = lake.spark.createDataFrame([tuple(row.get(f.name) for f in struct.fields) for row in changes], struct)
    live = typed(frame.where("op = 'I'"), schema)
    _require_same(rows, Silver(source_rows(live, schema), source.key, fields, source.by_number), fields, table.silver)
    work.validate_table(table.silver, live)
    _write(work, changes, frame)
    applied = put(lake, table.silver, silver_names(schema, past.keys or ()), typed(frame, schema))
    _note(work, past, len(changes), applied)
    return ActionResult(applied, {"read": len(changes), "applied": applied, "superseded": len(changes) - applied})


def _unchanged(lake: Lake, plan: Repair) -> Checkpoint:
    """Return the table's newest row of ops.checkpoints; raise if the comparison is not of it, or not whole."""
    name, report = plan.asked.table, plan.report
    past = newest_checkpoints(lake)[name]
    if not report.found.complete:
        raise TableError(
            f"{name}: at least {report.found.differences:,} rows differ, more than --limit lets be looked for. A table "
            f"that is so far off must start over: `pinlake resnapshot {name} EXPORT`."
        )
    if past.checkpoint_ts != report.at:
        raise TableError(
            f"{name} was compared at {report.at} and has been ingested up to {past.checkpoint_ts} since. "
            "Nothing was changed: compare again."
        )
    return past


def _fields(source: Database, plan: Repair, past: Checkpoint, schema: StructType) -> list[Field]:
    """Return the columns compared; raise unless the source tells whole rows, as they were at the moment."""
    name, kinds = plan.asked.table, {one.name: one for one in source.fields}
    if source.as_of is None and not plan.settled:
        raise SourceError(
            f"{source.name} is no TiDB, which can be read as it was at the checkpoint. If it has every change up to it "
            "and nobody writes to it now, say so: --settled. Else older rows could take the place of newer ones."
        )
    lacking = [name for name in map(source_name, source_fields(schema)) if name not in kinds]
    if lacking:
        raise TableError(f"{source.name} has no {', '.join(lacking)}, which silver has: whole rows cannot be told.")
    if set(source.key) != set(past.keys or ()):
        raise TableError(
            f"{name} has the key {', '.join(past.keys or ())} in the lake and {', '.join(source.key)} at the source: "
            "rows cannot be told apart alike. Take a new snapshot."
        )
    if any(kinds[key].digits is not None for key in source.key):
        raise TableError(f"{name}: a key of FLOAT or DOUBLE is written in several ways. Take a new snapshot.")
    fields = [one for one in source.fields if one.name in plan.report.columns]
    source.show(fields)
    return fields


def _require_as_found(found: Found, rows: Rows, source: str) -> None:
    """Raise if the source does not have the rows it had when it was compared."""
    gone = [key for key in [*found.missing, *found.differing] if key not in rows]
    come = [key for key in found.extra if key in rows]
    if gone or come:
        shown = ", ".join(str(key) for key in [*gone, *come][:3])
        raise SourceError(f"{source} has changed since it was compared ({shown}). Nothing was changed: compare again.")


def _changes(
    work: ActionContext, plan: Repair, kinds: list[SourceColumn], rows: Rows, life: TableLineage
) -> list[dict[str, Any]]:
    """Return what is to be written, as rows of the ledger."""
    moment, keys, order = int(plan.report.at or 0), tuple(column.name for column in kinds), plan.report.key
    texts = {_key(kinds, dict(zip(order, key, strict=True))): key for key in plan.report.found.extra}
    wanted = {_key(kinds, values): values for _, values in rows.values()}
    mine = work.lake.scan(LEDGER.name).where(life.rows() & (F.col("_commit_ts") <= moment))
    lasts = _lasts(mine, [*texts, *wanted])
    known = {_key(kinds, rows[key][1]) for key in plan.report.found.differing} | set(texts)
    if known - set(lasts):
        raise TableError(
            f"{plan.asked.table}: bronze has no change of {sorted(known - set(lasts))[0]}, which silver has. "
            f"`pinlake resnapshot {plan.asked.table} EXPORT` starts the table over."
        )
    top = mine.where(F.col("_commit_ts") == moment).agg(F.max("_op_rank")).first()
    rank = max(_RANK, 1 + int(top[0] or 0) if top else 0)
    segment = next(s.table for s in life.segments if s.start <= moment and (s.end is None or s.end > moment))
    common = {"table": segment, "_commit_ts": moment, "_op_rank": rank, "path": f"{RECONCILE}:{work.run_id}"}
    covered = _covered(work.context.settings.ingest, plan.asked.table, keys, list(wanted.values()))
    found = [{"op": "I", "key": key, "after": row} for key, row in zip(wanted, covered, strict=True)]
    # the key under its names of now: its newest row may have been written under others
    found += [{"op": "D", "key": k, "before": lasts[k] | dict(zip(keys, json.loads(k), strict=True))} for k in texts]
    number = Manifest(work.lake).last + 1
    more = {"batch": number, "run_id": work.run_id}
    return [common | more | one | {"row_no": place} for place, one in enumerate(found, 1)]


def _key_columns(fields: Iterable[Field], schema: StructType, keys: Iterable[str]) -> list[SourceColumn]:
    """Return what of the key's columns decides their text in a key."""
    known = {one.name: one for one in fields}
    return [
        SourceColumn(
            name,
            known[name].type.upper(),
            # a decimal of more than 38 digits is text in silver, and keeps its zeros
            length=65 if isinstance(schema[name].dataType, StringType) else 38,
            scale=known[name].scale or known[name].fsp or None,
        )
        for name in keys
    ]


def _key(columns: Iterable[SourceColumn], values: Mapping[str, str | None]) -> str:
    """Return a key as the ledger writes it."""
    return key_text([in_key(one, pa.array([values[one.name]], pa.string()))[0].as_py() for one in columns])


def _lasts(mine: DataFrame, keys: list[str]) -> dict[str, dict[str, str | None]]:
    """Return the newest row of each key that the ledger has."""
    some = mine.sparkSession.createDataFrame([(key,) for key in keys], "key string")
    last = newest(mine.join(F.broadcast(some), "key", "left_semi")).select("key", "op", "before", "after")
    rows = last.collect()  # bounded: a row a key, as many as the comparison looks for
    return {row["key"]: (row["before"] if row["op"] == "D" else row["after"]) or {} for row in rows}


def _covered(
    settings: Ingest, table: str, keys: tuple[str, ...], rows: list[dict[str, str | None]]
) -> list[dict[str, str | None]]:
    """Return rows with their masked columns covered."""
    masks = masks_of(settings, table, keys)
    for name in masks.columns:
        values = masks.covered(name, pa.array([row.get(name) for row in rows], pa.string())).to_pylist()
        rows = [row | {name: value} if name in row else row for row, value in zip(rows, values, strict=True)]
    return rows


def _require_same(rows: Rows, made: Silver, fields: list[Field], silver: str) -> None:
    """Raise if a row would not read in silver as it does at the source."""
    check = Found()
    hold_against({key: row for key, (row, _) in rows.items()}, made.all_rows(), fields, check)
    if check.differences:
        key = next(iter([*check.differing, *check.missing, *check.extra]))
        raise TableError(
            f"{silver}: the row {key} would not be what it is at the source ({', '.join(check.differing.get(key, []))})"
            ". Nothing was changed: take a new snapshot, and report this as a bug."
        )


def _write(work: ActionContext, changes: list[dict[str, Any]], frame: DataFrame) -> None:
    """Write the changes into the ledger in one commit, under a batch that the manifest keeps free for them."""
    first = changes[0]
    place, batch = first["path"], first["batch"]
    item = Item(StoredFile(place, 0, ""), Task(RECONCILE, "", place, 0, first["table"]))
    counts = {place: Count(len(changes), 0)}
    note(work, [item], counts, PLANNED, work.run_id, batch)
    work.lake.append(LEDGER.name, frame, txn=(f"ingest:{work.run_id}", batch), note={"batch": batch})
    note(work, [item], counts, COMMITTED, work.run_id, batch)


def _note(work: ActionContext, past: Checkpoint, read: int, applied: int) -> None:
    """Write the counts of the repair. The table's checkpoint stays: the next ingest finds these changes applied."""
    stats = TableRunStats(applied=applied, superseded=read - applied, pending=past.stats.pending)
    append_checkpoints(work.lake, work.run_id, [replace(past, complete_ts=None, stats=stats)])
