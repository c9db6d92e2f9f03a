"""What spark-submit runs: one job of the flow, as `pinlake run` does, and its result as JSON for a scheduler.

    spark-submit jobs/engine/spark_submit.py features.pin_stats --as-of 2026-11-01 --result /tmp/result.json

Besides the jobs there are `horizon` (the jobs of the earlier cut that the cut reads from, those that are missing) and
`maintain`. Exit codes are those of the command line.
"""

import sys

if __name__ == "__main__":
    # a script's folder comes first on its path: our own modules would stand in for others of their name
    sys.path.pop(0)

import argparse
import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.common.errors import ConfigError, PinlakeError
from jobs.common.redaction import redacted

if TYPE_CHECKING:
    from jobs.cli.engine import Engine
    from jobs.schema.job import Job

HORIZON, MAINTAIN = "horizon", "maintain"


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="submit.py", description=__doc__)
    parser.add_argument("what", help="a job of the flow, horizon or maintain")
    parser.add_argument("--as-of", type=date.fromisoformat, help="the cut, YYYY-MM-DD [the newest]")
    parser.add_argument("--result", type=Path, help="file to write the result to, on the driver's machine")
    given = parser.parse_args(arguments)
    try:
        result = work(given.what, given.as_of)
    except PinlakeError as error:
        sys.stderr.write(f"{redacted(str(error))}\n")
        return error.exit_code
    if given.result:
        given.result.write_text(json.dumps(result))
    return 0


def work(what: str, day: date | None) -> dict[str, Any]:
    """Do it; return {"as_of": the cut, "tables": {name: {"version", "rows", …}}}.

    Raises:
        PinlakeError: what the job raises; ConfigError where there is no such job.
    """
    from jobs.cli.engine import engine
    from jobs.cli.ingest import source_options
    from jobs.flow import job

    chosen = None if what in {HORIZON, MAINTAIN} else job(what)
    options = source_options() if chosen and chosen.stage == "ingest" else {}
    with engine(options) as on:
        if what == MAINTAIN:
            from jobs.engine.maintenance import maintain

            return {"as_of": None, "tables": maintain(on.runner.lake, on.runner.settings.maintenance)}
        if chosen and chosen.stage == "ingest":
            return _ingest(on, chosen)
        first, cut = on.runner.resolve_as_of(day)
        made = _one(on, chosen, cut) if chosen else _horizon(on, first, cut)
        return {"as_of": str(cut), "tables": made}


def _one(on: "Engine", job: "Job", cut: date) -> dict[str, Any]:
    with on.show.job(job.name):
        result = on.runner.run(job, cut)
    on.show.done("  ", job.name, cut, result)
    if job.writes is None:
        told = {"generation": (result.detail or {}).get("generation"), "rows": result.rows}
        return {"pinlake.generation": told}
    last = on.runner.history.last(job.name, cut) or {}
    return {job.writes: {"version": last.get("output_version"), "rows": result.rows, "status": result.status}}


def _horizon(on: "Engine", first: date, cut: date) -> dict[str, Any]:
    from jobs.engine.plan import plan
    from jobs.flow import FLOW

    jobs = [job for job in FLOW if job.stage not in {"ingest", "publish"}]
    steps = plan(cut, on.runner.settings.ranking.horizon_days, jobs, first)
    on.steps([step for step in steps if step.as_of < cut])
    return {}


def _ingest(on: "Engine", job: "Job") -> dict[str, Any]:
    from jobs.engine.attention import attention
    from jobs.engine.plan import written

    with on.show.job(job.name):
        result = on.runner.run(job, None)
    on.show.done("  ", job.name, None, result)
    found = attention(result.counts, result.detail)
    on.show.say_all(found)
    lake, tables = on.runner.lake, {}
    for name in [name for name in written(job) if lake.exists(name)]:
        version = lake.version(name)
        rows = lake.spark.read.format("delta").option("versionAsOf", version).load(lake.path(name)).count()
        tables[name] = {"version": version, "rows": rows}
    try:
        newest = str(on.runner.resolve_as_of(None)[1])
    except ConfigError:  # no whole day has been ingested yet
        newest = None
    # what is blocked is no failure of this task: the tables that are good are made, the DAG's last task fails for it
    return {"as_of": newest, "tables": tables, "amiss": list(found.amiss(strict=True))}


if __name__ == "__main__":
    sys.exit(main())
