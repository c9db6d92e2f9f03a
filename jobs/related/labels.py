"""What happened since a cut that lists of related pins can be judged by: next co-saves, and logged impressions.

The log does not say which pin a list was shown beside. It is taken to be the pin that the person opened last before
the page request, of the last `related.query_hours`: one opens a pin to see what is beside it.
"""

from datetime import datetime, timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.engine.context import Tables
from jobs.related.co_occurrence import OPENING

SURFACE = "related_pins"


def next_co_saves(tables: Tables, since: datetime, cap: int) -> DataFrame:
    """Return (pin_id, related_pin_id), each pair once: the second was saved since to a public board that had the first.

    Reads silver.app_board_pins, silver.app_boards; of what pin_stats holds of now, only pins that all may see are
    right answers. Bounded by `cap` squared a board.

    Args:
        tables: inputs, of now.
        since: saves before it are no answers.
        cap: newest pins of a board that count.
    """
    public = tables["silver.app_boards"].where(F.col("privacy") == "public").select(F.col("id").alias("board_id"))
    seen = tables["gold.pin_stats"].where(F.col("visibility") == "public").select("pin_id")
    saves = tables["silver.app_board_pins"].join(public, "board_id", "left_semi").join(seen, "pin_id", "left_semi")
    newest = Window.partitionBy("board_id").orderBy(F.desc_nulls_last("saved_at"), "pin_id")
    recent = saves.withColumn("place", F.row_number().over(newest)).where(F.col("place") <= cap)
    boards = recent.groupBy("board_id").agg(F.collect_list(F.struct("pin_id", "saved_at")).alias("saves"))
    later = boards.select("saves", F.explode("saves").alias("next")).where(F.col("next.saved_at") >= F.lit(since))
    pairs = later.select(F.explode("saves").alias("had"), "next")
    pairs = pairs.where("had.saved_at <= next.saved_at and had.pin_id <> next.pin_id")
    return pairs.select("had.pin_id", F.col("next.pin_id").alias("related_pin_id")).distinct()


def logged(events: DataFrame, since: datetime, hours: float) -> DataFrame:
    """Return user_id, pin_id, related_pin_id, position, saved: impressions of related pins since, beside a query pin.

    saved is 1.0 where the impression ended in a save, else 0.0. Impressions without place or page request, and those of
    people who opened nothing in the hours before, cannot be judged and are left out.

    Args:
        events: rows of silver.pin_events, of now.
        since: impressions before it do not count.
        hours: see related.query_hours.
    """
    known = events.where(F.col("ds") >= F.lit(since.date())).where(F.col("ts") >= F.lit(since))
    known = known.where((F.col("surface") == SURFACE) & F.col("request_id").isNotNull())
    shown = F.col("kind") == "impression"
    each = known.where(shown | (F.col("kind") == "save")).groupBy("user_id", "request_id", "pin_id")
    outcomes = each.agg(
        F.min(F.when(shown, F.col("position"))).alias("position"),
        F.min(F.when(shown, F.col("ts"))).alias("ts"),
        F.max(F.when(shown, 0.0).otherwise(1.0)).alias("saved"),
    ).where("position is not null")
    queries = _queries(outcomes, events, since - timedelta(hours=hours), hours)
    return (
        outcomes.withColumnRenamed("pin_id", "related_pin_id")
        .join(queries, ["user_id", "request_id"])
        .where("pin_id <> related_pin_id")
        .select("user_id", "pin_id", "related_pin_id", "position", "saved")
    )


def _queries(outcomes: DataFrame, events: DataFrame, since: datetime, hours: float) -> DataFrame:
    """Return user_id, request_id, pin_id: the pin opened last before each page request."""
    # a page is asked for before its first pin is seen; what is opened from it comes after
    asked = outcomes.groupBy("user_id", "request_id").agg(F.min("ts").alias("ts"))
    opened = events.where((F.col("ds") >= F.lit(since.date())) & (F.col("ts") >= F.lit(since)))
    opened = opened.where(F.col("kind").isin(*OPENING)).select("user_id", "ts", F.struct("ts", "pin_id").alias("open"))
    both = asked.unionByName(opened, allowMissingColumns=True)
    # at one instant the request comes first, so that it never finds what came of it
    before = Window.partitionBy("user_id").orderBy("ts", F.col("request_id").isNull(), "open.pin_id")
    last = F.last("open", ignorenulls=True).over(before.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    found = both.withColumn("last", last).where("request_id is not null and last is not null")
    near = F.unix_micros("ts") - F.unix_micros("last.ts") <= hours * 3_600_000_000
    return found.where(near).select("user_id", "request_id", "last.pin_id")
