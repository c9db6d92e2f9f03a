"""Trains collaborative filtering by implicit ALS: one vector per user and per pin. Only module that imports `implicit`.

In: gold.interactions, gold.pin_stats. Out: gold.cf_factors, one row per user and per pin with a public pair.

Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (2008), solved by conjugate gradients
(Takács, Pilászy, Tikk, 2011), with confidences scaled down for busy users and popular pins.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import ConfigError
from jobs.engine.context import Context, Tables
from jobs.lake.vectors import SINGLE, encode
from jobs.settings.candidates import Collaborative

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

_SCHEMA = pa.schema([("kind", pa.string()), ("id", pa.int64()), ("factor", pa.binary())])


@dataclass(frozen=True)
class Factors:
    """Result of a training. Ids ascend; row i of a factor matrix belongs to id i."""

    users: Ids
    pins: Ids
    user_factors: Floats
    """[users, factors]"""
    pin_factors: Floats
    """[pins, factors]"""


def cf_factors(tables: Tables, ctx: Context) -> DataFrame:
    """Return the factors of implicit ALS over every pair of a user and a public pin with weight above 0.

    Raises:
        ConfigError: there are more pairs than candidates.collaborative.max_pairs.
    """
    cfg = ctx.settings.candidates
    pairs = training_pairs(tables["gold.interactions"], tables["gold.pin_stats"])
    most = cfg.collaborative.max_pairs
    count = pairs.count()
    if count > most:
        raise ConfigError(
            f"Training on one node takes at most candidates.collaborative.max_pairs = {most:,} pairs, found {count:,}. "
            f"Raise it if the driver has about 60 bytes of memory a pair, or shorten features.window_days."
        )
    table = pairs.toArrow()  # bounded: max_pairs
    users, pins, weights = (table.column(name).to_numpy() for name in ("user_id", "pin_id", "weight"))
    return to_frame(fit(users, pins, weights, cfg.collaborative, cfg.seed), pairs)


def training_pairs(interactions: DataFrame, stats: DataFrame) -> DataFrame:
    """Return (user_id, pin_id, weight) to learn from: pairs of private pins must not influence other users' feeds."""
    public = stats.where(F.col("visibility") == "public").select("pin_id")
    return interactions.where("weight > 0").select("user_id", "pin_id", "weight").join(public, "pin_id", "left_semi")


def fit(users: Ids, pins: Ids, weights: NDArray[np.floating], cfg: Collaborative, seed: int) -> Factors:
    """Train on one node and return the factors.

    The result depends only on the set of rows, not on their order or the number of threads.

    Args:
        users: user of each pair, any 64-bit ids, [pairs].
        pins: pin of each pair, [pairs]. A pair given twice counts with the sum of its weights.
        weights: strength of each pair, above 0; only ratios matter.
        cfg: settings of the training.
        seed: of the initial factors.
    """
    user_ids, rows = np.unique(users, return_inverse=True)
    pin_ids, columns = np.unique(pins, return_inverse=True)
    if not len(user_ids):
        nothing = np.empty((0, cfg.factors), np.float32)
        return Factors(user_ids.astype(np.int64), pin_ids.astype(np.int64), nothing, nothing)
    matrix = confidence(rows, columns, weights, (len(user_ids), len(pin_ids)), cfg.degree_exponent)
    user_factors, pin_factors = _train(matrix, cfg, seed)
    return Factors(user_ids, pin_ids, user_factors, pin_factors)


def confidence(
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
    weights: NDArray[np.floating],
    shape: tuple[int, int],
    exponent: float,
) -> Any:
    """Return the matrix [users, pins] of confidences before alpha, as float32 CSR.

    weight / mean weight * (row degree / mean)^-exponent * (column degree / mean)^-exponent: dividing by the mean makes
    alpha mean the same whether the saves are a day or a year old.
    """
    from scipy.sparse import csr_matrix

    matrix = csr_matrix((weights.astype(np.float64), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.sort_indices()
    per_user = np.diff(matrix.indptr)
    per_pin = np.bincount(matrix.indices, minlength=shape[1])
    user_scale = (per_user / per_user.mean()) ** -exponent
    pin_scale = (per_pin / per_pin.mean()) ** -exponent
    matrix.data *= np.repeat(user_scale, per_user) * pin_scale[matrix.indices] / matrix.data.mean()
    return matrix.astype(np.float32)


def _train(matrix: Any, cfg: Collaborative, seed: int) -> tuple[Floats, Floats]:
    import implicit.gpu
    from implicit.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

    # its own threads work on rows; BLAS threads inside them would fight, and change the last bits
    with threadpool_limits(limits=1, user_api="blas"):
        # a new object each time: fit on a used one starts from its factors, and crashes if there are fewer users
        model = AlternatingLeastSquares(
            factors=cfg.factors,
            regularization=cfg.regularization,
            alpha=cfg.alpha,
            iterations=cfg.iterations,
            num_threads=cfg.threads,
            random_state=seed,
            use_gpu=implicit.gpu.HAS_CUDA,
        )
        model.fit(matrix, show_progress=False)
    return _host(model.user_factors), _host(model.item_factors)


def _host(factors: Any) -> Floats:
    array = factors.to_numpy() if hasattr(factors, "to_numpy") else factors
    return np.ascontiguousarray(array, dtype=np.float32)


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
