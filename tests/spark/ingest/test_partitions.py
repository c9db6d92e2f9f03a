"""Rows that go with their partition: as a real server takes them away, and from files to silver."""

import json

import pymysql
import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, IntegerType, LongType, StructField, StructType, TimestampType

from jobs.history.as_of import read_as_of
from jobs.history.ledger import newest, state_at
from jobs.history.table_lineage import LINEAGE, PartitionDrop, Segment, TableLineage
from jobs.ingest.tidb import job as cdc
from jobs.ingest.tidb.ddl.create_table import parse_create
from jobs.ingest.tidb.ddl.evolution import columns_in_rows
from jobs.ingest.tidb.ddl.partitions import partition_drop
from jobs.ingest.tidb.ddl.source_column import Column
from jobs.ingest.tidb.ticdc.schema_files import checksum
from tests.spark.ingest.test_cdc import adds_up, line, state

pytestmark = pytest.mark.spark

NUMBERS = [(n, None if n % 7 == 3 else n - 12, None) for n in range(30)]
DAYS = [None, "0000-00-00", "2025-12-31", "2026-01-01", "2026-01-02", "2026-02-00", "9999-12-31"]
LAYOUTS = [
    ("a INT, b INT", "RANGE (a) (PARTITION p0 VALUES LESS THAN (-3), PARTITION p1 VALUES LESS THAN (6), "
     "PARTITION p2 VALUES LESS THAN MAXVALUE)", NUMBERS),
    ("a BIGINT UNSIGNED, b INT", "RANGE (a) (PARTITION p0 VALUES LESS THAN (9), PARTITION p1 VALUES LESS THAN "
     "(18446744073709551610), PARTITION p2 VALUES LESS THAN MAXVALUE)",
     [(0, None, None), (1, 8, 0), (2, 9, 0), (3, 18446744073709551609, 0), (4, 18446744073709551610, 0)]),
    ("a INT, b INT", "RANGE COLUMNS (a, b) (PARTITION p0 VALUES LESS THAN (1, 5), PARTITION p1 VALUES LESS THAN "
     "(2, MAXVALUE), PARTITION p2 VALUES LESS THAN (MAXVALUE, MAXVALUE))",
     [(10 * a + b, a or None, b or None) for a in range(5) for b in range(8)]),
    ("a DATE, b INT", "RANGE COLUMNS (a) (PARTITION p0 VALUES LESS THAN ('2026-01-01'), PARTITION p1 VALUES LESS "
     "THAN ('2026-02-01'), PARTITION p2 VALUES LESS THAN (MAXVALUE))", [(n, day, 0) for n, day in enumerate(DAYS)]),
    ("a DATETIME(2), b INT", "RANGE COLUMNS (a) (PARTITION p0 VALUES LESS THAN ('2026-01-01'), PARTITION p1 VALUES "
     "LESS THAN ('2026-01-01 00:00:00.5'), PARTITION p2 VALUES LESS THAN (MAXVALUE))",
     [(n, at, 0) for n, at in enumerate([None, "2025-12-31 23:59:59.99", "2026-01-01", "2026-01-01 00:00:00.49",
                                         "2026-01-01 00:00:00.50", "2026-01-01 00:00:01"])]),
    ("a INT, b INT", "LIST (a) (PARTITION p0 VALUES IN (1, NULL, -4), PARTITION p1 VALUES IN (2), PARTITION p2 "
     "VALUES IN (3, 5))", [(n, a, 0) for n, a in enumerate([None, 1, 2, 3, -4, 5])]),
    ("a INT, b DATE", "LIST COLUMNS (a, b) (PARTITION p0 VALUES IN ((1, '2026-01-01'), (NULL, NULL)), PARTITION p1 "
     "VALUES IN ((1, NULL)), PARTITION p2 VALUES IN ((2, '2026-01-02')))",
     [(0, 1, "2026-01-01"), (1, None, None), (2, 1, None), (3, 2, "2026-01-02")]),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "layout", "rows"), LAYOUTS)
@pytest.mark.parametrize("verb", ["DROP", pytest.param("TRUNCATE", marks=pytest.mark.long)])
def test_a_real_server_takes_away_the_same_rows(spark, mariadb, columns, layout, rows, verb):
    link = pymysql.connect(host="127.0.0.1", port=mariadb, user="reader", password="pw-reader", autocommit=True)
    link.query("SET sql_mode = ''")
    link.query("CREATE DATABASE parted")
    link.query("USE parted")
    cursor = link.cursor()
    left, gone = {}, {}
    try:
        for part in ("p0", "p1", "p2"):
            cursor.execute(f"CREATE TABLE t (k INT, {columns}) PARTITION BY {layout}")
            cursor.executemany("INSERT INTO t VALUES (%s, %s, %s)", rows)
            cursor.execute("SHOW CREATE TABLE t")
            create = parse_create(cursor.fetchone()[1], "t")
            cursor.execute("SELECT k, CAST(a AS CHAR), CAST(b AS CHAR) FROM t")
            before = [("I", 5, {"k": str(k), "a": a, "b": b}) for k, a, b in cursor.fetchall()]
            cursor.execute(f"ALTER TABLE t {verb} PARTITION {part}")
            cursor.execute("SELECT k FROM t")
            left[part] = {str(k) for (k,) in cursor.fetchall()}
            cursor.execute("DROP TABLE t")
            made = map(Column.first, columns_in_rows(create.columns))
            gone[part] = partition_drop(create.layout, [part], made, (), 10).covers()
            assert len(left[part]) < len(rows)
    finally:
        link.query("DROP DATABASE parted")
        link.close()
    frame = spark.createDataFrame(before, "op string, _commit_ts bigint, after map<string,string>")
    found = frame.select(F.col("after")["k"].alias("k"), *[one.alias(part) for part, one in gone.items()]).collect()
    assert {part: {row["k"] for row in found if row[part] is False} for part in gone} == left


PARTS = "PARTITION BY RANGE (`id`) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))"
BEGIN = f"CREATE TABLE `t` (`id` BIGINT NOT NULL PRIMARY KEY, `v` VARCHAR(9)) {PARTS}"


def feed(root, ddl, files, checkpoint):
    """Write a feed of app.t(id, v): statements by version, lines by version and file."""
    column = {"ColumnName": "id", "ColumnType": "BIGINT", "ColumnNullable": "false", "ColumnIsPk": "true"}
    columns = [column, {"ColumnName": "v", "ColumnType": "VARCHAR", "ColumnPrecision": "9"}]
    made = {"metadata": f'{{"checkpoint-ts":{checkpoint}}}'}
    for version, action, query in ddl:
        body = {"Table": "t", "Schema": "app", "Version": 1, "TableVersion": version, "Query": query, "Type": action}
        body |= {"TableColumns": columns, "TableColumnsTotal": 2}
        made[f"app/t/meta/schema_{version}_{checksum(body):010d}.json"] = json.dumps(body)
    for (version, number), lines in files.items():
        made[f"app/t/{version}/CDC{number:06d}.json"] = "\r\n".join(lines)
        made[f"app/t/{version}/meta/CDC.index"] = f"CDC{number:06d}.json\n"
    for path, content in made.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return str(root)


def live(lake):
    return {key for key, _, _, gone in state(lake) if not gone}


@pytest.mark.long
def test_rows_go_with_their_partition_at_the_merge_in_past_states_and_when_they_come_late(lake, work, tmp_path):
    start = [(5, 3, BEGIN)]
    first = {(5, 1): [line("INSERT", 1, 6), line("INSERT", 11, 6), line("INSERT", 12, 7), line("DELETE", 12, 8)]}
    adds_up(cdc.run(work(ticdc=feed(tmp_path / "feed", start, first, 50))))
    assert live(lake) == {1, 11}
    drop = [*start, (60, 20, "ALTER TABLE `app`.`t` DROP PARTITION `p0`")]
    adds_up(cdc.run(work(ticdc=feed(tmp_path / "feed", drop, first, 70))))
    assert live(lake) == {11}, "without a row event"
    later = {(60, 1): [line("INSERT", 1, 80), line("UPDATE", 11, 81, "y", {"v": "x"})]}
    late = {(5, 2): [line("INSERT", 2, 9), line("INSERT", 13, 9)]}
    found = adds_up(cdc.run(work(ticdc=feed(tmp_path / "feed", drop, first | later | late, 90))))
    assert (found["blocked"], live(lake)) == (0, {1, 11, 13}), "2 went with p0 before it was read; the new 1 lies in p1"
    cut = [*drop, (95, 23, "ALTER TABLE `app`.`t` TRUNCATE PARTITION `p1`")]
    adds_up(cdc.run(work(ticdc=feed(tmp_path / "feed", cut, first | later | late, 99))))
    assert live(lake) == set()
    schema, ledger = lake.read("silver.app_t").schema, lake.read("bronze.ledger")
    past = {at: {row["id"] for row in state_at(ledger, schema, at).collect()} for at in (50, 60, 61, 95, 96)}
    assert past == {50: {1, 2, 11, 13}, 60: {1, 2, 11, 13}, 61: {11, 13}, 95: {1, 11, 13}, 96: set()}
    again = adds_up(cdc.run(work(ticdc=feed(tmp_path / "feed", cut, first | later | late, 99))))
    assert (again["read"], again["backlog"]) == (0, 0)


def test_a_row_lies_where_its_newest_change_says(spark):
    changes = [("k1", 5, "1"), ("k1", 6, "15"), ("k2", 5, "15"), ("k2", 6, "1"), ("k3", 12, "1"), ("k4", 5, "1")]
    rows = [("app.t", "I", ts, 1, key, {"a": a}, "f", n) for n, (key, ts, a) in enumerate(changes)]
    rows.append(("app.t", "I", 11, 1, "k4", {"a": "2"}, "f", 9))
    names = "table string, op string, _commit_ts bigint, _op_rank int, key string, after map<string,string>, "
    frame = spark.createDataFrame(rows, names + "path string, row_no bigint")
    whole = TableLineage((Segment("app.t", 0, None),), (), (PartitionDrop(10, (("a", "int"),), ((None, ("10",)),)),))
    kept = newest(frame.withColumn("run_id", F.lit("")).withColumn("table_version", F.lit(1))).where(~whole.gone())
    assert {row["key"] for row in kept.collect()} == {"k1", "k3", "k4"}, "k2 had moved into the partition"


@pytest.mark.parametrize("how", ["table", "partition"])
def test_a_cut_before_rows_went_still_has_them(lake, ctx, how):
    """What is left of silver is older than the cut, and is not all there was at it."""
    gone = PartitionDrop(ctx.tso + 9, (("user_id", "int"),), ((None, ("5",)),))
    life = TableLineage((Segment("app.blocks", 0, None),), *(((ctx.tso + 9,), ()) if how == "table" else ((), (gone,))))
    own = [
        StructField("_commit_ts", LongType(), True, {LINEAGE: life.to_json()}),
        StructField("_op_rank", IntegerType()),
    ]
    fields = [StructField("user_id", LongType()), StructField("blocked_id", LongType())]
    fields += [StructField("created_at", TimestampType()), *own, StructField("_deleted", BooleanType())]
    lake.create("silver.app_blocks", StructType(fields), comment="")
    row = {"table": "app.blocks", "op": "I", "_commit_ts": ctx.tso - 1, "_op_rank": 1, "key": '["1","2"]', "row_no": 1}
    row |= {"after": {"user_id": "1", "blocked_id": "2"}, "path": "f", "batch": 1, "run_id": "r"}
    lake.append_rows("bronze.ledger", [row])
    assert [row["blocked_id"] for row in read_as_of(lake, "silver.app_blocks", ctx.as_of).collect()] == [2]
