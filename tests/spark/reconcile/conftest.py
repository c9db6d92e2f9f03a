"""A MariaDB that a genuine export was loaded into, and ingest runs."""

import re
from contextlib import contextmanager

import pymysql
import pytest

from jobs.reconcile.database import Address
from tests.scenes import worker

TABLES = ("users", "boards", "pins", "board_pins")


@contextmanager
def database(port):
    """Give a connection to an empty database app, and where it is."""
    link = pymysql.connect(host="127.0.0.1", port=port, user="reader", password="pw-reader", autocommit=True)
    link.query("SET sql_mode = '', time_zone = '+00:00'")
    link.query("CREATE DATABASE app CHARACTER SET utf8mb4")
    link.query("USE app")
    try:
        yield link, Address("127.0.0.1", port, "reader", "pw-reader")
    finally:
        link.query("DROP DATABASE app")
        link.close()


@pytest.fixture(scope="module")
def source(mariadb, shared):
    """The export's tables."""
    folder = shared / "fixtures/dumpling-real/sql-start"
    with database(mariadb) as (link, address):
        for table in TABLES:
            create = (folder / f"app.{table}-schema.sql").read_text()
            link.query(re.sub(r"/\*!.*?\*/;|/\*T!.*?\*/", "", create).strip().rstrip(";"))
            link.query("SET NAMES binary")
            for file in sorted(folder.glob(f"app.{table}.0*.sql")):
                with link.cursor() as cursor:
                    cursor.execute(file.read_bytes()[file.read_bytes().index(b"INSERT") :].strip().rstrip(b";"))
            link.query("SET NAMES utf8mb4")
        yield link, address


@pytest.fixture
def work(lake, ctx):
    """Return a maker of Work; a second call is a later run."""
    return worker(lake, ctx)
