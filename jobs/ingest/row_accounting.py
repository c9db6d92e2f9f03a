"""The books of ingest: what bronze has and silver lacks, by table, and how far each table has come."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import functions as F

from jobs.common.errors import ConcurrentRunError, MissingDependencyError, PinlakeError, TableError
from jobs.engine.checkpoints import FAILED, GONE, is_gone, lacks_silver
from jobs.engine.context import ActionContext
from jobs.ingest.loading.batches import LoadResult
from jobs.ingest.tidb.silver import ApplyWindow, clear, outdated
from jobs.ingest.tidb.sources import NAMELESS, Sources
from jobs.ingest.tidb.tables.source_table import SourceTable, table_named
from jobs.lake.delta import Lake
from jobs.schema.bronze_silver import LEDGER
from jobs.schema.ops import CHECKPOINTS


@dataclass(frozen=True)
class Counts:
    """Changes of one table in bronze."""

    fresh: int
    """Rows that came in this run."""
    late: int
    """Those of them above the checkpoint."""
    total: int
    """All rows not applied before."""
    due: int
    """Those of them up to the limit."""
    behind: int = 0
    """Those of them at or below the checkpoint that had been applied: they came late."""


@dataclass(frozen=True)
class TableRunStats:
    """What one run did for one table, or topic: rows of ops.checkpoints add up to what was ever done."""

    files: int = 0
    applied: int = 0
    superseded: int = 0
    pending: int = 0
    """Changes in bronze that wait; the newest row counts, not the sum."""
    quarantined: int = 0


def tallies(counts: Mapping[str, Counts], applied: Mapping[str, int], taken: LoadResult) -> dict[str, TableRunStats]:
    """Return what a run did, by table.

    Args:
        counts: what silver lacked, by table.
        applied: rows that changed in silver, by table.
        taken: what the run brought to bronze.
    """
    found = {}
    for name in set(counts) | set(taken.files_of):
        count, done = counts.get(name, Counts(0, 0, 0, 0)), applied.get(name, 0)
        files, bad = taken.files_of[name], taken.bad_of[name]
        found[name] = TableRunStats(files, done, count.due - done, count.total - count.due, bad)
    return found


def arrived_in(lake: Lake, batches: list[int], checkpoint: int) -> tuple[int, int]:
    """Return how many changes the batches brought to bronze, and how many of them lie above the checkpoint."""
    if not batches:
        return 0, 0
    rows = lake.scan(LEDGER.name).where(F.col("batch").isin(batches))
    found = rows.agg(F.count(F.lit(1)).alias("all"), F.count_if(F.col("_commit_ts") > checkpoint).alias("late")).first()
    return (found["all"], found["late"]) if found else (0, 0)


def pending_changes(
    lake: Lake, marks: dict[str, ApplyWindow], batches: list[int], checkpoint: int
) -> dict[str, Counts]:
    """Return what silver still lacks, by table."""
    rows = [
        (name, segment.table, segment.start, segment.end, mark.batch, mark.checkpoint, mark.limit)
        for name, mark in marks.items()
        for segment in mark.table.segments
    ]
    if not rows or not lake.exists(LEDGER.name):
        return {}
    layout = "name string, table string, start bigint, end bigint, old_batch bigint, old_ts bigint, limit bigint"
    known = F.broadcast(lake.spark.createDataFrame(rows, layout))
    ts, fresh = F.col("_commit_ts"), F.col("batch").isin(batches)
    # true of every row that is left: files that every table is past are not opened
    least_batch = min(mark.batch for mark in marks.values())
    ahead = (F.col("batch") > least_batch) | (ts > min(mark.checkpoint for mark in marks.values()))
    ledger = lake.scan(LEDGER.name).where(ahead).select("table", "batch", "_commit_ts").join(known, "table")
    mine = ledger.where((ts >= F.col("start")) & (F.col("end").isNull() | (ts < F.col("end"))))
    left = mine.where((F.col("batch") > F.col("old_batch")) | (ts > F.col("old_ts")))
    found = left.groupBy("name").agg(
        F.count_if(fresh).alias("fresh"),
        F.count_if(fresh & (ts > checkpoint)).alias("late"),
        F.count(F.lit(1)).alias("total"),
        F.count_if(ts <= F.col("limit")).alias("due"),
        F.count_if(ts <= F.col("old_ts")).alias("behind"),
    )
    names = ("fresh", "late", "total", "due", "behind")
    return {row["name"]: Counts(*[row[n] for n in names]) for row in found.collect()}  # bounded: a row a table


def unchanged_counts(
    lake: Lake, marks: Mapping[str, ApplyWindow], past: Mapping[str, Any], taken: LoadResult, earlier: int
) -> dict[str, Counts]:
    """Return what silver lacks of the tables that nothing has changed for, without looking into bronze.

    That is known where this run read no file of the table, all earlier batches have been accounted for, the DDL is that
    of silver, and either no change waits, or those that wait lie above the same checkpoint as before.

    Args:
        lake: where silver is.
        marks: the tables, by name.
        past: newest row of ops.checkpoints by table, with `pending`.
        taken: what this run brought to bronze.
        earlier: newest batch of bronze.ledger that an earlier run brought.
    """
    counts = {}
    for name, mark in marks.items():
        table, before = mark.table, past.get(mark.table.full_name)
        if before is None or before["pending"] is None or before["blocked_reason"] or before["batch"] < earlier:
            continue
        if (
            table.blocked_reason
            or table.ended is not None
            or any(taken.files_of[segment.table] for segment in table.segments)
        ):
            continue
        same_limit = mark.limit == mark.checkpoint
        if (same_limit or not before["pending"]) and lake.exists(table.silver) and not outdated(lake, table):
            counts[name] = Counts(0, 0, before["pending"], 0)
    return counts


def as_failure(silver: str, source: str, error: Exception) -> PinlakeError:
    """Return what to say of a table that could not be written: what is not expected is a bug, of this table alone."""
    if isinstance(error, PinlakeError):
        return error
    cause = str(error).strip().split("\n", 1)[0][:500]
    told = TableError(
        f"{silver} was not brought up to date: what came of {source} waits in bronze, other tables are "
        f"done. {type(error).__name__}: {cause}. Run it again; if it stays so, report this as a bug."
    )
    told.__cause__ = error
    return told


def write_dropped(work: ActionContext, sources: Sources, past: dict[str, Any], newest: int) -> list[PinlakeError]:
    """Empty the silver of tables that the feed says are dropped or renamed away, and note that they are gone.

    A table that the feed says nothing of is another feed's: it stays.

    Returns:
        why tables could not be emptied; the next run tries again.
    """
    there = {table.full_name for table in sources.tables.values() if table.ended is None}
    left = {table.full_name for table in sources.tables.values()}
    left |= {f"{NAMELESS}.{number}" for number in sources.named_ids}  # it has a name now
    left |= {segment.table for table in sources.tables.values() for segment in table.segments}
    # a table may have been renamed to another name of the same silver table
    used = {table.silver for table in sources.tables.values() if table.exists_at(sources.checkpoint)}
    rows, errors = [], []
    for name in sorted((left - there) & set(past)):
        before = past[name]
        if not is_gone(before):
            try:
                if not lacks_silver(before) and table_named(name).silver not in used:
                    clear(work.lake, table_named(name).silver)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one table, the other tables go on
                errors.append(as_failure(table_named(name).silver, name, error))
                continue
            work.progress(f"{name} is gone: dropped or renamed")
        row = {"table": name, "start_ts": before["start_ts"], "keys": before["keys"], "batch": newest}
        rows.append(row | {"checkpoint_ts": sources.checkpoint, "blocked_reason": f"{GONE}, dropped or renamed"})
    _append(work, rows, past)
    return errors


def _append(work: ActionContext, rows: list[dict[str, Any]], past: dict[str, Any]) -> None:
    """Write the rows that tell something new: of a first run, of another state, or of something done."""

    def is_new(row: dict[str, Any]) -> bool:
        before = past.get(row["table"])
        done = any(row.get(what) for what in ("files", "applied", "superseded", "quarantined"))
        return done or before is None or any(before[key] != row[key] for key in row if key in before)

    now = datetime.now(UTC)
    work.lake.append_rows(CHECKPOINTS.name, [row | {"run_id": work.run_id, "at": now} for row in rows if is_new(row)])


def note_failed(
    work: ActionContext,
    failed: list[tuple[ApplyWindow, PinlakeError | None]],
    past: dict[str, Any],
    tally: Mapping[str, TableRunStats],
) -> None:
    """Note the tables whose merge failed, and why: they are as far as they were, and all that is due still waits.

    A table that another run was faster with is that run's to note.
    """
    rows = []
    for mark, error in failed:
        name, before = mark.table.full_name, past.get(mark.table.full_name)
        if error is None or isinstance(error, ConcurrentRunError | MissingDependencyError):
            continue
        done = tally.get(name, TableRunStats())
        row: dict[str, Any] = {"table": name, "start_ts": _start(mark.table, before)}
        row |= {"keys": list(mark.table.key), "blocked_reason": f"{FAILED} {error}"}
        row |= {"checkpoint_ts": mark.checkpoint, "batch": mark.batch}
        waits = done.applied + done.superseded + done.pending
        rows.append(row | asdict(TableRunStats(done.files, pending=waits, quarantined=done.quarantined)))
    _append(work, rows, past)


def write_checkpoints(
    work: ActionContext, marks: list[ApplyWindow], past: dict[str, Any], newest: int, tally: Mapping[str, TableRunStats]
) -> None:
    """Write how far each table is now and what was done for it, where that is anything new."""
    rows = []
    for mark in marks:
        table, before = mark.table, past.get(mark.table.full_name)
        row: dict[str, Any] = {"table": table.full_name, "start_ts": _start(table, before)}
        row |= {"keys": list(table.key), "blocked_reason": table.blocked_reason}
        # a table blocked at an earlier version keeps what it has: what is in silver is not taken back
        row["checkpoint_ts"] = max(mark.limit, mark.checkpoint)
        complete = table.complete_to(row["checkpoint_ts"])
        row["complete_ts"] = complete if complete < row["checkpoint_ts"] else None
        row["batch"] = newest
        rows.append(row | asdict(tally.get(table.full_name, TableRunStats())))
    _append(work, rows, past)


def _start(table: SourceTable, before: Mapping[str, Any] | None) -> int | None:
    """Return the TSO a table began with: a later snapshot does not take away what was known before it."""
    start = before["start_ts"] if before else None
    return table.snapshot.tso if start is None and table.snapshot else start
