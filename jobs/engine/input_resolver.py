"""Resolves the inputs of jobs: the Delta version of each, and the rows, cached if this session has computed them."""

from collections.abc import Mapping
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame

from jobs.common.errors import TableError
from jobs.engine.run_history import RunHistory
from jobs.flow import HORIZON, LAGS, WRITERS, Read, reads
from jobs.history.as_of import ABSENT, read_as_of
from jobs.lake.delta import Lake
from jobs.lake.transaction_log import Commit
from jobs.schema.columns import DS
from jobs.schema.job import Job
from jobs.schema.table import AsOf
from jobs.schema.tables import table
from jobs.settings import Settings

_LOOK_BACK = 1000
"""Versions of an event table that are searched for a change before the as-of date."""


class InputResolver:
    """Pins and opens the inputs of jobs on one lake."""

    def __init__(self, lake: Lake, history: RunHistory, settings: Settings) -> None:
        self._lake = lake
        self._history = history
        self._horizon = settings.ranking.horizon_days
        self._cache_bytes = settings.platform.cache_mb << 20
        self._versions: dict[str, int] = {}
        self._changed: dict[tuple[str, int], frozenset[str] | None] = {}
        self._outputs: dict[tuple[str, date, str | None], DataFrame | None] = {}

    def pin(self, job: Job, as_of: date) -> dict[str, int]:
        """Return the version of each input; a gold partition's is that of the run that wrote it."""
        return {read.key: self._version(read) for read in reads(job, as_of, self._horizon)}

    def settled(self, job: Job, as_of: date, last: Mapping[str, int], now: Mapping[str, int]) -> Mapping[str, int]:
        """Return `now` with the versions of `last` for event tables where only days from `as_of` on changed since.

        A late event re-triggers the as-of dates after its day; one from a clock that is ahead none until its day.
        """
        versions_of = dict(now)
        for read in reads(job, as_of, self._horizon):
            before = last.get(read.key, ABSENT)
            if before != ABSENT and table(read.table).partition == (DS.name,):
                versions = range(before + 1, now[read.key] + 1)
                if len(versions) <= _LOOK_BACK and not any(self._touches(read, version) for version in versions):
                    versions_of[read.key] = before
        return versions_of

    def _touches(self, read: Read, version: int) -> bool:
        key = (read.table, version)
        if key not in self._changed:
            self._changed[key] = self._lake.changed(read.table, version, DS.name)
        days = self._changed[key]
        return days is None or any(day < str(read.as_of) for day in days)

    def tables(self, job: Job, as_of: date, settings: Settings) -> Mapping[str, DataFrame]:
        """Return each input of a job at its pinned version, as of its date.

        Raises:
            TableError: an input that no run has made.
        """
        lagged_reads = any(key.endswith(HORIZON) for key in (*job.reads, *job.optional_reads))
        horizon = settings.ranking.horizon_days if lagged_reads else 0  # recorded for jobs that depend on it
        tables = {}
        for read in reads(job, as_of, horizon):
            version, lagged = self._version(read), read.key.endswith(LAGS)
            if version == ABSENT and not lagged and table(read.table).time is AsOf.PARTITION:
                raise TableError(
                    f"{job.name} reads {read.table} as of {read.as_of}, which no run has made: "
                    f"`pinlake flow --as-of {as_of}` runs all that it needs."
                )
            made = self._output(read)
            tables[read.key] = read_as_of(self._lake, read.table, read.as_of, version) if made is None else made
        return tables

    def _output(self, read: Read) -> DataFrame | None:
        """Return a partition that this session has written completely, None otherwise."""
        parts = [self._outputs.get((read.table, read.as_of, job.sub_partition)) for job in WRITERS.get(read.table, ())]
        frames = [frame for frame in parts if frame is not None]
        return reduce(DataFrame.unionByName, frames).drop("as_of") if frames and len(frames) == len(parts) else None

    def add_output(self, job: Job, as_of: date, frame: DataFrame, commit: Commit) -> None:
        """Cache committed rows for later jobs of this session; large results are read from their table."""
        self._versions[str(job.writes)] = commit.version
        self._outputs[str(job.writes), as_of, job.sub_partition] = frame if commit.bytes <= self._cache_bytes else None

    def refresh_versions(self) -> None:
        """Look table versions up again: call after an action has written tables."""
        self._versions.clear()

    def _version(self, read: Read) -> int:
        if table(read.table).time is AsOf.PARTITION:
            last = [self._history.last(writer.name, read.as_of) for writer in WRITERS.get(read.table, ())]
            known = [int(run["output_version"]) for run in last if run and run["output_version"] is not None]
            return max(known, default=ABSENT)
        if read.table not in self._versions:
            self._versions[read.table] = self._lake.version(read.table) if self._lake.exists(read.table) else ABSENT
        return self._versions[read.table]
