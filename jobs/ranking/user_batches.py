"""Rows of whole users, and counting within groups, for the steps that look at a user's candidates together."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Array = np.ndarray[Any, Any]


def iter_user_batches(batches: Iterable[pa.RecordBatch], users: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows again in blocks that never part a user: about `users` users each.

    Args:
        batches: sorted by user_id.
        users: how many to gather before a block is given out.
    """
    held: list[pa.RecordBatch] = []
    begun = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        ids = np.asarray(batch.column("user_id"))
        if held and held[-1].column("user_id")[-1].as_py() != ids[0]:
            begun += 1
        starts = np.flatnonzero(ids[1:] != ids[:-1]) + 1
        if begun + len(starts) < users or len(starts) == 0:
            held.append(batch)
            begun += len(starts)
            continue
        cut = int(starts[-1])
        yield _joined([*held, batch.slice(0, cut)])
        held, begun = [batch.slice(cut)], 0
    if held:
        yield _joined(held)


def cumcount(*keys: Array) -> Array:
    """Return for each row how many rows before it have the same keys."""
    if len(keys[0]) == 0:
        return np.zeros(0, np.int64)
    order = np.lexsort(keys)  # stable: rows of a group keep their order
    fresh = np.ones(len(order), bool)
    fresh[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    begin = np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - begin
    return place


def codes(column: pa.Array) -> Array:
    """Return a number for each value, equal for equal values; -1 where there is none."""
    coded = column.dictionary_encode()
    return np.asarray(pc.fill_null(coded.indices, -1)).astype(np.int64)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.concat_batches(parts) if len(parts) > 1 else parts[0]
