"""Pins of its category for a pin that too little is known of: about as many to choose from for rare and famous pins."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.visual import Visual

SCORE = 1e-4
"""Of the first that is filled in; the others have less. Below any score of a source that matters."""


def filled(pairs: DataFrame, public: DataFrame, visual: Visual) -> DataFrame:
    """Return the pairs, and for pins with fewer than visual.related_length of them popular pins of their category.

    Args:
        pairs: pin_id, related_pin_id, place from 1 without gaps, score, similarity, co_saves, reason and more.
        public: rows of gold.pin_stats that may be shown.
        visual: settings.
    """
    length = visual.related_length
    counts = pairs.groupBy("pin_id").agg(F.count(F.lit(1)).alias("n"))
    needy = public.select("pin_id", "category").join(counts, "pin_id", "left").fillna(0, ["n"])
    needy = needy.where((F.col("n") < length) & F.col("category").isNotNull())
    # twice as many as wanted: some are left out by the rules. One row a category, so that no category is joined by rows
    best = Window.partitionBy("category").orderBy(F.desc("popularity"), "pin_id")
    popular = public.where("popularity > 0").withColumn("at", F.row_number().over(best))
    entry = F.struct("at", F.col("pin_id").alias("related_pin_id"))
    lists = (
        popular.where(F.col("at") <= 2 * length)
        .groupBy("category")
        .agg(F.array_sort(F.collect_list(entry)).alias("top"))
    )
    more = needy.join(F.broadcast(lists), "category").select("pin_id", "n", F.explode("top").alias("one"))
    more = more.select(
        "pin_id",
        F.col("one.related_pin_id").alias("related_pin_id"),
        (F.col("n") + F.col("one.at")).cast("int").alias("place"),
        F.round(F.lit(SCORE) / (1 + F.col("one.at")), 8).cast("float").alias("score"),
        F.lit("popular").alias("reason"),
    )
    rest = more.join(pairs.select("pin_id", "related_pin_id"), ["pin_id", "related_pin_id"], "left_anti")
    return pairs.unionByName(rest, allowMissingColumns=True)
