"""Documentation of a task for the UI: the table it writes, its grain, its checks, how to run it by hand."""

import json
from pathlib import Path
from typing import Any

from jobs.flow import outputs
from jobs.schema.job import Job
from jobs.schema.table import Table
from jobs.schema.tables import TABLES

EXPECTATIONS = Path(__file__).resolve().parents[2] / "expectations"


def task_doc(job: Job) -> str:
    """Return a task's page, Markdown."""
    tables = "\n".join(_table(TABLES[name]) for name in outputs(job)) or "It writes no table of its own."
    reads = ", ".join(f"`{name}`" for name in (*job.reads, *job.optional_reads)) or "the sources"
    return f"""**{job.summary}**

Reads {reads}.

{tables}

By hand: `pinlake run {job.name} --as-of DAY`. Running it again is safe: the table is as if it had run once.
What it did: `pinlake runs`, or `ops.runs` in SQL; all runs of a date on one page: `pinlake report`.
"""


def _table(table: Table) -> str:
    return f"- `{table.name}`: {table.comment} Grain: {table.grain}. Checks: {_checks(table)}"


def _checks(table: Table) -> str:
    suite = EXPECTATIONS / f"{table.path}.json"
    if not suite.is_file():
        return "none."
    checks = [
        f"{one['kwargs']['column']} {_bounds(one['kwargs'])} ({one.get('severity', 'critical')})"
        for one in json.loads(suite.read_text())["expectations"]
    ]
    return "; ".join(checks) + "."


def _bounds(kwargs: dict[str, Any]) -> str:
    """Return the bounds, such as ≥ 1; the name of a parameter that is filled in at run time."""
    bounds = (kwargs.get(name) for name in ("min_value", "max_value"))
    least, most = (one["$PARAMETER"] if isinstance(one, dict) else one for one in bounds)
    if least == most:
        return f"= {least}"
    return " and ".join(f"{sign} {value}" for sign, value in (("≥", least), ("≤", most)) if value is not None)
