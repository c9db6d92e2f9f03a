r"""Dumpling's CSV: header, quotes or none, `\N` for NULL, escapes by backslash or doubled quotes, raw bytes.

In: a file's bytes and the columns of its table. Out: the records as binary columns. Where quote and separator are one
character each, the backslash dialect is rewritten to doubled quotes by one regular expression, and Arrow's parser reads
either: Spark's cannot keep raw bytes apart from text, nor a quoted `\N` from NULL. Any other dialect, and a file with a
flaw, is read record by record (records.py).
"""

import io
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from jobs.ingest.loading.stream import RejectedRows
from jobs.ingest.tidb.dumpling.csv_records import MEANING, Dialect, Record, records
from jobs.ingest.tidb.rows.csv_rows import WRONG_DIALECT, csv_convert_options, quoted, quotes_match
from jobs.ingest.tidb.rows.ledger_rows import RowSpec

SETTINGS = "Name how the export was written: ingest.dump.null, quote, separator, escape_backslash."


@dataclass(frozen=True)
class Parsed:
    """The good records of a file, as they stand there."""

    table: pa.Table
    """Binary columns."""
    numbers: Any
    """Each record's number in the file, from 1."""
    found: int
    """Records, those included that were noted as bad."""
    raw: Callable[[Set[int]], Mapping[int, bytes]]
    """Returns the bytes of records by number; only files with bad rows pay for it."""
    binary: str = "raw"
    """How binary values are written."""
    is_quoted: Any = None
    """Records by columns booleans; None where nothing is quoted, or all that must be."""


def parse(spec: RowSpec, dialect: Dialect, content: bytes, bad: RejectedRows) -> Parsed:
    """Return the records of a CSV file.

    Args:
        spec: columns of the table.
        dialect: how they are written.
        content: the file.
        bad: takes records that break the dialect's rules, or have too few or too many fields.

    Raises:
        ValueError: the header names other columns.
    """
    names = [c.name for c in spec.columns if not c.generated]
    if not content.strip():
        empty = pa.table({name: pa.array([], pa.binary()) for name in names})
        return Parsed(empty, np.zeros(0, np.int64), 0, lambda _: {})
    return (_fast(names, dialect, content) if dialect.is_plain else None) or _slow(names, dialect, content, bad)


def _fast(names: list[str], dialect: Dialect, content: bytes) -> Parsed | None:
    """Return the records as Arrow reads them; None for a file with flaws."""
    plain = _plain(dialect, content)
    if plain is None or not quotes_match(plain, dialect.separator, dialect.quote):
        return None
    try:
        table = pcsv.read_csv(
            io.BytesIO(plain),
            pcsv.ReadOptions(
                use_threads=False,
                block_size=max(len(plain) + 1, 1 << 16),
                column_names=None if dialect.header else names,
            ),
            pcsv.ParseOptions(delimiter=dialect.separator, quote_char=dialect.quote, newlines_in_values=True),
            csv_convert_options(names, dialect.null),
        )
    except pa.ArrowInvalid:
        return None
    _require_header(table.column_names, names)
    flags, width = quoted(plain, dialect.separator, dialect.quote), len(names)
    if len(flags) != (table.num_rows + dialect.header) * width:
        return None
    is_quoted = flags.reshape(-1, width)[int(dialect.header) :]
    numbers = np.arange(1, table.num_rows + 1)
    return Parsed(
        table, numbers, table.num_rows, lambda wanted: _raw(content, wanted, dialect), dialect.binary, is_quoted
    )


def _plain(dialect: Dialect, content: bytes) -> bytes | None:
    """Return the content with backslash escapes undone and inner quotes doubled; None if one is not Dumpling's."""
    if not dialect.escape_backslash:
        return content
    quote = dialect.quote.encode()
    meaning = {code: MEANING.get(code, code) for code in dialect.escaped} | {quote: quote * 2}
    try:
        # an unquoted NULL is the only backslash that means no escape
        return re.sub(rb"\\([^N])", lambda m: meaning[m[1]], content, flags=re.DOTALL)
    except KeyError:
        return None


def _require_header(found: list[str], names: list[str]) -> None:
    if sorted(found) != sorted(names):
        raise ValueError(f"the header names {', '.join(found)}, the table has {', '.join(names)}")


def _slow(names: list[str], dialect: Dialect, content: bytes, bad: RejectedRows) -> Parsed:
    """Return the same by walking the records one by one."""
    walk, order, found = records(content, dialect), names, 0
    if dialect.header:
        (first,) = islice(walk, 1)
        values = [dialect.value(field) for field in first.fields or []]
        order = [(value or b"").decode("utf-8", "replace") for value in values]
        _require_header(order, names)
    numbers: list[int] = []
    rows: list[list[bytes | None]] = []
    flags: list[list[bool]] = []
    for found, record in enumerate(walk, 1):
        fault = _fault(record, dialect, len(names))
        if fault is not None:
            bad.add(found, *fault, record.raw)
            continue
        fields = record.fields or []
        numbers.append(found)
        rows.append([dialect.value(field) for field in fields])
        flags.append([is_quoted for is_quoted, _ in fields])
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    table = pa.table({name: pa.array(list(c), pa.binary()) for name, c in zip(order, columns, strict=True)})
    is_quoted = np.array(flags, bool).reshape(-1, len(names)) if dialect.quote else None
    return Parsed(
        table, np.array(numbers, np.int64), found, lambda w: _raw(content, w, dialect), dialect.binary, is_quoted
    )


def _fault(record: Record, dialect: Dialect, width: int) -> tuple[str, str] | None:
    """Return reason and detail of what is wrong with a record."""
    if record.fields is None:
        return "bad_csv", "a quote is missing or out of place"
    if len(record.fields) != width:
        return "field_count", f"{len(record.fields)} fields, not {width}"
    null = dialect.null.encode()
    texts = [text for is_quoted, text in record.fields if is_quoted or (not dialect.quote and text != null)]
    if not all(map(dialect.is_escaped_well, texts)):
        return WRONG_DIALECT, f"a backslash stands where Dumpling writes none. {SETTINGS}"
    return None


def _raw(content: bytes, wanted: Set[int], dialect: Dialect) -> dict[int, bytes]:
    """Return the bytes of the wanted records, found by walking the file again."""
    walk = enumerate(records(content, dialect), 1 - int(dialect.header))
    return {number: record.raw for number, record in walk if number in wanted}
