"""Generated columns, members and indexes, by the definition of each column and not by words of the statement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest.tidb.ddl.alter_table import column_changes, definition_changes, renamed_tables
from jobs.ingest.tidb.ddl.create_table import parse_create, table_definition
from jobs.ingest.tidb.ddl.indexes import Index


def kinds(defined):
    """Return name -> virtual or stored, of generated columns."""
    return {d.name: "stored" if d.generation.stored else "virtual" for d in defined if d.generation is not None}


@pytest.mark.parametrize(
    ("columns", "generated"),
    [
        ("a INT, g INT AS (a + 1)", {"g": "virtual"}),
        ("a INT, g INT GENERATED ALWAYS AS(`a`+1) VIRTUAL NOT NULL", {"g": "virtual"}),
        ("a INT, g INT AS (a) STORED, h INT as (a) stored unique", {"g": "stored", "h": "stored"}),
        ("a INT, g INT AS (a) PERSISTENT COMMENT 'x'", {"g": "stored"}),
        ("a INT COMMENT 'known as (x) STORED'", {}),
        ("a VARCHAR(9) DEFAULT 'as ('", {}),
        ("a VARCHAR(9) DEFAULT 'it''s ) as (' COLLATE utf8mb4_bin", {}),
        ("code VARCHAR(9) CHECK(CAST(code AS SIGNED) > 0)", {}),
        ("a INT, CONSTRAINT c CHECK (CAST(a AS CHAR) <> 'x')", {}),
        ("`as` INT, `generated always as (x)` INT", {}),
        ("a ENUM('as','(x)') DEFAULT 'as'", {}),
        ("a INT DEFAULT (CAST('1' AS SIGNED))", {}),
        ("a JSON, KEY i ((CAST(a->'$.x' AS UNSIGNED ARRAY))), UNIQUE u ((CAST(a AS CHAR(5))))", {}),
        ("j JSON, g VARCHAR(9) AS (JSON_UNQUOTE(JSON_EXTRACT(j, _UTF8MB4'$.a as (b)'))) STORED", {"g": "stored"}),
        ("a INT, g INT AS (CAST(a AS UNSIGNED)) VIRTUAL COMMENT 'STORED', b INT", {"g": "virtual"}),
    ],
)
def test_generated_columns_of_a_create(columns, generated):
    found = table_definition(
        f"CREATE TABLE `s`.`t` ({columns}) COMMENT 'x AS (y)' PARTITION BY HASH (CAST(a AS SIGNED))"
    )
    assert kinds(found.columns) == generated
    parsed = parse_create(f"CREATE TABLE t ({columns})", "f").columns
    assert {c.name: "stored" if c.stored else "virtual" for c in parsed if c.generated} == generated


def test_words_in_an_expression_are_not_the_columns_own():
    sql = "CREATE TABLE t (a INT, g INT AS (CAST(a AS UNSIGNED)), h INT CHECK (h IS NOT NULL))"
    found = {c.name: c for c in parse_create(sql, "f").columns}
    assert not found["g"].unsigned
    assert found["h"].nullable


@pytest.mark.parametrize(
    ("sql", "defined", "dropped"),
    [
        ("ALTER TABLE `a`.`t` ADD COLUMN `b` INT, ADD COLUMN `g` INT AS (`a`+1)", {"b": None, "g": False}, set()),
        ("ALTER TABLE t ADD COLUMN IF NOT EXISTS g INT AS (a) STORED", {"g": True}, set()),
        ("alter table t add (b INT, g INT AS (a)), add column (c int)", {"b": None, "g": False, "c": None}, set()),
        ("ALTER TABLE t ADD g INT AS (a) VIRTUAL FIRST, ADD b INT AFTER `as`", {"g": False, "b": None}, set()),
        ("ALTER TABLE t ADD COLUMN n VARCHAR(50) COMMENT 'known as (short)'", {"n": None}, set()),
        ("ALTER TABLE t DROP COLUMN g, ADD COLUMN g INT DEFAULT 7", {"g": None}, {"g"}),
        ("ALTER TABLE t MODIFY COLUMN g INT AS (a + 2) STORED", {"g": True}, set()),
        ("ALTER TABLE t CHANGE g h INT AS (a)", {"h": False}, set()),
        ("ALTER TABLE t CHANGE COLUMN `G` `H` BIGINT", {"h": None}, set()),
        ("ALTER TABLE t DROP COLUMN IF EXISTS g, DROP h", {}, {"g", "h"}),
        ("ALTER TABLE t RENAME COLUMN g TO h, RENAME TO u, DROP PRIMARY KEY", {}, set()),
        ("ALTER TABLE t DROP FOREIGN KEY f, DROP CHECK c", {}, set()),
        ("ALTER TABLE t ADD PARTITION (PARTITION p VALUES LESS THAN (5)), DROP PARTITION q", {}, set()),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0), ADD CHECK (CAST(a AS CHAR) > 1), COMMENT 'as (x)'", {}, set()),
        ("CREATE TABLE t (g INT AS (a))", {}, set()),
        ("", {}, set()),
    ],
)  # fmt: skip
def test_columns_that_a_statement_defines(sql, defined, dropped):
    found = definition_changes(sql)
    assert {n: d.generation and d.generation.stored for n, d in found.defined.items()} == defined
    assert found.dropped == dropped


@pytest.mark.parametrize(
    ("sql", "indexes"),
    [
        ("id INT KEY, a INT UNIQUE KEY", [("id", ["id"], "p"), ("a", ["a"], "u")]),
        ("a INT UNIQUE, b INT, UNIQUE (b), KEY (b)", [("b", ["b"], "u"), ("b_2", ["b"], ""), ("a", ["a"], "u")]),
        ("a INT, CONSTRAINT c UNIQUE (a), CONSTRAINT UNIQUE INDEX d (a)", [("c", ["a"], "u"), ("d", ["a"], "u")]),
        ("a INT, UNIQUE KEY U USING BTREE (`A` DESC, b) COMMENT 'x' INVISIBLE", [("u", ["a", "b"], "u")]),
        ("a TEXT, UNIQUE u (a(10))", [("u", ["a"], "x")]),
        ("a TEXT, UNIQUE u ((LOWER(a)))", [("u", [], "x")]),
        ("a INT, b INT, UNIQUE u (a, (b + 1))", [("u", ["a"], "x")]),
        ("a INT, UNIQUE u (a) WHERE a > 1", [("u", ["a"], "x")]),
        ("a TEXT, PRIMARY KEY (a(10)), FULLTEXT f (a), FOREIGN KEY k (a) REFERENCES z (a)",
         [("a", ["a"], "x"), ("f", ["a"], "")]),
    ],
)  # fmt: skip
def test_indexes_of_a_create(sql, indexes):
    def told(index):
        return "x" if index.unique and not index.whole else "p" if index.primary else "u" if index.unique else ""

    found = table_definition(f"CREATE TABLE t ({sql})").indexes
    assert [(index.name, list(index.columns), told(index)) for index in found] == indexes


def test_index_statements():
    both = "UNIQUE INDEX `U` ON `a`.`t` (`X`, y)"
    assert definition_changes(f"CREATE {both}").added_indexes == [Index("u", ("x", "y"), True)]
    assert definition_changes("create unique index if not exists u using btree on t (x)").added_indexes == [
        Index("u", ("x",), True)
    ]
    assert definition_changes("CREATE INDEX i ON t(x)").added_indexes == [Index("i", ("x",))]
    assert definition_changes("DROP INDEX `U` ON `a`.`t`").dropped_indexes == {"u": True}
    assert definition_changes("DROP INDEX IF EXISTS u ON t").dropped_indexes == {"u": False}
    found = definition_changes(
        "ALTER TABLE t ADD UNIQUE u (a), ADD UNIQUE KEY (b), ADD CONSTRAINT c UNIQUE INDEX (d), DROP INDEX v, "
        "DROP KEY w, DROP CONSTRAINT x, RENAME INDEX y TO z, ADD COLUMN e INT UNIQUE, ADD PRIMARY KEY (f)"
    )
    assert [(i.name, i.columns) for i in found.added_indexes] == [
        ("u", ("a",)), ("", ("b",)), ("c", ("d",)), ("", ("e",)), ("", ("f",))
    ]  # fmt: skip
    assert found.dropped_indexes == {"v": True, "w": True, "x": False}
    assert found.renamed_indexes == {"y": "z"}


@pytest.mark.parametrize(
    ("sql", "model"),
    [
        ("CREATE TABLE `a`.`b` LIKE `c`.`d`", ("c", "d")),
        ("create table if not exists b like d", ("s", "d")),
        ("CREATE TABLE b (LIKE c.d)", ("c", "d")),
        ("/* hi */ CREATE TABLE b LIKE c . d", ("c", "d")),
        ("CREATE TABLE b (a INT CHECK (a LIKE `x`), c TEXT COMMENT 'LIKE `y`')", None),
        ("ALTER TABLE b COMMENT 'CREATE TABLE b LIKE d'", None),
    ],
)
def test_the_model_of_create_table_like(sql, model):
    found = table_definition(sql, "s")
    assert (found.like if found else None) == model


WORDS = """
    ALTER TABLE CREATE INDEX UNIQUE DROP ADD COLUMN MODIFY CHANGE RENAME TO AS KEY PRIMARY CONSTRAINT IF NOT EXISTS LIKE
    ( ) , ; `a` b 'x' INT GENERATED ALWAYS STORED ON . a.b FIRST AFTER PARTITION DEFAULT = CHECK WHERE
"""
STARTS = ["ALTER TABLE t", "CREATE TABLE t", "", "DROP INDEX", "CREATE UNIQUE INDEX i ON", "RENAME TABLE"]


@given(st.sampled_from(STARTS), st.lists(st.sampled_from(WORDS.split()), max_size=10))
def test_no_statement_however_cut_ends_a_run(start, words):
    sql = " ".join([start, *words])
    for read in (table_definition, definition_changes, column_changes, lambda text: renamed_tables(text, "s")):
        read(sql)
