"""Everything around a job: pin its inputs, call it, measure, judge, commit once, write one row to ops.runs.

Kill it anywhere and run it again: the tables are as if it had run once. A job whose inputs, settings and code are those
of its last good run is not run again.
"""

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common import logs
from jobs.common.errors import ConfigError, PinlakeError
from jobs.common.redaction import redacted
from jobs.engine.context import ActionContext, ActionResult, Context
from jobs.engine.input_resolver import InputResolver
from jobs.engine.peak_memory import PeakMemory
from jobs.engine.plan import Read
from jobs.engine.run_history import RunHistory, day_of
from jobs.lake.delta import Lake
from jobs.lake.scratch import Scratch
from jobs.lake.table_frames import conform
from jobs.lake.transaction_log import Commit
from jobs.schema.job import Job
from jobs.schema.tables import table
from jobs.settings import Settings
from jobs.settings.load import fingerprint
from jobs.validate.checks import Validator

log = logging.getLogger(__name__)

NO_AS_OF = date(1970, 1, 1)
"""What ingest works for: it takes in all there is, whatever the cut."""


@dataclass(frozen=True)
class Result:
    """What one run came to."""

    status: str
    """ok, or up_to_date: nothing has changed since the last good run."""
    rows: int = 0
    seconds: float = 0.0
    counts: Mapping[str, int] | None = None
    detail: Any = None
    warnings: tuple[str, ...] = ()
    """Expectations of severity warning that failed."""


class Runner:
    """Runs jobs on one lake."""

    def __init__(
        self,
        lake: Lake,
        settings: Settings,
        validator: Validator,
        options: Mapping[str, Any] | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.lake = lake
        self.settings = settings
        self.validator = validator
        self.options = dict(options or {})
        self.progress = progress
        self.history = RunHistory(lake)
        self._inputs = InputResolver(lake, self.history, settings)
        self._warnings: dict[str, list[str]] = {}
        """By run: tables are judged side by side."""

    def run(self, job: Job, as_of: date | None, force: bool = False) -> Result:
        """Run one job for one cut (None: ingest, which has none), or find that its last good run still holds.

        Raises:
            PinlakeError: whatever went wrong, after a row in ops.runs says so.
        """
        context = Context(self.settings, as_of or NO_AS_OF)
        inputs = self._inputs.pin(job, context.as_of)
        mark = {"config_hash": fingerprint(self.settings, job.config_sections), "code_hash": code_hash()}
        last = self.history.last(job.name, as_of) if as_of else None
        unchanged = False
        if not force and last is not None:
            settled = self._inputs.settled(job, context.as_of, dict(last["inputs"] or {}), inputs)
            unchanged = _same(last, mark, settled)
            if job.writes and unchanged:
                return Result("up_to_date", rows=int(last["rows"] or 0))
        run_id = f"{job.name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:4]}"
        row: dict[str, Any] = {"run_id": run_id, "job": job.name, "as_of": as_of, "inputs": inputs, **mark}
        row |= {"started_at": datetime.now(UTC), "output": job.writes, "status": "failed"}
        started, peak = time.monotonic(), PeakMemory()
        try:
            with logs.about(run_id, job.name, as_of), self._alone(job, as_of), peak:
                log.info("run started: inputs %s", inputs)
                if job.writes is None:
                    done = self._act(job, context, run_id, unchanged)
                else:
                    done = self._make(
                        job, context, run_id, self._scratch(job, context, mark | {"inputs": inputs}, force)
                    )
            row |= done | {"status": "ok"}
        except BaseException as error:  # a run that a person stopped is remembered too
            row["error"] = _first_line(error)
            with suppress(PinlakeError):  # a full disk takes no row either: what went wrong first is what to say
                self._remember(row, started, peak)
            raise
        seconds = self._remember(row, started, peak)
        warnings = tuple(self._warnings.pop(run_id, ()))
        return Result("ok", row["rows"], seconds, row.get("counts"), row.get("detail"), warnings)

    def _alone(self, job: Job, as_of: date | None) -> AbstractContextManager[None]:
        """Let one process at a time make a job's cut; ingest jobs share their memory, so one of them at a time."""
        what = "ingest" if job.stage == "ingest" else f"{job.name}.{as_of}"
        said = f"{job.name} for {as_of}" if as_of else "An ingest job"
        where = job.writes or "the same tables"
        return self.lake.lease(
            what,
            f"{said} is being run by another process, which writes {where}; this run changed nothing. Wait until it is "
            "done (`pinlake runs`), then run again: what has not changed is not done anew.",
        )

    def _scratch(self, job: Job, context: Context, mark: Mapping[str, Any], force: bool) -> Scratch:
        """Return where the job finds what a killed run of the same inputs, settings and code has done."""
        digest = hashlib.sha256(json.dumps(mark, sort_keys=True).encode()).hexdigest()[:16]
        scratch = Scratch(self.lake.spark, self.lake.root, job.name, str(context.as_of), digest)
        if force:
            scratch.clear()
        scratch.keep_only_this()
        return scratch

    def _remember(self, row: dict[str, Any], started: float, peak: PeakMemory) -> float:
        """Write the run's row; return how many seconds the run took."""
        seconds = time.monotonic() - started
        row |= {"seconds": round(seconds, 3), "peak_mb": round(peak.megabytes, 1)}
        with logs.about(row["run_id"], row["job"], row["as_of"]):
            said = row.get("error") or f"{row.get('rows') or 0} rows, version {row.get('output_version')}"
            log.log(logging.INFO if row["status"] == "ok" else logging.ERROR, "run %s: %s", row["status"], said)
        self.history.add_run({key: value for key, value in row.items() if key != "detail"})
        return seconds

    def resolve_as_of(self, as_of: date | None) -> tuple[date, date]:
        """Return (first, as_of): the earliest cut there is data for, and the one asked for or the latest possible.

        Raises:
            ConfigError: the cut lies before the data or after the checkpoint.
        """
        start, end = self.history.checkpoint()
        # the snapshot's rows are committed at `start`, so its own midnight does not see them yet
        latest, first = day_of(end), day_of(start) + timedelta(days=1)
        chosen = as_of or latest
        if chosen > latest or chosen < first:
            raise ConfigError(
                f"--as-of {chosen}: the lake can tell the state from {first} to {latest} (the ingested checkpoint). "
                "Choose a day between, or ingest more."
            )
        return first, chosen

    def _make(self, job: Job, context: Context, run_id: str, scratch: Scratch) -> dict[str, Any]:
        known = table(str(job.writes))
        made = _function(job)(self._inputs.tables(job, context), replace(context, scratch=scratch))
        partition: dict[str, Any] = {"as_of": context.as_of}
        if job.sub_partition is not None:
            partition[str(known.sub_partition)] = job.sub_partition
        made = made.withColumns({name: F.lit(value) for name, value in partition.items()})
        # measured and written from one computation; cutting the plan here spares planning it again for each
        frame = conform(made, known).localCheckpoint()
        label = f"{context.as_of}-{job.sub_partition}" if job.sub_partition else str(context.as_of)
        self._check(known.name, frame, run_id, context.as_of, label)
        note = {"run_id": run_id, "job": job.name, "inputs": self._inputs.pin(job, context.as_of)}
        commit = self.lake.replace(known.name, frame, partition, note)
        self._inputs.keep(job, context.as_of, frame, commit)
        scratch.clear()
        return _written(commit)

    def _act(self, job: Job, context: Context, run_id: str, unchanged: bool) -> dict[str, Any]:
        label = job.name if context.as_of == NO_AS_OF else str(context.as_of)

        def validate(suite: str, numbers: Mapping[str, float | None]) -> None:
            report = self.validator.check_numbers(suite, numbers, label)
            self._warnings.setdefault(run_id, []).extend(f"{suite}: {check}" for check in report.warnings)
            self.history.add_checks(run_id, context.as_of, report.rows())
            report.raise_if_critical()

        work = ActionContext(
            spark=self.lake.spark,
            lake=self.lake,
            context=context,
            run_id=run_id,
            progress=self.progress,
            validate=validate,
            validate_table=lambda name, df: self._check(name, df, run_id, context.as_of, label),
            options=self.options,
            unchanged=unchanged,
            made=lambda name: self._inputs.made(Read(name, name, context.as_of)),
        )
        outcome: ActionResult = _function(job)(work)
        self._inputs.forget()
        return {
            "rows": outcome.rows,
            "counts": dict(outcome.counts),
            "output": outcome.output,
            "output_version": outcome.version,
            "detail": outcome.detail,
        }

    def _check(self, name: str, df: DataFrame, run_id: str, as_of: date, label: str) -> None:
        report = self.validator.check(name, df, label)
        if report is not None:
            self._warnings.setdefault(run_id, []).extend(f"{name}: {check}" for check in report.warnings)
            self.history.add_checks(run_id, as_of, report.rows())
            report.raise_if_critical()


def _same(last: Mapping[str, Any], mark: Mapping[str, str], inputs: Mapping[str, int]) -> bool:
    return dict(last["inputs"] or {}) == dict(inputs) and all(last[key] == value for key, value in mark.items())


def _written(commit: Commit) -> dict[str, Any]:
    return {"rows": commit.rows, "bytes": commit.bytes, "output_version": commit.version, "counts": {}}


def _function(job: Job) -> Callable[..., Any]:
    module, _, name = job.function.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def _first_line(error: BaseException) -> str:
    kind = "" if isinstance(error, PinlakeError) else f"{type(error).__name__}: "
    return redacted((kind + str(error).strip().split("\n", 1)[0])[:500])


@cache
def code_hash() -> str:
    """Return a digest of the package's sources: other code, other runs."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for file in sorted(root.rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
