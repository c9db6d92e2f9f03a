"""gold.related_pairs and gold.related_pins, worked out by hand.

The jobs run over many cases at once, each with pins, boards and people of its own: a case's ids begin at a
hundred of its own. They run twice, by the usual weights and by others.
"""

from collections import defaultdict
from datetime import date
from itertools import combinations
from math import sqrt

import numpy as np
import pytest

from jobs.engine.context import Context
from jobs.related.job import related_pins
from jobs.related.pairs import related_pairs
from jobs.settings import Settings
from tests.asserts import assert_no_cross_join
from tests.relatedcases import case, context, opened, tables

pytestmark = pytest.mark.spark


def random_case(seed=11, n=60):
    rng = np.random.default_rng(seed)
    pins = {
        p: {
            "owner": int(rng.integers(0, 12)),
            "image": int(rng.integers(0, 45)),
            "visibility": "public" if rng.random() < 0.85 else "secret",
        }
        for p in range(1, n + 1)
    }
    near = [
        (a, int(b), float(rng.choice([0.985, 0.9, 0.7, 0.5])))
        for a in pins
        for b in rng.choice([p for p in pins if p != a], 12, replace=False)
    ]
    boards = {
        b: (
            int(rng.integers(1, 6)),
            str(rng.choice(["public", "public", "secret"])),
            rng.choice(n, 8, replace=False) + 1,
        )
        for b in range(1, 25)
    }
    return pins, near, {b: (o, p, x.tolist()) for b, (o, p, x) in boards.items()}


RANDOM, RATES, POPULAR, NEW, FACTORS, CLUSTERS, LONELY, BLEND, OTHERS, DUPLICATE, SAVERS = range(0, 1100, 100)
POPULARITY = {p: {"popularity": float(p), "category": "art" if p < 7 else "food"} for p in range(1, 9)}
POPULARITY[3]["visibility"] = "secret"
AGES = {p: {"age_days": {10: 2.0, 11: 7.5}.get(p, 30.0)} for p in range(1, 12)}
# of factors in one table, those of two cases stand at right angles
IN_SAVERS = {1: [1, 0], 2: [3, 4], 3: [2, 0], 4: [1, 0], 5: [1, 0], 6: [-1, 0], 9: [1, 0]}  # 9 is gone, 7 has none
USUAL = (
    case(RANDOM, *random_case()),
    # pin 4 is the whole of its category, and so its mean
    case(RATES, {1: {}, 2: {"save_rate": 0.1}, 3: {"save_rate": 0.3}, 4: {"save_rate": 0.9, "category": "food"}},
         boards={1: (10, "public", [1, 2, 3, 4])}),
    case(POPULAR, POPULARITY, [(1, 8, 0.9)]),
    case(NEW, AGES, [(1, p, 0.95 - p / 100) for p in range(2, 12)]),
    case(FACTORS, {p: {"saves": 5} for p in (1, 2, 3)}, [(1, 2, 0.9), (1, 3, 0.89)],
         factors={1: [0, 0, 1, 0], 2: [0, 0, 0, 1], 3: [0, 0, 1, 0.1]}),
    # pin 6 carries an image that was not measured
    case(CLUSTERS, {p: {} for p in range(1, 7)}, [(1, p, 0.9 - p / 100) for p in range(2, 7)],
         clusters={1: 1, 2: 1, 3: 3, 4: 3, 5: 5}),
    case(LONELY, {1: {}, 2: {}}, boards={1: (1, "public", [1])}),
    case(SAVERS,
         {p: {"saves": 3} for p in (1, 2, 3, 6, 7)} | {4: {"saves": 2}, 5: {"saves": 9, "visibility": "secret"}},
         boards={1: (10, "public", [1, 7])}, factors={p: [*f, 0, 0] for p, f in IN_SAVERS.items()}),
)  # fmt: skip
"""Rows of the cases that the usual weights decide."""

WEIGHTS = {"similarity": 0.4, "co_save": 0.3, "session": 0.2, "link": 0.1, "collaborative": 0, "save_rate": 0}
WEIGHED = (
    *(USUAL[at // 100] for at in (RATES, NEW, FACTORS)),
    case(
        BLEND,
        # 5 shows the image of 1
        {p: {} for p in range(1, 9)} | {5: {"image": 1}, 6: {"visibility": "secret"}, 7: {"visibility": "protected"}},
        [(1, 4, 0.99), (1, 6, 0.9), (1, 2, 0.8), (1, 5, 0.7), (1, 3, 0.4), (1, 99, 0.3)],
        {1: (10, "public", [1, 3, 6, 7, 8]), 2: (20, "public", [1, 3]), 3: (30, "secret", [1, 2])},
    ),
    case(OTHERS, {p: {} for p in (1, 2, 3)}, events=[opened(1, 0, 1), opened(1, 1, 2)],
         links=[(1, "https://a.org/x"), (3, "https://a.org/x")]),
    case(
        DUPLICATE,
        {p: {"popularity": float(p), "category": "art"} for p in range(1, 10)}
        | {9: {"popularity": 9.0, "category": "food"}, 8: {"popularity": 8.0, "image": 1, "category": None},
           3: {"popularity": 3.0, "category": "art", "visibility": "secret"}},
        [(1, 5, 0.9), (1, 4, 0.8), (1, 2, 0.3), (2, 9, 0.7), (2, 1, 0.3), (7, 9, 0.1), (3, 6, 0.2)],
        # 1, 2 and 7 show one image, 8 the very file of 1; 3 and 6 show another
        clusters={1: 1, 2: 1, 7: 1, 3: 3, 6: 3},
    ),
)  # fmt: skip
"""Rows of the cases that need WEIGHTS."""


def listed(inputs, ctx):
    """What the two jobs make of the inputs, one after the other: pairs and lists."""
    pairs = related_pairs(inputs, ctx).localCheckpoint()  # a stored table in the flow: its plan is not the next job's
    lists = related_pins(inputs | {"gold.related_pairs": pairs}, ctx)
    assert_no_cross_join(lists)
    return pairs, sorted(lists.collect())


def usual_context(ctx):
    return context(ctx, k=10, length=4, fresh_share=0.25, owner_cap=2, pool=20)


@pytest.fixture(scope="module")
def cut():
    return Context(Settings(), date(2026, 11, 1))


@pytest.fixture(scope="module")
def inputs(spark):
    return tables(spark, *USUAL)


@pytest.fixture(scope="module")
def usual(inputs, cut):
    """Pairs and lists by the usual weights."""
    return listed(inputs, usual_context(cut))


@pytest.fixture(scope="module")
def weighed(spark, cut):
    """Lists by WEIGHTS, without a share of new pins."""
    weights = {f"{name}_weight": weight for name, weight in WEIGHTS.items()}
    return listed(tables(spark, *WEIGHED), context(cut, k=10, length=4, fresh_share=0, **weights))[1]


def shown(rows, at, pin):
    """The list of a case's pin, with the ids of the case."""
    return [(row["related_pin_id"] - at, *tuple(row)[3:]) for row in rows if row["pin_id"] == at + pin]


def test_the_blend_its_reasons_and_what_is_left_out(weighed):
    # 4 is a near-duplicate, 99 is deleted. A neighbour's place counts: 1 - (rank - 1) / 10. Pin 3 is with 1 on both
    # boards of both: rate 1, trust 2 / 4; pin 8 on one: rate 1 / sqrt(2), trust 1 / 3.
    assert shown(weighed, BLEND, 1) == [
        (2, pytest.approx(0.4 * 0.8 * 0.8, abs=1e-5), pytest.approx(0.8), 0, "looks_alike"),
        (3, pytest.approx(0.4 * 0.4 * 0.6 + 0.3 * 2 / 4, abs=1e-5), pytest.approx(0.4), 2, "both"),
        (8, pytest.approx(0.3 * (1 / sqrt(2)) * (1 / 3), abs=1e-5), None, 1, "saved_together"),
    ]
    assert shown(weighed, BLEND, 6) == shown(weighed, BLEND, 7) == []
    found = {row["related_pin_id"] - BLEND for row in weighed if BLEND < row["pin_id"] < BLEND + 100}
    assert found <= {1, 2, 3, 4, 5, 8}


def test_no_list_breaks_a_rule(usual):
    pins, near, _ = random_case()
    alike = {frozenset((a, b)) for a, b, s in near if s >= 0.98}
    lists = defaultdict(list)
    for row in usual[1]:
        if row["pin_id"] < 100:
            lists[row["pin_id"]].append(row)
    assert len(lists) > 30
    for pin, found in lists.items():
        ids = [row["related_pin_id"] for row in found]
        assert [row["position"] for row in found] == list(range(1, len(ids) + 1)), "no gaps"
        assert len(ids) <= 4
        assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)
        assert all(pins[p]["visibility"] == "public" for p in [pin, *ids])
        owners = [pins[p]["owner"] for p in ids]
        assert max(owners.count(o) for o in owners) <= 2
        for a, b in combinations([pin, *ids], 2):
            assert a != b
            assert frozenset((a, b)) not in alike
            assert pins[a]["image"] != pins[b]["image"]


def test_another_partitioning_gives_the_same_rows(inputs, usual, ctx):
    parted = {name: df.repartition(3) for name, df in inputs.items()}
    assert listed(parted, usual_context(ctx))[1] == usual[1]


@pytest.mark.long
def test_nothing_in_nothing_out(spark, ctx):
    assert listed(tables(spark, case(0, {})), ctx)[1] == []


def test_lonely_pins_have_no_list(usual):
    assert not [row for row in usual[1] if LONELY < row["pin_id"] < LONELY + 100]


def test_other_sources_have_their_weight_and_reason(weighed):
    assert shown(weighed, OTHERS, 1) == [
        (3, pytest.approx(0.1), None, 0, "same_link"),
        (2, pytest.approx(0.2 * 1 / 3, abs=1e-6), None, 0, "co_viewed"),
    ]


def test_pins_saved_by_the_same_people_are_found_by_their_factors(usual):
    pairs, rows = usual
    assert_no_cross_join(pairs)
    mine = pairs.where(f"pin_id = {SAVERS + 1} AND related_pin_id > {SAVERS}").collect()
    got = {row["related_pin_id"] - SAVERS: row["collaborative"] for row in mine}
    # cosines 1, 3/5 and -1, times the place among the nearest: 1, 9/10
    assert {p: value for p, value in got.items() if value is not None} == pytest.approx({3: 1.0, 2: 0.6 * 0.9, 6: 0.0})
    assert got[7] is None, "saved together, but without a factor"
    # weights add up to 1.6; no pin of the category was saved more often than another
    assert [(row[0], row[1], row[-1]) for row in shown(rows, SAVERS, 1)] == [
        (3, pytest.approx(0.3 / 1.6 / 1.5, abs=1e-6), "collaborative"),
        (7, pytest.approx(0.5 / 3 / 1.6 / 1.5, abs=1e-6), "saved_together"),
        (2, pytest.approx(0.3 * 0.54 / 1.6 / 1.5, abs=1e-6), "collaborative"),
    ]


def test_the_collaborative_source_decides_between_pins_that_look_alike_as_much(usual, weighed):
    assert shown(weighed, FACTORS, 1)[0][0] == 2, "its weight is 0"
    assert shown(usual[1], FACTORS, 1)[0][0] == 3


def test_a_pin_that_little_is_known_of_gets_popular_pins_of_its_category(usual):
    rows = usual[1]
    assert [(row[0], row[-1]) for row in shown(rows, POPULAR, 1)] == [
        (8, "looks_alike"), (6, "popular"), (5, "popular"), (4, "popular")
    ]  # fmt: skip
    assert [row[0] for row in shown(rows, POPULAR, 7)] == [8], "its category has no more"
    assert [row[0] for row in shown(rows, POPULAR, 6)] == [5, 4, 2, 1]


def test_a_pin_that_little_is_known_of_takes_the_list_of_its_duplicate_first(weighed):
    seven, eight = (shown(weighed, DUPLICATE, pin) for pin in (7, 8))
    # 1 has most pairs, so that it lends: its cosines times their place, of a pin's own at most
    assert [(row[0], row[1], row[-1]) for row in eight][:2] == [
        (5, pytest.approx(0.9 * 0.4, abs=1e-5), "duplicate"), (4, pytest.approx(0.8 * 0.9 * 0.4, abs=1e-5), "duplicate")
    ]  # fmt: skip
    # without a category: popular pins of all
    assert [(row[0], row[-1]) for row in eight][2:] == [(9, "popular"), (6, "popular")]
    assert {(row[2], row[3]) for row in eight} == {(None, 0)}
    assert [(row[0], row[-1]) for row in seven] == [
        (9, "looks_alike"), (5, "duplicate"), (4, "duplicate"), (6, "popular")
    ]  # fmt: skip
    assert [row[1] for row in seven][:3] == [pytest.approx(0.1 * 0.4, abs=1e-5)] * 3
    six = shown(weighed, DUPLICATE, 6)
    assert {row[-1] for row in six} == {"popular"}, "its only duplicate is on a secret board"


def test_new_pins_have_their_share(usual, weighed):
    assert [row[0] for row in shown(usual[1], NEW, 1)] == [2, 3, 4, 10]
    assert [row[0] for row in shown(weighed, NEW, 1)] == [2, 3, 4, 5], "a share of 0"


def test_of_pins_alike_in_all_else_the_one_that_is_saved_more_often_comes_first(usual, weighed):
    assert [row[0] for row in shown(usual[1], RATES, 1)] == [3, 4, 2]
    none = shown(weighed, RATES, 1)
    assert [row[0] for row in none] == [2, 3, 4]
    assert len({row[1] for row in none}) == 1


def test_images_of_one_cluster_are_shown_once_and_never_beside_one_of_them(usual):
    assert [row[0] for row in shown(usual[1], CLUSTERS, 1)] == [3, 5, 6]
