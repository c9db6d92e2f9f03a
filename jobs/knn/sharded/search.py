"""Search of one block of queries in one shard: the work of a task, from packed vectors to packed pairs."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from jobs.knn.exact import Floats, Rows, ordered
from jobs.knn.index import Index, Wanted, choose
from jobs.knn.inverted import Lists
from jobs.knn.request import BLOCK
from jobs.knn.sharded.packed_vectors import INDEX, PACKED_PAIRS, Pairs, Vectors, pack_batch, unpack_vectors
from jobs.knn.source import Source
from jobs.lake.vectors import unit

DIGITS = 6
"""Decimals of a cosine: coarser than float32's error, so that every machine finds and stores the same number."""


def search_packed(
    batches: Iterable[pa.RecordBatch], cells: int, dim: int, k: int, buckets: int, wanted: Wanted = "cpu"
) -> Iterator[pa.RecordBatch]:
    """Yield, packed, the k nearest of a shard's vectors to each query in `batches`; runs on an executor.

    Args:
        batches: packed rows of one shard, its own vectors and a block of queries, in any order.
        cells: of the inverted file.
        dim: values of a vector.
        k: neighbours wanted.
        buckets: that ids are dealt to.
        wanted: where to search.
    """
    own, queries = _gathered(batches, dim)
    if own is not None and queries is not None:
        yield from pack_batch(search(own, queries, cells, k, wanted).rows(buckets), PACKED_PAIRS)


def _gathered(batches: Iterable[pa.RecordBatch], dim: int) -> tuple[Vectors | None, Vectors | None]:
    held: dict[bool, list[Vectors]] = {True: [], False: []}
    for batch in batches:
        for block, some in unpack_vectors(batch, dim):
            held[block == INDEX].append(some)
    return _by_id(held[True]), _by_id(held[False])


def _by_id(parts: list[Vectors]) -> Vectors | None:
    """Return all in the order of their ids: whatever order they came in, the result is the same."""
    if not parts:
        return None
    names = ("ids", "vectors", "cells", "min_scores")
    ids, *others = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    order = np.argsort(ids, kind="stable")
    return Vectors(ids[order], *[values[order] for values in others])


def search(own: Vectors, queries: Vectors, cells: int, k: int, wanted: Wanted = "cpu") -> Pairs:
    """Return the k nearest of `own` to each query among the cells that it looks into, itself by id not among them.

    By (-cosine rounded to DIGITS, id); fewer where those cells hold fewer. A GPU compares all of the shard: it finds
    no fewer. That path is untested, for want of one.
    """
    source = Source(own.vectors, own.ids, None, cosine=True)
    if choose(wanted).name == "gpu":
        near = Index(source.all_rows(), wanted="gpu").search(unit(queries.vectors), k + 1)
        return _pairs(queries, own.ids, *_rounded(*near), k)
    here = np.zeros(cells, bool)
    here[own.cells[:, 0]] = True
    lists = Lists(source, own.cells[:, 0].astype(np.int64), cells, DIGITS)
    found = []
    for start in range(0, len(queries.ids), BLOCK):
        part = slice(start, start + BLOCK)
        some = queries.take(part)
        probed = np.where(here[some.cells], some.cells, -1).astype(np.int64)
        near = lists.search(unit(some.vectors), probed, k + 1)
        found.append(_pairs(some, own.ids, *near, k))
    return Pairs.concat(found)


def _rounded(scores: Floats, numbers: Rows) -> tuple[Floats, Rows]:
    return ordered(np.round(scores.astype(np.float64), DIGITS).astype(np.float32), numbers, numbers.shape[1])


def _pairs(queries: Vectors, own: Rows, scores: Floats, numbers: Rows, k: int) -> Pairs:
    ids, near = queries.ids, own[numbers]
    kept = (numbers >= 0) & (near != ids[:, None]) & (scores >= queries.min_scores[:, None])
    kept &= np.cumsum(kept, axis=1) <= k  # itself is not in this shard: there is one too many
    counts = kept.sum(axis=1)
    return Pairs(np.repeat(ids, counts), near[kept], np.clip(scores[kept], -1, 1), np.empty(0, np.int32))
