"""DDL that changes what older rows are, from files to silver: types, tables that come back, columns that are added."""

import json

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from jobs.history.ledger import typed, unfit
from jobs.history.table_lineage import Segment
from jobs.ingest.tidb import job as cdc
from jobs.ingest.tidb.ddl.source_column import Column
from jobs.ingest.tidb.ddl.type_changes import conversion_steps
from jobs.ingest.tidb.silver import silver_schema
from jobs.ingest.tidb.tables.source_table import SourceTable
from jobs.ingest.tidb.ticdc.schema_files import checksum
from tests.conversions import KNOWN
from tests.spark.ingest.test_cdc import adds_up
from tests.statements import column

pytestmark = pytest.mark.spark

AT = 20
ID = {"ColumnName": "id", "ColumnType": "BIGINT", "ColumnNullable": "false", "ColumnIsPk": "true"}


def test_every_known_conversion_gives_the_same_in_spark_and_says_what_does_not_fit(spark):
    columns = [Column.first(column("id BIGINT NOT NULL"))]
    for place, (old, now, _) in enumerate(KNOWN):
        steps = conversion_steps(column(f"c{place} {old}"), column(f"c{place} {now}"))
        columns.append(Column(column(f"c{place} {now}"), ((0, f"c{place}"),), casts=((AT, steps),)))
    table = SourceTable("app", "t", columns=tuple(columns), key=("id",), segments=(Segment("app.t", 0, None),))
    schema, most = silver_schema(table), max(len(values) for _, _, values in KNOWN)
    texts = [[list(values)[n] if n < len(values) else None for _, _, values in KNOWN] for n in range(most)]
    rows = [("I", 5, 1, None, {"id": str(n)} | {f"c{p}": t for p, t in enumerate(row)}) for n, row in enumerate(texts)]
    rows.append(("I", AT + 5, 1, None, {"id": "99"} | {f"c{p}": t for p, t in enumerate(texts[0])}))
    ledger = "op string, _commit_ts bigint, _op_rank int, before map<string,string>, after map<string,string>"
    frame = spark.createDataFrame(rows, ledger).where("_commit_ts < 20")
    fields = [schema[f"c{place}"] for place in range(len(KNOWN))]
    bad = frame.agg(*[F.count_if(unfit(field, AT)).alias(field.name) for field in fields]).first()
    assert list(bad) == [list(values.values()).count(None) for _, _, values in KNOWN]
    # what does not fit never gets here: silver is made of what does
    kept = [
        {name: None if name != "id" and _lost(name, text) else text for name, text in after.items()}
        for *_, after in rows[:-1]
    ]
    frame = spark.createDataFrame([(*row[:4], after) for row, after in zip(rows, kept, strict=False)], ledger)
    wanted = [("I", AT, 1, None, {"id": after["id"]} | _after(after)) for after in kept]
    plain = StructType([StructField(f.name, f.dataType, True) for f in schema.fields])
    same = [field.name for field in fields]
    found = typed(frame, schema).select("id", *same)
    assert found.exceptAll(typed(spark.createDataFrame(wanted, ledger), plain).select("id", *same)).count() == 0


def _lost(name, text):
    return text is not None and KNOWN[int(name[1:])][2][text] is None


def _after(row):
    return {n: None if t is None else KNOWN[int(n[1:])][2][t] for n, t in row.items() if n != "id"}


class Tree:
    """A feed of several tables app.NAME."""

    def __init__(self, root):
        self.root, self.version, self.lines = root, {}, {}

    def at(self, checkpoint):
        """Write what there is, and the checkpoint."""
        for (name, version), lines in self.lines.items():
            self._put(f"app/{name}/{version}/CDC000001.json", "\n".join(lines))
            self._put(f"app/{name}/{version}/meta/CDC.index", "CDC000001.json\n")
        self._put("metadata", json.dumps({"checkpoint-ts": checkpoint}))
        return str(self.root)

    def did(self, name, version, query, action, *columns):
        """Write a statement; a column is (name, type, length, more)."""
        entries = [ID, *(self._entry(*one) for one in columns)]
        body = {"Table": name, "Schema": "app", "Version": 1, "TableVersion": version, "Query": query, "Type": action}
        body |= {"TableColumns": entries, "TableColumnsTotal": len(entries)}
        self._put(f"app/{name}/meta/schema_{version}_{checksum(body):010d}.json", json.dumps(body))
        self.version[name] = version

    def put(self, name, ts, key, kind="INSERT", **values):
        """Write a row."""
        row = {"id": str(key)} | values
        body = {"database": "app", "table": name, "type": kind, "data": [row], "old": None}
        body["_tidb"] = {"commitTs": ts}
        self.lines.setdefault((name, self.version[name]), []).append(json.dumps(body))

    def _entry(self, name, kind, length=None, more=None):
        made = {"ColumnName": name, "ColumnType": kind} | (more or {})
        return made | ({"ColumnPrecision": str(length)} if length else {})

    def _put(self, path, content):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text() != content:  # a file that is written again is read again
            file.write_text(content)


TEXT = ("v", "VARCHAR", 9)


def test_what_ddl_makes_of_older_rows_over_several_runs(lake, work, tmp_path):
    tree = Tree(tmp_path / "feed")
    for name in ("long", "fits", "back", "cut", "more"):
        tree.did(name, 5, f"CREATE TABLE {name} (id BIGINT PRIMARY KEY, v VARCHAR(9))", 3, TEXT)
        tree.put(name, 10, 1, v="abc")
        tree.put(name, 11, 2, v="abcdef" if name == "long" else "17")
    tree.did("back", 20, "DROP TABLE back", 4, TEXT)
    tree.did("cut", 20, "TRUNCATE TABLE cut", 11, TEXT)
    tree.put("cut", 25, 3, v="new")
    tree.did("less", 5, "CREATE TABLE less (id BIGINT PRIMARY KEY, v BIGINT)", 3, ("v", "BIGINT"))
    tree.put("less", 10, 1, v="300")
    tree.put("less", 11, 2, v="5")
    tree.put("less", 12, 1, "DELETE", v="300")
    adds_up(cdc.run(work(ticdc=tree.at(30))))
    assert (lake.exists("silver.app_back"), live(lake, "cut"), len(live(lake, "long"))) == (False, {3: "new"}, 2)

    tree.did("long", 40, "ALTER TABLE long MODIFY v VARCHAR(5)", 12, ("v", "VARCHAR", 5))
    tree.put("long", 41, 1, v="xy")
    tree.did("fits", 40, "ALTER TABLE fits MODIFY v VARCHAR(3)", 12, ("v", "VARCHAR", 3))
    tree.did("less", 40, "ALTER TABLE less MODIFY v TINYINT", 12, ("v", "TINYINT"))
    tree.did("back", 36, "CREATE TABLE back (id BIGINT PRIMARY KEY, v VARCHAR(9))", 3, TEXT)
    tree.put("back", 37, 7, v="between")
    tree.did("back", 38, "DROP TABLE back", 4, TEXT)
    tree.did("was", 40, "FLASHBACK TABLE cut TO was", 25, TEXT)
    tree.put("was", 41, 2, v="18")
    tree.did("more", 40, "ALTER TABLE more ADD COLUMN b BINARY(2) DEFAULT x'01', ADD COLUMN c INT DEFAULT 7", 61,
             TEXT, ("b", "BINARY", 2), ("c", "INT", 11, {"ColumnDefault": "7"}))  # fmt: skip
    tree.did("more", 42, "ALTER TABLE more MODIFY c DECIMAL(5,2)", 12,
             TEXT, ("b", "BINARY", 2), ("c", "DECIMAL", 5, {"ColumnScale": "2", "ColumnDefault": "7.00"}))  # fmt: skip
    version = lake.version("silver.app_long")
    counts = adds_up(cdc.run(work(ticdc=tree.at(50))))
    blocked = {
        r["table"]: r["blocked_reason"]
        for r in lake.read("ops.checkpoints").where("blocked_reason like '%blocked at%'").collect()
    }
    assert (counts["blocked"], set(blocked)) == (1, {"app.long"})
    assert "column v a type (VARCHAR) that 1 of its values do not fit" in blocked["app.long"]
    assert (live(lake, "long"), lake.version("silver.app_long")) == ({1: "abc", 2: "abcdef"}, version)
    assert (live(lake, "fits"), live(lake, "was")) == ({1: "abc", 2: "17"}, {1: "abc", 2: "18"})
    assert live(lake, "less") == {2: 5}, "what was deleted before needs to fit nothing"
    more = lake.read("silver.app_more").select("b", F.col("c").cast("string")).distinct().collect()
    assert [(bytes(row["b"]), row["c"]) for row in more] == [(b"\x01\x00", "7.00")]

    tree.did("back", 60, "RECOVER TABLE BY JOB 9", 25, TEXT)
    tree.did("long", 60, "TRUNCATE TABLE long", 11, ("v", "VARCHAR", 5))
    counts = adds_up(cdc.run(work(ticdc=tree.at(70))))
    assert (counts["blocked"], live(lake, "long")) == (1, {}), "two dropped tables were called back"
    again = adds_up(cdc.run(work(ticdc=tree.at(70))))
    assert not any(again[name] for name in ("read", "carried", "applied", "files"))


def live(lake, name):
    return {row["id"]: row["v"] for row in lake.read(f"silver.app_{name}").where("not _deleted").collect()}


def test_a_table_dropped_in_one_run_comes_back_in_the_next(lake, work, tmp_path):
    tree = Tree(tmp_path / "feed")
    tree.did("t", 5, "CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(9))", 3, TEXT)
    tree.put("t", 10, 1, v="one")
    adds_up(cdc.run(work(ticdc=tree.at(15))))
    tree.did("t", 20, "DROP TABLE t", 4, TEXT)
    adds_up(cdc.run(work(ticdc=tree.at(25))))
    assert live(lake, "t") == {}
    tree.did("t", 30, "FLASHBACK TABLE `app`.`t`", 25, TEXT)
    tree.put("t", 35, 2, v="two")
    adds_up(cdc.run(work(ticdc=tree.at(40))))
    assert live(lake, "t") == {1: "one", 2: "two"}
    again = adds_up(cdc.run(work(ticdc=tree.at(40))))
    assert not any(again[name] for name in ("read", "carried", "applied", "files"))
