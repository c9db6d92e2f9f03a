"""What ALTER and RENAME say, as TiCDC writes it and as people do."""

import pytest

from jobs.ingest.tidb.ddl.alter_table import column_changes, renamed_tables


@pytest.mark.parametrize(
    ("sql", "renames", "added", "dropped"),
    [
        ("ALTER TABLE `app`.`boards` RENAME COLUMN `category` TO `topic`", {"topic": "category"}, set(), set()),
        ("alter table boards rename column category to topic", {"topic": "category"}, set(), set()),
        ("ALTER TABLE app.t RENAME COLUMN a TO b, RENAME COLUMN b TO a", {"b": "a", "a": "b"}, set(), set()),
        ("ALTER TABLE `t` CHANGE COLUMN `a` `b` INT, CHANGE c c BIGINT", {"b": "a"}, set(), set()),
        ("ALTER TABLE `a`.`t` ADD COLUMN `n` DECIMAL(10,2) DEFAULT 7, DROP COLUMN `m`", {}, {"n"}, {"m"}),
        (
            "ALTER TABLE t ADD COLUMN IF NOT EXISTS (a INT, b ENUM('x,y','z')), DROP COLUMN IF EXISTS c",
            {},
            {"a", "b"},
            {"c"},
        ),
        ("ALTER TABLE t ADD INDEX i (a, b), ADD UNIQUE KEY u (a), DROP PRIMARY KEY, DROP INDEX j", {}, set(), set()),
        ("ALTER TABLE t ADD PARTITION (PARTITION p1 VALUES LESS THAN (5)), DROP PARTITION p0", {}, set(), set()),
        ("ALTER TABLE t RENAME INDEX i TO j", {}, set(), set()),
        ("ALTER TABLE t MODIFY COLUMN a VARCHAR(20) COMMENT 'rename column x to y'", {}, set(), set()),
        ("ALTER TABLE t ADD `index` INT", {}, {"index"}, set()),
        ("CREATE TABLE t (a INT)", {}, set(), set()),
        ("", {}, set(), set()),
    ],
)
def test_columns_that_a_statement_touches(sql, renames, added, dropped):
    found = column_changes(sql)
    assert (found.renames, found.added, found.dropped) == (renames, added, dropped)


@pytest.mark.parametrize(
    ("sql", "pairs"),
    [
        ("RENAME TABLE `app`.`t` TO `app`.`u`", [(("app", "t"), ("app", "u"))]),
        ("rename table t to u, other.v to w;", [(("s", "t"), ("s", "u")), (("other", "v"), ("s", "w"))]),
        ("RENAME TABLE `a b`.`t.x` TO `u`", [(("a b", "t.x"), ("s", "u"))]),
        ("ALTER TABLE `app`.`t` RENAME TO `app`.`u`", [(("app", "t"), ("app", "u"))]),
        ("ALTER TABLE t RENAME AS u", [(("s", "t"), ("s", "u"))]),
        ("ALTER TABLE t RENAME u", [(("s", "t"), ("s", "u"))]),
        ("ALTER TABLE t RENAME COLUMN a TO b", []),
        ("TRUNCATE TABLE t", []),
    ],
)
def test_tables_that_a_statement_renames(sql, pairs):
    assert renamed_tables(sql, "s") == pairs
