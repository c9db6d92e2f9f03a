"""Brute-force neighbours, where every executor can hold all vectors.

The vectors are collected once as float16, broadcast, and searched in blocks of row numbers, so no vector is shuffled.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from jobs.knn.exact import Floats, Rows
from jobs.knn.index import Index, Wanted
from jobs.knn.sharded.search import DIGITS
from jobs.lake.vectors import Matrix, decode, unit

SCHEMA = "id bigint, neighbour bigint, rank int, score float"
LEAST = 1024
"""Rows of the smallest block."""


@dataclass(frozen=True)
class ItemIndex:
    """Ids, ascending, and their vectors: row i of both is one."""

    ids: Rows
    vectors: Matrix

    def units(self) -> Floats:
        """Return the vectors as float32 of length one."""
        return unit(self.vectors)


@dataclass(frozen=True)
class Plan:
    """How an executor searches."""

    k: int
    wanted: Wanted
    block: int
    """Most vectors searched for at once."""


def brute_force_knn(vectors: DataFrame, dim: int, plan: Plan) -> DataFrame:
    """Return id, neighbour, rank from 1, score of the k nearest of all others to each vector.

    By (-cosine of six decimals, neighbour); itself is told by its id.

    Args:
        vectors: id bigint, vector binary (float16), none NaN or zero: no more than each executor and the driver hold.
        dim: values of a vector.
        plan: how to search.
    """
    return compared(vectors.sparkSession, _collect_items(vectors, dim), plan)


def compared(spark: SparkSession, items: ItemIndex, plan: Plan) -> DataFrame:
    """Return what `brute_force_knn` does, of vectors that the driver holds."""
    if not len(items.ids):
        return spark.createDataFrame([], SCHEMA)
    shared = spark.sparkContext.broadcast((items, plan))
    # an index is opened once per task: no more tasks than cores
    edges = block_edges(len(items.ids), plan.block, spark.sparkContext.defaultParallelism)
    tasks = min(len(edges) - 1, spark.sparkContext.defaultParallelism)
    numbers = spark.range(0, len(edges) - 1, 1, tasks)

    def search(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from search_blocks(batches, edges, *shared.value)

    return numbers.mapInArrow(search, SCHEMA)


def _collect_items(vectors: DataFrame, dim: int) -> ItemIndex:
    table = vectors.toArrow()  # bounded: neighbours.max_exact rows
    ids = table.column("id").to_numpy()
    order = np.argsort(ids)
    return ItemIndex(np.ascontiguousarray(ids[order]), np.ascontiguousarray(decode(table.column("vector"), dim)[order]))


def block_edges(n: int, most: int, tasks: int) -> list[int]:
    """Return where blocks of n rows begin and the last ends: at most `most` rows each, even over the tasks.

    A block has 1,024 rows or more (below it each search costs several times as much), unless all have fewer.
    """
    count = -(-n // most)
    count = max(1, min(-(-count // tasks) * tasks, n // LEAST))
    count = max(count, -(-n // most))
    return [n * i // count for i in range(count + 1)]


def search_blocks(
    batches: Iterable[pa.RecordBatch], edges: list[int], items: ItemIndex, plan: Plan
) -> Iterator[pa.RecordBatch]:
    """Yield the neighbours of the vectors in each block number that `batches` hold; runs on an executor."""
    index: Index | None = None
    for batch in batches:
        for number in batch.column(0).to_pylist():
            index = index or Index(items.units(), wanted=plan.wanted)
            yield neighbour_batch(items.ids, np.arange(edges[number], edges[number + 1]), index, plan.k)


def neighbour_batch(ids: Rows, rows: Rows, index: Index, k: int) -> pa.RecordBatch:
    """Return id, neighbour, rank, score for the vectors at `rows`, without self (by id)."""
    raw, near = index.search(index.vectors[rows], k + 1)
    scores = np.round(np.clip(raw.astype(np.float64), -1, 1), DIGITS)
    keep = near != rows[:, None]
    # rounding made new ties, and self has left: rank afresh, what is not kept last. Rows are in the order of ids.
    order = np.lexsort((near, -scores, ~keep), axis=-1)[:, :k]
    keep, near = np.take_along_axis(keep, order, 1), np.take_along_axis(near, order, 1)
    scores = np.take_along_axis(scores, order, 1)
    rank = np.broadcast_to(np.arange(1, keep.shape[1] + 1, dtype=np.int32), keep.shape)
    owners = np.broadcast_to(ids[rows][:, None], keep.shape)
    columns = (owners[keep], ids[near[keep]], rank[keep], scores[keep].astype(np.float32))
    return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], ["id", "neighbour", "rank", "score"])
