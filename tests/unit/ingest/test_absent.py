"""Files that are missing, empty, unnamed or unreadable: their tables stop before them, and no other one does."""

import json

import pytest

from jobs.engine.checkpoints import Checkpoint
from jobs.ingest.loading.manifest import COMMITTED, COVERED, PLANNED, Entry
from jobs.ingest.loading.tolerance import excesses
from jobs.ingest.tidb.absent import absent_files, block, tables_of, unreadable_files
from jobs.ingest.tidb.dumpling.export import read_export
from jobs.ingest.tidb.sources import join
from jobs.ingest.tidb.ticdc.changefeed import Changefeed
from jobs.ingest.tidb.ticdc.schema_files import checksum
from jobs.ingest.tidb.ticdc.sink_listing import read_feed
from jobs.schema.ops import AWAITED
from jobs.settings.ingest import ErrorThreshold, Ingest, TableRules
from tests.realfeed import feed_at
from tests.unit.ingest.test_sources_on_disk import write

V, C = 100, 1000
COLUMN = {"ColumnName": "id", "ColumnType": "BIGINT", "ColumnNullable": "false", "ColumnIsPk": "true"}


def schema(root, table, version=V, query="", action=0, columns=(COLUMN,)):
    body = {"Table": table, "Schema": "app", "Version": 1, "TableVersion": version, "Query": query, "Type": action}
    body |= {"TableColumns": list(columns), "TableColumnsTotal": len(columns)}
    write(root, f"app/{table}/meta/schema_{version}_{checksum(body):010d}.json", json.dumps(body))


def canal(*stamps):
    rows = [{"type": "INSERT", "data": [{"id": str(ts)}], "_tidb": {"commitTs": ts}} for ts in stamps]
    return "\r\n".join(map(json.dumps, rows))


def csv(*stamps):
    return "".join(f'"I","t","app",{ts},{ts}\r\n' for ts in stamps)


def files(root, table, numbers, index, version=V, text=canal, at="", start="CDC", kind="json"):
    """Write data files {number: commit_ts of the rows}, () for an empty one, and the index."""
    for number, stamps in numbers.items():
        write(root, f"app/{table}/{version}/{at}{start}{number:06d}.{kind}", text(*stamps) if stamps else "")
    if index:
        name = f"{start.rstrip('_')}.index"
        write(root, f"app/{table}/{version}/{at}meta/{name}", f"{start}{index:06d}.{kind}\n")


@pytest.fixture
def root(tmp_path):
    write(tmp_path, "metadata", f'{{"checkpoint-ts":{C}}}')
    for table in ("t", "other"):
        schema(tmp_path, table)
    files(tmp_path, "other", {1: [110], 2: [120]}, 2)
    return tmp_path


def seen(root, entries=None, export=None):
    """Return barrier by table, what is said of app.t, and the files that are awaited."""
    feed = read_feed(str(root))
    sources = join(feed, export, Ingest())
    found = absent_files(sources, feed, entries or {})
    block(sources, found.stops)
    assert sources.tables["app.other"].blocked_reason is None
    return sources.tables["app.t"].blocked_from_ts, sources.tables["app.t"].blocked_reason or "", found.awaited


PATH = f"app/t/{V}/CDC00000{{}}.json"


@pytest.mark.parametrize(
    ("numbers", "index", "blocked_from_ts", "path"),
    [
        ({1: [110, 150], 3: [300]}, 3, 150, 2),  # rows of 150 may go on in the second file
        ({1: [110, 150], 2: [], 3: [300]}, 3, 150, 2),
        ({2: [120], 3: [300]}, 3, V + 1, 1),
        ({1: [110], 5: [300]}, 5, 110, 2),
        ({1: [110], 2: [120], 4: [300], 6: [400]}, 6, 120, 3),
        ({1: [110], 3: [300, 310], 4: [320]}, 3, 110, 2),
    ],
)
def test_a_table_stops_before_a_gap_in_the_numbers(root, numbers, index, blocked_from_ts, path):
    files(root, "t", numbers, index)
    found, said, awaited = seen(root)
    assert (found, awaited) == (blocked_from_ts, [])
    assert PATH.format(path) in said


def test_a_csv_feed_stops_in_the_same_place(tmp_path):
    write(tmp_path, "metadata", f'{{"checkpoint-ts":{C}}}')
    schema(tmp_path, "t", 10**15)
    rows = {1: [10**15 + 10, 10**15 + 50], 3: [10**15 + 90]}
    files(tmp_path, "t", rows, 3, 10**15, csv, kind="csv")
    write(tmp_path, "metadata", f'{{"checkpoint-ts":{2 * 10**15}}}')
    feed = read_feed(str(tmp_path))
    sources = join(feed, None, Ingest())
    block(sources, absent_files(sources, feed, {}).stops)
    assert sources.tables["app.t"].blocked_from_ts == 10**15 + 50


@pytest.mark.parametrize("content", [None, ""])
def test_the_newest_file_is_awaited_once_and_then_blocks_its_table(root, content):
    files(root, "t", {1: [110]}, 2)
    if content is not None:
        write(root, PATH.format(2), content)
    assert seen(root) == (None, "", [PATH.format(2)])
    noted = {("ticdc", PATH.format(2)): Entry(0, AWAITED, 0, "run", str(C))}
    assert seen(root, noted) == (None, "", [PATH.format(2)]), "the checkpoint has not moved"
    write(root, "metadata", f'{{"checkpoint-ts":{C + 1}}}')
    blocked_from_ts, said, _ = seen(root, noted)
    assert (blocked_from_ts, PATH.format(2) in said) == (110, True)
    write(root, PATH.format(2), canal(120))
    assert seen(root, noted) == (None, "", [])


def test_a_checkpoint_that_is_later_than_the_index_needs_no_second_look(root):
    files(root, "t", {1: [110]}, 2)
    write(root, "metadata", f'{{"checkpoint-ts":{4102444800000 << 18}}}')  # 2100
    assert seen(root)[0] == 110


@pytest.mark.parametrize(
    ("stamps", "checkpoint", "blocked_from_ts"), [([700, 800], C, 700), ([C + 1], C, None), ([700], 699, None)]
)
def test_a_file_that_no_index_names_stops_its_table_where_it_holds_changes_of_before(
    root, stamps, checkpoint, blocked_from_ts
):
    write(root, "metadata", f'{{"checkpoint-ts":{checkpoint}}}')
    files(root, "t", {1: [110], 2: stamps}, 1)
    assert seen(root)[0] == blocked_from_ts
    (root / f"app/t/{V}/meta/CDC.index").unlink()
    assert seen(root)[0] == 110, "without an index no file is named"


def test_what_cannot_be_read_of_an_unnamed_file_is_awaited_first(root):
    files(root, "t", {1: [110]}, 1)
    write(root, PATH.format(2), '{"half')
    assert seen(root) == (None, "", [PATH.format(2)])
    assert seen(root, {("ticdc", PATH.format(2)): Entry(0, AWAITED, 0, "run", str(C - 1))})[0] == 110


def test_files_that_were_taken_in_may_be_gone(root):
    files(root, "t", {3: [300]}, 3)
    known = {("ticdc", PATH.format(n)): Entry(9, status, 1, "r") for n, status in ((1, COMMITTED), (2, COVERED))}
    assert seen(root, known)[0] is None
    assert seen(root, {("ticdc", PATH.format(1)): Entry(9, PLANNED, 1, "r")})[1].count(PATH.format(2)) == 1


def test_each_folder_and_dispatcher_counts_for_itself(root):
    for at, start in (("11/2026-11-01/", "CDC"), ("11/2026-11-02/", "CDC"), ("12/", "CDC_77_"), ("12/", "CDC_88_")):
        files(root, "t", {1: [110], 2: [120]}, 2, at=at, start=start)
    assert seen(root)[0] is None
    (root / f"app/t/{V}/12/CDC_88_000001.json").unlink()
    blocked_from_ts, said, _ = seen(root)
    assert (blocked_from_ts, f"app/t/{V}/12/CDC_88_000001.json" in said) == (V + 1, True)


def test_rows_that_do_not_count_stop_nothing(root, tmp_path):
    files(root, "t", {1: [110, 150], 3: [120, 300]}, 3)
    assert seen(root)[0] is None, "TiCDC has gone back after a restart: the file after the gap has all of it"
    files(root, "t", {1: [110, 150], 3: [300]}, 3)
    schema(root, "t", 400, "TRUNCATE TABLE t", 11)
    assert seen(root)[0] is None, "truncated since"


def test_a_snapshot_that_is_newer_than_the_gap_covers_it(root, tmp_path_factory):
    files(root, "t", {1: [110, 150], 3: [300]}, 3)
    for tso, blocked_from_ts in ((290, 150), (300, None)):
        dump = tmp_path_factory.mktemp("dump")
        write(dump, "metadata", f"\tPos: {tso}\nFinished dump at: x\n")
        write(dump, "app.t-schema.sql", "CREATE TABLE `t` (`id` BIGINT PRIMARY KEY)")
        assert seen(root, export=read_export(str(dump)))[0] == blocked_from_ts


def test_a_gap_under_an_old_name_blocks_the_table_as_it_is_called_now(root):
    files(root, "t", {1: [110], 3: [300]}, 3)
    schema(root, "now", 500, "RENAME TABLE `app`.`t` TO `app`.`now`", 14)
    feed = read_feed(str(root))
    sources = join(feed, None, Ingest())
    block(sources, absent_files(sources, feed, {}).stops)
    assert (sources.tables["app.now"].blocked_from_ts, sources.tables["app.other"].blocked_from_ts) == (110, None)


def test_an_index_that_names_a_number_beyond_all_sense_ends_no_run(root):
    files(root, "t", {1: [110]}, 0)
    write(root, f"app/t/{V}/meta/CDC.index", "CDC999999999999999999.json\n")
    assert seen(root)[2] == [f"app/t/{V}/CDC000000000000000002.json"]


@pytest.mark.parametrize(("feed", "mark"), [
    ("canal-json", "mid"), ("csv", "checkpoint"), ("classic-canal-json", "mid"), ("classic-canal-json", "checkpoint"),
    ("csv-old-value", "mid"), ("csv-old-value", "crash"), ("csv-old-value", "end"),
])  # fmt: skip
def test_the_genuine_feeds_stop_nowhere(shared, tmp_path, feed, mark):
    options = feed_at(shared, tmp_path / "feed", mark, feed=feed)
    found = read_feed(options["ticdc"])
    sources = join(found, read_export(options["dumpling"]), Ingest())
    block(sources, absent_files(sources, found, {}).stops)
    assert not any(table.blocked_reason for table in sources.tables.values())


def export_at(folder, tso, *tables, data=True):
    write(folder, "metadata", f"\tPos: {tso}\nFinished dump at: x\n")
    for table in tables:
        write(folder, f"app.{table}-schema.sql", f"CREATE TABLE `{table}` (`id` BIGINT PRIMARY KEY)")
        if data:
            write(folder, f"app.{table}.000000000.csv", '"id"\r\n1\r\n')
    return read_export(str(folder))


@pytest.mark.parametrize(("tso", "is_blocked"), [(V - 2, True), (V - 1, False), (V, False), (V + 1, False)])
def test_a_feed_that_begins_after_its_snapshot_blocks_all_tables_of_it(root, tmp_path_factory, tso, is_blocked):
    sources = join(read_feed(str(root)), export_at(tmp_path_factory.mktemp("d"), tso, "t", "quiet"), Ingest())
    assert {bool(sources.tables[f"app.{name}"].blocked_reason) for name in ("t", "quiet")} == {is_blocked}
    if is_blocked:
        assert sources.tables["app.t"].blocked_from_ts == tso + 1
        assert f"--start-ts={tso}" in sources.tables["app.t"].blocked_reason


def reached(ts):
    """Return the row of ops.checkpoints of a table that an earlier run brought to a commit_ts."""
    return Checkpoint(table="app.t", checkpoint_ts=ts, batch=1, keys=["id"])


def test_a_feed_that_begins_after_an_earlier_one_ended_blocks_its_tables(root, tmp_path_factory):
    export = export_at(tmp_path_factory.mktemp("d"), 50, "t")
    for given in (export, None):
        feed = read_feed(str(root))
        tables = [join(feed, given, Ingest(), past={"app.t": reached(ts)}).tables["app.t"] for ts in (V, 80)]
        assert [table.blocked_from_ts for table in tables] == [None, 81], (
            "what was reached counts, not the snapshot alone"
        )
    schema(root, "made", 60, "CREATE TABLE `made` (`id` BIGINT PRIMARY KEY)", 3)
    told = Ingest(feed_start=V)
    assert (
        join(read_feed(str(root)), None, told, past={"app.made": reached(5)}).tables["app.made"].blocked_reason is None
    )


def test_what_a_feed_does_not_tell_of_its_start_blocks_nothing(tmp_path, tmp_path_factory):
    export = export_at(tmp_path_factory.mktemp("d"), 50, "t")
    write(tmp_path, "metadata", f'{{"checkpoint-ts":{C}}}')
    schema(tmp_path, "new", 60, "CREATE TABLE `new` (`id` BIGINT PRIMARY KEY)", 3)
    schema(tmp_path, "t", 70)
    assert join(read_feed(str(tmp_path)), export, Ingest()).tables["app.t"].blocked_reason is None, (
        "taken up again at 70"
    )
    told = Ingest(feed_start=70)
    assert join(read_feed(str(tmp_path)), export, told).tables["app.t"].blocked_reason


def test_a_feed_that_was_taken_up_again_can_be_told_where_it_began(root, tmp_path_factory):
    export = export_at(tmp_path_factory.mktemp("d"), 50, "t")
    assert join(read_feed(str(root)), export, Ingest()).tables["app.t"].blocked_reason
    assert join(read_feed(str(root)), export, Ingest(feed_start=50)).tables["app.t"].blocked_reason is None


def test_an_export_whose_files_of_data_have_other_names_blocks_its_tables(tmp_path):
    export = export_at(tmp_path, 50, "t", "empty", data=False)
    assert join(None, export, Ingest()).tables["app.t"].blocked_reason is None, "a table may be empty"
    write(tmp_path, "app-t-000000000.csv.gz", "?")
    write(tmp_path, "app.full-schema.sql", "CREATE TABLE `full` (`id` BIGINT PRIMARY KEY)")
    write(tmp_path, "app.full.000000000.csv", '"id"\r\n1\r\n')
    tables = join(None, read_export(str(tmp_path)), Ingest()).tables
    assert {name: bool(table.blocked_reason) for name, table in tables.items()} == {
        "app.t": True, "app.empty": True, "app.full": False,
    }  # fmt: skip
    assert "app-t-000000000.csv.gz" in tables["app.t"].blocked_reason
    assert not tables["app.t"].exists_at(50)


def counted(*files, table="app.t", source="ticdc", start=0):
    """Return entries of files (batch, rows, bad), in the order of their numbers."""
    return {
        (source, f"app/t/{V}/CDC{number:06d}.json"): Entry(100, COMMITTED, batch, "r", "e", rows, bad)
        for number, (batch, rows, bad) in enumerate(files, 1)
    }


def judged(settings, entries):
    found = excesses(settings, dict.fromkeys(entries, "app.t"), entries)
    return found["app.t"] if found else None


def test_a_file_of_which_nothing_can_be_read_blocks_its_table_however_small():
    assert judged(Ingest(), counted((1, 40, 4), (1, 1, 0))) is None
    one = judged(Ingest(), counted((1, 400, 0), (1, 1, 1)))
    assert [path for _, path in one.files] == [f"app/t/{V}/CDC000002.json"]
    assert (one.bad, one.found) == (400, 800), "a file that cannot be opened counts as its size says"
    assert "401 of" not in one.clause({})
    assert "estimated from their size" in one.clause({"unreadable_file": 1})
    assert "40 of 40 rows (100%) cannot be read: field_count 40" in judged(Ingest(), counted((1, 40, 40))).clause(
        {"field_count": 40}
    )


def test_a_later_batch_does_not_make_up_for_one_that_could_not_be_read():
    strict = Ingest(quarantine=ErrorThreshold(rows=5, ratio=0.5))
    entries = counted((1, 10, 6), (2, 10**6, 0))
    assert [path for _, path in judged(strict, entries).files] == [f"app/t/{V}/CDC000001.json"]
    assert judged(strict, counted((1, 10, 5), (2, 10**6, 0))) is None
    let_go = Ingest(tables={"app.t": TableRules(quarantine=ErrorThreshold(ratio=1))})
    assert judged(let_go, counted((1, 10, 10))) is None


def test_a_table_stops_before_the_file_that_cannot_be_read(root, tmp_path_factory):
    files(root, "t", {1: [110, 150], 2: [170], 3: [300]}, 3)
    feed = read_feed(str(root))
    sources = join(feed, None, Ingest())
    entries = counted((1, 2, 0), (1, 1, 1), (1, 1, 0))
    excess = excesses(Ingest(), tables_of(sources, entries), entries)["app.t"]
    block(sources, unreadable_files(sources, feed, excess, excess.clause({})))
    assert (sources.tables["app.t"].blocked_from_ts, sources.tables["app.other"].blocked_from_ts) == (150, None)
    for number in (1, 2):  # TiCDC's own clean-up: what was not read is still not read
        (root / PATH.format(number)).unlink()
    feed = read_feed(str(root))
    sources = join(feed, None, Ingest())
    excess = excesses(Ingest(), tables_of(sources, entries), entries)["app.t"]
    block(sources, unreadable_files(sources, feed, excess, excess.clause({})))
    assert sources.tables["app.t"].blocked_from_ts == V + 1


def test_a_snapshot_with_a_file_that_cannot_be_read_shows_nothing_of_its_table(tmp_path):
    export = export_at(tmp_path, 50, "t", "other")
    sources = join(None, export, Ingest())
    entries = {
        ("dumpling", f"app.{name}.000000000.csv"): Entry(9, COMMITTED, 1, "r", "e", 1, name == "t")
        for name in ("t", "other")
    }
    excess = excesses(Ingest(), tables_of(sources, entries), entries)
    block(sources, unreadable_files(sources, None, excess["app.t"], "?"))
    assert {name: table.exists_at(50) for name, table in sources.tables.items()} == {"app.t": False, "app.other": True}


def test_where_files_begin_and_end_is_read_under_every_dialect(tmp_path):
    from jobs.ingest.tidb.ticdc.data_files import first_commit_ts, last_commit_ts

    odd = Changefeed.model_validate(
        {"sink": {"terminator": "$\n", "csv": {"delimiter": "|+|", "quote": "", "include-commit-ts": True}}}
    )
    write(tmp_path, "a.csv", "I|+|t|+|app|+|110|+|x\\ny$\nU|+|t|+|app|+|120|+|z$\n")
    header = "ticdc-meta$operation,ticdc-meta$table,ticdc-meta$schema,ticdc-meta$commit-ts,id\r\n"
    write(tmp_path, "b.csv", header + '"I","t","app",7,"raw\n""I"",""t"",""app"",9\n"\r\n"D","t","app",8,"x"\r\n')
    write(tmp_path, "c.json", canal(5) + "\n" + json.dumps({"pad": "x" * 100_000, "_tidb": {"commitTs": 6}}) + "\n")
    write(tmp_path, "d.json", json.dumps({"pad": "x" * 100_000, "_tidb": {"commitTs": 6}}))
    write(tmp_path, "e.json", "{broken")
    at = str(tmp_path)

    def both(name, feed):
        return first_commit_ts(at, name, feed), last_commit_ts(at, name, feed)

    plain = Changefeed()
    assert both("a.csv", odd) == (110, 120)
    assert both("b.csv", plain) == (7, 8)
    assert both("c.json", plain) == (5, 6)
    assert both("d.json", plain) == (6, 6)
    assert both("e.json", plain) == both("gone.json", plain) == (None, None)
