"""The rows of the flow's picture: each job with its place among the lanes and what its run came to."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.report.formatting import count, seconds, short, size
from jobs.report.layout import Line, Place, lay_out
from jobs.report.run_snapshot import JobRun, RunSnapshot, end
from jobs.schema.job import Job

_STATUS = {"ok": "ran", "warned": "ran, with a warning", "failed": "failed", "missing": "did not run"}


@dataclass(frozen=True)
class Step:
    """One job of the picture."""

    place: Place
    run: JobRun
    opens: bool
    """Whether it is the first of its stage."""
    before: tuple[Line, ...]
    """Lanes that come from the row above."""
    bar: float
    """Its seconds as a share of the longest job's, in percent."""
    docs: str | None
    """Link to its newest page of Data Docs."""

    @property
    def job(self) -> Job:
        """Return the job."""
        return self.place.job

    @property
    def said(self) -> str:
        """Return the status in words."""
        return _STATUS[self.run.status]

    @property
    def metrics(self) -> dict[str, str]:
        """Return rows, bytes, seconds and peak memory in words; empty where they are not known."""
        row: Mapping[str, Any] = self.run.row or {}
        peak = row.get("peak_mb")
        return {
            "rows": "" if row.get("rows") is None else short(row["rows"]),
            "bytes": size(row.get("bytes")),
            "seconds": seconds(row.get("seconds")),
            "peak": "" if not peak else size(peak * 1e6),
        }

    @property
    def checks(self) -> str:
        """Return how the checks went: "12 passed", "1 of 12 failed"; empty where there were none."""
        broken, all_ = len(self.run.broken), len(self.run.checks)
        return "" if not all_ else f"{broken} of {all_} failed" if broken else f"{all_} passed"

    @property
    def counts(self) -> dict[str, int]:
        """Return what the job counted, without zeros."""
        return {name: number for name, number in (self.run.row or {}).get("counts", {}).items() if number}

    @property
    def command(self) -> str:
        """Return how to run the job again by hand."""
        day = (self.run.row or {}).get("as_of")
        return f"pinlake run {self.job.name}" + (f" --as-of {day} --force" if day else "")


def steps(snapshot: RunSnapshot, docs: Path | None, page: Path) -> list[Step]:
    """Return the rows of the picture.

    Args:
        snapshot: the runs.
        docs: folder of Data Docs, None where there are none that the page may link to.
        page: where the report is written: links are relative to it.
    """
    runs = {run.job.name: run for run in snapshot.runs}
    longest = max((run.row["seconds"] or 0 for run in snapshot.runs if run.row), default=0) or 1
    found: list[Step] = []
    for place in lay_out([run.job for run in snapshot.runs]):
        run = runs[place.job.name]
        found.append(
            Step(
                place=place,
                run=run,
                opens=not found or found[-1].job.stage != place.job.stage,
                before=found[-1].place.below if found else (),
                bar=100 * ((run.row or {}).get("seconds") or 0) / longest,
                docs=_docs_page(docs, run, page),
            )
        )
    return found


def link(target: Path, page: Path) -> str:
    """Return a relative link from the page to a file."""
    return Path(os.path.relpath(target.resolve(), page.resolve().parent)).as_posix()


def summary(snapshot: RunSnapshot) -> str:
    """Return how many jobs ran and how long they took in all."""
    rows = [run.row for run in snapshot.runs if run.row]
    if not rows:
        return ""
    peak = max((row["peak_mb"] or 0 for row in rows), default=0)
    first, last = min(_at(row) for row in rows), max(end(row) for row in rows)
    busy = seconds(sum(row["seconds"] or 0 for row in rows))
    return (
        f"{count(len(rows), 'job')}, {busy} of work from {first:%d %b %H:%M} to "
        f"{last:{'%H:%M' if first.date() == last.date() else '%d %b %H:%M'}} UTC; "
        f"peak memory {size(peak * 1e6)}."
    )


def _at(row: Mapping[str, Any]) -> datetime:
    at: datetime = row["started_at"]
    return at


def _docs_page(docs: Path | None, run: JobRun, page: Path) -> str | None:
    """Return the link to the page of Data Docs that was made while the job ran."""
    suite = run.job.writes or ("generation" if run.job.stage == "publish" else None)
    if docs is None or run.row is None or suite is None or run.row["as_of"] is None:
        return None
    label = f"{run.row['as_of']}-{run.job.sub_partition}" if run.job.sub_partition else str(run.row["as_of"])
    results = docs / "validations" / suite.replace(".", "/", 1) / label
    first, last = (f"{at:%Y%m%dT%H%M%S.%f}Z" for at in (_at(run.row), end(run.row)))
    pages = sorted(p for p in results.glob(f"*/measured-{suite}.html") if first <= p.parent.name <= last)
    return link(pages[-1], page) if pages else None
