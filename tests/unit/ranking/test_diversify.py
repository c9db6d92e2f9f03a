"""Maximal marginal relevance: a known answer, and what must hold for any pool."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from jobs.ranking.diversify import Pools, mmr, positions
from jobs.ranking.user_batches import cumcount, iter_user_batches
from jobs.settings.ranking import Ranking


def one_pool(traits, trade, relevance=None):
    """A pool of one user: `traits` is pins x 4 (category, style, color, creator)."""
    codes = np.array(traits, np.int64).T[:, None, :]
    n = codes.shape[2]
    given_ = np.array([relevance if relevance is not None else [1 - i / n for i in range(n)]], np.float32)
    return Pools(relevance=given_, traits=codes, trade=np.array([trade], np.float32))


def test_mmr_takes_the_pin_that_differs_when_difference_weighs_enough():
    # pins 1 and 2 are alike in all; pin 3 in nothing. After pin 1: pin 2 is worth .5*.9-.5*1 = -.05, pin 3 .5*.5 = .25
    traits = [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]
    assert mmr(one_pool(traits, 0.5, [1.0, 0.9, 0.5]), 3, 10).tolist() == [[1, 3, 2]]


def test_mmr_keeps_the_score_where_relevance_weighs_more():
    traits = [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]
    # pin 2: .8*.9-.2 = .52; pin 3: .8*.5 = .4
    assert mmr(one_pool(traits, 0.8, [1.0, 0.9, 0.5]), 3, 10).tolist() == [[1, 2, 3]]


def test_only_the_last_places_of_the_window_count():
    # window 1: after pins of category 0 then 1, a pin of category 0 is new again
    traits = [[0, -1, -1, -1], [1, -1, -1, -1], [0, -1, -1, -1], [1, -1, -1, -1]]
    short = mmr(one_pool(traits, 0.5, [1.0, 0.9, 0.8, 0.79]), 4, 1)
    assert short.tolist() == [[1, 2, 3, 4]]
    # window 4: both categories are met, the score decides
    alike = [[0, -1, -1, -1], [0, -1, -1, -1], [1, -1, -1, -1]]
    assert mmr(one_pool(alike, 0.5, [1.0, 0.9, 0.8]), 3, 4).tolist() == [[1, 3, 2]]


def test_unknown_traits_are_like_nothing():
    traits = [[-1, -1, -1, -1]] * 3
    assert mmr(one_pool(traits, 0.1), 3, 10).tolist() == [[1, 2, 3]]


@given(
    traits=st.lists(st.lists(st.integers(-1, 3), min_size=4, max_size=4), min_size=1, max_size=30),
    trade=st.floats(0, 1),
    length=st.integers(1, 40),
    window=st.integers(1, 12),
)
def test_every_place_up_to_the_length_is_filled_once(traits, trade, length, window):
    places = mmr(one_pool(traits, trade), length, window)[0]
    filled = sorted(places[places > 0])
    assert filled == list(range(1, min(length, len(traits)) + 1))
    assert places[0] == 1


@given(
    traits=st.lists(st.lists(st.integers(-1, 3), min_size=4, max_size=4), min_size=1, max_size=30),
    length=st.integers(1, 40),
)
def test_lambda_one_is_the_order_of_score(traits, length):
    places = mmr(one_pool(traits, 1.0), length, 10)[0]
    kept = min(length, len(traits))
    assert places[:kept].tolist() == list(range(1, kept + 1))
    assert not places[kept:].any()


def block(users, categories, scores=None, trade=0.5):
    n = len(users)
    return pa.RecordBatch.from_pydict(
        {
            "user_id": pa.array(users, pa.int64()),
            "score": pa.array(scores or [-float(i) for i in range(n)], pa.float32()),
            "category": categories,
            "style": pa.array([None] * n, pa.string()),
            "color": pa.array([None] * n, pa.string()),
            "creator_id": pa.array([None] * n, pa.int64()),
            "mmr_lambda": pa.array([trade] * n, pa.float32()),
        }
    )


def places(rows, dropped=(), **changed):
    alive = np.array([i not in dropped for i in range(rows.num_rows)])
    return positions(rows, alive, Ranking(**changed)).to_pylist()


def test_users_in_one_block_do_not_touch_each_other():
    first, second = block([1, 1, 1], ["a", "a", "b"]), block([2, 2], ["a", "b"])
    assert places(pa.concat_batches([first, second])) == places(first) + places(second)


def test_relevance_is_the_score_brought_to_one_range_for_each_user():
    # the same gaps on another scale make the same feed: 2 gives way to 3, which differs and is nearly as good
    users, categories = [1] * 4 + [2] * 4, ["a", "a", "b", "c"] * 2
    near = block(users, categories, [10.0, 9.0, 8.9, 0.0, 0.010, 0.009, 0.0089, 0.0], trade=0.6)
    assert places(near) == [1, 3, 2, 4] * 2
    # where the gap is wide, 2 stays
    assert places(block(users, categories, [10.0, 9.0, 1.0, 0.0] * 2, trade=0.6)) == [1, 2, 3, 4] * 2


def test_equal_scores_keep_the_order_given():
    assert places(block([1, 1, 1], ["a", "b", "c"], [1.0, 1.0, 1.0])) == [1, 2, 3]


def test_dropped_pins_and_those_beyond_the_pool_get_no_place():
    assert places(block([1] * 4, ["a", "b", "c", "d"]), dropped={1}, mmr_pool=2) == [1, None, 2, None]
    assert places(block([1, 2], ["a", "b"]), dropped={0, 1}) == [None, None]


def test_places_are_counted_within_groups_in_the_order_of_rows():
    assert cumcount(np.array([2, 1, 2, 2, 1]), np.array([0, 0, 0, 5, 0])).tolist() == [0, 0, 1, 0, 1]
    assert cumcount(np.zeros(0)).tolist() == []


def test_a_user_is_never_parted_between_blocks():
    users = np.repeat(np.arange(20), 7)
    rows = pa.RecordBatch.from_pydict({"user_id": users, "n": np.arange(len(users))})
    batches = [rows.slice(start, 10) for start in range(0, len(users), 10)]
    blocks = list(iter_user_batches(iter(batches), 4))
    assert pa.concat_batches(blocks).equals(rows)
    met = [set(np.asarray(b.column("user_id")).tolist()) for b in blocks]
    assert len(blocks) > 2
    assert sum(map(len, met)) == len(set().union(*met)) == 20
