"""How good related pins are, from gold.related_evaluations: the lists as they were beside each source alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from jobs.lake.query import Tables

BLEND, MINUS = "related_pins", "related_pins_minus_"
SEGMENTS = ("all", "head", "torso", "tail")
K = 10
"""Length of the list that recall is told of."""


@dataclass(frozen=True)
class RelatedEstimate:
    """An estimate with its 95 % interval and what it rests on; no value where nothing could be evaluated."""

    value: float | None
    lower: float | None
    upper: float | None
    judged: int
    hits: int | None


@dataclass(frozen=True)
class Related:
    """One as-of's evaluation of related pins."""

    estimates: Mapping[tuple[str, str, str, int], RelatedEstimate]
    """By model, segment, metric and k."""
    length: int
    """Of a whole list."""

    @property
    def models(self) -> list[str]:
        """Return the lists as they were, then each source alone, the best recall first."""
        names = {model for model, *_ in self.estimates if not model.startswith(MINUS)} - {BLEND}
        return [BLEND, *sorted(names, key=lambda model: (-(self.recall(model).value or 0.0), model))]

    def recall(self, model: str, segment: str = "all") -> RelatedEstimate:
        """Return recall among the first K places."""
        return self.estimates[model, segment, "recall", min(K, self.length)]

    def saved(self, model: str, metric: str) -> RelatedEstimate:
        """Return save_rate, save_rate_others or save_gain, of all query pins."""
        return self.estimates[model, "all", metric, self.length]

    @property
    def behind(self) -> list[str]:
        """Return the sources that alone find more of the next co-saves than the blend, beyond chance."""
        gaps = [(m, self.recall(m)) for m, segment, *_ in self.estimates if m.startswith(MINUS) and segment == "all"]
        return sorted({m.removeprefix(MINUS) for m, gap in gaps if gap.upper is not None and gap.upper < 0})


def read_related(tables: Tables, as_of: date, version: int | None) -> Related | None:
    """Return the evaluation made at an as-of; None if there is none, or if it had nothing to judge, as on a first day.

    Args:
        tables: of the lake.
        as_of: whose related pins of a horizon before were evaluated.
        version: of gold.related_evaluations that the run committed; None if it has not run.

    Raises:
        TableError: that version is not kept any more.
    """
    if version is None:
        return None
    name = {"gold.related_evaluations": version}
    rows = tables.ask(f"select * from related_evaluations where as_of = date '{as_of}'", name)  # noqa: S608 - a date
    if not any(row["judged"] for row in rows):
        return None
    estimates = {(row["model"], row["segment"], row["metric"], row["k"]): _estimate(row) for row in rows}
    return Related(estimates, max(row["k"] for row in rows))


def _estimate(row: Mapping[str, Any]) -> RelatedEstimate:
    return RelatedEstimate(row["value"], row["lower"], row["upper"], row["judged"], row["hits"])
