"""gold.related_pins: what to show beside a pin, from images that look alike and pins that go together.

In: gold.related_pairs, gold.image_clusters, gold.pin_stats. Out: one row per pin and position.

    what the sources say -> weighted mean, times how often the pin is saved when shown -> the best `related.pool`
    -> where a pin has too few, those of its near-duplicate, then a few of the category
    -> near-duplicates and owners' surplus out, new pins in
    -> positions 1..related.length

Private, protected and deleted pins are never in it: both ends are joined with the public pins of the same cut.
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.related.backfill import filled, loans
from jobs.related.lists import best_pairs, chosen, pooled
from jobs.related.sources import configured
from jobs.settings import Settings


def related_pins(tables: Tables, ctx: Context) -> DataFrame:
    """Return each public pin's related pins, near-duplicates and private pins removed.

    score is the blend, 0 to 1; similarity is null where the pin is not among the nearest; co_saves is 0 where no
    public board holds both; reason is looks_alike, saved_together, both of them, co_viewed, same_link,
    collaborative; duplicate where the pin stands in the list of a near-duplicate; or popular where nothing but the
    category is common.
    """
    related = ctx.settings.related
    public = tables["gold.pin_stats"].where(F.col("visibility") == "public")
    pairs = tables["gold.related_pairs"]
    worth, known = _worth(public), facts(public, pairs, tables["gold.image_clusters"], ctx.settings)

    def best(some: DataFrame) -> DataFrame:
        scored = blended(some.join(worth, "related_pin_id"), configured(related), related.save_rate_weight)
        return best_pairs(scored.withColumn("reason", _reason()), related.pool, "pin_id")

    borrowed = loans(known, pairs, related.length)
    lenders = borrowed.select(F.col("lender").alias("pin_id")).distinct()
    passed_on = {"similarity": F.lit(None).cast("float"), "co_saves": F.lit(0), "reason": F.lit("duplicate")}
    lists = pooled(best(pairs.join(lenders, "pin_id", "left_semi")).withColumns(passed_on), known, "pin_id")
    lent = borrowed.join(lists.toDF("lender", "lent"), "lender").drop("lender")
    return chosen(filled(pooled(best(pairs), known, "pin_id"), lent, known, related), related)


def facts(public: DataFrame, pairs: DataFrame, clusters: DataFrame, settings: Settings) -> DataFrame:
    """Return pin_id, owner, signature, twins, fresh, category, popularity: what the choice needs of each public pin.

    The signature is that of the cluster of its image, where it has one.
    """
    # the stored cosine is a float: compare as one, or 0.98 itself would fall below 0.98
    alike = pairs.where(F.col("similarity") >= F.lit(settings.image_dedup.duplicate_cosine).cast("float"))
    twins = alike.groupBy("pin_id").agg(F.array_sort(F.collect_list("related_pin_id")).alias("twins"))
    new = F.coalesce(F.col("age_days") <= settings.related.fresh_days, F.lit(False)).alias("fresh")
    own = clusters.select("image_signature", F.col("cluster_id").cast("string").alias("cluster"))
    signature = F.coalesce("cluster", "image_signature").alias("signature")
    known = public.join(own, "image_signature", "left")
    named = known.select("pin_id", F.col("creator_id").alias("owner"), signature, new, "category", "popularity")
    return named.join(twins, "pin_id", "left")


def blended(pairs: DataFrame, weights: Mapping[str, float], save_rate_weight: float) -> DataFrame:
    """Add score, 0 to 1: the weighted mean of the sources, raised or lowered by the pin's worth; no pair of score 0.

    Args:
        pairs: the sources' columns of gold.related_pairs, and worth, 0 to 1.
        weights: of each source, one of them above 0.
        save_rate_weight: how much worth counts; 0: nothing.
    """
    score = sum(
        (F.lit(weight) * F.coalesce(F.col(source).cast("double"), F.lit(0.0)) for source, weight in weights.items()),
        F.lit(0.0),
    )
    liked = (1 + F.lit(save_rate_weight) * (F.col("worth") - 0.5)) / F.lit(1 + save_rate_weight / 2)
    mean = score / F.lit(sum(weights.values())) * liked
    return pairs.withColumn("score", F.round(mean, 6).cast("float")).where(F.col("score") > 0)


def _worth(public: DataFrame) -> DataFrame:
    """Return related_pin_id, worth: 0 to 1, a half for a pin that is saved as often as its category's mean."""
    means = public.groupBy(F.coalesce("category", F.lit("")).alias("_category")).agg(F.avg("save_rate").alias("mean"))
    rated = public.withColumn("_category", F.coalesce("category", F.lit(""))).join(F.broadcast(means), "_category")
    worth = F.coalesce(F.try_divide("save_rate", F.col("save_rate") + F.col("mean")), F.lit(0.5))
    return rated.select(F.col("pin_id").alias("related_pin_id"), F.round(worth, 6).alias("worth"))


def _reason() -> Column:
    alike, saved = F.col("similarity").isNotNull(), F.col("co_saves") > 0
    told = F.when(alike & saved, "both").when(alike, "looks_alike").when(saved, "saved_together")
    for source in ("co_viewed", "same_link"):
        told = told.when(F.col(source).isNotNull(), source)
    return told.otherwise("collaborative")
