"""Tuning: the fewest probes that reach a target recall on a sample.

A neighbour is found if its cell is among the probed ones, and Lists is exact within them. The exact neighbours of the
sample and the rank of their cells therefore determine the recall of every number of probes: one search suffices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.common.errors import ValidationFailedError
from jobs.knn.exact import Floats, Rows, ordered, rescore
from jobs.knn.inverted import SPARE, Best, nearest
from jobs.knn.source import Source

SAMPLE = 2_000
"""Vectors compared with all others: the interval is then some 0.002 to either side at a recall of 0.98."""
COLUMNS = 1_024
"""Vectors of one product with the sample."""
RANKED = 256
"""Sampled vectors whose cells are ranked at once: bounds the memory where there are many cells."""


@dataclass(frozen=True)
class Recall:
    """Share of the true neighbours found, with its 95 % interval over the sampled vectors."""

    mean: float
    low: float
    high: float
    sampled: int

    @classmethod
    def of(cls, hits: Floats) -> "Recall":
        """Return the mean of shares [s] and its interval, by the normal approximation."""
        mean = float(np.mean(hits))
        half = 1.96 * float(np.std(hits, ddof=1)) / float(np.sqrt(len(hits)))
        return cls(mean, max(0.0, mean - half), min(1.0, mean + half), len(hits))

    def __str__(self) -> str:
        """Return the share and its interval."""
        return f"{self.mean:.4f} ({self.low:.4f} to {self.high:.4f})"


def sample_of(n: int, most: int, seed: int) -> Rows:
    """Return at most `most` of n numbers, ascending."""
    drawn: Rows = np.sort(np.random.default_rng(seed).choice(n, min(n, most), replace=False))
    return drawn


def true_neighbours(source: Source, sample: Rows, k: int) -> Rows:
    """Return the k nearest others [s, k] of each sampled vector, by (-score, number), having compared it with all."""
    queries, slots = source.take(sample), np.arange(len(sample))
    best = Best(len(sample), min(k + 1 + SPARE, len(source)))
    for part in source.parts():
        vectors = source.take(part)
        for start in range(0, len(vectors), COLUMNS):
            some = vectors[start : start + COLUMNS]
            best.offer(slots, queries, some, part.start + start + np.arange(len(some)))
    near, which = np.unique(best.numbers, return_inverse=True)
    scores = rescore(source.take(near), queries, which.reshape(best.numbers.shape))
    scores[best.numbers == sample[:, None]] = -np.inf
    return ordered(scores, best.numbers, k)[1]


def cell_ranks(source: Source, sample: Rows, truth: Rows, centroids: Floats) -> Rows:
    """Return at which place [s, k] each true neighbour's cell stands among those its vector would look into."""
    near, which = np.unique(truth, return_inverse=True)
    cell = nearest(centroids, source.take(near), 1)[:, 0][which].reshape(truth.shape)
    return np.concatenate(
        [ranks_among(source.take(sample[part]), cell[part], centroids) for part in _parts(len(sample))]
    )


def ranks_among(queries: Floats, cells: NDArray[np.integer[Any]], centroids: Floats) -> Rows:
    """Return at which place [s, k] each of `cells` [s, k] stands among those that its query would look into."""
    ranks = np.empty(cells.shape, np.int64)
    for part in _parts(len(queries)):
        scores = queries[part] @ centroids.T
        places = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
        ranks[part] = np.take_along_axis(places, cells[part], 1)
    return ranks


def _parts(s: int) -> list[slice]:
    return [slice(start, start + RANKED) for start in range(0, s, RANKED)]


def fewest_probes(ranks: Rows, target: float, most: int) -> tuple[int, Recall]:
    """Return the fewest probes whose recall reaches `target` by the lower end of its interval, and that recall.

    Args:
        ranks: see `cell_ranks`.
        target: share of the true neighbours.
        most: probes above which comparing all vectors would be as cheap.

    Raises:
        ValidationFailedError: `most` probes do not reach it.
    """
    low, high = 1, most
    if (reached := recall_at(ranks, high)).low < target:
        raise ValidationFailedError(
            f"The recall must reach {target}, by the lower end of its interval; {most} probes, the most that are worth "
            f"it, reach {reached}. These vectors are not clustered enough: compare all (--recall 1), or ask for less."
        )
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if recall_at(ranks, middle).low >= target else (middle + 1, high)
    return low, recall_at(ranks, low)


def recall_at(ranks: Rows, probes: int) -> Recall:
    """Return the recall of so many probes."""
    return Recall.of((ranks < probes).mean(axis=1))
