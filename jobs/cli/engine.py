"""The engine as commands use it: on the settings of the command line, with progress on the screen."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from threading import Lock
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from jobs.cli.context import cli, escaped, out
from jobs.common.redaction import redacted
from jobs.engine.progress import nonzero
from jobs.engine.scheduler import Scheduler, opened

if TYPE_CHECKING:
    from jobs.engine.runner import Result
    from jobs.settings import Settings


class ScreenProgress:
    """Shows the running jobs in one line that changes, and prints a line for each result."""

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
        """Show the state of the running action; actions run alone."""
        self._set(next(iter(self._running), ""), text)

    def _set(self, title: str, text: str) -> None:
        with self._lock:
            self._running[title] = text
            titles = [f"{name}: {state}" if state else f"{name} …" for name, state in self._running.items()]
            self._status.update(escaped("   ".join(titles)))
            self._status.start()

    def done(self, position: str, name: str, as_of: date | None, result: "Result") -> None:
        """Print the result of a job."""
        day = f"{as_of}" if as_of else " " * 10
        number = f"[dim]{position:>5}[/]" if position else "  "
        if result.status == "up_to_date":
            text = f"[dim]{number} = {name:<26} {day}  up to date[/]"
        else:
            counts = nonzero(result.counts)
            more = f"[dim]  {counts}[/]" if counts else ""
            text = f"{number} [green]✓[/] {name:<26} {day} {result.rows:>10,} rows {result.seconds:>6.1f} s{more}"
        self.console.print(text, highlight=False, soft_wrap=True)

    def warn(self, sentence: str) -> None:
        """Print a sentence that asks for attention."""
        text = Text(f"   ! {redacted(sentence)}", style="yellow")
        self.console.print(text, highlight=False, soft_wrap=True)


@contextmanager
def engine(
    options: Mapping[str, Any] | None = None,
    settings: "Settings | None" = None,
    root: str | None = None,
    validates: bool = True,
) -> Iterator[Scheduler]:
    """Start Spark and yield a scheduler; arguments as of `jobs.engine.scheduler.opened`."""
    with opened(cli.loaded, ScreenProgress(out), options, settings, root, validates) as on:
        yield on
