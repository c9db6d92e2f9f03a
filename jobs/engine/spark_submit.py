"""Entry point for spark-submit: runs one job of the flow, as `pinlake run` does, and writes its result as JSON.

    spark-submit jobs/engine/spark_submit.py features.pin_stats --as-of 2026-11-01 --result /tmp/result.json

Besides the jobs there are `horizon` (the jobs of the earlier as-of dates that the date reads from, where they are
missing) and `maintain`. Exit codes are those of the command line.
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
    from jobs.engine.scheduler import Scheduler
    from jobs.schema.job import Job

HORIZON, MAINTAIN = "horizon", "maintain"


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="submit.py", description=__doc__)
    parser.add_argument("what", help="a job of the flow, horizon or maintain")
    parser.add_argument(
        "--as-of", type=date.fromisoformat, help="as-of date, YYYY-MM-DD [the newest day that is complete]"
    )
    parser.add_argument("--result", type=Path, help="file to write the result to, on the driver's machine")
    args = parser.parse_args(arguments)
    try:
        result = run(args.what, args.as_of)
    except PinlakeError as error:
        sys.stderr.write(f"{redacted(str(error))}\n")
        return error.exit_code
    if args.result:
        args.result.write_text(json.dumps(result))
    return 0


def run(what: str, day: date | None) -> dict[str, Any]:
    """Run a job, horizon or maintain; return {"as_of": the date, "tables": {name: {"version", "rows", …}}}.

    Raises:
        PinlakeError: the job failed; ConfigError if there is no such job.
    """
    from jobs.engine.scheduler import load_settings, opened
    from jobs.engine.sources import configured_sources
    from jobs.flow import job

    chosen = None if what in {HORIZON, MAINTAIN} else job(what)
    loaded = load_settings()
    options = configured_sources(loaded) if chosen and chosen.stage == "ingest" else {}
    with opened(loaded, options=options) as on:
        if what == MAINTAIN:
            from jobs.engine.maintenance import maintain

            return {"as_of": None, "tables": maintain(on.runner.lake, on.runner.settings.maintenance)}
        if chosen and chosen.stage == "ingest":
            return _ingest(on, chosen)
        first, as_of = on.runner.resolve_as_of(day)
        tables = _one(on, chosen, as_of) if chosen else _horizon(on, first, as_of)
        return {"as_of": str(as_of), "tables": tables}


def _one(on: "Scheduler", job: "Job", as_of: date) -> dict[str, Any]:
    with on.progress.job(job.name):
        result = on.runner.run(job, as_of)
    on.progress.done("", job.name, as_of, result)
    if job.writes is None:
        return {"pinlake.generation": {"generation": (result.detail or {}).get("generation"), "rows": result.rows}}
    last = on.runner.history.last(job.name, as_of) or {}
    return {job.writes: {"version": last.get("output_version"), "rows": result.rows, "status": result.status}}


def _horizon(on: "Scheduler", first: date, as_of: date) -> dict[str, Any]:
    from jobs.engine.scheduler import plan
    from jobs.flow import FLOW

    jobs = [job for job in FLOW if job.stage not in {"ingest", "publish"}]
    steps = plan(as_of, on.runner.settings.ranking.horizon_days, jobs, first)
    on.steps([step for step in steps if step.as_of < as_of])
    return {}


def _ingest(on: "Scheduler", job: "Job") -> dict[str, Any]:
    from jobs.engine.attention import attention
    from jobs.flow import outputs

    with on.progress.job(job.name):
        result = on.runner.run(job, None)
    on.progress.done("", job.name, None, result)
    found = attention(result.counts, result.detail)
    on.show(found)
    lake, tables = on.runner.lake, {}
    for name in [name for name in outputs(job) if lake.exists(name)]:
        version = lake.version(name)
        rows = lake.scan(name, version).count()
        tables[name] = {"version": version, "rows": rows}
    try:
        newest = str(on.runner.resolve_as_of(None)[1])
    except ConfigError:  # no whole day has been ingested yet
        newest = None
    # a blocked table does not fail this task: the others are loaded, and the last task of the DAG fails for it
    return {"as_of": newest, "tables": tables, "amiss": list(found.amiss(strict=True))}


if __name__ == "__main__":
    sys.exit(main())
