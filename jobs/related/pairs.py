"""gold.related_pairs: pin pairs scored 0 to 1 per signal, the input of related pins and of their evaluation.

In: gold.pin_neighbours, gold.pin_stats, gold.cf_factors, silver.app_board_pins, silver.app_boards, silver.pin_events,
silver.app_pins. Out: one row per pin and related pin.

    neighbours, co-saves, session co-views, links, ALS factors -> one row per pair -> each signal scaled to 0..1

Private, protected and deleted pins never appear: every signal is computed on the public pins of the as-of date.
"""

from datetime import timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.related.signals import co_saves, co_views, same_link, similar_factors


def related_pairs(tables: Tables, ctx: Context) -> DataFrame:
    """Return one row per pair of public pins with at least one signal, each signal scaled to 0..1.

    Raises:
        TableError, MissingDependencyError: see `similar_factors`.
    """
    related = ctx.settings.related
    public = tables["gold.pin_stats"].where(F.col("visibility") == "public")
    shown, since = public.select("pin_id"), ctx.instant - timedelta(days=ctx.settings.features.window_days)
    saved = co_saves(tables["silver.app_board_pins"], tables["silver.app_boards"], shown, related)
    viewed = co_views(tables["silver.pin_events"], shown, related, since)
    sources = (
        _best(saved, "rate", "trust", related.pairs_per_pin),
        _best(viewed, "view_rate", "view_trust", related.pairs_per_pin),
        same_link(tables["silver.app_pins"], shown, related.link_pin_cap),
        similar_factors(tables["gold.cf_factors"], public, ctx.settings),
    )
    return _scaled(_merge(tables["gold.pin_neighbours"], *sources), ctx.settings.neighbours.k)


def _best(pairs: DataFrame, rate: str, trust: str, most: int) -> DataFrame:
    """Return the `most` pairs of each pin with the highest rate times trust."""
    first = Window.partitionBy("pin_id").orderBy(F.desc(F.col(rate) * F.col(trust)), "related_pin_id")
    return pairs.withColumn("place", F.row_number().over(first)).where(F.col("place") <= most).drop("place")


def _merge(near: DataFrame, *others: DataFrame) -> DataFrame:
    """Return one row per pair with the raw values of each signal; null where a signal lacks the pair."""
    similarity = F.col("score").alias("similarity")
    pairs = near.select("pin_id", F.col("neighbour_id").alias("related_pin_id"), similarity, "rank")
    for other in others:
        pairs = pairs.unionByName(other, allowMissingColumns=True)
    values = [name for name in pairs.columns if name not in {"pin_id", "related_pin_id"}]
    return pairs.groupBy("pin_id", "related_pin_id").agg(*[F.max(name).alias(name) for name in values])


def _scaled(pairs: DataFrame, k: int) -> DataFrame:
    """Return pin_id, related_pin_id, similarity, co_saves and each signal's score, 0 to 1.

    Cosines lie close together and their scale differs per pin, so the neighbour rank discounts them:
    cosine * (1 - (rank - 1) / neighbours.k). Co-save and co-view rates are divided by the pin's best rate, then
    multiplied by trust. In the opposite order one common board would count as much as twenty for a pin without a
    better pair.
    """
    scores = {
        "looks_alike": _near("similarity", "rank", k),
        "saved_together": _share("rate") * F.col("trust"),
        "co_viewed": _share("view_rate") * F.col("view_trust"),
        "same_link": F.col("linked").cast("double"),
        "collaborative": _near("factor_cosine", "factor_rank", k),
    }
    scaled = [F.round(score, 6).cast("float").alias(source) for source, score in scores.items()]
    co_saved = F.coalesce("co_saves", F.lit(0)).alias("co_saves")
    return pairs.select("pin_id", "related_pin_id", "similarity", co_saved, *scaled)


def _near(cosine: str, rank: str, k: int) -> Column:
    discount = 1 - (F.col(rank) - 1) / F.lit(float(k))
    # greatest() skips nulls: a pair that the signal lacks would score 0
    return F.when(F.col(cosine).isNotNull(), F.greatest(F.col(cosine).cast("double") * discount, F.lit(0.0)))


def _share(rate: str) -> Column:
    return F.col(rate) / F.max(rate).over(Window.partitionBy("pin_id"))
