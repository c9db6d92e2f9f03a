"""Columns followed by ColumnId, by the statement's words, and by both; ids change where rows are rewritten."""

import pytest

from jobs.ingest.tidb.ddl.create_table import parse_create
from jobs.ingest.tidb.tables.schema_history import Snapshot
from tests.statements import column, replayed, schema

CREATED = "CREATE TABLE t (id BIGINT PRIMARY KEY, a INT, b VARCHAR(20))"
ID = column("id BIGINT NOT NULL", 1)
START = schema(10, CREATED, ID, column("a INT", 2), column("b VARCHAR(20)", 3))


def after(*files):
    """Return the table, as (name, first name, since, commit_ts of its changes of type) by column."""
    table = replayed(START, *files)["app.t"]
    return table, [(c.name, c.names[0][1], c.since, [at for at, _ in c.casts]) for c in table.columns[1:]]


@pytest.mark.parametrize(
    ("query", "columns", "told"),
    [
        ("ALTER TABLE t MODIFY COLUMN a VARCHAR(12)", ["a VARCHAR(12)@4", "b VARCHAR(20)@3"],
         [("a", "a", None, [20]), ("b", "b", None, [])]),
        ("ALTER TABLE t CHANGE COLUMN a c VARCHAR(12)", ["c VARCHAR(12)@4", "b VARCHAR(20)@3"],
         [("c", "a", None, [20]), ("b", "b", None, [])]),
        ("ALTER TABLE t CHANGE a b VARCHAR(9), CHANGE b a INT", ["b VARCHAR(9)@4", "a INT@5"],
         [("b", "a", None, [20]), ("a", "b", None, [20])]),
        ("ALTER TABLE t DROP COLUMN a, CHANGE b a VARCHAR(5)", ["a VARCHAR(5)@4"], [("a", "b", None, [20])]),
        ("ALTER TABLE t DROP COLUMN b, RENAME COLUMN a TO b", ["b INT@2"], [("b", "a", None, [])]),
        ("ALTER TABLE t DROP COLUMN a, ADD COLUMN a INT", ["b VARCHAR(20)@3", "a INT@4"],
         [("b", "b", None, []), ("a", "a", 20, [])]),
        ("ALTER TABLE t RENAME COLUMN a TO c, ADD COLUMN a INT", ["c INT@2", "b VARCHAR(20)@3", "a INT@4"],
         [("c", "a", None, []), ("b", "b", None, []), ("a", "a", 20, [])]),
        ("ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT, ADD COLUMN c INT", ["a INT@2", "b VARCHAR(20)@3", "c INT@4"],
         [("a", "a", None, []), ("b", "b", None, []), ("c", "c", 20, [])]),
        ("ALTER TABLE t MODIFY COLUMN a INT AFTER b", ["b VARCHAR(20)@3", "a INT@2"],
         [("b", "b", None, []), ("a", "a", None, [])]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ids", [True, False])
def test_which_column_is_which_after_a_statement(query, columns, told, ids):
    made = [column(text, number if ids else "") for text, number in (one.split("@") for one in columns)]
    table, found = after(schema(20, query, ID, *made))
    assert (found, table.blocked_reason) == (told, None)


def test_ids_alone_tell_a_renamed_column_from_a_new_one():
    columns = [column(one, number) for one, number in (("c INT", 2), ("b VARCHAR(20)", 3), ("a INT", 4))]
    table, found = after(schema(20, "", ID, *columns))
    assert (found, table.blocked_reason) == ([("c", "a", None, []), ("b", "b", None, []), ("a", "a", 20, [])], None)


@pytest.mark.parametrize(
    ("query", "columns", "says"),
    [
        ("", ["a VARCHAR(12)@4", "b VARCHAR(20)@3"], "another ColumnId"),
        ("ALTER TABLE t ADD INDEX i (b)", ["a INT@4", "b VARCHAR(20)@3"], "another ColumnId"),
        ("", ["c INT@4", "b VARCHAR(20)@3"], "removes a, adds c"),
        ("ALTER TABLE t ADD INDEX i (b)", ["a INT@2", "b VARCHAR(20)@3", "c INT@4"], "does not add column c"),
        ("ALTER TABLE t RENAME COLUMN x TO c", ["a INT@2", "b VARCHAR(20)@3", "c INT@4"], "which is not known"),
    ],
)
def test_what_no_statement_explains_blocks_the_table(query, columns, says):
    made = [column(*one.split("@")) for one in columns]
    table, _ = after(schema(20, query, ID, *made))
    assert table.blocked_from_ts == 20
    assert says in table.blocked_reason


def test_a_column_rewritten_again_and_again_stays_itself():
    files = [
        schema(20, "ALTER TABLE t MODIFY a VARCHAR(12)", ID, column("a VARCHAR(12)", 4), column("b VARCHAR(20)", 3)),
        schema(30, "ALTER TABLE t CHANGE a c VARCHAR(5)", ID, column("c VARCHAR(5)", 5), column("b VARCHAR(20)", 3)),
        schema(35, "", ID, column("c VARCHAR(5)", 5), column("b VARCHAR(20)", 3)),
        schema(40, "ALTER TABLE t MODIFY c BIGINT", ID, column("c BIGINT", 6), column("b VARCHAR(20)", 3)),
    ]
    table, found = after(*files)
    assert (found[0], table.blocked_reason) == (("c", "a", None, [20, 30, 40]), None)


@pytest.mark.parametrize("first", [True, False])
def test_ids_that_come_or_go_later_are_taken_by_name(first):
    start = schema(10, CREATED, *[column(c, 7 if first else "") for c in ("id BIGINT NOT NULL", "a INT")])
    more = [column("id BIGINT NOT NULL", "" if first else 1), column("b VARCHAR(9)", "" if first else 2)]
    table = replayed(start, schema(20, "ALTER TABLE t CHANGE a b VARCHAR(9)", *more))["app.t"]
    assert [(c.name, c.names[0][1], c.since) for c in table.columns] == [("id", "id", None), ("b", "a", None)]
    assert table.columns[1].now.id == ("" if first else "2")


def test_the_first_file_with_ids_after_a_snapshot_may_be_the_statement_itself():
    start = {("app", "t"): Snapshot(5, parse_create(CREATED, "f"))}
    file = schema(20, "ALTER TABLE t MODIFY a BIGINT", ID, column("a BIGINT", 4), column("b VARCHAR(20)", 3))
    table = replayed(file, snapshots=start)["app.t"]
    assert ([c.since for c in table.columns], table.blocked_reason) == ([None, None, None], None)


def test_the_hidden_column_of_an_index_is_no_column():
    more = schema(20, "ALTER TABLE t ADD INDEX i ((a + 1))", *START.columns, column("`_V$_i_0` BIGINT", 9), action=7)
    table, found = after(more)
    assert ([name for name, *_ in found], table.blocked_reason) == (["a", "b"], None)
