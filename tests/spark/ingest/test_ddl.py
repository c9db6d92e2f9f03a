"""DDL that changes what older rows are, from files to silver: types, tables that come back, columns that are added."""

import json

import pytest
from pyspark.sql import functions as F

from jobs.engine.checkpoints import newest_checkpoints
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
    before = [{"id": str(n)} | {f"c{p}": t for p, t in enumerate(row)} for n, row in enumerate(texts)]
    # what does not fit never gets to silver: it is made of what does
    kept = [{name: None if _lost(name, text) else text for name, text in after.items()} for after in before]
    ledger = "op string, _commit_ts bigint, _op_rank int, before map<string,string>, after map<string,string>"
    some = [(before, AT - 15), (kept, AT - 15), ([_after(row) for row in kept], AT)]
    rows = [("I", ts, place, None, after) for place, (many, ts) in enumerate(some) for after in many]
    frame = spark.createDataFrame(rows, ledger)
    fields = [schema[f"c{place}"] for place in range(len(KNOWN))]
    bad = frame.where("_op_rank = 0").agg(*[F.count_if(unfit(field, AT)).alias(field.name) for field in fields]).first()
    assert list(bad) == [list(values.values()).count(None) for _, _, values in KNOWN]
    found = typed(frame.where("_op_rank > 0"), schema).collect()
    made, wanted = [
        {row["id"]: {f.name: str(row[f.name]) for f in fields} for row in found if row["_op_rank"] == rank}
        for rank in (1, 2)
    ]
    assert made == wanted
    # dates that the calendar lacks are NULL in silver
    exact = {field.name for field in fields if field.dataType.typeName() not in {"date", "timestamp", "timestamp_ntz"}}
    for number, row in enumerate(map(_after, kept)):
        assert {n for n in exact if wanted[number][n] == "None"} == {n for n in exact if row[n] is None}


def _lost(name, text):
    return name != "id" and text is not None and KNOWN[int(name[1:])][2][text] is None


def _after(row):
    values = {n: None if t is None else KNOWN[int(n[1:])][2][t] for n, t in row.items() if n != "id"}
    return {"id": row["id"]} | values


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


NARROW = ("v", "VARCHAR", 5)


def begun(tree):
    """Write tables that statements are to come to."""
    for name in ("long", "fits", "back", "gone", "cut", "more"):
        tree.did(name, 5, f"CREATE TABLE {name} (id BIGINT PRIMARY KEY, v VARCHAR(9))", 3, TEXT)
        tree.put(name, 10, 1, v="abc")
        tree.put(name, 11, 2, v="abcdef" if name == "long" else "17")
    tree.put("fits", 11, 3, v="abcdef")
    tree.put("fits", 12, 3, "DELETE", v="abcdef")
    tree.did("back", 20, "DROP TABLE back", 4, TEXT)
    tree.did("cut", 20, "TRUNCATE TABLE cut", 11, TEXT)
    tree.put("cut", 25, 3, v="new")


def changed(tree):
    """Write statements, and rows after them."""
    tree.did("long", 40, "ALTER TABLE long MODIFY v VARCHAR(5)", 12, NARROW)
    tree.put("long", 41, 1, v="xy")
    tree.did("fits", 40, "ALTER TABLE fits MODIFY v VARCHAR(3)", 12, ("v", "VARCHAR", 3))
    tree.did("back", 36, "CREATE TABLE back (id BIGINT PRIMARY KEY, v VARCHAR(9))", 3, TEXT)
    tree.put("back", 37, 7, v="between")
    tree.did("back", 38, "DROP TABLE back", 4, TEXT)
    tree.did("gone", 40, "DROP TABLE gone", 4, TEXT)
    tree.did("was", 40, "FLASHBACK TABLE cut TO was", 25, TEXT)
    tree.put("was", 41, 2, v="18")
    tree.did("more", 40, "ALTER TABLE more ADD COLUMN b BINARY(2) DEFAULT x'01', ADD COLUMN c INT DEFAULT 7", 61,
             TEXT, ("b", "BINARY", 2), ("c", "INT", 11, {"ColumnDefault": "7"}))  # fmt: skip
    tree.did("more", 42, "ALTER TABLE more MODIFY c DECIMAL(5,2)", 12,
             TEXT, ("b", "BINARY", 2), ("c", "DECIMAL", 5, {"ColumnScale": "2", "ColumnDefault": "7.00"}))  # fmt: skip


def test_what_ddl_makes_of_older_rows_over_several_runs(lake, work, tmp_path):
    tree = Tree(tmp_path / "feed")
    begun(tree)
    adds_up(cdc.run(work(ticdc=tree.at(30))))
    assert (lake.exists("silver.app_back"), live(lake, "cut"), len(live(lake, "long"))) == (False, {3: "new"}, 2)

    changed(tree)
    version = lake.version("silver.app_long")
    counts = adds_up(cdc.run(work(ticdc=tree.at(50))))
    reasons = {name: row.blocked_reason or "" for name, row in newest_checkpoints(lake).items()}
    assert counts["blocked"] == 1
    assert {name for name, reason in reasons.items() if "blocked at" in reason} == {"app.long"}
    assert "column v a type (VARCHAR) that 1 of its values do not fit" in reasons["app.long"]
    assert (live(lake, "long"), lake.version("silver.app_long")) == ({1: "abc", 2: "abcdef"}, version)
    assert live(lake, "fits") == {1: "abc", 2: "17"}, "what was deleted before needs to fit nothing"
    assert (live(lake, "was"), live(lake, "gone")) == ({1: "abc", 2: "18"}, {})
    more = lake.read("silver.app_more").select("b", F.col("c").cast("string")).distinct().collect()
    assert [(bytes(row["b"]), row["c"]) for row in more] == [(b"\x01\x00", "7.00")]

    tree.did("back", 60, "RECOVER TABLE BY JOB 9", 25, TEXT)
    tree.did("long", 60, "TRUNCATE TABLE long", 11, NARROW)
    tree.did("gone", 60, "FLASHBACK TABLE `app`.`gone`", 25, TEXT)
    tree.put("gone", 65, 3, v="two")
    counts = adds_up(cdc.run(work(ticdc=tree.at(70))))
    assert (counts["blocked"], live(lake, "long")) == (1, {}), "two dropped tables were called back"
    assert live(lake, "gone") == {1: "abc", 2: "17", 3: "two"}
    again = adds_up(cdc.run(work(ticdc=tree.at(70))))
    assert not any(again[name] for name in ("read", "backlog", "applied", "files"))


def live(lake, name):
    return {row["id"]: row["v"] for row in lake.read(f"silver.app_{name}").where("not _deleted").collect()}
