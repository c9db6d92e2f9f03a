"""Proposals from shelves: a short list of good pins per category, handed out by each user's shares of taste.

In: profiles with shares by category, and shelves (category, pin_id, creator_id, score, place). Out: proposals.
A shelf is short and categories are few, so the shelves are sent to every executor and the users stay where they are.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.candidates.contract import CATEGORY, NONE, Contract, top

ANY = "*"
"""The shelf of all categories together: for users without known tastes, and a little for everyone."""
SPARE = 20
"""Pins looked at beyond a quota, in place of those the user has seen."""


def top_per_category(pins: DataFrame, per_category: int) -> DataFrame:
    """Return the shelves of pins (category, pin_id, creator_id, score): the best of each category and of all.

    Pins without a category have a shelf of their own, '', as in the users' shares.
    """
    own = pins.withColumn("category", F.coalesce("category", F.lit("")))
    everything = pins.withColumn("category", F.lit(ANY))
    return top(own, ("category",), per_category, "place").unionByName(
        top(everything, ("category",), per_category, "place")
    )


def allocate(contract: Contract, shelves: DataFrame, explore: float) -> DataFrame:
    """Return proposals of fitting pins: from each category as many as the user's share of it, best first.

    Score: the pin's own times the user's share, so that a user's first category comes first.
    """
    quotas = contract.users.select("user_id", F.explode(_shares(explore)).alias("wish")).select("user_id", "wish.*")
    # rounded first: 0.6 * 10 may come out as 6.0000000001, which would take a place from another category
    quota = F.ceil(F.round(F.col("share") * F.lit(contract.per_user), 6))
    quotas = quotas.withColumn("quota", quota).where("quota > 0")
    few = F.broadcast(shelves)  # bounded by categories * per_category
    offers = contract.eligible(quotas.join(few, "category").where(F.col("place") <= F.col("quota") + F.lit(SPARE)))
    kept = top(offers, ("user_id", "category"), contract.per_user, "place").where(F.col("place") <= F.col("quota"))
    general = F.col("category").isin(ANY, "")
    return kept.select(
        *("user_id", "pin_id", "creator_id"),
        F.round(F.col("score") * F.col("share"), 6).alias("score"),
        F.when(general, NONE).otherwise(CATEGORY).alias("evidence_kind"),
        F.lit(None).cast("bigint").alias("evidence_id"),
    )


def _shares(explore: float) -> Column:
    own = F.transform(
        F.map_entries("categories"),
        lambda one: F.struct(
            one["key"].alias("category"), (one["value"].cast("double") * F.lit(1 - explore)).alias("share")
        ),
    )
    rest = F.when(F.size("categories") > 0, F.lit(float(explore))).otherwise(F.lit(1.0))
    return F.concat(own, F.array(F.struct(F.lit(ANY).alias("category"), rest.alias("share"))))
