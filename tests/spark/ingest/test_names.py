"""Odd names, colliding names, a table that cannot be written and a reader that breaks down: one run after another."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.common.errors import ConfigError, TableError
from jobs.engine.maintenance import maintain
from jobs.ingest.export import export
from jobs.ingest.loading.batches import BronzeTarget
from jobs.ingest.status import status
from jobs.ingest.tidb import job as cdc
from jobs.ingest.tidb.ticdc.schema_files import checksum
from jobs.schema.bronze_silver import LEDGER
from jobs.settings.platform import Maintenance

pytestmark = pytest.mark.spark

KEYS = ("first name", "_KEY_")
ODD = ("a.b", "x(y);=,", "tab\there", "it's", 'q"q', "名前", "s", "t")
COMMITTED = (
    "_commit_ts",
    "_op_rank",
    "_deleted",
    "_change_type",
    "_metadata",
    "a`b",
    "_row_id_",
    "source_deleted",
    "_id",
)


class Sink:
    """A storage sink written table by table."""

    def __init__(self, root):
        self.root = root
        self.files = Counter()
        """Files by folder: a number that is left out is a file that is missing."""

    def schema(self, name, columns, version=5, query="", action=0):
        """Write a schema file; the key is `id`, or KEYS."""
        schema, table = name
        body = {"Table": table, "Schema": schema, "Version": 1, "TableVersion": version, "Query": query, "Type": action}
        body["TableColumns"] = [
            {"ColumnName": c, "ColumnType": "VARCHAR", "ColumnPrecision": "20"}
            | ({"ColumnNullable": "false", "ColumnIsPk": "true"} if c in {"id", *KEYS} else {})
            for c in columns
        ]
        body["TableColumnsTotal"] = len(columns)
        self._write(f"{schema}/{table}/meta/schema_{version}_{checksum(body):010d}.json", json.dumps(body))

    def rows(self, name, rows, version=5):
        """Write (commit_ts, kind, row) as a file of their own."""
        schema, table = name
        folder = f"{schema}/{table}/{version}"
        self.files[folder] += 1
        file = f"CDC{self.files[folder]:06d}.json"
        lines = [
            {"database": schema, "table": table, "type": kind, "data": [row], "_tidb": {"commitTs": ts}}
            | {"old": [row] if kind == "UPDATE" else None}
            for ts, kind, row in rows
        ]
        self._write(f"{folder}/{file}", "\r\n".join(json.dumps(line) for line in lines))
        self._write(f"{folder}/meta/CDC.index", f"{file}\n")

    def checkpoint(self, ts):
        self._write("metadata", f'{{"checkpoint-ts":{ts}}}')

    def _write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)


def row(columns, key, value):
    return {name: key if name in {"id", *KEYS} else f"{value}{place}" for place, name in enumerate(columns)}


def live(lake, silver):
    return [r.asDict() for r in lake.scan(silver).where("not _deleted").collect()]


def told(root):
    return {one.table: one.blocked_reason for one in status(str(root)) if one.blocked_reason}


@pytest.fixture
def sink(tmp_path):
    return Sink(tmp_path / "feed")


OWN, MAP, FIRST, LATER, FINE = ("my-db", "own"), ("my-db", "tag map's"), ("a_b", "c"), ("a", "b_c"), ("ok", "fine")
ANY = (*KEYS, *ODD, *COMMITTED)


def test_odd_names_go_through_runs_ddl_maintenance_and_export(lake, work, sink, alone, tmp_path):
    for name, columns in ((OWN, ANY), (MAP, ("id", "v")), (FIRST, ("id", "v"))):
        sink.schema(name, columns)
        sink.rows(name, [(10, "INSERT", row(columns, key, "x")) for key in ("k1", "k2", "k3")])
    sink.checkpoint(100)
    counts = cdc.run(work(ticdc=str(sink.root))).counts
    assert (counts["read"], counts["applied"], counts["blocked"]) == (9, 9, 0)
    (first, *_) = sorted(live(lake, "silver.my-db_own"), key=lambda r: r["source_KEY_"])
    known = ("first name", "a.b", "名前", "source_commit_ts", "source_op_rank", "source_deleted_", "source_deleted")
    assert [first[name] for name in known] == ["k1", "x2", "x7", "x10", "x11", "x12", "x17"]
    assert (first["_id"], first["a_b"], first["_commit_ts"], first["_deleted"]) == ("x18", "x15", 10, False)
    assert "_commit_ts of my-db.own" in lake.schema("silver.my-db_own")["source_commit_ts"].metadata["comment"]

    # a later table wants a silver name that is taken; names change in the middle of the feed; rows change
    sink.schema(LATER, ("id", "v"))
    sink.rows(LATER, [(110, "INSERT", {"id": "k9", "v": "other"})])
    sink.schema(MAP, ("id", "v", "two words"), 120, "ALTER TABLE `my-db`.`tag map's` ADD COLUMN `two words` CHAR(9)", 5)
    sink.rows(MAP, [(121, "UPDATE", {"id": "k1", "v": "y", "two words": "w"})], 120)
    sink.schema(FIRST, ("id", "_deleted"), 130, "ALTER TABLE `a_b`.`c` RENAME COLUMN `v` TO `_deleted`", 79)
    sink.rows(FIRST, [(131, "UPDATE", {"id": "k1", "_deleted": "y"})], 130)
    sink.rows(OWN, [(140, "UPDATE", row(ANY, "k1", "y")), (141, "DELETE", row(ANY, "k2", "x"))])
    sink.checkpoint(200)
    counts = cdc.run(work(ticdc=str(sink.root))).counts
    assert (counts["read"], counts["applied"], counts["pending"], counts["blocked"]) == (5, 4, 1, 1)
    assert list(told(lake.root)) == ["a.b_c"]
    assert "silver.a_b_c is that of a_b.c" in told(lake.root)["a.b_c"]
    assert {r["id"]: r["two words"] for r in live(lake, "silver.my-db_tag map_s")} == {
        "k1": "w",
        "k2": None,
        "k3": None,
    }
    assert {r["id"]: r["source_deleted"] for r in live(lake, "silver.a_b_c")} == {"k1": "y", "k2": "x1", "k3": "x1"}
    assert_maintained(alone(lake, "silver.my-db_own", "ops.checkpoints"))

    assert export(lake, ["my-db.own"], tmp_path / "out", "jsonl") == {"my-db.own": 2}
    lines = [json.loads(line) for line in (tmp_path / "out/my-db.own.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [list(ANY)] * 2, "under the source's own names"
    with pytest.raises(ConfigError, match=r"a\.b_c"):
        export(lake, ["a.b_c"], tmp_path / "out", "jsonl")


@pytest.mark.long
def test_a_silver_name_is_another_tables_once_the_first_is_gone_and_its_silver_empty(lake, work, sink):
    sink.schema(FIRST, ("id", "v"))
    sink.rows(FIRST, [(10, "INSERT", {"id": "k1", "v": "x"})])
    sink.checkpoint(100)
    cdc.run(work(ticdc=str(sink.root)))
    sink.schema(LATER, ("id", "v"))
    sink.rows(LATER, [(110, "INSERT", {"id": "k9", "v": "other"})])
    sink.checkpoint(200)
    cdc.run(work(ticdc=str(sink.root)))
    assert list(told(lake.root)) == ["a.b_c"]
    sink.schema(FIRST, ("id", "v"), 210, "DROP TABLE `a_b`.`c`", 4)
    sink.checkpoint(300)
    cdc.run(work(ticdc=str(sink.root)))
    assert live(lake, "silver.a_b_c") == []
    cdc.run(work(ticdc=str(sink.root)))
    assert [(r["id"], r["v"]) for r in live(lake, "silver.a_b_c")] == [("k9", "other")]
    assert list(told(lake.root)) == ["a_b.c"], "gone"


def assert_maintained(lake):
    """Files of odd columns are joined, one that no version needs goes, and rows and change feed stay."""
    stray = Path(lake.path("silver.my-db_own"), "part-00000-of-a-writer-that-was-killed.parquet")
    stray.touch()
    os.utime(stray, (1, 1))
    assert maintain(lake, Maintenance())["silver.my-db_own"]["joined"] > 0
    assert not stray.exists()
    found = {(r["first name"], r["source_KEY_"]): (r["x(y);=,"], r["_id"]) for r in live(lake, "silver.my-db_own")}
    assert found == {("k1", "k1"): ("y3", "y18"), ("k3", "k3"): ("x3", "x18")}
    feed = lake.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 0)
    assert feed.load(lake.path("silver.my-db_own")).where(F.col("_change_type") == "insert").count() == 3


def test_what_breaks_one_table_or_one_file_stops_no_other(lake, work, sink, monkeypatch, tmp_path):
    for name in (FINE, ("ok", "broken"), ("ok", "unread")):
        sink.schema(name, ("id", "v"))
        sink.rows(name, [(10, "INSERT", {"id": "k1", "v": "x"}), (11, "INSERT", {"id": "k2", "v": "x"})])
    sink.checkpoint(100)
    good = cdc.INTAKE.read

    def breaks(task, content):
        for batch in good(task, content):
            yield batch
            if task.table == "ok.unread":
                raise KeyError("e")

    in_the_way = tmp_path / "lake/silver/ok_broken"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("not a folder")
    with monkeypatch.context() as patch:
        patch.setattr(cdc, "INTAKE", BronzeTarget(LEDGER.name, cdc.INTAKE.fields, breaks))
        with pytest.raises(TableError, match=r"silver\.ok_broken was not updated"):
            cdc.run(work(ticdc=str(sink.root)))
    assert [r["id"] for r in live(lake, "silver.ok_fine")] == ["k1", "k2"]
    assert not lake.exists("silver.ok_unread"), "blocked, and not shown as if it were empty"
    (bad,) = lake.read("ops.quarantine").collect()
    assert (bad["table"], bad["row_no"], bad["reason"]) == ("ok.unread", None, "reader_error")
    assert "KeyError" in bad["detail"]
    rows = {one.table: one for one in status(str(lake.root))}
    assert (rows["ok.fine"].applied, rows["ok.broken"].pending, rows["ok.unread"].quarantined) == (2, 2, 1)
    assert rows["ok.broken"].blocked_reason.startswith("failed: silver.ok_broken")
    in_the_way.unlink()
    counts = cdc.run(work(ticdc=str(sink.root))).counts
    assert (counts["backlog"], counts["read"], counts["applied"]) == (2, 2, 4), "the file is read again"
    assert told(lake.root) == {}
