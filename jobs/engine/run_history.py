"""The history of runs: reads and writes ops.runs and ops.checks, reads the checkpoints.

A row is written after the commit it describes: if a job is killed in between, it runs again and writes the same rows.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from jobs.common.errors import ConfigError
from jobs.common.tso import instant_of
from jobs.engine.checkpoints import TableStatus, newest_checkpoints
from jobs.lake.delta import Lake
from jobs.schema.ops import CHECKS, RUNS

_KEY = ("job", "as_of", "status", "started_at")
_KNOWN = ("run_id", "output_version", "inputs", "settings", "config_hash", "code_hash", "rows")


class RunHistory:
    """The runs of one lake."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._last = self._newest_good_runs()

    def create_tables(self) -> None:
        """Create the ops tables that runs write, unless they exist: call before runs start concurrently."""
        for known in (RUNS, CHECKS):
            self.lake.ensure(known.name)

    def last(self, job: str, as_of: date) -> Mapping[str, Any] | None:
        """Return the newest successful run of a job for an as-of date, None if there is none."""
        return self._last.get((job, as_of))

    def add_run(self, row: dict[str, Any]) -> None:
        """Add a run."""
        if row["status"] == "ok":
            self._last[(row["job"], row["as_of"])] = row
        self.lake.append_rows("ops.runs", [row])

    def add_checks(self, run_id: str, as_of: date, rows: list[dict[str, Any]]) -> None:
        """Add the results of a validation."""
        now = datetime.now(UTC)
        self.lake.append_rows("ops.checks", [{"run_id": run_id, "as_of": as_of, "at": now} | row for row in rows])

    def checkpoint(self) -> tuple[int, int]:
        """Return (start, end): the TSOs between which the state of every table is known.

        Raises:
            ConfigError: nothing has been ingested.
        """
        newest = newest_checkpoints(self.lake)
        if not newest:
            raise ConfigError("Nothing has been ingested into this lake: run `pinlake ingest` first.")
        tables = [row for name, row in newest.items() if not name.startswith("kafka:")]
        # as-of dates wait for a table whose last merge failed; one that never had a checkpoint delays nothing
        fit = [
            row
            for row in tables
            if row.status == TableStatus.LIVE or (row.status == TableStatus.FAILED and row.checkpoint_ts)
        ]
        if not fit:
            raise ConfigError("No table has been ingested to a checkpoint: run `pinlake ingest` and see what it says.")
        return max(row.start_ts or 0 for row in fit), min(row.checkpoint_ts or 0 for row in fit)

    def _newest_good_runs(self) -> dict[tuple[str, date], Mapping[str, Any]]:
        runs = self.lake.rows("ops.runs", *_KEY, *_KNOWN)
        runs = [row for row in runs if row["status"] == "ok" and row["as_of"] is not None]
        runs.sort(key=lambda row: row["started_at"])
        for row in runs:  # maps come as lists of pairs
            row.update({name: dict(row[name] or []) for name in ("inputs", "settings")})
        return {(row["job"], row["as_of"]): row for row in runs}


def day_of(tso: int) -> date:
    """Return the last day whose 00:00 UTC is not after `tso`."""
    return instant_of(tso).date()
