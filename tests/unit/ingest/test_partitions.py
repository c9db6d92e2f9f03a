"""What is told of partitions by CREATE TABLE and ALTER TABLE, and which rows go with them, worked out by hand."""

from dataclasses import replace

import pytest

from jobs.history.table_lineage import Segment, TableLineage
from jobs.ingest.tidb.ddl.create_table import parse_create
from jobs.ingest.tidb.ddl.partitions import (
    PartitionRemoval,
    layout_after,
    parse_layout,
    partition_drop,
    partition_removal,
)
from jobs.ingest.tidb.ddl.source_column import Column, SourceColumn, UnsupportedDdl
from jobs.ingest.tidb.tables.ddl_replay import DdlReplay
from jobs.ingest.tidb.tables.schema_history import Snapshot
from jobs.settings.ingest import TableRules
from tests.unit.ingest.test_ddl_replay import schema

A, DAY, AT, NAME = (
    Column.first(SourceColumn(name, kind, scale=scale, length=20))
    for name, kind, scale in (
        ("a", "INT", None),
        ("day", "DATE", None),
        ("at", "DATETIME", 3),
        ("name", "VARCHAR", None),
    )
)
COLUMNS = (A, DAY, AT, NAME)
RANGE = "PARTITION BY RANGE (`a`) (PARTITION `p0` VALUES LESS THAN (6), PARTITION `p1` VALUES LESS THAN (11))"


def gone(layout, *names, masked=()):
    return partition_drop(layout, names, COLUMNS, masked, 30)


def names(layout):
    return [part.name for part in layout.parts]


@pytest.mark.parametrize(
    "sql",
    [
        f"CREATE TABLE t (a INT PRIMARY KEY) ENGINE=InnoDB COMMENT='PARTITION BY HASH' {RANGE}",
        "create table t (a int primary key) PARTITION BY RANGE ( a ) "
        "( PARTITION p0 VALUES LESS THAN (6),PARTITION P1 VALUES LESS THAN (11));",
        "CREATE TABLE t (a INT) PARTITION BY RANGE COLUMNS(a) PARTITIONS 2 (PARTITION p0 VALUES LESS THAN (6) "
        "ENGINE = InnoDB, PARTITION p1 VALUES LESS THAN (11) COMMENT = 'VALUES LESS THAN (3)')",
        f"CREATE TABLE t (a INT)\n/*!50100 {RANGE} */;",
    ],
)
def test_ranges_are_read_as_they_are_written(sql):
    found = parse_create(sql, "f").layout
    assert (found.by, found.columns, names(found)) == ("RANGE", ("a",), ["p0", "p1"])
    assert gone(found, "p0").ranges == ((None, ("6",)),)
    assert gone(found, "p1").ranges == ((("6",), ("11",)),)
    assert gone(found, "p1").columns == (("a", "int"),)


@pytest.mark.parametrize(
    "sql",
    [
        "PARTITION BY RANGE (YEAR(`day`)) (PARTITION `p0` VALUES LESS THAN (2020))",
        "PARTITION BY RANGE (a + 1) (PARTITION `p0` VALUES LESS THAN (2020))",
        "PARTITION BY HASH (`a`) PARTITIONS 4", "PARTITION BY KEY (`a`) PARTITIONS 4", "",
        "PARTITION BY RANGE (`a`) INTERVAL (10) FIRST PARTITION LESS THAN (10) LAST PARTITION LESS THAN (30)",
        "PARTITION BY RANGE (a+1) (PARTITION `p0` VALUES LESS THAN (2020))",
    ],
)  # fmt: skip
def test_what_goes_by_no_plain_column_cannot_be_followed(sql):
    with pytest.raises(UnsupportedDdl):
        gone(parse_layout(f"CREATE TABLE t (a INT, day DATE) {sql}"), "p0")


def test_maxvalue_is_the_end_of_all_ranges_and_a_tuple_may_hold_it():
    found = parse_layout("PARTITION BY RANGE COLUMNS (`a`,`day`) (PARTITION p0 VALUES LESS THAN (5, MAXVALUE), "
                      "PARTITION p1 VALUES LESS THAN (MAXVALUE, _UTF8MB4'2026-01-01'), "
                      "PARTITION p2 VALUES LESS THAN (MAXVALUE,MAXVALUE))")  # fmt: skip
    assert gone(found, "p0").ranges == ((None, ("5", None)),)
    assert gone(found, "p2").ranges == (((None, "2026-01-01"), (None, None)),)
    assert gone(parse_layout("PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN MAXVALUE)"), "p").ranges == (
        (None, (None,)),
    )


def test_lists_hold_values_of_one_column_or_several():
    one = parse_layout("PARTITION BY LIST (a) (PARTITION p0 VALUES IN (1, -2, NULL), PARTITION p1 VALUES IN (3))")
    assert gone(one, "p0").members == (("1",), ("-2",), (None,))
    two = parse_layout("PARTITION BY LIST COLUMNS (a, day) (PARTITION p0 VALUES IN ((1,'2026-01-01'), (2,NULL)))")
    assert gone(two, "p0").members == (("1", "2026-01-01"), ("2", None))
    some = parse_layout("PARTITION BY LIST (a) (PARTITION p0 VALUES IN (1), PARTITION rest VALUES IN (DEFAULT))")
    assert gone(some, "p0").members == (("1",),)
    with pytest.raises(UnsupportedDdl, match="DEFAULT"):
        gone(some, "rest")


def test_moments_are_compared_with_all_their_digits():
    found = parse_layout("PARTITION BY RANGE COLUMNS (at) (PARTITION a VALUES LESS THAN ('2026-01-01'), PARTITION b "
                      "VALUES LESS THAN ('2026-01-02 03:04:05.5'), PARTITION c VALUES LESS THAN ('20260103'), "
                      "PARTITION d VALUES LESS THAN ('2026-01-04 00:00:00.12345'))")  # fmt: skip
    assert gone(found, "b").ranges == ((("2026-01-01 00:00:00.000000",), ("2026-01-02 03:04:05.500000",)),)
    for name in ("c", "d"):
        with pytest.raises(UnsupportedDdl, match="not a literal"):
            gone(found, name)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (replace(A, since=20), "older values"), (replace(A, names=((0, "b"), (20, "a"))), "older values"),
        (Column.first(SourceColumn("a", "VARCHAR", length=9)), "only INT, DATE and DATETIME"),
        (Column.first(SourceColumn("z", "INT")), "rows have no column z|rows have no column a"),
    ],
)  # fmt: skip
def test_what_rows_do_not_tell_is_not_guessed(column, says):
    with pytest.raises(UnsupportedDdl, match=says):
        partition_drop(parse_layout(RANGE), ["p0"], [column], (), 30)
    with pytest.raises(UnsupportedDdl, match="older values"):
        gone(parse_layout(RANGE), "p0", masked=("a",))
    with pytest.raises(UnsupportedDdl, match="not known"):
        gone(parse_layout(RANGE), "p0", "p9")


def test_partitions_are_followed_through_what_changes_them():
    def after(*statements):
        layout = parse_layout(RANGE)
        for one in statements:
            layout = layout_after(layout, f"ALTER TABLE `app`.`t` {one}")
        return layout

    more = "ADD PARTITION (PARTITION `p2` VALUES LESS THAN (30), PARTITION p3 VALUES LESS THAN (40))"
    assert names(after(more)) == ["p0", "p1", "p2", "p3"]
    assert gone(after(more, "DROP PARTITION `p1`"), "p2").ranges == ((("6",), ("30",)),), "it takes over the range"
    assert gone(after("DROP PARTITION p0"), "p1").ranges == ((None, ("11",)),)
    assert names(after("TRUNCATE PARTITION `p0`", "ADD INDEX (a)", "EXCHANGE PARTITION p0 WITH TABLE `u`")) == [
        "p0",
        "p1",
    ]
    into = "REORGANIZE PARTITION p0, P1 INTO (PARTITION x VALUES LESS THAN (3), PARTITION p1 VALUES LESS THAN (11))"
    assert names(after(more, into)) == ["x", "p1", "p2", "p3"]
    assert gone(after(more, into), "p1").ranges == ((("3",), ("11",)),)
    assert after("REMOVE PARTITIONING") is None
    assert after("PARTITION BY HASH (a) PARTITIONS 3") is None
    again = after("REMOVE PARTITIONING", "PARTITION BY LIST (a) (PARTITION l VALUES IN (1))")
    assert (again.by, names(again)) == ("LIST", ["l"])
    assert after("DROP PARTITION nobody") is None
    assert after("REORGANIZE PARTITION p0, nobody INTO (PARTITION x VALUES LESS THAN (11))") is None
    assert after("ADD PARTITION PARTITIONS 2") is None
    assert after("FIRST PARTITION LESS THAN (10)") is None
    assert layout_after(parse_layout(RANGE), "CREATE INDEX i ON t (a)") == parse_layout(RANGE)


def test_statements_that_empty_partitions_are_told_by_their_words():
    assert partition_removal("ALTER TABLE `t` DROP PARTITION IF EXISTS `p0`, `P1`") == PartitionRemoval(("p0", "p1"))
    assert partition_removal("alter table app.t truncate partition p0;") == PartitionRemoval(("p0",))
    assert partition_removal("ALTER TABLE t TRUNCATE PARTITION ALL").all
    assert not partition_removal("ALTER TABLE t TRUNCATE PARTITION `all`").all
    assert partition_removal("ALTER TABLE t DROP COLUMN partition_id") is None
    assert partition_removal("TRUNCATE TABLE t") is None


CREATE = f"CREATE TABLE t (id BIGINT NOT NULL, name VARCHAR(20), PRIMARY KEY (id)) {RANGE.replace('`a`', 'id')}"


def life(*files, create=CREATE, rules=None, checkpoint=100):
    start = {("app", "t"): Snapshot(10, parse_create(create, "f"))}
    return DdlReplay(start, lambda _: rules or TableRules()).replay(files, checkpoint)["app.t"]


def test_a_partition_dropped_or_truncated_is_no_reason_to_block_a_table():
    drop = schema(20, action=20, query="ALTER TABLE `app`.`t` DROP PARTITION `p0`")
    cut = schema(30, action=23, query="ALTER TABLE `app`.`t` TRUNCATE PARTITION `p1`")
    table = life(schema(10), drop, cut)
    assert table.blocked_reason is None
    assert [(one.at, one.ranges) for one in table.dropped_partitions] == [
        (20, ((None, ("6",)),)),
        (30, ((None, ("11",)),)),
    ]
    assert TableLineage.from_json(table.lineage.to_json()) == table.lineage
    assert table.lineage.newest_loss() == 30
    assert life(schema(10), drop, cut, checkpoint=25).dropped_partitions == table.dropped_partitions[:1]
    told = TableLineage((Segment("app.t", 0, None),), (7,))
    assert told.to_json() == '[[["app.t", 0, null]], [7]]', "of a table without partitions it is what it was"


@pytest.mark.parametrize(
    ("file", "rules"),
    [
        (schema(20, action=20), None), (schema(20, action=23, query="ALTER TABLE t TRUNCATE PARTITION `p7`"), None),
        (schema(20, action=20, query="ALTER TABLE t FIRST PARTITION LESS THAN (6)"), None),
        (schema(20, action=42, query="ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE u"), None),
        (schema(20, action=20, query="ALTER TABLE t DROP PARTITION p0"), TableRules(mask={"id": "hash"})),
    ],
)  # fmt: skip
def test_what_cannot_be_told_blocks_the_table_as_before(file, rules):
    table = life(schema(10), file, rules=rules)
    assert table.blocked_from_ts == 20
    assert "take a new snapshot" in table.blocked_reason
    all_gone = life(schema(10), file, schema(40, action=23, query="ALTER TABLE t TRUNCATE PARTITION ALL"), rules=rules)
    assert (all_gone.blocked_reason, all_gone.truncated_at) == (None, (40,))


def test_partitions_are_followed_while_a_table_is_blocked():
    narrow = schema(20, schema(1).columns[0], SourceColumn("name", "VARCHAR", length=5), action=12)
    after = narrow.columns
    two = "PARTITION x VALUES LESS THAN (2), PARTITION y VALUES LESS THAN (6)"
    split = f"ALTER TABLE t REORGANIZE PARTITION p0 INTO ({two})"
    files = [narrow, schema(30, *after, action=64, query=split), schema(40, *after, action=11)]
    table = life(schema(10), *files, schema(50, *after, action=20, query="ALTER TABLE t DROP PARTITION y"))
    assert table.blocked_reason is None
    assert [one.ranges for one in table.dropped_partitions] == [((("2",), ("6",)),)]


def test_a_table_made_in_the_feed_tells_its_partitions_and_one_that_was_there_does_not():
    drop = schema(30, action=20, query="ALTER TABLE t DROP PARTITION p0")

    def found(*files):
        return DdlReplay({}, lambda _: TableRules()).replay(files, 100)["app.t"]

    assert found(schema(20, action=3, query=CREATE), drop).blocked_reason is None
    assert "not known" in found(schema(20), drop).blocked_reason
    assert "not known" in found(schema(20, action=3, query="CREATE TABLE `t` LIKE `u`"), drop).blocked_reason
