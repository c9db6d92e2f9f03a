"""gold.user_profile on a handful of users."""

import numpy as np
import pytest

from jobs.features.interactions import interactions
from jobs.features.users import user_profile
from tests.asserts import assert_columns, assert_no_cross_join
from tests.builders import build

pytestmark = pytest.mark.spark

USERS = [
    {"id": 1},
    {"id": 2},  # never came
    {"id": 3, "status": "suspended"},
    {"id": 4},  # came once, saved nothing
    {"id": 5},  # saved long ago
]
PINS = [
    {"id": 1, "category": "garden"},
    {"id": 2, "category": "food"},
    {"id": 3, "category": "garden"},
    {"id": 4, "category": None},
]
EMBEDDINGS = [
    {"pin_id": 1, "embedding": [1, 0]},
    {"pin_id": 2, "embedding": [0, 1]},
    {"pin_id": 3, "embedding": [1, 0], "model": "old"},  # another model: must not mix
]
SAVES = [
    {"user_id": 1, "pin_id": 1, "saved_at": 30},  # counts half
    {"user_id": 1, "pin_id": 2, "saved_at": 0},
    {"user_id": 1, "pin_id": 2, "board_id": 2, "saved_at": 10},
    {"user_id": 1, "pin_id": 3, "saved_at": 5},
    {"user_id": 1, "pin_id": 99, "saved_at": 1},  # the pin is gone
    {"user_id": 3, "pin_id": 1, "saved_at": 1},
    {"user_id": 5, "pin_id": 4, "saved_at": 200},
]
# 2026-10-31 was a Saturday; a day before the cut is its midnight
EVENTS = [
    {"user_id": 4, "pin_id": 1, "kind": "impression", "ts": 1 - 9 / 24},
    {"user_id": 4, "pin_id": 1, "kind": "closeup", "ts": 1 - 9 / 24},
    {"user_id": 4, "pin_id": 2, "kind": "impression", "ts": 1 - 21 / 24},
    {"user_id": 4, "pin_id": 2, "kind": "impression", "ts": 8 - 21 / 24},
]


@pytest.fixture(scope="module")
def profiles(spark):
    from datetime import date

    from jobs.engine.context import Context
    from jobs.settings import Settings

    ctx = Context(Settings(), date(2026, 11, 1))
    tables = {
        "silver.app_users": build(spark, "silver.app_users", USERS),
        "silver.app_pins": build(spark, "silver.app_pins", PINS),
        "silver.app_board_pins": build(spark, "silver.app_board_pins", SAVES),
        "silver.pin_events": build(spark, "silver.pin_events", EVENTS),
        "silver.pin_embeddings": build(spark, "silver.pin_embeddings", EMBEDDINGS),
    }
    tables["gold.interactions"] = interactions(tables, ctx)
    df = user_profile(tables, ctx)
    assert_columns(df, "gold.user_profile")
    assert_no_cross_join(df)
    return {r.user_id: r for r in df.collect()}


def test_every_live_user_has_a_row_and_only_active_accounts_get_a_feed(profiles):
    assert {user: r.is_active for user, r in profiles.items()} == {1: True, 2: False, 3: False, 4: True, 5: False}


def test_newest_live_saves_come_first_each_pin_once(profiles):
    assert profiles[1].recent_saves == [2, 3, 1]
    assert profiles[1].n_saves == 5
    assert profiles[2].recent_saves == []


def test_shares_by_category_follow_decayed_weight(profiles):
    garden, food = 0.5 + 0.5 ** (5 / 30), 1 + 0.5 ** (10 / 30)
    shares = profiles[1].categories
    assert shares == pytest.approx({"food": food / (food + garden), "garden": garden / (food + garden)}, abs=1e-5)
    assert profiles[5].categories == {"": 1.0}  # of pins without a category


def test_taste_is_the_decayed_mean_of_one_model_at_unit_length(profiles):
    taste = np.frombuffer(profiles[1].taste, "<f2").astype(float)
    np.testing.assert_allclose(taste, np.array([0.5, 1.0]) / np.sqrt(1.25), atol=1e-3)
    assert profiles[5].taste is None


def test_hours_and_weekdays_are_shares_of_events(profiles):
    hours = dict(enumerate(profiles[4].hours))
    assert len(hours) == 24
    assert {h: s for h, s in hours.items() if s} == {9: 0.5, 21: 0.5}
    assert profiles[4].weekdays == [0, 0, 0, 0, 0, 1, 0]
    assert profiles[4].n_events == 4
    assert profiles[1].hours == []
