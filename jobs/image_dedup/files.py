"""A file of hashes in, groups of equal ones and pairs of near ones out: `pinlake near-duplicates`.

Both results are written beside their names and renamed at the end, the pairs last: a folder that has `pairs.parquet`
has both, whole and of one run.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.common.errors import ConfigError, SourceError
from jobs.common.locks import locked
from jobs.image_dedup.blocks import Hashes, require_radius
from jobs.image_dedup.hamming import Rows, distances, near, representative_rows, unpack_pairs
from jobs.knn.npy import open_array

GROUPS, PAIRS = "groups.parquet", "pairs.parquet"
SLICE = 1 << 20
"""Rows turned into Arrow and written at once."""


@dataclass(frozen=True)
class Summary:
    """What was found."""

    rows: int
    unique: int
    """Different hashes."""
    largest: int
    """Rows of the most frequent hash."""
    pairs: int


def read_hashes(path: Path) -> Hashes:
    """Return the hashes of a .npy file, uint64 [n], a view of the file where its bytes allow it.

    Args:
        path: uint64 [n]; int64 [n], taken as the same bits; or uint8 [n, 8], the first byte the lowest.

    Raises:
        SourceError: no such file, no .npy file, or another type or shape.
    """
    array = open_array(path, "hashes")
    if array.ndim == 1 and array.dtype.kind in "ui" and array.dtype.itemsize == 8:
        hashes: Hashes = array.astype(array.dtype.newbyteorder("="), copy=False).view(np.uint64)
        return hashes
    if array.ndim == 2 and array.dtype == np.uint8 and array.shape[1] == 8:
        return np.ascontiguousarray(array).view("<u8")[:, 0].astype(np.uint64, copy=False)
    raise SourceError(
        f"{path} must hold 64-bit hashes: uint64 or int64 [n], or uint8 [n, 8]; got {array.dtype} {list(array.shape)}. "
        f"Save it with numpy.save from one of these."
    )


def read_ids(path: Path, rows: int) -> Rows:
    """Return the ids of the rows, int64 [rows].

    Raises:
        SourceError: no such file, not whole numbers, not one a row, or one that comes twice.
    """
    array = open_array(path, "ids")
    if array.shape != (rows,) or array.dtype.kind not in "ui" or (len(array) and array.max() >= 1 << 63):
        raise SourceError(
            f"{path} must hold one whole number below 2**63 for each of the {rows:,} hashes, got {array.dtype} "
            f"{list(array.shape)}: save the ids of the same rows."
        )
    ids: Rows = array.astype(np.int64)
    if len(np.unique(ids)) < rows:
        raise SourceError(f"{path} must hold different ids, but {rows - len(np.unique(ids)):,} rows repeat one.")
    return ids


def near_duplicates(
    hashes: Path,
    radius: int,
    out: Path,
    ids: Path | None = None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Summary:
    """Write `groups.parquet` (id, representative) and `pairs.parquet` (left, right, distance); return what was found.

    The representative of a row is the lowest id with the same hash; pairs are between representatives, left below
    right, in order of both. Memory: some 60 bytes a row and 16 a pair.

    Args:
        hashes: file of hashes, see `read_hashes`.
        radius: most bits in which two hashes of a pair differ.
        out: folder, made if absent; results that lie there are replaced when both new ones are whole.
        ids: file of ids, one a row. [row numbers]
        progress: called with how many keys are done, and of how many.

    Raises:
        ConfigError: a radius or a number of pairs beyond the limit, or a folder that is a file.
        SourceError: a file that cannot be used.
        ConcurrentRunError: another process is writing into the folder.
    """
    require_radius(radius)
    values = read_hashes(hashes)
    names = np.arange(len(values)) if ids is None else read_ids(ids, len(values))
    if ids is not None:  # rows in the order of ids: the lowest row is then the lowest id, and left stays below right
        order = np.argsort(names)
        values, names = values[order], names[order]
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} must be a folder, but there is a file of that name: name another.")
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / ".near-duplicates.lock", f"Another process is writing near-duplicates into {out}: wait for it."):
        return _write(values, names, radius, out, progress)


def _write(values: Hashes, names: Rows, radius: int, out: Path, progress: Callable[[int, int], None]) -> Summary:
    lowest = representative_rows(values)
    unique, sizes = np.unique(lowest, return_counts=True)
    apart, lowest_names = values[unique], names[unique]
    groups, pairs = out / f".{GROUPS}.part", out / f".{PAIRS}.part"
    try:
        _save(groups, len(names), lambda part: {"id": names[part], "representative": names[lowest[part]]})
        found = near(apart, radius, progress)
        _save(pairs, len(found), lambda part: _columns(found[part], apart, lowest_names))
        (out / PAIRS).unlink(missing_ok=True)  # first, so that never old pairs lie beside new groups
        groups.replace(out / GROUPS)
        pairs.replace(out / PAIRS)
    finally:
        groups.unlink(missing_ok=True)
        pairs.unlink(missing_ok=True)
    return Summary(len(values), len(unique), int(sizes.max(initial=0)), len(found))


def _columns(found: Hashes, apart: Hashes, names: Rows) -> dict[str, np.ndarray]:
    left, right = unpack_pairs(found)
    distance = distances(apart[left], apart[right]).astype(np.int32)
    return {"left": names[left], "right": names[right], "distance": distance}


def _save(path: Path, rows: int, columns: Callable[[slice], dict[str, np.ndarray]]) -> None:
    """Write a Parquet file slice by slice, down to the disk."""
    with path.open("wb") as file:
        with pq.ParquetWriter(file, pa.table(columns(slice(0, 0))).schema, compression="zstd") as writer:
            for start in range(0, rows, SLICE):
                writer.write_table(pa.table(columns(slice(start, start + SLICE))))
        file.flush()
        os.fsync(file.fileno())
