"""Computes the ranker's features of user-pin pairs, by one function for training and scoring.

In: pairs (user_id, pin_id and other columns), and the tables of one as-of. Out: the same rows with the pin's facts and
one float column per feature. Training reads the as-of one horizon before the impressions and scoring that of the run,
so a feature means the same in both and never contains what it predicts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import FloatType, StructField, StructType

from jobs.engine.context import Tables
from jobs.lake.vectors import HALF, SINGLE, decode

FEATURES = (
    "cf_score",
    "taste_cosine",
    "category_share",
    "creator_followed",
    "log_popularity",
    "log_impressions",
    "save_rate",
    "open_rate",
    "hide_rate",
    "trend",
    "log_age",
    "user_log_saves",
    "user_log_events",
)
"""The model's inputs, in order."""
FACTS = ("creator_id", "category", "color", "style", "visibility", "pin_known", "user_known")
"""Columns of pin and user in the result besides features; pin_known is null where the as-of has no such pin."""
VECTORS = {"cf_score": ("user_factor", "pin_factor", SINGLE), "taste_cosine": ("taste", "embedding", HALF)}
"""Feature -> the two binary columns whose inner product it is, and how their values are stored."""
VECTOR_COLUMNS = tuple(name for left, right, _ in VECTORS.values() for name in (left, right))
PRIOR = 20.0
"""Impressions added to the denominator of open and hide rates, so that one event on few impressions stays small."""


@dataclass(frozen=True)
class Known:
    """The tables of one as-of that features are computed from."""

    pins: DataFrame
    users: DataFrame
    factors: DataFrame
    embeddings: DataFrame
    follows: DataFrame

    @classmethod
    def of(cls, tables: Tables, suffix: str = "") -> "Known":
        """Return the tables of a job's inputs; `suffix` is "@horizon" for those of the earlier as-of."""
        names = ("gold.pin_stats", "gold.user_profile", "gold.cf_factors", "silver.pin_embeddings")
        return cls(*[tables[name + suffix] for name in (*names, "silver.app_user_follows")])


def paired(pairs: DataFrame, known: Known, facts: Sequence[str] = FACTS) -> DataFrame:
    """Return the pairs with facts, the features that SQL computes, and the vectors that `matrix` multiplies.

    No pair is lost or repeated.

    Args:
        pairs: user_id, pin_id and any columns that are neither a fact nor a feature.
        known: tables of one as-of. A pin or user they lack leaves nulls, which xgboost takes as missing.
        facts: FACTS, and other columns of the pins' table to carry along.
    """
    follows = known.follows.select("user_id", F.col("followee_id").alias("creator_id"), F.lit(1.0).alias("followed"))
    joined = (
        pairs.join(_pins(known, facts), "pin_id", "left")
        .join(_users(known), "user_id", "left")
        .join(follows.dropDuplicates(["user_id", "creator_id"]), ["user_id", "creator_id"], "left")
    )
    share = F.coalesce(F.col("categories")[F.coalesce("category", F.lit(""))], F.lit(0.0))
    ready = joined.withColumns(
        {
            "category_share": F.when(F.col("categories").isNotNull(), share),
            "creator_followed": F.coalesce("followed", F.lit(0.0)),
        }
    )
    computed = [F.col(name).cast("float") for name in FEATURES if name not in VECTORS]
    return ready.select(*pairs.columns, *facts, *computed, *VECTOR_COLUMNS)


def pair_features(pairs: DataFrame, known: Known) -> DataFrame:
    """Return the pairs with one float column for each of FEATURES: the ranker's training input.

    Args:
        pairs: user_id, pin_id and any columns that are neither a fact nor a feature.
        known: tables of one as-of.
    """
    kept = pairs.columns
    schema = StructType([*pairs.schema.fields, *[StructField(name, FloatType()) for name in FEATURES]])

    def compute(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            rows = matrix(batch)
            columns = [pa.array(rows[:, place], from_pandas=True) for place in range(len(FEATURES))]
            yield pa.RecordBatch.from_arrays([*batch.select(kept).columns, *columns], names=[*kept, *FEATURES])

    return paired(pairs, known).mapInArrow(compute, schema)


def dots(left: pa.Array, right: pa.Array, kind: str) -> np.ndarray[Any, Any]:
    """Return the inner product of each row's two vectors, float32, six digits.

    It is NaN where a vector is missing or the lengths differ.

    Args:
        left: binary column of n vectors.
        right: binary column of n vectors.
        kind: numpy type of the stored values, such as "<f4".
    """
    sizes = [np.asarray(pc.fill_null(pc.binary_length(side), 0)) for side in (left, right)]
    result = np.full(len(left), np.nan, np.float32)
    for size in np.unique(sizes[0][(sizes[0] == sizes[1]) & (sizes[0] > 0)]):
        rows = np.flatnonzero((sizes[0] == size) & (sizes[1] == size))
        a, b = (_matrix(side, rows, int(size), kind) for side in (left, right))
        # a plain product and sum: its last digits do not depend on the number of rows
        result[rows] = np.round((a * b).sum(axis=1), 6)
    return result


def _matrix(column: pa.Array, rows: np.ndarray[Any, Any], size: int, kind: str) -> np.ndarray[Any, Any]:
    return decode(column.take(pa.array(rows)), size // np.dtype(kind).itemsize, kind).astype(np.float32)


def matrix(batch: pa.RecordBatch | pa.Table) -> np.ndarray[Any, Any]:
    """Return the model's input, rows x FEATURES, float32, missing as NaN.

    Args:
        batch: each feature as a column; one of VECTORS may stand as its two vectors instead.
    """
    rows = np.empty((batch.num_rows, len(FEATURES)), np.float32)
    for place, name in enumerate(FEATURES):
        if name in batch.schema.names:
            rows[:, place] = np.asarray(batch.column(name))
        else:
            left, right, kind = VECTORS[name]
            rows[:, place] = dots(batch.column(left), batch.column(right), kind)
    return rows


def _pins(known: Known, facts: Sequence[str]) -> DataFrame:
    factors = known.factors.where(F.col("kind") == "pin").select(
        F.col("id").alias("pin_id"), F.col("factor").alias("pin_factor")
    )
    own = [name for name in facts if name not in {"pin_known", "user_known"}]
    return (
        known.pins.select("pin_id", *own, F.lit(True).alias("pin_known"), *_pin_features())
        .join(factors, "pin_id", "left")
        .join(known.embeddings.select("pin_id", "embedding"), "pin_id", "left")
    )


def _pin_features() -> list[Column]:
    shown, popular = F.col("impressions"), F.col("popularity")
    opened = (F.col("closeups") + F.col("clicks")) / (shown + PRIOR)
    # recent saves over decayed saves: near 1 for a pin that rises now, small for one that was popular before
    trend = F.col("recent_saves") / (popular + 1.0)
    return [
        F.log1p(popular).alias("log_popularity"),
        F.log1p(shown).alias("log_impressions"),
        F.col("save_rate"),
        opened.alias("open_rate"),
        (F.col("hides") / (shown + PRIOR)).alias("hide_rate"),
        trend.alias("trend"),
        F.log1p(F.greatest("age_days", F.lit(0.0))).alias("log_age"),
    ]


def _users(known: Known) -> DataFrame:
    factors = known.factors.where(F.col("kind") == "user").select(
        F.col("id").alias("user_id"), F.col("factor").alias("user_factor")
    )
    return known.users.select(
        "user_id",
        "categories",
        "taste",
        F.lit(True).alias("user_known"),
        F.log1p("n_saves").alias("user_log_saves"),
        F.log1p("n_events").alias("user_log_events"),
    ).join(factors, "user_id", "left")
