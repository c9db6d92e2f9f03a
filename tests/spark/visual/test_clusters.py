"""Components, clusters and their lasting ids, on graphs whose answer is known."""

from itertools import pairwise

import numpy as np
import pytest

from jobs.errors import TableError
from jobs.visual.duplicates.clusters import clusters, lasting, pictures
from jobs.visual.duplicates.components import components
from jobs.visual.duplicates.cut import cut
from tests.asserts import assert_no_cross_join

pytestmark = pytest.mark.spark


def pairs(spark, edges):
    return spark.createDataFrame(edges, "left bigint, right bigint, distance int")


def table(df):
    return dict(map(tuple, df.collect()))


def named(spark, clusters_by_name):
    rows = [(i, name) for name, members in clusters_by_name.items() for i in members]
    return spark.createDataFrame(rows, "id bigint, cluster bigint")


def groups(df):
    found = {}
    for one, cluster in map(tuple, df.collect()):
        found.setdefault(cluster, set()).add(one)
    return found


def graph(nodes=120, edges=110, seed=0):
    rng = np.random.default_rng(seed)
    ends = np.unique(np.sort(rng.integers(0, nodes, (edges, 2)), axis=1), axis=0)
    return [(int(a), int(b), int(1 + (a + b) % 6)) for a, b in ends if a != b]


def lowest_linked(edges):
    label = {i: i for a, b, _ in edges for i in (a, b)}
    for _ in label:
        for a, b, _ in edges:
            label[a] = label[b] = min(label[a], label[b])
    return label


def test_components_are_named_by_their_lowest_id(spark):
    edges = graph()
    found = components(pairs(spark, edges))
    assert table(found) == lowest_linked(edges)
    assert_no_cross_join(found)


def test_a_chain_takes_few_rounds_and_too_few_are_said(spark):
    order = np.random.default_rng(1).permutation(64).tolist()
    chain = pairs(spark, [(a, b, 1) for a, b in pairwise(order)])
    assert set(table(components(chain, rounds=10)).values()) == {0}
    with pytest.raises(TableError, match="after 2 rounds"):
        components(chain, rounds=2)


def test_cut_by_component_as_all_at_once(spark):
    edges = graph(seed=2)
    ids, centres = cut(*np.array(edges).T)
    wanted = dict(zip(ids.tolist(), centres.tolist(), strict=True))
    assert table(clusters(pairs(spark, edges))) == wanted
    assert table(clusters(pairs(spark, edges), one_task=0)) == wanted


def test_no_pairs_no_clusters(spark):
    assert table(clusters(pairs(spark, []))) == {}
    assert table(clusters(pairs(spark, []), one_task=-1)) == {}


def test_a_component_too_large_does_without_its_farthest_pairs(spark):
    near = [(i, j, 1) for i in range(4) for j in range(i + 1, 4)]
    large = near + [(i + 10, j + 10, d) for i, j, d in near] + [(3, 10, 6), (13, 20, 5)]
    small = [(50, 51, 6)]
    found = table(clusters(pairs(spark, large + small), most=6))
    # 20 lost its only pair; the small component kept its own
    assert found == dict.fromkeys(range(4), 0) | dict.fromkeys(range(10, 14), 10) | {20: 20, 50: 50, 51: 50}
    with pytest.raises(TableError, match="5 pairs at most"):
        clusters(pairs(spark, large), most=5)


def test_pictures_are_where_their_representative_is(spark):
    of = spark.createDataFrame([(1, 1), (2, 1), (3, 3), (4, 4)], "id bigint, representative bigint")
    centres = spark.createDataFrame([(1, 3), (3, 3)], "id bigint, centre bigint")
    assert table(pictures(of, centres)) == {1: 3, 2: 3, 3: 3, 4: 4}


DAYS = {
    "first day": ({}, {7: {5, 7, 9}}, {5: {5, 7, 9}}),
    "the same, grown, its lowest gone": ({5: {5, 7, 9}}, {9: {7, 9, 12}}, {5: {7, 9, 12}}),
    "split: the larger part keeps the id": ({5: {5, 6, 7, 8, 9}}, {5: {5, 6}, 7: {7, 8, 9}}, {6: {5, 6}, 5: {7, 8, 9}}),
    "split in halves: the lower cluster": ({5: {5, 6, 7, 8}}, {7: {7, 8}, 6: {5, 6}}, {5: {5, 6}, 7: {7, 8}}),
    "merged: the lowest id, though fewer had it": (
        {1: {1, 2}, 5: {5, 6, 7}},
        {6: {1, 2, 5, 6, 7}},
        {1: {1, 2, 5, 6, 7}},
    ),
    "gone": ({1: {1, 2}, 5: {5}}, {5: {5}}, {5: {5}}),
    "all its pictures are others' ids": (
        {1: {1, 2, 3}, 4: {4, 5, 6}},
        {2: {2, 3}, 5: {5, 6}, 1: {1, 4}},
        {1: {2, 3}, 4: {5, 6}, -5: {1, 4}},
    ),
}


@pytest.mark.parametrize("day", DAYS)
def test_ids_last(spark, day):
    before, today, wanted = DAYS[day]
    found = lasting(named(spark, today), named(spark, before))
    assert groups(found) == wanted
    assert_no_cross_join(found)


def test_ids_are_one_to_one_whatever_happens_and_do_not_move_where_nothing_does(spark):
    rng = np.random.default_rng(4)
    known = named(spark, {})
    for _ in range(4):
        parts = rng.integers(0, 25, 60)
        today = {int(c) + 1000: set(np.flatnonzero(parts == c).tolist()) for c in np.unique(parts)}
        made = lasting(named(spark, today), known).localCheckpoint()
        assert sorted(map(sorted, groups(made).values())) == sorted(map(sorted, today.values()))
        known = made
    again = lasting(named(spark, today), known)
    assert table(again) == table(known)
