r"""Dumpling's CSV: header, quotes, `\N` for NULL, escapes by backslash or doubled quotes, raw bytes.

In: a file's bytes and the columns of its table. Out: the records as binary columns. The backslash dialect is rewritten
to doubled quotes by one regular expression, then Arrow's parser reads either dialect: Spark's cannot keep raw bytes
apart from text, nor a quoted `\N` from NULL.
"""

import io
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from jobs.ingest.intake.records import as_written
from jobs.ingest.intake.rows import RowSpec
from jobs.ingest.intake.stream import Bad

MEANING = {b"0": b"\0", b"n": b"\n", b"r": b"\r", b"Z": b"\x1a", b"b": b"\b", b"t": b"\t"}


@dataclass(frozen=True)
class Dialect:
    """How records are written; Dumpling's defaults."""

    escape_backslash: bool = True
    """Whether text escapes by backslash; false: quotes are doubled."""
    binary: str = "raw"
    """raw, hex or base64."""
    separator: str = ","
    null: str = "\\N"
    header: bool = True
    quote: str = '"'

    @cached_property
    def record(self) -> "re.Pattern[bytes]":
        """Return one record without its end."""
        quote = re.escape(self.quote.encode())
        return re.compile(rb"(?:%s%s%s|[^%s\r\n])+" % (quote, self.inner, quote, quote), re.DOTALL)

    @property
    def inner(self) -> bytes:
        """Return the pattern of what may stand between two quotes."""
        quote = re.escape(self.quote.encode())
        return rb"(?:[^%s\\]|\\.)*" % quote if self.escape_backslash else rb"(?:[^%s]|%s%s)*" % (quote, quote, quote)

    def plain(self, content: bytes) -> bytes:
        """Return the content with its backslash escapes undone and inner quotes doubled."""
        if not self.escape_backslash:
            return content
        quote = self.quote.encode()
        meaning = MEANING | {quote: quote * 2}
        # an unquoted NULL is the only backslash that means no escape
        return re.sub(rb"\\([^N])", lambda m: meaning.get(m[1], m[1]), content, flags=re.DOTALL)


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


def parse(spec: RowSpec, dialect: Dialect, content: bytes, bad: Bad) -> Parsed:
    """Return the records of a CSV file.

    Args:
        spec: columns of the table.
        dialect: how they are written.
        content: the file.
        bad: takes records with too few or too many fields.

    Raises:
        ValueError: the header names other columns, or the file is no CSV at all (ArrowInvalid).
    """
    names = [c.name for c in spec.columns if not c.generated]
    if not content.strip():
        empty = pa.table({name: pa.array([], pa.binary()) for name in names})
        return Parsed(empty, np.zeros(0, np.int64), 0, lambda _: {})
    wrong: list[int] = []

    def skip(row: Any) -> str:
        wrong.append(row.number - int(dialect.header))
        bad.add(wrong[-1], "field_count", f"{row.actual_columns} fields, not {row.expected_columns}", row.text.encode())
        return "skip"

    plain = dialect.plain(content)
    table = pcsv.read_csv(
        io.BytesIO(plain),
        pcsv.ReadOptions(
            use_threads=False, block_size=max(len(plain) + 1, 1 << 16), column_names=None if dialect.header else names
        ),
        pcsv.ParseOptions(
            delimiter=dialect.separator, quote_char=dialect.quote, newlines_in_values=True, invalid_row_handler=skip
        ),
        as_written(names, dialect.null),
    )
    if set(table.column_names) != set(names):
        raise ValueError(f"the header names {', '.join(table.column_names)}, the table has {', '.join(names)}")
    found = table.num_rows + len(wrong)
    numbers = np.setdiff1d(np.arange(1, found + 1), np.array(wrong, np.int64))
    return Parsed(table, numbers, found, lambda wanted: _records(content, wanted, dialect), dialect.binary)


def _records(content: bytes, wanted: Set[int], dialect: Dialect) -> dict[int, bytes]:
    """Return the bytes of the wanted records, found by walking the file again."""
    walk = dialect.record.finditer(content)
    found = ((number - int(dialect.header), match) for number, match in enumerate(walk, 1))
    return {number: match[0] for number, match in found if number in wanted}
