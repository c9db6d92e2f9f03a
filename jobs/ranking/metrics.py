"""Metrics of ranked lists, in numpy: hit rate, recall and NDCG at k, area under the ROC curve, 95 % intervals.

Input `hits`: one row per user, one column per position, true where the pin at that position was saved later.
Formulas: NDCG with binary gain, discount log2(place + 1) and the ideal over min(k, |truth|) (Järvelin & Kekäläinen
2002); recall is hits over all of the truth, not over min(k, |truth|).
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def hit_rate(hits: Array, k: int) -> Array:
    """Return 1.0 for each user with a hit among the first k, else 0.0."""
    return np.asarray(hits[:, :k].any(axis=1), np.float64)


def recall(hits: Array, truths: Array, k: int) -> Array:
    """Return for each user the share of the truth that is among the first k.

    Args:
        hits: users x places, bool.
        truths: how many pins each user saved, at least 1.
        k: length of the list evaluated.
    """
    share: Array = hits[:, :k].sum(axis=1) / truths
    return share


def ndcg(hits: Array, truths: Array, k: int) -> Array:
    """Return for each user the discounted gain of the first k over that of the best list of k.

    Args:
        hits: users x places, bool.
        truths: how many pins each user saved, at least 1.
        k: length of the list evaluated.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(truths, k) - 1]
    shown = hits[:, :k]
    gain: Array = (shown * discounts[: shown.shape[1]]).sum(axis=1) / ideal
    return gain


def auc(scores: Array, positive: Array) -> float | None:
    """Return the probability that a positive scores above a negative, ties counted half; None without both.

    Mann-Whitney's U by mean ranks.
    """
    wins = int(positive.sum())
    losses = len(positive) - wins
    if wins == 0 or losses == 0:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2.0)[inverse]
    return round(float((ranks[positive].sum() - wins * (wins + 1) / 2) / (wins * losses)), 6)


def hit_matrix(places: list[list[int]], length: int) -> Array:
    """Return users x length, true at each place (from 1) listed."""
    hits = np.zeros((len(places), length), bool)
    sizes = [len(row) for row in places]
    flat = np.fromiter((place for row in places for place in row), np.int64, sum(sizes))
    hits[np.repeat(np.arange(len(places)), sizes), flat - 1] = True
    return hits
