"""Counts and weight per user and pin: saves from TiDB, closeups, clicks and hides from events.

In: silver.app_board_pins, silver.app_pins, silver.pin_events. Out: gold.interactions, one row per user and pin.
A save arrives twice, as a row of board_pins and as an event. Only the row counts, because it disappears when the save
is undone. Saves to secret boards count: the row is the user's own signal, and nobody else sees it.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.features.signals import decay, exact_sum, recent_events, saves
from jobs.settings.features import Features

HIDING = ("hide", "report")


def interactions(tables: Tables, ctx: Context) -> DataFrame:
    """Return counts and decayed weight per user and live pin.

    The weight is sum(event weight * 0.5^(age / half-life)), at most features.max_weight, and 0 once the user hid or
    reported the pin. A user keeps features.max_pins_per_user rows: saved and hidden pins first, then the newest.
    """
    cfg = ctx.settings.features
    events = recent_events(tables["silver.pin_events"], ctx.instant, cfg.window_days)
    events = events.where(F.col("kind").isin("closeup", "click", *HIDING)).select("user_id", "pin_id", "kind", "ts")
    saved = saves(tables["silver.app_board_pins"]).select("user_id", "pin_id", F.lit("save").alias("kind"), "ts")
    live = tables["silver.app_pins"].select(F.col("id").alias("pin_id"))
    pairs = _count(saved.unionByName(events), ctx).join(live, "pin_id")
    return _cap(pairs, cfg.max_pins_per_user)


def _count(signals: DataFrame, ctx: Context) -> DataFrame:
    cfg = ctx.settings.features
    kind = F.col("kind")
    hides = F.count_if(kind.isin(*HIDING))
    weight = exact_sum(_event_weight(cfg) * decay(F.col("ts"), ctx.instant, cfg.half_life_days))
    return signals.groupBy("user_id", "pin_id").agg(
        F.count_if(kind == "save").cast("int").alias("saves"),
        F.count_if(kind == "closeup").cast("int").alias("closeups"),
        F.count_if(kind == "click").cast("int").alias("clicks"),
        hides.cast("int").alias("hides"),
        F.when(hides > 0, F.lit(0.0)).otherwise(F.least(weight, F.lit(cfg.max_weight))).alias("weight"),
        F.min("ts").alias("first_ts"),
        F.max("ts").alias("last_ts"),
    )


def _event_weight(cfg: Features) -> Column:
    kind = F.col("kind")
    return (
        F.when(kind == "save", F.lit(cfg.weights.save))
        .when(kind == "click", F.lit(cfg.weights.click))
        .when(kind == "closeup", F.lit(cfg.weights.closeup))
        .otherwise(F.lit(0.0))
    )


def _cap(pairs: DataFrame, max_pins: int) -> DataFrame:
    decided = (F.col("saves") > 0) | (F.col("hides") > 0)
    newest = Window.partitionBy("user_id").orderBy(decided.desc(), F.desc("last_ts"), "pin_id")
    return pairs.withColumn("_rank", F.row_number().over(newest)).where(F.col("_rank") <= max_pins).drop("_rank")
