"""Vectors and ids as anyone may bring them, made fit for a search without a second copy of them.

In: a float16, float32 or float64 matrix, mapped from a file or in memory, and whole-number ids. Out: rows in the order
of their ids, float32, on demand; and what cannot be searched, with a reason each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import ConfigError
from jobs.lake.vectors import unit
from jobs.visual.knn.exact import Floats, Rows

STEP_BYTES = 16 << 20
"""Memory of the rows that are read at once."""
METRICS = ("ip", "cosine")


@dataclass(frozen=True)
class Quarantine:
    """Rows that no search can use: of the given matrix, by row."""

    rows: Rows
    """[b], their numbers in the matrix as given."""
    ids: Rows
    """[b]."""
    reasons: list[str]
    """[b], "NaN", "infinite" or "zero"."""


@dataclass(frozen=True)
class Source:
    """Vectors that can be searched, numbered 0 to n - 1 in the order of their ids: ties by number are ties by id."""

    given: NDArray[np.floating]
    ids: Rows
    """[n], ascending, no two alike."""
    order: Rows | None
    """[n], row of `given`; None where the numbers are those of the rows."""
    cosine: bool

    def __len__(self) -> int:
        """Return n."""
        return len(self.ids)

    @property
    def dim(self) -> int:
        """Return d."""
        return int(self.given.shape[1])

    def take(self, numbers: Rows | slice) -> Floats:
        """Return float32 [m, d], of length one where the metric is the cosine."""
        rows = numbers if self.order is None else self.order[numbers]
        found = np.ascontiguousarray(self.given[rows], np.float32)
        return unit(found) if self.cosine else found

    def whole(self) -> Floats:
        """Return all rows; where nothing has to be changed, the memory given."""
        if self.order is None and not self.cosine:
            return self.take(slice(None))
        rows = np.empty((len(self), self.dim), np.float32)
        for part in self.parts():
            rows[part] = self.take(part)
        return rows

    def parts(self) -> list[slice]:
        """Return slices that cut the rows so that one of them takes little memory."""
        return steps(len(self), self.dim)


def steps(n: int, dim: int) -> list[slice]:
    """Return slices that cut n float32 rows of `dim` into parts of STEP_BYTES."""
    step = max(1, STEP_BYTES // (4 * max(1, dim)))
    return [slice(start, min(n, start + step)) for start in range(0, n, step)]


def prepare(vectors: Any, ids: Any = None, metric: str = "ip") -> tuple[Source, Quarantine]:
    """Return what can be searched, and what cannot.

    Args:
        vectors: float16, float32 or float64 [n, d], any layout, mapped or in memory. It is not changed, and not copied.
        ids: whole numbers [n] that fit 64 signed bits, no two alike, in any order; None for the numbers of the rows.
        metric: "ip", the inner product, or "cosine".

    Raises:
        ConfigError: another metric, a shape or a type that does not fit, an id that stands twice.
    """
    if metric not in METRICS:
        raise ConfigError(f"The metric must be one of {', '.join(METRICS)}, got {metric!r}.")
    given = np.asanyarray(vectors)
    if given.ndim != 2 or given.dtype.kind != "f" or given.dtype.itemsize > 8:
        raise ConfigError(
            f"The vectors must be float16, float32 or float64 of shape [n, d], got {given.dtype} "
            f"{list(given.shape)}: save them with numpy.save(FILE, array.astype('float32'))."
        )
    named = np.arange(len(given)) if ids is None else checked_ids(np.asanyarray(ids), len(given))
    bad, reasons = unfit(given)
    order = None if ids is None else np.argsort(named, kind="stable")
    if order is not None:
        require_distinct(named, order)
        order = None if np.array_equal(order, np.arange(len(order))) else order
    if len(bad):
        good = np.arange(len(given)) if order is None else order
        order = good[~np.isin(good, bad)]
    kept = named if order is None else named[order]
    return Source(given, kept, order, metric == "cosine"), Quarantine(bad, named[bad], reasons)


def checked_ids(ids: NDArray[Any], n: int) -> Rows:
    """Return ids as int64; they never pass through floats, which hold whole numbers up to 2^53 alone."""
    if ids.dtype.kind not in "iu" or ids.shape != (n,):
        raise ConfigError(
            f"The ids must be whole numbers, one for each of {n} vectors, got {ids.dtype} {list(ids.shape)}: floats "
            f"would change ids above 2^53. Save them with numpy.save(FILE, array.astype('int64'))."
        )
    if ids.dtype.kind == "u" and len(ids) and int(ids.max()) >= 1 << 63:
        raise ConfigError(f"The ids must be below 2^63, got {int(ids.max())}: number the vectors otherwise.")
    return np.ascontiguousarray(ids, np.int64)


def require_distinct(ids: Rows, order: Rows) -> None:
    """Fail on an id that stands twice: a vector is told from itself by its id."""
    twice = np.flatnonzero(np.diff(ids[order]) == 0)
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        raise ConfigError(
            f"No two vectors may have one id: {ids[first]} is that of rows {first} and {second}, and {len(twice)} rows "
            f"repeat an id. Leave one row of each."
        )


def unfit(given: NDArray[np.floating]) -> tuple[Rows, list[str]]:
    """Return the rows that have no direction, and why: by their squared length, so one too long is "infinite"."""
    found = list(_unfit(given))
    rows = np.concatenate([np.zeros(0, np.int64), *[rows for rows, _ in found]])
    return rows, [reason for _, reasons in found for reason in reasons]


def _unfit(given: NDArray[np.floating]) -> Iterator[tuple[Rows, list[str]]]:
    for part in steps(*given.shape):
        with np.errstate(over="ignore", invalid="ignore"):
            rows = np.asarray(given[part], np.float32)
            length = np.einsum("ij,ij->i", rows, rows)
        bad = np.flatnonzero(~np.isfinite(length) | (length == 0))
        told = ["NaN" if np.isnan(x) else "infinite" if np.isinf(x) else "zero" for x in length[bad]]
        yield bad + part.start, told
