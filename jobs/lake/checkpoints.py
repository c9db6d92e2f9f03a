"""How far each source has come, as ops.checkpoints tells: ingest goes on from there, and cuts are chosen within it."""

from typing import Any

from jobs.lake.delta import Lake
from jobs.lake.ops import CHECKPOINTS


def newest_checkpoints(lake: Lake, *more: str) -> dict[str, dict[str, Any]]:
    """Return the newest row of each source table (schema.table) and topic (kafka:topic).

    Args:
        lake: where they are noted.
        more: further columns that are wanted.
    """
    columns = ("table", "checkpoint_ts", "batch", "start_ts", "keys", "held", "at", *more)
    rows = sorted(lake.rows(CHECKPOINTS.name, *columns), key=lambda row: row["at"])  # one row a table and run
    return {row["table"]: row for row in rows}
