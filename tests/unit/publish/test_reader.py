"""The reader follows the pointer, and no more often than it must."""

from jobs.serving.reader import Reader
from jobs.serving.rocks import RocksStore
from tests.feeds import fallback, feed, put, serve


def test_the_pointer_is_read_again_only_after_a_while(tmp_path):
    store, now = RocksStore(tmp_path), [0.0]
    serve(store, "g1", {1: [10]})
    reader = Reader(store, refresh_seconds=2.0, clock=lambda: now[0])
    assert reader.home_feed(1).generation == "g1"
    serve(store, "g2", {1: [20]})
    now[0] = 1.9
    assert reader.home_feed(1).generation == "g1"
    now[0] = 2.0
    assert reader.home_feed(1).generation == "g2"


def test_a_request_that_began_before_a_promotion_ends_as_it_began(tmp_path):
    store = RocksStore(tmp_path)
    serve(store, "g1", {1: [10]})
    reader = Reader(store, refresh_seconds=0.0)
    with reader.view() as old:
        for name in ("g2", "g3", "g4"):
            serve(store, name, {1: [20]})
            assert reader.home_feed(1).generation == name
        store.drop("g1")
        assert [item.pin_id for item in old.home_feed(1).items] == [10]
        assert old.card(10).title == "Pin 10"
    assert set(reader._views) == {"g4"}  # what nobody holds is closed


def test_a_reader_whose_generation_was_pruned_looks_again(tmp_path):
    store = RocksStore(tmp_path)
    serve(store, "g1", {1: [10]})
    reader = Reader(store, refresh_seconds=3600.0)
    assert reader.pointer().current == "g1"
    serve(store, "g2", {1: [20]})
    store.drop("g1")
    assert reader.home_feed(1).generation == "g2"


def test_fallbacks_are_by_segment_then_for_all(tmp_path):
    store = RocksStore(tmp_path)
    put(store, "g1", [feed(1, [1]), fallback([2], "all"), fallback([3], "DIY & crafts")])
    reader = Reader(store)
    found = [reader.home_feed(*who) for who in ((1, "all"), (9, None), (9, "diy & Crafts"), (9, "unheard of"))]
    assert [(one.fallback, one.items[0].pin_id) for one in found] == [(False, 1), (True, 2), (True, 3), (True, 2)]


def test_what_is_not_there_is_none(tmp_path):
    store = RocksStore(tmp_path)
    put(store, "g1", [feed(1, [1])])
    reader = Reader(store)
    assert reader.home_feed(2) is None
    assert reader.related(2) is None
    assert reader.card(2) is None


def test_cards_come_in_one_round(tmp_path):
    store = RocksStore(tmp_path)
    serve(store, "g1", {1: [10, 11, 12]})
    with Reader(store).view() as view:
        assert {pin: card.title for pin, card in view.cards([12, 99, 10]).items()} == {12: "Pin 12", 10: "Pin 10"}
        assert view.manifest().generation == "g1"
