"""Tables that come back: whose rows they have, and where nobody can tell."""

import json

import pytest

from jobs.ingest.tidb.ddl.create_table import parse_create
from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.tables.flashback import recovered_database, recovered_table
from jobs.ingest.tidb.tables.schema_history import Snapshot
from jobs.ingest.tidb.ticdc.schema_files import SchemaFile, checksum
from jobs.ingest.tidb.ticdc.sink_listing import read_feed
from jobs.settings.ingest import Ingest
from tests.statements import replayed, schema, spans

COLUMNS = ("id BIGINT NOT NULL PRIMARY KEY", "name VARCHAR(20)")
CREATED = "CREATE TABLE `app`.`t` (`id` BIGINT PRIMARY KEY, `name` VARCHAR(20))"


def made(version=10, table="t", **more):
    return schema(version, CREATED.replace("`t`", f"`{table}`"), *COLUMNS, table=table, **more)


def did(version, query, table="t", **more):
    return schema(version, query, *COLUMNS, table=table, **more)


def database(version, query, name="app"):
    action = {"DROP": 2, "CREATE": 1, "FLASHBACK": 63}[query.split()[0]]
    return SchemaFile(f"{name}/meta/x", name, "", version, query, action, (), ())


def test_a_dropped_table_that_comes_back_has_its_rows_again_and_none_of_the_time_between():
    found = replayed(made(), did(20, "DROP TABLE `app`.`t`"), did(30, "FLASHBACK TABLE `app`.`t`"))
    assert spans(found["app.t"]) == [("app.t", 10, 20), ("app.t", 30, None)]
    assert (set(found), found["app.t"].blocked_reason) == ({"app.t"}, None)
    between = (made(22), did(25, "DROP TABLE t"))
    again = replayed(made(), did(20, "DROP TABLE t"), *between, did(30, "RECOVER TABLE `app`.`t`"))
    assert spans(again["app.t"]) == [("app.t", 22, 25), ("app.t", 30, None)], "the last one of the name is meant"
    assert spans(again["app.t@20"]) == [("app.t", 10, 20)]


def test_before_it_comes_back_it_is_gone():
    files = made(), did(20, "DROP TABLE t"), did(30, "FLASHBACK TABLE t")
    assert set(replayed(*files, checkpoint=25)) == {"app.t@20"}


@pytest.mark.parametrize(
    "query", ["FLASHBACK TABLE `app`.`t` TO `u`", "flashback table t to u", "FLASHBACK TABLE APP.T TO u"]
)
def test_it_may_come_back_under_another_name_beside_a_new_one(query):
    found = replayed(made(), did(20, "DROP TABLE t"), made(25), did(30, query, table="u", action=25))
    assert spans(found["app.u"]) == [("app.t", 10, 20), ("app.u", 30, None)]
    assert spans(found["app.t"]) == [("app.t", 25, None)]
    assert set(found) == {"app.t", "app.u"}


def test_what_a_truncation_took_comes_back_under_another_name():
    truncated = did(20, "TRUNCATE TABLE t"), did(25, "TRUNCATE TABLE t")
    found = replayed(made(), *truncated, did(30, "FLASHBACK TABLE `app`.`t` TO `u`", table="u"))
    assert (spans(found["app.u"]), found["app.u"].truncated_at) == ([("app.t", 10, 25), ("app.u", 30, None)], (20,))
    assert (spans(found["app.t"]), found["app.t"].truncated_at) == ([("app.t", 10, None)], (20, 25))


def test_a_table_comes_back_as_it_was_with_its_renamed_columns_and_its_block():
    renamed = schema(15, "ALTER TABLE t RENAME COLUMN name TO title", COLUMNS[0], "title VARCHAR(20)")
    end = schema(20, "DROP TABLE t", COLUMNS[0], "title VARCHAR(20)")
    back = schema(30, "FLASHBACK TABLE t", COLUMNS[0], "title VARCHAR(20)")
    later = schema(40, "ALTER TABLE t RENAME COLUMN title TO label", COLUMNS[0], "label VARCHAR(20)")
    table = replayed(made(), renamed, end, back, later)["app.t"]
    assert table.columns[1].names == ((0, "name"), (15, "title"), (40, "label"))
    blocked = replayed(
        made(),
        schema(15, "ALTER TABLE t EXCHANGE PARTITION p", *COLUMNS, action=42),
        did(20, "DROP TABLE t"),
        did(30, "FLASHBACK TABLE t"),
    )
    assert blocked["app.t"].blocked_from_ts == 15


def test_a_table_renamed_before_its_end_comes_back_by_its_last_name():
    files = made(), did(15, "RENAME TABLE t TO u", table="u"), did(20, "DROP TABLE u", table="u")
    found = replayed(*files, did(30, "FLASHBACK TABLE u TO t"))
    assert spans(found["app.t"]) == [("app.t", 10, 15), ("app.u", 15, 20), ("app.t", 30, None)]


def test_it_may_be_dropped_and_come_back_again():
    once = made(), did(20, "DROP TABLE t"), did(30, "FLASHBACK TABLE t")
    found = replayed(*once, did(40, "DROP TABLE t"), did(50, "FLASHBACK TABLE t"))
    assert spans(found["app.t"]) == [("app.t", 10, 20), ("app.t", 30, 40), ("app.t", 50, None)]
    assert set(found) == {"app.t"}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ((did(30, "FLASHBACK TABLE t"),), "of which no rows are known"),
        ((made(), did(30, "FLASHBACK TABLE t")), "recovers a table"),
        ((made(), did(20, "DROP TABLE t"), made(22), did(25, "DROP TABLE t"), did(30, "RECOVER TABLE BY JOB 53")),
         "one of several"),
        ((made(), did(20, "DROP TABLE t"), schema(30, "FLASHBACK TABLE t", COLUMNS[0], "other INT")),
         "whether that is a rename"),
    ],
)  # fmt: skip
def test_where_it_cannot_be_told_what_comes_back_the_table_is_blocked(files, says):
    table = replayed(*files)["app.t"]
    assert table.blocked_from_ts == 30
    assert says in table.blocked_reason
    assert "take a new snapshot" in table.blocked_reason


def test_a_job_names_no_table_and_one_that_is_gone_is_enough():
    found = replayed(made(), did(20, "DROP TABLE t"), did(30, "RECOVER TABLE BY JOB 53"))
    assert (spans(found["app.t"])[0], found["app.t"].blocked_reason) == (("app.t", 10, 20), None)


def test_the_same_drop_does_not_come_back_twice():
    files = made(), did(20, "DROP TABLE t"), did(30, "FLASHBACK TABLE t TO u", table="u")
    again = replayed(*files, did(40, "FLASHBACK TABLE t TO w", table="w"))
    assert "one of several" in again["app.w"].blocked_reason
    assert again["app.u"].blocked_reason is None


def test_a_table_that_no_snapshot_has_and_that_was_there_before_the_feed_is_blocked():
    other = {("app", "x"): Snapshot(15, parse_create("CREATE TABLE x (id BIGINT PRIMARY KEY)", "f"))}
    files = did(5, "", action=0), did(10, "DROP TABLE t"), did(30, "FLASHBACK TABLE t")
    assert "had rows before the feed" in replayed(*files, snapshots=other)["app.t"].blocked_reason
    assert replayed(*files)["app.t"].blocked_reason is None, "a feed alone tells what it has"


def test_a_database_comes_back_with_its_tables():
    files = made(), made(11, "u"), did(15, "DROP TABLE u", table="u"), database(20, "DROP DATABASE `app`")
    found = replayed(*files, database(30, "FLASHBACK DATABASE `app`"))
    assert spans(found["app.t"]) == [("app.t", 10, 20), ("app.t", 30, None)]
    assert set(found) == {"app.t", "app.u@15"}, "what was dropped before stays dropped"
    back = did(30, "FLASHBACK DATABASE `app`", action=63)
    assert spans(replayed(*files, database(30, "FLASHBACK DATABASE app"), back)["app.t"]) == spans(found["app.t"])
    assert spans(replayed(*files, back)["app.t"]) == spans(found["app.t"])


def test_a_database_comes_back_under_another_name():
    files = made(), database(20, "DROP DATABASE app"), made(25)
    found = replayed(*files, database(30, "FLASHBACK DATABASE `app` TO `old`", "old"))
    assert spans(found["old.t"]) == [("app.t", 10, 20), ("old.t", 30, None)]
    assert spans(found["app.t"]) == [("app.t", 25, None)]


def test_one_table_of_a_database_that_cannot_be_told_does_not_stop_the_others():
    other = {("app", "x"): Snapshot(5, parse_create("CREATE TABLE x (id BIGINT PRIMARY KEY)", "f"))}
    files = made(), did(12, "", table="u", action=0), database(20, "DROP DATABASE app")
    found = replayed(*files, database(30, "FLASHBACK DATABASE app"), snapshots=other)
    assert {name: table.blocked_from_ts for name, table in found.items()} == {
        "app.t": None, "app.x": None, "app.u": 30, "app.u@20": None,
    }  # fmt: skip
    assert found["app.x"].snapshot.tso == 5


def test_a_database_whose_drop_is_not_known_blocks_its_tables_and_those_that_turn_up():
    back = database(30, "FLASHBACK DATABASE app")
    found = replayed(made(), back, did(40, "", table="u", action=0), made(50, "v"))
    assert ("no drop is known" in found["app.t"].blocked_reason, found["app.t"].blocked_from_ts) == (True, 30)
    assert found["app.u"].blocked_from_ts == 30
    assert found["app.v"].blocked_reason is None, "a CREATE tells all there is"


def test_a_cluster_turned_back_blocks_every_table():
    other = made(11, "u", database="shop")
    turned = schema(30, "FLASHBACK CLUSTER TO TIMESTAMP '2026-08-01'", table="", action=62, key=())
    found = replayed(made(), other, turned, made(40, "v"), did(40, "", table="w", action=0))
    assert {name: table.blocked_from_ts for name, table in found.items()} == {
        "app.t": 30, "shop.u": 30, "app.v": None, "app.w": 30,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("FLASHBACK TABLE `app`.`t`", ("app", "t")),
        ("FLASHBACK TABLE t TO u", ("s", "t")),
        ("RECOVER TABLE `a b`.`t`;", ("a b", "t")),
        ("RECOVER TABLE BY JOB 7", None),
        ("", None),
    ],
)
def test_the_name_that_a_statement_looks_for(query, name):
    assert recovered_table(query, "s") == name


def test_the_names_of_a_database():
    assert recovered_database("FLASHBACK DATABASE `a` TO `b`;", "b") == ("a", "b")
    assert recovered_database("flashback schema a", "a") == ("a", "a")
    assert recovered_database("", "a") == ("a", "a")


def by_id(root, number, version, name, query, action):
    """Write a schema file below a table's id."""
    key = {"ColumnName": "id", "ColumnType": "BIGINT", "ColumnNullable": "false", "ColumnIsPk": "true"}
    body = {"Table": name, "Schema": "app", "Version": 1, "TableVersion": version, "Query": query, "Type": action}
    body |= {"TableColumns": [key], "TableColumnsTotal": 1}
    path = root / f"{number}/meta/schema_{version}_{checksum(body):010d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body))


BASE = 460_000_000_000_000_000
"""Versions are long numbers, by which a CSV's dialect is told."""


@pytest.mark.parametrize(("end", "action"), [("DROP TABLE t", 4), ("TRUNCATE TABLE t", 11)])
def test_tables_come_back_where_they_have_ids_for_paths(tmp_path, end, action):
    (tmp_path / "metadata").write_text('{"checkpoint-ts":460000000000000100}')
    by_id(tmp_path, 101, BASE + 10, "t", "CREATE TABLE t (id BIGINT PRIMARY KEY)", 3)
    by_id(tmp_path, 101, BASE + 20, "t", end, action)
    if action == 11:
        by_id(tmp_path, 102, BASE + 20, "t", end, action)
    by_id(tmp_path, 101, BASE + 30, "u", "FLASHBACK TABLE `app`.`t` TO `u`", 25)
    for version, extension in ((BASE + 10, "csv"), (BASE + 30, "csv")):
        folder = tmp_path / f"101/{version}"
        (folder / "meta").mkdir(parents=True)
        (folder / f"CDC000001.{extension}").write_text(f'"I","t","app",{version + 1},1\r\n')
        (folder / "meta/CDC.index").write_text(f"CDC000001.{extension}\n")
    sources = join(read_feed(str(tmp_path)), None, Ingest())
    assert [(item.task.path, item.task.table) for item in sources.items] == [
        (f"101/{BASE + 10}/CDC000001.csv", "app.t"), (f"101/{BASE + 30}/CDC000001.csv", "app.u"),
    ]  # fmt: skip
    table = sources.tables["app.u"]
    assert (spans(table), table.truncated_at, table.blocked_reason) == (
        [("app.t", BASE + 10, BASE + 20), ("app.u", BASE + 30, None)],
        (),
        None,
    )
