"""A session, a lake and a runner for the commands that compute, with a line of progress for every job."""

from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from jobs.cli.context import STATE, escaped, out
from jobs.common import logs
from jobs.common.errors import PinlakeError, SourceError, TableError, ValidationFailedError
from jobs.common.redaction import redacted
from jobs.engine.attention import Attention, attention

if TYPE_CHECKING:
    from jobs.engine.context import ActionContext
    from jobs.engine.plan import Step
    from jobs.engine.runner import Result, Runner
    from jobs.settings import Settings


class Progress:
    """Says which jobs run, what they are at, and what they came to. On a pipe: one line a job."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._status = console.status("")
        self._running: dict[str, str] = {}
        self._lock = Lock()

    @contextmanager
    def job(self, title: str) -> Iterator[None]:
        """Show `title` as running."""
        self._set(title, "")
        try:
            yield
        finally:
            with self._lock:
                del self._running[title]
                if not self._running:
                    self._status.stop()

    def say(self, text: str) -> None:
        """Show what the running job is at: actions only, which run alone."""
        self._set(next(iter(self._running), ""), text)

    def _set(self, title: str, text: str) -> None:
        with self._lock:
            self._running[title] = text
            shown = [f"{name}: {at}" if at else f"{name} …" for name, at in self._running.items()]
            self._status.update(escaped("   ".join(shown)))
            self._status.start()

    def done(self, number: str, name: str, as_of: date | None, result: "Result") -> None:
        """Show what a job came to."""
        day = f"{as_of}" if as_of else " " * 10
        if result.status == "up_to_date":
            text = f"[dim]{number} = {name:<26} {day}  nothing changed since its last run[/]"
        else:
            counts = {k: v for k, v in (result.counts or {}).items() if v}
            more = "  " + ", ".join(f"{k} {v:,}" for k, v in counts.items()) if counts else ""
            text = (
                f"{number} [green]✓[/] {name:<26} {day} {result.rows:>10,} rows {result.seconds:>6.1f} s[dim]{more}[/]"
            )
        self.console.print(text, highlight=False, soft_wrap=True)

    def say_all(self, found: Attention) -> None:
        """Show what a person must look at, what is blocked first."""
        for sentence in (*found.blocked, *found.waiting, *found.notes):
            self.warn(sentence)

    def warn(self, sentence: str) -> None:
        """Show a sentence that asks for attention."""
        text = Text(f"   ! {redacted(sentence)}", style="yellow")
        self.console.print(text, highlight=False, soft_wrap=True)


_SOURCES = {
    "ingest.cdc": ("ticdc", "dumpling", "resnapshot", "replay"),
    "ingest.kafka": ("kafka",),
    "ingest.images": ("images",),
    "ingest.embeddings": ("model",),
}
"""Job of ingest -> the options any of which asks for it."""


def is_asked(job: str, options: Mapping[str, Any]) -> bool:
    """Return whether a job of ingest has a source to take in."""
    return any(options.get(name) for name in _SOURCES.get(job, ())) or job not in _SOURCES


class Engine:
    """A runner and the progress it reports to."""

    def __init__(self, runner: "Runner", show: Progress) -> None:
        self.runner = runner
        self.show = show

    def steps(self, steps: list["Step"], force: bool = False) -> None:
        """Run steps, each after those it reads from, a few at once; one line each."""
        from jobs.engine.plan import waits_for

        settings = self.runner.settings
        waiting = waits_for(steps, settings.ranking.horizon_days)
        running: dict[Future[Any], Step] = {}
        number = 0
        with ThreadPoolExecutor(settings.platform.parallel_jobs, thread_name_prefix="job") as pool:
            while waiting or running:
                ready = [step for step, needs in waiting.items() if not needs]
                for step in ready[: settings.platform.parallel_jobs - len(running)]:
                    del waiting[step]
                    running[pool.submit(self._step, step, force)] = step
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    step, number = running.pop(future), number + 1
                    self.show.done(f"[dim]{number:>2}/{len(steps)}[/]", step.job.name, step.as_of, future.result())
                    for needs in waiting.values():
                        needs.discard(step)

    def _step(self, step: "Step", force: bool) -> "Result":
        with self.show.job(f"{step.job.name} {step.as_of}"):
            return self.runner.run(step.job, step.as_of, force)

    def ingest(self, only: str | None = None) -> Attention:
        """Run the ingest jobs, or one of them, and say what a person must look at; return it.

        Raises:
            PinlakeError: what the first job raised that failed: the others have run.
        """
        from jobs.flow import FLOW

        found = Attention()
        failed: list[PinlakeError] = []
        for job in FLOW:
            if job.stage != "ingest" or only not in {None, job.name}:
                continue
            try:
                with self.show.job(job.name):
                    result = self.runner.run(job, None)
            except (SourceError, ValidationFailedError, TableError) as error:  # of this source alone
                failed.append(error)
                continue
            if is_asked(job.name, self.runner.options):
                self.show.done("  ", job.name, None, result)
            found += attention(result.counts, result.detail) + Attention(notes=result.warnings)
        self.show.say_all(found)
        for later in failed[1:]:
            self.show.warn(str(later))
        if failed:
            raise failed[0]
        return found

    def work(self) -> "ActionContext":
        """Return what an action gets, without checks: for measurements."""
        from datetime import UTC, datetime

        from jobs.engine.context import ActionContext, Context

        lake, today = self.runner.lake, datetime.now(UTC).date()

        def nothing(*_: Any) -> None:
            return None

        return ActionContext(
            lake.spark, lake, Context(self.runner.settings, today), "measured", nothing, nothing, nothing
        )

    def flow(self, as_of: date | None, force: bool = False) -> date:
        """Ingest, then every job for the cut and for the earlier cuts it reads from; return the cut."""
        from jobs.engine.plan import plan
        from jobs.flow import FLOW

        self.ingest()
        first, cut = self.runner.resolve_as_of(as_of)
        jobs = [job for job in FLOW if job.stage != "ingest"]
        self.steps(plan(cut, self.runner.settings.ranking.horizon_days, jobs, first), force)
        return cut


def start_spark() -> Any:
    """Return the session of the configured platform: started, or the one that runs."""
    from jobs.spark.session import start_session

    settings = STATE.loaded.settings
    work = Path(STATE.path(settings.platform.work))
    work.mkdir(parents=True, exist_ok=True)
    return start_session(settings.platform.spark, work)


@contextmanager
def engine(
    options: Mapping[str, Any] | None = None,
    settings: "Settings | None" = None,
    root: str | None = None,
    judges: bool = True,
) -> Iterator[Engine]:
    """Start Spark, give an engine, and put everything away again.

    Args:
        options: what actions need to know of the command line.
        settings: instead of those of conf/.
        root: of the lake, instead of platform.lake.
        judges: whether tables will be judged: what that needs is then imported while Spark starts.
    """
    from jobs.engine.runner import Runner
    from jobs.lake.delta import Lake
    from jobs.validate.checks import Validator

    loaded = STATE.loaded
    settings = settings or loaded.settings
    logs.start(Path(STATE.path(settings.platform.work)) / "logs", settings.platform.log_level)
    validator = Validator(loaded.root / "expectations", settings, Path(STATE.path(settings.platform.work)))
    with out.status("Starting Spark …"):
        if judges:
            validator.warm_up()
        session = start_spark()
    show = Progress(out)
    platform = settings.platform
    lake = Lake(session, root or STATE.path(platform.lake), platform.cache_mb, platform.collect_mb)
    given = {"store": STATE.path(settings.publish.path), "work": STATE.path(settings.platform.work)} | dict(
        options or {}
    )
    runner = Runner(lake, settings, validator, given, show.say)
    try:
        yield Engine(runner, show)
    finally:
        session.stop()
