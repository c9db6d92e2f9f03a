"""Reading roots: what is there, what is missing, and what may not be read yet."""

import gzip
import json

import pytest
import zstandard

from jobs.common.errors import SourceError
from jobs.ingest.loading.storage import listing, read
from jobs.ingest.tidb.dumpling.export import read_export
from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.ticdc.object_paths import Folder
from jobs.ingest.tidb.ticdc.schema_files import checksum
from jobs.ingest.tidb.ticdc.sink_listing import read_feed
from jobs.settings.ingest import Ingest


def write(root, path, content=b""):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def feed(tmp_path):
    write(tmp_path, "metadata", '{"checkpoint-ts":470650143145721857}')
    for number in (1, 2, 3):
        write(tmp_path, f"app/t/7/2026-11-22/CDC{number:020d}.json", "x")
    write(tmp_path, "app/t/7/2026-11-22/meta/CDC.index", f"CDC{2:020d}.json\n")
    return tmp_path


def test_the_checkpoint_keeps_every_digit_and_files_above_the_index_wait(feed):
    found = read_feed(str(feed))
    assert found.checkpoint == 470650143145721857
    assert [data.number for _, data in found.data] == [1, 2]
    assert found.waiting == [f"app/t/7/2026-11-22/CDC{3:020d}.json"]
    assert found.data[0][1].folder == Folder("app", "t", 7, 0, "2026-11-22")


def test_each_dispatcher_has_an_index_of_its_own(tmp_path):
    write(tmp_path, "metadata", '{"checkpoint-ts":9}')
    for dispatcher, number in (("11", 5), ("22", 1)):
        write(tmp_path, f"a/t/7/CDC_{dispatcher}_{number:08d}.json", "x")
    write(tmp_path, "a/t/7/meta/CDC_11.index", "CDC_11_00000005.json\n")
    found = read_feed(str(tmp_path))
    assert [data.folder.dispatcher for _, data in found.data] == ["11"]
    assert found.waiting == ["a/t/7/CDC_22_00000001.json"]


def test_a_file_that_comes_after_the_listing_and_before_its_index_is_read_is_there(feed, monkeypatch):
    came = feed / f"app/t/7/2026-11-22/CDC{2:020d}.json"
    monkeypatch.setattr(
        "jobs.ingest.tidb.ticdc.sink_listing.listing",
        lambda *at: [file for file in listing(*at) if not came.match(f"*/{file.path}")],
    )
    found = read_feed(str(feed))
    assert [data.number for _, data in found.data] == [1, 2]
    came.unlink()
    found = read_feed(str(feed))
    assert [data.number for _, data in found.data] == [1]
    assert [list(gap) for gap in found.folders[0].gaps()] == [[2]]


def test_objects_that_fit_no_rule_are_reported_and_leftovers_ignored(feed):
    write(feed, "app/t/7/2026-11-22/CDC000009.json.tmp.1a2b", "x")
    write(feed, "app/notes.txt", "hello")
    assert list(read_feed(str(feed)).unknown) == ["app/notes.txt"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda root: (root / "metadata").unlink(), "no file `metadata`"),
        (lambda root: write(root, "metadata", "{}"), "does not hold a checkpoint"),
        (lambda root: write(root, "app/t/7/2026-11-22/CDC000001.csv"), "holds files of two protocols"),
        (lambda root: write(root, "app/t/7/schema.json"), r"before v6\.5\.3"),
    ],
)
def test_a_feed_that_cannot_be_read_safely_is_refused_in_one_sentence(feed, change, says):
    change(feed)
    with pytest.raises(SourceError, match=says) as error:
        read_feed(str(feed))
    assert "\n" not in str(error.value)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"Dumpling export: no folder at .*/gone"):
        listing(str(tmp_path / "gone"), "Dumpling export")
    with pytest.raises(SourceError, match="nowhere://x"):
        listing("nowhere://x", "Kafka archive")


def test_compressed_files_are_read_and_damaged_ones_are_errors(tmp_path):
    write(tmp_path, "a.gz", gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    write(tmp_path, "b.zst", zstandard.compress(b"three\n"))
    write(tmp_path, "c.gz", gzip.compress(b"four\n" * 100)[:-9])
    assert read(str(tmp_path), "a.gz") == b"one\ntwo\n"
    assert read(tmp_path.as_uri(), "b.zst") == b"three\n"
    with pytest.raises(OSError, match="cannot be decompressed"):
        read(str(tmp_path), "c.gz")


def test_an_export_tells_its_tso_tables_and_files(shared):
    export = read_export(str(shared / "fixtures/dumpling-real/csv-start-noescape-gzip"))
    assert export.tso == 470650142688280576
    assert {name for _, name in export.data} == set(export.creates)
    assert len(export.creates) == 4


def test_an_incomplete_export_is_refused(tmp_path):
    write(tmp_path, "metadata", "Started dump at: x\nSHOW MASTER STATUS:\n\tLog: tidb-binlog\n\tPos: 5\n")
    with pytest.raises(SourceError, match="not complete"):
        read_export(str(tmp_path))


def test_names_are_decoded_and_a_table_without_its_schema_is_named(tmp_path):
    write(tmp_path, "metadata", "\tPos: 5\nFinished dump at: x\n")
    write(tmp_path, "geo%2Dx.a%2Eb-schema.sql", "CREATE TABLE `a.b` (`id` INT PRIMARY KEY)")
    write(tmp_path, "geo%2Dx.a%2Eb.000000000.csv", '"id"\r\n1\r\n')
    assert list(read_export(str(tmp_path)).creates) == [("geo-x", "a.b")]
    write(tmp_path, "app.t.000000000.csv", '"id"\r\n')
    export = read_export(str(tmp_path))
    assert set(export.blocked) == {("app", "t")}, "the other table goes on"
    assert "no app.t-schema.sql" in export.blocked["app", "t"]
    sources = join(None, export, Ingest())
    assert sources.tables["app.t"].blocked_reason == export.blocked["app", "t"]
    assert (sources.blocked_files, sources.tables["geo-x.a.b"].blocked_reason) == (["app.t.000000000.csv"], None)


@pytest.mark.parametrize("feed_name", ["canal-json", "classic-canal-json"])
def test_the_real_feeds_are_followed_through_all_their_ddl(shared, feed_name):
    root = shared / "fixtures/ticdc-real"
    ddl = {d["query"]: int(d["finished_ts"]) for d in json.loads((root / "history.json").read_text())["ddl"]}
    found = read_feed(str(root / feed_name))
    sources = join(found, read_export(str(shared / "fixtures/dumpling-real/csv-start")), Ingest())
    dropped = ddl["drop table app.trending"]
    names = {"app.users", "app.board_pins", "app.boards", "app.pins", "app.trending_daily", f"app.trending@{dropped}"}
    assert set(sources.tables) == names
    assert not any(table.blocked_reason for table in sources.tables.values())
    renamed = ddl["alter table app.boards rename column category to topic"]
    (topic,) = [c for c in sources.tables["app.boards"].columns if c.name == "topic"]
    assert topic.names == ((0, "category"), (renamed, "topic"))
    assert sources.tables[f"app.trending@{dropped}"].truncated_at == (ddl["truncate table app.trending"],)
    daily = sources.tables["app.trending_daily"].segments
    assert [segment.table for segment in daily] == ["app.trending", "app.trending_daily"]
    assert daily[0].start > dropped
    assert (found.unknown, found.broken, sources.blocked_files) == ({}, [], [])
    members = {c.name: c.now.members for c in sources.tables["app.users"].columns if c.now.members}
    assert members == {"gender": ("female", "male", "unspecified"), "interests": ("art", "diy", "food", "travel")}


def test_tables_are_the_same_where_paths_are_ids(shared, tmp_path):
    """The real tree with ids for paths, as use-table-id-as-path writes it: truncate and create anew take a new id."""
    source = shared / "fixtures/ticdc-real/canal-json"
    ids = {"users": [101], "boards": [102], "pins": [103], "board_pins": [104], "trending_daily": [107]}
    renewed = sorted(
        int(path.name.split("_")[1])
        for path in (source / "app/trending/meta").glob("schema_*")
        if any(word in path.read_text() for word in ("TRUNCATE TABLE", "CREATE TABLE"))
    )

    def moved(path):
        _, table, *rest = path.relative_to(source).parts
        version = int(rest[1].split("_")[1] if rest[0] == "meta" else rest[0])
        number = sum(version >= start for start in renewed) + 104 if table == "trending" else ids[table][0]
        return "/".join([str(number), *rest])

    for path in source.rglob("*"):
        if path.is_file():
            place = "metadata" if path.name == "metadata" else moved(path)
            write(tmp_path, place, path.read_bytes())
    plain, by_id = read_feed(str(source)), read_feed(str(tmp_path))
    export = read_export(str(shared / "fixtures/dumpling-real/csv-start"))

    def told(feed):
        items = join(feed, export, Ingest()).items
        return sorted((i.task.table, i.task.spec.version, i.task.size) for i in items if i.task.source == "ticdc")

    assert told(by_id) == told(plain)
    assert len(told(plain)) == 82
    assert by_id.unnamed == []


def test_a_table_id_without_a_schema_file_waits(tmp_path):
    write(tmp_path, "metadata", '{"checkpoint-ts":9}')
    write(tmp_path, "12/7/CDC000001.json", "x")
    write(tmp_path, "12/7/meta/CDC.index", "CDC000001.json\n")
    found = read_feed(str(tmp_path))
    assert (found.data, found.unnamed) == ([], ["12/7/CDC000001.json"])
    assert join(found, None, Ingest()).blocked_files == ["12/7/CDC000001.json"]
    write(tmp_path, "12/meta/schema_7_0000000001.json", "{}")
    assert read_feed(str(tmp_path)).unnamed == ["12/7/CDC000001.json"], "a schema file that cannot be trusted"
    assert (
        "table with the id 12 is blocked at 7"
        in join(read_feed(str(tmp_path)), None, Ingest()).tables["table-id.12"].blocked_reason
    )


def by_ids(root, *files):
    """Write a feed with ids for paths: (id, version, table, query, action), with a data file of each version."""
    write(root, "metadata", '{"checkpoint-ts":90}')
    column = {"ColumnName": "id", "ColumnType": "BIGINT", "ColumnNullable": "false", "ColumnIsPk": "true"}
    paths = {}
    for number, version, table, query, action in files:
        body = {"Table": table, "Schema": "app", "Version": 1, "TableVersion": version, "Query": query, "Type": action}
        body |= {"TableColumns": [column], "TableColumnsTotal": 1}
        paths[number, version] = f"{number}/meta/schema_{version}_{checksum(body):010d}.json"
        write(root, paths[number, version], json.dumps(body, indent=4))
        write(root, f"{number}/{version}/CDC000001.json", "x")
        write(root, f"{number}/{version}/meta/CDC.index", "CDC000001.json\n")
    return paths


def spoil(root, path, how):
    text = (root / path).read_text()
    changed = {"half": text[: len(text) // 2], "empty": "", "altered": text.replace("BIGINT", "INT")}
    (root / path).write_text(changed[how])


@pytest.mark.parametrize("how", ["half", "empty", "altered"])
def test_a_broken_schema_file_below_a_table_id_blocks_its_table_and_others_go_on(tmp_path, how):
    ddl = [(12, 10, "t", "", 0), (12, 20, "t", "ALTER TABLE t ADD INDEX i (id)", 7), (12, 30, "t", "", 0)]
    paths = by_ids(tmp_path, *ddl, (13, 10, "u", "", 0))
    spoil(tmp_path, paths[12, 20], how)
    sources = join(read_feed(str(tmp_path)), None, Ingest())
    assert sorted(item.task.path for item in sources.items) == [
        "12/10/CDC000001.json", "12/30/CDC000001.json", "13/10/CDC000001.json",
    ]  # fmt: skip
    assert sources.blocked_files == ["12/20/CDC000001.json"]
    assert (sources.tables["app.t"].blocked_from_ts, sources.tables["app.u"].blocked_reason) == (20, None)
    assert paths[12, 20] in sources.tables["app.t"].blocked_reason
    assert set(sources.tables) == {"app.t", "app.u"}


def test_below_a_table_id_every_name_is_blocked_that_the_broken_file_may_be_of(tmp_path):
    paths = by_ids(tmp_path, (12, 10, "t", "", 0), (12, 20, "u", "RENAME TABLE t TO u", 14), (12, 30, "u", "", 0))
    spoil(tmp_path, paths[12, 20], "empty")
    sources = join(read_feed(str(tmp_path)), None, Ingest())
    assert {name: table.blocked_from_ts for name, table in sources.tables.items()} == {"app.t": 20, "app.u": 20}


def test_a_truncation_that_cannot_be_read_blocks_its_table_where_its_text_still_names_it(tmp_path):
    paths = by_ids(tmp_path, (12, 10, "t", "", 0), (13, 20, "t", "TRUNCATE TABLE t", 11))
    spoil(tmp_path, paths[13, 20], "half")
    sources = join(read_feed(str(tmp_path)), None, Ingest())
    assert sources.tables["app.t"].blocked_from_ts == 20, "the id is new: only the text says whose it is"
    assert sources.blocked_files == ["13/20/CDC000001.json"]
    spoil(tmp_path, paths[13, 20], "empty")
    sources = join(read_feed(str(tmp_path)), None, Ingest())
    assert sources.tables["app.t"].blocked_reason is None, "nobody can tell"
    assert sources.tables["table-id.13"].blocked_from_ts == 20
    assert sources.blocked_files == ["13/20/CDC000001.json"]
