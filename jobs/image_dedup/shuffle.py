"""Packed hashes on their way to the tasks that compare them, and sorted Arrow batches with whole runs of equal keys.

A hash is sent to one part per key. A part is one combination of blocks and a share of its keys: hashes with the same
key under it meet in the same part. One Spark row per hash and key would cost ten times as much as the comparison, so a
row holds a thousand hashes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.image_dedup.blocks import Blocks, Hashes
from jobs.image_dedup.hamming import distances, pairs_of_key

BATCH_ROWS = 1 << 20
"""Hashes that are packed at once."""
PACKED = 1024
"""Hashes of a row. A batch of Arrow has ten thousand rows, so 80 MB."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: multiplying by it spreads keys that lie close over all parts."""


@dataclass(frozen=True)
class Partitioning:
    """Blocks, and how many parts the keys of one combination are dealt to."""

    blocks: Blocks
    shares: int

    def parts(self, keys: Hashes, which: int) -> NDArray[np.int64]:
        """Return the part of each key of a combination."""
        share = ((keys * _MIX) >> np.uint64(32)) % np.uint64(self.shares)
        return share.astype(np.int64) + which * self.shares


def pack_by_key(
    batches: Iterable[pa.RecordBatch], split: Partitioning, wanted: Hashes | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield part, fresh, packed of batches of hash, fresh; runs on an executor.

    Args:
        batches: hash int64, fresh.
        split: how hashes are dealt out.
        wanted: given, a hash is sent under a key only if one of these has that key too.
    """
    count = len(split.blocks.combinations)
    theirs = None if wanted is None else [np.unique(split.blocks.key(wanted, which)) for which in range(count)]
    for hashes, fresh in _rebatch(batches):
        for which in range(count):
            keys = split.blocks.key(hashes, which)
            keep = np.ones(len(keys), bool) if theirs is None else _among(keys, theirs[which])
            yield _packed(split.parts(keys[keep], which), fresh[keep], hashes[keep])


def _rebatch(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Hashes, NDArray[np.bool_]]]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(part.num_rows for part in held) >= BATCH_ROWS:
            yield _columns(held)
            held = []
    if held:
        yield _columns(held)


def _columns(held: list[pa.RecordBatch]) -> tuple[Hashes, NDArray[np.bool_]]:
    hashes = np.concatenate([part.column(0).to_numpy() for part in held]).view(np.uint64)
    return hashes, np.concatenate([part.column(1).to_numpy(zero_copy_only=False) for part in held])


def _packed(parts: NDArray[np.int64], fresh: NDArray[np.bool_], hashes: Hashes) -> pa.RecordBatch:
    """Return rows of up to PACKED hashes of one part, fresh or not."""
    codes = parts * 2 + fresh
    order = np.argsort(codes, kind="stable")
    codes, firsts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    cuts = [np.arange(first, first + n, PACKED) for first, n in zip(firsts.tolist(), counts.tolist(), strict=True)]
    codes = np.repeat(codes, [len(cut) for cut in cuts])
    offsets = (np.concatenate([*cuts, [len(hashes)]]) * 8).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(hashes[order].tobytes())]
    packed = pa.Array.from_buffers(pa.binary(), len(codes), buffers)
    columns = [pa.array(codes >> 1), pa.array((codes & 1).astype(bool)), packed]
    return pa.RecordBatch.from_arrays(columns, ["part", "fresh", "packed"])


def _among(keys: Hashes, ascending: Hashes) -> NDArray[np.bool_]:
    """Return which keys are among others."""
    if not len(ascending):
        return np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[place] == keys
    return found


def compare_parts(
    parts: NDArray[np.int64], fresh: NDArray[np.bool_], packed: NDArray[np.object_], split: Partitioning
) -> Iterator[tuple[NDArray, ...]]:
    """Yield low, high, distance of the near pairs within each part, under their first key only.

    Args:
        parts: [n], ascending.
        fresh: [n], fresh rows first within a part.
        packed: [n], bytes.
        split: how hashes were dealt out.
    """
    for part in np.unique(parts).tolist():
        of = slice(*np.searchsorted(parts, [part, part + 1]).tolist())
        hashes = np.frombuffer(b"".join(packed[of]), np.uint64)
        marks = np.repeat(fresh[of], [len(row) // 8 for row in packed[of]])
        for i, j in pairs_of_key(split.blocks, part // split.shares, hashes, marks):
            one, other = hashes[i], hashes[j]
            a, b = one.view(np.int64), other.view(np.int64)
            yield np.minimum(a, b), np.maximum(a, b), distances(one, other).astype(np.int32)


LEAST = 1 << 18
"""Rows handed on at once, if there are as many: numpy's calls cost as much as a thousand rows each."""


def sorted_runs(batches: Iterable[pa.RecordBatch], least: int = LEAST) -> Iterator[list[NDArray]]:
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


def map_sorted_runs(
    work: Callable[..., Iterator[tuple[NDArray, ...]]], names: list[str], least: int = LEAST
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a function for mapInArrow: `work` on the columns of whole runs, its arrays named."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for columns in sorted_runs(batches, least):
            for made in work(*columns):
                yield pa.RecordBatch.from_arrays([pa.array(column) for column in made], names)

    return run
