"""The choice among a pin's best: near-duplicates never beside each other, owners capped."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from jobs.related.lists import Pin, choose

QUERY = Pin(0, owner=9, signature="q", twins=(50,))


def ids(pool, length=30, cap=5, query=QUERY):
    return [pool[place].pin_id for place in choose(query, pool, length, cap)]


def test_best_first_up_to_the_length():
    assert ids([Pin(i) for i in (5, 3, 8, 1)], length=3) == [5, 3, 8]


def test_near_duplicates_and_the_same_image_of_the_query_are_left_out():
    pool = [Pin(50), Pin(51, twins=(0,)), Pin(52, signature="q"), Pin(0), Pin(53, signature="other")]
    assert ids(pool) == [53]


def test_of_two_near_duplicates_the_better_stays_whoever_of_them_says_so():
    assert ids([Pin(1, twins=(2,)), Pin(2), Pin(3)]) == [1, 3]
    assert ids([Pin(1), Pin(2, twins=(1,)), Pin(3)]) == [1, 3]
    assert ids([Pin(1, signature="s"), Pin(2, signature="s"), Pin(3, signature="t")]) == [1, 3]


def test_a_pin_is_judged_by_those_that_stayed_not_by_those_that_left():
    # 2 left because of 1; 3 is like 2 but not like 1
    assert ids([Pin(1, twins=(2,)), Pin(2, twins=(1, 3)), Pin(3, twins=(2,))]) == [1, 3]


def test_pins_without_a_signature_or_owner_are_not_taken_for_the_same():
    assert ids([Pin(i) for i in range(1, 20)], cap=1) == list(range(1, 20))
    assert ids([Pin(1, signature=""), Pin(2, signature="")], query=Pin(0, signature=None)) == [1, 2]


def test_an_owner_has_no_more_than_the_cap():
    assert ids([Pin(i, owner=i % 2) for i in range(1, 9)], cap=2) == [1, 2, 3, 4]


pins = st.lists(
    st.tuples(
        st.integers(1, 25), st.integers(1, 4), st.sampled_from("abcdefgh"), st.lists(st.integers(0, 25), max_size=3)
    ),
    max_size=25,
    unique_by=lambda p: p[0],
)


@given(pins, st.integers(1, 10), st.integers(1, 4))
def test_nothing_shown_breaks_a_rule_and_nothing_is_left_out_without_one(rows, length, cap):
    pool = [Pin(i, owner, signature, twins) for i, owner, signature, twins in rows]
    shown = [pool[place] for place in choose(QUERY, pool, length, cap)]

    def alike(a, b):
        return a.signature == b.signature or a.pin_id in b.twins or b.pin_id in a.twins

    assert not any(alike(a, b) for a, b in combinations([QUERY, *shown], 2))
    assert all(sum(p.owner == owner for p in shown) <= cap for owner in range(5))
    assert [p for p in pool if p in shown] == shown
    for left in (p for p in pool if p not in shown):
        before = [p for p in shown if pool.index(p) < pool.index(left)]
        full = sum(p.owner == left.owner for p in before) == cap
        assert len(before) == length or full or any(alike(left, p) for p in [QUERY, *before])
