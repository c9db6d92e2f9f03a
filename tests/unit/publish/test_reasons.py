"""The table of reasons against every place that names one."""

import re
from pathlib import Path

import pytest

from jobs.ranking import merge
from jobs.schema.gold import HOME_FEED, RELATED_PINS
from jobs.serving import format_pb2 as pb
from jobs.serving.reason_labels import PLACED, REASONS
from jobs.validate.suites import load_suite

EXPECTATIONS = Path(__file__).parents[3] / "expectations"
FEED = {name for name, reason in REASONS.items() if reason.sentence}
RELATED = {name for name, reason in REASONS.items() if reason.related}
RANKED = {name for name, *_ in merge.REASONS}
"""Reasons of home feeds; `popular` is of fallbacks only, `search` is reserved."""


def allowed(suite):
    expectations = load_suite(EXPECTATIONS, suite).expectations
    return next(set(one.meta["set"]) for one in expectations if one.metric == "reason.not_in_set_count")


def named(comment):
    return set(re.findall(r"[a-z_]+", re.sub(r"\(.*?\)", "", comment))) & set(REASONS)


def test_numbers_are_those_of_the_value_format():
    numbers = {name.removeprefix("REASON_").lower(): number for name, number in pb.Reason.items()}
    assert {"none": 0} | {name: reason.number for name, reason in REASONS.items()} == numbers


def test_each_reason_has_the_texts_of_its_surface():
    assert set(REASONS) == FEED | RELATED
    assert all(reason.chip and reason.share for name, reason in REASONS.items() if name in FEED)
    assert FEED >= PLACED


def test_feeds_use_reasons_of_feeds_and_the_suite_allows_exactly_those():
    assert {"popular", "search"} == FEED - RANKED
    assert RANKED == allowed("gold.home_feed") == named(HOME_FEED.column("reason").comment)


def test_related_pins_use_reasons_of_related_pins_and_the_suite_allows_exactly_those():
    assert RELATED == allowed("gold.related_pins") == named(RELATED_PINS.column("reason").comment)


@pytest.mark.parametrize("name", sorted(FEED))
def test_a_reason_is_encoded_by_its_name(name):
    from jobs.serving.codec import Columns, decode_feed, encode_feed, feed_key

    key = feed_key(1)
    value = encode_feed(key, 1, "", Columns([7], [1.0], ["fresh"], [name], [None]))
    assert decode_feed(key, value, "g").items[0].reason == name
