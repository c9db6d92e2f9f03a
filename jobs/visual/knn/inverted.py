"""An inverted-file index for more vectors than can all be compared: built once on the driver, searched on executors.

Only centroids and each vector's cell are sent about; an executor lays the matrix out by them in one copy. Results are
scored and ordered like the exact index's; a neighbour that was not found is row -1, at the end.
"""

from dataclasses import dataclass

import numpy as np

from jobs.errors import ConfigError
from jobs.visual.knn.exact import Floats, Rows, require_matrix
from jobs.visual.knn.index import Index, Wanted, blocks, library, limit_threads
from jobs.visual.knn.listmajor import Lists
from jobs.visual.knn.source import prepare

PER_CELL = 64
"""Vectors per cell that training looks at; more change the centroids little."""


@dataclass(frozen=True)
class Cells:
    """A trained coarse quantizer and the cell of each vector."""

    centroids: Floats
    """[cells, d]."""
    cell: Rows
    """[n], row of `centroids`."""


def train(vectors: Floats, seed: int, threads: int | None = None) -> Cells:
    """Return 4 * sqrt(n) cells found by spherical k-means on a sample.

    The count is the measured optimum for self-joins of 300 thousand to 20 million unit vectors.
    """
    centroids = means(vectors, min(len(vectors), int(4 * np.sqrt(len(vectors)))), seed, 10, threads)
    return Cells(centroids, nearest(centroids, vectors, 1)[:, 0])


def means(vectors: Floats, count: int, seed: int, rounds: int, threads: int | None = None) -> Floats:
    """Return `count` centroids [count, d] by spherical k-means on `vectors`, PER_CELL for each at most."""
    limit_threads(threads)
    found = library().Kmeans(
        vectors.shape[1],
        count,
        niter=rounds,
        seed=seed % (1 << 31),
        spherical=True,
        max_points_per_centroid=PER_CELL,
        min_points_per_centroid=1,
    )
    found.train(vectors)
    centroids: Floats = np.ascontiguousarray(found.centroids)
    return centroids


def nearest(centroids: Floats, vectors: Floats, probes: int) -> Rows:
    """Return the `probes` cells [n, probes] nearest to each vector, best first."""
    quantizer = library().IndexFlatIP(centroids.shape[1])
    quantizer.add(centroids)
    cells = np.empty((len(vectors), probes), np.int64)
    for part in blocks(len(vectors)):
        cells[part] = quantizer.search(vectors[part], probes)[1]
    return cells


class Inverted:
    """Vectors by cell; a query looks into the `probes` nearest cells."""

    def __init__(self, vectors: Floats, cells: Cells, probes: int, threads: int | None = None) -> None:
        """Lay the vectors out by trained cells."""
        self.vectors = require_matrix("vectors", vectors)
        self.probes = probes
        self.threads = threads
        self._centroids = cells.centroids
        self._lists = Lists(prepare(self.vectors, metric="ip")[0], cells.cell, len(cells.centroids))

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Return scores and rows [m, min(k, n)] by (-score, row); -inf and -1 where fewer were found."""
        queries = require_matrix("queries", queries, self.vectors.shape[1])
        k = min(k, len(self.vectors))
        scores, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        for part in blocks(len(queries)):
            limit_threads(self.threads)
            looked = nearest(self._centroids, queries[part], self.probes)
            scores[part], rows[part] = self._lists.search(queries[part], looked, k)
        return scores, rows


def tune(vectors: Floats, cells: Cells, queries: Rows, k: int, recall: float, wanted: Wanted = "auto") -> int:
    """Return the fewest probes, doubling from one, that find `recall` of the exact top k.

    Judged by the lower end of a 95 % interval over the sampled `queries` (rows of `vectors`). All cells find all, so
    there is always an answer; the price of a high target is time.
    """
    _, truth = Index(vectors, wanted=wanted).search(vectors[queries], k)
    index = Inverted(vectors, cells, 1)
    while index.probes < len(cells.centroids):
        _, found = index.search(vectors[queries], k)
        if lower_recall(truth, found) >= recall:
            return index.probes
        index.probes *= 2
    return len(cells.centroids)


def lower_recall(truth: Rows, found: Rows) -> float:
    """Return the lower end of the 95 % interval of recall, by the normal approximation.

    Raises:
        ConfigError: fewer than two queries, from which no interval follows.
    """
    if len(truth) < 2:
        raise ConfigError(f"Recall needs two sampled pins or more, got {len(truth)}: raise visual.tuning_queries.")
    hits = [np.isin(t, f).mean() for t, f in zip(truth, found, strict=True)]
    return float(np.mean(hits) - 1.96 * np.std(hits, ddof=1) / np.sqrt(len(hits)))
