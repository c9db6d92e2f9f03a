"""The action that brings TiDB's snapshot and change feed to bronze and silver, as of the feed's checkpoint.

In: `options["ticdc"]` and `options["dumpling"]`, URIs, either may be missing; `options["changefeed"]`, a file, may be
too. Out: bronze.ledger, silver.<schema>_<table>, ops.objects, ops.quarantine, ops.checkpoints. Rows above the
checkpoint are in bronze and wait. Every step may be repeated: run it again after any failure and the tables are as if
it had run once. Numbers always add up, or the run fails:
read + carried = applied + superseded + pending + quarantined (carried: rows an earlier run read and did not apply).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import functions as F

from jobs.errors import PlatformError, TableError
from jobs.ingest.batches import Intake, Taken, take_in
from jobs.ingest.canal import read_canal
from jobs.ingest.changefeed import read_changefeed
from jobs.ingest.detect import Named
from jobs.ingest.dump_csv import DumpSpec, read_dump
from jobs.ingest.dumpling import read_export
from jobs.ingest.feed import read_feed
from jobs.ingest.feed_csv import CsvSpec, read_feed_csv
from jobs.ingest.history import SourceTable
from jobs.ingest.manifest import Manifest, refuse
from jobs.ingest.rows import RowSpec
from jobs.ingest.silver import Mark, create, merge
from jobs.ingest.sources import Sources, join
from jobs.ingest.stream import LEDGER_FIELDS, Task
from jobs.lake.checkpoints import newest_checkpoints
from jobs.lake.delta import Lake
from jobs.lake.job import Outcome, Work
from jobs.lake.ops import CHECKPOINTS
from jobs.lake.sources import LEDGER

_READERS = {DumpSpec: read_dump, RowSpec: read_canal, CsvSpec: read_feed_csv}
"""What a file's task says of its rows -> what reads them."""


def _read(task: Task, content: bytes) -> Iterator[pa.RecordBatch]:
    return _READERS[type(task.spec)](task, content)


INTAKE = Intake(LEDGER.name, LEDGER_FIELDS, _read)


@dataclass(frozen=True)
class _Counts:
    fresh: int
    """Rows that came in this run."""
    total: int
    """All rows not applied before."""
    due: int
    """Those of them up to the limit."""


@dataclass
class _Result:
    mark: Mark
    due: int
    applied: int = 0
    error: PlatformError | None = None


def run(work: Work) -> Outcome:
    """Ingest what is new.

    Returns:
        counts: read, carried, applied, superseded, pending, quarantined (changes); files, unknown_files, waiting_files,
        held_files, overwritten (files); tables, held (tables). detail: why each held table is held, by name.

    Raises:
        SourceError: a source is missing, incomplete, or of a kind that cannot be ingested safely.
        ValidationFailed: the changes of a table break a critical expectation; the other tables are done.
        TableError: the numbers do not add up.
    """
    ticdc, dumpling, told = (work.options.get(name) for name in ("ticdc", "dumpling", "changefeed"))
    named = Named(f"--changefeed {told}", read_changefeed(Path(told))) if told else None
    feed = read_feed(ticdc, named) if ticdc else None  # its checkpoint is read before anything is listed
    export = read_export(dumpling) if dumpling else None
    if feed is None and export is None:
        work.progress("no change feed and no snapshot named: nothing to do")
        return Outcome()
    sources = join(feed, export, work.context.settings.ingest)
    past = newest_checkpoints(work.lake)
    _keep_first_snapshot(sources, past)
    work.progress(f"{len(sources.tables)} tables, {len(sources.items)} files, checkpoint {sources.checkpoint}")
    manifest = Manifest(work.lake)
    unknown = sum(
        refuse(work, manifest, name, found.unknown)
        for name, found in (("ticdc", feed), ("dumpling", export))
        if found is not None and found.unknown
    )
    taken = take_in(work, INTAKE, manifest, sources.items)
    counts = apply_changes(work, sources, past, taken, manifest.last)
    files = {"files": taken.files, "overwritten": taken.overwritten, "unknown_files": unknown}
    files |= {"waiting_files": len(feed.waiting) if feed else 0, "held_files": len(sources.held_files)}
    held = {name: table.held for name, table in sorted(sources.tables.items()) if table.held}
    for reason in held.values():
        work.progress(f"held: {reason}")
    counts |= files | {"tables": len(sources.tables), "held": len(held)}
    return Outcome(counts["applied"], counts, detail={"held": held, "missing": feed.missing if feed else []})


def apply_changes(work: Work, sources: Sources, past: dict[str, Any], taken: Taken, newest: int) -> dict[str, int]:
    """Merge what bronze holds and silver does not, table by table; return the counts.

    Args:
        work: lake, settings, progress.
        sources: the tables and the checkpoint.
        past: newest row of ops.checkpoints by table.
        taken: what this run brought to bronze.
        newest: newest batch of bronze.
    """
    marks = {name: _mark(table, past.get(name), sources.checkpoint) for name, table in sources.tables.items()}
    counts = _unapplied(work.lake, marks, taken.batches)
    fresh = sum(count.fresh for count in counts.values())
    if taken.read != fresh + taken.quarantined:
        raise TableError(
            f"bronze.ledger: {taken.read} changes were read, {fresh} are there, {taken.quarantined} are in quarantine. "
            "Every change must be one or the other; silver was not touched, report this as a bug."
        )
    results = _merge_all(work, [_Result(marks[n], c.due) for n, c in counts.items() if c.due])
    for name, mark in sorted(marks.items()):
        if mark.table.exists_at(sources.checkpoint) and not (name in counts and counts[name].due):
            create(work.lake, mark.table)
    failed = [result for result in results if result.error is not None]
    lost = {result.mark.table.full_name for result in failed}
    _note(work, [m for n, m in sorted(marks.items()) if n not in lost], past, newest)
    if failed and failed[0].error is not None:
        raise failed[0].error
    applied, due = sum(r.applied for r in results), sum(r.due for r in results)
    total = sum(count.total for count in counts.values())
    named = {"read": taken.read, "carried": total - fresh, "applied": applied, "superseded": due - applied}
    return named | {"pending": total - due, "quarantined": taken.quarantined}


def _merge_all(work: Work, results: list[_Result]) -> list[_Result]:
    done = 0

    def one(result: _Result) -> _Result:
        nonlocal done
        name = result.mark.table.silver
        try:
            result.applied = merge(work, result.mark)
        except PlatformError as error:  # the other tables go on
            result.error = error
            return result
        if result.applied > result.due:
            raise TableError(f"{name}: {result.applied} rows changed from {result.due} changes; report this as a bug.")
        done += 1
        work.progress(f"{done} of {len(results)} tables: {name}, {result.applied:,} of {result.due:,} changes applied")
        return result

    with ThreadPoolExecutor(work.context.settings.ingest.parallel_tables) as pool:
        return list(pool.map(one, results))


def _mark(table: SourceTable, past: Any, checkpoint: int) -> Mark:
    return Mark(table, past["batch"] if past else 0, past["checkpoint_ts"] if past else 0, table.limit(checkpoint))


def _unapplied(lake: Lake, marks: dict[str, Mark], batches: list[int]) -> dict[str, _Counts]:
    """Return what silver still lacks, by table."""
    if not marks or not lake.exists(LEDGER.name):
        return {}
    rows = [(name, mark.batch, mark.checkpoint, mark.limit) for name, mark in marks.items()]
    known = lake.spark.createDataFrame(rows, "table string, old_batch bigint, old_ts bigint, limit bigint")
    ledger = lake.read(LEDGER.name).select("table", "batch", "_commit_ts").join(F.broadcast(known), "table")
    left = ledger.where((F.col("batch") > F.col("old_batch")) | (F.col("_commit_ts") > F.col("old_ts")))
    found = left.groupBy("table").agg(
        F.count_if(F.col("batch").isin(batches)).alias("fresh"),
        F.count(F.lit(1)).alias("total"),
        F.count_if(F.col("_commit_ts") <= F.col("limit")).alias("due"),
    )
    return {r["table"]: _Counts(r["fresh"], r["total"], r["due"]) for r in found.collect()}  # bounded: a row a table


def _keep_first_snapshot(sources: Sources, past: dict[str, Any]) -> None:
    """Hold a table that comes with another snapshot than the one it began with: keys gone since must be found first."""
    for name, table in list(sources.tables.items()):
        begun = past.get(name)
        if begun is None or table.snapshot is None or begun["start_ts"] == table.snapshot.tso:
            continue
        reason = (
            f"{name} is held: it began with snapshot {begun['start_ts']} and {table.snapshot.tso} is another one. "
            "Name the export it began with, or ingest into a new lake."
        )
        sources.tables[name] = table.hold(0, reason)
        sources.items = [i for i in sources.items if (i.task.source, i.task.table) != ("dumpling", name)]


def _note(work: Work, marks: list[Mark], past: dict[str, Any], newest: int) -> None:
    """Write how far each table is now, where that changed."""
    rows = []
    for mark in marks:
        table, before = mark.table, past.get(mark.table.full_name)
        start = table.snapshot.tso if table.snapshot else before["start_ts"] if before else None
        row: dict[str, Any] = {"table": table.full_name, "start_ts": start, "keys": list(table.key), "held": table.held}
        # a table held at an earlier version keeps what it has: what is in silver is not taken back
        row["checkpoint_ts"] = max(mark.limit, mark.checkpoint)
        row["batch"] = newest
        if before is None or any(before[name] != value for name, value in row.items() if name != "table"):
            rows.append(row)
    now = datetime.now(UTC)
    work.lake.append_rows(CHECKPOINTS.name, [row | {"run_id": work.run_id, "at": now} for row in rows])
