"""gold.related_pins and the co-saves below it, worked out by hand."""

from collections import Counter
from datetime import timedelta
from itertools import combinations
from math import sqrt

import numpy as np
import pytest

from jobs.engine.context import Context
from jobs.related.job import related_pins
from jobs.related.pairs import related_pairs
from jobs.related.signals import co_saves, co_views, same_link
from tests.asserts import assert_no_cross_join
from tests.builders import build

pytestmark = pytest.mark.spark


def context(ctx, **changes):
    """Return the context with settings of `related` changed; `k` is one of `neighbours`."""
    settings = ctx.settings
    neighbours = settings.neighbours.model_copy(update={"k": changes.pop("k", settings.neighbours.k)})
    related = settings.related.model_copy(update=changes)
    return Context(settings.model_copy(update={"neighbours": neighbours, "related": related}), ctx.as_of)


def boards_of(spark, boards):
    """`boards`: id -> (owner, privacy, pins, newest first)."""
    rows = [{"id": b, "owner_id": owner, "privacy": privacy} for b, (owner, privacy, _) in boards.items()]
    saves = [
        {"board_id": b, "pin_id": pin, "user_id": owner, "saved_at": float(place + 1)}
        for b, (owner, _, pins) in boards.items()
        for place, pin in enumerate(pins)
    ]
    return build(spark, "silver.app_boards", rows), build(spark, "silver.app_board_pins", saves)


def tables(spark, pins, near=(), boards=None, events=(), links=(), clusters=(), factors=None):
    """`pins`: id -> columns of pin_stats; `near`: (pin, neighbour, cosine), nearest first; `links`: (pin, link).

    `factors`: pin -> its factor of collaborative filtering.
    """
    stats = [{"pin_id": p, "creator_id": p, "image_signature": f"s{p}"} | facts for p, facts in pins.items()]
    ranks: Counter[int] = Counter()
    rows = []
    for a, b, score in near:
        ranks[a] += 1
        rows.append({"pin_id": a, "neighbour_id": b, "score": score, "rank": ranks[a]})
    app_boards, board_pins = boards_of(spark, boards or {})
    return {
        "gold.pin_stats": build(spark, "gold.pin_stats", stats),
        "gold.pin_neighbours": build(spark, "gold.pin_neighbours", rows),
        "gold.image_clusters": build(spark, "gold.image_clusters", list(clusters)),
        "silver.app_boards": app_boards,
        "silver.app_board_pins": board_pins,
        "silver.pin_events": build(spark, "silver.pin_events", list(events)),
        "silver.app_pins": build(spark, "silver.app_pins", [{"id": pin, "link": link} for pin, link in links]),
        "gold.cf_factors": build(
            spark, "gold.cf_factors", [{"kind": "pin", "id": p, "factor": f} for p, f in (factors or {}).items()]
        ),
    }


def listed(inputs, ctx):
    """What the two jobs make of the inputs, one after the other."""
    pairs = related_pairs(inputs, ctx).localCheckpoint()  # a stored table in the flow: its plan is not the next job's
    return related_pins(inputs | {"gold.related_pairs": pairs}, ctx)


def shown(rows, pin):
    return [tuple(r)[2:] for r in sorted(rows) if r["pin_id"] == pin]


def pairs(df):
    return {(r["pin_id"], r["related_pin_id"]): (r["co_saves"], r["rate"], r["trust"]) for r in df.collect()}


def test_co_saves_count_public_boards_of_shown_pins_with_caps(spark, ctx):
    boards, board_pins = boards_of(
        spark,
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


def test_the_blend_its_reasons_and_what_is_left_out(spark, ctx):
    pins = {p: {} for p in range(1, 9)}
    pins[5] = {"image_signature": "s1"}  # the same image as pin 1
    pins[6] = {"visibility": "secret"}
    pins[7] = {"visibility": "protected"}
    near = [(1, 4, 0.99), (1, 6, 0.9), (1, 2, 0.8), (1, 5, 0.7), (1, 3, 0.4), (1, 99, 0.3)]
    boards = {1: (10, "public", [1, 3, 6, 7, 8]), 2: (20, "public", [1, 3]), 3: (30, "secret", [1, 2])}
    got = listed(
        tables(spark, pins, near, boards),
        context(ctx, k=10, session_weight=0, link_weight=0, save_rate_weight=0, collaborative_weight=0),
    )
    assert_no_cross_join(got)
    rows = got.collect()
    # 4 is a near-duplicate, 99 is deleted. A neighbour's place counts: 1 - (rank - 1) / 10. Pin 3 is with 1 on both
    # boards of both: rate 1, trust 2 / 4; pin 8 on one: rate 1 / sqrt(2), trust 1 / 3. Both weights are a half.
    three = (0.4 * 0.6 + 1 * 2 / 4) / 2
    eight = (1 / sqrt(2)) * (1 / 3) / 2
    assert shown(rows, 1) == [
        (3, pytest.approx(three, abs=1e-5), pytest.approx(0.4), 2, "both"),
        (2, pytest.approx(0.8 * 0.8 / 2, abs=1e-5), pytest.approx(0.8), 0, "looks_alike"),
        (8, pytest.approx(eight, abs=1e-5), None, 1, "saved_together"),
    ]
    assert shown(rows, 6) == shown(rows, 7) == []
    assert {r["related_pin_id"] for r in rows} <= {1, 2, 3, 4, 5, 8}


def random_case(seed=11, n=60):
    rng = np.random.default_rng(seed)
    pins = {
        p: {
            "creator_id": int(rng.integers(0, 12)),
            "image_signature": f"s{int(rng.integers(0, 45))}",
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


def test_no_list_breaks_a_rule_and_another_partitioning_gives_the_same_rows(spark, ctx):
    pins, near, boards = random_case()
    inputs = tables(spark, pins, near, boards)
    short = context(ctx, length=8, owner_cap=2, pool=20)
    rows = sorted(listed(inputs, short).collect())
    alike = {frozenset((a, b)) for a, b, s in near if s >= 0.98}
    lists = {}
    for row in rows:
        lists.setdefault(row["pin_id"], []).append(row)
    assert len(lists) > 30
    for pin, found in lists.items():
        ids = [row["related_pin_id"] for row in found]
        assert [row["position"] for row in found] == list(range(1, len(ids) + 1)), "no gaps"
        assert len(ids) <= 8
        assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)
        assert all(pins[p]["visibility"] == "public" for p in [pin, *ids])
        owners = [pins[p]["creator_id"] for p in ids]
        assert max(owners.count(o) for o in owners) <= 2
        for a, b in combinations([pin, *ids], 2):
            assert a != b
            assert frozenset((a, b)) not in alike
            assert pins[a]["image_signature"] != pins[b]["image_signature"]
    parted = {name: df.repartition(7) for name, df in inputs.items()}
    assert sorted(listed(parted, short).collect()) == rows


def test_nothing_in_nothing_out_and_lonely_pins_have_no_list(spark, ctx):
    assert listed(tables(spark, {}), ctx).count() == 0
    assert listed(tables(spark, {1: {}, 2: {}}, boards={1: (1, "public", [1])}), ctx).count() == 0


def opened(user, minutes, pin, kind="closeup"):
    """An event so many minutes after the first of the last day."""
    return {
        "event_id": f"{user}-{minutes}-{pin}",
        "user_id": user,
        "pin_id": pin,
        "kind": kind,
        "ts": 1 - minutes / 1440,
    }


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


def test_other_sources_have_their_weight_and_reason(spark, ctx):
    events = [opened(1, 0, 1), opened(1, 1, 2)]
    links = [(1, "https://a.org/x"), (3, "https://a.org/x")]
    weights = {
        "similarity_weight": 0.4,
        "co_save_weight": 0.3,
        "session_weight": 0.2,
        "link_weight": 0.1,
        "collaborative_weight": 0,
        "save_rate_weight": 0,
    }
    got = listed(tables(spark, {p: {} for p in (1, 2, 3)}, events=events, links=links), context(ctx, **weights))
    assert shown(got.collect(), 1) == [
        (3, pytest.approx(0.1), None, 0, "same_link"),
        (2, pytest.approx(0.2 * 1 / 3, abs=1e-6), None, 0, "co_viewed"),
    ]


def test_pins_saved_by_the_same_people_are_found_by_their_factors(spark, ctx):
    pins = {p: {"saves": 3} for p in range(1, 8)}
    pins[4] = {"saves": 2}  # too few
    pins[5] = {"saves": 9, "visibility": "secret"}
    factors = {1: [1, 0], 2: [3, 4], 3: [2, 0], 4: [1, 0], 5: [1, 0], 6: [-1, 0], 9: [1, 0]}  # 9 is gone, 7 has none
    inputs = tables(spark, pins, boards={1: (10, "public", [1, 7])}, factors=factors)
    changes = {"collaborative_min_saves": 3, "k": 4, "save_rate_weight": 0}
    pairs = related_pairs(inputs, context(ctx, **changes))
    assert_no_cross_join(pairs)
    # cosines 1, 3/5 and -1, times the place among the nearest: 1, 3/4, 2/4
    got = {(r["pin_id"], r["related_pin_id"]): r["collaborative"] for r in pairs.where("pin_id = 1").collect()}
    known = {(1, 3): 1.0, (1, 2): 0.6 * 3 / 4, (1, 6): 0.0}
    assert {pair: value for pair, value in got.items() if value is not None} == pytest.approx(known)
    assert got[1, 7] is None, "saved together, but without a factor"
    only = {
        "similarity_weight": 0,
        "co_save_weight": 0,
        "session_weight": 0,
        "link_weight": 0,
        "collaborative_weight": 1,
    }
    rows = shown(listed(inputs, context(ctx, **changes | only)).collect(), 1)
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        (3, pytest.approx(1.0), "collaborative"), (2, pytest.approx(0.45), "collaborative")
    ]  # fmt: skip


def test_the_collaborative_source_decides_between_pins_that_look_alike_as_much(spark, ctx):
    pins = {p: {"saves": 5} for p in (1, 2, 3)}
    near, factors = [(1, 2, 0.9), (1, 3, 0.89)], {1: [1, 0], 2: [0, 1], 3: [1, 0.1]}
    for weight, first in ((0.0, 2), (0.5, 3)):
        got = listed(tables(spark, pins, near, factors=factors), context(ctx, collaborative_weight=weight))
        assert shown(got.collect(), 1)[0][0] == first


def test_only_the_most_saved_pins_are_compared_by_their_factors(spark, ctx):
    pins = {p: {"saves": 10 + p} for p in range(1, 6)}
    inputs = tables(spark, pins, factors={p: [1, p] for p in pins})
    pairs = related_pairs(inputs, context(ctx, collaborative_max_pins=3)).collect()
    assert {(r["pin_id"], r["related_pin_id"]) for r in pairs} == {
        (a, b) for a in (3, 4, 5) for b in (3, 4, 5) if a != b
    }


def test_a_pin_that_little_is_known_of_gets_popular_pins_of_its_category(spark, ctx):
    pins = {p: {"popularity": float(p), "category": "art" if p < 7 else "food"} for p in range(1, 9)}
    pins[3]["visibility"] = "secret"
    near = [(1, 8, 0.9)]
    rows = listed(tables(spark, pins, near), context(ctx, length=4, k=10)).collect()
    assert [(row[0], row[-1]) for row in shown(rows, 1)] == [
        (8, "looks_alike"), (6, "popular"), (5, "popular"), (4, "popular")
    ]  # fmt: skip
    assert [row[0] for row in shown(rows, 7)] == [8], "its category has no more"
    assert [row[0] for row in shown(rows, 6)] == [5, 4, 2, 1]


def test_a_pin_that_little_is_known_of_takes_the_list_of_its_duplicate_first(spark, ctx):
    pins = {p: {"popularity": float(p), "category": "art"} for p in range(1, 10)}
    pins[9]["category"] = "food"
    pins[8] |= {"image_signature": "s1", "category": None}
    near = [(1, 5, 0.9), (1, 4, 0.8), (1, 2, 0.3), (2, 9, 0.7), (2, 1, 0.3), (7, 9, 0.1), (3, 6, 0.2)]
    # 1, 2 and 7 show one image, 8 the very file of 1; 3 and 6 show another
    of = {1: 1, 2: 1, 7: 1, 3: 3, 6: 3}
    clusters = [{"image_signature": f"s{pin}", "image_id": pin, "cluster_id": c} for pin, c in of.items()]
    pins[3] |= {"visibility": "secret"}
    inputs = tables(spark, pins, near, clusters=clusters)
    got = listed(inputs, context(ctx, length=4, k=10, save_rate_weight=0, similarity_weight=1))
    assert_no_cross_join(got)
    rows = got.collect()
    # 1 has most pairs, so that it lends: its cosines times their place, of a pin's own at most
    assert [(row[0], row[1], row[-1]) for row in shown(rows, 8)][:2] == [
        (5, pytest.approx(0.9 / 2.1, abs=1e-5), "duplicate"), (4, pytest.approx(0.8 * 0.9 / 2.1, abs=1e-5), "duplicate")
    ]  # fmt: skip
    # without a category: popular pins of all
    assert [(row[0], row[-1]) for row in shown(rows, 8)][2:] == [(9, "popular"), (6, "popular")]
    assert [(row[0], row[-1]) for row in shown(rows, 7)] == [
        (9, "looks_alike"), (5, "duplicate"), (4, "duplicate"), (6, "popular")
    ]  # fmt: skip
    assert [row[1] for row in shown(rows, 7)][:3] == [pytest.approx(0.1 / 2.1, abs=1e-5)] * 3
    assert {(row[2], row[3]) for row in shown(rows, 8)} == {(None, 0)}
    assert {row[-1] for row in shown(rows, 6)} == {"popular"}, "its only duplicate is on a secret board"


def test_new_pins_have_their_share(spark, ctx):
    pins = {p: {"age_days": 30.0} for p in range(1, 12)}
    pins[10], pins[11] = {"age_days": 2.0}, {"age_days": 7.5}
    near = [(1, p, 0.95 - p / 100) for p in range(2, 12)]
    for share, wanted in ((0.0, [2, 3, 4, 5]), (0.25, [2, 3, 4, 10]), (0.5, [2, 3, 4, 10])):
        got = listed(tables(spark, pins, near), context(ctx, length=4, fresh_share=share))
        assert [row[0] for row in shown(got.collect(), 1)] == wanted


def test_of_pins_alike_in_all_else_the_one_that_is_saved_more_often_comes_first(spark, ctx):
    pins = {1: {}, 2: {"save_rate": 0.1}, 3: {"save_rate": 0.3}, 4: {"save_rate": 0.9, "category": "food"}}
    boards = {1: (10, "public", [1, 2, 3, 4])}
    got = shown(listed(tables(spark, pins, boards=boards), context(ctx)).collect(), 1)
    # 4 is the whole of its category, and so its mean
    assert [row[0] for row in got] == [3, 4, 2]
    none = shown(listed(tables(spark, pins, boards=boards), context(ctx, save_rate_weight=0)).collect(), 1)
    assert [row[0] for row in none] == [2, 3, 4]
    assert len({row[1] for row in none}) == 1


def test_images_of_one_cluster_are_shown_once_and_never_beside_one_of_them(spark, ctx):
    near = [(1, p, 0.9 - p / 100) for p in range(2, 7)]
    of = {1: 1, 2: 1, 3: 3, 4: 3, 5: 5}  # pin 6 carries an image that was not measured
    clusters = [{"image_signature": f"s{pin}", "image_id": pin, "cluster_id": c} for pin, c in of.items()]
    got = listed(tables(spark, {p: {} for p in range(1, 7)}, near, clusters=clusters), context(ctx))
    assert [row[0] for row in shown(got.collect(), 1)] == [3, 5, 6]
