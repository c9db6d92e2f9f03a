"""gold.trending: rises are found, volume is not, and neither bots nor creators nor private boards make a trend."""

import math
from datetime import date

import pytest

from jobs.candidates.trending import trending_pins
from jobs.engine.context import Context
from jobs.settings import Settings
from tests.asserts import assert_columns, assert_no_cross_join
from tests.builders import build

pytestmark = pytest.mark.spark

RISING, STEADY, NEW, CREATORS_OWN, SECRETLY_SAVED, SECRET, BOTTED, OLD_QUIET = range(1, 9)
PINS = [
    {"pin_id": RISING},
    {"pin_id": STEADY},
    {"pin_id": NEW, "age_days": 1.5},
    {"pin_id": CREATORS_OWN, "creator_id": 500},
    {"pin_id": SECRETLY_SAVED},
    {"pin_id": SECRET, "visibility": "secret"},
    {"pin_id": BOTTED},
    *({"pin_id": pin} for pin in range(OLD_QUIET, 20)),
]


def _opened(pin, people, ts, first=100):
    return [{"user_id": first + i, "pin_id": pin, "kind": "closeup", "ts": ts} for i in range(people)]


def _saved(pin, people, board, first=100):
    return [{"user_id": first + i, "pin_id": pin, "board_id": board, "saved_at": 1} for i in range(people)]


EVENTS = [
    *_opened(RISING, 12, 1),
    *_opened(RISING, 12, 0.5),  # the same people again: they count once
    *_opened(RISING, 1, 5),
    *(event for span in range(9) for event in _opened(STEADY, 30, 1 + 3 * span)),
    *_opened(NEW, 9, 1),
    *(event for hour in range(20) for event in _opened(CREATORS_OWN, 1, 1 + hour / 24, first=500)),
    *_opened(SECRET, 30, 1),
    *({"user_id": 900 + bot, "pin_id": pin, "kind": "click", "ts": 1} for bot in range(10) for pin in [BOTTED] * 60),
    *_opened(OLD_QUIET, 2, 1),
]
SAVES = [*_saved(NEW, 3, board=1, first=200), *_saved(SECRETLY_SAVED, 20, board=2)]
BOARDS = [{"id": 1, "privacy": "public"}, {"id": 2, "privacy": "secret"}]


@pytest.fixture(scope="module")
def rows(spark):
    candidates = Settings().candidates
    trending = candidates.trending.model_copy(update={"max_acts_per_day": 50})
    settings = Settings(candidates=candidates.model_copy(update={"trending": trending}))
    tables = {
        "gold.pin_stats": build(spark, "gold.pin_stats", PINS),
        "silver.pin_events": build(spark, "silver.pin_events", EVENTS),
        "silver.app_board_pins": build(spark, "silver.app_board_pins", SAVES),
        "silver.app_boards": build(spark, "silver.app_boards", BOARDS),
    }
    df = trending_pins(tables, Context(settings, date(2026, 11, 1)))
    assert_columns(df, "gold.trending")
    assert_no_cross_join(df)
    return {row.pin_id: row for row in df.collect()}


def test_pins_with_more_people_than_expected_are_found_and_nothing_else(rows):
    # not the busiest pin of all, which is as busy as ever; not what one bot, one creator or a secret board made
    assert set(rows) == {RISING, NEW}


def test_people_count_once_and_expectation_is_the_rate_before_drawn_to_the_category(rows):
    # before: 8 spans of 3 days; 18 public pins, of which one is half a span old
    observed, before = 12 + 30 + 12 + 2, 1 + 8 * 30
    mean = before / (17 * 8)
    growth = (observed / (17 + 0.5)) / mean
    rising = growth * (1 + mean) / (8 + 1)
    assert rows[RISING].observed == 12
    assert rows[RISING].expected == pytest.approx(rising, abs=1e-4)
    assert rows[RISING].score == pytest.approx((12 - rising) / math.sqrt(rising + 1), abs=1e-4)
    # new: no time before, so the mean of its category, for the half span it lived
    assert rows[NEW].expected == pytest.approx(growth * mean * 0.5, abs=1e-4)
    assert rows[NEW].observed == 12


def test_pins_without_category_or_age_rise_too(spark):
    pins = [{"pin_id": pin, "category": None, "age_days": None, "created_at": None} for pin in range(1, 20)]
    tables = {
        "gold.pin_stats": build(spark, "gold.pin_stats", pins),
        "silver.pin_events": build(spark, "silver.pin_events", _opened(RISING, 12, 1)),
        "silver.app_board_pins": build(spark, "silver.app_board_pins", []),
        "silver.app_boards": build(spark, "silver.app_boards", BOARDS),
    }
    found = trending_pins(tables, Context(Settings(), date(2026, 11, 1))).collect()
    assert [(row.category, row.pin_id) for row in found] == [("", RISING)]


def test_the_largest_rise_ranks_first(rows):
    assert sorted(rows, key=lambda pin: rows[pin].rank) == sorted(rows, key=lambda pin: -rows[pin].score)
    assert sorted(row.rank for row in rows.values()) == [1, 2]
