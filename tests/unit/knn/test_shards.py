"""Shards of an inverted file: who goes where, what a task finds, and how it is put together."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.common.errors import TableError
from jobs.knn.inverted import means, nearest
from jobs.knn.sharded.layout import NONE, Layout, Limits, assign_cells
from jobs.knn.sharded.packed_vectors import (
    INDEX,
    PACKED_PAIRS,
    Pairs,
    Vectors,
    best,
    hash_bucket,
    pack_batch,
    unpack_pairs,
    unpack_vectors,
)
from jobs.knn.sharded.search import search, search_packed
from jobs.knn.sharded.shuffle import packed
from jobs.lake.vectors import encode, unit

N, DIM, CELLS, PROBES, K = 3000, 16, 60, 5, 12


@pytest.fixture(scope="module")
def clustered():
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((30, DIM)) * 1.5
    weights = 1 / np.arange(1, 31)
    of = rng.choice(30, N, p=weights / weights.sum())
    some = unit(centres[of] + rng.standard_normal((N, DIM)) * 0.8)
    some[100:140] = some[7]  # more copies than neighbours wanted
    ids = rng.permutation(N * 5)[:N].astype(np.int64) - N  # of both signs
    return ids, some.astype(np.float16)


@pytest.fixture(scope="module")
def centroids(clustered):
    return means(unit(clustered[1]), CELLS, 5, 4)


@pytest.fixture(scope="module")
def whole(clustered, centroids):
    """Return what one index over all finds."""
    ids, vectors = clustered
    order = np.argsort(ids)
    probed = nearest(centroids, unit(vectors[order]), PROBES).astype(np.int32)
    both = Vectors(ids[order], vectors[order], probed, np.full(N, -2, np.float32))
    return search(both, both, CELLS, K)


def laid(clustered, centroids, shard=400, block=700):
    probed = nearest(centroids, unit(clustered[1]), PROBES)
    return assign_cells(centroids, probed, (N, N), Limits(shard, block), 1)


def batches(clustered, parts=3, **columns):
    ids, vectors = clustered
    columns = {
        "is_query": np.ones(N, bool),
        "is_item": np.ones(N, bool),
        "min_score": np.full(N, -2, np.float32),
    } | columns
    for some in np.array_split(np.random.default_rng(parts).permutation(N), parts):
        arrays = [pa.array(ids[some]), encode(vectors[some]), *[pa.array(c[some]) for c in columns.values()]]
        yield pa.RecordBatch.from_arrays(arrays, ["id", "vector", *columns])


def found_by_shards(packed, layout, buckets=3, k=K):
    rows = [row for batch in packed for row in batch.to_pylist()]
    found = []
    for shard, block in layout.units():
        mine = [tuple(r.values())[1:] for r in rows if r["shard"] == shard and r["block"] in (INDEX, block)]
        given = list(
            pack_batch(
                mine[::-1],
                "shard int, block int, ids binary, vectors binary, cells binary, min_scores binary, checksum binary",
            )
        )
        for batch in search_packed(given, CELLS, DIM, k, buckets):
            found += [some for _, some in unpack_pairs(batch)]
    return best(Pairs.concat(found), k)[0]


def test_shards_find_what_one_index_finds_to_the_last_bit(clustered, centroids, whole):
    layout = laid(clustered, centroids)
    assert len(layout.blocks) > 5
    assert layout.blocks.max() > 1
    found = found_by_shards(packed(batches(clustered), layout, DIM), layout)
    for name in ("ids", "neighbours", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), name)
    assert not (found.ids == found.neighbours).any(), "a vector is not its own neighbour"
    assert len(set(zip(found.ids, found.neighbours, strict=True))) == len(found), "nor anyone twice"
    again = found_by_shards(packed(batches(clustered, parts=11), layout, DIM), layout, buckets=1)
    np.testing.assert_array_equal(again.neighbours, whole.neighbours)


def test_every_vector_has_one_home_and_no_shard_is_much_above_its_limit(clustered, centroids):
    layout = laid(clustered, centroids, shard=150)
    ids, vectors = clustered
    cell = nearest(centroids, unit(vectors), 1)[:, 0]
    assert layout.parts.max() > 1, "the largest cell alone is above the limit"
    sizes = np.bincount(layout.home(ids, cell), minlength=len(layout.blocks))
    assert sizes.sum() == N
    assert sizes.max() <= 1.3 * 150
    used = layout.shards[layout.shards != NONE]
    assert sorted(set(used.tolist())) == list(range(len(layout.blocks)))


def test_a_query_goes_to_every_part_of_the_cells_it_looks_into_once():
    shards = np.array([[0, NONE], [0, NONE], [1, 2]], np.int32)
    layout = Layout(np.eye(3, dtype=np.float32), 2, shards, np.array([1, 1, 2], np.int32), np.ones(3, np.int32))
    lines, visited = layout.visits(np.array([[0, 1], [2, 0]]))
    assert list(zip(lines.tolist(), visited.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 1), (1, 2)]


def test_vectors_of_which_none_asks_go_nowhere_but_home():
    """As a batch of pins that yesterday's lists still serve, or of public pins where private ones ask."""
    layout = Layout(
        np.eye(2, dtype=np.float32), 1, np.zeros((2, 1), np.int32), np.ones(2, np.int32), np.ones(1, np.int32)
    )
    assert [len(found) for found in layout.visits(np.empty((0, 1), np.int32))] == [0, 0]
    vectors = encode(np.eye(2, dtype=np.float16))
    flags = {"is_query": [False, False], "is_item": [True, True], "min_score": pa.array([-2.0, -2.0], pa.float32())}
    (batch,) = pa.table({"id": [1, 2], "vector": vectors, **flags}).to_batches()
    (parcel,) = packed([batch], layout, 2)
    assert parcel.column("unit").to_pylist() == [0]


def test_only_those_that_hold_are_found_only_those_that_ask_are_answered_and_not_below_their_floor(
    clustered, centroids, whole
):
    ids = clustered[0]
    holds, asks = np.arange(N) % 7 == 0, np.arange(N) % 3 == 0
    floor = np.full(N, 0.5, np.float32)
    layout = laid(clustered, centroids)
    found = found_by_shards(
        packed(batches(clustered, is_query=asks, is_item=holds, min_score=floor), layout, DIM), layout
    )
    assert set(found.ids) <= set(ids[asks])
    assert set(found.neighbours) <= set(ids[holds])
    assert found.scores.min() >= 0.5
    kept = np.isin(whole.ids, ids[asks]) & np.isin(whole.neighbours, ids[holds]) & (whole.scores >= 0.5)
    there = set(zip(found.ids, found.neighbours, strict=True))
    assert there >= set(zip(whole.ids[kept], whole.neighbours[kept], strict=True)), "what all found is found among few"


def test_a_parcel_that_was_damaged_is_told_and_not_searched(clustered, centroids):
    ids, vectors = clustered
    some = Vectors(ids[:9], vectors[:9], np.zeros((9, 1), np.int32), np.zeros(9, np.float32))
    schema = "shard int, block int, ids binary, vectors binary, cells binary, min_scores binary, checksum binary"
    row = list(some.row(4, INDEX))
    block, back = next(unpack_vectors(next(pack_batch([tuple(row)], schema)), DIM))
    assert block == INDEX
    np.testing.assert_array_equal(back.vectors, some.vectors)
    spoilt = bytearray(row[3])
    spoilt[5] ^= 1
    row[3] = bytes(spoilt)
    with pytest.raises(TableError, match=r"shard 4, block -1.*checksum differs"):
        next(unpack_vectors(next(pack_batch([tuple(row)], schema)), DIM))


def test_the_best_of_each_id_by_score_then_neighbour_each_once():
    found = Pairs(
        np.array([2, 1, 1, 2, 1, 1]),
        np.array([9, 5, 4, 9, 6, 5]),
        np.array([0.5, 0.7, 0.7, 0.5, 0.9, 0.7], np.float32),
        np.empty(0, np.int32),
    )
    kept, rank = best(found, 2)
    assert list(zip(kept.ids.tolist(), kept.neighbours.tolist(), rank.tolist(), strict=True)) == [
        (1, 6, 1),
        (1, 4, 2),
        (2, 9, 1),
    ]


def test_found_neighbours_come_back_from_their_parcels_bucket_by_bucket():
    rng = np.random.default_rng(1)
    ids = np.repeat(rng.permutation(500).astype(np.int64), rng.integers(1, 5, 500))
    found = Pairs(
        ids, rng.permutation(len(ids)).astype(np.int64), rng.random(len(ids), np.float32), np.empty(0, np.int32)
    )
    back = []
    for batch in pack_batch(found.rows(7), PACKED_PAIRS):
        for bucket, some in unpack_pairs(batch):
            assert (hash_bucket(some.ids, 7) == bucket).all()
            back.append(some)
    there, here = best(Pairs.concat(back), 9)[0], best(found, 9)[0]
    np.testing.assert_array_equal(there.neighbours, here.neighbours)
    np.testing.assert_array_equal(there.scores, here.scores)


def test_ids_that_lie_close_are_dealt_out_evenly():
    counts = np.bincount(hash_bucket(np.arange(100_000, dtype=np.int64) * 4096, 16), minlength=16)
    assert counts.min() > 0.95 * 100_000 / 16
    assert counts.max() < 1.05 * 100_000 / 16
