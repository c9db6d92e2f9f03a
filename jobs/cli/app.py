"""Runs the command line: its commands, and errors as one sentence and an exit code."""

import os
import sys
import traceback

from jobs.cli import (  # noqa: F401 - importing a module registers its commands
    bench,
    bench_visual,
    demo,
    duplicates,
    embed,
    export,
    ingest,
    inspect,
    neighbours,
    quarantine,
    reconcile,
    report,
    run,
    similar,
    why,
)
from jobs.cli.commands import prepared
from jobs.cli.context import PIPE_CLOSED, app, cli, err, escaped
from jobs.common.errors import PinlakeError
from jobs.common.redaction import redacted


def main() -> None:
    """Run the command line; expected failures become one sentence and an exit code."""
    began = _place()
    try:
        prepared(app)()
    except SystemExit as end:
        end_quietly(began, end.code)
        raise
    except PinlakeError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("Stopped. Run it again: commits are kept, the rest is repeated.", 130)
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
        os._exit(PIPE_CLOSED)  # threads of the libraries would print while the interpreter ends


def _place() -> tuple[int, int] | None:
    """Return which file standard output is."""
    try:
        found = os.fstat(1)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _fail(sentence: str, code: int) -> None:
    if cli.debug:
        err.print(escaped(redacted(traceback.format_exc())), highlight=False, soft_wrap=True)
    err.print(f"[bold red]Error:[/] {escaped(redacted(sentence))}", highlight=False, soft_wrap=True)
    sys.stdout.flush()
    sys.exit(code)


def _unexpected(error: Exception) -> None:
    text = str(error).strip().split("\n", 1)[0][:500]
    if "No space left on device" in str(error):
        _fail("No space left on a disk that the run writes to: free some, then run it again. Nothing is half done.", 4)
    _fail(f"{type(error).__name__}: {text} (unexpected: --debug before the command shows where)", 1)
