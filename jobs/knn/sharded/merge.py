"""Neighbours found in several places put together: the k best of each id."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from jobs.knn.exact import Rows
from jobs.knn.sharded.packed_vectors import Found, found_in

LISTS = "id bigint, neighbour bigint, rank int, score float, cell int"


def merged(found: DataFrame, buckets: int, k: int) -> DataFrame:
    """Return id, neighbour, rank (from 1), score, cell of the k best of each id, by (-score, neighbour).

    Args:
        found: parcels of neighbours.
        buckets: that ids were dealt to: one is held in memory at a time.
        k: neighbours wanted.
    """

    def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: dict[int, list[Found]] = {}
        for batch in batches:
            for bucket, some in found_in(batch):
                held.setdefault(bucket, []).append(some)
        for parts in held.values():
            yield _batch(*best(Found.together(parts), k))

    return found.repartitionById(buckets, "bucket").mapInArrow(merge, LISTS)


def best(found: Found, k: int) -> tuple[Found, Rows]:
    """Return the k best of each id by (-score, neighbour), each neighbour once, by (id, rank); and the ranks from 1."""
    order = np.lexsort((found.neighbours, -found.scores, found.ids))
    ids, neighbours = found.ids[order], found.neighbours[order]
    # one neighbour of an id has one score wherever it was found: copies stand side by side
    order = order[_changes(ids) | _changes(neighbours)]
    ids = found.ids[order]
    first = np.flatnonzero(_changes(ids))
    rank = np.arange(1, len(ids) + 1) - np.repeat(first, np.diff(np.append(first, len(ids))))
    return found.take(order[rank <= k]), rank[rank <= k]


def _changes(values: Rows) -> np.ndarray:
    changed = np.ones(len(values), bool)
    changed[1:] = values[1:] != values[:-1]
    return changed


def _batch(found: Found, rank: Rows) -> pa.RecordBatch:
    cells = found.cells if len(found.cells) else np.zeros(len(found), np.int32)
    columns = (found.ids, found.neighbours, rank.astype(np.int32), found.scores, cells)
    names = ["id", "neighbour", "rank", "score", "cell"]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names)
