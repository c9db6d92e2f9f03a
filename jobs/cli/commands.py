"""The tree of commands as it is run: help texts are plain text, and global options may stand behind the command."""

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import typer
from rich.markup import escape

from jobs.cli.context import cli


def prepared(app: typer.Typer) -> Any:
    """Return the command of the application, to be called."""
    root = typer.main.get_command(app)
    given = {option: param for param in root.params for option in param.opts}
    for command in _all(root):
        _plain(command)
        if command is not root:
            _accept(command, given)
    return root


def _all(command: Any) -> Iterator[Any]:
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from _all(below)


def _plain(command: Any) -> None:
    """Keep what stands in brackets in help: it is no markup."""
    command.help = escape(command.help) if command.help else command.help
    for param in command.params:
        text = getattr(param, "help", None)
        if text:
            param.help = escape(text)


def _accept(command: Any, given: dict[str, Any]) -> None:
    """Take the global options behind a command that has none of that name, without naming them in its help."""
    mine = {option for param in command.params for option in param.opts}
    for option, take in _TAKE.items():
        if option in given and option not in mine:
            param = copy(given[option])
            param.hidden, param.expose_value, param.envvar, param.default = True, False, None, None
            param.callback = _taker(take)
            command.params.append(param)


def _taker(take: Callable[[Any], object]) -> Callable[[Any, Any, Any], None]:
    def callback(_context: Any, _param: Any, value: Any) -> None:
        if value:
            take(value)

    return callback


def _lake(value: str) -> None:
    cli.also([f"platform.lake={value}"])


def _env(value: str) -> None:
    cli.env = value
    cli.also([])


def _debug(value: bool) -> None:
    cli.debug = value


_TAKE: dict[str, Callable[[Any], object]] = {
    "--set": cli.also,
    "--lake": _lake,
    "--env": _env,
    "--debug": _debug,
}
