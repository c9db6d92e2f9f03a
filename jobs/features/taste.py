"""A user's taste: the decayed mean of the embeddings of recent saves.

In: recent saves (user_id, pin_id, rank, ts) and silver.pin_embeddings. Out: user_id, recent_saves (newest first) and
taste (unit length, float16), both in one pass over the same groups.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.features.signals import decay
from jobs.lake.vectors import decode

SCHEMA = "user_id bigint, recent_saves array<bigint>, taste binary"


def tastes(recent: DataFrame, embeddings: DataFrame, instant: datetime, half_life_days: float) -> DataFrame:
    """Return user_id, recent_saves and taste of each user with a recent save; taste is null without embeddings.

    A group is one user's recent saves, at most features.recent_saves rows.
    """
    vectors = main_model(embeddings).select("pin_id", "embedding")
    counted = recent.withColumn("decay", decay(F.col("ts"), instant, half_life_days)).join(vectors, "pin_id", "left")
    # sorted: the mean is summed in one order for any partitioning
    items = F.sort_array(F.collect_list(F.struct("rank", "pin_id", "decay", "embedding")))
    return counted.groupBy("user_id").agg(items.alias("items")).mapInArrow(mean_batches, SCHEMA)


def main_model(embeddings: DataFrame) -> DataFrame:
    """Return the embeddings of the model with the most pins: vectors of two models must not mix."""
    counts = embeddings.groupBy("model", "dim").count()
    most = counts.agg(F.max_by(F.struct("model", "dim"), F.struct("count", "model", "dim")).alias("main"))
    return embeddings.join(F.broadcast(most.select("main.*")), ["model", "dim"], "left_semi")


def mean_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield user_id, recent_saves and taste of (user_id, items: rank, pin_id, decay, embedding)."""
    for batch in batches:
        if batch.num_rows:
            items = batch.column("items")
            flat = items.flatten()
            lengths = items.value_lengths().to_numpy(zero_copy_only=False)
            ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
            saves = pa.ListArray.from_arrays(ends, flat.field("pin_id"))
            owners = np.repeat(np.arange(len(lengths)), lengths)
            taste = pa.array(_tastes(flat, owners, len(lengths)), pa.binary())
            yield pa.RecordBatch.from_arrays(
                [batch.column("user_id"), saves, taste], names=["user_id", "recent_saves", "taste"]
            )


def _tastes(items: pa.StructArray, owners: np.ndarray, users: int) -> list[bytes | None]:
    """Return each user's taste as bytes; None where no save has an embedding, or they cancel out."""
    raw = items.field("embedding")
    valid = raw.is_valid().to_numpy(zero_copy_only=False)
    users_with_vectors, lengths = np.unique(owners[valid], return_counts=True)
    taste: list[bytes | None] = [None] * users
    if len(users_with_vectors):
        vectors = decode(raw.drop_null())
        means = weighted_means(vectors, items.field("decay").to_numpy(zero_copy_only=False)[valid], lengths)
        for user, mean in zip(users_with_vectors, means.astype("<f2"), strict=True):
            taste[user] = mean.tobytes() if mean.any() else None
    return taste


def weighted_means(vectors: np.ndarray, weights: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the weighted mean of each run of rows, at unit length; zeros where the rows cancel out.

    Args:
        vectors: rows of all users one after the other, [n, d].
        weights: of each row, [n]; scale does not matter.
        lengths: rows of each user, at least 1, [users].
    """
    starts = np.cumsum(lengths) - lengths
    # the newest save has weight 1: the weights of very old saves would vanish in float32
    scaled = weights / np.repeat(np.maximum.reduceat(weights, starts), lengths)
    sums = np.add.reduceat(vectors.astype(np.float32) * scaled[:, None].astype(np.float32), starts, axis=0)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, norms, out=np.zeros_like(sums), where=norms > 1e-6)
