"""Source `content`: pins whose embeddings are nearest to the user's recent saves.

In: gold.user_profile, gold.pin_neighbours, gold.interactions, gold.pin_stats. Out: gold.candidates.
Neighbours are precomputed (neighbours.pin_neighbours): a user costs as many look-ups as seeds, and no search.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.candidates.contract import PIN, Contract
from jobs.engine.context import Context, Tables


def content(tables: Tables, ctx: Context) -> DataFrame:
    """Return the neighbours of each active user's newest saves; evidence is the save.

    Score: the largest over the user's seeds of cosine * recency^(position of the seed - 1).
    """
    cfg = ctx.settings.candidates.content
    contract = Contract.of(tables, cfg.per_user)
    newest = contract.users.select("user_id", F.posexplode(F.slice("recent_saves", 1, cfg.seeds)))
    seeds = newest.select(
        "user_id", F.col("col").alias("seed_id"), F.pow(F.lit(cfg.recency), "pos").alias("recency_weight")
    )
    near = seeds.join(_near(contract, tables["gold.pin_neighbours"], cfg.neighbours), "seed_id")
    proposals = near.select("user_id", "seed_id", "recency_weight", F.inline("near"))
    return contract.finalize(
        proposals.select(
            *("user_id", "pin_id", "creator_id"),
            F.round(F.col("cosine") * F.col("recency_weight"), 6).alias("score"),
            F.lit(PIN).alias("evidence_kind"),
            F.col("seed_id").alias("evidence_id"),
        )
    )


def _near(contract: Contract, neighbours: DataFrame, most: int) -> DataFrame:
    """Return one row per seed with all its public neighbours, so that a popular seed is joined by one row."""
    public = contract.pins.select(F.col("pin_id").alias("neighbour_id"), "creator_id")
    listed = neighbours.where(F.col("rank") <= most).join(public, "neighbour_id")
    near = F.struct(F.col("neighbour_id").alias("pin_id"), "creator_id", F.col("score").cast("double").alias("cosine"))
    return listed.groupBy(F.col("pin_id").alias("seed_id")).agg(F.collect_list(near).alias("near"))
