"""The checkpoint of each source table and topic in ops.checkpoints: ingest resumes from it, as-of dates end at it."""

from collections.abc import Mapping
from typing import Any

from jobs.lake.delta import Lake
from jobs.schema.ops import CHECKPOINTS

GONE = "is gone"
NO_SILVER = "has no silver table of its own"
FAILED = "failed:"
"""What `blocked_reason` begins with (GONE, FAILED), or says (NO_SILVER), of a table in such a state."""


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
    columns = ("table", "checkpoint_ts", "batch", "start_ts", "keys", "blocked_reason", "at", *more)
    rows = sorted(lake.rows(CHECKPOINTS.name, *columns), key=lambda row: row["at"])  # one row a table and run
    return {row["table"]: row for row in rows}
