r"""Reading Dumpling CSV: header, quotes, `\N` for NULL, escapes by backslash or doubled quotes, raw bytes.

In: a file's bytes and the columns of its table. Out: ledger batches with op S and the snapshot's TSO. The
backslash dialect is rewritten to doubled quotes by one regular expression, then Arrow's parser reads either dialect:
Spark's cannot keep raw bytes apart from text, nor a quoted `\N` from NULL.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from jobs.config.ingest import Dumpling
from jobs.ingest.records import SCHEMA, as_written, cleaned, good_rows, ledger_batch
from jobs.ingest.rows import RowSpec
from jobs.ingest.stream import BATCH_ROWS, Bad, Task, ending
from jobs.ingest.values import from_dump

_ESCAPE = re.compile(rb"\\([^N])", re.DOTALL)
_MEANING = {b"0": b"\0", b"n": b"\n", b"r": b"\r", b"Z": b"\x1a", b"b": b"\b", b"t": b"\t", b'"': b'""'}
_RECORD = {
    True: re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^"\r\n])+', re.DOTALL),
    False: re.compile(rb'(?:"(?:[^"]|"")*"|[^"\r\n])+', re.DOTALL),
}


@dataclass(frozen=True)
class DumpSpec:
    """How one table's export is read."""

    rows: RowSpec
    tso: int
    dialect: Dumpling


def read_dump(task: Task, content: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the batches of one export file.

    Args:
        task: the file; its spec is a `DumpSpec`.
        content: its bytes, decompressed.
    """
    spec: DumpSpec = task.spec
    bad = Bad()
    try:
        table, numbers, found = _parse(spec, content, bad)
    except (pa.ArrowInvalid, ValueError) as error:
        bad.add(None, "bad_csv", str(error), content)
        yield from ending(SCHEMA, task, 1, bad)
        return
    for start in range(0, table.num_rows, BATCH_ROWS):
        piece = table.slice(start, BATCH_ROWS).combine_chunks()
        yield _changes(task, piece, numbers[start : start + BATCH_ROWS], content, bad)
    yield from ending(SCHEMA, task, found, bad)


def _parse(spec: DumpSpec, content: bytes, bad: Bad) -> tuple[pa.Table, Any, int]:
    """Return the good records as binary columns, each one's number in the file, and the records found."""
    dialect, names = spec.dialect, [c.name for c in spec.rows.columns if not c.generated]
    if not content.strip():
        return pa.table({name: pa.array([], pa.binary()) for name in names}), np.zeros(0, np.int64), 0
    wrong: list[int] = []

    def skip(row: Any) -> str:
        wrong.append(row.number - int(dialect.header))
        bad.add(wrong[-1], "field_count", f"{row.actual_columns} fields, not {row.expected_columns}", row.text.encode())
        return "skip"

    plain = _ESCAPE.sub(lambda m: _MEANING.get(m[1], m[1]), content) if dialect.escape_backslash else content
    table = pcsv.read_csv(
        io.BytesIO(plain),
        pcsv.ReadOptions(
            use_threads=False, block_size=max(len(plain) + 1, 1 << 16), column_names=None if dialect.header else names
        ),
        pcsv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True, invalid_row_handler=skip),
        as_written(names, dialect.null),
    )
    if set(table.column_names) != set(names):
        raise ValueError(f"the header names {', '.join(table.column_names)}, the table has {', '.join(names)}")
    found = table.num_rows + len(wrong)
    numbers = np.setdiff1d(np.arange(1, found + 1), np.array(wrong, np.int64))
    return table, numbers, found


def _changes(task: Task, piece: pa.Table, numbers: Any, content: bytes, bad: Bad) -> pa.RecordBatch:
    spec: DumpSpec = task.spec
    total = piece.num_rows
    columns, keys, faults = cleaned(
        spec.rows, piece, lambda column, values: from_dump(column, values, spec.rows.zone, spec.dialect.binary)
    )
    made = ledger_batch(
        task, spec.rows, columns, keys, np.full(total, "S"), np.full(total, spec.tso, np.int64), numbers
    )
    if not faults:
        return made
    raw = _records(content, {int(numbers[at]) for at in faults}, spec.dialect)
    return good_rows(made, faults, raw, bad)


def _records(content: bytes, wanted: set[int], dialect: Dumpling) -> dict[int, bytes]:
    """Return the bytes of the wanted records, found by walking the file again; only files with bad rows pay for it."""
    walk = _RECORD[dialect.escape_backslash].finditer(content)
    found = ((number - int(dialect.header), match) for number, match in enumerate(walk, 1))
    return {number: match[0] for number, match in found if number in wanted}
