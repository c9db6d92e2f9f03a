"""The exact join of hashes, held against comparing all with all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.common.errors import ConfigError
from jobs.image_dedup import hamming
from jobs.image_dedup.blocks import MOST_KEYS, MOST_RADIUS, Blocks, choose
from jobs.image_dedup.hamming import distances, near, representative_rows, unpack_pairs

TOP = np.uint64(1 << 63)


def random(n, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


def flipped(hashes, bits, seed):
    """The hashes, each with up to so many bits flipped."""
    rng = np.random.default_rng(seed)
    made = hashes.copy()
    for _ in range(bits):
        made ^= np.uint64(1) << rng.integers(0, 64, len(made)).astype(np.uint64)
    return made


def clustered(n=600, seed=1):
    centres = random(n // 20, seed)
    made = flipped(np.repeat(centres, 20), 5, seed + 1)
    made[::7] ^= TOP
    return np.unique(made)[np.random.default_rng(seed).permutation(len(np.unique(made)))]


def low_entropy(n=900, bits=9):
    """Few bits that vary, spread over the word: every key is hot."""
    narrow = np.random.default_rng(3).permutation(1 << bits).astype(np.uint64)[:n]
    return sum(((narrow >> np.uint64(b)) & np.uint64(1)) << np.uint64(b * 7) for b in range(bits)) | TOP


def oracle(hashes, radius, fresh=None):
    close = np.triu(np.bitwise_count(hashes[:, None] ^ hashes) <= radius, 1)
    if fresh is not None:
        close &= fresh[:, None] | fresh
    return list(zip(*(side.tolist() for side in np.nonzero(close)), strict=True))


def pairs(hashes, radius):
    return list(zip(*(side.tolist() for side in unpack_pairs(near(hashes, radius))), strict=True))


@pytest.mark.parametrize("radius", range(9))
@pytest.mark.parametrize(
    "hashes",
    [random(500), clustered(), low_entropy(300), random(0), random(1), np.array([0, TOP], np.uint64)],
    ids=["random", "clustered", "low entropy", "empty", "one", "bit 63 alone"],
)
def test_finds_every_pair_once_and_no_other(hashes, radius):
    assert pairs(hashes, radius) == oracle(hashes, radius)


@pytest.mark.parametrize("radius", [1, 2, 3, 6])
@pytest.mark.parametrize("extra", [2, 3, 5])  # a key of 5 in 6 blocks has 53 bits, and is cut
@pytest.mark.parametrize("hashes", [clustered(300), low_entropy(300)], ids=["clustered", "low entropy"])
def test_keys_of_several_blocks_as_millions_of_hashes_have(monkeypatch, hashes, extra, radius):
    monkeypatch.setattr(hamming, "choose", lambda _, radius, width: Blocks(radius, min(radius + extra, width), width))
    assert pairs(hashes, radius) == oracle(hashes, radius)


@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=40, unique=True),
    st.lists(st.integers(0, 63), max_size=6),
    st.integers(0, MOST_RADIUS),
)
def test_whatever_the_hashes_and_the_radius(values, bits, radius):
    near_by = [value ^ sum(1 << b for b in set(bits[: k + 1])) for k, value in enumerate(values[:6])]
    hashes = np.array(sorted({*values, *near_by}), np.uint64)
    assert pairs(hashes, radius) == oracle(hashes, radius)


@pytest.mark.parametrize("hashes", [clustered(), low_entropy(500)], ids=["clustered", "low entropy"])
def test_runs_of_one_key_that_are_long_are_cut_again(monkeypatch, hashes):
    monkeypatch.setattr(hamming, "HOT", 12)
    monkeypatch.setattr(hamming, "TILE", 64)
    assert pairs(hashes, 4) == oracle(hashes, 4)


@pytest.mark.parametrize("hot", [12, hamming.HOT])
def test_of_fresh_rows_only_the_pairs_they_are_in(monkeypatch, hot):
    monkeypatch.setattr(hamming, "HOT", hot)
    hashes = clustered()
    fresh = np.random.default_rng(5).random(len(hashes)) < 0.1
    found = [(i, j) for one, other in hamming.join_pairs(hashes, 6, fresh) for i, j in zip(one, other, strict=True)]
    assert sorted((min(p), max(p)) for p in found) == oracle(hashes, 6, fresh)


@given(st.sets(st.integers(0, 400), max_size=60), st.sets(st.integers(0, 400), max_size=60), st.integers(0, 5))
def test_what_was_found_before_and_what_is_new_are_what_is_found_anew(before, now, radius):
    rest = np.uint64(0x9249249249249)
    was, has = (np.array(sorted(side), np.uint64) * np.uint64(1 << 55) ^ rest for side in (before, now))

    def values(hashes, found):
        return {frozenset((int(hashes[i]), int(hashes[j]))) for i, j in found}

    kept = {pair for pair in values(was, pairs(was, radius)) if pair <= set(has.tolist())}
    fresh = ~np.isin(has, was)
    new = [p for one, other in hamming.join_pairs(has, radius, fresh) for p in zip(one, other, strict=True)]
    assert kept | values(has, new) == values(has, pairs(has, radius))
    assert not kept & values(has, new)


def test_memory_does_not_grow_with_the_square_of_a_hot_key():
    import tracemalloc

    hashes = random(3000) << np.uint64(32) | random(3000, 1) >> np.uint64(60)  # half the blocks say next to nothing
    near(hashes[:100], 2)
    tracemalloc.start()
    near(hashes, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20  # 3,000 squared would be 9 MB of single bytes


def test_equal_hashes_are_represented_by_their_lowest_row():
    hashes = np.array([9, TOP, 9, 3, TOP, 9], np.uint64)
    assert representative_rows(hashes).tolist() == [0, 1, 0, 3, 1, 0]
    assert representative_rows(hashes[:0]).tolist() == []
    assert representative_rows(np.full(1000, TOP)).tolist() == [0] * 1000


def test_distance_counts_bit_63():
    assert distances(np.array([TOP, 1], np.uint64), np.array([0, 2], np.uint64)).tolist() == [1, 2]


@pytest.mark.parametrize("radius", [-1, 11, 64])
def test_a_radius_beyond_the_limit_is_refused_with_the_limit_and_why(radius):
    with pytest.raises(ConfigError, match=f"0 to 10 of 64 bits, got {radius}.*by accident"):
        near(random(3), radius)


def test_more_pairs_than_memory_are_refused_while_they_are_found(monkeypatch):
    monkeypatch.setattr(hamming, "MOST_PAIRS", 1000)
    assert len(near(low_entropy(200), 1)) <= 1000
    with pytest.raises(ConfigError, match="1,000 pairs at most, but 200 different hashes have more within 4 bits"):
        near(low_entropy(200), 4)


@pytest.mark.parametrize(
    ("unique", "radius", "count", "keys"),
    [(10**6, 6, 8, 28), (10**8, 6, 9, 84), (10**9, 6, 10, 210), (10**9, 3, 5, 10), (10, 6, 7, 7), (10**9, 10, 13, 286)],
)
def test_blocks_follow_the_number_of_hashes(unique, radius, count, keys):
    chosen = choose(unique, radius)
    assert (chosen.count, len(chosen.combinations)) == (count, keys)
    assert keys <= MOST_KEYS
    assert sum(bits for _, bits in chosen.spans) == 64
