"""gold.interactions on rows whose counts and weights are worked out by hand."""

import pytest

from jobs.engine.context import Context
from jobs.features.interactions import interactions
from tests.asserts import assert_columns, assert_no_cross_join
from tests.builders import build, days_before

pytestmark = pytest.mark.spark

PINS = [{"id": pin} for pin in range(1, 8)]
SAVES = [
    {"user_id": 1, "pin_id": 1, "board_id": 1, "saved_at": 30},  # one half-life: 0.5
    {"user_id": 1, "pin_id": 1, "board_id": 2, "saved_at": 0},  # now: 1
    {"user_id": 1, "pin_id": 99, "saved_at": 1},  # the pin is gone
    {"user_id": 2, "pin_id": 1, "saved_at": 60},  # 0.25
    {"user_id": 3, "pin_id": 5, "saved_at": 20},
    {
        "user_id": 4,
        "pin_id": 1,
        "board_id": 7,
        "saved_at": None,
        "_commit_ts": int(days_before(30).timestamp() * 1000) << 18,
    },
]
EVENTS = [
    {"user_id": 1, "pin_id": 1, "kind": "save", "ts": 0.5},  # the same act as the row of board_pins
    {"user_id": 1, "pin_id": 2, "kind": "closeup", "ts": 0},
    {"user_id": 1, "pin_id": 2, "kind": "click", "ts": 0},
    {"user_id": 1, "pin_id": 3, "kind": "impression", "ts": 1},
    {"user_id": 1, "pin_id": 4, "kind": "click", "ts": 29},  # outside the window
    {"user_id": 2, "pin_id": 1, "kind": "hide", "ts": 3},
    *({"user_id": 2, "pin_id": 2, "kind": "click", "ts": 0} for _ in range(50)),
    {"user_id": 3, "pin_id": 6, "kind": "closeup", "ts": 2},
    {"user_id": 3, "pin_id": 7, "kind": "closeup", "ts": 1},
    {"user_id": 3, "pin_id": 4, "kind": "report", "ts": 25},
]


def _tables(spark, saves=SAVES, events=EVENTS):
    return {
        "silver.app_board_pins": build(spark, "silver.app_board_pins", saves),
        "silver.app_pins": build(spark, "silver.app_pins", PINS),
        "silver.pin_events": build(spark, "silver.pin_events", events),
    }


@pytest.fixture(scope="module")
def tables(spark):
    return _tables(spark)


def test_saves_come_from_the_table_events_from_the_window_and_hidden_pins_weigh_nothing(tables, ctx):
    df = interactions(tables, ctx)
    assert_columns(df, "gold.interactions")
    assert_no_cross_join(df)
    rows = {(r.user_id, r.pin_id): r for r in df.collect()}
    assert {pair: (r.saves, r.closeups, r.clicks, r.hides, r.weight) for pair, r in rows.items()} == {
        (1, 1): (2, 0, 0, 0, 1.5),
        (1, 2): (0, 1, 1, 0, 0.6),
        (2, 1): (1, 0, 0, 1, 0.0),
        (2, 2): (0, 0, 50, 0, 3.0),  # features.max_weight
        (3, 4): (0, 0, 0, 1, 0.0),
        (3, 5): (1, 0, 0, 0, round(0.5 ** (20 / 30), 9)),
        (3, 6): (0, 1, 0, 0, round(0.2 * 0.5 ** (2 / 30), 9)),
        (3, 7): (0, 1, 0, 0, round(0.2 * 0.5 ** (1 / 30), 9)),
        (4, 1): (1, 0, 0, 0, 0.5),  # saved_at is unknown: the commit's time
    }
    assert rows[1, 1].first_ts.date() == days_before(30).date()
    assert rows[1, 1].last_ts.date() == days_before(0).date()


def test_a_user_keeps_saved_and_hidden_pins_then_the_newest(tables, ctx):
    features = ctx.settings.features.model_copy(update={"max_pins_per_user": 3})
    capped = Context(ctx.settings.model_copy(update={"features": features}), ctx.as_of)
    kept = interactions(tables, capped).where("user_id = 3").collect()
    assert sorted(r.pin_id for r in kept) == [4, 5, 7]


def test_nothing_in_nothing_out(spark, ctx):
    assert interactions(_tables(spark, [], []), ctx).count() == 0
