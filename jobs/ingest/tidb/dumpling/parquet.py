"""Dumpling's Parquet: typed columns, brought to the text that the other formats have.

Types as Dumpling writes them (tidb, pkg/dumpformat/parquetfile/column_type.go): integers, decimals, doubles; DATETIME
and TIMESTAMP as microseconds in the session's zone, zero dates NULL; DATE, TIME, ENUM, SET, JSON as strings; BIT as
bytes.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.ingest.loading.stream import RejectedRows
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.dumpling.csv import Parsed
from jobs.ingest.tidb.dumpling.csv_records import Dialect
from jobs.ingest.tidb.rows.ledger_rows import RowSpec


def parse(spec: RowSpec, dialect: Dialect, content: bytes, bad: RejectedRows) -> Parsed:  # noqa: ARG001 - as the others
    """Return the rows of a Parquet file.

    Args:
        spec: columns of the table.
        dialect: of no matter here.
        content: the file.
        bad: of no matter here: a Parquet file is good or bad as a whole.

    Raises:
        ValueError: the file has other columns, or is not Parquet (ArrowInvalid).
    """
    table = pq.read_table(pa.BufferReader(content))
    columns = {column.name: column for column in spec.columns if not column.generated}
    generated = {column.name for column in spec.columns if column.generated}
    if not set(columns) <= set(table.column_names) <= set(columns) | generated:
        raise ValueError(f"the file has {', '.join(table.column_names)}, the table {', '.join(columns)}")
    arrays = [_written(column, table[name].combine_chunks()) for name, column in columns.items()]
    made = pa.table(arrays, names=list(columns))
    numbers = np.arange(1, made.num_rows + 1)
    return Parsed(made, numbers, made.num_rows, lambda _: {})


def _written(column: SourceColumn, values: pa.Array) -> pa.Array:
    """Return values as bytes: text as MySQL writes it, binary ones as they are."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if column.kind in {"binary", "bit"}:
        return pc.cast(values, pa.binary())
    if pa.types.is_timestamp(kind):
        text = pc.strftime(pc.cast(values, pa.timestamp("us")), "%Y-%m-%d %H:%M:%S")
        digits = column.scale or 0  # fractional seconds that the column keeps, as the feed writes them
        return pc.cast(pc.utf8_slice_codeunits(text, 0, 20 + digits if digits else 19), pa.binary())
    if pa.types.is_boolean(kind):
        values = pc.cast(values, pa.int8())
    return pc.cast(pc.cast(values, pa.string()), pa.binary())
