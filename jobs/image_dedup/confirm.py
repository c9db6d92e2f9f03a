"""Near hashes confirmed by embeddings: a hash sees where an image is light and dark, an embedding what is on it."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import TableError
from jobs.lake.vectors import decode, unit

ALONE = 2
"""Bits up to which two hashes are believed without embeddings."""
DIGITS = 6
"""Decimals of a cosine: coarser than float32's error, so that every machine decides alike."""
_SCHEMA = "left bigint, right bigint, distance int, cosine float"


def confirmed(pairs: DataFrame, vectors: DataFrame, cosine: float, alone: int = ALONE) -> DataFrame:
    """Return left, right, distance, cosine of the pairs that their embeddings confirm.

    A pair with vectors on both sides is kept if their cosine is at least `cosine`. Where one is missing, zero or not
    finite, nothing can be told: the pair is kept, its cosine null, if its hashes differ in at most `alone` bits.

    Args:
        pairs: left, right, distance.
        vectors: id bigint, embedding binary (float16), at most one row an id, all of one model.
        cosine: least cosine.
        alone: most bits for a pair without; -1 drops them all.

    Raises:
        TableError: on execution, vectors of different lengths.
    """
    one = vectors.select(F.col("id").alias("left"), F.col("embedding").alias("a"))
    other = vectors.select(F.col("id").alias("right"), F.col("embedding").alias("b"))
    both = pairs.select("left", "right", "distance").join(one, "left", "left").join(other, "right", "left")

    def compare(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _kept(batch, cosine, alone)

    return both.select("left", "right", "distance", "a", "b").mapInArrow(compare, _SCHEMA)


def _kept(batch: pa.RecordBatch, cosine: float, alone: int) -> pa.RecordBatch:
    left, right, distance, a, b = batch.columns
    both = pc.and_(a.is_valid(), b.is_valid())
    found = np.full(batch.num_rows, np.nan)
    found[both.to_numpy(zero_copy_only=False)] = cosines(a.filter(both), b.filter(both))
    unknown = np.isnan(found)
    keep = pa.array(np.where(unknown, distance.to_numpy() <= alone, found >= cosine))
    told = pa.array(found.astype(np.float32), mask=unknown)
    columns = [column.filter(keep) for column in (left, right, distance, told)]
    return pa.RecordBatch.from_arrays(columns, ["left", "right", "distance", "cosine"])


def cosines(a: pa.Array, b: pa.Array) -> NDArray[np.float64]:
    """Return the cosines of two columns of vectors row by row, rounded; NaN where a vector says nothing.

    Raises:
        TableError: vectors of different lengths.
    """
    one, other = decode(a), decode(b)
    if one.shape != other.shape:
        raise TableError(
            f"Vectors of a pair must have one length, got {one.shape[1]} and {other.shape[1]}: "
            f"pass the vectors of one model."
        )
    one, other = unit(one).astype(np.float64), unit(other).astype(np.float64)
    dots = np.round(np.clip(np.einsum("ij,ij->i", one, other), -1, 1), DIGITS)
    dots[~(one.any(axis=1) & other.any(axis=1))] = np.nan
    return dots
