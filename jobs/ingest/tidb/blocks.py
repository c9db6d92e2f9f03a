"""Where files of TiDB may be split into blocks of whole records.

A record ends at a line's end, outside quotes where a text may hold one. A format that cannot be split is read whole.
"""

import re
from typing import Any

import numpy as np

from jobs.ingest.loading.blocks import BlockSplitter
from jobs.ingest.tidb.dumpling.reader import DumpSpec
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.ticdc.csv_records import Dialect as FeedDialect
from jobs.ingest.tidb.ticdc.feed_csv import CsvSpec

_INSERT = re.compile(rb"INSERT\s+INTO\s+`(?:[^`]|``)+`\s*(?:\([^)]*\))?\s*VALUES\s*", re.IGNORECASE)
_NEXT_TUPLE = re.compile(rb"[,;]\r?\n")


def splitter_for(spec: Any) -> BlockSplitter | None:
    """Return the splitter of files with this spec; None where they are read whole."""
    if isinstance(spec, RowSpec):
        return BlockSplitter(_line_end, lines=True)
    if isinstance(spec, CsvSpec):
        return BlockSplitter(lambda data: _feed_record_end(data, spec.dialect))
    if not isinstance(spec, DumpSpec) or spec.format == "parquet":
        return None
    dialect = spec.dialect
    if spec.format == "sql":
        return BlockSplitter(_tuple_end, header=_insert, close=_closed) if dialect.escape_backslash else None
    header = _first_line if dialect.header else (lambda _: b"")
    if not dialect.escape_backslash and len(dialect.quote) != 1:
        return None  # a line's end may stand in a text, and no simple rule finds it
    # with backslashes a line's end in a text is written \n: a raw one ends the record
    end = _line_end if dialect.escape_backslash else (lambda data: _even_line_end(data, dialect.quote.encode()))
    return BlockSplitter(end, header=header)


def _line_end(data: bytes) -> int:
    return data.rfind(b"\n") + 1


def _even_line_end(data: bytes, quote: bytes) -> int:
    """Return the end of the last line that no quoted text goes on after."""
    text = np.frombuffer(data, np.uint8)
    inside = np.cumsum(text == quote[0]) % 2
    ends = np.flatnonzero((text == ord("\n")) & (inside == 0))
    return int(ends[-1]) + 1 if len(ends) else 0


def _feed_record_end(data: bytes, dialect: FeedDialect) -> int:
    """Return where the last record begins that looks like one; what is before it is whole."""
    last = 0
    # from the end: a block has many records, and only the last matters
    for start in range(max(0, len(data) - (1 << 20)), -1, -(1 << 20)):
        for found in dialect.beginning.finditer(data, start):
            last = found.end()
        if last or not start:
            break
    return last


def _first_line(block: bytes) -> bytes:
    return block[: block.find(b"\n") + 1]


def _tuple_end(data: bytes) -> int:
    last = 0
    for found in _NEXT_TUPLE.finditer(data):
        last = found.end()
    return last


def _insert(block: bytes) -> bytes:
    """Return the beginning of the statement that goes on after the block, nothing where a new one begins."""
    if not block.rstrip().endswith(b","):
        return b"/* */"
    last = b""
    for found in _INSERT.finditer(block):
        last = found[0]
    return last


def _closed(block: bytes) -> bytes:
    whole = block.rstrip()
    return whole[:-1] + b";\n" if whole.endswith(b",") else block
