"""Silver tables as files: the live rows of each, its source's columns in the source's order, nothing else."""

import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, NumericType, StructField, TimestampNTZType, TimestampType

from jobs.common.errors import ConfigError, TableError
from jobs.engine.checkpoints import TableStatus, newest_checkpoints
from jobs.history.ledger import source_rows
from jobs.ingest.csv_lines import csv_lines, header
from jobs.lake.delta import Lake
from jobs.schema.names import file_name, quoted, silver_table

Format = Literal["parquet", "jsonl", "csv"]
_WRITERS = {"parquet": "parquet", "jsonl": "json", "csv": "text"}
_INSTANT, _LOCAL = "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'", "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"
_OPTIONS: dict[str, dict[str, str]] = {
    "parquet": {},
    "jsonl": {"timestampFormat": _INSTANT, "timestampNTZFormat": _LOCAL},
    "csv": {"lineSep": "\n"},
}
ONE_FILE = 1 << 30
"""Bytes of a silver table up to which its export is one file; a larger one is a folder of files under the same name."""


def export(
    lake: Lake, names: Iterable[str], out: Path, form: Format, say: Callable[[str], None] = lambda _: None
) -> dict[str, int]:
    r"""Write `<schema>.<table>.<form>` for each table; return rows by table.

    Decimals beyond 38 digits are text, BIT columns unsigned numbers, as in silver. An export that is there is replaced
    when the new one is complete.

    Args:
        lake: where silver is.
        names: tables as schema.table; none: all there are.
        out: folder, made if absent.
        form: parquet; jsonl: ISO times, bytes in base64, NULL left out; csv: the same with a header, texts in
            quotes byte for byte, NULL as \N without (csv_lines.py).
        say: told of each table written.

    Raises:
        TableError: nothing was ingested.
        ConfigError: a name is no table of the source.
    """
    there = _tables(lake)
    wanted = list(names) or sorted(there)
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise ConfigError(f"No table {', '.join(unknown)} has been ingested; there are: {', '.join(sorted(there))}.")
    out.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name in wanted:
        rows[name] = _write(lake, there[name], out / f"{file_name(name)}.{form}", form)
        say(f"{file_name(name)}.{form}: {rows[name]:,} rows")
    return rows


def _tables(lake: Lake) -> dict[str, str]:
    """Return schema.table -> silver table of what the source has now."""
    newest = newest_checkpoints(lake)
    tables = {name: row for name, row in newest.items() if not name.startswith("kafka:")}
    # the silver table of such a name holds another table's rows
    live = [name for name, row in tables.items() if row.status not in {TableStatus.GONE, TableStatus.NO_SILVER}]
    found = {name: silver_table(name) for name in live}
    found = {name: silver for name, silver in found.items() if lake.exists(silver)}
    if not found:
        raise TableError(f"No table of TiDB has been ingested into {lake.root}: run `pinlake ingest` first.")
    return found


def _write(lake: Lake, silver: str, target: Path, form: Format) -> int:
    table = lake.scan(silver)
    live = source_rows(table.where(~F.col("_deleted")), table.schema)
    one = lake.bytes(silver) <= ONE_FILE
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        _save(live.coalesce(1) if one else live, scratch, form)
        parts = sorted(part for part in scratch.iterdir() if part.name.startswith("part-"))
        shutil.rmtree(target, ignore_errors=True) if target.is_dir() else target.unlink(missing_ok=True)
        if form == "csv" and parts and not parts[0].stat().st_size:  # a table without rows has no partition
            parts[0].write_text(header(live.columns) + "\n")
        if one and len(parts) == 1:
            parts[0].rename(target)
        else:
            scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return live.count()


def _save(rows: DataFrame, folder: Path, form: Format) -> None:
    lines = _lines(rows) if form == "csv" else rows
    lines.write.format(_WRITERS[form]).options(**_OPTIONS[form]).save(str(folder))


def _lines(rows: DataFrame) -> DataFrame:
    """Return rows as lines of CSV, each partition a file with a header."""
    fields = rows.schema.fields
    names, is_text = rows.columns, [not isinstance(field.dataType, NumericType) for field in fields]
    texts = rows.select(*[_text(field).alias(field.name) for field in fields])
    return texts.mapInArrow(lambda batches: csv_lines(names, is_text, batches), "value string")


def _text(field: StructField) -> Column:
    column = F.col(quoted(field.name))
    if isinstance(field.dataType, BinaryType):
        return F.base64(column)
    if isinstance(field.dataType, TimestampType | TimestampNTZType):
        return F.date_format(column, _INSTANT if isinstance(field.dataType, TimestampType) else _LOCAL)
    return column.cast("string")
