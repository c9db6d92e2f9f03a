"""The genuine change feed and its snapshot, from files to silver, with interruptions."""

import itertools
import json
import shutil

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


def test_the_real_feed_is_followed_over_several_runs_and_ddl(lake, work, real, shared):
    judged = {}
    counts = adds_up(cdc.run(work(lambda name, df: judged.setdefault(name, df.count()), **real("mid"))))
    assert_state(lake, shared, "mid")
    assert (counts["quarantined"], counts["pending"], counts["blocked"], counts["tables"]) == (0, 0, 0, 5)
    assert set(judged) == {f"silver.{name}" for name in expected(shared, "mid")}
    pins = lake.schema("silver.app_pins")
    assert pins["repin_count"].dataType.simpleString() == "bigint"
    assert pins["repin_count"].metadata["comment"] == "Column repin_count of app.pins, INT UNSIGNED."
    nothing_is_committed(lake, lambda: cdc.run(work(**real("mid"))))

    before = lake.version("silver.app_trending")
    counts = adds_up(cdc.run(work(**real("checkpoint"))))
    assert_state(lake, shared, "checkpoint")
    assert (counts["blocked"], counts["quarantined"]) == (0, 0)
    assert lake.read("silver.app_trending").isEmpty(), "renamed away"
    assert not lake.read("silver.app_trending", before).isEmpty(), "its history stays"
    gone = {r["table"] for r in lake.rows("ops.checkpoints", "table", "blocked_reason") if r["blocked_reason"]}
    assert gone == {"app.trending"}
    nothing_is_committed(lake, lambda: cdc.run(work(**real("checkpoint"))))


def nothing_is_committed(lake, run):
    versions = {n: lake.version(n) for n in ("bronze.ledger", "ops.source_files", "ops.checkpoints", "silver.app_pins")}
    again = adds_up(run())
    assert not any(again[name] for name in ("read", "backlog", "applied", "files"))
    assert {name: lake.version(name) for name in versions} == versions


LONG = pytest.mark.long
FEEDS = [
    ("csv", "mid"),
    *[pytest.param(*one, marks=LONG) for one in (
        ("canal-json", "checkpoint"), ("classic-canal-json", "checkpoint"), ("classic-canal-json", "mid"),
        ("csv-old-value", "crash"), ("csv", "checkpoint"), ("csv-old-value", "end"),
    )],
]  # fmt: skip


@pytest.mark.parametrize(("feed", "mark"), FEEDS)
def test_every_writer_and_protocol_ends_in_the_expected_state(lake, work, real, shared, feed, mark):
    options = real(mark, feed=feed) | {"changefeed": str(shared / f"fixtures/ticdc-real/{feed}.changefeed.toml")}
    counts = adds_up(cdc.run(work(**options)))
    assert_state(lake, shared, mark)
    assert (counts["quarantined"], counts["blocked"]) == (0, 0)


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


DAY = 86_400_000 << 18
FIRST = [
    [line("INSERT", 1, 10), "{broken", line("INSERT", 2, 11)],
    [line("INSERT", 3, 2000), line("DELETE", 1, 12)],
]
# a key that changes, a row that comes and goes, and one that waits
SECOND = [
    line("UPDATE", 2, 15, "y", {"id": "4", "v": "x"}), line("INSERT", 5, 30), line("DELETE", 5, 100 * DAY),
    line("INSERT", 8, 102 * DAY),
]  # fmt: skip
LATE = [line("UPDATE", 1, 11, "late", {"v": "x"}), line("INSERT", 6, 16), line("INSERT", 7, 101 * DAY)]


def test_one_table_through_crash_bad_rows_a_check_that_fails_maintenance_and_late_rows(
    lake, work, alone, tmp_path, monkeypatch
):
    root = small(tmp_path / "feed", FIRST)
    (tmp_path / "feed/app/odd.txt").write_text("?")
    crashes_between_two_commits(lake, lambda: cdc.run(work(ticdc=root)), monkeypatch)
    counts = adds_up(cdc.run(work(ticdc=root)))
    assert lake.read("bronze.ledger").count() == 4, "what was committed is not written again"
    assert {n: counts[n] for n in ("read", *SUM)} == {
        "read": 5, "applied": 2, "superseded": 1, "pending": 1, "quarantined": 1,
    }  # fmt: skip
    assert counts["unknown_files"] == 0, "it was noted before the crash"
    assert state(lake) == {(1, "x", 12, True), (2, "x", 11, False)}
    bad = sorted((r["path"], r["row_no"], r["reason"]) for r in lake.rows("ops.quarantine", "path", "row_no", "reason"))
    assert bad == [("app/odd.txt", None, "unknown_path"), ("app/t/5/CDC000001.json", 2, "bad_json")]
    nothing_new_runs_no_query_and_commits_nothing(lake, lambda: cdc.run(work(ticdc=root)))

    small(tmp_path / "feed", [*FIRST, SECOND], checkpoint=100 * DAY)
    what_breaks_a_critical_check_stays_out(lake, lambda judge: cdc.run(work(judge, ticdc=root)))
    counts = adds_up(cdc.run(work(ticdc=root)))
    assert (counts["read"], counts["backlog"], counts["applied"], counts["pending"]) == (0, 6, 4, 1)
    gone = {(1, "x", 12, True), (4, "x", 15, True)}
    left = {(2, "y", 15, False), (3, "x", 2000, False), (5, "x", 100 * DAY, True)}
    assert state(lake) == gone | left

    other = alone(lake, "silver.app_t", "ops.checkpoints")
    assert maintain(other, Maintenance())["silver.app_t"]["tombstones"] == len(gone)
    shutil.copytree(other.path("silver.app_t"), lake.path("silver.app_t"), dirs_exist_ok=True)
    assert state(lake) == left, "a tombstone of the last days stays"
    small(tmp_path / "feed", [*FIRST, SECOND, LATE], checkpoint=102 * DAY)
    counts = adds_up(cdc.run(work(ticdc=root)))
    assert (counts["read"], counts["backlog"]) == (3, 1)
    found = {(key, gone) for key, *_, gone in state(lake)}
    assert found == {(1, True), (5, True), *((key, False) for key in (2, 3, 6, 7, 8))}, "1 does not come back"


def crashes_between_two_commits(lake, run, monkeypatch):
    note, tried = batches.note, []

    def dies(*args):
        tried.append(args[3])
        if args[3] == batches.COMMITTED:
            raise KeyboardInterrupt  # the ledger and the quarantine are committed, the manifest is not
        note(*args)

    with monkeypatch.context() as patch:
        patch.setattr(batches, "note", dies)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert tried == [batches.PLANNED, batches.COMMITTED]
    assert lake.read("bronze.ledger").count() == 4
    assert not lake.exists("silver.app_t")


def nothing_new_runs_no_query_and_commits_nothing(lake, run):
    tables = ("bronze.ledger", "silver.app_t", "ops.checkpoints", "ops.source_files", "ops.quarantine")
    versions = {name: lake.version(name) for name in tables}
    jobs = lake.spark._jsc.sc().dagScheduler()
    before = jobs.numTotalJobs()
    again = adds_up(run())
    assert jobs.numTotalJobs() == before
    assert (again["read"], again["backlog"], again["pending"]) == (0, 1, 1)
    assert versions == {name: lake.version(name) for name in tables}


def what_breaks_a_critical_check_stays_out(lake, run):
    version = lake.version("silver.app_t")

    def refuses(name, df):
        assert sorted(row["id"] for row in df.collect()) == [2, 3], "a deleted row is not judged"
        raise ValidationFailedError(name)

    with pytest.raises(ValidationFailedError, match=r"silver\.app_t"):
        run(refuses)
    assert lake.version("silver.app_t") == version


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


def test_missing_sources_are_named_and_none_at_all_is_no_error(work, tmp_path):
    with pytest.raises(SourceError, match="no folder"):
        cdc.run(work(dumpling=str(tmp_path / "gone")))
    assert cdc.run(work()).rows == 0
