"""Cost of comparing a large table with its source: two databases, and the lake with one.

In: a server that may be written to. A table of many rows is made there twice, and once in a scratch lake; three rows
differ in what is held against it: one changed, one missing, one extra. Bytes and questions are what the server itself
counts for the connection, so they are all that crossed the wire.
"""

import time
from dataclasses import dataclass
from datetime import date

import psutil
import pymysql
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.lake.delta import Lake
from jobs.reconcile.compare import Side, compare
from jobs.reconcile.database import Address, Database
from jobs.reconcile.silver import Silver

SCHEMA = "pinlake_bench"
_ROW = (
    "id, id * 7919 % 450000000, CONCAT('A quiet corner with plants, no. ', id), "
    "CAST(id % 5000 AS DECIMAL(12, 2)) + 0.25, '2026-01-02 03:04:05' + INTERVAL id SECOND"
)


@dataclass(frozen=True)
class Cost:
    """Result of one comparison."""

    name: str
    rows: int
    seconds: float
    sent: int
    """Bytes sent by the source, and by the other database if there is one."""
    questions: int
    chunks: int
    fetched: int
    """Rows of the source that crossed the wire."""
    found: int
    """Rows that differ."""


def prepare(address: Address, rows: int) -> None:
    """Create the two tables; an existing schema is dropped.

    Args:
        address: of a server whose user may make and drop databases.
        rows: of each table.
    """
    with pymysql.connect(
        host=address.host, port=address.port, user=address.user, password=address.password, autocommit=True
    ) as link:
        link.query(f"DROP DATABASE IF EXISTS {SCHEMA}")
        link.query(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
        columns = "user_id BIGINT NOT NULL, title VARCHAR(200), price DECIMAL(12, 2), created_at DATETIME"
        for name in ("one", "two"):
            link.query(f"CREATE TABLE {SCHEMA}.{name} (id BIGINT PRIMARY KEY, {columns})")
        link.query(f"INSERT INTO {SCHEMA}.one SELECT {_ROW} FROM (SELECT 1 AS id) AS first")  # noqa: S608 - our own
        have = 1
        while have < rows:  # any server of the protocol can double a table
            more = f"SELECT id + {have} AS id FROM {SCHEMA}.one WHERE id <= {rows - have}"  # noqa: S608 - our own
            link.query(f"INSERT INTO {SCHEMA}.one SELECT {_ROW} FROM ({more}) AS more ORDER BY id")  # noqa: S608 - our own
            have = min(2 * have, rows)
        link.query(f"INSERT INTO {SCHEMA}.two SELECT * FROM {SCHEMA}.one ORDER BY id")  # noqa: S608 - our own
        link.query(f"UPDATE {SCHEMA}.two SET price = price + 0.01 WHERE id = {rows // 3}")  # noqa: S608 - our own
        link.query(f"DELETE FROM {SCHEMA}.two WHERE id = {rows // 2}")  # noqa: S608 - our own
        link.query(f"INSERT INTO {SCHEMA}.two SELECT {_ROW} FROM (SELECT {rows + 1} AS id) AS more")  # noqa: S608 - our own


def clean(address: Address) -> None:
    """Drop the schema of `prepare`."""
    with pymysql.connect(host=address.host, port=address.port, user=address.user, password=address.password) as link:
        link.query(f"DROP DATABASE {SCHEMA}")


def measure(lake: Lake, address: Address, rows: int) -> list[Cost]:
    """Return the costs of comparing two databases, and the lake with one of them.

    Args:
        lake: a scratch lake.
        address: of the server that `prepare` has seen.
        rows: of each table.
    """
    lake.create("silver.bench", _rows(lake, 0).schema, comment="Rows to compare.")
    lake.append("silver.bench", _rows(lake, rows))
    frame = lake.read("silver.bench")
    costs = []
    for name in ("two databases", "the lake and a database"):
        source = Database(address, f"{SCHEMA}.one")
        other = Database(address, f"{SCHEMA}.two") if name == "two databases" else None
        side = other or Silver(frame, source.key, source.fields, source.by_number)
        costs.append(_cost(name, source, side, [source, *([other] if other else [])]))
    return costs


def _cost(name: str, source: Database, other: Side, links: list[Database]) -> Cost:
    before = [link.traffic() for link in links]
    start = time.monotonic()
    found = compare(source, other, source.fields)
    seconds = time.monotonic() - start
    sent, asked = (sum(link.traffic()[i] - b[i] for link, b in zip(links, before, strict=True)) for i in (0, 1))
    for link in links:
        link.close()
    # reading the counter is a query too
    asked -= len(links)
    return Cost(name, found.rows, seconds, sent, asked, found.chunks, found.fetched, found.differences)


def _rows(lake: Lake, rows: int) -> DataFrame:
    """Return the rows of the second table, as silver has them."""
    ids = lake.spark.range(1, rows + 2).where(F.col("id") != rows // 2)
    price = F.expr("cast(id % 5000 as decimal(12, 2)) + 0.25")
    return ids.select(
        "id",
        F.expr("id * 7919 % 450000000").alias("user_id"),
        F.concat(F.lit("A quiet corner with plants, no. "), F.col("id").cast("string")).alias("title"),
        F.when(F.col("id") == rows // 3, price + F.lit(0.01).cast("decimal(3,2)"))
        .otherwise(price)
        .cast("decimal(12,2)")
        .alias("price"),
        F.expr("timestamp_ntz '2026-01-02 03:04:05' + make_dt_interval(0, 0, 0, id)").alias("created_at"),
    )


def table(costs: list[Cost]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| compared | rows | seconds | questions | checksums | bytes from the databases | rows fetched | found |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|--:|")
    for c in costs:
        numbers = (c.rows, round(c.seconds), c.questions, c.chunks, c.sent, c.fetched, c.found)
        lines.append(f"| {c.name} | {' | '.join(f'{number:,}' for number in numbers)} |")
    return lines


def page(lines: list[str], rows: int, today: date) -> str:
    """Return the part of docs/benchmarks.md."""
    return f"""# What holding a table against its source costs

Made by `pinlake benchmark reconcile --page docs/benchmarks.md` on {today}, {psutil.cpu_count()} cores that the
databases and Spark share: a table of {rows:,} rows and five columns, three rows planted that differ (one changed,
one missing, one extra). Questions and bytes are what the server counts for its connections; rows are fetched from
chunks that differ, and from no others.

{chr(10).join(lines)}
"""
