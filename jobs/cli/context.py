"""What every command shares: the application, the global options, the settings, the screen."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from jobs.cli.grid import write_json

HELP = """From TiDB change logs and Kafka archives to published home feeds and related pins.

Exit codes: 0 done · 1 unexpected · 2 usage or configuration · 3 source input · 4 something missing on the machine ·
5 a critical check failed, nothing committed · 6 the gate refused · 7 the online store · 8 another run won · 9 a table ·
10 a table or topic is blocked, the others were ingested · 11 nearest neighbours written, recall missed.
"""

app = typer.Typer(
    name="pinlake", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich"
)


@dataclass
class CliContext:
    """Values of the global options, and the settings that follow from them."""

    env: str | None = None
    lake: str | None = None
    sets: list[str] = field(default_factory=list)
    debug: bool = False
    _loaded: Any = None

    @property
    def loaded(self) -> Any:
        """Return the settings, read on first use."""
        if self._loaded is None:
            from jobs.engine.scheduler import load_settings

            sets = [*self.sets, *([f"platform.lake={self.lake}"] if self.lake else [])]
            self._loaded = load_settings(self.env, sets)
        return self._loaded

    def also(self, sets: Iterable[str]) -> None:
        """Add settings as --set does; they are validated in the same way."""
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


cli = CliContext()
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
    cli.env, cli.lake, cli.sets, cli.debug = env, lake, [], debug
    cli.also(set_ or [])


def print_json(value: Any) -> None:
    """Write a value for a program to read."""
    write_json(value)


def reader_left() -> NoReturn:
    """End: what is still to be written goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(PIPE_CLOSED)


def escaped(text: object) -> str:
    """Return data, a path or a name to stand among markup: brackets in it are brackets."""
    from rich.markup import escape

    return escape(str(text))
