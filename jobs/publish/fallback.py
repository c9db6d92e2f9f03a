"""The feed of users who have none of their own: rising, then popular, public pins, for everybody and by category.

In: gold.pin_stats and gold.trending of the cut. Out: one row per segment and position, the columns of
gold.home_feed with `segment` (a category, or "all") for the user.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.publish import Publish
from jobs.publish.codec import DEFAULT_SEGMENT

_POOL = 5
"""Pins looked at per place of the feed, so that the owner cap still leaves a full one."""


def fallback_feed(pin_stats: DataFrame, trending: DataFrame, publish: Publish) -> DataFrame:
    """Return segment, position, pin_id, score, source, reason, reason_id.

    At most half a feed is trending pins, highest rise first; popular ones follow. A creator has at most
    publish.fallback_owner_cap pins in a segment.
    """
    public = pin_stats.where("visibility = 'public' and category is not null")
    public = public.select("pin_id", "creator_id", F.col("category").alias("segment"), "popularity")
    half = max(1, publish.fallback_length // 2)
    rising = trending.select("pin_id", F.col("score").cast("double").alias("score"))
    rising = rising.groupBy("pin_id").agg(F.max("score").alias("score")).join(public, "pin_id")
    rising = rising.select("segment", "pin_id", "creator_id", "score", F.lit("trending").alias("source"))
    popular = public.where("popularity > 0").select(
        "segment", "pin_id", "creator_id", F.col("popularity").alias("score"), F.lit("popular").alias("source")
    )
    pool = publish.fallback_length * _POOL
    # kept small by segment before the whole is looked at: there are a few dozen categories
    tops = _top(rising, pool).unionByName(_top(popular, pool))
    both = tops.unionByName(tops.withColumn("segment", F.lit(DEFAULT_SEGMENT)))
    once = _first(both, ["segment", "pin_id"], 1, _by_source())
    capped = _first(once, ["segment", "creator_id"], publish.fallback_owner_cap, _by_source())
    halved = _first(capped.where("source = 'trending'"), ["segment"], half, _by_source())
    kept = halved.unionByName(capped.where("source = 'popular'"))
    placed = kept.withColumn("position", F.row_number().over(Window.partitionBy("segment").orderBy(*_by_source())))
    return placed.where(F.col("position") <= publish.fallback_length).select(
        "segment",
        "position",
        "pin_id",
        F.col("score").cast("float").alias("score"),
        "source",
        F.col("source").alias("reason"),
        F.lit(None).cast("bigint").alias("reason_id"),
    )


def _by_source() -> list[Column]:
    # "trending" before "popular"; their scores are of different kinds and never compared
    return [F.col("source").desc(), F.col("score").desc(), F.col("pin_id")]


def _top(pins: DataFrame, limit: int) -> DataFrame:
    return _first(pins, ["segment"], limit, [F.col("score").desc(), F.col("pin_id")])


def _first(rows: DataFrame, group: list[str], limit: int, order: list[Column]) -> DataFrame:
    place = F.row_number().over(Window.partitionBy(*group).orderBy(*order))
    return rows.withColumn("_place", place).where(F.col("_place") <= limit).drop("_place")
