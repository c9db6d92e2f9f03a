"""Batches of complete users, and counting within groups, for steps that need all candidates of a user together."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Array = np.ndarray[Any, Any]


def iter_user_batches(batches: Iterable[pa.RecordBatch], users: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows in batches that never split a user: about `users` users each.

    Args:
        batches: sorted by user_id.
        users: users per batch.
    """
    pending: list[pa.RecordBatch] = []
    begun = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        ids = np.asarray(batch.column("user_id"))
        if pending and pending[-1].column("user_id")[-1].as_py() != ids[0]:
            begun += 1
        starts = np.flatnonzero(ids[1:] != ids[:-1]) + 1
        if begun + len(starts) < users or len(starts) == 0:
            pending.append(batch)
            begun += len(starts)
            continue
        split = int(starts[-1])
        yield _joined([*pending, batch.slice(0, split)])
        pending, begun = [batch.slice(split)], 0
    if pending:
        yield _joined(pending)


def cumcount(*keys: Array) -> Array:
    """Return for each row how many rows before it have the same keys."""
    if len(keys[0]) == 0:
        return np.zeros(0, np.int64)
    order = np.lexsort(keys)  # stable: rows of a group keep their order
    first = np.ones(len(order), bool)
    first[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    begin = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - begin
    return place


def codes(column: pa.Array) -> Array:
    """Return a number for each value, equal for equal values; -1 where there is none."""
    coded = column.dictionary_encode()
    return np.asarray(pc.fill_null(coded.indices, -1)).astype(np.int64)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.concat_batches(parts) if len(parts) > 1 else parts[0]
