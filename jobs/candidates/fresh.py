"""Source `fresh`: new pins by save rate, and new pins of creators that the user follows.

In: gold.user_profile, gold.pin_stats, gold.interactions, silver.app_user_follows. Out: gold.candidates.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.candidates.category_quota import allocate, top_per_category
from jobs.candidates.contract import USER, Contract
from jobs.engine.context import Context, Tables


def fresh(tables: Tables, ctx: Context) -> DataFrame:
    """Return young pins: those of followed creators first (evidence: the creator), then those of the user's categories.

    Score: the smoothed save rate, times the share of the category; 1 is added for followed creators.
    """
    cfg = ctx.settings.candidates.fresh
    contract = Contract.of(tables, cfg.per_user)
    young = contract.pins.where(F.col("age_days") < cfg.days)
    young = young.select("pin_id", "category", "creator_id", "created_at", F.col("save_rate").alias("score"))
    followed = contract.eligible(_followed(contract, young, tables["silver.app_user_follows"], cfg.per_creator))
    liked = allocate(contract, top_per_category(young.drop("created_at"), cfg.per_category), cfg.explore)
    return contract.rank_top(followed.unionByName(liked))


def _followed(contract: Contract, young: DataFrame, follows: DataFrame, per_creator: int) -> DataFrame:
    newest = Window.partitionBy("creator_id").orderBy(F.desc("created_at"), "pin_id")
    latest = young.withColumn("_place", F.row_number().over(newest)).where(F.col("_place") <= per_creator)
    # one row per creator, so that a creator with millions of followers is joined by one short row
    pins = latest.groupBy("creator_id").agg(F.collect_list(F.struct("pin_id", "score")).alias("pins"))
    edges = follows.select("user_id", F.col("followee_id").alias("creator_id")).distinct()
    mine = edges.join(contract.users.select("user_id"), "user_id", "left_semi").join(pins, "creator_id")
    return mine.select("user_id", "creator_id", F.inline("pins")).select(
        *("user_id", "pin_id", "creator_id"),
        (F.col("score") + 1).alias("score"),
        F.lit(USER).alias("evidence_kind"),
        F.col("creator_id").alias("evidence_id"),
    )
