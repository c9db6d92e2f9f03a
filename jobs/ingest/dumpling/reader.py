"""Reading a Dumpling export: rows of CSV, SQL or Parquet files as ledger batches with op S and the snapshot's TSO.

What a format says of its rows is told by its own module; from there on values, keys and faults are the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.ingest.dumpling import csv, parquet, sql
from jobs.ingest.dumpling.computed import computed
from jobs.ingest.dumpling.csv import Dialect, Parsed
from jobs.ingest.intake.records import SCHEMA, cleaned, good_rows, ledger_batch
from jobs.ingest.intake.rows import RowSpec
from jobs.ingest.intake.stream import BATCH_ROWS, Bad, Task, ending
from jobs.ingest.intake.values import from_dump
from jobs.ingest.tables.mysql import SourceColumn

_PARSERS: dict[str, Callable[[RowSpec, Dialect, bytes, Bad], Parsed]] = {
    "csv": csv.parse,
    "sql": sql.parse,
    "parquet": parquet.parse,
}
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
    bad = Bad()
    try:
        parsed = _PARSERS[spec.format](spec.rows, spec.dialect, content, bad)
    except (pa.ArrowException, ValueError, OSError) as error:
        bad.add(None, f"bad_{spec.format}", str(error), content)
        yield from ending(SCHEMA, task, 1, bad)
        return
    for start in range(0, parsed.table.num_rows, BATCH_ROWS):
        piece = parsed.table.slice(start, BATCH_ROWS).combine_chunks()
        yield _changes(task, piece, parsed.numbers[start : start + BATCH_ROWS], parsed, bad)
    yield from ending(SCHEMA, task, parsed.found, bad)


def _changes(task: Task, piece: pa.Table, numbers: Any, parsed: Parsed, bad: Bad) -> pa.RecordBatch:
    spec: DumpSpec = task.spec
    total = piece.num_rows
    columns, keys, faults = cleaned(
        spec.rows, piece, lambda column, values: from_dump(column, values, spec.rows.zone, parsed.binary)
    )
    for column in spec.computed:
        values, found = computed(column, columns)
        columns[column.name] = spec.rows.masks.covered(column.name, values)
        faults |= found
    made = ledger_batch(
        task, spec.rows, columns, keys, np.full(total, "S"), np.full(total, spec.tso, np.int64), numbers
    )
    if not faults:
        return made
    return good_rows(made, faults, parsed.raw({int(numbers[at]) for at in faults}), bad)
