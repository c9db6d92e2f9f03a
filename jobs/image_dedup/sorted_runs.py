"""Sorted rows in Arrow batches, handed on so that no run of equal keys is torn; for functions of mapInArrow."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

LEAST = 1 << 18
"""Rows handed on at once, if there are as many: numpy's calls cost as much as a thousand rows each."""


def whole_runs(batches: Iterable[pa.RecordBatch], least: int = LEAST) -> Iterator[list[NDArray]]:
    """Yield the columns of rows whose runs are whole: equal first columns are never in two pieces.

    A run is held whole, so the memory of a task is its longest run and `least` rows.

    Args:
        batches: ordered by their first column, numbers without nulls.
        least: rows to wait for.
    """
    held: list[list[NDArray]] = []
    size = 0
    for batch in batches:
        columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
        if not batch.num_rows:
            continue
        start = int(np.searchsorted(columns[0], columns[0][-1]))
        size += batch.num_rows
        if start and size >= least:
            yield _joined([*held, [column[:start] for column in columns]])
            held, size = [[column[start:] for column in columns]], batch.num_rows - start
        else:
            held.append(columns)
    if held:
        yield _joined(held)


def _joined(pieces: list[list[NDArray]]) -> list[NDArray]:
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def by_runs(
    work: Callable[..., Iterator[tuple[NDArray, ...]]], names: list[str], least: int = LEAST
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a function for mapInArrow: `work` on the columns of whole runs, its arrays named."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for columns in whole_runs(batches, least):
            for made in work(*columns):
                yield pa.RecordBatch.from_arrays([pa.array(column) for column in made], names)

    return run
