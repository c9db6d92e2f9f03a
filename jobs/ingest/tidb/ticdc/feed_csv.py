r"""Reading TiCDC's CSV: op, table, schema, commit-ts, maybe is-update, then the row; no escapes but doubled quotes.

In: a file's bytes, the row layout of its version, the changefeed's dialect. Out: ledger batches. Text stands raw
between its quotes, line ends included. Arrow's parser reads a file whose quotes are all in their places and whose
delimiter is one character; anything else goes through csv_records.py, which rejects single records only.
An update without its old row is one change; with it, TiCDC writes a delete and an insert of one commit-ts.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from jobs.ingest.loading.stream import BATCH_ROWS, RejectedRows, Task, ending
from jobs.ingest.tidb.rows.csv_rows import (
    SCHEMA,
    WRONG_DIALECT,
    clean_columns,
    csv_convert_options,
    dialect_mismatch,
    is_hexadecimal,
    ledger_batch,
    quoted,
    quotes_match,
    unquoted_texts,
    without_faults,
)
from jobs.ingest.tidb.rows.keyless import append_only_faults
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.rows.values import Faults, from_feed_csv
from jobs.ingest.tidb.ticdc.csv_records import META, Dialect, records

_FIXED = ("operation", "table", "schema", "commit-ts")
_UPDATE = "is-update"
SETTINGS = "Name the changefeed's file with --changefeed: sink.csv.null, quote, delimiter, binary-encoding-method."
_BLOCK_BYTES = 4 << 20
"""Bytes that Arrow parses at a time."""


@dataclass(frozen=True)
class CsvSpec:
    """How one table version's files are read."""

    rows: RowSpec
    dialect: Dialect
    old_value: bool
    """Whether each record has the field is-update."""
    binary: str
    """base64 or hex."""

    @property
    def fixed(self) -> tuple[str, ...]:
        """Return the names of the fields before the row."""
        return tuple(META + name for name in (*_FIXED, *((_UPDATE,) if self.old_value else ())))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all fields. Virtual generated columns are in the header, and not in the rows."""
        return self.fixed + tuple(column.name for column in self.rows.columns if not column.virtual)


@dataclass(frozen=True)
class _Parsed:
    """The good records of a file."""

    table: pa.Table
    """Binary columns."""
    numbers: Any
    """Each record's number in the file, from 1."""
    found: int
    """Records, those included that were noted as bad."""
    is_quoted: Any = None
    """Records by columns booleans; None where nothing is ever quoted."""

    def part(self, start: int) -> "_Parsed":
        """Return the records from `start` on that make a batch."""
        piece = self.table.slice(start, BATCH_ROWS).combine_chunks()
        return _Parsed(piece, self.numbers[start : start + BATCH_ROWS], piece.num_rows)


def read_feed_csv(task: Task, content: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the batches of one data file.

    Args:
        task: the file; its spec is a `CsvSpec`.
        content: its bytes.
    """
    spec: CsvSpec = task.spec
    bad = RejectedRows()
    body = plain_body(content, spec.dialect)
    parsed = _fast(spec, body) or _slow(spec, body, bad)
    odd, wrong = _odd(spec, parsed)
    if wrong is not None:
        bad = RejectedRows()
        bad.add(None, WRONG_DIALECT, wrong, body)
        yield from ending(SCHEMA, task, 1, bad)
        return
    for start in range(0, parsed.table.num_rows, BATCH_ROWS):
        some = parsed.part(start)
        mine = {place - start: odd[place] for place in odd if start <= place < start + BATCH_ROWS}
        yield _changes(task, some, mine, body, bad)
    yield from ending(SCHEMA, task, parsed.found, bad)


def _odd(spec: CsvSpec, parsed: _Parsed) -> tuple[Faults, str | None]:
    """Return the records that contradict the dialect, and what shows that all of them do."""
    columns = [column for column in spec.rows.columns if not column.virtual]
    rows = parsed.table.select([column.name for column in columns])
    odd: Faults = {}
    if parsed.is_quoted is not None:
        odd = unquoted_texts(columns, rows, parsed.is_quoted[:, len(spec.fixed) :], SETTINGS)
    wrong = dialect_mismatch(odd, rows.num_rows)
    if wrong is None and spec.binary == "base64":
        for column in columns:
            if column.kind == "binary" and is_hexadecimal(rows[column.name].to_pylist()):
                wrong = f"column {column.name}: all its values are hexadecimal, and are to be base64. {SETTINGS}"
    return odd, wrong


def plain_body(content: bytes, dialect: Dialect) -> bytes:
    """Return what follows the header; it is told by its name, since a file that was taken up again has one more."""
    start = (META + _FIXED[0]).encode()
    if not content.startswith(start):
        return content
    end = dialect.line_end.search(content)
    return content[end.end() :] if end else content


def _fast(spec: CsvSpec, body: bytes) -> _Parsed | None:
    """Return the records as Arrow reads them; None for a file with flaws."""
    if not body or body.isspace() or not _is_plain(body, spec.dialect):
        return None
    # a record may be longer than a block
    for size in (_BLOCK_BYTES,) if len(body) < _BLOCK_BYTES else (_BLOCK_BYTES, len(body) + 1):
        try:
            table = _parsed(spec, body, size)
        except pa.ArrowInvalid:  # or has too few or too many fields: find out which
            continue
        flags = quoted(body, spec.dialect.delimiter, spec.dialect.quote)
        if len(flags) != table.num_rows * table.num_columns:
            return None
        numbers = np.arange(1, table.num_rows + 1)
        return _Parsed(table, numbers, table.num_rows, flags.reshape(-1, table.num_columns))
    return None


def _is_plain(body: bytes, dialect: Dialect) -> bool:
    """Return whether Arrow's parser reads the records as TiCDC means them."""
    return dialect.ends_lines and quotes_match(body, dialect.delimiter, dialect.quote)


def _parsed(spec: CsvSpec, body: bytes, block: int) -> pa.Table:
    names = list(spec.names)
    return pcsv.read_csv(
        io.BytesIO(body),
        pcsv.ReadOptions(use_threads=False, block_size=block, column_names=names),
        pcsv.ParseOptions(delimiter=spec.dialect.delimiter, quote_char=spec.dialect.quote, newlines_in_values=True),
        csv_convert_options(names, spec.dialect.null),
    )


def _slow(spec: CsvSpec, body: bytes, bad: RejectedRows) -> _Parsed:
    """Return the same by walking the records one by one."""
    names, found = spec.names, 0
    numbers: list[int] = []
    rows: list[tuple[bytes | None, ...]] = []
    flags: list[tuple[bool, ...]] = []
    for found, record in enumerate(records(body, spec.dialect), 1):
        if record.fields is None:
            bad.add(found, "bad_csv", record.fault, record.raw)
        elif len(record.fields) != len(names):
            bad.add(found, "field_count", _count(len(record.fields), spec), record.raw)
        else:
            numbers.append(found)
            rows.append(record.fields)
            flags.append(record.is_quoted)
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    table = pa.table({name: pa.array(list(values), pa.binary()) for name, values in zip(names, columns, strict=True)})
    is_quoted = np.array(flags, bool).reshape(-1, len(names)) if spec.dialect.quote else None
    return _Parsed(table, np.array(numbers, np.int64), found, is_quoted)


def _count(fields: int, spec: CsvSpec) -> str:
    return (
        f"{fields} fields, not {len(spec.names)}: {', '.join(spec.names)}. A generated column is named in conf "
        "(ingest.tables)"
    )


def _changes(task: Task, parsed: _Parsed, odd: Faults, body: bytes, bad: RejectedRows) -> pa.RecordBatch:
    spec: CsvSpec = task.spec
    piece, numbers = parsed.table, parsed.numbers
    fixed, row = piece.select(list(spec.fixed)), piece.drop_columns(list(spec.fixed))
    columns, keys, faults = clean_columns(
        spec.rows, row, lambda c, values: from_feed_csv(c, values, spec.rows.zone, spec.binary, c.name in spec.rows.key)
    )
    op, commit, wrong = _told(spec, fixed)
    halves = np.asarray(pc.equal(fixed.column(4).combine_chunks(), b"true")) if spec.old_value else None
    faults |= wrong | odd | append_only_faults(spec.rows, op, halves)
    made = ledger_batch(task, spec.rows, columns, keys, op, commit, numbers)
    if not faults:
        return made
    raw = _raw(body, spec.dialect, {int(numbers[at]) for at in faults})
    return without_faults(made, faults, raw, bad)


def _told(spec: CsvSpec, fixed: pa.Table) -> tuple[Any, Any, Faults]:
    """Return op and commit_ts of each record, and the records of another table or with invalid fields."""
    faults: Faults = {}
    op, table, schema, commit = (fixed.column(number).combine_chunks() for number in range(4))
    checks = [
        ("unknown_type", op, pc.is_in(op, pa.array([b"I", b"U", b"D"], pa.binary())), "op"),
        ("wrong_table", table, pc.equal(table, spec.rows.table.encode()), "table"),
        ("wrong_table", schema, pc.equal(schema, spec.rows.schema.encode()), "schema"),
        ("missing_commit_ts", commit, _is_tso(commit), "commit-ts"),
    ]
    if spec.old_value:
        update = fixed.column(4).combine_chunks()
        checks.append(("field_count", update, pc.is_in(update, pa.array([b"true", b"false"], pa.binary())), _UPDATE))
    for reason, values, good, name in checks:
        for place in np.flatnonzero(~np.asarray(pc.fill_null(good, False))):
            faults.setdefault(int(place), (reason, f"{name} is {values[int(place)].as_py()!r}"[:200]))
    usable = pa.array([place not in faults for place in range(len(op))]) if faults else None
    filled = [pc.if_else(usable, a, b) if usable else a for a, b in ((op, b"I"), (commit, b"1"))]
    texts = [pc.cast(column, pa.string()) for column in filled]
    return np.asarray(texts[0]), pc.cast(texts[1], pa.int64()), faults


def _is_tso(commit: pa.Array) -> pa.Array:
    return pc.match_substring_regex(commit, r"^[1-9]\d{0,17}$")


def _raw(body: bytes, dialect: Dialect, wanted: set[int]) -> dict[int, bytes]:
    """Return the bytes of the wanted records; only files with bad rows pay for it."""
    return {number: record.raw for number, record in enumerate(records(body, dialect), 1) if number in wanted}
