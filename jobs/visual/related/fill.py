"""Pins of its category for a pin that too little is known of: about as many to choose from for rare and famous pins."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.visual import Visual

SCORE = 1e-4
"""Of the first that is filled in; the others have less. Below any score of a source that matters."""
ENTRY = (
    "place", "related_pin_id", "score", "similarity", "co_saves", "reason", "owner", "signature", "twins", "fresh"
)  # fmt: skip
"""What a pool holds of a pin."""


def filled(pools: DataFrame, facts: DataFrame, visual: Visual) -> DataFrame:
    """Return pin_id, signature, twins, pool of every pin with a pool; popular pins of the category end a short one.

    A pin may come twice: the choice takes its first place.

    Args:
        pools: pin_id, pool (array of ENTRY, best first).
        facts: pin_id, owner, signature, twins, fresh, category, popularity of every pin that may be shown.
        visual: settings; a pool is short below visual.related_length.
    """
    kind = pools.schema["pool"].dataType
    none = F.array().cast(kind)
    whole = facts.select("pin_id", "signature", "twins", "category").join(pools, "pin_id", "left")
    whole = whole.join(F.broadcast(popular(facts, visual.related_length)), "category", "left")
    own, more = F.coalesce("pool", none), F.coalesce(F.col("top").cast(kind), none)
    pool = F.when(F.size(own) < visual.related_length, F.concat(own, more)).otherwise(own)
    return whole.select("pin_id", "signature", "twins", pool.alias("pool")).where(F.size("pool") > 0)


def popular(facts: DataFrame, length: int) -> DataFrame:
    """Return category, top: its most popular pins; one row a category, so that it can be sent to every task."""
    best = Window.partitionBy("category").orderBy(F.desc("popularity"), "pin_id")
    known = facts.where("popularity > 0 and category is not null").withColumn("place", F.row_number().over(best))
    # twice as many as wanted: some are left out by the rules
    few = known.where(F.col("place") <= 2 * length).withColumnRenamed("pin_id", "related_pin_id")
    score = F.round(F.lit(SCORE) / (1 + F.col("place")), 8).cast("float")
    told = {"score": score, "similarity": F.lit(None).cast("float"), "co_saves": F.lit(0), "reason": F.lit("popular")}
    entries = few.withColumns(told)
    return entries.groupBy("category").agg(F.array_sort(F.collect_list(F.struct(*ENTRY))).alias("top"))
