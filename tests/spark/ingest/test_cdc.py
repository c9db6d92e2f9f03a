"""The genuine change feed and its snapshot, from files to silver, with interruptions."""

import itertools
import json

import pytest
from pyspark.sql import functions as F

from jobs.common.errors import SourceError, ValidationFailedError
from jobs.engine.maintenance import maintain
from jobs.history.ledger import newest, state_at
from jobs.ingest.loading import batches
from jobs.ingest.tidb import job as cdc
from jobs.settings.platform import Maintenance
from tests.realfeed import assert_state, expected

pytestmark = pytest.mark.spark

SUM = ("applied", "superseded", "pending", "quarantined")
ADD_COLUMN = 470650142812274690


def adds_up(outcome):
    counts = outcome.counts
    assert counts["read"] + counts["backlog"] == sum(counts[name] for name in SUM), counts
    return counts


def test_the_real_feed_at_mark_mid_ends_in_the_expected_state(lake, work, real, shared):
    judged = {}
    counts = adds_up(cdc.run(work(lambda name, df: judged.setdefault(name, df.count()), **real("mid"))))
    assert_state(lake, shared, "mid")
    assert (counts["quarantined"], counts["pending"], counts["blocked"], counts["tables"]) == (0, 0, 0, 5)
    assert set(judged) == {f"silver.{name}" for name in expected(shared, "mid")}
    pins = lake.read("silver.app_pins")
    assert pins.schema["repin_count"].dataType.simpleString() == "bigint"
    assert pins.schema["repin_count"].metadata["comment"] == "Column repin_count of app.pins, INT UNSIGNED."
    versions = {n: lake.version(n) for n in ("bronze.ledger", "ops.source_files", "ops.checkpoints", "silver.app_pins")}
    again = adds_up(cdc.run(work(**real("mid"))))
    assert not any(again[name] for name in ("read", "backlog", "applied", "files"))
    assert {name: lake.version(name) for name in versions} == versions, "a second run commits nothing"


LONG = pytest.mark.long
FEEDS = [
    ("canal-json", "checkpoint"), ("csv", "mid"), ("classic-canal-json", "checkpoint"),
    *[pytest.param(*one, marks=LONG) for one in (
        ("csv-old-value", "crash"), ("csv", "checkpoint"), ("csv-old-value", "end"), ("classic-canal-json", "mid"),
    )],
]  # fmt: skip


@pytest.mark.parametrize(("feed", "mark"), FEEDS)
def test_every_writer_and_protocol_ends_in_the_expected_state(lake, work, real, shared, feed, mark):
    options = real(mark, feed=feed) | {"changefeed": str(shared / f"fixtures/ticdc-real/{feed}.changefeed.toml")}
    counts = adds_up(cdc.run(work(**options)))
    assert_state(lake, shared, mark)
    assert (counts["quarantined"], counts["blocked"]) == (0, 0)


def test_ddl_between_two_runs_makes_silver_what_the_source_is(lake, work, real, shared):
    adds_up(cdc.run(work(**real("mid"))))
    before = lake.version("silver.app_trending")
    counts = adds_up(cdc.run(work(**real("checkpoint"))))
    assert_state(lake, shared, "checkpoint")
    assert (counts["blocked"], counts["quarantined"]) == (0, 0)
    assert lake.read("silver.app_trending").isEmpty(), "renamed away"
    assert not lake.read("silver.app_trending", before).isEmpty(), "its history stays"
    gone = {r["table"] for r in lake.read("ops.checkpoints").where("blocked_reason is not null").collect()}
    assert gone == {"app.trending"}
    again = adds_up(cdc.run(work(**real("checkpoint"))))
    assert not any(again[name] for name in ("read", "backlog", "applied", "files"))


def test_rows_above_the_checkpoint_wait_and_an_added_column_fills_older_rows(lake, work, real, shared, monkeypatch):
    early = adds_up(cdc.run(work(**real("mid", checkpoint=ADD_COLUMN - 1))))
    assert early["pending"] > 0
    assert not lake.exists("silver.app_trending"), "created above the checkpoint"
    pins = lake.read("silver.app_pins")
    assert "repin_count" not in pins.columns
    assert pins.agg(F.max("_commit_ts")).first()[0] < ADD_COLUMN
    then = pins.where("not _deleted").drop("_op_rank", "_deleted").collect()
    with monkeypatch.context() as patch:  # a crash after bronze took everything and before silver did
        patch.setattr(cdc, "apply_changes", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cdc.run(work(**real("checkpoint")))
    late = adds_up(cdc.run(work(**real("checkpoint"))))
    assert (late["read"], late["files"]) == (0, 0)
    assert late["backlog"] > early["pending"]
    # columns renamed, widened and dropped, a table truncated, dropped, made anew and renamed
    assert_state(lake, shared, "checkpoint")
    assert late["blocked"] == 0
    assert not lake.exists("silver.app_trending"), "made and renamed away between the two runs"
    assert lake.read("silver.app_pins").where("repin_count is null").count() == 0
    past = state_at(lake.read("bronze.ledger").where("table = 'app.pins'"), pins.schema, ADD_COLUMN)
    assert {r["id"]: r for r in past.drop("_op_rank", "_deleted").collect()} == {r["id"]: r for r in then}, (
        "a past state rebuilt from the ledger is the state that was merged at that time"
    )


def small(root, lines_by_file, checkpoint=1000):
    """Write a feed of one table app.t(id, v)."""
    from jobs.ingest.tidb.ticdc.schema_files import checksum

    column = {"ColumnName": "id", "ColumnType": "BIGINT", "ColumnNullable": "false", "ColumnIsPk": "true"}
    body = {"Table": "t", "Schema": "app", "Version": 1, "TableVersion": 5, "Query": "", "Type": 0}
    body |= {"TableColumns": [column, {"ColumnName": "v", "ColumnType": "VARCHAR", "ColumnPrecision": "9"}]}
    body["TableColumnsTotal"] = 2
    files = {"metadata": f'{{"checkpoint-ts":{checkpoint}}}'}
    files[f"app/t/meta/schema_5_{checksum(body):010d}.json"] = json.dumps(body)
    for number, lines in enumerate(lines_by_file, 1):
        files[f"app/t/5/CDC{number:06d}.json"] = "\r\n".join(lines)
        files["app/t/5/meta/CDC.index"] = f"CDC{number:06d}.json\n"
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return str(root)


def line(kind, key, ts, value="x", old=None):
    body = {"database": "app", "table": "t", "type": kind, "data": [{"id": str(key), "v": value}]}
    return json.dumps(body | {"old": old and [old], "_tidb": {"commitTs": ts}})


def state(lake):
    rows = lake.read("silver.app_t").select("id", "v", "_commit_ts", "_deleted").collect()
    return {(r["id"], r["v"], r["_commit_ts"], r["_deleted"]) for r in rows}


def test_bad_rows_are_set_aside_and_every_row_is_accounted_for(lake, work, tmp_path):
    lines = [
        [line("INSERT", 1, 10), "{broken", line("INSERT", 2, 11)],
        [line("INSERT", 3, 2000), line("DELETE", 1, 12)],
    ]
    root = small(tmp_path / "feed", lines)
    (tmp_path / "feed/app/odd.txt").write_text("?")
    counts = adds_up(cdc.run(work(ticdc=root)))
    assert {n: counts[n] for n in ("read", *SUM)} == {
        "read": 5, "applied": 2, "superseded": 1, "pending": 1, "quarantined": 1,
    }  # fmt: skip
    assert counts["unknown_files"] == 1
    assert state(lake) == {(1, "x", 12, True), (2, "x", 11, False)}
    bad = {(r["path"], r["row_no"], r["reason"]) for r in lake.read("ops.quarantine").collect()}
    assert bad == {("app/t/5/CDC000001.json", 2, "bad_json"), ("app/odd.txt", None, "unknown_path")}
    small(tmp_path / "feed", [*lines, [line("UPDATE", 2, 15, "y", {"id": "4", "v": "x"})]], checkpoint=3000)
    counts = adds_up(cdc.run(work(ticdc=root)))
    assert (counts["read"], counts["backlog"], counts["applied"], counts["unknown_files"]) == (2, 1, 3, 0)
    assert state(lake) == {(1, "x", 12, True), (2, "y", 15, False), (3, "x", 2000, False), (4, "x", 15, True)}


def test_a_crash_between_any_two_commits_leaves_no_trace(lake, work, tmp_path, monkeypatch):
    root = small(tmp_path / "feed", [[line("INSERT", 1, 10), "{broken"], [line("DELETE", 1, 12)]])
    note, tried = batches.note, []

    def dies(*args):
        tried.append(args[3])
        if args[3] == batches.COMMITTED and len(tried) == 2:
            raise KeyboardInterrupt  # the ledger and the quarantine are committed, the manifest is not
        note(*args)

    monkeypatch.setattr(batches, "note", dies)
    with pytest.raises(KeyboardInterrupt):
        cdc.run(work(ticdc=root))
    assert lake.read("bronze.ledger").count() == 2
    counts = adds_up(cdc.run(work(ticdc=root)))
    assert (counts["read"], counts["applied"], counts["quarantined"]) == (3, 1, 1)
    assert lake.read("bronze.ledger").count() == 2, "what was committed is not written again"
    assert lake.read("ops.quarantine").count() == 1
    assert state(lake) == {(1, "x", 12, True)}


def test_with_nothing_new_no_query_runs_and_nothing_is_committed(lake, work, tmp_path, spark):
    feed = [[line("INSERT", 1, 10), line("INSERT", 2, 2000)]]
    first = adds_up(cdc.run(work(ticdc=small(tmp_path / "feed", feed))))
    assert (first["applied"], first["pending"]) == (1, 1)
    tables = ("bronze.ledger", "silver.app_t", "ops.checkpoints", "ops.source_files")
    versions = {name: lake.version(name) for name in tables if lake.exists(name)}
    jobs = spark._jsc.sc().dagScheduler()
    before = jobs.numTotalJobs()
    again = adds_up(cdc.run(work(ticdc=str(tmp_path / "feed"))))
    assert jobs.numTotalJobs() == before
    assert (again["read"], again["backlog"], again["pending"]) == (0, 1, 1)
    assert versions == {name: lake.version(name) for name in versions}
    later = adds_up(cdc.run(work(ticdc=small(tmp_path / "feed", feed, checkpoint=3000))))
    assert (later["backlog"], later["applied"], later["pending"]) == (1, 1, 0), "what waited is looked for again"
    assert state(lake) == {(1, "x", 10, False), (2, "x", 2000, False)}


def test_changes_that_break_a_critical_check_stay_out_until_they_pass(lake, work, tmp_path):
    root = small(tmp_path / "feed", [[line("INSERT", 2, 11), line("DELETE", 1, 12)]])

    def refuses(name, df):
        assert [row["id"] for row in df.collect()] == [2], "a deleted row is not judged"
        raise ValidationFailedError(name)

    with pytest.raises(ValidationFailedError, match=r"silver\.app_t"):
        cdc.run(work(refuses, ticdc=root))
    assert not lake.exists("silver.app_t")
    assert adds_up(cdc.run(work(ticdc=root)))["backlog"] == 2
    assert len(state(lake)) == 2


def test_the_newest_change_per_key_is_the_same_in_any_order_and_any_repetition(spark):
    changes = [("I", 1), ("U", 3), ("D", 5), ("I", 5), ("D", 9)]  # D + I at 5: the key was deleted and inserted again
    rows, wanted = [], {}
    for number, order in enumerate(itertools.permutations(range(5))):
        length = number % 5 + 1
        last = max(((ts, op != "D", op) for op, ts in (changes[i] for i in order[:length])))
        wanted[f"k{number}"] = (last[2], last[0])
        for place, at in enumerate([*order[:length], *order[: min(length, number % 3)]]):  # some of them twice
            op, ts = changes[at]
            rows.append(("app.t", op, ts, int(op != "D"), f"k{number}", None, {"v": f"{op}{ts}"}, f"f{place}", number))
    names = "table string, op string, _commit_ts bigint, _op_rank int, key string, before map<string,string>, "
    frame = spark.createDataFrame(rows, names + "after map<string,string>, path string, row_no bigint")
    found = {row["key"]: (row["op"], row["_commit_ts"]) for row in newest(frame).collect()}
    assert found == wanted


def test_a_table_without_rows_is_a_table_too(lake, work, tmp_path):
    cdc.run(work(ticdc=small(tmp_path / "feed", [[line("INSERT", 1, 2000)]])))
    assert lake.read("silver.app_t").count() == 0
    assert lake.read("silver.app_t").columns == ["id", "v", "_commit_ts", "_op_rank", "_deleted"]


def test_missing_sources_are_named_and_none_at_all_is_no_error(work, tmp_path):
    with pytest.raises(SourceError, match="no folder"):
        cdc.run(work(dumpling=str(tmp_path / "gone")))
    assert cdc.run(work()).rows == 0


def test_old_tombstones_leave_silver_and_late_changes_do_not_bring_their_rows_back(lake, work, tmp_path):
    day = 86_400_000 << 18
    lines = [[line("INSERT", 1, 10), line("DELETE", 1, 20), line("INSERT", 2, 30), line("DELETE", 2, 100 * day)]]
    root = small(tmp_path / "feed", lines, checkpoint=100 * day)
    cdc.run(work(ticdc=root))
    done = maintain(lake, Maintenance())
    assert done["silver.app_t"]["tombstones"] == 1
    assert {key for key, *_ in state(lake)} == {2}, "a tombstone of the last days stays"
    late = [[line("UPDATE", 1, 15, "late", {"v": "x"}), line("INSERT", 3, 16), line("INSERT", 4, 101 * day)]]
    small(tmp_path / "feed", [*lines, *late], checkpoint=101 * day)
    counts = adds_up(cdc.run(work(ticdc=root)))
    assert {(key, gone) for key, *_, gone in state(lake)} == {(1, True), (2, True), (3, False), (4, False)}
    assert counts["read"] == 3
