"""From hand-made gold tables to a served generation, and what may go wrong on the way."""

from datetime import date

import pytest
from pyspark.sql import functions as F

from jobs.common.errors import ConcurrentRunError, GateRefusedError, StoreError, TableError, ValidationFailedError
from jobs.engine.context import ActionContext, Context
from jobs.flow import job
from jobs.history.as_of import ABSENT, read_as_of
from jobs.lake.delta import Lake
from jobs.publish import generation, load
from jobs.publish.generations import list_generations, rollback
from jobs.serving.reader import Reader
from jobs.serving.registry import open_store
from tests.builders import store as put
from tests.feeds import serve

pytestmark = pytest.mark.spark

USERS, PLACES = (1, 2, 3), 5
SECRET = 66
FIRST, SECOND = DAYS = (date(2026, 11, 1), date(2026, 11, 2))


def feeds(lake, day, shift=0, planted=None):
    rows = [
        {"user_id": user, "position": place, "pin_id": 10 * user + place + shift, "score": 1.0 / place}
        for user in USERS
        for place in range(1, PLACES + 1)
    ]
    if planted:
        rows[-1]["pin_id"] = planted
    put(lake, "gold.home_feed", rows, day, source="content", reason="taste", arm="control")


@pytest.fixture(scope="module")
def filled(spark, tmp_path_factory):
    """A lake with everything that publishing reads but feeds, for two days; each test takes one."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("publish") / "lake"), 64)
    pins = [{"id": i, "title": f"Pin {i}", "creator_id": 100, "board_id": 1} for i in range(1, 60)]
    put(lake, "silver.app_pins", [*pins, {"id": SECRET, "creator_id": 100, "board_id": 2}])
    put(lake, "silver.app_boards", [{"id": 1}, {"id": 2, "privacy": "secret"}])
    put(lake, "silver.app_board_pins", [{"user_id": 1, "pin_id": 50, "board_id": 1}])
    beside = [{"pin_id": 11, "position": p, "related_pin_id": 20 + p, "score": 0.5, "reason": "both"} for p in (1, 2)]
    stats = [{"pin_id": i, "creator_id": i, "popularity": float(i)} for i in range(1, 60)]
    for day in DAYS:
        put(lake, "gold.pin_stats", stats, day)
        put(lake, "gold.user_profile", [{"user_id": user} for user in USERS], day)
        put(lake, "gold.related_pins", beside, day)
    return lake


def validate(suite, numbers):
    """As the suite does, without Great Expectations."""
    assert suite == "generation"
    if numbers["rule_violations"] > 0:
        raise ValidationFailedError(f"generation: rule_violations is {numbers['rule_violations']}, at most 0.")


SERVERS = [pytest.param(kind, marks=pytest.mark.long) for kind in ("memcached", "redis")]
"""Stores keep one contract (tests/contracts), and test_load.py has executors load these over real connections."""


@pytest.fixture(params=["rocksdb", *SERVERS])
def store(request, tmp_path):
    """An empty store of each kind."""
    embedded = request.param == "rocksdb"
    where = str(tmp_path / "store") if embedded else request.getfixturevalue(request.param).emptied()
    return open_store(request.param, where)


@pytest.fixture
def work(filled, spark, settings, tmp_path, store):
    said = []
    nodes = settings.publish.nodes if store.kind == "rocksdb" else tuple(store.where.split(","))
    publish = settings.publish.model_copy(update={"store": store.kind, "nodes": nodes})
    settings = settings.model_copy(update={"publish": publish})

    def make(as_of, run_id="run-1", unchanged=False):
        options = {"store": str(tmp_path / "store"), "said": said}
        names = job("publish.generation").reads
        inputs = {name: filled.version(name) if filled.exists(name) else ABSENT for name in names}
        return ActionContext(
            spark=spark,
            lake=filled,
            context=Context(settings, as_of),
            run_id=run_id,
            progress=said.append,
            validate=validate,
            validate_table=lambda *_: None,
            options=options,
            tables=lambda: {name: read_as_of(filled, name, as_of, version) for name, version in inputs.items()},
            inputs=inputs,
            unchanged=unchanged,
        )

    return make


def jobs_started(spark):
    """Spark jobs that the session has run so far."""
    return spark._jsc.sc().dagScheduler().numTotalJobs()


def statuses(lake, day, kind):
    mine = (F.col("as_of") == F.lit(day)) & (F.col("store") == kind)
    rows = lake.read("ops.generations").where(mine).orderBy("at").collect()
    return [(row["generation"], row["status"]) for row in rows]


@pytest.mark.slow
def test_lists_are_published_once_and_the_next_ones_replace_them(work, filled, store, spark):
    feeds(filled, FIRST)
    first = generation.run(work(FIRST))
    before = jobs_started(spark)
    again = generation.run(work(FIRST, unchanged=True))
    assert jobs_started(spark) == before  # decided by versions and settings: no pair is made again
    assert again.counts == first.counts | {"loaded": 0}
    assert (again.rows, again.detail["generation"]) == (first.rows, first.detail["generation"])
    name = first.detail["generation"]
    assert name.startswith("g20261101-")
    assert first.counts == {"home_feed": 3, "related_pins": 1, "pin_cards": 59, "fallback": 2, "loaded": 65}
    assert first.rows == store.count(name) == 65
    reader = Reader(store, refresh_seconds=0.0)
    feed = reader.home_feed(2)
    assert (feed.generation, feed.as_of, feed.fallback) == (name, FIRST, False)
    assert [item.pin_id for item in feed.items] == [21, 22, 23, 24, 25]
    assert reader.home_feed(999).fallback
    assert reader.home_feed(999).items[0].pin_id == 59
    assert [item.pin_id for item in reader.related(11).items] == [21, 22]
    assert reader.card(11).title == "Pin 11"
    (manifest,) = [one.manifest for one in list_generations(store)]
    assert manifest.inputs["gold.home_feed"] == filled.version("gold.home_feed")
    assert manifest.arms == {"control": 3}
    assert (manifest.gate["coverage"], manifest.gate["fallback_pins"]) == (1.0, 59.0)
    assert manifest.gate["churn"] is None

    feeds(filled, FIRST, shift=1)
    second = generation.run(work(FIRST, "run-2")).detail
    assert second["parent"] == name
    assert second["gate"]["churn"] == pytest.approx(0.2)  # each feed has one new pin of five
    assert [item.pin_id for item in reader.home_feed(2).items] == [22, 23, 24, 25, 26]

    rollback(store)
    assert [item.pin_id for item in reader.home_feed(2).items] == [21, 22, 23, 24, 25]
    back = generation.run(work(FIRST, "run-3"))  # loaded but not served: verified and served again
    assert back.detail["content"] == second["content"]
    assert (back.counts["loaded"], store.read_pointer().current) == (0, second["generation"])
    feeds(filled, FIRST, shift=1)  # rewritten, the same rows
    pointer = store.read_pointer()
    before = jobs_started(spark)
    generation.run(work(FIRST, "run-4", unchanged=True))
    assert jobs_started(spark) > before  # the served generation was made from older versions: looked at anew
    assert "already served" in work(FIRST).options["said"][-1]
    assert store.read_pointer() == pointer
    assert statuses(filled, FIRST, store.kind) == [
        (name, "loaded"),
        (name, "served"),
        (second["generation"], "loaded"),
        (second["generation"], "served"),
        (second["generation"], "rolled_back"),
        (name, "served"),
        (second["generation"], "served"),
    ]


@pytest.mark.slow
def test_what_is_unfit_or_unreadable_is_not_served(work, filled, store, monkeypatch):
    serve(store, "g20261101-00000001", {1: [1, 2]})
    before = store.read_pointer()
    feeds(filled, SECOND, planted=SECRET)
    with pytest.raises(GateRefusedError) as refused:
        generation.run(work(SECOND))
    assert "home_feed, not public (1): user 3, position 5: pin 66" in str(refused.value)
    assert "Generation g20261101-00000001 stays served" in str(refused.value)
    ((name, status),) = statuses(filled, SECOND, store.kind)
    assert name.startswith("g20261102-")
    assert status == "refused"

    def lossy(store, name, pairs, content):
        load.load(store, name, pairs, content)
        kept = [pair for pair in store.open(name).scan(b"") if pair[0] != b"hf:2"]
        store.begin(name)
        store.stage(name, [store.load(name, kept)])

    monkeypatch.setattr(generation, "load", lossy)
    feeds(filled, SECOND)
    with pytest.raises(StoreError, match=r"1 of 65 keys.*hf:2"):
        generation.run(work(SECOND))
    assert store.read_pointer() == before
    assert store.generations() == ["g20261101-00000001"]


def test_nothing_to_publish_and_nobody_to_wait_for_are_said(work, store):
    with store.lease(), pytest.raises(ConcurrentRunError, match="publisher"):
        generation.run(work(FIRST))
    with pytest.raises(TableError, match="no rows for as-of 2026-10-01"):
        generation.run(work(date(2026, 10, 1)))
