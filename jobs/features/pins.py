"""Engagement statistics and visibility per pin.

In: silver.app_pins, silver.app_boards, silver.app_board_pins, silver.pin_events. Out: gold.pin_stats, one row per live
pin. Only saves to public boards count: a private board must not show through a pin's numbers.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.features.interactions import HIDING
from jobs.features.signals import days_ago, decay, exact_sum, recent_events, saves, within

_SHOWN = ("impressions", "closeups", "clicks", "hides", "_saved_when_shown")
_SAVED = ("saves", "recent_saves")


def pin_stats(tables: Tables, ctx: Context) -> DataFrame:
    """Return every live pin with visibility, age, counts, smoothed save rate and decayed popularity.

    A pin whose board is missing, or whose board's privacy is unknown, counts as secret.
    """
    boards = tables["silver.app_boards"].select(
        F.col("id").alias("board_id"), F.lower(F.trim("privacy")).alias("privacy")
    )
    public = boards.where(F.col("privacy") == "public").select("board_id")
    attributes = _attributes(tables["silver.app_pins"], boards, ctx)
    seen = attributes.join(_shown(tables["silver.pin_events"], public, ctx), "pin_id", "left")
    seen = seen.withColumns({name: F.coalesce(F.col("_shown")[index], F.lit(0)) for index, name in enumerate(_SHOWN)})
    saved = _saved(saves(tables["silver.app_board_pins"]).join(public, "board_id"), ctx)
    stats = _rated(seen.drop("_shown"), ctx.settings.features.prior_impressions).join(saved, "pin_id", "left")
    return stats.fillna(0, list(_SAVED)).fillna(0.0, ["popularity"]).drop("_saved_when_shown")


def _attributes(pins: DataFrame, boards: DataFrame, ctx: Context) -> DataFrame:
    known = F.col("privacy").isin("public", "protected", "secret")
    age = F.round(days_ago(F.col("created_at"), ctx.instant), 6)
    attributes = pins.withColumnRenamed("id", "pin_id").join(boards, "board_id", "left")
    return attributes.select(
        *("pin_id", "creator_id", "category", "color", "style", "image_signature", "created_at"),
        F.when(known, F.col("privacy")).otherwise("secret").alias("visibility"),
        F.when(F.col("created_at").isNotNull(), age).alias("age_days"),
    )


def _saved(public_saves: DataFrame, ctx: Context) -> DataFrame:
    cfg = ctx.settings.features
    return public_saves.groupBy("pin_id").agg(
        F.count(F.lit(1)).alias("saves"),
        F.count_if(within("ts", ctx.instant, cfg.trend_days)).alias("recent_saves"),
        F.round(exact_sum(decay(F.col("ts"), ctx.instant, cfg.half_life_days)), 6).alias("popularity"),
    )


def _shown(events: DataFrame, public: DataFrame, ctx: Context) -> DataFrame:
    window = recent_events(events, ctx.instant, ctx.settings.features.window_days)
    public_saves = window.where(F.col("kind") == "save").join(public, "board_id").select("pin_id", "kind")
    others = window.where(F.col("kind").isin("impression", "closeup", "click", *HIDING)).select("pin_id", "kind")
    kind = F.col("kind")
    kinds = (kind == "impression", kind == "closeup", kind == "click", kind.isin(*HIDING), kind == "save")
    # one array: both uses below then read the same columns, and Spark counts the events once
    counts = F.array(*[F.count_if(condition) for condition in kinds]).alias("_shown")
    return others.unionByName(public_saves).groupBy("pin_id").agg(counts)


def _rated(stats: DataFrame, prior: float) -> DataFrame:
    """Add save_rate: mean of a Beta posterior; its prior is the category's mean, weighted as `prior` impressions."""
    # an impression may be lost while its save is not: a save proves that the pin was shown
    trials = F.greatest("impressions", "_saved_when_shown")
    public = F.col("visibility") == "public"
    rates = stats.groupBy(F.coalesce("category", F.lit("")).alias("_category")).agg(
        F.sum(F.when(public, F.col("_saved_when_shown")).otherwise(0)).alias("saved"),
        F.sum(F.when(public, trials).otherwise(0)).alias("shown"),
    )
    all_categories = Window.partitionBy(F.lit(1))  # a few dozen rows, one per category
    overall = F.try_divide(F.sum("saved").over(all_categories), F.sum("shown").over(all_categories))
    own = F.try_divide(F.col("saved"), F.col("shown"))
    rates = rates.select("_category", F.coalesce(own, overall, F.lit(0.0)).alias("_mean"))
    joined = stats.withColumn("_category", F.coalesce("category", F.lit(""))).join(F.broadcast(rates), "_category")
    rate = (F.col("_saved_when_shown") + F.lit(prior) * F.col("_mean")) / (trials + F.lit(prior))
    return joined.withColumn("save_rate", F.round(rate, 6)).drop("_category", "_mean")
