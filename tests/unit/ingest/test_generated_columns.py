"""Generated columns from files to silver's columns: by definitions, by models of LIKE, by rows."""

import pyarrow as pa
import pytest

from jobs.ingest.tidb.ddl.create_table import parse_create
from jobs.ingest.tidb.dumpling.generated_columns import computable, computed
from jobs.settings.ingest import TableRules
from tests.tablefeeds import BASE, TableFeed, ledger_of, silver_of, sources_of, write_export


@pytest.fixture(params=["json", "csv", "csv-header", "csv-old-value"])
def feed(request, tmp_path):
    protocol, _, more = request.param.partition("-")
    return TableFeed(tmp_path / "feed", protocol, header=more == "header", old_value=more == "old-value")


def names(sources, table="app.t"):
    return [column.name for column in sources.tables[table].columns]


def good(sources, table="app.t"):
    assert ledger_of(sources)[1] == {}
    assert sources.tables[table].blocked_reason is None
    return silver_of(sources, table)


FRAMES = "`w` INT, `now` INT GENERATED ALWAYS AS (`w`*2) VIRTUAL, `area` INT AS (`w`+1) STORED, `note` VARCHAR(50)"
COLUMNS = ["id INT pk", "w INT", "now INT", "area INT", "note VARCHAR"]


def test_stored_columns_are_in_rows_and_virtual_ones_are_not(feed):
    feed.ddl(1, "app.t", f"CREATE TABLE `app`.`t` (`id` INT NOT NULL PRIMARY KEY, {FRAMES})", COLUMNS)
    feed.rows(1, "app.t", [("I", 2, {"id": 1, "w": 5, "area": 6, "note": "a"})])
    assert good(sources_of(feed)) == [("1", "5", "6", "a")]


def test_a_definition_in_the_snapshot_counts_the_same(feed, tmp_path):
    create = f"CREATE TABLE `t` (`id` INT NOT NULL, {FRAMES}, PRIMARY KEY (`id`))"
    export = write_export(tmp_path / "dump", 1, {"app.t": (create, "", [])})
    feed.ddl(1, "app.t", "", COLUMNS, action=0)
    feed.rows(1, "app.t", [("I", 2, {"id": 1, "w": 5, "area": 6, "note": "a"})])
    assert good(sources_of(feed, export)) == [("1", "5", "6", "a")]


@pytest.mark.parametrize(
    ("alter", "after", "row", "silver"),
    [
        ("ADD COLUMN `b` INT, ADD COLUMN `g` INT GENERATED ALWAYS AS(`a`+1)", ["b", "g"], {"b": 3}, ["id", "a", "b"]),
        ("ADD COLUMN (`b` INT, `g` INT AS (`a`+1) VIRTUAL)", ["b", "g"], {"b": 3}, ["id", "a", "b"]),
        ("ADD COLUMN IF NOT EXISTS `g` INT AS (`a`) VIRTUAL", ["g"], {}, ["id", "a"]),
        ("ADD COLUMN `g` INT COMMENT 'known as (x)'", ["g"], {"g": 3}, ["id", "a", "g"]),
        ("ADD COLUMN `as` INT DEFAULT 1", ["as"], {"as": 3}, ["id", "a", "as"]),
        ("ADD COLUMN `g` INT, ADD INDEX `i` ((CAST(`g` AS CHAR)))", ["g", "_V$_i_0"], {"g": 3}, ["id", "a", "g"]),
    ],
)
def test_what_an_alter_adds(feed, alter, after, row, silver):
    feed.ddl(1, "app.t", "CREATE TABLE `app`.`t` (`id` INT PRIMARY KEY,`a` INT)", ["id INT pk", "a INT"])
    feed.ddl(5, "app.t", f"ALTER TABLE `app`.`t` {alter}", ["id INT pk", "a INT", *[f"{n} INT" for n in after]], 61)
    feed.rows(5, "app.t", [("I", 6, {"id": 1, "a": 2} | row)])
    found = sources_of(feed)
    assert names(found) == silver
    assert len(good(found)) == 1


def test_a_generated_column_is_forgotten_followed_and_redefined(feed):
    create = "CREATE TABLE `app`.`t` (`id` INT PRIMARY KEY,`a` INT,`g` INT AS (`a`) VIRTUAL,`s` INT AS (`a`) STORED)"
    feed.ddl(1, "app.t", create, ["id INT pk", "a INT", "g INT", "s INT"])
    feed.rows(1, "app.t", [("I", 2, {"id": 1, "a": 2, "s": 2})])
    feed.ddl(
        10, "app.t", "ALTER TABLE `app`.`t` RENAME COLUMN `g` TO `h`", ["id INT pk", "a INT", "h INT", "s INT"], 12
    )
    feed.rows(10, "app.t", [("I", 11, {"id": 2, "a": 2, "s": 2})])
    plain = "ALTER TABLE `app`.`t` MODIFY COLUMN `s` INT, CHANGE COLUMN `h` `k` INT AS (`a`)"
    feed.ddl(20, "app.t", plain, ["id INT pk", "a INT", "k INT", "s INT"], 61)
    feed.rows(20, "app.t", [("I", 21, {"id": 3, "a": 2, "s": 9})])
    again = "ALTER TABLE `app`.`t` DROP COLUMN `k`, ADD COLUMN `k` INT DEFAULT 7"
    feed.ddl(30, "app.t", again, ["id INT pk", "a INT", "s INT", "k INT"], 61)
    feed.rows(30, "app.t", [("I", 31, {"id": 4, "a": 2, "s": 9, "k": 8})])
    feed.ddl(40, "app.u", "RENAME TABLE `app`.`t` TO `app`.`u`", ["id INT pk", "a INT", "s INT", "k INT"], 14)
    found = sources_of(feed)
    assert len(good(found, "app.u")) == 0, "its rows have the old name"
    assert [(c.name, c.since) for c in found.tables["app.u"].columns] == [
        ("id", None),
        ("a", None),
        ("s", None),
        ("k", BASE + 30),
    ]
    assert [len(rows) for rows in ledger_of(found)[0].values()] == [4]


def test_a_stored_column_that_older_rows_lack_blocks_the_table(feed):
    feed.ddl(1, "app.t", "CREATE TABLE `app`.`t` (`id` INT PRIMARY KEY,`a` INT)", ["id INT pk", "a INT"])
    feed.ddl(5, "app.t", "ALTER TABLE `app`.`t` MODIFY `a` INT AS (`id`) STORED", ["id INT pk", "a INT"], 12)
    assert "computes STORED column a in older rows" in sources_of(feed).tables["app.t"].blocked_reason


def test_a_stored_column_that_computes_what_it_did_is_the_same(feed):
    create = "CREATE TABLE `app`.`t` (`id` INT PRIMARY KEY,`s` INT GENERATED ALWAYS AS (`id`+1) STORED)"
    feed.ddl(1, "app.t", create, ["id INT pk", "s INT"])
    same = "ALTER TABLE `app`.`t` CHANGE COLUMN `s` `r` INT AS (`id`+1) STORED COMMENT 'as before'"
    feed.ddl(5, "app.t", same, ["id INT pk", "r INT"], 12)
    feed.rows(5, "app.t", [("I", 6, {"id": 1, "r": 2})])
    assert good(sources_of(feed)) == [("1", "2")]


def test_a_table_like_another_has_what_its_model_had_then(feed, tmp_path):
    dumped = "CREATE TABLE `old` (`id` INT NOT NULL,`a` INT,`g` INT AS (`a`) VIRTUAL,PRIMARY KEY (`id`))"
    export = write_export(tmp_path / "dump", 1, {"app.old": (dumped, "", [])})
    three = ["id INT pk", "a INT", "g INT"]
    feed.ddl(2, "app.src", "CREATE TABLE `app`.`src` (`id` INT PRIMARY KEY,`a` INT,`g` INT AS (`a`))", three)
    feed.ddl(10, "app.t", "CREATE TABLE `app`.`t` LIKE `app`.`src`", three)
    feed.ddl(10, "lab.v", "create table lab.v like src", three)
    feed.ddl(10, "lab.w", "CREATE TABLE `lab`.`w` (LIKE `app`.`old`)", three)
    feed.ddl(15, "app.src", "ALTER TABLE `app`.`src` DROP COLUMN `g`, ADD COLUMN `g` INT", three, 61)
    feed.ddl(20, "app.x", "CREATE TABLE `app`.`x` LIKE `app`.`src`", three)
    for table, version in (("app.t", 10), ("lab.v", 10), ("lab.w", 10)):
        feed.rows(version, table, [("I", version + 1, {"id": 1, "a": 2})])
    feed.rows(20, "app.x", [("I", 21, {"id": 1, "a": 2, "g": 3})])
    found = sources_of(feed, export)
    assert [good(found, name) for name in ("app.t", "lab.v", "lab.w")] == [[("1", "2")]] * 3
    assert good(found, "app.x") == [("1", "2", "3")]


def test_rows_tell_of_a_table_that_nobody_defined(tmp_path):
    columns = ["id INT pk", "a INT", "g INT", "b INT !"]
    feed = TableFeed(tmp_path / "json")
    feed.ddl(5, "app.t", "", columns, 0)
    feed.rows(5, "app.t", [("D", 6, {"id": 1}), ("U", 7, {"id": 2, "a": 1, "b": 3}, {"a": 0})])
    feed.ddl(5, "app.c", "CREATE TABLE `app`.`c` LIKE `gone`.`m`", columns)
    feed.rows(5, "app.c", [("I", 7, {"id": 2, "a": 1, "b": 3})])
    found = sources_of(feed)
    assert good(found) == [("2", "1", "3")]
    assert good(found, "app.c") == [("2", "1", "3")]
    lonely = TableFeed(tmp_path / "keys-only")
    lonely.ddl(5, "app.t", "", columns, 0)
    lonely.rows(5, "app.t", [("I", 6, {"id": 1})])
    assert names(sources_of(lonely)) == ["id", "a", "g", "b"], "rows of the key alone say nothing of the others"


def test_rows_that_have_a_virtual_column_after_all_are_believed(feed):
    feed.ddl(1, "app.t", "CREATE TABLE `app`.`t` (`id` INT PRIMARY KEY,`g` INT AS (`id`))", ["id INT pk", "g INT"])
    feed.rows(1, "app.t", [("I", 2, {"id": 1, "g": 4})])
    found = sources_of(feed)
    if feed.protocol == "json":
        assert good(found) == [("1", "4")]
    else:
        assert "have 2 fields" in found.tables["app.t"].blocked_reason


def test_a_number_of_fields_tells_no_names_and_blocks_the_table(tmp_path):
    feed = TableFeed(tmp_path / "csv", "csv")
    feed.ddl(5, "app.t", "", ["id INT pk", "a INT", "g INT"], 0)
    feed.rows(5, "app.t", [("I", 6, {"id": 1, "a": 1})])
    found = sources_of(feed)
    assert "have 2 fields" in found.tables["app.t"].blocked_reason
    assert "ingest.tables.app.t.generated" in found.tables["app.t"].blocked_reason
    assert (found.items, len(found.blocked_files)) == ([], 1)
    told = sources_of(feed, tables={"app.t": TableRules(generated=("G",))})
    assert good(told) == [("1", "1")]


def test_conf_follows_a_renamed_column(feed):
    feed.ddl(5, "app.t", "", ["a INT !", "g INT"], 0)
    feed.rows(5, "app.t", [("I", 6, {"a": 1})])
    feed.ddl(10, "app.t", "ALTER TABLE t RENAME COLUMN a TO b, CHANGE g h INT AS (b)", ["b INT !", "h INT"], 12)
    feed.rows(10, "app.t", [("I", 11, {"b": 2})])
    found = sources_of(feed, tables={"app.t": TableRules(keys=("a",), generated=("g",))})
    assert found.tables["app.t"].key == ("b",)
    assert len(good(found)) == 2


def test_conf_leaves_a_column_out_of_silver_whether_rows_have_it_or_not(feed):
    feed.ddl(5, "app.t", "", ["id INT pk", "a INT", "area INT", "b INT"], 0)
    feed.rows(5, "app.t", [("I", 6, {"id": 1, "a": 1, "area": 2, "b": 3})])
    found = sources_of(feed, tables={"app.t": TableRules(generated=("area",))})
    assert good(found) == [("1", "1", "3")]


def test_rows_of_an_export_lack_a_stored_column_that_silver_needs(tmp_path):
    create = f"CREATE TABLE `t` (`id` INT NOT NULL, `h` INT AS (CRC32(`note`)) STORED, {FRAMES}, PRIMARY KEY (`id`))"
    export = write_export(tmp_path / "dump", 1, {"app.t": (create, '"id","w","note"', ['1,5,"a"'])})
    feed = TableFeed(tmp_path / "feed")
    found = sources_of(feed, export)
    assert "those of h cannot be computed" in found.tables["app.t"].blocked_reason
    assert not found.tables["app.t"].exists_at(BASE + 10_000)
    told = sources_of(feed, export, tables={"app.t": TableRules(generated=("h",))})
    assert good(told) == [("1", "5", "6", "a")], "a sum of integers is what TiDB computed"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("`a` * `b`", "-6"),
        ("(`a`+1)*(`b`-2)", "-15"),
        ("-a - -3", "1"),
        ("`a` + `n`", None),
        ("3", "3"),
        ("`a` / `b`", False),
        ("`a` % 2", False),
        ("`a` * 1.5", False),
        ("`a` << 2", False),
        ("`a` * `t`", False),
        ("`a` * `big`", False),
        ("abs(`a`)", False),
        ("`a` + '1'", False),
        ("if(`a` > 1, 2, 3)", False),
        ("`a` ** `b`", False),
    ],
)
def test_sums_of_integers_are_computed_and_nothing_else(expression, value):
    create = parse_create(
        f"CREATE TABLE t (a INT, b INT, n INT, t TEXT, big BIGINT UNSIGNED, g BIGINT AS ({expression}) STORED)", "f"
    )
    *columns, column = create.columns
    assert computable(column, columns) == (value is not False)
    if value is not False:
        texts = {"a": "2", "b": "-3", "n": None, "t": "x", "big": "5"}
        values, faults = computed(column, {name: pa.array([text], pa.string()) for name, text in texts.items()})
        assert (values.to_pylist(), faults) == ([value], {})


def test_a_computed_value_that_does_not_fit_is_a_fault():
    column = parse_create("CREATE TABLE t (a INT, g TINYINT AS (a * 100) STORED)", "f").columns[1]
    values, faults = computed(column, {"a": pa.array(["1", "2"])})
    assert (values[0].as_py(), list(faults)) == ("100", [1])
