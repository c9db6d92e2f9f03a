"""Packed vectors and neighbours for shuffles: one Spark row holds thousands of them.

One Spark row per vector would cost more than assigning the vector to a cell. Every packed row carries a checksum:
damage on a disk or in transit fails the job instead of changing results.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from jobs.common.errors import TableError
from jobs.knn.exact import Floats, Rows
from jobs.lake.vectors import HALF

PACKED_VECTORS = "shard int, block int, ids binary, vectors binary, cells binary, min_scores binary, checksum binary"
"""Vectors for one shard: its own where `block` is INDEX, else of a block of those that look into it."""
PACKED_PAIRS = "bucket int, ids binary, counts binary, neighbours binary, scores binary, cells binary, checksum binary"
"""Neighbours of vectors whose ids fall into one bucket, as found in one place."""
INDEX = -1
Integers = NDArray[np.integer[Any]]
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Of splitmix64's last step (Steele, Lea, Flood 2014): ids that lie close are dealt out evenly."""


@dataclass(frozen=True)
class Vectors:
    """Some vectors and the cells of each."""

    ids: Rows
    """[m]."""
    vectors: NDArray[np.float16]
    """[m, d]."""
    cells: NDArray[np.int32]
    """[m, p]: the cell it stands in (p = 1), or those it looks into, nearest first."""
    min_scores: Floats
    """[m], scores below which no neighbour is wanted."""

    def row(self, shard: int, block: int) -> tuple[object, ...]:
        """Return the packed row."""
        parts = (
            self.ids.astype("<i8").tobytes(),
            self.vectors.astype(HALF).tobytes(),
            self.cells.astype("<i4").tobytes(),
            self.min_scores.astype("<f4").tobytes(),
        )
        return (shard, block, *parts, checksum(*parts))

    def take(self, rows: Rows | slice) -> "Vectors":
        """Return some of them."""
        return Vectors(self.ids[rows], self.vectors[rows], self.cells[rows], self.min_scores[rows])


@dataclass(frozen=True)
class Pairs:
    """Neighbours, one line a pair."""

    ids: Rows
    """[n]."""
    neighbours: Rows
    """[n]."""
    scores: Floats
    """[n]."""
    cells: NDArray[np.int32]
    """[n], the cell that the neighbour stands in; empty where nobody request."""

    def __len__(self) -> int:
        """Return n."""
        return len(self.ids)

    def take(self, rows: Rows) -> "Pairs":
        """Return some of them."""
        cells = self.cells[rows] if len(self.cells) else self.cells
        return Pairs(self.ids[rows], self.neighbours[rows], self.scores[rows], cells)

    def rows(self, buckets: int) -> Iterator[tuple[object, ...]]:
        """Yield one packed row per bucket."""
        where = hash_bucket(self.ids, buckets)
        order = np.argsort(where, kind="stable")
        edges = np.searchsorted(where[order], np.arange(buckets + 1))
        for bucket in np.flatnonzero(np.diff(edges)):
            yield self.take(order[edges[bucket] : edges[bucket + 1]])._row(int(bucket))

    def _row(self, bucket: int) -> tuple[object, ...]:
        # ids stand together: each is written once
        first = np.flatnonzero(np.diff(self.ids, prepend=self.ids[:1] - 1))
        counts = np.diff(np.append(first, len(self.ids)))
        parts = (
            self.ids[first].astype("<i8").tobytes(),
            counts.astype("<i4").tobytes(),
            self.neighbours.astype("<i8").tobytes(),
            self.scores.astype("<f4").tobytes(),
            self.cells.astype("<i4").tobytes(),
        )
        return (bucket, *parts, checksum(*parts))

    @classmethod
    def concat(cls, parts: list["Pairs"]) -> "Pairs":
        """Return them all."""
        if not parts:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int32))
        names = ("ids", "neighbours", "scores", "cells")
        return cls(*[np.concatenate([getattr(part, name) for part in parts]) for name in names])


def checksum(*parts: bytes) -> bytes:
    """Return the SHA-256 of a packed row: its parts and their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def hash_bucket(ids: Rows, among: int | Integers) -> Rows:
    """Return a number below `among` for each id, evenly, the same everywhere."""
    mixed = ids.astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.asarray(among, np.uint64)).astype(np.int64)


def pack_batch(rows: Iterable[tuple[object, ...]], schema: str) -> Iterator[pa.RecordBatch]:
    """Yield one batch of packed rows; nothing without rows."""
    held = list(rows)
    if held:
        kinds = [part.strip().split(" ") for part in schema.split(",")]
        fields = [(name, pa.int32() if kind == "int" else pa.binary()) for name, kind in kinds]
        columns = [pa.array(values, kind) for values, (_, kind) in zip(zip(*held, strict=True), fields, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, [name for name, _ in fields])


def unpack_vectors(batch: pa.RecordBatch, dim: int) -> Iterator[tuple[int, Vectors]]:
    """Yield the block and the vectors of each packed row; TableError if one is damaged."""
    for row in _rows(batch, ("ids", "vectors", "cells", "min_scores")):
        ids = np.frombuffer(row["ids"], "<i8")
        vectors = np.frombuffer(row["vectors"], HALF).reshape(len(ids), dim)
        cells, floors = (
            np.frombuffer(row["cells"], "<i4").reshape(len(ids), -1),
            np.frombuffer(row["min_scores"], "<f4"),
        )
        yield row["block"], Vectors(ids, vectors, cells, floors)


def unpack_pairs(batch: pa.RecordBatch) -> Iterator[tuple[int, Pairs]]:
    """Yield the bucket and the neighbours of each packed row; TableError if one is damaged."""
    for row in _rows(batch, ("ids", "counts", "neighbours", "scores", "cells")):
        ids, counts = np.frombuffer(row["ids"], "<i8"), np.frombuffer(row["counts"], "<i4")
        neighbours, scores = np.frombuffer(row["neighbours"], "<i8"), np.frombuffer(row["scores"], "<f4")
        yield row["bucket"], Pairs(np.repeat(ids, counts), neighbours, scores, np.frombuffer(row["cells"], "<i4"))


def _rows(batch: pa.RecordBatch, parts: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for row in range(batch.num_rows):
        values = {name: batch.column(name)[row].as_py() for name in batch.schema.names}
        if checksum(*[values[name] for name in parts]) != values["checksum"]:
            told = ", ".join(f"{name} {values[name]}" for name in ("shard", "block", "bucket") if name in values)
            raise TableError(
                f"Packed vectors ({told}) are not what was written: their checksum differs. A disk or the network "
                "damaged them; run the job again with --force, which packs them again."
            )
        yield values


LISTS = "id bigint, neighbour bigint, rank int, score float, cell int"


def merge_top_k(found: DataFrame, buckets: int, k: int) -> DataFrame:
    """Return id, neighbour, rank (from 1), score, cell of the k best of each id, by (-score, neighbour).

    Args:
        found: packed pairs.
        buckets: number of hash buckets of the ids: one is held in memory at a time.
        k: neighbours wanted.
    """

    def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: dict[int, list[Pairs]] = {}
        for batch in batches:
            for bucket, some in unpack_pairs(batch):
                held.setdefault(bucket, []).append(some)
        for parts in held.values():
            yield _batch(*best(Pairs.concat(parts), k))

    return found.repartitionById(buckets, "bucket").mapInArrow(merge, LISTS)


def best(found: Pairs, k: int) -> tuple[Pairs, Rows]:
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


def _batch(found: Pairs, rank: Rows) -> pa.RecordBatch:
    cells = found.cells if len(found.cells) else np.zeros(len(found), np.int32)
    columns = (found.ids, found.neighbours, rank.astype(np.int32), found.scores, cells)
    names = ["id", "neighbour", "rank", "score", "cell"]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names)
