"""The application: global options, errors to exit codes, and the list of commands."""

import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from jobs.cli.grid import write_json
from jobs.errors import PlatformError
from jobs.redaction import know, of_settings, redacted

HELP = """From TiDB change logs and Kafka archives to published home feeds and related pins.

Exit codes: 0 done · 1 unexpected · 2 usage or configuration · 3 source input · 4 something missing on the machine ·
5 a critical check failed, nothing committed · 6 the gate refused · 7 the online store · 8 another run won · 9 a table ·
10 ingest holds a table or topic back, the others are taken in · 11 nearest neighbours written, recall missed.
"""

app = typer.Typer(
    name="pinlake", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich"
)


@dataclass
class State:
    """What the global options said."""

    env: str | None = None
    lake: str | None = None
    sets: list[str] = field(default_factory=list)
    debug: bool = False
    _loaded: Any = None

    @property
    def loaded(self) -> Any:
        """Return the settings, read on first use."""
        if self._loaded is None:
            from jobs.settings import flat, load

            sets = [*self.sets, *([f"platform.lake={self.lake}"] if self.lake else [])]
            self._loaded = load(env=self.env, sets=sets)
            know(of_settings(flat(self._loaded.settings)))
        return self._loaded

    def also(self, sets: Iterable[str]) -> None:
        """Take further settings, as --set takes them: the same bounds hold."""
        self.sets, self._loaded = [*self.sets, *sets], None

    def path(self, value: str) -> str:
        """Return a configured folder, absolute."""
        return str(self.loaded.path(value))


class Screen(Console):
    """Standard output; whoever reads it may stop, as `head` does."""

    def on_broken_pipe(self) -> None:
        """End without a word."""
        self.quiet = True
        reader_left()


STATE = State()
out = Screen()
err = Console(stderr=True)
PIPE_CLOSED = 141
"""Exit code of a command whose output nobody reads any more, as a shell gives it: 128 and the number of SIGPIPE."""


@app.callback()
def options(
    env: Annotated[str | None, typer.Option(help="Environment: a folder of conf/.", envvar="PINLAKE_ENV")] = None,
    lake: Annotated[str | None, typer.Option(help="Root of the Delta tables, path or URI.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting for this call, such as ranking.feed_length=50; may be given again."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")] = False,
) -> None:
    """Options before the command hold for every command; they may stand behind it too."""
    STATE.env, STATE.lake, STATE.sets, STATE.debug = env, lake, list(set_ or []), debug


def print_json(value: Any) -> None:
    """Write a value for a program to read."""
    write_json(value)


def main() -> None:
    """Run the command line; expected failures become one sentence and an exit code."""
    import jobs.cli.bench
    import jobs.cli.bench_visual
    import jobs.cli.duplicates
    import jobs.cli.embed
    import jobs.cli.export
    import jobs.cli.ingest
    import jobs.cli.look
    import jobs.cli.neighbours
    import jobs.cli.quarantine
    import jobs.cli.reconcile
    import jobs.cli.report
    import jobs.cli.similar
    import jobs.cli.why
    import jobs.cli.work  # noqa: F401 - registers the commands
    from jobs.cli.commands import prepared

    began = _place()
    try:
        prepared(app)()
    except SystemExit as end:
        end_quietly(began, end.code)
        raise
    except PlatformError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("Stopped. Run it again: what was committed stays, the rest is done anew.", 130)
    except OSError as error:
        if error.errno != 28:  # no space left
            _unexpected(error)
        _fail(f"No space left on the disk ({error.filename or 'scratch'}): free some, then run it again.", 4)
    except Exception as error:  # noqa: BLE001 - the last line of defence says one sentence
        _unexpected(error)


def end_quietly(began: tuple[int, int] | None, code: object) -> None:
    """Leave without a trace if nobody reads standard output any more.

    Args:
        began: where standard output went at first.
        code: exit code so far.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    # at a closed pipe the libraries put a wrapper, or the null device, in the place of standard output
    if code == PIPE_CLOSED or type(sys.stdout).__name__ == "PacifyFlushWrapper" or _place() != began:
        sys.stderr.flush()
        os._exit(PIPE_CLOSED)  # threads of the libraries, cut short, would speak while the interpreter ends


def _place() -> tuple[int, int] | None:
    """Return which file standard output is."""
    try:
        found = os.fstat(1)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def reader_left() -> NoReturn:
    """End: what is still to be written goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(PIPE_CLOSED)


def _fail(sentence: str, code: int) -> None:
    if STATE.debug:
        err.print(escaped(redacted(traceback.format_exc())), highlight=False, soft_wrap=True)
    err.print(f"[bold red]Error:[/] {escaped(redacted(sentence))}", highlight=False, soft_wrap=True)
    sys.stdout.flush()
    sys.exit(code)


def _unexpected(error: Exception) -> None:
    text = str(error).strip().split("\n", 1)[0][:500]
    if "No space left on device" in str(error):
        _fail("No space left on a disk that the run writes to: free some, then run it again. Nothing is half done.", 4)
    _fail(f"{type(error).__name__}: {text} (unexpected: --debug before the command shows where)", 1)


def escaped(text: object) -> str:
    """Return data, a path or a name to stand among markup: brackets in it are brackets."""
    from rich.markup import escape

    return escape(str(text))
