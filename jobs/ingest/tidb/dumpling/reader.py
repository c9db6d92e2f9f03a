"""Reading a Dumpling export: rows of CSV, SQL or Parquet files as ledger batches with op S and the snapshot's TSO.

Each format has its own parser module; values, keys and faults are handled alike for all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.loading.stream import BATCH_ROWS, RejectedRows, Task, ending
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.dumpling import csv, parquet, sql
from jobs.ingest.tidb.dumpling.csv import SETTINGS, Parsed
from jobs.ingest.tidb.dumpling.csv_records import Dialect
from jobs.ingest.tidb.dumpling.generated_columns import computed
from jobs.ingest.tidb.rows.csv_rows import (
    SCHEMA,
    WRONG_DIALECT,
    clean_columns,
    dialect_mismatch,
    ledger_batch,
    unquoted_texts,
    without_faults,
)
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.rows.values import Faults, from_dump

_PARSERS: dict[str, Callable[[RowSpec, Dialect, bytes, RejectedRows], Parsed]] = {
    "csv": csv.parse,
    "sql": sql.parse,
    "parquet": parquet.parse,
}
_WHOLE = 1e15
"""From this FLOAT on, and below its inverse, TiDB's text has an exponent and six digits."""
FORMATS = tuple(_PARSERS)
"""Extensions of the files that can be read."""


@dataclass(frozen=True)
class DumpSpec:
    """How one table's export is read."""

    rows: RowSpec
    tso: int
    dialect: Dialect
    format: str = "csv"
    """One of FORMATS."""
    computed: tuple[SourceColumn, ...] = ()
    """STORED generated columns, which the files lack, and which are computed."""


def read_dump(task: Task, content: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the batches of one export file.

    Args:
        task: the file; its spec is a `DumpSpec`.
        content: its bytes, decompressed.
    """
    spec: DumpSpec = task.spec
    bad = RejectedRows()
    try:
        parsed = _PARSERS[spec.format](spec.rows, spec.dialect, content, bad)
    except (pa.ArrowException, ValueError, OSError) as error:
        bad.add(None, f"bad_{spec.format}", str(error), content)
        yield from ending(SCHEMA, task, 1, bad)
        return
    odd: Faults = {}
    if parsed.is_quoted is not None:
        kinds = {column.name: column for column in spec.rows.columns}
        columns = [kinds[name] for name in parsed.table.column_names]
        odd = unquoted_texts(columns, parsed.table, parsed.is_quoted, SETTINGS)
    wrong = dialect_mismatch(odd, parsed.table.num_rows)
    if wrong is not None:
        bad = RejectedRows()
        bad.add(None, WRONG_DIALECT, wrong, content)
        yield from ending(SCHEMA, task, 1, bad)
        return
    for start in range(0, parsed.table.num_rows, BATCH_ROWS):
        yield _changes(task, parsed, slice(start, start + BATCH_ROWS), odd, bad)
    yield from ending(SCHEMA, task, parsed.found, bad)


def _changes(task: Task, parsed: Parsed, rows: slice, odd: Faults, bad: RejectedRows) -> pa.RecordBatch:
    spec: DumpSpec = task.spec
    piece, numbers = parsed.table.slice(rows.start, BATCH_ROWS).combine_chunks(), parsed.numbers[rows]
    total = piece.num_rows
    columns, keys, faults = clean_columns(
        spec.rows,
        piece,
        lambda column, values: from_dump(column, values, spec.rows.zone, parsed.binary, column.name in spec.rows.key),
    )
    for column in spec.computed:
        values, found = computed(column, columns)
        columns[column.name] = spec.rows.masks.covered(column.name, values)
        faults |= found
    if spec.format != "parquet":
        faults = _rounded(spec.rows, columns) | faults
    faults |= {place - rows.start: odd[place] for place in odd if rows.start <= place < rows.stop}
    made = ledger_batch(
        task, spec.rows, columns, keys, np.full(total, "S"), np.full(total, spec.tso, np.int64), numbers
    )
    if not faults:
        return made
    return without_faults(made, faults, parsed.raw({int(numbers[at]) for at in faults}), bad)


def _rounded(spec: RowSpec, columns: dict[str, pa.Array]) -> Faults:
    """Return the rows whose key is a FLOAT of which the text has six digits only: TiDB rounds large and small ones."""
    faults: Faults = {}
    for column in spec.columns:
        if column.type != "FLOAT" or column.name not in spec.key or column.name in spec.masks.columns:
            continue
        size = np.abs(pc.cast(columns[column.name], pa.float64()).to_numpy(zero_copy_only=False))
        for place in np.flatnonzero((size >= _WHOLE) | ((size > 0) & (size < 1 / _WHOLE))):
            detail = f"column {column.name}: an export has six digits of a FLOAT of that size, the key needs all"
            faults[int(place)] = ("bad_value", detail)
    return faults
