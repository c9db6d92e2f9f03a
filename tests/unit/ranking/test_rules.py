"""The rules that look at the list: what stands above a candidate."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from jobs.ranking.rules import LIST, SINGLE, list_rules
from jobs.settings.ranking import Ranking


def block(rows):
    """Rows are (user, creator, image, rule of SINGLE), from the best-scored down."""
    user, creator, image, rule = zip(*rows, strict=True)
    return pa.RecordBatch.from_pydict(
        {
            "user_id": pa.array(user, pa.int64()),
            "creator_id": pa.array(creator, pa.int64()),
            "image_cluster": pa.array(image, pa.string()),
            "rule": pa.array(rule, pa.string()),
        }
    )


def test_the_same_image_and_the_owner_cap_look_at_what_stands_above():
    rows = [
        (1, 5, "x", "hidden"),  # dropped: takes no place from the others
        (1, 5, "x", None),
        (1, 6, "x", None),  # same image as the one above
        (1, 5, "y", None),
        (1, 5, "z", None),  # third of creator 5
        (1, 6, None, None),  # no image known: never a duplicate
        (1, 6, None, None),
        (1, None, "u", None),  # no creator known: no cap
        (2, 5, "x", None),  # another user
    ]
    rules, alive = list_rules(block(rows), Ranking(owner_cap=2))
    expected = ["hidden", None, "duplicate_image", None, "owner_cap", None, None, None, None]
    assert rules.to_pylist() == expected
    assert alive.tolist() == [rule is None for rule in expected]
    assert {"duplicate_image", "owner_cap"} == {rule.name for rule in LIST}


def test_a_duplicate_takes_no_place_under_the_cap():
    rows = [(1, 5, "x", None), (1, 5, "x", None), (1, 5, "y", None)]
    assert list_rules(block(rows), Ranking(owner_cap=2))[0].to_pylist() == [None, "duplicate_image", None]


@given(
    rows=st.lists(
        st.tuples(
            st.integers(1, 3),
            st.one_of(st.none(), st.integers(1, 4)),
            st.one_of(st.none(), st.sampled_from("abcde")),
            st.sampled_from([None, None, "saved"]),
        ),
        min_size=1,
        max_size=40,
    ),
    cap=st.integers(1, 4),
)
def test_no_image_twice_and_no_creator_above_the_cap(rows, cap):
    rows.sort(key=lambda row: row[0])
    rules, alive = list_rules(block(rows), Ranking(owner_cap=cap))
    shown = [row for row, ok in zip(rows, alive, strict=True) if ok]
    images = [(row[0], row[2]) for row in shown if row[2]]
    assert len(images) == len(set(images))
    creators = [(row[0], row[1]) for row in shown if row[1]]
    assert all(creators.count(pair) <= cap for pair in creators)
    assert [rule is None for rule in rules.to_pylist()] == alive.tolist()


def test_each_rule_has_a_name_of_its_own_and_a_sentence():
    every = [*SINGLE, *LIST]
    assert len({rule.name for rule in every}) == len(every)
    assert all(rule.meaning.endswith(".") for rule in every)
