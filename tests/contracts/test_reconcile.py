"""Two databases compared over real connections: a shard and what was brought of it elsewhere."""

import pymysql
import pytest

from jobs.common.errors import ConfigError, SourceError
from jobs.reconcile.database import Address, Database
from jobs.reconcile.table import Question, against_database

TYPES = {
    "i": "TINYINT", "u": "BIGINT UNSIGNED", "z": "INT(8) ZEROFILL", "d": "DECIMAL(12,4)", "f": "FLOAT", "g": "DOUBLE",
    "b": "BIT(10)", "c": "CHAR(5)", "v": "VARCHAR(40)", "t": "TEXT", "r": "VARBINARY(20)", "o": "BLOB", "y": "YEAR",
    "day": "DATE", "at": "DATETIME(3)", "ts": "TIMESTAMP(6) NULL", "hour": "TIME", "e": "ENUM('x','y')",
    "s": "SET('p','q')", "j": "JSON",
}  # fmt: skip
ROW = (
    "CAST(seq % 200 AS SIGNED) - 100, 18446744073709551615 - seq, seq, seq / 7, seq * 1.5e10, seq / 3, seq % 1000, "
    "'ab', "
    "CONCAT('naïve, ', seq), REPEAT('é', seq % 9), UNHEX(MD5(seq)), UNHEX(MD5(seq)), 2000 + seq % 50, "
    "'2026-01-02' + INTERVAL seq % 300 DAY, '2026-01-02 03:04:05.678', '2026-01-02 03:04:05.678901', '-12:30:00', "
    "ELT(1 + seq % 2, 'x', 'y'), 'p,q', '{\"a\": 1}'"
)


ROWS = 1200


@pytest.fixture(scope="module")
def server(mariadb):
    """A connection, and the port: a table of all types and one with a key of two columns, alike in two databases."""
    link = pymysql.connect(host="127.0.0.1", port=mariadb, user="reader", password="pw-reader", autocommit=True)
    link.query("SET sql_mode = ''")
    link.query("USE mysql")  # sequences belong to some database
    columns = ", ".join(f"`{name}` {kind}" for name, kind in TYPES.items())
    for name in ("shard", "whole"):
        link.query(f"CREATE DATABASE {name}")
        link.query(f"CREATE TABLE {name}.t (id BIGINT PRIMARY KEY, {columns}, twice INT AS (i * 2)) CHARSET utf8mb4")
        link.query(f"CREATE TABLE {name}.named (a VARCHAR(20), b INT, v INT, PRIMARY KEY (a, b)) CHARSET utf8mb4")
        link.query(f"INSERT INTO {name}.t (id, `{'`, `'.join(TYPES)}`) SELECT seq, {ROW} FROM seq_1_to_{ROWS}")
        link.query(f"INSERT INTO {name}.t (id, day, at) VALUES (-5, '0000-00-00', NULL)")
        link.query(f"INSERT INTO {name}.named SELECT CONCAT('k', seq), seq, 1 FROM seq_1_to_{ROWS}")
    yield link, mariadb
    for name in ("shard", "whole"):
        link.query(f"DROP DATABASE {name}")
    link.close()


def address(port):
    return Address("127.0.0.1", port, "reader", "pw-reader")


def compared(port, table="t", **more):
    return against_database(Question(f"shard.{table}", f"whole.{table}", **more), address(port), address(port))


def test_equal_tables_of_all_types_are_equal_by_checksums_alone(server):
    report = compared(server[1])
    assert (report.found.rows, report.found.differences, report.found.fetched) == (ROWS + 1, 0, 0)
    assert report.key == ("id",)
    assert set(report.columns) == {"id", *TYPES}, "MariaDB's JSON is text; generated columns are left out"


@pytest.mark.parametrize(
    ("change", "column"),
    [("d = d + 0.0001", "d"), ("v = CONCAT(v, ' ')", "v"), ("t = NULL", "t"), ("b = b ^ 1", "b"), ("e = 'x'", "e"),
     ("ts = ts + INTERVAL 1 MICROSECOND", "ts"), ("r = CONCAT(r, 'a')", "r"), ("g = g * 1.0001", "g")],
)  # fmt: skip
def test_one_changed_value_is_found_with_its_column(server, change, column):
    link, port = server
    link.query(f"UPDATE whole.t SET {change} WHERE id = 1111")
    try:
        found = compared(port).found
        assert found.differing == {("1111",): [column]}
        assert found.missing == found.extra == []
    finally:
        link.query(f"REPLACE INTO whole.t (id, `{'`, `'.join(TYPES)}`) SELECT id, `{'`, `'.join(TYPES)}` FROM shard.t "
                   "WHERE id = 1111")  # fmt: skip


def test_missing_and_extra_rows_are_found_by_keys_of_any_kind(server):
    link, port = server
    link.query("DELETE FROM whole.named WHERE b IN (7, 1199)")
    link.query("INSERT INTO whole.named VALUES ('k7', 8, 1), ('new', 1, 1)")
    link.query("UPDATE whole.named SET v = 2 WHERE b = 50")
    report = compared(port, "named")
    assert sorted(report.found.missing) == [("k1199", "1199"), ("k7", "7")]
    assert sorted(report.found.extra) == [("k7", "8"), ("new", "1")]
    assert report.found.differing == {("k50", "50"): ["v"]}
    assert "2 missing, 2 extra, 1 different" in "\n".join(report.sentences())


def test_the_command_says_so_by_its_exit_code_and_never_shows_a_password(server, pinlake, tmp_path, monkeypatch):
    link, port = server
    monkeypatch.chdir(tmp_path)
    for side in ("SOURCE", "AGAINST"):
        monkeypatch.setenv(f"PINLAKE_{side}_PASSWORD", "pw-reader")
    where = f"mysql://reader@127.0.0.1:{port}"

    def run(*more):
        done = pinlake("reconcile", "shard.t", "--source", where, "--against", where, *more)
        assert "pw-reader" not in done.stdout + done.stderr
        return done

    same = run("--as", "whole.t")
    assert (same.returncode, "is the same" in same.stdout) == (0, True), same.stderr
    link.query("DELETE FROM whole.t WHERE id = 3")
    other = run("--as", "whole.t", "--out", "report.json")
    assert other.returncode == 5
    assert "missing 3" in other.stdout
    assert '"3"' in (tmp_path / "report.json").read_text()
    monkeypatch.setenv("PINLAKE_SOURCE_PASSWORD", "wrong-pw")
    refused = run("--as", "whole.t")
    assert refused.returncode == 3
    assert "cannot be reached as reader" in " ".join(refused.stderr.split())


def test_what_cannot_be_compared_is_said(server):
    link, port = server
    with pytest.raises(SourceError, match="no such table"):
        Database(address(port), "shard.gone")
    link.query("CREATE TABLE shard.keyless (a INT)")
    with pytest.raises(SourceError, match="has none"):
        Database(address(port), "shard.keyless")
    with pytest.raises(ConfigError, match="PINLAKE_SOURCE_PASSWORD"):
        Address.parse("mysql://me:secret-pw@h:1", "PINLAKE_SOURCE_PASSWORD")
    with pytest.raises(ConfigError, match="mysql://user@host"):
        Address.parse("postgres://h", "PINLAKE_SOURCE_PASSWORD")
