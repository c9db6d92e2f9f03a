"""Names that silver, bronze, Delta or a file system cannot have: mapped, or of one table that is blocked."""

from dataclasses import replace

import pytest

from jobs.engine.checkpoints import Checkpoint, TableStatus
from jobs.history.table_lineage import Segment
from jobs.ingest.loading.storage import StoredFile
from jobs.ingest.tidb.ddl.source_column import Column, SourceColumn
from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.tables.source_table import SourceTable, table_named
from jobs.ingest.tidb.tables.table_names import block_unwritable
from jobs.ingest.tidb.ticdc.object_paths import Data, Folder
from jobs.ingest.tidb.ticdc.schema_files import SchemaFile
from jobs.ingest.tidb.ticdc.sink_listing import SinkListing
from jobs.schema import names
from jobs.settings.ingest import Ingest

LIVE = TableStatus.LIVE
ID = SourceColumn("id", "BIGINT", nullable=False)


def table(full_name, *columns, before=(), ended=None):
    schema, _, name = full_name.partition(".")
    spans = [Segment(one, 0, 5) for one in before] + [Segment(full_name, 0, ended)]
    made = [Column.first(replace(ID, name=one)) for one in columns or ("id",)]
    return SourceTable(schema, name, columns=tuple(made), key=("id",), segments=tuple(spans), ended=ended)


def checkpoint(name, status):
    return Checkpoint(table=name, checkpoint_ts=1, batch=1, keys=["id"], status=status)


def blocked(*tables, **past):
    """Return the blocked tables, and why, after a run that left `past` (name -> status, dots written __)."""
    known = {t.full_name if t.ended is None else f"{t.full_name}@{t.ended}": t for t in tables}
    names = {name.replace("__", "."): status for name, status in past.items()}
    block_unwritable(known, {name: checkpoint(name, status) for name, status in names.items()})
    return {name: t.blocked_reason for name, t in known.items() if t.blocked_reason}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("first name", "first name"),
        ("a.b", "a.b"),
        ("_deleted", "source_deleted"),
        ("_Commit_TS", "source_Commit_TS"),
        ("_op_rank", "source_op_rank"),
        ("_change_type", "source_change_type"),
        ("_metadata", "source_metadata"),
        ("_row_id_", "source_row_id_"),
        ("__delta_internal_row_index", "source__delta_internal_row_index"),
        ("a`b", "a_b"),
        ("_row_id`", "source_row_id_"),
        ("_id", "_id"),
        ("deleted", "deleted"),
    ],
)
def test_a_column_keeps_its_name_unless_it_is_taken(given, wanted):
    assert names.silver_columns([given]) == {given: wanted}


def test_a_taken_name_never_becomes_another_columns():
    found = names.silver_columns(["_deleted", "SOURCE_DELETED", "_Deleted", "source_deleted_"])
    assert list(found) == ["_deleted", "SOURCE_DELETED", "_Deleted", "source_deleted_"]
    assert found["SOURCE_DELETED"] == "SOURCE_DELETED"
    assert len({name.lower() for name in found.values()}) == 4
    assert names.silver_columns(["a`b", "A_b", "a``b"]) == {"a`b": "a_b_", "A_b": "A_b", "a``b": "a__b"}


@pytest.mark.parametrize("name", ["a b", "a,b", "a;b", "{a", "a}", "(", ")", "a=b", "a\tb", "a\nb", " ", "", "\u00a0"])
def test_names_that_files_cannot_have_are_mapped(name):
    assert names.needs_mapping(["id", name])


@pytest.mark.parametrize("name", ["a.b", "a`b", "it's", '"q"', "名前", "a/b", "a%b", "x" * 64])
def test_names_that_files_can_have_are_not(name):
    assert not names.needs_mapping(["id", name])


def test_a_silver_table_is_one_folder_whatever_its_name():
    assert names.silver_table("app.pins") == "silver.app_pins"
    assert names.silver_table("my-db.tag map") == "silver.my-db_tag map"
    assert names.silver_table("my-db.a.b") == "silver.my-db_a.b"
    for name in ("app.a/b", "app./../../x", "app.a:b", "app.t@v1", "app.a%2Fb", "app.a'b", "app.a`b", "app.a\tb"):
        folder = names.silver_table(name).removeprefix("silver.")
        assert not set("/:@%'`\t") & set(folder), folder
    long = names.silver_table("名" * 64 + "." + "表" * 64)
    assert len(long.encode()) <= 210
    assert long != names.silver_table("名" * 64 + "." + "表" * 63 + "x")


def test_a_schema_with_a_dot_has_the_silver_table_that_its_full_name_tells():
    assert SourceTable("a.b", "c").silver == table_named("a.b.c").silver == "silver.a_b.c"


def test_columns_that_differ_in_case_only_hold_their_table():
    found = blocked(table("app.t", "id", "Name", "name"), table("app.u", "id", "name"))
    assert list(found) == ["app.t"]
    assert "Name, name differ in case only" in found["app.t"]


def test_of_two_tables_for_one_silver_name_one_is_blocked_and_tells_whose_it_is():
    tables = {one.full_name: one for one in (table("a_b.c"), table("a.b_c"), table("ok.fine"))}
    block_unwritable(tables, {})
    assert {name: one.lacks_silver for name, one in tables.items()} == {"a_b.c": True, "a.b_c": False, "ok.fine": False}
    assert "silver.a_b_c is that of a.b_c" in tables["a_b.c"].blocked_reason
    assert list(blocked(table("App.T"), table("app.t"))) == ["app.t"], "SQL and some file systems do not tell case"


def test_who_had_a_silver_table_first_keeps_it():
    assert list(blocked(table("a_b.c"), table("a.b_c"), a_b__c=LIVE)) == ["a.b_c"]
    assert list(blocked(table("a.b_c"), a_b__c=LIVE)) == ["a.b_c"], "though this run does not see its table"
    assert list(blocked(table("a_b.c"), table("a.b_c"), a_b__c=TableStatus.NO_SILVER, a__b_c=LIVE)) == ["a_b.c"]
    assert list(blocked(table("a_b.c"), table("a.b_c"), a_b__c=TableStatus.NO_SILVER, a__b_c=TableStatus.BLOCKED)) == [
        "a_b.c"
    ]
    assert not blocked(table("a_b.c"), a__b_c=TableStatus.GONE), "until the source has it no more"


def test_a_silver_table_is_free_only_once_it_has_been_emptied():
    assert list(blocked(table("a.b_c"), table("a_b.c", ended=9), a_b__c=None)) == ["a.b_c"]


def test_a_table_renamed_to_another_name_of_its_silver_table_keeps_it():
    assert not blocked(table("a.b_c", before=["a_b.c"]), a_b__c=None)
    assert not blocked(table("app.t", before=["app.T"]), app__T=None)
    again = blocked(table("a.b_c", before=["a_b.c"]), table("a_b.c"), a_b__c=None)
    assert len(again) == 1, "one of them has it"


def test_silver_tables_of_the_registry_are_kept_for_theirs():
    found = blocked(table("pin.events"), table("app_board.pins"), table("app.users"))
    assert set(found) == {"pin.events", "app_board.pins"}
    assert "is that of app.board_pins" in found["app_board.pins"]
    assert not blocked(table("App.Users")), "TiDB does not tell case either"


def _feed(*full):
    feed = SinkListing("/feed", 100)
    for schema, name in full:
        column = (replace(ID),)
        feed.schemas[schema, name] = [SchemaFile("x", schema, name, 10, "", 0, column, ("id",))]
        folder = Folder(schema, name, 10)
        feed.data.append((StoredFile(f"{schema}/{name}/10/CDC000001.json", 5, ""), Data(folder, 1, "json")))
    return feed


def test_tables_that_bronze_could_not_tell_apart_are_not_read_and_the_others_are():
    sources = join(_feed(("a.b", "c"), ("a", "b.c"), ("ok", "fine")), None, Ingest())
    assert {name for name, one in sources.tables.items() if one.blocked_reason} == {"a.b.c"}
    assert [item.task.table for item in sources.items] == ["ok.fine"]
    assert len(sources.blocked_files) == 2
    assert "table b.c of schema a and table c of schema a.b" in sources.tables["a.b.c"].blocked_reason


def test_a_name_with_a_slash_blocks_its_table():
    feed = _feed(("ok", "fine"))
    feed.unknown["geo/tag/map/meta/schema_10_0000000001.json"] = (5, "unknown_path", "")
    feed.unknown["geo/odd.txt"] = (5, "unknown_path", "")
    sources = join(feed, None, Ingest())
    assert {name: one.blocked_from_ts for name, one in sources.tables.items()} == {"ok.fine": None, "geo.tag/map": 0}
    assert "slash" in sources.tables["geo.tag/map"].blocked_reason


def test_a_name_too_long_for_a_partition_blocks_its_table():
    sources = join(_feed(("名" * 64, "表" * 64), ("a" * 64, "b" * 64)), None, Ingest())
    assert [item.task.table for item in sources.items] == ["a" * 64 + "." + "b" * 64]
    (blocked_one,) = [one.blocked_reason for one in sources.tables.values() if one.blocked_reason]
    assert "255 bytes" in blocked_one
