"""gold.related_pairs: what each source says of two pins, brought to 0..1. Related pins are blended and judged from it.

In: gold.pin_neighbours, gold.pin_stats, gold.cf_factors, silver.app_board_pins, silver.app_boards, silver.pin_events,
silver.app_pins. Out: one row per pin and related pin.

    neighbours, co-saves, sittings, links, factors -> one row a pair -> each source scaled to 0..1

Private, protected and deleted pins are never in it: every source sees the public pins of the cut alone.
"""

from datetime import timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.related.co_occurrence import co_opened, co_saves, same_link
from jobs.related.collaborative import saved_by_same


def related_pairs(tables: Tables, ctx: Context) -> DataFrame:
    """Return what each source says of each pair of public pins that at least one of them knows.

    Raises:
        TableError, MissingDependencyError: as `saved_by_same` does.
    """
    related = ctx.settings.related
    public = tables["gold.pin_stats"].where(F.col("visibility") == "public")
    shown, since = public.select("pin_id"), ctx.instant - timedelta(days=ctx.settings.features.window_days)
    saved = co_saves(tables["silver.app_board_pins"], tables["silver.app_boards"], shown, related)
    opened = co_opened(tables["silver.pin_events"], shown, related, since)
    sources = (
        _best(saved, "rate", "trust", related.pairs_per_pin),
        _best(opened, "open_rate", "open_trust", related.pairs_per_pin),
        same_link(tables["silver.app_pins"], shown, related.link_pin_cap),
        saved_by_same(tables["gold.cf_factors"], public, ctx.settings),
    )
    return _scaled(_merge(tables["gold.pin_neighbours"], *sources), ctx.settings.neighbours.k)


def _best(pairs: DataFrame, rate: str, trust: str, most: int) -> DataFrame:
    """Return the `most` surest pairs of each pin."""
    first = Window.partitionBy("pin_id").orderBy(F.desc(F.col(rate) * F.col(trust)), "related_pin_id")
    return pairs.withColumn("place", F.row_number().over(first)).where(F.col("place") <= most).drop("place")


def _merge(near: DataFrame, *others: DataFrame) -> DataFrame:
    """Return a row a pair with what each source says of it; null where a source lacks the pair."""
    similarity = F.col("score").alias("similarity")
    whole = near.select("pin_id", F.col("neighbour_id").alias("related_pin_id"), similarity, "rank")
    for other in others:
        whole = whole.unionByName(other, allowMissingColumns=True)
    values = [name for name in whole.columns if name not in {"pin_id", "related_pin_id"}]
    return whole.groupBy("pin_id", "related_pin_id").agg(*[F.max(name).alias(name) for name in values])


def _scaled(pairs: DataFrame, k: int) -> DataFrame:
    """Return pin_id, related_pin_id, similarity, co_saves and each source's strength, 0 to 1.

    Cosines lie close together and their size differs from pin to pin, so the place among the nearest counts too:
    cosine * (1 - (rank - 1) / neighbours.k). A co-save rate counts as a share of the pin's best rate, then times
    its trust: discounted first, one common board would be as sure as twenty where a pin has no better. So do sittings.
    """
    strengths = {
        "looks_alike": _near("similarity", "rank", k),
        "saved_together": _share("rate") * F.col("trust"),
        "co_viewed": _share("open_rate") * F.col("open_trust"),
        "same_link": F.col("linked").cast("double"),
        "collaborative": _near("near_cosine", "near_rank", k),
    }
    scaled = [F.round(strength, 6).cast("float").alias(source) for source, strength in strengths.items()]
    together = F.coalesce("co_saves", F.lit(0)).alias("co_saves")
    return pairs.select("pin_id", "related_pin_id", "similarity", together, *scaled)


def _near(cosine: str, rank: str, k: int) -> Column:
    place = 1 - (F.col(rank) - 1) / F.lit(float(k))
    # greatest() skips nulls: a pair that the source lacks would get a strength of 0
    return F.when(F.col(cosine).isNotNull(), F.greatest(F.col(cosine).cast("double") * place, F.lit(0.0)))


def _share(rate: str) -> Column:
    return F.col(rate) / F.max(rate).over(Window.partitionBy("pin_id"))
