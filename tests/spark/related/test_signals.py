"""The signals of related pins, worked out by hand."""

from datetime import timedelta
from itertools import permutations
from math import sqrt

import pytest

from jobs.related.signals import co_saves, co_views, same_link, similar_factors
from tests.asserts import assert_no_cross_join
from tests.builders import build
from tests.relatedcases import boards_of, case, context, opened, tables

pytestmark = pytest.mark.spark


def pairs(df):
    return {(r["pin_id"], r["related_pin_id"]): (r["co_saves"], r["rate"], r["trust"]) for r in df.collect()}


def test_co_saves_count_public_boards_of_shown_pins_with_caps(spark, ctx):
    boards, board_pins = boards_of(
        {
            1: (100, "public", [1, 2]),
            2: (100, "public", [1, 2]),
            3: (100, "public", [1, 2]),  # third board of one owner: beyond the cap of two
            4: (200, "public", [2, 1, 3]),
            5: (300, "secret", [1, 2, 3]),
            6: (300, "protected", [1, 3]),
            7: (400, "public", [5, 4, 3, 1]),  # only the three newest count: 5, 4, 3
            8: (500, "public", [1, 9]),  # 9 may not be shown, so 1 is alone
        },
    )
    boards, board_pins = build(spark, "silver.app_boards", boards), build(spark, "silver.app_board_pins", board_pins)
    pins = build(spark, "gold.pin_stats", [{"pin_id": p} for p in (1, 2, 3, 4, 5)]).select("pin_id")
    settings = context(ctx, user_cap=2, board_pin_cap=3, shrinkage=2.0).settings.related
    found = co_saves(board_pins, boards, pins, settings)
    # capped boards that hold: 1 -> 2 + 1 + 1 = 4, 2 -> 2 + 1 = 3, 3 -> 1 + 1 = 2, 4 -> 1, 5 -> 1
    assert_no_cross_join(found)
    known = {
        (1, 2): (4, 3 / sqrt(4 * 3), 3 / 5),
        (1, 3): (1, 1 / sqrt(4 * 2), 1 / 3),
        (2, 3): (1, 1 / sqrt(3 * 2), 1 / 3),
        (3, 4): (1, 1 / sqrt(2 * 1), 1 / 3),
        (3, 5): (1, 1 / sqrt(2 * 1), 1 / 3),
        (4, 5): (1, 1.0, 1 / 3),
    }
    known |= {(b, a): value for (a, b), value in known.items()}
    got = pairs(found)
    assert set(got) == set(known)
    for pair, value in known.items():
        assert got[pair] == pytest.approx(value, abs=1e-6)


def test_pins_opened_in_one_sitting_go_together(spark, ctx):
    events = [
        opened(1, 0, 1), opened(1, 20, 2, "save"), opened(1, 45, 3, "click"),  # one sitting: 20 and 25 minutes between
        opened(1, 100, 4), opened(1, 101, 1),  # another
        opened(2, 0, 1), opened(2, 1, 2), opened(2, 2, 9), opened(2, 3, 5, "impression"),  # 9 may not be shown
    ]  # fmt: skip
    shown_pins = build(spark, "gold.pin_stats", [{"pin_id": p} for p in (1, 2, 3, 4, 5)]).select("pin_id")
    frame = build(spark, "silver.pin_events", events)
    settings = context(ctx, session_gap_minutes=30, shrinkage=2.0).settings.related
    got = co_views(frame, shown_pins, settings, ctx.instant - timedelta(days=2))
    assert_no_cross_join(got)
    found = {(r["pin_id"], r["related_pin_id"]): (r["view_rate"], r["view_trust"]) for r in got.collect()}
    # sittings that hold: 1 -> 3, 2 -> 2, 3 -> 1, 4 -> 1
    known = {(1, 2): (2 / sqrt(3 * 2), 2 / 4), (1, 3): (1 / sqrt(3), 1 / 3), (2, 3): (1 / sqrt(2), 1 / 3),
             (1, 4): (1 / sqrt(3), 1 / 3)}  # fmt: skip
    known |= {(b, a): value for (a, b), value in known.items()}
    assert set(found) == set(known)
    for pair, value in known.items():
        assert found[pair] == pytest.approx(value, abs=1e-6)
    assert not co_views(frame, shown_pins, settings, ctx.instant).count(), "too long ago"
    few = context(ctx, session_pin_cap=2).settings.related
    left = co_views(frame, shown_pins, few, ctx.instant - timedelta(days=2)).where("pin_id < related_pin_id")
    assert {(r["pin_id"], r["related_pin_id"]) for r in left.collect()} == {(2, 3), (1, 4), (1, 2)}


def test_pins_that_lead_to_one_page_go_together_unless_all_do(spark):
    links = {
        1: "https://www.Example.org/tea/", 2: "http://example.org/tea?from=pin", 3: "https://example.org/tea#top",
        4: "https://example.org/coffee", 5: "https://example.org", 6: None, 7: "", 8: "https://shop.org/a",
        9: "https://shop.org/a", 10: "https://shop.org/a", 11: "https://shop.org/a",
    }  # fmt: skip
    pins = build(spark, "silver.app_pins", [{"id": pin, "link": link} for pin, link in links.items()])
    shown_pins = build(spark, "gold.pin_stats", [{"pin_id": p} for p in links if p != 3]).select("pin_id")
    got = same_link(pins, shown_pins, 3)
    assert_no_cross_join(got)
    assert {(r["pin_id"], r["related_pin_id"]) for r in got.collect()} == {(1, 2), (2, 1)}


def test_only_the_most_saved_pins_are_compared_by_their_factors(spark, ctx):
    one = tables(spark, case(0, {p: {"saves": 10 + p} for p in range(1, 6)}, factors={p: [1, p] for p in range(1, 6)}))
    few = context(ctx, collaborative_max_pins=3).settings
    found = similar_factors(one["gold.cf_factors"], one["gold.pin_stats"], few).collect()
    assert {(r["pin_id"], r["related_pin_id"]) for r in found} == set(permutations((3, 4, 5), 2))
