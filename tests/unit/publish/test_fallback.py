"""Choosing a segment's fallback feed, on pins counted by hand."""

from jobs.publish.fallback import chosen


def pin(pin_id, source, score, owner=None):
    return {"segment": "all", "pin_id": pin_id, "creator_id": owner or pin_id, "score": score, "source": source}


def ids(*args):
    return [one["pin_id"] for one in chosen(*args)]


def test_rising_pins_come_first_and_take_at_most_half():
    pins = [pin(i, "trending", 0.5) for i in (4, 3, 2, 1)] + [pin(i, "popular", float(i)) for i in (5, 6, 7)]
    assert ids(pins, 4, 9) == [1, 2, 7, 6]  # equal scores: the smaller id; popularity 7 before 6


def test_a_pin_that_is_both_stands_once():
    pins = [pin(1, "trending", 9.0), pin(1, "popular", 9.0), pin(2, "popular", 1.0)]
    assert ids(pins, 4, 9) == [1, 2]


def test_a_creator_has_no_more_than_the_cap_over_both_sources():
    pins = [pin(1, "trending", 9.0, 7)] + [pin(i, "popular", 10.0 - i, 7) for i in (2, 3)] + [pin(4, "popular", 0.1)]
    assert ids(pins, 4, 2) == [1, 2, 4]


def test_pins_without_a_creator_have_no_cap_in_common():
    pins = [pin(i, "popular", 10.0 - i) | {"creator_id": None} for i in range(1, 5)]
    assert ids(pins, 4, 1) == [1, 2, 3, 4]


def test_pins_that_nobody_saved_fill_what_is_left():
    pins = [pin(1, "fresh", 0.9), pin(2, "fresh", 1.0), pin(3, "popular", 0.1)]
    assert ids(pins, 2, 9) == [3, 2]


def test_no_pins_make_an_empty_feed():
    assert chosen([], 10, 1) == []
