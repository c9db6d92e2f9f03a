"""Reads and writes ops.checkpoints: ingest resumes from a checkpoint, as-of dates end at it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from jobs.lake.delta import Lake
from jobs.schema.ops import CHECKPOINTS

GONE = "is gone"
NO_SILVER = "has no silver table of its own"
FAILED = "failed:"
"""What `blocked_reason` begins with (GONE, FAILED), or says (NO_SILVER), of a table in such a state."""


@dataclass(frozen=True)
class TableRunStats:
    """What one run did for one table or topic, in changes or messages; summed over runs except `pending`."""

    files: int = 0
    applied: int = 0
    superseded: int = 0
    pending: int = 0
    """Changes in bronze that wait; the newest row counts, not the sum."""
    quarantined: int = 0


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One row of ops.checkpoints."""

    table: str
    """schema.table, or kafka:topic."""
    checkpoint_ts: int | None
    batch: int | None
    keys: list[str] | None
    start_ts: int | None = None
    complete_ts: int | None = None
    blocked_reason: str | None = None
    stats: TableRunStats = field(default_factory=TableRunStats)

    def differs_from(self, before: Mapping[str, Any] | None) -> bool:
        """Return whether a run did something, or the state differs from that of the newest row before."""
        stats = self.stats
        if before is None or stats.files or stats.applied or stats.superseded or stats.quarantined:
            return True
        return any(before[name] != getattr(self, name) for name in _STATE)


_STATE = ("checkpoint_ts", "batch", "start_ts", "keys", "blocked_reason")
"""Columns of the state that a table or topic is in."""


def append_checkpoints(lake: Lake, run_id: str, rows: Iterable[Checkpoint]) -> None:
    """Append rows of one run in one commit."""
    now = datetime.now(UTC)
    plain = [asdict(row) for row in rows]
    lake.append_rows(CHECKPOINTS.name, [row | row.pop("stats") | {"run_id": run_id, "at": now} for row in plain])


def is_gone(row: Mapping[str, Any]) -> bool:
    """Return whether a table's row of ops.checkpoints says that the source has it no more."""
    return (row["blocked_reason"] or "").startswith(GONE)


def lacks_silver(row: Mapping[str, Any]) -> bool:
    """Return whether a table's row of ops.checkpoints says that the silver table of its name is another's."""
    return NO_SILVER in (row["blocked_reason"] or "")


def has_failed(row: Mapping[str, Any]) -> bool:
    """Return whether a table's row of ops.checkpoints says that its newest merge failed: it is as far as it was."""
    return (row["blocked_reason"] or "").startswith(FAILED)


def newest_checkpoints(lake: Lake, *more: str) -> dict[str, dict[str, Any]]:
    """Return the newest row of each source table (schema.table) and topic (kafka:topic).

    Args:
        lake: where they are noted.
        more: further columns that are wanted.
    """
    columns = ("table", *_STATE, "at", *more)
    rows = sorted(lake.rows(CHECKPOINTS.name, *columns), key=lambda row: row["at"])  # one row a table and run
    return {row["table"]: row for row in rows}
