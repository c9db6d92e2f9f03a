"""Evaluates the feeds of `horizon_days` ago on saves made since, with a popularity baseline.

Protocol: global time split on the lake. Lists are those of the as-of one horizon earlier, made from data before it.
Evaluated users were active then and saved something new since. The ground truth of a user is every pin that they saved
in the horizon, to any board, that they had not saved before, that another user made and that is public; pins made
within the horizon count as misses of every list. All pins compete (no sampled negatives). An evaluated user without a
list scores 0. Baseline: public pins by decayed saves, without the user's own and those they saved or hid.
Intervals are mean ± 1.96 standard errors over users; `home_feed_minus_popularity` is the paired difference over the
same users. On a first day, without earlier lists or later saves, there are no rows.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from jobs.common.intervals import interval
from jobs.engine.context import Context, Tables
from jobs.ranking import metrics

DEPTHS = (10, 20, 50)
"""List lengths evaluated."""
LENGTH = max(DEPTHS)
BEYOND = 10_000
"""Popular pins considered beyond the list, to replace those that a user has seen."""
PAIRED = "home_feed_minus_popularity"
NAMES = tuple(f"{name}_{k}" for name in ("hr", "ndcg", "recall") for k in DEPTHS)
RESULT = "model string, metric string, k int, value double, lower double, upper double, users bigint"
Line = tuple[str, str, int, float, float | None, float | None, int]


def evaluations(tables: Tables, ctx: Context) -> DataFrame:
    """Return gold.evaluations.

    Reads @horizon: gold.home_feed, gold.candidates, gold.pin_stats, gold.user_profile, gold.interactions; and, of now,
    gold.pin_stats and silver.app_board_pins.
    """
    truth = truths(tables, ctx).persist(StorageLevel.MEMORY_AND_DISK)
    shown = lists(tables, truth.select("user_id").distinct()).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        users = truth.select("user_id").distinct().count()
        public_pins = _public(tables).count()
        lines: list[Line] = []
        if users and public_pins:
            seen = coverage(shown)
            lines = [*_means(sums(user_metrics(shown, truth)), seen, users), *_shares(seen, public_pins, users)]
        return truth.sparkSession.createDataFrame(sorted(lines, key=lambda line: line[:3]), RESULT)
    finally:
        truth.unpersist()
        shown.unpersist()


def truths(tables: Tables, ctx: Context) -> DataFrame:
    """Return (user_id, pin_id): the pins that each evaluated user newly saved within the horizon."""
    start, end = F.lit(ctx.before().instant), F.lit(ctx.instant)
    saved = tables["silver.app_board_pins"].where((F.col("saved_at") >= start) & (F.col("saved_at") < end))
    before = tables["gold.interactions@horizon"].where("saves > 0").select("user_id", "pin_id")
    public = tables["gold.pin_stats"].where("visibility = 'public'").select("pin_id", "creator_id")
    active = tables["gold.user_profile@horizon"].where("is_active").select("user_id")
    return (
        saved.select("user_id", "pin_id")
        .distinct()
        .join(active, "user_id", "left_semi")
        .join(before, ["user_id", "pin_id"], "left_anti")
        .join(public, "pin_id")
        .where("creator_id IS NULL OR creator_id <> user_id")
        .select("user_id", "pin_id")
    )


def lists(tables: Tables, users: DataFrame) -> DataFrame:
    """Return (model, user_id, pin_id, place): the first LENGTH places of every model, for these users."""
    feed = tables["gold.home_feed@horizon"].select(
        F.lit("home_feed").alias("model"), "user_id", "pin_id", F.col("position").alias("place")
    )
    sources = tables["gold.candidates@horizon"].select(
        F.col("source").alias("model"), "user_id", "pin_id", F.col("rank").alias("place")
    )
    shown = feed.unionByName(sources).where(F.col("place") <= LENGTH).join(users, "user_id", "left_semi")
    return shown.unionByName(popular(tables, users)).select("model", "user_id", "pin_id", "place")


def popular(tables: Tables, users: DataFrame) -> DataFrame:
    """Return the popularity list of each user: the most popular public pins they have not made, saved or hidden."""
    best = _public(tables).orderBy(F.col("popularity").desc(), "pin_id").limit(LENGTH + BEYOND)
    # one partition, of LENGTH + BEYOND rows
    number = F.row_number().over(Window.orderBy(F.col("popularity").desc(), "pin_id"))
    top = best.select("pin_id", "creator_id", number.alias("number"))
    met = tables["gold.interactions@horizon"].where("saves > 0 OR hides > 0").join(top, "pin_id")
    own = top.select(F.col("creator_id").alias("user_id"), "number")
    skipped = met.select("user_id", "number").union(own).groupBy("user_id").agg(F.collect_set("number").alias("met"))
    without = F.coalesce("met", F.expr("CAST(array() AS array<int>)"))
    free = F.array_except(F.sequence(F.lit(1), F.size(without) + LENGTH), without)
    places = users.join(skipped, "user_id", "left").select(
        "user_id", F.posexplode(F.slice(free, 1, LENGTH)).alias("place", "number")
    )
    return places.join(top, "number").select(
        F.lit("popularity").alias("model"), "user_id", "pin_id", (F.col("place") + 1).alias("place")
    )


def user_metrics(shown: DataFrame, truth: DataFrame) -> DataFrame:
    """Return (model, user_id) with one column of NAMES each, for users with a hit; all others have zeros."""
    hits = shown.join(truth, ["user_id", "pin_id"]).groupBy("model", "user_id").agg(F.collect_set("place").alias("at"))
    counts = truth.groupBy("user_id").agg(F.count(F.lit(1)).alias("truths"))
    schema = "model string, user_id bigint, " + ", ".join(f"{name} double" for name in NAMES)

    def evaluate(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            values = list_metrics(batch.column("at").to_pylist(), np.asarray(batch.column("truths")))
            ids = [batch.column("model"), batch.column("user_id")]
            columns = ids + [pa.array(values[name]) for name in NAMES]
            yield pa.RecordBatch.from_arrays(columns, names=["model", "user_id", *NAMES])

    return hits.join(counts, "user_id").select("model", "user_id", "at", "truths").mapInArrow(evaluate, schema)


def list_metrics(places: list[list[int]], truths: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Return each of NAMES for each list, from the positions (from 1) of its hits and the size of its user's truth."""
    hits = metrics.hit_matrix(places, LENGTH)
    values = {}
    for k in DEPTHS:
        values[f"hr_{k}"] = metrics.hit_rate(hits, k)
        values[f"ndcg_{k}"] = metrics.ndcg(hits, truths, k)
        values[f"recall_{k}"] = metrics.recall(hits, truths, k)
    return values


def sums(per_user: DataFrame) -> list[Row]:
    """Return one row per model, and one for the paired difference, with sum and sum of squares of each metric."""
    sign = F.when(F.col("model") == "home_feed", 1.0).otherwise(-1.0)
    pair = per_user.where(F.col("model").isin("home_feed", "popularity")).groupBy("user_id")
    paired = pair.agg(*[F.sum(sign * F.col(name)).alias(name) for name in NAMES])
    both = per_user.unionByName(paired.withColumn("model", F.lit(PAIRED)))
    first = [F.sum(name).alias(name) for name in NAMES]
    second = [F.sum(F.col(name) * F.col(name)).alias(f"{name}_squared") for name in NAMES]
    return both.groupBy("model").agg(*first, *second).collect()  # bounded: one row per model


def coverage(shown: DataFrame) -> list[Row]:
    """Return one row per model with the distinct pins among the first k of all lists, for each of DEPTHS."""
    first = [F.count_distinct(F.when(F.col("place") <= k, F.col("pin_id"))).alias(f"pins_{k}") for k in DEPTHS]
    return shown.groupBy("model").agg(*first).collect()  # bounded: one row per model


def _means(rows: Iterable[Row], seen: Iterable[Row], users: int) -> list[Line]:
    """Return mean and interval of each model's metrics over all evaluated users; a model without a hit has zeros."""
    sums_of = {row["model"]: row.asDict() for row in rows}
    models = {row["model"] for row in seen}
    if {"home_feed", "popularity"} <= models:
        models.add(PAIRED)
    lines: list[Line] = []
    for model in models:
        for name in NAMES:
            values = sums_of.get(model, {})
            metric, _, k = name.partition("_")
            total, squares = values.get(name, 0.0), values.get(f"{name}_squared", 0.0)
            lines.append((model, metric, int(k), *interval(total, squares, users), users))
    return lines


def _shares(seen: Iterable[Row], public_pins: int, users: int) -> list[Line]:
    return [
        (row["model"], "coverage", k, round(row[f"pins_{k}"] / public_pins, 6), None, None, users)
        for row in seen
        for k in DEPTHS
    ]


def _public(tables: Tables) -> DataFrame:
    return tables["gold.pin_stats@horizon"].where("visibility = 'public'")
