"""Exact neighbours of a sample by brute force: the ground truth for tuning and auditing an index."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.knn.exact import Floats, Rows, rescore
from jobs.knn.index import limit_threads
from jobs.knn.inverted import SPARE, Best, nearest
from jobs.knn.sharded.packed_vectors import PACKED_PAIRS, Pairs, best, merge_top_k, pack_batch
from jobs.knn.sharded.search import DIGITS
from jobs.knn.sharded.shuffle import rebatch
from jobs.knn.tuning import COLUMNS
from jobs.lake.vectors import decode, unit

BATCH_ROWS = 1 << 15
"""Vectors that are compared with the sample at once."""
BUCKETS = 8


@dataclass(frozen=True)
class Sample:
    """Vectors whose true neighbours are wanted."""

    ids: Rows
    """[s]."""
    queries: Floats
    """[s, d], of length one."""
    k: int
    centroids: Floats | None
    """[cells, d], where it is asked which cell a neighbour stands in."""


def exact_neighbours(vectors: DataFrame, ids: Rows, queries: Floats, k: int, centroids: Floats | None = None) -> Pairs:
    """Return the k nearest of all vectors to each of a sample, itself by id not among them, by (id, rank).

    By (-cosine of six decimals, id), as the search orders them. Each task keeps k for each of the sample, so what is
    shuffled grows with the tasks and not with the vectors.

    Args:
        vectors: id bigint, vector binary (float16), none NaN or zero.
        ids: [s], of the sample, ascending.
        queries: [s, d], of length one.
        k: neighbours wanted.
        centroids: [cells, d]; given, the result says which is nearest to each neighbour.
    """
    shared = vectors.sparkSession.sparkContext.broadcast(Sample(ids, queries, k, centroids))

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from pack_batch(compared(batches, shared.value).rows(BUCKETS), PACKED_PAIRS)

    found = vectors.select("id", "vector").mapInArrow(look, PACKED_PAIRS)
    table = merge_top_k(found, BUCKETS, k).orderBy("id", "rank").toArrow()  # bounded: s * k rows
    return Pairs(*[table.column(name).to_numpy() for name in ("id", "neighbour", "score", "cell")])


def compared(batches: Iterable[pa.RecordBatch], sample: Sample) -> Pairs:
    """Return the k best of id, vector for each of the sample; runs on an executor."""
    limit_threads()
    kept = Pairs.concat([])
    for table in rebatch(batches, BATCH_ROWS):
        some = unit(decode(table.column("vector"), sample.queries.shape[1]))
        kept, _ = best(Pairs.concat([kept, _among(sample, table.column("id").to_numpy(), some)]), sample.k)
    return kept


def _among(sample: Sample, ids: Rows, vectors: Floats) -> Pairs:
    slots = np.arange(len(sample.ids))
    found = Best(len(slots), min(sample.k + 1 + SPARE, len(ids)))
    for start in range(0, len(ids), COLUMNS):
        some = vectors[start : start + COLUMNS]
        found.offer(slots, sample.queries, some, start + np.arange(len(some)))
    rows = found.numbers
    scores = np.round(rescore(vectors, sample.queries, rows).astype(np.float64), DIGITS).astype(np.float32)
    other = ids[rows] != sample.ids[:, None]
    cells = np.zeros(rows.shape, np.int32)
    if sample.centroids is not None:
        near, which = np.unique(rows, return_inverse=True)
        cells = nearest(sample.centroids, vectors[near], 1)[:, 0][which].reshape(rows.shape).astype(np.int32)
    lines = np.repeat(sample.ids, other.sum(axis=1))
    return Pairs(lines, ids[rows[other]], np.clip(scores[other], -1, 1), cells[other])


_RANGE = 1 << 30


def sample_rows(vectors: DataFrame, rows: int, most: int, seed: int) -> DataFrame:
    """Return about `most` of `rows` vectors: those whose id, hashed with the seed, falls into that share."""
    share = int(_RANGE * min(1.0, most / max(1, rows)))
    return vectors.where(F.pmod(F.xxhash64("id", F.lit(seed)), F.lit(_RANGE)) < share)


def sample_vectors(vectors: DataFrame, rows: int, most: int, dim: int, seed: int) -> tuple[Rows, Floats]:
    """Return ids [s], ascending, and vectors of length one [s, d]; s is about `most`."""
    table = sample_rows(vectors.select("id", "vector"), rows, most, seed).toArrow()  # bounded: about `most` rows
    ids = table.column("id").to_numpy()
    order = np.argsort(ids)
    return ids[order], unit(decode(table.column("vector"), dim))[order]
