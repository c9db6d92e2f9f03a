"""Cutting chains: pairs in, clusters out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jobs.image_dedup.split_chains import split_chains


def clusters(*pairs):
    rows = np.array(pairs, np.int64).reshape(-1, 3)
    ids, centres = split_chains(rows[:, 0], rows[:, 1], rows[:, 2])
    return dict(zip(ids.tolist(), centres.tolist(), strict=True))


def test_a_chain_of_three_is_not_one_cluster():
    assert clusters((1, 2, 4), (2, 3, 4)) == {1: 2, 2: 2, 3: 3}
    assert clusters((1, 2, 4), (2, 3, 3)) == {1: 1, 2: 2, 3: 2}  # the nearer one stays


def test_a_triangle_is():
    assert clusters((1, 2, 4), (2, 3, 4), (1, 3, 6)) == {1: 1, 2: 1, 3: 1}


def test_a_long_chain_falls_into_pairs():
    found = clusters(*[(i, i + 1, 1) for i in range(100)])
    sizes = np.unique(list(found.values()), return_counts=True)[1]
    assert sizes.max() == 2
    assert len(found) == 101


def test_two_families_joined_by_one_pair_are_two_clusters():
    family = [(i, j, 3) for i in range(1, 6) for j in range(i + 1, 6)]
    other = [(i + 10, j + 10, d) for i, j, d in family]
    found = clusters(*family, *other, (5, 11, 6))
    # 5 and 11 have the most pairs; neither takes the other along
    assert found == dict.fromkeys(range(1, 6), 5) | dict.fromkeys(range(11, 16), 11)


def test_nothing():
    assert clusters() == {}


EDGES = st.sets(st.tuples(st.integers(0, 14), st.integers(0, 14)).filter(lambda e: e[0] < e[1]), max_size=50)


@given(EDGES, st.randoms(use_true_random=False))
def test_members_pair_with_their_centre_and_with_most_others_in_whatever_order_pairs_come(edges, random):
    rows = [(a, b, 1 + (a * 7 + b) % 6) for a, b in sorted(edges)]
    found = clusters(*rows)
    assert set(found) == {i for edge in edges for i in edge}
    for one, centre in found.items():
        assert one == centre or (min(one, centre), max(one, centre)) in edges
        assert found[centre] == centre
    for centre in set(found.values()):
        members = [i for i, c in found.items() if c == centre]
        inside = sum((a, b) in edges for a in members for b in members)
        assert (
            2 * inside >= len(members) * (len(members) - 1) / 2
        )  # more than half with those before, hence half of all
    mixed = [(b, a, d) if random.random() < 0.5 else (a, b, d) for a, b, d in random.sample(rows, len(rows))]
    assert clusters(*mixed) == found
    shifted = clusters(*rows, *[(a + 100, b + 100, d) for a, b, d in rows])
    assert {i: c for i, c in shifted.items() if i < 100} == found  # components do not touch one another
