"""A sample of vectors by their ids: the same however they are stored or parted."""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.knn.exact import Floats, Rows
from jobs.lake.vectors import decode, unit

_RANGE = 1 << 30


def sampling(vectors: DataFrame, rows: int, most: int, seed: int) -> DataFrame:
    """Return about `most` of `rows` vectors: those whose id, hashed with the seed, falls into that share."""
    share = int(_RANGE * min(1.0, most / max(1, rows)))
    return vectors.where(F.pmod(F.xxhash64("id", F.lit(seed)), F.lit(_RANGE)) < share)


def sampled(vectors: DataFrame, rows: int, most: int, dim: int, seed: int) -> tuple[Rows, Floats]:
    """Return ids [s], ascending, and vectors of length one [s, d]; s is about `most`."""
    table = sampling(vectors.select("id", "vector"), rows, most, seed).toArrow()  # bounded: about `most` rows
    ids = table.column("id").to_numpy()
    order = np.argsort(ids)
    return ids[order], unit(decode(table.column("vector"), dim))[order]
