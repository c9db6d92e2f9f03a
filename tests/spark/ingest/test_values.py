"""Snapshot and feed spell values differently: one row a key, in one run and in several, and texts as they were."""

import csv
import json
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.ingest.export import export
from jobs.ingest.tidb import job as cdc
from jobs.ingest.tidb.ticdc.schema_files import checksum
from tests.spark.ingest.test_cdc import adds_up

pytestmark = pytest.mark.spark

TSO = 460000000001000000
KEYS = {
    # table: schema file's column, SQL type, as the export writes it, as the feed does, and in a later run
    "d": ({"ColumnType": "DOUBLE"}, "double", "1e16", "10000000000000000", "1E+16"),
    "e": (
        {"ColumnType": "TIMESTAMP", "ColumnScale": "3"}, "timestamp(3)", '"2026-01-01 00:00:00.250"',
        "2026-01-01 08:00:00.250", "2026-01-01 08:00:00.250000",
    ),
    "p": ({"ColumnType": "DECIMAL", "ColumnPrecision": "20", "ColumnScale": "10"}, "decimal(20,10)",
          Decimal("0.0000001"), "0.0000001000", "1.000E-7"),
}  # fmt: skip
TEXTS = [" lead", "trail ", "\\N", "", None, 'a"b', "back\\", "crlf\r\n", "\t", "NULL"]
CHANGEFEED = (
    'sink-uri = "file:///x?protocol=canal-json&enable-tidb-extension=true"\nserver-timezone = "Asia/Shanghai"\n'
)


def schema_file(root, table, key, **more):
    entries = [{"ColumnName": "k", "ColumnIsPk": "true", "ColumnNullable": "false"} | key]
    entries += [{"ColumnName": name, "ColumnType": kind} for name, kind in ({"v": "TEXT"} | more).items()]
    body = {"Table": table, "Schema": "app", "Version": 1, "TableVersion": TSO, "Query": "", "Type": 0,
            "TableColumns": entries, "TableColumnsTotal": len(entries)}  # fmt: skip
    meta = root / f"app/{table}/meta"
    meta.mkdir(parents=True)
    (meta / f"schema_{TSO}_{checksum(body):010d}.json").write_text(json.dumps(body))


def data_file(root, table, number, *rows):
    folder = root / f"app/{table}/{TSO}/2026-08-01"
    (folder / "meta").mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"database": "app", "table": table, "type": kind, "data": [row], "_tidb": {"commitTs": TSO + at}}
                   | ({"old": [row]} if kind == "UPDATE" else {}))
        for at, kind, row in rows
    ]  # fmt: skip
    (folder / f"CDC{number:06}.json").write_text("\r\n".join(lines))
    (folder / "meta/CDC.index").write_text(f"CDC{number:06}.json\n")


def dump(root):
    root.mkdir()
    (root / "metadata").write_text("Started dump at: x\nFinished dump at: y\n")
    for table, (_, kind, key, _, _) in KEYS.items():
        create = f"CREATE TABLE `{table}` (`k` {kind} NOT NULL, `v` text, PRIMARY KEY (`k`))"
        (root / f"app.{table}-schema.sql").write_text(create)
        if table == "p":
            made = pa.table({"k": pa.array([key], pa.decimal128(20, 10)), "v": ["old"]})
            pq.write_table(made, root / "app.p.000000000.parquet")
        else:
            (root / f"app.{table}.000000000.csv").write_text(f'"k","v"\r\n{key},"old"\r\n')
    (root / "app.geo-schema.sql").write_text("CREATE TABLE `geo` (`k` int, `p` point, PRIMARY KEY (`k`))")
    return str(root)


def live(lake, table):
    return [tuple(row)[:2] for row in lake.read(f"silver.app_{table}").where("not _deleted").collect()]


def test_a_key_is_one_row_and_a_text_leaves_as_it_came(lake, work, tmp_path):
    feed, told = tmp_path / "feed", tmp_path / "feed.toml"
    feed.mkdir()
    told.write_text(CHANGEFEED)
    (feed / "metadata").write_text(json.dumps({"checkpoint-ts": TSO + 1000}))
    for table, (key, _, _, text, _) in KEYS.items():
        schema_file(feed, table, key)
        data_file(feed, table, 1, (10, "UPDATE", {"k": text, "v": "new"}))
    schema_file(feed, "x", {"ColumnType": "INT"}, day="DATE", at="DATETIME")
    days = ["0000-00-00", "2026-02-30", "2026-00-10", "0000-01-01", "2026-02-28"]
    rows = [{"k": str(n), "v": None, "day": day, "at": f"{day} 10:00:00"} for n, day in enumerate(days)]
    data_file(feed, "x", 1, *[(10, "INSERT", row) for row in rows])
    schema_file(feed, "s", {"ColumnType": "INT"})
    data_file(feed, "s", 1, *[(10, "INSERT", {"k": str(n), "v": text}) for n, text in enumerate(TEXTS)])
    schema_file(feed, "y", {"ColumnType": "DATE"})
    data_file(feed, "y", 1, *[(10, "INSERT", {"k": day, "v": day}) for day in days])
    options = {"ticdc": str(feed), "dumpling": dump(tmp_path / "dump"), "changefeed": str(told), "snapshot_ts": TSO}
    outcome = cdc.run(work(**options))
    counts = adds_up(outcome)
    assert list(outcome.detail["blocked"]) == ["app.geo"], "and the others go on"
    assert {table: [value for _, value in live(lake, table)] for table in KEYS} == {table: ["new"] for table in KEYS}
    assert counts["quarantined"] == 4, "keys that silver cannot tell apart"
    assert live(lake, "y") == [(date(2026, 2, 28), "2026-02-28")]
    found = lake.read("silver.app_x").orderBy("k").collect()
    assert [(row["day"], row["at"] and row["at"].date()) for row in found] == [
        *[(None, None)] * 4, (date(2026, 2, 28), date(2026, 2, 28))
    ]  # fmt: skip
    bronze = lake.read("bronze.ledger").where("table = 'app.x'").orderBy("row_no").collect()
    assert [row["after"]["day"] for row in bronze] == days
    for table, (_, _, _, _, text) in KEYS.items():
        data_file(feed, table, 2, (20, "UPDATE", {"k": text, "v": "newer"}))
    adds_up(cdc.run(work(**options)))
    assert {table: [value for _, value in live(lake, table)] for table in KEYS} == {table: ["newer"] for table in KEYS}
    keys = lake.read("bronze.ledger").where("table in ('app.d', 'app.e', 'app.p')").select("table", "key").distinct()
    assert keys.count() == len(KEYS)
    export(lake, ["app.s"], tmp_path, "csv")
    with (tmp_path / "app.s.csv").open(newline="") as file:
        read = {int(row["k"]): row["v"] for row in csv.DictReader(file)}
    assert read == dict(enumerate("\\N" if text is None else text for text in TEXTS))
    content = (tmp_path / "app.s.csv").read_bytes()
    assert b'\n2,"\\N"\n' in content
    assert b"\n4,\\N\n" in content
