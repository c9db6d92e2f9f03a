"""The two readings of gold.ranked: what is shown, and what is not and why."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables

LENGTH = "length"
"""Named as the rule of a pin that nothing forbids but that found no place in the feed."""


def home_feed(tables: Tables, ctx: Context) -> DataFrame:
    """Return gold.home_feed: the placed candidates of gold.ranked, with the source that ranked them best."""
    shown = tables["gold.ranked"].where(F.col("position") <= ctx.settings.ranking.feed_length)
    source = F.element_at("sources", 1).alias("source")
    return shown.select("user_id", "position", "pin_id", "score", source, "reason", "reason_id", "arm")


def feed_drops(tables: Tables, ctx: Context) -> DataFrame:
    """Return gold.feed_drops: per user the ranking.drops_per_user best-scored candidates that are not in the feed."""
    best = Window.partitionBy("user_id").orderBy(F.col("score").desc(), F.col("pin_id"))
    dropped = tables["gold.ranked"].where(F.col("position").isNull())
    kept = dropped.withColumn("place", F.row_number().over(best)).where(
        F.col("place") <= ctx.settings.ranking.drops_per_user
    )
    rule = F.coalesce("rule", F.lit(LENGTH)).alias("rule")
    return kept.select("user_id", "pin_id", rule, "score", F.element_at("sources", 1).alias("source"))
