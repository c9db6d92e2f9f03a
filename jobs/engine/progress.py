"""Progress of runs: the protocol that the engine reports to, and plain lines for a scheduler's log."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from typing import TYPE_CHECKING, Protocol

from jobs.common.redaction import redacted

if TYPE_CHECKING:
    from jobs.engine.runner import Result


class Progress(Protocol):
    """Receives the progress of runs; jobs may run concurrently."""

    def job(self, title: str) -> AbstractContextManager[None]:
        """Show `title` as running while the context is open."""

    def say(self, text: str) -> None:
        """Show the state of the running action, such as ``3 of 7 tables``; actions run alone."""

    def done(self, position: str, name: str, as_of: date | None, result: "Result") -> None:
        """Show the result of a job; `position` is empty or like 3/41."""

    def warn(self, sentence: str) -> None:
        """Show a sentence that asks for attention."""


def nonzero(counts: Mapping[str, int] | None) -> str:
    """Return counts as text, ``read 7, applied 5``, without those that are 0."""
    return ", ".join(f"{name} {count:,}" for name, count in (counts or {}).items() if count)


class Lines:
    """One plain line on standard output for each event."""

    @contextmanager
    def job(self, title: str) -> Iterator[None]:
        """Print that `title` runs."""
        self._print(f"{title} …")
        yield

    def say(self, text: str) -> None:
        """Print the state of the running action."""
        self._print(f"  {text}")

    def done(self, position: str, name: str, as_of: date | None, result: "Result") -> None:
        """Print the result of a job."""
        day = f" {as_of}" if as_of else ""
        if result.status == "up_to_date":
            self._print(f"{position} {name}{day}: up to date".strip())
            return
        counts = nonzero(result.counts)
        text = f"{position} {name}{day}: {result.rows:,} rows, {result.seconds:.1f} s"
        self._print((f"{text}, {counts}" if counts else text).strip())

    def warn(self, sentence: str) -> None:
        """Print a sentence that asks for attention."""
        self._print(f"! {sentence}")

    def _print(self, text: str) -> None:
        sys.stdout.write(f"{redacted(text)}\n")
        sys.stdout.flush()
