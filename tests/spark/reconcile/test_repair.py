"""Rows that differ taken from a real MariaDB: what bronze and silver have then, what later runs make of it."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from jobs.common.errors import SourceError, TableError
from jobs.history.ledger import newest, state_at, typed
from jobs.history.table_lineage import lineage_of
from jobs.ingest.tidb import job as cdc
from jobs.ingest.tidb.ticdc.schema_files import checksum
from jobs.reconcile.repair import Repair, run
from jobs.reconcile.table import Question, against_lake
from jobs.settings import Settings
from jobs.settings.ingest import Ingest, TableRules
from tests.realfeed import as_text, expected
from tests.spark.ingest.conftest import work
from tests.spark.ingest.test_cdc import adds_up, line, small, state
from tests.spark.reconcile.test_silver import source

__all__ = ["source", "work"]
pytestmark = pytest.mark.spark


def compared(lake, address, table, **more):
    return against_lake(lake, Question(table, **more), address)


def repaired(lake, work, address, table, settings=None, **more):
    found = compared(lake, address, table, **more)
    return run(work(settings=settings, repair=Repair(Question(table, **more), address, found, settled=True))).counts


def live(lake, table):
    return {tuple(row) for row in lake.read(table).where("not _deleted").drop("_commit_ts", "_op_rank").collect()}


def from_bronze(lake, table):
    """Return the live rows as they come out of the ledger alone."""
    schema = lake.read(f"silver.{table.replace('.', '_')}").schema
    rows = typed(newest(lake.read("bronze.ledger").where(lineage_of(schema, [table]).rows())), schema)
    return {tuple(row) for row in rows.where("not _deleted").drop("_commit_ts", "_op_rank").collect()}


@pytest.mark.long
def test_rows_of_every_type_are_taken_from_the_source_as_they_are(lake, work, shared, source):
    link, address = source
    options = {"dumpling": str(shared / "fixtures/dumpling-real/csv-start")}
    adds_up(cdc.run(work(**options)))
    before = {table: live(lake, f"silver.app_{table}") for table in ("users", "boards", "pins", "board_pins")}
    for table, rows in before.items():  # every row is spoilt in the lake, as if nothing of it had come
        lake.delta(f"silver.app_{table}").delete()
        counts = repaired(lake, work, address, f"app.{table}")
        assert counts == {"read": len(rows), "applied": len(rows), "superseded": 0}
        assert compared(lake, address, f"app.{table}").found.differences == 0
    link.query("SET NAMES utf8mb4")
    for table in before:
        columns, key, _ = expected(shared, "start")[f"app_{table}"]
        found = {tuple(r[k] for k in key): r for r in lake.read(f"silver.app_{table}").collect()}
        with link.cursor() as cursor:
            exact = [c for c in columns if not c["column_type"].startswith(("float", "json"))]
            names = [f"CAST({c['name']} AS CHAR)" for c in exact if c["form"] not in {"hex", "unsigned-decimal"}]
            cursor.execute(f"SELECT {', '.join([*key, *names])} FROM app.{table}")
            for row in cursor:
                mine = found[tuple(row[: len(key)])]
                texts = [as_text(c, mine[c["name"]]) for c in exact if c["form"] not in {"hex", "unsigned-decimal"}]
                assert texts == list(row[len(key) :]), table


def test_repaired_rows_stay_through_later_runs_and_can_be_told_from_bronze(lake, work, shared, source):
    link, address = source
    options = {"dumpling": str(shared / "fixtures/dumpling-real/csv-start")}
    adds_up(cdc.run(work(**options)))
    with link.cursor() as cursor:
        cursor.execute("SELECT id FROM app.boards ORDER BY id LIMIT 4")
        one, two, three, four = (row[0] for row in cursor.fetchall())
    link.query(f"UPDATE app.boards SET name = 'it''s, \\\\ \"é\" \\r\\n' WHERE id = {one}")
    link.query(f"DELETE FROM app.boards WHERE id IN ({two}, {four})")
    link.query(f"INSERT INTO app.boards (id) VALUES ({(1 << 60) + 1})")
    found = compared(lake, address, "app.boards")
    with pytest.raises(SourceError, match="--settled"):
        run(work(repair=Repair(Question("app.boards"), address, found)))
    assert repaired(lake, work, address, "app.boards") == {"read": 4, "applied": 4, "superseded": 0}
    assert compared(lake, address, "app.boards").found.differences == 0
    after = live(lake, "silver.app_boards")
    again = adds_up(cdc.run(work(**options)))
    assert (again["carried"], again["superseded"], again["applied"]) == (4, 4, 0), "the next run finds it done"
    assert live(lake, "silver.app_boards") == after == from_bronze(lake, "app.boards")
    idle = adds_up(cdc.run(work(**options)))
    assert not any(idle[name] for name in ("read", "carried"))
    told = {
        r["path"]
        for r in lake.read("ops.source_files").where("source = 'reconcile' and status = 'committed'").collect()
    }
    marked = lake.read("bronze.ledger").where("path like 'reconcile:%'").select("path", "op", "_op_rank").collect()
    assert {row["path"] for row in marked} == told
    assert sorted(row["op"] for row in marked) == ["D", "D", "I", "I"]
    assert {row["_op_rank"] for row in marked} == {2}
    link.query(f"DELETE FROM app.boards WHERE id = {three}")
    repaired(lake, work, address, "app.boards")  # once more at the same moment: it stands above the first
    assert compared(lake, address, "app.boards").found.differences == 0
    silver = lake.delta("silver.app_boards")
    silver.delete()
    schema = lake.read("silver.app_boards").schema
    assert state_at(lake.read("bronze.ledger"), schema, found.at).isEmpty(), "before the moment it is as it was told"
    assert state_at(lake.read("bronze.ledger"), schema, found.at + 1).count() == len(after) - 1


@pytest.fixture
def table(mariadb, source):
    """A table app.t(id, v) in MariaDB."""
    link, address = source
    link.query("CREATE TABLE app.t (id BIGINT PRIMARY KEY, v VARCHAR(9))")
    link.query("INSERT INTO app.t VALUES (1, 'right'), (2, 'x'), (3, 'right')")
    return link, address


def test_changes_of_the_feed_after_the_moment_win_and_late_ones_before_it_do_not(lake, work, tmp_path, table):
    _, address = table
    first = [line("INSERT", 1, 10), line("INSERT", 2, 10), line("INSERT", 4, 50)]
    root = small(tmp_path / "feed", [first, [line("UPDATE", 3, 150, "later", {"v": "right"})]], checkpoint=100)
    assert adds_up(cdc.run(work(ticdc=root)))["pending"] == 1
    assert repaired(lake, work, address, "app.t") == {"read": 3, "applied": 3, "superseded": 0}
    assert state(lake) == {(1, "right", 100, False), (2, "x", 10, False), (3, "right", 100, False), (4, "x", 100, True)}
    late = [line("UPDATE", 1, 100, "old", {"v": "x"}), line("DELETE", 3, 40), line("UPDATE", 4, 60, "old", {"v": "x"})]
    small(tmp_path / "feed", [first, [line("UPDATE", 3, 150, "later", {"v": "right"})], late], checkpoint=120)
    counts = adds_up(cdc.run(work(ticdc=root)))
    assert (counts["read"], counts["carried"], counts["applied"]) == (3, 4, 0)
    assert {(key, value) for key, value, _, gone in state(lake) if not gone} == {(1, "right"), (2, "x"), (3, "right")}
    files = [first, [line("UPDATE", 3, 150, "later", {"v": "right"})], late, [line("INSERT", 4, 160, "new")]]
    small(tmp_path / "feed", files, checkpoint=200)
    assert adds_up(cdc.run(work(ticdc=root)))["applied"] == 2
    assert {(key, value) for key, value, _, gone in state(lake) if not gone} == {
        (1, "right"), (2, "x"), (3, "later"), (4, "new"),
    }  # fmt: skip
    assert live(lake, "silver.app_t") == from_bronze(lake, "app.t")


def test_a_row_is_taken_away_under_the_name_that_its_key_has_now(lake, work, tmp_path, table):
    link, address = table
    root = small(tmp_path / "feed", [[line("INSERT", 4, 50), line("INSERT", 1, 50)]], checkpoint=100)
    column = {"ColumnName": "k", "ColumnType": "BIGINT", "ColumnNullable": "false", "ColumnIsPk": "true"}
    body = {"Table": "t", "Schema": "app", "Version": 1, "TableVersion": 60, "Type": 12, "TableColumnsTotal": 2}
    body |= {"Query": "ALTER TABLE `app`.`t` RENAME COLUMN `id` TO `k`"}
    body["TableColumns"] = [column, {"ColumnName": "v", "ColumnType": "VARCHAR", "ColumnPrecision": "9"}]
    (tmp_path / f"feed/app/t/meta/schema_60_{checksum(body):010d}.json").write_text(json.dumps(body))
    cdc.run(work(ticdc=root))
    link.query("ALTER TABLE app.t RENAME COLUMN id TO k")
    assert repaired(lake, work, address, "app.t") == {"read": 4, "applied": 4, "superseded": 0}
    assert live(lake, "silver.app_t") == {(1, "right", False), (2, "x", False), (3, "right", False)}
    assert live(lake, "silver.app_t") == from_bronze(lake, "app.t")


def test_what_cannot_be_repaired_is_refused_and_nothing_is_written(lake, work, tmp_path, table):
    link, address = table
    root = small(tmp_path / "feed", [[line("INSERT", 9, 10)]], checkpoint=100)
    cdc.run(work(ticdc=root))
    version = lake.version("bronze.ledger")

    def refused(error, match, found, **more):
        asked = more.pop("asked", Question("app.t"))
        with pytest.raises(error, match=match):
            run(work(repair=Repair(asked, address, found, settled=True), **more))
        assert lake.version("bronze.ledger") == version

    found = compared(lake, address, "app.t")
    part = replace(found, found=replace(found.found, complete=False))
    refused(TableError, "at least 4 rows differ", part)
    link.query("DELETE FROM app.t WHERE id = 2")
    refused(SourceError, "has changed since", found)
    link.query("ALTER TABLE app.t DROP COLUMN v")
    refused(TableError, "has no v, which silver has", compared(lake, address, "app.t"))
    link.query("ALTER TABLE app.t ADD COLUMN v VARCHAR(9)")
    link.query("CREATE TABLE app.other (id BIGINT, v VARCHAR(9) NOT NULL, PRIMARY KEY (v))")
    asked = Question("app.t", "app.other")
    refused(TableError, "has the key id in the lake and v", against_lake(lake, asked, address), asked=asked)
    link.query("UPDATE app.t SET v = REPEAT('x', 9)")
    found = compared(lake, address, "app.t")
    small(tmp_path / "feed", [[line("INSERT", 9, 10)]], checkpoint=150)
    cdc.run(work(ticdc=root))
    refused(TableError, "has been ingested up to 150 since", found)


def test_masked_columns_are_covered_in_what_is_taken_too(lake, work, tmp_path, table):
    _, address = table
    rules = {"app.t": TableRules(mask={"v": "hash"})}
    settings = Settings(ingest=Ingest(tables=rules, mask_secret="a-secret"))
    cdc.run(work(settings=settings, ticdc=small(tmp_path / "feed", [[line("INSERT", 2, 10)]], checkpoint=100)))
    repaired(lake, work, address, "app.t", settings, masked=("v",))
    rows = {row["id"]: row["v"] for row in lake.read("silver.app_t").collect()}
    assert rows.keys() == {1, 2, 3}
    assert rows[1] == rows[3] != rows[2]
    assert len(rows[1]) == 64


@pytest.mark.long
def test_the_command_repairs_and_says_so(lake, work, tmp_path, table):
    _, address = table
    cdc.run(work(ticdc=small(tmp_path / "feed", [[line("INSERT", 2, 10), line("INSERT", 8, 11)]], checkpoint=100)))
    where = ["--source", f"mysql://reader@127.0.0.1:{address.port}", "--lake", lake.root]
    start = [sys.executable, "-m", "jobs.cli", "--set", f"platform.work={tmp_path}/work", "reconcile", "app.t", *where]

    def command(*more):
        env = os.environ | {"PINLAKE_SOURCE_PASSWORD": "pw-reader"}
        return subprocess.run([*start, *more], env=env, capture_output=True, text=True, check=False)

    done = command("--repair", "--settled", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["found"]["differences"] == 3
    same = command()
    assert (same.returncode, "is the same" in same.stdout) == (0, True), same.stderr
    runs = [row for row in lake.rows("ops.runs", "job", "status", "counts") if row["job"] == "ingest.repair"]
    assert [dict(row["counts"]) for row in runs] == [{"read": 3, "applied": 3, "superseded": 0}]
    assert command("--repair", "--against", "mysql://x@y").returncode == 2
