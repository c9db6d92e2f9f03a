"""Rows become pairs: the right keys, the right values, the same bytes each time."""

import pytest

from jobs.publish import encode_pairs as rows
from jobs.publish.fallback import fallback_feed
from jobs.publish.load import content_of
from jobs.serving.codec import decode_card, decode_feed, decode_related
from jobs.settings.publish import Publish
from tests.asserts import assert_no_cross_join
from tests.builders import build
from tests.feeds import DAY

pytestmark = pytest.mark.spark


def pairs_of(df):
    return {bytes(row["key"]): bytes(row["value"]) for row in df.collect()}


def test_a_feed_is_encoded_in_its_order_whatever_the_order_of_rows(spark):
    made = [
        {
            "user_id": user,
            "position": place,
            "pin_id": 100 * user + place,
            "score": 1.0 / place,
            "source": "content",
            "reason": "save" if place == 1 else "taste",
            "reason_id": 7 if place == 1 else None,
            "arm": "control",
        }
        for user in (5, 12)
        for place in range(1, 31)
    ]
    feed = build(spark, "gold.home_feed", made)
    found = pairs_of(rows.feed_pairs(feed, DAY))
    assert set(found) == {b"hf:5", b"hf:12"}
    decoded = decode_feed(b"hf:12", found[b"hf:12"], "g")
    assert [item.pin_id for item in decoded.items] == list(range(1201, 1231))
    first, second = decoded.items[:2]
    assert (first.source, first.reason, first.reason_id, first.score) == ("content", "save", 7, 1.0)
    assert (second.reason, second.reason_id, second.score) == ("taste", None, 0.5)
    assert (decoded.as_of, decoded.arm, decoded.fallback) == (DAY, "control", False)
    shuffled = build(spark, "gold.home_feed", made[::-1]).repartition(5)
    assert pairs_of(rows.feed_pairs(shuffled, DAY)) == found
    one, two = (content_of(rows.feed_pairs(frame, DAY)) for frame in (feed, shuffled))
    assert one == two
    assert one.surfaces == {"home_feed": {"keys": 2, "bytes": sum(map(len, found.values()))}}


def test_related_pins_and_cards_are_encoded_and_private_pins_get_no_card(spark):
    related = build(
        spark,
        "gold.related_pins",
        [
            {"pin_id": 1, "position": 2, "related_pin_id": 3, "score": 0.25, "co_saves": None, "reason": "looks_alike"},
            {"pin_id": 1, "position": 1, "related_pin_id": 2, "score": 0.5, "co_saves": 4, "reason": "both"},
        ],
    )
    found = pairs_of(rows.related_pairs(related, DAY))
    decoded = decode_related(b"rp:1", found[b"rp:1"], "g")
    shown = [(i.pin_id, i.score, i.reason, i.co_saves) for i in decoded.items]
    assert shown == [(2, 0.5, "both", 4), (3, 0.25, "looks_alike", 0)]
    feed = build(
        spark,
        "gold.home_feed",
        [{"user_id": 1, "reason": "save", "reason_id": 5}, {"user_id": 2, "reason": "follow", "reason_id": 6}],
        position=1,
        pin_id=4,
        source="content",
        score=1.0,
    )
    pins = [{"id": i, "title": f"Pin {i}", "board_id": 2 if i == 5 else 1, "creator_id": 8} for i in range(1, 9)]
    pins.append({"id": 3, "title": None, "board_id": 1, "creator_id": None, "link": None})
    boards = build(spark, "silver.app_boards", [{"id": 1}, {"id": 2, "privacy": "secret"}])
    public = rows.public_pins(build(spark, "silver.app_pins", [p for p in pins if p != pins[2]]), boards)
    cards = pairs_of(rows.card_pairs(rows.shown_pins([feed], related), public))
    # 5 is secret though a reason points at it; 6 is a user; 7 and 8 are shown nowhere
    assert set(cards) == {b"pc:1", b"pc:2", b"pc:3", b"pc:4"}
    card = decode_card(b"pc:4", cards[b"pc:4"])
    assert (card.title, card.creator_id, card.category, card.color) == ("Pin 4", 8, "garden", "green")
    assert decode_card(b"pc:3", cards[b"pc:3"]).title == ""


def test_a_fallback_is_rising_then_popular_public_pins(spark):
    stats = [{"pin_id": i, "creator_id": i, "popularity": float(i)} for i in range(1, 21)]
    stats += [{"pin_id": 30, "creator_id": 30, "popularity": 99.0, "visibility": "secret"}]
    stats += [{"pin_id": i, "creator_id": 40, "popularity": float(i), "category": "art"} for i in range(40, 46)]
    trending = [{"category": "garden", "pin_id": pin, "score": float(score)} for pin, score in
                ((3, 9), (4, 9), (5, 8), (30, 50), (6, 1))]  # fmt: skip
    publish = Publish(fallback_length=6, fallback_owner_cap=2)
    made = fallback_feed(build(spark, "gold.pin_stats", stats), build(spark, "gold.trending", trending), publish)
    assert_no_cross_join(made)
    found = pairs_of(rows.fallback_pairs(made, DAY))
    lists = {key: [(i.pin_id, i.source) for i in decode_feed(key, value, "g").items] for key, value in found.items()}
    rising = [(3, "trending"), (4, "trending"), (5, "trending")]
    assert lists == {
        b"fb:garden": [*rising, (20, "popular"), (19, "popular"), (18, "popular")],
        b"fb:art": [(45, "popular"), (44, "popular")],
        b"fb:all": [*rising, (45, "popular"), (44, "popular"), (20, "popular")],
    }
    assert decode_feed(b"fb:all", found[b"fb:all"], "g").fallback


def test_a_fallback_needs_neither_category_nor_creator_nor_saves(spark):
    """Pins without them are in the feed of everybody; spellings of one category are one segment."""
    bare = [{"pin_id": i, "popularity": float(i), "category": (None, "", " ")[i % 3], "creator_id": None}
            for i in range(1, 10)]  # fmt: skip
    spelt = [{"pin_id": 20 + i, "popularity": 0.1 * i, "category": name, "creator_id": i}
             for i, name in enumerate(("Art", "art ", "All"), 1)]  # fmt: skip
    unsaved = [{"pin_id": 30, "age_days": 9.0}, {"pin_id": 31, "age_days": 2.0}, {"pin_id": 32, "age_days": None}]
    stats = build(spark, "gold.pin_stats", bare + spelt + unsaved + [{"pin_id": 40, "visibility": "secret"}])
    trending = build(spark, "gold.trending", [{"category": "", "pin_id": 4, "score": 9.0}])
    found = pairs_of(rows.fallback_pairs(fallback_feed(stats, trending, Publish(fallback_length=20)), DAY))
    lists = {key: [i.pin_id for i in decode_feed(key, value, "g").items] for key, value in found.items()}
    assert lists == {b"fb:all": [4, 9, 8, 7, 6, 5, 3, 2, 1, 23, 22, 21, 31, 30, 32], b"fb:art": [22, 21]}
    assert [i.reason for i in decode_feed(b"fb:all", found[b"fb:all"], "g").items][-3:] == ["fresh"] * 3
