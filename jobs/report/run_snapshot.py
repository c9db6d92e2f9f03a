"""Selects the runs of a report: those of one as-of, at one point in time.

RUN may be a day: the newest runs of that as-of. It may be a run's id: that run and the others until the same job ran
for the as-of again, so that a failure fixed since can still be examined. Without RUN: the newest as-of with a
published generation, else the newest that was tried.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from jobs.common.errors import ConfigError, TableError
from jobs.flow import FLOW
from jobs.lake.query import Rows, Tables
from jobs.schema.job import Job

_ORDER = {"critical": 0, "warning": 1, "info": 2}
_RECENT = 12
"""Runs that the message about an unknown one lists."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class JobRun:
    """A job of the flow and its run; `row` is None where it has not run."""

    job: Job
    row: Row | None
    checks: tuple[Row, ...] = ()
    """Of ops.checks: what failed first, the worst first."""

    @property
    def status(self) -> str:
        """Return ok, warned (good, but an expectation did not hold), failed or missing."""
        if self.row is None:
            return "missing"
        if self.row["status"] != "ok":
            return "failed"
        return "warned" if self.broken else "ok"

    @property
    def broken(self) -> tuple[Row, ...]:
        """Return the checks that did not hold."""
        return tuple(check for check in self.checks if not check["success"])


@dataclass(frozen=True)
class Generation:
    """What became of one generation, from ops.generations."""

    name: str
    as_of: date | None
    status: str
    at: datetime
    manifest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunSnapshot:
    """The runs and generations of one report."""

    as_of: date | None
    """None for a run of ingest that no as-of has used."""
    until: datetime | None
    """Rows after it are left out; None: the current state."""
    runs: tuple[JobRun, ...]
    """One a job, in the order of the flow."""
    generation: Generation | None = None
    """Made for the as-of: served or refused."""
    served: Generation | None = None
    """The served generation, of any as-of."""
    later: Row | None = None
    """A run that failed since and is not in this report."""
    run_id: str | None = None
    """The run that was asked for."""

    def run(self, job: str) -> JobRun | None:
        """Return the run of a job, None if the flow has no such job."""
        return next((run for run in self.runs if run.job.name == job), None)

    @property
    def failed(self) -> tuple[JobRun, ...]:
        """Return the runs that failed, the first to fail first."""
        return tuple(sorted((r for r in self.runs if r.status == "failed"), key=lambda r: _start(r.row or {})))

    def version(self, *jobs: str) -> int | None:
        """Return the newest Delta version that these jobs committed for the as-of, None if they have not."""
        rows = [run.row for run in self.runs if run.job.name in jobs and run.row and run.row["status"] == "ok"]
        return max((row["output_version"] for row in rows if row["output_version"] is not None), default=None)


def find(tables: Tables, wanted: str | None = None, current: str | None = None) -> RunSnapshot:
    """Return the runs and generations to report on.

    Args:
        tables: of the lake.
        wanted: a day (YYYY-MM-DD), a run's id, or None.
        current: generation that the store's pointer names now; a rollback reaches ops.generations only later.

    Raises:
        TableError: nothing has ever run on the lake.
        ConfigError: there is no such run, and no run for such a day; the message lists the recent ones.
    """
    runs = sorted(_plain(tables.ask("select * from runs", {"ops.runs": None})), key=_start)
    if not runs:
        raise TableError(f"Nothing has run on the lake in {tables.root}: run `pinlake flow` first.")
    events = [_generation(row) for row in tables.ask("select * from generations", {"ops.generations": None})]
    events.sort(key=lambda event: event.at)
    as_of, until, asked = _choose(runs, events, wanted)
    chosen = _runs_of(runs, as_of, until, asked)
    checks = _checks(tables, [row["run_id"] for row in chosen.values()])
    known = [event for event in events if until is None or event.at <= until]
    served = [event for event in known if event.status == "served"]
    if current and until is None:
        served = [event for event in served if event.name == current] or [
            Generation(current, None, "served", datetime.now(UTC))  # loaded from another lake
        ]
    return RunSnapshot(
        as_of=as_of,
        until=until,
        runs=tuple(
            JobRun(job, row, tuple(checks.get(row["run_id"], ())) if row else ())
            for job, row in ((job, chosen.get(job.name)) for job in FLOW)
        ),
        generation=next((e for e in reversed(known) if as_of and e.as_of == as_of and e.status in _FATES), None),
        served=served[-1] if served else None,
        later=_failed_since(runs, chosen.values()) if until is None else None,
        run_id=asked["run_id"] if asked else None,
    )


_FATES = ("served", "refused")


def _choose(
    runs: Rows, events: list[Generation], wanted: str | None
) -> tuple[date | None, datetime | None, Row | None]:
    """Return as-of, time (None: now) and the requested run."""
    if wanted is None:
        served = [event.as_of for event in events if event.status == "served" and event.as_of]
        tried = [row["as_of"] for row in runs if row["as_of"]]
        return max(served or tried, default=None), None, None
    asked = next((row for row in runs if row["run_id"] == wanted), None)
    if asked is not None:
        again = [r for r in runs if _same_work(r, asked) and _start(r) > _start(asked)]
        return asked["as_of"], _start(again[0]) if again else None, asked
    day = _day(wanted)
    if day is None or all(row["as_of"] != day for row in runs):
        recent = [f"{row['run_id']} ({row['as_of'] or 'ingest'}, {row['status']})" for row in runs[-_RECENT:]]
        days = sorted({str(row["as_of"]) for row in runs if row["as_of"]})[-_RECENT:]
        raise ConfigError(
            f"RUN must be a day with runs, or the id of a run, got {wanted!r}. Days: {', '.join(days) or 'none'}. "
            f"Newest runs: {', '.join(reversed(recent))}. `pinlake runs` lists more."
        )
    return day, None, None


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        return None


def _runs_of(runs: Rows, as_of: date | None, until: datetime | None, asked: Row | None) -> dict[str, Row]:
    """Return the run of each job that counts: the newest of the as-of, and the ingest before the last of them."""
    visible = [row for row in runs if until is None or _start(row) < until]
    chosen: dict[str, Row] = {row["job"]: row for row in visible if as_of and row["as_of"] == as_of}
    last = max((_start(row) for row in chosen.values()), default=None)
    for name in sorted({row["job"] for row in visible if row["as_of"] is None}):
        chosen[name] = _effective([r for r in visible if r["job"] == name and (last is None or _start(r) <= last)])
    for name, row in list(chosen.items()):
        if row and row["as_of"] is not None and _idle(row):
            chosen[name] = _effective([r for r in visible if r["job"] == name and r["as_of"] == as_of])
    if asked is not None:
        chosen[asked["job"]] = asked
    return {name: row for name, row in chosen.items() if row}


def _effective(rows: Rows) -> Row:
    """Return the newest run; where it found nothing new to do, the last good one before it that did something."""
    if not rows:
        return {}
    worked = [row for row in rows if row["status"] == "ok" and not _idle(row)]
    return worked[-1] if _idle(rows[-1]) and worked else rows[-1]


def _idle(row: Row) -> bool:
    """Return whether an action found nothing to do: ingest read no new file, publish found its lists served."""
    counts = row["counts"]
    return row["status"] == "ok" and (counts.get("files") == 0 or counts.get("loaded") == 0)


def _checks(tables: Tables, run_ids: Iterable[str]) -> dict[str, Rows]:
    """Return the checks of each run, what failed first; some twenty a run."""
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in run_ids)
    found: dict[str, Rows] = {}
    for row in tables.ask(f"select * from checks where run_id in ({quoted})", {"ops.checks": None}):  # noqa: S608
        found.setdefault(row["run_id"], []).append(row)
    for rows in found.values():
        rows.sort(key=lambda r: (r["success"], _ORDER.get(r["severity"], 3), r["suite"], r["column"] or ""))
    return found


def _failed_since(runs: Rows, chosen: Iterable[Row]) -> Row | None:
    last = max((_start(row) for row in chosen), default=None)
    since = [row for row in runs if last is not None and _start(row) > last and row["status"] != "ok"]
    mended = {(row["job"], row["as_of"]): _start(row) for row in runs if row["status"] == "ok"}
    open_ = [r for r in since if mended.get((r["job"], r["as_of"]), _start(r)) <= _start(r)]
    return open_[-1] if open_ else None


def _same_work(row: Row, other: Row) -> bool:
    return bool(row["job"] == other["job"] and row["as_of"] == other["as_of"])


def _plain(rows: Rows) -> Rows:
    """Return rows of ops.runs with their maps as dicts; the table has a row a run, some twenty a day."""
    return [r | {"counts": dict(r["counts"] or []), "inputs": dict(r["inputs"] or [])} for r in rows]


def _generation(row: Row) -> Generation:
    manifest = json.loads(row["manifest"]) if row["manifest"] else {}
    return Generation(row["generation"], row["as_of"], row["status"], _utc(row["at"]), manifest)


def _start(row: Row) -> datetime:
    return _utc(row["started_at"])


def end(row: Row) -> datetime:
    """Return when a run ended, UTC."""
    return _start(row) + timedelta(seconds=row["seconds"] or 0)


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
