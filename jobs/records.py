"""What the platform remembers of its own runs: reading and writing ops.runs, ops.checks and the checkpoints.

Records are appended by one background thread while the next job computes; `close` waits for them. A record is written
after the commit it speaks of: killed in between, the job runs again and makes the same rows.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import functions as F

from jobs.errors import ConfigError
from jobs.lake.delta import Lake


class Records:
    """The memory of one lake."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="records")
        self._pending: list[Future[None]] = []
        self._last = self._newest_good_runs()

    def last(self, job: str, as_of: date) -> Mapping[str, Any] | None:
        """Return the newest good run of a job for a cut, None if there is none."""
        return self._last.get((job, as_of))

    def add_run(self, row: dict[str, Any]) -> None:
        """Remember a run."""
        if row["status"] == "ok":
            self._last[(row["job"], row["as_of"])] = row
        self._append("ops.runs", [row])

    def add_checks(self, run_id: str, as_of: date, rows: list[dict[str, Any]]) -> None:
        """Remember what was judged."""
        now = datetime.now(UTC)
        self._append("ops.checks", [{"run_id": run_id, "as_of": as_of, "at": now} | row for row in rows])

    def checkpoint(self) -> tuple[int, int]:
        """Return (start, end): the TSOs between which every table's state can be told.

        Raises:
            ConfigError: nothing has been ingested.
        """
        if not self.lake.exists("ops.checkpoints"):
            raise ConfigError("Nothing has been ingested into this lake: run `pinlake ingest` first.")
        rows = self.lake.read("ops.checkpoints").where(~F.col("table").startswith("kafka:"))
        newest = rows.groupBy("table").agg(F.max_by(F.struct("checkpoint_ts", "start_ts", "held"), "at").alias("c"))
        fit = newest.where(F.col("c.held").isNull())
        found = fit.agg(F.max("c.start_ts").alias("start"), F.min("c.checkpoint_ts").alias("end")).first()
        if found is None or found["end"] is None:
            raise ConfigError("No table has been ingested to a checkpoint: run `pinlake ingest` and see what it says.")
        return int(found["start"] or 0), int(found["end"])

    def close(self) -> None:
        """Wait until everything is written; raises what a write raised."""
        self._writer.shutdown(wait=True)
        for future in self._pending:
            future.result()

    def _append(self, name: str, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._pending.append(self._writer.submit(self.lake.append_rows, name, rows))

    def _newest_good_runs(self) -> dict[tuple[str, date], Mapping[str, Any]]:
        if not self.lake.exists("ops.runs"):
            return {}
        good = self.lake.read("ops.runs").where("status = 'ok' and as_of is not null")
        row = F.struct("run_id", "output_version", "inputs", "config_hash", "code_hash", "rows")
        newest = good.groupBy("job", "as_of").agg(F.max_by(row, "started_at").alias("r"))
        rows = newest.collect()  # bounded: one row a job and cut that was ever run
        return {(r["job"], r["as_of"]): r["r"].asDict() for r in rows}


def day_of(tso: int) -> date:
    """Return the last day whose 00:00 UTC is not after `tso`."""
    return datetime.fromtimestamp((tso >> 18) / 1000, UTC).date()
