"""What neighbours by look have in common: users who rated both films, genres. Compared with shuffled lists."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.benchmarks.posters.dataset import Film, Given

FIRST, TOGETHER, DRAWS = 10, 50, 20
"""Neighbours evaluated; films most rated together with a film; shuffles averaged for chance."""
Rows = NDArray[np.int64]
Common = Callable[[Rows, Rows], NDArray[np.bool_]]
"""Whether the films at rows a and b have it in common, both [m]."""


@dataclass(frozen=True)
class Share:
    """Share of neighbours that have something in common with their film."""

    found: float
    chance: float
    """The same share with shuffled films; the popularity of neighbours is unchanged."""
    pairs: int

    @property
    def times(self) -> float:
        """Return the lift over chance."""
        return self.found / self.chance if self.chance else float("nan")


def share(queries: Rows, others: Rows, common: Common, seed: int) -> Share:
    """Return the share of pairs (queries[i], others[i]) that have it, and of the same others beside shuffled queries.

    Args:
        queries: [m] rows of films, each as often as it has neighbours, in runs.
        others: [m] rows of their neighbours.
        common: what is asked of a pair.
        seed: of the shuffles.
    """
    rng, films = np.random.default_rng(seed), np.unique(queries)
    place = np.searchsorted(films, queries)
    chance = [_mean(common(rng.permutation(films)[place], others)) for _ in range(DRAWS)]
    return Share(_mean(common(queries, others)), float(np.mean(chance)), len(queries))


def _mean(found: NDArray[np.bool_]) -> float:
    return float(found.mean()) if len(found) else 0.0


def rated_together(given: Given) -> Common | None:
    """Return whether b is among the films that a is most rated together with, by item-item cosine; None unrated."""
    if not len(given.films):
        return None
    from scipy.sparse import coo_matrix

    _, who = np.unique(given.users, return_inverse=True)
    what, n = np.searchsorted(given.ids, given.films), len(given.ids)
    seen = coo_matrix((np.ones(len(who), np.float32), (who, what)), (int(who.max()) + 1, n)).tocsr()
    seen.data[:] = 1
    together = (seen.T @ seen).toarray()  # bounded: films of the data set, squared
    counts = np.maximum(together.diagonal(), 1)
    cosine = together / np.sqrt(np.outer(counts, counts))
    np.fill_diagonal(cosine, 0)
    most = min(TOGETHER, n - 1)
    best = np.argpartition(-cosine, most - 1, axis=1)[:, :most]
    among = np.zeros((n, n), bool)
    np.put_along_axis(among, best, np.take_along_axis(cosine, best, 1) > 0, axis=1)
    return lambda a, b: np.asarray(among[a, b])


def genres_shared(ids: Rows, known: Mapping[int, Film]) -> Common | None:
    """Return whether two films share a genre; None without genres."""
    names = sorted({genre for film in known.values() for genre in film.genres})
    if not names:
        return None
    of = np.array([[name in known[one].genres if one in known else False for name in names] for one in ids.tolist()])
    return lambda a, b: np.asarray((of[a] & of[b]).any(axis=1))
