"""Source `trending`: pins that rise above what was expected of them.

In: gold.trending, made by jobs/candidates/rise.py, with gold.user_profile, gold.interactions, gold.pin_stats.
Out: gold.candidates.
"""

from pyspark.sql import DataFrame

from jobs.candidates.contract import Contract
from jobs.candidates.rise import trending_pins
from jobs.candidates.shelves import allocate, top_per_category
from jobs.engine.context import Context, Tables

__all__ = ["trending", "trending_pins"]


def trending(tables: Tables, ctx: Context) -> DataFrame:
    """Return rising pins of each active user's categories, and a few from all; users without tastes get these alone."""
    cfg = ctx.settings.candidates.trending
    contract = Contract.of(tables, cfg.per_user)
    rising = tables["gold.trending"].select("category", "pin_id", "score")
    rising = rising.join(contract.pins.select("pin_id", "creator_id"), "pin_id")
    return contract.rank_top(allocate(contract, top_per_category(rising, cfg.per_category), cfg.explore))
