"""A session, a lake and a runner for the commands that compute, with a line of progress for every job."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from jobs.cli.app import STATE, out

if TYPE_CHECKING:
    from jobs.plan import Step
    from jobs.runner import Result, Runner


class Progress:
    """Says which job runs, what it is at, and what it came to. On a pipe: one line a job."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._status: Any = None
        self._title = ""

    @contextmanager
    def job(self, title: str) -> Iterator[None]:
        """Show `title` as running."""
        self._title = title
        with self.console.status(f"{title} …") as status:
            self._status = status
            yield
        self._status = None

    def say(self, text: str) -> None:
        """Show what the running job is at."""
        if self._status is not None:
            self._status.update(f"{self._title}: {text}")

    def done(self, number: str, name: str, as_of: date | None, result: "Result") -> None:
        """Show what a job came to."""
        day = f"{as_of}" if as_of else " " * 10
        if result.status == "fresh":
            text = f"[dim]{number} = {name:<26} {day}  nothing changed since its last run[/]"
        else:
            counts = {k: v for k, v in (result.counts or {}).items() if v}
            more = "  " + ", ".join(f"{k} {v:,}" for k, v in counts.items()) if counts else ""
            text = (
                f"{number} [green]✓[/] {name:<26} {day} {result.rows:>10,} rows {result.seconds:>6.1f} s[dim]{more}[/]"
            )
        self.console.print(text, highlight=False, soft_wrap=True)


class Engine:
    """A runner and the progress it reports to."""

    def __init__(self, runner: "Runner", show: Progress) -> None:
        self.runner = runner
        self.show = show

    def steps(self, steps: list["Step"], force: bool = False) -> None:
        """Run steps in order, one line each."""
        for number, step in enumerate(steps, 1):
            with self.show.job(f"{step.job.name} {step.as_of}: {step.job.summary}"):
                result = self.runner.run(step.job, step.as_of, force)
            self.show.done(f"[dim]{number:>2}/{len(steps)}[/]", step.job.name, step.as_of, result)

    def ingest(self) -> None:
        """Run the ingest jobs."""
        from jobs.flow import FLOW

        for job in FLOW:
            if job.stage == "ingest":
                with self.show.job(f"{job.name}: {job.summary}"):
                    result = self.runner.run(job, None)
                self.show.done("  ", job.name, None, result)

    def flow(self, as_of: date | None, force: bool = False) -> date:
        """Ingest, then every job for the cut and for the earlier cuts it reads from; return the cut."""
        from jobs.flow import FLOW
        from jobs.plan import plan

        self.ingest()
        first, cut = self.runner.cut(as_of)
        jobs = [job for job in FLOW if job.stage != "ingest"]
        self.steps(plan(cut, self.runner.settings.ranking.horizon_days, jobs, first), force)
        return cut


@contextmanager
def engine(options: Mapping[str, Any] | None = None) -> Iterator[Engine]:
    """Start Spark, give an engine, and put everything away again."""
    from jobs.lake.delta import Lake
    from jobs.lake.session import start_session
    from jobs.runner import Runner
    from jobs.validate.checks import Validator

    loaded = STATE.loaded
    settings = loaded.settings
    logging.basicConfig(level=settings.platform.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    work = Path(STATE.path(settings.platform.work))
    work.mkdir(parents=True, exist_ok=True)
    validator = Validator(loaded.root / "expectations", settings.validation, work)
    with out.status("Starting Spark …"):
        validator.warm_up()
        session = start_session(settings.platform.spark, work)
    show = Progress(out)
    lake = Lake(session, STATE.path(settings.platform.lake))
    given = {"store": STATE.path(settings.publish.path)} | dict(options or {})
    runner = Runner(lake, settings, validator, given, show.say)
    try:
        yield Engine(runner, show)
    finally:
        runner.records.close()
        session.stop()
