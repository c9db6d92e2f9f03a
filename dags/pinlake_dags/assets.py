"""The tables as assets: one for each table that a DAG writes, named as in SQL."""

from airflow.sdk import Asset

from jobs.flow import FLOW, outputs
from jobs.schema.job import Job
from jobs.schema.table import Table
from jobs.schema.tables import TABLES


def asset(table: Table) -> Asset:
    """Return the asset of a table. Its URI names the table, not where the lake lies: that may change, and is conf's."""
    return Asset(name=table.name, uri=f"delta://pinlake/{table.path}", group=table.layer)


DAY = Asset(name="pinlake.day", uri="pinlake://day", group="pinlake")
"""A day is complete: the ingested checkpoint has passed its end. Its events carry the day as `as_of`."""
GENERATION = Asset(name="pinlake.generation", uri="pinlake://generation", group="pinlake")
"""The online store serves another generation. Its events carry the generation and its `as_of`."""


def outlets(job: Job) -> list[Asset]:
    """Return what a job's task updates."""
    return [GENERATION] if job.stage == "publish" else [asset(TABLES[name]) for name in outputs(job)]


def inlets(job: Job) -> list[Asset]:
    """Return what a job's task reads, of the tables that DAGs write."""
    made = {name for one in FLOW for name in outputs(one)}
    names = dict.fromkeys(name.partition("@")[0] for name in (*job.reads, *job.optional_reads))
    return [asset(TABLES[name]) for name in names if name in made]
