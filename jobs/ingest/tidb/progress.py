"""Progress of TiDB's tables: the changes in bronze that silver lacks, and the rows of ops.checkpoints after a run."""

from collections.abc import Iterable, Mapping

from pyspark.sql import functions as F

from jobs.common.errors import ConcurrentRunError, MissingDependencyError, PinlakeError
from jobs.engine.checkpoints import Checkpoint, TableRunStats, TableStatus, append_checkpoints
from jobs.engine.context import ActionContext
from jobs.ingest.loading.batches import LoadResult
from jobs.ingest.row_accounting import Counts, as_failure
from jobs.ingest.tidb.silver import ApplyWindow, clear, outdated
from jobs.ingest.tidb.sources import NAMELESS, Sources
from jobs.ingest.tidb.tables.source_table import SourceTable, table_named
from jobs.ingest.tidb.tables.table_names import Past
from jobs.lake.delta import Lake
from jobs.schema.bronze_silver import LEDGER


def arrived_in(lake: Lake, batches: list[int], checkpoint: int) -> tuple[int, int]:
    """Return how many changes the batches brought to bronze, and how many of them lie above the checkpoint."""
    if not batches:
        return 0, 0
    rows = lake.scan(LEDGER.name).where(F.col("batch").isin(batches))
    sums = rows.agg(F.count(F.lit(1)).alias("all"), F.count_if(F.col("_commit_ts") > checkpoint).alias("late")).first()
    return (sums["all"], sums["late"]) if sums else (0, 0)


def pending_changes(
    lake: Lake, marks: dict[str, ApplyWindow], batches: list[int], checkpoint: int
) -> dict[str, Counts]:
    """Return the changes in bronze that silver lacks, by table."""
    rows = [
        (name, segment.table, segment.start, segment.end, mark.batch, mark.checkpoint, mark.limit)
        for name, mark in marks.items()
        for segment in mark.table.segments
    ]
    if not rows or not lake.exists(LEDGER.name):
        return {}
    layout = "name string, table string, start bigint, end bigint, old_batch bigint, old_ts bigint, limit bigint"
    windows = F.broadcast(lake.spark.createDataFrame(rows, layout))
    ts, fresh = F.col("_commit_ts"), F.col("batch").isin(batches)
    # holds for every pending row: files below every table's checkpoint are not opened
    least_batch = min(mark.batch for mark in marks.values())
    ahead = (F.col("batch") > least_batch) | (ts > min(mark.checkpoint for mark in marks.values()))
    ledger = lake.scan(LEDGER.name).where(ahead).select("table", "batch", "_commit_ts").join(windows, "table")
    mine = ledger.where((ts >= F.col("start")) & (F.col("end").isNull() | (ts < F.col("end"))))
    left = mine.where((F.col("batch") > F.col("old_batch")) | (ts > F.col("old_ts")))
    sums = left.groupBy("name").agg(
        F.count_if(fresh).alias("fresh"),
        F.count_if(fresh & (ts > checkpoint)).alias("late"),
        F.count(F.lit(1)).alias("total"),
        F.count_if(ts <= F.col("limit")).alias("due"),
        F.count_if(ts <= F.col("old_ts")).alias("behind"),
    )
    names = ("fresh", "late", "total", "due", "behind")
    return {row["name"]: Counts(*[row[n] for n in names]) for row in sums.collect()}  # bounded: a row a table


def write_dropped(work: ActionContext, sources: Sources, past: Past, newest: int) -> list[PinlakeError]:
    """Empty the silver of tables that the feed drops or renames, and write their checkpoints as gone.

    A table that the feed does not mention belongs to another feed: it stays.

    Returns:
        Why tables could not be emptied; the next run tries again.
    """
    present = {table.full_name for table in sources.tables.values() if table.ended is None}
    mentioned = {table.full_name for table in sources.tables.values()}
    mentioned |= {f"{NAMELESS}.{number}" for number in sources.named_ids}  # it has a name now
    mentioned |= {segment.table for table in sources.tables.values() for segment in table.segments}
    # a table may have been renamed to another name of the same silver table
    used = {table.silver for table in sources.tables.values() if table.exists_at(sources.checkpoint)}
    rows, errors = [], []
    for name in sorted((mentioned - present) & set(past)):
        before, silver = past[name], table_named(name).silver
        if before.status != TableStatus.GONE:
            try:
                if before.status != TableStatus.NO_SILVER and silver not in used:
                    clear(work.lake, silver)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one table, the other tables go on
                errors.append(as_failure(silver, name, error))
                continue
            work.progress(f"{name} is gone: dropped or renamed")
        row = Checkpoint(
            table=name,
            checkpoint_ts=sources.checkpoint,
            batch=newest,
            start_ts=before.start_ts,
            keys=before.keys,
            status=TableStatus.GONE,
            blocked_reason="is gone, dropped or renamed",
        )
        rows.append(row)
    _append(work, rows, past)
    return errors


def _append(work: ActionContext, rows: Iterable[Checkpoint], past: Past) -> None:
    """Append the rows of a first run, of a changed state, or of work done."""
    append_checkpoints(work.lake, work.run_id, [row for row in rows if row.differs_from(past.get(row.table))])


def write_failed(
    work: ActionContext,
    failed: list[tuple[ApplyWindow, PinlakeError | None]],
    past: Past,
    stats: Mapping[str, TableRunStats],
) -> None:
    """Write the checkpoints of tables whose merge failed, with the reason: all due changes still wait.

    Where another run wrote the table first, that run writes its checkpoint.
    """
    rows = []
    for mark, error in failed:
        if error is None or isinstance(error, ConcurrentRunError | MissingDependencyError):
            continue
        name = mark.table.full_name
        done = stats.get(name, TableRunStats())
        pending = done.applied + done.superseded + done.pending
        row = Checkpoint(
            table=name,
            checkpoint_ts=mark.checkpoint,
            batch=mark.batch,
            start_ts=_start(mark.table, past.get(name)),
            keys=list(mark.table.key),
            status=TableStatus.FAILED,
            blocked_reason=f"failed: {error}",
            stats=TableRunStats(done.files, pending=pending, quarantined=done.quarantined),
        )
        rows.append(row)
    _append(work, rows, past)


def write_checkpoints(
    work: ActionContext, marks: list[ApplyWindow], past: Past, newest: int, stats: Mapping[str, TableRunStats]
) -> None:
    """Write how far each table is now and what the run did for it, where that is new."""
    rows = []
    for mark in marks:
        table, name = mark.table, mark.table.full_name
        # a table blocked at an earlier version keeps its rows: silver never goes back
        reached = max(mark.limit, mark.checkpoint)
        complete = table.complete_to(reached)
        row = Checkpoint(
            table=name,
            checkpoint_ts=reached,
            complete_ts=complete if complete < reached else None,
            batch=newest,
            start_ts=_start(table, past.get(name)),
            keys=list(table.key),
            status=_status(table),
            blocked_reason=table.blocked_reason,
            stats=stats.get(name, TableRunStats()),
        )
        rows.append(row)
    _append(work, rows, past)


def _status(table: SourceTable) -> TableStatus:
    if table.lacks_silver:
        return TableStatus.NO_SILVER
    return TableStatus.BLOCKED if table.blocked_reason else TableStatus.LIVE


def _start(table: SourceTable, before: Checkpoint | None) -> int | None:
    """Return the TSO a table began with: a later snapshot does not take away what was known before it."""
    start = before.start_ts if before else None
    return table.snapshot.tso if start is None and table.snapshot else start


def unchanged_counts(
    lake: Lake, marks: Mapping[str, ApplyWindow], past: Past, taken: LoadResult, earlier: int
) -> dict[str, Counts]:
    """Return what silver lacks of the tables that nothing has changed for, without looking into bronze.

    That is known where this run read no file of the table, all earlier batches have been accounted for, the DDL is that
    of silver, and either no change waits, or those that wait lie above the same checkpoint as before.

    Args:
        lake: where silver is.
        marks: the tables, by name.
        past: newest row of ops.checkpoints by table.
        taken: what this run brought to bronze.
        earlier: newest batch of bronze.ledger that an earlier run brought.
    """
    counts = {}
    for name, mark in marks.items():
        table, before = mark.table, past.get(mark.table.full_name)
        if before is None or before.blocked_reason or (before.batch or 0) < earlier:
            continue
        if (
            table.blocked_reason
            or table.ended is not None
            or any(taken.files_of[segment.table] for segment in table.segments)
        ):
            continue
        same_limit = mark.limit == mark.checkpoint
        if (same_limit or not before.stats.pending) and lake.exists(table.silver) and not outdated(lake, table):
            counts[name] = Counts(0, 0, before.stats.pending, 0)
    return counts
