"""Which jobs a cut needs, in order: the flow for that day, and for the days a horizon before that it reads from."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from jobs.flow import FLOW, WRITERS
from jobs.schema.bronze_silver import PIN_EMBEDDINGS, SILVER
from jobs.schema.images import IMAGE_EMBEDDINGS, IMAGE_FEATURES
from jobs.schema.job import Job
from jobs.schema.table import AsOf

HORIZON, YESTERDAY = "@horizon", "@yesterday"
LAGS = (HORIZON, YESTERDAY)
"""Endings of an input of an earlier cut: `ranking.horizon_days` before, or the day before."""


@dataclass(frozen=True)
class Read:
    """One input of a job: the table and the cut it is read at."""

    key: str
    """As the job names it."""
    table: str
    as_of: date


@dataclass(frozen=True)
class Step:
    """One job for one cut."""

    job: Job
    as_of: date


def written(job: Job) -> list[str]:
    """Return the tables a job writes: its own, or for ingest the silver tables of its sources."""
    if job.writes:
        return [job.writes]
    events = {AsOf.EVENTS, AsOf.LATEST}
    kinds = {
        "ingest.images": [IMAGE_FEATURES.name],
        "ingest.embeddings": [IMAGE_EMBEDDINGS.name, PIN_EMBEDDINGS.name],
        "ingest.cdc": [table.name for table in SILVER if table.source],
        "ingest.kafka": [table.name for table in SILVER if table.time in events],
    }
    return kinds.get(job.name, [])


def reads(job: Job, as_of: date, horizon_days: int) -> list[Read]:
    """Return the inputs of a job at a cut."""
    found = []
    for key in (*job.reads, *job.optional_reads):
        name, lag = key.partition("@")[::2]
        days = {"": 0, HORIZON: horizon_days, YESTERDAY: 1}[lag and f"@{lag}"]
        found.append(Read(key, name, as_of - timedelta(days=days)))
    return found


def waits_for(steps: list[Step], horizon_days: int) -> dict[Step, set[Step]]:
    """Return, for each step, the other steps of the list that write what it reads."""
    writers: dict[tuple[str, date], set[Step]] = {}
    for step in steps:
        if step.job.writes:
            writers.setdefault((step.job.writes, step.as_of), set()).add(step)
    found = {}
    for step in steps:
        inputs = [(read.table, read.as_of) for read in reads(step.job, step.as_of, horizon_days)]
        found[step] = set().union(*[writers.get(one, set()) for one in inputs])
    return found


def plan(as_of: date, horizon_days: int, jobs: Iterable[Job] = FLOW, first: date | None = None) -> list[Step]:
    """Return the steps that bring `jobs` up to `as_of`, each after all it reads from.

    Args:
        as_of: the cut.
        horizon_days: days that an `@horizon` input lies before.
        jobs: what is wanted.
        first: the earliest cut there is data for; steps before it are left out.
    """
    needed: set[tuple[str, date]] = set()
    waiting = [Step(job, as_of) for job in jobs]
    while waiting:
        step = waiting.pop()
        if (step.job.name, step.as_of) in needed or (first is not None and step.as_of < first):
            continue
        needed.add((step.job.name, step.as_of))
        for read in reads(step.job, step.as_of, horizon_days):
            if read.key not in step.job.optional_reads:
                waiting += [Step(writer, read.as_of) for writer in WRITERS.get(read.table, ())]
    place = {job.name: number for number, job in enumerate(FLOW)}
    by_name = {job.name: job for job in FLOW}
    # earlier cuts first; ingest serves them all
    ordered = sorted(needed, key=lambda n: (not n[0].startswith("ingest."), n[1], place[n[0]]))
    return [Step(by_name[name], day) for name, day in ordered]
