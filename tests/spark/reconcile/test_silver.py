"""A lake of a genuine export against a real MariaDB that has it too: the same, differing, repaired, ingested again."""

from types import SimpleNamespace

import pytest

from jobs.common.errors import SourceError, TableError
from jobs.history.ledger import state_at
from jobs.ingest.tidb import job as cdc
from jobs.reconcile.repair import Repair, run
from jobs.reconcile.table import Question
from tests.scenes import lake_at, worker
from tests.spark.ingest.test_cdc import adds_up
from tests.spark.reconcile.conftest import TABLES
from tests.spark.reconcile.steps import compared, from_bronze, live, repaired

pytestmark = pytest.mark.spark

NEW, LARGE = (1 << 60) + 1, 1 << 62


@pytest.fixture(scope="module")
def told(spark, shared, source, tmp_path_factory):
    """What comparisons and runs said, one after another, of app.boards above all."""
    link, address = source
    lake = lake_at(spark, tmp_path_factory.mktemp("silver") / "lake")
    work, options = worker(lake), {"dumpling": str(shared / "fixtures/dumpling-real/csv-start")}
    adds_up(cdc.run(work(**options)))
    found = SimpleNamespace(lake=lake, address=address)
    found.same = {table: compared(lake, address, f"app.{table}") for table in TABLES}
    with link.cursor() as cursor:
        cursor.execute("SELECT id FROM app.boards ORDER BY id LIMIT 4")
        found.ids = one, two, three, four = [row[0] for row in cursor.fetchall()]
    link.query(f"UPDATE app.boards SET name = 'it''s, \\\\ \"é\" \\r\\n' WHERE id = {one}")
    link.query(f"DELETE FROM app.boards WHERE id IN ({two}, {four})")
    link.query(f"INSERT INTO app.boards (id) VALUES ({NEW})")
    found.masked = compared(lake, address, "app.boards", masked=("name",))
    found.planted = compared(lake, address, "app.boards")
    with pytest.raises(SourceError, match="--settled"):
        run(work(repair=Repair(Question("app.boards"), address, found.planted)))
    found.repaired = repaired(lake, work, address, "app.boards", found=found.planted)
    found.after = live(lake, "silver.app_boards")
    found.next, found.idle = (adds_up(cdc.run(work(**options))) for _ in range(2))
    found.kept, found.bronze = live(lake, "silver.app_boards"), from_bronze(lake, "app.boards")
    found.marked = (
        lake.scan("bronze.ledger").where("path like 'reconcile:%'").select("path", "op", "_op_rank").collect()
    )
    found.files = lake.rows("ops.source_files", "source", "path", "status")
    link.query(f"DELETE FROM app.boards WHERE id = {three}")
    found.once_more, found.last = repaired(lake, work, address, "app.boards"), compared(lake, address, "app.boards")
    return found


def test_a_lake_that_is_its_source_is_found_to_be_so(told):
    assert {table: report.found.differences for table, report in told.same.items()} == dict.fromkeys(TABLES, 0)
    assert all(report.found.rows > 0 for report in told.same.values())


def test_planted_differences_are_named_by_key_and_column(told):
    one, two, _, four = told.ids
    found = told.planted.found
    assert (found.missing, found.extra) == ([(str(NEW),)], sorted([(str(two),), (str(four),)]))
    assert found.differing == {(str(one),): ["name"]}
    assert told.masked.found.differing == {}
    assert "name" in told.masked.left_out


def test_a_moment_that_was_not_ingested_cannot_be_compared(told):
    with pytest.raises(TableError, match="Ingest first"):
        compared(told.lake, told.address, "app.boards", at=LARGE)


def test_repaired_rows_stay_through_later_runs_and_can_be_told_from_bronze(told):
    assert told.repaired == {"read": 4, "applied": 4, "superseded": 0}
    assert [told.next[name] for name in ("backlog", "superseded", "applied")] == [4, 4, 0], "found done"
    assert not any(told.idle[name] for name in ("read", "backlog"))
    assert told.after == told.kept == told.bronze
    committed = {r["path"] for r in told.files if (r["source"], r["status"]) == ("reconcile", "committed")}
    assert {row["path"] for row in told.marked} == committed
    assert sorted(row["op"] for row in told.marked) == ["D", "D", "I", "I"]
    assert {row["_op_rank"] for row in told.marked} == {2}


def test_repaired_rows_are_those_of_the_source_and_a_second_repair_stands_above_the_first(told):
    assert told.once_more == {"read": 1, "applied": 1, "superseded": 0}, "nothing else differed after the first"
    assert told.last.found.differences == 0


def test_states_before_the_moment_stay_as_they_were_told(told):
    ledger, schema = told.lake.scan("bronze.ledger"), told.lake.schema("silver.app_boards")
    assert state_at(ledger, schema, told.planted.at).isEmpty(), "the snapshot begins at it"
    assert state_at(ledger, schema, told.planted.at + 1).count() == len(told.after) - 1
