"""Silver against a real MariaDB that a genuine export was loaded into, differences planted."""

import re

import pymysql
import pytest

from jobs.common.errors import TableError
from jobs.ingest.tidb import job as cdc
from jobs.reconcile.database import Address
from jobs.reconcile.table import Question, against_lake
from tests.spark.ingest.conftest import work

__all__ = ["work"]
pytestmark = pytest.mark.spark

TABLES = ("users", "boards", "pins", "board_pins")


@pytest.fixture
def source(mariadb, shared):
    """A connection to the export's tables in MariaDB, and where they are."""
    link = pymysql.connect(host="127.0.0.1", port=mariadb, user="reader", password="pw-reader", autocommit=True)
    link.query("SET sql_mode = '', time_zone = '+00:00'")
    link.query("CREATE DATABASE app CHARACTER SET utf8mb4")
    link.query("USE app")
    folder = shared / "fixtures/dumpling-real/sql-start"
    for table in TABLES:
        create = (folder / f"app.{table}-schema.sql").read_text()
        link.query(re.sub(r"/\*!.*?\*/;|/\*T!.*?\*/", "", create).strip().rstrip(";"))
        link.query("SET NAMES binary")
        for file in sorted(folder.glob(f"app.{table}.0*.sql")):
            with link.cursor() as cursor:
                cursor.execute(file.read_bytes()[file.read_bytes().index(b"INSERT") :].strip().rstrip(b";"))
        link.query("SET NAMES utf8mb4")
    yield link, Address("127.0.0.1", mariadb, "reader", "pw-reader")
    link.query("DROP DATABASE app")
    link.close()


def test_a_lake_that_is_its_source_is_found_to_be_so_and_planted_differences_are_named(lake, work, shared, source):
    link, address = source
    cdc.run(work(dumpling=str(shared / "fixtures/dumpling-real/csv-start")))
    for table in TABLES:
        same = against_lake(lake, Question(f"app.{table}"), address)
        assert same.found.differences == 0, same.sentences()
        assert same.found.rows > 0
    with link.cursor() as cursor:
        cursor.execute("SELECT id FROM app.boards ORDER BY id LIMIT 2")
        one, two = (row[0] for row in cursor.fetchall())
    link.query(f"UPDATE app.boards SET name = CONCAT(name, '!') WHERE id = {one}")
    link.query(f"DELETE FROM app.boards WHERE id = {two}")
    link.query(f"INSERT INTO app.boards (id) VALUES ({1 << 40})")
    found = against_lake(lake, Question("app.boards"), address).found
    assert (found.missing, found.extra) == ([(str(1 << 40),)], [(str(two),)])
    assert found.differing == {(str(one),): ["name"]}
    with pytest.raises(TableError, match="Ingest first"):
        against_lake(lake, Question("app.boards", at=1 << 62), address)
    masked = against_lake(lake, Question("app.boards", masked=("name",)), address)
    assert masked.found.differing == {}
    assert "name" in masked.left_out
