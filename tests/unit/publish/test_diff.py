"""Two generations compared, place by place."""

import pytest

from jobs.common.errors import StoreError
from jobs.publish.diff import diff
from jobs.serving.rocks import RocksStore
from tests.feeds import serve


@pytest.fixture
def store(tmp_path):
    return RocksStore(tmp_path / "store")


def test_places_and_users_are_counted(store):
    serve(store, "g1", {1: [10, 11, 12], 2: [20, 21], 3: [30], 10: [40, 41]})
    serve(store, "g2", {1: [10, 11, 12], 2: [21, 20], 9: [90], 10: [40, 42, 43]})
    found = diff(store, "g1", "g2")
    assert (found.users_before, found.users_after, found.added, found.removed) == (4, 4, 1, 1)
    assert found.identical == 1
    assert (found.positions, found.changed) == (3 + 2 + 3, 0 + 2 + 2)
    assert found.changed_share == 0.5
    assert found.new_pins == 2  # 42 and 43; 20 and 21 only changed places
    assert sorted(found.examples) == [2, 10]
    assert found.surfaces["home_feed"] == (4, 4)
    assert found.plain()["changed_share"] == 0.5


def test_a_generation_does_not_differ_from_itself(store):
    serve(store, "g1", {user: [user, user + 1] for user in range(1, 120)})
    found = diff(store, "g1", "g1")
    assert (found.identical, found.changed, found.added, found.removed) == (119, 0, 0, 0)


def test_a_generation_without_feeds_is_all_gone(store):
    serve(store, "g1", {1: [10]})
    serve(store, "g2", {})
    assert (diff(store, "g1", "g2").removed, diff(store, "g2", "g1").added) == (1, 1)


def test_an_unknown_generation_is_named(store):
    serve(store, "g1", {1: [10]})
    with pytest.raises(StoreError, match="g9"):
        diff(store, "g1", "g9")
