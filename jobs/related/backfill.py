"""What a pin gets that too little is known of: the list of its near-duplicate, then popular pins of its category.

A pin without a category gets the popular ones of all. So that rare and famous pins have about as many to choose from.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.settings.related import Related

SCORE = 1e-4
"""Of the first that is filled in; the others have less. Below any score of a source that matters."""
EVERYTHING = ""
"""Category of pins that have none: they go with the popular ones of all."""
ENTRY = (
    "place", "related_pin_id", "score", "similarity", "co_saves", "reason", "owner", "signature", "twins", "fresh"
)  # fmt: skip
"""What a pool holds of a pin."""


def filled(pools: DataFrame, lent: DataFrame, facts: DataFrame, related: Related) -> DataFrame:
    """Return pin_id, signature, twins, pool of every pin with a pool.

    A short one is followed by what a near-duplicate lends, then by popular pins of the category (of all, for a pin
    without one). A pin may come twice: the choice takes its first place.

    Args:
        pools: pin_id, pool (array of ENTRY, best first).
        lent: pin_id, lent (such a pool): what a pin borrows.
        facts: pin_id, owner, signature, twins, fresh, category, popularity of every pin that may be shown.
        related: settings; a pool is short below related.length.
    """
    kind = pools.schema["pool"].dataType
    none = F.array().cast(kind)
    whole = facts.select("pin_id", "signature", "twins", "category").join(pools, "pin_id", "left")
    whole = whole.join(lent, "pin_id", "left")
    whole = with_popular(whole, facts, related.length)
    own, alike, more = F.coalesce("pool", none), F.coalesce("lent", none), F.coalesce(F.col("top").cast(kind), none)
    least = F.coalesce(F.try_element_at(own, F.lit(-1))["score"], F.lit(1.0).cast("float"))
    # of a pin's own score at most: a list's scores fall
    alike = F.transform(alike, lambda entry: entry.withField("score", F.least(entry["score"], least)))
    pool = F.when(F.size(own) < related.length, F.concat(own, alike, more)).otherwise(own)
    return whole.select("pin_id", "signature", "twins", pool.alias("pool")).where(F.size("pool") > 0)


def loans(facts: DataFrame, pairs: DataFrame, length: int) -> DataFrame:
    """Return pin_id, lender: for each pin with too few pairs the pin of the same image whose list it borrows.

    That is the one with most pairs, up to `length`, and of those the most popular; one an image, however often that
    was saved. Who has no fewer pairs than it borrows nothing.

    Args:
        facts: pin_id, signature, popularity of every pin that may be shown.
        pairs: pin_id, a row for each pin that is known to go with it.
        length: fewer pairs are too few.
    """
    counts = pairs.groupBy("pin_id").agg(F.least(F.count(F.lit(1)), F.lit(length)).alias("pairs"))
    named = facts.where("signature is not null").select("pin_id", F.col("signature").alias("image"), "popularity")
    known = named.join(counts, "pin_id", "left").fillna(0, ["pairs"])
    rank = F.struct("pairs", F.coalesce("popularity", F.lit(0.0)), F.negative("pin_id"))
    best = known.groupBy("image").agg(F.max_by("pin_id", rank).alias("lender"), F.max("pairs").alias("most"))
    short = known.where(F.col("pairs") < length).select("pin_id", "image", "pairs")
    return short.join(best, "image").where(F.col("pairs") < F.col("most")).select("pin_id", "lender")


def with_popular(pins: DataFrame, facts: DataFrame, length: int) -> DataFrame:
    """Return pins (category and more) with top, the popular pins to fill up with; null where there are none."""
    most = F.broadcast(popular(facts, length))
    named = pins.withColumn("category", F.coalesce("category", F.lit(EVERYTHING)))
    return named.join(most, "category", "left").drop("category")


def popular(facts: DataFrame, length: int) -> DataFrame:
    """Return category, top: its most popular pins; one row a category, so that it can be sent to every task.

    The row '' has those of all categories, for pins without one.
    """
    best = Window.partitionBy("category").orderBy(F.desc("popularity"), "pin_id")
    saved = facts.where("popularity > 0")
    own = saved.where(F.col("category") != EVERYTHING)  # null is left out
    saved = own.unionByName(saved.withColumn("category", F.lit(EVERYTHING)))
    known = saved.withColumn("place", F.row_number().over(best))
    # twice as many as wanted: some are left out by the rules
    few = known.where(F.col("place") <= 2 * length).withColumnRenamed("pin_id", "related_pin_id")
    score = F.round(F.lit(SCORE) / (1 + F.col("place")), 8).cast("float")
    told = {"score": score, "similarity": F.lit(None).cast("float"), "co_saves": F.lit(0), "reason": F.lit("popular")}
    entries = few.withColumns(told)
    return entries.groupBy("category").agg(F.array_sort(F.collect_list(F.struct(*ENTRY))).alias("top"))
