"""Proposals by category: the top pins of each category, allocated by each user's category shares.

In: profiles with shares by category, and top pins (category, pin_id, creator_id, score, place). Out: proposals.
The top lists are small (categories times per_category), so they are broadcast and the users are not shuffled.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.candidates.contract import CATEGORY, NONE, Contract, top

ANY = "*"
"""Pseudo-category of all pins: for users without known tastes, and the exploration share of everyone."""
SPARE = 20
"""Pins considered beyond a quota, to replace those that the user has seen."""


def top_per_category(pins: DataFrame, per_category: int) -> DataFrame:
    """Return the best of the pins (category, pin_id, creator_id, score) by category, and of all categories.

    Pins without a category form the category '', as in the users' shares.
    """
    own = pins.withColumn("category", F.coalesce("category", F.lit("")))
    overall = pins.withColumn("category", F.lit(ANY))
    return top(own, ("category",), per_category, "place").unionByName(
        top(overall, ("category",), per_category, "place")
    )


def allocate(contract: Contract, tops: DataFrame, explore: float) -> DataFrame:
    """Return proposals of eligible pins: from each category the user's share of per_user, best first.

    Score: the pin's score times the user's share, so that a user's first category comes first.
    """
    quotas = contract.users.select("user_id", F.explode(_shares(explore)).alias("share_of")).select(
        "user_id", "share_of.*"
    )
    # rounded first: 0.6 * 10 may come out as 6.0000000001, which would take a position from another category
    quota = F.ceil(F.round(F.col("share") * F.lit(contract.per_user), 6))
    quotas = quotas.withColumn("quota", quota).where("quota > 0")
    top_pins = F.broadcast(tops)  # bounded by categories * per_category
    offers = contract.eligible(quotas.join(top_pins, "category").where(F.col("place") <= F.col("quota") + F.lit(SPARE)))
    allocated = top(offers, ("user_id", "category"), contract.per_user, "place").where(F.col("place") <= F.col("quota"))
    no_category = F.col("category").isin(ANY, "")
    return allocated.select(
        *("user_id", "pin_id", "creator_id"),
        F.round(F.col("score") * F.col("share"), 6).alias("score"),
        F.when(no_category, NONE).otherwise(CATEGORY).alias("evidence_kind"),
        F.lit(None).cast("bigint").alias("evidence_id"),
    )


def _shares(explore: float) -> Column:
    own = F.transform(
        F.map_entries("categories"),
        lambda entry: F.struct(
            entry["key"].alias("category"), (entry["value"].cast("double") * F.lit(1 - explore)).alias("share")
        ),
    )
    rest = F.when(F.size("categories") > 0, F.lit(float(explore))).otherwise(F.lit(1.0))
    return F.concat(own, F.array(F.struct(F.lit(ANY).alias("category"), rest.alias("share"))))
