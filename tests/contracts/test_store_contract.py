"""Every store is held to this, whatever it is made of. A new one joins by a line in STORES."""

import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from jobs.common.errors import ConcurrentRunError, ConfigError, StoreError
from jobs.publish.generations import list_generations, prune, rollback
from jobs.serving.manifest import Manifest
from jobs.serving.reader import Reader
from jobs.serving.registry import open_store
from tests import loader
from tests.feeds import DAY, content_of, feed, put, serve

STORES = ["rocksdb", "memcached", "redis"]
ROOT = Path(__file__).resolve().parents[2]
PAIRS = [(b"hf:%d" % i, b"v%d" % i * 20) for i in range(50)]


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    """An empty store: a folder, or real servers on free ports."""
    if request.param == "rocksdb":
        return open_store("rocksdb", str(tmp_path / "store"))
    return open_store(request.param, request.getfixturevalue(request.param).emptied(), loader.ACCESS)


class TestLoading:
    def test_what_was_loaded_is_read_back(self, store):
        manifest = put(store, "g1", PAIRS)
        with store.open("g1") as opened:
            assert opened.get(b"hf:7") == b"v7" * 20
            assert opened.get(b"hf:999") is None
            assert opened.get_many([b"hf:3", b"no", b"hf:49"]) == [b"v3" * 20, None, b"v49" * 20]
            assert opened.get_many([]) == []
            assert Manifest.read(opened.get(b"m:"), "g1") == manifest
        assert store.count("g1") == len(PAIRS)

    def test_a_receipt_says_what_was_written(self, store):
        store.begin("g1")
        part = store.load("g1", sorted(PAIRS))
        content = content_of(PAIRS)
        assert (part.keys, part.bytes, f"{part.checksum:016x}") == (content.keys, content.bytes, content.checksum)

    def test_keys_that_do_not_ascend_are_refused(self, store):
        store.begin("g1")
        with pytest.raises(StoreError, match="ascending"):
            store.load("g1", [(b"hf:2", b"x"), (b"hf:1", b"x")])

    def test_a_part_without_pairs_is_no_trouble(self, store):
        store.begin("g1")
        empty = store.load("g1", [])
        assert empty.keys == 0
        store.stage("g1", [empty, store.load("g1", [(b"hf:1", b"x")])])
        assert store.count("g1") == 1

    def test_a_part_written_twice_counts_once(self, store):
        store.begin("g1")
        store.load("g1", sorted(PAIRS))  # the task that Spark gave up on
        store.stage("g1", [store.load("g1", sorted(PAIRS))])
        assert store.count("g1") == len(PAIRS)

    def test_a_generation_is_invisible_until_it_is_committed(self, store):
        store.begin("g1")
        store.stage("g1", [store.load("g1", sorted(PAIRS))])
        assert store.generations() == []
        assert store.open("g1").get(b"hf:1") == b"v1" * 20  # for verification
        with pytest.raises(StoreError, match="not complete"):
            store.promote(None, "g1")
        assert store.read_pointer() is None

    def test_a_committed_generation_is_never_loaded_over(self, store):
        put(store, "g1", PAIRS)
        with pytest.raises(StoreError, match="already"):
            store.begin("g1")

    def test_an_interrupted_load_is_started_over(self, store):
        store.begin("g1")
        store.load("g1", [(b"hf:0", b"old")])
        put(store, "g1", PAIRS)
        assert store.count("g1") == len(PAIRS)
        assert store.gc() == []

    def test_it_travels_to_executors(self, store):
        store.begin("g1")
        copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - its own bytes
        store.stage("g1", [copy.load("g1", sorted(PAIRS))])
        assert store.count("g1") == len(PAIRS)

    def test_pairs_are_scanned_by_prefix_in_order(self, store):
        put(store, "g1", [(b"fb:all", b"1"), (b"hf:10", b"2"), (b"hf:9", b"3"), (b"pc:1", b"4")])
        with store.open("g1") as opened:
            assert list(opened.scan(b"hf:")) == [(b"hf:10", b"2"), (b"hf:9", b"3")]
            assert list(opened.scan(b"zz")) == []

    @pytest.mark.parametrize("name", ["", "../up", "a/b", "x" * 65, ".hidden", "g1.loading"])
    def test_a_name_that_could_be_a_path_is_refused(self, store, name):
        with pytest.raises(StoreError, match="named by"):
            store.begin(name)

    def test_a_generation_that_is_not_there_is_named_with_those_that_are(self, store):
        put(store, "g1", PAIRS)
        with pytest.raises(StoreError, match=r"g7.*g1"):
            store.open("g7")


class TestPointer:
    def test_it_counts_up_and_remembers_the_one_before(self, store):
        assert store.read_pointer() is None
        put(store, "g1", PAIRS)
        first = store.read_pointer()
        put(store, "g2", PAIRS)
        second = store.read_pointer()
        assert (first.epoch, first.current, first.previous) == (1, "g1", "")
        assert (second.epoch, second.current, second.previous) == (2, "g2", "g1")

    def test_a_stale_expectation_is_refused(self, store):
        put(store, "g1", PAIRS)
        stale = store.read_pointer()
        put(store, "g2", PAIRS)
        put(store, "g3", PAIRS, promote=False)
        for expected in (stale, None):
            with pytest.raises(ConcurrentRunError, match="g2"):
                store.promote(expected, "g3")
        assert store.read_pointer().current == "g2"

    def test_of_many_who_promote_at_once_one_wins(self, store):
        put(store, "g0", PAIRS)
        seen = store.read_pointer()
        names = [f"g{i}" for i in range(1, 9)]
        for name in names:
            put(store, name, PAIRS, promote=False)
        won, lost = [], []

        def promote(name):
            try:
                won.append(store.promote(seen, name).current)
            except ConcurrentRunError:
                lost.append(name)

        threads = [threading.Thread(target=promote, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 7)
        assert store.read_pointer().current == won[0]

    def test_only_one_publisher_works_at_a_time(self, store):
        with store.lease(), pytest.raises(ConcurrentRunError, match="publisher"), store.lease():
            pass
        with store.lease():
            pass


class TestKeeping:
    def test_the_served_one_is_never_dropped(self, store):
        put(store, "g1", PAIRS)
        with pytest.raises(StoreError, match="served"):
            store.drop("g1")
        assert store.generations() == ["g1"]

    def test_a_dropped_one_is_gone(self, store):
        put(store, "g1", PAIRS)
        put(store, "g2", PAIRS)
        store.drop("g1")
        store.drop("never-there")
        assert store.generations() == ["g2"]

    def test_a_reader_keeps_what_it_opened_when_it_is_dropped(self, store):
        put(store, "g1", PAIRS)
        opened = store.open("g1")
        put(store, "g2", PAIRS)
        store.drop("g1")
        assert opened.get_many([b"hf:1", b"hf:48"]) == [b"v1" * 20, b"v48" * 20]

    def test_retirement_spares_served_and_previous(self, store):
        for i in range(1, 6):
            serve(store, f"g{i}", {1: [1, 2]})
        rollback(store, "g1")  # served g1, previous g5: the oldest and the newest
        assert prune(store, keep=3) == ["g3", "g2"]
        assert store.generations() == ["g1", "g4", "g5"]

    def test_rollback_moves_the_pointer_and_no_data(self, store):
        serve(store, "g1", {1: [10]})
        serve(store, "g2", {1: [20]})
        moved = rollback(store)
        assert (moved.epoch, moved.current, moved.previous) == (3, "g1", "g2")
        assert [(one.generation, one.status) for one in list_generations(store)] == [
            ("g2", "previous"),
            ("g1", "served"),
        ]

    def test_rollback_refuses_what_is_not_there_and_says_what_is(self, store):
        with pytest.raises(StoreError, match="Nothing is served"):
            rollback(store)
        serve(store, "g1", {1: [10]})
        with pytest.raises(StoreError, match="no previous generation"):
            rollback(store)
        serve(store, "g2", {1: [20]})
        with pytest.raises(StoreError, match=r"no generation g7.*There are: g1"):
            rollback(store, "g7")
        with pytest.raises(StoreError, match="already"):
            rollback(store, "g2")
        assert store.read_pointer().current == "g2"

    def test_rollback_refuses_a_generation_that_cannot_be_read(self, store):
        key, value = feed(1, [1, 2, 3])
        put(store, "g1", [(key, value[:-1])])
        serve(store, "g2", {1: [20]})
        with pytest.raises(StoreError, match="hf:1"):
            rollback(store)
        assert store.read_pointer().current == "g2"


class TestReading:
    def test_a_request_never_mixes_generations_during_twenty_promotions(self, store):
        users = {user: [0] for user in range(5)}
        serve(store, "g0", users)
        reader, stop = Reader(store, refresh_seconds=0.0), threading.Event()
        seen, mixed, errors = set(), [], []

        def read():
            try:
                while not stop.is_set():
                    with reader.view() as view:
                        found = {item.pin_id for user in users for item in view.home_feed(user).items}
                        generations = {view.home_feed(user).generation for user in users}
                    seen.update(found)
                    time.sleep(0.002)
                    if len(found) > 1 or generations != {f"g{min(found)}"}:
                        mixed.append((found, generations))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must fail by it
                errors.append(error)

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for i in range(1, 21):
            serve(store, f"g{i}", {user: [i] for user in users})
            if i % 4 == 0:
                rollback(store)
                prune(store, keep=2)
        stop.set()
        for thread in threads:
            thread.join()
        assert not errors
        assert not mixed
        assert len(seen) > 5  # they did see many of them

    def test_an_unknown_kind_of_store_is_a_mistake_in_the_settings(self):
        with pytest.raises(ConfigError, match="papyrus"):
            open_store("papyrus", "/nowhere")


def wait_for_the_lease(store, seconds=10.0):
    """Wait until a dead publisher's lease has run out."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with store.lease():
                return
        except ConcurrentRunError:
            time.sleep(0.1)
    pytest.fail(f"the lease was still held after {seconds} s")


def killed(store, seconds):
    """Start a publisher and kill it so long after it took the lease; None lets it come to its end."""
    line = [sys.executable, "-m", "tests.loader", store.kind, store.where]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT) as run:
        assert run.stdout.readline() == "begun\n"
        began = time.monotonic()
        if seconds is not None:
            time.sleep(seconds)
            run.send_signal(signal.SIGKILL)
        run.wait(60)
    assert run.returncode in ({0, -signal.SIGKILL} if seconds is not None else {0})
    return time.monotonic() - began


@pytest.mark.slow
def test_a_loader_killed_at_any_moment_leaves_the_served_generation_whole(store):
    loader.publish(store, "g1", before="g2")
    length = killed(store, None)
    moments, survived = random.Random(7), Counter()
    for _ in range(20):
        loader.publish(store, "g1", before="g2")
        killed(store, moments.uniform(0, length))
        name = store.read_pointer().current
        survived[name] += 1
        assert name in store.generations()
        assert loader.is_whole(store, name)
        with Reader(store).view() as view:
            assert view.home_feed(7).generation == name
        if store.kind != "rocksdb":
            store.server.delete_many([b"lease"])  # or wait for it twenty times
        loader.publish(store)
        assert store.read_pointer().current == "g2"
        assert loader.is_whole(store, "g2")
    assert survived["g1"] > 5, f"most were to be killed before the end: {survived}"
    loader.publish(store, "g1", before="g2")
    killed(store, length / 2)
    wait_for_the_lease(store)  # the dead hold none for long
    with store.lease():
        store.gc()
    assert store.gc() == []


def test_manifests_are_listed_without_reading_the_rest(store):
    put(store, "g1", [feed(1, [1])], arms={"control": 1}, inputs={"gold.home_feed": 4})
    (one,) = list_generations(store)
    assert one.plain()["manifest"]["inputs"] == {"gold.home_feed": 4}
    assert one.manifest.as_of == DAY
