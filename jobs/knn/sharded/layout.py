"""Assignment of cells to shards: coarse k-means over the centroids; large groups are split, large cells distributed.

A query is sent to every shard with a part of a cell that it probes, so the neighbours are those of one index over all
vectors with the same cells: sharding costs copies of queries, not recall. Cells that lie close share a shard, so a
query is copied to few.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.knn.exact import Floats, Rows
from jobs.knn.inverted import means
from jobs.knn.sharded.packed_vectors import Integers, hash_bucket

NONE = -1


@dataclass(frozen=True)
class Limits:
    """How much one task takes."""

    shard: int
    """Most vectors of a shard, by estimate."""
    block: int
    """Most queries that a task looks up in one shard, by estimate."""


@dataclass(frozen=True)
class Layout:
    """Cells, and where their vectors and queries go."""

    centroids: Floats
    """[cells, d]."""
    probes: int
    """Cells that a query looks into."""
    shards: NDArray[np.int32]
    """[cells, parts], the shards that hold a cell's vectors, dealt out by their ids; NONE where there are fewer."""
    parts: NDArray[np.int32]
    """[cells], how many of them are not NONE."""
    blocks: NDArray[np.int32]
    """[shards], blocks that the queries of a shard are dealt to."""

    def home(self, ids: Rows, cell: Integers) -> Rows:
        """Return the shard of each vector by its id and cell."""
        return self.shards[cell, hash_bucket(ids, self.parts[cell])].astype(np.int64)

    def visits(self, probed: Integers) -> tuple[Rows, Rows]:
        """Return (query row, shard) for the cells `probed` [m, p]: each pair once."""
        return _pairs(self.shards, probed)

    def units(self) -> list[tuple[int, int]]:
        """Return all (shard, block) to be searched, in order."""
        return [(shard, block) for shard, count in enumerate(self.blocks) for block in range(count)]

    def unit(self, shards: Rows, blocks: Rows) -> Rows:
        """Return a number for each (shard, block), 0 for a shard's own vectors: the output partition."""
        first = np.cumsum(self.blocks + 1) - self.blocks - 1
        return first[shards] + blocks + 1


def assign_cells(centroids: Floats, probed: Rows, counts: tuple[int, int], limits: Limits, seed: int) -> Layout:
    """Return where vectors go, so that no shard and no block is much above its limit.

    Args:
        centroids: [cells, d].
        probed: [s, p], cells that a sample of the vectors look into, their own first.
        counts: vectors in all, and how many of them ask for their neighbours.
        limits: how much one task takes.
        seed: of the coarse k-means.
    """
    share, asking = (count / max(1, len(probed)) for count in counts)
    rows = np.bincount(probed[:, 0], minlength=len(centroids)) * share
    parts = np.maximum(1, np.ceil(rows / limits.shard)).astype(np.int32)
    groups = _groups(centroids, np.where(parts > 1, 0, rows), limits.shard, seed)
    shards = np.full((len(centroids), int(parts.max(initial=1))), NONE, np.int32)
    shards[:, 0] = groups
    following = int(groups.max(initial=-1)) + 1
    for cell in np.flatnonzero(parts > 1):
        shards[cell, : parts[cell]] = np.arange(following, following + parts[cell])
        following += int(parts[cell])
    shards, count = _numbered(shards)
    _, visited = _pairs(shards, probed)
    queries = np.bincount(visited, minlength=count) * asking
    blocks = np.maximum(1, np.ceil(queries / limits.block)).astype(np.int32)
    return Layout(centroids, probed.shape[1], shards, parts, blocks)


def _groups(centroids: Floats, rows: NDArray[np.float64], most: int, seed: int) -> NDArray[np.int32]:
    """Return the group of each cell: k-means, and every group above `most` rows cut in two until none is."""
    count = min(len(centroids), max(1, int(np.ceil(rows.sum() / most))))
    coarse = means(centroids, count, seed, 10, 1) if count > 1 else centroids[:1]
    nearest = np.argmax(centroids @ coarse.T, axis=1)
    waiting = [np.flatnonzero(nearest == group) for group in range(count)]
    groups, done = np.zeros(len(centroids), np.int32), 0
    while waiting:
        cells = waiting.pop()
        if len(cells) > 1 and rows[cells].sum() > most:
            waiting += _halves(centroids, cells, rows)
        elif len(cells):
            groups[cells] = done
            done += 1
    return groups


def _halves(centroids: Floats, cells: Rows, rows: NDArray[np.float64]) -> list[Rows]:
    """Return the cells in two halves of about as many rows, cut across their longest axis."""
    spread = centroids[cells].astype(np.float64) - centroids[cells].mean(axis=0, dtype=np.float64)
    axis = np.linalg.eigh(spread.T @ spread)[1][:, -1]
    ordered = cells[np.argsort(spread @ axis, kind="stable")]
    total = np.cumsum(rows[ordered])
    cut = int(np.searchsorted(total, total[-1] / 2)) + 1
    cut = min(max(1, cut), len(cells) - 1)
    return [ordered[:cut], ordered[cut:]]


def _numbered(shards: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """Return the shards numbered from 0 without gaps, in the order of their first cell."""
    used, first = np.unique(shards, return_index=True)
    order = np.argsort(first[used != NONE], kind="stable")
    names = np.full(int(used.max(initial=0)) + 2, NONE, np.int32)
    names[used[used != NONE][order]] = np.arange(len(order))
    return np.where(shards == NONE, NONE, names[shards]).astype(np.int32), len(order)


def _pairs(shards: NDArray[np.int32], probed: Integers) -> tuple[Rows, Rows]:
    # the width is named: numpy cannot infer it of a batch in which nothing is asked
    told = np.sort(shards[probed].reshape(len(probed), probed.shape[1] * shards.shape[1]), axis=1)
    once = np.ones(told.shape, bool)
    once[:, 1:] = told[:, 1:] != told[:, :-1]
    lines, columns = np.nonzero(once & (told != NONE))
    return lines, told[lines, columns].astype(np.int64)
