"""Fixed cost of a job: pinned inputs, checks, commit and the row in ops.runs, on tables of a few rows.

Each gold table of a small lake is made again by a job that only copies it, in one warm session: what its run takes is
the fixed cost of any job that writes this table. It replaces an existing partition, the dearer of the two ways to
commit (docs/adr/0045).
"""

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame

from jobs.engine.context import Context, Tables
from jobs.flow import FLOW
from jobs.schema.job import Job

if TYPE_CHECKING:
    from jobs.engine.runner import Runner

WARM_UP = 1
"""Warm-up rounds: the first includes code generation."""


def fixed_costs(runner: "Runner", as_of: date, rounds: int = 3) -> dict[str, float]:
    """Return job -> the median seconds of copying its table; the partition of `as_of` must exist.

    The sources of candidates are left out: each writes a slice of one table, and commits as the others do.
    """
    jobs = [copying(job) for job in FLOW if job.writes and job.sub_partition is None]
    seconds: dict[str, list[float]] = {job.name: [] for job in jobs}
    for number in range(WARM_UP + rounds):
        for job in jobs:
            result = runner.run(job, as_of, force=True)
            if number >= WARM_UP:
                seconds[job.name].append(result.seconds)
    return {name.removeprefix("copy."): sorted(taken)[len(taken) // 2] for name, taken in seconds.items()}


def copying(job: Job) -> Job:
    """Return a job that rewrites the partition of `job` from itself."""
    return replace(
        job,
        name=f"copy.{job.name}",
        function=f"{__name__}:copy",
        reads=(str(job.writes),),
        optional_reads=(),
    )


def copy(tables: Tables, _: Context) -> DataFrame:
    """Return the rows of the only input without the runner's columns."""
    (frame,) = tables.values()
    return frame.drop("as_of")
