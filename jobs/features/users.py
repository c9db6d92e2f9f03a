"""User profiles: taste, habits, activity.

In: silver.app_users, silver.app_board_pins, silver.app_pins, silver.pin_events, silver.pin_embeddings,
gold.interactions. Out: gold.user_profile, one row per live user.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.features.signals import days_ago, exact_sum, recent_events, saves, within
from jobs.features.taste import tastes

MOST_CATEGORIES = 10


def user_profile(tables: Tables, ctx: Context) -> DataFrame:
    """Return every live user with activity, shares by category and hour, newest saves and taste.

    Events older than features.window_days and features.active_days are ignored: `last_active` of a user who left
    before is the time of the newest save. Accounts that are not active get no feed of their own.
    """
    cfg = ctx.settings.features
    saved = saves(tables["silver.app_board_pins"])
    recent = recent_saves(saved, tables["silver.app_pins"], cfg.recent_saves)
    taste = tastes(recent, tables["silver.pin_embeddings"], ctx.instant, cfg.half_life_days)
    users = tables["silver.app_users"].select(F.col("id").alias("user_id"), "created_at", "status")
    profile = (
        users.join(_save_counts(saved), "user_id", "left")
        .join(_habits(tables["silver.pin_events"], ctx), "user_id", "left")
        .join(_categories(tables["gold.interactions"], tables["silver.app_pins"]), "user_id", "left")
        .join(taste, "user_id", "left")
    )
    return _complete(profile, ctx)


def recent_saves(saved: DataFrame, pins: DataFrame, max_saves: int) -> DataFrame:
    """Return (user_id, pin_id, ts, rank): the newest live pins each user saved, rank 1 the newest."""
    live = pins.select(F.col("id").alias("pin_id"))
    pairs = saved.groupBy("user_id", "pin_id").agg(F.max("ts").alias("ts")).join(live, "pin_id")
    newest = Window.partitionBy("user_id").orderBy(F.desc("ts"), "pin_id")
    return pairs.withColumn("rank", F.row_number().over(newest)).where(F.col("rank") <= max_saves)


def _save_counts(saved: DataFrame) -> DataFrame:
    return saved.groupBy("user_id").agg(F.count(F.lit(1)).alias("n_saves"), F.max("ts").alias("_last_save"))


def _habits(events: DataFrame, ctx: Context) -> DataFrame:
    cfg = ctx.settings.features
    counted = within("ts", ctx.instant, cfg.window_days)
    hours = [F.count_if(counted & (F.hour("ts") == hour)) for hour in range(24)]
    weekdays = [F.count_if(counted & (F.weekday("ts") == day)) for day in range(7)]
    seen = recent_events(events, ctx.instant, max(cfg.window_days, cfg.active_days))
    habits = seen.groupBy("user_id").agg(
        F.count_if(counted).alias("n_events"),
        F.max("ts").alias("_last_event"),
        F.array(*hours).alias("_hours"),
        F.array(*weekdays).alias("_weekdays"),
    )
    return habits.select(
        *("user_id", "n_events", "_last_event"),
        _shares("_hours").alias("hours"),
        _shares("_weekdays").alias("weekdays"),
    )


def _shares(counts: str) -> Column:
    share = F.transform(counts, lambda n: F.round(n / F.col("n_events"), 6).cast("float"))
    return F.when(F.col("n_events") > 0, share)


def _categories(interactions: DataFrame, pins: DataFrame) -> DataFrame:
    # pins without a category form one of their own, so that the other shares stay true
    of_pin = pins.select(F.col("id").alias("pin_id"), F.coalesce("category", F.lit("")).alias("category"))
    weights = interactions.where(F.col("weight") > 0).join(of_pin, "pin_id")
    weights = weights.groupBy("user_id", "category").agg(exact_sum(F.col("weight")).alias("weight"))
    # bounded per user by the number of categories
    ranked = F.sort_array(F.collect_list(F.struct((-F.col("weight")).alias("minus"), "category")))
    users = weights.groupBy("user_id").agg(ranked.alias("all"))
    total = F.aggregate("all", F.lit(0.0), lambda sum_, one: sum_ - one["minus"])
    users = users.withColumn("total", total).withColumn("top", F.slice("all", 1, MOST_CATEGORIES))
    share = F.transform(
        "top", lambda one: F.struct(one["category"], F.round(-one["minus"] / F.col("total"), 6).cast("float"))
    )
    return users.select("user_id", F.map_from_entries(share).alias("categories"))


def _complete(profile: DataFrame, ctx: Context) -> DataFrame:
    last = F.greatest("_last_event", "_last_save")  # greatest skips nulls
    recent = days_ago(last, ctx.instant) <= F.lit(float(ctx.settings.features.active_days))
    allowed = F.coalesce(F.lower("status") == "active", F.lit(True))
    no_floats = F.array().cast("array<float>")
    return profile.select(
        *("user_id", "created_at", "taste"),
        F.coalesce("n_saves", F.lit(0)).cast("int").alias("n_saves"),
        F.coalesce("n_events", F.lit(0)).cast("int").alias("n_events"),
        last.alias("last_active"),
        F.coalesce(recent & allowed & last.isNotNull(), F.lit(False)).alias("is_active"),
        F.coalesce("categories", F.create_map().cast("map<string,float>")).alias("categories"),
        F.coalesce("hours", no_floats).alias("hours"),
        F.coalesce("weekdays", no_floats).alias("weekdays"),
        F.coalesce("recent_saves", F.array().cast("array<bigint>")).alias("recent_saves"),
    )
