"""Exports that are not whole, or hold what is no table: reported or blocked by table, never silently empty."""

import pytest

from jobs.common.errors import SourceError
from jobs.ingest.tidb.dumpling.export import read_export, unblock_begun
from jobs.ingest.tidb.sources import join
from jobs.settings.ingest import Ingest

CREATE = "CREATE TABLE `t` (`id` bigint NOT NULL, `name` varchar(50), PRIMARY KEY (`id`))"
DATA = '"id","name"\r\n1,"a"\r\n'
BEGUN, POSITION, END = (
    "Started dump at: x\n",
    "SHOW MASTER STATUS:\n\tLog: tidb-binlog\n\tPos: 460000000001000000\n\tGTID:\n\n",
    "Finished dump at: y\n",
)
TSO = 460000000001000000
MYSQL = POSITION.replace("tidb-binlog", "mysql-bin.000003").replace(str(TSO), "7502")


def write(root, files):
    there = {"metadata": BEGUN + POSITION + END, "app-schema-create.sql": "CREATE DATABASE `app`;", **files}
    for name, content in there.items():
        (root / name).write_text(content)
    return str(root)


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        (BEGUN + POSITION, "not complete"),
        (BEGUN + END, "REPLICATION CLIENT.*--snapshot-ts"),
        (BEGUN + POSITION.replace(str(TSO), "") + END, "REPLICATION CLIENT"),
        (BEGUN + MYSQL + END, "no TSO of TiDB"),
    ],
)
def test_an_export_without_a_position_says_why_and_how_to_name_it(tmp_path, metadata, match):
    root = write(tmp_path, {"metadata": metadata, "app.t-schema.sql": CREATE, "app.t.000000000.csv": DATA})
    with pytest.raises(SourceError, match=match):
        read_export(root)
    if metadata.endswith(END):
        assert read_export(root, TSO).tso == TSO
    else:
        with pytest.raises(SourceError, match=match):
            read_export(root, TSO)


@pytest.mark.parametrize(
    "position",
    [
        POSITION, POSITION.replace("MASTER", "BINARY LOG"), POSITION.replace("\tGTID:\n", ""),
        POSITION
        + "SHOW MASTER STATUS: /* AFTER CONNECTION POOL ESTABLISHED */\n\tLog: tidb-binlog\n"
        + "\tPos: 470000000000000000\n",
        f"\tPos: {TSO}\n",
    ],
)  # fmt: skip
def test_every_form_of_metadata_says_the_first_position(tmp_path, position):
    root = write(tmp_path, {"metadata": BEGUN + position + END})
    assert read_export(root).tso == read_export(root, TSO).tso == TSO
    with pytest.raises(SourceError, match=f"is {TSO + 1}"):
        read_export(root, TSO + 1)


def test_a_table_of_an_unknown_type_is_blocked_alone_and_not_read_where_it_is_left_out(tmp_path):
    geo = "CREATE TABLE `geo` (`id` bigint NOT NULL, `p` point NOT NULL, PRIMARY KEY (`id`))"
    files = {
        "app.geo-schema.sql": geo,
        "app.geo.000000000.csv": DATA,
        "app.t-schema.sql": CREATE,
        "app.t.000000000.csv": DATA,
    }
    root = write(tmp_path, files)
    sources = join(None, read_export(root), Ingest())
    assert {name: bool(table.blocked_reason) for name, table in sources.tables.items()} == {
        "app.geo": True,
        "app.t": False,
    }
    assert "type 'point" in sources.tables["app.geo"].blocked_reason.lower()
    assert ([item.task.table for item in sources.items], sources.blocked_files) == (
        ["app.t"],
        ["app.geo.000000000.csv"],
    )
    settings = Ingest(tables={"app.geo": {"exclude": True}})
    export = read_export(
        root, None, lambda name: settings.tables[".".join(name)].exclude if ".".join(name) in settings.tables else False
    )
    sources = join(None, export, settings)
    assert (list(sources.tables), sources.blocked_files, export.unknown) == (["app.t"], [], {})


def test_a_view_and_what_else_is_no_table_is_left_out(tmp_path):
    files = {
        "app.t-schema.sql": CREATE, "app.t.000000000.csv": DATA,
        "app.v-schema.sql": "CREATE TABLE `v`(\n`id` int,\n`name` int\n)ENGINE=MyISAM;",
        "app.v-schema-view.sql": "CREATE VIEW `v` AS SELECT 1", "app.s-schema-sequence.sql": "CREATE SEQUENCE `s`",
        "app.t-schema-triggers.sql": "x", "app-schema-post.sql": "x",
    }  # fmt: skip
    export = read_export(write(tmp_path, files))
    assert (list(export.creates), export.blocked, export.unknown) == ([("app", "t")], {}, {})


@pytest.mark.parametrize(
    "name", ["app-t-000000000.csv", "t.app.000000000.csv", "t.csv", "app.t.x.sql.gz", "part/t.000000000.parquet"]
)
def test_a_table_without_rows_beside_files_of_unknown_tables_is_blocked(tmp_path, name):
    (tmp_path / "part").mkdir()
    full = {"app.u-schema.sql": CREATE.replace("`t`", "`u`"), "app.u.000000000.csv": DATA}
    root = write(tmp_path, {"app.t-schema.sql": CREATE, name: DATA} | full)
    export = read_export(root)
    assert "--output-filename-template" in export.blocked["app", "t"]
    assert ("app", "u") not in export.blocked
    assert "app.t" in join(None, export, Ingest()).tables
    unblock_begun(export, lambda table: table == ("app", "t"))
    assert ("app", "t") not in export.blocked, "it was taken in before its files went"


def test_an_empty_table_is_no_fault_and_a_number_that_is_missing_is_said(tmp_path):
    files = {f"app.u.00000000{n}.csv": DATA for n in (0, 1, 3, 7)} | {"app.u-schema.sql": CREATE.replace("`t`", "`u`")}
    export = read_export(write(tmp_path, {"app.t-schema.sql": CREATE} | files))
    assert export.blocked == {}
    (note,) = export.notes
    assert "app.u" in note
    assert "lacks number 2" in note


def test_a_definition_that_cannot_be_read_blocks_its_table(tmp_path):
    files = {"app.t-schema.sql": "", "app.u-schema.sql.gz": "no gzip", "app.u.000000000.csv": DATA}
    sources = join(None, read_export(write(tmp_path, files)), Ingest())
    assert all(table.blocked_reason for table in sources.tables.values())
    assert sorted(sources.tables) == ["app.t", "app.u"]
