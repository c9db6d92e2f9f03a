"""Runs one job: pins its inputs, calls it, measures, validates, commits once, writes one row to ops.runs.

A killed run can be repeated: the tables are then as if it had run once. A job is not run again while its inputs, its
code and the settings that its last successful run read are the same (docs/adr/0049).
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
from importlib import import_module
from typing import Any, cast

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common import logs
from jobs.common.errors import ConfigError, PinlakeError
from jobs.common.redaction import redacted
from jobs.engine.code_closure import job_digest
from jobs.engine.context import ActionContext, ActionResult, Context
from jobs.engine.input_resolver import InputResolver
from jobs.engine.peak_memory import PeakMemory
from jobs.engine.recorded_settings import RecordedSettings, all_values, digest_of, setting_values
from jobs.engine.run_history import RunHistory, day_of
from jobs.lake.delta import Lake
from jobs.lake.scratch import Scratch
from jobs.lake.table_frames import conform
from jobs.lake.transaction_log import Commit
from jobs.schema.job import Job
from jobs.schema.tables import table
from jobs.settings import Settings
from jobs.validate.checks import Validator

log = logging.getLogger(__name__)

NO_AS_OF = date(1970, 1, 1)
"""As-of date of a job that has none: ingest loads all that its sources have."""


@dataclass(frozen=True)
class Result:
    """Outcome of one run."""

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
        """By run: tables are validated concurrently."""
        self._code: dict[Job, str] = {}

    def run(self, job: Job, as_of: date | None, force: bool = False) -> Result:
        """Run one job for one as-of date (None for ingest), unless its last successful run is up to date.

        Raises:
            PinlakeError: the run failed; ops.runs has a row with the error.
        """
        context = Context(self.settings, as_of or NO_AS_OF)
        inputs = self._inputs.pin(job, context.as_of)
        last = self.history.last(job.name, as_of) if as_of and not force else None
        unchanged = last is not None and self._up_to_date(job, context.as_of, last, inputs)
        if last is not None and unchanged and job.writes:
            return Result("up_to_date", rows=int(last["rows"] or 0))
        run_id = f"{job.name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:4]}"
        row: dict[str, Any] = {"run_id": run_id, "job": job.name, "as_of": as_of, "inputs": inputs}
        row |= {"code_hash": self._code_hash(job), "config_hash": digest_of(all_values(self.settings))}
        row |= {"started_at": datetime.now(UTC), "output": job.writes, "status": "failed"}
        started, peak = time.monotonic(), PeakMemory()
        try:
            with logs.about(run_id, job.name, as_of), self._alone(job, as_of), peak:
                log.info("run started: inputs %s", inputs)
                if job.writes is None:
                    done = self._act(job, context, run_id, inputs, unchanged)
                else:
                    done = self._make(job, context, run_id, self._scratch(job, context, row, force))
            row |= done | {"status": "ok"}
        except BaseException as error:  # an interrupted run is recorded too
            row["error"] = _first_line(error)
            with suppress(PinlakeError):  # on a full disk the row cannot be written either: raise the first error
                self._record(row, started, peak)
            raise
        seconds = self._record(row, started, peak)
        warnings = tuple(self._warnings.pop(run_id, ()))
        return Result("ok", row["rows"], seconds, row.get("counts"), row.get("detail"), warnings)

    def _up_to_date(self, job: Job, as_of: date, last: Mapping[str, Any], inputs: Mapping[str, int]) -> bool:
        """Return whether a run now would repeat `last`: same code, same inputs, same values of the settings it read."""
        if last["code_hash"] != self._code_hash(job):
            return False
        recorded = dict(last.get("settings") or {})
        if recorded != setting_values(self.settings, recorded):
            return False
        if job.writes is None and last["config_hash"] != digest_of(all_values(self.settings)):  # none are recorded
            return False
        pinned = dict(last["inputs"] or {})
        return pinned == dict(self._inputs.settled(job, as_of, pinned, inputs))

    def _code_hash(self, job: Job) -> str:
        """Return the digest of a job's code and of the suite that validates its table."""
        if job not in self._code:
            suite = self.validator.digest(job.writes) if job.writes else ""
            self._code[job] = hashlib.sha256(f"{job_digest(job)}{suite}".encode()).hexdigest()[:16]
        return self._code[job]

    def _alone(self, job: Job, as_of: date | None) -> AbstractContextManager[None]:
        """Let one process at a time run a job for an as-of date; ingest jobs share ops tables: one at a time."""
        what = "ingest" if job.stage == "ingest" else f"{job.name}.{as_of}"
        running = f"{job.name} for {as_of}" if as_of else "An ingest job"
        where = job.writes or "the same tables"
        return self.lake.lease(
            what,
            f"{running} is being run by another process, which writes {where}; this run changed nothing. Wait until it "
            "has ended (`pinlake runs`), then run again: jobs that are up to date are skipped.",
        )

    def _scratch(self, job: Job, context: Context, row: Mapping[str, Any], force: bool) -> Scratch:
        """Return the folder with the finished units of a killed run with the same inputs, settings and code."""
        same = {key: row[key] for key in ("inputs", "code_hash", "config_hash")}
        digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]
        scratch = Scratch(self.lake.spark, self.lake.root, job.name, str(context.as_of), digest)
        if force:
            scratch.clear()
        scratch.keep_only_this()
        return scratch

    def _record(self, row: dict[str, Any], started: float, peak: PeakMemory) -> float:
        """Write the run's row to ops.runs; return how many seconds the run took."""
        seconds = time.monotonic() - started
        row |= {"seconds": round(seconds, 3), "peak_mb": round(peak.megabytes, 1)}
        with logs.about(row["run_id"], row["job"], row["as_of"]):
            text = row.get("error") or f"{row.get('rows') or 0} rows, version {row.get('output_version')}"
            log.log(logging.INFO if row["status"] == "ok" else logging.ERROR, "run %s: %s", row["status"], text)
        self.history.add_run({key: value for key, value in row.items() if key != "detail"})
        return seconds

    def resolve_as_of(self, as_of: date | None) -> tuple[date, date]:
        """Return (first, as_of): the earliest as-of date with data, and `as_of` or else the newest complete day.

        Raises:
            ConfigError: `as_of` lies before the data or after the checkpoint.
        """
        start, end = self.history.checkpoint()
        # the snapshot's rows are committed at `start`, so its own midnight does not see them yet
        latest, first = day_of(end), day_of(start) + timedelta(days=1)
        chosen = as_of or latest
        if chosen > latest or chosen < first:
            raise ConfigError(
                f"--as-of {chosen}: the lake has the state from {first} to {latest} (the ingested checkpoint). "
                "Choose a day between, or ingest more."
            )
        return first, chosen

    def _make(self, job: Job, context: Context, run_id: str, scratch: Scratch) -> dict[str, Any]:
        known = table(str(job.writes))
        read: set[str] = set()
        settings = cast("Settings", RecordedSettings(self.settings, read))
        tables = self._inputs.tables(job, context.as_of, settings)
        made = _function(job)(tables, replace(context, settings=settings, scratch=scratch))
        partition: dict[str, Any] = {"as_of": context.as_of}
        if job.sub_partition is not None:
            partition[str(known.sub_partition)] = job.sub_partition
        made = made.withColumns({name: F.lit(value) for name, value in partition.items()})
        # measured and written from one computation; the checkpoint saves planning it twice
        frame = conform(made, known).localCheckpoint()
        label = f"{context.as_of}-{job.sub_partition}" if job.sub_partition else str(context.as_of)
        self._check(known.name, frame, run_id, context.as_of, label)
        note = {"run_id": run_id, "job": job.name, "inputs": self._inputs.pin(job, context.as_of)}
        commit = self.lake.replace(known.name, frame, partition, note)
        self._inputs.add_output(job, context.as_of, frame, commit)
        scratch.clear()
        values = setting_values(self.settings, (key for key in read if not key.startswith("platform.")))
        return _written(commit) | {"settings": values, "config_hash": digest_of(values)}

    def _act(
        self, job: Job, context: Context, run_id: str, inputs: Mapping[str, int], unchanged: bool
    ) -> dict[str, Any]:
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
            tables=lambda: self._inputs.tables(job, context.as_of, self.settings),
            inputs=inputs,
            unchanged=unchanged,
        )
        result: ActionResult = _function(job)(work)
        self._inputs.refresh_versions()
        return {
            "rows": result.rows,
            "counts": dict(result.counts),
            "output": result.output,
            "output_version": result.version,
            "detail": result.detail,
        }

    def _check(self, name: str, df: DataFrame, run_id: str, as_of: date, label: str) -> None:
        report = self.validator.check(name, df, label)
        if report is not None:
            self._warnings.setdefault(run_id, []).extend(f"{name}: {check}" for check in report.warnings)
            self.history.add_checks(run_id, as_of, report.rows())
            report.raise_if_critical()


def _written(commit: Commit) -> dict[str, Any]:
    return {"rows": commit.rows, "bytes": commit.bytes, "output_version": commit.version, "counts": {}}


def _function(job: Job) -> Callable[..., Any]:
    module, _, name = job.function.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def _first_line(error: BaseException) -> str:
    kind = "" if isinstance(error, PinlakeError) else f"{type(error).__name__}: "
    return redacted((kind + str(error).strip().split("\n", 1)[0])[:500])
