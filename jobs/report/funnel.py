"""From candidates to feed: how many proposals of each source came through the rules and into feeds.

Counted from gold.ranked by delta-rs: a few rows come back, whatever the number of users. A pin that several sources
proposed to a user counts once for each of them; `total` counts it once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from jobs.lake.query import Tables


@dataclass(frozen=True)
class Stage:
    """How many proposals were made, came through the rules, and stand in a feed."""

    proposed: int
    allowed: int
    shown: int


@dataclass(frozen=True)
class Funnel:
    """The funnel of one as-of."""

    users: int
    total: Stage
    """Of pairs of user and pin."""
    sources: Mapping[str, Stage]
    """The largest first."""
    drops: Mapping[str, int]
    """Pairs stopped by rule, the most first; `length`: allowed, but no place was left."""
    by_source: Mapping[str, Mapping[str, int]]
    """Rule -> source -> proposals stopped."""


_TOTAL = """
select count(*) as proposed, count(*) filter (where rule is null) as allowed, count(position) as shown,
       count(distinct user_id) as users
from ranked where as_of = date '{as_of}'
"""
_DROPS = """
select coalesce(rule, 'length') as rule, count(*) as pairs
from ranked where as_of = date '{as_of}' and position is null group by 1 order by 2 desc, 1
"""
_SOURCES = """
select source, coalesce(rule, 'length') as rule, count(*) as proposed, count(position) as shown
from (select unnest(sources) as source, rule, position from ranked where as_of = date '{as_of}')
group by 1, 2 order by 1, 2
"""


def read_funnel(tables: Tables, as_of: date, version: int | None) -> Funnel | None:
    """Return the funnel of an as-of, None if nothing was ranked.

    Args:
        tables: of the lake.
        as_of: the as-of.
        version: of gold.ranked that the run committed; None if it has not run.

    Raises:
        TableError: that version is not kept any more.
    """
    if version is None:
        return None
    name = {"gold.ranked": version}
    whole = tables.ask(_TOTAL.format(as_of=as_of), name)[0]
    if not whole["proposed"]:
        return None
    drops = {row["rule"]: row["pairs"] for row in tables.ask(_DROPS.format(as_of=as_of), name)}
    sources: dict[str, Stage] = {}
    by_source: dict[str, dict[str, int]] = {rule: {} for rule in drops}
    for row in tables.ask(_SOURCES.format(as_of=as_of), name):
        so_far = sources.get(row["source"], Stage(0, 0, 0))
        allowed = row["proposed"] if row["rule"] == "length" else 0
        sources[row["source"]] = Stage(
            so_far.proposed + row["proposed"], so_far.allowed + allowed, so_far.shown + row["shown"]
        )
        if row["proposed"] > row["shown"]:
            by_source[row["rule"]][row["source"]] = row["proposed"] - row["shown"]
    largest = dict(sorted(sources.items(), key=lambda pair: -pair[1].proposed))
    total = Stage(whole["proposed"], whole["allowed"], whole["shown"])
    return Funnel(whole["users"], total, largest, drops, by_source)
