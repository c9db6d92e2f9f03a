"""Arguments and results of a job's function: `Context` for table jobs, `ActionContext` and `ActionResult` for actions.

A table job is a function ``(tables, context) -> DataFrame``: pure, no clock, no I/O, no writes; randomness only from
seeds in the settings. It returns the columns of its table without `as_of` and without the sub-partition column: the
runner adds them, orders, casts, validates and commits. An action (ingest, publish) is ``(work) -> ActionResult`` and
commits itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.common.tso import as_of_instant, tso_at
from jobs.settings import Settings

if TYPE_CHECKING:  # importable without Spark
    from pyspark.sql import DataFrame, SparkSession

    from jobs.lake.delta import Lake
    from jobs.lake.scratch import ScratchSpace

Tables = Mapping[str, "DataFrame"]
"""Inputs of a job by the names in its `reads` and `optional_reads`."""


@dataclass(frozen=True)
class Context:
    """Inputs of a table job besides its tables."""

    settings: Settings
    as_of: date
    """Rows at or after 00:00 UTC of this day are not used."""
    scratch: "ScratchSpace | None" = field(default=None, compare=False)
    """Stores finished units of a long job, so that a killed run resumes; None: nothing is stored."""

    @property
    def instant(self) -> datetime:
        """Return 00:00 UTC of the as-of date."""
        return as_of_instant(self.as_of)

    @property
    def tso(self) -> int:
        """Return the as-of date as a TiDB timestamp: a change with a smaller commit_ts is included."""
        return tso_at(self.instant)

    def before(self) -> "Context":
        """Return the context of horizon_days earlier, which `@horizon` inputs belong to."""
        return Context(self.settings, self.as_of - timedelta(days=self.settings.ranking.horizon_days))


@dataclass(frozen=True)
class ActionResult:
    """Result of an action."""

    rows: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    output: str | None = None
    version: int | None = None
    detail: Any = None


@dataclass(frozen=True)
class ActionContext:
    """Arguments of an action."""

    spark: "SparkSession"
    lake: "Lake"
    context: Context
    run_id: str
    progress: Callable[[str], None]
    """Shows the state of the action to a person: ``progress("3 of 7 tables")``."""
    validate: Callable[[str, Mapping[str, float | None]], None]
    """Validates metrics by a suite, `validate("generation", {"coverage": .98})`; ValidationFailedError if critical."""
    validate_table: Callable[[str, "DataFrame"], None]
    """Validates rows to be merged by the table's suite, if it has one; ValidationFailedError if critical."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the command line: ticdc, dumpling, kafka, force …"""
    tables: Callable[[], Tables] = dict
    """Opens the declared inputs at their pinned versions, as of the as-of date."""
    inputs: Mapping[str, int] = field(default_factory=dict)
    """Delta version of each declared input."""
    unchanged: bool = False
    """Whether the last successful run of this as-of date had the same inputs, settings and code."""
