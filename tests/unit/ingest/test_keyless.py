"""Tables without any key: blocked, or taken append-only where conf says so."""

import pytest

from jobs.ingest.tidb.ddl.indexes import ROW_ID
from jobs.settings.ingest import TableRules
from tests.tablefeeds import BASE, TableFeed, ledger_of, silver_of, sources_of, write_export

CREATE = "CREATE TABLE `app`.`t` (`a` INT,`v` VARCHAR(50))"
COLUMNS = ["a INT", "v VARCHAR"]
APPEND = {"app.t": TableRules(keyless="append")}


@pytest.fixture(params=["json", "csv", "csv-old-value"])
def feed(request, tmp_path):
    protocol, _, more = request.param.partition("-")
    made = TableFeed(tmp_path / "feed", protocol, old_value=bool(more))
    made.ddl(1, "app.t", CREATE, COLUMNS)
    return made


def row(a, v):
    return {"a": a, "v": v}


def test_a_table_without_a_key_is_blocked_unless_told(feed):
    feed.rows(1, "app.t", [("I", 2, row(1, "x"))])
    blocked = sources_of(feed).tables["app.t"].blocked_reason
    assert "ingest.tables.app.t.keys" in blocked
    assert "ingest.tables.app.t.keyless: append" in blocked


def test_equal_rows_are_rows_of_their_own_and_a_repetition_is_none(feed, tmp_path):
    inserts = [("I", 2, row(1, "x")), ("I", 2, row(1, "x")), ("I", 3, row(1, "x")), ("I", 3, row(None, "ü"))]
    feed.rows(1, "app.t", inserts)
    feed.rows(1, "app.t", inserts[1:], number=2)  # TiCDC begins again where it had been
    export = write_export(tmp_path / "dump", 1, {"app.t": (CREATE.replace("`app`.", ""), '"a","v"', ['1,"x"'] * 2)})
    found = sources_of(feed, export, tables=APPEND)
    assert (found.tables["app.t"].blocked_reason, found.tables["app.t"].key) == (None, (ROW_ID,))
    assert [c.name for c in found.tables["app.t"].columns] == ["a", "v", ROW_ID]
    rows = silver_of(found, "app.t")
    assert len({row_id for *_, row_id in rows}) == len(rows) == 6
    assert sorted((a or "", v) for a, v, _ in rows) == [("", "ü"), *[("1", "x")] * 5]
    assert silver_of(sources_of(feed, export, tables=APPEND), "app.t") == rows, "another run gives the same ids"


def test_updates_and_deletes_are_counted_in_quarantine(feed):
    changes = [("I", 2, row(1, "x")), ("D", 3, row(1, "x")), ("U", 4, row(1, "z"), row(1, "y"))]
    feed.rows(1, "app.t", changes)
    good, bad = ledger_of(sources_of(feed, tables=APPEND))
    assert [one["op"] for one in good["app.t"]] == ["I"]
    assert [(one["reason"], one["raw"] is not None) for one in bad["app.t"]] == [("append_only", True)] * 2


def test_both_halves_of_an_update_in_csv_are_set_aside(tmp_path):
    feed = TableFeed(tmp_path / "feed", "csv", old_value=True)
    feed.ddl(1, "app.t", CREATE, COLUMNS)
    halves = [f'"{op}","t","app",{BASE + 2},true,1,"{v}"' for op, v in (("D", "x"), ("I", "y"))]
    feed.rows(1, "app.t", [("I", 1, row(1, "x"))])
    path = feed.root / f"app/t/{BASE + 1}/CDC000001.csv"
    path.write_text(path.read_text() + "".join(half + "\r\n" for half in halves))
    good, bad = ledger_of(sources_of(feed, tables=APPEND))
    assert (len(good["app.t"]), len(bad["app.t"])) == (1, 2)


def test_many_lines_at_once_give_the_same(tmp_path):
    feed = TableFeed(tmp_path / "feed")
    feed.ddl(1, "app.t", CREATE, COLUMNS)
    feed.rows(1, "app.t", [("I", 2 + number // 3, row(number // 2, "x")) for number in range(600)])
    assert len(silver_of(sources_of(feed, tables=APPEND), "app.t")) == 600


def test_a_key_that_comes_later_blocks_the_table_and_one_that_is_there_counts(feed):
    feed.rows(1, "app.t", [("I", 2, row(1, "x"))])
    feed.ddl(5, "app.t", "ALTER TABLE `app`.`t` ADD UNIQUE (`a`)", ["a INT !", "v VARCHAR"], 61)
    blocked = sources_of(feed, tables=APPEND).tables["app.t"]
    assert (blocked.blocked_from_ts, "changes the key from _row_id to a" in blocked.blocked_reason) == (BASE + 5, True)
    feed.ddl(
        7, "app.u", CREATE.replace("`t`", "`u`").replace("`a` INT", "`a` INT PRIMARY KEY"), ["a INT pk", "v VARCHAR"]
    )
    assert sources_of(feed, tables={"app.u": TableRules(keyless="append")}).tables["app.u"].key == ("a",)
