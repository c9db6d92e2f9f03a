"""The gate finds each broken rule by itself, and its numbers are right on feeds counted by hand."""

import pytest

from jobs.publish import gate
from tests.asserts import assert_no_cross_join
from tests.builders import build

pytestmark = pytest.mark.spark

FEED = [(user, place, 10 * user + place) for user in (1, 2, 3) for place in (1, 2, 3, 4)]
PINS = [pin for _, _, pin in FEED]


def feed_rows(rows):
    return [{"user_id": u, "position": p, "pin_id": pin, "score": 1.0, "source": "content"} for u, p, pin in rows]


def related_rows(rows):
    return [{"pin_id": of, "position": p, "related_pin_id": pin, "score": 1.0} for of, p, pin in rows]


@pytest.fixture
def world(spark):
    """Frames for the gate: feeds of users 1-3, all pins by creator 100 on public board 1; change by keyword."""

    def make(feed=FEED, related=((11, 1, 12),), saves=(), blocks=(), evaluations=(), pins=()):
        facts = {pin: {"id": pin, "creator_id": 100, "board_id": 1} for pin in PINS}
        facts |= {pin["id"]: {"creator_id": 100, "board_id": 1} | pin for pin in pins}
        boards = [{"id": 1}, {"id": 2, "privacy": "secret"}, {"id": 3, "privacy": "protected"}]
        active = [{"user_id": user, "is_active": user != 5} for user in (1, 2, 3, 4, 5)]
        stats = [{"pin_id": pin, "popularity": float(pin)} for pin in facts]
        return {
            "gold.home_feed": build(spark, "gold.home_feed", feed_rows(feed)),
            "gold.related_pins": build(spark, "gold.related_pins", related_rows(related)),
            "gold.pin_stats": build(spark, "gold.pin_stats", stats),
            "gold.user_profile": build(spark, "gold.user_profile", active),
            "gold.evaluations": build(spark, "gold.evaluations", evaluations),
            "silver.app_pins": build(spark, "silver.app_pins", facts.values()),
            "silver.app_boards": build(spark, "silver.app_boards", boards),
            "silver.app_board_pins": build(spark, "silver.app_board_pins", saves),
            "silver.app_blocks": build(spark, "silver.app_blocks", blocks),
        }

    return make


def test_clean_lists_break_no_rule_and_are_counted_right(world):
    evaluations = [
        {"model": model, "metric": "ndcg", "k": k, "value": value, "lower": value - 0.01, "upper": 1.0, "users": 9}
        for model, k, value in (("home_feed", 10, 0.06), ("popularity", 10, 0.04), ("home_feed", 5, 0.9))
    ]
    found = gate.measure(world(evaluations=evaluations, feed=FEED[:-3]), None, short_feed=2, depth=20)
    assert found.offenders == ()
    assert found.numbers == {
        "coverage": 0.75,  # users 1-3 of 1-4
        "short_feeds": round(1 / 3, 6),  # user 3 has one pin
        "rule_violations": 0.0,
        "related_coverage": round(1 / 12, 6),
        "churn": None,
        "popularity_shift": None,
        "ndcg_ratio": 1.5,
        "ndcg_ratio_lower": 1.25,
    }


def test_each_rule_is_checked_and_each_offender_named(world):
    pins = [
        {"id": 11, "board_id": 2},
        {"id": 12, "board_id": 3},
        {"id": 13, "board_id": 77},  # nobody knows that board
        {"id": 14, "creator_id": 1},
        {"id": 21, "creator_id": 200},
        {"id": 31, "creator_id": 201},
    ]
    tables = world(
        feed=[*FEED, (1, 5, 999), (2, 5, 22)],
        related=[(24, 1, 11), (24, 2, 24), (24, 3, 23), (24, 4, 23), (24, 5, 998)],
        saves=[{"user_id": 3, "pin_id": 32}, {"user_id": 3, "pin_id": 32, "board_id": 5}, {"user_id": 2, "pin_id": 32}],
        blocks=[
            {"user_id": 2, "blocked_id": 200},
            {"user_id": 201, "blocked_id": 3},
            {"user_id": 9, "blocked_id": 100},
        ],
        pins=pins,
    )
    assert gate.feed_rules(tables) | gate.related_rules(tables) == {
        "home_feed, not public": (3, "user 1, position 1: pin 11"),
        "home_feed, own pin": (1, "user 1, position 4: pin 14"),
        "home_feed, deleted": (1, "user 1, position 5: pin 999"),
        "home_feed, blocked": (2, "user 2, position 1: pin 21"),  # either way
        "home_feed, already saved": (1, "user 3, position 2: pin 32"),
        "home_feed, twice in a feed": (1, "user 2, position 5: pin 22"),
        "related_pins, not public": (1, "beside pin 24, position 1: pin 11"),
        "related_pins, itself": (1, "beside pin 24, position 2: pin 24"),
        "related_pins, twice in a list": (1, "beside pin 24, position 4: pin 23"),
        "related_pins, deleted": (1, "beside pin 24, position 5: pin 998"),
    }


def test_the_fallback_is_counted_and_held_to_the_rules(world, spark):
    columns = "segment string, position int, pin_id bigint"
    rows = [("all", 1, 11), ("all", 2, 12), ("art", 1, 999), ("art", 2, 21), ("art", 3, 21)]
    tables = world(pins=[{"id": 12, "board_id": 2}])
    fallback = spark.createDataFrame(rows, columns)
    assert gate.fallback_rules(fallback, tables) == {
        "fallback, not public": (1, "all, position 2: pin 12"),
        "fallback, deleted": (1, "art, position 1: pin 999"),
        "fallback, twice in a list": (1, "art, position 3: pin 21"),
    }
    assert gate._fallback_pins(fallback) == 2.0
    assert gate._fallback_pins(fallback.where("segment = 'art'")) == 0.0


def test_change_is_measured_against_the_served_feeds(world, spark):
    served = [
        (1, 1, 12),
        (1, 2, 11),
        (1, 3, 13),
        (1, 4, 24),
        (3, 1, 31),
        (3, 2, 32),
        (3, 3, 33),
        (3, 4, 34),
        (9, 1, 31),
    ]
    frame = build(spark, "gold.home_feed", feed_rows(served))
    found = gate.measure(world(), frame, short_feed=2, depth=4).numbers
    # users 1 and 3 are in both; of their eight top pins one (14) is new; order alone is no churn
    assert found["churn"] == 0.125
    before = sum(pin for _, _, pin in served) / len(served)
    assert found["popularity_shift"] == pytest.approx(sum(PINS) / len(PINS) / before - 1, abs=1e-6)


def test_no_join_is_every_row_with_every_row(world):
    tables = world()
    facts = gate._facts(tables["silver.app_pins"], tables["silver.app_boards"])
    assert_no_cross_join(tables["gold.home_feed"].join(facts, "pin_id", "left"))
