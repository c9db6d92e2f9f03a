"""One table begun anew with a later snapshot while the feed runs."""

import json

import pytest

from jobs.common.errors import SourceError
from jobs.history.ledger import state_at
from jobs.ingest.tidb import job as cdc
from tests.spark.ingest.test_cdc import adds_up, line, small, state

pytestmark = pytest.mark.spark


def dump(folder, tso, *rows):
    """Write an export of app.t, and of a table that nobody asked for."""
    folder.mkdir(exist_ok=True)
    (folder / "metadata").write_text(f"SHOW MASTER STATUS:\n\tPos: {tso}\nFinished dump at: x\n")
    for table in ("t", "other"):
        create = f"CREATE TABLE `{table}` (`id` BIGINT NOT NULL, `v` VARCHAR(9), PRIMARY KEY (`id`))"
        (folder / f"app.{table}-schema.sql").write_text(create)
        lines = ['"id","v"', *(f'{key},"{value}"' for key, value in rows)]
        (folder / f"app.{table}.000000000.csv").write_text("\r\n".join(lines) + "\r\n")
    return str(folder)


def narrowed(root, version):
    """Write DDL that cannot be followed."""
    from jobs.ingest.tidb.ticdc.schema_files import checksum

    column = {"ColumnName": "id", "ColumnType": "BIGINT", "ColumnNullable": "false", "ColumnIsPk": "true"}
    body = {"Table": "t", "Schema": "app", "Version": 1, "TableVersion": version, "Type": 12}
    body |= {"Query": "ALTER TABLE t MODIFY v JSON", "TableColumnsTotal": 2}
    body["TableColumns"] = [column, {"ColumnName": "v", "ColumnType": "JSON"}]
    (root / f"app/t/meta/schema_{version}_{checksum(body):010d}.json").write_text(json.dumps(body))


def live(lake):
    return {(key, value, ts) for key, value, ts, gone in state(lake) if not gone}


def test_a_blocked_table_goes_on_from_a_later_snapshot_once_the_checkpoint_has_reached_it(lake, work, tmp_path):
    first = dump(tmp_path / "first", 4, (1, "old"), (2, "old"))
    lines = [[line("INSERT", 3, 10)], [line("UPDATE", 3, 161, "late", {"v": "x"}), line("DELETE", 5, 162, "new")]]
    root = small(tmp_path / "feed", lines, checkpoint=100)
    narrowed(tmp_path / "feed", 20)
    begun = {(1, "old", 4), (2, "old", 4), (3, "x", 10)}
    first_run = adds_up(cdc.run(work(ticdc=root, dumpling=first)))
    assert (first_run["blocked"], live(lake)) == (1, begun)
    later = dump(tmp_path / "later", 160, (3, "snap"), (4, "snap"), (5, "snap"))
    waiting = adds_up(cdc.run(work(ticdc=root, dumpling=first, resnapshot=("app.t", later))))
    assert (waiting["pending"], waiting["files"], live(lake)) == (5, 1, begun), "it is above the checkpoint"
    (tmp_path / "feed/metadata").write_text('{"checkpoint-ts":170}')
    counts = adds_up(cdc.run(work(ticdc=root, dumpling=first)))
    assert (counts["blocked"], counts["files"]) == (0, 0)
    assert live(lake) == {(3, "late", 161), (4, "snap", 160)}, "1 and 2 are gone, 5 was deleted since"
    assert not lake.exists("bronze.other")
    assert lake.read("bronze.ledger").where("table = 'app.other' and _commit_ts = 160").isEmpty()
    what_cannot_be_taken_is_said(lambda *named: cdc.run(work(ticdc=root, resnapshot=named)), tmp_path, later)
    for file in (tmp_path / "later").iterdir():
        file.unlink()
    version = lake.version("silver.app_t")
    again = adds_up(cdc.run(work(ticdc=root, dumpling=first)))
    assert (again["read"], again["blocked"], lake.version("silver.app_t")) == (0, 0, version), (
        "the export is not needed"
    )
    past = state_at(lake.read("bronze.ledger"), lake.read("silver.app_t").schema, 15)
    assert {row["id"] for row in past.collect()} == {1, 2, 3}, "a cut before the new snapshot is told from before it"


def what_cannot_be_taken_is_said(run, tmp_path, export):
    with pytest.raises(SourceError, match=r"does not hold app\.gone, it holds app\.other, app\.t"):
        run("app.gone", export)
    with pytest.raises(SourceError, match=r"taken at 90, app\.t began with a snapshot at 160"):
        run("app.t", dump(tmp_path / "older", 90))
