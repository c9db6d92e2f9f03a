"""Where the rows of silver lie: by ranges of the key after a merge, and again after `maintain`."""

import itertools
import math
from datetime import UTC, datetime

import pytest
from pyspark.sql import functions as F

from jobs.engine.maintenance import maintain
from jobs.history.table_lineage import Segment
from jobs.ingest.tidb import silver
from jobs.ingest.tidb.ddl.source_column import Column, SourceColumn
from jobs.ingest.tidb.silver import put, silver_schema
from jobs.ingest.tidb.tables.source_table import SourceTable
from jobs.lake import layout
from jobs.lake.bloom import maybe_among
from jobs.lake.layout import Layout, by_key, extent, files_for, layout_of
from jobs.schema.ops import CHECKPOINTS
from jobs.settings.platform import Maintenance

pytestmark = pytest.mark.spark

ROWS, TABLE = 4_000, "silver.app_pins"
PINS = SourceTable(
    "app", "pins", key=("id",), segments=(Segment("app.pins", 0, None),),
    columns=(Column.first(SourceColumn("id", "BIGINT", nullable=False)), Column.first(SourceColumn("title", "TEXT"))),
)  # fmt: skip


def pins(lake, ids, ts):
    """Return typed rows of pins, their title telling the commit."""
    rows = ids.select("id", F.concat(F.lit("of "), F.lit(str(ts))).alias("title"), F.lit(ts).cast("long"), F.lit(1))
    named = rows.toDF("id", "title", "_commit_ts", "_op_rank").withColumn("_deleted", F.lit(False))
    return named.to(silver_schema(PINS))


@pytest.fixture
def table(lake, monkeypatch):
    """A table of ROWS pins in ten files."""
    monkeypatch.setattr(layout, "ROWS", ROWS // 10)
    lake.create(TABLE, silver_schema(PINS), comment="Pins.")
    ids = lake.spark.range(ROWS).withColumn("id", F.pmod(F.hash("id"), F.lit(1 << 20)).cast("long")).distinct()
    rows = pins(lake, ids, 10).localCheckpoint()
    lake.append(TABLE, by_key(rows, ("id",), ROWS))
    told = {"table": "app.pins", "keys": ["id"], "checkpoint_ts": 10, "batch": 1, "run_id": "run", "status": "live"}
    lake.append_rows(CHECKPOINTS.name, [told | {"at": datetime(2026, 11, 1, tzinfo=UTC)}])
    return rows


def measured(lake):
    return layout_of(lake.files(TABLE, "id"))


def test_a_new_table_has_files_of_ranges_of_its_key_and_a_change_of_scattered_keys_is_a_file_more(
    lake, table, monkeypatch
):
    found = measured(lake)
    assert len(found.files) == 10
    ids = {row.id for row in table.select("id").collect()}
    assert sum(file[1] for file in found.files) == len(ids)
    ends = sorted((least, greatest) for _, _, least, greatest in found.files)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(ends))
    assert found.spread() == pytest.approx(0.1, rel=0.1)

    monkeypatch.setattr(silver, "LARGE", 0)  # rows are told apart by their hash before they are joined
    changed = {n for n in ids if n % 50 == 0} | set(range(1 << 21, (1 << 21) + 20))
    some = lake.spark.createDataFrame([(n,) for n in changed], "id bigint")
    assert put(lake, TABLE, ("id",), pins(lake, some, 20)) == len(changed)
    now = lake.scan(TABLE).select("id", "title", "_commit_ts").collect()
    expected = [(n, "of 20", 20) if n in changed else (n, "of 10", 10) for n in ids | changed]
    assert sorted(tuple(row) for row in now) == sorted(expected)
    assert len(measured(lake).files) == 11


def test_a_filter_of_keys_is_true_of_all_of_them_and_of_few_others(spark):
    keys = spark.range(0, 100_000, 10)
    kept = spark.range(100_000).alias("t").where(maybe_among(keys, ("id",), 10_000, "t"))
    assert kept.join(keys, "id").count() == 10_000
    assert kept.count() < 10_000 + 90_000 * 0.005


@pytest.mark.parametrize(
    ("ids", "scattered"), [(range(500, 600), False), (range(0, 1000, 2), False), (range(0, 1000, 10), True)]
)
def test_where_keys_lie(spark, ids, scattered):
    found = extent(spark.createDataFrame([(i,) for i in ids], "id bigint"), ("id",))
    assert (found.rows, found.ends, found.scattered) == (len(ids), {"id": (ids[0], ids[-1])}, scattered)


def test_keys_that_files_cannot_be_told_by_have_no_ends(spark):
    rows = spark.createDataFrame([(1.5, 1)], "a double, b bigint")
    assert extent(rows, ("a",)).ends == {}
    both = extent(rows, ("a", "b"))
    assert (both.ends, both.scattered) == ({"b": (1, 1)}, False)
    assert extent(rows.limit(0), ("b",)).ends == {}


@pytest.mark.long
def test_maintain_puts_scattered_keys_in_order_and_changes_no_row(lake, table):
    """Half of the rows change, in files that have keys from everywhere: each change would read half of the table."""
    ids = table.select("id").collect()
    for turn in range(2, 7):
        some = lake.spark.createDataFrame(ids[turn::10], "id bigint")
        put(lake, TABLE, ("id",), pins(lake, some, 10 * turn))
    before, rows = measured(lake), lake.scan(TABLE).collect()
    assert before.spread() > 0.3
    version = lake.version(TABLE)
    done = maintain(lake, Maintenance())[TABLE]
    assert done["ordered"]
    assert measured(lake).spread() < 0.2
    assert sorted(lake.scan(TABLE).collect()) == sorted(rows)
    # readers of the change feed see no change
    feed = lake.spark.read.format("delta").option("readChangeFeed", True).option("startingVersion", version + 1)
    assert feed.load(lake.path(TABLE)).isEmpty()
    assert not maintain(lake, Maintenance())[TABLE]["ordered"]


def test_the_number_of_files_grows_with_the_rows_and_then_slower():
    assert [files_for(rows) for rows in (0, 1, 200_000, 10_000_000)] == [1, 1, 1, 50]
    assert files_for(200_000_000) == 1_000
    assert files_for(240_000_000_000) == round(math.sqrt(1_200_000 * 1_000))


def test_a_layout_whose_column_has_few_values_is_left_alone():
    assert Layout([(10, 5, tenant, tenant) for tenant in (1, 2, 3) for _ in range(20)]).spread() == 0
    assert Layout([(10, 5, 0, 99)]).spread() == 0
    assert Layout([(10, 5, None, None)] * 20).spread() == 0
    assert Layout([(10, 5, start, 99) for start in range(20)]).spread() == pytest.approx(0.525)
