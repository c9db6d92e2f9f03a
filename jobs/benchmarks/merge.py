"""Cost of merging changes into a large silver table, compared with rebuilding the table from the ledger.

In: a scratch lake. A table of many rows is made from a ledger as ingest would; then one per cent of its keys change,
taken evenly from all, or the newest ones. CPU-seconds of each merge are held against those of the newest row per key of
the whole ledger, typed and written over the table: the same code with and without `merge`'s knowledge of what changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import psutil
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from jobs.benchmarks.measure import cpu_seconds
from jobs.engine.context import ActionContext
from jobs.history.ledger import newest, typed
from jobs.history.table_lineage import Segment
from jobs.ingest.tidb.ddl.source_column import Column as TableColumn
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.silver import ApplyWindow, merge, silver_schema
from jobs.ingest.tidb.tables.source_table import SourceTable
from jobs.lake.layout import by_key
from jobs.schema.bronze_silver import LEDGER

COLUMNS = (
    SourceColumn("id", "BIGINT", nullable=False),
    SourceColumn("user_id", "BIGINT", nullable=False),
    SourceColumn("title", "VARCHAR", length=200),
    SourceColumn("price", "DECIMAL", length=12, scale=2),
    SourceColumn("created_at", "DATETIME"),
)
TABLE = SourceTable(
    "bench",
    "pins",
    columns=tuple(map(TableColumn.first, COLUMNS)),
    key=("id",),
    segments=(Segment("bench.pins", 0, None),),
)
"""A table of one version."""
ROUNDS = 6
"""Runs of each, with different keys: the first ones warm up the JVM's compiler, the last counts."""
SHARE = 100
"""One key in this many changes."""


@dataclass(frozen=True)
class Cost:
    """Result of one variant."""

    name: str
    rows: int
    """Rows that changed."""
    cpu_seconds: float


def measure(work: ActionContext, rows: int = 10_000_000) -> list[Cost]:
    """Return the costs: a rebuild, a merge of one per cent of all keys, a merge of the newest per cent."""
    lake = work.lake
    lake.append(LEDGER.name, _changes(work, F.col("id"), rows, 1, 10))
    merge(work, ApplyWindow(TABLE, 0, 0, 10))
    costs = [[_rebuilt(work, rows) for _ in range(ROUNDS)][-1]]
    batch = 1
    for name, key in _kinds(rows):
        found = []
        for turn in range(ROUNDS):
            batch += 1
            found.append(_merged(work, name, key(turn), rows // SHARE, batch))
        costs.append(found[-1])
    return costs


def _kinds(rows: int) -> list[tuple[str, Callable[[int], Column]]]:
    """Return the keys that change in a round, derived from a number below a hundredth of the rows."""

    def even(turn: int) -> Column:
        return F.col("id") * SHARE + F.pmod(F.hash("id") + turn, F.lit(SHARE))

    def newest(turn: int) -> Column:
        return F.lit(rows - (turn + 1) * (rows // SHARE)) + F.col("id")

    return [("1 % of all keys", even), ("the newest 1 %", newest)]


def _merged(work: ActionContext, name: str, key: Column, count: int, batch: int) -> Cost:
    work.lake.append(LEDGER.name, _changes(work, key, count, batch, 10 * batch))
    with cpu_seconds() as spent:
        changed = merge(work, ApplyWindow(TABLE, batch - 1, 10 * (batch - 1), 10 * batch))
    return Cost(name, changed, spent.seconds)


def _rebuilt(work: ActionContext, rows: int) -> Cost:
    ledger = work.lake.scan(LEDGER.name).where(TABLE.lineage.rows())
    schema = silver_schema(TABLE)
    with cpu_seconds() as spent:
        last = newest(ledger).persist(StorageLevel.DISK_ONLY)
        anew = by_key(typed(last, schema).to(schema), TABLE.key, last.count())
        work.lake.rewrite("silver.bench_anew", anew)
        last.unpersist()
    return Cost("the whole table rewritten", rows, spent.seconds)


def _changes(work: ActionContext, key: Column, count: int, batch: int, ts: int) -> DataFrame:
    rows = work.spark.range(count).select(key.cast("string").alias("k"))
    values = {
        "id": F.col("k"), "user_id": F.pmod(F.hash("k"), F.lit(450_000_000)).cast("string"),
        "title": F.concat(F.lit("A quiet corner with plants, no. "), F.col("k"), F.lit(f" ({batch})")),
        "price": F.concat(F.pmod(F.hash("k"), F.lit(5000)).cast("string"), F.lit(".25")),
        "created_at": F.lit("2026-10-07 12:34:56"),
    }  # fmt: skip
    after = F.map_from_arrays(F.array(*[F.lit(name) for name in values]), F.array(*values.values()))
    told = {
        "table": F.lit("bench.pins"), "op": F.lit("U"), "_commit_ts": F.lit(ts).cast("bigint"),
        "_op_rank": F.lit(1), "key": F.concat(F.lit('["'), F.col("k"), F.lit('"]')), "after": after,
        "before": F.lit(None).cast("map<string,string>"), "table_version": F.lit(1).cast("bigint"),
        "path": F.lit("bench"), "row_no": F.col("k").cast("bigint"), "batch": F.lit(batch).cast("bigint"),
        "run_id": F.lit("bench"),
    }  # fmt: skip
    return rows.select(*[told[column.name].alias(column.name) for column in LEDGER.columns])


def table(costs: list[Cost]) -> list[str]:
    """Return the lines of a Markdown table; the first cost is the baseline."""
    lines = ["| what | rows changed | CPU-seconds | of the whole |", "|---|--:|--:|--:|"]
    for cost in costs:
        share = cost.cpu_seconds / costs[0].cpu_seconds
        lines.append(f"| {cost.name} | {cost.rows:,} | {cost.cpu_seconds:.1f} | {share:.0%} |")
    return lines


def page(lines: list[str], rows: int, today: date) -> str:
    """Return the part of docs/benchmarks.md."""
    return f"""# What merging changes costs

Made by `pinlake benchmark merge --page docs/benchmarks.md` on {today}, {psutil.cpu_count()} cores, `conf/size`: a
table of {rows:,} rows, one per cent of its keys changed, merged as ingest does; beside it, in the same session, the
newest row per key of the whole ledger typed and written. Of {ROUNDS} runs of each the last.

{chr(10).join(lines)}
"""
