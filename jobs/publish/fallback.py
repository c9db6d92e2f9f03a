"""Builds the fallback feeds, for users without a feed: rising, then popular, public pins, overall and by category.

In: gold.pin_stats and gold.trending of the as-of. Out: one row per segment and position, the columns of gold.home_feed
with `segment` (a category in lower case, or "all") for the user. Pins without a category are in "all" only.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.serving.codec import DEFAULT_SEGMENT
from jobs.settings.publish import Publish

if TYPE_CHECKING:
    import pyarrow as pa

_POOL = 5
"""Pins considered per position of the feed, so that the owner cap still leaves a full feed."""
_SCHEMA = "segment string, position int, pin_id bigint, score float, source string, reason string, reason_id bigint"


def fallback_feed(pin_stats: DataFrame, trending: DataFrame, publish: Publish) -> DataFrame:
    """Return segment, position, pin_id, score, source, reason, reason_id.

    At most half a feed is trending pins, highest trend score first; popular ones follow. A creator has at most
    publish.fallback_owner_cap pins in a segment. "all" ends with the newest of the pins that nobody has saved yet, so
    that it is there as soon as any pin is public.
    """
    # the store's key of a segment is in lower case: two spellings of a category are one segment
    category = F.lower(F.trim("category"))
    public = pin_stats.where("visibility = 'public'").withColumn("segment", F.when(category != "", category))
    public = public.select("pin_id", "creator_id", "segment", "popularity", "age_days")
    trend = trending.groupBy("pin_id").agg(F.max("score").cast("double").alias("score"))
    columns = ("segment", "pin_id", "creator_id", "score", "source")
    rising = public.join(trend, "pin_id").withColumn("source", F.lit("trending")).select(*columns)
    popular = public.where("popularity > 0").withColumn("score", F.col("popularity"))
    both = rising.unionByName(popular.withColumn("source", F.lit("popular")).select(*columns))
    # newest first; a pin of unknown age counts as old
    unsaved = public.where("popularity is null or popularity <= 0").withColumn("segment", F.lit(DEFAULT_SEGMENT))
    unsaved = unsaved.withColumn("score", F.coalesce(1 / (1 + F.col("age_days")), F.lit(0.0)))
    both = both.unionByName(unsaved.withColumn("source", F.lit("fresh")).select(*columns))
    best = Window.partitionBy("segment", "source").orderBy(F.col("score").desc(), "pin_id")
    length, cap = publish.fallback_length, publish.fallback_owner_cap
    # a few hundred pins of each of a few dozen categories are left: small enough for one task per segment
    tops = both.withColumn("_place", F.row_number().over(best)).where(F.col("_place") <= length * _POOL).drop("_place")
    everybody = tops.withColumn("segment", F.lit(DEFAULT_SEGMENT))
    own = tops.where(F.col("segment").isNotNull() & (F.col("segment") != DEFAULT_SEGMENT))
    segments = own.unionByName(everybody)

    def choose(table: "pa.Table") -> "pa.Table":
        return _table(chosen(table.to_pylist(), length, cap))

    return segments.groupBy("segment").applyInArrow(choose, _SCHEMA)


def chosen(pins: list[dict[str, Any]], length: int, owner_cap: int) -> list[dict[str, Any]]:
    """Return the pins of one segment's feed, in order, out of rows with pin_id, creator_id, score and source.

    Scores of different sources are never compared. Pins without a creator do not count for the owner cap.
    """
    feed: list[dict[str, Any]] = []
    seen: set[int] = set()
    owners: Counter[int | None] = Counter()
    for source, limit in (("trending", max(1, length // 2)), ("popular", length), ("fresh", length)):
        ranked = sorted((p for p in pins if p["source"] == source), key=lambda p: (-p["score"], p["pin_id"]))
        for pin in ranked:
            if len(feed) >= limit:
                break
            owner = pin["creator_id"]
            if pin["pin_id"] not in seen and (owner is None or owners[owner] < owner_cap):
                feed.append(pin)
                seen.add(pin["pin_id"])
                owners[owner] += 1
    return feed


def _table(feed: list[dict[str, Any]]) -> "pa.Table":
    import pyarrow as pa

    sources = pa.array([pin["source"] for pin in feed], pa.string())
    return pa.table(
        {
            "segment": pa.array([pin["segment"] for pin in feed], pa.string()),
            "position": pa.array(range(1, len(feed) + 1), pa.int32()),
            "pin_id": pa.array([pin["pin_id"] for pin in feed], pa.int64()),
            "score": pa.array([pin["score"] for pin in feed], pa.float32()),
            "source": sources,
            "reason": sources,
            "reason_id": pa.nulls(len(feed), pa.int64()),
        }
    )
