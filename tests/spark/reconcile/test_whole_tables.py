"""Every row of every type taken from a real MariaDB, and the command that does it."""

import json
import os
import subprocess
import sys

import pytest

from jobs.ingest.tidb import job as cdc
from tests.realfeed import as_text, expected
from tests.spark.ingest.test_cdc import adds_up
from tests.spark.reconcile.steps import compared, live, repaired
from tests.tablefeeds import BASE, TableFeed

pytestmark = [pytest.mark.spark, pytest.mark.long]


def test_rows_of_every_type_are_taken_from_the_source_as_they_are(lake, work, shared, source):
    link, address = source
    options = {"dumpling": str(shared / "fixtures/dumpling-real/csv-start")}
    adds_up(cdc.run(work(**options)))
    before = {table: live(lake, f"silver.app_{table}") for table in ("users", "boards", "pins", "board_pins")}
    for table, rows in before.items():  # every row is spoilt in the lake, as if nothing of it had come
        lake.delta(f"silver.app_{table}").delete()
        counts = repaired(lake, work, address, f"app.{table}")
        assert counts == {"read": len(rows), "applied": len(rows), "superseded": 0}
        assert compared(lake, address, f"app.{table}").found.differences == 0
    link.query("SET NAMES utf8mb4")
    for table in before:
        columns, key, _ = expected(shared, "start")[f"app_{table}"]
        found = {tuple(r[k] for k in key): r for r in lake.scan(f"silver.app_{table}").collect()}
        with link.cursor() as cursor:
            exact = [c for c in columns if not c["column_type"].startswith(("float", "json"))]
            names = [f"CAST({c['name']} AS CHAR)" for c in exact if c["form"] not in {"hex", "unsigned-decimal"}]
            cursor.execute(f"SELECT {', '.join([*key, *names])} FROM app.{table}")
            for row in cursor:
                mine = found[tuple(row[: len(key)])]
                texts = [as_text(c, mine[c["name"]]) for c in exact if c["form"] not in {"hex", "unsigned-decimal"}]
                assert texts == list(row[len(key) :]), table


def test_the_command_repairs_and_says_so(lake, work, tmp_path, source):
    link, address = source
    link.query("CREATE TABLE app.t (id BIGINT PRIMARY KEY, v VARCHAR(9))")
    link.query("INSERT INTO app.t VALUES (1, 'right'), (2, 'x'), (3, 'right')")
    feed = TableFeed(tmp_path / "feed")
    feed.ddl(5, "app.t", "", ["id BIGINT pk", "v VARCHAR"], action=0)
    feed.rows(5, "app.t", [("I", 10, {"id": 2, "v": "x"}), ("I", 11, {"id": 8, "v": "x"})])
    (feed.root / "metadata").write_text(f'{{"checkpoint-ts":{BASE + 100}}}')
    cdc.run(work(ticdc=str(feed.root)))
    where = ["--source", f"mysql://reader@127.0.0.1:{address.port}", "--lake", lake.root]
    start = [sys.executable, "-m", "jobs.cli", "--set", f"platform.work={tmp_path}/work", "reconcile", "app.t", *where]

    def command(*more):
        env = os.environ | {"PINLAKE_SOURCE_PASSWORD": "pw-reader"}
        return subprocess.run([*start, *more], env=env, capture_output=True, text=True, check=False)

    done = command("--repair", "--settled", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["found"]["differences"] == 3
    same = command()
    assert (same.returncode, "is the same" in same.stdout) == (0, True), same.stderr
    runs = [row for row in lake.rows("ops.runs", "job", "status", "counts") if row["job"] == "ingest.repair"]
    assert [dict(row["counts"]) for row in runs] == [{"read": 3, "applied": 3, "superseded": 0}]
    assert command("--repair", "--against", "mysql://x@y").returncode == 2
