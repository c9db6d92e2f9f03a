"""What older rows have in a column that is added."""

from dataclasses import replace

import pytest

from jobs.ingest.tidb.ddl.defaults import ComputedDefault, default_of_older_rows, implicit_default
from tests.statements import column


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ("a INT", "0"), ("a BIGINT UNSIGNED", "0"), ("a DECIMAL(10,0)", "0"), ("a DECIMAL(65,3)", "0.000"),
        ("a DOUBLE", "0"), ("a BIT(3)", "0"), ("a YEAR", "0"), ("a VARCHAR(5)", ""), ("a CHAR(5)", ""), ("a TEXT", ""),
        ("a BLOB", ""), ("a VARBINARY(3)", ""), ("a BINARY(3)", "000000"), ("a JSON", "null"), ("a VECTOR(3)", "[]"),
        ("a ENUM('x','y')", "x"), ("a SET('x','y')", ""), ("a DATE", "0000-00-00"), ("a TIME", "00:00:00"),
        ("a TIME(3)", "00:00:00.000"), ("a DATETIME(6)", "0000-00-00 00:00:00.000000"),
        ("a TIMESTAMP(1)", "0000-00-00 00:00:00.0"), ("a TIMESTAMP", "0000-00-00 00:00:00"),
    ],
)  # fmt: skip
def test_a_column_that_is_not_null_and_has_no_default_is_filled_by_its_type(told, text):
    assert implicit_default(column(f"{told} NOT NULL")) == text
    assert default_of_older_rows(column(f"{told} NOT NULL"), f"ALTER TABLE t ADD COLUMN {told} NOT NULL") == text
    assert default_of_older_rows(column(told), f"ALTER TABLE t ADD COLUMN {told}") is None


@pytest.mark.parametrize(
    ("told", "query", "default", "text"),
    [
        ("f BIT(1)", "ALTER TABLE `app`.`bt` ADD COLUMN `f` BIT(1) NOT NULL DEFAULT B'0'", "\0", "0"),
        ("f BIT(3)", "alter table t add f bit(3) default b'101'", "\5", "5"),
        ("f BIT(8)", "ALTER TABLE t ADD COLUMN f BIT(8) DEFAULT 0xFF", "\ufffd", "255"),
        ("f BIT(8)", "ALTER TABLE t ADD COLUMN f BIT(8) DEFAULT X'ff' COMMENT 'x'", "\ufffd", "255"),
        ("f BIT(8)", "ALTER TABLE t ADD COLUMN (e INT DEFAULT 3, f BIT(8) DEFAULT 200)", "\ufffd", "200"),
        ("f BIT(8)", "ALTER TABLE t ADD COLUMN f BIT(8) DEFAULT 0b11", "\3", "3"),
        ("f BIT(3)", "", "\5", "5"),
        ("f BINARY(4)", "ALTER TABLE t ADD COLUMN f BINARY(4) DEFAULT 'ab'", "ab", "61620000"),
        ("f VARBINARY(4)", "ALTER TABLE t ADD COLUMN f VARBINARY(4) DEFAULT x'00ff'", "\0\ufffd", "00ff"),
        ("f VARBINARY(4)", "ALTER TABLE t ADD COLUMN f VARBINARY(4) DEFAULT _BINARY'ab'", "ab", "6162"),
        ("f VARBINARY(4)", "ALTER TABLE t ADD COLUMN f VARBINARY(4) DEFAULT ''", "", ""),
        ("f VARBINARY(4)", "ALTER TABLE t ADD COLUMN f VARBINARY(4) DEFAULT 12", "12", "3132"),
        ("f DECIMAL(65,3)", "ALTER TABLE t ADD COLUMN f DECIMAL(65,3) DEFAULT 1.5", "1.5", "1.500"),
        ("f DECIMAL(60,0)", "ALTER TABLE t ADD COLUMN f DECIMAL(60) DEFAULT 1e2", "100", "100"),
        ("f TIME(3)", "ALTER TABLE t ADD COLUMN f TIME(3) DEFAULT '01:02:03'", "01:02:03", "01:02:03.000"),
        ("f DATETIME(2)", "", "2026-01-01 00:00:00.5", "2026-01-01 00:00:00.50"),
        ("f VARCHAR(50)", "ALTER TABLE t ADD f VARCHAR(50) DEFAULT 'DEFAULT now()'", "DEFAULT now()", "DEFAULT now()"),
        ("f VARCHAR(50)", "ALTER TABLE t ADD f VARCHAR(50) DEFAULT ''", None, ""),
        ("f INT", "ALTER TABLE t ADD COLUMN f INT DEFAULT NULL", None, None),
        ("f INT", "ALTER TABLE t ADD COLUMN g DATETIME DEFAULT NOW(), ADD COLUMN f INT DEFAULT 7", "7", "7"),
        ("f INT", "ALTER TABLE t ADD COLUMN f INT DEFAULT 7 COMMENT 'DEFAULT (uuid())'", "7", "7"),
    ],
)  # fmt: skip
def test_a_literal_is_read_as_the_ledger_writes_it(told, query, default, text):
    assert default_of_older_rows(replace(column(told), default=default), query) == text


@pytest.mark.parametrize(
    ("told", "query", "default"),
    [
        ("f DATETIME", "ALTER TABLE t ADD COLUMN f DATETIME DEFAULT CURRENT_TIMESTAMP()", "CURRENT_TIMESTAMP"),
        ("f DATETIME", "", "CURRENT_TIMESTAMP(3)"),
        ("f DATETIME", "ALTER TABLE t ADD COLUMN f DATETIME DEFAULT NOW()", "2026-01-01 00:00:00"),
        ("f VARCHAR(40)", "ALTER TABLE t ADD COLUMN `f` VARCHAR(40) DEFAULT (UUID())", "uuid()"),
        ("f VARCHAR(40)", "ALTER TABLE t ADD COLUMN (`f` VARCHAR(40) DEFAULT UUID())", "uuid()"),
        ("f BIGINT", "ALTER TABLE t ADD COLUMN `f` BIGINT DEFAULT NEXT VALUE FOR s", "s"),
        ("f BIT(8)", "", "\ufffd"),
        ("f BINARY(8)", "ALTER TABLE t ADD COLUMN f BINARY(8) DEFAULT 'gr\u00fcn'", "gr\u00fcn"),
    ],
)
def test_what_is_worked_out_or_lost_is_said(told, query, default):
    with pytest.raises(ComputedDefault, match=r"\bf\b"):
        default_of_older_rows(replace(column(told), default=default), query)
