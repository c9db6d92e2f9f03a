"""gold.related_pins: the list of related pins of each public pin.

In: gold.related_pairs, gold.image_clusters, gold.pin_stats. Out: one row per pin and position.

    signals -> weighted mean, adjusted by the related pin's save rate -> the best `related.pool`
    -> short pools are filled from a near-duplicate's list, then with popular pins of the category
    -> near-duplicates and pins beyond the owner cap removed, fresh pins inserted
    -> positions 1..related.length

Private, protected and deleted pins never appear: both ends are joined with the public pins of the same as-of date.
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.related.lists import backfill, best_pairs, borrow, choose_lists, pool_pairs
from jobs.related.signals import configured
from jobs.settings import Settings


def related_pins(tables: Tables, ctx: Context) -> DataFrame:
    """Return each public pin's related pins, near-duplicates and private pins removed.

    score is the blend, 0 to 1. similarity is null if the pin is not a nearest neighbour. co_saves is 0 if no public
    board contains both. reason is looks_alike, saved_together, both, co_viewed, same_link or collaborative;
    duplicate if the pin comes from the list of a near-duplicate; popular if only the category is shared.
    """
    related = ctx.settings.related
    public = tables["gold.pin_stats"].where(F.col("visibility") == "public")
    pairs = tables["gold.related_pairs"]
    factors, facts = _save_rate_factor(public), pin_facts(public, pairs, tables["gold.image_clusters"], ctx.settings)

    def best(some: DataFrame) -> DataFrame:
        scored = blended(some.join(factors, "related_pin_id"), configured(related), related.save_rate_weight)
        return best_pairs(scored.withColumn("reason", _reason()), related.pool, "pin_id")

    borrowers = borrow(facts, pairs, related.length)
    lenders = borrowers.select(F.col("lender").alias("pin_id")).distinct()
    borrowed_values = {"similarity": F.lit(None).cast("float"), "co_saves": F.lit(0), "reason": F.lit("duplicate")}
    lists = pool_pairs(best(pairs.join(lenders, "pin_id", "left_semi")).withColumns(borrowed_values), facts, "pin_id")
    borrowed = borrowers.join(lists.toDF("lender", "borrowed"), "lender").drop("lender")
    return choose_lists(backfill(pool_pairs(best(pairs), facts, "pin_id"), borrowed, facts, related), related)


def pin_facts(public: DataFrame, pairs: DataFrame, clusters: DataFrame, settings: Settings) -> DataFrame:
    """Return pin_id, owner, signature, twins, fresh, category, popularity of each public pin.

    The signature is the cluster of the image, if it has one, else the image's own.
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
    """Add score, 0 to 1: the weighted mean of the signals, adjusted by save_rate_factor; pairs of score 0 are dropped.

    Args:
        pairs: the signal columns of gold.related_pairs, and save_rate_factor, 0 to 1.
        weights: per signal, at least one above 0.
        save_rate_weight: strength of the adjustment; 0 disables it.
    """
    score = sum(
        (F.lit(weight) * F.coalesce(F.col(source).cast("double"), F.lit(0.0)) for source, weight in weights.items()),
        F.lit(0.0),
    )
    liked = (1 + F.lit(save_rate_weight) * (F.col("save_rate_factor") - 0.5)) / F.lit(1 + save_rate_weight / 2)
    mean = score / F.lit(sum(weights.values())) * liked
    return pairs.withColumn("score", F.round(mean, 6).cast("float")).where(F.col("score") > 0)


def _save_rate_factor(public: DataFrame) -> DataFrame:
    """Return related_pin_id, save_rate_factor: 0 to 1, 0.5 for a pin with its category's mean save rate."""
    means = public.groupBy(F.coalesce("category", F.lit("")).alias("_category")).agg(F.avg("save_rate").alias("mean"))
    rated = public.withColumn("_category", F.coalesce("category", F.lit(""))).join(F.broadcast(means), "_category")
    factor = F.coalesce(F.try_divide("save_rate", F.col("save_rate") + F.col("mean")), F.lit(0.5))
    return rated.select(F.col("pin_id").alias("related_pin_id"), F.round(factor, 6).alias("save_rate_factor"))


def _reason() -> Column:
    alike, saved = F.col("similarity").isNotNull(), F.col("co_saves") > 0
    reason = F.when(alike & saved, "both").when(alike, "looks_alike").when(saved, "saved_together")
    for source in ("co_viewed", "same_link"):
        reason = reason.when(F.col(source).isNotNull(), source)
    return reason.otherwise("collaborative")
