"""How good the lists are, from gold.evaluations: feed and sources beside popularity, now and over past as-of dates."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from jobs.lake.query import Tables

FEED, POPULARITY, PAIRED = "home_feed", "popularity", "home_feed_minus_popularity"
K = 10
"""Length of the list that headlines speak of: about what a first screen shows."""
_CUTS = 60
"""Evaluated as-of dates drawn: two months of days."""


@dataclass(frozen=True)
class Estimate:
    """A mean over users with its 95 % interval; the interval is None for coverage."""

    value: float
    lower: float | None
    upper: float | None
    users: int


@dataclass(frozen=True)
class Quality:
    """One as-of's evaluation."""

    as_of: date
    estimates: Mapping[tuple[str, str, int], Estimate]
    """By model, metric and k."""
    history: tuple[tuple[date, Estimate, Estimate], ...]
    """Past as-of dates, oldest first, this one last: NDCG@K of the feed and of popularity."""

    def of(self, model: str, metric: str, k: int = K) -> Estimate | None:
        """Return an estimate, None if it was not measured."""
        return self.estimates.get((model, metric, k))

    def models(self, metric: str, k: int = K) -> list[tuple[str, Estimate]]:
        """Return the models and their estimates, the best first; differences left out."""
        found = [(m, f) for (m, what, n), f in self.estimates.items() if (what, n) == (metric, k) and m != PAIRED]
        return sorted(found, key=lambda pair: -pair[1].value)

    @property
    def verdict(self) -> str:
        """Return better, worse or unclear: the sign of the feed's paired difference to popularity, beyond chance.

        From the 95 % interval of NDCG@K; unclear too where it was not measured.
        """
        gap = self.of(PAIRED, "ndcg")
        if gap is None or gap.lower is None or gap.upper is None or gap.lower <= 0 <= gap.upper:
            return "unclear"
        return "better" if gap.lower > 0 else "worse"

    @property
    def ahead(self) -> tuple[str, Estimate, Estimate] | None:
        """Return the best source, its estimate and the feed's, if it alone beats the feed beyond both intervals."""
        feed, best = self.of(FEED, "ndcg"), next(iter(self.models("ndcg")), None)
        if feed is None or best is None or best[0] == FEED or feed.upper is None or best[1].lower is None:
            return None
        return (best[0], best[1], feed) if best[1].lower > feed.upper else None


def read_quality(tables: Tables, as_of: date, version: int | None) -> Quality | None:
    """Return the evaluation made at an as-of, None if there is none, as on a first day.

    Args:
        tables: of the lake.
        as_of: whose lists of a horizon before were evaluated.
        version: of gold.evaluations that the run committed; None if it has not run.

    Raises:
        TableError: that version is not kept any more.
    """
    if version is None:
        return None
    name = {"gold.evaluations": version}
    rows = tables.ask(f"select * from evaluations where as_of = date '{as_of}'", name)  # noqa: S608 - a date
    if not rows:
        return None
    estimates = {(row["model"], row["metric"], row["k"]): _estimate(row) for row in rows}
    past = tables.ask(
        f"select * from evaluations where as_of <= date '{as_of}' and metric = 'ndcg' and k = {K} "  # noqa: S608
        f"and model in ('{FEED}', '{POPULARITY}') order by as_of desc limit {2 * _CUTS}",
        {"gold.evaluations": None},  # an as-of before may have been evaluated again since
    )
    return Quality(as_of, estimates, _history(past))


def _history(rows: list[dict[str, Any]]) -> tuple[tuple[date, Estimate, Estimate], ...]:
    by_day: dict[date, dict[str, Estimate]] = {}
    for row in rows:
        by_day.setdefault(row["as_of"], {})[row["model"]] = _estimate(row)
    whole = [(day, of[FEED], of[POPULARITY]) for day, of in sorted(by_day.items()) if {FEED, POPULARITY} <= set(of)]
    return tuple(whole)


def _estimate(row: Mapping[str, Any]) -> Estimate:
    return Estimate(row["value"], row["lower"], row["upper"], row["users"])
