"""What a job is and what it may see. The runner (jobs/engine/runner.py) does everything around it.

A table job is a function ``(tables, context) -> DataFrame``: pure, no clock, no I/O, no writes; randomness only from
seeds in the settings. It returns the columns of the table it makes without `as_of` and without the slice column: the
runner adds them, orders, casts, checks, commits. An action (ingest, publish) is ``(work) -> Outcome`` and commits
itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.settings import Settings

if TYPE_CHECKING:  # flow.py must stay importable without Spark
    from pyspark.sql import DataFrame, SparkSession

    from jobs.lake.delta import Lake
    from jobs.lake.scratch import ScratchSpace

Tables = Mapping[str, "DataFrame"]
"""Inputs by the very names in the job's `reads`."""


@dataclass(frozen=True)
class Context:
    """What a job may know besides its inputs."""

    settings: Settings
    as_of: date
    """The cut: nothing from this day's 00:00 UTC on may be used."""
    keep: "ScratchSpace | None" = field(default=None, compare=False)
    """Where a long job keeps what it has done so far, so that one that was killed goes on from there; None: nowhere."""

    @property
    def instant(self) -> datetime:
        """Return the cut as an instant, UTC."""
        return datetime(self.as_of.year, self.as_of.month, self.as_of.day, tzinfo=UTC)

    @property
    def tso(self) -> int:
        """Return the cut as a TiDB timestamp: a change with commit_ts below it is before the cut."""
        return int(self.instant.timestamp() * 1000) << 18

    def before(self) -> "Context":
        """Return the context of horizon_days ago, which `@horizon` inputs belong to."""
        return Context(self.settings, self.as_of - timedelta(days=self.settings.ranking.horizon_days))


@dataclass(frozen=True)
class ActionResult:
    """What an action did."""

    rows: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    output: str | None = None
    version: int | None = None
    detail: Any = None


@dataclass(frozen=True)
class ActionContext:
    """What an action gets to work with."""

    spark: "SparkSession"
    lake: "Lake"
    context: Context
    run_id: str
    progress: Callable[[str], None]
    """Shows a person what is going on: ``progress("3 of 7 tables")``."""
    judge: Callable[[str, Mapping[str, float | None]], None]
    """Validates metrics by a suite: ``judge("generation", {"coverage": .98})``; ValidationFailedError if critical."""
    judge_table: Callable[[str, "DataFrame"], None]
    """Judges rows about to be merged by the table's suite, if it has one; ValidationFailedError if critical."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the command line said: ticdc, dumpling, kafka, force …"""
    made: Callable[[str], "DataFrame | None"] = lambda _: None
    """Returns the cut's rows of a gold table that this session has made; None: read it."""


@dataclass(frozen=True)
class Job:
    """One step of the flow."""

    name: str
    """stage.what, such as features.interactions."""
    summary: str
    """One sentence, present tense."""
    function: str
    """module:function, imported when run."""
    reads: tuple[str, ...] = ()
    """Tables read at the cut; `name@horizon` as of horizon_days before it, `name@yesterday` as of the day before."""
    optional_reads: tuple[str, ...] = ()
    """Tables read where an earlier run made them; no run is planned for their sake, and without one they are empty."""
    writes: str | None = None
    """Table written; None for an action."""
    slice: str | None = None
    """Value of the table's slice column that this job fills."""
    config_sections: tuple[str, ...] = ()
    """Sections of the settings that matter to the result; part of the run's fingerprint."""

    @property
    def stage(self) -> str:
        """Return the part of the name before the dot."""
        return self.name.split(".", 1)[0]
