"""Near hashes on Spark, held against comparing all with all and one machine; the same from yesterday's pairs."""

import numpy as np
import pytest

from jobs.common.errors import ConfigError
from jobs.image_dedup import blocks, hamming
from jobs.image_dedup import hash_pairs as hash_pairs_module
from jobs.image_dedup.by_embedding import confirm_pairs
from jobs.image_dedup.hash_pairs import near_pairs, representatives, updated_pairs
from tests.asserts import assert_no_cross_join

pytestmark = pytest.mark.spark


def hashes(n=700, seed=0):
    """Signed hashes: random, variants of one another, one of them hot, some with bit 63 set."""
    rng = np.random.default_rng(seed)
    made = rng.integers(0, 2**64, n, dtype=np.uint64)
    made[: n // 2] = made[np.arange(n // 2) % 20]
    for _ in range(4):
        made[: n // 2] ^= np.uint64(1) << rng.integers(0, 64, n // 2).astype(np.uint64)
    made[n - n // 5 :] = made[-1]
    return made.view(np.int64)


def frame(spark, values, ids=None):
    ids = range(len(values)) if ids is None else ids
    rows = list(zip([int(i) for i in ids], values.tolist(), strict=True))
    return spark.createDataFrame(rows, "id bigint, hash bigint").repartition(3)


def rows(df):
    return sorted(tuple(row) for row in df.collect())


def oracle(ids, values, radius):
    """Left, right, distance between the lowest ids of different hashes."""
    lowest = {}
    for one, value in sorted(zip(ids, values.tolist(), strict=True)):
        lowest.setdefault(value, one)
    pins, unique = np.array(list(lowest.values())), np.array(list(lowest), np.int64).view(np.uint64)
    distance = np.bitwise_count(unique[:, None] ^ unique)
    i, j = np.nonzero(np.triu(distance <= radius, 1))
    left, right = np.minimum(pins[i], pins[j]), np.maximum(pins[i], pins[j])
    return sorted(zip(left.tolist(), right.tolist(), distance[i, j].tolist(), strict=True))


SMALL = [pytest.param(radius, 64, 1000, marks=pytest.mark.long) for radius in (0, 1)]


@pytest.mark.parametrize(("radius", "bucket", "part"), [*SMALL, (6, 64, 1000), (6, 2.0**-6, 100)])
def test_finds_what_comparing_all_with_all_finds(spark, monkeypatch, radius, bucket, part):
    monkeypatch.setattr(blocks, "BUCKET", bucket)  # of 2**-6: as many blocks as millions of hashes would have
    monkeypatch.setattr(hash_pairs_module, "PART", part)  # of 100: keys are dealt to several parts
    values = hashes()
    ids = np.random.default_rng(1).permutation(5000)[: len(values)].tolist()
    found = near_pairs(frame(spark, values, ids), radius)
    assert rows(found) == oracle(ids, values, radius)
    assert_no_cross_join(found)


def test_one_machine_finds_the_same(spark):
    values = hashes(seed=3)
    bits = values.view(np.uint64)
    unique = np.unique(hamming.representative_rows(bits))
    left, right = (unique[side].tolist() for side in hamming.unpack_pairs(hamming.near(bits[unique], 6)))
    on_spark = rows(near_pairs(frame(spark, values), 6).select("left", "right"))
    assert on_spark == list(zip(left, right, strict=True))


def test_a_key_that_all_share_is_cut_by_the_other_bits(spark):
    narrow = np.unique(np.random.default_rng(4).integers(0, 1 << 30, 6000)).astype(np.int64) | np.int64(-(1 << 63))
    assert len(narrow) > hamming.HOT
    assert rows(near_pairs(frame(spark, narrow), 2)) == oracle(range(len(narrow)), narrow, 2)


def test_nothing_and_all_equal(spark):
    assert rows(near_pairs(frame(spark, hashes()[:0]), 6)) == []
    same = frame(spark, np.full(50, -1, np.int64), range(9, 59))
    assert rows(near_pairs(same, 6)) == []
    assert rows(representatives(same)) == [(i, 9) for i in range(9, 59)]


def test_a_radius_beyond_the_limit_is_refused(spark):
    with pytest.raises(ConfigError, match="got 11"):
        near_pairs(frame(spark, hashes()), 11)


EDGES = [pytest.param(*edge, marks=pytest.mark.long) for edge in ((0.0, 0.3), (0.5, 0.0), (1.0, 1.0))]


@pytest.mark.parametrize(("gone", "new"), [(0.2, 0.1), *EDGES])
def test_yesterdays_pairs_and_what_is_new_give_what_all_hashes_give(spark, monkeypatch, gone, new):
    values = np.unique(hashes(400, seed=7))
    rng = np.random.default_rng(8)
    before = values[rng.random(len(values)) >= new]
    now = np.setdiff1d(values, before[rng.random(len(before)) < gone])
    pairs = spark.createDataFrame(oracle(before.tolist(), before, 6), "low bigint, high bigint, distance int")
    frames = [frame(spark, side).select("hash") for side in (before, now)]
    for few in (1000, 0):  # new and lost hashes are broadcast, and are not
        monkeypatch.setattr(hash_pairs_module, "FEW", few)
        assert rows(updated_pairs(pairs, *frames, 6)) == oracle(now.tolist(), now, 6)


def test_only_new_hashes_are_compared(spark):
    values = hashes(300)
    none = spark.createDataFrame([], "low bigint, high bigint, distance int")
    all_of_them = frame(spark, values)
    assert rows(updated_pairs(none, all_of_them, all_of_them, 6)) == []


def vectors(spark, by_id):
    made = [(i, np.array(v, np.float16).tobytes()) for i, v in by_id.items()]
    return spark.createDataFrame(made, "id bigint, embedding binary")


def test_embeddings_confirm_and_few_bits_do_where_there_are_none(spark):
    pairs = spark.createDataFrame(
        [(1, 2, 6), (1, 3, 1), (2, 4, 2), (2, 5, 3), (1, 6, 2)], "left bigint, right bigint, distance int"
    )
    known = vectors(spark, {1: [3, 4], 2: [6, 8], 3: [4, -3], 6: [0, 0]})
    found = {row[:2]: row[2:] for row in map(tuple, confirm_pairs(pairs, known, 0.9).collect())}
    # 1 and 3 look alike to the hash alone; 2 and 5 are too far apart without an embedding
    assert found == {(1, 2): (6, 1.0), (2, 4): (2, None), (1, 6): (2, None)}
    assert {tuple(row[:2]) for row in confirm_pairs(pairs, known, 0.9, alone=-1).collect()} == {(1, 2)}


def test_vectors_of_two_lengths_are_refused(spark):
    pairs = spark.createDataFrame([(1, 2, 6)], "left bigint, right bigint, distance int")
    with pytest.raises(Exception, match="must have the same length, got 2 and 3"):
        confirm_pairs(pairs, vectors(spark, {1: [1, 0], 2: [1, 0, 0]}), 0.9).collect()
