"""CREATE TABLE as TiDB shows it, as TiCDC rewrites it and as people type it."""

import pytest

from jobs.common.errors import SourceError
from jobs.ingest.tidb.ddl.alter_table import definition_changes
from jobs.ingest.tidb.ddl.create_table import parse_create, table_definition

SHOWN = """/*!40014 SET FOREIGN_KEY_CHECKS=0*/;
CREATE TABLE `pins` (
  `id` bigint(20) NOT NULL /*T![auto_rand] AUTO_RANDOM(5) */,
  `Odd ``name` varchar(10) DEFAULT 'a,(b'')' COMMENT 'x, y',
  `kind` enum('a''b','c,d','e)') NOT NULL DEFAULT 'c,d',
  `tags` set('x','y') DEFAULT NULL,
  `price` decimal(10,2) DEFAULT NULL,
  `flags` bit(8) NOT NULL,
  `at` datetime(6) NOT NULL,
  `whole` int(11) GENERATED ALWAYS AS (`price` + 1) VIRTUAL,
  `raw` char(4) CHARACTER SET binary DEFAULT NULL,
  PRIMARY KEY (`flags`,`id`) /*T![clustered_index] CLUSTERED */,
  UNIQUE KEY `u` (`kind`),
  KEY `k` (`price`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
"""


def test_columns_types_members_and_generated_columns_are_read():
    columns = {c.name: c for c in parse_create(SHOWN, "f").columns}
    assert list(columns) == ["id", "Odd `name", "kind", "tags", "price", "flags", "at", "whole", "raw"]
    assert columns["kind"].members == ("a'b", "c,d", "e)")
    assert (columns["price"].length, columns["price"].scale) == (10, 2)
    assert (columns["at"].length, columns["at"].scale) == (None, 6)
    assert columns["Odd `name"].default == "a,(b')"
    assert [n for n, c in columns.items() if c.generated] == ["whole"]
    assert columns["raw"].type == "BINARY"
    assert [n for n, c in columns.items() if not c.nullable] == ["id", "kind", "flags", "at"]


def test_the_primary_key_comes_in_column_order():
    assert parse_create(SHOWN, "f").key == ("id", "flags")


@pytest.mark.parametrize(
    ("sql", "key"),
    [
        ("create table app.t (day date not null, rnk int not null, primary key (day, rnk))", ("day", "rnk")),
        ("CREATE TABLE `app`.`t` (`id` BIGINT NOT NULL PRIMARY KEY,`n` TEXT)", ("id",)),
        ("create table t (a int, b int not null, unique key (a), unique key u (b))", ("b",)),
        ("create table t (a int not null unique, b int)", ("a",)),
        ("create table t (a varchar(9) not null, unique key u (a(3)))", ()),
        ("create table t (a int, b int)", ()),
    ],
)
def test_the_key_is_the_primary_or_the_first_unique_one_that_names_rows(sql, key):
    assert parse_create(sql, "f").key == key


def test_a_charset_before_a_default_is_no_default():
    table = parse_create("CREATE TABLE t (`why` VARCHAR(50) DEFAULT _UTF8MB4'none')", "f")
    assert table.columns[0].default == "none"


def test_members_are_found_in_an_alter():
    sql = "ALTER TABLE `app`.`t` ADD COLUMN `kind` ENUM('a','b') NOT NULL DEFAULT _UTF8MB4'a', ADD `n` INT"
    assert {name: made.members for name, made in definition_changes(sql).defined.items()} == {
        "kind": ("a", "b"),
        "n": (),
    }


def test_only_a_create_by_columns_counts_as_one():
    assert table_definition(SHOWN).columns
    assert table_definition("create table t (a int)").columns
    assert not table_definition("CREATE TABLE `a`.`b` LIKE `a`.`c`").columns
    assert table_definition("ALTER TABLE t ADD COLUMN a INT") is None


def test_what_cannot_be_read_is_named():
    with pytest.raises(SourceError, match=r"f\.sql, column a: type 'POINT"):
        parse_create("create table t (a point)", "f.sql")
    with pytest.raises(SourceError, match="holds no CREATE TABLE"):
        parse_create("DROP TABLE t", "f.sql")


def test_the_exports_of_the_real_history_agree_with_its_tables(shared):
    import json

    tables = json.loads((shared / "fixtures/ticdc-real/expected/start/tables.json").read_text())["tables"]
    for table in tables:
        name = f"{table['schema']}.{table['table']}"
        parsed = parse_create((shared / f"fixtures/dumpling-real/csv-start/{name}-schema.sql").read_text(), name)
        assert [c.name for c in parsed.columns] == [c["name"] for c in table["columns"]]
        assert [c.nullable for c in parsed.columns] == [c["nullable"] for c in table["columns"]]
        assert set(parsed.key) == set(table["unique_keys"]["PRIMARY"])
