"""Which DDL a table lives through, and where it is held."""

import pytest

from jobs.config.ingest import Ingest, TableRules
from jobs.errors import SourceError
from jobs.ingest.ddl import parse_create
from jobs.ingest.dumpling import Export
from jobs.ingest.feed import Feed
from jobs.ingest.history import trace
from jobs.ingest.mysql import SourceColumn
from jobs.ingest.schemafile import SchemaFile
from jobs.ingest.sources import join
from jobs.ingest.storage import StoredFile
from jobs.ingest.tree import Data, Folder, SchemaPath
from jobs.ingest.versions import Snapshot

ID = SourceColumn("id", "BIGINT", nullable=False)
NAME = SourceColumn("name", "VARCHAR", length=20)
CREATE = parse_create("CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20))", "f")


def schema(version, *columns, query="", action=0, table="t", key=("id",)):
    return SchemaFile(f"app/{table}/meta/x", "app", table, version, query, action, columns or (ID, NAME), key)


def life(*files, snapshot=True, checkpoint=100, rules=None):
    start = Snapshot(10, CREATE) if snapshot else None
    return trace(("app", "t"), files, start, rules or TableRules(), checkpoint)


def test_a_table_that_never_changed_lives_by_its_snapshot():
    table = life()
    assert ([c.name for c in table.columns], table.key, table.barrier) == (["id", "name"], ("id",), None)
    assert table.limit(100) == 100


def test_an_added_column_brings_the_default_its_older_rows_have():
    added = SourceColumn("n", "INT", True, nullable=False, default="7")
    table = life(schema(10), schema(20, ID, NAME, added, action=5, query="ALTER TABLE t ADD COLUMN n INT DEFAULT 7"))
    assert (table.added["n"].version, table.added["n"].default, table.held) == (20, "7", None)
    assert [c.name for c in table.columns] == ["id", "name", "n"]


def test_a_column_added_above_the_checkpoint_is_not_there_yet():
    table = life(schema(10), schema(120, ID, NAME, SourceColumn("n", "INT"), action=5))
    assert [c.name for c in table.columns] == ["id", "name"]
    assert 120 in table.versions, "rows above the checkpoint must still be read into bronze"


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (schema(20, ID, action=6, query="DROP COLUMN"), "drops or renames column name"),
        (schema(20, ID, SourceColumn("title", "VARCHAR", length=20), action=12), "drops or renames column name"),
        (schema(20, ID, SourceColumn("name", "BLOB"), action=12), "changes column name from VARCHAR to BLOB"),
        (schema(20, ID, SourceColumn("name", "VARCHAR", length=5), action=12), "narrows column name"),
        (schema(20, action=11, query="TRUNCATE TABLE t"), "truncates the table"),
        (schema(20, action=4), "drops the table"),
        (schema(20, action=3), "creates the table anew"),
        (schema(20, action=42), "exchanges a partition"),
        (schema(20, ID, NAME, key=("name",)), "changes the key from id to name"),
        (schema(20, ID, NAME, SourceColumn("at", "TIMESTAMP", default="CURRENT_TIMESTAMP"), action=5),
         "computes the default of at"),
    ],
)  # fmt: skip
def test_ddl_that_merging_cannot_follow_holds_the_table_and_says_what_to_do(file, says):
    table = life(schema(10), file, schema(30))
    assert table.barrier == 20
    assert table.limit(100) == 19
    assert "app.t is held at 20" in table.held
    assert says in table.held
    assert "take a new snapshot" in table.held
    assert life(schema(10), file, checkpoint=19).held is None, "what lies above the checkpoint has not happened"


@pytest.mark.parametrize(
    "file",
    [
        schema(20, ID, SourceColumn("name", "VARCHAR", length=80), action=12),
        schema(20, ID, SourceColumn("name", "MEDIUMTEXT", length=80), action=12),
        schema(20, action=7, query="CREATE INDEX"),
        schema(20, NAME, ID, action=12),
    ],
)
def test_ddl_that_changes_no_row_is_lived_through(file):
    assert life(schema(10), file).held is None


def test_ddl_before_the_snapshot_is_in_the_snapshot():
    assert life(schema(5, action=11), schema(8, ID, action=6), schema(10)).held is None


def test_a_table_that_comes_in_the_stream_starts_with_its_create():
    query = "CREATE TABLE t (id BIGINT NOT NULL, k ENUM('a','b'), g INT AS (id + 1), UNIQUE KEY u (id))"
    columns = (ID, SourceColumn("k", "ENUM"), SourceColumn("g", "INT"))
    table = life(schema(20, *columns, action=3, query=query, key=()), snapshot=False)
    assert table.key == ("id",), "the unique key is in the DDL alone"
    assert table.columns[1].members == ("a", "b"), "the classic writer leaves members out of the schema file"
    assert [c.name for c in table.columns] == ["id", "k"], "rows never carry a virtual generated column"
    assert table.held is None


def test_a_table_is_there_from_its_first_version_until_it_is_held():
    assert life().exists_at(100)
    assert not life(schema(120, action=3), snapshot=False).exists_at(100), "created above the checkpoint"
    assert not life(schema(20, action=14), snapshot=False).exists_at(100), "held from the beginning"
    assert life(schema(10), schema(20, action=11)).exists_at(100)


def test_a_table_without_a_key_is_held_until_conf_names_one():
    assert "ingest.tables.app.t.keys" in life(schema(20, key=()), snapshot=False).held
    assert life(schema(20, key=()), snapshot=False, rules=TableRules(keys=("name",))).key == ("name",)


def _feed(*files, data=(), broken=()):
    feed = Feed("/feed", 100)
    for file in files:
        feed.schemas.setdefault((file.schema, file.table), []).append(file)
    feed.data = [(StoredFile(path, 1, ""), what) for path, what in data]
    feed.broken = list(broken)
    return feed


def test_a_rename_holds_both_names():
    files = (schema(10), schema(20, table="u", action=14, query="RENAME TABLE `app`.`t` TO `app`.`u`"))
    tables = join(_feed(*files), None, Ingest()).tables
    assert (tables["app.t"].barrier, tables["app.u"].barrier) == (20, 20)
    assert "renames it away" in tables["app.t"].held


def test_a_dropped_database_holds_its_tables():
    feed = _feed(schema(10), schema(10, table="u"))
    feed.databases = [SchemaFile("p", "app", "", 50, "DROP DATABASE `app`", 2, (), ())]
    assert {t.barrier for t in join(feed, None, Ingest()).tables.values()} == {50}


def test_a_file_is_read_by_the_newest_schema_that_is_not_newer():
    folder = Folder("app", "t", 15)
    feed = _feed(schema(10), schema(20, ID), data=[("app/t/15/CDC000001.json", Data(folder, 1, "json"))])
    (item,) = join(feed, None, Ingest()).items
    assert item.task.spec.version == 10
    assert [c.name for c in item.task.spec.columns] == ["id", "name"]


def test_a_schema_file_that_cannot_be_trusted_holds_its_table_and_leaves_its_files():
    bad = (SchemaPath("app", "t", 20, 1), SourceError("app/t/meta/schema_20.json: altered"))
    old, new = (Data(Folder("app", "t", v), 1, "json") for v in (10, 20))
    feed = _feed(schema(10), schema(10, table="u"), data=[("old", old), ("new", new)], broken=[bad])
    sources = join(feed, None, Ingest())
    assert [item.task.object for item in sources.items] == ["old"]
    assert sources.held_files == ["new"]
    assert (sources.tables["app.t"].barrier, sources.tables["app.u"].held) == (20, None)
    assert "altered" in sources.tables["app.t"].held


def test_two_tables_for_one_silver_name_are_named():
    feed = _feed()
    feed.schemas = {("a_b", "c"): [schema(10)], ("a", "b_c"): [schema(10)]}
    with pytest.raises(SourceError, match=r"a\.b_c and a_b\.c would both be silver\.a_b_c"):
        join(feed, None, Ingest())


def test_an_excluded_table_is_left_out():
    feed = _feed(schema(10), data=[("f", Data(Folder("app", "t", 10), 1, "json"))])
    sources = join(feed, None, Ingest(tables={"app.t": TableRules(exclude=True)}))
    assert (sources.tables, sources.items) == ({}, [])


def test_a_snapshot_alone_has_its_own_tso_as_checkpoint():
    export = Export("/dump", 10, {("app", "t"): CREATE}, [(StoredFile("app.t.000000000.csv", 9, ""), ("app", "t"))])
    sources = join(None, export, Ingest())
    assert (sources.checkpoint, len(sources.items)) == (10, 1)
    assert sources.tables["app.t"].snapshot.tso == 10
