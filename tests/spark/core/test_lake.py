"""Tables: created as registered, written once, read as of a cut."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import functions as F

from jobs.common.errors import ConcurrentRunError, TableError
from jobs.engine.context import Context
from jobs.history.as_of import read_as_of
from jobs.history.ledger import newest, state_at
from jobs.lake.catalog import present
from jobs.lake.delta import Lake
from jobs.lake.table_frames import checksum, conform, nullable, struct_of
from jobs.schema.tables import table
from tests.builders import store

pytestmark = pytest.mark.spark

MS = 1 << 18


def tso(day: int, ms: int = 0) -> int:
    return (int(datetime(2026, 10, day, tzinfo=UTC).timestamp() * 1000) + ms) * MS


def change(op, key, at, rank, **values):
    after = None if op == "D" else {"id": str(key)} | values
    before = {"id": str(key)} if op == "D" else None
    return {
        "table": "t.x",
        "op": op,
        "_commit_ts": at,
        "_op_rank": rank,
        "key": f'["{key}"]',
        "before": before,
        "after": after,
        "table_version": 1,
        "path": "f",
        "row_no": at % 1000,
        "batch": 1,
        "run_id": "r",
    }


CHANGES = [
    change("S", 1, tso(1), 1, a="1"),
    change("U", 1, tso(5), 1, a="2"),
    change("S", 2, tso(1), 1, a="7"),
    change("D", 2, tso(6), 0),
    change("D", 3, tso(7), 0),
    change("I", 3, tso(7), 1, a="9"),  # key change: delete and insert of one transaction
    change("U", 1, tso(9), 1, a="3", b="x"),  # b was added with a default
]


@pytest.fixture(scope="module")
def ledger(spark):
    struct = struct_of(table("bronze.ledger"))
    rows = [tuple(row.get(field.name) for field in struct.fields) for row in CHANGES]
    return spark.createDataFrame(rows, nullable(struct)).cache()


def schema(spark):
    frame = spark.createDataFrame([], "id bigint, a int, b string, _commit_ts bigint, _op_rank int, _deleted boolean")
    return frame.withMetadata("b", {"default": "none"}).schema


def test_the_state_before_a_cut_is_told_from_the_ledger(spark, ledger):
    def state(day):
        rows = state_at(ledger, schema(spark), tso(day), "t.x").select("id", "a", "b").collect()
        return sorted((r.id, r.a, r.b) for r in rows)

    assert state(1) == []
    assert state(2) == [(1, 1, "none"), (2, 7, "none")]
    assert state(6) == [(1, 2, "none"), (2, 7, "none")], "a change at the very cut is not before it"
    assert state(8) == [(1, 2, "none"), (3, 9, "none")]
    assert state(10) == [(1, 3, "x"), (3, 9, "none")]


def test_order_and_repetition_do_not_matter(ledger):
    twice = ledger.unionByName(ledger).orderBy(F.col("_commit_ts").desc())
    assert checksum(newest(twice)) == checksum(newest(ledger))


def test_a_table_is_created_with_its_comments_and_a_protocol_every_reader_has(lake):
    from deltalake import DeltaTable

    lake.ensure("gold.home_feed")
    made = DeltaTable(lake.path("gold.home_feed"))
    assert made.protocol().min_reader_version == 1
    assert made.metadata().description == table("gold.home_feed").comment
    comments = {f.name: f.metadata.get("comment") for f in made.schema().fields}
    assert comments == {c.name: c.comment for c in table("gold.home_feed").columns}


def feed(spark, day, user, pins):
    rows = [
        (date(2026, 10, day), user, n, pin, 0.5, "fresh", "fresh", None, "control") for n, pin in enumerate(pins, 1)
    ]
    types = "as_of date, user_id bigint, position int, pin_id bigint, score float, source string, reason string"
    return spark.createDataFrame(rows, f"{types}, reason_id bigint, arm string")


def test_what_a_killed_first_commit_left_is_no_table(lake):
    log = Path(lake.path("silver.app_boards"), "_delta_log")
    log.mkdir(parents=True)
    (log / ".00000000000000000000.json.a24956ee-2fd7-4ef6-9ec6-47e2a576c4fb.tmp").write_text("{")
    assert not lake.exists("silver.app_boards")
    assert "silver.app_boards" not in present(lake)
    lake.ensure("silver.app_boards")
    assert lake.read("silver.app_boards").count() == 0


def pins_of(lake):
    """Return day and pin of each row of gold.home_feed."""
    return sorted((row["as_of"].day, row["pin_id"]) for row in lake.rows("gold.home_feed", "as_of", "pin_id"))


def test_nothing_in_place_of_nothing_is_no_conflict_and_what_was_removed_is_made_again(spark, lake):
    cut = {"as_of": date(2026, 10, 1)}
    for pins in ([], [], [7], [], [4, 5]):
        rows = feed(spark, 1, 9, pins) if pins else feed(spark, 1, 9, [1]).limit(0)
        assert lake.replace("gold.home_feed", rows, cut).rows == len(pins)
        assert pins_of(lake) == [(1, pin) for pin in pins]


def test_partitions_are_made_and_replaced_at_once_and_leave_one_another_alone(spark, lake):
    for pins in ([10, 20, 30], [40, 50]):  # appended, then replaced

        def write(day, pins=pins):
            lake.replace("gold.home_feed", feed(spark, day, 9, pins), {"as_of": date(2026, 10, day)})

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, (1, 2)))
        assert pins_of(lake) == [(day, pin) for day in (1, 2) for pin in pins]


def test_a_commit_repeated_with_its_transaction_is_skipped(spark, lake):
    for _ in range(2):
        lake.append("gold.home_feed", feed(spark, 1, 9, [1]), txn=("app", 1))
    assert pins_of(lake) == [(1, 1)]


FIRST = {"as_of": date(2026, 10, 1)}


@pytest.fixture(scope="module")
def written(spark, tmp_path_factory):
    """A lake with one cut: what tests here try on it is refused."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("written") / "lake"))
    lake.replace("gold.home_feed", feed(spark, 1, 9, [1, 2]), FIRST)
    yield lake
    assert pins_of(lake) == [(1, 1), (1, 2)]


def test_rows_of_another_cut_are_refused(spark, written):
    with pytest.raises(Exception, match=r"gold\.home_feed: a row does not belong"):
        written.replace("gold.home_feed", feed(spark, 2, 9, [1]), {"as_of": date(2026, 10, 3)})
    with pytest.raises(Exception, match="DELTA_REPLACE_WHERE_MISMATCH"):
        written.replace("gold.home_feed", feed(spark, 2, 9, [1]), FIRST)


def test_of_two_runs_that_make_a_partition_one_wins_and_the_other_says_so(spark, written, monkeypatch):
    seen = iter([True, False])  # not there when this run looked, there when it wrote
    slow = Lake(spark, written.root)
    monkeypatch.setattr(slow, "_absent", lambda *_: next(seen))
    with pytest.raises(ConcurrentRunError, match=r"gold\.home_feed.*another run committed first"):
        slow.replace("gold.home_feed", feed(spark, 1, 9, [7]), FIRST)


def test_a_missing_or_unknown_column_is_named(spark):
    with pytest.raises(TableError, match=r"missing \['arm'\], unknown \['color'\]"):
        conform(feed(spark, 1, 1, [1]).withColumnRenamed("arm", "color"), table("gold.home_feed"))


def test_a_table_never_written_is_an_error_or_empty_as_the_registry_says(lake, settings):
    context = Context(settings, date(2026, 10, 1))
    assert read_as_of(lake, "silver.pin_events", context.as_of).count() == 0
    assert "as_of" not in read_as_of(lake, "gold.home_feed", context.as_of).columns
    with pytest.raises(TableError, match=r"silver\.app_users does not exist"):
        read_as_of(lake, "silver.app_users", context.as_of)


def test_a_source_column_that_went_missing_is_named(spark, lake, settings):
    columns = {"id": [1], "_commit_ts": [1], "_op_rank": pa.array([1], pa.int32()), "_deleted": [False]}
    write_deltalake(lake.path("silver.app_boards"), pa.table(columns))
    with pytest.raises(TableError, match=r"silver\.app_boards lacks owner_id, name, privacy"):
        read_as_of(lake, "silver.app_boards", date(2026, 10, 1))


def test_the_newest_version_of_an_embedding_before_the_cut_counts(spark, lake, settings):
    versions = [
        {"pin_id": 1, "embedding": bytes([day, 0]), "ts": datetime(2026, 10, day, tzinfo=UTC)} for day in (1, 3, 5)
    ]
    store(lake, "silver.pin_embeddings", versions)
    got = read_as_of(lake, "silver.pin_embeddings", date(2026, 10, 4)).collect()
    assert [bytes(r.embedding)[0] for r in got] == [3]


def stored_feed(lake, day, pins):
    rows = [{"user_id": 9, "position": place, "pin_id": pin} for place, pin in enumerate(pins, 1)]
    store(lake, "gold.home_feed", rows, date(2026, 10, day), score=0.5, source="fresh", reason="fresh", arm="control")


def test_a_table_kept_in_the_session_shows_each_version_as_it_was(spark, lake):
    kept = Lake(spark, lake.root, cache_mb=64)
    stored_feed(lake, 1, [1])
    before = kept.version("gold.home_feed")
    assert [row.pin_id for row in kept.read("gold.home_feed").collect()] == [1]
    stored_feed(lake, 2, [2])
    assert sorted(row.pin_id for row in kept.read("gold.home_feed").collect()) == [1, 2]
    assert [row.pin_id for row in kept.read("gold.home_feed", before).collect()] == [1]


def jobs_started(spark):
    """Spark jobs that the session has run so far."""
    return spark._jsc.sc().dagScheduler().numTotalJobs()


def test_a_small_checkpointed_result_is_committed_without_a_spark_write(spark, lake):
    first, second = {"as_of": date(2026, 10, 1)}, {"as_of": date(2026, 10, 2)}
    small, other = (feed(spark, day, 9, [1, 2]).localCheckpoint() for day in (1, 2))
    lake.ensure("gold.home_feed")
    before = jobs_started(spark)
    commit = lake.replace("gold.home_feed", small, first, note={"job": "x"})
    assert jobs_started(spark) - before <= 1  # the rows are brought to the driver; Delta's own write takes six
    assert (commit.version, commit.rows, commit.bytes > 0) == (1, 2, True)
    assert lake.newest_note("gold.home_feed")["job"] == "x"
    Lake(spark, lake.root).replace("gold.home_feed", other, second)
    rows = sorted(lake.rows("gold.home_feed", *other.columns), key=str)
    by_day = [[row | {"as_of": None} for row in rows if row["as_of"].day == day] for day in (1, 2)]
    assert by_day[0] == by_day[1]
    with pytest.raises(TableError, match="a row does not belong to the partition"):
        lake.replace("gold.home_feed", small, {"as_of": date(2026, 10, 3)})
    assert (
        lake.replace("gold.home_feed", feed(spark, 1, 9, [7]).localCheckpoint(), first).rows == 1
    )  # replaced by Spark
    assert pins_of(lake) == [(1, 7), (2, 1), (2, 2)]


def test_a_small_table_is_scanned_by_its_files_and_shows_what_delta_shows(spark, lake):
    lake.ensure("silver.app_boards")
    ids = spark.range(9).selectExpr("id", "id % 3 AS user_id", "'public' AS privacy", "1L AS _commit_ts")
    wanted = [(c.name, c.type) for c in table("silver.app_boards").columns]
    rows = ids.select(*[F.expr(n if n in ids.columns else "NULL").cast(t).alias(n) for n, t in wanted])
    lake.append("silver.app_boards", rows)
    by_delta = Lake(spark, lake.root)
    before = jobs_started(spark)
    scanned = lake.scan("silver.app_boards")
    assert len(scanned.where("id < 4").collect()) == 4
    assert jobs_started(spark) - before == 1  # no query over the table's log
    assert sorted(scanned.collect()) == sorted(by_delta.scan("silver.app_boards").collect())
    assert {f.name: f.metadata for f in scanned.schema} == {
        f.name: f.metadata for f in lake.schema("silver.app_boards")
    }
    assert lake.scan("silver.app_boards", 0).count() == 0
    lake.delta("silver.app_boards").delete("id = 4")  # by a deletion vector: the file alone shows a row too many
    assert sorted(row.id for row in lake.scan("silver.app_boards").collect()) == [0, 1, 2, 3, 5, 6, 7, 8]
    stored_feed(lake, 1, [1, 2])
    partitioned, as_delta_has_it = lake.scan("gold.home_feed"), by_delta.scan("gold.home_feed")
    assert partitioned.columns == as_delta_has_it.columns
    assert sorted(partitioned.collect()) == sorted(as_delta_has_it.collect())
