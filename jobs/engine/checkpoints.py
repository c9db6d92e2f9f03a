"""Reads and writes ops.checkpoints: ingest resumes from a checkpoint, as-of dates end at it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from jobs.lake.delta import Lake
from jobs.schema.ops import CHECKPOINTS


class TableStatus(StrEnum):
    """What a table or topic is in for, as its newest row of ops.checkpoints says."""

    LIVE = "live"
    """Every change up to the checkpoint is in silver."""

    BLOCKED = "blocked"
    """It is not followed beyond the checkpoint, for the reason beside it."""

    NO_SILVER = "no_silver"
    """Blocked: the silver table of its name is another table's."""

    FAILED = "failed"
    """Its newest merge failed: silver is as far as it was, and the next run tries again."""

    GONE = "gone"
    """The source has it no more."""


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
    status: TableStatus = TableStatus.LIVE
    blocked_reason: str | None = None
    stats: TableRunStats = field(default_factory=TableRunStats)

    def differs_from(self, before: "Checkpoint | None") -> bool:
        """Return whether a run did something, or the state differs from that of the newest row before."""
        stats = self.stats
        if before is None or stats.files or stats.applied or stats.superseded or stats.quarantined:
            return True
        return any(getattr(before, name) != getattr(self, name) for name in _STATE)


_STATE = ("checkpoint_ts", "batch", "start_ts", "keys", "status", "blocked_reason")
"""Columns of the state that a table or topic is in."""
_STATS = tuple(one.name for one in fields(TableRunStats))
_COLUMNS = (*(one.name for one in fields(Checkpoint) if one.name != "stats"), *_STATS, "at")


def append_checkpoints(lake: Lake, run_id: str, rows: Iterable[Checkpoint]) -> None:
    """Append rows of one run in one commit."""
    now = datetime.now(UTC)
    plain = [asdict(row) for row in rows]
    lake.append_rows(CHECKPOINTS.name, [row | row.pop("stats") | {"run_id": run_id, "at": now} for row in plain])


def newest_checkpoints(lake: Lake) -> dict[str, Checkpoint]:
    """Return the newest row of each source table (schema.table) and topic (kafka:topic)."""
    rows = sorted(lake.rows(CHECKPOINTS.name, *_COLUMNS), key=lambda row: row["at"])  # one row a table and run
    return {row["table"]: _checkpoint(row) for row in rows}


def _checkpoint(row: dict[str, Any]) -> Checkpoint:
    state = {name: row[name] for name in _COLUMNS if name not in (*_STATS, "at", "status")}
    stats = TableRunStats(**{name: row[name] or 0 for name in _STATS})
    return Checkpoint(**state, status=TableStatus(row["status"]), stats=stats)
