"""Which DDL a table lives through, under which names, and where it is blocked."""

from dataclasses import replace

import pytest

from jobs.common.errors import SourceError
from jobs.ingest.loading.storage import StoredFile
from jobs.ingest.tidb.ddl.create_table import parse_create
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.dumpling.export import Export
from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.tables.ddl_replay import DdlReplay
from jobs.ingest.tidb.tables.schema_history import Snapshot
from jobs.ingest.tidb.ticdc.object_paths import Data, Folder, SchemaPath
from jobs.ingest.tidb.ticdc.schema_files import SchemaFile
from jobs.ingest.tidb.ticdc.sink_listing import SinkListing
from jobs.settings.ingest import Ingest, TableRules

ID = SourceColumn("id", "BIGINT", nullable=False)
NAME = SourceColumn("name", "VARCHAR", length=20)
CREATE = parse_create("CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20))", "f")


def schema(version, *columns, query="", action=0, table="t", key=("id",)):
    return SchemaFile(f"app/{table}/meta/x", "app", table, version, query, action, columns or (ID, NAME), key)


def lives(*files, snapshot=True, checkpoint=100, rules=None):
    start = {("app", "t"): Snapshot(10, CREATE)} if snapshot else {}
    return DdlReplay(start, lambda _: rules or TableRules()).replay(files, checkpoint)


def replayed(*files, **more):
    return lives(*files, **more)["app.t"]


def spans(table):
    return [(segment.table, segment.start, segment.end) for segment in table.segments]


def test_a_table_that_never_changed_lives_by_its_snapshot():
    table = replayed()
    assert ([c.name for c in table.columns], table.key, table.blocked_from_ts) == (["id", "name"], ("id",), None)
    assert table.limit(100) == 100


def test_an_added_column_brings_the_default_its_older_rows_have():
    added = SourceColumn("n", "INT", True, nullable=False, default="7")
    table = replayed(
        schema(10), schema(20, ID, NAME, added, action=5, query="ALTER TABLE t ADD COLUMN n INT DEFAULT 7")
    )
    assert (table.columns[2].since, table.columns[2].default, table.blocked_reason) == (20, "7", None)
    assert [c.name for c in table.columns] == ["id", "name", "n"]


def test_a_column_added_above_the_checkpoint_is_not_there_yet():
    table = replayed(schema(10), schema(120, ID, NAME, SourceColumn("n", "INT"), action=5))
    assert [c.name for c in table.columns] == ["id", "name"]
    assert 120 in table.versions, "rows above the checkpoint must still be read into bronze"


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (schema(20, ID, SourceColumn("name", "JSON"), action=12), "changes column name from VARCHAR to JSON"),
        (schema(20, ID, SourceColumn("name", "TIMESTAMP"), action=12), "this conversion is not supported"),
        (schema(20, SourceColumn("id", "DECIMAL", length=9, scale=2, nullable=False), NAME, action=12),
         "the text of the key changes"),
        (schema(20, action=42), "exchanges a partition"),
        (schema(20, action=20), "drops a partition"),
        (schema(20, ID, NAME, key=("name",)), "changes the key from id to name"),
        (schema(20, ID, NAME, SourceColumn("at", "TIMESTAMP", default="CURRENT_TIMESTAMP"), action=5),
         "computes the default of at"),
    ],
)  # fmt: skip
def test_ddl_that_changes_cannot_tell_blocks_the_table_and_says_what_to_do(file, says):
    table = replayed(schema(10), file, schema(30))
    assert table.blocked_from_ts == 20
    assert table.limit(100) == 19
    assert "app.t is blocked at 20" in table.blocked_reason
    assert says in table.blocked_reason
    assert "take a new snapshot" in table.blocked_reason
    assert replayed(schema(10), file, checkpoint=19).blocked_reason is None, (
        "what lies above the checkpoint has not happened"
    )
    again = replayed(schema(10), file, schema(40, action=11))
    assert (again.blocked_reason, again.truncated_at) == (None, (40,)), (
        "a truncation leaves nothing that could not be told"
    )


def test_a_renamed_column_is_the_same_column_under_each_name():
    title = SourceColumn("title", "VARCHAR", length=20)
    files = [
        schema(20, ID, title, action=12, query="ALTER TABLE `app`.`t` RENAME COLUMN `name` TO `title`"),
        schema(30, ID, NAME, action=12, query="alter table t change title name varchar(20)"),
    ]
    assert replayed(*files).columns[1].names == ((0, "name"), (20, "title"), (30, "name"))
    assert replayed(*files, checkpoint=25).columns[1].names == ((0, "name"), (20, "title"))


def test_columns_swap_their_names_and_keep_their_rows():
    a, b = (SourceColumn(name, "INT") for name in "ab")
    start = schema(20, ID, a, b, action=3, query="CREATE TABLE t (id BIGINT PRIMARY KEY, a INT, b INT)")
    swap = schema(30, ID, b, a, action=12, query="ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a")
    table = replayed(start, swap, snapshot=False)
    assert [(c.name, c.names[0][1]) for c in table.columns] == [("id", "id"), ("b", "a"), ("a", "b")]


def test_a_column_dropped_and_added_again_is_another_column():
    gone = schema(20, ID, action=6, query="ALTER TABLE t DROP COLUMN name")
    back = schema(30, ID, NAME, action=5, query="ALTER TABLE t ADD COLUMN name VARCHAR(20)")
    assert [c.name for c in replayed(gone).columns] == ["id"]
    assert [(c.name, c.since) for c in replayed(gone, back).columns] == [("id", None), ("name", 30)]
    once = schema(20, ID, NAME, action=61, query="ALTER TABLE t DROP COLUMN name, ADD COLUMN name VARCHAR(20)")
    assert replayed(once).columns[1].since == 20


def test_ids_tell_columns_apart_whatever_the_statement_says():
    def with_id(column, number):
        return replace(column, id=str(number))

    first = schema(20, with_id(ID, 1), with_id(NAME, 2), action=3, query="CREATE TABLE t (id BIGINT PRIMARY KEY)")
    query = "ALTER TABLE t DROP COLUMN name, ADD COLUMN name VARCHAR(20)"
    again = schema(30, with_id(ID, 1), with_id(NAME, 3), action=61, query=query)
    assert replayed(first, again, snapshot=False).columns[1].since == 30


def test_a_narrower_type_is_followed_unless_values_do_not_fit():
    narrower = schema(20, ID, SourceColumn("name", "VARCHAR", length=5), action=12)
    assert replayed(narrower).columns[1].casts == ((20, (("chars", 5),)),)
    unfit = {(("app", "t"), 20): "gives column name a type that 3 of its values do not fit"}
    start = {("app", "t"): Snapshot(10, CREATE)}
    blocked = DdlReplay(start, lambda _: TableRules(), unfit).replay([narrower, schema(30)], 100)["app.t"]
    assert (blocked.blocked_from_ts, blocked.columns[1].now.length, blocked.columns[1].casts) == (20, 20, ())
    assert "3 of its values do not fit" in blocked.blocked_reason


def test_a_column_of_hashes_or_of_the_key_is_not_converted():
    narrower = schema(20, ID, SourceColumn("name", "VARCHAR", length=5), action=12)
    rules = TableRules(mask={"name": "hash"})
    assert "only hashes" in replayed(schema(10), narrower, rules=rules).blocked_reason
    wider = schema(20, ID, SourceColumn("name", "VARCHAR", length=50), action=12)
    assert replayed(schema(10), wider, rules=rules).blocked_reason is None
    key = schema(20, SourceColumn("id", "INT", nullable=False), NAME, action=12)
    assert replayed(schema(10), key).blocked_reason is None, "the text of a key that fits stays the same"


def test_a_truncation_is_a_floor_and_a_drop_an_end():
    assert replayed(schema(10), schema(20, action=11)).truncated_at == (20,)
    assert "app.t" not in lives(schema(10), schema(20, action=4))
    ended = lives(schema(10), schema(20, action=4))["app.t@20"]
    assert (ended.ended, spans(ended)) == (20, [("app.t", 0, 20)])


def test_a_later_snapshot_begins_a_table_anew_whatever_it_was_blocked_for():
    narrower = schema(20, ID, SourceColumn("name", "JSON"), action=12)
    after = schema(
        40, ID, SourceColumn("n", "INT"), action=61, query="ALTER TABLE t DROP COLUMN name, ADD COLUMN n INT"
    )
    later = {("app", "t"): Snapshot(30, parse_create("CREATE TABLE t (id BIGINT PRIMARY KEY, name JSON)", "f"))}

    def at(checkpoint):
        start = {("app", "t"): Snapshot(10, CREATE)}
        files = [schema(10), narrower, after]
        return DdlReplay(start, lambda _: TableRules()).replay(files, checkpoint, later)["app.t"]

    assert at(25).blocked_from_ts == 20, "above the checkpoint it has not been taken yet"
    retaken = at(35)
    assert (retaken.blocked_reason, retaken.truncated_at, retaken.snapshot.tso) == (None, (30,), 30)
    assert [(c.name, c.now.type) for c in retaken.columns] == [("id", "BIGINT"), ("name", "JSON")]
    assert [(c.name, c.since) for c in at(45).columns] == [("id", None), ("n", 40)], "DDL goes on from it"


def test_a_table_made_anew_has_nothing_of_the_old_one():
    other = (ID, SourceColumn("hits", "BIGINT"))
    made = schema(30, *other, action=3, query="CREATE TABLE t (id BIGINT PRIMARY KEY, hits BIGINT)")
    found = lives(schema(10), schema(20, action=4), made)
    assert spans(found["app.t"]) == [("app.t", 30, None)]
    assert [(c.name, c.since) for c in found["app.t"].columns] == [("id", None), ("hits", None)]
    assert spans(found["app.t@20"]) == [("app.t", 0, 20)]


def test_a_renamed_table_keeps_its_rows_and_its_name_may_be_used_again():
    moved = schema(20, table="u", action=14, query="RENAME TABLE `app`.`t` TO `app`.`u`")
    again = schema(30, action=3, query="CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))")
    back = schema(40, table="v", action=14, query="RENAME TABLE `app`.`t` TO `app`.`v`")
    found = lives(schema(10), moved, again, back, schema(50, table="t", action=14, query="RENAME TABLE u TO t"))
    assert spans(found["app.t"]) == [("app.t", 0, 20), ("app.u", 20, 50), ("app.t", 50, None)]
    assert spans(found["app.v"]) == [("app.t", 30, 40), ("app.v", 40, None)]
    assert set(found) == {"app.t", "app.v"}
    assert found["app.t"].snapshot.tso == 10


def test_tables_swap_their_names_in_one_statement():
    query = "RENAME TABLE t TO x, u TO t, x TO u"
    start = [schema(10), schema(10, table="u", action=3, query="CREATE TABLE u (id BIGINT PRIMARY KEY)")]
    swap = [schema(20, action=14, query=query), schema(20, table="u", action=14, query=query)]
    found = lives(*start, *swap)
    assert spans(found["app.t"])[0] == ("app.u", 10, 20)
    assert spans(found["app.u"])[0] == ("app.t", 0, 20)


def test_a_table_renamed_from_nowhere_is_blocked():
    found = lives(schema(20, table="u", action=14, query="RENAME TABLE other.x TO app.u"))
    assert "does not know" in found["app.u"].blocked_reason


@pytest.mark.parametrize(
    "file",
    [
        schema(20, ID, SourceColumn("name", "VARCHAR", length=80), action=12),
        schema(20, ID, SourceColumn("name", "MEDIUMTEXT", length=80), action=12),
        schema(20, SourceColumn("id", "DECIMAL", length=20, nullable=False), NAME, action=12),
        schema(20, action=7, query="CREATE INDEX"),
        schema(20, NAME, ID, action=12),
    ],
)
def test_ddl_that_changes_no_row_is_lived_through(file):
    assert replayed(schema(10), file).blocked_reason is None


def test_ddl_before_the_snapshot_is_in_the_snapshot():
    assert replayed(schema(5, action=11), schema(8, ID, action=6), schema(10)).blocked_reason is None


def test_a_table_that_comes_in_the_stream_starts_with_its_create():
    query = "CREATE TABLE t (id BIGINT NOT NULL, k ENUM('a','b'), g INT AS (id + 1), UNIQUE KEY u (id))"
    columns = (ID, SourceColumn("k", "ENUM"), SourceColumn("g", "INT"))
    table = replayed(schema(20, *columns, action=3, query=query, key=()), snapshot=False)
    assert table.key == ("id",), "the unique key is in the DDL alone"
    assert table.columns[1].now.members == ("a", "b"), "the classic writer leaves members out of the schema file"
    assert [c.name for c in table.columns] == ["id", "k"], "rows never carry a virtual generated column"
    assert table.blocked_reason is None


def test_a_table_is_there_from_its_first_version_until_its_end():
    assert replayed().exists_at(100)
    assert "app.t" not in lives(schema(120, action=3), snapshot=False), "created above the checkpoint"
    assert replayed(schema(10), schema(20, action=11)).exists_at(100)
    assert not lives(schema(10), schema(20, action=4))["app.t@20"].exists_at(100)


def test_a_table_without_a_key_is_blocked_until_conf_names_one():
    assert "ingest.tables.app.t.keys" in replayed(schema(20, key=()), snapshot=False).blocked_reason
    assert replayed(schema(20, key=()), snapshot=False, rules=TableRules(keys=("name",))).key == ("name",)


def _feed(*files, data=(), broken=()):
    feed = SinkListing("/feed", 100)
    for file in files:
        feed.schemas.setdefault((file.schema, file.table), []).append(file)
    feed.data = [(StoredFile(path, 1, ""), what) for path, what in data]
    feed.broken = list(broken)
    return feed


def test_a_dropped_database_ends_its_tables():
    feed = _feed(schema(10), schema(10, table="u"))
    feed.databases = [SchemaFile("p", "app", "", 50, "DROP DATABASE `app`", 2, (), ())]
    assert {t.ended for t in join(feed, None, Ingest()).tables.values()} == {50}


def test_a_file_is_read_by_the_newest_schema_that_is_not_newer():
    folder = Folder("app", "t", 15)
    feed = _feed(schema(10), schema(20, ID), data=[("app/t/15/CDC000001.json", Data(folder, 1, "json"))])
    (item,) = join(feed, None, Ingest()).items
    assert item.task.spec.version == 10
    assert [c.name for c in item.task.spec.columns] == ["id", "name"]


def test_a_file_whose_schema_file_may_still_come_waits_and_its_table_goes_on():
    late = Data(Folder("app", "t", 150), 1, "json")
    sources = join(_feed(schema(10), data=[("app/t/150/CDC000001.json", late)]), None, Ingest())
    assert (sources.items, sources.blocked_files) == ([], ["app/t/150/CDC000001.json"])
    assert sources.tables["app.t"].blocked_reason is None


def test_a_schema_file_that_cannot_be_trusted_blocks_its_table_and_leaves_its_files():
    bad = (SchemaPath("app", "t", 20, 1), SourceError("app/t/meta/schema_20.json: altered"))
    old, new = (Data(Folder("app", "t", v), 1, "json") for v in (10, 20))
    feed = _feed(schema(10), schema(10, table="u"), data=[("old", old), ("new", new)], broken=[bad])
    sources = join(feed, None, Ingest())
    assert [item.task.path for item in sources.items] == ["old"]
    assert sources.blocked_files == ["new"]
    assert (sources.tables["app.t"].blocked_from_ts, sources.tables["app.u"].blocked_reason) == (20, None)
    assert "altered" in sources.tables["app.t"].blocked_reason


def test_what_ends_a_hold_ends_that_of_a_schema_file_too():
    bad = (SchemaPath("app", "t", 20, 1), SourceError("altered"))
    folders = [(f"f{v}", Data(Folder("app", "t", v), 1, "json")) for v in (10, 20, 25, 30)]
    sources = join(_feed(schema(10), schema(30, ID, action=11), data=folders, broken=[bad]), None, Ingest())
    assert [item.task.path for item in sources.items] == ["f10", "f30"]
    assert sources.blocked_files == ["f20", "f25"], "25 has no schema file of its own, 20 may have changed the columns"
    assert sources.tables["app.t"].blocked_from_ts == 20, "files wait that may have rows from before the truncation"
    feed = _feed(schema(10), schema(30, ID, action=11), broken=[bad])
    table = join(feed, None, Ingest()).tables["app.t"]
    assert (table.blocked_reason, table.truncated_at) == (None, (30,)), "whatever it was, nothing is left of it"


def test_a_table_of_which_nothing_can_be_read_is_blocked_from_its_start():
    bad = (SchemaPath("app", "new", 20, 1), SourceError("altered"))
    later = schema(30, table="new", action=5)
    assert join(_feed(schema(10), broken=[bad]), None, Ingest()).tables["app.new"].blocked_from_ts == 20
    assert join(_feed(schema(10), later, broken=[bad]), None, Ingest()).tables["app.new"].blocked_from_ts == 20
    made = schema(30, table="new", action=3, query="CREATE TABLE new (id BIGINT PRIMARY KEY, name VARCHAR(20))")
    assert join(_feed(schema(10), made, broken=[bad]), None, Ingest()).tables["app.new"].blocked_reason is None
    gone = schema(30, table="new", action=4)
    assert "app.new" not in join(_feed(schema(10), gone, broken=[bad]), None, Ingest()).tables


def test_an_excluded_table_is_left_out():
    feed = _feed(schema(10), data=[("f", Data(Folder("app", "t", 10), 1, "json"))])
    sources = join(feed, None, Ingest(tables={"app.t": TableRules(exclude=True)}))
    assert (sources.tables, sources.items) == ({}, [])


def test_a_snapshot_alone_has_its_own_tso_as_checkpoint():
    export = Export("/dump", 10, {("app", "t"): CREATE}, [(StoredFile("app.t.000000000.csv", 9, ""), ("app", "t"))])
    sources = join(None, export, Ingest())
    assert (sources.checkpoint, len(sources.items)) == (10, 1)
    assert sources.tables["app.t"].snapshot.tso == 10
