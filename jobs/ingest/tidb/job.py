"""The action that brings TiDB's snapshot and change feed to bronze and silver, as of the feed's checkpoint.

In: `options["ticdc"]` and `options["dumpling"]`, URIs, either may be missing; `options["changefeed"]`, a file, may be
too; `options["replay"]`, which rows of quarantine to read once more; `options["resnapshot"]`, a table and the export
it is to start over with. Out: bronze.ledger, silver.<schema>_<table>, ops.source_files, ops.quarantine,
ops.checkpoints, ops.snapshots. Rows above the checkpoint are in bronze and wait. Every step may be repeated: run
it again after any failure and the tables are as if it had run once. Numbers always add up, or the run fails:
read + backlog = applied + superseded + pending + quarantined (backlog: rows an earlier run read and did not apply).
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from jobs.engine.checkpoints import Checkpoint, TableStatus, newest_checkpoints
from jobs.engine.context import ActionContext, ActionResult
from jobs.ingest.loading.batches import BronzeTarget, load_to_bronze, settle_vanished
from jobs.ingest.loading.manifest import Manifest, refuse
from jobs.ingest.loading.replay import reasons_in, replay_of
from jobs.ingest.loading.stream import LEDGER_FIELDS, Task
from jobs.ingest.loading.tolerance import excesses
from jobs.ingest.tidb import resnapshots
from jobs.ingest.tidb.absent import (
    Absent,
    Stop,
    absent_files,
    block,
    cover,
    leave_open,
    note_awaited,
    tables_of,
    unreadable_files,
)
from jobs.ingest.tidb.apply import apply_changes
from jobs.ingest.tidb.blocks import splitter_for
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.dumpling.export import Export, read_export, unblock_begun
from jobs.ingest.tidb.dumpling.reader import DumpSpec, read_dump
from jobs.ingest.tidb.rows.keyless import with_row_ids
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.silver import silver_schema
from jobs.ingest.tidb.sources import Sources, join
from jobs.ingest.tidb.tables.table_names import Past
from jobs.ingest.tidb.ticdc.canal import read_canal
from jobs.ingest.tidb.ticdc.changefeed import read_changefeed
from jobs.ingest.tidb.ticdc.feed_csv import CsvSpec, read_feed_csv
from jobs.ingest.tidb.ticdc.infer_options import Named
from jobs.ingest.tidb.ticdc.sink_listing import SinkListing, read_feed
from jobs.ingest.tidb.unfit import unfit_values
from jobs.lake.table_frames import drift
from jobs.schema.bronze_silver import LEDGER, SILVER
from jobs.settings.ingest import TableRules

_READERS = {DumpSpec: read_dump, RowSpec: read_canal, CsvSpec: read_feed_csv}
"""What a file's task says of its rows -> what reads them."""


def _read(task: Task, content: bytes) -> Iterator[pa.RecordBatch]:
    batches = _READERS[type(task.spec)](task, content)
    rows = task.spec if isinstance(task.spec, RowSpec) else task.spec.rows
    return with_row_ids(batches, task.path) if rows.append else batches


_PATIENCE = 3.0
"""Seconds to wait for a file that an index names and that is not there yet."""
INTAKE = BronzeTarget(LEDGER.name, LEDGER_FIELDS, _read, splitter_for)


def run(work: ActionContext) -> ActionResult:
    """Ingest what is new.

    Returns:
        counts: read, backlog, applied, superseded, pending, quarantined (changes); files, unknown_files, waiting_files,
        missing_files, blocked_files, overwritten (files); tables, blocked, drifted (tables). detail: the reason
        by blocked table; how registered tables differ from the registry, by name; files that are awaited, and unknown.

    Raises:
        SourceError: a source is missing, incomplete, or of a kind that cannot be ingested safely.
        ValidationFailedError: the changes of a table break a critical expectation; the other tables are done.
        TableError: the numbers do not add up.
    """
    feed, export = _named(work)
    if feed is None and export is None and "resnapshot" not in work.options:
        work.progress("no change feed and no snapshot named: nothing to do")
        return ActionResult()
    past = newest_checkpoints(work.lake)
    if export is not None:
        unblock_begun(export, lambda name: _has_begun(past.get(".".join(name)), export.tso))
    if "resnapshot" in work.options:
        resnapshots.begin(work, past, *work.options["resnapshot"])
    later = resnapshots.resnapshots(work.lake)
    sources = join(feed, export, work.context.settings.ingest, later, past=past)
    _keep_first_snapshot(sources, past)
    work.progress(f"{len(sources.tables)} tables, {len(sources.items)} files, checkpoint {sources.checkpoint}")
    manifest = Manifest(work.lake)
    earlier = manifest.newest_batch(from_kafka=False)
    unknown = _refuse_unknown(work, manifest, feed, export)
    settle_vanished(work, INTAKE, manifest, sources.items)
    absent = _absent(work, manifest, sources, feed)
    block(sources, absent.stops)
    again = replay_of(work, ("ticdc", "dumpling"), sources.items)
    taken = load_to_bronze(work, INTAKE, manifest, sources.items, again)
    resnapshots.loaded(work, later)
    unfit = unfit_values(work.lake, sources.tables.values(), taken.batches)
    if unfit:  # what a table is then depends on its values: only bronze has them
        sources = join(feed, export, work.context.settings.ingest, later, unfit, past)
        _keep_first_snapshot(sources, past)
        block(sources, absent.stops)
    leave_open(sources, absent)
    block(sources, _unreadable(work, manifest, sources, feed))
    counts = apply_changes(work, sources, past, taken, manifest.last, earlier)
    counts |= {"files": taken.files, "overwritten": taken.overwritten, "unknown_files": unknown}
    return _outcome(sources, feed, export, absent, counts)


def _named(work: ActionContext) -> tuple[SinkListing | None, Export | None]:
    """Return the change feed and the snapshot that the run was given; the feed's checkpoint is read first."""
    ticdc, dumpling, told = (work.options.get(name) for name in ("ticdc", "dumpling", "changefeed"))
    named = Named(f"--changefeed {told}", read_changefeed(Path(told))) if told else None
    feed = read_feed(ticdc, named, _PATIENCE) if ticdc else None
    return feed, _export(work, dumpling) if dumpling else None


def _refuse_unknown(work: ActionContext, manifest: Manifest, feed: SinkListing | None, export: Export | None) -> int:
    """Quarantine files that fit no rule of their source; return how many were new."""
    found = {"ticdc": feed.unknown if feed else {}, "dumpling": export.unknown if export else {}}
    return sum(refuse(work, manifest, name, unknown) for name, unknown in found.items() if unknown)


def _absent(work: ActionContext, manifest: Manifest, sources: Sources, feed: SinkListing | None) -> Absent:
    """Return what of the feed's files is missing, less what a snapshot named now stands in for."""
    absent = absent_files(sources, feed, manifest.entries) if feed else Absent()
    note_awaited(work, manifest, absent.awaited, sources.checkpoint)
    if "resnapshot" in work.options:
        _cover(work, manifest, sources, feed, absent)
    return absent


def _outcome(
    sources: Sources, feed: SinkListing | None, export: Export | None, absent: Absent, counts: dict[str, int]
) -> ActionResult:
    blocked = {name: table.blocked_reason for name, table in sorted(sources.tables.items()) if table.blocked_reason}
    drifted = _drifted(sources)
    unknown = {
        path: f"{why[1]}: {why[2]}"
        for found in (feed, export)
        if found is not None
        for path, why in sorted(found.unknown.items())
    }
    missing = {path for stop in absent.stops for path in stop.paths} | set(absent.awaited)
    counts |= {"waiting_files": len(feed.waiting) if feed else 0, "blocked_files": len(sources.blocked_files)}
    counts |= {"missing_files": len(missing), "tables": len(sources.tables)}
    counts |= {"blocked": len(blocked), "drifted": len(drifted)}
    detail = {
        "blocked": blocked,
        "awaited": absent.awaited,
        "drifted": drifted,
        "unknown_paths": dict(sorted(unknown.items())),
    }
    return ActionResult(counts["applied"], counts, detail=detail)


def _unreadable(work: ActionContext, manifest: Manifest, sources: Sources, feed: SinkListing | None) -> list[Stop]:
    """Return where tables must stop of which too much cannot be read."""
    found = excesses(work.context.settings.ingest, tables_of(sources, manifest.entries), manifest.entries)
    reasons = reasons_in(work.lake, found)
    return [
        stop
        for table, excess in found.items()
        for stop in unreadable_files(sources, feed, excess, excess.clause(reasons[table]))
    ]


def _cover(work: ActionContext, manifest: Manifest, sources: Sources, feed: SinkListing | None, absent: Absent) -> None:
    """Let the snapshot that a person named stand in for files of its table that are lost or cannot be read."""
    name, _ = work.options["resnapshot"]
    table = sources.tables.get(name)
    if table is not None and table.snapshot is not None:
        lost = [*absent.stops, *_unreadable(work, manifest, sources, feed)]
        cover(work, manifest, lost, name, table.snapshot.tso)
        absent.stops = [stop for stop in absent.stops if stop.name != name or stop.at > table.snapshot.tso]


def _export(work: ActionContext, root: str) -> Export:
    """Return the export that the feed goes on from; its TSO may be named where its metadata does not say it."""
    settings = work.context.settings.ingest
    named = None if "resnapshot" in work.options else work.options.get("snapshot_ts")

    def is_excluded(name: TableName) -> bool:
        return settings.tables.get(".".join(name), TableRules()).exclude

    export = read_export(root, named or settings.dump.snapshot_ts, is_excluded)
    for note in export.notes:
        work.progress(f"look at the export: {note}")
    return export


def _has_begun(row: Checkpoint | None, tso: int) -> bool:
    """Return whether a table is in silver with the snapshot of that moment."""
    return row is not None and row.start_ts == tso and (row.checkpoint_ts or 0) >= tso


def _drifted(sources: Sources) -> dict[str, list[str]]:
    """Return what of registered tables is not as registered: jobs that need it are refused by name."""
    known = {table.source: table for table in SILVER if table.source is not None}
    live = {t.full_name: t for t in sources.tables.values() if t.exists_at(sources.checkpoint)}
    found = {name: drift(silver_schema(live[name]), known[name]) for name in sorted(live.keys() & known.keys())}
    return {name: clauses for name, clauses in found.items() if clauses}


def _keep_first_snapshot(sources: Sources, past: Past) -> None:
    """Hold a table that comes with another snapshot than the one it began with: keys gone since must be found first."""
    for name, table in list(sources.tables.items()):
        begun = past.get(name)
        if begun is None or table.ended is not None:
            continue
        if table.snapshot is None:
            waits = bool(begun.blocked_reason) and begun.status != TableStatus.FAILED
            if waits and (begun.start_ts or 0) > (begun.checkpoint_ts or 0):
                reason = (
                    f"{name} is blocked: its snapshot at {begun.start_ts} has not come in yet. Name the export "
                    "again: --dumpling."
                )
                sources.tables[name] = table.block(0, reason)
            continue
        if begun.start_ts == table.snapshot.tso:
            continue
        if begun.start_ts is None and not (begun.checkpoint_ts or 0) > 0:  # it was blocked from its beginning on
            continue
        if table.snapshot.tso in table.truncated_at:  # taken later, and told to
            continue
        reason = (
            f"{name} is blocked: it began with snapshot {begun.start_ts} and {table.snapshot.tso} is another one. "
            "Name the export it began with, or ingest into a new lake."
        )
        sources.tables[name] = table.block(0, reason)
        names = {segment.table for segment in table.segments}
        sources.items = [i for i in sources.items if i.task.source != "dumpling" or i.task.table not in names]
