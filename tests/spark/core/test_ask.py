"""What `pinlake sql` lets through, which tables it opens, and what it hands back."""

import json
import math
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.errors import ParseException
from pyspark.sql.types import IntegerType, StructField, StructType

from jobs.cli.grid import as_json
from jobs.common.errors import ConfigError
from jobs.lake.delta import Lake
from jobs.lake.sql import answer, ask, fields_of, named, parsed, require_names, require_reading

pytestmark = pytest.mark.spark

READS = (
    "select 1;",
    "with a as (select * from gold.t), b as (select * from a) select * from b where n in (select n from silver.u)",
    "select a.n, b.n from gold.t a left join gold.t b using (n) union all select 1, 2 order by 1 limit 3 offset 1",
    "select n, count(*) from gold.t group by rollup (n) having count(*) > 1",
    "select * from gold.t tablesample (10 percent) lateral view explode(array(1)) as x",
    "select * from (values (1, 'a'), (2, 'b')) as v(n, s) pivot (max(s) for n in (1, 2))",
    "select sum(n) over w from gold.t window w as (partition by n)",
    "select * from gold.t version as of 0",
    "select * from gold.t unpivot (v for k in (n, m))",
    "select distinct n from gold.t except select 3 intersect select 4",
    "select * from range(3), lateral (select id + 1)",
    "select /*+ broadcast(t) */ * from gold.t t distribute by n sort by n",
    "select exists (select 1 from gold.t), (select max(n) from gold.t)",
    "from gold.t |> where n > 1 |> select n |> aggregate count(*)",
    "table gold.t",
    "values (1), (2)",
    "with recursive r(n) as (values (1) union all select n + 1 from r where n < 3) select * from r",
    "select 'delete from gold.t', `drop` from gold.t -- truncate",
    "explain select * from gold.t",
    "show tables in gold", "show databases", "show columns in gold.t", "show create table gold.t", "show functions",
    "describe gold.t", "describe history gold.t", "describe detail gold.t", "describe query select 1",
)  # fmt: skip
WRITES = (
    "delete from gold.t", "update gold.t set n = 1", "insert into gold.t values (1)",
    "insert overwrite gold.t select 1",
    "with a as (select 1) insert into gold.t select * from a", "from gold.t insert into gold.t select *",
    "merge into gold.t using gold.t s on false when matched then delete", "truncate table gold.t", "drop table gold.t",
    "create table gold.x as select 1", "create or replace temp view x as select 1",
    "alter table gold.t add column x int",
    "insert overwrite directory '/tmp/x' using csv select 1", "insert overwrite local directory '/tmp/x' select 1",
    "optimize gold.t", "vacuum gold.t retain 0 hours", "restore table gold.t to version as of 0",
    "create table gold.x shallow clone gold.t", "convert to delta parquet.`/tmp/x`", "reorg table gold.t apply (purge)",
    "set spark.sql.shuffle.partitions = 3", "set x", "reset", "use gold", "cache table gold.t", "refresh table gold.t",
    "analyze table gold.t compute statistics", "call system.x()", "execute immediate 'drop table gold.t'",
    "begin select 1; drop table gold.t; end", "declare variable x int", "add jar '/tmp/x.jar'", "drop database gold",
    "explain delete from gold.t", "explain analyze delete from gold.t", "comment on table gold.t is 'x'",
    "select transform(n) using 'rm -rf /tmp/x' from gold.t", "select reflect('java.lang.System', 'exit', 1)",
    "select 1 where exists (select java_method('java.lang.System', 'exit', 1))", "identifier('gold.t')",
    "grant select on gold.t to x", "lock table gold.t", "msck repair table gold.t", "select 1; select 2",
    "select * from identifier('gold.t')", "selec 1", "",
)  # fmt: skip


@pytest.fixture(scope="module")
def tables(spark, tmp_path_factory):
    """A lake with gold.t and silver tables of odd names, of which one cannot be opened."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("ask") / "lake"))
    struct = StructType([StructField("n", IntegerType()), StructField("a.b c", IntegerType())])
    for name in ("gold.t", "silver.my-db_tag map"):
        lake.create(name, struct, comment="c")
        lake.append(name, spark.createDataFrame([(1, 2), (3, 4)], struct))
    for name in ("silver.App_T", "silver.app_u"):
        write_deltalake(lake.path(name), pa.table({"n": [1, 3]}))
    log = Path(lake.path("gold.broken"), "_delta_log")
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("not a log")
    yield lake
    for layer in ("gold", "silver"):
        lake.spark.sql(f"DROP DATABASE IF EXISTS {layer} CASCADE")


def test_a_query_reads_or_is_refused_before_anything_runs(spark):
    let_through = []
    for query in (*READS, *WRITES):
        with suppress(ConfigError, ParseException):  # what Spark does not parse does not run
            require_reading(parsed(spark, query), query)
            let_through.append(query)
    assert let_through == list(READS)
    asked = "with a as (select 1) select * from a, gold.t join silver.`x.y` z where 1 in (select 2 from ops.r)"
    assert named(parsed(spark, asked)).parts == {
        ("a",), ("gold", "t"), ("silver", "x.y"), ("ops", "r"),
    }  # fmt: skip
    assert named(parsed(spark, "describe history gold.t")).parts == {("gold", "t")}
    assert named(parsed(spark, "explain select * from gold.t version as of 0")).parts == {("gold", "t")}


def test_only_the_tables_named_are_opened_and_faults_are_sentences(tables):
    frame = ask(tables, "select t.n, m.n, m.`a.b c` from gold.t join silver.`my-db_tag map` m using (n) order by 1")
    assert fields_of(frame) == ["n", "n", "a.b c"]
    assert answer(frame, 9) == [(1, 1, 2), (3, 3, 4)]
    with pytest.raises(ConfigError, match="2 columns called n"):
        require_names(frame.schema)
    assert answer(ask(tables, "select count(*) from silver.APP_T"), 1) == [(2,)]
    assert {r[1] for r in answer(ask(tables, "describe history gold.t"), 9) if r[0] == 1}
    assert ("gold", "t", False) in answer(ask(tables, "show tables in gold"), 9)
    for query, said in (
        ("selec 1", "Syntax error"), ("select * from gold.nothing", "cannot be found"), ("select x from gold.t", "`x`"),
        ("delete from gold.t", "only reads"), ("select * from t", "cannot be found"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            ask(tables, query)
    with pytest.raises(ConfigError, match="zero"):
        answer(ask(tables, "select 1 / 0"), 1)
    assert tables.version("gold.t") == 1


def test_values_come_as_they_are(tables):
    frame = ask(
        tables,
        "select double('NaN') x, double('Infinity') y, x'00ff' b, 1.10BD d, timestamp'2026-08-01 00:00:00Z' t, "
        "timestamp_ntz'2026-08-01 00:00:00' u, date'2026-08-01' v, named_struct('k', 1, 'l', null) s, "
        "map(named_struct('a', 1), 'x') m, map('a', timestamp'2026-08-01 00:00:00Z') n, array(map(2, 'b')) o",
    )
    (row,) = answer(frame, 2)
    assert math.isnan(row[0])
    assert row[3:6] == (Decimal("1.10"), datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 8, 1))
    told = as_json(dict(zip(fields_of(frame), row, strict=True)))
    assert json.loads(json.dumps(told, allow_nan=False)) == {
        "x": None, "y": None, "b": "AP8=", "d": "1.10", "t": "2026-08-01T00:00:00Z", "u": "2026-08-01T00:00:00",
        "v": "2026-08-01", "s": {"k": 1, "l": None}, "m": [{"key": {"a": 1}, "value": "x"}],
        "n": {"a": "2026-08-01T00:00:00Z"}, "o": [{"2": "b"}],
    }  # fmt: skip
