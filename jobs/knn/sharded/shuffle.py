"""Shuffles each vector to the shard that holds it and to the shards that it probes."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
from pyspark import SparkContext
from pyspark.sql import DataFrame

from jobs.knn.exact import Rows
from jobs.knn.index import limit_threads
from jobs.knn.inverted import nearest
from jobs.knn.sharded.layout import Layout
from jobs.knn.sharded.packed_vectors import INDEX, PACKED_VECTORS, Vectors, hash_bucket, pack_batch
from jobs.lake.vectors import decode, unit

BATCH_ROWS = 1 << 16
"""Vectors that are packed at once: 16 MiB at 128 values."""


def shuffle(vectors: DataFrame, layout: Layout, dim: int) -> DataFrame:
    """Return packed, those of one shard and block in one partition.

    Args:
        vectors: id, vector, is_query, is_item, min_score: see `jobs.knn.sharded.run.SearchRequest`.
        layout: where they go.
        dim: values of a vector.
    """
    context: SparkContext = vectors.sparkSession.sparkContext
    shared = context.broadcast(layout)

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from packed(batches, shared.value, dim)

    units = int((layout.blocks + 1).sum())
    packed = vectors.select("id", "vector", "is_query", "is_item", "min_score").mapInArrow(
        pack, f"unit int, {PACKED_VECTORS}"
    )
    return packed.repartitionById(units, "unit").drop("unit")


def packed(batches: Iterable[pa.RecordBatch], layout: Layout, dim: int) -> Iterator[pa.RecordBatch]:
    """Yield packed rows and the number of their shard and block; runs on an executor."""
    for table in rebatch(batches, BATCH_ROWS):
        ids = table.column("id").to_numpy()
        vectors = decode(table.column("vector"), dim)
        limit_threads()
        probed = nearest(layout.centroids, unit(vectors), layout.probes)
        some = Vectors(ids, vectors.astype(np.float16), probed.astype(np.int32), table.column("min_score").to_numpy())
        yield from pack_batch(
            _rows(some, _true(table, "is_item"), _true(table, "is_query"), layout), f"unit int, {PACKED_VECTORS}"
        )


def _true(table: pa.Table, name: str) -> Rows:
    return np.flatnonzero(table.column(name).to_numpy(zero_copy_only=False))


def _rows(some: Vectors, holds: Rows, asks: Rows, layout: Layout) -> Iterator[tuple[object, ...]]:
    home = layout.home(some.ids[holds], some.cells[holds, 0])
    own = Vectors(some.ids, some.vectors, some.cells[:, :1], some.min_scores)
    yield from _dealt(own, holds, home, np.full(len(home), INDEX), layout)
    lines, shards = layout.visits(some.cells[asks])
    blocks = hash_bucket(some.ids[asks][lines], layout.blocks[shards])
    yield from _dealt(some, asks[lines], shards, blocks, layout)


def _dealt(some: Vectors, lines: Rows, shards: Rows, blocks: Rows, layout: Layout) -> Iterator[tuple[object, ...]]:
    units = layout.unit(shards, blocks)
    order = np.argsort(units, kind="stable")
    edges = np.flatnonzero(np.diff(units[order], prepend=-1, append=-1)) if len(units) else np.zeros(1, np.int64)
    for start, stop in pairwise(edges):
        at = order[start]
        row = some.take(lines[order[start:stop]]).row(int(shards[at]), int(blocks[at]))
        yield (int(units[at]), *row)


def rebatch(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """Yield tables of about `most` rows."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(part.num_rows for part in held) >= most:
            yield pa.Table.from_batches(held)
            held = []
    if held and sum(part.num_rows for part in held):
        yield pa.Table.from_batches(held)
