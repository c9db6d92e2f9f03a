"""The coarse quantizer of an inverted file: cells found by k-means, and the cells nearest to a vector."""

import numpy as np

from jobs.knn.exact import Floats, Rows
from jobs.knn.index import blocks, library, limit_threads

PER_CELL = 64
"""Vectors per cell that training looks at; more change the centroids little."""


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
