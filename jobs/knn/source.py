"""Input vectors and ids, checked and prepared for a search without a second copy.

In: a float16, float32 or float64 matrix, memory-mapped or in memory, and integer ids. Out: rows in the order of their
ids, float32, on demand; and the rows that cannot be searched, with a reason each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.common.errors import ConfigError
from jobs.knn.exact import Floats, Rows
from jobs.lake.vectors import unit

STEP_BYTES = 16 << 20
"""Memory of the rows that are read at once."""
METRICS = ("ip", "cosine")
SHORT, LONG = 1e-12, 1e12
"""Greatest value of a row below and above which it is scaled before it is brought to length one."""


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

    values: NDArray[np.floating]
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
        return int(self.values.shape[1])

    def take(self, numbers: Rows | slice) -> Floats:
        """Return float32 [m, d], of length one where the metric is the cosine."""
        rows = numbers if self.order is None else self.order[numbers]
        given = self.values[rows]
        return unit(scaled(given)) if self.cosine else np.ascontiguousarray(given, np.float32)

    def all_rows(self) -> Floats:
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


def scaled(given: NDArray[Any]) -> Floats:
    """Return rows as float32, very short and very long ones by a power of two nearer to one: their direction stays.

    The squares of a row below 1e-19 or above 1e19 are none of float32's, and float64 goes far beyond both.
    """
    with np.errstate(over="ignore", under="ignore"):
        found = np.ascontiguousarray(given, np.float32)
    if given.dtype.kind != "f" or given.dtype.itemsize < 4:
        return found
    peak = np.abs(given).max(axis=1, initial=0)
    odd = np.flatnonzero((peak > 0) & ((peak < SHORT) | (peak > LONG)))
    if len(odd):
        if np.may_share_memory(found, given):
            found = found.copy()
        found[odd] = np.ldexp(given[odd].astype(np.float64), -np.frexp(peak[odd].astype(np.float64))[1][:, None])
    return found


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
    require_vectors(given)
    named = np.arange(len(given)) if ids is None else checked_ids(np.asanyarray(ids), len(given))
    bad, reasons = unusable_rows(given, metric)
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
        why = "floats would change ids above 2^53. Save them with numpy.save(FILE, array.astype('int64'))"
        if ids.dtype.kind in "USO":
            why = "texts are no ids here. Leave --ids out, which gives row numbers, and look the texts up by these"
        elif ids.dtype.kind in "iu":
            why = "another number of them. Save one a row of the vectors"
        raise ConfigError(
            f"The ids must be whole numbers, one for each of {n} vectors, got {ids.dtype} {list(ids.shape)}: {why}."
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


def require_vectors(given: NDArray[Any]) -> None:
    """Fail where an array is not a matrix of numbers that can be compared.

    Raises:
        ConfigError: another shape or type.
    """
    kind, size = given.dtype.kind, given.dtype.itemsize
    if given.ndim == 2 and given.shape[1] and ((kind == "f" and size <= 8) or (kind in "iu" and size <= 2)):
        return
    hint = "save them with numpy.save(FILE, array.astype('float32'))"
    if kind in "USOT":
        hint = "these are texts or Python objects: make vectors of them first"
    elif kind == "V" and given.dtype.names is None:
        hint = "numpy has no such type (bfloat16?): save them as float32, in torch tensor.float().numpy()"
    elif given.ndim == 1:
        hint = "these are single values: save one row a vector, array.reshape(-1, DIM)"
    elif given.ndim > 2 and kind in "fiu":
        hint = "save one row a vector, array.reshape(len(array), -1)"
    elif given.ndim == 2 and not given.shape[1]:
        hint = "a vector has one value at least"
    raise ConfigError(
        f"The vectors must be float16, float32 or float64 of shape [n, d], or whole numbers of 8 or 16 bits, got "
        f"{given.dtype} {list(given.shape)}: {hint}."
    )


def unusable_rows(given: NDArray[Any], metric: str = "ip") -> tuple[Rows, list[str]]:
    """Return the rows that cannot be searched, and why: "NaN", "infinite" or "zero".

    With the inner product also a row whose square is beyond float32 is "infinite", and one that is zero there "zero".
    """
    found = list(_unusable_parts(given, metric))
    rows = np.concatenate([np.zeros(0, np.int64), *[rows for rows, _ in found]])
    return rows, [reason for _, reasons in found for reason in reasons]


def _unusable_parts(given: NDArray[Any], metric: str) -> Iterator[tuple[Rows, list[str]]]:
    for part in steps(*given.shape):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            rows = np.asarray(given[part], np.float32)
            length = np.einsum("ij,ij->i", rows, rows)
        odd = np.flatnonzero(~np.isfinite(length) | (length == 0))
        if not len(odd):
            continue
        # few: their own values, not those of float32, say what they are
        values = rows[odd] if metric == "ip" else np.asarray(given[part])[odd]
        nan, long, some = (np.asarray(one.any(axis=1)) for one in (np.isnan(values), np.isinf(values), values != 0))
        if metric == "ip":
            long |= ~np.isfinite(length[odd]) & ~nan
        bad = nan | long | ~some
        told = ["NaN" if n else "infinite" if i else "zero" for n, i in zip(nan[bad], long[bad], strict=True)]
        yield odd[bad] + part.start, told
