"""Accounts for rows of ingest: each one read is applied, superseded, pending or quarantined. CDC and Kafka use it."""

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.common.errors import PinlakeError, TableError
from jobs.engine.checkpoints import TableRunStats
from jobs.ingest.loading.batches import LoadResult


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


def run_stats(counts: Mapping[str, Counts], applied: Mapping[str, int], loaded: LoadResult) -> dict[str, TableRunStats]:
    """Return what one run did for each table.

    Args:
        counts: changes that silver lacked, by table.
        applied: rows that changed in silver, by table.
        loaded: changes that the run brought to bronze.
    """
    stats = {}
    for name in set(counts) | set(loaded.files_of):
        count, done = counts.get(name, Counts(0, 0, 0, 0)), applied.get(name, 0)
        files, bad = loaded.files_of[name], loaded.bad_of[name]
        stats[name] = TableRunStats(files, done, count.due - done, count.total - count.due, bad)
    return stats


def assert_complete(bronze: str, rows: str, loaded: LoadResult, arrived: int) -> None:
    """Raise TableError unless each row that a run read is in bronze or in quarantine."""
    if loaded.read != arrived + loaded.quarantined:
        raise TableError(
            f"{bronze}: {loaded.read} {rows} were read, {arrived} are there, {loaded.quarantined} are in quarantine. "
            "Each must be in one of the two. Silver was not touched: report this as a bug."
        )


def as_failure(silver: str, source: str, error: Exception) -> PinlakeError:
    """Return the error of one table that could not be written; an unexpected one is a bug, and stops no other table."""
    if isinstance(error, PinlakeError):
        return error
    cause = str(error).strip().split("\n", 1)[0][:500]
    failure = TableError(
        f"{silver} was not updated: the changes of {source} wait in bronze, other tables are "
        f"done. {type(error).__name__}: {cause}. Run it again; if it stays so, report this as a bug."
    )
    failure.__cause__ = error
    return failure
