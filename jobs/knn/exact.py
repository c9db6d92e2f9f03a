"""Numpy part of a neighbour search: input checks, reproducible final scores, tie-breaking.

A search library's float32 scores depend on tiling, threads and device. The few rows it returns are therefore scored
again in float64 and ordered by (-score, row), so CPU, GPU and any split of the queries agree.
"""

import numpy as np
from numpy.typing import NDArray

from jobs.common.errors import ConfigError, TableError

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

GATHER_BYTES = 32 << 20
"""Memory that one step of scanning may take."""
CACHED_BYTES = 1 << 20
"""Memory that one step of scoring may take: it then stays in the cache, which halves the time of a pair."""
SLACK = 4e-6
"""Error of a float32 inner product of a few hundred values, per unit of both lengths."""


def require_matrix(what: str, array: NDArray[np.floating], dim: int | None = None) -> Floats:
    """Return `array` as float32 [n, d] in row order, without a copy where it is that already.

    Raises:
        ConfigError: not two-dimensional, or d is not `dim`.
        TableError: a row holds NaN or infinity, or is all zero: it has no direction, so no neighbours.
    """
    if array.ndim != 2 or (dim is not None and array.shape[1] != dim):
        wanted = f"[n, {dim}]" if dim is not None else "[n, d]"
        raise ConfigError(
            f"The {what} must be of shape {wanted}, got {list(array.shape)}: check the model and its dim."
        )
    matrix: Floats = np.ascontiguousarray(array, dtype=np.float32)
    bad = unusable(matrix)
    if len(bad):
        raise TableError(
            f"The {what} must be finite and not zero: {len(bad)} of {len(matrix)} rows are not, "
            f"first row {int(bad[0])}. Leave such rows out before the search."
        )
    return matrix


def unusable(matrix: Floats) -> Rows:
    """Return the rows that hold NaN or infinity, are all zero, or too long for the square of their length."""
    length = np.einsum("ij,ij->i", matrix, matrix)
    odd = np.flatnonzero(~np.isfinite(length) | (length == 0))
    return odd[~np.isfinite(length[odd]) | ~matrix[odd].any(axis=1)]  # 1e-23 has a direction, and a square of zero


def rescore(vectors: Floats, queries: Floats, rows: Rows) -> Floats:
    """Return inner products [m, k] of each query with its rows; -inf where a row is -1 (nothing found).

    Each is summed in float64 in one order, whatever else is asked for with it; about 0.1 microseconds a pair.
    """
    (m, k), dim = rows.shape, vectors.shape[1]
    scores = np.empty(rows.shape, np.float32)
    step = max(1, min(m, CACHED_BYTES // max(1, 8 * k * dim)))
    near, wide = np.empty((step * k, dim), np.float32), np.empty((step, k, dim))
    for start in range(0, m if k and len(vectors) else 0, step):
        part = rows[start : start + step]
        # clipped, -1 reads row 0, whose score is overwritten below; other modes copy once more
        np.take(vectors, part.ravel(), axis=0, out=near[: part.size], mode="clip")
        wide[: len(part)] = near[: part.size].reshape(len(part), k, dim)
        query = queries[start : start + step].astype(np.float64)
        scores[start : start + step] = np.einsum("md,mkd->mk", query, wide[: len(part)])
    scores[rows < 0] = -np.inf
    return scores


def ordered(scores: Floats, rows: Rows, k: int) -> tuple[Floats, Rows]:
    """Return the first k of each line by (-score, row)."""
    place = np.lexsort((rows, -scores), axis=-1)[:, :k]
    return np.take_along_axis(scores, place, 1), np.take_along_axis(rows, place, 1)


def scan(vectors: Floats, queries: Floats, k: int) -> tuple[Floats, Rows]:
    """Return the exact top k by looking at every row; for the few queries whose ties run past what was fetched.

    About six times the cost of the library's search per query, in bounded memory.
    """
    n, k = len(vectors), min(k, len(vectors))
    scores, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    slack = tolerance(vectors, queries)
    step = max(1, GATHER_BYTES // (4 * n))
    for start in range(0, len(queries), step):
        raw = queries[start : start + step] @ vectors.T
        floor = np.partition(raw, n - k, axis=1)[:, n - k]
        for line, values in enumerate(raw):
            at = start + line
            near = np.flatnonzero(values >= floor[line] - 2 * slack[at])[None, :]
            scores[at], rows[at] = (a[0] for a in ordered(rescore(vectors, queries[at][None], near), near, k))
    return scores, rows


def tolerance(vectors: Floats, queries: Floats) -> Floats:
    """Return, per query, how far a float32 score may be off."""
    return slack(longest(vectors), queries)


def longest(vectors: Floats) -> float:
    """Return the greatest length of a row."""
    return float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors).max(initial=0.0)))


def slack(length: float, queries: Floats) -> Floats:
    """Return `tolerance` where the greatest length is known."""
    error: Floats = (SLACK * length * np.sqrt(np.einsum("ij,ij->i", queries, queries))).astype(np.float32)
    return error
