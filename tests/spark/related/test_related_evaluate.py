"""gold.related_evaluations and what it judges by, worked out by hand."""

from datetime import timedelta

import pytest

from jobs.engine.context import Context
from jobs.related.evaluate import listed, logged, next_co_saves, related_evaluations, segments
from jobs.related.metrics import recall_lines, save_lines
from tests.asserts import assert_no_cross_join
from tests.builders import build

pytestmark = pytest.mark.spark

WEEK = 7.0
"""Days before the cut at which lists were made."""


def context(ctx, **changes):
    """Return the context with settings of `related` changed; `k` is one of `neighbours`."""
    settings = ctx.settings
    neighbours = settings.neighbours.model_copy(update={"k": changes.pop("k", settings.neighbours.k)})
    related = settings.related.model_copy(update=changes)
    return Context(settings.model_copy(update={"neighbours": neighbours, "related": related}), ctx.as_of)


def stats(spark, pins):
    """`pins`: id -> columns of pin_stats."""
    return build(
        spark,
        "gold.pin_stats",
        [{"pin_id": p, "creator_id": p, "image_signature": f"s{p}"} | f for p, f in pins.items()],
    )


def saved(spark, boards):
    """`boards`: id -> (privacy, {pin: days before the cut})."""
    return {
        "silver.app_boards": build(
            spark, "silver.app_boards", [{"id": b, "privacy": p} for b, (p, _) in boards.items()]
        ),
        "silver.app_board_pins": build(
            spark,
            "silver.app_board_pins",
            [
                {"board_id": b, "pin_id": p, "user_id": 1, "saved_at": at}
                for b, (_, pins) in boards.items()
                for p, at in pins.items()
            ],
        ),
    }


def found(frame):
    assert_no_cross_join(frame)
    return sorted(tuple(row) for row in frame.collect())


def test_next_co_saves_are_those_saved_since_to_a_public_board_that_had_the_pin(spark, ctx):
    boards = {
        1: ("public", {1: 50.0, 2: 9.0, 3: 3.0, 4: 2.0}),
        2: ("secret", {1: 50.0, 5: 1.0}),
        3: ("public", {6: 50.0, 7: 1.0}),  # 7 may not be seen
        4: ("public", {1: 2.0, 3: 1.0}),  # a pair that board 1 makes too
    }
    tables = saved(spark, boards) | {
        "gold.pin_stats": stats(spark, {p: {} for p in range(1, 7)} | {7: {"visibility": "protected"}})
    }
    since = ctx.before().instant
    # 1 was followed by 3 and 4, 2 by both too, 3 by 4; what was saved before says nothing, nor does what came first
    assert found(next_co_saves(tables, since, 100)) == [(1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]
    assert found(next_co_saves(tables, since, 2)) == [(1, 3), (3, 4)], "two newest pins a board"
    assert found(next_co_saves(tables, ctx.instant, 100)) == []


def event(user, days, pin, kind, request=None, **more):
    return {
        "event_id": f"{user}-{days}-{pin}-{kind}",
        "user_id": user,
        "ts": days,
        "pin_id": pin,
        "kind": kind,
        "request_id": request,
        "surface": "related_pins",
    } | more


def test_an_impression_belongs_to_the_pin_opened_last_before_its_page_was_asked_for(spark, ctx):
    minute = 1 / 1440
    events = [
        event(1, 8.0, 10, "closeup"),  # before the lists were made, yet what the person looked at
        event(1, 6.0, 20, "impression", "a", position=1),
        event(1, 6.0 - minute, 20, "closeup", "a"),  # of that very page: not what it was shown beside
        event(1, 6.0 - 2 * minute, 21, "impression", "a", position=2),
        event(1, 6.0 - 3 * minute, 21, "save", "a"),
        event(1, 5.0, 22, "impression", "b", position=1),  # now 21, the one saved last, is the query
        event(1, 4.0, 23, "impression", "c", position=1, surface="home_feed"),
        event(2, 3.0, 24, "impression", "d", position=1),  # opened nothing before
        event(2, 2.0, 25, "closeup"),
        event(2, 1.9, 25, "impression", "e", position=1),  # the query itself
        event(2, 1.8, 26, "impression", None, position=1),
        event(3, 7.5, 30, "save"),
        event(3, 7.2, 31, "impression", "f", position=1),  # before the lists were made
        event(3, 1.0, 32, "impression", "g", position=4),  # 6.5 days later
    ]  # fmt: skip
    frame = build(spark, "silver.pin_events", events)
    since = ctx.instant - timedelta(days=WEEK)
    first = [(1, 10, 20, 1, 0.0), (1, 10, 21, 2, 1.0), (1, 21, 22, 1, 0.0)]
    assert found(logged(frame, since, 168.0)) == [*first, (3, 30, 32, 4, 0.0)]
    assert found(logged(frame, since, 150.0)) == first, "30 was opened too long before"


def test_head_torso_and_tail_hold_a_third_of_the_saves_each(spark):
    pins = {1: 40, 2: 20, 3: 20, 4: 10, 5: 5, 6: 5, 7: 0}
    frame = stats(spark, {p: {"saves": n} for p, n in pins.items()} | {8: {"saves": 90, "visibility": "secret"}})
    # above 1 nothing stands, above 2 and 3 40 %, above 4 80 %
    assert found(segments(frame)) == [(1, "head"), (2, "torso"), (3, "torso"), *[(p, "tail") for p in (4, 5, 6, 7)]]
    assert found(segments(stats(spark, {1: {}, 2: {}}))) == [(1, "tail"), (2, "tail")]


def frame(spark, schema, rows):
    return spark.createDataFrame(rows, schema)


def test_recall_by_hand(spark):
    lists = frame(
        spark,
        "model string, pin_id bigint, related_pin_id bigint, position int",
        [
            ("related_pins", 1, 11, 1), ("related_pins", 1, 12, 11), ("related_pins", 2, 21, 2),
            ("looks_alike", 1, 12, 1), ("looks_alike", 2, 29, 1),
        ],
    )  # fmt: skip
    truth = frame(
        spark,
        "pin_id bigint, related_pin_id bigint, segment string",
        [(1, 11, "head"), (1, 12, "head"), (2, 21, "tail"), (3, 31, "tail")],
    )
    lines = {line[:4]: line[4:] for line in recall_lines(lists, truth, 30)}
    # at 10: 1/2, 1, 0 and 1/2, 0, 0; at 30 pin 1 has both
    assert lines["related_pins", "all", "recall", 10][0] == pytest.approx(0.5)
    assert lines["related_pins", "all", "recall", 10][3:] == (3, 2)
    assert lines["related_pins", "all", "recall", 30][0] == pytest.approx(2 / 3, abs=1e-6)
    assert lines["related_pins", "head", "recall", 30] == (1.0, None, None, 1, 2)
    assert lines["related_pins", "torso", "recall", 30] == (None, None, None, 0, 0)
    assert lines["looks_alike", "all", "recall", 10][0] == pytest.approx(1 / 6, abs=1e-6)
    assert lines["looks_alike", "tail", "recall", 10][0] == 0.0
    gap = lines["related_pins_minus_looks_alike", "all", "recall", 10]
    assert gap[0] == pytest.approx(1 / 3, abs=1e-6)
    assert gap[3:] == (3, None)
    assert lines["popular", "all", "recall", 10][0] == 0.0


def test_saves_by_hand(spark):
    rows = [
        (1, "head", 1.0, 1.0, ["related_pins"]), (1, "head", 0.0, 0.0, ["related_pins", "looks_alike"]),
        (2, "head", 1.0, 1.2, None), (2, "tail", 1.0, 1.2, ["related_pins"]), (3, "tail", 0.0, 0.0, None),
    ]  # fmt: skip
    judged = frame(
        spark, "user_id bigint, segment string, saved double, weighted_save double, models array<string>", rows
    )
    lines = {line[:3]: line[4:] for line in save_lines(judged, 30)}
    assert lines["related_pins", "all", "save_rate"][0] == pytest.approx(2.2 / 3, abs=1e-6)
    assert lines["related_pins", "all", "save_rate"][3:] == (3, 2)
    assert lines["related_pins", "all", "save_rate_others"][0] == pytest.approx(0.6)
    assert lines["related_pins", "all", "save_rate_others"][3:] == (2, 1)
    assert lines["related_pins", "all", "save_gain"][0] == pytest.approx(2.2 / 3 - 0.6, abs=1e-6)
    assert lines["looks_alike", "all", "save_rate"][3:] == (1, 0)
    assert lines["looks_alike", "head", "save_rate_others"][0] == pytest.approx(2.2 / 2)
    assert lines["collaborative", "all", "save_rate"] == (None, None, None, 0, 0), "it lists none of them"
    assert lines["collaborative", "all", "save_gain"][0] is None
    assert lines["related_pins", "torso", "save_rate"] == (None, None, None, 0, 0)


def inputs(spark, pins, pairs, listed_then, boards, events=()):
    now, before = stats(spark, pins), stats(spark, pins)
    return saved(spark, boards) | {
        "gold.pin_stats": now,
        "gold.pin_stats@horizon": before,
        "gold.image_clusters@horizon": build(spark, "gold.image_clusters"),
        "gold.related_pairs@horizon": build(spark, "gold.related_pairs", pairs, co_saves=0),
        "gold.related_pins@horizon": build(spark, "gold.related_pins", listed_then, score=1.0),
        "silver.pin_events": build(spark, "silver.pin_events", list(events)),
    }


def pair(pin, related, **strengths):
    return {"pin_id": pin, "related_pin_id": related} | strengths


def test_a_source_alone_keeps_the_rules_and_is_filled_with_nothing(spark, ctx):
    pins = {p: {"creator_id": 7, "popularity": 10.0 - p} for p in range(1, 7)} | {9: {"visibility": "secret"}}
    pairs = [
        pair(1, 2, looks_alike=0.9, similarity=0.99),  # a near-duplicate
        pair(1, 3, looks_alike=0.8, similarity=0.8, saved_together=0.1),
        pair(1, 4, looks_alike=0.7, similarity=0.7), pair(1, 5, saved_together=0.5),
        pair(1, 6, looks_alike=0.1, similarity=0.1), pair(1, 9, looks_alike=0.6, similarity=0.6),
        pair(3, 1, looks_alike=0.8, similarity=0.8),
    ]  # fmt: skip
    tables = inputs(spark, pins, pairs, [{"pin_id": 1, "position": 1, "related_pin_id": 6}], {})
    asked = tables["gold.pin_stats"].where("pin_id = 1").select("pin_id")
    # five pins of one owner at most: all of these are one's
    settings = context(ctx, owner_cap=2, fresh_share=0).settings
    got = found(listed(tables, asked, settings).select("model", "position", "pin_id", "related_pin_id"))
    assert got == [
        ("looks_alike", 1, 1, 3), ("looks_alike", 2, 1, 4),
        ("popular", 1, 1, 3), ("popular", 2, 1, 4),  # 2 would be first, were it no near-duplicate
        ("related_pins", 1, 1, 6),
        ("saved_together", 1, 1, 5), ("saved_together", 2, 1, 3),
    ]  # fmt: skip


def lines_of(frame):
    rows = [row.asDict() for row in frame.collect()]
    return {(r["model"], r["segment"], r["metric"], r["k"]): r for r in rows}


def test_the_job_judges_the_lists_of_a_horizon_ago_by_what_came_after(spark, ctx):
    pins = {p: {"saves": 1} for p in range(1, 7)}
    pairs = [pair(1, 2, saved_together=1.0), pair(1, 3, looks_alike=0.9, similarity=0.9), pair(2, 4, looks_alike=0.5)]
    then = [{"pin_id": 1, "position": n, "related_pin_id": p} for n, p in ((1, 2), (2, 3))]
    boards = {1: ("public", {1: 50.0, 2: 30.0, 3: 3.0})}  # 3 followed 1 and 2; that 2 followed 1 was known
    events = [event(1, 8.0, 1, "closeup")]
    events += [event(1, 5.0, p, "impression", "a", position=n) for n, p in ((1, 2), (2, 3), (3, 4))]
    events.append(event(1, 4.9, 3, "save", "a"))
    got = related_evaluations(inputs(spark, pins, pairs, then, boards, events), ctx)
    lines = lines_of(got)
    assert len(lines) == len(got.collect())
    blend = lines["related_pins", "all", "recall", 10]
    assert (blend["value"], blend["judged"], blend["hits"]) == (0.5, 2, 1), "1 has a list with 3, 2 has none"
    assert lines["looks_alike", "all", "recall", 10]["value"] == 0.5
    assert lines["saved_together", "all", "recall", 10]["value"] == 0.0
    # all three impressions are among the first five places: weights are even
    rate, others = (lines["related_pins", "all", name, 30] for name in ("save_rate", "save_rate_others"))
    assert (rate["value"], rate["judged"], rate["hits"]) == (pytest.approx(0.5), 2, 1)
    assert (others["value"], others["judged"], others["hits"]) == (0.0, 1, 0)
    alike = lines["looks_alike", "all", "save_rate", 30]
    assert (alike["value"], alike["judged"]) == (pytest.approx(1.0), 1)


@pytest.mark.long
def test_on_a_first_day_every_value_is_null_and_says_that_nothing_was_judged(spark, ctx):
    lines = lines_of(related_evaluations(inputs(spark, {}, [], [], {}), ctx))
    assert {row["value"] for row in lines.values()} == {None}
    assert {row["judged"] for row in lines.values()} == {0}
    assert {key[1] for key in lines} == {"all", "head", "torso", "tail"}


def test_a_save_lower_down_counts_for_more(spark, ctx):
    """Of 1,000 impressions at the top 20 % end in a save, of 1,000 at the sixth place 10 %."""
    from jobs.related.evaluate import _placed

    rows = [(1, place, float(n < (200 if place == 1 else 100))) for place in (1, 6) for n in range(1000)]
    seen = frame(spark, "user_id bigint, position int, saved double", rows)
    worth = {r["position"]: r["weighted_save"] for r in _placed(seen).where("saved > 0").distinct().collect()}
    # rates smoothed by 100 at the mean, 15 %: 215 / 1100 and 115 / 1100
    assert worth == {1: pytest.approx(0.15 * 1100 / 215), 6: pytest.approx(0.15 * 1100 / 115)}
