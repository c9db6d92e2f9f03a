"""Lists of a horizon ago against what was saved since, on a case small enough to work out."""

from datetime import date
from math import log2

import pytest

from jobs.engine.context import Context
from jobs.ranking.evaluate import evaluations, popular
from jobs.settings import Settings
from tests.asserts import assert_no_cross_join
from tests.builders import build

pytestmark = pytest.mark.spark
CTX = Context(Settings(), date(2026, 11, 1))


@pytest.fixture(scope="module")
def tables(spark):
    """Pins 1-60 by falling popularity, of creator 900; 61 secret, 62 new. Users 1 and 2 are judged."""
    before = [{"pin_id": pin, "creator_id": 900, "popularity": 100.0 - pin} for pin in range(1, 61)]
    before.append({"pin_id": 61, "creator_id": 901, "popularity": 1000.0, "visibility": "secret"})
    after = [*before, {"pin_id": 62, "creator_id": 900}, {"pin_id": 63, "creator_id": 1}]
    saves = [
        {"user_id": 1, "pin_id": 3},
        {"user_id": 1, "pin_id": 40},
        {"user_id": 1, "pin_id": 40, "board_id": 2},  # on two boards: one new save
        {"user_id": 1, "pin_id": 1},  # had it already
        {"user_id": 1, "pin_id": 63},  # made it
        {"user_id": 1, "pin_id": 61},  # may not be shown
        {"user_id": 2, "pin_id": 62},  # made within the horizon: every list misses it
        {"user_id": 3, "pin_id": 5},  # not active then
        {"user_id": 4, "pin_id": 5, "saved_at": 8},  # before the horizon
        {"user_id": 5, "pin_id": 5, "saved_at": 0},  # at the cut
    ]
    profiles = [{"user_id": user, "is_active": user != 3} for user in range(1, 6)]
    feed = [{"user_id": 1, "position": 1, "pin_id": 40}, {"user_id": 1, "position": 2, "pin_id": 3}]
    feed += [{"user_id": 2, "position": 1, "pin_id": 9}, {"user_id": 5, "position": 1, "pin_id": 10}]
    content = [{"user_id": 1, "pin_id": 3, "rank": 11, "source": "content"}]
    return {
        "gold.home_feed@horizon": build(spark, "gold.home_feed", feed, score=1.0, source="content"),
        "gold.candidates@horizon": build(spark, "gold.candidates", content),
        "gold.pin_stats@horizon": build(spark, "gold.pin_stats", before),
        "gold.user_profile@horizon": build(spark, "gold.user_profile", profiles),
        "gold.interactions@horizon": build(
            spark,
            "gold.interactions",
            [{"user_id": 1, "pin_id": 1, "saves": 1}, {"user_id": 1, "pin_id": 2, "hides": 1}],
        ),
        "gold.pin_stats": build(spark, "gold.pin_stats", after),
        "silver.app_board_pins": build(spark, "silver.app_board_pins", saves),
    }


@pytest.fixture(scope="module")
def found(tables):
    rows = evaluations(tables, CTX).collect()
    return {(row["model"], row["metric"], row["k"]): row for row in rows}


def test_the_feed_is_judged_over_all_judged_users(found):
    # user 1: both saves at places 1 and 2, ideal; user 2: nothing
    for metric in ("hr", "ndcg", "recall"):
        row = found["home_feed", metric, 10]
        assert (row["value"], row["users"]) == (0.5, 2)
        half = 1.959964 * 0.5
        assert (row["lower"], row["upper"]) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)


def test_popularity_leaves_out_what_the_user_knew(found):
    # without pins 1 and 2, pin 3 is at place 1 and pin 40 at 38
    assert found["popularity", "hr", 10]["value"] == 0.5
    ideal = 1 + 1 / log2(3)
    assert found["popularity", "ndcg", 10]["value"] == pytest.approx(0.5 / ideal, abs=1e-6)
    assert found["popularity", "ndcg", 50]["value"] == pytest.approx(0.5 * (1 + 1 / log2(39)) / ideal, abs=1e-6)
    assert found["popularity", "recall", 20]["value"] == 0.25


def test_the_difference_to_popularity_is_paired_by_user(found):
    row = found["home_feed_minus_popularity", "ndcg", 10]
    difference = 1 - 1 / (1 + 1 / log2(3))
    assert row["value"] == pytest.approx(difference / 2, abs=1e-6)
    assert row["upper"] - row["value"] == pytest.approx(1.959964 * difference / 2, abs=1e-5)


def test_a_source_is_judged_by_its_own_ranks(found):
    assert found["content", "hr", 10]["value"] == 0.0
    assert found["content", "hr", 20]["value"] == 0.5
    assert found["content", "recall", 20]["value"] == 0.25


def test_coverage_counts_distinct_pins_over_the_public_catalogue(found):
    assert found["home_feed", "coverage", 10]["value"] == pytest.approx(3 / 60)
    assert found["content", "coverage", 10]["value"] == 0.0
    assert found["content", "coverage", 20]["value"] == pytest.approx(1 / 60, abs=1e-6)
    # users 1 and 2 see places 3-12 and 1-10
    assert found["popularity", "coverage", 10]["value"] == pytest.approx(12 / 60)
    assert found["popularity", "coverage", 10]["lower"] is None


def test_popularity_lists_are_filled_past_the_pins_a_user_knew(tables, spark):
    users = spark.createDataFrame([(1,), (2,), (900,)], "user_id bigint")
    lists = popular(tables, users)
    assert_no_cross_join(lists)
    rows = {(row["user_id"], row["place"]): row["pin_id"] for row in lists.collect()}
    assert [rows[1, place] for place in (1, 2, 50)] == [3, 4, 52]
    assert [rows[2, place] for place in (1, 50)] == [1, 50]
    assert not [place for user, place in rows if user == 900]  # made them all


def test_on_a_first_day_there_is_nothing_to_judge(tables, spark):
    nothing = {name: df.limit(0) if name.endswith("@horizon") else df for name, df in tables.items()}
    assert evaluations(nothing, CTX).collect() == []
    no_feed = {**tables, "gold.home_feed@horizon": tables["gold.home_feed@horizon"].limit(0)}
    assert {row["model"] for row in evaluations(no_feed, CTX).collect()} == {"content", "popularity"}
