"""Throughput of reading change files, compared with a reader that only parses them: rows per CPU-second, one session.

Ours: every value checked against its type and made canonical, keys, places and quarantine included. Theirs: for
canal-json `spark.read.json` with a fixed schema, for CSV `pyarrow.csv` in the same kind of task. Both end in a sink
that keeps nothing.
"""

import io
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.csv as pcsv
from pyspark.sql import DataFrame, SparkSession

from jobs.benchmarks.measure import cpu_seconds
from jobs.ingest.loading.stream import LEDGER_FIELDS, Task, spark_schema
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.ticdc.canal import read_canal
from jobs.ingest.tidb.ticdc.csv_records import Dialect
from jobs.ingest.tidb.ticdc.feed_csv import CsvSpec, read_feed_csv

COLUMNS = (
    SourceColumn("id", "BIGINT", nullable=False),
    SourceColumn("user_id", "BIGINT", True),
    SourceColumn("title", "VARCHAR", length=200),
    SourceColumn("link", "VARCHAR", length=500),
    SourceColumn("category", "ENUM", members=("art", "diy", "food", "travel")),
    SourceColumn("is_private", "TINYINT"),
    SourceColumn("price", "DECIMAL", length=12, scale=2),
    SourceColumn("created_at", "TIMESTAMP", scale=6),
    SourceColumn("repin_count", "INT", True),
)
SPEC = RowSpec("app", "pins", 5, COLUMNS, ("id",))
_CANAL_TYPES = {
    "id": (-5, "bigint"), "user_id": (-5, "bigint unsigned"), "title": (12, "varchar"), "link": (12, "varchar"),
    "category": (4, "enum"), "is_private": (-6, "tinyint"), "price": (3, "decimal"), "created_at": (93, "timestamp"),
    "repin_count": (4, "int unsigned"),
}  # fmt: skip
"""Column -> its JDBC and MySQL types, as canal-json repeats them in every line."""
ROUNDS = 3
"""Runs of each; the first is the warm-up, the best of the others counts."""


@dataclass(frozen=True)
class Speed:
    """Result of one reader."""

    name: str
    rows: int
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Return rows per CPU-second."""
        return self.rows / self.cpu_seconds


def measure(spark: SparkSession, folder: Path, rows: int = 400_000, files: int = 8) -> list[tuple[Speed, Speed]]:
    """Return our throughput and the alternative's, for canal-json and for CSV.

    Args:
        spark: the session.
        folder: takes the files, some 800 bytes a row.
        rows: in all files of a protocol.
        files: of each protocol.
    """
    canal = _write(folder / "canal", files, rows // files, _canal_line, "json")
    comma = _write(folder / "csv", files, rows // files, _csv_line, "csv")
    csv = CsvSpec(SPEC, Dialect(), False, "base64")
    pairs = [
        (
            ("pinlake, canal-json", _ours(spark, canal, SPEC, read_canal)),
            ("spark.read.json", spark.read.schema(_json_schema()).json(str(folder / "canal"))),
        ),
        (
            ("pinlake, CSV", _ours(spark, comma, csv, read_feed_csv)),
            ("pyarrow.csv", _theirs(spark, comma)),
        ),
    ]
    return [tuple(_speed(name, frame, rows) for name, frame in pair) for pair in pairs]  # type: ignore[misc]


def _speed(name: str, frame: DataFrame, rows: int) -> Speed:
    taken = []
    for _ in range(ROUNDS):
        with cpu_seconds() as spent:
            frame.write.format("noop").mode("overwrite").save()
        taken.append(spent.seconds)
    return Speed(name, rows, min(taken[1:]))


def _ours(spark: SparkSession, paths: list[Path], spec: Any, reader: Any) -> DataFrame:
    tasks = [Task("ticdc", str(path.parent), path.name, path.stat().st_size, "app.pins", spec) for path in paths]

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                task = tasks[number]
                yield from reader(task, (Path(task.root) / task.path).read_bytes())

    return spark.range(0, len(tasks), 1, len(tasks)).mapInArrow(run, spark_schema(LEDGER_FIELDS))


def _theirs(spark: SparkSession, paths: list[Path]) -> DataFrame:
    names = ["op", "table", "schema", "commit_ts", *[column.name for column in COLUMNS]]
    where = [str(path) for path in paths]

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                content = Path(where[number]).read_bytes()
                table = pcsv.read_csv(
                    io.BytesIO(content),
                    pcsv.ReadOptions(use_threads=False, column_names=names),
                    pcsv.ParseOptions(newlines_in_values=True),
                    pcsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
                )
                yield from table.to_batches(max_chunksize=20_000)

    return spark.range(0, len(where), 1, len(where)).mapInArrow(run, ", ".join(f"`{name}` string" for name in names))


def _write(folder: Path, files: int, rows: int, line: Any, extension: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"CDC{number:06d}.{extension}" for number in range(1, files + 1)]
    for number, path in enumerate(paths):
        path.write_bytes(b"\r\n".join(line(number * rows + row) for row in range(rows)) + b"\r\n")
    return paths


def _values(number: int) -> dict[str, str]:
    return {
        "id": str(number), "user_id": str(number * 7919 % 10**9), "title": f"A quiet corner with plants, no. {number}",
        "link": f"https://example.org/pins/{number}?from=board", "category": str(1 + number % 4), "is_private": "0",
        "price": f"{number % 5000}.{number % 100:02d}", "created_at": "2026-10-07 12:34:56.789012",
        "repin_count": str(number % 977),
    }  # fmt: skip


def _canal_line(number: int) -> bytes:
    # TiCDC writes both maps of types completely, in another order in every line (Go's maps are unordered)
    order = random.Random(number).sample(sorted(_CANAL_TYPES), len(_CANAL_TYPES))
    body = {
        "id": 0, "database": "app", "table": "pins", "pkNames": ["id"], "isDdl": False, "type": "INSERT",
        "es": 1790000000000, "ts": 1790000000100, "sql": "",
        "sqlType": {name: _CANAL_TYPES[name][0] for name in order},
        "mysqlType": {name: _CANAL_TYPES[name][1] for name in reversed(order)},
        "old": None, "data": [_values(number)], "_tidb": {"commitTs": 470650142710824961 + number},
    }  # fmt: skip
    return json.dumps(body, separators=(",", ":")).encode()


def _csv_line(number: int) -> bytes:
    names = ("art", "diy", "food", "travel")
    told = _values(number) | {"category": names[number % 4]}
    quoted = {"title", "link", "category", "created_at"}
    fields = [f'"{value}"' if name in quoted else value for name, value in told.items()]
    return ",".join(['"I"', '"pins"', '"app"', str(470650142710824961 + number), *fields]).encode()


def _json_schema() -> str:
    row = ", ".join(f"{column.name}: string" for column in COLUMNS)
    return (
        "database string, `table` string, type string, es bigint, ts bigint, pkNames array<string>, isDdl boolean, "
        f"data array<struct<{row}>>, old array<struct<{row}>>, _tidb struct<commitTs: bigint>"
    )


def table(pairs: list[tuple[Speed, Speed]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| reads | rows a CPU-second | beside | rows a CPU-second | ratio |", "|---|--:|---|--:|--:|"]
    for ours, theirs in pairs:
        ratio = ours.rate / theirs.rate
        lines.append(f"| {ours.name} | {ours.rate:,.0f} | `{theirs.name}` | {theirs.rate:,.0f} | **{ratio:.2f}** |")
    return lines


def page(lines: list[str], rows: int, today: date) -> str:
    """Return the part of docs/benchmarks.md."""
    return f"""# How fast change files are read

Made by `pinlake benchmark ingest --page docs/benchmarks.md` on {today}, {psutil.cpu_count()} cores, `conf/size`:
{rows:,} rows of nine columns in eight files of each protocol, one session, CPU-seconds of driver, JVM and Python
workers together, the best of {ROUNDS - 1} after a first run. Ours checks every value against its type and makes it
canonical, keys, places and quarantine included; the others only parse.

{chr(10).join(lines)}
"""
