"""Runs many jobs in order: the ingest jobs one by one, the steps of a plan concurrently."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, date, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.common import logs
from jobs.common.errors import PinlakeError, SourceError, TableError, ValidationFailedError
from jobs.common.redaction import know, of_settings
from jobs.engine.attention import Attention, attention
from jobs.engine.progress import Lines, Progress
from jobs.flow import FLOW, JOBS, WRITERS, Step, dependencies, reads
from jobs.settings.load import Loaded, flat, load

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from jobs.engine.context import ActionContext
    from jobs.engine.runner import Result, Runner
    from jobs.schema.job import Job
    from jobs.settings import Settings

_SOURCES = {
    "ingest.cdc": ("ticdc", "dumpling", "resnapshot", "replay"),
    "ingest.kafka": ("kafka",),
    "ingest.images": ("images",),
    "ingest.embeddings": ("model",),
}
"""Ingest job -> options any of which gives it a source."""


def has_source(job: str, options: Mapping[str, Any]) -> bool:
    """Return whether the options give an ingest job a source; True for any other job."""
    return any(options.get(name) for name in _SOURCES.get(job, ())) or job not in _SOURCES


def plan(as_of: date, horizon_days: int, jobs: "Iterable[Job]" = FLOW, first: date | None = None) -> list[Step]:
    """Return the steps that bring `jobs` up to `as_of`, each after all it reads from.

    Args:
        as_of: the as-of date.
        horizon_days: days between `as_of` and the date of an `@horizon` input.
        jobs: jobs to run.
        first: the earliest as-of date with data; steps before it are left out.
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
    order = list(JOBS)
    # ingest serves all dates; then earlier dates first
    ordered = sorted(needed, key=lambda n: (not n[0].startswith("ingest."), n[1], order.index(n[0])))
    return [Step(JOBS[name], day) for name, day in ordered]


class Scheduler:
    """Runs jobs by a runner and reports to a progress."""

    def __init__(self, runner: "Runner", progress: Progress) -> None:
        self.runner = runner
        self.progress = progress

    def steps(self, steps: list[Step], force: bool = False) -> None:
        """Run steps, each after those it reads from, `platform.parallel_jobs` at once."""
        self.runner.history.create_tables()
        at_once = self.runner.settings.platform.parallel_jobs
        graph = TopologicalSorter(dependencies(steps, self.runner.settings.ranking.horizon_days))
        graph.prepare()
        ready: list[Step] = []
        running: dict[Future[Any], Step] = {}
        number = 0
        with ThreadPoolExecutor(at_once, thread_name_prefix="job") as pool:
            while graph.is_active():
                ready = sorted((*ready, *graph.get_ready()), key=steps.index)
                while ready and len(running) < at_once:
                    step = ready.pop(0)
                    running[pool.submit(self._step, step, force)] = step
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    step, number = running.pop(future), number + 1
                    self.progress.done(f"{number:>2}/{len(steps)}", step.job.name, step.as_of, future.result())
                    graph.done(step)

    def _step(self, step: Step, force: bool) -> "Result":
        with self.progress.job(f"{step.job.name} {step.as_of}"):
            return self.runner.run(step.job, step.as_of, force)

    def ingest(self, only: str | None = None) -> Attention:
        """Run the ingest jobs, or one of them; return and show what needs attention.

        Raises:
            PinlakeError: the error of the first job that failed; the others have run.
        """
        found = Attention()
        failed: list[PinlakeError] = []
        for job in FLOW:
            if job.stage != "ingest" or only not in {None, job.name}:
                continue
            try:
                with self.progress.job(job.name):
                    result = self.runner.run(job, None)
            except (SourceError, ValidationFailedError, TableError) as error:  # of this source alone
                failed.append(error)
                continue
            if has_source(job.name, self.runner.options):
                self.progress.done("", job.name, None, result)
            found += attention(result.counts, result.detail) + Attention(notes=result.warnings)
        self.show(found)
        for later in failed[1:]:
            self.progress.warn(str(later))
        if failed:
            raise failed[0]
        return found

    def show(self, found: Attention) -> None:
        """Show what needs attention, blocked tables first."""
        for sentence in (*found.blocked, *found.waiting, *found.notes):
            self.progress.warn(sentence)

    def flow(self, as_of: date | None, force: bool = False) -> date:
        """Ingest, then run every job for `as_of` and for the earlier dates it reads from; return the as-of date."""
        self.ingest()
        first, day = self.runner.resolve_as_of(as_of)
        jobs = [job for job in FLOW if job.stage != "ingest"]
        self.steps(plan(day, self.runner.settings.ranking.horizon_days, jobs, first), force)
        return day

    def unvalidated(self) -> "ActionContext":
        """Return the arguments of an action that validates nothing: for measurements."""
        from jobs.engine.context import ActionContext, Context

        lake, today = self.runner.lake, datetime.now(UTC).date()

        def nothing(*_: Any) -> None:
            return None

        return ActionContext(
            lake.spark, lake, Context(self.runner.settings, today), "measured", nothing, nothing, nothing
        )


def load_settings(env: str | None = None, sets: tuple[str, ...] | list[str] = ()) -> Loaded:
    """Return the settings; their secrets are redacted from messages and logs from now on."""
    loaded = load(env=env, sets=sets)
    know(of_settings(flat(loaded.settings)))
    return loaded


def start_spark(loaded: Loaded) -> "SparkSession":
    """Return the session of the configured platform: started, or the one that runs."""
    from jobs.spark.session import start_session

    work = Path(loaded.path(loaded.settings.platform.work))
    work.mkdir(parents=True, exist_ok=True)
    return start_session(loaded.settings.platform.spark, work)


@contextmanager
def opened(
    loaded: Loaded,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
    settings: "Settings | None" = None,
    root: str | None = None,
    validates: bool = True,
) -> Iterator[Scheduler]:
    """Start Spark, yield a scheduler on the configured lake, and stop Spark.

    Args:
        loaded: the settings.
        progress: receives the progress. [lines on standard output]
        options: options of the actions, such as their sources.
        settings: instead of the loaded ones.
        root: of the lake, instead of platform.lake.
        validates: whether tables will be validated: the libraries for it are then imported while Spark starts.
    """
    from jobs.engine.runner import Runner
    from jobs.lake.delta import Lake
    from jobs.validate.checks import Validator

    settings, progress = settings or loaded.settings, progress or Lines()
    work = loaded.path(settings.platform.work)
    logs.start(Path(work) / "logs", settings.platform.log_level)
    validator = Validator(loaded.root / "expectations", settings, Path(work))
    if validates:
        validator.warm_up()
    session = start_spark(loaded)
    platform = settings.platform
    lake = Lake(session, root or loaded.path(platform.lake), platform.cache_mb, platform.collect_mb)
    paths = {"store": loaded.path(settings.publish.path), "work": work}
    runner = Runner(lake, settings, validator, paths | dict(options or {}), progress.say)
    try:
        yield Scheduler(runner, progress)
    finally:
        session.stop()
