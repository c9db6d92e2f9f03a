"""Snapshot and feed spell values differently: one row a key, in one run and in several, and texts as they were."""

import csv
import json
from datetime import date

import pytest

from jobs.ingest.export import export
from jobs.ingest.tidb import job as cdc
from jobs.ingest.tidb.ticdc.schema_files import checksum
from tests.spark.ingest.test_cdc import adds_up

pytestmark = pytest.mark.spark

TSO = 460000000001000000
KEY = {
    # column: as the schema file has it, SQL type, as the export writes it, as the feed does, and in a later run
    "d": ({"ColumnType": "DOUBLE"}, "double", "1e16", "10000000000000000", "1E+16"),
    "e": (
        {"ColumnType": "TIMESTAMP", "ColumnScale": "3"}, "timestamp(3)", "2026-01-01 00:00:00.250",
        "2026-01-01 08:00:00.250", "2026-01-01 08:00:00.250000",
    ),
    "p": ({"ColumnType": "DECIMAL", "ColumnPrecision": "20", "ColumnScale": "10"}, "decimal(20,10)",
          "0.0000001000", "0.0000001", "1.000E-7"),
}  # fmt: skip
TEXTS = [" lead", "trail ", "\\N", "", None, 'a"b', "back\\", "crlf\r\n", "\t", "NULL"]
CHANGEFEED = (
    'sink-uri = "file:///x?protocol=canal-json&enable-tidb-extension=true"\nserver-timezone = "Asia/Shanghai"\n'
)


def schema_file(root, table, keys, **more):
    made = {"ColumnIsPk": "true", "ColumnNullable": "false"}
    entries = [{"ColumnName": name} | made | key for name, key in keys.items()]
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
    columns = ", ".join(f"`{name}` {kind} NOT NULL" for name, (_, kind, *_) in KEY.items())
    create = f"CREATE TABLE `k` ({columns}, `v` text, PRIMARY KEY (`d`, `e`, `p`))"
    (root / "app.k-schema.sql").write_text(create)
    d, e, p = (exported for _, _, exported, _, _ in KEY.values())
    (root / "app.k.000000000.csv").write_text(f'"d","e","p","v"\r\n{d},"{e}",{p},"old"\r\n')
    (root / "app.geo-schema.sql").write_text("CREATE TABLE `geo` (`k` int, `p` point, PRIMARY KEY (`k`))")
    return str(root)


def live(lake, table, *columns):
    return [tuple(row) for row in lake.read(f"silver.app_{table}").where("not _deleted").select(*columns).collect()]


def test_a_key_is_one_row_and_a_text_leaves_as_it_came(lake, work, tmp_path):
    feed, told = tmp_path / "feed", tmp_path / "feed.toml"
    feed.mkdir()
    told.write_text(CHANGEFEED)
    (feed / "metadata").write_text(json.dumps({"checkpoint-ts": TSO + 1000}))
    schema_file(feed, "k", {name: entry for name, (entry, *_) in KEY.items()})
    data_file(feed, "k", 1, (10, "UPDATE", {name: text for name, (*_, text, _) in KEY.items()} | {"v": "new"}))
    schema_file(feed, "x", {"k": {"ColumnType": "INT"}}, day="DATE", at="DATETIME")
    days = ["0000-00-00", "2026-02-30", "2026-00-10", "0000-01-01", "2026-02-28"]
    rows = [
        {"k": str(n), "v": text, "day": days[n % len(days)], "at": f"{days[n % len(days)]} 10:00:00"}
        for n, text in enumerate(TEXTS)
    ]
    data_file(feed, "x", 1, *[(10, "INSERT", row) for row in rows])
    schema_file(feed, "y", {"k": {"ColumnType": "DATE"}})
    data_file(feed, "y", 1, *[(10, "INSERT", {"k": day, "v": day}) for day in days])
    options = {"ticdc": str(feed), "dumpling": dump(tmp_path / "dump"), "changefeed": str(told), "snapshot_ts": TSO}
    outcome = cdc.run(work(**options))
    counts = adds_up(outcome)
    assert list(outcome.detail["blocked"]) == ["app.geo"], "and the others go on"
    assert live(lake, "k", "v") == [("new",)]
    assert counts["quarantined"] == 4, "keys that silver cannot tell apart"
    assert live(lake, "y", "k", "v") == [(date(2026, 2, 28), "2026-02-28")]
    found = sorted(live(lake, "x", "k", "day", "at"))
    assert [(day, at and at.date()) for _, day, at in found] == [
        *[(None, None)] * 4, (date(2026, 2, 28), date(2026, 2, 28))
    ] * 2  # fmt: skip
    bronze = lake.read("bronze.ledger").where("table = 'app.x'").orderBy("row_no").collect()
    assert [row["after"]["day"] for row in bronze] == days * 2
    data_file(feed, "k", 2, (20, "UPDATE", {name: text for name, (*_, text) in KEY.items()} | {"v": "newer"}))
    adds_up(cdc.run(work(**options)))
    assert live(lake, "k", "v") == [("newer",)]
    keys = lake.read("bronze.ledger").where("table = 'app.k'").select("key").collect()
    assert (len(keys), len(set(keys))) == (3, 1)
    leaves_as_it_came(lake, tmp_path)


def leaves_as_it_came(lake, tmp_path):
    export(lake, ["app.x"], tmp_path, "csv")
    with (tmp_path / "app.x.csv").open(newline="") as file:
        read = {int(row["k"]): row["v"] for row in csv.DictReader(file)}
    assert read == dict(enumerate("\\N" if text is None else text for text in TEXTS))
    content = (tmp_path / "app.x.csv").read_bytes()
    assert b'\n2,"\\N",' in content
    assert b"\n4,\\N," in content
