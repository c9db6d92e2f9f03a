"""The key of tables without a primary key, through index DDL: which one TiCDC takes, what happens where it goes."""

import pytest

from jobs.ingest.tidb.ddl.create_table import parse_create
from jobs.settings.ingest import TableRules
from tests.tablefeeds import BASE, TableFeed, ledger_of, silver_of, sources_of, write_export

COLUMNS = ["email VARCHAR !", "slot INT !", "v VARCHAR"]
CREATE = "CREATE TABLE `app`.`t` (`email` VARCHAR(50) NOT NULL,`slot` INT NOT NULL,`v` VARCHAR(50),{keys})"
BOTH = "UNIQUE KEY `uk_email`(`email`),UNIQUE KEY `uk_slot`(`slot`)"


@pytest.fixture(params=["json", "csv"])
def feed(request, tmp_path):
    return TableFeed(tmp_path / "feed", request.param)


def row(email, slot, v="p"):
    return {"email": email, "slot": slot, "v": v}


@pytest.mark.parametrize(
    ("sql", "key"),
    [
        ("a INT NOT NULL, b INT NOT NULL, UNIQUE u (a, b), UNIQUE w (b)", ("b",)),
        ("a INT NOT NULL, b INT NOT NULL, UNIQUE u (b), UNIQUE w (a)", ("b",)),
        ("a INT NOT NULL UNIQUE, b INT NOT NULL, UNIQUE w (b)", ("b",)),
        ("a INT, b INT NOT NULL, UNIQUE u (a), UNIQUE w (b)", ("b",)),
        ("a INT NOT NULL, b INT NOT NULL AS (a + 1) VIRTUAL, UNIQUE u (b), UNIQUE w (a)", ("a",)),
        ("a INT NOT NULL, b INT AS (a + 1) STORED NOT NULL, UNIQUE u (b)", ("b",)),
        ("a VARCHAR(50) NOT NULL, b INT NOT NULL, UNIQUE u (a(10)), UNIQUE w (b) INVISIBLE", ("b",)),
        ("a VARCHAR(50) NOT NULL, UNIQUE u (a(10))", ()),
        ("a VARCHAR(50) NOT NULL, b INT NOT NULL, UNIQUE u ((LOWER(a))), UNIQUE w (a, b)", ("a", "b")),
        ("a VARCHAR(50) NOT NULL, UNIQUE u ((LOWER(a)))", ()),
        ("a INT NOT NULL CHECK (a IS NULL OR a > 1), UNIQUE u (a)", ("a",)),
        ("a INT NOT NULL, b INT NOT NULL, UNIQUE u (a), PRIMARY KEY (b, a)", ("a", "b")),
        ("a VARCHAR(50) NOT NULL, PRIMARY KEY (a(10))", ("a",)),
    ],
)
def test_the_key_is_the_index_that_ticdc_takes(sql, key):
    assert parse_create(f"CREATE TABLE t ({sql})", "f").key == key


@pytest.mark.parametrize(
    ("statement", "columns", "says"),
    [
        ("ALTER TABLE `app`.`t` DROP INDEX `uk_email`", COLUMNS, "changes the key from email to slot"),
        ("DROP INDEX `UK_EMAIL` ON `app`.`t`", COLUMNS, "changes the key from email to slot"),
        ("ALTER TABLE `app`.`t` DROP KEY `uk_email`, DROP INDEX `uk_slot`", COLUMNS, "leaves no key after email"),
        ("ALTER TABLE `app`.`t` DROP COLUMN `email`", COLUMNS[1:], "drops email of the key and changes the key"),
        ("ALTER TABLE `app`.`t` MODIFY COLUMN `email` VARCHAR(50) NULL", ["email VARCHAR", *COLUMNS[1:]],
         "changes the key from email to slot"),
        ("ALTER TABLE `app`.`t` DROP INDEX `unheard_of`", COLUMNS, "leaves no key after email"),
    ],
)  # fmt: skip
def test_a_key_that_is_gone_blocks_the_table_at_the_statement(feed, statement, columns, says):
    feed.ddl(1, "app.t", CREATE.format(keys=BOTH), COLUMNS)
    feed.rows(1, "app.t", [("I", 2, row("a@x", 1))])
    feed.ddl(10, "app.t", statement, columns, 8)
    names = [column.split()[0] for column in columns]
    later = [{k: v for k, v in row("a@x", slot).items() if k in names} for slot in (2, 3)]
    feed.rows(10, "app.t", [("I", 11 + number, one) for number, one in enumerate(later)])
    found = sources_of(feed)
    table = found.tables["app.t"]
    assert table.blocked_from_ts == BASE + 10
    assert says in table.blocked_reason
    assert silver_of(found, "app.t")[0] == ("a@x", "1", "p")
    if "no key" not in says:
        assert len(ledger_of(found)[0]["app.t"]) == 3, "rows wait in bronze by their new key"
    else:
        assert len(found.blocked_files) == 1
    assert "no schema file" not in table.blocked_reason


@pytest.mark.parametrize(
    "statements",
    [
        ["ALTER TABLE `app`.`t` DROP INDEX `uk_slot`"],
        ["ALTER TABLE `app`.`t` RENAME INDEX `uk_email` TO `other`"],
        ["CREATE UNIQUE INDEX `more` ON `app`.`t` (`email`)", "ALTER TABLE `app`.`t` DROP INDEX `uk_email`"],
        ["ALTER TABLE `app`.`t` ADD CONSTRAINT `c` UNIQUE KEY (`email`), DROP INDEX `uk_email`"],
        ["ALTER TABLE `app`.`t` ADD INDEX `i` (`v`), DROP INDEX IF EXISTS `unheard_of`"],
        ["ALTER TABLE `app`.`t` DROP CONSTRAINT `a_check`"],
    ],
)
def test_a_key_stays_as_long_as_an_index_upholds_it(feed, statements):
    feed.ddl(1, "app.t", CREATE.format(keys=BOTH), COLUMNS)
    for number, statement in enumerate(statements, 2):
        feed.ddl(number, "app.t", statement, COLUMNS, 61)
    feed.rows(len(statements) + 1, "app.t", [("I", 11, row("a@x", 1)), ("U", 12, row("a@x", 1, "q"), row("a@x", 1))])
    found = sources_of(feed)
    assert found.tables["app.t"].blocked_reason is None
    assert silver_of(found, "app.t") == [("a@x", "1", "q")]


def test_renamed_columns_and_indexes_keep_the_key(feed):
    feed.ddl(1, "app.t", CREATE.format(keys=BOTH), COLUMNS)
    renamed = ["mail VARCHAR !", *COLUMNS[1:]]
    feed.ddl(2, "app.t", "ALTER TABLE `app`.`t` RENAME COLUMN `email` TO `mail`", renamed, 12)
    feed.ddl(3, "app.t", "ALTER TABLE `app`.`t` RENAME INDEX `uk_email` TO `i`, DROP INDEX `uk_slot`", renamed, 61)
    feed.rows(3, "app.t", [("I", 11, {"mail": "a", "slot": 1, "v": "p"})])
    found = sources_of(feed)
    assert (found.tables["app.t"].blocked_reason, found.tables["app.t"].key) == (None, ("mail",))
    feed.ddl(4, "app.t", "DROP INDEX `i` ON `app`.`t`", renamed, 8)
    assert "leaves no key after mail" in sources_of(feed).tables["app.t"].blocked_reason


def test_statements_before_the_snapshot_are_in_it(feed, tmp_path):
    create = CREATE.format(keys=BOTH)
    feed.ddl(1, "app.t", create, COLUMNS)
    feed.ddl(5, "app.t", "DROP INDEX `uk_email` ON `app`.`t`", COLUMNS, 8)
    feed.ddl(7, "app.t", "ALTER TABLE `app`.`t` ADD UNIQUE `uk_email`(`email`)", COLUMNS, 7)
    feed.rows(7, "app.t", [("I", 11, row("b@x", 2))])
    dump = {"app.t": (create, '"email","slot","v"', ['"a@x",1,"p"'])}
    export = write_export(tmp_path / "dump", 10, dump)
    found = sources_of(feed, export)
    assert (found.tables["app.t"].blocked_reason, found.tables["app.t"].key) == (None, ("email",))
    assert silver_of(found, "app.t") == [("a@x", "1", "p"), ("b@x", "2", "p")]


def test_an_export_without_the_primary_key_blocks_its_table(tmp_path):
    sql = "CREATE TABLE `t` (`a` VARCHAR(50),`s` INT AS (CRC32(`a`)) STORED NOT NULL,PRIMARY KEY (`s`))"
    export = write_export(tmp_path / "dump", 1, {"app.t": (sql, '"a"', ['"x"'])})
    found = sources_of(TableFeed(tmp_path / "feed"), export)
    assert "in the export rows lack s of the key" in found.tables["app.t"].blocked_reason


def test_one_statement_in_two_schema_files_is_gone_through_once(feed):
    feed.ddl(1, "app.t", CREATE.format(keys=BOTH), COLUMNS)
    for other in (COLUMNS, [*COLUMNS[:2], "v TEXT"]):  # upgraded writers have other checksums
        feed.ddl(2, "app.t", "DROP INDEX `uk_slot` ON `app`.`t`", other, 8)
    assert sources_of(feed).tables["app.t"].key == ("email",)


def test_a_key_of_a_stored_column_is_one_unless_an_export_lacks_it(feed, tmp_path):
    sql = "CREATE TABLE `app`.`t` (`a` INT NOT NULL,`s` INT AS (`a`) STORED NOT NULL,`b` INT NOT NULL,{})"
    keys = "UNIQUE KEY `s`(`s`),UNIQUE KEY `b`(`b`)"
    columns = ["a INT !", "s INT !", "b INT !"]
    feed.ddl(1, "app.t", sql.format(keys), columns)
    feed.rows(1, "app.t", [("I", 2, {"a": 1, "s": 1, "b": 5})])
    found = sources_of(feed)
    assert found.tables["app.t"].key == ("s",)
    assert silver_of(found, "app.t") == [("1", "1", "5")]
    dump = sql.format(keys).replace("`app`.", "")
    export = write_export(tmp_path / "dump", 1, {"app.t": (dump, '"a","b"', ["1,5"])})
    assert sources_of(feed, export).tables["app.t"].key == ("b",)


@pytest.mark.parametrize("keys", [("e",), ("gone",)])
def test_conf_that_names_no_column_of_rows_blocks_one_table_and_says_so(feed, keys):
    columns = ["a INT !", "e INT !", "v VARCHAR"]
    create = (
        "CREATE TABLE `app`.`t` (`a` INT NOT NULL,`e` INT AS (`a`+1) VIRTUAL NOT NULL,`v` VARCHAR(50),UNIQUE (`a`))"
    )
    for table in ("app.t", "app.u"):
        feed.ddl(1, table, create.replace("`t`", f"`{table[-1]}`"), columns)
        feed.rows(1, table, [("I", 2, {"a": 1, "v": "x"})])
    found = sources_of(feed, tables={"app.t": TableRules(keys=keys)})
    assert f"rows lack {keys[0]} of the key" in found.tables["app.t"].blocked_reason
    assert silver_of(found, "app.u") == [("1", "x")]


def test_a_row_without_its_key_is_set_aside(tmp_path):
    feed = TableFeed(tmp_path / "feed")
    feed.ddl(1, "app.t", CREATE.format(keys=BOTH), COLUMNS)
    changes = [("I", 2, row("a", 1)), ("U", 3, {"slot": 1, "v": "x"}, {"v": "p"}), ("D", 4, {"slot": 1})]
    feed.rows(1, "app.t", changes)
    good, bad = ledger_of(sources_of(feed))
    assert len(good["app.t"]) == 1
    assert [one["reason"] for one in bad["app.t"]] == ["missing_column"] * 2


def test_a_table_like_another_has_its_unique_key(feed):
    feed.ddl(1, "app.src", CREATE.format(keys=BOTH).replace("`t`", "`src`"), COLUMNS)
    feed.ddl(2, "app.src", "ALTER TABLE `app`.`src` DROP INDEX `uk_email`", COLUMNS, 8)
    feed.ddl(3, "app.t", "CREATE TABLE `app`.`t` LIKE `app`.`src`", COLUMNS)
    feed.rows(3, "app.t", [("I", 4, row("a", 1)), ("I", 5, row("a", 2))])
    found = sources_of(feed)
    assert found.tables["app.t"].key == ("slot",)
    assert len(silver_of(found, "app.t")) == 2
