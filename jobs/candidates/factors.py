"""Trains collaborative filtering.

In: gold.interactions, gold.pin_stats. Out: gold.cf_factors, one row per user and per pin with a public pair.
"""

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.candidates.als import Factors, fit
from jobs.common.errors import ConfigError
from jobs.engine.context import Context, Tables
from jobs.lake.vectors import SINGLE, encode

_SCHEMA = pa.schema([("kind", pa.string()), ("id", pa.int64()), ("factor", pa.binary())])


def cf_factors(tables: Tables, ctx: Context) -> DataFrame:
    """Return the factors of implicit ALS over every pair of a user and a public pin with weight above 0.

    Raises:
        ConfigError: there are more pairs than candidates.collaborative.max_pairs.
    """
    cfg = ctx.settings.candidates
    pairs = training_pairs(tables["gold.interactions"], tables["gold.pin_stats"])
    most = cfg.collaborative.max_pairs
    found = pairs.count()
    if found > most:
        raise ConfigError(
            f"Training takes at most candidates.collaborative.max_pairs = {most:,} pairs to one node, found {found:,}. "
            f"Raise it if the driver has about 60 bytes of memory a pair, or shorten features.window_days."
        )
    table = pairs.toArrow()  # bounded: max_pairs
    users, pins, weights = (table.column(name).to_numpy() for name in ("user_id", "pin_id", "weight"))
    return to_frame(fit(users, pins, weights, cfg.collaborative, cfg.seed), pairs)


def training_pairs(interactions: DataFrame, stats: DataFrame) -> DataFrame:
    """Return (user_id, pin_id, weight) to learn from: what only few may see must not shape what others are shown."""
    public = stats.where(F.col("visibility") == "public").select("pin_id")
    return interactions.where("weight > 0").select("user_id", "pin_id", "weight").join(public, "pin_id", "left_semi")


def to_frame(factors: Factors, like: DataFrame) -> DataFrame:
    """Return gold.cf_factors in the session of `like`; rows without a direction (all zero) are left out."""
    parts = [
        *_part("user", factors.users, factors.user_factors),
        *_part("pin", factors.pins, factors.pin_factors),
    ]
    return like.sparkSession.createDataFrame(
        pa.Table.from_batches(parts, _SCHEMA), "kind string, id bigint, factor binary"
    )


def _part(kind: str, ids: np.ndarray, vectors: np.ndarray) -> list[pa.RecordBatch]:
    usable = vectors.any(axis=1)
    ids = ids[usable]
    if not len(ids):
        return []
    kinds = pa.array(np.full(len(ids), kind))
    return [pa.RecordBatch.from_arrays([kinds, pa.array(ids), encode(vectors[usable], SINGLE)], schema=_SCHEMA)]
