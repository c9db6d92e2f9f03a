"""One statement in two schema files of one version counts once; files that contradict each other hold the table."""

import json
from dataclasses import replace

import pytest

from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.ticdc.schema_files import checksum, merge_duplicates
from jobs.ingest.tidb.ticdc.sink_listing import read_feed
from jobs.settings.ingest import Ingest
from tests.statements import column, replayed, schema, spans

KIND = "k ENUM('x','y')"
PLAIN = ("id BIGINT NOT NULL", "a VARCHAR(9)", KIND)
CREATED = "CREATE TABLE t (id BIGINT PRIMARY KEY, a VARCHAR(9), k ENUM('x','y'))"


def bare(file):
    """Return a schema file as the classic writer has it: without members and ids."""
    columns = tuple(replace(column, members=(), id="") for column in file.columns)
    return replace(file, path=f"{file.path}-classic", columns=columns)


STATEMENTS = [
    schema(20, "ALTER TABLE t RENAME COLUMN a TO b", PLAIN[0], "b VARCHAR(9)", KIND),
    schema(20, "ALTER TABLE t ADD COLUMN n INT", *PLAIN, "n INT", action=5),
    schema(20, "ALTER TABLE t DROP COLUMN a", PLAIN[0], KIND, action=6),
    schema(20, "ALTER TABLE t MODIFY COLUMN a INT", PLAIN[0], "a INT", KIND),
    schema(20, "TRUNCATE TABLE t", *PLAIN),
    schema(20, CREATED, *PLAIN),
    schema(20, "DROP TABLE t", *PLAIN),
    schema(20, "RENAME TABLE t TO u", *PLAIN, table="u"),
    schema(20, "", *PLAIN),
]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda file: file.query)
@pytest.mark.parametrize("swapped", [True, False])
def test_a_statement_in_two_files_counts_once(statement, swapped):
    two = [bare(statement), statement][:: -1 if swapped else 1]
    kept, broken = merge_duplicates(two)
    assert (len(kept), broken) == (1, [])
    assert kept[0].columns == statement.columns, "what one of them knows of members is known"
    start = schema(10, CREATED, *PLAIN)
    once, both = replayed(start, statement), replayed(start, *kept)
    assert {name: (table.columns, spans(table), table.truncated_at) for name, table in both.items()} == {
        name: (table.columns, spans(table), table.truncated_at) for name, table in once.items()
    }


def test_a_file_that_was_written_without_its_statement_takes_nothing_away():
    said = STATEMENTS[1]
    silent = replace(bare(said), query="", action=0)
    for pair in ([said, silent], [silent, said]):
        (kept,), _ = merge_duplicates(pair)
        assert (kept.query, kept.action, kept.columns) == (said.query, 5, said.columns)


def test_case_and_quotes_of_a_statement_are_no_contradiction():
    said = STATEMENTS[0]
    other = replace(said, path="other", query="alter table `t` rename column `a` to `b`;")
    assert len(merge_duplicates([said, other])[0]) == 1


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (replace(STATEMENTS[1], query="ALTER TABLE t ADD COLUMN m INT"), "different statements"),
        (replace(STATEMENTS[1], columns=STATEMENTS[0].columns), "different columns"),
        (
            replace(STATEMENTS[1], columns=(*STATEMENTS[1].columns[:3], column("n BIGINT"))),
            "n different types, INT and",
        ),
        (replace(STATEMENTS[1], columns=(*STATEMENTS[1].columns[:3], replace(column("n INT"), default="7"))), ""),
        (replace(STATEMENTS[1], key=("a",)), "different keys, id and a"),
        (replace(STATEMENTS[1], action=7), "different statements"),
    ],
)
def test_files_that_contradict_each_other_are_not_trusted(other, says):
    first = replace(STATEMENTS[1], columns=(*STATEMENTS[1].columns[:3], replace(column("n INT"), default="8")))
    kept, broken = merge_duplicates([first, replace(other, path="other")])
    assert kept == []
    ((path, error),) = broken
    assert (path.schema, path.table, path.version) == ("app", "t", 20)
    assert says in str(error)
    assert "other" in str(error)


def write(root, version, query, action, *entries):
    body = {"Table": "t", "Schema": "app", "Version": 1, "TableVersion": version, "Query": query, "Type": action}
    body |= {"TableColumns": list(entries), "TableColumnsTotal": len(entries)}
    path = root / f"app/t/meta/schema_{version}_{checksum(body):010d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body))


ID = {"ColumnName": "id", "ColumnType": "BIGINT", "ColumnNullable": "false", "ColumnIsPk": "true"}


def entry(name, kind="ENUM", **more):
    return {"ColumnName": name, "ColumnType": kind} | {f"Column{what}": value for what, value in more.items()}


def test_a_feed_with_two_files_of_a_version_has_one_statement(tmp_path):
    (tmp_path / "metadata").write_text('{"checkpoint-ts":100}')
    write(tmp_path, 10, "CREATE TABLE t (id BIGINT PRIMARY KEY, a ENUM('x'))", 3, ID, entry("a"))
    for more in ({}, {"Elems": ["x"]}):
        write(tmp_path, 20, "ALTER TABLE t RENAME COLUMN a TO b", 12, ID, entry("b", **more))
    table = join(read_feed(str(tmp_path)), None, Ingest()).tables["app.t"]
    assert (table.columns[1].names, table.blocked_reason) == (((0, "a"), (20, "b")), None)
    write(tmp_path, 20, "ALTER TABLE t RENAME COLUMN a TO b", 12, ID, entry("b", "INT"))
    blocked = join(read_feed(str(tmp_path)), None, Ingest()).tables["app.t"]
    assert (blocked.blocked_from_ts, blocked.columns[1].name) == (20, "a")


@pytest.mark.parametrize("action", [21, 24, 14])
def test_a_view_is_no_table_whatever_is_done_to_it(tmp_path, action):
    (tmp_path / "metadata").write_text('{"checkpoint-ts":100}')
    write(tmp_path, 10, "CREATE TABLE t (id BIGINT PRIMARY KEY)", 3, ID)
    write(tmp_path, 20, "DROP TABLE t", 4, ID)
    write(tmp_path, 30, "CREATE OR REPLACE VIEW t AS SELECT 1", action, entry("id", "UNSPECIFIED"))
    feed = read_feed(str(tmp_path))
    assert (feed.broken, feed.unknown, set(join(feed, None, Ingest()).tables)) == ([], {}, {"app.t@20"})
    write(tmp_path, 40, "DROP VIEW t", 24)
    write(tmp_path, 50, "CREATE TABLE t (id BIGINT PRIMARY KEY)", 3, ID)
    tables = join(read_feed(str(tmp_path)), None, Ingest()).tables
    assert (tables["app.t"].blocked_reason, spans(tables["app.t"])) == (None, [("app.t", 50, None)])
