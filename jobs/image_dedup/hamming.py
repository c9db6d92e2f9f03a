"""All pairs of 64-bit hashes that differ in at most r bits, on one machine: exact, memory linear in rows and pairs.

Equal hashes are grouped first (`representative_rows`): a value shared by a million images would form half a million
million pairs. The others meet under keys (`blocks`). Rows that share a key are compared by XOR and popcount, in tiles
that fit a core's cache.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from jobs.common.errors import ConfigError
from jobs.image_dedup.blocks import Blocks, Hashes, choose, require_radius

Rows = NDArray[np.int64]
Found = tuple[Rows, Rows]
"""Places of the two hashes of each pair."""

TILE = 1 << 15
"""Pairs compared at once: 256 KiB, within a core's own cache."""
HOT = 4096
"""Rows that share a key above which their other bits are cut into blocks again."""
MOST_PAIRS = 1 << 28
"""Pairs that one machine collects: 4 GiB while they are sorted."""
MOST_ROWS = 1 << 32
"""Row numbers and keys share 64 bits while they are sorted."""


def representative_rows(hashes: Hashes) -> Rows:
    """Return, for each row [n], the lowest row with the same hash: its representative."""
    order = np.argsort(hashes, kind="stable")
    values = hashes[order]
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(values)), bool), values[1:] != values[:-1]]))
    lowest = np.empty(len(hashes), np.int64)
    lowest[order] = np.repeat(order[starts], np.diff(np.append(starts, len(values))))
    return lowest


def near(hashes: Hashes, radius: int, progress: Callable[[int, int], None] = lambda _, __: None) -> Hashes:
    """Return the pairs of rows whose hashes differ in at most `radius` bits, as left << 32 | right, ascending.

    Args:
        hashes: different values, uint64 [n]; see `representative_rows`.
        radius: 0 to MOST_RADIUS; 0 finds nothing, for all are different.
        progress: called with how many keys are done, and of how many.

    Raises:
        ConfigError: a radius beyond the limit, more than 2**32 rows, or more than MOST_PAIRS pairs.
    """
    require_radius(radius)
    if len(hashes) >= MOST_ROWS:
        raise ConfigError(
            f"One machine joins fewer than {MOST_ROWS:,} different hashes, got {len(hashes):,}: join them on Spark."
        )
    found, count = [np.empty(0, np.uint64)], 0
    for one, other in join_pairs(hashes, radius, None, progress):
        count += len(one)
        if count > MOST_PAIRS:
            raise ConfigError(
                f"One machine collects {MOST_PAIRS:,} pairs at most, but {len(hashes):,} different hashes have more "
                f"within {radius} bits: nearly all are near nearly all. Lower the radius, or see how they were made."
            )
        left, right = np.minimum(one, other), np.maximum(one, other)
        found.append(left.astype(np.uint64) << np.uint64(32) | right.astype(np.uint64))
    pairs = np.concatenate(found)
    del found
    pairs.sort()
    return pairs


def unpack_pairs(pairs: Hashes) -> Found:
    """Return left and right of pairs as `near` returns them."""
    return (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)


def distances(one: Hashes, other: Hashes) -> NDArray[np.uint8]:
    """Return the number of bits in which hashes differ, row by row."""
    counted: NDArray[np.uint8] = np.bitwise_count(one ^ other)
    return counted


def join_pairs(
    hashes: Hashes,
    radius: int,
    fresh: NDArray[np.bool_] | None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Iterator[Found]:
    """Yield every near pair of different hashes once; with `fresh`, those with a fresh row among the two."""
    if radius == 0 or len(hashes) < 2:
        return
    order = np.arange(len(hashes)) if fresh is None else np.argsort(~fresh, kind="stable")
    # fresh rows first: sorting keeps them first among those of one key
    hashes, width = _compact_bits(hashes[order])
    marks = None if fresh is None else fresh[order]
    blocks = _blocks_for(len(hashes), radius, width)
    if blocks is None:
        keys = np.zeros(len(hashes), np.uint64)
        yield from ((order[i], order[j]) for i, j in pairs_in_runs(keys, hashes, radius, marks, hot=len(hashes)))
        return
    for which in range(len(blocks.combinations)):
        for i, j in pairs_of_key(blocks, which, hashes, marks):
            yield order[i], order[j]
        progress(which + 1, len(blocks.combinations))


def pairs_of_key(blocks: Blocks, which: int, hashes: Hashes, fresh: NDArray[np.bool_] | None) -> Iterator[Found]:
    """Yield the near pairs that share a key first under one combination of blocks.

    Args:
        blocks: how hashes are cut.
        which: number of the combination.
        hashes: [n], all different.
        fresh: [n], fresh ones before all others; given, only pairs with a fresh one are yielded.
    """
    keys, rows = _by_key(blocks.key(hashes, which))
    met = pairs_in_runs(keys, hashes[rows], blocks.radius, None if fresh is None else fresh[rows])
    for i, j in rebatch_pairs(met):
        one, other = rows[i], rows[j]
        keep = blocks.first(hashes[one] ^ hashes[other], which)
        yield one[keep], other[keep]


def rebatch_pairs(found: Iterator[Found]) -> Iterator[Found]:
    """Yield the same pairs in pieces of TILE or more: a call of numpy costs as much as a thousand pairs."""
    held: list[Found] = []
    size = 0
    for pair in found:
        held.append(pair)
        size += len(pair[0])
        if size >= TILE:
            yield np.concatenate([i for i, _ in held]), np.concatenate([j for _, j in held])
            held, size = [], 0
    if held:
        yield np.concatenate([i for i, _ in held]), np.concatenate([j for _, j in held])


def _blocks_for(rows: int, radius: int, width: int) -> Blocks | None:
    """Return the blocks to cut hashes into, None where keys would leave half of the comparisons or more."""
    if width <= radius:
        return None
    blocks = choose(rows, radius, width)
    return None if 2 * len(blocks.combinations) > 2**blocks.key_bits else blocks


def _by_key(keys: Hashes) -> tuple[Hashes, Rows]:
    """Return the keys ascending, and their rows; rows of one key in order."""
    # numbers that hold the key and the row sort several times as fast as rows by their keys
    packed = (keys << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    return packed >> np.uint64(32), (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)


def pairs_in_runs(
    keys: NDArray[np.integer],
    hashes: Hashes,
    radius: int,
    fresh: NDArray[np.bool_] | None = None,
    hot: int | None = None,
) -> Iterator[Found]:
    """Yield places i, j of the near pairs among rows of the same key.

    Args:
        keys: [n], ascending.
        hashes: [n], all different within a key.
        radius: most bits in which two may differ.
        fresh: [n], fresh rows first within a key; given, only pairs with a fresh row are yielded.
        hot: rows of a run above which it is joined by keys of its own. [HOT]
    """
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(keys)), bool), keys[1:] != keys[:-1]]))
    lengths = np.diff(np.append(starts, len(keys)))
    heads = lengths - 1 if fresh is None or not len(keys) else _heads(fresh, starts, lengths)
    for at, length, head in _alike(starts, lengths, heads):
        if length > (HOT if hot is None else hot):
            for start in at.tolist():
                part = slice(start, start + length)
                for i, j in join_pairs(hashes[part], radius, None if fresh is None else fresh[part]):
                    yield i + start, j + start
            continue
        step = max(1, TILE // length)
        for begin in range(0, len(at), step):
            places = at[begin : begin + step] + np.arange(length)[:, None]
            yield from _compared(hashes[places], places, head, radius)


def _heads(fresh: NDArray[np.bool_], starts: Rows, lengths: Rows) -> Rows:
    """Return how many rows of each run are compared with those after them: the fresh ones."""
    counted: Rows = np.minimum(np.add.reduceat(fresh.astype(np.int64), starts), lengths - 1)
    return counted


def _alike(starts: Rows, lengths: Rows, heads: Rows) -> Iterator[tuple[Rows, int, int]]:
    """Yield the starts of runs of one length and one number of heads: side by side they make a matrix."""
    some = np.flatnonzero(heads > 0)
    codes = lengths[some] << 32 | heads[some]
    order = np.argsort(codes, kind="stable")
    codes, cuts = np.unique(codes[order], return_index=True)
    for code, places in zip(codes.tolist(), np.split(some[order], cuts[1:]), strict=False):
        yield starts[places], code >> 32, code & 0xFFFFFFFF


def _compared(matrix: Hashes, places: Rows, heads: int, radius: int) -> Iterator[Found]:
    """Yield the near pairs within each column of `matrix` [length, runs], the upper of the first `heads` rows."""
    length, runs = matrix.shape
    step = max(1, TILE // matrix.size)
    for top in range(0, heads, step):
        upper, lower = matrix[top : min(top + step, heads)], matrix[top + 1 :]
        hits = np.flatnonzero(np.bitwise_count(upper[:, None] ^ lower) <= radius)
        if not len(hits):
            continue
        line, column = np.divmod(hits, runs)
        a, b = np.divmod(line, length - top - 1)
        keep = b >= a  # with several rows at once, those before a row and itself are compared with it too
        a, b, column = a[keep], b[keep], column[keep]
        yield places[top + a, column], places[top + 1 + b, column]


def _compact_bits(hashes: Hashes) -> tuple[Hashes, int]:
    """Return the hashes with the bits alone in which any two differ, side by side, and how many these are.

    Rows that share a key agree in its bits, and often in others: blocks are then cut from what tells the rows apart.
    """
    differing = int(np.bitwise_or.reduce(hashes ^ hashes[:1], initial=0))
    made, at, low = np.zeros_like(hashes), 0, 0
    while differing >> low:
        rest = differing >> low
        low += (rest & -rest).bit_length() - 1
        bits = (~(differing >> low) & ((differing >> low) + 1)).bit_length() - 1
        made |= ((hashes >> np.uint64(low)) & np.uint64((1 << bits) - 1)) << np.uint64(at)
        at, low = at + bits, low + bits
    return made, at
