"""Sentences about an ingest run that need a person: blocked tables, quarantined rows, unknown and missing files.

In: counts and detail of the jobs' results. Out: sentences. A blocked table or topic ends `pinlake ingest` with exit
code 10. With --strict, which the scheduler sets, missing and unknown files do too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.common.errors import Blocked

_SHOWN = 5
"""Names in one sentence."""


@dataclass(frozen=True)
class Attention:
    """Sentences of one run."""

    blocked: tuple[str, ...] = ()
    """A table or topic each."""
    waiting: tuple[str, ...] = ()
    """What is not there, or of no known kind: with --strict a run ends with the code of blocked tables."""
    notes: tuple[str, ...] = ()
    """What is within the bounds that settings and expectations draw."""

    def __add__(self, other: "Attention") -> "Attention":
        """Return both together."""
        return Attention(self.blocked + other.blocked, self.waiting + other.waiting, self.notes + other.notes)

    def amiss(self, strict: bool) -> tuple[str, ...]:
        """Return the sentences that a run fails for."""
        return self.blocked + self.waiting if strict else self.blocked

    def error(self, strict: bool) -> Blocked | None:
        """Return the error that a command ends with; None where nothing is amiss."""
        if not self.amiss(strict):
            return None
        what = f"{_number(self.blocked)} blocked" if self.blocked else "not all of the sources could be used"
        return Blocked(
            f"{what}, see above; everything else was taken in. `pinlake ingest --status` and `pinlake quarantine list` "
            "say what waits."
        )


def attention(counts: Mapping[str, int] | None, detail: Any) -> Attention:
    """Return what an ingest job's outcome calls for.

    Args:
        counts: its counts.
        detail: its detail: `blocked`, `awaited`, `unknown_paths`, `other_topics`, `without_topic`, `drifted`.
    """
    counts, told = counts or {}, detail if isinstance(detail, Mapping) else {}
    waiting, notes = [], []
    if told.get("awaited"):
        waiting.append(
            f"{_some(told['awaited'], 'file')} not there although an index names it, or not whole. Tables are blocked "
            "for it once the checkpoint has moved on without it."
        )
    if counts.get("unknown_files"):
        waiting.append(f"{_some(told.get('unknown_paths', ()), 'file')} of no known kind: `pinlake quarantine list`.")
    if told.get("other_topics"):
        waiting.append(
            f"{_some(told['other_topics'], 'topic')} without a table: the messages stay in bronze. Name the table: "
            "ingest.topics.<topic>.table."
        )
    waiting += [
        f"{source}: no topic of it has a table, nothing reaches silver. Name them in ingest.topics."
        for source in told.get("without_topic", ())
    ]
    if counts.get("quarantined"):
        notes.append(f"{counts['quarantined']:,} rows could not be used: `pinlake quarantine list`.")
    notes += [f"{name} is not as the registry says: {'; '.join(c)}." for name, c in told.get("drifted", {}).items()]
    return Attention(tuple(told.get("blocked", {}).values()), tuple(waiting), tuple(notes))


def _number(blocked: tuple[str, ...]) -> str:
    return "1 table or topic is" if len(blocked) == 1 else f"{len(blocked)} tables or topics are"


def _some(found: Iterable[str], what: str) -> str:
    names = list(found)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    number = f"1 {what} is" if len(names) == 1 else f"{len(names)} {what}s are"
    return f"{', '.join(names[:_SHOWN])}{more}: {number}"
