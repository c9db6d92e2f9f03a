"""What the command line shows: reasons in words, and the same for programs."""

import io
import json

import pytest
from rich.console import Console

from jobs.cli.views import (
    feed_plain,
    generations_plain,
    related_plain,
    show_diff,
    show_feed,
    show_generations,
    show_related,
)
from jobs.common.errors import StoreError
from jobs.publish.diff import diff
from jobs.serving.reader import Reader
from jobs.serving.rocks import RocksStore
from tests.feeds import card, fallback, feed, put, related, serve

REASONS = ["save", "save", "trending", "fresh", "follow", "taste"]


@pytest.fixture
def store(tmp_path):
    made = RocksStore(tmp_path / "store")
    shown = feed(1, [11, 12, 13, 14, 15, 16], reasons=REASONS, reason_ids=[50, 60, None, None, 7, None])
    cards = [card(pin, f"Title [{pin}]") for pin in (11, 12, 13, 14, 15, 16, 50)]
    put(made, "g20261101-00000001", [shown, fallback([11, 12]), related(11, [12, 13]), *cards])
    return made


@pytest.fixture
def reader(store):
    made = Reader(store)
    yield made
    made.close()


def printed(show, *args):
    console = Console(file=io.StringIO(), width=160)
    show(*args, console)
    return console.file.getvalue()


def test_reasons_are_words(reader):
    text = printed(show_feed, reader, 1)
    for words in (
        "because you saved “Title [50]” (pin 50)",
        "because you saved pin 60",  # not public: no title
        "rising in garden",
        "new in garden",
        "new from someone you follow",
        "close to your taste in garden",
        "Feed of user 1, as of 2026-11-01, arm control, generation g20261101-00000001",
        "Title [11]",
    ):
        assert words in text


def test_a_user_without_a_feed_is_told_so(reader):
    text = printed(show_feed, reader, 77)
    assert "No feed of their own for user 77: the fallback" in text
    assert "popular in garden" in text


def test_a_long_feed_is_cut_and_says_so(reader):
    console = Console(file=io.StringIO(), width=160)
    show_feed(reader, 1, console, limit=2)
    assert "… and 4 more" in console.file.getvalue()


def test_a_feed_for_programs_is_json_with_cards_and_reasons(reader):
    found = json.loads(json.dumps(feed_plain(reader, 1)))
    assert (found["user_id"], found["as_of"], found["arm"], found["fallback"]) == (1, "2026-11-01", "control", False)
    first = found["items"][0]
    assert (first["position"], first["pin_id"], first["reason"], first["reason_id"]) == (1, 11, "save", 50)
    assert first["why"] == "because you saved “Title [50]” (pin 50)"
    assert first["card"]["title"] == "Title [11]"
    assert len(found["items"]) == 6
    assert len(feed_plain(reader, 1, limit=2)["items"]) == 2


def test_related_pins_are_shown_with_what_joins_them(reader):
    text = printed(show_related, reader, 11)
    assert "Beside pin 11 “Title [11]”" in text
    assert "looks alike, saved together (2 boards)" in text
    found = json.loads(json.dumps(related_plain(reader, 11)))
    assert [item["pin_id"] for item in found["items"]] == [12, 13]
    with pytest.raises(StoreError, match="pin 99"):
        related_plain(reader, 99)


def test_generations_are_listed_with_the_served_one(store):
    serve(store, "g20261102-00000002", {1: [1]})
    text = printed(show_generations, store)
    assert text.index("g20261102-00000002") < text.index("g20261101-00000001")
    assert "served" in text
    assert "previous" in text
    assert "Pointer at epoch 2" in text
    found = json.loads(json.dumps(generations_plain(store)))
    assert found["pointer"]["current"] == "g20261102-00000002"
    assert [one["status"] for one in found["generations"]] == ["served", "previous"]
    assert "changed: 6 of 6 (100.0%)" in printed(show_diff, diff(store, "g20261101-00000001", "g20261102-00000002"))


def test_a_damaged_generation_is_listed_as_such(store):
    serve(store, "g20261102-00000002", {1: [1]})
    (store.root / "g20261101-00000001" / "CURRENT").write_text("nonsense\n")
    assert [one["status"] for one in generations_plain(store)["generations"]] == ["served", "damaged"]


def test_an_empty_store_says_what_to_do(tmp_path):
    store = RocksStore(tmp_path / "nothing")
    assert "pinlake flow" in printed(show_generations, store)
    with pytest.raises(StoreError, match="Nothing has been published"):
        feed_plain(Reader(store), 1)
    assert not store.root.exists()  # reading makes no folder


def test_a_damaged_pointer_is_an_error_and_not_an_empty_store(store):
    pointer = store.root / "pointer"
    pointer.write_bytes(pointer.read_bytes()[:-1])
    with pytest.raises(StoreError, match="checksum"):
        feed_plain(Reader(store), 1)
