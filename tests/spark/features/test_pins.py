"""gold.pin_stats: who may see a pin, and numbers that private boards do not show through."""

import pytest

from jobs.features.pins import pin_stats
from tests.asserts import assert_columns, assert_no_cross_join
from tests.builders import build

pytestmark = pytest.mark.spark

BOARDS = [
    {"id": 1, "privacy": "public"},
    {"id": 2, "privacy": "protected"},
    {"id": 3, "privacy": "secret"},
    {"id": 4, "privacy": "friends"},
]
PINS = [
    {"id": 1, "board_id": 1, "created_at": 2.5},
    {"id": 2, "board_id": 2},
    {"id": 3, "board_id": 3},
    {"id": 4, "board_id": 4},
    {"id": 5, "board_id": 404},
    {"id": 6, "board_id": None, "category": None},
    {"id": 7, "board_id": 1},
    {"id": 8, "board_id": 1, "category": "food"},
]
SAVES = [
    {"user_id": 1, "pin_id": 1, "board_id": 1, "saved_at": 0},
    {"user_id": 2, "pin_id": 1, "board_id": 1, "saved_at": 30},
    {"user_id": 3, "pin_id": 1, "board_id": 3, "saved_at": 1},
    {"user_id": 3, "pin_id": 1, "board_id": 2, "saved_at": 1},
    {"user_id": 3, "pin_id": 3, "board_id": 1, "saved_at": 1},
]


def _events(kind, pin_id, count, **more):
    return [{"user_id": 10 + i, "pin_id": pin_id, "kind": kind, "ts": 1, **more} for i in range(count)]


EVENTS = [
    *_events("impression", 1, 50),
    *_events("impression", 1, 5, ts=29),  # outside the window
    *_events("save", 1, 10, board_id=1),
    *_events("save", 1, 7, board_id=3),  # to a secret board: nobody's business
    *_events("closeup", 1, 3),
    *_events("click", 1, 2),
    *_events("hide", 1, 1),
    *_events("report", 1, 1),
    *_events("impression", 7, 50),
    *_events("impression", 3, 100),
    *_events("save", 3, 100, board_id=1),  # a secret pin does not move its category
]


@pytest.fixture(scope="module")
def tables(spark):
    return {
        "silver.app_pins": build(spark, "silver.app_pins", PINS),
        "silver.app_boards": build(spark, "silver.app_boards", BOARDS),
        "silver.app_board_pins": build(spark, "silver.app_board_pins", SAVES),
        "silver.pin_events": build(spark, "silver.pin_events", EVENTS),
    }


@pytest.fixture
def rows(tables, ctx):
    df = pin_stats(tables, ctx)
    assert_columns(df, "gold.pin_stats")
    assert_no_cross_join(df)
    return {r.pin_id: r for r in df.collect()}


def test_a_pin_is_as_visible_as_its_board_and_all_else_is_private_and_counts_right(rows):
    assert {pin: r.visibility for pin, r in rows.items()} == {
        1: "public",
        2: "protected",
        3: "secret",
        4: "secret",  # privacy of no known kind
        5: "secret",  # the board is gone
        6: "secret",  # on no board
        7: "public",
        8: "public",
    }
    first = rows[1]
    assert (first.saves, first.recent_saves, first.popularity) == (2, 1, 1.5)
    assert (first.impressions, first.closeups, first.clicks, first.hides) == (50, 3, 2, 2)
    assert first.age_days == 2.5
    # the category's mean is 10 saves in 100 impressions, worth 50 impressions
    assert rows[1].save_rate == pytest.approx((10 + 5) / (50 + 50))
    assert rows[7].save_rate == pytest.approx((0 + 5) / (50 + 50))
    assert rows[3].save_rate == pytest.approx((100 + 5) / (100 + 50))
    # no impressions in its category: the mean of all
    assert rows[8].save_rate == pytest.approx(0.1)
    assert rows[6].save_rate == pytest.approx(0.1)
    assert (rows[2].saves, rows[2].impressions, rows[2].popularity) == (0, 0, 0.0)
