"""Metrics of related pins with 95 % intervals: recall of next co-saves, save rates of logged impressions.

Spark aggregates; the driver receives one row per segment, or per segment and model.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common.intervals import Estimate, interval, ratio_interval
from jobs.related.signals import SIGNALS

BLEND, POPULAR = "related_pins", "popular"
MODELS = (BLEND, *SIGNALS, POPULAR)
SEGMENTS = ("all", "head", "torso", "tail")
FIRST = 10
"""Positions visible without much scrolling."""
RESULT = (
    "model string, segment string, metric string, k int, value double, lower double, upper double, judged bigint, "
    "hits bigint"
)
Line = tuple[str, str, str, int, float | None, float | None, float | None, int, int | None]
_NOTHING = (None, None, None)
_PARTS = ("listed", "shown", "other", "missed")
"""Per user: weighted saves and impressions of listed pins, and of pins that are not listed."""


def recall_lines(lists: DataFrame, truth: DataFrame, length: int) -> list[Line]:
    """Return recall of every model and its difference to the blend, by segment and k.

    A query pin without a list counts as 0.

    Args:
        lists: model, pin_id, related_pin_id, position.
        truth: pin_id, related_pin_id, segment: the next co-saves, with the segment of the query pin.
        length: of a full list.
    """
    cuts = sorted({min(FIRST, length), length})
    found = lists.join(truth, ["pin_id", "related_pin_id"])
    hit = {
        (model, k): F.sum(F.when((F.col("model") == model) & (F.col("position") <= k), 1).otherwise(0))
        for model in MODELS
        for k in cuts
    }
    names = {key: f"h{place}" for place, key in enumerate(hit)}
    hits = found.groupBy("pin_id").agg(*[column.alias(names[key]) for key, column in hit.items()])
    pins = truth.groupBy("pin_id").agg(F.first("segment").alias("segment"), F.count(F.lit(1)).alias("truths"))
    judged = pins.join(hits, "pin_id", "left").fillna(0)
    share = {(model, k): F.col(names[model, k]) / F.col("truths") for model, k in names}
    gaps = {(f"{BLEND}_minus_{source}", k): share[BLEND, k] - share[source, k] for source in SIGNALS for k in cuts}
    values = share | gaps
    sums = [F.count(F.lit(1)).alias("n"), *[F.sum(name).alias(name) for name in names.values()]]
    for place, value in enumerate(values.values()):
        sums += [F.sum(value).alias(f"v{place}"), F.sum(value * value).alias(f"s{place}")]
    both = judged.withColumn("segment", F.explode(F.array("segment", F.lit("all"))))
    rows = {row["segment"]: row.asDict() for row in both.groupBy("segment").agg(*sums).collect()}  # bounded: segments
    return [
        _recall(rows.get(segment), model, segment, k, place, names.get((model, k)))
        for segment in SEGMENTS
        for place, (model, k) in enumerate(values)
    ]


def _recall(row: Mapping[str, Any] | None, model: str, segment: str, k: int, place: int, name: str | None) -> Line:
    if row is None:
        return (model, segment, "recall", k, *_NOTHING, 0, None if name is None else 0)
    found = interval(row[f"v{place}"], row[f"s{place}"], row["n"])
    return (model, segment, "recall", k, *found, row["n"], None if name is None else row[name])


def save_lines(judged: DataFrame, length: int) -> list[Line]:
    """Return save_rate, save_rate_others and save_gain of every model, by segment; intervals are over users.

    Args:
        judged: user_id, segment of the query pin, saved, weighted_save (a save weighted by the inverse propensity of
            its position), models (those that list the pin for the query pin; null: none).
        length: of a full list.
    """
    rows = {(row["segment"], row["model"]): row.asDict() for row in _moments(judged).collect()}  # bounded: models
    lines = []
    for segment in SEGMENTS:
        for model in MODELS:
            lines += list(_saves(rows.get((segment, model)), model, segment, length))
    return lines


def _moments(judged: DataFrame) -> DataFrame:
    """Return segment, model, users and the sums over users of _PARTS, of each product of two, and of plain saves."""
    both = judged.withColumn("segment", F.explode(F.array("segment", F.lit("all"))))
    total = [
        F.sum("weighted_save").alias("weighted_save"),
        F.count(F.lit(1)).alias("all"),
        F.sum("saved").alias("saves"),
    ]
    for place, model in enumerate(MODELS):
        mine = F.coalesce(F.array_contains("models", model), F.lit(False)).cast("double")
        for name, value in (("w", F.col("weighted_save")), ("n", F.lit(1.0)), ("s", F.col("saved"))):
            total.append(F.sum(mine * value).alias(f"{name}{place}"))
    users = both.groupBy("segment", "user_id").agg(*total)
    each = [
        F.struct(
            F.lit(model).alias("model"),
            F.col(f"w{place}").alias("listed"),
            F.col(f"n{place}").alias("shown"),
            (F.col("weighted_save") - F.col(f"w{place}")).alias("other"),
            (F.col("all") - F.col(f"n{place}")).alias("missed"),
            F.col(f"s{place}").alias("saves"),
            (F.col("saves") - F.col(f"s{place}")).alias("other_saves"),
        )
        for place, model in enumerate(MODELS)
    ]
    moments = users.select("segment", F.explode(F.array(*each)).alias("of")).select("segment", "of.*")
    sums = [F.sum(name).alias(name) for name in (*_PARTS, "saves", "other_saves")]
    for a, b in combinations_with_replacement(_PARTS, 2):
        sums.append(F.sum(F.col(a) * F.col(b)).alias(f"{a}_{b}"))
    return moments.groupBy("segment", "model").agg(F.count(F.lit(1)).alias("users"), *sums)


def _saves(row: Mapping[str, Any] | None, model: str, segment: str, k: int) -> Iterator[Line]:
    parts = {
        "save_rate": (_PARTS[:2], "shown", "saves"),
        "save_rate_others": (_PARTS[2:], "missed", "other_saves"),
        "save_gain": (_PARTS, "shown", None),
    }
    for metric, (names, judged, hits) in parts.items():
        found: Estimate | None = None
        if row is not None:
            products = [[row.get(f"{a}_{b}", row.get(f"{b}_{a}")) for b in names] for a in names]
            found = ratio_interval([row[name] for name in names], products, row["users"])
        counted = round(row[judged]) if row else 0
        saved = None if hits is None else round(row[hits]) if row else 0
        yield (model, segment, metric, k, *(found or _NOTHING), counted, saved)
