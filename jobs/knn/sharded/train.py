"""Trains the cells of an inverted file on a sample and tunes the number of probes against exact neighbours."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from jobs.knn.exact import Floats
from jobs.knn.inverted import PER_CELL, means
from jobs.knn.sharded.ground_truth import exact_neighbours, sample_rows, sample_vectors
from jobs.knn.tuning import Recall, fewest_probes, ranks_among
from jobs.lake.vectors import SINGLE, decode, encode, unit

MOST_CELLS = 1 << 16
"""Cells of the largest index: more cost a task more to assign vectors to than they save it in searching."""
TRAINED_ON = 1_000_000
"""Most vectors that k-means looks at: one task holds them."""
ROUNDS = 4
"""Of k-means: ten find the same recall at the same probes, 0.985 for 0.984 at 64 of 4,000 cells."""


@dataclass(frozen=True)
class Cells:
    """An inverted file's cells, and how it is searched."""

    centroids: Floats
    """[cells, d]."""
    probes: int
    recall: Recall

    @property
    def dim(self) -> int:
        """Return d."""
        return int(self.centroids.shape[1])

    @classmethod
    def single(cls, dim: int) -> "Cells":
        """Return one cell that holds all vectors: a search of it is exact."""
        centroid = np.zeros((1, dim), np.float32)
        centroid[0, 0] = 1
        return cls(centroid, 1, Recall(1.0, 1.0, 1.0, 2))


def train_cells(vectors: DataFrame, rows: int, dim: int, k: int, target: float, sample: int, seed: int) -> Cells:
    """Return 4 * sqrt(n) cells, and the fewest probes that reach the recall by the lower end of its interval.

    Args:
        vectors: id bigint, vector binary (float16).
        rows: how many there are.
        dim: values of a vector.
        k: neighbours wanted; below `rows`.
        target: share of the true neighbours to be found.
        sample: vectors that are compared with all others to judge it.
        seed: of the training and of the sample.

    Raises:
        ValidationFailedError: a quarter of the cells do not reach it.
    """
    count = min(MOST_CELLS, int(4 * np.sqrt(rows)))
    centroids = _centroids(vectors, rows, dim, count, seed)
    ids, queries = sample_vectors(vectors, rows, sample, dim, seed + 1)
    truth = exact_neighbours(vectors, ids, queries, k, centroids)
    ranks = ranks_among(queries, truth.cells.reshape(len(ids), k), centroids)
    probes, recall = fewest_probes(ranks, target, max(1, len(centroids) // 4))
    return Cells(centroids, probes, recall)


def _centroids(vectors: DataFrame, rows: int, dim: int, count: int, seed: int) -> Floats:
    """Return [count, dim], found by one task: the driver never holds the sample."""

    def train(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = list(batches)
        if held:
            table = pa.Table.from_batches(held)
            order = np.argsort(table.column("id").to_numpy())
            some = unit(decode(table.column("vector"), dim))[order]
            found = encode(means(some, min(count, len(some)), seed, ROUNDS), SINGLE)
            yield pa.RecordBatch.from_arrays([found], ["centroid"])

    some = sample_rows(vectors.select("id", "vector"), rows, min(TRAINED_ON, count * PER_CELL), seed)
    table = some.repartition(1).mapInArrow(train, "centroid binary").toArrow()  # bounded: MOST_CELLS rows
    return np.ascontiguousarray(decode(table.column("centroid"), dim, SINGLE), np.float32)
