"""Bringing silver up to bronze, table by table: what is wrong with one table stops no other.

In: the tables as their DDL says, how far earlier runs came, what this run brought to bronze. Out: silver, one row of
ops.checkpoints a table, and the counts of changes: read + backlog = applied + superseded + pending + quarantined.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from jobs.common.errors import PinlakeError, TableError
from jobs.engine.checkpoints import Checkpoint
from jobs.engine.context import ActionContext
from jobs.ingest.loading.batches import LoadResult
from jobs.ingest.row_accounting import Counts, as_failure, assert_complete, run_stats
from jobs.ingest.tidb.progress import (
    arrived_in,
    pending_changes,
    unchanged_counts,
    write_checkpoints,
    write_dropped,
    write_failed,
)
from jobs.ingest.tidb.silver import ApplyWindow, create, merge, outdated
from jobs.ingest.tidb.sources import Sources
from jobs.ingest.tidb.tables.source_table import SourceTable
from jobs.ingest.tidb.tables.table_names import Past


@dataclass
class _Result:
    mark: ApplyWindow
    due: int
    merges: bool = True
    """Whether changes are due; else only its silver is looked after."""
    applied: int = 0
    error: PinlakeError | None = None


def apply_changes(
    work: ActionContext, sources: Sources, past: Past, taken: LoadResult, newest: int, earlier: int
) -> dict[str, int]:
    """Merge what bronze holds and silver does not, table by table; return the counts.

    Args:
        work: lake, settings, progress.
        sources: the tables and the checkpoint.
        past: newest row of ops.checkpoints by table.
        taken: what this run brought to bronze.
        newest: newest batch of bronze.
        earlier: newest batch of bronze.ledger before this run.
    """
    at = sources.checkpoint
    marks = {name: _mark(table, past.get(table.full_name), at) for name, table in sources.tables.items()}
    counts = unchanged_counts(work.lake, marks, past, taken, earlier)
    counts |= pending_changes(work.lake, {n: m for n, m in marks.items() if n not in counts}, taken.batches, at)
    arrived, late = arrived_in(work.lake, taken.batches, at)
    assert_complete("bronze.ledger", "changes", taken, arrived)
    live = {name: mark for name, mark in marks.items() if mark.table.exists_at(at)}
    due = {name for name, count in counts.items() if count.due}
    results = _merge_all(work, [_result(mark, counts.get(name), name in due) for name, mark in sorted(live.items())])
    errors = write_dropped(work, sources, past, newest)
    failed = [result for result in results if result.error is not None]
    lost = {result.mark.table.full_name for result in failed}
    done = [mark for name, mark in sorted(marks.items()) if mark.table.ended is None and name not in lost]
    stats = run_stats(counts, {r.mark.table.full_name: r.applied for r in results}, taken)
    write_checkpoints(work, done, past, newest, stats)
    write_failed(work, [(r.mark, r.error) for r in failed], past, stats)
    errors = [result.error for result in failed if result.error is not None] + errors
    if errors:
        raise errors[0]
    fresh, total, due_rows, waiting = (
        sum(getattr(count, name) for count in counts.values()) for name in ("fresh", "total", "due", "late")
    )
    applied = sum(result.applied for result in results)
    # rows of no table: of one that comes above the checkpoint, or under a name after the table had lost it
    unborn, strays = late - waiting, (arrived - late) - (fresh - waiting)
    named = {"read": taken.read, "backlog": total - fresh, "applied": applied}
    named |= {"superseded": due_rows - applied + strays, "pending": total - due_rows + unborn}
    return named | {"quarantined": taken.quarantined}


def _result(mark: ApplyWindow, count: Counts | None, merges: bool) -> _Result:
    return _Result(replace(mark, late=bool(count and count.behind)), count.due if count else 0, merges)


def _merge_all(work: ActionContext, results: list[_Result]) -> list[_Result]:
    done = 0

    def one(result: _Result) -> _Result:
        nonlocal done
        name = result.mark.table.silver
        try:
            _bring_up(work, result)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one table, the other tables go on
            result.error = as_failure(name, result.mark.table.full_name, error)
            work.progress(str(result.error))
            return result
        done += 1
        if result.merges:
            said = f"{result.applied:,} of {result.due:,} changes applied"
            work.progress(f"{done} of {len(results)} tables: {name}, {said}")
        return result

    with ThreadPoolExecutor(work.context.settings.ingest.parallel_tables) as pool:
        return list(pool.map(one, results))


def _bring_up(work: ActionContext, result: _Result) -> None:
    """Make one table's silver what it is to be, by its changes or, where none are due, by its DDL alone."""
    table = result.mark.table
    if not (result.merges or outdated(work.lake, table)):
        if not table.blocked_reason:  # a table of which nothing may be shown yet is not an empty one
            create(work, table)
        return
    result.merges = True
    result.applied = merge(work, result.mark)
    if result.applied > result.due:
        raise TableError(
            f"{table.silver}: {result.applied} rows changed from {result.due} changes; report this as a bug."
        )


def _mark(table: SourceTable, past: Checkpoint | None, checkpoint: int) -> ApplyWindow:
    batch, reached = (past.batch or 0, past.checkpoint_ts or 0) if past else (0, 0)
    return ApplyWindow(table, batch, reached, table.limit(checkpoint))
