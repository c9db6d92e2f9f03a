"""How many of the true neighbours the lists hold, from gold.neighbour_recall: the as-of's audit, and those before."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from jobs.lake.query import Tables

_CUTS = 30
"""Audits shown: a month of days."""


@dataclass(frozen=True)
class Audit:
    """One as-of's audit, and those before it, newest first."""

    row: dict[str, Any]
    """Of gold.neighbour_recall."""
    past: tuple[dict[str, Any], ...]

    @property
    def short(self) -> bool:
        """Return whether fewer were found than asked for, beyond chance."""
        return bool(self.row["upper"] < self.row["target"])

    @property
    def age(self) -> int | None:
        """Return how many days old the index is; None where all pins are compared."""
        trained = self.row["trained_on"]
        return (self.row["as_of"] - trained).days if trained else None


def read_audit(tables: Tables, as_of: date, version: int | None) -> Audit | None:
    """Return the audit made at an as-of, None if there is none.

    Args:
        tables: of the lake.
        as_of: whose neighbours were audited.
        version: of gold.neighbour_recall that the run committed; None if it has not run.

    Raises:
        TableError: that version is not kept any more.
    """
    if version is None:
        return None
    asked = f"select * from neighbour_recall where as_of = date '{as_of}'"  # noqa: S608 - a date
    rows = tables.ask(asked, {"gold.neighbour_recall": version})
    if not rows:
        return None
    before = tables.ask(
        f"select * from neighbour_recall where as_of < date '{as_of}' order by as_of desc limit {_CUTS}",  # noqa: S608
        {"gold.neighbour_recall": None},  # an as-of before may have been made again since
    )
    return Audit(rows[0], tuple(before))
